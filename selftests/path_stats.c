// SPDX-License-Identifier: GPL-2.0
/*
 * VKICK_GET_STATS: each counter counts what the header says, exactly.
 *
 * in:  /dev/vkick-null, /dev/vkick-rng, no guest
 * out: counters compared with what driver and eventfds saw
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/hammer.h"
#include "lib/rig.h"

FIXTURE(stats)
{
	struct rig r;
	struct vq *q;
};

FIXTURE_VARIANT(stats)
{
	const char *class;
	u64 features;
};

FIXTURE_VARIANT_ADD(stats, null_flags) { "null", 0 };
FIXTURE_VARIANT_ADD(stats, null_event_idx) { "null", F_EVENT_IDX };
FIXTURE_VARIANT_ADD(stats, rng_flags) { "rng", 0 };
FIXTURE_VARIANT_ADD(stats, rng_event_idx) { "rng", F_EVENT_IDX };
FIXTURE_VARIANT_ADD(stats, null_packed) { "null", F_PACKED };
FIXTURE_VARIANT_ADD(stats, rng_packed_in_order_event_idx) {
	"rng", F_PACKED | F_IN_ORDER | F_EVENT_IDX };

FIXTURE_SETUP(stats)
{
	struct rig_conf conf = {
		.class = variant->class,
		.features = variant->features,
		.num = 1024,
	};

	/* Kicks and passes are counted: they depend on nobody's pace. */
	vdev_watch_wakeups(false);
	rig_open(&self->r, &conf);
	self->q = &self->r.q[0];
}

FIXTURE_TEARDOWN(stats)
{
	vdev_watch_wakeups(true);
	rig_close(&self->r);
}

static struct vkick_stats get(FIXTURE_DATA(stats) *self)
{
	return vdev_get_stats(self->r.fd, 0);
}

static u64 hist_sum(const struct vkick_stats *s)
{
	u64 sum = 0;
	int i;

	for (i = 0; i < VKICK_HIST_BUCKETS; i++)
		sum += s->kick_to_used_ns[i];
	return sum;
}

/* All first ones of passes, and one in 31 of the others, which counts as 31: up to 30 are left over. */
static void expect_latency_of(struct __test_metadata *_metadata, const struct vkick_stats *s)
{
	u64 counted = 0;
	u32 i;

	for (i = 0; i < VKICK_LATENCY_BUCKETS; i++)
		counted += s->pop_to_used_ns[i];
	EXPECT_GE(s->requests, counted);
	EXPECT_LE(s->requests, counted + 30);
}

TEST_F(stats, fresh_device_has_zeroes)
{
	struct vkick_stats zero, s = get(self);

	memset(&zero, 0, sizeof(zero));
	zero.size = sizeof(zero);
	EXPECT_EQ(0, memcmp(&zero, &s, sizeof(s)));
}

TEST_F(stats, running_follows_start_and_stop)
{
	EXPECT_EQ(0, get(self).running);
	rig_start(&self->r);
	EXPECT_EQ(1, get(self).running);
	rig_stop(&self->r);
	EXPECT_EQ(0, get(self).running);
	EXPECT_EQ(0, get(self).error);
}

TEST_F(stats, one_request_at_a_time)
{
	struct vkick_stats s;
	u64 rng = !strcmp(variant->class, "rng");
	u64 calls = 0;
	int i;

	rig_start(&self->r);
	for (i = 0; i < 100; i++) {
		ASSERT_LE(0, drv_add1(&self->q->drv, GMEM_HIGH, 10 + i, true));
		drv_publish(&self->q->drv);
		drv_enable_call(&self->q->drv);
		ev_signal(self->q->kick);
		ASSERT_TRUE(ev_wait(self->q->call, DEADLINE_MS));
		calls += ev_take(self->q->call);
		ASSERT_LE(0, drv_get(&self->q->drv, NULL));
	}
	rig_stop(&self->r);
	s = get(self);
	EXPECT_EQ(100, s.requests);
	EXPECT_EQ(100, s.kicks);
	EXPECT_EQ(100, s.calls);
	EXPECT_EQ(100, calls);
	EXPECT_EQ(0, s.calls_suppressed);
	EXPECT_EQ(rng * (100 * 10 + 99 * 100 / 2), s.bytes_in);
	EXPECT_EQ(0, s.bytes_out);
	EXPECT_EQ(0, s.budget_exhausted);
	/* The start is a pass without a kick, at most; a recheck is none. */
	EXPECT_LE(100 - s.rechecks, s.passes);
	EXPECT_GE(101, s.passes);
	EXPECT_LT(0, hist_sum(&s));
	EXPECT_GE(s.passes, hist_sum(&s));
	expect_latency_of(_metadata, &s);
}

/* More than a pass may do: it is cut, and the rest is served all the same. */
TEST_F(stats, budget_bounds_a_pass)
{
	struct drv *d = &self->q->drv;
	struct vkick_stats s;
	int i;

	for (i = 0; i < 1024; i++) {
		ASSERT_LE(0, drv_add1(d, GMEM_HIGH, 16, true));
	}
	drv_publish(d);
	rig_start(&self->r);
	for (i = 0; i < 1024; i++) {
		ASSERT_LE(0, rig_complete(self->q, NULL));
	}
	rig_stop(&self->r);
	s = get(self);
	EXPECT_EQ(1024, s.requests);
	/* VK_BUDGET_REQUESTS is 256; of the pass that finds nothing more we may see nothing. */
	EXPECT_EQ(4, s.budget_exhausted);
	EXPECT_LE(4, s.passes);
	EXPECT_GE(5, s.passes);
	EXPECT_EQ(0, s.kicks);
	expect_latency_of(_metadata, &s);
}

