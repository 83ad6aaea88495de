/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A VM that is memory alone: what the VMM's userspace datapaths see of one.
 *
 * in:  guest memory of the tests
 * out: guest_ptr(), the ring engine's look-ups, eventfds
 */
#ifndef SELFTEST_MEMVM_H
#define SELFTEST_MEMVM_H

#include "gmem.h"

#include "../../vmm/vmm.h"

/* @vm has no more of it than that it is in this. */
struct memvm {
	struct vm vm;
	struct gmem mem;
};

#endif
