// SPDX-License-Identifier: GPL-2.0
/*
 * The user datapath of disks, natively: each request as it is laid out and answered.
 *
 * in:  vmm/blk_*.c over guest memory of this process, a file as the disk
 * out: the right status, the right data on both sides, and nothing else touched
 */
#include "lib/vdisk.h"

#include "kselftest_harness.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define DISK_BYTES	(4 * MIB)
#define SECTORS		(DISK_BYTES / BLK_SECTOR_BYTES)

FIXTURE(blk)
{
	struct vdisk v;
	int fd;			/* for the test, buffered */
	int backend;
	char path[64];
};

FIXTURE_VARIANT(blk)
{
	u64 features;
	int flags;
	bool in_memory;
};

FIXTURE_VARIANT_ADD(blk, split) { };
FIXTURE_VARIANT_ADD(blk, packed) { .features = F_PACKED | F_EVENT_IDX };
FIXTURE_VARIANT_ADD(blk, in_memory) { .in_memory = true };
FIXTURE_VARIANT_ADD(blk, direct) { .features = F_EVENT_IDX, .flags = O_DIRECT };

/* What a byte of the disk is before a test writes there. */
static u8 byte_at(u64 pos)
{
	return pos ^ pos >> 8 ^ pos >> 16;
}

static void fill_file(int fd)
{
	static u8 buf[DISK_BYTES];
	u64 i;

	for (i = 0; i < DISK_BYTES; i++)
		buf[i] = byte_at(i);
	CHECK(pwrite(fd, buf, DISK_BYTES, 0) == DISK_BYTES, "fill");
}

FIXTURE_SETUP(blk)
{
	snprintf(self->path, sizeof(self->path), "%s/vkick-disk-XXXXXX",
		 getenv("TMPDIR") ?: "/tmp");
	self->fd = variant->in_memory ? memfd_create("disk", MFD_CLOEXEC) : mkstemp(self->path);
	ASSERT_LE(0, self->fd);
	fill_file(self->fd);
	self->backend = variant->in_memory ? dup(self->fd) :
			open(self->path, O_RDWR | O_CLOEXEC | variant->flags);
	if (self->backend < 0) {
		unlink(self->path);
		SKIP(return, "no O_DIRECT in %s", self->path);
	}
	vdisk_init(&self->v, self->backend, DISK_BYTES, variant->features, 2);
	self->v.disk.direct = variant->flags & O_DIRECT;
}

FIXTURE_TEARDOWN(blk)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->v.m.mem));
	vdisk_free(&self->v);
	unlink(self->path);
	close(self->backend);
	close(self->fd);
}

/* Whether @len bytes at @gpa are those of the disk from @pos on, as they were first. */
static bool is_disk(struct vdisk *v, u64 gpa, u64 pos, u32 len)
{
	u8 *got = malloc(len);
	bool ok = true;
	u32 i;

	gmem_read(&v->m.mem, got, gpa, len);
	for (i = 0; i < len && ok; i++)
		ok = got[i] == byte_at(pos + i);
	if (!ok)
		fprintf(stderr, "byte %u of %u is %02x\n", i - 1, len, got[i - 1]);
	free(got);
	return ok;
}

static bool file_is(int fd, u64 pos, u8 byte, u32 len)
{
	u8 *got = malloc(len);
	bool ok = pread(fd, got, len, pos) == len;
	u32 i;

	for (i = 0; i < len && ok; i++)
		ok = got[i] == byte;
	free(got);
	return ok;
}

/* Whether the file is as it was, from @from to @to. */
static bool file_untouched(int fd, u64 from, u64 to)
{
	u8 *got = malloc(to - from);
	bool ok = pread(fd, got, to - from, from) == (ssize_t)(to - from);
	u64 i;

	for (i = from; i < to && ok; i++)
		ok = got[i - from] == byte_at(i);
	free(got);
	return ok;
}

