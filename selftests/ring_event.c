// SPDX-License-Identifier: GPL-2.0
/*
 * When the ring engine calls, and when it asks for kicks, natively (VIRTIO 1.2,
 * 2.7.7 to 2.7.10); ring_event_packed has what is special to packed rings.
 *
 * in:  ring/ over guest memory of this process
 * out: each decision compared with a model that counts used elements one by one
 */
#include "kselftest_harness.h"

#include "lib/pair.h"

/* A fresh ring, all of whose indices are at @start. */
static void lay_ring(struct pair *p, u32 num, u32 start)
{
	pair_lay(p, num, start, DRV_DIRECT, 1);
}

/* ---- what holds in all modes ---- */

FIXTURE(event)
{
	struct pair p;
};

FIXTURE_VARIANT(event)
{
	u64 features;
};

FIXTURE_VARIANT_ADD(event, flags) { 0 };
FIXTURE_VARIANT_ADD(event, event_idx) { F_EVENT_IDX };
FIXTURE_VARIANT_ADD(event, in_order) { F_IN_ORDER };
FIXTURE_VARIANT_ADD(event, in_order_event_idx) { F_IN_ORDER | F_EVENT_IDX };
FIXTURE_VARIANT_ADD(event, packed) { F_PACKED };
FIXTURE_VARIANT_ADD(event, packed_event_idx) { F_PACKED | F_EVENT_IDX };
FIXTURE_VARIANT_ADD(event, packed_in_order_event_idx) {
	F_PACKED | F_IN_ORDER | F_EVENT_IDX };

FIXTURE_SETUP(event)
{
	pair_init(&self->p, variant->features);
}

FIXTURE_TEARDOWN(event)
{
	pair_free(&self->p);
}

TEST_F(event, nothing_used_is_nothing_to_call_for)
{
	EXPECT_EQ(0, pair_flush(&self->p));
	pair_serve(&self->p, 1);
	EXPECT_EQ(1, pair_flush(&self->p));
	EXPECT_EQ(0, pair_flush(&self->p));
}

TEST_F(event, first_batch_after_load_always_calls)
{
	struct drv *d = &self->p.drv;

	/* Who served the ring before may have owed a call: nobody can know. */
	if (!d->packed) {
		drv_disable_call(d);
		drv_set_avail_flags(d, 0);
	} else if (d->event_idx) {
		drv_set_driver_event(d, drv_off_wrap(drv_place_after(d, d->used_at, 5)),
				     VRING_PACKED_EVENT_FLAG_DESC);
	}
	pair_serve(&self->p, 1);
	EXPECT_EQ(1, pair_flush(&self->p));
}

TEST_F(event, load_takes_back_no_notify)
{
	struct drv *d = &self->p.drv;
	u32 base = vring_save(&self->p.dev.vr);

	if (d->packed)
		d->device->flags = htole16(VRING_PACKED_EVENT_FLAG_DISABLE);
	else
		d->used->flags = htole16(VRING_USED_F_NO_NOTIFY);
	ASSERT_LE(0, drv_add1(d, GMEM_HIGH, 1, true));
	drv_publish(d);
	ASSERT_EQ(0, vring_load(&self->p.dev.vr, base));
	drv_wants_kick(d);
	if (d->packed) {
		EXPECT_EQ(VRING_PACKED_EVENT_FLAG_ENABLE, drv_device_flags(d));
	} else {
		EXPECT_EQ(0, drv_used_flags(d));
	}
}

/* 2.7.10.2: 0 or 1 without EVENT_IDX, 0 with it. 2.8.10 */
TEST_F(event, notification_flags)
{
	struct drv *d = &self->p.drv;
	u16 off = d->packed ? VRING_PACKED_EVENT_FLAG_DISABLE : !d->event_idx;
	u16 on = !d->packed ? 0 : d->event_idx ? VRING_PACKED_EVENT_FLAG_DESC :
		 VRING_PACKED_EVENT_FLAG_ENABLE;
	u16 (*flags)(const struct drv *d) = d->packed ? drv_device_flags : drv_used_flags;
	u32 i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, vring_disable_notify(&self->p.dev.vr));
		ASSERT_EQ(0, vring_disable_notify(&self->p.dev.vr));
		EXPECT_EQ(off, flags(d));
		ASSERT_EQ(0, vring_enable_notify(&self->p.dev.vr));
		EXPECT_EQ(on, flags(d));
		pair_serve(&self->p, 1);
	}
}

