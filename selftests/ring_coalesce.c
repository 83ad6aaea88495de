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

#define NUM	256U

/* A driver that has @depth requests at a time, and waits for a call before it has more. */
struct driver {
	struct vring_coalesce c;
	u32 depth;
	u64 used;
};

/*
 * A call of its: one at a time of its requests is used, and it wants a call for each.
 * @waited: nothing came any more, and the call was owed. Return: how many it was for
 */
static u32 next_call(struct driver *d, bool *waited)
{
	u64 called = d->used;

	*waited = false;
	for (;;) {
		d->used++;
		if (vring_coalesce_is_full(&d->c, d->used, NUM)) {
			vring_coalesce_end(&d->c, d->used, VRING_COALESCE_FULL);
			break;
		}
		if (!d->c.owed)
			vring_coalesce_begin(&d->c, 0);
		if (d->used - called < d->depth)
			continue;
		*waited = true;
		vring_coalesce_end(&d->c, d->used, VRING_COALESCE_IN_VAIN);
		break;
	}
	return d->used - called;
}

/* How many calls it has until one comes late, and that one; each is to be for all that it has. */
static u32 calls_until_late(struct __test_metadata *_metadata, struct driver *d)
{
	bool waited;
	u32 n = 0;

	do {
		n++;
		ASSERT_GE(VRING_COALESCE_MAX_SKIP + 1, n);
		ASSERT_EQ(d->depth, next_call(d, &waited));
	} while (!waited);
	return n;
}

TEST(calls_of_one_hold_are_one_call)
{
	struct vring_coalesce c = {};
	u64 used;

	vring_coalesce_begin(&c, 0);
	for (used = 1; used < VRING_COALESCE_REQUESTS; used++)
		EXPECT_FALSE(vring_coalesce_is_full(&c, used, NUM));
	EXPECT_TRUE(vring_coalesce_end(&c, used, VRING_COALESCE_ANYWAY));
	EXPECT_FALSE(vring_coalesce_end(&c, used, VRING_COALESCE_ANYWAY));
}

TEST(nothing_owed_is_never_due)
{
	const struct vring_coalesce c = {};

	EXPECT_FALSE(vring_coalesce_is_late(&c, ~0ULL, MS));
	EXPECT_FALSE(vring_coalesce_is_in_vain(&c, ~0ULL, 0, MS));
}

TEST(full_after_so_many_requests_or_half_a_ring)
{
	struct vring_coalesce c;

	vring_coalesce_start(&c, 7);
	EXPECT_FALSE(vring_coalesce_is_full(&c, 7 + VRING_COALESCE_REQUESTS - 1, 256));
	EXPECT_TRUE(vring_coalesce_is_full(&c, 7 + VRING_COALESCE_REQUESTS, 256));
	EXPECT_FALSE(vring_coalesce_is_full(&c, 7 + 3, 8));
	EXPECT_TRUE(vring_coalesce_is_full(&c, 7 + 4, 8));
	/* Of a ring of one the driver has nothing else to put in. */
	EXPECT_TRUE(vring_coalesce_is_full(&c, 7, 1));
}

TEST(full_counts_across_the_end_of_the_counter)
{
	struct vring_coalesce c;

	vring_coalesce_start(&c, ~0ULL);
	EXPECT_FALSE(vring_coalesce_is_full(&c, VRING_COALESCE_REQUESTS - 2, 256));
	EXPECT_TRUE(vring_coalesce_is_full(&c, VRING_COALESCE_REQUESTS - 1, 256));
}

/* What the driver found by looking is not what a call is for. */
TEST(full_counts_from_when_no_call_was_wanted)
{
	struct vring_coalesce c;

	vring_coalesce_start(&c, 0);
	vring_coalesce_not_wanted(&c, 20);
	EXPECT_FALSE(vring_coalesce_is_full(&c, 20 + VRING_COALESCE_REQUESTS - 1, NUM));
	EXPECT_TRUE(vring_coalesce_is_full(&c, 20 + VRING_COALESCE_REQUESTS, NUM));
	/* But with EVENT_IDX none is wanted for what comes after one that is owed. */
	vring_coalesce_begin(&c, 0);
	vring_coalesce_not_wanted(&c, 40);
	EXPECT_TRUE(vring_coalesce_is_full(&c, 20 + VRING_COALESCE_REQUESTS, NUM));
}

/* A disk that works on the other half is not kept waiting for the driver's next requests. */
TEST(half_when_no_more_are_in_flight)
{
	struct vring_coalesce c;

	vring_coalesce_start(&c, 10);
	EXPECT_FALSE(vring_coalesce_is_half(&c, 11, 31));
	EXPECT_FALSE(vring_coalesce_is_half(&c, 25, 17));
	EXPECT_TRUE(vring_coalesce_is_half(&c, 26, 16));
	EXPECT_TRUE(vring_coalesce_is_half(&c, 11, 1));
	/* A device that is done at once has nothing that would be half. */
	EXPECT_FALSE(vring_coalesce_is_half(&c, 26, 0));
}

