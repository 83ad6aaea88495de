// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory that is none, or not what it seems, as the buffer of a disk request: not
 * mapped, not accessible, cut off, huge pages, a mapping of the disk's own file.
 *
 * in:  /dev/vkick-blk, buffered and direct; the owner's mmap(), mprotect(), ftruncate()
 * out: EFAULT breaks the queue, alone, where memory is not there; the disk is as it was;
 *      no page stays pinned, nothing hangs
 */
#include "kselftest_harness.h"

#include <fcntl.h>

#include "lib/disk_fixture.h"

#define OLD	1
#define AT	(DISK_BUF + 0x4000)	/* where the page is that is bad */

DISK_FIXTURE_TWO(mem);

static u8 *page_at(struct disk *d, u64 gpa)
{
	return gmem_ptr(&d->r.mem, gpa, GMEM_PAGE);
}

/* The request's queue breaks, and nothing of the disk has changed. */
static void expect_efault(struct __test_metadata *_metadata, struct disk *d, u32 type,
			  u64 gpa, u32 bytes)
{
	struct drv_seg s = { gpa, bytes, type == VIRTIO_BLK_T_IN };
	struct disk_req req = { type, 0, &s, 1 };

	disk_file_put_pattern(d, 0, 128, OLD);
	disk_submit(d, 0, &req);
	EXPECT_EQ(EFAULT, rig_wait_broken(&d->r, &d->r.q[0]));
	EXPECT_FALSE(drv_has_used(&d->r.q[0].drv));
	EXPECT_TRUE(disk_pins_gone(d));
	EXPECT_TRUE(disk_file_has_pattern(d, 0, 128, OLD));
}

#define BAD_MEMORY_TEST(_name, _type, _how)					\
	TEST_F(mem, _name)							\
	{									\
		u8 *p = page_at(&self->d, AT);					\
										\
		ASSERT_LE(0, _how);						\
		expect_efault(_metadata, &self->d, _type, AT - 0x2000, 0x4000);	\
	}

BAD_MEMORY_TEST(read_into_prot_none, VIRTIO_BLK_T_IN, mprotect(p, GMEM_PAGE, PROT_NONE))
BAD_MEMORY_TEST(write_from_prot_none, VIRTIO_BLK_T_OUT, mprotect(p, GMEM_PAGE, PROT_NONE))
BAD_MEMORY_TEST(read_into_read_only, VIRTIO_BLK_T_IN, mprotect(p, GMEM_PAGE, PROT_READ))
BAD_MEMORY_TEST(read_into_unmapped, VIRTIO_BLK_T_IN, munmap(p, GMEM_PAGE))
BAD_MEMORY_TEST(write_from_unmapped, VIRTIO_BLK_T_OUT, munmap(p, GMEM_PAGE))

TEST_F(mem, write_from_read_only_is_good)
{
	struct disk *d = &self->d;

	disk_put_pattern(d, AT, 0, 8, 2);
	ASSERT_EQ(0, mprotect(page_at(d, AT), GMEM_PAGE, PROT_READ));
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_OUT, 0, AT, 4096));
	EXPECT_TRUE(disk_file_has_pattern(d, 0, 8, 2));
}

TEST_F(mem, buffer_outside_the_table)
{
	expect_efault(_metadata, &self->d, VIRTIO_BLK_T_IN, GMEM_HOLE - 4096, 8192);
}

TEST_F(mem, write_from_outside_the_table)
{
	expect_efault(_metadata, &self->d, VIRTIO_BLK_T_OUT, ~0ULL - 8191, 8192);
}

static void cut_off(struct disk *d, u64 gpa)
{
	struct gmem_region *r = gmem_find(&d->r.mem, gpa);

	CHECK(!ftruncate(r->memfd, GMEM_PAGE + (gpa - r->gpa)), "ftruncate");
}

/* The canary behind goes with it. */
static void grow_back(struct disk *d, u64 gpa)
{
	struct gmem_region *r = gmem_find(&d->r.mem, gpa);

	CHECK(!ftruncate(r->memfd, r->size + 2 * GMEM_PAGE), "ftruncate");
	memset(r->hva + r->size, 0xa5, GMEM_PAGE);
}

