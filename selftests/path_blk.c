// SPDX-License-Identifier: GPL-2.0
/*
 * The blk class: what is written is read again, from the device and from the file.
 *
 * in:  /dev/vkick-blk over each kind of backing, no guest
 * out: every byte in its place, used lengths and counters that are true, several queues
 *      and workers at once
 */
#include "kselftest_harness.h"

#include "lib/disk_fixture.h"
#include "lib/disk_load.h"
#include "lib/dlog.h"

DISK_FIXTURE(blk);

/* What the largest buffer of the tests takes. */
static const u32 sizes[] = { 1, 2, 7, 8, 9, 15, 16, 63, 64, 65, 255, 256, 1000, 2048 };
#define NR_SIZES	(int)(sizeof(sizes) / sizeof(sizes[0]))

TEST_F(blk, reads_what_is_in_the_file)
{
	struct disk *d = &self->d;
	int i;

	disk_file_put_pattern(d, 0, DISK_SECTORS, 1);
	for (i = 0; i < NR_SIZES; i++) {
		u64 sector = i % 2 ? DISK_SECTORS - sizes[i] : 13 * i;

		gmem_fill(&d->r.mem, DISK_BUF, 0x11, DISK_BUF_SIZE);
		ASSERT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_IN, sector, DISK_BUF,
						   sizes[i] * SECTOR));
		ASSERT_TRUE(disk_has_pattern(d, DISK_BUF, sector, sizes[i], 1));
		ASSERT_TRUE(disk_is_all(d, DISK_BUF + sizes[i] * SECTOR,
					DISK_BUF_SIZE - sizes[i] * SECTOR, 0x11));
	}
	EXPECT_TRUE(disk_file_has_pattern(d, 0, DISK_SECTORS, 1));
}

TEST_F(blk, writes_into_the_file_and_nothing_beside)
{
	struct disk *d = &self->d;
	int i;

	disk_file_put_pattern(d, 0, DISK_SECTORS, 1);
	for (i = 0; i < NR_SIZES; i++) {
		u32 n = sizes[i];
		u64 sector = i % 2 ? DISK_SECTORS - n : 1 + 13 * i;

		disk_put_pattern(d, DISK_BUF, sector, n, 2);
		ASSERT_EQ(VIRTIO_BLK_S_OK,
			  disk_rw(d, VIRTIO_BLK_T_OUT, sector, DISK_BUF, n * SECTOR));
		ASSERT_TRUE(disk_file_has_pattern(d, sector, n, 2));
		ASSERT_TRUE(disk_has_pattern(d, DISK_BUF, sector, n, 2));
		disk_file_put_pattern(d, sector, n, 1);
	}
	EXPECT_TRUE(disk_file_has_pattern(d, 0, DISK_SECTORS, 1));
}

/* Memory on no alignment, in many pieces: each of these is the driver's choice. */
TEST_F(blk, reads_and_writes_at_random)
{
	struct disk *d = &self->d;
	struct disk_load l = { .d = d, .depth = 16, .buf = DISK_BUF + 1, .seed = 77 };

	disk_load_start(&l);
	disk_load_wait(&l, 400);
	disk_load_stop(&l);
	l = (struct disk_load) { .d = d, .depth = 32, .buf = DISK_BUF, .seed = 78 };
	disk_load_start(&l);
	disk_load_wait(&l, 800);
	disk_load_stop(&l);
}

/* The largest there may be: the same MiB again and again, as that is the guest's. */
TEST_F(blk, request_of_16_mib)
{
	struct disk *d = &self->d;
	struct drv_seg segs[16];
	struct disk_req req = { VIRTIO_BLK_T_OUT, 0, segs, 16 };
	u32 i, len;

	/* It need not be there: the file grows. */
	disk_resize(d, VKICK_BLK_MAX_REQUEST_BYTES / SECTOR);
	if (d->b.is_block)
		SKIP(return, "a block device does not grow");
	for (i = 0; i < 16; i++)
		segs[i] = (struct drv_seg) { DISK_BUF, 1 << 20, false };
	disk_put_pattern(d, DISK_BUF, 0, 2048, 3);
	ASSERT_EQ(VIRTIO_BLK_S_OK, disk_do(d, &req, &len));
	EXPECT_EQ(1, len);
	gmem_fill(&d->r.mem, DISK_BUF, 0, DISK_BUF_SIZE);
	req.type = VIRTIO_BLK_T_IN;
	for (i = 0; i < 16; i++)
		segs[i].write = true;
	ASSERT_EQ(VIRTIO_BLK_S_OK, disk_do(d, &req, &len));
	EXPECT_EQ((16 << 20) + 1, len);
	EXPECT_TRUE(disk_has_pattern(d, DISK_BUF, 0, 2048, 3));
}