TEST_F(blk, reads_what_the_file_has)
{
	u64 gpa = vdisk_alloc(&self->v, 64 * KIB, 4096);

	vdisk_start(&self->v);
	ASSERT_EQ(VIRTIO_BLK_S_OK, vdisk_do1(&self->v, VIRTIO_BLK_T_IN, 3, gpa, 64 * KIB));
	EXPECT_EQ(64 * KIB + 1, self->v.used_len);
	EXPECT_TRUE(is_disk(&self->v, gpa, 3 * 512, 64 * KIB));
	/* the very last sector */
	ASSERT_EQ(VIRTIO_BLK_S_OK,
		  vdisk_do1(&self->v, VIRTIO_BLK_T_IN, SECTORS - 1, gpa, 512));
	EXPECT_TRUE(is_disk(&self->v, gpa, DISK_BYTES - 512, 512));
}

TEST_F(blk, writes_what_the_driver_gave_and_nothing_else)
{
	u64 gpa = vdisk_alloc(&self->v, 64 * KIB, 4096);

	gmem_fill(&self->v.m.mem, gpa, 0x5a, 64 * KIB);
	vdisk_start(&self->v);
	ASSERT_EQ(VIRTIO_BLK_S_OK, vdisk_do1(&self->v, VIRTIO_BLK_T_OUT, 8, gpa, 64 * KIB));
	EXPECT_EQ(1, self->v.used_len);
	EXPECT_TRUE(file_is(self->fd, 4096, 0x5a, 64 * KIB));
	EXPECT_TRUE(file_untouched(self->fd, 0, 4096));
	EXPECT_TRUE(file_untouched(self->fd, 4096 + 64 * KIB, DISK_BYTES));
}

/* 2.7.4.1: the device makes no assumption on how a request is cut into descriptors. */
TEST_F(blk, header_may_be_cut_anywhere)
{
	struct vdisk *v = &self->v;
	u64 data = vdisk_alloc(v, 512 + 1, 1), hdr = vdisk_alloc(v, 512 + 16, 1);
	u8 *status = gmem_ptr(&v->m.mem, data + 512, 1);
	u32 cut;

	vdisk_start(v);
	for (cut = 1; cut <= 16; cut++) {
		struct drv_seg in[] = {
			{ hdr, cut, false },
			{ hdr + cut, 16 - cut, false },
			{ data, 513, true },		/* the status with the data */
		};
		struct drv_seg out[] = {
			{ hdr, cut, false },
			{ hdr + cut, 512 + 16 - cut, false },	/* and the header */
			{ data + 512, 1, true },
		};

		vdisk_set_hdr(v, hdr, VIRTIO_BLK_T_IN, cut);
		gmem_fill(&v->m.mem, data, 0, 513);
		*status = VDISK_LOST;
		if (cut == 16)
			in[1] = in[2];
		vdisk_submit(v, 0, in, cut == 16 ? 2 : 3);
		ASSERT_LE(0, vdisk_wait(v, 0));
		ASSERT_EQ(VIRTIO_BLK_S_OK, *status);
		ASSERT_EQ(513, v->used_len);
		ASSERT_TRUE(is_disk(v, data, cut * 512, 512));

		vdisk_set_hdr(v, hdr, VIRTIO_BLK_T_OUT, 100 + cut);
		gmem_fill(&v->m.mem, hdr + 16, cut, 512);
		*status = VDISK_LOST;
		vdisk_submit(v, 0, out, 3);
		ASSERT_LE(0, vdisk_wait(v, 0));
		ASSERT_EQ(VIRTIO_BLK_S_OK, *status);
		ASSERT_TRUE(file_is(self->fd, (100 + cut) * 512, cut, 512));
	}
	EXPECT_TRUE(file_untouched(self->fd, 0, 101 * 512));
}

TEST_F(blk, header_may_come_byte_by_byte)
{
	struct vdisk *v = &self->v;
	struct drv_seg segs[16 + 2];
	u64 data = vdisk_alloc(v, 512, 1);
	u8 *status = gmem_ptr(&v->m.mem, v->status, 1);
	u32 i;

	for (i = 0; i < 16; i++)
		segs[i] = (struct drv_seg) { v->hdr + i, 1, false };
	segs[16] = (struct drv_seg) { data, 512, true };
	segs[17] = (struct drv_seg) { v->status, 1, true };
	vdisk_set_hdr(v, v->hdr, VIRTIO_BLK_T_IN, 7);
	*status = VDISK_LOST;
	vdisk_start(v);
	vdisk_submit(v, 0, segs, 18);
	ASSERT_LE(0, vdisk_wait(v, 0));
	ASSERT_EQ(VIRTIO_BLK_S_OK, *status);
	EXPECT_TRUE(is_disk(v, data, 7 * 512, 512));
}

