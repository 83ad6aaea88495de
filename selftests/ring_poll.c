// SPDX-License-Identifier: GPL-2.0
/*
 * For how long a queue is watched: ring/vring_poll.h natively.
 *
 * in:  times until work came
 * out: windows
 */
#include "kselftest_harness.h"

#include "../ring/vring_poll.h"

#define US	1000ULL
#define MS	(1000 * US)

TEST(window_is_closed_when_work_comes_too_late)
{
	EXPECT_EQ(0, vring_poll_window(MS, MS + 1, MS));
	EXPECT_LT(0, vring_poll_window(MS, MS, MS));
	/* And opened by work that is back in time. */
	EXPECT_EQ(400 * US, vring_poll_window(0, 100 * US, MS));
}

TEST(nothing_is_watched_unless_allowed)
{
	EXPECT_EQ(0, vring_poll_window(0, 0, 0));
	EXPECT_EQ(0, vring_poll_window(MS, 0, 0));
	EXPECT_EQ(0, vring_poll_window(MS, 1, 0));
}

TEST(window_stays_within_what_is_allowed_and_what_is_sensible)
{
	u64 gap;

	for (gap = 0; gap <= MS; gap += 7 * US) {
		EXPECT_GE(MS, vring_poll_window(0, gap, MS));
		EXPECT_LE(VRING_POLL_MIN_NS, vring_poll_window(0, gap, MS));
	}
	EXPECT_EQ(VRING_POLL_MIN_NS, vring_poll_window(0, 0, MS));
	/* Who allows less than that has it. */
	EXPECT_EQ(US, vring_poll_window(0, 0, US));
}

/* A pace that varies by three is no reason to miss the slow ones. */
TEST(jitter_is_within_the_window)
{
	u64 window = vring_poll_window(0, 10 * US, MS);
	int i;

	for (i = 0; i < 1000; i++) {
		u64 gap = (10 + i * 7919ULL % 21) * US;

		ASSERT_LT(gap, window);
		window = vring_poll_window(window, gap, MS);
	}
}

/* One late request among many does not have the queue watched as long for good. */
TEST(window_shrinks_slowly)
{
	u64 window = vring_poll_window(0, 250 * US, MS);
	int i;

	ASSERT_EQ(MS, window);
	for (i = 0; i < 16; i++)
		window = vring_poll_window(window, US, MS);
	EXPECT_LT(500 * US, window);
	for (i = 0; i < 16; i++)
		window = vring_poll_window(window, US, MS);
	EXPECT_GT(500 * US, window);
	for (i = 0; i < 200; i++)
		window = vring_poll_window(window, US, MS);
	EXPECT_EQ(VRING_POLL_MIN_NS, window);
}

TEST_HARNESS_MAIN
