// SPDX-License-Identifier: GPL-2.0
/*
 * What the module makes of a driver that breaks the rules: that queue stops and
 * says why; its sibling and other devices go on.
 *
 * in:  /dev/vkick-null; lib/abuse.h, lib/abuse_packed.h, the same cases as ring_abuse natively
 * out: the err eventfd, stats.error, a queue that can be started again
 */
#include "kselftest_harness.h"

#include <fcntl.h>

#include "lib/abuse_packed.h"
#include "lib/rig.h"

FIXTURE(abuse)
{
	struct rig r;
	struct vq *bad, *good;
};

FIXTURE_VARIANT(abuse)
{
	void (*make)(struct drv *d);
	u32 error;
	u64 features;
};

#define VARIANT(_name, _error)				\
	FIXTURE_VARIANT_ADD(abuse, _name)		\
	{						\
		.make = abuse_##_name,			\
		.error = _error,			\
		.features = F_INDIRECT,			\
	};
ABUSE_CASES(VARIANT)
#undef VARIANT

#define VARIANT(_name, _error)				\
	FIXTURE_VARIANT_ADD(abuse, packed_##_name)	\
	{						\
		.make = abuse_packed_##_name,		\
		.error = _error,			\
		.features = F_INDIRECT | F_PACKED,	\
	};
ABUSE_PACKED_CASES(VARIANT)
#undef VARIANT

FIXTURE_SETUP(abuse)
{
	struct rig_conf conf = {
		.class = "null",
		.features = variant->features,
		.num = ABUSE_NUM,
	};

	rig_open(&self->r, &conf);
	self->bad = &self->r.q[0];
	self->good = &self->r.q[1];
	rig_start(&self->r);
}

FIXTURE_TEARDOWN(abuse)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
	rig_close(&self->r);
}

TEST_F(abuse, breaks_that_queue_alone)
{
	struct rig_conf conf = { .class = "rng" };
	struct vkick_stats stats;
	struct rig other;

	rig_open(&other, &conf);
	rig_start(&other);

	variant->make(&self->bad->drv);
	ev_signal(self->bad->kick);
	ASSERT_EQ(variant->error, rig_wait_broken(&self->r, self->bad));

	rig_ping(self->good);
	rig_ping(&other.q[0]);
	stats = vdev_get_stats(self->r.fd, 1);
	EXPECT_EQ(1, stats.running);
	EXPECT_EQ(0, stats.error);
	EXPECT_EQ(0, ev_take(self->good->err));
	EXPECT_EQ(0, ev_take(other.q[0].err));
	rig_close(&other);
}

TEST_F(abuse, what_came_before_is_completed)
{
	struct drv *d = &self->bad->drv;

	/* One request in each batch before the bad one, in a single kick. */
	rig_ping(self->bad);
	ASSERT_LE(0, drv_add1(d, GMEM_HIGH, 64, true));
	drv_publish(d);
	ev_signal(self->bad->kick);
	ASSERT_LE(0, rig_complete(self->bad, NULL));

	variant->make(d);
	ev_signal(self->bad->kick);
	ASSERT_EQ(variant->error, rig_wait_broken(&self->r, self->bad));
	EXPECT_EQ(drv_base_after(d, 2), drv_device_base(d));
	EXPECT_EQ(2, vdev_get_stats(self->r.fd, 0).requests);
}

TEST_F(abuse, base_names_the_bad_chain)
{
	u32 base;

	rig_ping(self->bad);
	variant->make(&self->bad->drv);
	ev_signal(self->bad->kick);
	ASSERT_EQ(variant->error, rig_wait_broken(&self->r, self->bad));
	base = drv_base_after(&self->bad->drv, 1);
	EXPECT_EQ(base, vdev_get_base(self->r.fd, 0));
	/* Stopping it is no error and changes nothing. */
	vdev_stop(self->r.fd, 0);
	EXPECT_EQ(base, vdev_get_base(self->r.fd, 0));
	EXPECT_EQ(variant->error, vdev_get_stats(self->r.fd, 0).error);
}

TEST_F(abuse, broken_queue_serves_no_kick_and_tells_once)
{
	struct vkick_stats stats;
	int i;

	variant->make(&self->bad->drv);
	ev_signal(self->bad->kick);
	ASSERT_EQ(variant->error, rig_wait_broken(&self->r, self->bad));
	EXPECT_EQ(1, ev_take(self->bad->err));
	ev_take(self->bad->call);
	stats = vdev_get_stats(self->r.fd, 0);

	for (i = 0; i < 10; i++) {
		ev_signal(self->bad->kick);
		/* The worker has been round, so the broken queue had its turn. */
		rig_ping(self->good);
	}
	EXPECT_EQ(stats.passes, vdev_get_stats(self->r.fd, 0).passes);
	EXPECT_EQ(0, ev_take(self->bad->err));
	EXPECT_EQ(0, ev_take(self->bad->call));
	EXPECT_EQ(drv_base_after(&self->bad->drv, 0), drv_device_base(&self->bad->drv));
}

/* As after a reset by the driver. */
TEST_F(abuse, queue_can_be_set_up_and_started_again)
{
	struct rig *r = &self->r;

	variant->make(&self->bad->drv);
	ev_signal(self->bad->kick);
	ASSERT_EQ(variant->error, rig_wait_broken(r, self->bad));
	ev_take(self->bad->err);

	drv_free(&self->bad->drv);
	drv_init(&self->bad->drv, &r->mem, ABUSE_NUM, variant->features, DRV_DIRECT, 8);
	vdev_set_ring(r->fd, 0, &self->bad->drv);
	vdev_set_base(r->fd, 0, drv_base(&self->bad->drv));
	vdev_start(r->fd, 0);
	EXPECT_EQ(0, vdev_get_stats(r->fd, 0).error);
	rig_ping(self->bad);
}

