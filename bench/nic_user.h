/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The VMM's own user datapath of NICs, for ./nic: apart, since the VMM's names of queues and the tests' are the same.
 *
 * in:  a tap
 * out: a queue whose driver the caller plays
 */
#ifndef BENCH_NIC_USER_H
#define BENCH_NIC_USER_H

#include "../selftests/lib/drv.h"

/* A queue, as its driver has it. */
struct nic_side {
	struct gmem *mem;
	struct drv *drv;
	int kick, call;
};

/* One at a time. @one_by_one: as on a host without io_uring */
struct nic_side nic_user_start(int tap, u64 features, u32 num, bool tx, bool one_by_one);
void nic_user_stop(void);

#endif
