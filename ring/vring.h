/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The virtqueue engine: the device's side of a virtqueue, split (VIRTIO 1.2, 2.7)
 * or packed (2.8).
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
 *	vring.c		what both layouts share: set-up, indirect tables
 *	split.c		pop, push, flush and notifications of a split ring
 *	packed.c	the same of a packed ring
 *	vring_impl.h	between these three
 *
 * All guest-written values are read once into engine memory, checked there, and
 * used from there. An error leaves the ring where it was; the caller is
 * expected to stop serving it.
 *
 * Memory ordering. Rings are shared with a driver on another CPU. Four
 * barriers, each with its partner in the driver. Split:
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
 *
 * Packed, where the flags of a descriptor stand for both indices:
 *
 *  (A) read of the flags of a chain's first descriptor, rmb, read of all else
 *      pairs with the driver's wmb before it stores those flags last (2.8.21.1)
 *  (B) store of the buffers and of all used descriptors of a batch but the first,
 *      wmb, store of the first one's id, len and flags, which is one store of 8
 *      bytes; pairs with the driver's rmb after its load of those flags (2.8.22)
 *  (C) store of used descriptors, mb, load of the driver's event suppression
 *  (D) store of our event suppression, mb, load of the next descriptor's flags
 *      pair as above
 */
#ifndef VRING_H
#define VRING_H

/*
 * <linux/virtio_ring.h> has a driver-side vring_init() of its own, and <linux/vhost.h>
 * pulls that header in: VIRTIO_RING_NO_LEGACY, which hides it, is given on the
 * compiler's command line, and struct vring is taken, hence struct vring_dev.
 */
#include "vring_io.h"

/* VIRTIO 1.2, 2.7 and 2.8: a queue's size is at most this. */
#define VRING_MAX_NUM		32768U

/* Used elements are held back up to this many, to be written in one go. */
#define VRING_PUSH_BATCH	64U

/* Available chains (packed: descriptors) are fetched up to this many at a time. */
#define VRING_POP_BATCH		16U
#define VRING_TABLE_BATCH	8U	/* descriptors of an indirect table, read at a time */

/*
 * A ring's place, as VHOST_SET_VRING_BASE has it (<linux/vhost.h>). Split: index of
 * the next avail entry, in bits 0 to 15. Packed: bits 0 to 14 the next descriptor
 * to pop, 15 its wrap counter, 16 to 30 the next to use, 31 its wrap counter.
 * This is where a fresh packed ring starts; a split ring starts at 0.
 */
#define VRING_PACKED_START	0x80008000U

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
 * struct vring_token - names a popped chain when it is pushed
 * @id: head of the chain (split) or buffer ID (packed)
 * @nr_desc: ring descriptors that it takes, of a packed ring; 1 of a split one
 * @in_bytes: bytes that the device may write; at most 4 GiB - 1 is kept here
 */
struct vring_token {
	u16 id;
	u16 nr_desc;
	u32 in_bytes;
};

/**
 * struct vring_chain - one request of the driver, popped from the ring
 * @token: for vring_push()
 * @nr_out: leading segments that the device reads
 * @nr_in: segments after those, that the device writes
 * @max_segs: room in @segs, set by the caller
 * @out_bytes: sum over the readable segments
 * @in_bytes: sum over the writable ones; @out_bytes + @in_bytes <= 4 GiB (2.7.4)
 * @segs: caller's array
 */
struct vring_chain {
	struct vring_token token;
	u16 nr_out;
	u16 nr_in;
	u16 max_segs;
	u64 out_bytes;
	u64 in_bytes;
	struct vring_seg *segs;
};

/**
 * struct vring_config - what a ring is made from
 * @desc: descriptor table (packed: descriptor ring), 16-byte aligned, as the
 *	accessors address it
 * @avail: avail ring, 2-byte aligned (packed: driver event suppression, 4)
 * @used: used ring (packed: device event suppression), 4-byte aligned
 * @mem: passed to vring_io_lookup() for indirect tables
 * @features: negotiated feature bits; VIRTIO_F_RING_PACKED, VIRTIO_F_IN_ORDER,
 *	VIRTIO_RING_F_EVENT_IDX and VIRTIO_RING_F_INDIRECT_DESC matter here
 * @num: queue size, see vring_size_ok()
 */
struct vring_config {
	void __vring *desc;
	void __vring *avail;
	void __vring *used;
	void *mem;
	u64 features;
	u32 num;
};

/**
 * struct vring_extent - bytes that the device wrote
 * @from: offset of the first
 * @to: offset past the last; not above @from if there are none
 */
struct vring_extent {
	u32 from;
	u32 to;
};

/**
 * struct vring_dirty - which parts of a ring were written, for a dirty log
 * @desc: of the descriptor ring; packed alone
 * @used: of the used ring (packed: of the device event suppression)
 */
