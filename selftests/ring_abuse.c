// SPDX-License-Identifier: GPL-2.0
/*
 * What the ring engine makes of a driver that breaks the rules, natively.
 *
 * in:  ring/ over guest memory of this process; lib/abuse.h
 * out: for each case the right errno, and a ring that is as it was
 */
#include "kselftest_harness.h"

#include "lib/abuse.h"
#include "lib/udev.h"

FIXTURE(abuse)
{
	struct gmem mem;
	struct drv drv;
	struct udev dev;
};

FIXTURE_VARIANT(abuse)
{
	void (*make)(struct drv *d);
	int error;
};

#define VARIANT(_name, _error)				\
	FIXTURE_VARIANT_ADD(abuse, _name)		\
	{						\
		.make = abuse_##_name,			\
		.error = _error,			\
	};
ABUSE_CASES(VARIANT)

FIXTURE_SETUP(abuse)
{
	gmem_add_standard(&self->mem);
	drv_init(&self->drv, &self->mem, ABUSE_NUM, F_INDIRECT, DRV_DIRECT, 2);
	udev_init(&self->dev, &self->drv, F_INDIRECT);
}

FIXTURE_TEARDOWN(abuse)
{
	drv_free(&self->drv);
	gmem_free(&self->mem);
}

static int pop(struct udev *u)
{
	static struct vring_seg segs[UDEV_MAX_SEGS];
	struct vring_chain c = { .max_segs = UDEV_MAX_SEGS, .segs = segs };

	return vring_pop(&u->vr, &c);
}

TEST_F(abuse, breaks_the_ring)
{
	variant->make(&self->drv);
	ASSERT_EQ(-variant->error, pop(&self->dev));
}

TEST_F(abuse, leaves_the_ring_where_it_was)
{
	struct gmem_shot shot;

	variant->make(&self->drv);
	shot = gmem_shoot(&self->mem, GMEM_LOW, GMEM_LOW_SIZE);

	ASSERT_EQ(-variant->error, pop(&self->dev));
	/* The same again, not the next entry. */
	ASSERT_EQ(-variant->error, pop(&self->dev));
	EXPECT_EQ(0, vring_flush(&self->dev.vr));
	EXPECT_EQ(0, vring_save(&self->dev.vr));
	EXPECT_TRUE(gmem_same(&self->mem, &shot));
	EXPECT_TRUE(gmem_canaries_ok(&self->mem));
	gmem_shot_free(&shot);
}

TEST_F(abuse, does_not_take_a_good_chain_along)
{
	/* The good one is served; the index after it is the bad one's. */
	ASSERT_LE(0, drv_add1(&self->drv, GMEM_HIGH, 64, true));
	drv_publish(&self->drv);
	ASSERT_EQ(1, pop(&self->dev));
	ASSERT_EQ(0, vring_push(&self->dev.vr,
				(struct vring_token) { .nr_desc = 1 }, 0));
	ASSERT_EQ(1, vring_flush(&self->dev.vr));
	ASSERT_EQ(0, drv_get(&self->drv, NULL));

	variant->make(&self->drv);
	ASSERT_EQ(-variant->error, pop(&self->dev));
	EXPECT_EQ(1, vring_save(&self->dev.vr));
	EXPECT_EQ(1, drv_used_idx(&self->drv));
}

TEST(indirect_without_the_feature_breaks_the_ring)
{
	struct gmem mem = { 0 };
	struct drv drv;
	struct udev dev;

	gmem_add_standard(&mem);
	drv_init(&drv, &mem, ABUSE_NUM, 0, DRV_INDIRECT, 1);
	udev_init(&dev, &drv, 0);
	ASSERT_LE(0, drv_add1(&drv, GMEM_HIGH, 64, true));
	drv_publish(&drv);

	ASSERT_EQ(-EINVAL, pop(&dev));
}

/* A driver that does not wait for its descriptors to be used. */
TEST(more_chains_than_the_ring_can_hold_break_it)
{
	struct gmem mem = { 0 };
	struct drv drv;
	struct udev dev;
	int i;

	gmem_add_standard(&mem);
	drv_init(&drv, &mem, 4, 0, DRV_DIRECT, 1);
	udev_init(&dev, &drv, 0);
	for (i = 0; i < 4; i++) {
		drv_set_desc(&drv.desc[i], GMEM_HIGH, 16, VRING_DESC_F_WRITE, 0);
		drv_put_head(&drv, i);
	}
	drv_publish(&drv);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(1, pop(&dev));
	ASSERT_EQ(0, pop(&dev));
	drv_put_head(&drv, 0);
	drv_publish(&drv);
	ASSERT_EQ(-EINVAL, pop(&dev));

	/* Pushed is not yet published: the driver cannot know. */
	ASSERT_EQ(0, vring_push(&dev.vr, (struct vring_token) { .nr_desc = 1 }, 0));
	ASSERT_EQ(-EINVAL, pop(&dev));
	ASSERT_EQ(1, vring_flush(&dev.vr));
	ASSERT_EQ(1, pop(&dev));
}

TEST_HARNESS_MAIN
