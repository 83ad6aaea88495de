// SPDX-License-Identifier: GPL-2.0
/*
 * When calls are held back, and for how long: ring/vring_coalesce.h natively, under a clock of the test's.
 *
 * in:  calls that a driver wants, requests, and times
 * out: which calls are held, and what ends the hold
 */
#include "kselftest_harness.h"

#include "../ring/vring_coalesce.h"

#define US	1000ULL
#define MS	(1000 * US)

/* One call that is held, with a request meanwhile or without. */
static void hold(struct vring_coalesce *c, bool paid)
{
	vring_coalesce_begin(c, 0, 0);
	c->paid = paid;
	vring_coalesce_end(c);
}

/* How many calls are made at once before the next one is held. */
static u32 calls_made_at_once(struct vring_coalesce *c)
{
	u32 n = 0;

	while (!vring_coalesce_holds(c))
		n++;
	return n;
}

TEST(first_call_is_held)
{
	struct vring_coalesce c = {};

	EXPECT_TRUE(vring_coalesce_holds(&c));
}

TEST(calls_of_one_hold_are_one_call)
{
	struct vring_coalesce c = {};
	int i;

	vring_coalesce_begin(&c, 0, 0);
	for (i = 0; i < 1000; i++)
		EXPECT_TRUE(vring_coalesce_holds(&c));
	EXPECT_TRUE(vring_coalesce_end(&c));
	EXPECT_FALSE(vring_coalesce_end(&c));
}

TEST(nothing_owed_is_never_due)
{
	const struct vring_coalesce c = {};

	EXPECT_FALSE(vring_coalesce_is_late(&c, ~0ULL, MS));
	EXPECT_FALSE(vring_coalesce_is_full(&c, ~0ULL, 256));
	EXPECT_FALSE(vring_coalesce_is_in_vain(&c, ~0ULL, 0, MS));
}

TEST(full_after_so_many_requests_or_half_a_ring)
{
	struct vring_coalesce c = {};

	vring_coalesce_begin(&c, 0, 7);
	EXPECT_FALSE(vring_coalesce_is_full(&c, 7 + VRING_COALESCE_REQUESTS - 1, 256));
	EXPECT_TRUE(vring_coalesce_is_full(&c, 7 + VRING_COALESCE_REQUESTS, 256));
	EXPECT_FALSE(vring_coalesce_is_full(&c, 7 + 3, 8));
	EXPECT_TRUE(vring_coalesce_is_full(&c, 7 + 4, 8));
	/* Of a ring of one the driver has nothing else to put in. */
	EXPECT_TRUE(vring_coalesce_is_full(&c, 7, 1));
}

TEST(full_counts_across_the_end_of_the_counter)
{
	struct vring_coalesce c = {};

	vring_coalesce_begin(&c, 0, ~0ULL);
	EXPECT_FALSE(vring_coalesce_is_full(&c, VRING_COALESCE_REQUESTS - 2, 256));
	EXPECT_TRUE(vring_coalesce_is_full(&c, VRING_COALESCE_REQUESTS - 1, 256));
}

TEST(late_when_the_time_or_the_watch_is_over)
{
	struct vring_coalesce c = {};
	u64 begin = 5 * MS;

	vring_coalesce_begin(&c, begin, 0);
	EXPECT_FALSE(vring_coalesce_is_late(&c, begin + VRING_COALESCE_NS - 1, 50 * MS));
	EXPECT_TRUE(vring_coalesce_is_late(&c, begin + VRING_COALESCE_NS, 50 * MS));
	EXPECT_FALSE(vring_coalesce_is_late(&c, begin + 20 * US - 1, 20 * US));
	EXPECT_TRUE(vring_coalesce_is_late(&c, begin + 20 * US, 20 * US));
}

TEST(in_vain_when_nothing_came_for_half_the_window)
{
	struct vring_coalesce c = {};
	u64 begin = 5 * MS, idle = begin + 10 * US;

	vring_coalesce_begin(&c, begin, 0);
	EXPECT_FALSE(vring_coalesce_is_in_vain(&c, idle + 50 * US - 1, idle, 100 * US));
	EXPECT_TRUE(vring_coalesce_is_in_vain(&c, idle + 50 * US, idle, 100 * US));
	/* A queue that was empty for long when the call came to be owed: from then on. */
	EXPECT_FALSE(vring_coalesce_is_in_vain(&c, begin + 50 * US - 1, 0, 100 * US));
	EXPECT_TRUE(vring_coalesce_is_in_vain(&c, begin + 50 * US, 0, 100 * US));
}

/* A driver with a request at a time: what holding costs it becomes rare, twice as rare each time. */
TEST(holds_in_vain_become_rare)
{
	struct vring_coalesce c = {};
	u32 skip;

	for (skip = 1; skip < VRING_COALESCE_MAX_SKIP; skip = 2 * skip + 1) {
		hold(&c, false);
		ASSERT_EQ(skip, calls_made_at_once(&c));
	}
	hold(&c, false);
	EXPECT_EQ(VRING_COALESCE_MAX_SKIP, calls_made_at_once(&c));
	hold(&c, false);
	EXPECT_EQ(VRING_COALESCE_MAX_SKIP, calls_made_at_once(&c));
}

TEST(hold_that_paid_takes_that_back)
{
	struct vring_coalesce c = {};
	int i;

	for (i = 0; i < 20; i++)
		hold(&c, false);
	calls_made_at_once(&c);
	hold(&c, true);
	EXPECT_EQ(0, calls_made_at_once(&c));
	hold(&c, false);
	EXPECT_EQ(1, calls_made_at_once(&c));
}

/* What paid for one hold is not what pays for the next. */
TEST(each_hold_has_to_pay_itself)
{
	struct vring_coalesce c = {};

	hold(&c, true);
	vring_coalesce_begin(&c, 0, 0);
	vring_coalesce_end(&c);
	EXPECT_EQ(1, calls_made_at_once(&c));
}

TEST_HARNESS_MAIN
