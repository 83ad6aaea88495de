// SPDX-License-Identifier: GPL-2.0
/*
 * When the ring engine calls the driver of a packed ring, and when it asks for
 * kicks, natively (VIRTIO 1.2, 2.8.10 and 2.8.14).
 *
 * in:  ring/ over guest memory of this process
 * out: each decision compared with a model that counts descriptors one by one
 */
#include "kselftest_harness.h"

#include "lib/pair.h"

#define ENABLE	VRING_PACKED_EVENT_FLAG_ENABLE
#define DISABLE	VRING_PACKED_EVENT_FLAG_DISABLE
#define DESC	VRING_PACKED_EVENT_FLAG_DESC

FIXTURE(packed)
{
	struct pair p;
};

FIXTURE_VARIANT(packed)
{
	u64 features;
};

FIXTURE_VARIANT_ADD(packed, any_order) { F_PACKED | F_EVENT_IDX };
FIXTURE_VARIANT_ADD(packed, in_order) { F_PACKED | F_EVENT_IDX | F_IN_ORDER };

FIXTURE_SETUP(packed)
{
	pair_init(&self->p, variant->features);
}

FIXTURE_TEARDOWN(packed)
{
	pair_free(&self->p);
}

/*
 * The model: a call is wanted if and only if one of the @n descriptors from @from on
 * is the one at @event, in the lap of @event's wrap counter. Counted out.
 */
static bool model_wants_call(const struct drv *d, struct drv_place from, u32 n,
			     struct drv_place event)
{
	for (; n--; from = drv_place_after(d, from, 1))
		if (from.i == event.i && from.wrap == event.wrap)
			return true;
	return false;
}

/* A fresh ring at @start, whose first decision, which is always a call, is made. */
static void lay_ring(struct pair *p, u32 num, u32 start)
{
	pair_lay(p, num, start + 2 * num - 1, DRV_DIRECT, 1);
	pair_serve(p, 1);
	CHECK(pair_flush(p) == 1, "no call after load");
	while (drv_get(&p->drv, NULL) >= 0)
		;
}

/* Each place, each length of a batch, each off_wrap there is. */
TEST_F(packed, call_exactly_at_off_wrap)
{
	static const u32 sizes[] = { 1, 2, 3, 5, 8 };
	struct pair *p = &self->p;
	u32 checks = 0, calls = 0, si, start, n, off;

	for (si = 0; si < 5; si++)
	for (start = 0; start < 2 * sizes[si]; start++)
	for (n = 1; n <= sizes[si]; n++)
	for (off = 0; off < 2 * sizes[si]; off++) {
		struct drv_place from, event;
		bool want;

		lay_ring(p, sizes[si], start);
		from = p->drv.used_at;
		event = drv_place_after(&p->drv, from, off);
		drv_set_driver_event(&p->drv, drv_off_wrap(event), DESC);
		pair_serve(p, n);
		want = model_wants_call(&p->drv, from, n, event);
		ASSERT_EQ(want, pair_flush(p))
			TH_LOG("size %u from %u:%u n %u off_wrap %u:%u", sizes[si],
			       from.i, from.wrap, n, event.i, event.wrap);
		calls += want;
		checks++;
	}
	/* The cases are of both kinds, else the above proves little. */
	EXPECT_LT(300, calls);
	EXPECT_LT(calls + 300, checks);
}

/* More than one publication (a batch is 64) stands behind one decision. */
TEST_F(packed, decision_covers_all_since_the_last_one)
{
	struct pair *p = &self->p;
	u32 off;

	for (off = 0; off < 510; off++) {
		struct drv_place from, event;

		lay_ring(p, 255, 200);
		from = p->drv.used_at;
		event = drv_place_after(&p->drv, from, off);
		drv_set_driver_event(&p->drv, drv_off_wrap(event), DESC);
		pair_serve(p, 200);
		ASSERT_EQ(off < 200, pair_flush(p)) TH_LOG("%u further on", off);
	}
}

/* After two laps without a decision a place says nothing any more: call. */
TEST_F(packed, call_after_the_place_came_round)
{
	struct pair *p = &self->p;
	u32 n;

	for (n = 100; n < 500; n += 7) {
		struct drv_place last;

		lay_ring(p, 100, 50);
		last = drv_place_after(&p->drv, p->drv.used_at, 199);
		drv_set_driver_event(&p->drv, drv_off_wrap(last), DESC);
		pair_serve(p, n);
		ASSERT_EQ(n >= 200, pair_flush(p)) TH_LOG("%u descriptors", n);
	}
}

