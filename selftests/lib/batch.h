/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Many requests of a disk at a time, over a backend that may fail or stall.
 *
 * in:  a disk under test (dut.h) on a backend that was filled with stamps (backend.h)
 * out: the status of each; whether what was read is what was there
 */
#ifndef SELFTEST_BATCH_H
#define SELFTEST_BATCH_H

#include "backend.h"
#include "dut.h"

#define BATCH_MAX	DUT_NUM
#define BATCH_SECTORS	8U
#define BATCH_BYTES	(BATCH_SECTORS * SECTOR)

/* A request's data, in guest memory. */
#define BATCH_BUF(queue, i)	(DUT_BUF(queue) + (u64)(i) * BATCH_BYTES)

/* A request's status until it is back. */
#define BATCH_OUT	0xff

/**
 * struct batch - up to BATCH_MAX requests of one queue
 * @type: VIRTIO_BLK_T_IN, OUT or FLUSH
 * @sector: of each, which has BATCH_SECTORS
 * @status: BATCH_OUT; then what the device said
 * @nr: requests so far
 * @back: of them
 * @seed: of the stamps that are written
 */
struct batch {
	struct dut *d;
	u32 queue;
	u64 seed;
	u32 nr, back;
	u32 type[BATCH_MAX];
	u64 sector[BATCH_MAX];
	u8 status[BATCH_MAX];
};

void batch_begin(struct batch *b, struct dut *d, u32 queue, u64 seed);
/* Puts one in the ring, unpublished. Return: its number. */
u32 batch_add(struct batch *b, u32 type, u64 sector);
void batch_kick(struct batch *b);
/* Takes back those that are done, without waiting. */
void batch_poll(struct batch *b);
/* Waits for all, or until @ms are over. Return: whether all are back. */
bool batch_wait(struct batch *b, int ms);
/* Waits for all; aborts the test at the deadline. */
void batch_finish(struct batch *b);
/* Waits until request @i is back. */
void batch_wait_for(struct batch *b, u32 i);
u32 batch_count(const struct batch *b, u8 status);
/* What one reads, or writes. */
u8 *batch_data(struct batch *b, u32 i);
/* Whether a read brought the stamps of @seed. */
bool batch_has_stamps(struct batch *b, u32 i, u64 seed);

#endif
