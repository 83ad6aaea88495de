// SPDX-License-Identifier: GPL-2.0
/*
 * The virtqueue engine: what split and packed rings share.
 *
 * in:  a struct vring_config; descriptors that point to indirect tables
 * out: a struct vring_dev of the right layout; chains
 *
 * The theory of operation, and the barriers named (A) to (D), stand in vring.h.
 */
#include "vring_impl.h"

static bool vring_has(const struct vring_config *cfg, u32 feature)
{
	return cfg->features & (1ULL << feature);
}

static void vring_forget_dirty(struct vring_dev *vr)
{
	static const struct vring_extent nothing = { .from = U32_MAX };

	vr->dirty.desc = nothing;
	vr->dirty.used = nothing;
}

int vring_init(struct vring_dev *vr, const struct vring_config *cfg)
{
	bool packed = vring_has(cfg, VIRTIO_F_RING_PACKED);

	if (!vring_size_ok(cfg->num, packed))
		return -EINVAL;
	memset(vr, 0, sizeof(*vr));
	vr->num = cfg->num;
	vr->packed = packed;
	vr->event_idx = vring_has(cfg, VIRTIO_RING_F_EVENT_IDX);
	vr->indirect = vring_has(cfg, VIRTIO_RING_F_INDIRECT_DESC);
	vr->in_order = vring_has(cfg, VIRTIO_F_IN_ORDER);
	vr->mem = cfg->mem;
	vr->max_pending = cfg->num < VRING_PUSH_BATCH ? cfg->num : VRING_PUSH_BATCH;
	vring_forget_dirty(vr);
	return packed ? vring_packed_init(vr, cfg) : vring_split_init(vr, cfg);
}

/* Makes extents of what was written, while the ring's place is known. */
static void vring_extend_dirty(struct vring_dev *vr)
{
	if (vr->packed)
		vring_packed_extend_dirty(vr);
	else
		vring_split_extend_dirty(vr);
	vr->unlogged = 0;
	vr->unlogged_flags = false;
	vr->unlogged_event = false;
}

int vring_load(struct vring_dev *vr, u32 state)
{
	vring_extend_dirty(vr);
	vr->notify_off = false;
	vr->undecided = false;
	vr->in_flight = 0;
	vr->nr_pending = 0;
	return vr->packed ? vring_packed_load(vr, state) :
			    vring_split_load(vr, state);
}

u32 vring_save(const struct vring_dev *vr)
{
	return vr->packed ? vring_packed_save(vr) : vr->s.last_avail;
}

void vring_unpop(struct vring_dev *vr, struct vring_token t)
{
	vr->in_flight -= t.nr_desc;
	if (vr->packed)
		vring_packed_unpop(vr, t.nr_desc);
	else
		vring_split_unpop(vr);
}

int vring_flush(struct vring_dev *vr)
{
	return vr->packed ? vring_packed_flush(vr) : vring_split_flush(vr);
}

int vring_disable_notify(struct vring_dev *vr)
{
	if (vr->notify_off)
		return 0;
	return vr->packed ? vring_packed_disable_notify(vr) :
			    vring_split_disable_notify(vr);
}

int vring_enable_notify(struct vring_dev *vr)
{
	return vr->packed ? vring_packed_enable_notify(vr) :
			    vring_split_enable_notify(vr);
}

int vring_finish(struct vring_dev *vr)
{
	return vr->packed ? vring_packed_finish(vr) : vring_split_finish(vr);
}

int vring_has_avail(const struct vring_dev *vr)
{
	return vr->packed ? vring_packed_has_avail(vr) :
			    vring_split_has_avail(vr);
}

bool vring_take_dirty(struct vring_dev *vr, struct vring_dirty *dirty)
{
	vring_extend_dirty(vr);
	*dirty = vr->dirty;
	vring_forget_dirty(vr);
	return dirty->desc.from < dirty->desc.to ||
	       dirty->used.from < dirty->used.to;
}

