/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A disk of the VMM without a VM: its user datapath over the tests' guest memory, and
 * a driver for each queue.
 *
 * in:  a backend's fd, features, a number of queues
 * out: requests as the driver lays them out; what the device made of them
 */
#ifndef SELFTEST_VDISK_H
#define SELFTEST_VDISK_H

#include "../../vmm/blk.h"
#include "../../vmm/virtio.h"
#include "drv.h"
#include "memvm.h"

#define VDISK_MAX_QUEUES	4
#define VDISK_NUM		64

/* Of a queue that vdisk_set_ring() gave more, at most. */
#define VDISK_MAX_NUM		256

/* Descriptors of a chain, at most: tables are that long. */
#define VDISK_MAX_SEGS		300

/* What vdisk_wait() says where the device completed nothing in time. */
#define VDISK_LOST		0xff

/**
 * struct vdisk - the disk
 * @m: what the datapath knows of it: guest memory
 * @disk: the test may change it while nothing runs
 * @layout: of the chains of rings that vdisk_set_ring() makes
 * @hdr: header of vdisk_do()'s request
 * @status: its status byte
 * @slots: headers and status bytes of vdisk_add()'s requests, by queue
 * @slot_of: which of them has a head
 * @used_len: of what vdisk_wait() returned last
 */
struct vdisk {
	struct memvm m;
	struct blk_disk disk;
	struct virtio_dev dev;
	struct drv drv[VDISK_MAX_QUEUES];
	enum drv_layout layout;
	u64 hdr;
	u64 status;
	u64 slots[VDISK_MAX_QUEUES];
	u8 slot_of[VDISK_MAX_QUEUES][VDISK_MAX_NUM];
	u32 used_len;
	bool running;
};

/**
 * vdisk_init() - a disk that does not run yet
 * @fd: its backend; vdisk_free() leaves it alone
 * @bytes: capacity
 * @features: F_PACKED, F_EVENT_IDX; INDIRECT and FLUSH are always there
 */
void vdisk_init(struct vdisk *v, int fd, u64 bytes, u64 features, unsigned int nr_queues);
void vdisk_free(struct vdisk *v);
/* The driver has let go of a queue's ring, if it had one, and takes another of @num. */
void vdisk_set_ring(struct vdisk *v, unsigned int q, u32 num, u32 max_segs);
/* The datapath takes over where the drivers are. */
void vdisk_start(struct vdisk *v);
/* And checks that each queue's ->state is right. */
void vdisk_stop(struct vdisk *v);

/* One queue, while the others run. */
void vdisk_stop_queue(struct vdisk *v, unsigned int q);

/* @len bytes of guest memory for data, at any odd place. */
u64 vdisk_alloc(struct vdisk *v, size_t len, size_t align);

/* Fills in the header at @gpa. */
void vdisk_set_hdr(struct vdisk *v, u64 gpa, u32 type, u64 sector);

/* Adds and kicks. Return: its head. */
int vdisk_submit(struct vdisk *v, unsigned int q, const struct drv_seg *segs, u32 nr);
/* Waits for one completion. Return: its head, or -1 where the deadline passed. */
int vdisk_wait(struct vdisk *v, unsigned int q);

/*
 * One request on queue 0, there and back: header, @nr segments of data as they are,
 * status byte. Return: the status, or VDISK_LOST.
 */
u8 vdisk_do(struct vdisk *v, u32 type, u64 sector, const struct drv_seg *data, u32 nr);
/* The same with one segment of data, or none. */
u8 vdisk_do1(struct vdisk *v, u32 type, u64 sector, u64 gpa, u32 len);

/*
 * Many in flight: request @i of queue @q, below VDISK_MAX_NUM, with a header and a status byte
 * of its own, and @nr segments of data. It is not published.
 */
void vdisk_add(struct vdisk *v, unsigned int q, u32 i, u32 type, u64 sector,
	       const struct drv_seg *data, u32 nr);
void vdisk_kick(struct vdisk *v, unsigned int q);
/* Return: which one is back, or -EAGAIN. */
int vdisk_poll(struct vdisk *v, unsigned int q, u8 *status);

/* Whether queue @q told the main thread that it broke; takes the signal back. */
bool vdisk_broke(struct vdisk *v, unsigned int q);

#endif
