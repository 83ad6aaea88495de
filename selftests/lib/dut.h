/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The disk under test, of either datapath: of which, the program is linked with. So that
 * what has to hold of both is said, and tried, once (../both/).
 *
 * in:  a backend, features
 * out: a disk that runs, with two queues; their requests, as the driver lays them out
 *
 *	dut_module.c	/dev/vkick-blk
 *	dut_vmm.c	the user datapath of the VMM
 */
#ifndef SELFTEST_DUT_H
#define SELFTEST_DUT_H

#include <linux/virtio_blk.h>

#include "drv.h"

#define DUT_QUEUES	2

/* Requests of a queue that may be in flight, which is its size as well. */
#define DUT_NUM		256U

/* Guest memory for their data, by queue. */
#define DUT_BUF(queue)	((queue) ? GMEM_FAR : GMEM_HIGH)

/**
 * struct dut_conf - how the disk is opened
 * @path: its backend
 * @sectors: capacity
 * @direct: with O_DIRECT
 * @features: of the ring
 * @layout: of chains
 * @write_through: the cache is off
 * @no_flush: the driver does not know of flushes
 */
struct dut_conf {
	const char *path;
	u64 sectors;
	bool direct;
	u64 features;
	enum drv_layout layout;
	bool write_through;
	bool no_flush;
};

struct dut;

/* NULL, or why a test has to be skipped. Comes before anything is made, or swept. */
const char *dut_lacks(void);

struct dut *dut_open(const struct dut_conf *conf);
/* Aborts the test if a byte beside guest memory was written. */
void dut_close(struct dut *d);
struct gmem *dut_mem(struct dut *d);

/*
 * Puts request @i of a queue, below DUT_NUM and not in flight, in the ring, unpublished: with
 * @nr buffers, one at most. A queue belongs to one thread at a time.
 */
void dut_add(struct dut *d, u32 queue, u32 i, u32 type, u64 sector,
	     const struct drv_seg *data, u32 nr);
void dut_kick(struct dut *d, u32 queue);
/* Return: which request is back, or -EAGAIN. */
int dut_poll(struct dut *d, u32 queue, u8 *status);
/* Waits until one is. Return: false where @ms were over. */
bool dut_wait(struct dut *d, u32 queue, int ms);

/* T_DISCARD or T_WRITE_ZEROES of one range, alone in flight, on queue 0. Return: its status. */
u8 dut_do_range(struct dut *d, u32 type, u64 sector, u32 sectors);

#endif
