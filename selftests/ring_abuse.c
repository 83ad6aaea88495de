// SPDX-License-Identifier: GPL-2.0
/*
 * What the ring engine makes of a driver that breaks the rules, natively.
 *
 * in:  ring/ over guest memory of this process; lib/abuse.h, lib/abuse_packed.h
 * out: for each case the right errno, and a ring that is as it was
 */
#include "kselftest_harness.h"

#include "lib/abuse_packed.h"
#include "lib/pair.h"

FIXTURE(abuse)
{
	struct pair p;
	u32 base;	/* where the ring stands */
};

FIXTURE_VARIANT(abuse)
{
	void (*make)(struct drv *d);
	int error;
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
	pair_init(&self->p, variant->features);
	pair_lay(&self->p, ABUSE_NUM, 0, DRV_DIRECT, 2);
	self->base = vring_save(&self->p.dev.vr);
}

FIXTURE_TEARDOWN(abuse)
{
	pair_free(&self->p);
}

TEST_F(abuse, breaks_the_ring)
{
	variant->make(&self->p.drv);
	ASSERT_EQ(-variant->error, pair_pop(&self->p));
}

TEST_F(abuse, leaves_the_ring_where_it_was)
{
	struct gmem_shot shot;

	variant->make(&self->p.drv);
	shot = gmem_shoot(&self->p.mem, GMEM_LOW, GMEM_LOW_SIZE);

	ASSERT_EQ(-variant->error, pair_pop(&self->p));
	/* The same again, not the next entry. */
	ASSERT_EQ(-variant->error, pair_pop(&self->p));
	EXPECT_EQ(0, pair_flush(&self->p));
	EXPECT_EQ(self->base, vring_save(&self->p.dev.vr));
	EXPECT_TRUE(gmem_same(&self->p.mem, &shot));
	EXPECT_TRUE(gmem_canaries_ok(&self->p.mem));
	gmem_shot_free(&shot);
}

TEST_F(abuse, does_not_take_a_good_chain_along)
{
	struct drv *d = &self->p.drv;

	/* The good one is served; the place after it is the bad one's. */
	pair_serve(&self->p, 1);
	ASSERT_EQ(1, pair_flush(&self->p));
	ASSERT_LE(0, drv_get(d, NULL));

	variant->make(d);
	ASSERT_EQ(-variant->error, pair_pop(&self->p));
	EXPECT_EQ(drv_base_after(d, 1), vring_save(&self->p.dev.vr));
	EXPECT_EQ(drv_base_after(d, 1), drv_device_base(d));
}

/* At each place, with each wrap counter; a split ring has no such thing. */
TEST_F(abuse, wherever_it_stands)
{
	u32 start;

	for (start = 0; start < 2 * ABUSE_NUM; start++) {
		pair_lay(&self->p, ABUSE_NUM, start, DRV_DIRECT, 2);
		variant->make(&self->p.drv);
		ASSERT_EQ(-variant->error, pair_pop(&self->p)) TH_LOG("at %u", start);
		ASSERT_EQ(drv_base_after(&self->p.drv, start),
			  vring_save(&self->p.dev.vr));
	}
}

/* ---- what breaks nothing ---- */

FIXTURE(harmless)
{
	struct pair p;
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
	pair_init(&self->p, F_PACKED | F_INDIRECT | F_EVENT_IDX);
}

FIXTURE_TEARDOWN(harmless)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->p.mem));
	pair_free(&self->p);
}

TEST_F(harmless, is_served_as_it_stands)
{
	u32 start, i;

	for (start = 0; start < 2 * ABUSE_NUM; start++) {
		struct drv *d = &self->p.drv;

		pair_lay(&self->p, ABUSE_NUM, start, DRV_DIRECT, 1);
		variant->make(d);
		for (i = 0; i < variant->chains; i++) {
			ASSERT_EQ(1, pair_pop(&self->p)) TH_LOG("at %u", start);
			ASSERT_EQ(0, vring_push(&self->p.dev.vr, self->p.c.token, 0));
		}
		ASSERT_EQ(0, pair_pop(&self->p)) TH_LOG("at %u", start);
		ASSERT_EQ(variant->chains > 0, pair_flush(&self->p));
		if (variant->chains) {
			ASSERT_TRUE(drv_has_used(d));
		} else {
			ASSERT_EQ(drv_base_after(d, start),
				  vring_save(&self->p.dev.vr));
		}
		ASSERT_EQ(0, pair_pop(&self->p));
	}
}

