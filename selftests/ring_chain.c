// SPDX-License-Identifier: GPL-2.0
/*
 * Chains and used elements through the ring engine, natively.
 *
 * in:  ring/ over guest memory of this process
 * out: what the driver laid out is what the device pops; what the device pushes is
 *      what the driver gets
 */
#include "kselftest_harness.h"

#include "lib/udev.h"

#define MAX_SEGS	32
#define ALL		(F_INDIRECT | F_EVENT_IDX)

FIXTURE(chain)
{
	struct gmem mem;
	struct drv drv;
	struct udev dev;
	struct vring_seg segs[MAX_SEGS];
	struct vring_chain c;
};

FIXTURE_VARIANT(chain)
{
	enum drv_layout layout;
	u64 features;
};

FIXTURE_VARIANT_ADD(chain, direct) { DRV_DIRECT, 0 };
FIXTURE_VARIANT_ADD(chain, direct_event_idx) { DRV_DIRECT, F_EVENT_IDX };
FIXTURE_VARIANT_ADD(chain, indirect) { DRV_INDIRECT, F_INDIRECT };
FIXTURE_VARIANT_ADD(chain, indirect_event_idx) { DRV_INDIRECT, ALL };
FIXTURE_VARIANT_ADD(chain, chain_then_indirect) { DRV_MIXED, F_INDIRECT };
FIXTURE_VARIANT_ADD(chain, chain_then_indirect_event_idx) { DRV_MIXED, ALL };
FIXTURE_VARIANT_ADD(chain, in_order_direct) { DRV_DIRECT, F_IN_ORDER };
FIXTURE_VARIANT_ADD(chain, in_order_chain_then_indirect) {
	DRV_MIXED, F_INDIRECT | F_IN_ORDER };
FIXTURE_VARIANT_ADD(chain, packed_direct) { DRV_DIRECT, F_PACKED };
FIXTURE_VARIANT_ADD(chain, packed_direct_event_idx) {
	DRV_DIRECT, F_PACKED | F_EVENT_IDX };
FIXTURE_VARIANT_ADD(chain, packed_indirect) { DRV_INDIRECT, F_PACKED | F_INDIRECT };
FIXTURE_VARIANT_ADD(chain, packed_in_order_direct) {
	DRV_DIRECT, F_PACKED | F_IN_ORDER };
FIXTURE_VARIANT_ADD(chain, packed_in_order_indirect) {
	DRV_INDIRECT, F_PACKED | F_INDIRECT | F_IN_ORDER };

static void lay_ring(FIXTURE_DATA(chain) *self, u32 num, u64 features,
		     enum drv_layout layout, u32 max_segs, u32 start)
{
	drv_init(&self->drv, &self->mem, num, features, layout, max_segs);
	drv_start_at(&self->drv, start);
	udev_init(&self->dev, &self->drv, features);
	self->c.max_segs = MAX_SEGS;
	self->c.segs = self->segs;
}

FIXTURE_SETUP(chain)
{
	gmem_add_standard(&self->mem);
	lay_ring(self, 64, variant->features, variant->layout, MAX_SEGS, 0);
}

FIXTURE_TEARDOWN(chain)
{
	drv_free(&self->drv);
	gmem_free(&self->mem);
}

static int pop(FIXTURE_DATA(chain) *self)
{
	return vring_pop(&self->dev.vr, &self->c);
}

/* Segments that are all different: @nr_out readable ones, then @nr_in writable. */
static void make_segs(struct drv_seg *s, u32 nr_out, u32 nr_in, u32 salt)
{
	u32 i;

	for (i = 0; i < nr_out + nr_in; i++)
		s[i] = (struct drv_seg) {
			.gpa = GMEM_HIGH + 4096 * i + salt % 4096,
			.len = 1 + (i * 37 + salt) % 4096,
			.write = i >= nr_out,
		};
}

/* Whether the popped chain is exactly @s. */
static bool chain_is(const struct vring_chain *c, const struct drv_seg *s,
		     u32 nr_out, u32 nr_in)
{
	u64 out = 0, in = 0;
	u32 i;

	for (i = 0; i < nr_out + nr_in; i++) {
		if (c->segs[i].gpa != s[i].gpa || c->segs[i].len != s[i].len)
			return false;
		*(s[i].write ? &in : &out) += s[i].len;
	}
	return c->nr_out == nr_out && c->nr_in == nr_in &&
	       c->out_bytes == out && c->in_bytes == in;
}

TEST_F(chain, empty_ring_pops_nothing)
{
	EXPECT_EQ(0, pop(self));
	EXPECT_EQ(0, pop(self));
	EXPECT_EQ(0, vring_flush(&self->dev.vr));
}

