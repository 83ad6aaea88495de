/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What vring.c, split.c and packed.c share, and nobody else sees.
 */
#ifndef VRING_IMPL_H
#define VRING_IMPL_H

#include "vring.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "fields that are stored together are laid out for little-endian hosts"
#endif

/* Each with the context and the return value of its public namesake. */
int vring_split_init(struct vring_dev *vr, const struct vring_config *cfg);
int vring_split_load(struct vring_dev *vr, u32 state);
void vring_split_unpop(struct vring_dev *vr);
int vring_split_flush(struct vring_dev *vr);
int vring_split_disable_notify(struct vring_dev *vr);
int vring_split_enable_notify(struct vring_dev *vr);
int vring_split_finish(struct vring_dev *vr);
int vring_split_has_avail(const struct vring_dev *vr);
void vring_split_extend_dirty(struct vring_dev *vr);

int vring_packed_init(struct vring_dev *vr, const struct vring_config *cfg);
int vring_packed_load(struct vring_dev *vr, u32 state);
u32 vring_packed_save(const struct vring_dev *vr);
void vring_packed_unpop(struct vring_dev *vr, u16 nr_desc);
int vring_packed_flush(struct vring_dev *vr);
int vring_packed_disable_notify(struct vring_dev *vr);
int vring_packed_enable_notify(struct vring_dev *vr);
int vring_packed_finish(struct vring_dev *vr);
int vring_packed_has_avail(const struct vring_dev *vr);
void vring_packed_extend_dirty(struct vring_dev *vr);

int vring_add_indirect(struct vring_dev *vr, struct vring_chain *c,
		       const struct vring_desc_cpu *t);

static inline u16 vring_min(u16 a, u16 b)
{
	return a < b ? a : b;
}

static inline int vring_finished(bool call, bool more)
{
	return (call ? VRING_CALL : 0) | (more ? VRING_MORE : 0);
}

static inline void vring_chain_start(struct vring_chain *c)
{
	c->nr_out = 0;
	c->nr_in = 0;
	c->out_bytes = 0;
	c->in_bytes = 0;
}

/* Appends one descriptor to the chain. */
static inline int vring_chain_add(struct vring_chain *c,
				  const struct vring_desc_cpu *d)
{
	u32 n = c->nr_out + c->nr_in;
	bool in = d->flags & VRING_DESC_F_WRITE;

	/* 2.7.4.2: all that the device writes comes after all that it reads. */
	if (!in && c->nr_in)
		return -EINVAL;
	if (!d->len)
		return 0;
	if (n == c->max_segs)
		return -E2BIG;
	if (c->out_bytes + c->in_bytes + d->len > 1ULL << 32)
		return -EINVAL;

	c->segs[n].gpa = d->addr;
	c->segs[n].len = d->len;
	if (in) {
		c->nr_in++;
		c->in_bytes += d->len;
	} else {
		c->nr_out++;
		c->out_bytes += d->len;
	}
	return 0;
}

/*
 * In one store: whoever hands a token on loads it in one piece, and a load of what
 * several stores wrote shortly before stalls.
 */
static inline void vring_set_token(struct vring_token *t, u16 id, u16 nr_desc,
				   u32 in_bytes)
{
	u64 word = id | (u32)nr_desc << 16 | (u64)in_bytes << 32;

	memcpy(t, &word, sizeof(word));
}

/* The chain is whole. */
static inline void vring_chain_end(struct vring_chain *c, u16 id, u16 nr_desc)
{
	vring_set_token(&c->token, id, nr_desc,
			c->in_bytes < U32_MAX ? c->in_bytes : U32_MAX);
}

/*
 * Fills the chain, if it is this one descriptor with data and nothing else, as most
 * are: vring_chain_start(), _add() and _end() in a few instructions.
 */
static inline bool vring_chain_of_one(struct vring_chain *c,
				      const struct vring_desc_cpu *d, u16 id,
				      u16 nr_desc)
{
	u32 in, in_bytes;	/* no branch on what alternates, as read and write */

	if (d->flags & (VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT))
		return false;
	if (!d->len || !c->max_segs)
		return false;
	in = d->flags / VRING_DESC_F_WRITE & 1;
	in_bytes = d->len & -in;
	c->segs[0].gpa = d->addr;
	c->segs[0].len = d->len;
	c->nr_out = in ^ 1;
	c->nr_in = in;
	c->out_bytes = d->len - in_bytes;
	c->in_bytes = in_bytes;
	vring_set_token(&c->token, id, nr_desc, in_bytes);
	return true;
}

/*
 * Whether each writable byte of a chain was written, so that with IN_ORDER a later
 * used element may stand for this one too. Of a chain of 4 GiB nobody can say so.
 */
static inline bool vring_written_in_full(struct vring_token t, u32 written)
{
	return written == t.in_bytes && written != U32_MAX;
}

static inline void vring_extend(struct vring_extent *e, u32 from, u32 to)
{
	if (from < e->from)
		e->from = from;
	if (to > e->to)
		e->to = to;
}

/*
 * The last @n entries before @end, in bytes. Of entries that wrap around, or are more
 * than the ring has, the whole ring is taken.
 */
static inline void vring_extend_back(const struct vring_dev *vr,
				     struct vring_extent *e, u32 offset,
				     u32 entry_bytes, u32 end, u64 n)
{
	u32 from = 0, to = vr->num;

	if (!n)
		return;
	if (!end)
		end = vr->num;
	if (n <= end) {
		from = end - n;
		to = end;
	}
	vring_extend(e, offset + from * entry_bytes, offset + to * entry_bytes);
}

#endif