TEST(late_when_the_time_or_the_watch_is_over)
{
	struct vring_coalesce c = {};
	u64 begin = 5 * MS;

	vring_coalesce_begin(&c, begin);
	EXPECT_FALSE(vring_coalesce_is_late(&c, begin + VRING_COALESCE_NS - 1, 50 * MS));
	EXPECT_TRUE(vring_coalesce_is_late(&c, begin + VRING_COALESCE_NS, 50 * MS));
	EXPECT_FALSE(vring_coalesce_is_late(&c, begin + 20 * US - 1, 20 * US));
	EXPECT_TRUE(vring_coalesce_is_late(&c, begin + 20 * US, 20 * US));
}

TEST(in_vain_when_nothing_came_for_the_window)
{
	struct vring_coalesce c = {};
	u64 begin = 5 * MS, idle = begin + 10 * US;

	vring_coalesce_begin(&c, begin);
	EXPECT_FALSE(vring_coalesce_is_in_vain(&c, idle + 100 * US - 1, idle, 100 * US));
	EXPECT_TRUE(vring_coalesce_is_in_vain(&c, idle + 100 * US, idle, 100 * US));
	/* A queue that was empty for long when the call came to be owed: from then on. */
	EXPECT_FALSE(vring_coalesce_is_in_vain(&c, begin + 100 * US - 1, 0, 100 * US));
	EXPECT_TRUE(vring_coalesce_is_in_vain(&c, begin + 100 * US, 0, 100 * US));
	/* Before it is late: or it would not be known of a driver that is watched for long that it waits. */
	EXPECT_FALSE(vring_coalesce_is_in_vain(&c, begin + VRING_COALESCE_NS / 2 - 1, 0, 50 * MS));
	EXPECT_TRUE(vring_coalesce_is_in_vain(&c, begin + VRING_COALESCE_NS / 2, 0, 50 * MS));
}

/* Who waits is called with the last request that it has, and what trying for more costs it becomes rare. */
TEST(holds_in_vain_become_rare)
{
	u32 depth, skip;

	for (depth = 1; depth < VRING_COALESCE_REQUESTS; depth++) {
		struct driver d = { .depth = depth };

		/* Nothing is known of it. */
		ASSERT_EQ(1, calls_until_late(_metadata, &d));
		for (skip = 1; skip < VRING_COALESCE_MAX_SKIP; skip = 2 * skip + 1)
			ASSERT_EQ(skip + 1, calls_until_late(_metadata, &d));
		ASSERT_EQ(VRING_COALESCE_MAX_SKIP + 1, calls_until_late(_metadata, &d));
		ASSERT_EQ(VRING_COALESCE_MAX_SKIP + 1, calls_until_late(_metadata, &d));
	}
}

TEST(driver_with_many_at_a_time_is_called_as_late_as_may_be)
{
	struct driver d = { .depth = 100 };
	bool waited;
	int i;

	for (i = 0; i < 1000; i++) {
		ASSERT_EQ(VRING_COALESCE_REQUESTS, next_call(&d, &waited));
		ASSERT_FALSE(waited);
	}
}

/* It is tried for twice as many, then four times, without waiting in between. */
TEST(driver_that_comes_to_have_more_is_found_out)
{
	struct driver d = { .depth = 3 };
	u32 n = 0, last = 0, calls = 0;
	bool waited;

	while (n++ < 5)
		calls_until_late(_metadata, &d);
	d.depth = 100;
	while (last < VRING_COALESCE_REQUESTS) {
		ASSERT_GE(VRING_COALESCE_MAX_SKIP + 4, ++calls);
		n = next_call(&d, &waited);
		ASSERT_FALSE(waited);
		ASSERT_LE(last, n);
		last = n;
	}
	/* And then it has fewer again: that is known at once, and tried anew. */
	d.depth = 5;
	EXPECT_EQ(1, calls_until_late(_metadata, &d));
	EXPECT_EQ(2, calls_until_late(_metadata, &d));
}

/* A stop, a move, the time that is over: the driver may have more. */
TEST(call_that_is_made_anyway_says_nothing)
{
	struct vring_coalesce c = {};

	vring_coalesce_begin(&c, 0);
	EXPECT_TRUE(vring_coalesce_end(&c, 3, VRING_COALESCE_ANYWAY));
	EXPECT_FALSE(vring_coalesce_is_full(&c, 3 + VRING_COALESCE_REQUESTS - 1, NUM));
	EXPECT_TRUE(vring_coalesce_is_full(&c, 3 + VRING_COALESCE_REQUESTS, NUM));
}

TEST_HARNESS_MAIN
