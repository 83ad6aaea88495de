// SPDX-License-Identifier: GPL-2.0
/*
 * Durability: a flush completes when what completed before it is on the medium; a write
 * with write-through, when it is there itself (VIRTIO 1.2, 5.2.6.2).
 *
 * in:  /dev/vkick-blk over a loop device, whose data are in the file below once they
 *      are durable, and not before; over a null_blk device that takes its time; over a
 *      dm-delay device that takes its time to write
 * out: what the file below holds, and flushes that the device has seen
 */
#include "kselftest_harness.h"

#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lib/backend.h"
#include "lib/disk.h"

#define BYTES	(1U << 20)
#define SECTORS	(BYTES / SECTOR)

FIXTURE(durable)
{
	struct disk d;
	int lower;
};

FIXTURE_VARIANT(durable)
{
	struct disk_conf conf;
};

FIXTURE_VARIANT_ADD(durable, loop_split) { .conf = { BACKING_LOOP } };
FIXTURE_VARIANT_ADD(durable, loop_packed_in_order) {
	.conf = { BACKING_LOOP, .features = F_PACKED | F_IN_ORDER } };
FIXTURE_VARIANT_ADD(durable, loop_direct_split) {
	.conf = { BACKING_LOOP, .direct = true } };

FIXTURE_SETUP(durable)
{
	disk_open(&self->d, &variant->conf);
	disk_start(&self->d);
	self->lower = open(self->d.b.lower, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->lower);
}

FIXTURE_TEARDOWN(durable)
{
	close(self->lower);
	disk_close(&self->d);
}

/* Whether the file below has generation @gen; looked at from the end. */
static bool below_has(FIXTURE_DATA(durable) *self, u64 sector, u32 sectors, u32 gen)
{
	u8 got[SECTOR], want[SECTOR];

	while (sectors--) {
		ssize_t n = pread(self->lower, got, SECTOR, (sector + sectors) * SECTOR);

		CHECK(n == SECTOR, "read %zd", n);
		disk_pattern(want, sector + sectors, 1, gen);
		if (memcmp(got, want, SECTOR))
			return false;
	}
	return true;
}

/* The device is another test's as well. */
static u32 fresh(u32 gen)
{
	return getpid() * 100 + gen;
}

static u8 write_all(struct disk *d, u64 sector, u32 gen)
{
	disk_put_pattern(d, DISK_BUF, sector, SECTORS, gen);
	return disk_rw(d, VIRTIO_BLK_T_OUT, sector, DISK_BUF, BYTES);
}

TEST_F(durable, flush_completes_when_writes_before_it_are_below)
{
	struct disk *d = &self->d;
	u64 before;
	u32 i;

	for (i = 0; i < 8; i++) {
		u64 sector = i % 4 * SECTORS;

		ASSERT_EQ(VIRTIO_BLK_S_OK, write_all(d, sector, fresh(10 + i)));
		/* Or this test would show nothing. */
		if (!variant->conf.direct)
			ASSERT_FALSE(below_has(self, sector, SECTORS, fresh(10 + i)));
		before = backing_flushes(&d->b);
		ASSERT_EQ(VIRTIO_BLK_S_OK, disk_flush(d));
		ASSERT_TRUE(below_has(self, sector, SECTORS, fresh(10 + i)));
		ASSERT_LT(before, backing_flushes(&d->b));
	}
}

TEST_F(durable, write_through_write_is_below_when_it_completes)
{
	struct disk *d = &self->d;
	u64 before;
	u32 i;

	d->config.flags = VKICK_BLK_WRITE_THROUGH;
	disk_configure(d);
	for (i = 0; i < 8; i++) {
		u64 sector = i % 4 * SECTORS;

		before = backing_flushes(&d->b);
		ASSERT_EQ(VIRTIO_BLK_S_OK, write_all(d, sector, fresh(20 + i)));
		ASSERT_TRUE(below_has(self, sector, SECTORS, fresh(20 + i)));
		ASSERT_LT(before, backing_flushes(&d->b));
	}
	/* And back: from then on a write need not wait. */
	d->config.flags = 0;
	disk_configure(d);
	before = backing_flushes(&d->b);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(VIRTIO_BLK_S_OK, write_all(d, i * SECTORS, fresh(30)));
	EXPECT_EQ(before, backing_flushes(&d->b));
	ASSERT_EQ(VIRTIO_BLK_S_OK, disk_flush(d));
	EXPECT_TRUE(below_has(self, 0, 4 * SECTORS, fresh(30)));
}

