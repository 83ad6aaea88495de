// SPDX-License-Identifier: GPL-2.0
/*
 * The virtqueue engine, packed rings (VIRTIO 1.2, 2.8): steps 4 and 7.
 *
 * in:  a struct vring_dev laid over guest memory
 * out: chains popped, used descriptors published, the decision on a call
 *
 * The theory of operation, and the barriers named (A) to (D), stand in vring.h.
 *
 * The driver and the device go round the ring in the same order, each with a wrap
 * counter that starts at 1 and flips whenever the end is passed (2.8.1). A
 * descriptor is available if its AVAIL bit equals the driver's wrap counter and its
 * USED bit does not; it is used if both equal the device's.
 */
#include "vring_impl.h"

/* Bits VRING_PACKED_DESC_F_AVAIL, _USED and VRING_PACKED_EVENT_F_WRAP_CTR. */
#define F_AVAIL		0x0080U
#define F_USED		0x8000U
#define WRAP		0x8000U

#define EVENT_FLAGS	3U	/* 2.8.14: the others are reserved */

int vring_packed_init(struct vring_dev *vr, const struct vring_config *cfg)
{
	struct vring_packed *p = &vr->p;

	/* 2.8.10: alignment of the three parts. */
	if ((unsigned long)cfg->desc & 15 || (unsigned long)cfg->avail & 3 ||
	    (unsigned long)cfg->used & 3)
		return -EINVAL;
	p->desc = cfg->desc;
	p->driver = cfg->avail;
	p->device = cfg->used;
	return 0;
}

/* What was not popped of it is fetched anew, if it is popped. */
static void vring_packed_drop_fetched(struct vring_packed *p)
{
	p->nr_fetched = 0;
	p->next_fetched = 0;
}

static int vring_packed_put_event(struct vring_dev *vr, u16 off_wrap, u16 flags)
{
	vr->unlogged_event = true;
	return vring_io_put_event(vr->p.device, off_wrap, flags);
}

/* Places, counted round twice, once for each wrap counter: 0 to twice the size. */
static u32 vring_packed_place(const struct vring_dev *vr, u16 at, bool wrap)
{
	return wrap ? at + vr->num : at;
}

/* How far @to is ahead of @from. */
static u32 vring_packed_distance(const struct vring_dev *vr, u32 from, u32 to)
{
	return to >= from ? to - from : to + 2 * vr->num - from;
}

int vring_packed_load(struct vring_dev *vr, u32 state)
{
	struct vring_packed *p = &vr->p;
	u16 avail = state & ~WRAP, used = state >> 16 & ~WRAP;
	bool avail_wrap = state & WRAP, used_wrap = state >> 16 & WRAP;
	u32 ahead;

	if (avail >= vr->num || used >= vr->num)
		return -EINVAL;
	/* What was popped and not used is in the ring still. */
	ahead = vring_packed_distance(vr, vring_packed_place(vr, used, used_wrap),
				      vring_packed_place(vr, avail, avail_wrap));
	if (ahead > vr->num)
		return -EINVAL;
	vr->in_flight = ahead;
	p->avail = avail;
	p->avail_wrap = avail_wrap;
	p->used = used;
	p->used_wrap = used_wrap;
	p->push = used;
	p->push_wrap = used_wrap;
	p->undecided = 2 * vr->num;	/* whatever the driver waits for, call */
	vring_packed_drop_fetched(p);

	/* Whoever served the ring before may have left DISABLE behind. */
	return vring_packed_put_event(vr, 0, VRING_PACKED_EVENT_FLAG_ENABLE);
}

u32 vring_packed_save(const struct vring_dev *vr)
{
	const struct vring_packed *p = &vr->p;
	u32 avail = p->avail | (p->avail_wrap ? WRAP : 0);
	u32 used = p->used | (p->used_wrap ? WRAP : 0);

	return avail | used << 16;
}

/* The flags of an available descriptor, of those two. */
static u16 vring_packed_avail_flags(const struct vring_packed *p)
{
	return p->avail_wrap ? F_AVAIL : F_USED;
}

