// SPDX-License-Identifier: GPL-2.0
/*
 * The virtqueue engine, split rings (VIRTIO 1.2, 2.7): steps 4 and 7.
 *
 * in:  a struct vring_dev laid over guest memory
 * out: chains popped, used elements published, the decision on a call
 *
 * The theory of operation, and the barriers named (A) to (D), stand in vring.h.
 */
#include "vring_impl.h"

int vring_split_init(struct vring_dev *vr, const struct vring_config *cfg)
{
	struct vring_split *s = &vr->s;

	/* 2.7: alignment of the three parts. */
	if ((unsigned long)cfg->desc & 15 || (unsigned long)cfg->avail & 1 ||
	    (unsigned long)cfg->used & 3)
		return -EINVAL;
	s->desc = cfg->desc;
	s->avail = cfg->avail;
	s->used = cfg->used;
	s->mask = cfg->num - 1;
	return 0;
}

static int vring_split_put_flags(struct vring_dev *vr, u16 flags)
{
	vr->unlogged_flags = true;
	return vring_io_put16(&vr->s.used->flags, flags);
}

int vring_split_load(struct vring_dev *vr, u32 state)
{
	struct vring_split *s = &vr->s;
	u16 used_idx;
	int err;

	if (state > U16_MAX)
		return -EINVAL;
	err = vring_io_get16(&s->used->idx, &used_idx);
	if (err)
		return err;
	/* Whoever served the ring before may have left NO_NOTIFY behind. */
	err = vring_split_put_flags(vr, 0);
	if (err)
		return err;

	s->last_avail = state;
	s->avail_idx = state;
	s->used_idx = used_idx;
	s->push_idx = used_idx;
	s->signalled_used = used_idx;
	s->signalled_valid = false;
	s->next_head = 0;
	s->nr_heads = 0;
	return 0;
}

/*
 * Refills heads[], up to the end of the ring, and first[] with the descriptors that
 * they name. A head that names none has the place of another there, and is refused
 * when its turn comes. Return: 1 if there are some now, 0 if the ring is empty.
 */
static int vring_split_fetch(struct vring_dev *vr)
{
	struct vring_split *s = &vr->s;
	u16 at, n;
	int err;

	if (s->avail_idx == s->last_avail) {
		u16 avail_idx;

		err = vring_io_get16(&s->avail->idx, &avail_idx);
		if (err)
			return err;
		if (avail_idx == s->last_avail)
			return 0;
		/* More than the ring can hold: the driver's index is junk. */
		if ((u16)(avail_idx - s->last_avail) > vr->num)
			return -EINVAL;
		s->avail_idx = avail_idx;
		vring_io_rmb();		/* (A) */
	}

	at = s->last_avail & s->mask;
	n = vring_min(s->avail_idx - s->last_avail, VRING_POP_BATCH);
	n = vring_min(n, vr->num - at);
	err = vring_io_get16s(s->heads, &s->avail->ring[at], n);
	if (!err)
		err = vring_io_get_descs(s->first, s->desc, vr->num, s->heads, n);
	if (err)
		return err;
	s->next_head = 0;
	s->nr_heads = n;
	return 1;
}

/* heads[next_head] is the caller's now. */
static inline void vring_split_popped(struct vring_dev *vr)
{
	vr->s.next_head++;
	vr->s.last_avail++;
	vr->in_flight++;
}

/* Walks the chain that starts with descriptor @d. */
static int vring_split_walk(struct vring_dev *vr, struct vring_chain *c,
			    struct vring_desc_cpu *d)
{
	u32 seen;
	int err;

	for (seen = 1; ; seen++) {
		/* 2.7.5.3.2: WRITE is ignored here, plain ones may precede. */
		if (d->flags & VRING_DESC_F_INDIRECT)
			return vring_add_indirect(vr, c, d);
		err = vring_chain_add(c, d);
		if (err)
			return err;
		if (!(d->flags & VRING_DESC_F_NEXT))
			return 0;
		/* More links than descriptors: a loop. */
		if (seen == vr->num || d->next >= vr->num)
			return -EINVAL;
		err = vring_io_get_desc(&vr->s.desc[d->next], d);
		if (err)
			return err;
	}
}

