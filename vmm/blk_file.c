// SPDX-License-Identifier: GPL-2.0
/*
 * What a disk's data lie in: a regular file or a block device, opened, locked and
 * measured.
 *
 * in:  the keys of --disk
 * out: the fields of struct blk_disk that the backend decides, or one line why not
 *
 * Nothing that is there changes by being measured.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "blk.h"

#define MAX_BLOCK_BYTES		4096U

/* Of one range. Zeroes may have to be written one by one, which takes its time. */
#define MAX_DISCARD_SECTORS	(1 * GIB / BLK_SECTOR_BYTES)
#define MAX_ZERO_SECTORS	(64 * MIB / BLK_SECTOR_BYTES)

/* ---- Opening -------------------------------------------------------------------- */

static void check_type(struct blk_disk *d)
{
	struct stat st;

	if (stat(d->path, &st))
		die("--disk path=%s: %s", d->path, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		die("--disk path=%s: neither a file nor a block device: give one", d->path);
	d->is_bdev = S_ISBLK(st.st_mode);
}

/* O_EXCL of a block device: nobody has it, or a partition of it, mounted. */
static void open_backend(struct blk_disk *d)
{
	int flags = O_CLOEXEC | (d->read_only ? O_RDONLY : O_RDWR);

	if (d->is_bdev && !d->read_only)
		flags |= O_EXCL;
	d->fd = open(d->path, flags);
	if (d->fd >= 0)
		return;
	if (errno == EBUSY)
		die("--disk path=%s: in use by this host: unmount it, or give readonly=on",
		    d->path);
	if (!d->read_only && (errno == EACCES || errno == EPERM || errno == EROFS))
		die("--disk path=%s: %s: give readonly=on, or a file that you may write",
		    d->path, strerror(errno));
	die("--disk path=%s: %s", d->path, strerror(errno));
}

/* By its fd, since another file may have come to be at its path. */
static void open_aside(struct blk_disk *d)
{
	char path[32];

	d->aside_fd = -1;
	if (d->read_only)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", d->fd);
	d->aside_fd = open(path, O_CLOEXEC | O_RDWR);
	if (d->aside_fd < 0)
		die("--disk path=%s: it cannot be opened twice, by %s: %s", d->path, path, strerror(errno));
}

/*
 * QEMU's bytes: whoever has a read lock on 100 + i has that right to an image, on
 * 200 + i leaves it to nobody else. Rights: 0 to read, 1 to write, 3 to resize.
 */
#define LOCK_READS		100
#define LOCK_WRITES		101
#define LOCK_NO_WRITES		201
#define LOCK_NO_RESIZES		203

/* Return: what fcntl() does; a lock is of the open file, so it binds ourselves too. */
static int lock_bytes(const struct blk_disk *d, int op, short type, off_t first, off_t last,
		      struct flock *lock)
{
	*lock = (struct flock) {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = first,
		.l_len = last ? last - first + 1 : 0,
	};
	return fcntl(d->fd, op, lock);
}

/* Who writes has every byte for itself. A file system without locks has no others. */
static bool lock_to_write(const struct blk_disk *d)
{
	struct flock lock;

	return !lock_bytes(d, F_OFD_SETLK, F_WRLCK, 0, 0, &lock) ||
	       (errno != EAGAIN && errno != EACCES);
}

static bool lock_to_read(const struct blk_disk *d)
{
	struct flock lock;

	if ((lock_bytes(d, F_OFD_SETLK, F_RDLCK, LOCK_READS, LOCK_READS, &lock) ||
	     lock_bytes(d, F_OFD_SETLK, F_RDLCK, LOCK_NO_WRITES, LOCK_NO_RESIZES, &lock)) &&
	    (errno == EAGAIN || errno == EACCES))
		return false;
	return lock_bytes(d, F_OFD_GETLK, F_WRLCK, LOCK_WRITES, LOCK_WRITES, &lock) ||
	       lock.l_type == F_UNLCK;
}

static void lock_backend(const struct blk_disk *d)
{
	if (!(d->read_only ? lock_to_read(d) : lock_to_write(d)))
		die("--disk path=%s: in use%s by another --disk, vkick or QEMU: end that, or give readonly=on to all",
		    d->path, d->read_only ? " for writing" : "");
}

/* ---- Size and alignment ----------------------------------------------------------- */

u64 blk_file_bytes(const struct blk_disk *d)
{
	struct stat st;
	u64 bytes;

	if (d->is_bdev)
		return ioctl(d->fd, BLKGETSIZE64, &bytes) ? 0 : bytes;
	return fstat(d->fd, &st) ? 0 : (u64)st.st_size;
}

static u64 check_size(const struct blk_disk *d)
{
	u64 bytes = blk_file_bytes(d);

	if (!bytes)
		die("--disk path=%s: it is empty: give it a size, as truncate -s 1G does",
		    d->path);
	if (bytes % BLK_SECTOR_BYTES)
		die("--disk path=%s: %lu bytes are no multiple of 512: make it longer",
		    d->path, bytes);
	return bytes;
}

static u32 bdev_block_bytes(const struct blk_disk *d)
{
	int bytes;

	return ioctl(d->fd, BLKSSZGET, &bytes) ? BLK_SECTOR_BYTES : bytes;
}

/* With O_DIRECT: the smallest read that the file takes, 0 if it takes none. */
static u32 smallest_read(const struct blk_disk *d)
{
	u32 bytes = BLK_SECTOR_BYTES;
	void *buf;

	if (posix_memalign(&buf, MAX_BLOCK_BYTES, MAX_BLOCK_BYTES))
		return 0;
	while (bytes <= MAX_BLOCK_BYTES && pread(d->fd, buf, bytes, 0) < 0 && errno == EINVAL)
		bytes *= 2;
	free(buf);
	return bytes <= MAX_BLOCK_BYTES ? bytes : 0;
}

/* Return: what O_DIRECT wants requests to be multiples of, 0 if it does not work. */
static u32 direct_align(const struct blk_disk *d)
{
	struct statx st;
	u32 align;

	if (d->is_bdev)
		return bdev_block_bytes(d);
	if (statx(d->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) ||
	    !(st.stx_mask & STATX_DIOALIGN))
		return smallest_read(d);
	align = st.stx_dio_offset_align;
	if (align && st.stx_dio_mem_align > align)
		align = st.stx_dio_mem_align;
	return align && align < BLK_SECTOR_BYTES ? BLK_SECTOR_BYTES : align;
}

/* Return: direct_align() with O_DIRECT on, or 0 with it off. */
static u32 try_direct(const struct blk_disk *d)
{
	int flags = fcntl(d->fd, F_GETFL);
	u32 align;

	if (fcntl(d->fd, F_SETFL, flags | O_DIRECT))
		return 0;
	align = direct_align(d);
	if (!align || align > MAX_BLOCK_BYTES) {
		fcntl(d->fd, F_SETFL, flags);
		return 0;
	}
	return align;
}

static void choose_blocks(struct blk_disk *d, const struct blk_options *o, u64 bytes)
{
	u32 align = o->direct == BLK_DIRECT_OFF ? 0 : try_direct(d);

	if (o->direct == BLK_DIRECT_ON && !align)
		die("--disk path=%s,direct=on: its file system has no direct I/O: give direct=off",
		    d->path);
	if (o->direct == BLK_DIRECT_ON && o->block_bytes && o->block_bytes < align)
		die("--disk path=%s,direct=on,block-size=%u: its own blocks have %u bytes: give block-size=%u or direct=off",
		    d->path, o->block_bytes, align, align);
	/* Chosen by us, it must not stand in the way. */
	if (o->direct == BLK_DIRECT_AUTO && align &&
	    ((o->block_bytes && o->block_bytes < align) || bytes % align)) {
		fcntl(d->fd, F_SETFL, fcntl(d->fd, F_GETFL) & ~O_DIRECT);
		align = 0;
	}
	d->direct = align;
	if (o->block_bytes)
		d->block_bytes = o->block_bytes;
	else if (d->is_bdev)
		d->block_bytes = bdev_block_bytes(d);
	else
		d->block_bytes = align ? align : BLK_SECTOR_BYTES;
	if (d->block_bytes > MAX_BLOCK_BYTES)
		die("--disk path=%s: blocks of %u bytes: at most %u work", d->path,
		    d->block_bytes, MAX_BLOCK_BYTES);
	if (bytes % d->block_bytes)
		die("--disk path=%s: %lu bytes are no multiple of its block size %u: make it longer",
		    d->path, bytes, d->block_bytes);
}

/* ---- Topology, discards, zeroes ------------------------------------------------------ */

/* An attribute of the block device's queue; a partition's is its disk's. 0: none. */
static u64 queue_attr(const struct stat *st, const char *name)
{
	static const char *const dirs[] = { "queue", "../queue" };
	unsigned long v = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		char path[128];
		FILE *f;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/%s",
			 major(st->st_rdev), minor(st->st_rdev), dirs[i], name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fscanf(f, "%lu", &v) != 1)
			v = 0;
		fclose(f);
		break;
	}
	return v;
}

