// SPDX-License-Identifier: GPL-2.0
/*
 * Many requests of a VMM's disk at a time, over a backend that may fail or stall.
 *
 * in:  a backend that was filled with stamps
 * out: see vbatch.h
 */
#define _GNU_SOURCE
#include "vbatch.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static u64 buffer(const struct vbatch *b, u32 i)
{
	return b->d->data[b->queue] + i * VBATCH_BYTES;
}

void vbatch_open(struct vbatch_disk *d, const struct backend *b, u64 sectors, bool direct,
		 u64 features, u32 nr_queues)
{
	u32 i;

	d->fd = backend_open(b, O_RDWR | (direct ? O_DIRECT : 0));
	vdisk_init(&d->v, d->fd, sectors * SECTOR, features, nr_queues);
	d->v.disk.direct = direct;
	for (i = 0; i < nr_queues; i++)
		d->data[i] = vdisk_alloc(&d->v, VBATCH_MAX * VBATCH_BYTES, 4096);
}

void vbatch_close(struct vbatch_disk *d)
{
	vdisk_free(&d->v);
	close(d->fd);
}

void vbatch_begin(struct vbatch *b, struct vbatch_disk *d, u32 queue, u64 seed)
{
	b->d = d;
	b->queue = queue;
	b->seed = seed;
	b->nr = 0;
	b->back = 0;
}

u32 vbatch_add(struct vbatch *b, u32 type, u64 sector)
{
	u32 i = b->nr++, s;
	struct drv_seg data = { buffer(b, i), VBATCH_BYTES, type == VIRTIO_BLK_T_IN };
	u8 *p = gmem_ptr(&b->d->v.m.mem, data.gpa, VBATCH_BYTES);

	CHECK(i < VBATCH_MAX, "a long batch");
	b->type[i] = type;
	b->sector[i] = sector;
	b->status[i] = VDISK_LOST;
	if (type == VIRTIO_BLK_T_OUT)
		for (s = 0; s < VBATCH_SECTORS; s++)
			backend_stamp(p + s * SECTOR, sector + s, b->seed);
	else
		memset(p, 0xdb, VBATCH_BYTES);
	vdisk_add(&b->d->v, b->queue, i, type, sector, &data, type != VIRTIO_BLK_T_FLUSH);
	return i;
}

void vbatch_kick(struct vbatch *b)
{
	vdisk_kick(&b->d->v, b->queue);
}

void vbatch_poll(struct vbatch *b)
{
	u8 status;
	int i;

	while ((i = vdisk_poll(&b->d->v, b->queue, &status)) >= 0) {
		CHECK(b->status[i] == VDISK_LOST, "request %d is done twice", i);
		CHECK(status != VDISK_LOST, "request %d has no status", i);
		b->status[i] = status;
		b->back++;
	}
}

/* Takes back what is done, or what is done next. */
static void wait_some(struct vbatch *b, const struct deadline *end)
{
	struct vdisk *v = &b->d->v;

	CHECK(!deadline_passed(end), "%u of %u requests are back", b->back, b->nr);
	drv_wait(&v->drv[b->queue], v->dev.ring[b->queue].call_fd, deadline_left_ms(end));
	vbatch_poll(b);
}

void vbatch_finish(struct vbatch *b)
{
	struct deadline end = deadline_in(2 * DEADLINE_MS);

	while (b->back < b->nr)
		wait_some(b, &end);
}

void vbatch_wait_for(struct vbatch *b, u32 i)
{
	struct deadline end = deadline_in(DEADLINE_MS);

	while (b->status[i] == VDISK_LOST)
		wait_some(b, &end);
}

u32 vbatch_count(const struct vbatch *b, u8 status)
{
	u32 i, n = 0;

	for (i = 0; i < b->nr; i++)
		n += b->status[i] == status;
	return n;
}

bool vbatch_has_stamps(struct vbatch *b, u32 i, u64 seed)
{
	const u8 *p = gmem_ptr(&b->d->v.m.mem, buffer(b, i), VBATCH_BYTES);
	u8 want[SECTOR];
	u32 s;

	for (s = 0; s < VBATCH_SECTORS; s++) {
		backend_stamp(want, b->sector[i] + s, seed);
		if (memcmp(p + s * SECTOR, want, SECTOR))
			return false;
	}
	return true;
}
