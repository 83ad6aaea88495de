/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which code of the module ran: KCOV (Documentation/dev-tools/kcov.rst).
 *
 * in:  /sys/kernel/debug/kcov, a module built with KCOV_INSTRUMENT=y
 * out: the set of addresses that were reached
 */
#ifndef SELFTEST_KCOV_H
#define SELFTEST_KCOV_H

#include "util.h"

/* One thread's trace. A thread has one, either of its own calls or of others'. */
struct kcov {
	int fd;
	u64 *area;
};

bool kcov_available(void);

/* What the calling thread does in the kernel, from here to its end. */
void kcov_trace_self(struct kcov *k);

/*
 * What workers do for the devices whose owner the calling thread becomes: they do
 * it in the name of the thread's common handle.
 */
void kcov_trace_workers(struct kcov *k);

/* Adds what was traced to the set and starts anew. Returns how many are new to it. */
u32 kcov_take(struct kcov *k);
/* The same of a trace of workers. */
u32 kcov_take_workers(struct kcov *k);
/* Size of the set. */
u32 kcov_total(void);
/* Of these, how many came from workers. */
u32 kcov_total_workers(void);

#endif
