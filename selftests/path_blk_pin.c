// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory that stays pinned where a disk's request used it: VKICK_BLK_SET_PINNED.
 *
 * in:  /dev/vkick-blk, buffered and direct; memory tables, mappings and limits of the owner
 * out: data are right; a page is pinned by its first use, once, and let go with its table;
 *      what cannot be pinned is served all the same
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/disk_fixture.h"

#define OLD	1
#define NEW	2
#define PAGES	4
#define BYTES	(PAGES * 4096U)
#define SECTORS	(BYTES / SECTOR)

DISK_FIXTURE_PARTS(pin);
FIXTURE_VARIANT_ADD(pin, tmpfs_split)
{ .conf = { BACKING_TMPFS, .pinned = true } };
FIXTURE_VARIANT_ADD(pin, ext4_direct_packed_indirect)
{ .conf = { BACKING_EXT4, .direct = true, .pinned = true, .layout = DRV_INDIRECT,
	    .features = F_PACKED | F_INDIRECT | F_EVENT_IDX } };
FIXTURE_VARIANT_ADD(pin, loop_direct_split_in_order)
{ .conf = { BACKING_LOOP, .direct = true, .pinned = true, .features = F_IN_ORDER } };

/* A read of PAGES pages at @gpa brings what is in the file. */
static void expect_read(struct __test_metadata *_metadata, struct disk *d, u64 gpa, u32 gen)
{
	disk_file_put_pattern(d, 0, SECTORS, gen);
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_IN, 0, gpa, BYTES));
	EXPECT_TRUE(disk_has_pattern(d, gpa, 0, SECTORS, gen));
}

TEST_F(pin, page_is_pinned_once_by_its_first_use)
{
	struct disk *d = &self->d;

	EXPECT_TRUE(disk_pins_are(d, 0));
	expect_read(_metadata, d, DISK_BUF, OLD);
	EXPECT_TRUE(disk_pins_are(d, PAGES));
	expect_read(_metadata, d, DISK_BUF, NEW);
	EXPECT_TRUE(disk_pins_are(d, PAGES));
	/* Half of it is new, and it begins within a page. */
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_OUT, 0, DISK_BUF + BYTES / 2 + 512, BYTES));
	EXPECT_TRUE(disk_pins_are(d, PAGES + PAGES / 2 + 1));
	/* A stop leaves it as it is: it goes with the table. */
	disk_stop(d);
	EXPECT_TRUE(disk_pins_are(d, PAGES + PAGES / 2 + 1));
	vdev_set_mem(d->r.fd, &d->r.mem);
	EXPECT_TRUE(disk_pins_are(d, 0));
}

TEST_F(pin, all_of_a_region_can_be_pinned)
{
	struct disk *d = &self->d;
	u32 bytes = 32 * 1024, sectors = bytes / SECTOR, at, round;

	for (round = 0; round < 2; round++) {
		disk_file_put_pattern(d, 0, DISK_BUF_SIZE / SECTOR, OLD + round);
		for (at = 0; at < DISK_BUF_SIZE; at += bytes) {
			ASSERT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_IN, at / SECTOR, DISK_BUF + at, bytes));
			ASSERT_TRUE(disk_has_pattern(d, DISK_BUF + at, at / SECTOR, sectors, OLD + round));
		}
		EXPECT_TRUE(disk_pins_are(d, DISK_BUF_SIZE / 4096));
	}
	/* And back, from the same pages. */
	disk_put_pattern(d, DISK_BUF, 0, DISK_BUF_SIZE / SECTOR, 9);
	for (at = 0; at < DISK_BUF_SIZE; at += bytes)
		ASSERT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_OUT, at / SECTOR, DISK_BUF + at, bytes));
	EXPECT_TRUE(disk_file_has_pattern(d, 0, DISK_BUF_SIZE / SECTOR, 9));
	vdev_reset_owner(d->r.fd);
	EXPECT_TRUE(disk_pins_are(d, 0));
	vdev_set_owner(d->r.fd);
}

/* What the owner maps there later is the device's with the next table. */
TEST_F(pin, other_memory_in_its_place_is_used_with_the_next_table)
{
	struct disk *d = &self->d;
	u8 *p = gmem_ptr(&d->r.mem, DISK_BUF, BYTES);

	expect_read(_metadata, d, DISK_BUF, OLD);
	ASSERT_EQ(p, mmap(p, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_IN, 0, DISK_BUF, BYTES));
	EXPECT_TRUE(disk_is_all(d, DISK_BUF, BYTES, 0));
	vdev_set_mem(d->r.fd, &d->r.mem);
	expect_read(_metadata, d, DISK_BUF, NEW);
}