/* Through the bounce buffer, where the file is open with O_DIRECT. */
TEST_F(blk, data_may_be_cut_anywhere)
{
	struct vdisk *v = &self->v;
	u64 gpa = vdisk_alloc(v, 1024, 4096);
	u32 cut;

	vdisk_start(v);
	for (cut = 1; cut < 1024; cut += cut % 512 < 4 || cut % 512 > 508 ? 1 : 61) {
		struct drv_seg in[] = { { gpa, cut, true }, { gpa + cut, 1024 - cut, true } };
		struct drv_seg out[] = {
			{ gpa, cut, false }, { gpa + cut, 1024 - cut, false }
		};

		gmem_fill(&v->m.mem, gpa, 0, 1024);
		ASSERT_EQ(VIRTIO_BLK_S_OK, vdisk_do(v, VIRTIO_BLK_T_IN, cut, in, 2));
		ASSERT_EQ(1025, v->used_len);
		ASSERT_TRUE(is_disk(v, gpa, 512 * cut, 1024));
		gmem_fill(&v->m.mem, gpa, cut, 1024);
		ASSERT_EQ(VIRTIO_BLK_S_OK, vdisk_do(v, VIRTIO_BLK_T_OUT, 2000, out, 2));
		ASSERT_TRUE(file_is(self->fd, 2000 * 512, cut, 1024));
	}
}

/* A region of guest memory ends in the middle, and the next lies elsewhere. */
TEST_F(blk, data_may_lie_over_a_border_of_guest_memory)
{
	struct vdisk *v = &self->v;
	u64 gpa = GMEM_BORDER - 1536;
	u32 odd;

	vdisk_start(v);
	for (odd = 0; odd < 2; odd++) {
		gmem_fill(&v->m.mem, gpa + odd, 0, 4096);
		ASSERT_EQ(VIRTIO_BLK_S_OK,
			  vdisk_do1(v, VIRTIO_BLK_T_IN, 9, gpa + odd, 4096));
		EXPECT_TRUE(is_disk(v, gpa + odd, 9 * 512, 4096));
		gmem_fill(&v->m.mem, gpa + odd, 0x77 + odd, 4096);
		ASSERT_EQ(VIRTIO_BLK_S_OK,
			  vdisk_do1(v, VIRTIO_BLK_T_OUT, 99, gpa + odd, 4096));
		EXPECT_TRUE(file_is(self->fd, 99 * 512, 0x77 + odd, 4096));
	}
}

/* More than a chunk of the bounce buffer, at an odd address, in memory not registered. */
TEST_F(blk, large_requests_at_odd_addresses)
{
	struct vdisk *v = &self->v;
	u64 gpa = GMEM_FAR + 0x101;
	u32 len = 600 * KIB;

	vdisk_start(v);
	ASSERT_EQ(VIRTIO_BLK_S_OK, vdisk_do1(v, VIRTIO_BLK_T_IN, 1, gpa, len));
	EXPECT_EQ(len + 1, v->used_len);
	EXPECT_TRUE(is_disk(v, gpa, 512, len));
	gmem_fill(&v->m.mem, gpa, 0x11, len);
	ASSERT_EQ(VIRTIO_BLK_S_OK, vdisk_do1(v, VIRTIO_BLK_T_OUT, 2, gpa, len));
	EXPECT_TRUE(file_is(self->fd, 1024, 0x11, len));
	EXPECT_TRUE(file_untouched(self->fd, 1024 + len, DISK_BYTES));
}

