/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a broken or hostile driver may put into a packed ring, as tables: each case is
 * played to the engine natively and to the module's worker.
 *
 * in:  a driver of ABUSE_NUM descriptors, with nothing in flight
 * out: bad descriptors or event suppression, published
 */
#ifndef SELFTEST_ABUSE_PACKED_H
#define SELFTEST_ABUSE_PACKED_H

#include "abuse.h"

/* X(name, errno that breaks the queue): abuse_packed_<name>() does it. */
#define ABUSE_PACKED_CASES(X)					\
	X(next_all_round,			EINVAL)		\
	X(next_all_round_of_empty_descriptors,	EINVAL)		\
	X(indirect_length_not_multiple_of_16,	EINVAL)		\
	X(indirect_length_below_16,		EINVAL)		\
	X(indirect_length_zero,			EINVAL)		\
	X(indirect_table_of_32769,		E2BIG)		\
	X(indirect_table_of_4gib,		E2BIG)		\
	X(indirect_nested,			EINVAL)		\
	X(indirect_with_next,			EINVAL)		\
	X(indirect_at_the_end_of_a_chain,	EINVAL)		\
	X(indirect_inside_a_chain,		EINVAL)		\
	X(indirect_table_wraps_around,		EINVAL)		\
	X(indirect_table_outside_memory,	EFAULT)		\
	X(indirect_table_runs_into_hole,	EFAULT)		\
	X(sum_over_4gib,			EINVAL)		\
	X(sum_over_4gib_in_table,		EINVAL)		\
	X(readable_after_writable,		EINVAL)		\
	X(readable_after_writable_in_table,	EINVAL)

/*
 * Some breaches are nobody's business but the driver's: it gets back what it asked
 * for. X(name, number of chains that the device sees).
 */
#define ABUSE_PACKED_HARMLESS(X)				\
	X(chain_as_long_as_the_ring,		1)		\
	X(chain_runs_into_what_is_not_available, 1)		\
	X(id_twice,				2)		\
	X(id_past_the_ring,			1)		\
	X(event_flags_reserved,			1)		\
	X(event_place_past_the_ring,		1)		\
	X(flags_flipped_back,			0)		\
	X(flags_of_the_next_lap,		0)		\
	X(flags_of_a_used_descriptor,		0)		\
	X(second_without_the_first,		0)

#define ABUSE_DECLARE(name, what)	void abuse_packed_##name(struct drv *d);
ABUSE_PACKED_CASES(ABUSE_DECLARE)
ABUSE_PACKED_HARMLESS(ABUSE_DECLARE)
#undef ABUSE_DECLARE

#endif