TEST_F(stats, sums_hold_under_load)
{
	struct hammer h = { 0 };
	struct vkick_stats s, last = { 0 };
	int i;

	rig_start(&self->r);
	hammer_start(&h, self->q, 64, 32);
	for (i = 0; i < 100; i++) {
		hammer_wait(&h, 50);
		s = get(self);
		/* No counter ever goes back. */
		EXPECT_LE(last.kicks, s.kicks);
		EXPECT_LE(last.passes, s.passes);
		EXPECT_LE(last.requests + 50, s.requests + 64);
		EXPECT_LE(last.calls, s.calls);
		last = s;
	}
	hammer_stop(&h);
	hammer_drain(&h);
	rig_stop(&self->r);
	h.calls_taken += ev_take(self->q->call);

	s = get(self);
	EXPECT_EQ(self->q->drv.got, s.requests);
	EXPECT_EQ(h.calls_taken, s.calls);
	EXPECT_EQ(ev_take(self->q->kick), s.kicks);
	EXPECT_EQ(strcmp(variant->class, "rng") ? 0 : 32 * s.requests, s.bytes_in);
	EXPECT_GE(s.passes, hist_sum(&s));
	expect_latency_of(_metadata, &s);
	EXPECT_EQ(drv_base_after(&self->q->drv, s.requests),
		  vdev_get_base(self->r.fd, 0));
}

TEST_F(stats, counters_survive_stops)
{
	struct vkick_stats before, after;

	rig_start(&self->r);
	rig_ping(self->q);
	rig_stop(&self->r);
	before = get(self);
	rig_start(&self->r);
	rig_ping(self->q);
	rig_stop(&self->r);
	after = get(self);
	EXPECT_EQ(1, before.requests);
	EXPECT_EQ(2, after.requests);
	EXPECT_LT(before.kicks, after.kicks);
}

TEST_F(stats, error_goes_with_the_next_start)
{
	struct drv *d = &self->q->drv;

	rig_start(&self->r);
	drv_break(d);
	ev_signal(self->q->kick);
	ASSERT_EQ(EINVAL, rig_wait_broken(&self->r, self->q));
	if (d->packed)
		drv_set_desc_flags(d, 0, 0);
	else
		drv_set_avail_idx(d, 0);
	vdev_start(self->r.fd, 0);
	EXPECT_EQ(0, get(self).error);
	EXPECT_EQ(1, get(self).running);
}

TEST(queues_count_apart)
{
	struct rig_conf conf = { .class = "null" };
	struct rig r;
	int i;

	rig_open(&r, &conf);
	rig_start(&r);
	for (i = 0; i < 3; i++)
		rig_ping(&r.q[0]);
	for (i = 0; i < 5; i++)
		rig_ping(&r.q[1]);
	EXPECT_EQ(3, vdev_get_stats(r.fd, 0).requests);
	EXPECT_EQ(5, vdev_get_stats(r.fd, 1).requests);
	EXPECT_EQ(1, vdev_get_stats(r.fd, 1).index);
}

/* For people: the same, as text. */
TEST(debugfs_tells_the_same)
{
	struct rig_conf conf = { .class = "null" };
	char text[4096], want[128];
	struct vkick_stats s;
	struct rig r;
	glob_t found;
	ssize_t n;
	int i, fd;

	rig_open(&r, &conf);
	rig_start(&r);
	for (i = 0; i < 10; i++)
		rig_ping(&r.q[0]);
	rig_stop(&r);
	s = vdev_get_stats(r.fd, 0);

	if (glob("/sys/kernel/debug/vkick/null-*", 0, NULL, &found))
		SKIP(return, "no debugfs");
	ASSERT_EQ(1, found.gl_pathc);
	fd = open(found.gl_pathv[0], O_RDONLY);
	ASSERT_LE(0, fd);
	n = read(fd, text, sizeof(text) - 1);
	ASSERT_LT(0, n);
	text[n] = 0;
	close(fd);
	globfree(&found);

	snprintf(want, sizeof(want), "class null, owner %d\nqueue 0: stopped, error 0\n",
		 getpid());
	EXPECT_EQ(0, strncmp(text, want, strlen(want))) TH_LOG("%s", text);
	snprintf(want, sizeof(want), "  kicks %llu passes %llu requests 10 bytes_in 0 ",
		 (unsigned long long)s.kicks, (unsigned long long)s.passes);
	EXPECT_NE(NULL, strstr(text, want)) TH_LOG("%s", text);
	EXPECT_NE(NULL, strstr(text, "\nqueue 1: stopped, error 0\n"));
	EXPECT_NE(NULL, strstr(text, "  kick_to_used >= "));
	EXPECT_NE(NULL, strstr(text, "  pop_to_used >= "));
	rig_close(&r);
}

TEST_HARNESS_MAIN
