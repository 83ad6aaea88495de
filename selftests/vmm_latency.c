// SPDX-License-Identifier: GPL-2.0
/*
 * Latencies: which requests are measured, where they are counted, and what percentiles that makes; natively.
 *
 * in:  ring/vring_latency.h as the module and the VMM have it, under a clock of the test's; vmm/latency.c
 * out: a histogram next to the latencies that it was made of
 */
#include "lib/util.h"

#include "../vmm/latency.h"

#include "kselftest_harness.h"

#include <stdlib.h>
#include <string.h>

static u64 sum(const u64 *count)
{
	u64 n = 0;
	u32 i;

	for (i = 0; i < VKICK_LATENCY_BUCKETS; i++)
		n += count[i];
	return n;
}

/* ---- Buckets ----------------------------------------------------------------------- */

TEST(each_bucket_begins_where_the_one_before_ends)
{
	u32 i;

	EXPECT_EQ(0, vkick_latency_from_ns(0));
	for (i = 1; i < VKICK_LATENCY_BUCKETS; i++) {
		u64 from = vkick_latency_from_ns(i);

		EXPECT_LT(vkick_latency_from_ns(i - 1), from);
		EXPECT_EQ(i, vkick_latency_bucket(from));
		EXPECT_EQ(i - 1, vkick_latency_bucket(from - 1));
	}
}

TEST(no_bucket_is_wider_than_a_quarter)
{
	u32 i;

	for (i = 4; i + 1 < VKICK_LATENCY_BUCKETS; i++) {
		u64 from = vkick_latency_from_ns(i);

		EXPECT_GE(from / 4, vkick_latency_from_ns(i + 1) - from);
	}
}

TEST(what_is_longer_than_all_buckets_is_in_the_last)
{
	u64 ns;

	EXPECT_EQ(7ULL << 30, vkick_latency_from_ns(VKICK_LATENCY_BUCKETS - 1));
	for (ns = 7ULL << 30; ns; ns <<= 1) {
		EXPECT_EQ(VKICK_LATENCY_BUCKETS - 1, vkick_latency_bucket(ns));
	}
	EXPECT_EQ(VKICK_LATENCY_BUCKETS - 1, vkick_latency_bucket(UINT64_MAX));
}

/* ---- Measuring --------------------------------------------------------------------- */

/* A request that took @ns, popped and pushed. */
static void request(struct vring_latency *l, u64 *clock, u64 ns)
{
	struct vring_stamp s = { .popped_ns = *clock, .weight = vring_latency_weigh(l) };

	*clock += ns;
	if (s.weight && vring_latency_pushed(l, &s))
		vring_latency_published(l, *clock);
}

TEST(each_request_of_its_own_pass_is_measured)
{
	u64 at[VKICK_LATENCY_BUCKETS] = { 0 }, clock = 1;
	struct vring_latency l = { 0 };
	int i;

	vring_latency_start(&l);
	for (i = 0; i < 1000; i++) {
		vring_latency_begin_pass(&l);
		request(&l, &clock, 1000 + i);
		vring_latency_published(&l, clock);
	}
	EXPECT_EQ(1000, sum(l.count));
	for (i = 0; i < 1000; i++)
		at[vkick_latency_bucket(1000 + i)]++;
	EXPECT_EQ(0, memcmp(at, l.count, sizeof(at)));
}

TEST(a_request_takes_until_it_is_published)
{
	struct vring_latency l = { 0 };
	u64 clock = 1;

	vring_latency_start(&l);
	vring_latency_begin_pass(&l);
	request(&l, &clock, 10);
	EXPECT_EQ(0, sum(l.count));
	vring_latency_published(&l, clock + 1000000);
	EXPECT_EQ(1, l.count[vkick_latency_bucket(1000010)]);
	/* And no second time. */
	vring_latency_published(&l, clock + 2000000);
	EXPECT_EQ(1, sum(l.count));
}

TEST(a_clock_that_went_back_is_no_time)
{
	struct vring_latency l = { 0 };
	u64 clock = 1000;

	vring_latency_start(&l);
	vring_latency_begin_pass(&l);
	request(&l, &clock, 0);
	vring_latency_published(&l, 990);
	EXPECT_EQ(1, l.count[0]);
}