static void measure_bdev(struct blk_disk *d, const struct stat *st)
{
	unsigned int physical, min_io, opt_io;
	int align;

	if (!ioctl(d->fd, BLKPBSZGET, &physical) && physical > d->block_bytes)
		d->physical_block_bytes = physical;
	/* -1: it has none that suits all its parts. The driver's field is a byte (5.2.4). */
	if (!ioctl(d->fd, BLKALIGNOFF, &align) && align > 0 && align / d->block_bytes <= UINT8_MAX)
		d->align_bytes = align;
	if (!ioctl(d->fd, BLKIOMIN, &min_io))
		d->min_io_bytes = min_io;
	if (!ioctl(d->fd, BLKIOOPT, &opt_io))
		d->opt_io_bytes = opt_io;
	if (d->read_only)
		return;
	if (queue_attr(st, "discard_max_bytes")) {
		d->max_discard_sectors = MAX_DISCARD_SECTORS;
		d->discard_align_sectors = queue_attr(st, "discard_granularity") /
					   BLK_SECTOR_BYTES;
	}
	d->write_zeroes_may_unmap = queue_attr(st, "write_zeroes_max_bytes") > 0;
}

static void measure_file(struct blk_disk *d, const struct stat *st)
{
	u32 unit = st->st_blksize > MAX_BLOCK_BYTES ? MAX_BLOCK_BYTES : st->st_blksize;
	off_t past_end = (st->st_size + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);

	if (unit > d->block_bytes && !(unit & (unit - 1)))
		d->physical_block_bytes = unit;
	d->min_io_bytes = d->physical_block_bytes;
	if (d->read_only)
		return;
	/* A hole where nothing is changes nothing. */
	if (fallocate(d->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, past_end, PAGE_BYTES))
		return;
	d->max_discard_sectors = MAX_DISCARD_SECTORS;
	d->discard_align_sectors = d->physical_block_bytes / BLK_SECTOR_BYTES;
	d->write_zeroes_may_unmap = true;
}

