// SPDX-License-Identifier: GPL-2.0
/*
 * Framing is the driver's choice (VIRTIO 1.2, 2.7.4.1): header, data and status cut into
 * descriptors anywhere, on any alignment, also where the backend is opened with O_DIRECT.
 *
 * in:  /dev/vkick-blk over each kind of backing, no guest
 * out: the same bytes as in the usual framing, and not one beside them
 */
#include "kselftest_harness.h"

#include <endian.h>

#include "lib/disk.h"

#define MAX_SEGS	600
#define FILL		0xee	/* of guest memory that nobody is to write */

FIXTURE(frames)
{
	struct disk d;
	struct drv_seg segs[MAX_SEGS];
	u32 nr;
	u64 readable, writable;		/* gpas: where the next piece may lie */
};

FIXTURE_VARIANT(frames)
{
	struct disk_conf conf;
};

#define CONF(...)	{ .conf = { __VA_ARGS__, .max_segs = MAX_SEGS } }
FIXTURE_VARIANT_ADD(frames, tmpfs_split)
CONF(BACKING_TMPFS, .num = 1024);
FIXTURE_VARIANT_ADD(frames, ext4_direct_split_mixed)
CONF(BACKING_EXT4, .direct = true, .layout = DRV_MIXED, .features = F_INDIRECT);
FIXTURE_VARIANT_ADD(frames, null_direct_packed)
CONF(BACKING_NULL, .direct = true, .num = 1024, .features = F_PACKED);

static void begin(FIXTURE_DATA(frames) *self)
{
	self->nr = 0;
	self->readable = DISK_BUF;
	self->writable = DISK_BUF2;
	gmem_fill(&self->d.r.mem, DISK_BUF2, FILL, DISK_BUF_SIZE / 4);
}

FIXTURE_SETUP(frames)
{
	disk_open(&self->d, &variant->conf);
	self->d.config.seg_max = VKICK_BLK_MAX_SEGS;
	disk_configure(&self->d);
	disk_start(&self->d);
	disk_file_put_pattern(&self->d, 0, 64, 1);
	begin(self);
}

FIXTURE_TEARDOWN(frames)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->d.r.mem));
	disk_close(&self->d);
}

/* One more readable descriptor, with these bytes, @gap bytes from the one before. */
static void add_out(FIXTURE_DATA(frames) *self, const void *bytes, u32 len, u32 gap)
{
	self->readable += gap;
	self->segs[self->nr++] = (struct drv_seg) { self->readable, len, false };
	memcpy(gmem_ptr(&self->d.r.mem, self->readable, len), bytes, len);
	self->readable += len;
}

static void add_in(FIXTURE_DATA(frames) *self, u32 len, u32 gap)
{
	self->writable += gap;
	self->segs[self->nr++] = (struct drv_seg) { self->writable, len, true };
	self->writable += len;
}

/* All that is readable, cut after each @piece bytes. */
static void add_out_pieces(FIXTURE_DATA(frames) *self, const u8 *bytes, u32 len,
			   u32 piece, u32 gap)
{
	u32 n;

	for (; len; bytes += n, len -= n) {
		n = piece < len ? piece : len;
		add_out(self, bytes, n, gap);
	}
}

static void add_in_pieces(FIXTURE_DATA(frames) *self, u32 len, u32 piece, u32 gap)
{
	u32 n;

	for (; len; len -= n) {
		n = piece < len ? piece : len;
		add_in(self, n, gap);
	}
}

static struct virtio_blk_outhdr header(u32 type, u64 sector)
{
	return (struct virtio_blk_outhdr) { htole32(type), 0, htole64(sector) };
}

/*
 * Does it. Return: status, which is the last byte of what is writable; @data: what is
 * before it. Aborts if any byte between the pieces was written.
 */
static u8 go(FIXTURE_DATA(frames) *self, void *data)
{
	struct gmem *m = &self->d.r.mem;
	u64 from = DISK_BUF2;
	u32 i, n = 0, len;
	u8 all[65537];

	len = rig_round_trip(&self->d.r.q[0], self->segs, self->nr);
	for (i = 0; i < self->nr; i++) {
		struct drv_seg *s = &self->segs[i];

		if (!s->write)
			continue;
		gmem_read(m, all + n, s->gpa, s->len);
		n += s->len;
		CHECK(disk_is_all(&self->d, from, s->gpa - from, FILL),
		      "something before piece %u is written", i);
		from = s->gpa + s->len;
	}
	CHECK(disk_is_all(&self->d, from, 4096, FILL), "something behind is written");
	CHECK(all[n - 1] || len == n, "%u bytes used of %u", len, n);
	if (data)
		memcpy(data, all, n - 1);
	return all[n - 1];
}

