// SPDX-License-Identifier: GPL-2.0
/*
 * The blk protocol (VIRTIO 1.2, 5.2.6) where it is neither a good read nor a good write:
 * unknown types, GET_ID, requests that lack a part.
 *
 * in:  /dev/vkick-blk, no guest
 * out: the status that the standard asks for; what has no place for one breaks its
 *      queue, and that queue alone
 */
#include "kselftest_harness.h"

#include <endian.h>

#include "lib/disk_fixture.h"

#define FILL	0xd7

DISK_FIXTURE_TWO(proto);

/* Of which nothing is read or written. */
static void put_fill(struct disk *d)
{
	gmem_fill(&d->r.mem, DISK_BUF, FILL, 0x10000);
	disk_file_put_pattern(d, 0, 64, 1);
}

static bool untouched(struct disk *d)
{
	return disk_is_all(d, DISK_BUF, 0x10000, FILL) && disk_file_has_pattern(d, 0, 64, 1);
}

/* ---- types ---- */

TEST_F(proto, unknown_type_is_unsupp)
{
	static const u32 types[] = {
		2, 3, 5, 6, 7, 9, 10, 12, 14, 15, 16, 18, 20, 22, 24, 26, 100, 0x100,
		0x10000, 0x80000000, 0x80000001, 0x80000004, 0xffffffff,
	};
	struct disk *d = &self->d;
	size_t i;
	int write;

	put_fill(d);
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		for (write = 0; write < 2; write++) {
			struct drv_seg s = { DISK_BUF, 4096, write };
			struct disk_req req = { types[i], 0, &s, 1 };
			u32 len;

			EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, disk_do(d, &req, &len))
				TH_LOG("type %#x", types[i]);
			/* 2.7.8.2: at least so many bytes are written. */
			EXPECT_EQ(write ? 0 : 1, len) TH_LOG("type %#x", types[i]);
			req.nr = 0;
			EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, disk_do(d, &req, NULL))
				TH_LOG("type %#x", types[i]);
		}
	EXPECT_TRUE(untouched(d));
}

TEST_F(proto, reads_and_writes_of_nothing_are_harmless)
{
	struct disk *d = &self->d;
	struct disk_req req = { VIRTIO_BLK_T_IN, 0, NULL, 0 };

	put_fill(d);
	EXPECT_GE(VIRTIO_BLK_S_IOERR, disk_do(d, &req, NULL));
	req.type = VIRTIO_BLK_T_OUT;
	EXPECT_GE(VIRTIO_BLK_S_IOERR, disk_do(d, &req, NULL));
	EXPECT_TRUE(untouched(d));
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_IN, 0, DISK_BUF, 512));
}

/* Data in the wrong direction is none: a write takes no byte of what is writable. */
TEST_F(proto, data_of_the_wrong_direction_is_not_used)
{
	struct disk *d = &self->d;
	struct drv_seg s = { DISK_BUF, 4096, true };
	struct disk_req req = { VIRTIO_BLK_T_OUT, 0, &s, 1 };

	put_fill(d);
	EXPECT_GE(VIRTIO_BLK_S_IOERR, disk_do(d, &req, NULL));
	EXPECT_TRUE(untouched(d));
	req.type = VIRTIO_BLK_T_IN;
	s.write = false;
	EXPECT_GE(VIRTIO_BLK_S_IOERR, disk_do(d, &req, NULL));
	EXPECT_TRUE(untouched(d));
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_flush(d));
}

/* ---- GET_ID ---- */

TEST_F(proto, get_id_into_buffers_of_each_size)
{
	static const u32 sizes[] = { 0, 1, 2, 19, 20, 21, 64, 512, 4096 };
	struct disk *d = &self->d;
	const u8 *serial = d->config.serial;
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct drv_seg s = { DISK_BUF + 3, sizes[i], true };
		struct disk_req req = { VIRTIO_BLK_T_GET_ID, 0, &s, 1 };
		u32 n = sizes[i] < 20 ? sizes[i] : 20, len;
		u8 got[4096];

		gmem_fill(&d->r.mem, DISK_BUF, FILL, 0x10000);
		ASSERT_EQ(VIRTIO_BLK_S_OK, disk_do(d, &req, &len)) TH_LOG("%u bytes", sizes[i]);
		gmem_read(&d->r.mem, got, s.gpa, sizes[i]);
		EXPECT_EQ(0, memcmp(got, serial, n)) TH_LOG("%u bytes", sizes[i]);
		/* What is said to be written, is: the rest, or zeroes up to the status. */
		EXPECT_LE(n, len);
		if (sizes[i] <= 20) {
			EXPECT_EQ(sizes[i] + 1, len);
		} else if (len > 20) {
			EXPECT_EQ(sizes[i] + 1, len);
			EXPECT_TRUE(disk_is_all(d, s.gpa + 20, sizes[i] - 20, 0));
		} else {
			EXPECT_TRUE(disk_is_all(d, s.gpa + 20, sizes[i] - 20, FILL));
		}
		EXPECT_TRUE(disk_is_all(d, DISK_BUF, 3, FILL));
		EXPECT_TRUE(disk_is_all(d, s.gpa + sizes[i], 4096, FILL));
	}
}

