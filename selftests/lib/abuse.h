/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a broken or hostile driver may put into a split ring, as a table: each
 * case is played to the engine natively and to the module's worker.
 *
 * in:  a driver with free descriptors and nothing in flight
 * out: one bad chain (or index), published
 */
#ifndef SELFTEST_ABUSE_H
#define SELFTEST_ABUSE_H

#include <errno.h>

#include "drv.h"

/* Queue size for all cases: shorter than any device's longest chain. */
#define ABUSE_NUM	8

/* X(name, errno that breaks the queue): the function abuse_<name>() does it. */
#define ABUSE_CASES(X)						\
	X(next_loop,				EINVAL)		\
	X(next_is_itself,			EINVAL)		\
	X(next_loop_of_empty_descriptors,	EINVAL)		\
	X(next_is_queue_size,			EINVAL)		\
	X(next_is_65535,			EINVAL)		\
	X(head_is_queue_size,			EINVAL)		\
	X(head_is_65535,			EINVAL)		\
	X(indirect_length_not_multiple_of_16,	EINVAL)		\
	X(indirect_length_below_16,		EINVAL)		\
	X(indirect_length_zero,			EINVAL)		\
	X(indirect_table_of_32769,		E2BIG)		\
	X(indirect_table_of_4gib,		E2BIG)		\
	X(indirect_nested,			EINVAL)		\
	X(indirect_with_next,			EINVAL)		\
	X(indirect_next_is_table_size,		EINVAL)		\
	X(indirect_loop,			EINVAL)		\
	X(indirect_table_wraps_around,		EINVAL)		\
	X(indirect_table_outside_memory,	EFAULT)		\
	X(indirect_table_runs_into_hole,	EFAULT)		\
	X(avail_idx_past_queue_size,		EINVAL)		\
	X(avail_idx_goes_back,			EINVAL)		\
	X(sum_over_4gib,			EINVAL)		\
	X(sum_over_4gib_in_table,		EINVAL)		\
	X(readable_after_writable,		EINVAL)		\
	X(readable_in_table_after_writable,	EINVAL)

#define ABUSE_DECLARE(name, error)	void abuse_##name(struct drv *d);
ABUSE_CASES(ABUSE_DECLARE)
#undef ABUSE_DECLARE

#endif
