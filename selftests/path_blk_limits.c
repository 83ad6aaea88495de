// SPDX-License-Identifier: GPL-2.0
/*
 * What a disk refuses: requests past its capacity, of a size that is none, with more
 * buffers than it takes, and writes where it is read-only.
 *
 * in:  /dev/vkick-blk over each kind of backing, no guest
 * out: IOERR, and not a byte moved either way; never a short success
 */
#include "kselftest_harness.h"

#include <fcntl.h>

#include "lib/disk_fixture.h"

#define FILL	0xd7
#define OLD	1	/* generation of what is on the disk */

DISK_FIXTURE_THREE(limits);

static void prepare(struct disk *d)
{
	disk_file_put_pattern(d, 0, DISK_SECTORS, OLD);
	gmem_fill(&d->r.mem, DISK_BUF, FILL, DISK_BUF_SIZE);
}

/* Of any request that is refused: reads leave the guest's memory, writes the disk. */
static void expect_refused(struct __test_metadata *_metadata, struct disk *d,
			   const struct disk_req *req, u32 bytes)
{
	u32 len;

	EXPECT_EQ(VIRTIO_BLK_S_IOERR, disk_do(d, req, &len))
		TH_LOG("type %u, sector %#llx, %u bytes", req->type,
		       (unsigned long long)req->sector, bytes);
	/* 2.7.8.2: no more is said to be written than was. */
	EXPECT_EQ(req->type == VIRTIO_BLK_T_IN && bytes ? 0 : 1, len);
}

static void refused(struct __test_metadata *_metadata, struct disk *d, u32 type,
		    u64 sector, u32 bytes)
{
	struct drv_seg s = { DISK_BUF, bytes, type == VIRTIO_BLK_T_IN };
	struct disk_req req = { type, sector, &s, 1 };

	expect_refused(_metadata, d, &req, bytes);
}

static bool untouched(struct disk *d)
{
	return disk_is_all(d, DISK_BUF, DISK_BUF_SIZE, FILL) &&
	       disk_file_has_pattern(d, 0, DISK_SECTORS, OLD);
}

/* The backing is larger: it is the capacity that counts. */
TEST_F(limits, past_the_capacity)
{
	const u64 capacity = DISK_SECTORS / 2;
	struct disk *d = &self->d;
	u32 n;

	prepare(d);
	disk_resize(d, capacity);
	for (n = 1; n <= 70; n++) {
		refused(_metadata, d, VIRTIO_BLK_T_IN, capacity + 1 - n, n * SECTOR);
		refused(_metadata, d, VIRTIO_BLK_T_OUT, capacity + 1 - n, n * SECTOR);
		refused(_metadata, d, VIRTIO_BLK_T_IN, capacity, n * SECTOR);
		refused(_metadata, d, VIRTIO_BLK_T_OUT, capacity + n, n * SECTOR);
	}
	EXPECT_TRUE(untouched(d));
	/* And what ends exactly there is served. */
	EXPECT_EQ(VIRTIO_BLK_S_OK,
		  disk_rw(d, VIRTIO_BLK_T_IN, capacity - 64, DISK_BUF, 64 * SECTOR));
	EXPECT_TRUE(disk_has_pattern(d, DISK_BUF, capacity - 64, 64, OLD));
}

TEST_F(limits, sector_that_overflows)
{
	static const u64 sectors[] = {
		1ULL << 31, 1ULL << 32, (1ULL << 32) + 8, 1ULL << 53, 1ULL << 54,
		(1ULL << 54) + 1, (1ULL << 55) - 8, (1ULL << 55) - 1, 1ULL << 55,
		(1ULL << 55) + 8, 1ULL << 56, 1ULL << 62, (1ULL << 63) - 1, 1ULL << 63,
		(1ULL << 63) + 1, ~0ULL - 8, ~0ULL - 7, ~0ULL - 1, ~0ULL,
	};
	struct disk *d = &self->d;
	size_t i;
	u32 n;

	prepare(d);
	for (i = 0; i < sizeof(sectors) / sizeof(sectors[0]); i++)
		for (n = 1; n <= 16; n += 7) {
			refused(_metadata, d, VIRTIO_BLK_T_IN, sectors[i], n * SECTOR);
			refused(_metadata, d, VIRTIO_BLK_T_OUT, sectors[i], n * SECTOR);
		}
	EXPECT_TRUE(untouched(d));
}

