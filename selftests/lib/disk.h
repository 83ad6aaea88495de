/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A disk under test: /dev/vkick-blk over a backing file, driven as a guest would.
 *
 * in:  a backing, features, a configuration
 * out: requests in any framing, their statuses, and what is in the file
 *
 * Rings, headers and statuses are in the memory at GMEM_LOW; the 1 MiB at DISK_BUF and
 * the one at DISK_BUF2 are the tests'. A queue belongs to one thread at a time.
 */
#ifndef SELFTEST_DISK_H
#define SELFTEST_DISK_H

#include <linux/virtio_blk.h>

#include "backing.h"
#include "rig.h"

#define SECTOR		512U
#define DISK_SECTORS	8192U		/* 4 MiB, unless a test says otherwise */
#define DISK_BUF	GMEM_HIGH
#define DISK_BUF2	GMEM_FAR
#define DISK_BUF_SIZE	GMEM_HIGH_SIZE

#define F_BLK(name)	(1ULL << VIRTIO_BLK_F_##name)
#define F_BLK_ALL	(F_BLK(SIZE_MAX) | F_BLK(SEG_MAX) | F_BLK(BLK_SIZE) |	\
			 F_BLK(TOPOLOGY) | F_BLK(FLUSH) | F_BLK(CONFIG_WCE) |	\
			 F_BLK(MQ) | F_BLK(DISCARD) | F_BLK(WRITE_ZEROES))

/* What a status byte is before the device writes it. */
#define DISK_NO_STATUS	0xee

/**
 * struct disk_conf - what disk_open() makes
 * @on: the backing's kind
 * @direct: open it with O_DIRECT
 * @pinned: guest memory stays pinned
 * @read_only: open it without write access
 * @delay_ms: BACKING_NULL: each request's latency
 * @path: BACKING_GIVEN: which
 * @sectors: capacity and size of the backing; 0: DISK_SECTORS
 * @features: of the ring
 * @without: features of F_BLK_ALL that the driver does not take
 * @layout: of chains
 * @num: size of each queue; 0: 128
 * @max_segs: longest chain; 0: 40
 * @nr_queues: 0: 1
 * @flags: VKICK_BLK_*
 */
struct disk_conf {
	enum backing_kind on;
	bool direct;
	bool pinned;
	bool read_only;
	u32 delay_ms;
	const char *path;
	u64 sectors;
	u64 features;
	u64 without;
	enum drv_layout layout;
	u32 num;
	u32 max_segs;
	u32 nr_queues;
	u32 flags;
};

/* A request's header and status byte in guest memory. */
#define DISK_SLOT	64U
#define DISK_SLOT_STATUS	32U

struct disk_queue {
	u64 slots;		/* gpa, DISK_SLOT each */
	u16 *free;		/* slots, a stack */
	u32 nr_free;
	u16 *slot_of;		/* by head */
};

/**
 * struct disk - all of it
 * @r: device, memory, drivers; only nr_queues of the queues are set up
 * @config: as the device has it
 * @check: another fd of the backing; -1 if that is BACKING_GIVEN
 */
struct disk {
	struct rig r;
	struct backing b;
	struct vkick_blk_config config;
	u32 nr_queues;
	u64 sectors;
	int check;
	bool bypass;		/* @check is O_DIRECT */
	bool pinned;
	struct disk_queue q[RIG_MAX_QUEUES];
	long pins;
};

/**
 * struct disk_req - one request
 * @type: VIRTIO_BLK_T_*
 * @sector: where
 * @data: between header and status; those that are read first
 * @nr: of them
 */
struct disk_req {
	u32 type;
	u64 sector;
	const struct drv_seg *data;
	u32 nr;
};

/* Configured, and not started. */
void disk_open(struct disk *d, const struct disk_conf *conf);
/* Its parts: all but the device; the device, made the owner's, from its fd in d->r.fd. */
void disk_lay_out(struct disk *d, const struct disk_conf *conf);
void disk_attach(struct disk *d);
void disk_start(struct disk *d);
void disk_stop(struct disk *d);
/* Aborts the test if pages stay pinned. */
void disk_close(struct disk *d);
/* Whether all pages that were pinned since disk_open() are let go; waits for it. */
bool disk_pins_gone(const struct disk *d);
/* Whether so many pages that were pinned since then are so still; likewise. */
bool disk_pins_are(const struct disk *d, long pages);

/* Puts a request in the ring, unpublished. Return: its slot, or -ENOSPC. */
int disk_add(struct disk *d, u32 queue, const struct disk_req *req);
/* The same, and publishes and kicks. */
int disk_submit(struct disk *d, u32 queue, const struct disk_req *req);
/* Waits for a request's end. Return: its slot. */
int disk_take(struct disk *d, u32 queue, u8 *status, u32 *len);
/* The same if there is one; else -EAGAIN. */
int disk_poll(struct disk *d, u32 queue, u8 *status, u32 *len);
u64 disk_status_gpa(const struct disk *d, u32 queue, int slot);

/* One request, alone in flight, on queue 0. Return: its status. */
u8 disk_do(struct disk *d, const struct disk_req *req, u32 *len);
/* With one buffer: T_IN or T_OUT. */
u8 disk_rw(struct disk *d, u32 type, u64 sector, u64 gpa, u32 bytes);
u8 disk_flush(struct disk *d);
/* T_DISCARD or T_WRITE_ZEROES, with the ranges at DISK_BUF2. */
u8 disk_ranges(struct disk *d, u32 type, const struct virtio_blk_discard_write_zeroes *r,
	       u32 nr);
u8 disk_range(struct disk *d, u32 type, u64 sector, u32 sectors, u32 flags);

/* Changes the configuration. */
void disk_configure(struct disk *d);
void disk_resize(struct disk *d, u64 sectors);

/* ---- contents ---- */

/* What sector @sector has in generation @gen; no two are alike, and none is zero. */
void disk_pattern(void *buf, u64 sector, u32 sectors, u32 gen);
/* In guest memory. */
void disk_put_pattern(struct disk *d, u64 gpa, u64 sector, u32 sectors, u32 gen);
bool disk_has_pattern(struct disk *d, u64 gpa, u64 sector, u32 sectors, u32 gen);
/* Whether the bytes are all @byte. */
bool disk_is_all(struct disk *d, u64 gpa, u32 bytes, u8 byte);

/* In the backing, past the device. */
void disk_file_read(struct disk *d, void *buf, u64 sector, u32 sectors);
void disk_file_write(struct disk *d, const void *buf, u64 sector, u32 sectors);
void disk_file_put_pattern(struct disk *d, u64 sector, u32 sectors, u32 gen);
/* The two say where not. */
bool disk_file_has_pattern(struct disk *d, u64 sector, u32 sectors, u32 gen);
bool disk_file_is_zero(struct disk *d, u64 sector, u32 sectors);

#endif