TEST_F(chain, unpublished_chain_is_not_popped)
{
	ASSERT_LE(0, drv_add1(&self->drv, GMEM_HIGH, 16, true));
	EXPECT_EQ(0, pop(self));
	drv_publish(&self->drv);
	EXPECT_EQ(1, pop(self));
}

TEST_F(chain, any_mix_of_readable_and_writable)
{
	struct drv_seg s[MAX_SEGS];
	u32 out, in;

	for (out = 0; out <= 12; out++) {
		for (in = !out; in <= 12; in++) {
			int head;

			make_segs(s, out, in, out * 131 + in);
			head = drv_add(&self->drv, s, out + in);
			ASSERT_LE(0, head);
			drv_publish(&self->drv);

			ASSERT_EQ(1, pop(self));
			ASSERT_EQ(head, self->c.token.id);
			ASSERT_TRUE(chain_is(&self->c, s, out, in))
				TH_LOG("%u readable, %u writable", out, in);
			ASSERT_EQ(0, pop(self));

			ASSERT_EQ(0, vring_push(&self->dev.vr, self->c.token, in));
			ASSERT_LE(0, vring_flush(&self->dev.vr));
			ASSERT_EQ(head, drv_get(&self->drv, NULL));
		}
	}
}

TEST_F(chain, empty_descriptors_are_dropped)
{
	struct drv_seg s[] = {
		{ GMEM_HIGH, 0, false },
		{ GMEM_HIGH + 16, 8, false },
		{ GMEM_HIGH + 32, 0, false },
		{ GMEM_HIGH + 48, 0, true },
		{ GMEM_HIGH + 64, 9, true },
		{ GMEM_HIGH + 80, 0, true },
	};
	struct drv_seg want[] = { s[1], s[4] };

	ASSERT_LE(0, drv_add(&self->drv, s, 6));
	drv_publish(&self->drv);
	ASSERT_EQ(1, pop(self));
	EXPECT_TRUE(chain_is(&self->c, want, 1, 1));
}

TEST_F(chain, chain_of_empty_descriptors_has_no_segments)
{
	struct drv_seg s[] = { { 0, 0, false }, { ~0ULL, 0, true } };

	ASSERT_LE(0, drv_add(&self->drv, s, 2));
	drv_publish(&self->drv);
	ASSERT_EQ(1, pop(self));
	EXPECT_TRUE(chain_is(&self->c, s, 0, 0));
}

TEST_F(chain, four_gib_is_the_largest_sum)
{
	struct drv_seg s[] = {
		{ 0, 0x80000000, false }, { 0, 0x7fffffff, true }, { 0, 1, true },
	};

	ASSERT_LE(0, drv_add(&self->drv, s, 3));
	drv_publish(&self->drv);
	ASSERT_EQ(1, pop(self));
	EXPECT_EQ(1ULL << 32, self->c.out_bytes + self->c.in_bytes);
}

TEST_F(chain, longest_chain_fits_and_one_more_does_not)
{
	struct drv_seg s[MAX_SEGS];
	int head;

	make_segs(s, 3, MAX_SEGS - 3, 0);
	head = drv_add(&self->drv, s, MAX_SEGS);
	ASSERT_LE(0, head);
	drv_publish(&self->drv);

	self->c.max_segs = MAX_SEGS - 1;
	EXPECT_EQ(-E2BIG, pop(self));
	/* It was not consumed. */
	self->c.max_segs = MAX_SEGS;
	ASSERT_EQ(1, pop(self));
	EXPECT_EQ(head, self->c.token.id);
	EXPECT_TRUE(chain_is(&self->c, s, 3, MAX_SEGS - 3));
}

TEST_F(chain, driver_memory_is_only_read)
{
	struct drv *d = &self->drv;
	bool tables = variant->layout != DRV_DIRECT;
	struct gmem_shot desc, avail, table;
	struct drv_seg s[5];
	int i;

	make_segs(s, 2, 3, 1);
	for (i = 0; i < 8; i++) {
		ASSERT_LE(0, drv_add(d, s, 5));
	}
	drv_publish(d);
	desc = gmem_shoot(&self->mem, d->desc_gpa, 16 * d->num);
	avail = gmem_shoot(&self->mem, d->avail_gpa, drv_avail_bytes(d));
	table = gmem_shoot(&self->mem, tables ? d->table_gpa : GMEM_HIGH, 16 * d->num);

	ASSERT_EQ(0, vring_disable_notify(&self->dev.vr));
	while (pop(self) == 1) {
		ASSERT_EQ(0, vring_push(&self->dev.vr, self->c.token, 1));
	}
	ASSERT_LE(0, vring_flush(&self->dev.vr));
	ASSERT_EQ(0, vring_enable_notify(&self->dev.vr));

	/* A packed ring's used elements go where the descriptors are. */
	if (!d->packed) {
		EXPECT_TRUE(gmem_same(&self->mem, &desc));
	}
	EXPECT_TRUE(gmem_same(&self->mem, &avail));
	EXPECT_TRUE(gmem_same(&self->mem, &table));
	EXPECT_TRUE(gmem_canaries_ok(&self->mem));
	gmem_shot_free(&desc);
	gmem_shot_free(&avail);
	gmem_shot_free(&table);
}

