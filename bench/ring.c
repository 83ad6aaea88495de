// SPDX-License-Identifier: GPL-2.0
/*
 * Drives the ring engine, so that callgrind can count its instructions.
 *
 * in:  direct|indirect, flags|event_idx, batch, number of requests
 * out: nothing; the figure is callgrind's (see ./run)
 *
 * The engine is a file of its own, so its functions stay functions, and callgrind
 * collects inside them alone. Guest memory is one region: what the look-up of a
 * real memory table costs is not the engine's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../selftests/lib/drv.h"
#include "../ring/vring.h"

#define NUM	256U

static struct gmem mem;

int vring_io_lookup(void *unused, u64 gpa, u32 len, const void **ptr, u32 *contig)
{
	(void)unused;
	*ptr = mem.r[0].hva + (gpa - GMEM_LOW);
	*contig = len;
	return 0;
}

/* One batch there and back, as a worker's pass does it. */
static void pass(struct vring_dev *vr, u32 batch)
{
	struct vring_seg segs[8];
	struct vring_chain c = { .max_segs = 8, .segs = segs };
	u32 n = 0;
	int ret;

	CHECK(!vring_disable_notify(vr), "disable");
	while ((ret = vring_pop(vr, &c)) == 1) {
		CHECK(!vring_push(vr, c.token, 0), "push");
		n++;
	}
	CHECK(!ret && n == batch, "%u of %u", n, batch);
	CHECK(vring_flush(vr) >= 0, "flush");
	CHECK(!vring_enable_notify(vr), "enable");
}

int main(int argc, char **argv)
{
	static const struct drv_seg segs[] = {
		{ GMEM_LOW, 64, false }, { GMEM_LOW + 64, 512, true },
	};
	struct vring_config cfg = { .num = NUM };
	struct vring_dev vr;
	struct drv d;
	u64 features;
	u32 batch, requests, n, i;
	bool indirect;

	if (argc != 5) {
		fprintf(stderr, "usage: ring direct|indirect flags|event_idx BATCH REQUESTS\n");
		return 2;
	}
	indirect = !strcmp(argv[1], "indirect");
	features = F_INDIRECT | (strcmp(argv[2], "flags") ? F_EVENT_IDX : 0);
	batch = atoi(argv[3]);
	requests = atoi(argv[4]);
	CHECK(batch && batch <= NUM / 2 && requests % batch == 0, "batch %u", batch);

	gmem_add(&mem, GMEM_LOW, GMEM_LOW_SIZE);
	drv_init(&d, &mem, NUM, features, indirect ? DRV_INDIRECT : DRV_DIRECT, 2);
	cfg.features = features;
	cfg.desc = d.desc;
	cfg.avail = d.avail;
	cfg.used = d.used;
	CHECK(!vring_init(&vr, &cfg) && !vring_load(&vr, 0), "init");

	for (n = 0; n < requests; n += batch) {
		for (i = 0; i < batch; i++)
			CHECK(drv_add(&d, segs, 2) >= 0, "full");
		drv_publish(&d);
		drv_enable_call(&d);
		pass(&vr, batch);
		while (drv_get(&d, NULL) >= 0)
			;
	}
	CHECK(d.got == requests, "lost");
	return 0;
}