TEST_F(blk, seg_max_counts_data_alone)
{
	struct vdisk *v = &self->v;
	struct drv_seg segs[BLK_MAX_SEGS + 1];
	u64 gpa = vdisk_alloc(v, 1024 * (BLK_MAX_SEGS + 1), 512);
	u32 i;

	for (i = 0; i <= BLK_MAX_SEGS; i++)
		segs[i] = (struct drv_seg) { gpa + 1024 * i, 512, true };
	vdisk_start(v);
	ASSERT_EQ(VIRTIO_BLK_S_OK, vdisk_do(v, VIRTIO_BLK_T_IN, 0, segs, BLK_MAX_SEGS));
	for (i = 0; i < BLK_MAX_SEGS; i++)
		ASSERT_TRUE(is_disk(v, gpa + 1024 * i, 512 * i, 512));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR,
		  vdisk_do(v, VIRTIO_BLK_T_IN, 0, segs, BLK_MAX_SEGS + 1));
	EXPECT_EQ(0, v->used_len);
	v->disk.seg_max = 2;	/* no request is in flight */
	EXPECT_EQ(VIRTIO_BLK_S_OK, vdisk_do(v, VIRTIO_BLK_T_IN, 0, segs, 2));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, vdisk_do(v, VIRTIO_BLK_T_IN, 0, segs, 3));
}

TEST_F(blk, beyond_the_end_is_an_error_and_never_a_short_success)
{
	static const struct { u64 sector; u32 len; } cases[] = {
		{ SECTORS, 512 }, { SECTORS - 1, 1024 }, { SECTORS + 1, 512 },
		{ UINT64_MAX, 512 }, { UINT64_MAX - 1, 2048 }, { 1ULL << 55, 512 },
		{ UINT64_MAX / 512, 512 }, { UINT64_MAX / 512 + 1, 512 },
		{ 0, 513 }, { 0, 511 }, { 0, 1 },
	};
	struct vdisk *v = &self->v;
	u64 gpa = vdisk_alloc(v, 4096, 512);
	struct gmem_shot shot;
	struct stat st;
	u32 i;

	gmem_fill(&v->m.mem, gpa, 0xee, 4096);
	shot = gmem_shoot(&v->m.mem, gpa, 4096);
	vdisk_start(v);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(VIRTIO_BLK_S_IOERR, vdisk_do1(v, VIRTIO_BLK_T_IN, cases[i].sector,
							gpa, cases[i].len));
		EXPECT_EQ(0, v->used_len);
		EXPECT_EQ(VIRTIO_BLK_S_IOERR, vdisk_do1(v, VIRTIO_BLK_T_OUT, cases[i].sector,
							gpa, cases[i].len));
		EXPECT_EQ(1, v->used_len);
	}
	EXPECT_EQ(VIRTIO_BLK_S_OK, vdisk_do1(v, VIRTIO_BLK_T_IN, SECTORS, gpa, 0));
	EXPECT_TRUE(gmem_same(&v->m.mem, &shot));
	EXPECT_TRUE(file_untouched(self->fd, 0, DISK_BYTES));
	EXPECT_EQ(0, fstat(self->fd, &st));
	EXPECT_EQ(DISK_BYTES, st.st_size);
	gmem_shot_free(&shot);
}

/* The file is shorter than the disk was said to be: truncated by somebody. */
TEST_F(blk, end_of_file_is_an_error)
{
	struct vdisk *v = &self->v;
	u64 gpa = vdisk_alloc(v, 8192, 512);

	ASSERT_EQ(0, ftruncate(self->fd, 4096));
	vdisk_start(v);
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, vdisk_do1(v, VIRTIO_BLK_T_IN, 100, gpa, 512));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, vdisk_do1(v, VIRTIO_BLK_T_IN, 0, gpa, 8192));
	EXPECT_EQ(0, v->used_len);
	EXPECT_EQ(VIRTIO_BLK_S_OK, vdisk_do1(v, VIRTIO_BLK_T_IN, 0, gpa, 4096));
}

TEST_F(blk, read_only_disk_is_never_written)
{
	struct vdisk *v = &self->v;
	u64 gpa = vdisk_alloc(v, 512, 512);
	struct virtio_blk_discard_write_zeroes range = { .num_sectors = htole32(8) };

	memcpy(gmem_ptr(&v->m.mem, gpa, 16), &range, sizeof(range));
	v->disk.read_only = true;
	vdisk_start(v);
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, vdisk_do1(v, VIRTIO_BLK_T_OUT, 0, gpa, 512));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, vdisk_do1(v, VIRTIO_BLK_T_OUT, 0, gpa, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, vdisk_do1(v, VIRTIO_BLK_T_DISCARD, 0, gpa, 16));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, vdisk_do1(v, VIRTIO_BLK_T_WRITE_ZEROES, 0, gpa, 16));
	EXPECT_EQ(VIRTIO_BLK_S_OK, vdisk_do1(v, VIRTIO_BLK_T_FLUSH, 0, 0, 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, vdisk_do1(v, VIRTIO_BLK_T_IN, 0, gpa, 512));
	EXPECT_TRUE(file_untouched(self->fd, 0, DISK_BYTES));
}