/* The driver waits at the start of its n-th chain; chains have 1 to 3 descriptors. */
TEST_F(packed, place_is_counted_in_descriptors)
{
	struct drv_seg s[3];
	struct pair *p = &self->p;
	u32 wait_for, batch, start, calls = 0, i, k;

	for (i = 0; i < 3; i++)
		s[i] = (struct drv_seg) { GMEM_HIGH + 64 * i, 64, true };
	for (start = 0; start < 22; start++)
	for (wait_for = 0; wait_for < 5; wait_for++)
	for (batch = 1; batch <= 5; batch++) {
		struct drv *d = &p->drv;
		struct drv_place event;
		u32 before = 0;

		pair_lay(p, 11, start, DRV_DIRECT, 3);
		pair_serve(p, 1);
		pair_flush(p);
		ASSERT_LE(0, drv_get(d, NULL));

		for (k = 0; k < wait_for; k++)
			before += 1 + k % 3;
		event = drv_place_after(d, d->used_at, before);
		drv_set_driver_event(d, drv_off_wrap(event), DESC);
		for (k = 0; k < batch; k++) {
			ASSERT_LE(0, drv_add(d, s, 1 + k % 3));
			drv_publish(d);
			ASSERT_EQ(1, pair_pop(p));
			ASSERT_EQ(0, vring_push(&p->dev.vr, p->c.token, 1));
		}
		ASSERT_EQ(wait_for < batch, pair_flush(p))
			TH_LOG("chain %u of %u, from %u", wait_for, batch, start);
		calls += wait_for < batch;
	}
	EXPECT_LT(100, calls);
}

TEST_F(packed, flags_enable_and_disable)
{
	struct pair *p = &self->p;
	u32 i;

	lay_ring(p, 5, 0);
	for (i = 0; i < 20; i++) {
		/* The place does not matter. */
		drv_set_driver_event(&p->drv, drv_off_wrap(p->drv.used_at), DISABLE);
		pair_serve(p, 1);
		ASSERT_EQ(0, pair_flush(p));
		drv_set_driver_event(&p->drv, i % 2 ? 0x8000 : 3, ENABLE);
		pair_serve(p, 1);
		ASSERT_EQ(1, pair_flush(p));
	}
}

/* What a driver must not write: the ring does not break, and no call is lost. */
TEST_F(packed, reserved_flags_count_as_enable)
{
	struct pair *p = &self->p;

	lay_ring(p, 5, 0);
	drv_set_driver_event(&p->drv, 0, 3);
	pair_serve(p, 1);
	EXPECT_EQ(1, pair_flush(p));
}

TEST(desc_without_event_idx_counts_as_enable)
{
	struct pair p = { 0 };
	struct drv_place far;

	pair_init(&p, F_PACKED);
	lay_ring(&p, 5, 0);
	far = drv_place_after(&p.drv, p.drv.used_at, 7);
	drv_set_driver_event(&p.drv, drv_off_wrap(far), DESC);
	pair_serve(&p, 1);
	EXPECT_EQ(1, pair_flush(&p));
	pair_free(&p);
}

TEST_F(packed, place_past_the_ring_is_harmless)
{
	struct pair *p = &self->p;
	u32 off;

	for (off = 5; off <= 0x7fff; off++) {
		lay_ring(p, 5, off % 10);
		drv_set_driver_event(&p->drv, off | (off % 2) << 15, DESC);
		pair_serve(p, 3);
		ASSERT_LE(0, pair_flush(p));
		drv_set_driver_event(&p->drv, 0, ENABLE);
		pair_serve(p, 1);
		ASSERT_EQ(1, pair_flush(p));
	}
}

/* 2.8.10: the place is that of the next descriptor that the device will look at. */
TEST_F(packed, device_asks_for_a_kick_at_its_place)
{
	struct pair *p = &self->p;
	u32 num, start;

	for (num = 1; num < 10; num++)
	for (start = 0; start < 2 * num; start++) {
		lay_ring(p, num, start);
		ASSERT_EQ(0, vring_enable_notify(&p->dev.vr));
		ASSERT_EQ(DESC, drv_device_flags(&p->drv));
		ASSERT_EQ(drv_off_wrap(p->drv.avail_at), drv_device_off_wrap(&p->drv));
	}
}

TEST_HARNESS_MAIN