/* The head at hand starts a chain that is not of one descriptor with data. */
static __vring_slow int vring_split_pop_chain(struct vring_dev *vr,
					      struct vring_chain *c)
{
	struct vring_split *s = &vr->s;
	struct vring_desc_cpu d;
	int err;

	vring_io_desc_to_cpu(&d, &s->first[s->next_head]);
	vring_chain_start(c);
	err = vring_split_walk(vr, c, &d);
	if (err)
		return err;
	vring_chain_end(c, s->heads[s->next_head], 1);
	vring_split_popped(vr);
	return 1;
}

static __vring_slow int vring_split_pop_fetch(struct vring_dev *vr,
					      struct vring_chain *c)
{
	int ret = vring_split_fetch(vr);

	return ret > 0 ? vring_split_pop(vr, c) : ret;
}

/* Calls only where it ends, so that the common path needs no stack. */
int vring_split_pop(struct vring_dev *vr, struct vring_chain *c)
{
	struct vring_split *s = &vr->s;
	u32 i = s->next_head, head;
	struct vring_desc_cpu d;

	if (i == s->nr_heads)
		return vring_split_pop_fetch(vr, c);
	head = s->heads[i];
	if (head >= vr->num)
		return -EINVAL;
	/* No honest driver has more chains out than the ring has descriptors. */
	if (vr->in_flight == vr->num)
		return -EINVAL;

	vring_io_desc_to_cpu(&d, &s->first[i]);
	if (!vring_chain_of_one(c, &d, head, 1))
		return vring_split_pop_chain(vr, c);
	vring_split_popped(vr);
	return 1;
}

void vring_split_unpop(struct vring_dev *vr)
{
	vr->s.last_avail--;
	/* fetched anew, if it is popped again */
	vr->s.next_head = 0;
	vr->s.nr_heads = 0;
}

/* Makes the pending elements visible to the driver. */
static int vring_split_publish(struct vring_dev *vr)
{
	struct vring_split *s = &vr->s;
	u16 n = s->push_idx - s->used_idx;
	int err;

	err = vring_io_put_used(s->used, vr->num, s->pending, vr->at,
				vr->nr_pending);
	if (err)
		return err;
	vring_io_wmb();			/* (B) */
	err = vring_io_put16(&s->used->idx, s->push_idx);
	if (err)
		return err;
	/* Passed the index of the last decision: it says nothing any more. */
	if ((u16)(s->push_idx - s->signalled_used) < n)
		s->signalled_valid = false;
	s->used_idx = s->push_idx;
	vr->unlogged += n;
	vr->in_flight -= n;
	vr->nr_pending = 0;
	vr->undecided = true;
	return 0;
}

static inline void vring_split_append(struct vring_dev *vr, u32 id, u32 written)
{
	struct vring_split *s = &vr->s;
	u32 n = vr->nr_pending;

	vr->at[n] = s->push_idx & s->mask;
	vring_io_set_used(&s->pending[n], id, written);
	vr->nr_pending = n + 1;
	s->push_idx++;
}

/* Makes room among the pending: no driver looks past used.idx, which stays as it is. */
static int vring_split_spill(struct vring_dev *vr)
{
	int err = vring_io_put_used(vr->s.used, vr->num, vr->s.pending, vr->at,
				    vr->nr_pending);

	vr->nr_pending = 0;
	vr->last_full = false;
	return err;
}

static __vring_slow int vring_split_push_full(struct vring_dev *vr, u32 id,
					      u32 written)
{
	int err = vr->hold ? vring_split_spill(vr) : vring_split_publish(vr);

	if (!err)
		vring_split_append(vr, id, written);
	return err;
}

/* 2.7.9: the last of a batch stands for all, in the first one's place. */
static bool vring_split_push_in_order(struct vring_dev *vr, struct vring_token t,
				      u32 written)
{
	struct vring_split *s = &vr->s;
	bool joined = vr->nr_pending && vr->last_full;

	if (joined) {
		vring_io_set_used(&s->pending[vr->nr_pending - 1], t.id, written);
		s->push_idx++;
	}
	vr->last_full = vring_written_in_full(t, written);
	return joined;
}