TEST_F(mem, read_into_what_is_cut_off)
{
	cut_off(&self->d, AT);
	expect_efault(_metadata, &self->d, VIRTIO_BLK_T_IN, AT - 0x2000, 0x4000);
	grow_back(&self->d, AT);
}

TEST_F(mem, write_from_what_is_cut_off)
{
	cut_off(&self->d, AT);
	expect_efault(_metadata, &self->d, VIRTIO_BLK_T_OUT, AT - 0x2000, 0x4000);
	grow_back(&self->d, AT);
}

/* Odd addresses, for which a direct disk needs pages of its own. */
TEST_F(mem, unaligned_buffer_with_a_bad_end)
{
	ASSERT_EQ(0, mprotect(page_at(&self->d, AT), GMEM_PAGE, PROT_NONE));
	expect_efault(_metadata, &self->d, VIRTIO_BLK_T_OUT, AT - 0x2000 + 1, 0x2000);
}

TEST_F(mem, unaligned_read_with_a_bad_end)
{
	ASSERT_EQ(0, mprotect(page_at(&self->d, AT), GMEM_PAGE, PROT_READ));
	expect_efault(_metadata, &self->d, VIRTIO_BLK_T_IN, AT - 0x2000 + 1, 0x2000);
}

/* ---- status and header ---- */

static void submit_with(struct disk *d, u64 hdr, u64 status)
{
	struct drv_seg s[] = { { hdr, 16, false }, { DISK_BUF2, 512, true }, { status, 1, true } };

	rig_submit(&d->r.q[0], s, 3);
}

TEST_F(mem, status_that_cannot_be_written_breaks_the_queue)
{
	ASSERT_EQ(0, mprotect(page_at(&self->d, AT), GMEM_PAGE, PROT_READ));
	submit_with(&self->d, DISK_BUF, AT + 5);
	EXPECT_EQ(EFAULT, rig_wait_broken(&self->d.r, &self->d.r.q[0]));
}

TEST_F(mem, header_that_cannot_be_read_breaks_the_queue)
{
	ASSERT_EQ(0, mprotect(page_at(&self->d, AT), GMEM_PAGE, PROT_NONE));
	submit_with(&self->d, AT - 8, DISK_BUF);
	EXPECT_EQ(EFAULT, rig_wait_broken(&self->d.r, &self->d.r.q[0]));
}

/* ---- memory that goes while the medium works ---- */

TEST(memory_is_unmapped_under_requests_in_flight)
{
	struct disk_conf conf = { BACKING_NULL, .direct = true, .delay_ms = 500 };
	struct disk_req req = { VIRTIO_BLK_T_IN, 0, NULL, 1 };
	struct deadline end = deadline_in(DEADLINE_MS);
	struct drv_seg s;
	struct disk d;
	u8 status, *p;
	u32 i;

	disk_open(&d, &conf);
	disk_start(&d);
	for (i = 0; i < 32; i++) {
		/* Every second one on no alignment: its data are copied at the end. */
		s = (struct drv_seg) { DISK_BUF + i * 0x8000 + i % 2, 0x4000, true };
		req.data = &s;
		CHECK(disk_add(&d, 0, &req) >= 0, "full");
	}
	drv_kick(&d.r.q[0].drv, d.r.q[0].kick);
	while (vdev_get_stats(d.r.fd, 0).in_flight != 32)
		CHECK(!deadline_passed(&end), "the medium is faster than this machine");
	p = gmem_ptr(&d.r.mem, DISK_BUF, DISK_BUF_SIZE);
	ASSERT_EQ(0, munmap(p, DISK_BUF_SIZE));
	/* Pages were pinned, so the aligned ones are good; the first other one is not. */
	EXPECT_EQ(EFAULT, rig_wait_broken(&d.r, &d.r.q[0]));
	disk_stop(&d);
	EXPECT_EQ(0, vdev_get_stats(d.r.fd, 0).in_flight);
	while (disk_poll(&d, 0, &status, NULL) >= 0)
		EXPECT_EQ(VIRTIO_BLK_S_OK, status);
	disk_close(&d);
}

/* ---- memory that is something else ---- */

