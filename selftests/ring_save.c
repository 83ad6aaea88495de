// SPDX-License-Identifier: GPL-2.0
/*
 * A ring that is stopped and taken up again in mid-traffic, natively: what
 * GET_VRING_BASE and SET_VRING_BASE do in the module.
 *
 * in:  ring/ over guest memory of this process
 * out: each request served once, in its order, whoever serves
 */
#include "kselftest_harness.h"

#include "lib/pair.h"

#define CYCLES		1000

FIXTURE(save)
{
	struct pair p;
};

FIXTURE_VARIANT(save)
{
	u64 features;
	enum drv_layout layout;
	u32 num;
};

#define BOTH		(F_EVENT_IDX | F_INDIRECT)
FIXTURE_VARIANT_ADD(save, split) { 0, DRV_DIRECT, 64 };
FIXTURE_VARIANT_ADD(save, split_event_idx_indirect) { BOTH, DRV_INDIRECT, 16 };
FIXTURE_VARIANT_ADD(save, split_in_order) { F_IN_ORDER, DRV_DIRECT, 32 };
FIXTURE_VARIANT_ADD(save, packed) { F_PACKED, DRV_DIRECT, 64 };
FIXTURE_VARIANT_ADD(save, packed_event_idx) { F_PACKED | F_EVENT_IDX, DRV_DIRECT, 255 };
FIXTURE_VARIANT_ADD(save, packed_indirect) {
	F_PACKED | BOTH, DRV_INDIRECT, 5 };
FIXTURE_VARIANT_ADD(save, packed_in_order) { F_PACKED | F_IN_ORDER, DRV_DIRECT, 13 };
FIXTURE_VARIANT_ADD(save, packed_of_one) { F_PACKED | BOTH, DRV_INDIRECT, 1 };
FIXTURE_VARIANT_ADD(save, packed_of_three) { F_PACKED, DRV_DIRECT, 3 };

FIXTURE_SETUP(save)
{
	pair_init(&self->p, variant->features);
}

FIXTURE_TEARDOWN(save)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->p.mem));
	pair_free(&self->p);
}

/* Request number n has one last buffer of this many bytes. */
static u32 mark(u64 n)
{
	return 1 + n % 65521;
}

static bool add(struct pair *p, u64 *seed)
{
	u32 nr = 1 + prng(seed) % p->drv.max_segs, i;
	struct drv_seg s[3];

	for (i = 0; i < nr; i++)
		s[i] = (struct drv_seg) { GMEM_HIGH, 16, false };
	s[nr - 1].len = mark(p->drv.added);
	s[nr - 1].write = true;
	return drv_add(&p->drv, s, nr) >= 0;
}

/* What is with the device and popped, by the number of the request. */
struct popped {
	struct vring_token t[256];
	u64 first;
	u32 n;
};

/* Pushes one of those: any, or the first with IN_ORDER. */
static void push_one(struct pair *p, struct popped *d, u64 *seed)
{
	u32 i = p->drv.in_order ? 0 : prng(seed) % d->n;
	struct vring_token t = d->t[i];

	/* Full or short, so that there are batches and ends of batches. */
	CHECK(!vring_push(&p->dev.vr, t, prng(seed) % 4 ? t.in_bytes : 0), "push");
	memmove(&d->t[i], &d->t[i + 1], (d->n - i - 1) * sizeof(d->t[0]));
	d->n--;
}

static void take_back(struct pair *p, u64 *written)
{
	u32 len;

	while (drv_get(&p->drv, &len) >= 0)
		*written += len;
}

