// SPDX-License-Identifier: GPL-2.0
/*
 * Discards and zeroes: what is on the disk afterwards, and what is refused.
 *
 * in:  /dev/vkick-blk over each kind of backing, no guest
 * out: zeroes exactly where they were asked for; IOERR or UNSUPP for what the device
 *      did not offer (VIRTIO 1.2, 5.2.6.2), with the disk as it was
 */
#include "kselftest_harness.h"

#include <endian.h>
#include <sys/stat.h>

#include "lib/disk_fixture.h"

#define OLD	1

#define DISCARD		VIRTIO_BLK_T_DISCARD
#define ZEROES		VIRTIO_BLK_T_WRITE_ZEROES
#define UNMAP		VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP

DISK_FIXTURE_THREE(range);

static bool untouched(struct disk *d)
{
	return disk_file_has_pattern(d, 0, DISK_SECTORS, OLD);
}

static struct virtio_blk_discard_write_zeroes make_range(u64 sector, u32 sectors, u32 flags)
{
	return (struct virtio_blk_discard_write_zeroes) {
		.sector = htole64(sector),
		.num_sectors = htole32(sectors),
		.flags = htole32(flags),
	};
}

TEST_F(range, write_zeroes_zeroes_these_sectors_and_no_others)
{
	static const struct { u32 sector, sectors; } r[] = {
		{ 0, 1 }, { 1, 1 }, { 7, 2 }, { 8, 8 }, { 15, 18 }, { 100, 4096 },
		{ DISK_SECTORS - 1, 1 }, { DISK_SECTORS - 9, 9 },
	};
	struct disk *d = &self->d;
	u32 i, unmap;

	disk_file_put_pattern(d, 0, DISK_SECTORS, OLD);
	for (unmap = 0; unmap < 2; unmap++)
		for (i = 0; i < sizeof(r) / sizeof(r[0]); i++) {
			ASSERT_EQ(VIRTIO_BLK_S_OK, disk_range(d, ZEROES, r[i].sector,
							      r[i].sectors, unmap));
			ASSERT_TRUE(disk_file_is_zero(d, r[i].sector, r[i].sectors));
			/* And the driver sees the same. */
			ASSERT_EQ(VIRTIO_BLK_S_OK,
				  disk_rw(d, VIRTIO_BLK_T_IN, r[i].sector, DISK_BUF, SECTOR));
			ASSERT_TRUE(disk_is_all(d, DISK_BUF, SECTOR, 0));
			disk_file_put_pattern(d, r[i].sector, r[i].sectors, OLD);
		}
	EXPECT_TRUE(untouched(d));
}

/* What is read from there afterwards is nobody's business: zeroes, or what was there. */
TEST_F(range, discard_leaves_all_other_sectors)
{
	struct disk *d = &self->d;
	u8 now[SECTOR], old[SECTOR];
	u32 s;

	disk_file_put_pattern(d, 0, DISK_SECTORS, OLD);
	ASSERT_EQ(VIRTIO_BLK_S_OK, disk_range(d, DISCARD, 1003, 2049, 0));
	ASSERT_TRUE(disk_file_has_pattern(d, 0, 1003, OLD));
	ASSERT_TRUE(disk_file_has_pattern(d, 1003 + 2049, DISK_SECTORS - 3052, OLD));
	for (s = 1003; s < 3052; s += 61) {
		disk_file_read(d, now, s, 1);
		disk_pattern(old, s, 1, OLD);
		ASSERT_TRUE(!memcmp(now, old, SECTOR) || disk_file_is_zero(d, s, 1));
	}
	/* It may be written again. */
	disk_put_pattern(d, DISK_BUF, 1003, 1000, 2);
	ASSERT_EQ(VIRTIO_BLK_S_OK,
		  disk_rw(d, VIRTIO_BLK_T_OUT, 1003, DISK_BUF, 1000 * SECTOR));
	EXPECT_TRUE(disk_file_has_pattern(d, 1003, 1000, 2));
}

TEST_F(range, discard_and_unmap_give_the_file_s_space_back)
{
	static const struct { u32 type, flags; } how[] = { { DISCARD, 0 }, { ZEROES, UNMAP } };
	struct disk *d = &self->d;
	struct stat before, after;
	int i;

	if (d->b.is_block)
		SKIP(return, "a block device does not say");
	for (i = 0; i < 2; i++) {
		disk_file_put_pattern(d, 0, DISK_SECTORS, OLD);
		ASSERT_EQ(VIRTIO_BLK_S_OK, disk_flush(d));
		ASSERT_EQ(0, fstat(d->check, &before));
		ASSERT_EQ(VIRTIO_BLK_S_OK,
			  disk_range(d, how[i].type, 2048, 4096, how[i].flags));
		ASSERT_EQ(0, fstat(d->check, &after));
		EXPECT_LE(after.st_blocks + 4000, before.st_blocks);
		EXPECT_EQ(before.st_size, after.st_size);
	}
}