/* The device does not look at IDs: it is the driver that must tell them apart. */
TEST(packed_id_twice_comes_back_twice)
{
	struct pair p = { 0 };
	struct vring_token t[2];
	u32 i;

	pair_init(&p, F_PACKED);
	abuse_packed_id_twice(&p.drv);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(1, pair_pop(&p));
		t[i] = p.c.token;
	}
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, vring_push(&p.dev.vr, t[i], 1 + i));
	}
	ASSERT_EQ(1, pair_flush(&p));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(5, le16toh(p.drv.ring[i].id));
		EXPECT_EQ(1 + i, le32toh(p.drv.ring[i].len));
		EXPECT_EQ(PACKED_F_AVAIL | PACKED_F_USED | VRING_DESC_F_WRITE,
			  drv_desc_flags(&p.drv, i));
	}
	EXPECT_EQ(0, drv_desc_flags(&p.drv, 2));
	pair_free(&p);
}

/* ---- one each ---- */

static void indirect_without_the_feature(struct __test_metadata *_metadata,
					 u64 features)
{
	struct pair p = { 0 };

	pair_init(&p, features);
	pair_lay(&p, ABUSE_NUM, 0, DRV_INDIRECT, 1);
	ASSERT_LE(0, drv_add1(&p.drv, GMEM_HIGH, 64, true));
	drv_publish(&p.drv);
	ASSERT_EQ(-EINVAL, pair_pop(&p));
	pair_free(&p);
}

TEST(indirect_without_the_feature_breaks_the_ring)
{
	indirect_without_the_feature(_metadata, 0);
}

TEST(packed_indirect_without_the_feature_breaks_the_ring)
{
	indirect_without_the_feature(_metadata, F_PACKED);
}

/* A driver that does not wait for its descriptors to be used. */
TEST(more_chains_than_the_ring_can_hold_break_it)
{
	struct pair p = { 0 };
	struct vring_token t = { 0 };
	u32 i;

	pair_init(&p, 0);
	pair_lay(&p, 4, 0, DRV_DIRECT, 1);
	for (i = 0; i < 4; i++) {
		drv_set_desc(&p.drv.desc[i], GMEM_HIGH, 16, VRING_DESC_F_WRITE, 0);
		drv_put_head(&p.drv, i);
	}
	drv_publish(&p.drv);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(1, pair_pop(&p));
		t = p.c.token;
	}
	ASSERT_EQ(0, pair_pop(&p));
	drv_put_head(&p.drv, 0);
	drv_publish(&p.drv);
	ASSERT_EQ(-EINVAL, pair_pop(&p));

	/* Pushed is not yet published: the driver cannot know. */
	ASSERT_EQ(0, vring_push(&p.dev.vr, t, 0));
	ASSERT_EQ(-EINVAL, pair_pop(&p));
	ASSERT_EQ(1, pair_flush(&p));
	ASSERT_EQ(1, pair_pop(&p));
	pair_free(&p);
}

/* The same of descriptors in a packed ring: one too many by itself, or in a chain. */
TEST(more_descriptors_than_the_ring_can_hold_break_it)
{
	struct pair p = { 0 };
	u32 in_flight, start, i;

	pair_init(&p, F_PACKED);
	for (start = 0; start < 10; start++)
	for (in_flight = 3; in_flight <= 5; in_flight++) {
		u32 base;

		pair_lay(&p, 5, start, DRV_DIRECT, 1);
		for (i = 0; i < in_flight; i++)
			drv_put_desc(&p.drv, GMEM_HIGH, 16, VRING_DESC_F_WRITE, i);
		drv_publish(&p.drv);
		for (i = 0; i < in_flight; i++) {
			ASSERT_EQ(1, pair_pop(&p));
		}
		ASSERT_EQ(0, pair_pop(&p));
		base = vring_save(&p.dev.vr);

		/* The last one lies over a descriptor that is in flight. */
		for (i = in_flight; i <= 5; i++)
			drv_put_desc(&p.drv, GMEM_HIGH, 16,
				     i < 5 ? VRING_DESC_F_NEXT : 0, 0);
		drv_publish(&p.drv);
		ASSERT_EQ(-EINVAL, pair_pop(&p)) TH_LOG("%u in flight", in_flight);
		ASSERT_EQ(base, vring_save(&p.dev.vr));
	}
	pair_free(&p);
}

/* The flags of what is fetched ahead change while the device is at it. */
TEST(packed_flags_flipped_back_after_the_device_saw_them)
{
	struct pair p = { 0 };
	u16 was;
	int got;

	pair_init(&p, F_PACKED);
	was = drv_desc_flags(&p.drv, 1);
	ASSERT_LE(0, drv_add1(&p.drv, GMEM_HIGH, 1, true));
	ASSERT_LE(0, drv_add1(&p.drv, GMEM_HIGH, 2, true));
	drv_publish(&p.drv);
	ASSERT_EQ(1, pair_pop(&p));
	drv_set_desc_flags(&p.drv, 1, was);
	/* It may have been seen or not; what was seen is whole. */
	got = pair_pop(&p);
	ASSERT_LE(0, got);
	if (got) {
		EXPECT_EQ(2, p.c.in_bytes);
	}
	pair_free(&p);
}

TEST_HARNESS_MAIN
