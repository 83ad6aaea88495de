/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Many requests of a VMM's disk at a time, over a backend that may fail or stall: as
 * batch.h, for the user datapath.
 *
 * in:  a backend that was filled with stamps (backend.h)
 * out: the status of each; whether what was read is what was there
 */
#ifndef SELFTEST_VBATCH_H
#define SELFTEST_VBATCH_H

#include "backend.h"
#include "vdisk.h"

#define VBATCH_MAX	((u32)VDISK_NUM)
#define VBATCH_SECTORS	8U
#define VBATCH_BYTES	(VBATCH_SECTORS * SECTOR)

/**
 * struct vbatch_disk - a disk on a backend
 * @data: gpa of VBATCH_MAX buffers of VBATCH_BYTES, by queue
 */
struct vbatch_disk {
	struct vdisk v;
	u64 data[VDISK_MAX_QUEUES];
	int fd;
};

/**
 * struct vbatch - up to VBATCH_MAX requests of one queue
 * @type: VIRTIO_BLK_T_IN, OUT or FLUSH
 * @sector: of each, which has VBATCH_SECTORS
 * @status: VDISK_LOST; then what the device said
 * @nr: requests so far
 * @back: of them
 * @seed: of the stamps that are written
 */
struct vbatch {
	struct vbatch_disk *d;
	u32 queue;
	u64 seed;
	u32 nr, back;
	u32 type[VBATCH_MAX];
	u64 sector[VBATCH_MAX];
	u8 status[VBATCH_MAX];
};

/* Not started: the test may change @d->v.disk. */
void vbatch_open(struct vbatch_disk *d, const struct backend *b, u64 sectors, bool direct,
		 u64 features, u32 nr_queues);
void vbatch_close(struct vbatch_disk *d);
void vbatch_begin(struct vbatch *b, struct vbatch_disk *d, u32 queue, u64 seed);
/* Puts one in the ring, unpublished. Return: its number. */
u32 vbatch_add(struct vbatch *b, u32 type, u64 sector);
void vbatch_kick(struct vbatch *b);
/* Takes back those that are done, without waiting. */
void vbatch_poll(struct vbatch *b);
/* Waits for all; aborts the test at the deadline. */
void vbatch_finish(struct vbatch *b);
/* Waits until request @i is back. */
void vbatch_wait_for(struct vbatch *b, u32 i);
u32 vbatch_count(const struct vbatch *b, u8 status);
/* Whether a read brought the stamps of @seed. */
bool vbatch_has_stamps(struct vbatch *b, u32 i, u64 seed);

#endif