TEST_F(durable, write_through_zeroes_are_below_when_they_complete)
{
	struct disk *d = &self->d;
	u8 got[8 * SECTOR];
	u64 before;
	u32 i;

	ASSERT_EQ(VIRTIO_BLK_S_OK, write_all(d, 0, fresh(40)));
	ASSERT_EQ(VIRTIO_BLK_S_OK, disk_flush(d));
	d->config.flags = VKICK_BLK_WRITE_THROUGH;
	disk_configure(d);
	for (i = 0; i < 2; i++) {
		before = backing_flushes(&d->b);
		ASSERT_EQ(VIRTIO_BLK_S_OK,
			  disk_range(d, VIRTIO_BLK_T_WRITE_ZEROES, 16 * i, 8, i));
		ASSERT_EQ(sizeof(got), pread(self->lower, got, sizeof(got), 16 * i * SECTOR));
		EXPECT_TRUE(!got[0] && !memcmp(got, got + 1, sizeof(got) - 1));
		EXPECT_LT(before, backing_flushes(&d->b));
	}
}

TEST_F(durable, file_opened_with_o_dsync_has_no_other_writes)
{
	int fd = backing_open(&self->d.b, O_RDWR | O_DSYNC | (variant->conf.direct ? O_DIRECT : 0));
	struct vkick_blk_file arg = { .size = sizeof(arg), .fd = fd };
	struct disk *d = &self->d;
	u32 i;

	disk_stop(d);
	ASSERT_EQ(0, ioctl(d->r.fd, VKICK_BLK_SET_FILE, &arg));
	close(fd);
	disk_start(d);
	for (i = 0; i < 4; i++) {
		u64 before = backing_flushes(&d->b);

		ASSERT_EQ(VIRTIO_BLK_S_OK, write_all(d, i * SECTORS, fresh(60 + i)));
		ASSERT_TRUE(below_has(self, i * SECTORS, SECTORS, fresh(60 + i)));
		ASSERT_LT(before, backing_flushes(&d->b));
	}
}

/* Reads wait for nothing of the kind. */
TEST_F(durable, reads_do_not_flush)
{
	struct disk *d = &self->d;
	u64 before = backing_flushes(&d->b);
	u32 i;

	d->config.flags = VKICK_BLK_WRITE_THROUGH;
	disk_configure(d);
	for (i = 0; i < 20; i++)
		ASSERT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_IN, i, DISK_BUF, 4096));
	EXPECT_EQ(before, backing_flushes(&d->b));
}

/* 5.2.6.2: who cannot flush relies on every write. */
TEST(without_the_flush_feature_each_write_is_durable)
{
	struct disk_conf conf = {
		BACKING_LOOP, .without = F_BLK(FLUSH) | F_BLK(CONFIG_WCE),
	};
	FIXTURE_DATA(durable) s;
	u32 i;

	disk_open(&s.d, &conf);
	disk_start(&s.d);
	s.lower = open(s.d.b.lower, O_RDONLY | O_CLOEXEC);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(VIRTIO_BLK_S_OK, write_all(&s.d, i * SECTORS, fresh(50 + i)));
		ASSERT_TRUE(below_has(&s, i * SECTORS, SECTORS, fresh(50 + i)));
	}
	close(s.lower);
	disk_close(&s.d);
}

/* ---- a medium that takes its time ---- */

#define DELAY_MS	100
#define MS		1000000ULL

TEST(flush_takes_as_long_as_the_medium_does)
{
	struct disk_conf conf = { BACKING_NULL, .delay_ms = DELAY_MS };
	struct disk d;
	u64 start;
	u32 i;

	disk_open(&d, &conf);
	disk_start(&d);
	for (i = 0; i < 3; i++) {
		/* Whole pages of the cache, which are written without being read. */
		ASSERT_EQ(VIRTIO_BLK_S_OK, write_all(&d, i * SECTORS, i));
		start = now_ns();
		ASSERT_EQ(VIRTIO_BLK_S_OK, disk_flush(&d));
		EXPECT_LE(DELAY_MS * MS, now_ns() - start);
	}
	disk_close(&d);
}

TEST(write_through_takes_as_long_as_the_medium_does)
{
	struct disk_conf conf = {
		BACKING_NULL, .delay_ms = DELAY_MS, .flags = VKICK_BLK_WRITE_THROUGH,
	};
	struct disk d;
	u64 start;
	u32 i;

	disk_open(&d, &conf);
	disk_start(&d);
	for (i = 0; i < 3; i++) {
		start = now_ns();
		ASSERT_EQ(VIRTIO_BLK_S_OK, write_all(&d, i * SECTORS, i));
		EXPECT_LE(DELAY_MS * MS, now_ns() - start);
	}
	disk_close(&d);
}

