/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A driver and a device that take turns in one thread, for tests that look at each
 * step of the ring engine.
 *
 * in:  features, a queue size
 * out: a ring with both ends
 */
#ifndef SELFTEST_PAIR_H
#define SELFTEST_PAIR_H

#include "udev.h"

/**
 * struct pair - both ends of a ring
 * @c: the chain that was popped last
 */
struct pair {
	struct gmem mem;
	struct drv drv;
	struct udev dev;
	u64 features;
	struct vring_seg segs[UDEV_MAX_SEGS];
	struct vring_chain c;
};

/* Zeroed before. A ring of 8 with direct chains of 1, at the start. */
void pair_init(struct pair *p, u64 features);
void pair_free(struct pair *p);

/* A fresh ring instead, as after @start requests of one descriptor. */
void pair_lay(struct pair *p, u32 num, u32 start, enum drv_layout layout,
	      u32 max_segs);

/* Another device takes over, as a stop and a start with BASE make it. */
void pair_reload(struct pair *p, u32 base);

/* vring_pop() into @p->c. */
int pair_pop(struct pair *p);

/*
 * @n requests there and back, up to vring_push(); the driver takes what it can. Each
 * writes nothing where there is room for 1 byte, so IN_ORDER makes no batches.
 */
void pair_serve(struct pair *p, u32 n);

static inline int pair_flush(struct pair *p)
{
	return vring_flush(&p->dev.vr);
}

#endif
