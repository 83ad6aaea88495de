/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest's side of a split virtqueue, played in userspace (VIRTIO 1.2, 2.7.13
 * and 2.7.14).
 *
 * in:  guest memory, a queue size, features
 * out: a well-behaved driver; and its rings in the open, for tests that misbehave
 *
 * Written from the standard, not from ring/, so that the two check each other.
 * One driver belongs to one thread at a time.
 */
#ifndef SELFTEST_DRV_H
#define SELFTEST_DRV_H

#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "gmem.h"

#define F_INDIRECT	(1ULL << VIRTIO_RING_F_INDIRECT_DESC)
#define F_EVENT_IDX	(1ULL << VIRTIO_RING_F_EVENT_IDX)
#define F_VERSION_1	(1ULL << VIRTIO_F_VERSION_1)

/* How drv_add() lays a chain out. */
enum drv_layout {
	DRV_DIRECT,		/* one ring descriptor each */
	DRV_INDIRECT,		/* one, for a table with all */
	DRV_MIXED,		/* the first in the ring, then a table with the rest */
};

/* One buffer of a request. Readable ones come first. */
struct drv_seg {
	u64 gpa;
	u32 len;
	bool write;	/* by the device */
};

/**
 * struct drv - a driver of one queue
 * @desc: descriptor table, in guest memory
 * @avail: avail ring ("driver area")
 * @used: used ring ("device area")
 * @desc_gpa: where they are in the guest
 * @avail_gpa: ditto
 * @used_gpa: ditto
 * @avail_idx: next avail entry to fill; published by drv_publish()
 * @kicked_idx: avail index at the last decision on a kick
 * @last_used: next used entry to look at
 * @nr_free: free ring descriptors
 * @kick_always: kick even where the device says that it need not
 */
struct drv {
	struct gmem *mem;
	u32 num;
	bool event_idx;
	enum drv_layout layout;
	u32 max_segs;
	bool kick_always;

	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	u64 desc_gpa, avail_gpa, used_gpa, table_gpa;

	u16 avail_idx, kicked_idx, last_used;
	u32 nr_free;
	u16 free_head;
	u16 *free_next;		/* free list */
	u16 *taken;		/* by head: ring descriptors held; 0: not with the device */
	u64 added, got;
};

/**
 * drv_init() - allocate rings in guest memory, all empty
 * @d: all of it is overwritten
 * @mem: guest memory
 * @num: queue size
 * @features: of which F_EVENT_IDX matters here
 * @layout: for drv_add()
 * @max_segs: longest chain that drv_add() will be given
 */
void drv_init(struct drv *d, struct gmem *mem, u32 num, u64 features,
	      enum drv_layout layout, u32 max_segs);
void drv_free(struct drv *d);

/* Makes all indices start at @idx, as after that many requests. Before use only. */
void drv_start_at(struct drv *d, u16 idx);

/**
 * drv_add() - lay out a chain and put it in the avail ring, unpublished
 *
 * Return: its head, or -ENOSPC.
 */
int drv_add(struct drv *d, const struct drv_seg *segs, u32 nr);
/* The same with one buffer. */
int drv_add1(struct drv *d, u64 gpa, u32 len, bool write);

/* Lets the device see what was added. */
void drv_publish(struct drv *d);
/* Whether the device wants a kick for what was published since the last time. */
bool drv_wants_kick(struct drv *d);
/* Publishes, and signals @kick if the device wants it. Whether it did. */
bool drv_kick(struct drv *d, int kick);

bool drv_has_used(const struct drv *d);

/**
 * drv_get() - take back a request that the device used
 * @d: driver
 * @len: where the device's count of written bytes goes; or NULL
 *
 * Aborts the test if the device used what it was not given, or used it twice.
 * Return: head, or -EAGAIN.
 */
int drv_get(struct drv *d, u32 *len);

/* Asks for a call at the next used element. True: one came already, look again. */
bool drv_enable_call(struct drv *d);
void drv_disable_call(struct drv *d);

/* Requests with the device. */
u64 drv_in_flight(const struct drv *d);

/**
 * drv_wait() - sleep until there is a used element, as a guest would
 * @d: driver
 * @call: eventfd, or -1 to poll the ring
 * @ms: for how long
 *
 * Return: false if the time passed. With an eventfd that is a lost call if the
 * ring has an element all the same, which the caller can tell by drv_has_used().
 */
bool drv_wait(struct drv *d, int call, int ms);

/* Little-endian stores into a ring descriptor, for tests that build chains by hand. */
void drv_set_desc(struct vring_desc *desc, u64 gpa, u32 len, u16 flags, u16 next);
/* Puts any value in the avail ring, as the next entry; drv_publish() follows. */
void drv_put_head(struct drv *d, u16 head);

u16 drv_used_idx(const struct drv *d);
u16 drv_used_flags(const struct drv *d);
u16 drv_avail_event(const struct drv *d);
void drv_set_avail_idx(struct drv *d, u16 idx);
void drv_set_avail_flags(struct drv *d, u16 flags);
void drv_set_used_event(struct drv *d, u16 idx);

#endif
