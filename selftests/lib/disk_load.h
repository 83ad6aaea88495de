/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest that works with its disk: a thread that reads and writes at random, keeps
 * several requests in flight, and knows what each read has to find.
 *
 * in:  a queue of a disk, a range of sectors that nobody else writes
 * out: progress; a read that finds anything else, or a request lost, aborts the test
 */
#ifndef SELFTEST_DISK_LOAD_H
#define SELFTEST_DISK_LOAD_H

#include <pthread.h>
#include <stdatomic.h>

#include "disk.h"

#define DISK_LOAD_DEPTH		32
#define DISK_LOAD_SECTORS	32U	/* of one place, and of the longest request */
#define DISK_LOAD_BYTES		(DISK_LOAD_SECTORS * SECTOR)

/**
 * struct disk_load - the thread and what it knows
 * @d: disk, running
 * @queue: its queue
 * @first: sector; each request in flight has DISK_LOAD_SECTORS from there on
 * @depth: requests to keep in flight, up to DISK_LOAD_DEPTH
 * @buf: gpa of @depth buffers of DISK_LOAD_BYTES
 * @seed: of what it does
 * @only_reads: of what is there at the start
 * @may_fail: IOERR is taken, and leaves what was there; else it aborts the test
 * @done: requests that came back
 * @failed: with IOERR
 */
struct disk_load {
	struct disk *d;
	u32 queue;
	u64 first;
	u32 depth;
	u64 buf;
	u64 seed;
	bool only_reads;
	atomic_bool may_fail;

	atomic_ullong done;
	atomic_ullong failed;
	atomic_bool quit;
	pthread_t thread;
	struct disk_load_place {
		u8 now[DISK_LOAD_BYTES];	/* what is on the disk */
		u32 type, at, sectors;		/* in flight, from @at of the place */
	} *place;
	int place_of[1024];
};

/* All but what is said to be an outcome is set by the caller. Reads what is there. */
void disk_load_start(struct disk_load *l);
/* Waits until @n more requests came back than at the call. */
void disk_load_wait(struct disk_load *l, u64 n);
/* Ends the thread, with nothing in flight; and looks at the file. */
void disk_load_stop(struct disk_load *l);

#endif
