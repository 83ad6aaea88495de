// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's side of a packed virtqueue, played in userspace (VIRTIO 1.2, 2.8.21 and
 * 2.8.22).
 *
 * in:  guest memory, a queue size, features
 * out: see drv.h
 */
#include "drv_impl.h"

#define ENABLE	VRING_PACKED_EVENT_FLAG_ENABLE
#define DISABLE	VRING_PACKED_EVENT_FLAG_DISABLE
#define DESC	VRING_PACKED_EVENT_FLAG_DESC

/* ---- places ---- */

/* The two laps of a ring, as one row: first the one whose wrap counter is 1. */
static u32 in_row(const struct drv *d, struct drv_place p)
{
	return p.i + (p.wrap ? 0 : d->num);
}

struct drv_place drv_place_after(const struct drv *d, struct drv_place p, u32 n)
{
	u32 at = (in_row(d, p) + n) % (2 * d->num);

	return (struct drv_place) { at % d->num, at < d->num };
}

u16 drv_off_wrap(struct drv_place p)
{
	return p.i | (p.wrap ? 1 << VRING_PACKED_EVENT_F_WRAP_CTR : 0);
}

static struct drv_place from_off_wrap(u16 off_wrap)
{
	return (struct drv_place) {
		off_wrap & ~(1 << VRING_PACKED_EVENT_F_WRAP_CTR),
		off_wrap >> VRING_PACKED_EVENT_F_WRAP_CTR,
	};
}

/*
 * What descriptors of the lap before look like to one that stands in the lap of
 * wrap counter 1: used, with a wrap counter of 0 (2.8.1).
 */
static u16 used_bits(bool wrap)
{
	return wrap ? PACKED_F_AVAIL | PACKED_F_USED : 0;
}

static u16 avail_bits(bool wrap)
{
	return wrap ? PACKED_F_AVAIL : PACKED_F_USED;
}

void packed_start_at(struct drv *d, u32 n)
{
	struct drv_place p = { 0, true };
	u32 i;

	p = drv_place_after(d, p, n % (2 * d->num));
	d->avail_at = p;
	d->used_at = p;
	d->kicked_at = p;
	for (i = 0; i < d->num; i++)
		store16(&d->ring[i].flags, used_bits(i < p.i ? p.wrap : !p.wrap));
}

/*
 * Each use leaves the lap's wrap counter in USED, and making available leaves the one
 * of the lap before there. So USED changes where the device stands.
 */
u32 packed_device_base(const struct drv *d)
{
	bool wrap = load16(&d->ring[0].flags) & PACKED_F_USED;
	struct drv_place p;
	u32 at = 1;

	while (at < d->num && !!(load16(&d->ring[at].flags) & PACKED_F_USED) == wrap)
		at++;
	/* All the same: the device stands at 0, in the lap after. */
	p = (struct drv_place) { at % d->num, at < d->num ? wrap : !wrap };
	return (u32)drv_off_wrap(p) << 16 | drv_off_wrap(p);
}

/* ---- to the device ---- */

void drv_set_packed_desc(struct vring_packed_desc *desc, u64 gpa, u32 len, u16 flags,
			 u16 id)
{
	desc->addr = htole64(gpa);
	desc->len = htole32(len);
	desc->id = htole16(id);
	desc->flags = htole16(flags);
}

void drv_put_desc(struct drv *d, u64 gpa, u32 len, u16 flags, u16 id)
{
	struct vring_packed_desc *e = &d->ring[d->avail_at.i];

	flags |= avail_bits(d->avail_at.wrap);
	e->addr = htole64(gpa);
	e->len = htole32(len);
	e->id = htole16(id);
	/* 2.8.21.1: the flags of the first come last, and with them all. */
	if (d->nr_hidden++) {
		store16(&e->flags, flags);
	} else {
		d->hidden_at = d->avail_at;
		d->hidden_flags = flags;
	}
	d->avail_at = drv_place_after(d, d->avail_at, 1);
}

