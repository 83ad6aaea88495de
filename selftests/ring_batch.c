// SPDX-License-Identifier: GPL-2.0
/*
 * IN_ORDER through the ring engine, natively: one used element for a batch, and what
 * may be left out of a batch (VIRTIO 1.2, 2.7.9 and 2.8.11).
 *
 * in:  ring/ over guest memory of this process
 * out: used elements counted, and compared with a model
 */
#include "kselftest_harness.h"

#include "lib/pair.h"

#define NUM	256U

FIXTURE(batch)
{
	struct pair p;
};

FIXTURE_VARIANT(batch)
{
	u64 features;
	enum drv_layout layout;
};

FIXTURE_VARIANT_ADD(batch, split) { F_IN_ORDER, DRV_DIRECT };
FIXTURE_VARIANT_ADD(batch, split_event_idx) { F_IN_ORDER | F_EVENT_IDX, DRV_DIRECT };
FIXTURE_VARIANT_ADD(batch, split_indirect) { F_IN_ORDER | F_INDIRECT, DRV_INDIRECT };
FIXTURE_VARIANT_ADD(batch, packed) { F_IN_ORDER | F_PACKED, DRV_DIRECT };
FIXTURE_VARIANT_ADD(batch, packed_event_idx) {
	F_IN_ORDER | F_PACKED | F_EVENT_IDX, DRV_DIRECT };
FIXTURE_VARIANT_ADD(batch, packed_indirect) {
	F_IN_ORDER | F_PACKED | F_INDIRECT, DRV_INDIRECT };

FIXTURE_SETUP(batch)
{
	pair_init(&self->p, variant->features);
	pair_lay(&self->p, NUM, NUM - 3, variant->layout, 4);
}

FIXTURE_TEARDOWN(batch)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->p.mem));
	pair_free(&self->p);
}

/* Adds requests of one buffer each, of 100 bytes, and pops them. */
static void offer(struct pair *p, struct vring_token *t, u32 n, bool write)
{
	u32 i;

	for (i = 0; i < n; i++)
		CHECK(drv_add1(&p->drv, GMEM_HIGH, 100, write) >= 0, "full");
	drv_publish(&p->drv);
	for (i = 0; i < n; i++) {
		CHECK(pair_pop(p) == 1, "pop");
		t[i] = p->c.token;
	}
}

static void push(struct pair *p, struct vring_token t, u32 written)
{
	CHECK(!vring_push(&p->dev.vr, t, written), "push");
}

/* Takes all back; the number of used elements that they came in. */
static u32 elements(struct pair *p, u32 *lens, u32 n)
{
	u64 before = p->drv.used_elems;
	u32 i;

	for (i = 0; i < n; i++)
		CHECK(drv_get(&p->drv, &lens[i]) >= 0, "%u of %u came back", i, n);
	CHECK(!drv_has_used(&p->drv), "more came back than went out");
	return p->drv.used_elems - before;
}

TEST_F(batch, written_in_full_is_one_element)
{
	struct vring_token t[NUM];
	u32 lens[NUM], n, i;

	/* Also more than the engine holds back of elements, which is 64. */
	for (n = 1; n <= NUM; n += n < 5 ? 1 : 50) {
		offer(&self->p, t, n, true);
		for (i = 0; i < n; i++)
			push(&self->p, t[i], 100);
		ASSERT_FALSE(drv_has_used(&self->p.drv));
		ASSERT_EQ(1, pair_flush(&self->p));
		ASSERT_EQ(1, elements(&self->p, lens, n)) TH_LOG("%u requests", n);
		for (i = 0; i < n; i++) {
			ASSERT_EQ(100, lens[i]);
		}
		drv_enable_call(&self->p.drv);
	}
}

TEST_F(batch, written_short_is_an_element_each)
{
	struct vring_token t[NUM];
	u32 lens[NUM], n, i;

	for (n = 1; n <= NUM; n += 50) {
		offer(&self->p, t, n, true);
		for (i = 0; i < n; i++)
			push(&self->p, t[i], i % 100);
		ASSERT_LE(0, pair_flush(&self->p));
		ASSERT_EQ(n, elements(&self->p, lens, n));
		for (i = 0; i < n; i++) {
			ASSERT_EQ(i % 100, lens[i]);
		}
	}
}

TEST_F(batch, nothing_to_write_is_written_in_full)
{
	struct vring_token t[20];
	u32 lens[20], i;

	offer(&self->p, t, 20, false);
	for (i = 0; i < 20; i++)
		push(&self->p, t[i], 0);
	ASSERT_EQ(1, pair_flush(&self->p));
	ASSERT_EQ(1, elements(&self->p, lens, 20));
	EXPECT_EQ(0, lens[0]);
	EXPECT_EQ(0, lens[19]);
}