TEST_F(limits, no_multiple_of_512)
{
	struct disk *d = &self->d;
	u32 n;

	prepare(d);
	for (n = 1; n < 8 * SECTOR; n += n < 40 ? 1 : 97) {
		if (n % SECTOR == 0)
			continue;
		refused(_metadata, d, VIRTIO_BLK_T_IN, 3, n);
		refused(_metadata, d, VIRTIO_BLK_T_OUT, 3, n);
	}
	for (n = 511; n < 514; n += 2) {
		refused(_metadata, d, VIRTIO_BLK_T_IN, 3, n);
		refused(_metadata, d, VIRTIO_BLK_T_OUT, 3, n);
	}
	EXPECT_TRUE(untouched(d));
}

TEST_F(limits, more_than_seg_max_buffers)
{
	static const u32 limit[] = { 1, 2, 7, 38 };
	struct disk *d = &self->d;
	struct drv_seg segs[40];
	struct disk_req req = { .data = segs };
	u32 i, n, write;

	prepare(d);
	for (i = 0; i < 4; i++) {
		d->config.seg_max = limit[i];
		disk_configure(d);
		for (write = 0; write < 2; write++) {
			for (n = 0; n < 38; n++)
				segs[n] = (struct drv_seg) { DISK_BUF + n * SECTOR, SECTOR, !write };
			req.type = write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
			req.nr = limit[i] + 1;
			if (req.nr <= 38)
				expect_refused(_metadata, d, &req, req.nr * SECTOR);
		}
	}
	EXPECT_TRUE(untouched(d));
	req.type = VIRTIO_BLK_T_IN;
	for (i = 0; i < 4; i++) {
		for (n = 0; n < limit[i]; n++)
			segs[n] = (struct drv_seg) { DISK_BUF + n * SECTOR, SECTOR, true };
		d->config.seg_max = limit[i];
		disk_configure(d);
		req.nr = limit[i];
		EXPECT_EQ(VIRTIO_BLK_S_OK, disk_do(d, &req, NULL)) TH_LOG("%u", limit[i]);
		EXPECT_TRUE(disk_has_pattern(d, DISK_BUF, 0, limit[i], OLD));
	}
}

TEST_F(limits, more_than_16_mib)
{
	struct disk *d = &self->d;
	struct drv_seg segs[17];
	struct disk_req req = { .data = segs, .nr = 17 };
	u32 i, write;

	prepare(d);
	disk_resize(d, 1ULL << 40);
	for (write = 0; write < 2; write++) {
		for (i = 0; i < 17; i++)
			segs[i] = (struct drv_seg) { DISK_BUF, i < 16 ? 1 << 20 : SECTOR, !write };
		req.type = write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
		expect_refused(_metadata, d, &req, segs[0].len);
		/* 2^32 and a sector: nobody takes that for a sector. */
		for (i = 0; i < 17; i++)
			segs[i].len = 1 << 20;
		expect_refused(_metadata, d, &req, segs[0].len);
	}
	EXPECT_TRUE(untouched(d));
}