TEST_F(blk, unknown_types_are_unsupported)
{
	static const u32 types[] = {
		VIRTIO_BLK_T_SCSI_CMD, 3, 5, 6, 7, 9, 10, 12, VIRTIO_BLK_T_SECURE_ERASE, 15,
		VIRTIO_BLK_T_BARRIER, VIRTIO_BLK_T_BARRIER | VIRTIO_BLK_T_OUT, UINT32_MAX,
	};
	struct vdisk *v = &self->v;
	u64 gpa = vdisk_alloc(v, 512, 512);
	u32 i;

	vdisk_start(v);
	for (i = 0; i < ARRAY_SIZE(types); i++)
		EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, vdisk_do1(v, types[i], 0, gpa, 512));
	EXPECT_TRUE(file_untouched(self->fd, 0, DISK_BYTES));
}

TEST_F(blk, id_fills_what_there_is)
{
	static const struct { u32 room, used; } cases[] = {
		{ 0, 1 }, { 1, 2 }, { 19, 20 }, { 20, 21 }, { 64, 20 },
	};
	struct vdisk *v = &self->v;
	u64 gpa = vdisk_alloc(v, 64, 1);
	u8 *id = gmem_ptr(&v->m.mem, gpa, 64);
	u32 i;

	vdisk_start(v);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		u32 n = cases[i].room < 20 ? cases[i].room : 20;

		memset(id, 0xee, 64);
		EXPECT_EQ(VIRTIO_BLK_S_OK,
			  vdisk_do1(v, VIRTIO_BLK_T_GET_ID, 0, gpa, cases[i].room));
		EXPECT_EQ(cases[i].used, v->used_len);
		EXPECT_EQ(0, memcmp(id, v->disk.serial, n));
		EXPECT_EQ(0xee, id[n]);
	}
}

/* ---- Discards and write-zeroes --------------------------------------------------------- */

static u8 do_ranges(struct vdisk *v, u32 type, u32 nr, ...)
{
	u64 gpa = vdisk_alloc(v, 16 * nr, 1);
	va_list ap;
	u32 i;

	va_start(ap, nr);
	for (i = 0; i < nr; i++) {
		struct virtio_blk_discard_write_zeroes r = {
			.sector = htole64(va_arg(ap, u64)),
			.num_sectors = htole32(va_arg(ap, u32)),
			.flags = htole32(va_arg(ap, u32)),
		};

		memcpy(gmem_ptr(&v->m.mem, gpa + 16 * i, 16), &r, 16);
	}
	va_end(ap);
	return vdisk_do1(v, type, 0, gpa, 16 * nr);
}

TEST_F(blk, discards_give_space_back)
{
	struct vdisk *v = &self->v;
	struct stat before, after;

	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, fstat(self->fd, &before));
	vdisk_start(v);
	ASSERT_EQ(VIRTIO_BLK_S_OK, do_ranges(v, VIRTIO_BLK_T_DISCARD, 2, 0UL, 2048, 0,
					     4096UL, 2048, 0));
	ASSERT_EQ(0, fstat(self->fd, &after));
	EXPECT_EQ(before.st_size, after.st_size);
	EXPECT_LE(after.st_blocks + 4000, before.st_blocks);
	EXPECT_TRUE(file_untouched(self->fd, MIB, 2 * MIB));
	EXPECT_TRUE(file_untouched(self->fd, 3 * MIB, 4 * MIB));
}

/* No block device here, so that the ioctl fails as with one that cannot. */
TEST_F(blk, discards_of_a_block_device_are_its_own_to_refuse)
{
	struct vdisk *v = &self->v;

	v->disk.is_bdev = true;
	vdisk_start(v);
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, do_ranges(v, VIRTIO_BLK_T_DISCARD, 2, 0UL, 8, 0,
						 4096UL, 2048, 0));
	EXPECT_TRUE(file_untouched(self->fd, 0, DISK_BYTES));
	EXPECT_EQ(VIRTIO_BLK_S_OK, do_ranges(v, VIRTIO_BLK_T_WRITE_ZEROES, 1, 0UL, 8, 1));
	EXPECT_TRUE(file_is(self->fd, 0, 0, 4096));
}