TEST_F(pin, memory_that_is_gone_does_no_harm)
{
	struct disk *d = &self->d;
	u8 *p = gmem_ptr(&d->r.mem, DISK_BUF, BYTES);

	expect_read(_metadata, d, DISK_BUF, OLD);
	ASSERT_EQ(0, munmap(p, BYTES));
	/* Its pages are there until the table goes. */
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_OUT, SECTORS, DISK_BUF, BYTES));
	EXPECT_TRUE(disk_pins_are(d, PAGES));
	vdev_set_mem(d->r.fd, &d->r.mem);
	EXPECT_TRUE(disk_pins_are(d, 0));
	disk_submit(d, 0, &(struct disk_req) { VIRTIO_BLK_T_OUT, 0, &(struct drv_seg) { DISK_BUF, BYTES, false }, 1 });
	EXPECT_EQ(EFAULT, rig_wait_broken(&d->r, &d->r.q[0]));
}

TEST_F(pin, read_only_memory_is_served_without)
{
	struct disk *d = &self->d;
	u8 *p = gmem_ptr(&d->r.mem, DISK_BUF, BYTES);

	disk_put_pattern(d, DISK_BUF, 0, SECTORS, NEW);
	ASSERT_EQ(0, mprotect(p + 4096, 4096, PROT_READ));
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_OUT, 0, DISK_BUF, BYTES));
	EXPECT_TRUE(disk_file_has_pattern(d, 0, SECTORS, NEW));
	/* But for the page before, which can be pinned. */
	EXPECT_TRUE(disk_pins_are(d, 1));
	disk_submit(d, 0, &(struct disk_req) { VIRTIO_BLK_T_IN, 0, &(struct drv_seg) { DISK_BUF, BYTES, true }, 1 });
	EXPECT_EQ(EFAULT, rig_wait_broken(&d->r, &d->r.q[0]));
	EXPECT_TRUE(disk_pins_are(d, 1));
}

/*
 * Pages of a file on disk, of which newer kernels have none stay for good: however often it is
 * asked for, and beside memory that does.
 */
TEST_F(pin, memory_of_a_file_on_disk_is_served)
{
	struct backing_conf conf = { .kind = BACKING_EXT4, .bytes = DISK_BUF_SIZE };
	struct disk *d = &self->d;
	struct vhost_memory *t = gmem_table(&d->r.mem);
	struct backing b;
	u32 i, j;
	u8 *p;
	int fd;

	backing_make(&b, &conf);
	fd = backing_open(&b, O_RDWR);
	p = mmap(NULL, DISK_BUF_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	for (i = 0; i < t->nregions; i++)
		if (t->regions[i].guest_phys_addr == DISK_BUF)
			t->regions[i].userspace_addr = (unsigned long)p;
	ASSERT_EQ(0, __vdev_set_mem(d->r.fd, t));
	free(t);
	for (i = 0; i < 40; i++) {
		u8 want[BYTES];

		disk_file_put_pattern(d, 0, SECTORS, i);
		ASSERT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_IN, 0, DISK_BUF, BYTES));
		disk_pattern(want, 0, SECTORS, i);
		for (j = 0; j < BYTES; j++)
			ASSERT_EQ(want[j], p[j]);
	}
	expect_read(_metadata, d, DISK_BUF2, NEW);
	vdev_set_mem(d->r.fd, &d->r.mem);
	EXPECT_TRUE(disk_pins_are(d, 0));
	munmap(p, DISK_BUF_SIZE);
	close(fd);
	backing_free(&b);
}

/* Two regions of which one ends in the midst of the other's memory. */
TEST_F(pin, regions_may_share_memory)
{
	struct disk *d = &self->d;
	struct vhost_memory *t = gmem_table(&d->r.mem);
	u64 alias = GMEM_FAR + 0x10000000;
	u8 *p = gmem_ptr(&d->r.mem, DISK_BUF, DISK_BUF_SIZE);
	u32 n = t->nregions, i;

	t = realloc(t, sizeof(*t) + (n + 1) * sizeof(t->regions[0]));
	ASSERT_TRUE(t);
	for (i = 0; i < n; i++)
		if (t->regions[i].guest_phys_addr == DISK_BUF)
			t->regions[i].memory_size = BYTES;
	/* From the middle of that one on. */
	t->regions[n] = (struct vhost_memory_region) {
		.guest_phys_addr = alias, .memory_size = BYTES, .userspace_addr = (unsigned long)p + BYTES / 2,
	};
	t->nregions = n + 1;
	ASSERT_EQ(0, __vdev_set_mem(d->r.fd, t));
	free(t);
	for (i = 0; i < 2; i++) {
		disk_file_put_pattern(d, 0, SECTORS, OLD + i);
		EXPECT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_IN, 0, alias, BYTES));
		EXPECT_TRUE(disk_has_pattern(d, DISK_BUF + BYTES / 2, 0, SECTORS, OLD + i));
	}
}

