/* SPDX-License-Identifier: GPL-2.0 */
/* The disk under test of the VMM, for who wants more of it than dut.h has. */
#ifndef SELFTEST_DUT_VMM_H
#define SELFTEST_DUT_VMM_H

#include "dut.h"
#include "vdisk.h"

/**
 * struct dut - a disk of the user datapath
 * @fd: its backend
 */
struct dut {
	struct vdisk v;
	int fd;
};

#endif
