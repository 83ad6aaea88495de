/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A power cut's workload on a disk of either datapath: two queues, a thread each.
 *
 * in:  a workload, a backend, the dm-log-writes device below it
 * out: all requests done, and each promise marked in the log
 *
 *	cutload.c		the load
 *	cutload_module.c	/dev/vkick-blk under it
 *	cutload_vmm.c		or the user datapath of the VMM
 */
#ifndef SELFTEST_CUTLOAD_H
#define SELFTEST_CUTLOAD_H

#include "drv.h"
#include "powercut.h"

#define MIB_SECTORS	(1024 * 1024 / SECTOR)
#define LOG_MIB		192

/* The longest request of a workload. */
#define CUT_MAX_SECTORS	64
#define CUT_MAX_BYTES	(CUT_MAX_SECTORS * SECTOR)

/* Requests of a queue that are in flight. */
#define CUT_DEPTH	12

/**
 * struct cut_conf - how the disk is opened
 * @direct: with O_DIRECT
 * @features: of the ring
 * @layout: of chains
 * @write_through: the cache is off
 * @no_flush: the driver does not know of flushes
 * @many_flushes: under way at a time
 */
struct cut_conf {
	bool direct;
	u64 features;
	enum drv_layout layout;
	bool write_through;
	bool no_flush;
	bool many_flushes;
};

/* Two queues under load on @path, from the first request to the last; marks go to @marks. */
void cut_run_module(struct pc *pc, const char *path, const struct backend *marks,
		    const struct cut_conf *conf, u64 seed);
void cut_run_vmm(struct pc *pc, const char *path, const struct backend *marks,
		 const struct cut_conf *conf, u64 seed);

/* A number from the environment. */
u64 cut_from_env(const char *name, u64 otherwise);

/**
 * struct cut_disk_ops - the disk, to the load
 * @through: it has write-through
 * @flushes: and flushes all the same, or needs them
 * @fua: writes need none: each is durable by itself
 * @buf: gpa of CUT_DEPTH buffers of CUT_MAX_BYTES, by queue
 * @submit: request @i of a queue, with one buffer or none
 * @take: waits for the end of one. Return: which
 */
struct cut_disk_ops {
	void *dev;
	struct gmem *mem;
	u64 buf[2];
	bool through;
	bool flushes;
	bool fua;
	void (*submit)(void *dev, u32 queue, u32 i, u32 type, u64 sector,
		       const struct drv_seg *data, u32 nr);
	u32 (*take)(void *dev, u32 queue, u8 *status);
};

void cut_drive(struct pc *pc, const struct cut_disk_ops *disk, const struct backend *marks,
	       bool many_flushes, u64 seed);

#endif