/* ---- Not by the fixture: several queues; a limit ---- */

TEST(queues_that_use_a_page_first_at_once_pin_it_once)
{
	struct disk_conf conf = { BACKING_NULL, .direct = true, .pinned = true, .nr_queues = 4 };
	struct drv_seg s = { DISK_BUF, BYTES, true };
	struct disk_req req = { VIRTIO_BLK_T_IN, 0, &s, 1 };
	struct disk d;
	u32 i, round;
	u8 status;

	disk_open(&d, &conf);
	for (i = 1; i < 4; i++)
		vdev_attach_worker(d.r.fd, i, vdev_new_worker(d.r.fd));
	disk_start(&d);
	for (round = 0; round < 200; round++) {
		for (i = 0; i < 4; i++)
			CHECK(disk_submit(&d, i, &req) >= 0, "full");
		for (i = 0; i < 4; i++) {
			disk_take(&d, i, &status, NULL);
			ASSERT_EQ(VIRTIO_BLK_S_OK, status);
		}
		if (round % 20 == 0)
			ASSERT_TRUE(disk_pins_are(&d, PAGES));
		vdev_set_mem(d.r.fd, &d.r.mem);
	}
	EXPECT_TRUE(disk_pins_are(&d, 0));
	disk_close(&d);
}

static long locked_kib(void)
{
	return proc_labelled("/proc/self/status", "VmLck");
}

TEST(memory_counts_as_locked_while_its_table_is_set)
{
	struct disk_conf conf = { BACKING_TMPFS };
	long all_kib = (GMEM_LOW_SIZE + GMEM_HIGH_SIZE + GMEM_FAR_SIZE) >> 10, before;
	struct disk d;
	int i;

	before = locked_kib();
	disk_open(&d, &conf);
	EXPECT_EQ(before, locked_kib());
	vdev_set_pinned(d.r.fd, 1);
	EXPECT_EQ(before, locked_kib());
	for (i = 0; i < 10; i++) {
		vdev_set_mem(d.r.fd, &d.r.mem);
		EXPECT_EQ(before + all_kib, locked_kib());
	}
	vdev_set_pinned(d.r.fd, 0);
	EXPECT_EQ(before + all_kib, locked_kib());
	vdev_set_mem(d.r.fd, &d.r.mem);
	EXPECT_EQ(before, locked_kib());
	vdev_set_pinned(d.r.fd, 1);
	vdev_set_mem(d.r.fd, &d.r.mem);
	/* It is forgotten, too. */
	vdev_reset_owner(d.r.fd);
	EXPECT_EQ(before, locked_kib());
	vdev_set_owner(d.r.fd);
	vdev_set_mem(d.r.fd, &d.r.mem);
	EXPECT_EQ(before, locked_kib());
	disk_close(&d);
	EXPECT_EQ(before, locked_kib());
}

#define NOBODY	65534

/* In a child: owns a disk as nobody, with *@arg bytes that it may lock. */
static int pin_within_limit(void *arg)
{
	struct rlimit limit = { *(long *)arg, *(long *)arg };
	struct disk_conf conf = { BACKING_TMPFS };
	struct disk d;
	int err;

	disk_open(&d, &conf);
	CHECK(!setrlimit(RLIMIT_MEMLOCK, &limit), "RLIMIT_MEMLOCK");
	/* Root may lock what it likes. */
	CHECK(!setresuid(NOBODY, NOBODY, NOBODY), "setresuid");
	vdev_set_pinned(d.r.fd, 1);
	struct vhost_memory *t = gmem_table(&d.r.mem);

	err = __vdev_set_mem(d.r.fd, t);
	free(t);
	/* Whatever it said: there is a table. */
	disk_start(&d);
	CHECK(disk_rw(&d, VIRTIO_BLK_T_IN, 0, DISK_BUF, BYTES) == VIRTIO_BLK_S_OK, "not served");
	vdev_set_pinned(d.r.fd, 0);
	vdev_set_mem(d.r.fd, &d.r.mem);
	CHECK(!locked_kib(), "%ld KiB stay locked", locked_kib());
	rig_close(&d.r);
	return err;
}

TEST(table_past_rlimit_memlock_is_enomem_and_the_old_one_stays)
{
	long little = 1 << 20, enough = 16 << 20;

	if (geteuid())
		SKIP(return, "needs root");
	EXPECT_EQ(-ENOMEM, in_child(pin_within_limit, &little));
	EXPECT_EQ(0, in_child(pin_within_limit, &enough));
}

TEST_HARNESS_MAIN