TEST(more_than_there_is_room_for_are_counted_all_the_same)
{
	struct vring_latency l = { 0 };
	struct vring_stamp s = { .popped_ns = 5, .weight = 1 };
	u32 i, times = 0;

	vring_latency_start(&l);
	for (i = 0; i < 10 * VRING_LATENCY_WAITING; i++) {
		if (vring_latency_pushed(&l, &s)) {
			vring_latency_published(&l, 105);
			times++;
		}
	}
	EXPECT_EQ(10, times);
	EXPECT_EQ(10 * VRING_LATENCY_WAITING, l.count[vkick_latency_bucket(100)]);
}

/* Passes of all sizes, in which requests take the longer the earlier they came: what is measured is like what is. */
TEST(those_measured_stand_for_all)
{
	u64 all[VKICK_LATENCY_BUCKETS] = { 0 }, clock = 1, n = 0;
	double is = 0, measured = 0;
	struct vring_latency l = { 0 };
	u32 i;

	vring_latency_start(&l);
	srandom(1);
	while (n < 1000000) {
		u32 size = random() % 4 ? 1 + random() % 8 : 64;

		vring_latency_begin_pass(&l);
		for (i = 0; i < size; i++, n++) {
			request(&l, &clock, 100);
			all[vkick_latency_bucket((u64)(size - i) * 100)]++;
		}
		vring_latency_published(&l, clock);
	}
	EXPECT_GE(sum(l.count), n - n / 100);
	EXPECT_LE(sum(l.count), n + n / 100);
	/* The part of requests that took no longer than each bucket's. */
	for (i = 0; i < VKICK_LATENCY_BUCKETS; i++) {
		is += (double)all[i] / n;
		measured += (double)l.count[i] / n;
		EXPECT_GT(0.01, is > measured ? is - measured : measured - is) TH_LOG("%f, %f", is, measured);
	}
}

/* ---- Percentiles -------------------------------------------------------------------- */

TEST(nothing_has_no_percentile)
{
	u64 count[VKICK_LATENCY_BUCKETS] = { 0 };

	EXPECT_EQ(0, latency_percentile(count, 50));
	EXPECT_EQ(0, latency_percentile(count, 99));
}

TEST(one_bucket_is_all_percentiles)
{
	u64 count[VKICK_LATENCY_BUCKETS] = { 0 };
	unsigned int p;

	count[vkick_latency_bucket(1024)] = 7;		/* to 1279 */
	for (p = 1; p <= 100; p++) {
		EXPECT_LE(1024, latency_percentile(count, p));
		EXPECT_GE(1280, latency_percentile(count, p));
	}
	EXPECT_EQ(1024 + 128, latency_percentile(count, 50));
}

TEST(percentiles_are_where_the_counts_say)
{
	u64 count[VKICK_LATENCY_BUCKETS] = { 0 };

	count[vkick_latency_bucket(10000)] = 980;
	count[vkick_latency_bucket(5000000)] = 20;
	EXPECT_EQ(vkick_latency_bucket(10000), vkick_latency_bucket(latency_percentile(count, 50)));
	EXPECT_EQ(vkick_latency_bucket(10000), vkick_latency_bucket(latency_percentile(count, 97)));
	EXPECT_EQ(vkick_latency_bucket(5000000), vkick_latency_bucket(latency_percentile(count, 99)));
}

TEST(percentiles_of_even_times_are_a_tenth_off_at_most)
{
	u64 count[VKICK_LATENCY_BUCKETS] = { 0 }, ns;
	unsigned int p;

	for (ns = 1; ns <= 1000000; ns++)
		count[vkick_latency_bucket(ns)]++;
	for (p = 1; p <= 100; p++) {
		u64 is = p * 10000, said = latency_percentile(count, p);

		EXPECT_GE(said * 10, is * 9) TH_LOG("p%u: %llu", p, (unsigned long long)said);
		EXPECT_LE(said * 10, is * 11) TH_LOG("p%u: %llu", p, (unsigned long long)said);
	}
}

TEST(counts_of_any_size_make_no_percentile_beyond_the_last_bucket)
{
	u64 count[VKICK_LATENCY_BUCKETS];

	memset(count, 0xff, sizeof(count));
	EXPECT_GE(7ULL << 30, latency_percentile(count, 100));
	memset(count, 0, sizeof(count));
	count[VKICK_LATENCY_BUCKETS - 1] = UINT64_MAX;
	EXPECT_EQ(7ULL << 30, latency_percentile(count, 50));
}

TEST_HARNESS_MAIN
