/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest's side of a virtqueue, played in userspace: split or packed rings, with
 * buffers used in any order or IN_ORDER (VIRTIO 1.2, 2.7, 2.8 and 6).
 *
 * in:  guest memory, a queue size, features
 * out: a well-behaved driver; and its rings in the open, for tests that misbehave
 *
 * Written from the standard, not from ring/, so that the two check each other.
 * One driver belongs to one thread at a time.
 *
 *	drv.c		what both layouts share: requests, batches, waiting
 *	drv_split.c	split rings
 *	drv_packed.c	packed rings
 *	drv_impl.h	between these three
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
#define F_PACKED	(1ULL << VIRTIO_F_RING_PACKED)
#define F_IN_ORDER	(1ULL << VIRTIO_F_IN_ORDER)

/* How drv_add() lays a chain out. */
enum drv_layout {
	DRV_DIRECT,		/* one ring descriptor each */
	DRV_INDIRECT,		/* one, for a table with all */
	DRV_MIXED,		/* the first in the ring, then a table; split rings alone */
};

/* One buffer of a request. Readable ones come first. */
struct drv_seg {
	u64 gpa;
	u32 len;
	bool write;	/* by the device */
};

/* A place in a packed ring (2.8.1): the wrap counter is 1 in the first lap. */
struct drv_place {
	u16 i;
	bool wrap;
};

/* A request with the device. */
struct drv_req {
	u16 nr_desc;	/* ring descriptors held; 0: not with the device */
	u64 in_bytes;	/* that the device may write */
};

/**
 * struct drv - a driver of one queue
 * @desc: descriptor table (packed: @ring), in guest memory
 * @avail: avail ring ("driver area"; packed: @driver, its event suppression)
 * @used: used ring ("device area"; packed: @device, the device's event suppression)
 * @desc_gpa: where they are in the guest
 * @avail_gpa: ditto
 * @used_gpa: ditto
 * @avail_idx: split: next avail entry to fill; published by drv_publish()
 * @kicked_idx: split: avail index at the last decision on a kick
 * @last_used: split: next used entry to look at
 * @avail_at: packed: next descriptor to fill
 * @used_at: packed: next descriptor to look at
 * @kicked_at: packed: first descriptor that no kick was decided on
 * @nr_hidden: packed: descriptors written since drv_publish()
 * @nr_unkicked: packed: descriptors published since the last decision on a kick
 * @nr_free: free ring descriptors
 * @req: by head (packed: by buffer ID)
 * @order: IN_ORDER: what is with the device, from @got to @added
 * @batch_left: requests of the last used element that drv_get() has yet to give
 * @used_elems: used elements read; fewer than requests if there were batches
 * @kick_always: kick even where the device says that it need not
 */
struct drv {
	struct gmem *mem;
	u32 num;
	bool packed;
	bool event_idx;
	bool in_order;
	enum drv_layout layout;
	u32 max_segs;
	bool kick_always;

	union {
		struct vring_desc *desc;
		struct vring_packed_desc *ring;
	};
	union {
		struct vring_avail *avail;
		struct vring_packed_desc_event *driver;
	};
	union {
		struct vring_used *used;
		struct vring_packed_desc_event *device;
	};
	u64 desc_gpa, avail_gpa, used_gpa, table_gpa;

	u16 avail_idx, kicked_idx, last_used;

	struct drv_place avail_at, used_at, kicked_at, hidden_at;
	u16 hidden_flags;	/* of the first of those, which are stored last */
	u32 nr_hidden, nr_unkicked;

	u32 nr_free;
	u16 free_head;
	u16 *free_next;		/* free list of descriptors (packed: of buffer IDs) */
	struct drv_req *req;
	u16 *order;

	u32 batch_left, batch_len;
	u16 batch_id;
	u64 added, got, used_elems;
};

