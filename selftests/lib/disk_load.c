// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that works with its disk: a thread that reads and writes at random, keeps
 * several requests in flight, and knows what each read has to find.
 *
 * in:  a queue of a disk, a range of sectors that nobody else writes
 * out: see disk_load.h
 */
#include "disk_load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *buf_of(struct disk_load *l, u32 i)
{
	return gmem_ptr(&l->d->r.mem, l->buf + i * DISK_LOAD_BYTES, DISK_LOAD_BYTES);
}

static u64 sector_of(struct disk_load *l, u32 i)
{
	return l->first + i * DISK_LOAD_SECTORS;
}

static void fill_random(u64 *p, u32 bytes, u64 *state)
{
	while (bytes) {
		*p++ = prng(state);
		bytes -= 8;
	}
}

/* Sets place @i's next request on its way; its buffer comes in two pieces. */
static void begin(struct disk_load *l, u32 i)
{
	struct disk_load_place *p = &l->place[i];
	u64 gpa = l->buf + i * DISK_LOAD_BYTES;
	struct disk_req req;
	struct drv_seg segs[2];
	u32 bytes, cut;
	int slot;

	p->at = prng(&l->seed) % DISK_LOAD_SECTORS;
	p->sectors = 1 + prng(&l->seed) % (DISK_LOAD_SECTORS - p->at);
	bytes = p->sectors * SECTOR;
	if (l->only_reads || prng(&l->seed) % 2) {
		p->type = VIRTIO_BLK_T_IN;
		memset(buf_of(l, i), 0x55, bytes);
	} else {
		p->type = VIRTIO_BLK_T_OUT;
		fill_random(buf_of(l, i), bytes, &l->seed);
	}
	cut = prng(&l->seed) % 4 ? bytes : prng(&l->seed) % p->sectors * SECTOR;
	segs[0] = (struct drv_seg) { gpa, cut, p->type == VIRTIO_BLK_T_IN };
	segs[1] = (struct drv_seg) { gpa + cut, bytes - cut, segs[0].write };
	req = (struct disk_req) { p->type, sector_of(l, i) + p->at, segs, 2 };
	slot = disk_add(l->d, l->queue, &req);
	CHECK(slot >= 0, "no room for place %u", i);
	l->place_of[slot] = i;
}

static u32 end(struct disk_load *l, int slot, u8 status)
{
	u32 i = l->place_of[slot];
	struct disk_load_place *p = &l->place[i];
	u32 bytes = p->sectors * SECTOR;

	atomic_fetch_add(&l->done, 1);
	if (status == VIRTIO_BLK_S_IOERR && atomic_load(&l->may_fail)) {
		atomic_fetch_add(&l->failed, 1);
		return i;
	}
	CHECK(status == VIRTIO_BLK_S_OK, "type %u at sector %llu, %u sectors: status %u",
	      p->type, (unsigned long long)sector_of(l, i) + p->at, p->sectors, status);
	if (p->type == VIRTIO_BLK_T_OUT)
		memcpy(p->now + p->at * SECTOR, buf_of(l, i), bytes);
	else
		CHECK(!memcmp(p->now + p->at * SECTOR, buf_of(l, i), bytes),
		      "sectors %llu to %llu do not hold what was written",
		      (unsigned long long)sector_of(l, i) + p->at,
		      (unsigned long long)sector_of(l, i) + p->at + p->sectors - 1);
	return i;
}

static void *load_main(void *arg)
{
	struct disk_load *l = arg;
	struct vq *q = &l->d->r.q[l->queue];
	u32 i, in_flight = l->depth;
	u8 status;
	int slot;

	for (i = 0; i < l->depth; i++)
		begin(l, i);
	drv_kick(&q->drv, q->kick);
	while (in_flight) {
		CHECK(drv_wait(&q->drv, q->call, DEADLINE_MS),
		      "queue %u: no request of %u comes back", l->queue, in_flight);
		drv_disable_call(&q->drv);
		while ((slot = disk_poll(l->d, l->queue, &status, NULL)) >= 0) {
			i = end(l, slot, status);
			if (atomic_load(&l->quit))
				in_flight--;
			else
				begin(l, i);
		}
		drv_kick(&q->drv, q->kick);
	}
	return NULL;
}

void disk_load_start(struct disk_load *l)
{
	u32 i;

	CHECK(l->depth && l->depth <= DISK_LOAD_DEPTH, "depth %u", l->depth);
	l->place = calloc(l->depth, sizeof(*l->place));
	CHECK(l->place, "no memory");
	l->seed |= 1;
	for (i = 0; i < l->depth; i++)
		disk_file_read(l->d, l->place[i].now, sector_of(l, i),
			       DISK_LOAD_SECTORS);
	CHECK(!pthread_create(&l->thread, NULL, load_main, l), "pthread_create");
}

void disk_load_wait(struct disk_load *l, u64 n)
{
	u64 until = atomic_load(&l->done) + n;
	struct deadline end = deadline_in(DEADLINE_MS);

	while (atomic_load(&l->done) < until) {
		CHECK(!deadline_passed(&end), "stuck at %llu of %llu requests",
		      (unsigned long long)atomic_load(&l->done),
		      (unsigned long long)until);
		/* Yielding would take the load's own time. */
		usleep(500);
	}
}

void disk_load_stop(struct disk_load *l)
{
	u8 now[DISK_LOAD_BYTES];
	u32 i;

	atomic_store(&l->quit, true);
	CHECK(!pthread_join(l->thread, NULL), "pthread_join");
	for (i = 0; i < l->depth; i++) {
		disk_file_read(l->d, now, sector_of(l, i), DISK_LOAD_SECTORS);
		CHECK(!memcmp(now, l->place[i].now, sizeof(now)),
		      "the file does not hold what was written from sector %llu on",
		      (unsigned long long)sector_of(l, i));
	}
	free(l->place);
	l->place = NULL;
}
