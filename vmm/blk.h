/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A disk: what dev_blk.c knows of it, and what both datapaths serve it by.
 */
#ifndef BLK_H
#define BLK_H

#include <linux/virtio_blk.h>

#include "vmm.h"

#define BLK_SECTOR_BYTES	512

/* Of one request: segs times bytes is what the module takes of one at most. */
#define BLK_MAX_SEGS		254
#define BLK_MAX_SEG_BYTES	(64 * KIB)

#define BLK_MAX_RANGES		64

/**
 * struct blk_disk - one disk
 * @path: as given
 * @fd: the file or block device
 * @aside_fd: the same, opened once more, for syncs that are no flush of the driver's: the host tells an
 *	open file but once of writes that it lost, and that is for the driver. -1: read-only
 * @direct: @fd was opened with O_DIRECT
 * @is_bdev: @fd is a block device
 * @read_only: the guest was told so
 * @block_bytes: logical block size, 512 to 4096: the guest's requests are multiples,
 *	and its buffers aligned
 * @align_bytes: of the first physical block that begins on one
 * @seg_max: data segments of a request
 * @max_discard_sectors: of a range; 0: no discards. As @max_write_zeroes_sectors
 * @write_zeroes_may_unmap: zeroes may be a hole, if the driver allows that
 * @serial: filled up with zeroes
 * @iothreads: threads of the user datapath, workers of the kernel's: 1 to one a queue
 * @poll_us: busy polling, microseconds; 0: none
 * @pin: guest memory stays where it is, if so much may be locked
 * @capacity: sectors; vm->lock to write, any thread to read
 * @write_back: a write may complete before it is durable, as @capacity
 *
 * Constant once the device is made, but for the last two.
 */
struct blk_disk {
	const char *path;
	int fd;
	int aside_fd;
	bool direct;
	bool is_bdev;
	bool read_only;
	u32 block_bytes;
	u32 physical_block_bytes;
	u32 align_bytes;
	u32 min_io_bytes;
	u32 opt_io_bytes;
	u32 seg_max;
	u32 max_discard_sectors;
	u32 discard_align_sectors;
	u32 max_write_zeroes_sectors;
	bool write_zeroes_may_unmap;
	u8 serial[VIRTIO_BLK_ID_BYTES];
	u32 iothreads;
	u32 poll_us;
	bool pin;
	_Atomic u64 capacity;
	_Atomic bool write_back;
};

struct virtio_dev;

/* ---- dev_blk.c ----------------------------------------------------------- */

/* The disk of a device of its class. Any thread. */
const struct blk_disk *blk_disk_of(const struct virtio_dev *dev);

/* ---- blk_file.c: main thread ---------------------------------------------- */

enum blk_direct { BLK_DIRECT_AUTO, BLK_DIRECT_ON, BLK_DIRECT_OFF };

/**
 * struct blk_options - the keys of --disk
 * @serial: or NULL
 * @block_bytes: 0: the backend's
 * @iothreads: 0: one a queue
 */
struct blk_options {
	const char *path;
	const char *serial;
	bool read_only;
	enum blk_direct direct;
	u32 block_bytes;
	bool write_through;
	u32 iothreads;
	u32 poll_us;
	bool no_pin;
};

/* Opens, locks and measures: all of @d that the backend says. die()s. */
void blk_file_open(struct blk_disk *d, const struct blk_options *o);
/* Return: bytes that the backend has now, 0 if that cannot be had. */
u64 blk_file_bytes(const struct blk_disk *d);
/* Return: NULL with the file at @bytes, or why not. */
const char *blk_file_grow(const struct blk_disk *d, u64 bytes);

#endif
