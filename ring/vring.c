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

/* Indirect descriptors are fetched this many at a time, on the stack. */
#define INDIRECT_BATCH	8U

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

/*
 * Appends the table that descriptor @t points to. Of a split ring its descriptors
 * are chained by next (2.7.5.3); of a packed one they have the packed layout, follow
 * each other, and of their flags WRITE alone has a meaning (2.8.7).
 */
int vring_add_indirect(struct vring_dev *vr, struct vring_chain *c,
		       const struct vring_desc_cpu *t)
{
	union {
		struct vring_desc split;
		struct vring_packed_desc packed;
	} block[INDIRECT_BATCH];
	struct vring_desc_cpu d;
	u32 start = 0, loaded = 0;	/* block[] holds [start, start + loaded) */
	u32 num, seen, i = 0;
	int err;

	if (!vr->indirect || t->flags & VRING_DESC_F_NEXT)
		return -EINVAL;
	if (!t->len || t->len % sizeof(*block))
		return -EINVAL;
	num = t->len / sizeof(*block);
	if (num > VRING_MAX_NUM)
		return -E2BIG;
	if (t->addr + t->len < t->addr)
		return -EINVAL;

	for (seen = 0; seen < num; seen++) {
		if (i - start >= loaded) {
			start = i;
			loaded = num - i < INDIRECT_BATCH ? num - i : INDIRECT_BATCH;
			err = vring_read_guest(vr, block,
					       t->addr + (u64)i * sizeof(*block),
					       loaded * sizeof(*block));
			if (err)
				return err;
		}
		if (vr->packed)
			vring_io_packed_to_cpu(&d, &block[i - start].packed);
		else
			vring_io_desc_to_cpu(&d, &block[i - start].split);

		if (d.flags & VRING_DESC_F_INDIRECT)
			return -EINVAL;
		err = vring_chain_add(c, &d);
		if (err)
			return err;
		if (vr->packed) {
			i++;
			continue;
		}
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		i = d.next;
		if (i >= num)
			return -EINVAL;
	}
	/* Split: more links than descriptors, a loop. */
	return vr->packed ? 0 : -EINVAL;
}