TEST_F(blk, write_zeroes_reads_as_zeroes)
{
	struct vdisk *v = &self->v;
	u32 flag = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;

	vdisk_start(v);
	ASSERT_EQ(VIRTIO_BLK_S_OK, do_ranges(v, VIRTIO_BLK_T_WRITE_ZEROES, 3, 1UL, 600, 0,
					     1024UL, 1, flag, 5000UL, 0, 0));
	EXPECT_TRUE(file_is(self->fd, 512, 0, 600 * 512));
	EXPECT_TRUE(file_is(self->fd, MIB / 2, 0, 512));
	EXPECT_TRUE(file_untouched(self->fd, 0, 512));
	EXPECT_TRUE(file_untouched(self->fd, 601 * 512, 1024 * 512));
	EXPECT_TRUE(file_untouched(self->fd, 1025 * 512, DISK_BYTES));
}

/* Neither a part of it, nor a file that grows. */
TEST_F(blk, zeroes_across_the_end_of_a_file_that_was_cut_are_an_error)
{
	const u32 zeroes = VIRTIO_BLK_T_WRITE_ZEROES;
	struct vdisk *v = &self->v;
	struct stat st;

	ASSERT_EQ(0, ftruncate(self->fd, 8192));
	vdisk_start(v);
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, do_ranges(v, zeroes, 1, 8UL, 16, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, do_ranges(v, zeroes, 1, 8UL, 16, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, do_ranges(v, zeroes, 1, 100UL, 8, 0));
	EXPECT_TRUE(file_untouched(self->fd, 0, 8192));
	EXPECT_EQ(VIRTIO_BLK_S_OK, do_ranges(v, zeroes, 1, 8UL, 8, 0));
	EXPECT_EQ(0, fstat(self->fd, &st));
	EXPECT_EQ(8192, st.st_size);
}

TEST_F(blk, ranges_are_checked_before_any_is_served)
{
	const u32 discard = VIRTIO_BLK_T_DISCARD, zeroes = VIRTIO_BLK_T_WRITE_ZEROES;
	struct vdisk *v = &self->v;
	u64 gpa = vdisk_alloc(v, 65 * 16, 1);

	vdisk_start(v);
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, do_ranges(v, discard, 2, 0UL, 8, 0, 8UL, 8, 1));
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, do_ranges(v, discard, 1, 0UL, 8, 2));
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, do_ranges(v, zeroes, 2, 0UL, 8, 0, 8UL, 8, 2));
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, do_ranges(v, zeroes, 1, 0UL, 8, 1U << 31));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR,
		  do_ranges(v, discard, 2, 0UL, 8, 0, SECTORS - 4UL, 8, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, do_ranges(v, zeroes, 1, UINT64_MAX, 8, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, do_ranges(v, zeroes, 1, 0UL, 65537, 0));
	/* none, no whole one, one too many */
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, vdisk_do1(v, discard, 0, 0, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, vdisk_do1(v, discard, 0, gpa, 17));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, vdisk_do1(v, zeroes, 0, gpa, 65 * 16));
	EXPECT_EQ(VIRTIO_BLK_S_OK, vdisk_do1(v, zeroes, 0, gpa, 64 * 16));
	v->disk.max_discard_sectors = 0;
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, do_ranges(v, discard, 1, 0UL, 8, 0));
	EXPECT_TRUE(file_untouched(self->fd, 0, DISK_BYTES));
}

/* ---- What breaks the queue -------------------------------------------------------------- */

static void expect_broken(struct __test_metadata *_metadata, struct vdisk *v,
			  const struct drv_seg *segs, u32 nr)
{
	u32 state;

	/* What came before is the driver's to have. */
	EXPECT_EQ(VIRTIO_BLK_S_OK, vdisk_do1(v, VIRTIO_BLK_T_FLUSH, 0, 0, 0));
	state = drv_base(&v->drv[0]);
	vdisk_submit(v, 0, segs, nr);
	EXPECT_TRUE(vdisk_broke(v, 0));
	EXPECT_FALSE(drv_has_used(&v->drv[0]));
	vdisk_stop(v);
	/* ->state names the chain at fault. */
	EXPECT_EQ(state, v->dev.ring[0].state);
}