/*
 * Refills fetched[] with descriptors from p->avail on, up to the end of the ring:
 * those that are available, or just one, whatever its flags say, if @any.
 * Return: 1 if there are some, 0 if not.
 */
static int vring_packed_fetch(struct vring_dev *vr, bool any)
{
	struct vring_packed *p = &vr->p;
	u16 mask = any ? 0 : F_AVAIL | F_USED;
	u16 n = any ? 1 : vring_min(vr->num - p->avail, VRING_POP_BATCH);
	int ret;

	/* with barrier (A) */
	ret = vring_io_get_packed(p->fetched, &p->desc[p->avail], n, mask,
				  vring_packed_avail_flags(p) & mask);
	if (ret <= 0)
		return ret;
	p->next_fetched = 0;
	p->nr_fetched = ret;
	return 1;
}

/* The next place on the way round. */
static inline void vring_packed_advance(const struct vring_dev *vr, u32 *at,
					bool *wrap, u32 nr_desc)
{
	u32 next = *at + nr_desc;

	if (next >= vr->num) {
		next -= vr->num;
		*wrap = !*wrap;
	}
	*at = next;
}

/* Takes the descriptor at p->avail, if fetched[] has one. */
static inline void vring_packed_take(struct vring_dev *vr, struct vring_desc_cpu *d)
{
	struct vring_packed *p = &vr->p;

	vring_io_packed_to_cpu(d, &p->fetched[p->next_fetched++]);
	vring_packed_advance(vr, &p->avail, &p->avail_wrap, 1);
}

/* Takes a chain of @room descriptors at most. Return: how many, or -errno. */
static int vring_packed_walk(struct vring_dev *vr, struct vring_chain *c,
			     u32 room, u16 *id)
{
	struct vring_packed *p = &vr->p;
	struct vring_desc_cpu d;
	u32 nr = 0;
	int err;

	for (;;) {
		vring_packed_take(vr, &d);
		nr++;
		if (d.flags & VRING_DESC_F_INDIRECT) {
			/* 2.8.19: not in a list of descriptors. */
			err = nr == 1 ? vring_add_indirect(vr, c, &d) : -EINVAL;
			if (err)
				return err;
			break;
		}
		err = vring_chain_add(c, &d);
		if (err)
			return err;
		if (!(d.flags & VRING_DESC_F_NEXT))
			break;
		if (nr == room)
			return -EINVAL;
		/*
		 * The rest of a chain is there if its start is (2.8.21), and (A)
		 * was passed since that was seen.
		 */
		if (p->next_fetched == p->nr_fetched) {
			err = vring_packed_fetch(vr, false);
			if (!err)
				err = vring_packed_fetch(vr, true);
			if (err < 0)
				return err;
		}
	}
	*id = d.next;
	return nr;
}

/* What is fetched starts a chain that is not of one descriptor with data. */
static __vring_slow int vring_packed_pop_chain(struct vring_dev *vr,
					       struct vring_chain *c)
{
	struct vring_packed *p = &vr->p;
	u32 avail = p->avail, room;
	bool wrap = p->avail_wrap;
	u16 id = 0;
	int ret;

	vring_chain_start(c);
	/* What is in flight cannot be available again, but from a broken driver. */
	room = vr->num - vr->in_flight;
	ret = room ? vring_packed_walk(vr, c, room, &id) : -EINVAL;
	if (ret < 0) {
		p->avail = avail;
		p->avail_wrap = wrap;
		vring_packed_drop_fetched(p);
		return ret;
	}
	vring_chain_end(c, id, ret);
	vr->in_flight += ret;
	return 1;
}

static __vring_slow int vring_packed_pop_fetch(struct vring_dev *vr,
					       struct vring_chain *c)
{
	int ret = vring_packed_fetch(vr, false);

	return ret > 0 ? vring_packed_pop(vr, c) : ret;
}