TEST_F(event, enabled_notification_asks_for_the_next_chain_alone)
{
	u32 start;

	for (start = 65530; start < 65546; start++) {
		lay_ring(&self->p, 8, start);
		pair_serve(&self->p, 1);
		ASSERT_EQ(0, vring_enable_notify(&self->p.dev.vr));
		drv_wants_kick(&self->p.drv);	/* forgets the one before */

		ASSERT_LE(0, drv_add1(&self->p.drv, GMEM_HIGH, 1, true));
		drv_publish(&self->p.drv);
		ASSERT_TRUE(drv_wants_kick(&self->p.drv));
		ASSERT_EQ(1, vring_enable_notify(&self->p.dev.vr));
	}
}

TEST_F(event, disabled_notification_asks_for_no_kick)
{
	ASSERT_EQ(0, vring_enable_notify(&self->p.dev.vr));
	pair_serve(&self->p, 1);
	drv_wants_kick(&self->p.drv);
	ASSERT_EQ(0, vring_disable_notify(&self->p.dev.vr));
	ASSERT_LE(0, drv_add1(&self->p.drv, GMEM_HIGH, 1, true));
	drv_publish(&self->p.drv);
	EXPECT_FALSE(drv_wants_kick(&self->p.drv));
}

TEST_F(event, enable_sees_chains_read_ahead_but_not_popped)
{
	int i;

	for (i = 0; i < 4; i++) {
		ASSERT_LE(0, drv_add1(&self->p.drv, GMEM_HIGH, 1, true));
	}
	drv_publish(&self->p.drv);
	ASSERT_EQ(1, pair_pop(&self->p));
	EXPECT_EQ(1, vring_enable_notify(&self->p.dev.vr));
}

TEST_F(event, has_avail_is_what_pop_would_find)
{
	u32 start;

	for (start = 0; start < 20; start++) {
		lay_ring(&self->p, 8, start);
		ASSERT_EQ(0, vring_has_avail(&self->p.dev.vr));
		ASSERT_LE(0, drv_add1(&self->p.drv, GMEM_HIGH, 1, true));
		ASSERT_EQ(0, vring_has_avail(&self->p.dev.vr));
		drv_publish(&self->p.drv);
		ASSERT_EQ(1, vring_has_avail(&self->p.dev.vr));
		ASSERT_EQ(1, pair_pop(&self->p));
		ASSERT_EQ(0, vring_has_avail(&self->p.dev.vr));
	}
}

/* ---- split rings without EVENT_IDX ---- */

FIXTURE(flags)
{
	struct pair p;
};

FIXTURE_SETUP(flags)
{
	pair_init(&self->p, 0);
}

FIXTURE_TEARDOWN(flags)
{
	pair_free(&self->p);
}

/* 2.7.7.2: flags alone decide, used_event is ignored. */
TEST_F(flags, alone_decide)
{
	int off;

	for (off = -8; off < 8; off++) {
		drv_set_used_event(&self->p.drv, drv_used_idx(&self->p.drv) + off);
		drv_set_avail_flags(&self->p.drv, 0);
		pair_serve(&self->p, 1);
		ASSERT_EQ(1, pair_flush(&self->p));

		drv_set_avail_flags(&self->p.drv, VRING_AVAIL_F_NO_INTERRUPT);
		pair_serve(&self->p, 1);
		ASSERT_EQ(0, pair_flush(&self->p));
	}
}

/* ---- split rings with EVENT_IDX ---- */

FIXTURE(event_idx)
{
	struct pair p;
};

