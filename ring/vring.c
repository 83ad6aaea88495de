// SPDX-License-Identifier: GPL-2.0
/*
 * The virtqueue engine, split rings (VIRTIO 1.2, 2.7): steps 4 and 7.
 *
 * in:  a struct vring_dev laid over guest memory
 * out: chains popped, used elements published, the decision on a call
 *
 * The theory of operation, and the barriers named (A) to (D), stand in vring.h.
 */
#include "vring.h"

/* Indirect descriptors are fetched this many at a time, on the stack. */
#define INDIRECT_BATCH	8U

int vring_init(struct vring_dev *vr, const struct vring_config *cfg)
{
	if (!vring_size_ok(cfg->num))
		return -EINVAL;
	/* 2.7: alignment of the three parts. */
	if ((unsigned long)cfg->desc & 15 || (unsigned long)cfg->avail & 1 ||
	    (unsigned long)cfg->used & 3)
		return -EINVAL;

	*vr = (struct vring_dev) {
		.num = cfg->num,
		.mask = cfg->num - 1,
		.event_idx = cfg->features & (1ULL << VIRTIO_RING_F_EVENT_IDX),
		.indirect = cfg->features & (1ULL << VIRTIO_RING_F_INDIRECT_DESC),
		.desc = cfg->desc,
		.avail = cfg->avail,
		.used = cfg->used,
		.mem = cfg->mem,
	};
	return 0;
}

int vring_load(struct vring_dev *vr, u16 last_avail)
{
	u16 used_idx;
	int err;

	err = vring_io_get16(&vr->used->idx, &used_idx);
	if (err)
		return err;
	/* Whoever served the ring before may have left NO_NOTIFY behind. */
	err = vring_io_put16(&vr->used->flags, 0);
	if (err)
		return err;

	vr->last_avail = last_avail;
	vr->avail_idx = last_avail;
	vr->used_idx = used_idx;
	vr->signalled_used = used_idx;
	vr->signalled_valid = false;
	vr->undecided = false;
	vr->notify_off = false;
	vr->nr_heads = 0;
	vr->nr_pending = 0;
	return 0;
}

u16 vring_save(struct vring_dev *vr)
{
	vr->nr_heads = 0;
	vr->avail_idx = vr->last_avail;
	return vr->last_avail;
}

static u16 vring_min(u16 a, u16 b)
{
	return a < b ? a : b;
}

/* Refills heads[]. Return: 1 if there are some now, 0 if the ring is empty. */
static int vring_fetch_heads(struct vring_dev *vr)
{
	u16 at, n, first;
	int err;

	if (vr->avail_idx == vr->last_avail) {
		u16 avail_idx;

		err = vring_io_get16(&vr->avail->idx, &avail_idx);
		if (err)
			return err;
		if (avail_idx == vr->last_avail)
			return 0;
		/* More than the ring can hold: the driver's index is junk. */
		if ((u16)(avail_idx - vr->last_avail) > vr->num)
			return -EINVAL;
		vr->avail_idx = avail_idx;
		vring_io_rmb();		/* (A) */
	}

	at = vr->last_avail & vr->mask;
	n = vring_min(vr->avail_idx - vr->last_avail, VRING_POP_BATCH);
	first = vring_min(n, vr->num - at);
	err = vring_io_get16s(vr->heads, &vr->avail->ring[at], first);
	if (!err && n > first)
		err = vring_io_get16s(vr->heads + first, &vr->avail->ring[0],
				      n - first);
	if (err)
		return err;
	vr->next_head = 0;
	vr->nr_heads = n;
	return 1;
}

/* Appends one descriptor to the chain. */
static int vring_add_seg(struct vring_chain *c, const struct vring_desc_cpu *d)
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

/* Walks the table that descriptor @t points to (2.7.5.3). */
static int vring_pop_indirect(struct vring_dev *vr, struct vring_chain *c,
			      const struct vring_desc_cpu *t)
{
	struct vring_desc block[INDIRECT_BATCH];
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
		vring_io_desc_to_cpu(&d, &block[i - start]);

		if (d.flags & VRING_DESC_F_INDIRECT)
			return -EINVAL;
		err = vring_add_seg(c, &d);
		if (err)
			return err;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		i = d.next;
		if (i >= num)
			return -EINVAL;
	}
	return -EINVAL;		/* more links than descriptors: a loop */
}

