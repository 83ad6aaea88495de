// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's side of a split virtqueue, played in userspace.
 *
 * in:  guest memory, a queue size, features
 * out: see drv.h
 */
#include "drv.h"

#include <endian.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* The standard's word for a ring index that cannot come up soon. */
#define FAR	0x8000

/* The ring is shared with another CPU: each access is done once, as written. */
static u16 load16(const __virtio16 *p)
{
	return le16toh(*(const volatile u16 *)p);
}

static void store16(__virtio16 *p, u16 v)
{
	*(volatile u16 *)p = htole16(v);
}

static __virtio16 *used_event(struct drv *d)
{
	return &d->avail->ring[d->num];
}

static __virtio16 *avail_event(const struct drv *d)
{
	return (__virtio16 *)&d->used->ring[d->num];
}

void drv_init(struct drv *d, struct gmem *mem, u32 num, u64 features,
	      enum drv_layout layout, u32 max_segs)
{
	size_t avail_bytes = 6 + 2UL * num, used_bytes = 6 + 8UL * num;
	u32 i;

	*d = (struct drv) {
		.mem = mem,
		.num = num,
		.event_idx = features & F_EVENT_IDX,
		.layout = layout,
		.max_segs = max_segs,
		.nr_free = num,
	};
	/* No looser than the standard allows, so that nothing leans on more. */
	d->desc_gpa = gmem_alloc(mem, 16UL * num, 16);
	d->avail_gpa = gmem_alloc(mem, avail_bytes, 2);
	d->used_gpa = gmem_alloc(mem, used_bytes, 4);
	d->desc = gmem_ptr(mem, d->desc_gpa, 16UL * num);
	d->avail = gmem_ptr(mem, d->avail_gpa, avail_bytes);
	d->used = gmem_ptr(mem, d->used_gpa, used_bytes);
	memset(d->desc, 0, 16UL * num);
	memset(d->avail, 0, avail_bytes);
	memset(d->used, 0, used_bytes);
	if (layout != DRV_DIRECT)
		d->table_gpa = gmem_alloc(mem, 16UL * num * max_segs, 16);

	d->free_next = calloc(num, sizeof(*d->free_next));
	d->taken = calloc(num, sizeof(*d->taken));
	CHECK(d->free_next && d->taken, "no memory");
	/* An order in which neighbours in a chain are no neighbours in the table. */
	for (i = 0; i < num; i++)
		d->free_next[i] = (i + (num > 2 ? num / 2 + 1 : 1)) % num;
}

void drv_free(struct drv *d)
{
	free(d->free_next);
	free(d->taken);
	d->free_next = NULL;
	d->taken = NULL;
}

void drv_start_at(struct drv *d, u16 idx)
{
	d->avail_idx = idx;
	d->kicked_idx = idx;
	d->last_used = idx;
	store16(&d->avail->idx, idx);
	store16(&d->used->idx, idx);
	store16(used_event(d), idx);
	store16(avail_event(d), idx);
}

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

static u16 take_desc(struct drv *d)
{
	u16 i = d->free_head;

	d->free_head = d->free_next[i];
	d->nr_free--;
	return i;
}

static u16 seg_flags(const struct drv_seg *s, bool more)
{
	return (s->write ? VRING_DESC_F_WRITE : 0) |
	       (more ? VRING_DESC_F_NEXT : 0);
}

/* Writes @nr descriptors for @segs into the table that belongs to @head. */
static u64 fill_table(struct drv *d, u16 head, const struct drv_seg *segs, u32 nr)
{
	u64 gpa = d->table_gpa + 16ULL * d->max_segs * head;
	struct vring_desc *t = gmem_ptr(d->mem, gpa, 16UL * nr);
	u32 i;

	for (i = 0; i < nr; i++)
		drv_set_desc(&t[i], segs[i].gpa, segs[i].len,
			     seg_flags(&segs[i], i + 1 < nr), i + 1);
	return gpa;
}