FIXTURE_SETUP(event_idx)
{
	pair_init(&self->p, F_EVENT_IDX);
}

FIXTURE_TEARDOWN(event_idx)
{
	pair_free(&self->p);
}

/*
 * The model: a call is wanted if and only if one of the elements used since the
 * last decision has the index used_event. Counted out, element by element.
 */
static bool model_wants_call(u16 from, u32 n, u16 event)
{
	while (n--)
		if (from++ == event)
			return true;
	return false;
}

/* Every batch length and used_event around it, at every place in a small ring. */
TEST_F(event_idx, call_exactly_at_used_event)
{
	static const u16 starts[] = { 0, 1, 5, 0x7ffc, 0x7fff, 0xfff0, 0xfff8,
				      0xfffc, 0xfffe, 0xffff };
	static const u32 sizes[] = { 1, 2, 4, 8 };
	u32 checks = 0, calls = 0, si, ni;

	for (ni = 0; ni < 4; ni++)
	for (si = 0; si < 10; si++) {
		u32 n;
		int off;

		for (n = 1; n <= sizes[ni]; n++)
		for (off = -3; off <= (int)sizes[ni] + 3; off++) {
			u16 from;
			bool want;

			lay_ring(&self->p, sizes[ni], starts[si] - 1);
			pair_serve(&self->p, 1);
			pair_flush(&self->p);	/* the first is always a call */
			from = starts[si];
			drv_set_used_event(&self->p.drv, from + off);
			/* 2.7.10: with EVENT_IDX flags do not count. */
			drv_set_avail_flags(&self->p.drv, n % 2);

			pair_serve(&self->p, n);
			want = model_wants_call(from, n, from + off);
			ASSERT_EQ(want, pair_flush(&self->p))
				TH_LOG("size %u from %u n %u used_event %u",
				       sizes[ni], from, n, (u16)(from + off));
			calls += want;
			checks++;
		}
	}
	/* The cases are of both kinds, else the above proves little. */
	EXPECT_LT(300, calls);
	EXPECT_LT(calls + 300, checks);
}

/* All 65536 values of used_event against one batch across the wrap. */
TEST_F(event_idx, call_for_no_other_used_event)
{
	u32 event, calls = 0;

	for (event = 0; event < 65536; event++) {
		bool want = model_wants_call(65534, 5, event);

		lay_ring(&self->p, 8, 65533);
		pair_serve(&self->p, 1);
		pair_flush(&self->p);
		drv_set_used_event(&self->p.drv, event);
		pair_serve(&self->p, 5);
		ASSERT_EQ(want, pair_flush(&self->p)) TH_LOG("used_event %u", event);
		calls += want;
	}
	EXPECT_EQ(5, calls);
}

/* More than one publication (a batch is 64) stands behind one decision. */
TEST_F(event_idx, decision_covers_all_since_the_last_one)
{
	u32 event;

	for (event = 0; event < 210; event++) {
		bool want = model_wants_call(1, 200, event);

		lay_ring(&self->p, 256, 0);
		pair_serve(&self->p, 1);
		pair_flush(&self->p);
		drv_set_used_event(&self->p.drv, event);
		pair_serve(&self->p, 200);
		ASSERT_EQ(want, pair_flush(&self->p)) TH_LOG("used_event %u", event);
	}
}

/* After 2^16 elements without a decision, indices say nothing any more: call. */
TEST_F(event_idx, call_after_the_index_came_round)
{
	u32 n;

	for (n = 65530; n < 65800; n += 13) {
		lay_ring(&self->p, 256, 0);
		pair_serve(&self->p, 1);
		pair_flush(&self->p);
		drv_set_used_event(&self->p.drv, 0);
		pair_serve(&self->p, n);
		/* Index 0 was used again as soon as the 65536th came. */
		ASSERT_EQ(n >= 65536, pair_flush(&self->p)) TH_LOG("%u elements", n);
	}
}

TEST_HARNESS_MAIN