TEST_F(blk, used_length_is_data_and_status)
{
	struct disk *d = &self->d;
	struct drv_seg s = { DISK_BUF, 4096, true };
	struct disk_req req = { VIRTIO_BLK_T_IN, 0, &s, 1 };
	u32 len, n;

	for (n = 1; n < 20; n++) {
		s.len = n * SECTOR;
		ASSERT_EQ(VIRTIO_BLK_S_OK, disk_do(d, &req, &len));
		EXPECT_EQ(n * SECTOR + 1, len);
	}
	req.type = VIRTIO_BLK_T_OUT;
	s.write = false;
	ASSERT_EQ(VIRTIO_BLK_S_OK, disk_do(d, &req, &len));
	EXPECT_EQ(1, len);
	req = (struct disk_req) { .type = VIRTIO_BLK_T_FLUSH };
	ASSERT_EQ(VIRTIO_BLK_S_OK, disk_do(d, &req, &len));
	EXPECT_EQ(1, len);
}

TEST_F(blk, stats_count_requests_and_bytes)
{
	struct disk *d = &self->d;
	struct vkick_stats s;
	int i;

	for (i = 0; i < 10; i++) {
		ASSERT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_OUT, i, DISK_BUF, 8192));
		ASSERT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_IN, i, DISK_BUF, 4096));
	}
	s = vdev_get_stats(d->r.fd, 0);
	EXPECT_EQ(20, s.requests);
	EXPECT_EQ(0, s.in_flight);
	EXPECT_EQ(0, s.error);
	/* Data and status bytes; data, with or without headers. */
	EXPECT_EQ(10 * 4097 + 10, s.bytes_in);
	EXPECT_LE(10 * 8192, s.bytes_out);
	EXPECT_GE(10 * 8192 + 20 * 16, s.bytes_out);
}

/* A full ring at once; each is there once, whatever the order. */
TEST_F(blk, full_ring_at_once)
{
	struct disk *d = &self->d;
	struct drv_seg s;
	struct disk_req req = { .data = &s, .nr = 1 };
	u8 status;
	u32 i, n, round;

	for (round = 0; round < 6; round++) {
		for (n = 0; ; n++) {
			req.type = round % 2 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT;
			req.sector = n * 8;
			s = (struct drv_seg) { DISK_BUF + n * 4096, 4096, round % 2 };
			if (round % 2)
				gmem_fill(&d->r.mem, s.gpa, 0, 4096);
			else
				disk_put_pattern(d, s.gpa, req.sector, 8, round);
			if (disk_add(d, 0, &req) < 0)
				break;
		}
		drv_kick(&d->r.q[0].drv, d->r.q[0].kick);
		for (i = 0; i < n; i++) {
			disk_take(d, 0, &status, NULL);
			ASSERT_EQ(VIRTIO_BLK_S_OK, status);
		}
		ASSERT_TRUE(disk_has_pattern(d, DISK_BUF, 0, n * 8, round & ~1));
		ASSERT_TRUE(disk_file_has_pattern(d, 0, n * 8, round & ~1));
	}
	EXPECT_FALSE(drv_has_used(&d->r.q[0].drv));
}

/* ---- the dirty log ---- */

TEST_F(blk, log_has_what_was_written_and_no_more)
{
	static const u32 gpas[] = { 0, 512, 4095, 4096 * 63, 4096 * 63 + 1, 0x20200 };
	struct disk *d = &self->d;
	struct dlog l = dlog_new(&d->r.mem);
	u32 i, type;

	vdev_set_log_base(d->r.fd, l.bits);
	vdev_set_features(d->r.fd, d->r.features | F_LOG_ALL);
	for (i = 0; i < 6; i++)
		for (type = VIRTIO_BLK_T_IN; type <= VIRTIO_BLK_T_OUT; type++) {
			u64 gpa = DISK_BUF + gpas[i];
			struct dlog_range must[] = {
				/* Alone in flight, so it is always the same slot. */
				{ d->q[0].slots + DISK_SLOT_STATUS, 1 },
				{ gpa, (i + 1) * 5 * SECTOR },
			};

			dlog_clear(&l);
			ASSERT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, type, 3, gpa, must[1].len));
			/* Waits for the end of the pass. */
			vdev_get_stats(d->r.fd, 0);
			EXPECT_TRUE(dlog_exact(&l, must, type == VIRTIO_BLK_T_IN ? 2 : 1))
				TH_LOG("type %u, case %u", type, i);
		}
	/* Of one that fails, the status at least. */
	dlog_clear(&l);
	EXPECT_EQ(VIRTIO_BLK_S_IOERR,
		  disk_rw(d, VIRTIO_BLK_T_IN, DISK_SECTORS, DISK_BUF, 4096));
	vdev_get_stats(d->r.fd, 0);
	EXPECT_TRUE(dlog_marked(&l, d->q[0].slots));
	vdev_set_features(d->r.fd, d->r.features);
	dlog_clear(&l);
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_IN, 0, DISK_BUF, 4096));
	vdev_get_stats(d->r.fd, 0);
	EXPECT_EQ(0, dlog_count(&l));
	dlog_free(&l);
}

