/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The virtqueue engine: the device's side of a virtqueue (VIRTIO 1.2, 2.7).
 *
 * in:  the ring's addresses and negotiated features, and guest memory through
 *      the accessors of vring_io.h
 * out: chains of descriptors, and the word whether the driver wants a call
 *
 * One source, compiled into the module, the VMM and the tests. The engine takes
 * no lock, holds no fd, allocates nothing and does not know whose memory it
 * reads: its includer provides "vring_io.h" (kmod/vring_io.h in the kernel,
 * ring/user/vring_io.h elsewhere). One struct vring_dev belongs to one thread at a
 * time; the caller serialises.
 *
 * All guest-written values are read once into engine memory, checked there, and
 * used from there. An error leaves the ring where it was; the caller is
 * expected to stop serving it.
 *
 * Memory ordering. Rings are shared with a driver on another CPU. Four
 * barriers, each with its partner in the driver:
 *
 *  (A) read of avail.idx, rmb, read of avail.ring and descriptors
 *      pairs with the driver's wmb before its store to avail.idx (2.7.13.3.1)
 *  (B) store of used.ring and of the buffers, wmb, store of used.idx
 *      pairs with the driver's rmb after its load of used.idx (2.7.8.2)
 *  (C) store of used.idx, mb, load of used_event or avail.flags
 *      pairs with the driver's mb between its store of used_event (or flags)
 *      and its second look at used.idx: one of the two sees the other's store,
 *      so either we call or the driver looks again (2.7.10)
 *  (D) store of avail_event or used.flags, mb, load of avail.idx
 *      pairs with the driver's mb between its store of avail.idx and its load
 *      of avail_event or used.flags (2.7.13.4.1): either the driver kicks or we
 *      see its buffer
 */
#ifndef VRING_H
#define VRING_H

/*
 * <linux/virtio_ring.h> has a driver-side vring_init() of its own, and <linux/vhost.h>
 * pulls that header in: VIRTIO_RING_NO_LEGACY, which hides it, is given on the
 * compiler's command line, and struct vring is taken, hence struct vring_dev.
 */
#include "vring_io.h"

/* VIRTIO 1.2, 2.7: a split queue's size is a power of two up to 32768. */
#define VRING_MAX_NUM		32768U

/* Used elements are held back up to this many, to be written in one go. */
#define VRING_PUSH_BATCH	64U

/* Heads of available chains are fetched up to this many at a time. */
#define VRING_POP_BATCH		16U

/**
 * struct vring_seg - one descriptor of a chain, as the driver wrote it
 * @gpa: guest-physical address; unchecked, translate before use
 * @len: bytes; never 0, the engine drops empty descriptors
 */
struct vring_seg {
	u64 gpa;
	u32 len;
};

/**
 * struct vring_chain - one request of the driver, popped from the avail ring
 * @head: names the chain in vring_push()
 * @nr_out: leading segments that the device reads
 * @nr_in: segments after those, that the device writes
 * @out_bytes: sum over the readable segments
 * @in_bytes: sum over the writable ones; @out_bytes + @in_bytes <= 4 GiB (2.7.4)
 * @max_segs: room in @segs, set by the caller
 * @segs: caller's array
 */
struct vring_chain {
	u16 head;
	u16 nr_out;
	u16 nr_in;
	u16 max_segs;
	u64 out_bytes;
	u64 in_bytes;
	struct vring_seg *segs;
};

/**
 * struct vring_config - what a ring is made from
 * @desc: descriptor table, 16-byte aligned, as the accessors address it
 * @avail: avail ring ("driver area"), 2-byte aligned
 * @used: used ring ("device area"), 4-byte aligned
 * @mem: passed to vring_io_lookup() for indirect tables
 * @features: negotiated feature bits; VIRTIO_RING_F_EVENT_IDX and
 *	VIRTIO_RING_F_INDIRECT_DESC matter here
 * @num: queue size, a power of two, 1 to VRING_MAX_NUM
 */
struct vring_config {
	void __vring *desc;
	void __vring *avail;
	void __vring *used;
	void *mem;
	u64 features;
	u32 num;
};

/*
 * struct vring_dev - the device's view of one ring
 *
 * Private to ring/ but for reading the indices in traces. Indices run freely
 * modulo 2^16 and are masked where they address memory (2.7.6).
 */
struct vring_dev {
	u32 num;
	u16 mask;
	bool event_idx;
	bool indirect;

