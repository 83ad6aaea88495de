/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The device's side of a virtqueue a second time, as a plain reading of VIRTIO 1.2,
 * 2.7 and 2.8: the reference that ring/ is compared with.
 *
 * in:  the bytes of a ring, and what the device does with it
 * out: what each step must return, and every byte that it must write
 *
 * Slow, and simple: no batches, no wrap counters. Of a ring's place it keeps one
 * number, modulo 2^16 (split) or twice the queue size (packed; the wrap counter is 1
 * in the first half). It shares no line with ring/, nor a structure: a ring is bytes here.
 *
 * An engine may read what is available before it is asked for it, which shows if
 * a driver changes it afterwards, as none should. How far the engine has read ahead
 * the model is told (model_ahead()); what was there then, it has kept itself.
 */
#ifndef SELFTEST_MODEL_H
#define SELFTEST_MODEL_H

#include "util.h"

#define MODEL_SEGS	512
/* Used elements wait for each other up to this many. */
#define MODEL_PENDING	64
/* As far as an engine may read ahead. */
#define MODEL_AHEAD	16

enum model_part {
	MODEL_DESC,	/* descriptor table or ring */
	MODEL_DRIVER,	/* avail ring, or the driver's event suppression */
	MODEL_DEVICE,	/* used ring, or the device's */
	MODEL_PARTS,
};

struct model_buf {
	u64 gpa;
	u32 len;
};

/* A chain: readable buffers, then writable ones. */
struct model_chain {
	u16 id;
	u16 nr_desc;
	u32 nr_out, nr_in;
	u64 out_bytes, in_bytes;
	struct model_buf buf[MODEL_SEGS];
};

/* An available entry as it was when the engine read it. */
struct model_seen {
	u16 head;		/* split */
	u8 desc[16];		/* of a split ring, at the head */
};

/* A used element, for all chains from @at on that it stands for. */
struct model_elem {
	u32 at;
	u32 size;
	u16 id;
	u32 len;
	bool full;
};

/**
 * struct model - a device's queue
 * @mem: the ring as it is
 * @want: the ring as it must be after the last step; the caller copies the driver's
 *	writes into it
 * @fetch: reads a descriptor of an indirect table; false if it is not in memory
 * @wrote: a step has written there; the caller resets it
 */
struct model {
	bool packed, event_idx, indirect, in_order;
	u32 num;
	const u8 *mem[MODEL_PARTS];
	u8 *want[MODEL_PARTS];
	bool (*fetch)(void *arg, u64 gpa, u8 desc[16]);
	void *arg;
	bool wrote[MODEL_PARTS];

	u32 avail;		/* next to pop */
	u32 pushed;		/* next to use, once all is published */
	u32 used;		/* next to use, as published */
	u32 in_flight;		/* popped and not published */
	u64 undecided;		/* published since the last decision on a call */
	bool decided;		/* there was one */

	u32 nr_pending;
	struct model_elem pending[MODEL_PENDING];

	u16 seen_idx;		/* avail.idx as the engine read it last */
	u32 nr_ahead;
	struct model_seen ahead[MODEL_AHEAD];
	u32 nr_back;		/* what the last chain was made from, for unpop */
	struct model_seen back[MODEL_AHEAD];

	/* The indirect table of the chain at hand, which alone may be looked up. */
	u64 table_gpa;
	u64 table_len;
};

/* Sizes of the parts, in bytes. */
size_t model_bytes(const struct model *m, enum model_part part);

/* Takes up a ring. 0 or -EINVAL. */
int model_load(struct model *m, u32 state);
u32 model_save(const struct model *m);

/**
 * model_pop() - what is next in the ring
 * @m: queue; not changed, but for the table's place
 * @max: room for buffers
 * @c: the chain, if there is one
 * @cached: go by avail.idx as it was read last, if that is enough
 *
 * Return: 1, 0, -EINVAL, -E2BIG or -EFAULT. model_take() then makes it popped.
 */
int model_pop(struct model *m, u32 max, struct model_chain *c, bool cached);
void model_take(struct model *m, const struct model_chain *c);
/* Puts the last chain back. */
void model_unpop(struct model *m, u32 nr_desc);

/* The engine has now read @n entries ahead; and avail.idx, if it is split. */
void model_ahead(struct model *m, u32 n, u16 seen_idx);

void model_push(struct model *m, u16 id, u32 nr_desc, u64 in_bytes, u32 written);

/**
 * model_flush() - publish, and decide
 *
 * Return: 1 for a call, 0 for none, -1 if the driver asked for nonsense and both
 * are right.
 */
int model_flush(struct model *m);

void model_disable_notify(struct model *m);
/* Return: 1 if there is something, as model_has_avail(). */
int model_enable_notify(struct model *m);
int model_has_avail(const struct model *m);

/* For the model's own files: little-endian bytes, and places. */
u16 model_get16(const u8 *p);
u32 model_get32(const u8 *p);
u64 model_get64(const u8 *p);
u32 model_modulus(const struct model *m);
u32 model_add(const struct model *m, u32 pos, u32 n);

#endif