TEST_F(proto, get_id_is_filled_up_with_zeroes_and_may_change)
{
	struct disk *d = &self->d;
	struct drv_seg s = { DISK_BUF, 20, true };
	struct disk_req req = { VIRTIO_BLK_T_GET_ID, 0, &s, 1 };
	static const char * const ids[] = { "", "a", "nineteen characters", "and now with twenty." };
	int i;

	for (i = 0; i < 4; i++) {
		u8 got[20], want[20] = { 0 };

		memcpy(want, ids[i], strlen(ids[i]));
		memcpy(d->config.serial, want, 20);
		disk_configure(d);
		ASSERT_EQ(VIRTIO_BLK_S_OK, disk_do(d, &req, NULL));
		gmem_read(&d->r.mem, got, DISK_BUF, 20);
		EXPECT_EQ(0, memcmp(got, want, 20));
	}
}

/* ---- what lacks a part ---- */

/* A chain that breaks queue 0 with EINVAL, and nothing else. */
static void expect_break(struct __test_metadata *_metadata, struct disk *d,
			 const struct drv_seg *segs, u32 nr)
{
	put_fill(d);
	rig_submit(&d->r.q[0], segs, nr);
	EXPECT_EQ(EINVAL, rig_wait_broken(&d->r, &d->r.q[0]));
	EXPECT_FALSE(drv_has_used(&d->r.q[0].drv));
	EXPECT_TRUE(untouched(d));
}

static u64 put_header(struct disk *d, u32 type)
{
	struct virtio_blk_outhdr h = { htole32(type), 0, 0 };

	memcpy(gmem_ptr(&d->r.mem, DISK_BUF2, sizeof(h)), &h, sizeof(h));
	return DISK_BUF2;
}

TEST_F(proto, chain_without_a_status_byte_breaks_the_queue)
{
	struct drv_seg s[] = {
		{ put_header(&self->d, VIRTIO_BLK_T_OUT), 16, false },
		{ DISK_BUF, 512, false },
	};

	expect_break(_metadata, &self->d, s, 2);
}

TEST_F(proto, status_of_0_bytes_breaks_the_queue)
{
	struct drv_seg s[] = {
		{ put_header(&self->d, VIRTIO_BLK_T_OUT), 16, false },
		{ DISK_BUF, 512, false },
		{ DISK_BUF + 4096, 0, true },
	};

	expect_break(_metadata, &self->d, s, 3);
}

TEST_F(proto, flush_without_a_status_byte_breaks_the_queue)
{
	struct drv_seg s = { put_header(&self->d, VIRTIO_BLK_T_FLUSH), 16, false };

	expect_break(_metadata, &self->d, &s, 1);
}

TEST_F(proto, header_of_no_bytes_breaks_the_queue)
{
	struct drv_seg s = { DISK_BUF2, 513, true };

	expect_break(_metadata, &self->d, &s, 1);
}

FIXTURE(short_header)
{
	struct disk d;
};

FIXTURE_SETUP(short_header)
{
	struct disk_conf conf = { BACKING_TMPFS, .nr_queues = 2 };

	disk_open(&self->d, &conf);
	disk_start(&self->d);
}

FIXTURE_TEARDOWN(short_header)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->d.r.mem));
	disk_close(&self->d);
}

/* Each time the other queue goes on, and this one does once its ring is laid anew. */
TEST_F(short_header, breaks_its_queue_alone)
{
	struct disk *d = &self->d;
	struct vq *q = &d->r.q[0];
	struct drv_seg data = { DISK_BUF2 + 8192, 512, true };
	struct disk_req req = { VIRTIO_BLK_T_IN, 0, &data, 1 };
	u32 len;
	u8 status;

	for (len = 1; len < 16; len++) {
		struct drv_seg s[] = {
			{ put_header(d, VIRTIO_BLK_T_IN), len, false },
			{ DISK_BUF, 512, true },
			{ DISK_BUF + 4096, 1, true },
		};

		expect_break(_metadata, d, s, 3);
		disk_submit(d, 1, &req);
		disk_take(d, 1, &status, NULL);
		ASSERT_EQ(VIRTIO_BLK_S_OK, status);

		EXPECT_EQ(0, vdev_get_base(d->r.fd, 0));
		drv_free(&q->drv);
		drv_init(&q->drv, &d->r.mem, 128, d->r.features, DRV_DIRECT, 40);
		vdev_set_ring(d->r.fd, 0, &q->drv);
		ev_take(q->err);
		vdev_start(d->r.fd, 0);
	}
}

/* Whatever else a driver makes room for, the status is the last byte. */
TEST_F(proto, status_is_the_last_writable_byte)
{
	struct disk *d = &self->d;
	struct drv_seg s[] = {
		{ put_header(d, VIRTIO_BLK_T_FLUSH), 16, false },
		{ DISK_BUF, 100, true },
		{ DISK_BUF + 4096, 7, true },
	};
	u8 status;

	put_fill(d);
	rig_round_trip(&d->r.q[0], s, 3);
	gmem_read(&d->r.mem, &status, DISK_BUF + 4096 + 6, 1);
	EXPECT_GE(VIRTIO_BLK_S_UNSUPP, status);
	EXPECT_TRUE(disk_is_all(d, DISK_BUF, 4096 + 6, FILL));
	EXPECT_TRUE(disk_is_all(d, DISK_BUF + 4096 + 7, 100, FILL));
}

TEST_HARNESS_MAIN
