// SPDX-License-Identifier: GPL-2.0
/*
 * The user datapath of disks: writes that the host loses, and who is told. The module's
 * half is in path_blk_faults.c.
 *
 * in:  vmm/blk_*.c over guest memory of this process; a device that takes its time to
 *      write, and of which a part fails, so a lab VM, and root
 * out: IOERR for whatever promises what was lost
 */
#define _GNU_SOURCE
#include "lib/vdisk.h"

#include "kselftest_harness.h"

#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/backend.h"

#define MIB_BYTES	(8U << 20)
#define SECTORS		(MIB_BYTES / SECTOR)
#define PAGE_SECTORS	8U
#define NR_QUEUES	2U
#define TOGETHER	8U		/* half of them on each queue */
#define BAD		1024U		/* from here on so many pages have no disk below */
#define NR_BAD		TOGETHER
#define GOOD		2048U

#define OK		VIRTIO_BLK_S_OK
#define IOERR		VIRTIO_BLK_S_IOERR

FIXTURE(lost)
{
	struct vdisk v;
	u64 data;
	int fd;
};

FIXTURE_VARIANT(lost)
{
	u64 features;
	u32 iothreads;
};

FIXTURE_VARIANT_ADD(lost, thread_for_each_queue) { F_EVENT_IDX, NR_QUEUES };
FIXTURE_VARIANT_ADD(lost, shared_thread) { F_PACKED, 1 };

/* Flushes do well, and at once. */
static struct backend make_slow_with_hole(void)
{
	struct null_conf conf = { .mib = MIB_BYTES >> 20, .cache_mib = 8 };
	struct backend null = null_make("null", &conf), hole;
	u32 end = BAD + NR_BAD * PAGE_SECTORS;
	struct dm_line table[4] = {
		{ 0, BAD, "linear", "" }, { BAD, end - BAD, "error", "" },
		{ end, SECTORS - end, "linear", "" },
	};

	snprintf(table[0].params, sizeof(table[0].params), "%s 0", null.path);
	snprintf(table[2].params, sizeof(table[2].params), "%s %u", null.path, end);
	hole = dm_make("hole", table);
	return dm_make1("slow", SECTORS, "delay", "%s 0 0 %s 0 1000 %s 0 0", hole.path,
			hole.path, hole.path);
}

FIXTURE_SETUP(lost)
{
	const char *why = getenv("LAB") ? backend_lacks("null_blk") ?: backend_lacks("delay") :
					  "makes disks, so it wants a lab VM";
	struct backend slow;

	if (why)
		SKIP(return, "%s", why);
	backend_sweep();
	slow = make_slow_with_hole();
	self->fd = backend_open(&slow, O_RDWR);
	vdisk_init(&self->v, self->fd, MIB_BYTES, variant->features, NR_QUEUES);
	self->v.disk.iothreads = variant->iothreads;
	self->data = vdisk_alloc(&self->v, PAGE_SECTORS * SECTOR, 4096);
	vdisk_start(&self->v);
}

FIXTURE_TEARDOWN(lost)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->v.m.mem));
	vdisk_free(&self->v);
	close(self->fd);
	backend_sweep();
}

/* A whole page of the cache, so that nothing is read for it. */
static u8 write_page(FIXTURE_DATA(lost) *self, u64 sector)
{
	return vdisk_do1(&self->v, VIRTIO_BLK_T_OUT, sector, self->data, PAGE_SECTORS * SECTOR);
}

static u8 flush(FIXTURE_DATA(lost) *self)
{
	return vdisk_do1(&self->v, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
}

/* All under way at a time; writes go to bad pages. Return: how many end with @status. */
static u32 do_together(FIXTURE_DATA(lost) *self, u32 type, u8 status)
{
	struct vdisk *v = &self->v;
	u64 at[TOGETHER];
	u32 i, n = 0;

	for (i = 0; i < TOGETHER; i++) {
		u64 hdr = vdisk_alloc(v, sizeof(struct virtio_blk_outhdr), 1);
		struct drv_seg segs[3] = {
			{ hdr, sizeof(struct virtio_blk_outhdr), false },
			{ self->data, PAGE_SECTORS * SECTOR, false },
		};
		u32 nr = type == VIRTIO_BLK_T_OUT ? 2 : 1;

		at[i] = vdisk_alloc(v, 1, 1);
		segs[nr] = (struct drv_seg) { at[i], 1, true };
		vdisk_set_hdr(v, hdr, type, BAD + i * PAGE_SECTORS);
		*(u8 *)gmem_ptr(&v->m.mem, at[i], 1) = VDISK_LOST;
		vdisk_submit(v, i % NR_QUEUES, segs, nr + 1);
	}
	for (i = 0; i < TOGETHER; i++)
		CHECK(vdisk_wait(v, i % NR_QUEUES) >= 0, "request %u is lost", i);
	for (i = 0; i < TOGETHER; i++)
		n += *(u8 *)gmem_ptr(&v->m.mem, at[i], 1) == status;
	return n;
}

TEST_F(lost, write_is_told_to_all_flushes_under_way)
{
	ASSERT_EQ(OK, write_page(self, BAD));
	EXPECT_EQ(TOGETHER, do_together(self, VIRTIO_BLK_T_FLUSH, IOERR));
	EXPECT_EQ(TOGETHER, do_together(self, VIRTIO_BLK_T_FLUSH, OK));
}

TEST_F(lost, writes_are_told_to_each_with_write_through)
{
	atomic_store(&self->v.disk.write_back, false);
	EXPECT_EQ(TOGETHER, do_together(self, VIRTIO_BLK_T_OUT, IOERR));
	EXPECT_EQ(OK, write_page(self, GOOD));
}

/* As the host does at any time, and finds no one to tell. */
static void write_back(int fd)
{
	char path[32];
	int other;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	other = open(path, O_RDWR | O_CLOEXEC);
	CHECK(other >= 0, "%s", path);
	CHECK(fdatasync(other) < 0, "nothing was lost");
	close(other);
}

/* Before zeroes are made of something, what was written there goes to the disk. */
TEST_F(lost, write_is_told_to_the_flush_though_zeroes_came_first)
{
	struct virtio_blk_discard_write_zeroes range = {
		htole64(GOOD), htole32(PAGE_SECTORS), 0,
	};
	u64 ranges = vdisk_alloc(&self->v, sizeof(range), 1);

	ASSERT_EQ(OK, write_page(self, BAD));
	write_back(self->fd);
	memcpy(gmem_ptr(&self->v.m.mem, ranges, sizeof(range)), &range, sizeof(range));
	EXPECT_EQ(OK, vdisk_do1(&self->v, VIRTIO_BLK_T_WRITE_ZEROES, 0, ranges, sizeof(range)));
	EXPECT_EQ(IOERR, flush(self));
	EXPECT_EQ(OK, flush(self));
}

TEST_HARNESS_MAIN
