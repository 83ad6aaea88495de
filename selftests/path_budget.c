// SPDX-License-Identifier: GPL-2.0
/*
 * A queue that never runs empty has its turn, and no more: others of the same worker are
 * served, and its owner can stop it and look at it. What is left of their throughput:
 * rate_budget.c.
 *
 * in:  /dev/vkick-null, no guest; both queues are hogs
 * out: requests for each pass; the time that calls take meanwhile
 */
#include "kselftest_harness.h"

#include "lib/rig.h"

#define SECOND_NS	1000000000ULL

/* GET_STATS, in time. */
static struct vkick_stats look(struct rig *r, u32 index)
{
	u64 start = now_ns();
	struct vkick_stats stats = vdev_get_stats(r->fd, index);

	CHECK(now_ns() - start < SECOND_NS, "GET_STATS took %llu ms",
	      (unsigned long long)(now_ns() - start) / 1000000);
	return stats;
}

/* Waits until queue @index has served @n requests. */
static struct vkick_stats wait_served(struct rig *r, u32 index, u64 n)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	struct vkick_stats stats;

	do {
		CHECK(!deadline_passed(&end), "queue %u is not served", index);
		stats = look(r, index);
	} while (stats.requests < n);
	return stats;
}

/* Each always waits for the other, so each turn is a short one. */
TEST(two_hogs_take_short_turns)
{
	struct rig_conf conf = { .class = "null", .max_segs = 1 };
	struct rig r;
	u32 i;

	rig_open(&r, &conf);
	for (i = 0; i < 2; i++)
		rig_make_self_refilling(&r, i, 64);
	rig_start(&r);
	for (i = 0; i < 2; i++) {
		struct vkick_stats before = wait_served(&r, i, 1000);
		struct vkick_stats after;

		wait_served(&r, !i, look(&r, !i).requests + 10000);
		after = look(&r, i);
		ASSERT_EQ(0, after.error);
		/* As many as the other one, but for the turns at both ends. */
		EXPECT_LT(before.requests + 5000, after.requests);
		/* vkick.h: VK_TURN_REQUESTS */
		EXPECT_GE((after.passes - before.passes) * 16,
			  after.requests - before.requests);
	}
	rig_close(&r);
}

/* Alone on its worker, and with no pause at all. */
TEST(hog_can_be_stopped_and_looked_at)
{
	struct rig_conf conf = { .class = "null", .max_segs = 1 };
	u32 ahead;
	struct rig r;

	for (ahead = 1; ahead <= 64; ahead *= 64) {
		struct vkick_stats stats;
		u64 start;

		rig_open(&r, &conf);
		rig_make_self_refilling(&r, 0, ahead);
		vdev_start(r.fd, 0);
		stats = wait_served(&r, 0, 10000);
		ASSERT_EQ(1, stats.running);
		/* It never ends by itself: it is cut, or watched where it seems to. */
		ASSERT_LT(0, stats.budget_exhausted + stats.poll_hits);
		start = now_ns();
		vdev_stop(r.fd, 0);
		ASSERT_GT(SECOND_NS, now_ns() - start);
		rig_close(&r);
	}
}

TEST_HARNESS_MAIN