TEST_F(save, nothing_is_lost_or_doubled_across_thousand_stops)
{
	struct pair *p = &self->p;
	u32 max = variant->num < 3 ? variant->num : 3;
	u64 seed = 99, popped = 0, written = 0;
	struct popped d = { .n = 0 };
	int cycle, step;

	pair_lay(p, variant->num, 65000 + prng(&seed) % 1000, variant->layout, max);
	for (cycle = 0; cycle < CYCLES; cycle++) {
		int steps = prng(&seed) % 60;
		u32 base;

		for (step = 0; step < steps; step++) {
			switch (prng(&seed) % 6) {
			case 0:
			case 1:
				while (add(p, &seed) && prng(&seed) % 4)
					;
				break;
			case 2:
				drv_publish(&p->drv);
				break;
			case 3:
				while (prng(&seed) % 8 && pair_pop(p) == 1) {
					/* In the order in which they were added. */
					ASSERT_EQ(mark(popped), p->c.in_bytes)
						TH_LOG("cycle %d", cycle);
					popped++;
					d.t[d.n++] = p->c.token;
				}
				break;
			case 4:
				while (d.n && prng(&seed) % 8)
					push_one(p, &d, &seed);
				if (prng(&seed) % 2) {
					ASSERT_LE(0, pair_flush(p));
				}
				break;
			default:
				take_back(p, &written);
			}
		}
		/* The stop: what was popped is completed, but for one put back. */
		while (d.n)
			push_one(p, &d, &seed);
		ASSERT_LE(0, pair_flush(p));
		if (prng(&seed) % 2 && pair_pop(p) == 1)
			vring_unpop(&p->dev.vr, p->c.token);
		base = vring_save(&p->dev.vr);
		if (p->drv.packed) {
			ASSERT_EQ(base >> 16, base & 0xffff);
		}
		pair_reload(p, base);
		ASSERT_EQ(base, vring_save(&p->dev.vr));
	}

	drv_publish(&p->drv);
	while (drv_in_flight(&p->drv)) {
		while (pair_pop(p) == 1) {
			ASSERT_EQ(mark(popped), p->c.in_bytes);
			popped++;
			ASSERT_EQ(0, vring_push(&p->dev.vr, p->c.token, 0));
		}
		ASSERT_LE(0, pair_flush(p));
		take_back(p, &written);
	}
	EXPECT_EQ(popped, p->drv.got);
	EXPECT_EQ(popped, p->drv.added);
	EXPECT_LT(CYCLES / 2, popped);
	EXPECT_LT(0, written);
}

/* Chains that are popped and not pushed: used and available places differ. */
TEST(places_of_a_packed_ring_are_saved_apart)
{
	struct pair p = { 0 };
	u32 start, i;

	pair_init(&p, F_PACKED);
	for (start = 0; start < 14; start++) {
		struct drv_place used, avail;

		pair_lay(&p, 7, start, DRV_DIRECT, 1);
		used = p.drv.used_at;
		for (i = 0; i < 5; i++) {
			ASSERT_LE(0, drv_add1(&p.drv, GMEM_HIGH, 1 + i, true));
		}
		drv_publish(&p.drv);
		for (i = 0; i < 3; i++) {
			ASSERT_EQ(1, pair_pop(&p));
		}
		avail = drv_place_after(&p.drv, used, 3);
		ASSERT_EQ((u32)drv_off_wrap(used) << 16 | drv_off_wrap(avail),
			  vring_save(&p.dev.vr));

		pair_reload(&p, vring_save(&p.dev.vr));
		ASSERT_EQ(1, pair_pop(&p));
		ASSERT_EQ(4, p.c.in_bytes);
	}
	pair_free(&p);
}

TEST(fresh_packed_ring_starts_with_both_wrap_counters_1)
{
	struct pair p = { 0 };

	pair_init(&p, F_PACKED);
	EXPECT_EQ(VRING_PACKED_START, drv_base(&p.drv));
	ASSERT_EQ(0, vring_load(&p.dev.vr, VRING_PACKED_START));
	pair_serve(&p, 1);
	ASSERT_EQ(1, pair_flush(&p));
	EXPECT_LE(0, drv_get(&p.drv, NULL));
	EXPECT_EQ(0x80018001, vring_save(&p.dev.vr));
	pair_free(&p);
}

TEST_HARNESS_MAIN
