// SPDX-License-Identifier: GPL-2.0
/*
 * vring_hold() natively: used elements that become visible together, however many.
 *
 * in:  ring/ over guest memory of this process
 * out: nothing for the driver before the flush, and everything after it
 */
#include "kselftest_harness.h"

#include "lib/pair.h"

#define NUM	256U

FIXTURE(hold)
{
	struct pair p;
};

FIXTURE_VARIANT(hold)
{
	u64 features;
	enum drv_layout layout;
};

FIXTURE_VARIANT_ADD(hold, split) { 0, DRV_DIRECT };
FIXTURE_VARIANT_ADD(hold, split_event_idx_indirect) { F_EVENT_IDX | F_INDIRECT, DRV_INDIRECT };
FIXTURE_VARIANT_ADD(hold, split_in_order) { F_IN_ORDER, DRV_DIRECT };
FIXTURE_VARIANT_ADD(hold, packed) { F_PACKED, DRV_DIRECT };
FIXTURE_VARIANT_ADD(hold, packed_event_idx_indirect) {
	F_PACKED | F_EVENT_IDX | F_INDIRECT, DRV_INDIRECT };
FIXTURE_VARIANT_ADD(hold, packed_in_order) { F_PACKED | F_IN_ORDER, DRV_DIRECT };

FIXTURE_SETUP(hold)
{
	pair_init(&self->p, variant->features);
	/* Not at the start, so that all of it wraps around in the middle of a batch. */
	pair_lay(&self->p, NUM, NUM - 37, variant->layout, 4);
}

FIXTURE_TEARDOWN(hold)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->p.mem));
	pair_free(&self->p);
}

static void offer(struct pair *p, struct vring_token *t, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++)
		CHECK(drv_add1(&p->drv, GMEM_HIGH, 100, true) >= 0, "full");
	drv_publish(&p->drv);
	for (i = 0; i < n; i++) {
		CHECK(pair_pop(p) == 1, "pop");
		t[i] = p->c.token;
	}
}

/* @before of them are pushed already when the hold begins; @n in all. */
static void check(struct pair *p, u32 before, u32 n, u64 *seed)
{
	struct vring_token t[NUM];
	u32 want[NUM], len, i;

	offer(p, t, n);
	for (i = 0; i < n; i++) {
		want[i] = prng(seed) % 2 ? 100 : prng(seed) % 100;
		vring_hold(&p->dev.vr, i >= before);
		CHECK(!vring_push(&p->dev.vr, t[i], want[i]), "push");
		CHECK(!drv_has_used(&p->drv), "%u of %u, %u before: something is visible", i, n, before);
	}
	vring_hold(&p->dev.vr, false);
	CHECK(!drv_has_used(&p->drv), "the hold's end made something visible");
	CHECK(pair_flush(p) >= 0, "flush");
	for (i = 0; i < n; i++) {
		CHECK(drv_get(&p->drv, &len) >= 0, "%u of %u are visible", i, n);
		CHECK(len == want[i], "%u of %u: %u bytes, not %u", i, n, len, want[i]);
	}
	CHECK(!drv_has_used(&p->drv), "more came back than went out");
}

TEST_F(hold, any_number_is_visible_together)
{
	u64 seed = 6;
	u32 n;

	for (n = 1; n <= NUM; n++)
		check(&self->p, 0, n, &seed);
}

/* What was pushed before becomes visible with them, or before them, but not in part. */
TEST_F(hold, follows_what_is_pending)
{
	u64 seed = 66;
	u32 i;

	for (i = 0; i < 2000; i++) {
		u32 before = prng(&seed) % VRING_PUSH_BATCH;

		check(&self->p, before, before + 1 + prng(&seed) % (NUM - before), &seed);
	}
}

/* After it the engine publishes by itself again. */
TEST_F(hold, ends)
{
	struct vring_token t[NUM];
	u64 seed = 666;
	u32 i, len;

	if (variant->features & F_IN_ORDER)
		SKIP(return, "batches are one element");
	check(&self->p, 0, NUM, &seed);
	offer(&self->p, t, NUM);
	for (i = 0; i <= VRING_PUSH_BATCH; i++) {
		ASSERT_FALSE(drv_has_used(&self->p.drv));
		ASSERT_EQ(0, vring_push(&self->p.dev.vr, t[i], 1));
	}
	ASSERT_TRUE(drv_has_used(&self->p.drv));
	for (; i < NUM; i++) {
		ASSERT_EQ(0, vring_push(&self->p.dev.vr, t[i], 1));
	}
	ASSERT_LE(0, pair_flush(&self->p));
	for (i = 0; i < NUM; i++) {
		ASSERT_LE(0, drv_get(&self->p.drv, &len));
	}
}

TEST_HARNESS_MAIN