/* A flush that is under way holds up nothing but itself. */
TEST(reads_pass_a_flush)
{
	struct disk_conf conf = { BACKING_NULL, .delay_ms = 300 };
	struct disk_req flush = { .type = VIRTIO_BLK_T_FLUSH };
	struct drv_seg s = { DISK_BUF2, 4096, true };
	struct disk_req read = { VIRTIO_BLK_T_IN, 0, &s, 1 };
	struct disk d;
	int flushing, i;
	u8 status;

	disk_open(&d, &conf);
	disk_start(&d);
	ASSERT_EQ(VIRTIO_BLK_S_OK, write_all(&d, 0, 1));
	flushing = disk_submit(&d, 0, &flush);
	/* They are in the page cache. */
	for (i = 0; i < 10; i++) {
		EXPECT_NE(flushing, disk_submit(&d, 0, &read));
		EXPECT_NE(flushing, disk_take(&d, 0, &status, NULL));
		EXPECT_EQ(VIRTIO_BLK_S_OK, status);
	}
	EXPECT_EQ(flushing, disk_take(&d, 0, &status, NULL));
	EXPECT_EQ(VIRTIO_BLK_S_OK, status);
	disk_close(&d);
}

/* ---- zeroes on their way, and a flush ---- */

FIXTURE(zeroes)
{
	struct backend null, slow;
	struct disk d;
};

FIXTURE_VARIANT(zeroes)
{
	u64 features;
	bool direct;
	u32 flags;
};

FIXTURE_VARIANT_ADD(zeroes, buffered_that_keep_their_space) { 0, false, 0 };
FIXTURE_VARIANT_ADD(zeroes, buffered_that_need_no_space) {
	F_PACKED, false, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP };
FIXTURE_VARIANT_ADD(zeroes, direct) { 0, true, 0 };

#define AT	64U	/* in sectors: whole pages */
#define LEN	32U

FIXTURE_SETUP(zeroes)
{
	struct null_conf conf = { .mib = 8, .cache_mib = 8 };
	struct disk_conf dc = {
		BACKING_GIVEN, .direct = variant->direct, .features = variant->features,
	};
	const char *why = backend_lacks("null_blk") ?: backend_lacks("delay");

	backend_sweep();
	if (why)
		SKIP(return, "%s", why);
	self->null = null_make("null", &conf);
	/* Reads and flushes are not delayed, writes are. */
	self->slow = dm_make1("slow", self->null.sectors, "delay", "%s 0 0 %s 0 1000 %s 0 0",
			      self->null.path, self->null.path, self->null.path);
	dc.path = self->slow.path;
	disk_open(&self->d, &dc);
	disk_start(&self->d);
}

FIXTURE_TEARDOWN(zeroes)
{
	disk_close(&self->d);
	backend_sweep();
}

static void put_stamps(struct disk *d, u64 seed)
{
	u32 i;

	for (i = 0; i < LEN; i++)
		backend_stamp(gmem_ptr(&d->r.mem, DISK_BUF + i * SECTOR, SECTOR), AT + i, seed);
}

/*
 * What was written and then flushed is there, or the zeroes already are. As long as they
 * are under way nothing older may be.
 */
TEST_F(zeroes, under_way_take_no_write_back_that_was_flushed)
{
	struct disk *d = &self->d;
	struct virtio_blk_discard_write_zeroes range = {
		htole64(AT), htole32(LEN), htole32(variant->flags),
	};
	struct drv_seg s = { DISK_BUF2, sizeof(range), false };
	struct disk_req zero = { VIRTIO_BLK_T_WRITE_ZEROES, 0, &s, 1 };
	struct disk_req flush = { .type = VIRTIO_BLK_T_FLUSH };
	u64 deadline = now_ns() + DEADLINE_MS * MS;
	int zeroing, flushing;
	u8 status;

	put_stamps(d, 1);
	ASSERT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_OUT, AT, DISK_BUF, LEN * SECTOR));
	ASSERT_EQ(VIRTIO_BLK_S_OK, disk_flush(d));
	ASSERT_EQ(-1, backend_find_other(&self->null, AT, LEN, 1, false));

	put_stamps(d, 2);
	ASSERT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_OUT, AT, DISK_BUF, LEN * SECTOR));
	memcpy(gmem_ptr(&d->r.mem, DISK_BUF2, sizeof(range)), &range, sizeof(range));
	zeroing = disk_submit(d, 0, &zero);
	/* From here until they are written. */
	while (backend_is_cached(&self->slow, AT, LEN)) {
		ASSERT_GT(deadline, now_ns());
	}
	flushing = disk_submit(d, 0, &flush);
	do {
		int slot = disk_take(d, 0, &status, NULL);

		ASSERT_EQ(VIRTIO_BLK_S_OK, status);
		zeroing = slot == zeroing ? -1 : zeroing;
		flushing = slot == flushing ? -1 : flushing;
	} while (flushing >= 0);
	EXPECT_EQ(-1, backend_find_other(&self->null, AT, LEN, 2, true));
	if (zeroing >= 0)
		disk_take(d, 0, &status, NULL);
	EXPECT_EQ(VIRTIO_BLK_S_OK, status);
}

TEST_HARNESS_MAIN
