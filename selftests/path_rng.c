// SPDX-License-Identifier: GPL-2.0
/*
 * The rng class: what it writes, how much, and where.
 *
 * in:  /dev/vkick-rng, no guest
 * out: random bytes in exactly the first used.len bytes of the writable part
 */
#include "kselftest_harness.h"

#include "lib/rig.h"

#define RNG_MAX	65536U		/* bytes of one request, at most */
#define FILL	0x00

FIXTURE(rng)
{
	struct rig r;
	struct vq *q;
};

FIXTURE_VARIANT(rng)
{
	u64 features;
	enum drv_layout layout;
};

FIXTURE_VARIANT_ADD(rng, direct) { 0, DRV_DIRECT };
FIXTURE_VARIANT_ADD(rng, indirect_event_idx) {
	F_INDIRECT | F_EVENT_IDX, DRV_INDIRECT };
FIXTURE_VARIANT_ADD(rng, packed_in_order) { F_PACKED | F_IN_ORDER, DRV_DIRECT };

FIXTURE_SETUP(rng)
{
	struct rig_conf conf = {
		.class = "rng",
		.features = variant->features,
		.layout = variant->layout,
		.max_segs = 32,
	};

	rig_open(&self->r, &conf);
	self->q = &self->r.q[0];
	rig_start(&self->r);
}

FIXTURE_TEARDOWN(rng)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
	rig_close(&self->r);
}

/* Bytes of a range that are not FILL. */
static u32 touched(struct rig *r, u64 gpa, u32 len)
{
	u8 *copy = malloc(len ?: 1);
	u32 i, n = 0;

	CHECK(copy, "no memory");
	gmem_read(&r->mem, copy, gpa, len);
	for (i = 0; i < len; i++)
		n += copy[i] != FILL;
	free(copy);
	return n;
}

/*
 * Of n random bytes n/256 are zero by chance. That fewer than 3/4 are nonzero is
 * out of the question from 64 bytes up (2^-250).
 */
static bool looks_random(struct rig *r, u64 gpa, u32 len)
{
	return touched(r, gpa, len) > len / 4 * 3;
}

TEST_F(rng, writes_used_len_bytes_and_nothing_beyond)
{
	static const u32 lens[] = { 64, 65, 4095, 4096, 4097, 65535, 65536 };
	size_t i;
	u32 off;

	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		for (off = 0; off < 3; off++) {
			struct drv_seg s = { GMEM_HIGH + 8192 + off, lens[i], true };

			gmem_fill(&self->r.mem, GMEM_HIGH, FILL, 0x20000);
			ASSERT_EQ(lens[i], rig_round_trip(self->q, &s, 1));
			ASSERT_TRUE(looks_random(&self->r, s.gpa, s.len));
			ASSERT_EQ(0, touched(&self->r, GMEM_HIGH, 8192 + off));
			ASSERT_EQ(0, touched(&self->r, s.gpa + s.len, 8192));
		}
	}
}

TEST_F(rng, one_byte_is_a_request)
{
	bool seen[256] = { false };
	int i, values = 0;

	for (i = 0; i < 256; i++) {
		struct drv_seg s = { GMEM_HIGH, 1, true };
		u8 byte;

		ASSERT_EQ(1, rig_round_trip(self->q, &s, 1));
		gmem_read(&self->r.mem, &byte, GMEM_HIGH, 1);
		values += !seen[byte];
		seen[byte] = true;
	}
	/* 256 draws hit some 162 values; 64 or fewer are out of the question. */
	EXPECT_LT(64, values);
}

TEST_F(rng, data_differs_between_requests)
{
	struct drv_seg s = { GMEM_HIGH, 4096, true };
	u8 a[4096], b[4096];

	ASSERT_EQ(4096, rig_round_trip(self->q, &s, 1));
	gmem_read(&self->r.mem, a, GMEM_HIGH, 4096);
	ASSERT_EQ(4096, rig_round_trip(self->q, &s, 1));
	gmem_read(&self->r.mem, b, GMEM_HIGH, 4096);
	EXPECT_NE(0, memcmp(a, b, 4096));
}

/* Pages of one request: the source is filled anew for each. */
TEST_F(rng, data_does_not_repeat_within_a_request)
{
	struct drv_seg s = { GMEM_HIGH, 65536, true };
	static u8 all[65536];
	int i, j;

	ASSERT_EQ(65536, rig_round_trip(self->q, &s, 1));
	gmem_read(&self->r.mem, all, GMEM_HIGH, 65536);
	for (i = 0; i < 65536; i += 64)
		for (j = 0; j < i; j += 64) {
			ASSERT_NE(0, memcmp(all + i, all + j, 64));
		}
}

