// SPDX-License-Identifier: GPL-2.0
/*
 * Durability: a flush completes when what completed before it is on the medium; a write
 * with write-through, when it is there itself (VIRTIO 1.2, 5.2.6.2).
 *
 * in:  /dev/vkick-blk over a loop device, whose data are in the file below once they
 *      are durable, and not before; over a null_blk device that takes its time
 * out: what the file below holds, and flushes that the device has seen
 */
#include "kselftest_harness.h"

#include <fcntl.h>

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

TEST_HARNESS_MAIN
