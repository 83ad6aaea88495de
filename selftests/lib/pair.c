// SPDX-License-Identifier: GPL-2.0
/*
 * A driver and a device that take turns in one thread.
 *
 * in:  features, a queue size
 * out: see pair.h
 */
#include "pair.h"

void pair_lay(struct pair *p, u32 num, u32 start, enum drv_layout layout,
	      u32 max_segs)
{
	drv_free(&p->drv);
	p->mem.next = GMEM_LOW;
	drv_init(&p->drv, &p->mem, num, p->features, layout, max_segs);
	drv_start_at(&p->drv, start);
	udev_init(&p->dev, &p->drv, p->features);
}

void pair_init(struct pair *p, u64 features)
{
	gmem_add_standard(&p->mem);
	p->features = features;
	p->c.max_segs = UDEV_MAX_SEGS;
	p->c.segs = p->segs;
	pair_lay(p, 8, 0, DRV_DIRECT, 1);
}

void pair_free(struct pair *p)
{
	drv_free(&p->drv);
	gmem_free(&p->mem);
}

void pair_reload(struct pair *p, u32 base)
{
	udev_init(&p->dev, &p->drv, p->features);
	CHECK(!vring_load(&p->dev.vr, base), "vring_load of 0x%x", base);
}

int pair_pop(struct pair *p)
{
	return vring_pop(&p->dev.vr, &p->c);
}

void pair_serve(struct pair *p, u32 n)
{
	while (n--) {
		while (drv_get(&p->drv, NULL) >= 0)
			;
		CHECK(drv_add1(&p->drv, GMEM_HIGH, 1, true) >= 0, "full");
		drv_publish(&p->drv);
		CHECK(pair_pop(p) == 1, "pop");
		CHECK(!vring_push(&p->dev.vr, p->c.token, 0), "push");
	}
}