TEST_F(blk, no_status_byte_breaks_the_queue)
{
	struct drv_seg segs[] = { { self->v.hdr, 16, false } };

	vdisk_set_hdr(&self->v, self->v.hdr, VIRTIO_BLK_T_FLUSH, 0);
	vdisk_start(&self->v);
	expect_broken(_metadata, &self->v, segs, 1);
}

/* A descriptor of no bytes holds none. */
TEST_F(blk, status_of_no_bytes_breaks_the_queue)
{
	struct drv_seg segs[] = { { self->v.hdr, 16, false }, { self->v.status, 0, true } };

	vdisk_set_hdr(&self->v, self->v.hdr, VIRTIO_BLK_T_FLUSH, 0);
	vdisk_start(&self->v);
	expect_broken(_metadata, &self->v, segs, 2);
}

/* The status is the last byte that can be written (5.2.6), wherever that lies. */
TEST_F(blk, status_before_a_descriptor_of_no_bytes_is_in_the_last_byte)
{
	struct vdisk *v = &self->v;
	u64 gpa = vdisk_alloc(v, 513, 4096);
	struct drv_seg segs[] = {
		{ v->hdr, 16, false }, { gpa, 513, true }, { v->status, 0, true },
	};
	u8 *status = gmem_ptr(&v->m.mem, v->status - 1, 2), before[2];

	vdisk_set_hdr(v, v->hdr, VIRTIO_BLK_T_IN, 1);
	gmem_fill(&v->m.mem, gpa + 512, VDISK_LOST, 1);
	memcpy(before, status, sizeof(before));
	vdisk_start(v);
	vdisk_submit(v, 0, segs, 3);
	ASSERT_LE(0, vdisk_wait(v, 0));
	EXPECT_EQ(513, v->used_len);
	EXPECT_EQ(VIRTIO_BLK_S_OK, *(u8 *)gmem_ptr(&v->m.mem, gpa + 512, 1));
	EXPECT_EQ(0, memcmp(before, status, sizeof(before)));
	EXPECT_TRUE(is_disk(v, gpa, 512, 512));
}

TEST_F(blk, short_header_breaks_the_queue)
{
	struct drv_seg segs[] = { { self->v.hdr, 15, false }, { self->v.status, 1, true } };

	vdisk_set_hdr(&self->v, self->v.hdr, VIRTIO_BLK_T_FLUSH, 0);
	vdisk_start(&self->v);
	expect_broken(_metadata, &self->v, segs, 2);
}

TEST_F(blk, address_outside_memory_breaks_the_queue)
{
	struct drv_seg segs[] = {
		{ self->v.hdr, 16, false }, { GMEM_HOLE - 512, 1024, true },
		{ self->v.status, 1, true },
	};

	vdisk_set_hdr(&self->v, self->v.hdr, VIRTIO_BLK_T_IN, 0);
	vdisk_start(&self->v);
	expect_broken(_metadata, &self->v, segs, 3);
}

TEST_F(blk, broken_queue_leaves_the_other_alone)
{
	struct vdisk *v = &self->v;
	struct drv_seg bad = { v->hdr, 16, false };
	struct drv_seg good[] = { { v->hdr, 16, false }, { v->status, 1, true } };

	v->disk.iothreads = 1;
	vdisk_set_hdr(v, v->hdr, VIRTIO_BLK_T_FLUSH, 0);
	vdisk_start(v);
	vdisk_submit(v, 1, &bad, 1);
	ASSERT_TRUE(vdisk_broke(v, 1));
	vdisk_submit(v, 0, good, 2);
	EXPECT_LE(0, vdisk_wait(v, 0));
	EXPECT_EQ(0, ev_take(v->dev.ring[0].err_fd));
	/* And says so once. */
	vdisk_submit(v, 1, good, 2);
	EXPECT_EQ(VIRTIO_BLK_S_OK, vdisk_do1(v, VIRTIO_BLK_T_FLUSH, 0, 0, 0));
	EXPECT_EQ(0, ev_take(v->dev.ring[1].err_fd));
}

TEST_HARNESS_MAIN