TEST_F(rng, at_most_64_kib_of_a_larger_request)
{
	struct drv_seg s = { GMEM_HIGH, GMEM_HIGH_SIZE, true };

	gmem_fill(&self->r.mem, GMEM_HIGH, FILL, GMEM_HIGH_SIZE);
	ASSERT_EQ(RNG_MAX, rig_round_trip(self->q, &s, 1));
	EXPECT_TRUE(looks_random(&self->r, GMEM_HIGH, RNG_MAX));
	EXPECT_EQ(0, touched(&self->r, GMEM_HIGH + RNG_MAX,
			     GMEM_HIGH_SIZE - RNG_MAX));
}

/* 32 descriptors of 128 MiB: all of a memory that is 1 MiB in truth. */
TEST_F(rng, chain_of_4_gib_allocates_nothing_large)
{
	struct rig *r = &self->r;
	const size_t size = 128 << 20;
	struct drv_seg s[32];
	u8 *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct vhost_memory *t = gmem_table(&r->mem);
	u32 i;

	ASSERT_NE(MAP_FAILED, p);
	t->regions[2] = (struct vhost_memory_region) {
		.guest_phys_addr = GMEM_FAR,
		.memory_size = size,
		.userspace_addr = (unsigned long)p,
	};
	ASSERT_EQ(0, __vdev_set_mem(r->fd, t));
	for (i = 0; i < 32; i++)
		s[i] = (struct drv_seg) { GMEM_FAR, size, true };
	EXPECT_EQ(RNG_MAX, rig_round_trip(self->q, s, 32));
	free(t);
}

TEST_F(rng, scattered_buffers_are_filled_in_order)
{
	struct drv_seg s[] = {
		{ GMEM_HIGH + 0x1003, 100, true },
		{ GMEM_FAR + 0xfff, 70, true },
		{ GMEM_HIGH + 0x80000, 4096, true },
	};
	int i;

	gmem_fill(&self->r.mem, GMEM_HIGH, FILL, GMEM_HIGH_SIZE);
	gmem_fill(&self->r.mem, GMEM_FAR, FILL, GMEM_FAR_SIZE);
	ASSERT_EQ(4266, rig_round_trip(self->q, s, 3));
	for (i = 0; i < 3; i++) {
		EXPECT_TRUE(looks_random(&self->r, s[i].gpa, s[i].len));
		EXPECT_EQ(0, touched(&self->r, s[i].gpa - 64, 64));
		EXPECT_EQ(0, touched(&self->r, s[i].gpa + s[i].len, 64));
	}
}

/* The region border at every distance from the buffer's start. */
TEST_F(rng, buffer_across_a_region_border)
{
	u32 before;

	for (before = 1; before < 256; before++) {
		struct drv_seg s = { GMEM_BORDER - before, 256, true };

		gmem_fill(&self->r.mem, GMEM_BORDER - 512, FILL, 1024);
		ASSERT_EQ(256, rig_round_trip(self->q, &s, 1));
		ASSERT_TRUE(looks_random(&self->r, s.gpa, 256));
		ASSERT_EQ(0, touched(&self->r, GMEM_BORDER - 512, 512 - before));
		ASSERT_EQ(0, touched(&self->r, s.gpa + 256, 256));
	}
	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
}

TEST_F(rng, readable_part_is_ignored_and_kept)
{
	struct drv_seg s[] = {
		{ GMEM_HIGH, 4096, false },
		{ GMEM_HIGH + 8192, 4096, true },
	};

	gmem_fill(&self->r.mem, GMEM_HIGH, FILL, 16384);
	ASSERT_EQ(4096, rig_round_trip(self->q, s, 2));
	EXPECT_EQ(0, touched(&self->r, GMEM_HIGH, 8192));
	EXPECT_TRUE(looks_random(&self->r, GMEM_HIGH + 8192, 4096));
	EXPECT_EQ(0, touched(&self->r, GMEM_HIGH + 12288, 4096));
}

/* 5.4.6.1: "The driver MUST NOT place driver-readable buffers" alone. */
TEST_F(rng, request_with_nothing_to_write_breaks_the_queue)
{
	struct drv_seg s = { GMEM_HIGH, 4096, false };

	rig_submit(self->q, &s, 1);
	EXPECT_EQ(EINVAL, rig_wait_broken(&self->r, self->q));
}

TEST_HARNESS_MAIN