/* ---- what breaks nothing ---- */

FIXTURE(harmless)
{
	struct rig r;
};

FIXTURE_VARIANT(harmless)
{
	void (*make)(struct drv *d);
	u32 chains;
};

#define VARIANT(_name, _chains)				\
	FIXTURE_VARIANT_ADD(harmless, packed_##_name)	\
	{						\
		.make = abuse_packed_##_name,		\
		.chains = _chains,			\
	};
ABUSE_PACKED_HARMLESS(VARIANT)
#undef VARIANT

FIXTURE_SETUP(harmless)
{
	struct rig_conf conf = {
		.class = "null",
		.features = F_INDIRECT | F_PACKED | F_EVENT_IDX,
		.num = ABUSE_NUM,
	};

	rig_open(&self->r, &conf);
	rig_start(&self->r);
}

FIXTURE_TEARDOWN(harmless)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
	rig_close(&self->r);
}

TEST_F(harmless, is_served_as_it_stands)
{
	struct rig *r = &self->r;
	struct vkick_stats stats;

	rig_ping(&r->q[0]);
	variant->make(&r->q[0].drv);
	ev_signal(r->q[0].kick);
	rig_ping(&r->q[1]);	/* the worker has been round */
	stats = vdev_get_stats(r->fd, 0);
	EXPECT_EQ(1 + variant->chains, stats.requests);
	EXPECT_EQ(1, stats.running);
	EXPECT_EQ(0, stats.error);
	EXPECT_EQ(0, ev_take(r->q[0].err));
	rig_stop(r);
	EXPECT_EQ(0, vdev_get_stats(r->fd, 0).error);
}

/*
 * Descriptors come and go while the worker looks at them. If those that it has popped
 * and not published look available again, the driver has more out than the ring holds,
 * and that queue breaks; nothing worse.
 */
TEST(flags_flipped_to_and_fro_under_the_worker)
{
	struct rig_conf conf = {
		.class = "null", .features = F_PACKED, .num = ABUSE_NUM,
	};
	struct vkick_stats stats;
	struct rig r;
	struct drv *d;
	u16 off, at;
	int i;

	rig_open(&r, &conf);
	rig_start(&r);
	d = &r.q[0].drv;
	for (i = 0; i < 20000; i++) {
		/* Wherever the worker stands by now, here or a lap off. */
		at = i % ABUSE_NUM;
		off = drv_desc_flags(d, at);
		drv_set_packed_desc(&d->ring[at], GMEM_HIGH, 16, VRING_DESC_F_WRITE |
				    (i & 8 ? PACKED_F_AVAIL : PACKED_F_USED), i);
		ev_signal(r.q[0].kick);
		drv_set_desc_flags(d, at, off);
	}
	rig_ping(&r.q[1]);
	rig_stop(&r);
	stats = vdev_get_stats(r.fd, 0);
	if (stats.error)
		EXPECT_EQ(EINVAL, stats.error);
	TH_LOG("%llu seen", (unsigned long long)stats.requests);
	EXPECT_TRUE(gmem_canaries_ok(&r.mem));
	rig_close(&r);
}

/* ---- one each ---- */

TEST(indirect_without_the_feature_breaks_the_queue)
{
	struct rig_conf conf = { .class = "null", .layout = DRV_INDIRECT };
	struct drv_seg s = { GMEM_HIGH, 16, true };
	struct rig r;

	rig_open(&r, &conf);
	rig_start(&r);
	rig_submit(&r.q[0], &s, 1);
	EXPECT_EQ(EINVAL, rig_wait_broken(&r, &r.q[0]));
}

TEST(broken_queue_without_err_eventfd_is_seen_in_the_stats)
{
	struct rig_conf conf = { .class = "null" };
	struct deadline end = deadline_in(DEADLINE_MS);
	struct rig r;

	rig_open(&r, &conf);
	vdev_set_err(r.fd, 0, -1);
	rig_start(&r);
	drv_break(&r.q[0].drv);
	ev_signal(r.q[0].kick);
	while (!vdev_get_stats(r.fd, 0).error) {
		ASSERT_FALSE(deadline_passed(&end));
	}
	EXPECT_EQ(EINVAL, vdev_get_stats(r.fd, 0).error);
	EXPECT_EQ(0, ev_take(r.q[0].err));
	rig_ping(&r.q[1]);
}

/* The kernel log is not the guest's to fill. */
TEST(thousand_broken_queues_print_nothing)
{
	struct rig_conf conf = { .class = "null" };
	struct rig r;
	char line[8192];
	int log, i;

	log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	if (log < 0)
		SKIP(return, "needs /dev/kmsg");
	ASSERT_LE(0, lseek(log, 0, SEEK_END));

	rig_open(&r, &conf);
	for (i = 0; i < 1000; i++) {
		drv_break(&r.q[0].drv);
		vdev_start(r.fd, 0);
		ASSERT_EQ(EINVAL, rig_wait_broken(&r, &r.q[0]));
		ev_take(r.q[0].err);
	}
	for (;;) {
		ssize_t n = read(log, line, sizeof(line) - 1);

		if (n < 0 && errno == EPIPE)
			continue;	/* overwritten: read on */
		if (n <= 0)
			break;
		line[n] = 0;
		EXPECT_EQ(NULL, strstr(line, "vkick"))
			TH_LOG("%s", line);
	}
}

TEST_HARNESS_MAIN
