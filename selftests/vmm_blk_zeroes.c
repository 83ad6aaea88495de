// SPDX-License-Identifier: GPL-2.0
/*
 * The user datapath of disks: zeroes that are under way, and a flush. The module's half
 * is in path_blk_durable.c.
 *
 * in:  vmm/blk_*.c over guest memory of this process; a dm-delay device that takes its
 *      time to write, so a lab VM, and root
 * out: what the disk below holds when the flush completes
 */
#include "lib/vdisk.h"

#include "kselftest_harness.h"

#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/backend.h"

#define AT	64U	/* in sectors: whole pages */
#define LEN	32U

FIXTURE(zeroes)
{
	struct backend null, slow;
	struct vdisk v;
	u64 data;
	int fd;
};

FIXTURE_VARIANT(zeroes)
{
	u64 features;
	int flags;
	u32 unmap;
};

FIXTURE_VARIANT_ADD(zeroes, buffered_that_keep_their_space) { 0, 0, 0 };
FIXTURE_VARIANT_ADD(zeroes, buffered_that_need_no_space) {
	F_PACKED, 0, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP };
FIXTURE_VARIANT_ADD(zeroes, direct) { 0, O_DIRECT, 0 };

FIXTURE_SETUP(zeroes)
{
	struct null_conf conf = { .mib = 8, .cache_mib = 8 };
	const char *why = getenv("LAB") ? backend_lacks("null_blk") ?: backend_lacks("delay") :
					  "makes disks, so it wants a lab VM";

	if (why)
		SKIP(return, "%s", why);
	backend_sweep();
	self->null = null_make("null", &conf);
	/* Reads and flushes are not delayed, writes are. */
	self->slow = dm_make1("slow", self->null.sectors, "delay", "%s 0 0 %s 0 1000 %s 0 0",
			      self->null.path, self->null.path, self->null.path);
	self->fd = backend_open(&self->slow, O_RDWR | variant->flags);
	vdisk_init(&self->v, self->fd, self->slow.sectors * SECTOR, variant->features, 2);
	self->v.disk.is_bdev = true;
	self->v.disk.direct = variant->flags & O_DIRECT;
	self->data = vdisk_alloc(&self->v, LEN * SECTOR, 4096);
	vdisk_start(&self->v);
}

FIXTURE_TEARDOWN(zeroes)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->v.m.mem));
	vdisk_free(&self->v);
	close(self->fd);
	backend_sweep();
}

static u8 write_stamps(FIXTURE_DATA(zeroes) *self, u64 seed)
{
	u32 i;

	for (i = 0; i < LEN; i++)
		backend_stamp(gmem_ptr(&self->v.m.mem, self->data + i * SECTOR, SECTOR), AT + i,
			      seed);
	return vdisk_do1(&self->v, VIRTIO_BLK_T_OUT, AT, self->data, LEN * SECTOR);
}

/* As path_blk_durable's. */
TEST_F(zeroes, under_way_take_no_write_back_that_was_flushed)
{
	struct vdisk *v = &self->v;
	struct virtio_blk_discard_write_zeroes range = {
		htole64(AT), htole32(LEN), htole32(variant->unmap),
	};
	u64 hdr = vdisk_alloc(v, sizeof(struct virtio_blk_outhdr), 1);
	u64 ranges = vdisk_alloc(v, sizeof(range), 1), status = vdisk_alloc(v, 1, 1);
	struct drv_seg segs[] = {
		{ hdr, sizeof(struct virtio_blk_outhdr), false },
		{ ranges, sizeof(range), false },
		{ status, 1, true },
	};
	u64 deadline;

	ASSERT_EQ(VIRTIO_BLK_S_OK, write_stamps(self, 1));
	ASSERT_EQ(VIRTIO_BLK_S_OK, vdisk_do1(v, VIRTIO_BLK_T_FLUSH, 0, 0, 0));
	ASSERT_EQ(-1, backend_find_other(&self->null, AT, LEN, 1, false));

	ASSERT_EQ(VIRTIO_BLK_S_OK, write_stamps(self, 2));
	vdisk_set_hdr(v, hdr, VIRTIO_BLK_T_WRITE_ZEROES, 0);
	memcpy(gmem_ptr(&v->m.mem, ranges, sizeof(range)), &range, sizeof(range));
	*(u8 *)gmem_ptr(&v->m.mem, status, 1) = VDISK_LOST;
	vdisk_submit(v, 1, segs, 3);
	deadline = now_ns() + DEADLINE_MS * 1000000ULL;
	/* From here until they are written. */
	while (backend_is_cached(&self->slow, AT, LEN)) {
		ASSERT_GT(deadline, now_ns());
	}
	ASSERT_EQ(VIRTIO_BLK_S_OK, vdisk_do1(v, VIRTIO_BLK_T_FLUSH, 0, 0, 0));
	EXPECT_EQ(-1, backend_find_other(&self->null, AT, LEN, 2, true));
	ASSERT_LE(0, vdisk_wait(v, 1));
	EXPECT_EQ(VIRTIO_BLK_S_OK, *(u8 *)gmem_ptr(&v->m.mem, status, 1));
}

TEST_HARNESS_MAIN