struct vring_dirty {
	struct vring_extent desc;
	struct vring_extent used;
};

/* A split ring's state. Indices run freely modulo 2^16 (2.7.6). */
struct vring_split {
	const struct vring_desc __vring *desc;
	const struct vring_avail __vring *avail;	/* used_event follows */
	struct vring_used __vring *used;		/* avail_event follows */

	u16 mask;
	u16 last_avail;		/* next avail entry to pop */
	u16 avail_idx;		/* driver's index when last read */
	u16 used_idx;		/* our index, as published */
	u16 push_idx;		/* our index once what is pending is published */
	u16 signalled_used;	/* used_idx at the last decision on a call */
	bool signalled_valid;	/* false until then, and after 2^16 without one */

	u32 nr_heads;		/* fetched */
	u32 next_head;		/* popped of these */
	u16 heads[VRING_POP_BATCH];
	struct vring_desc first[VRING_POP_BATCH];	/* the descriptors at the heads */

	struct vring_used_elem pending[VRING_PUSH_BATCH];
};

/* A packed ring's state. A place is an index below num and a wrap counter (2.8.1). */
struct vring_packed {
	struct vring_packed_desc __vring *desc;
	const struct vring_packed_desc_event __vring *driver;
	struct vring_packed_desc_event __vring *device;

	u32 avail;		/* next descriptor to pop */
	u32 used;		/* next descriptor to use, as published */
	u32 push;		/* the same once what is pending is published */
	bool avail_wrap;
	bool used_wrap;
	bool push_wrap;
	u32 undecided;		/* descriptors published since the last decision on a call */

	u32 nr_fetched;
	u32 next_fetched;	/* popped of these */
	struct vring_packed_desc fetched[VRING_POP_BATCH];

	struct vring_packed_desc pending[VRING_PUSH_BATCH];	/* addr unused */
};

/* struct vring_dev - the device's view of one ring; private to ring/ */
struct vring_dev {
	u32 num;
	bool packed;
	bool event_idx;
	bool indirect;
	bool in_order;

	bool hold;		/* what is pushed stays unpublished, however much it is */
	bool notify_off;	/* the driver was told not to kick */
	bool undecided;		/* something was published since the last decision */
	bool last_full;		/* the pending element's buffers are all written */
	u32 in_flight;		/* popped and not published: chains, or packed descriptors */
	void *mem;

	/* Written since vring_take_dirty(), which makes extents of it. */
	u64 unlogged;		/* used elements (packed: places) published */
	bool unlogged_flags;	/* used.flags; of a split ring */
	bool unlogged_event;	/* avail_event (packed: our event suppression) */
	struct vring_dirty dirty;	/* what vring_load() found in these */

	u32 nr_pending;		/* pushed, not written to the ring */
	u32 max_pending;	/* no more than the ring holds: a batch must not meet itself */
	u16 at[VRING_PUSH_BATCH];	/* where in the ring they belong */
	union {
		struct vring_split s;
		struct vring_packed p;
	};

	/* Of an indirect table, for one vring_pop(): kernels zero what is on the stack. */
	union {
		struct vring_desc split[VRING_TABLE_BATCH];
		struct vring_packed_desc packed[VRING_TABLE_BATCH];
		u64 words[2 * VRING_TABLE_BATCH];
	} table;
};

/**
 * vring_size_ok() - whether a ring may have this size
 * @num: number of descriptors
 * @packed: VIRTIO_F_RING_PACKED is negotiated
 *
 * Any size up to VRING_MAX_NUM; of a split ring, a power of two.
 */
static inline bool vring_size_ok(u32 num, bool packed)
{
	return num && num <= VRING_MAX_NUM && (packed || !(num & (num - 1)));
}

/* Bytes of the three parts of a ring, event fields included (2.7, 2.8.10). */
static inline size_t vring_desc_bytes(u32 num)
{
	return 16UL * num;
}

static inline size_t vring_avail_bytes(u32 num, bool packed)
{
	return packed ? 4 : 6 + 2UL * num;
}

static inline size_t vring_used_bytes(u32 num, bool packed)
{
	return packed ? 4 : 6 + 8UL * num;
}

/**
 * vring_init() - lay a ring over guest memory
 * @vr: all of it is overwritten
 * @cfg: copied
 *
 * Touches no guest memory. vring_load() follows.
 * Return: 0, or -EINVAL if the size or an alignment is wrong.
 */
int vring_init(struct vring_dev *vr, const struct vring_config *cfg);

/**
 * vring_load() - take up a ring where vring_save() left it
 * @vr: initialised ring
 * @state: as in VHOST_SET_VRING_BASE, see VRING_PACKED_START
 *
 * The used index of a split ring is read from the ring itself, as mainline's
 * vhost does. Return: 0; -EINVAL if @state is none of this ring; -EFAULT if the
 * ring's memory cannot be reached.
 */
