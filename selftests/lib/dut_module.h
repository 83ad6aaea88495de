/* SPDX-License-Identifier: GPL-2.0 */
/* The disk under test of the module, for who wants more of it than dut.h has. */
#ifndef SELFTEST_DUT_MODULE_H
#define SELFTEST_DUT_MODULE_H

#include "disk.h"
#include "dut.h"

/**
 * struct dut - a disk of /dev/vkick-blk
 * @request_of: which request has a slot, by queue
 */
struct dut {
	struct disk d;
	u16 request_of[DUT_QUEUES][DUT_NUM];
};

#endif
