/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rings for fuzzers: split or packed, well-formed as written, at any place and
 * of any contents afterwards (VIRTIO 1.2, 2.7 and 2.8).
 *
 * in:  where the parts of the ring are
 * out: chains in them
 *
 * Unlike drv.h this never complains: what the device makes of the ring, and what
 * became of it meanwhile, is for the caller to judge.
 */
#ifndef SELFTEST_FRING_H
#define SELFTEST_FRING_H

#include "drv.h"

#define F_PACKED	(1ULL << VIRTIO_F_RING_PACKED)
#define F_IN_ORDER	(1ULL << VIRTIO_F_IN_ORDER)

/* Bits of struct vring_packed_desc.flags. */
#define PACKED_AVAIL	(1U << VRING_PACKED_DESC_F_AVAIL)
#define PACKED_USED	(1U << VRING_PACKED_DESC_F_USED)

/**
 * struct fring - a driver's view of one ring
 * @avail: avail ring; packed: the driver's event suppression
 * @used: used ring; packed: the device's event suppression
 * @idx: next avail entry, not masked; packed: next descriptor
 * @wrap: packed: the driver's wrap counter
 * @free: descriptors that were not used since fring_init() or fring_recycle()
 * @head_flags: packed: of the first chain that is not published, at @head
 */
struct fring {
	bool packed;
	u32 num;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;

	u16 idx;
	bool wrap;
	u32 free;
	bool pending;
	u16 head, head_flags;
};

/* Bytes of the parts. */
size_t fring_avail_bytes(bool packed, u32 num);
size_t fring_used_bytes(bool packed, u32 num);

/* Makes the ring empty, at a place as VHOST_SET_VRING_BASE has it. */
void fring_init(struct fring *f, u32 base);
/* Any base that is a place in this ring. */
u32 fring_random_base(const struct fring *f, u64 *state);

/**
 * fring_add() - lay out a chain, for fring_publish()
 * @f: ring
 * @segs: readable ones first
 * @nr: of them
 * @table: where an indirect table may be; NULL: none
 * @table_gpa: the same for the device
 *
 * Return: whether there was room.
 */
bool fring_add(struct fring *f, const struct drv_seg *segs, u32 nr,
	       struct vring_desc *table, u64 table_gpa);
void fring_publish(struct fring *f);

/* Whether the device has used all: of a packed ring, what was published last. */
bool fring_all_used(const struct fring *f);
/* All descriptors are free again. */
void fring_recycle(struct fring *f);

#endif