/* ---- The interface -------------------------------------------------------------------- */

void blk_file_open(struct blk_disk *d, const struct blk_options *o)
{
	struct stat st;
	u64 bytes;

	d->path = o->path;
	d->read_only = o->read_only;
	check_type(d);
	open_backend(d);
	lock_backend(d);
	open_aside(d);
	bytes = check_size(d);
	choose_blocks(d, o, bytes);
	atomic_init(&d->capacity, bytes / BLK_SECTOR_BYTES);
	d->physical_block_bytes = d->block_bytes;
	d->min_io_bytes = d->block_bytes;
	/* Both datapaths write zeroes themselves where the backend has no way to. */
	if (!d->read_only)
		d->max_write_zeroes_sectors = MAX_ZERO_SECTORS;
	if (fstat(d->fd, &st))
		die("--disk path=%s: %s", d->path, strerror(errno));
	if (d->is_bdev)
		measure_bdev(d, &st);
	else
		measure_file(d, &st);
}

const char *blk_file_grow(const struct blk_disk *d, u64 bytes)
{
	if (d->is_bdev)
		return "a block device has the size that it has: give none";
	if (d->read_only)
		return "it is read-only: give no size";
	if (bytes % d->block_bytes)
		return "not a multiple of the disk's block size: give one";
	if (bytes < blk_file_bytes(d))
		return "smaller than it is, which would lose data: truncate the file, then give no size";
	if (bytes > INT64_MAX || ftruncate(d->fd, bytes))
		return bytes > INT64_MAX ? strerror(EFBIG) : strerror(errno);
	return NULL;
}