/* The memory table with @p in the place of the region at DISK_BUF. */
static void put_memory(struct disk *d, void *p, u64 bytes)
{
	struct vhost_memory *t = gmem_table(&d->r.mem);
	u32 i;

	for (i = 0; i < t->nregions; i++)
		if (t->regions[i].guest_phys_addr == DISK_BUF) {
			t->regions[i].userspace_addr = (unsigned long)p;
			t->regions[i].memory_size = bytes;
		}
	CHECK(!__vdev_set_mem(d->r.fd, t), "SET_MEM_TABLE");
	free(t);
}

TEST_F(mem, huge_pages)
{
	const size_t size = 4 << 20;
	struct disk *d = &self->d;
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "w");
	u8 want[64 * SECTOR], *p;
	u32 i;

	if (f) {
		fputs("4\n", f);
		fclose(f);
	}
	p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (p == MAP_FAILED)
		SKIP(return, "no huge pages");
	/* Up to the next region; 1 MiB of it. */
	put_memory(d, p + (1 << 20) + 4096 * 200, 1 << 20);
	disk_file_put_pattern(d, 0, 128, OLD);
	for (i = 0; i < 30; i++) {
		u32 at = i * 4096 * 8;

		ASSERT_EQ(VIRTIO_BLK_S_OK,
			  disk_rw(d, VIRTIO_BLK_T_IN, i, DISK_BUF + at, sizeof(want)));
		disk_pattern(want, i, 64, OLD);
		ASSERT_EQ(0, memcmp(want, p + (1 << 20) + 4096 * 200 + at, sizeof(want)));
		ASSERT_EQ(VIRTIO_BLK_S_OK,
			  disk_rw(d, VIRTIO_BLK_T_OUT, i, DISK_BUF + at, sizeof(want)));
	}
	EXPECT_TRUE(disk_file_has_pattern(d, 0, 94, OLD));
	disk_stop(d);
	EXPECT_TRUE(disk_pins_gone(d));
	EXPECT_EQ(0, munmap(p, size));
}

/* Anonymous huge pages, which are split and collapsed behind one's back. */
TEST_F(mem, transparent_huge_pages)
{
	const size_t size = 6 << 20;
	struct disk *d = &self->d;
	u8 *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	u8 want[64 * SECTOR], *in = p + (3 << 20);
	u32 i;

	ASSERT_NE(MAP_FAILED, p);
	madvise(p, size, MADV_HUGEPAGE);
	memset(p, 1, size);
	put_memory(d, in, 1 << 20);
	disk_file_put_pattern(d, 0, 128, OLD);
	for (i = 0; i < 30; i++) {
		u32 at = i * 4096 * 8;

		ASSERT_EQ(VIRTIO_BLK_S_OK,
			  disk_rw(d, VIRTIO_BLK_T_IN, i, DISK_BUF + at, sizeof(want)));
		disk_pattern(want, i, 64, OLD);
		ASSERT_EQ(0, memcmp(want, in + at, sizeof(want)));
		if (i % 5 == 0)
			madvise(in + at, 4096, MADV_DONTNEED);
	}
	disk_stop(d);
	munmap(p, size);
}

/*
 * The guest's memory is the disk. What a request finds there is the driver's problem,
 * but it ends, and what lies beside is as it was.
 */
TEST_F(mem, mapping_of_the_disk_s_own_file)
{
	const u32 n = 256;
	struct disk *d = &self->d;
	int fd = backing_open(&d->b, O_RDWR);
	u8 *p = mmap(NULL, DISK_BUF_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	u32 i, type;
	u8 status;

	ASSERT_NE(MAP_FAILED, p);
	disk_file_put_pattern(d, 0, DISK_SECTORS, OLD);
	put_memory(d, p, DISK_BUF_SIZE);
	for (i = 0; i < 40; i++) {
		u32 at = i % 4 * 0x3000 + i % 3 * 512;

		type = i % 2 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT;
		/* To itself; and over its neighbours. */
		status = disk_rw(d, type, i % 5 ? at / SECTOR : i, DISK_BUF + at, 0x3000);
		EXPECT_GE(VIRTIO_BLK_S_IOERR, status);
	}
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_flush(d));
	disk_stop(d);
	EXPECT_TRUE(disk_pins_gone(d));
	munmap(p, DISK_BUF_SIZE);
	close(fd);
	EXPECT_TRUE(disk_file_has_pattern(d, n, DISK_SECTORS - n, OLD));
}

TEST_HARNESS_MAIN