	const struct vring_desc __vring *desc;
	const struct vring_avail __vring *avail;	/* used_event follows */
	struct vring_used __vring *used;		/* avail_event follows */
	void *mem;

	u16 last_avail;		/* next avail entry to pop */
	u16 avail_idx;		/* driver's index when last read */
	u16 used_idx;		/* our index, as published */
	u16 signalled_used;	/* used_idx at the last decision on a call */
	bool signalled_valid;	/* false until then, and after 2^16 without one */
	bool undecided;		/* something was published since */
	bool notify_off;	/* used.flags holds VRING_USED_F_NO_NOTIFY */

	u16 nr_heads;		/* fetched, not popped: heads[next_head...] */
	u16 next_head;
	u16 heads[VRING_POP_BATCH];

	u16 nr_pending;		/* pushed, not published */
	struct vring_used_elem pending[VRING_PUSH_BATCH];
};

/**
 * vring_size_ok() - whether a split ring may have this size
 * @num: number of descriptors
 */
static inline bool vring_size_ok(u32 num)
{
	return num && num <= VRING_MAX_NUM && !(num & (num - 1));
}

/* Bytes of the three parts of a split ring, event fields included (2.7). */
static inline size_t vring_desc_bytes(u32 num)
{
	return 16UL * num;
}

static inline size_t vring_avail_bytes(u32 num)
{
	return 6 + 2UL * num;
}

static inline size_t vring_used_bytes(u32 num)
{
	return 6 + 8UL * num;
}

/**
 * vring_init() - lay a ring over guest memory
 * @vr: all of it is overwritten
 * @cfg: copied
 *
 * Touches no guest memory. The ring starts at index 0; vring_load() follows.
 * Return: 0, or -EINVAL if the size or an alignment is wrong.
 */
int vring_init(struct vring_dev *vr, const struct vring_config *cfg);

/**
 * vring_load() - take up a ring where vring_save() left it
 * @vr: initialised ring
 * @last_avail: index of the next avail entry to serve, as in VHOST_SET_VRING_BASE
 *
 * The used index is read from the ring itself, as mainline's vhost does.
 * Return: 0, or -EFAULT if the ring's memory cannot be reached.
 */
int vring_load(struct vring_dev *vr, u16 last_avail);

/**
 * vring_save() - the index to give to a later vring_load()
 * @vr: a ring with nothing pending and no chain in the caller's hands
 *
 * Fetched but unpopped heads are given back.
 */
u16 vring_save(struct vring_dev *vr);

/**
 * vring_pop() - take the next available chain
 * @vr: ring
 * @c: @max_segs and @segs set by the caller, the rest filled in
 *
 * Return: 1 if there is a chain; 0 if the ring is empty; or
 * -EFAULT (ring or indirect table cannot be reached), -EINVAL (the driver broke
 * a rule of 2.7), -E2BIG (more segments than @max_segs).
 */
int vring_pop(struct vring_dev *vr, struct vring_chain *c);

/**
 * vring_unpop() - put the chain that was popped last back
 * @vr: ring, on which nothing was popped since
 *
 * For a chain that cannot be served: vring_save() then points at it.
 */
void vring_unpop(struct vring_dev *vr);

/**
 * vring_push() - hand a popped chain back to the driver
 * @vr: ring
 * @head: of the chain
 * @written: bytes written from the start of the writable part (2.7.8)
 *
 * The element is held back until vring_flush(), or until VRING_PUSH_BATCH of
 * them wait. Return: 0, or -EFAULT.
 */
int vring_push(struct vring_dev *vr, u16 head, u32 written);

/**
 * vring_flush() - publish what was pushed, and decide on a call
 * @vr: ring
 *
 * Return: 1 if the driver wants a call, 0 if not (or nothing was published
 * since the last decision), -EFAULT.
 */
int vring_flush(struct vring_dev *vr);

/**
 * vring_disable_notify() - tell the driver that kicks are not needed
 * @vr: ring
 *
 * A hint: kicks may still come (2.7.10). Costs nothing with EVENT_IDX.
 * Return: 0, or -EFAULT.
 */
int vring_disable_notify(struct vring_dev *vr);

/**
 * vring_enable_notify() - ask for a kick at the next chain
 * @vr: ring
 *
 * Return: 1 if a chain came in meanwhile, for which no kick may follow: look
 * again; 0 if the ring is empty and the next chain will be kicked for; -errno
 * as vring_pop().
 */
int vring_enable_notify(struct vring_dev *vr);

#endif
