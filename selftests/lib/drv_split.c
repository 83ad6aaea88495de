// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's side of a split virtqueue, played in userspace (VIRTIO 1.2, 2.7.13 and
 * 2.7.14).
 *
 * in:  guest memory, a queue size, features
 * out: see drv.h
 */
#include "drv_impl.h"

/* The standard's word for a ring index that cannot come up soon. */
#define FAR	0x8000

static __virtio16 *used_event(struct drv *d)
{
	return &d->avail->ring[d->num];
}

static __virtio16 *avail_event(const struct drv *d)
{
	return (__virtio16 *)&d->used->ring[d->num];
}

void split_start_at(struct drv *d, u32 n)
{
	d->avail_idx = n;
	d->kicked_idx = n;
	d->last_used = n;
	store16(&d->avail->idx, n);
	store16(&d->used->idx, n);
	store16(used_event(d), n);
	store16(avail_event(d), n);
	/* 2.7.9: with IN_ORDER the table is gone through as the ring is. */
	if (d->in_order)
		d->free_head = n % d->num;
}

/* ---- to the device ---- */

void drv_set_desc(struct vring_desc *desc, u64 gpa, u32 len, u16 flags, u16 next)
{
	desc->addr = htole64(gpa);
	desc->len = htole32(len);
	desc->flags = htole16(flags);
	desc->next = htole16(next);
}

void drv_put_head(struct drv *d, u16 head)
{
	store16(&d->avail->ring[d->avail_idx % d->num], head);
	d->avail_idx++;
}

u16 split_add(struct drv *d, const struct drv_seg *segs, u32 nr, u32 need)
{
	u32 plain = d->layout == DRV_DIRECT ? nr : d->layout == DRV_MIXED ? 1 : 0;
	u16 head = drv_take_free(d), at = head, i;

	for (i = 0; i < plain; i++) {
		bool more = i + 1u < need;
		u16 next = more ? drv_take_free(d) : 0;

		drv_set_desc(&d->desc[at], segs[i].gpa, segs[i].len,
			     (segs[i].write ? VRING_DESC_F_WRITE : 0) |
			     (more ? VRING_DESC_F_NEXT : 0), next);
		at = next;
	}
	if (plain < nr) {
		u64 table = drv_fill_table(d, head, segs + plain, nr - plain);

		drv_set_desc(&d->desc[at], table, 16 * (nr - plain),
			     VRING_DESC_F_INDIRECT, 0);
	}
	drv_put_head(d, head);
	return head;
}

void drv_set_avail_idx(struct drv *d, u16 idx)
{
	/* 2.7.13.3.1: ring and descriptors are seen before the index. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	store16(&d->avail->idx, idx);
}

void split_publish(struct drv *d)
{
	drv_set_avail_idx(d, d->avail_idx);
}

bool split_wants_kick(struct drv *d)
{
	u16 old = d->kicked_idx, new = d->avail_idx;

	d->kicked_idx = new;
	if (old == new)
		return false;
	if (d->kick_always)
		return true;
	if (d->event_idx)
		return (u16)(new - load16(avail_event(d)) - 1) < (u16)(new - old);
	return !(load16(&d->used->flags) & VRING_USED_F_NO_NOTIFY);
}

/* ---- and back ---- */

bool split_has_used(const struct drv *d)
{
	return load16(&d->used->idx) != d->last_used;
}

bool split_look(const struct drv *d, struct drv_used *u)
{
	const volatile struct vring_used_elem *e;
	u16 idx = load16(&d->used->idx);

	if (idx == d->last_used)
		return false;
	/* 2.7.14: the element is read after the index. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	CHECK((u16)(idx - d->last_used) <= d->num,
	      "used.idx %u is far past %u", idx, d->last_used);
	e = &d->used->ring[d->last_used % d->num];
	u->id = le32toh(e->id);
	u->len = le32toh(e->len);
	return true;
}

void split_pass_used(struct drv *d, u32 nr_reqs)
{
	u16 idx = load16(&d->used->idx);

	/* 2.7.9: the index grew by the size of the batch. */
	CHECK((u16)(idx - d->last_used) >= nr_reqs,
	      "used.idx %u is in the middle of a batch of %u from %u", idx, nr_reqs,
	      d->last_used);
	d->last_used += nr_reqs;
}

void split_want_call(struct drv *d)
{
	store16(&d->avail->flags, 0);
	store16(used_event(d), d->last_used);
}

void split_want_no_call(struct drv *d)
{
	if (d->event_idx)
		store16(used_event(d), d->last_used + FAR);
	else
		store16(&d->avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
}

/* ---- the ring in the open ---- */

u16 drv_used_idx(const struct drv *d)
{
	return load16(&d->used->idx);
}

u16 drv_used_flags(const struct drv *d)
{
	return load16(&d->used->flags);
}

u16 drv_avail_event(const struct drv *d)
{
	return load16(avail_event(d));
}

void drv_set_avail_flags(struct drv *d, u16 flags)
{
	store16(&d->avail->flags, flags);
}

void drv_set_used_event(struct drv *d, u16 idx)
{
	store16(used_event(d), idx);
}