/* Its length is for the last one of a batch alone: a short one ends the batch. */
TEST_F(batch, short_one_ends_its_batch)
{
	static const u32 written[] = { 100, 100, 7, 100, 100, 100, 0, 0, 100 };
	struct vring_token t[9];
	u32 lens[9], i;

	offer(&self->p, t, 9, true);
	for (i = 0; i < 9; i++)
		push(&self->p, t[i], written[i]);
	ASSERT_EQ(1, pair_flush(&self->p));
	/* {100, 100, 7}, {100, 100, 100, 0}, {0}, {100} */
	EXPECT_EQ(4, elements(&self->p, lens, 9));
	for (i = 0; i < 9; i++) {
		EXPECT_EQ(written[i], lens[i]);
	}
}

TEST_F(batch, flush_ends_a_batch)
{
	struct vring_token t[10];
	u32 lens[10], i;

	offer(&self->p, t, 10, true);
	for (i = 0; i < 10; i++) {
		push(&self->p, t[i], 100);
		if (i == 3) {
			ASSERT_EQ(1, pair_flush(&self->p));
		}
	}
	ASSERT_LE(0, pair_flush(&self->p));
	EXPECT_EQ(2, elements(&self->p, lens, 10));
}

/* used.len has 32 bits: of 4 GiB nobody can say that they were written in full. */
TEST_F(batch, four_gib_are_never_left_out)
{
	struct drv_seg s[] = {
		{ 0, 0x80000000, true }, { 0, 0x7fffffff, true }, { 0, 1, true },
	};
	struct vring_token t[2];
	u32 lens[2], i;

	for (i = 0; i < 2; i++) {
		ASSERT_LE(0, drv_add(&self->p.drv, s, 3));
		drv_publish(&self->p.drv);
		ASSERT_EQ(1, pair_pop(&self->p));
		t[i] = self->p.c.token;
	}
	push(&self->p, t[0], 0xffffffff);
	push(&self->p, t[1], 0xffffffff);
	ASSERT_EQ(1, pair_flush(&self->p));
	EXPECT_EQ(2, elements(&self->p, lens, 2));
	EXPECT_EQ(0xffffffff, lens[0]);
}

/* The call that the driver waits for somewhere in the middle of a batch. */
TEST_F(batch, call_is_decided_for_each_request_of_it)
{
	struct drv *d = &self->p.drv;
	struct vring_token t[6];
	u32 lens[6], wait_for, i;

	offer(&self->p, t, 1, true);
	push(&self->p, t[0], 100);
	pair_flush(&self->p);
	elements(&self->p, lens, 1);
	for (wait_for = 0; wait_for < 10; wait_for++) {
		if (d->packed)
			drv_set_driver_event(d, drv_off_wrap(
				drv_place_after(d, d->used_at, wait_for)),
				VRING_PACKED_EVENT_FLAG_DESC);
		else
			drv_set_used_event(d, d->last_used + wait_for);
		offer(&self->p, t, 6, true);
		for (i = 0; i < 6; i++)
			push(&self->p, t[i], 100);
		/* Without EVENT_IDX a call is wanted, wherever. */
		ASSERT_EQ(wait_for < 6 || !d->event_idx, pair_flush(&self->p))
			TH_LOG("%u", wait_for);
		ASSERT_EQ(1, elements(&self->p, lens, 6));
	}
}

/*
 * Chains of all lengths, written in full, short or not at all, flushed at any time,
 * across many laps: as few elements as there can be, and each length as it was.
 */
TEST_F(batch, model)
{
	struct pair *p = &self->p;
	u64 seed = 3, elems = 0, total = 0;
	struct vring_token t[64];
	u32 round, i, k;

	for (round = 0; round < 3000; round++) {
		u32 n = 1 + prng(&seed) % 60, full[60], wrote[60], lens[60];
		bool open = false;	/* the last element may take one more in */
		u64 want = 0;

		for (i = 0; i < n; i++) {
			u32 nr = 1 + prng(&seed) % 4, in = prng(&seed) % (nr + 1);
			struct drv_seg s[4];

			full[i] = 0;
			for (k = 0; k < nr; k++) {
				s[k] = (struct drv_seg) {
					GMEM_HIGH + 256 * k, 1 + prng(&seed) % 256,
					k >= nr - in,
				};
				full[i] += s[k].write ? s[k].len : 0;
			}
			if (drv_add(&p->drv, s, nr) < 0)
				break;
		}
		n = i;
		drv_publish(&p->drv);
		for (i = 0; i < n; i++) {
			ASSERT_EQ(1, pair_pop(p));
			t[i] = p->c.token;
		}
		for (i = 0; i < n; i++) {
			wrote[i] = prng(&seed) % 3 ? full[i] :
				   prng(&seed) % (full[i] + 1);
			push(p, t[i], wrote[i]);
			want += !open;
			open = wrote[i] == full[i];
			if (prng(&seed) % 20 == 0) {
				ASSERT_LE(0, pair_flush(p));
				open = false;
			}
		}
		ASSERT_LE(0, pair_flush(p));
		ASSERT_EQ(want, elements(p, lens, n)) TH_LOG("round %u", round);
		for (i = 0; i < n; i++) {
			ASSERT_EQ(wrote[i], lens[i]) TH_LOG("%u of %u", i, n);
		}
		elems += want;
		total += n;
	}
	/* Of both kinds. */
	EXPECT_LT(elems * 2, total);
	EXPECT_LT(total, elems * 20);
}

TEST_HARNESS_MAIN
