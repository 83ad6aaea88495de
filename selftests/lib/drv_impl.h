/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between drv.c, drv_split.c and drv_packed.c, and nobody else.
 *
 * in:  a struct drv
 * out: what one layout does of what drv.h promises
 */
#ifndef SELFTEST_DRV_IMPL_H
#define SELFTEST_DRV_IMPL_H

#include <endian.h>
#include <errno.h>

#include "drv.h"

/* A used element as it stands in the ring, unchecked. */
struct drv_used {
	u32 id;
	u32 len;
};

/* The ring is shared with another CPU: each access is done once, as written. */
static inline u16 load16(const void *p)
{
	return le16toh(*(const volatile u16 *)p);
}

static inline void store16(void *p, u16 v)
{
	*(volatile u16 *)p = htole16(v);
}

/* A descriptor (packed: a buffer ID) that is free. */
u16 drv_take_free(struct drv *d);

/* Fills the table that belongs to @head, and returns its gpa. */
u64 drv_fill_table(struct drv *d, u16 head, const struct drv_seg *segs, u32 nr);

/* What drv_add() does of a chain for which there is room. Return: head or ID. */
u16 split_add(struct drv *d, const struct drv_seg *segs, u32 nr, u32 need);
u16 packed_add(struct drv *d, const struct drv_seg *segs, u32 nr, u32 need);

void split_start_at(struct drv *d, u32 n);
void packed_start_at(struct drv *d, u32 n);
void split_publish(struct drv *d);
void packed_publish(struct drv *d);
/* These two after the full barrier of drv_wants_kick(). */
bool split_wants_kick(struct drv *d);
bool packed_wants_kick(struct drv *d);
bool split_has_used(const struct drv *d);
bool packed_has_used(const struct drv *d);
/* The next used element; false if there is none. */
bool split_look(const struct drv *d, struct drv_used *u);
bool packed_look(const struct drv *d, struct drv_used *u);
/* Goes past it: it stood for @nr_reqs requests of @nr_desc ring descriptors. */
void split_pass_used(struct drv *d, u32 nr_reqs);
void packed_pass_used(struct drv *d, u32 nr_desc);
void split_want_call(struct drv *d);
void packed_want_call(struct drv *d);
void split_want_no_call(struct drv *d);
void packed_want_no_call(struct drv *d);
u32 packed_device_base(const struct drv *d);

#endif
