// SPDX-License-Identifier: GPL-2.0
/*
 * Requests through the module: layouts, queue sizes, chains, the index's wrap, batches.
 *
 * in:  /dev/vkick-null, /dev/vkick-rng, no guest
 * out: each request comes back once, with the right length, and a call
 */
#include "kselftest_harness.h"

#include "lib/rig.h"

FIXTURE(request)
{
	struct rig r;
	struct vq *q;
};

FIXTURE_VARIANT(request)
{
	const char *class;
	u64 features;
	enum drv_layout layout;
};

#define VARIANTS(_class)						\
	FIXTURE_VARIANT_ADD(request, _class##_direct)			\
	{ #_class, 0, DRV_DIRECT };					\
	FIXTURE_VARIANT_ADD(request, _class##_direct_event_idx)		\
	{ #_class, F_EVENT_IDX, DRV_DIRECT };				\
	FIXTURE_VARIANT_ADD(request, _class##_indirect)			\
	{ #_class, F_INDIRECT, DRV_INDIRECT };				\
	FIXTURE_VARIANT_ADD(request, _class##_indirect_event_idx)	\
	{ #_class, F_INDIRECT | F_EVENT_IDX, DRV_INDIRECT };		\
	FIXTURE_VARIANT_ADD(request, _class##_chain_then_indirect)	\
	{ #_class, F_INDIRECT | F_EVENT_IDX, DRV_MIXED };
VARIANTS(null)
VARIANTS(rng)
/* The layout matters here, more than the class. */
FIXTURE_VARIANT_ADD(request, null_packed) { "null", F_PACKED, DRV_DIRECT };
FIXTURE_VARIANT_ADD(request, rng_packed_indirect_event_idx) {
	"rng", F_PACKED | F_INDIRECT | F_EVENT_IDX, DRV_INDIRECT };
FIXTURE_VARIANT_ADD(request, rng_in_order) { "rng", F_IN_ORDER, DRV_DIRECT };
FIXTURE_VARIANT_ADD(request, rng_packed_in_order_event_idx) {
	"rng", F_PACKED | F_IN_ORDER | F_EVENT_IDX, DRV_DIRECT };

static void reopen(FIXTURE_DATA(request) *self,
		   const FIXTURE_VARIANT(request) *variant,
		   u32 num, u32 max_segs, u32 start_at)
{
	struct rig_conf conf = {
		.class = variant->class,
		.features = variant->features,
		.layout = variant->layout,
		.num = num,
		.max_segs = max_segs,
		.start_at = start_at,
	};

	if (self->q)
		rig_close(&self->r);
	rig_open(&self->r, &conf);
	self->q = &self->r.q[0];
	rig_start(&self->r);
}

FIXTURE_SETUP(request)
{
	reopen(self, variant, 64, 8, 0);
}

FIXTURE_TEARDOWN(request)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
	rig_close(&self->r);
}

/* What a class answers to a request with @writable bytes. */
static u32 answer(const FIXTURE_VARIANT(request) *variant, u32 writable)
{
	if (!strcmp(variant->class, "null"))
		return 0;
	return writable < 65536 ? writable : 65536;
}

TEST_F(request, one_at_a_time)
{
	int i;

	for (i = 1; i <= 300; i++) {
		struct drv_seg s = { GMEM_HIGH, i, true };

		ASSERT_EQ(answer(variant, i), rig_round_trip(self->q, &s, 1));
	}
	rig_stop(&self->r);
	EXPECT_EQ(drv_base_after(&self->q->drv, 300), vdev_get_base(self->r.fd, 0));
	EXPECT_EQ(300, self->q->drv.used_elems);
}

TEST_F(request, readable_and_writable_mixed)
{
	struct drv_seg s[] = {
		{ GMEM_HIGH, 100, false },
		{ GMEM_HIGH + 5000, 1, false },
		{ GMEM_FAR + 4095, 3, true },
		{ GMEM_FAR + 10000, 2000, true },
	};

	EXPECT_EQ(answer(variant, 2003), rig_round_trip(self->q, s, 4));
}

TEST_F(request, empty_descriptors_are_dropped)
{
	struct drv_seg s[] = {
		{ ~0ULL, 0, false },
		{ GMEM_HIGH, 8, false },
		{ GMEM_HOLE, 0, true },
		{ GMEM_FAR, 5, true },
		{ 0, 0, true },
	};

	EXPECT_EQ(answer(variant, 5), rig_round_trip(self->q, s, 5));
}

/* A full ring, twice round, across 65535, at each size there is. */
TEST_F(request, every_queue_size_across_the_index_wrap)
{
	const u32 *size;

	for (size = drv_sizes(variant->features); *size; size++) {
		u32 num = *size, round, i, len, n;
		struct drv *d;

		/* A mixed chain of one buffer is a direct one: it fits any ring. */
		reopen(self, variant, num, 1, 65536 - num);
		d = &self->q->drv;
		for (round = 0; round < 2; round++) {
			for (i = 0; i < num; i++) {
				ASSERT_LE(0, drv_add1(d, GMEM_HIGH, 1 + i % 7, true));
			}
			ASSERT_EQ(-ENOSPC, drv_add1(d, GMEM_HIGH, 1, true));
			drv_kick(d, self->q->kick);
			for (n = 0; n < num; n++) {
				ASSERT_LE(0, rig_complete(self->q, &len));
				ASSERT_EQ(answer(variant, 1 + n % 7), len);
			}
		}
		ASSERT_FALSE(drv_has_used(d));
		rig_stop(&self->r);
		ASSERT_EQ(drv_base_after(d, 65536 + num), vdev_get_base(self->r.fd, 0));
		ASSERT_EQ(2 * num, vdev_get_stats(self->r.fd, 0).requests);
	}
}

TEST_F(request, chains_of_each_length)
{
	u32 n, i;

	reopen(self, variant, 256, 128, 0);
	for (n = 1; n <= 128; n++) {
		struct drv_seg s[128];
		u32 readable = n / 3, bytes = 0;

		for (i = 0; i < n; i++) {
			s[i] = (struct drv_seg) {
				.gpa = GMEM_HIGH + 8191 * i,
				.len = 1 + i,
				.write = i >= readable,
			};
			bytes += i >= readable ? 1 + i : 0;
		}
		ASSERT_EQ(answer(variant, bytes), rig_round_trip(self->q, s, n));
	}
}

TEST_F(request, longest_chain_that_info_allows)
{
	u32 max = vdev_get_info(self->r.fd).max_chain, i;
	struct drv_seg *s = calloc(max + 1, sizeof(*s));

	ASSERT_NE(NULL, s);
	/* Tables need room for the longest chain, at each of the descriptors. */
	reopen(self, variant, variant->layout == DRV_DIRECT ? 2048 : 4, max + 1, 0);
	for (i = 0; i <= max; i++)
		s[i] = (struct drv_seg) { GMEM_HIGH + 16 * i, 2, true };
	EXPECT_EQ(answer(variant, 2 * max), rig_round_trip(self->q, s, max));

	/* One descriptor more breaks the queue. */
	rig_submit(self->q, s, max + 1);
	EXPECT_EQ(E2BIG, rig_wait_broken(&self->r, self->q));
	free(s);
}

TEST_F(request, many_in_flight_come_back_each_once)
{
	struct drv *d = &self->q->drv;
	u64 seed = 7, sum_in = 0, sum_out = 0, n = 0;
	u32 len;

	while (d->got < 20000) {
		u32 batch = 1 + prng(&seed) % 64;

		while (batch-- && n < 20000) {
			len = 1 + prng(&seed) % 100;
			if (drv_add1(d, GMEM_HIGH + len, len, true) < 0)
				break;
			sum_in += answer(variant, len);
			n++;
		}
		drv_kick(d, self->q->kick);
		ASSERT_LE(0, rig_complete(self->q, &len));
		sum_out += len;
		drv_disable_call(d);
		while (drv_get(d, &len) >= 0)
			sum_out += len;
	}
	EXPECT_EQ(sum_in, sum_out);
	EXPECT_EQ(20000, vdev_get_stats(self->r.fd, 0).requests);
}

/* 2.7.5.1, 2.7.6.1: the device reads these, and never writes. */
TEST_F(request, driver_area_and_readable_buffers_are_never_written)
{
	struct drv *d = &self->q->drv;
	struct deadline end = deadline_in(DEADLINE_MS);
	struct gmem_shot desc, avail, data;
	int i;

	for (i = 0; i < 10; i++) {
		struct drv_seg s[] = {
			{ GMEM_HIGH + 4096 * i, 4096, false },
			{ GMEM_FAR + 64 * i, 64, true },
		};

		gmem_fill(&self->r.mem, s[0].gpa, 0x40 + i, 4096);
		ASSERT_LE(0, drv_add(d, s, 2));
	}
	drv_publish(d);
	desc = gmem_shoot(&self->r.mem, d->desc_gpa, 16 * d->num);
	avail = gmem_shoot(&self->r.mem, d->avail_gpa, drv_avail_bytes(d));
	data = gmem_shoot(&self->r.mem, GMEM_HIGH, GMEM_HIGH_SIZE);

	ev_signal(self->q->kick);
	/* Not drv_wait(), which writes to the driver's area. */
	while (drv_in_flight(d)) {
		ASSERT_FALSE(deadline_passed(&end));
		drv_get(d, NULL);
	}
	/* A packed ring's used elements go where the descriptors are. */
	if (!d->packed) {
		EXPECT_TRUE(gmem_same(&self->r.mem, &desc));
	}
	EXPECT_TRUE(gmem_same(&self->r.mem, &avail));
	EXPECT_TRUE(gmem_same(&self->r.mem, &data));
	gmem_shot_free(&desc);
	gmem_shot_free(&avail);
	gmem_shot_free(&data);
}

TEST_F(request, both_queues_of_a_device_are_served)
{
	u32 i;
	int n;

	for (n = 0; n < 100; n++)
		for (i = 0; i < self->r.nvqs; i++)
			rig_ping(&self->r.q[i]);
	for (i = 0; i < self->r.nvqs; i++) {
		EXPECT_EQ(100, vdev_get_stats(self->r.fd, i).requests);
	}
}

/* ---- IN_ORDER: 2.7.9, 2.8.11 ---- */

FIXTURE(batch)
{
	struct rig r;
	struct vq *q;
};

FIXTURE_VARIANT(batch)
{
	u64 features;
};

FIXTURE_VARIANT_ADD(batch, split) { F_IN_ORDER };
FIXTURE_VARIANT_ADD(batch, packed) { F_IN_ORDER | F_PACKED };

FIXTURE_SETUP(batch)
{
	struct rig_conf conf = { .class = "rng", .features = variant->features };

	rig_open(&self->r, &conf);
	self->q = &self->r.q[0];
}

FIXTURE_TEARDOWN(batch)
{
	rig_close(&self->r);
}

/* All at once, so that one pass has them all. Return: used elements. */
static u64 serve_at_once(FIXTURE_DATA(batch) *self, const u32 *lens, u32 n)
{
	struct drv *d = &self->q->drv;
	u64 before = d->used_elems;
	u32 i, len;

	for (i = 0; i < n; i++)
		CHECK(drv_add1(d, GMEM_HIGH, lens[i], true) >= 0, "full");
	drv_publish(d);
	rig_start(&self->r);
	for (i = 0; i < n; i++) {
		CHECK(rig_complete(self->q, &len) >= 0, "complete");
		CHECK(len == (lens[i] < 65536 ? lens[i] : 65536), "%u bytes", len);
	}
	rig_stop(&self->r);
	CHECK(vdev_get_base(self->r.fd, 0) == drv_base_after(d, d->got), "base");
	return d->used_elems - before;
}

TEST_F(batch, written_in_full_is_one_used_element)
{
	u32 lens[40], i;

	for (i = 0; i < 40; i++)
		lens[i] = 1 + i;
	EXPECT_EQ(1, serve_at_once(self, lens, 40));
	/* From anywhere in the ring, and round its end. */
	EXPECT_EQ(1, serve_at_once(self, lens, 40));
	EXPECT_EQ(1, serve_at_once(self, lens, 40));
}

/* The class writes at most 64 KiB, which says so: the length is its own. */
TEST_F(batch, written_short_ends_a_batch)
{
	static const u32 lens[] = { 10, 70000, 20, 30, 65537, 70000, 40 };

	/* {10, 70000}, {20, 30, 65537}, {70000}, {40} */
	EXPECT_EQ(4, serve_at_once(self, lens, 7));
}

TEST_HARNESS_MAIN