int vring_load(struct vring_dev *vr, u32 state);

/**
 * vring_save() - the state to give to a later vring_load()
 * @vr: a ring with nothing pending; chains in the caller's hands count as popped
 */
u32 vring_save(const struct vring_dev *vr);

/* split.c and packed.c, by way of the functions below. */
int vring_split_pop(struct vring_dev *vr, struct vring_chain *c);
int vring_packed_pop(struct vring_dev *vr, struct vring_chain *c);
int vring_split_push(struct vring_dev *vr, struct vring_token t, u32 written);
int vring_packed_push(struct vring_dev *vr, struct vring_token t, u32 written);

/**
 * vring_pop() - take the next available chain
 * @vr: ring
 * @c: @max_segs and @segs set by the caller, the rest filled in
 *
 * Return: 1 if there is a chain; 0 if the ring is empty; or
 * -EFAULT (ring or indirect table cannot be reached), -EINVAL (the driver broke
 * a rule of 2.7 or 2.8, or has more chains out than the ring can hold), -E2BIG
 * (more segments than @max_segs).
 */
static inline int vring_pop(struct vring_dev *vr, struct vring_chain *c)
{
	return vr->packed ? vring_packed_pop(vr, c) : vring_split_pop(vr, c);
}

/**
 * vring_nr_fetched() - what vring_pop() has without another look at the ring
 * @vr: ring
 *
 * Return: chains to come for certain, if all are good; of a packed ring, their
 * descriptors, of which a chain has one or more. Less than VRING_POP_BATCH.
 */
static inline u32 vring_nr_fetched(const struct vring_dev *vr)
{
	return vr->packed ? vr->p.nr_fetched - vr->p.next_fetched :
			    vr->s.nr_heads - vr->s.next_head;
}

/**
 * vring_unpop() - put the chain that was popped last back
 * @vr: ring, on which nothing was popped since
 * @t: of the chain
 *
 * For a chain that cannot be served: vring_save() then points at it.
 */
void vring_unpop(struct vring_dev *vr, struct vring_token t);

/**
 * vring_push() - hand a popped chain back to the driver
 * @vr: ring
 * @t: of the chain; each once. In any order, but with VIRTIO_F_IN_ORDER in the
 *	order in which they were popped
 * @written: bytes written from the start of the writable part (2.7.8)
 *
 * The element is held back until vring_flush(), or until VRING_PUSH_BATCH of
 * them wait and there is no vring_hold(). With VIRTIO_F_IN_ORDER one element stands
 * for all before it whose buffers were written in full (2.7.9, 2.8.11). Return: 0, or
 * -EFAULT.
 */
static inline int vring_push(struct vring_dev *vr, struct vring_token t, u32 written)
{
	return vr->packed ? vring_packed_push(vr, t, written) :
			    vring_split_push(vr, t, written);
}

/**
 * vring_hold() - what is pushed while this is on becomes visible in one go
 * @vr: ring
 * @on: false: the next vring_push() or vring_flush() may publish again
 *
 * For a request that takes several chains, which the driver is to see used together,
 * even if they are more than VRING_PUSH_BATCH. Touches no guest memory by itself.
 */
static inline void vring_hold(struct vring_dev *vr, bool on)
{
	vr->hold = on;
}

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
 * A hint: kicks may still come (2.7.10, 2.8.14). Costs nothing if it was told
 * already, nor on a split ring with EVENT_IDX. Return: 0, or -EFAULT.
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

/* What vring_finish() returns, or-ed. */
#define VRING_CALL	1	/* as vring_flush() */
#define VRING_MORE	2	/* as vring_enable_notify() */

/**
 * vring_finish() - vring_flush() and vring_enable_notify() in one
 * @vr: ring in which vring_pop() found nothing more
 *
 * With one full barrier, which stands for (C) and (D): both stores come before it,
 * both loads after it. Return: VRING_CALL and VRING_MORE, or -errno.
 */
int vring_finish(struct vring_dev *vr);

/**
 * vring_has_avail() - whether vring_pop() would find something
 * @vr: ring
 *
 * One load, for polling. What it finds may be junk, which vring_pop() will tell.
 * Return: 1, 0, or -EFAULT.
 */
int vring_has_avail(const struct vring_dev *vr);

/**
 * vring_take_dirty() - what was written into the ring since the last time
 * @vr: ring
 * @dirty: may take in more than that, but never less
 *
 * Call it after the writes that are to be logged, so that no reader of the log
 * clears a bit before the write that it stands for.
 * Return: whether there is anything.
 */
bool vring_take_dirty(struct vring_dev *vr, struct vring_dirty *dirty);

#endif
