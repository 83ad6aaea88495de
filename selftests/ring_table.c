// SPDX-License-Identifier: GPL-2.0
/*
 * Indirect tables through the ring engine, laid out by hand, natively (VIRTIO 1.2,
 * 2.7.5.3 and 2.8.7).
 *
 * in:  ring/ over guest memory of this process
 * out: the chain in the table, in whatever order and wherever it lies
 */
#include "kselftest_harness.h"

#include "lib/pair.h"

#define MAX_SEGS	32

FIXTURE(table)
{
	struct gmem mem;
	struct drv drv;
	struct udev dev;
	struct vring_seg segs[MAX_SEGS];
	struct vring_chain c;
};

FIXTURE_SETUP(table)
{
	gmem_add_standard(&self->mem);
	drv_init(&self->drv, &self->mem, 4, F_INDIRECT, DRV_DIRECT, 1);
	udev_init(&self->dev, &self->drv, F_INDIRECT);
	self->c.max_segs = MAX_SEGS;
	self->c.segs = self->segs;
}

FIXTURE_TEARDOWN(table)
{
	drv_free(&self->drv);
	gmem_free(&self->mem);
}

static void offer_table(FIXTURE_DATA(table) *self, u64 gpa, u32 len, u16 flags)
{
	drv_set_desc(&self->drv.desc[0], gpa, len,
		     VRING_DESC_F_INDIRECT | flags, 0);
	drv_put_head(&self->drv, 0);
	drv_publish(&self->drv);
}

/* 2.7.5.3.2: "The device MUST ignore the write-only flag" there. */
TEST_F(table, write_flag_of_the_indirect_descriptor_is_ignored)
{
	u64 gpa = gmem_alloc(&self->mem, 16, 16);

	drv_set_desc(gmem_ptr(&self->mem, gpa, 16), GMEM_HIGH, 5, 0, 0);
	offer_table(self, gpa, 16, VRING_DESC_F_WRITE);
	ASSERT_EQ(1, vring_pop(&self->dev.vr, &self->c));
	EXPECT_EQ(1, self->c.nr_out);
	EXPECT_EQ(0, self->c.nr_in);
}

/* The links run backwards, so no block of descriptors read ahead is of use. */
TEST_F(table, links_may_run_in_any_order)
{
	u64 gpa = gmem_alloc(&self->mem, 16 * MAX_SEGS, 16);
	struct vring_desc *t = gmem_ptr(&self->mem, gpa, 16 * MAX_SEGS);
	u32 i, at = 0;

	/* 0, 31, 30, ... 1 */
	for (i = 0; i < MAX_SEGS; i++) {
		u32 next = at ? at - 1 : MAX_SEGS - 1;

		drv_set_desc(&t[at], GMEM_HIGH, 1 + i,
			     i + 1 < MAX_SEGS ? VRING_DESC_F_NEXT : 0, next);
		at = next;
	}
	offer_table(self, gpa, 16 * MAX_SEGS, 0);
	ASSERT_EQ(1, vring_pop(&self->dev.vr, &self->c));
	ASSERT_EQ(MAX_SEGS, self->c.nr_out);
	for (i = 0; i < MAX_SEGS; i++) {
		EXPECT_EQ(1 + i, self->segs[i].len);
	}
}

TEST_F(table, may_be_longer_than_the_chain_in_it)
{
	u64 gpa = gmem_alloc(&self->mem, 16 * 4, 16);
	struct vring_desc *t = gmem_ptr(&self->mem, gpa, 16 * 4);

	drv_set_desc(&t[0], GMEM_HIGH, 5, VRING_DESC_F_NEXT, 3);
	drv_set_desc(&t[3], GMEM_HIGH, 6, 0, 0);
	offer_table(self, gpa, 16 * 4, 0);
	ASSERT_EQ(1, vring_pop(&self->dev.vr, &self->c));
	ASSERT_EQ(2, self->c.nr_out);
	EXPECT_EQ(6, self->segs[1].len);
}