u16 packed_add(struct drv *d, const struct drv_seg *segs, u32 nr, u32 need)
{
	u16 id = drv_take_free(d);
	u32 i;

	if (d->layout == DRV_INDIRECT) {
		drv_put_desc(d, drv_fill_table(d, id, segs, nr), 16 * nr,
			     VRING_DESC_F_INDIRECT, id);
		return id;
	}
	for (i = 0; i < need; i++) {
		bool more = i + 1 < need;

		/* 2.8.6: the ID of the last descriptor is the buffer's. */
		drv_put_desc(d, segs[i].gpa, segs[i].len,
			     (segs[i].write ? VRING_DESC_F_WRITE : 0) |
			     (more ? VRING_DESC_F_NEXT : 0), more ? 0xfff0 + i : id);
	}
	return id;
}

void packed_publish(struct drv *d)
{
	if (!d->nr_hidden)
		return;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	store16(&d->ring[d->hidden_at.i].flags, d->hidden_flags);
	d->nr_unkicked += d->nr_hidden;
	d->nr_hidden = 0;
}

bool packed_wants_kick(struct drv *d)
{
	u32 n = d->nr_unkicked, from = in_row(d, d->kicked_at);
	u16 flags = drv_device_flags(d);
	struct drv_place event;

	d->nr_unkicked = 0;
	d->kicked_at = drv_place_after(d, d->kicked_at, n);
	if (!n)
		return false;
	if (d->kick_always || flags == ENABLE)
		return true;
	if (flags == DISABLE)
		return false;
	/* 2.8.10, 2.8.14.1; the place was written before the flags */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	CHECK(flags == DESC && d->event_idx, "the device's event flags are %u", flags);
	event = from_off_wrap(drv_device_off_wrap(d));
	CHECK(event.i < d->num, "the device asks for a kick at %u of %u", event.i,
	      d->num);
	return (in_row(d, event) + 2 * d->num - from) % (2 * d->num) < n;
}

/* ---- and back ---- */

bool packed_has_used(const struct drv *d)
{
	u16 flags = load16(&d->ring[d->used_at.i].flags);

	return (flags & (PACKED_F_AVAIL | PACKED_F_USED)) ==
	       used_bits(d->used_at.wrap);
}

bool packed_look(const struct drv *d, struct drv_used *u)
{
	const volatile struct vring_packed_desc *e = &d->ring[d->used_at.i];

	if (!packed_has_used(d))
		return false;
	/* 2.8.22: the element is read after its flags. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	u->id = le16toh(e->id);
	/* 2.8.5: without WRITE the length says nothing. */
	u->len = load16((const void *)&e->flags) & VRING_DESC_F_WRITE ?
		 le32toh(e->len) : 0;
	return true;
}

void packed_pass_used(struct drv *d, u32 nr_desc)
{
	d->used_at = drv_place_after(d, d->used_at, nr_desc);
}

void packed_want_call(struct drv *d)
{
	if (d->event_idx)
		drv_set_driver_event(d, drv_off_wrap(d->used_at), DESC);
	else
		store16(&d->driver->flags, ENABLE);
}

void packed_want_no_call(struct drv *d)
{
	store16(&d->driver->flags, DISABLE);
}

/* ---- the ring in the open ---- */

u16 drv_desc_flags(const struct drv *d, u16 i)
{
	return load16(&d->ring[i].flags);
}

void drv_set_desc_flags(struct drv *d, u16 i, u16 flags)
{
	store16(&d->ring[i].flags, flags);
}

u16 drv_device_off_wrap(const struct drv *d)
{
	return load16(&d->device->off_wrap);
}

u16 drv_device_flags(const struct drv *d)
{
	return load16(&d->device->flags);
}

void drv_set_driver_event(struct drv *d, u16 off_wrap, u16 flags)
{
	store16(&d->driver->off_wrap, off_wrap);
	/* 2.8.14: the place stands before the flags point to it. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	store16(&d->driver->flags, flags);
}
