// SPDX-License-Identifier: GPL-2.0
/*
 * A disk that changes under load: resized, its backing cut off, its file system full, its
 * worker or its cache mode another.
 *
 * in:  /dev/vkick-blk over ext4 and tmpfs, with requests in flight
 * out: IOERR where there is nothing any more, as soon as the ioctl has returned; what
 *      was there before stays good; nothing is lost
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <sys/mount.h>

#include "lib/disk_fixture.h"
#include "lib/disk_load.h"

#define OLD	1

DISK_FIXTURE_TWO(change);

static struct disk_load load_at(struct disk *d, u64 first)
{
	return (struct disk_load) {
		.d = d, .depth = 16, .first = first, .buf = DISK_BUF, .seed = first + 99,
	};
}

TEST_F(change, size_under_load)
{
	struct disk *d = &self->d;
	struct disk_load l = load_at(d, 1024);	/* 512 sectors */
	u64 failed;
	int i;

	disk_load_start(&l);
	for (i = 0; i < 12; i++) {
		/* Not one of those that came after the ioctl is refused. */
		disk_resize(d, 1024 + 512 + i);
		disk_load_wait(&l, 40);
		failed = atomic_load(&l.failed);
		atomic_store(&l.may_fail, true);
		disk_resize(d, i % 2 ? 1024 : 1300);
		disk_load_wait(&l, 60);
		EXPECT_LT(failed, atomic_load(&l.failed));
		disk_resize(d, DISK_SECTORS);
		/* What is in flight may have gone by the old one. */
		disk_load_wait(&l, 20);
		atomic_store(&l.may_fail, false);
	}
	disk_load_stop(&l);
}

/* A request that was made available after the ioctl goes by what it set. */
TEST_F(change, size_counts_from_the_ioctl_on)
{
	struct disk *d = &self->d;
	u64 seed = 1;
	int i;

	for (i = 0; i < 100; i++) {
		u64 capacity = 1 + prng(&seed) % DISK_SECTORS;

		disk_resize(d, capacity);
		ASSERT_EQ(VIRTIO_BLK_S_OK,
			  disk_rw(d, VIRTIO_BLK_T_IN, capacity - 1, DISK_BUF, SECTOR));
		ASSERT_EQ(VIRTIO_BLK_S_IOERR,
			  disk_rw(d, VIRTIO_BLK_T_IN, capacity, DISK_BUF, SECTOR));
	}
}

TEST_F(change, backing_is_cut_off_under_load)
{
	struct disk *d = &self->d;
	struct disk_load l = load_at(d, 0);
	const u64 left = 2000;
	u32 i;

	disk_file_put_pattern(d, 0, DISK_SECTORS, OLD);
	disk_load_start(&l);
	disk_load_wait(&l, 50);
	ASSERT_EQ(0, ftruncate(d->check, left * SECTOR));
	disk_load_wait(&l, 100);
	disk_load_stop(&l);
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(VIRTIO_BLK_S_IOERR,
			  disk_rw(d, VIRTIO_BLK_T_IN, left + 13 * i, DISK_BUF, 4096));
		ASSERT_EQ(VIRTIO_BLK_S_IOERR,
			  disk_rw(d, VIRTIO_BLK_T_IN, left - 4, DISK_BUF, 4096));
		ASSERT_EQ(VIRTIO_BLK_S_OK,
			  disk_rw(d, VIRTIO_BLK_T_IN, left - 8, DISK_BUF, 4096));
	}
	EXPECT_TRUE(disk_has_pattern(d, DISK_BUF, left - 8, 8, OLD));
	/* It grows again, with nothing in it. */
	ASSERT_EQ(0, ftruncate(d->check, DISK_SECTORS * SECTOR));
	ASSERT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_IN, left, DISK_BUF, 4096));
	EXPECT_TRUE(disk_is_all(d, DISK_BUF, 4096, 0));
}

/* Reads of what is cut off while they run: good data, zeroes, or an error. */
TEST_F(change, backing_is_cut_off_and_grows_at_once_under_load)
{
	struct disk *d = &self->d;
	struct drv_seg s = { DISK_BUF, 64 * SECTOR, true };
	struct disk_req req = { VIRTIO_BLK_T_IN, 4096, &s, 1 };
	u32 i, j, errors = 0, good = 0;
	u8 status, want[SECTOR];

	for (i = 0; i < 40; i++) {
		disk_file_put_pattern(d, 4096, 64, OLD);
		for (j = 0; j < 8; j++) {
			s.gpa = DISK_BUF + j * 64 * SECTOR;
			disk_submit(d, 0, &req);
		}
		ASSERT_EQ(0, ftruncate(d->check, (4096 + i) * SECTOR));
		ASSERT_EQ(0, ftruncate(d->check, DISK_SECTORS * SECTOR));
		for (j = 0; j < 8; j++) {
			disk_take(d, 0, &status, NULL);
			ASSERT_GE(VIRTIO_BLK_S_IOERR, status);
			errors += status;
			good += !status;
		}
		disk_pattern(want, 4096, 1, OLD);
		if (i && !memcmp(gmem_ptr(&d->r.mem, DISK_BUF, SECTOR), want, SECTOR))
			good++;
	}
	TH_LOG("%u good, %u errors", good, errors);
	EXPECT_LT(0, good);
}

TEST_F(change, cache_mode_under_load)
{
	struct disk *d = &self->d;
	struct disk_load l = load_at(d, 512);
	int i;

	disk_load_start(&l);
	for (i = 0; i < 10; i++) {
		d->config.flags = i % 2 ? 0 : VKICK_BLK_WRITE_THROUGH;
		disk_configure(d);
		disk_load_wait(&l, 20);
	}
	disk_load_stop(&l);
}