/* 5.2.6.2: without unmap the device must not deallocate. */
TEST_F(range, zeroes_without_unmap_keep_the_file_s_space)
{
	struct disk *d = &self->d;
	struct stat before, after;

	if (d->b.is_block)
		SKIP(return, "a block device does not say");
	disk_file_put_pattern(d, 0, DISK_SECTORS, OLD);
	ASSERT_EQ(VIRTIO_BLK_S_OK, disk_flush(d));
	ASSERT_EQ(0, fstat(d->check, &before));
	ASSERT_EQ(VIRTIO_BLK_S_OK, disk_range(d, ZEROES, 2048, 4096, 0));
	ASSERT_EQ(VIRTIO_BLK_S_OK, disk_flush(d));
	ASSERT_EQ(0, fstat(d->check, &after));
	EXPECT_LE(before.st_blocks, after.st_blocks);
	EXPECT_TRUE(disk_file_is_zero(d, 2048, 4096));
}

TEST_F(range, several_ranges_in_one_request)
{
	struct virtio_blk_discard_write_zeroes r[16];
	struct disk *d = &self->d;
	u32 i, n;

	for (n = 1; n <= 16; n += 5) {
		disk_file_put_pattern(d, 0, DISK_SECTORS, OLD);
		for (i = 0; i < n; i++)
			r[i] = make_range((16 - i) * 100, 3 + i, i % 2);
		ASSERT_EQ(VIRTIO_BLK_S_OK, disk_ranges(d, ZEROES, r, n));
		for (i = 0; i < n; i++) {
			ASSERT_TRUE(disk_file_is_zero(d, (16 - i) * 100, 3 + i));
			ASSERT_TRUE(disk_file_has_pattern(d, (16 - i) * 100 + 3 + i, 50, OLD));
		}
		ASSERT_TRUE(disk_file_has_pattern(d, 2000, DISK_SECTORS - 2000, OLD));
	}
}

/* Framing is the driver's choice here as well. */
TEST_F(range, ranges_cut_at_every_byte)
{
	struct disk *d = &self->d;
	struct virtio_blk_discard_write_zeroes r[2] = { make_range(10, 2, 0), make_range(20, 3, 0) };
	u32 cut;

	for (cut = 1; cut < sizeof(r); cut++) {
		struct drv_seg s[] = {
			{ DISK_BUF2 + 1, cut, false },
			{ DISK_BUF2 + 1 + cut, sizeof(r) - cut, false },
		};
		struct disk_req req = { ZEROES, 0, s, 2 };

		disk_file_put_pattern(d, 0, 64, OLD);
		memcpy(gmem_ptr(&d->r.mem, DISK_BUF2 + 1, sizeof(r)), r, sizeof(r));
		ASSERT_EQ(VIRTIO_BLK_S_OK, disk_do(d, &req, NULL));
		ASSERT_TRUE(disk_file_is_zero(d, 10, 2));
		ASSERT_TRUE(disk_file_is_zero(d, 20, 3));
		ASSERT_TRUE(disk_file_has_pattern(d, 12, 8, OLD));
	}
}

/* ---- what is refused ---- */

TEST_F(range, unknown_flags_are_unsupp)
{
	struct virtio_blk_discard_write_zeroes r[3];
	struct disk *d = &self->d;
	u32 bit;

	disk_file_put_pattern(d, 0, DISK_SECTORS, OLD);
	for (bit = 1; bit < 32; bit++) {
		EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, disk_range(d, ZEROES, 0, 8, 1U << bit));
		EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, disk_range(d, ZEROES, 0, 8, 1U << bit | UNMAP));
		EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, disk_range(d, DISCARD, 0, 8, 1U << bit));
	}
	/* 5.2.6.2: unmap is not for discards. */
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, disk_range(d, DISCARD, 0, 8, UNMAP));
	/* Nothing is done if any range is wrong, the last one too. */
	r[0] = make_range(0, 8, 0);
	r[1] = make_range(100, 8, 0);
	r[2] = make_range(200, 8, 2);
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, disk_ranges(d, ZEROES, r, 3));
	EXPECT_TRUE(untouched(d));
}

TEST_F(range, past_the_capacity_or_larger_than_was_promised)
{
	static const u32 types[] = { DISCARD, ZEROES };
	static const u64 far[] = {
		DISK_SECTORS, DISK_SECTORS - 7, 1ULL << 54, (1ULL << 55) - 1, 1ULL << 55,
		1ULL << 63, ~0ULL - 7, ~0ULL,
	};
	struct virtio_blk_discard_write_zeroes r[17];
	struct disk *d = &self->d;
	u32 t, i;

	disk_file_put_pattern(d, 0, DISK_SECTORS, OLD);
	for (t = 0; t < 2; t++) {
		for (i = 0; i < sizeof(far) / sizeof(far[0]); i++)
			EXPECT_EQ(VIRTIO_BLK_S_IOERR, disk_range(d, types[t], far[i], 8, 0));
		EXPECT_EQ(VIRTIO_BLK_S_IOERR, disk_range(d, types[t], 0, 4097, 0));
		EXPECT_EQ(VIRTIO_BLK_S_IOERR, disk_range(d, types[t], 0, 0xffffffff, 0));
		EXPECT_EQ(VIRTIO_BLK_S_IOERR, disk_range(d, types[t], 8, 0x80000000, 0));
		/* 17 ranges where 16 were promised. */
		for (i = 0; i < 17; i++)
			r[i] = make_range(i * 8, 8, 0);
		EXPECT_EQ(VIRTIO_BLK_S_IOERR, disk_ranges(d, types[t], r, 17));
		/* The last of three is bad: none is done. */
		r[2] = make_range(DISK_SECTORS, 1, 0);
		EXPECT_EQ(VIRTIO_BLK_S_IOERR, disk_ranges(d, types[t], r, 3));
	}
	EXPECT_TRUE(untouched(d));
}