/* ---- several queues ---- */

FIXTURE(queues)
{
	struct disk d;
	struct disk_load l[4];
};

FIXTURE_VARIANT(queues)
{
	struct disk_conf conf;
};

FIXTURE_VARIANT_ADD(queues, ext4_split) { .conf = { BACKING_EXT4, .nr_queues = 4 } };
FIXTURE_VARIANT_ADD(queues, ext4_direct_packed)
{ .conf = { BACKING_EXT4, .direct = true, .nr_queues = 4, .features = F_PACKED } };
FIXTURE_VARIANT_ADD(queues, null_direct_split)
{ .conf = { BACKING_NULL, .direct = true, .nr_queues = 4, .features = F_EVENT_IDX } };
FIXTURE_VARIANT_ADD(queues, null_late_packed_in_order)
{ .conf = { BACKING_NULL, .direct = true, .nr_queues = 4, .delay_ms = 1,
	    .features = F_PACKED | F_IN_ORDER | F_EVENT_IDX } };

FIXTURE_SETUP(queues)
{
	u32 i;

	disk_open(&self->d, &variant->conf);
	for (i = 1; i < 4; i++)
		vdev_attach_worker(self->d.r.fd, i, vdev_new_worker(self->d.r.fd));
	disk_start(&self->d);
	for (i = 0; i < 4; i++)
		self->l[i] = (struct disk_load) {
			.d = &self->d,
			.queue = i,
			.first = i * 2048,
			.depth = 16,
			.buf = (i < 2 ? DISK_BUF : DISK_BUF2) + i % 2 * DISK_BUF_SIZE / 2,
			.seed = 1000 + i,
		};
}

FIXTURE_TEARDOWN(queues)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->d.r.mem));
	disk_close(&self->d);
}

TEST_F(queues, with_a_worker_each_in_parallel)
{
	u32 i;

	for (i = 0; i < 4; i++)
		disk_load_start(&self->l[i]);
	for (i = 0; i < 4; i++)
		disk_load_wait(&self->l[i], 200);
	for (i = 0; i < 4; i++)
		disk_load_stop(&self->l[i]);
	for (i = 0; i < 4; i++) {
		struct vkick_stats s = vdev_get_stats(self->d.r.fd, i);

		EXPECT_EQ(atomic_load(&self->l[i].done), s.requests);
		EXPECT_EQ(0, s.error);
		EXPECT_EQ(0, s.in_flight);
	}
}

/* Queues go from worker to worker, with requests in flight. */
TEST_F(queues, change_workers_under_load)
{
	u32 i, n;

	for (i = 0; i < 4; i++)
		disk_load_start(&self->l[i]);
	for (n = 0; n < 40; n++) {
		vdev_attach_worker(self->d.r.fd, n % 4, n * 7 % 4);
		disk_load_wait(&self->l[n % 4], 10);
	}
	for (i = 0; i < 4; i++)
		disk_load_stop(&self->l[i]);
}

/* One breaks, and the others do not care. */
TEST_F(queues, broken_one_leaves_the_others)
{
	struct disk *d = &self->d;
	u32 i;

	for (i = 1; i < 4; i++)
		disk_load_start(&self->l[i]);
	drv_break(&d->r.q[0].drv);
	ev_signal(d->r.q[0].kick);
	EXPECT_EQ(EINVAL, rig_wait_broken(&d->r, &d->r.q[0]));
	for (i = 1; i < 4; i++) {
		disk_load_wait(&self->l[i], 100);
		disk_load_stop(&self->l[i]);
	}
}

TEST_HARNESS_MAIN
