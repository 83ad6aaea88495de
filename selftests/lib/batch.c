// SPDX-License-Identifier: GPL-2.0
/*
 * Many requests of a disk at a time, over a backend that may fail or stall.
 *
 * in:  a disk on a backend that was filled with stamps
 * out: see batch.h
 */
#include "batch.h"

#include <string.h>

void batch_begin(struct batch *b, struct dut *d, u32 queue, u64 seed)
{
	b->d = d;
	b->queue = queue;
	b->seed = seed;
	b->nr = 0;
	b->back = 0;
}

u8 *batch_data(struct batch *b, u32 i)
{
	return gmem_ptr(dut_mem(b->d), BATCH_BUF(b->queue, i), BATCH_BYTES);
}

u32 batch_add(struct batch *b, u32 type, u64 sector)
{
	u32 i = b->nr++, s;
	struct drv_seg data = { BATCH_BUF(b->queue, i), BATCH_BYTES, type == VIRTIO_BLK_T_IN };
	u8 *p;

	CHECK(i < BATCH_MAX, "a long batch");
	p = batch_data(b, i);
	b->type[i] = type;
	b->sector[i] = sector;
	b->status[i] = BATCH_OUT;
	if (type == VIRTIO_BLK_T_OUT)
		for (s = 0; s < BATCH_SECTORS; s++)
			backend_stamp(p + s * SECTOR, sector + s, b->seed);
	else
		memset(p, 0xdb, BATCH_BYTES);
	dut_add(b->d, b->queue, i, type, sector, &data, type != VIRTIO_BLK_T_FLUSH);
	return i;
}

void batch_kick(struct batch *b)
{
	dut_kick(b->d, b->queue);
}

void batch_poll(struct batch *b)
{
	u8 status;
	int i;

	while ((i = dut_poll(b->d, b->queue, &status)) >= 0) {
		CHECK(b->status[i] == BATCH_OUT, "request %d is done twice", i);
		b->status[i] = status;
		b->back++;
	}
}

bool batch_wait(struct batch *b, int ms)
{
	struct deadline end = deadline_in(ms);

	for (;;) {
		batch_poll(b);
		if (b->back == b->nr)
			return true;
		if (deadline_passed(&end))
			return false;
		dut_wait(b->d, b->queue, deadline_left_ms(&end));
	}
}

void batch_finish(struct batch *b)
{
	CHECK(batch_wait(b, 2 * DEADLINE_MS), "%u of %u requests are back", b->back, b->nr);
}

void batch_wait_for(struct batch *b, u32 i)
{
	struct deadline end = deadline_in(DEADLINE_MS);

	for (batch_poll(b); b->status[i] == BATCH_OUT; batch_poll(b)) {
		CHECK(!deadline_passed(&end), "request %u is not back", i);
		dut_wait(b->d, b->queue, deadline_left_ms(&end));
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
	const u8 *p = batch_data(b, i);
	u8 want[SECTOR];
	u32 s;

	for (s = 0; s < BATCH_SECTORS; s++) {
		backend_stamp(want, b->sector[i] + s, seed);
		if (memcmp(p + s * SECTOR, want, SECTOR))
			return false;
	}
	return true;
}