TEST_F(change, stops_and_starts_under_load)
{
	struct disk *d = &self->d;
	struct disk_load l = load_at(d, 512);
	int i;

	disk_load_start(&l);
	for (i = 0; i < 30; i++) {
		disk_load_wait(&l, 10);
		disk_stop(d);
		ASSERT_EQ(0, vdev_get_stats(d->r.fd, 0).in_flight);
		disk_start(d);
	}
	disk_load_stop(&l);
	EXPECT_EQ(atomic_load(&l.done), vdev_get_stats(d->r.fd, 0).requests);
}

/* Another file, which has nothing of the first. */
TEST_F(change, file_between_stop_and_start)
{
	struct disk *d = &self->d;
	struct backing_conf bc = { BACKING_LOOP, DISK_SECTORS * SECTOR, 0, NULL };
	static const u8 zeroes[4096];
	struct backing other;
	int file;

	disk_file_put_pattern(d, 0, 64, 1);
	backing_make(&other, &bc);
	disk_stop(d);
	file = backing_open(&other, O_RDWR);
	ASSERT_EQ(sizeof(zeroes), pwrite(file, zeroes, sizeof(zeroes), 0));
	vdev_set_file(d->r.fd, file);
	close(file);
	disk_start(d);
	ASSERT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_IN, 0, DISK_BUF, 4096));
	EXPECT_TRUE(disk_is_all(d, DISK_BUF, 4096, 0));
	disk_put_pattern(d, DISK_BUF, 0, 8, 2);
	ASSERT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_OUT, 0, DISK_BUF, 4096));
	disk_stop(d);
	/* The first one again: nothing of that is in it. */
	file = backing_open(&d->b, O_RDWR);
	vdev_set_file(d->r.fd, file);
	close(file);
	disk_start(d);
	EXPECT_TRUE(disk_file_has_pattern(d, 0, 64, 1));
	backing_free(&other);
}

/* ---- no space left ---- */

FIXTURE(full)
{
	struct disk d;
	int filler;
};

FIXTURE_VARIANT(full)
{
	bool ext4, direct;
};

FIXTURE_VARIANT_ADD(full, tmpfs) { false, false };
FIXTURE_VARIANT_ADD(full, ext4) { true, false };
FIXTURE_VARIANT_ADD(full, ext4_direct) { true, true };

#define SMALL	BACKING_HOME "/small"

/* A sparse file, and a file system that another file has filled. */
FIXTURE_SETUP(full)
{
	static char block[1 << 16];
	struct disk_conf conf = {
		variant->ext4 ? BACKING_EXT4 : BACKING_GIVEN, .direct = variant->direct,
		.path = SMALL "/disk",
	};
	const char *dir = variant->ext4 ? BACKING_HOME "/ext4" : SMALL;
	char path[64];
	size_t n = sizeof(block);

	if (!variant->ext4) {
		int fd;

		backing_mount_tmpfs(SMALL, 2 << 20);
		fd = open(SMALL "/disk", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		ASSERT_EQ(0, ftruncate(fd, DISK_SECTORS * SECTOR));
		close(fd);
	}
	disk_open(&self->d, &conf);
	disk_start(&self->d);
	snprintf(path, sizeof(path), "%s/filler", dir);
	self->filler = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ASSERT_LE(0, self->filler);
	unlink(path);
	memset(block, 1, n);
	while (n >= 512) {
		if (write(self->filler, block, n) <= 0)
			n /= 2;
	}
	ASSERT_EQ(0, fsync(self->filler));
}

FIXTURE_TEARDOWN(full)
{
	close(self->filler);
	disk_close(&self->d);
	if (!variant->ext4)
		umount(SMALL);
}

TEST_F(full, writes_fail_and_work_again_once_there_is_space)
{
	struct disk *d = &self->d;
	u8 status;
	int i;

	disk_put_pattern(d, DISK_BUF, 0, 2048, 1);
	/* A large one may find some blocks still, but not all that it needs. */
	for (i = 0; i < 4; i++) {
		status = disk_rw(d, VIRTIO_BLK_T_OUT, i * 2048, DISK_BUF, 2048 * SECTOR);
		EXPECT_EQ(VIRTIO_BLK_S_IOERR, status);
	}
	EXPECT_EQ(VIRTIO_BLK_S_IOERR,
		  disk_rw(d, VIRTIO_BLK_T_OUT, DISK_SECTORS - 8, DISK_BUF, 4096));
	/* Reads do not care, and a flush has nothing to complain about. */
	EXPECT_EQ(VIRTIO_BLK_S_OK,
		  disk_rw(d, VIRTIO_BLK_T_IN, DISK_SECTORS - 8, DISK_BUF2, 4096));
	EXPECT_TRUE(disk_is_all(d, DISK_BUF2, 4096, 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_flush(d));

	ASSERT_EQ(0, ftruncate(self->filler, 0));
	ASSERT_EQ(0, fsync(self->filler));
	EXPECT_EQ(VIRTIO_BLK_S_OK,
		  disk_rw(d, VIRTIO_BLK_T_OUT, 0, DISK_BUF, 1024 * SECTOR));
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_flush(d));
	gmem_fill(&d->r.mem, DISK_BUF, 0, DISK_BUF_SIZE);
	EXPECT_EQ(VIRTIO_BLK_S_OK,
		  disk_rw(d, VIRTIO_BLK_T_IN, 0, DISK_BUF, 1024 * SECTOR));
	EXPECT_TRUE(disk_has_pattern(d, DISK_BUF, 0, 1024, 1));
}

TEST_HARNESS_MAIN