TEST_F(table, may_be_longer_than_the_queue)
{
	u64 gpa = gmem_alloc(&self->mem, 16 * MAX_SEGS, 16);
	struct vring_desc *t = gmem_ptr(&self->mem, gpa, 16 * MAX_SEGS);
	u32 i;

	ASSERT_LT(self->drv.num, MAX_SEGS);
	for (i = 0; i < MAX_SEGS; i++)
		drv_set_desc(&t[i], GMEM_HIGH, 1,
			     i + 1 < MAX_SEGS ? VRING_DESC_F_NEXT : 0, i + 1);
	offer_table(self, gpa, 16 * MAX_SEGS, 0);
	ASSERT_EQ(1, vring_pop(&self->dev.vr, &self->c));
	EXPECT_EQ(MAX_SEGS, self->c.nr_out);
}

/* Four descriptors in a row, for four buffers from @data on. */
static void make_four(struct vring_desc *t, u64 data)
{
	u32 i;

	for (i = 0; i < 4; i++)
		drv_set_desc(&t[i], data + i, 10 + i, i < 3 ? VRING_DESC_F_NEXT : 0, i + 1);
}

/* Offers the table of these, and takes it back. */
static void expect_four(struct __test_metadata *_metadata, FIXTURE_DATA(table) *self, u64 gpa,
			u64 data)
{
	u32 i;

	offer_table(self, gpa, 4 * sizeof(struct vring_desc), 0);
	ASSERT_EQ(1, vring_pop(&self->dev.vr, &self->c));
	ASSERT_EQ(4, self->c.nr_out);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(data + i, self->segs[i].gpa);
		ASSERT_EQ(10 + i, self->segs[i].len);
	}
	ASSERT_EQ(0, vring_push(&self->dev.vr, self->c.token, 0));
	ASSERT_LE(0, vring_flush(&self->dev.vr));
}

/* The engine does not rely on how it is aligned. */
TEST_F(table, may_lie_at_any_address)
{
	struct vring_desc t[4];
	u64 room = gmem_alloc(&self->mem, sizeof(t) + 16, 16);
	u32 off;

	for (off = 0; off < 16; off++) {
		make_four(t, GMEM_HIGH + 8 * off);
		memcpy(gmem_ptr(&self->mem, room + off, sizeof(t)), t, sizeof(t));
		expect_four(_metadata, self, room + off, GMEM_HIGH + 8 * off);
	}
}

/* At every offset: descriptors themselves are cut by the border, too. */
TEST_F(table, may_lie_across_a_region_border)
{
	struct vring_desc t[4];
	u32 before;

	make_four(t, GMEM_HIGH);
	for (before = 1; before < sizeof(t); before++) {
		u64 gpa = GMEM_BORDER - before;

		memcpy(gmem_ptr(&self->mem, gpa, before), t, before);
		memcpy(gmem_ptr(&self->mem, GMEM_BORDER, sizeof(t) - before),
		       (u8 *)t + before, sizeof(t) - before);
		expect_four(_metadata, self, gpa, GMEM_HIGH);
	}
}

/* ---- packed: the table is the chain ---- */

FIXTURE(packed_table)
{
	struct pair p;
};

FIXTURE_SETUP(packed_table)
{
	pair_init(&self->p, F_PACKED | F_INDIRECT);
	pair_lay(&self->p, 5, 3, DRV_DIRECT, 1);
}

FIXTURE_TEARDOWN(packed_table)
{
	pair_free(&self->p);
}

static void offer_packed_table(struct pair *p, u64 gpa, u32 len, u16 flags)
{
	drv_put_desc(&p->drv, gpa, len, VRING_DESC_F_INDIRECT | flags, 77);
	drv_publish(&p->drv);
}

/* 2.8.19: WRITE is ignored there. */
TEST_F(packed_table, write_flag_of_the_indirect_descriptor_is_ignored)
{
	u64 gpa = gmem_alloc(&self->p.mem, 16, 16);

	drv_set_packed_desc(gmem_ptr(&self->p.mem, gpa, 16), GMEM_HIGH, 5, 0, 0);
	offer_packed_table(&self->p, gpa, 16, VRING_DESC_F_WRITE);
	ASSERT_EQ(1, pair_pop(&self->p));
	EXPECT_EQ(1, self->p.c.nr_out);
	EXPECT_EQ(0, self->p.c.nr_in);
}

