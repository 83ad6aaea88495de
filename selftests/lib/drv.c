// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's side of a virtqueue, played in userspace: what split and packed rings
 * share.
 *
 * in:  guest memory, a queue size, features
 * out: see drv.h
 */
#include "drv_impl.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

size_t drv_avail_bytes(const struct drv *d)
{
	return d->packed ? 4 : 6 + 2UL * d->num;
}

size_t drv_used_bytes(const struct drv *d)
{
	return d->packed ? 4 : 6 + 8UL * d->num;
}

const u32 *drv_sizes(u64 features)
{
	static const u32 split[] = {
		1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384,
		32768, 0,
	};
	static const u32 packed[] = {
		1, 2, 3, 4, 5, 7, 15, 16, 17, 64, 100, 255, 256, 1000, 4095, 32767, 32768,
		0,
	};

	return features & F_PACKED ? packed : split;
}

/* No looser alignment than the standard allows, so that nothing leans on more. */
static void *alloc_part(struct drv *d, u64 *gpa, size_t len, size_t align)
{
	void *p;

	*gpa = gmem_alloc(d->mem, len, align);
	p = gmem_ptr(d->mem, *gpa, len);
	memset(p, 0, len);
	return p;
}

/*
 * A free list in which neighbours in a chain are no neighbours in the table. The step
 * has no divisor in common with @num, so that the list goes through all.
 */
static void make_free_list(struct drv *d)
{
	u32 step = d->num / 2 + 1, i;

	if (d->num % 4 == 2)
		step++;
	for (i = 0; i < d->num; i++)
		d->free_next[i] = (i + step) % d->num;
}

void drv_init(struct drv *d, struct gmem *mem, u32 num, u64 features,
	      enum drv_layout layout, u32 max_segs)
{
	bool packed = features & F_PACKED;

	CHECK(num && num <= 32768 && (packed || !(num & (num - 1))), "%u", num);
	CHECK(!packed || layout != DRV_MIXED, "no such thing in a packed ring");
	*d = (struct drv) {
		.mem = mem,
		.num = num,
		.packed = packed,
		.event_idx = features & F_EVENT_IDX,
		.in_order = features & F_IN_ORDER,
		.layout = layout,
		.max_segs = max_segs,
		.nr_free = num,
	};
	d->desc = alloc_part(d, &d->desc_gpa, 16UL * num, 16);
	d->avail = alloc_part(d, &d->avail_gpa, drv_avail_bytes(d), packed ? 4 : 2);
	d->used = alloc_part(d, &d->used_gpa, drv_used_bytes(d), 4);
	if (layout != DRV_DIRECT)
		d->table_gpa = gmem_alloc(mem, 16UL * num * max_segs, 16);

	d->free_next = calloc(num, sizeof(*d->free_next));
	d->req = calloc(num, sizeof(*d->req));
	d->order = calloc(num, sizeof(*d->order));
	CHECK(d->free_next && d->req && d->order, "no memory");
	make_free_list(d);
	drv_start_at(d, 0);
}

void drv_free(struct drv *d)
{
	free(d->free_next);
	free(d->req);
	free(d->order);
	d->free_next = NULL;
	d->req = NULL;
	d->order = NULL;
}

void drv_start_at(struct drv *d, u32 n)
{
	if (d->packed)
		packed_start_at(d, n);
	else
		split_start_at(d, n);
}

static u32 packed_base(struct drv_place avail, struct drv_place used)
{
	return (u32)drv_off_wrap(used) << 16 | drv_off_wrap(avail);
}

u32 drv_base_after(const struct drv *d, u64 n)
{
	struct drv_place p = { 0, true };

	if (!d->packed)
		return (u16)n;
	p = drv_place_after(d, p, n % (2 * d->num));
	return packed_base(p, p);
}

u32 drv_base(const struct drv *d)
{
	return d->packed ? packed_base(d->avail_at, d->used_at) : d->avail_idx;
}

u32 drv_device_base(const struct drv *d)
{
	return d->packed ? packed_device_base(d) : drv_used_idx(d);
}

/* ---- to the device ---- */

u16 drv_take_free(struct drv *d)
{
	u16 i = d->free_head;

	/* 2.7.9: with IN_ORDER in ring order; they come back in that order, too. */
	d->free_head = d->in_order ? (i + 1u) % d->num : d->free_next[i];
	return i;
}

u64 drv_fill_table(struct drv *d, u16 head, const struct drv_seg *segs, u32 nr)
{
	u64 gpa = d->table_gpa + 16ULL * d->max_segs * head;
	void *t = gmem_ptr(d->mem, gpa, 16UL * nr);
	u32 i;

	for (i = 0; i < nr; i++) {
		u16 write = segs[i].write ? VRING_DESC_F_WRITE : 0;

		/* 2.8.7: all of a packed table is the chain, in that order. */
		if (d->packed)
			drv_set_packed_desc((struct vring_packed_desc *)t + i,
					    segs[i].gpa, segs[i].len, write, 0);
		else
			drv_set_desc((struct vring_desc *)t + i,
				     segs[i].gpa, segs[i].len, write |
				     (i + 1 < nr ? VRING_DESC_F_NEXT : 0), i + 1);
	}
	return gpa;
}

