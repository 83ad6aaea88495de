/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ring engine and the reference model (model.h) over one ring, step by step; the
 * first difference aborts the test.
 *
 * in:  a ring's size, features and place; what the driver writes
 * out: each step of the engine compared: what it returns, and every byte of the ring
 *
 * All memory that the engine may touch has poison around it, for ASan. There is one
 * duel at a time: its memory is static, so that millions of them cost little.
 */
#ifndef SELFTEST_DUEL_H
#define SELFTEST_DUEL_H

#include "../../ring/vring.h"
#include "model.h"

#define DUEL_F_PACKED	(1ULL << VIRTIO_F_RING_PACKED)
#define DUEL_F_IN_ORDER	(1ULL << VIRTIO_F_IN_ORDER)
#define DUEL_F_EVENT	(1ULL << VIRTIO_RING_F_EVENT_IDX)
#define DUEL_F_INDIRECT	(1ULL << VIRTIO_RING_F_INDIRECT_DESC)

/*
 * Guest memory for indirect tables: two pieces that are neighbours in the guest, not
 * here, and nothing else.
 */
#define DUEL_GUEST	0x7ffff000ULL
#define DUEL_PIECE	2048U
#define DUEL_GUEST_SIZE	(2 * DUEL_PIECE)

/* Chains that are popped and not pushed. */
#define DUEL_TOKENS	1024

struct duel_token {
	struct vring_token t;
	u64 in_bytes;
};

struct duel {
	struct vring_dev vr;
	struct vring_config cfg;
	struct model m;

	u8 *mem[MODEL_PARTS];
	u8 *want[MODEL_PARTS];	/* the model's */
	u8 *clean[MODEL_PARTS];	/* at the last duel_take_dirty() */

	/* Lookups give this many bytes at most, and fail in the hole. */
	u32 contig;
	u64 hole_from, hole_to;

	u32 nr_tokens;		/* oldest first */
	struct duel_token tokens[DUEL_TOKENS];
	bool can_unpop;		/* the last of them */

	struct model_chain chain;	/* what duel_pop() found */
};

/* An empty ring at @state; memory zeroed. Loads it. */
struct duel *duel_start(u64 features, u32 num, u32 state, u16 used_idx);

/* The driver's writes: a ring, or the guest's memory. */
void duel_put(struct duel *d, enum model_part part, u32 offset, const void *src, u32 n);
void duel_put16(struct duel *d, enum model_part part, u32 offset, u16 v);
u16 duel_get16(const struct duel *d, enum model_part part, u32 offset);
void duel_put_guest(struct duel *d, u32 offset, const void *src, u32 n);

/* The device's steps. What they return is the engine's, and right. */
int duel_load(struct duel *d, u32 state);
int duel_pop(struct duel *d, u32 max_segs);
void duel_unpop(struct duel *d);
void duel_push(struct duel *d, u32 token, u32 written);
int duel_flush(struct duel *d);
void duel_disable_notify(struct duel *d);
int duel_enable_notify(struct duel *d);
int duel_has_avail(struct duel *d);
void duel_take_dirty(struct duel *d);
/* Saves into a ring engine of its own, which goes on. */
void duel_move(struct duel *d);

/* Compares all of a ring; the steps do so unless it is a large one. */
void duel_compare(struct duel *d);

#endif