/* 2.8.7: of the flags in a table WRITE alone has a meaning, and IDs have none. */
TEST_F(packed_table, next_avail_used_and_id_in_it_are_ignored)
{
	u64 gpa = gmem_alloc(&self->p.mem, 16 * 4, 16);
	struct vring_packed_desc *t = gmem_ptr(&self->p.mem, gpa, 16 * 4);
	u32 i, junk;

	for (junk = 0; junk < 8; junk++) {
		u16 flags = (junk & 1 ? VRING_DESC_F_NEXT : 0) |
			    (junk & 2 ? PACKED_F_AVAIL : 0) |
			    (junk & 4 ? PACKED_F_USED : 0);

		for (i = 0; i < 4; i++)
			drv_set_packed_desc(&t[i], GMEM_HIGH + i, 10 + i, flags |
					    (i == 3 ? VRING_DESC_F_WRITE : 0),
					    0xfffe - i);
		offer_packed_table(&self->p, gpa, 16 * 4, 0);
		ASSERT_EQ(1, pair_pop(&self->p)) TH_LOG("flags 0x%x", flags);
		ASSERT_EQ(77, self->p.c.token.id);
		ASSERT_EQ(1, self->p.c.token.nr_desc);
		ASSERT_EQ(3, self->p.c.nr_out);
		ASSERT_EQ(1, self->p.c.nr_in);
		for (i = 0; i < 4; i++) {
			ASSERT_EQ(10 + i, self->p.c.segs[i].len);
		}
		ASSERT_EQ(0, vring_push(&self->p.dev.vr, self->p.c.token, 0));
		ASSERT_LE(0, pair_flush(&self->p));
	}
}

TEST_F(packed_table, may_be_longer_than_the_queue)
{
	u64 gpa = gmem_alloc(&self->p.mem, 16 * MAX_SEGS, 16);
	struct vring_packed_desc *t = gmem_ptr(&self->p.mem, gpa, 16 * MAX_SEGS);
	u32 i;

	ASSERT_LT(self->p.drv.num, MAX_SEGS);
	for (i = 0; i < MAX_SEGS; i++)
		drv_set_packed_desc(&t[i], GMEM_HIGH, 1, VRING_DESC_F_WRITE, i);
	offer_packed_table(&self->p, gpa, 16 * MAX_SEGS, 0);
	ASSERT_EQ(1, pair_pop(&self->p));
	EXPECT_EQ(MAX_SEGS, self->p.c.nr_in);
}

TEST_F(packed_table, may_lie_across_a_region_border)
{
	u32 before, i;

	for (before = 1; before < 16 * 4; before++) {
		u64 gpa = GMEM_BORDER - before;
		struct vring_packed_desc t[4];

		for (i = 0; i < 4; i++)
			drv_set_packed_desc(&t[i], GMEM_HIGH + i, 10 + i, 0, i);
		memcpy(gmem_ptr(&self->p.mem, gpa, before), t, before);
		memcpy(gmem_ptr(&self->p.mem, GMEM_BORDER, sizeof(t) - before),
		       (u8 *)t + before, sizeof(t) - before);
		offer_packed_table(&self->p, gpa, sizeof(t), 0);

		ASSERT_EQ(1, pair_pop(&self->p));
		ASSERT_EQ(4, self->p.c.nr_out);
		for (i = 0; i < 4; i++) {
			ASSERT_EQ(GMEM_HIGH + i, self->p.c.segs[i].gpa);
			ASSERT_EQ(10 + i, self->p.c.segs[i].len);
		}
		ASSERT_EQ(0, vring_push(&self->p.dev.vr, self->p.c.token, 0));
		ASSERT_LE(0, pair_flush(&self->p));
	}
}

TEST_HARNESS_MAIN