/**
 * drv_init() - allocate rings in guest memory, all empty
 * @d: all of it is overwritten
 * @mem: guest memory
 * @num: queue size; of a split ring, a power of two
 * @features: F_EVENT_IDX, F_PACKED and F_IN_ORDER matter here
 * @layout: for drv_add()
 * @max_segs: longest chain that drv_add() will be given
 */
void drv_init(struct drv *d, struct gmem *mem, u32 num, u64 features,
	      enum drv_layout layout, u32 max_segs);
void drv_free(struct drv *d);

/*
 * Makes the ring look as after @n requests of one descriptor each, all of which
 * came back. Before use only.
 */
void drv_start_at(struct drv *d, u32 n);

/* What VHOST_GET_VRING_BASE says after @n requests as above. */
u32 drv_base_after(const struct drv *d, u64 n);
/* What VHOST_SET_VRING_BASE takes for a device that begins at this driver's place. */
u32 drv_base(const struct drv *d);
/*
 * The same for a device that takes over from one that is gone, with all consumed
 * requests completed. From the rings alone, so another thread may drive meanwhile.
 * In a packed ring only requests of one descriptor, and no batch, leave such a trace.
 */
u32 drv_device_base(const struct drv *d);

/* Queue sizes to try, the last one followed by 0: for packed rings odd ones, too. */
const u32 *drv_sizes(u64 features);

/* Bytes of the driver area and of the device area. */
size_t drv_avail_bytes(const struct drv *d);
size_t drv_used_bytes(const struct drv *d);

/**
 * drv_add() - lay out a chain and put it in the ring, unpublished
 *
 * Return: its head (packed: buffer ID), or -ENOSPC.
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
 * Aborts the test if the device used what it was not given, used it twice, wrote
 * more than there was room for, or with IN_ORDER used it out of order. With IN_ORDER
 * a used element may stand for a batch: those before its last were used in full.
 * Return: head (packed: buffer ID), or -EAGAIN.
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

/* Offers what breaks a queue with EINVAL; drv_publish() is done. */
void drv_break(struct drv *d);

/* ---- for tests that write a split ring by hand ---- */

/* Little-endian stores into a descriptor, of the ring or of a table. */
void drv_set_desc(struct vring_desc *desc, u64 gpa, u32 len, u16 flags, u16 next);
/* Puts any value in the avail ring, as the next entry; drv_publish() follows. */
void drv_put_head(struct drv *d, u16 head);

u16 drv_used_idx(const struct drv *d);
u16 drv_used_flags(const struct drv *d);
u16 drv_avail_event(const struct drv *d);
void drv_set_avail_idx(struct drv *d, u16 idx);
void drv_set_avail_flags(struct drv *d, u16 flags);
void drv_set_used_event(struct drv *d, u16 idx);

/* ---- for tests that write a packed ring by hand ---- */

#define PACKED_F_AVAIL	(1 << VRING_PACKED_DESC_F_AVAIL)
#define PACKED_F_USED	(1 << VRING_PACKED_DESC_F_USED)

/* As drv_set_desc(); @flags are stored as they are. */
void drv_set_packed_desc(struct vring_packed_desc *desc, u64 gpa, u32 len, u16 flags,
			 u16 id);
/*
 * Writes the next ring descriptor, whatever it held; drv_publish() follows. AVAIL and
 * USED are added to @flags, as they have to be there.
 */
void drv_put_desc(struct drv *d, u64 gpa, u32 len, u16 flags, u16 id);

/* The place @n descriptors further on, @n <= 2 * num. */
struct drv_place drv_place_after(const struct drv *d, struct drv_place p, u32 n);
/* As event suppression has it: index, wrap counter in bit 15. */
u16 drv_off_wrap(struct drv_place p);

u16 drv_desc_flags(const struct drv *d, u16 i);
void drv_set_desc_flags(struct drv *d, u16 i, u16 flags);
u16 drv_device_off_wrap(const struct drv *d);
u16 drv_device_flags(const struct drv *d);
void drv_set_driver_event(struct drv *d, u16 off_wrap, u16 flags);

#endif
