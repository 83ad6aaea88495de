// SPDX-License-Identifier: GPL-2.0
/*
 * Rings for fuzzers.
 *
 * in:  where the parts of the ring are
 * out: see fring.h
 */
#include "fring.h"
#include "fuzz.h"

#include <endian.h>
#include <string.h>

size_t fring_avail_bytes(bool packed, u32 num)
{
	return packed ? 4 : 6 + 2UL * num;
}

size_t fring_used_bytes(bool packed, u32 num)
{
	return packed ? 4 : 6 + 8UL * num;
}

static struct vring_packed_desc *packed_desc(const struct fring *f, u32 i)
{
	return (struct vring_packed_desc *)f->desc + i;
}

static u16 load16(const void *p)
{
	return le16toh(*(const volatile u16 *)p);
}

static void store16(void *p, u16 v)
{
	*(volatile u16 *)p = htole16(v);
}

/* 2.8.1: what the AVAIL and USED bits of an available descriptor are. */
static u16 avail_bits(bool wrap)
{
	return wrap ? PACKED_AVAIL : PACKED_USED;
}

static void init_packed(struct fring *f, u32 base)
{
	const u16 both = PACKED_AVAIL | PACKED_USED;
	u32 i;

	f->idx = base & 0x7fff;
	f->wrap = base & 0x8000;
	/* As after a lap: what lies ahead was used in the last one, the rest in this. */
	for (i = 0; i < f->num; i++)
		packed_desc(f, i)->flags = htole16((i < f->idx) == f->wrap ? both : 0);
	memset(f->avail, 0, 4);
	memset(f->used, 0, 4);
}

void fring_init(struct fring *f, u32 base)
{
	memset(f->desc, 0, 16UL * f->num);
	f->free = f->num;
	f->pending = false;
	if (f->packed) {
		init_packed(f, base);
		return;
	}
	memset(f->avail, 0, fring_avail_bytes(false, f->num));
	memset(f->used, 0, fring_used_bytes(false, f->num));
	f->idx = base;
	f->head = 0;
	store16(&f->avail->idx, base);
	store16(&f->used->idx, base);
	store16(&f->avail->ring[f->num], base);
	store16(&f->used->ring[f->num], base);
}

u32 fring_random_base(const struct fring *f, u64 *state)
{
	u32 place;

	if (!f->packed)
		return fuzz_u16(state);
	place = fuzz_below(state, f->num) | (fuzz_one_in(state, 2) ? 0x8000 : 0);
	return place | place << 16;
}

static u16 seg_flags(const struct drv_seg *s, bool more)
{
	return (s->write ? VRING_DESC_F_WRITE : 0) |
	       (more ? VRING_DESC_F_NEXT : 0);
}

/* 2.8.8: in a packed table the order is that of the descriptors, without NEXT. */
static void fill_table(struct fring *f, struct vring_desc *t,
		       const struct drv_seg *segs, u32 nr)
{
	struct vring_packed_desc *p = (struct vring_packed_desc *)t;
	u32 i;

	for (i = 0; i < nr; i++) {
		if (!f->packed) {
			drv_set_desc(&t[i], segs[i].gpa, segs[i].len,
				     seg_flags(&segs[i], i + 1 < nr), i + 1);
			continue;
		}
		p[i].addr = htole64(segs[i].gpa);
		p[i].len = htole32(segs[i].len);
		p[i].id = 0;
		p[i].flags = htole16(seg_flags(&segs[i], false));
	}
}

/* The next descriptor of a packed ring; @first is held back until publication. */
static void put_packed(struct fring *f, const struct drv_seg *s, u16 flags,
		       u16 id, bool first)
{
	struct vring_packed_desc *d = packed_desc(f, f->idx);

	flags |= avail_bits(f->wrap);
	d->addr = htole64(s->gpa);
	d->len = htole32(s->len);
	d->id = htole16(id);
	if (first && !f->pending) {
		f->pending = true;
		f->head = f->idx;
		f->head_flags = flags;
	} else {
		store16(&d->flags, flags);
	}
	if (++f->idx == f->num) {
		f->idx = 0;
		f->wrap = !f->wrap;
	}
	f->free--;
}

static void add_packed(struct fring *f, const struct drv_seg *segs, u32 nr,
		       u16 extra)
{
	u16 id = f->idx;
	u32 i;

	for (i = 0; i < nr; i++)
		put_packed(f, &segs[i], extra ? extra : seg_flags(&segs[i], i + 1 < nr),
			   id, !i);
}

static void add_split(struct fring *f, const struct drv_seg *segs, u32 nr,
		      u16 extra)
{
	u32 at = f->num - f->free, i;

	for (i = 0; i < nr; i++)
		drv_set_desc(&f->desc[at + i], segs[i].gpa, segs[i].len,
			     extra ? extra : seg_flags(&segs[i], i + 1 < nr),
			     at + i + 1);
	store16(&f->avail->ring[f->idx % f->num], at);
	f->idx++;
	f->free -= nr;
	f->pending = true;
}

bool fring_add(struct fring *f, const struct drv_seg *segs, u32 nr,
	       struct vring_desc *table, u64 table_gpa)
{
	struct drv_seg t = { table_gpa, 16 * nr, false };
	u16 extra = 0;

	if (table) {
		fill_table(f, table, segs, nr);
		segs = &t;
		nr = 1;
		extra = VRING_DESC_F_INDIRECT;
	}
	if (f->free < nr)
		return false;
	if (f->packed)
		add_packed(f, segs, nr, extra);
	else
		add_split(f, segs, nr, extra);
	return true;
}

void fring_publish(struct fring *f)
{
	if (!f->pending)
		return;
	f->pending = false;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	if (f->packed)
		store16(&packed_desc(f, f->head)->flags, f->head_flags);
	else
		store16(&f->avail->idx, f->idx);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

bool fring_all_used(const struct fring *f)
{
	u16 flags;

	if (!f->packed)
		return load16(&f->used->idx) == f->idx;
	/* Both bits equal: used (2.8.1). A fresh ring has them so as well. */
	flags = load16(&packed_desc(f, f->head)->flags);
	return !(flags & PACKED_AVAIL) == !(flags & PACKED_USED);
}

void fring_recycle(struct fring *f)
{
	f->free = f->num;
}