TEST_F(chain, used_elements_carry_head_and_length)
{
	struct drv *d = &self->drv;
	struct vring_token tokens[20];
	int heads[20], i, n;
	u32 len;

	for (i = 0; i < 20; i++) {
		heads[i] = drv_add1(d, GMEM_HIGH + 64 * i, 64, true);
		ASSERT_LE(0, heads[i]);
	}
	drv_publish(d);
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(1, pop(self));
		tokens[i] = self->c.token;
	}

	/* In another order than they came in: without IN_ORDER a device may do so. */
	for (n = 0; n < 20; n++) {
		i = d->in_order ? n : 19 - n;
		ASSERT_EQ(0, vring_push(&self->dev.vr, tokens[i], 10 + i));
	}
	EXPECT_EQ(-EAGAIN, drv_get(d, &len));
	ASSERT_EQ(1, vring_flush(&self->dev.vr));
	for (n = 0; n < 20; n++) {
		i = d->in_order ? n : 19 - n;
		ASSERT_EQ(heads[i], drv_get(d, &len));
		EXPECT_EQ(10 + i, len);
	}
	EXPECT_EQ(-EAGAIN, drv_get(d, &len));
}

/* A full ring at each size, twice round, across the end of the ring and of the index. */
TEST_F(chain, every_queue_size_across_the_index_wrap)
{
	struct drv_seg s[] = { { GMEM_HIGH, 1, false }, { GMEM_HIGH, 0, true } };
	const u32 *size;

	for (size = drv_sizes(variant->features); *size; size++) {
		u32 num = *size;
		bool mixed = variant->layout == DRV_MIXED && num > 1;
		u32 requests = mixed ? num / 2 : num;
		u32 start = 65535 - requests / 2;
		u32 round, i, n, len;

		self->mem.next = GMEM_LOW;
		drv_free(&self->drv);
		lay_ring(self, num, variant->features,
			 mixed || variant->layout == DRV_INDIRECT ?
			 variant->layout : DRV_DIRECT, 2, start);
		for (round = 1; round <= 2; round++) {
			for (i = 0; i < requests; i++) {
				s[1].len = i + 1;
				ASSERT_LE(0, drv_add(&self->drv, s + !mixed, 1 + mixed));
			}
			ASSERT_EQ(-ENOSPC, drv_add(&self->drv, s + 1, 1));
			drv_publish(&self->drv);

			for (n = 1; n <= requests; n++) {
				ASSERT_EQ(1, pop(self));
				ASSERT_EQ(n, self->c.in_bytes);
				ASSERT_EQ(0, vring_push(&self->dev.vr, self->c.token, n));
			}
			ASSERT_EQ(0, pop(self));
			ASSERT_LE(0, vring_flush(&self->dev.vr));
			for (n = 1; n <= requests; n++) {
				ASSERT_LE(0, drv_get(&self->drv, &len));
				ASSERT_EQ(n, len);
			}
			ASSERT_EQ(drv_base_after(&self->drv, start + round * requests),
				  vring_save(&self->dev.vr));
		}
		ASSERT_TRUE(gmem_canaries_ok(&self->mem));
	}
}

TEST_F(chain, save_gives_back_what_was_fetched_and_not_popped)
{
	struct drv *d = &self->drv;
	int i;

	for (i = 0; i < 10; i++) {
		ASSERT_LE(0, drv_add1(d, GMEM_HIGH, 100 + i, true));
	}
	drv_publish(d);
	/* The engine reads heads ahead; three are popped. */
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(1, pop(self));
		ASSERT_EQ(0, vring_push(&self->dev.vr, self->c.token, 0));
	}
	ASSERT_LE(0, vring_flush(&self->dev.vr));
	ASSERT_EQ(drv_base_after(d, 3), vring_save(&self->dev.vr));

	/* Somebody else goes on from there, with nothing but the place. */
	udev_init(&self->dev, d, variant->features);
	ASSERT_EQ(0, vring_load(&self->dev.vr, drv_base_after(d, 3)));
	for (i = 3; i < 10; i++) {
		ASSERT_EQ(1, pop(self));
		ASSERT_EQ(100 + i, self->c.in_bytes);
		ASSERT_EQ(0, vring_push(&self->dev.vr, self->c.token, 0));
	}
	ASSERT_EQ(0, pop(self));
	ASSERT_LE(0, vring_flush(&self->dev.vr));
	for (i = 0; i < 10; i++) {
		ASSERT_LE(0, drv_get(d, NULL));
	}
	EXPECT_EQ(drv_base_after(d, 10), vring_save(&self->dev.vr));
}