/* The backing is smaller than the capacity says. */
TEST_F(limits, read_past_the_end_of_the_backing)
{
	struct disk *d = &self->d;
	u32 n;

	prepare(d);
	disk_resize(d, 2 * DISK_SECTORS);
	for (n = 1; n <= 64; n += 9) {
		struct drv_seg s = { DISK_BUF, n * SECTOR, true };
		struct disk_req req = { VIRTIO_BLK_T_IN, DISK_SECTORS, &s, 1 };

		EXPECT_EQ(VIRTIO_BLK_S_IOERR, disk_do(d, &req, NULL));
		/* Half of it is there: a short read is no success. */
		req.sector = DISK_SECTORS - n / 2;
		EXPECT_EQ(VIRTIO_BLK_S_IOERR, disk_do(d, &req, NULL));
	}
	EXPECT_EQ(VIRTIO_BLK_S_OK,
		  disk_rw(d, VIRTIO_BLK_T_IN, DISK_SECTORS - 64, DISK_BUF, 64 * SECTOR));
	EXPECT_TRUE(disk_has_pattern(d, DISK_BUF, DISK_SECTORS - 64, 64, OLD));
}

TEST_F(limits, write_past_the_end_of_a_block_device)
{
	struct disk *d = &self->d;

	if (!d->b.is_block)
		SKIP(return, "a file grows");
	prepare(d);
	disk_resize(d, 2 * DISK_SECTORS);
	refused(_metadata, d, VIRTIO_BLK_T_OUT, DISK_SECTORS, 8 * SECTOR);
	EXPECT_EQ(VIRTIO_BLK_S_IOERR,
		  disk_rw(d, VIRTIO_BLK_T_OUT, DISK_SECTORS - 8, DISK_BUF, 16 * SECTOR));
	EXPECT_TRUE(disk_file_has_pattern(d, 0, DISK_SECTORS - 8, OLD));
}

TEST_F(limits, capacity_is_0_until_it_is_set)
{
	struct disk *d = &self->d;

	prepare(d);
	disk_stop(d);
	vdev_reset_owner(d->r.fd);
	rig_configure(&d->r);
	vdev_set_kick(d->r.fd, 0, d->r.q[0].kick);
	vdev_set_call(d->r.fd, 0, d->r.q[0].call);
	vdev_set_file(d->r.fd, d->check);
	disk_start(d);
	refused(_metadata, d, VIRTIO_BLK_T_IN, 0, SECTOR);
	refused(_metadata, d, VIRTIO_BLK_T_OUT, 0, SECTOR);
	EXPECT_TRUE(untouched(d));
}

/* ---- read-only ---- */

static void expect_read_only(struct __test_metadata *_metadata, struct disk *d)
{
	prepare(d);
	refused(_metadata, d, VIRTIO_BLK_T_OUT, 0, SECTOR);
	refused(_metadata, d, VIRTIO_BLK_T_OUT, 100, 64 * SECTOR);
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, disk_range(d, VIRTIO_BLK_T_DISCARD, 0, 64, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, disk_range(d, VIRTIO_BLK_T_WRITE_ZEROES, 0, 64, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, disk_range(d, VIRTIO_BLK_T_WRITE_ZEROES, 0, 64,
						 VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP));
	EXPECT_TRUE(untouched(d));
	/* 5.2.6.2: a flush is allowed. */
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_flush(d));
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_IN, 8, DISK_BUF, 4096));
	EXPECT_TRUE(disk_has_pattern(d, DISK_BUF, 8, 8, OLD));
}

TEST_F(limits, read_only_by_the_flag)
{
	struct disk *d = &self->d;

	d->config.flags = VKICK_BLK_READ_ONLY;
	disk_configure(d);
	expect_read_only(_metadata, d);
	/* And no longer. */
	d->config.flags = 0;
	disk_configure(d);
	disk_put_pattern(d, DISK_BUF, 0, 8, 2);
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_OUT, 0, DISK_BUF, 4096));
	EXPECT_TRUE(disk_file_has_pattern(d, 0, 8, 2));
}

TEST_F(limits, read_only_by_the_fd)
{
	struct disk *d = &self->d;
	int file = backing_open(&d->b, O_RDONLY | (variant->conf.direct ? O_DIRECT : 0));

	disk_stop(d);
	vdev_set_file(d->r.fd, file);
	close(file);
	disk_start(d);
	expect_read_only(_metadata, d);
}

TEST_HARNESS_MAIN