/* Copies guest memory that may span regions. */
static int vring_read_guest(struct vring_dev *vr, void *dst, u64 gpa, u32 len)
{
	while (len) {
		const void __vring *src;
		u32 contig;
		int err;

		err = vring_io_lookup(vr->mem, gpa, len, &src, &contig);
		if (!err)
			err = vring_io_read(dst, src, contig);
		if (err)
			return err;
		dst += contig;
		gpa += contig;
		len -= contig;
	}
	return 0;
}

/* Up to VRING_TABLE_BATCH descriptors of a table, of either layout, into vr->table. */
static int vring_read_table(struct vring_dev *vr, u64 gpa, u32 n)
{
	u32 bytes = n * sizeof(struct vring_desc), contig;
	const void __vring *src;
	int err;

	err = vring_io_lookup(vr->mem, gpa, bytes, &src, &contig);
	if (err)
		return err;
	/* As a rule it is in one piece, and aligned as any table. */
	if (contig == bytes && !((unsigned long)src & (sizeof(u64) - 1)))
		return vring_io_get_words(vr->table.words, src, 2 * n);
	return vring_read_guest(vr, &vr->table, gpa, bytes);
}

/*
 * A chain is worked on in a copy that nothing points to: else its counts would be loaded
 * and stored anew for each descriptor, as a store to its segments might change them.
 */

/* Descriptors follow each other, and of their flags WRITE alone has a meaning (2.8.7). */
static int vring_add_packed_table(struct vring_dev *vr, struct vring_chain *to,
				  u64 gpa, u32 num)
{
	struct vring_chain chain = *to;
	const struct vring_packed_desc *block = vr->table.packed;
	struct vring_desc_cpu d;
	u32 i, n;
	int err;

	for (; num; num -= n, gpa += n * sizeof(*block)) {
		n = num < VRING_TABLE_BATCH ? num : VRING_TABLE_BATCH;
		err = vring_read_table(vr, gpa, n);
		for (i = 0; i < n && !err; i++) {
			vring_io_packed_to_cpu(&d, &block[i]);
			err = d.flags & VRING_DESC_F_INDIRECT ?
			      -EINVAL : vring_chain_add(&chain, &d);
		}
		if (err)
			return err;
	}
	*to = chain;
	return 0;
}

/* Descriptors are chained by next, from the first one on (2.7.5.3). */
static int vring_add_split_table(struct vring_dev *vr, struct vring_chain *to,
				 u64 gpa, u32 num)
{
	struct vring_chain chain = *to;	/* see above */
	const struct vring_desc *block = vr->table.split;
	u32 start = 0, loaded = 0;	/* block[] holds [start, start + loaded) */
	struct vring_desc_cpu d;
	u32 seen, i = 0;
	int err;

	for (seen = 0; seen < num; seen++) {
		if (i - start >= loaded) {
			start = i;
			loaded = num - i < VRING_TABLE_BATCH ? num - i : VRING_TABLE_BATCH;
			err = vring_read_table(vr, gpa + (u64)i * sizeof(*block), loaded);
			if (err)
				return err;
		}
		vring_io_desc_to_cpu(&d, &block[i - start]);
		if (d.flags & VRING_DESC_F_INDIRECT)
			return -EINVAL;
		err = vring_chain_add(&chain, &d);
		if (err)
			return err;
		if (!(d.flags & VRING_DESC_F_NEXT)) {
			*to = chain;
			return 0;
		}
		i = d.next;
		if (i >= num)
			return -EINVAL;
	}
	/* More links than descriptors: a loop. */
	return -EINVAL;
}

/* Appends the table that descriptor @t points to. */
int vring_add_indirect(struct vring_dev *vr, struct vring_chain *c,
		       const struct vring_desc_cpu *t)
{
	u32 num = t->len / sizeof(struct vring_desc);

	if (!vr->indirect || t->flags & VRING_DESC_F_NEXT)
		return -EINVAL;
	if (!num || t->len % sizeof(struct vring_desc))
		return -EINVAL;
	if (num > VRING_MAX_NUM)
		return -E2BIG;
	if (t->addr + t->len < t->addr)
		return -EINVAL;
	return vr->packed ? vring_add_packed_table(vr, c, t->addr, num) :
			    vring_add_split_table(vr, c, t->addr, num);
}