TEST_F(chain, the_saved_ring_can_be_served_on_at_once)
{
	u32 base;

	ASSERT_LE(0, drv_add1(&self->drv, GMEM_HIGH, 1, true));
	ASSERT_LE(0, drv_add1(&self->drv, GMEM_HIGH, 2, true));
	drv_publish(&self->drv);
	ASSERT_EQ(1, pop(self));
	base = vring_save(&self->dev.vr);
	EXPECT_EQ(drv_base_after(&self->drv, 1) & 0xffff, base & 0xffff);
	ASSERT_EQ(1, pop(self));
	EXPECT_EQ(2, self->c.in_bytes);
}

/* ---- vring_init and vring_load ---- */

TEST(init_takes_powers_of_two_up_to_32768)
{
	static u8 mem[16] __attribute__((aligned(16)));
	struct vring_config cfg = { .desc = mem, .avail = mem, .used = mem };
	struct vring_dev vr;
	u32 num, ok = 0;

	for (num = 0; num <= 70000; num++) {
		cfg.num = num;
		if (!vring_init(&vr, &cfg)) {
			EXPECT_EQ(0, num & (num - 1));
			ok++;
		}
	}
	EXPECT_EQ(16, ok);	/* 2^0 ... 2^15 */
	cfg.num = 1U << 31;
	EXPECT_EQ(-EINVAL, vring_init(&vr, &cfg));
}

TEST(init_takes_any_size_of_a_packed_ring_up_to_32768)
{
	static u8 mem[16] __attribute__((aligned(16)));
	struct vring_config cfg = {
		.desc = mem, .avail = mem, .used = mem, .features = F_PACKED,
	};
	struct vring_dev vr;
	u32 num;

	for (num = 0; num <= 70000; num++) {
		cfg.num = num;
		ASSERT_EQ(num && num <= 32768 ? 0 : -EINVAL, vring_init(&vr, &cfg));
	}
	cfg.num = 1U << 31;
	EXPECT_EQ(-EINVAL, vring_init(&vr, &cfg));
}

TEST(init_checks_each_alignment)
{
	static u8 mem[32] __attribute__((aligned(16)));
	struct vring_dev vr;
	int off, packed;

	for (packed = 0; packed < 2; packed++)
	for (off = 0; off < 16; off++) {
		struct vring_config c = {
			.num = 4, .desc = mem, .avail = mem, .used = mem,
			.features = packed ? F_PACKED : 0,
		};

		c.desc = mem + off;
		EXPECT_EQ(off ? -EINVAL : 0, vring_init(&vr, &c));
		c.desc = mem;
		c.avail = mem + off;
		EXPECT_EQ(off % (packed ? 4 : 2) ? -EINVAL : 0, vring_init(&vr, &c));
		c.avail = mem;
		c.used = mem + off;
		EXPECT_EQ(off % 4 ? -EINVAL : 0, vring_init(&vr, &c));
	}
}

/*
 * Places of a packed ring end at its size, and the one to pop is at most the ring ahead
 * of the one to use. A split ring's index has 16 bits.
 */
TEST(load_takes_places_of_the_ring_alone)
{
	static u8 mem[6 * 16] __attribute__((aligned(16)));
	static u8 event[8] __attribute__((aligned(4)));
	struct vring_config c = {
		.num = 6, .desc = mem, .avail = event, .used = event + 4,
		.features = F_PACKED,
	};
	struct vring_dev vr;
	u32 avail, used;

	ASSERT_EQ(0, vring_init(&vr, &c));
	for (avail = 0; avail < 0x10000; avail++) {
		/* Next to used places all over the ring, in both laps. */
		for (used = 0; used < 0x10000; used += used % 0x8000 < 8 ? 1 : 0x7ff8) {
			u32 a = avail % 0x8000, u = used % 0x8000;
			u32 state = used << 16 | avail, ahead;
			int want;

			ahead = (a + (avail >> 15) * 6 + 12 - u - (used >> 15) * 6) % 12;
			want = a < 6 && u < 6 && ahead <= 6 ? 0 : -EINVAL;
			ASSERT_EQ(want, vring_load(&vr, state)) TH_LOG("0x%x", state);
			if (!want) {
				ASSERT_EQ(state, vring_save(&vr));
			}
		}
	}

	c.features = 0;
	c.num = 4;
	c.avail = mem;
	c.used = mem;
	ASSERT_EQ(0, vring_init(&vr, &c));
	EXPECT_EQ(0, vring_load(&vr, 0xffff));
	EXPECT_EQ(-EINVAL, vring_load(&vr, 0x10000));
}

TEST_HARNESS_MAIN
