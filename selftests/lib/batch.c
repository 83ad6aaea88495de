// SPDX-License-Identifier: GPL-2.0
/*
 * Many requests of a disk at a time, over a backend that may fail or stall.
 *
 * in:  a disk on a backend that was filled with stamps
 * out: see batch.h
 */
#include "batch.h"

#include <errno.h>
#include <string.h>

void batch_open(struct disk *d, const char *path, u64 sectors, bool direct, u64 features,
		u32 nr_queues)
{
	struct disk_conf conf = {
		.on = BACKING_GIVEN,
		.path = path,
		.direct = direct,
		.sectors = sectors,
		.features = features | F_INDIRECT,
		.layout = DRV_INDIRECT,
		.num = BATCH_MAX,
		.max_segs = 4,
		.nr_queues = nr_queues,
	};

	disk_open(d, &conf);
	disk_start(d);
}

void batch_begin(struct batch *b, struct disk *d, u32 queue, u64 seed)
{
	b->d = d;
	b->queue = queue;
	b->seed = seed;
	b->nr = 0;
	b->back = 0;
}

u32 batch_add(struct batch *b, u32 type, u64 sector)
{
	u32 i = b->nr++, s;
	struct drv_seg data = { BATCH_BUF(b->queue, i), BATCH_BYTES, type == VIRTIO_BLK_T_IN };
	struct disk_req req = { type, sector, &data, type != VIRTIO_BLK_T_FLUSH };
	u8 *p = gmem_ptr(&b->d->r.mem, data.gpa, BATCH_BYTES);
	int slot;

	CHECK(i < BATCH_MAX, "a long batch");
	b->type[i] = type;
	b->sector[i] = sector;
	b->status[i] = BATCH_OUT;
	if (type == VIRTIO_BLK_T_OUT)
		for (s = 0; s < BATCH_SECTORS; s++)
			backend_stamp(p + s * SECTOR, sector + s, b->seed);
	else
		memset(p, 0xdb, BATCH_BYTES);
	slot = disk_add(b->d, b->queue, &req);
	CHECK(slot >= 0, "queue %u is full", b->queue);
	b->of_slot[slot] = i;
	return i;
}

void batch_kick(struct batch *b)
{
	struct vq *q = &b->d->r.q[b->queue];

	drv_kick(&q->drv, q->kick);
}

void batch_poll(struct batch *b)
{
	u8 status;
	int slot;

	while ((slot = disk_poll(b->d, b->queue, &status, NULL)) >= 0) {
		u32 i = b->of_slot[slot];

		CHECK(b->status[i] == BATCH_OUT, "request %u is done twice", i);
		b->status[i] = status;
		b->back++;
	}
}

bool batch_wait(struct batch *b, int ms)
{
	struct deadline end = deadline_in(ms);
	struct vq *q = &b->d->r.q[b->queue];

	for (;;) {
		batch_poll(b);
		if (b->back == b->nr)
			return true;
		if (deadline_passed(&end))
			return false;
		drv_wait(&q->drv, q->call, deadline_left_ms(&end));
	}
}

void batch_finish(struct batch *b)
{
	CHECK(batch_wait(b, 2 * DEADLINE_MS), "%u of %u requests are back", b->back, b->nr);
}

void batch_wait_for(struct batch *b, u32 i)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	struct vq *q = &b->d->r.q[b->queue];

	for (batch_poll(b); b->status[i] == BATCH_OUT; batch_poll(b)) {
		CHECK(!deadline_passed(&end), "request %u is not back", i);
		drv_wait(&q->drv, q->call, deadline_left_ms(&end));
	}
}

u32 batch_count(const struct batch *b, u8 status)
{
	u32 i, n = 0;

	for (i = 0; i < b->nr; i++)
		n += b->status[i] == status;
	return n;
}

bool batch_has_stamps(struct batch *b, u32 i, u64 seed)
{
	const u8 *p = gmem_ptr(&b->d->r.mem, BATCH_BUF(b->queue, i), BATCH_BYTES);
	u8 want[SECTOR];
	u32 s;

	for (s = 0; s < BATCH_SECTORS; s++) {
		backend_stamp(want, b->sector[i] + s, seed);
		if (memcmp(p + s * SECTOR, want, SECTOR))
			return false;
	}
	return true;
}