int drv_add(struct drv *d, const struct drv_seg *segs, u32 nr)
{
	u32 need = d->layout == DRV_INDIRECT ? 1 :
		   d->layout == DRV_MIXED && nr > 2 ? 2 : nr;
	struct drv_req *r;
	u32 i;
	u16 id;

	CHECK(nr && nr <= d->max_segs, "chain of %u", nr);
	if (d->nr_free < need)
		return -ENOSPC;
	d->nr_free -= need;

	id = d->packed ? packed_add(d, segs, nr, need) : split_add(d, segs, nr, need);
	r = &d->req[id];
	CHECK(!r->nr_desc, "%u is with the device, and free", id);
	r->nr_desc = need;
	r->in_bytes = 0;
	for (i = 0; i < nr; i++)
		if (segs[i].write)
			r->in_bytes += segs[i].len;
	d->order[d->added % d->num] = id;
	d->added++;
	return id;
}

int drv_add1(struct drv *d, u64 gpa, u32 len, bool write)
{
	struct drv_seg s = { gpa, len, write };

	return drv_add(d, &s, 1);
}

void drv_publish(struct drv *d)
{
	if (d->packed)
		packed_publish(d);
	else
		split_publish(d);
}

bool drv_wants_kick(struct drv *d)
{
	/* 2.7.13.4.1, 2.8.21.3: the chain is seen before the device's wish is read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return d->packed ? packed_wants_kick(d) : split_wants_kick(d);
}

bool drv_kick(struct drv *d, int kick)
{
	drv_publish(d);
	if (!drv_wants_kick(d))
		return false;
	ev_signal(kick);
	return true;
}

void drv_break(struct drv *d)
{
	if (d->packed) {
		/* 2.8.19: never both. */
		drv_put_desc(d, GMEM_HIGH, 16,
			     VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 0);
		drv_publish(d);
	} else {
		drv_set_avail_idx(d, d->avail_idx - 1);
	}
}

/* ---- and back ---- */

bool drv_has_used(const struct drv *d)
{
	if (d->batch_left)
		return true;
	return d->packed ? packed_has_used(d) : split_has_used(d);
}

/*
 * Gives the ring descriptors of a request back. Those of a split ring were taken off
 * the free list one after the other, so free_next still links them, whatever became
 * of desc[].next. A packed ring has a list of IDs alone, one each.
 */
static void put_back(struct drv *d, u16 id)
{
	u32 n = d->packed ? 1 : d->req[id].nr_desc;
	u16 at = id;

	d->nr_free += d->req[id].nr_desc;
	d->req[id].nr_desc = 0;
	if (d->in_order)
		return;
	while (--n)
		at = d->free_next[at];
	d->free_next[at] = d->free_head;
	d->free_head = id;
}

/* The requests from the oldest one up to @id, and their ring descriptors. */
static u32 batch_up_to(struct drv *d, u16 id, u32 *nr_desc)
{
	u32 n;

	*nr_desc = d->req[id].nr_desc;
	if (!d->in_order)
		return 1;
	for (n = 0; n < drv_in_flight(d); n++) {
		u16 at = d->order[(d->got + n) % d->num];

		if (at == id)
			return n + 1;
		*nr_desc += d->req[at].nr_desc;
	}
	CHECK(0, "%u is not in the order of what is in flight", id);
}

/* Reads the next used element, if there is one. */
static bool take_used(struct drv *d)
{
	struct drv_used u;
	u32 nr_desc;

	if (!(d->packed ? packed_look(d, &u) : split_look(d, &u)))
		return false;
	CHECK(u.id < d->num && d->req[u.id].nr_desc,
	      "used element %llu names %u, which the device was not given",
	      (unsigned long long)d->used_elems, u.id);
	CHECK(u.len <= d->req[u.id].in_bytes,
	      "%u bytes written where there was room for %llu", u.len,
	      (unsigned long long)d->req[u.id].in_bytes);
	d->batch_id = u.id;
	d->batch_len = u.len;
	d->batch_left = batch_up_to(d, u.id, &nr_desc);
	if (d->packed)
		packed_pass_used(d, nr_desc);
	else
		split_pass_used(d, d->batch_left);
	d->used_elems++;
	return true;
}

int drv_get(struct drv *d, u32 *len)
{
	u16 id;

	if (!d->batch_left && !take_used(d))
		return -EAGAIN;
	d->batch_left--;
	id = d->in_order ? d->order[d->got % d->num] : d->batch_id;
	if (len)
		*len = d->batch_left ? d->req[id].in_bytes : d->batch_len;
	put_back(d, id);
	d->got++;
	return id;
}

bool drv_enable_call(struct drv *d)
{
	if (d->packed)
		packed_want_call(d);
	else
		split_want_call(d);
	/* 2.7.10, 2.8.14: the wish is seen before the ring is looked at again. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return drv_has_used(d);
}

void drv_disable_call(struct drv *d)
{
	if (d->packed)
		packed_want_no_call(d);
	else
		split_want_no_call(d);
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