static bool is_pattern(const void *data, u64 sector, u32 sectors, u32 gen)
{
	u8 want[sectors * SECTOR];

	disk_pattern(want, sector, sectors, gen);
	return !memcmp(want, data, sizeof(want));
}

/* Header and data as one stream of bytes, as the standard has it. */
static u32 out_stream(u8 *to, u64 sector, u32 sectors, u32 gen)
{
	struct virtio_blk_outhdr h = header(VIRTIO_BLK_T_OUT, sector);

	memcpy(to, &h, sizeof(h));
	disk_pattern(to + sizeof(h), sector, sectors, gen);
	return sizeof(h) + sectors * SECTOR;
}

TEST_F(frames, header_split_at_every_byte)
{
	u8 all[16 + SECTOR], data[SECTOR];
	u32 cut;

	for (cut = 1; cut < 16; cut++) {
		struct virtio_blk_outhdr h = header(VIRTIO_BLK_T_IN, 3);

		begin(self);
		add_out(self, &h, cut, 1);
		add_out(self, (u8 *)&h + cut, 16 - cut, 1);
		add_in(self, SECTOR, 512);
		add_in(self, 1, 1);
		ASSERT_EQ(VIRTIO_BLK_S_OK, go(self, data));
		ASSERT_TRUE(is_pattern(data, 3, 1, 1));

		begin(self);
		out_stream(all, 20, 1, cut + 1);
		add_out(self, all, cut, 1);
		add_out(self, all + cut, 16 - cut, 1);
		add_out(self, all + 16, SECTOR, 496);
		add_in(self, 1, 0);
		ASSERT_EQ(VIRTIO_BLK_S_OK, go(self, NULL));
		ASSERT_TRUE(disk_file_has_pattern(&self->d, 20, 1, cut + 1));
	}
}

TEST_F(frames, header_and_data_in_one_descriptor)
{
	u8 all[16 + 8 * SECTOR];
	u32 n;

	for (n = 1; n <= 8; n++) {
		begin(self);
		add_out(self, all, out_stream(all, 5, n, n + 1), n);
		add_in(self, 1, 0);
		ASSERT_EQ(VIRTIO_BLK_S_OK, go(self, NULL));
		ASSERT_TRUE(disk_file_has_pattern(&self->d, 5, n, n + 1));
	}
}

TEST_F(frames, data_and_status_in_one_descriptor)
{
	struct virtio_blk_outhdr h = header(VIRTIO_BLK_T_IN, 7);
	u8 data[8 * SECTOR];
	u32 n;

	for (n = 1; n <= 8; n++) {
		begin(self);
		add_out(self, &h, sizeof(h), 0);
		add_in(self, n * SECTOR + 1, n % 2 * 4095);
		ASSERT_EQ(VIRTIO_BLK_S_OK, go(self, data));
		ASSERT_TRUE(is_pattern(data, 7, n, 1));
	}
}

/* Of header with data, and of data with status. */
TEST_F(frames, two_pieces_cut_at_every_byte)
{
	u32 cut, len = 16 + 2 * SECTOR;
	u8 all[16 + 2 * SECTOR], data[2 * SECTOR];

	for (cut = 1; cut < len; cut += cut > 20 && cut < 500 ? 7 : 1) {
		begin(self);
		out_stream(all, 9, 2, 100 + cut);
		add_out(self, all, cut, 0);
		add_out(self, all + cut, len - cut, 3);
		add_in(self, 1, 0);
		ASSERT_EQ(VIRTIO_BLK_S_OK, go(self, NULL));
		ASSERT_TRUE(disk_file_has_pattern(&self->d, 9, 2, 100 + cut));
		if (cut > 2 * SECTOR)
			continue;

		begin(self);
		*(struct virtio_blk_outhdr *)all = header(VIRTIO_BLK_T_IN, 9);
		add_out(self, all, 16, 0);
		add_in(self, cut, 0);
		add_in(self, 2 * SECTOR + 1 - cut, 5);
		ASSERT_EQ(VIRTIO_BLK_S_OK, go(self, data));
		ASSERT_TRUE(is_pattern(data, 9, 2, 100 + cut));
	}
}