int drv_add(struct drv *d, const struct drv_seg *segs, u32 nr)
{
	u32 plain, need, i;
	u16 head, at;

	CHECK(nr && nr <= d->max_segs, "chain of %u", nr);
	plain = d->layout == DRV_DIRECT ? nr : d->layout == DRV_MIXED ? 1 : 0;
	need = plain + (plain < nr);
	if (d->nr_free < need)
		return -ENOSPC;

	head = take_desc(d);
	d->taken[head] = need;
	for (i = 0, at = head; i < plain; i++) {
		u16 next = i + 1 < need ? take_desc(d) : 0;

		drv_set_desc(&d->desc[at], segs[i].gpa, segs[i].len,
			     seg_flags(&segs[i], i + 1 < need), next);
		at = next;
	}
	if (plain < nr) {
		if (!plain)
			at = head;
		drv_set_desc(&d->desc[at],
			     fill_table(d, head, segs + plain, nr - plain),
			     16 * (nr - plain), VRING_DESC_F_INDIRECT, 0);
	}
	drv_put_head(d, head);
	d->added++;
	return head;
}

int drv_add1(struct drv *d, u64 gpa, u32 len, bool write)
{
	struct drv_seg s = { gpa, len, write };

	return drv_add(d, &s, 1);
}

void drv_set_avail_idx(struct drv *d, u16 idx)
{
	/* 2.7.13.3.1: ring and descriptors are seen before the index. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	store16(&d->avail->idx, idx);
}

void drv_publish(struct drv *d)
{
	drv_set_avail_idx(d, d->avail_idx);
}

bool drv_wants_kick(struct drv *d)
{
	u16 old = d->kicked_idx, new = d->avail_idx;

	d->kicked_idx = new;
	/* 2.7.13.4.1: the index is seen before the device's wish is read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (old == new)
		return false;
	if (d->kick_always)
		return true;
	if (d->event_idx)
		return (u16)(new - load16(avail_event(d)) - 1) < (u16)(new - old);
	return !(load16(&d->used->flags) & VRING_USED_F_NO_NOTIFY);
}

bool drv_kick(struct drv *d, int kick)
{
	drv_publish(d);
	if (!drv_wants_kick(d))
		return false;
	ev_signal(kick);
	return true;
}

bool drv_has_used(const struct drv *d)
{
	return load16(&d->used->idx) != d->last_used;
}

/*
 * Gives the ring descriptors of @head back. They were taken off the free list one
 * after the other, so free_next still links them, whatever became of desc[].next.
 */
static void put_chain(struct drv *d, u16 head)
{
	u32 n = d->taken[head];
	u16 at = head;

	d->taken[head] = 0;
	d->nr_free += n;
	while (--n)
		at = d->free_next[at];
	d->free_next[at] = d->free_head;
	d->free_head = head;
}

int drv_get(struct drv *d, u32 *len)
{
	const volatile struct vring_used_elem *e;
	u16 idx = load16(&d->used->idx);
	u32 head, n;

	if (idx == d->last_used)
		return -EAGAIN;
	/* 2.7.14: the element is read after the index. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	CHECK((u16)(idx - d->last_used) <= d->num,
	      "used.idx %u is far past %u", idx, d->last_used);
	e = &d->used->ring[d->last_used % d->num];
	head = le32toh(e->id);
	n = le32toh(e->len);
	CHECK(head < d->num && d->taken[head],
	      "used element %u names %u, which the device was not given",
	      d->last_used, head);
	if (len)
		*len = n;

	put_chain(d, head);
	d->last_used++;
	d->got++;
	return head;
}

bool drv_enable_call(struct drv *d)
{
	store16(&d->avail->flags, 0);
	store16(used_event(d), d->last_used);
	/* 2.7.10: the wish is seen before the index is read again. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return drv_has_used(d);
}

void drv_disable_call(struct drv *d)
{
	if (d->event_idx)
		store16(used_event(d), d->last_used + FAR);
	else
		store16(&d->avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
}

u64 drv_in_flight(const struct drv *d)
{
	return d->added - d->got;
}

bool drv_wait(struct drv *d, int call, int ms)
{
	struct deadline end = deadline_in(ms);

	while (!drv_enable_call(d)) {
		if (deadline_passed(&end))
			return false;
		if (call < 0) {
			sched_yield();
			continue;
		}
		if (!ev_wait(call, deadline_left_ms(&end)))
			return false;
		ev_take(call);
	}
	return true;
}

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
