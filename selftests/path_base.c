// SPDX-License-Identifier: GPL-2.0
/*
 * VHOST_GET_VRING_BASE and SET_VRING_BASE: a ring goes from one device to another in
 * mid-traffic, split and packed, at any place and with any wrap counter.
 *
 * in:  /dev/vkick-null, /dev/vkick-rng, no guest
 * out: each request served once, whoever serves
 */
#include "kselftest_harness.h"

#include <unistd.h>

#include "lib/hammer.h"
#include "lib/rig.h"

FIXTURE(base)
{
	struct rig r;
	struct vq *q;
};

FIXTURE_VARIANT(base)
{
	const char *class;
	u64 features;
	enum drv_layout layout;
	u32 num;
};

FIXTURE_VARIANT_ADD(base, split_event_idx) { "null", F_EVENT_IDX, DRV_DIRECT, 64 };
FIXTURE_VARIANT_ADD(base, split_in_order) { "rng", F_IN_ORDER, DRV_DIRECT, 64 };
FIXTURE_VARIANT_ADD(base, packed) { "null", F_PACKED, DRV_DIRECT, 255 };
FIXTURE_VARIANT_ADD(base, packed_of_one) { "null", F_PACKED, DRV_DIRECT, 1 };
FIXTURE_VARIANT_ADD(base, packed_event_idx_of_three) {
	"null", F_PACKED | F_EVENT_IDX, DRV_DIRECT, 3 };
FIXTURE_VARIANT_ADD(base, packed_indirect_event_idx_of_five) {
	"rng", F_PACKED | F_EVENT_IDX | F_INDIRECT, DRV_INDIRECT, 5 };
FIXTURE_VARIANT_ADD(base, packed_in_order) {
	"rng", F_PACKED | F_IN_ORDER | F_EVENT_IDX, DRV_DIRECT, 100 };

FIXTURE_SETUP(base)
{
	struct rig_conf conf = {
		.class = variant->class,
		.features = variant->features,
		.layout = variant->layout,
		.num = variant->num,
		.max_segs = 1,
		.start_at = 65500,
	};

	rig_open(&self->r, &conf);
	self->q = &self->r.q[0];
}

FIXTURE_TEARDOWN(base)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
	rig_close(&self->r);
}

/* Another device, which begins where this one stood. */
static void hand_over(struct rig *r, const char *class, u32 base)
{
	int to = vdev_open(class);

	close(r->fd);
	r->fd = to;
	vdev_set_owner(to);
	vdev_set_features(to, r->features);
	vdev_set_mem(to, &r->mem);
	vdev_set_ring(to, 0, &r->q[0].drv);
	vdev_set_base(to, 0, base);
	vdev_set_kick(to, 0, r->q[0].kick);
	vdev_set_call(to, 0, r->q[0].call);
	vdev_set_err(to, 0, r->q[0].err);
}

TEST_F(base, is_the_place_after_each_request)
{
	struct rig *r = &self->r;
	u32 i, n = variant->num < 20 ? 4 * variant->num + 3 : 2 * variant->num + 5;

	for (i = 1; i <= n; i++) {
		vdev_start(r->fd, 0);
		rig_ping(self->q);
		vdev_stop(r->fd, 0);
		ASSERT_EQ(drv_base_after(&self->q->drv, 65500 + i),
			  vdev_get_base(r->fd, 0)) TH_LOG("%u requests", i);
	}
}

TEST_F(base, what_was_set_is_what_is_got)
{
	u32 i;

	for (i = 0; i < 2 * variant->num; i++) {
		u32 base = drv_base_after(&self->q->drv, i);

		vdev_set_base(self->r.fd, 0, base);
		ASSERT_EQ(base, vdev_get_base(self->r.fd, 0));
	}
}

/* The same device, stopped and started with what GET_VRING_BASE said. */
TEST_F(base, thousand_stops_in_mid_traffic)
{
	struct rig *r = &self->r;
	struct hammer h = { 0 };
	int i;

	vdev_start(r->fd, 0);
	hammer_start(&h, self->q, 32, 64);
	for (i = 0; i < 1000; i++) {
		u32 base;

		vdev_stop(r->fd, 0);
		base = vdev_get_base(r->fd, 0);
		if (self->q->drv.packed) {
			/* Nothing is in flight once it has stopped. */
			ASSERT_EQ(base >> 16, base & 0xffff);
		}
		vdev_set_base(r->fd, 0, base);
		vdev_start(r->fd, 0);
		if (i % 20 == 0)
			hammer_wait(&h, 20);
	}
	hammer_wait(&h, 200);
	hammer_stop(&h);
	hammer_drain(&h);
	EXPECT_EQ(0, vdev_get_stats(r->fd, 0).error);
	EXPECT_EQ(self->q->drv.added, vdev_get_stats(r->fd, 0).requests);
}

/* From device to device; each knows nothing but the place. */
TEST_F(base, handed_over_in_mid_traffic)
{
	struct rig *r = &self->r;
	struct hammer h = { 0 };
	int i;

	vdev_start(r->fd, 0);
	hammer_start(&h, self->q, 32, 64);
	for (i = 0; i < 100; i++) {
		vdev_stop(r->fd, 0);
		hand_over(r, variant->class, vdev_get_base(r->fd, 0));
		vdev_start(r->fd, 0);
		if (i % 3 == 0)
			hammer_wait(&h, 10);
	}
	hammer_wait(&h, 100);
	hammer_stop(&h);
	hammer_drain(&h);
	EXPECT_EQ(0, vdev_get_stats(r->fd, 0).error);
}

/* 2.8.1: both wrap counters are 1, and both places 0. */
TEST(packed_queue_without_base_starts_with_wrap_counters_1)
{
	struct rig_conf conf = { .class = "null", .features = F_PACKED, .num = 3 };
	struct rig r;
	int i;

	rig_lay_out(&r, &conf);
	r.fd = vdev_open("null");
	vdev_set_owner(r.fd);
	vdev_set_features(r.fd, r.features);
	vdev_set_mem(r.fd, &r.mem);
	vdev_set_ring(r.fd, 0, &r.q[0].drv);
	vdev_set_kick(r.fd, 0, r.q[0].kick);
	vdev_set_call(r.fd, 0, r.q[0].call);
	vdev_start(r.fd, 0);
	for (i = 0; i < 10; i++)
		rig_ping(&r.q[0]);
	vdev_stop(r.fd, 0);
	EXPECT_EQ(drv_base_after(&r.q[0].drv, 10), vdev_get_base(r.fd, 0));
	rig_close(&r);
}

/* A place that the ring does not have is told at the start, and harms nothing. */
TEST(place_past_the_packed_ring_is_refused)
{
	struct rig_conf conf = { .class = "null", .features = F_PACKED, .num = 3 };
	static const u32 bad[] = {
		0x80008003, 0x80038000, 0xffffffff, 0x80007fff, 0x7fff8000,
		/* Used before it was popped. */
		0x80018000,
	};
	struct rig r;
	size_t i;

	rig_open(&r, &conf);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int err = __vdev_set_base(r.fd, 0, bad[i]);

		if (!err)
			err = __vdev_set_running(r.fd, 0, 1);
		ASSERT_EQ(-EINVAL, err) TH_LOG("0x%x", bad[i]);
		ASSERT_EQ(0, vdev_get_stats(r.fd, 0).running);
	}
	vdev_set_base(r.fd, 0, drv_base(&r.q[0].drv));
	vdev_start(r.fd, 0);
	rig_ping(&r.q[0]);
	rig_close(&r);
}

TEST_HARNESS_MAIN