TEST_F(frames, pieces_of_each_size)
{
	static const u32 pieces[] = { 1, 2, 3, 5, 15, 16, 17, 31, 333, 511, 512, 513 };
	u8 all[16 + 8 * SECTOR], data[8 * SECTOR];
	size_t i;

	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		u32 n = pieces[i] < 8 ? 1 : 8, gap = i % 3;

		begin(self);
		add_out_pieces(self, all, out_stream(all, 11, n, 5 + i), pieces[i], gap);
		add_in(self, 1, 0);
		ASSERT_EQ(VIRTIO_BLK_S_OK, go(self, NULL)) TH_LOG("%u bytes", pieces[i]);
		ASSERT_TRUE(disk_file_has_pattern(&self->d, 11, n, 5 + i));

		begin(self);
		*(struct virtio_blk_outhdr *)all = header(VIRTIO_BLK_T_IN, 11);
		add_out_pieces(self, all, 16, pieces[i], gap);
		add_in_pieces(self, n * SECTOR + 1, pieces[i], gap);
		ASSERT_EQ(VIRTIO_BLK_S_OK, go(self, data)) TH_LOG("%u bytes", pieces[i]);
		ASSERT_TRUE(is_pattern(data, 11, n, 5 + i));
	}
}

/* A driver's buffers may lie anywhere; a device's pages have an alignment. */
TEST_F(frames, data_on_every_alignment)
{
	struct disk *d = &self->d;
	u32 at;

	for (at = 0; at < 1100; at += at < 20 || at > 500 ? 13 : 61) {
		disk_put_pattern(d, DISK_BUF + at, 16, 9, 1000 + at);
		ASSERT_EQ(VIRTIO_BLK_S_OK,
			  disk_rw(d, VIRTIO_BLK_T_OUT, 16, DISK_BUF + at, 9 * SECTOR));
		ASSERT_TRUE(disk_file_has_pattern(d, 16, 9, 1000 + at));
		gmem_fill(&d->r.mem, DISK_BUF2, FILL, 3 * GMEM_PAGE);
		ASSERT_EQ(VIRTIO_BLK_S_OK,
			  disk_rw(d, VIRTIO_BLK_T_IN, 16, DISK_BUF2 + at, 9 * SECTOR));
		ASSERT_TRUE(disk_has_pattern(d, DISK_BUF2 + at, 16, 9, 1000 + at));
		ASSERT_TRUE(disk_is_all(d, DISK_BUF2, at, FILL));
		ASSERT_TRUE(disk_is_all(d, DISK_BUF2 + at + 9 * SECTOR, GMEM_PAGE, FILL));
	}
}

TEST_F(frames, data_across_a_region_border)
{
	struct disk *d = &self->d;
	static const u32 before[] = { 1, 3, 511, 512, 513, 4095, 4096, 4097, 8192 };
	u8 got[20 * SECTOR];
	size_t i;

	for (i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		u64 gpa = GMEM_BORDER - before[i];

		gmem_fill(&d->r.mem, gpa, 0, sizeof(got));
		ASSERT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_IN, 0, gpa, sizeof(got)));
		gmem_read(&d->r.mem, got, gpa, sizeof(got));
		ASSERT_TRUE(is_pattern(got, 0, 20, 1));
		ASSERT_EQ(VIRTIO_BLK_S_OK,
			  disk_rw(d, VIRTIO_BLK_T_OUT, 40, gpa, sizeof(got)));
		disk_file_read(d, got, 40, 20);
		ASSERT_TRUE(is_pattern(got, 0, 20, 1));
	}
}

TEST_F(frames, at_random)
{
	u64 seed = 4711;
	u8 all[16 + 32 * SECTOR], data[32 * SECTOR];
	int i;

	for (i = 0; i < 150; i++) {
		u32 n = 1 + prng(&seed) % 32, sector = prng(&seed) % 1000, len, at, piece;
		bool write = prng(&seed) % 2;

		begin(self);
		len = out_stream(all, sector, n, 5000 + i);
		if (!write) {
			disk_file_write(&self->d, all + 16, sector, n);
			*(struct virtio_blk_outhdr *)all = header(VIRTIO_BLK_T_IN, sector);
			len = 16;
		}
		for (at = 0; at < len; at += piece) {
			piece = 1 + prng(&seed) % (prng(&seed) % 3 ? 64 : 4096);
			piece = piece < len - at && self->nr < 250 ? piece : len - at;
			add_out(self, all + at, piece, prng(&seed) % 5);
		}
		len = write ? 1 : n * SECTOR + 1;
		for (at = 0; at < len; at += piece) {
			piece = 1 + prng(&seed) % (prng(&seed) % 3 ? 64 : 4096);
			piece = piece < len - at && self->nr < 500 ? piece : len - at;
			add_in(self, piece, prng(&seed) % 5);
		}
		ASSERT_EQ(VIRTIO_BLK_S_OK, go(self, data)) TH_LOG("case %d", i);
		if (write) {
			ASSERT_TRUE(disk_file_has_pattern(&self->d, sector, n, 5000 + i));
		} else {
			ASSERT_TRUE(is_pattern(data, sector, n, 5000 + i));
		}
	}
}

TEST_HARNESS_MAIN
