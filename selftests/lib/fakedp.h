/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A datapath that serves nothing, and minds the rules of vmm/datapath.h: what starts and stops, from which state, and in which order.
 */
#ifndef SELFTEST_FAKEDP_H
#define SELFTEST_FAKEDP_H

#include "../../vmm/virtio.h"

extern const struct datapath_ops fakedp_ops;

bool fakedp_runs(struct datapath *dp);
/* Starts so far; queues that it would serve, a bit each. */
u32 fakedp_starts(struct datapath *dp);
u64 fakedp_served(struct datapath *dp);
/* The next stop takes until fakedp_let_go(), as with requests in flight; the second waits until it has begun. */
void fakedp_stall(struct datapath *dp);
void fakedp_await_stall(struct datapath *dp);
void fakedp_let_go(struct datapath *dp);

#endif
