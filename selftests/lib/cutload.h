/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A power cut's workload on the disk under test: two queues, a thread each.
 *
 * in:  a workload, a backend, the dm-log-writes device below it
 * out: all requests done, and each promise marked in the log
 */
#ifndef SELFTEST_CUTLOAD_H
#define SELFTEST_CUTLOAD_H

#include "dut.h"
#include "powercut.h"

#define MIB_SECTORS	(1024 * 1024 / SECTOR)
#define LOG_MIB		192

/* The longest request of a workload. */
#define CUT_MAX_SECTORS	64

/**
 * struct cut_conf - how the disk is opened
 * @direct: with O_DIRECT
 * @features: of the ring
 * @layout: of chains
 * @write_through: the cache is off
 * @no_flush: the driver does not know of flushes
 * @many_flushes: under way at a time; for a device that takes them in turn (lw_in_turn())
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
void cut_run(struct pc *pc, const char *path, const struct backend *marks,
	     const struct cut_conf *conf, u64 seed);

/* A number from the environment. */
u64 cut_from_env(const char *name, u64 otherwise);

#endif