/* Calls only where it ends, so that the common path needs no stack. */
int vring_packed_pop(struct vring_dev *vr, struct vring_chain *c)
{
	struct vring_packed *p = &vr->p;
	u32 i = p->next_fetched;
	struct vring_desc_cpu d;

	if (i == p->nr_fetched)
		return vring_packed_pop_fetch(vr, c);
	vring_io_packed_to_cpu(&d, &p->fetched[i]);
	if (vr->in_flight == vr->num || !vring_chain_of_one(c, &d, d.next, 1))
		return vring_packed_pop_chain(vr, c);
	p->next_fetched = i + 1;
	vring_packed_advance(vr, &p->avail, &p->avail_wrap, 1);
	vr->in_flight++;
	return 1;
}

void vring_packed_unpop(struct vring_dev *vr, u16 nr_desc)
{
	struct vring_packed *p = &vr->p;

	if (p->avail < nr_desc) {
		p->avail += vr->num;
		p->avail_wrap = !p->avail_wrap;
	}
	p->avail -= nr_desc;
	vring_packed_drop_fetched(p);
}

/* Makes the pending descriptors visible to the driver. */
static int vring_packed_publish(struct vring_dev *vr)
{
	struct vring_packed *p = &vr->p;
	u32 n;
	int err;

	/* The first one last: until then the driver looks at no other. */
	if (vr->nr_pending > 1) {
		err = vring_io_put_packed(p->desc, vr->num, p->pending + 1,
					  vr->at + 1, vr->nr_pending - 1);
		if (err)
			return err;
	}
	vring_io_wmb();			/* (B) */
	err = vring_io_put_packed(p->desc, vr->num, p->pending, vr->at, 1);
	if (err)
		return err;
	n = p->push > p->used ? 0 : vr->num;
	n += p->push - p->used;
	p->used = p->push;
	p->used_wrap = p->push_wrap;
	/* Twice the ring stands for all places that there are. */
	p->undecided = p->undecided + n < 2 * vr->num ? p->undecided + n : 2 * vr->num;
	vr->unlogged += n;
	vr->in_flight -= n;
	vr->nr_pending = 0;
	vr->undecided = true;
	return 0;
}

static inline void vring_packed_set_pending(struct vring_dev *vr, u32 i, u16 id,
					    u32 written, u16 flags)
{
	if (written)
		flags |= VRING_DESC_F_WRITE;
	vring_io_set_packed(&vr->p.pending[i], id, written, flags);
}

static inline void vring_packed_append(struct vring_dev *vr, struct vring_token t,
				       u32 written)
{
	struct vring_packed *p = &vr->p;
	u32 n = vr->nr_pending;

	vr->at[n] = p->push;
	vring_packed_set_pending(vr, n, t.id, written,
				 p->push_wrap ? F_AVAIL | F_USED : 0);
	vr->nr_pending = n + 1;
	vring_packed_advance(vr, &p->push, &p->push_wrap, t.nr_desc);
}

/* Makes room among the pending: no driver looks past the first, which is kept. */
static int vring_packed_spill(struct vring_dev *vr)
{
	int err = vring_io_put_packed(vr->p.desc, vr->num, vr->p.pending + 1,
				      vr->at + 1, vr->nr_pending - 1);

	vr->nr_pending = 1;
	vr->last_full = false;
	return err;
}

static __vring_slow int vring_packed_push_full(struct vring_dev *vr,
					       struct vring_token t, u32 written)
{
	int err = vr->hold ? vring_packed_spill(vr) : vring_packed_publish(vr);

	if (!err)
		vring_packed_append(vr, t, written);
	return err;
}

/* 2.8.11: the last of a batch stands for all, in the first one's place. */
static bool vring_packed_push_in_order(struct vring_dev *vr, struct vring_token t,
				       u32 written)
{
	struct vring_packed *p = &vr->p;
	bool joined = vr->nr_pending && vr->last_full;

	if (joined) {
		u32 last = vr->nr_pending - 1;
		u16 flags = vring_io_packed_flags(&p->pending[last]);

		vring_packed_set_pending(vr, last, t.id, written,
					 flags & ~VRING_DESC_F_WRITE);
		vring_packed_advance(vr, &p->push, &p->push_wrap, t.nr_desc);
	}
	vr->last_full = vring_written_in_full(t, written);
	return joined;
}