TEST_F(range, no_multiple_of_a_range)
{
	struct disk *d = &self->d;
	struct drv_seg s = { DISK_BUF2, 0, false };
	struct disk_req req = { ZEROES, 0, &s, 1 };
	struct virtio_blk_discard_write_zeroes r[3] = { make_range(0, 8, 0), make_range(8, 8, 0) };

	disk_file_put_pattern(d, 0, DISK_SECTORS, OLD);
	memcpy(gmem_ptr(&d->r.mem, DISK_BUF2, sizeof(r)), r, sizeof(r));
	for (s.len = 1; s.len < 40; s.len++) {
		if (s.len % 16 == 0)
			continue;
		req.type = s.len % 2 ? ZEROES : DISCARD;
		EXPECT_EQ(VIRTIO_BLK_S_IOERR, disk_do(d, &req, NULL)) TH_LOG("%u bytes", s.len);
	}
	EXPECT_TRUE(untouched(d));
}

TEST_F(range, none_are_served_where_none_were_promised)
{
	struct disk *d = &self->d;

	disk_file_put_pattern(d, 0, DISK_SECTORS, OLD);
	d->config.max_discard_seg = 0;
	disk_configure(d);
	EXPECT_NE(VIRTIO_BLK_S_OK, disk_range(d, DISCARD, 0, 8, 0));
	EXPECT_TRUE(untouched(d));
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_range(d, ZEROES, 0, 8, 0));
	d->config.max_discard_seg = 1;
	d->config.max_write_zeroes_seg = 0;
	disk_configure(d);
	EXPECT_NE(VIRTIO_BLK_S_OK, disk_range(d, ZEROES, 8, 8, 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_range(d, DISCARD, 100, 8, 0));
	EXPECT_TRUE(disk_file_has_pattern(d, 8, 92, OLD));
}

TEST_F(range, used_length_is_the_status)
{
	struct disk *d = &self->d;
	struct virtio_blk_discard_write_zeroes r = make_range(0, 8, 0);
	struct drv_seg s = { DISK_BUF2, sizeof(r), false };
	struct disk_req req = { ZEROES, 0, &s, 1 };
	u32 len;

	memcpy(gmem_ptr(&d->r.mem, DISK_BUF2, sizeof(r)), &r, sizeof(r));
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_do(d, &req, &len));
	EXPECT_EQ(1, len);
	req.type = DISCARD;
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_do(d, &req, &len));
	EXPECT_EQ(1, len);
}

/* Ranges wait for the backend, and hold up nobody: reads and writes go on meanwhile. */
TEST_F(range, among_reads_and_writes)
{
	struct disk *d = &self->d;
	struct virtio_blk_discard_write_zeroes *r = gmem_ptr(&d->r.mem, DISK_BUF2, 4096);
	struct drv_seg s[3];
	struct disk_req req[3] = {
		{ VIRTIO_BLK_T_OUT, 0, &s[0], 1 }, { ZEROES, 0, &s[1], 1 },
		{ VIRTIO_BLK_T_IN, 6000, &s[2], 1 },
	};
	int i, j;
	u8 status;

	disk_file_put_pattern(d, 0, DISK_SECTORS, OLD);
	for (i = 0; i < 30; i++) {
		disk_put_pattern(d, DISK_BUF, i * 64, 16, 50 + i);
		r[0] = make_range(i * 64 + 16, 16, i % 2);
		s[0] = (struct drv_seg) { DISK_BUF, 16 * SECTOR, false };
		s[1] = (struct drv_seg) { DISK_BUF2, 16, false };
		s[2] = (struct drv_seg) { DISK_BUF + 16 * SECTOR, 16 * SECTOR, true };
		req[0].sector = i * 64;
		for (j = 0; j < 3; j++)
			CHECK(disk_add(d, 0, &req[j]) >= 0, "full");
		drv_kick(&d->r.q[0].drv, d->r.q[0].kick);
		for (j = 0; j < 3; j++) {
			disk_take(d, 0, &status, NULL);
			ASSERT_EQ(VIRTIO_BLK_S_OK, status);
		}
		ASSERT_TRUE(disk_file_has_pattern(d, i * 64, 16, 50 + i));
		ASSERT_TRUE(disk_file_is_zero(d, i * 64 + 16, 16));
		ASSERT_TRUE(disk_file_has_pattern(d, i * 64 + 32, 32, OLD));
		ASSERT_TRUE(disk_has_pattern(d, DISK_BUF + 16 * SECTOR, 6000, 16, OLD));
	}
}

TEST_HARNESS_MAIN