int vring_split_push(struct vring_dev *vr, struct vring_token t, u32 written)
{
	if (vr->in_order && vring_split_push_in_order(vr, t, written))
		return 0;
	if (vr->nr_pending == vr->max_pending)
		return vring_split_push_full(vr, t.id, written);
	vring_split_append(vr, t.id, written);
	return 0;
}

/* Whether the driver wants a call for what was published since the last decision. */
static int vring_split_decide(struct vring_dev *vr)
{
	struct vring_split *s = &vr->s;
	u16 old = s->signalled_used, event;
	bool valid = s->signalled_valid;	/* as vring_split_publish() left it */
	int err;

	vr->undecided = false;
	s->signalled_used = s->used_idx;
	s->signalled_valid = true;

	if (!vr->event_idx) {
		u16 flags;

		err = vring_io_get16(&s->avail->flags, &flags);
		return err ? err : !(flags & VRING_AVAIL_F_NO_INTERRUPT);
	}
	err = vring_io_get16(&s->avail->ring[vr->num], &event);
	if (err)
		return err;
	return !valid || vring_need_event(event, s->used_idx, old);
}

int vring_split_flush(struct vring_dev *vr)
{
	if (vr->nr_pending) {
		int err = vring_split_publish(vr);

		if (err)
			return err;
	}
	if (!vr->undecided)
		return 0;
	vring_io_mb();			/* (C) */
	return vring_split_decide(vr);
}

int vring_split_disable_notify(struct vring_dev *vr)
{
	/* 2.7.10.2: with EVENT_IDX flags stay 0; avail_event alone decides. */
	if (vr->event_idx)
		return 0;
	vr->notify_off = true;
	return vring_split_put_flags(vr, VRING_USED_F_NO_NOTIFY);
}

static int vring_split_ask_notify(struct vring_dev *vr)
{
	struct vring_split *s = &vr->s;

	vr->notify_off = false;
	if (!vr->event_idx)
		return vring_split_put_flags(vr, 0);
	vr->unlogged_event = true;
	return vring_io_put16((__virtio16 __vring *)&s->used->ring[vr->num],
			      s->last_avail);
}

int vring_split_enable_notify(struct vring_dev *vr)
{
	int err = vring_split_ask_notify(vr);

	if (err)
		return err;
	vring_io_mb();			/* (D) */
	return vring_split_has_avail(vr);
}

int vring_split_finish(struct vring_dev *vr)
{
	int err, call = 0, more;

	if (vr->nr_pending) {
		err = vring_split_publish(vr);
		if (err)
			return err;
	}
	err = vring_split_ask_notify(vr);
	if (err)
		return err;
	vring_io_mb();			/* (C) and (D) */
	if (vr->undecided) {
		call = vring_split_decide(vr);
		if (call < 0)
			return call;
	}
	more = vring_split_has_avail(vr);
	return more < 0 ? more : vring_finished(call, more);
}

int vring_split_has_avail(const struct vring_dev *vr)
{
	u16 avail_idx;
	int err;

	err = vring_io_get16(&vr->s.avail->idx, &avail_idx);
	return err ? err : avail_idx != vr->s.last_avail;
}

/* In the terms of vring.h: of the used ring, with avail_event at its end. */
void vring_split_extend_dirty(struct vring_dev *vr)
{
	const u32 idx = offsetof(struct vring_used, idx);
	const u32 ring = offsetof(struct vring_used, ring);
	const u32 entry = sizeof(struct vring_used_elem);
	struct vring_extent *e = &vr->dirty.used;

	if (vr->unlogged_flags)
		vring_extend(e, 0, idx);
	if (vr->unlogged)
		vring_extend(e, idx, ring);
	vring_extend_back(vr, e, ring, entry, vr->s.used_idx & vr->s.mask,
			  vr->unlogged);
	if (vr->unlogged_event)
		vring_extend(e, ring + vr->num * entry, ring + vr->num * entry + 2);
}