int vring_packed_push(struct vring_dev *vr, struct vring_token t, u32 written)
{
	if (vr->in_order && vring_packed_push_in_order(vr, t, written))
		return 0;
	if (vr->nr_pending == vr->max_pending)
		return vring_packed_push_full(vr, t, written);
	vring_packed_append(vr, t, written);
	return 0;
}

/* Whether descriptor @off_wrap is among the last @n that were used. */
static bool vring_packed_need_event(const struct vring_dev *vr, u16 off_wrap, u32 n)
{
	const struct vring_packed *p = &vr->p;
	u16 off = off_wrap & ~WRAP;
	u32 back;

	if (n >= 2 * vr->num)
		return true;
	if (off >= vr->num)
		return false;		/* a place that never comes */
	back = vring_packed_distance(vr, vring_packed_place(vr, off, off_wrap & WRAP),
				     vring_packed_place(vr, p->used, p->used_wrap));
	return back && back <= n;
}

/* Whether the driver wants a call for what was published since the last decision. */
static int vring_packed_decide(struct vring_dev *vr)
{
	u32 n = vr->p.undecided;
	u16 off_wrap, flags;
	int err;

	vr->p.undecided = 0;
	vr->undecided = false;

	err = vring_io_get_event(vr->p.driver, &off_wrap, &flags);
	if (err)
		return err;
	flags &= EVENT_FLAGS;
	if (flags == VRING_PACKED_EVENT_FLAG_DISABLE)
		return 0;
	if (flags == VRING_PACKED_EVENT_FLAG_DESC && vr->event_idx)
		return vring_packed_need_event(vr, off_wrap, n);
	return 1;
}

int vring_packed_flush(struct vring_dev *vr)
{
	if (vr->nr_pending) {
		int err = vring_packed_publish(vr);

		if (err)
			return err;
	}
	if (!vr->undecided)
		return 0;
	vring_io_mb();			/* (C) */
	return vring_packed_decide(vr);
}

int vring_packed_disable_notify(struct vring_dev *vr)
{
	vr->notify_off = true;
	return vring_packed_put_event(vr, 0, VRING_PACKED_EVENT_FLAG_DISABLE);
}

static int vring_packed_ask_notify(struct vring_dev *vr)
{
	const struct vring_packed *p = &vr->p;

	vr->notify_off = false;
	if (!vr->event_idx)
		return vring_packed_put_event(vr, 0, VRING_PACKED_EVENT_FLAG_ENABLE);
	return vring_packed_put_event(vr, p->avail | (p->avail_wrap ? WRAP : 0),
				      VRING_PACKED_EVENT_FLAG_DESC);
}

int vring_packed_enable_notify(struct vring_dev *vr)
{
	int err = vring_packed_ask_notify(vr);

	if (err)
		return err;
	vring_io_mb();			/* (D) */
	return vring_packed_has_avail(vr);
}

int vring_packed_finish(struct vring_dev *vr)
{
	int err, call = 0, more;

	if (vr->nr_pending) {
		err = vring_packed_publish(vr);
		if (err)
			return err;
	}
	err = vring_packed_ask_notify(vr);
	if (err)
		return err;
	vring_io_mb();			/* (C) and (D) */
	if (vr->undecided) {
		call = vring_packed_decide(vr);
		if (call < 0)
			return call;
	}
	more = vring_packed_has_avail(vr);
	return more < 0 ? more : vring_finished(call, more);
}

int vring_packed_has_avail(const struct vring_dev *vr)
{
	const struct vring_packed *p = &vr->p;
	u16 flags;
	int err;

	err = vring_io_get16((const __virtio16 __vring *)&p->desc[p->avail].flags,
			     &flags);
	if (err)
		return err;
	return (flags & (F_AVAIL | F_USED)) == vring_packed_avail_flags(p);
}

/* In the terms of vring.h: of the descriptor ring, and our event suppression. */
void vring_packed_extend_dirty(struct vring_dev *vr)
{
	vring_extend_back(vr, &vr->dirty.desc, 0, sizeof(struct vring_packed_desc),
			  vr->p.used, vr->unlogged);
	if (vr->unlogged_event)
		vring_extend(&vr->dirty.used, 0, sizeof(*vr->p.device));
}