static int vring_pop_chain(struct vring_dev *vr, struct vring_chain *c)
{
	struct vring_desc_cpu d;
	u32 i = c->head, seen;
	int err;

	for (seen = 0; seen < vr->num; seen++) {
		if (i >= vr->num)
			return -EINVAL;
		err = vring_io_get_desc(&vr->desc[i], &d);
		if (err)
			return err;

		/* 2.7.5.3.2: WRITE is ignored here, plain ones may precede. */
		if (d.flags & VRING_DESC_F_INDIRECT)
			return vring_pop_indirect(vr, c, &d);
		err = vring_add_seg(c, &d);
		if (err)
			return err;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		i = d.next;
	}
	return -EINVAL;		/* more links than descriptors: a loop */
}

int vring_pop(struct vring_dev *vr, struct vring_chain *c)
{
	int err;

	if (!vr->nr_heads) {
		err = vring_fetch_heads(vr);
		if (err <= 0)
			return err;
	}

	c->head = vr->heads[vr->next_head];
	c->nr_out = 0;
	c->nr_in = 0;
	c->out_bytes = 0;
	c->in_bytes = 0;
	err = vring_pop_chain(vr, c);
	if (err)
		return err;

	vr->next_head++;
	vr->nr_heads--;
	vr->last_avail++;
	return 1;
}

void vring_unpop(struct vring_dev *vr)
{
	vr->next_head--;
	vr->nr_heads++;
	vr->last_avail--;
}

/* Makes the pending elements visible to the driver. */
static int vring_publish(struct vring_dev *vr)
{
	u16 n = vr->nr_pending, at = vr->used_idx & vr->mask;
	u16 first = vring_min(n, vr->num - at);
	u16 used_idx = vr->used_idx + n;
	int err;

	err = vring_io_put_used(&vr->used->ring[at], vr->pending, first);
	if (!err && n > first)
		err = vring_io_put_used(&vr->used->ring[0], vr->pending + first,
					n - first);
	if (err)
		return err;
	vring_io_wmb();			/* (B) */
	err = vring_io_put16(&vr->used->idx, used_idx);
	if (err)
		return err;

	/* Passed the index of the last decision: it says nothing any more. */
	if ((u16)(used_idx - vr->signalled_used) < n)
		vr->signalled_valid = false;
	vr->used_idx = used_idx;
	vr->nr_pending = 0;
	vr->undecided = true;
	return 0;
}

int vring_push(struct vring_dev *vr, u16 head, u32 written)
{
	/* No more than the ring holds, or the batch would overwrite itself. */
	if (vr->nr_pending == vring_min(vr->num, VRING_PUSH_BATCH)) {
		int err = vring_publish(vr);

		if (err)
			return err;
	}
	vring_io_set_used(&vr->pending[vr->nr_pending++], head, written);
	return 0;
}

int vring_flush(struct vring_dev *vr)
{
	u16 old = vr->signalled_used, event;
	bool valid;
	int err;

	if (vr->nr_pending) {
		err = vring_publish(vr);
		if (err)
			return err;
	}
	if (!vr->undecided)
		return 0;

	valid = vr->signalled_valid;	/* as vring_publish() left it */
	vr->undecided = false;
	vr->signalled_used = vr->used_idx;
	vr->signalled_valid = true;

	vring_io_mb();			/* (C) */
	if (!vr->event_idx) {
		u16 flags;

		err = vring_io_get16(&vr->avail->flags, &flags);
		return err ? err : !(flags & VRING_AVAIL_F_NO_INTERRUPT);
	}
	err = vring_io_get16(&vr->avail->ring[vr->num], &event);
	if (err)
		return err;
	return !valid || vring_need_event(event, vr->used_idx, old);
}

int vring_disable_notify(struct vring_dev *vr)
{
	/* 2.7.10.2: with EVENT_IDX flags stay 0; avail_event alone decides. */
	if (vr->event_idx || vr->notify_off)
		return 0;
	vr->notify_off = true;
	return vring_io_put16(&vr->used->flags, VRING_USED_F_NO_NOTIFY);
}

int vring_enable_notify(struct vring_dev *vr)
{
	u16 avail_idx;
	int err;

	if (vr->event_idx)
		err = vring_io_put16((__virtio16 __vring *)&vr->used->ring[vr->num],
				     vr->last_avail);
	else
		err = vring_io_put16(&vr->used->flags, 0);
	if (err)
		return err;
	vr->notify_off = false;

	vring_io_mb();			/* (D) */
	err = vring_io_get16(&vr->avail->idx, &avail_idx);
	return err ? err : avail_idx != vr->last_avail;
}
