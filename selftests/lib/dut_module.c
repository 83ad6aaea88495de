// SPDX-License-Identifier: GPL-2.0
/*
 * The disk under test: /dev/vkick-blk.
 *
 * in:  a backend, features
 * out: see dut.h
 */
#include "dut_module.h"

#include <stdlib.h>

const char *dut_lacks(void)
{
	return NULL;
}

struct dut *dut_open(const struct dut_conf *conf)
{
	struct disk_conf dc = {
		.on = BACKING_GIVEN,
		.path = conf->path,
		.direct = conf->direct,
		.sectors = conf->sectors,
		.features = conf->features,
		.without = conf->no_flush ? F_BLK(FLUSH) | F_BLK(CONFIG_WCE) : 0,
		.flags = conf->write_through ? VKICK_BLK_WRITE_THROUGH : 0,
		.layout = conf->layout,
		.num = DUT_NUM,
		.max_segs = 4,
		.nr_queues = DUT_QUEUES,
	};
	struct dut *d = calloc(1, sizeof(*d));

	CHECK(d, "no memory");
	disk_open(&d->d, &dc);
	disk_start(&d->d);
	return d;
}

void dut_close(struct dut *d)
{
	CHECK(gmem_canaries_ok(dut_mem(d)), "canaries");
	disk_close(&d->d);
	free(d);
}

struct gmem *dut_mem(struct dut *d)
{
	return &d->d.r.mem;
}

void dut_add(struct dut *d, u32 queue, u32 i, u32 type, u64 sector,
	     const struct drv_seg *data, u32 nr)
{
	struct disk_req req = { .type = type, .sector = sector, .data = data, .nr = nr };
	int slot = disk_add(&d->d, queue, &req);

	CHECK(slot >= 0, "queue %u is full", queue);
	d->request_of[queue][slot] = i;
}

void dut_kick(struct dut *d, u32 queue)
{
	struct vq *q = &d->d.r.q[queue];

	drv_kick(&q->drv, q->kick);
}

int dut_poll(struct dut *d, u32 queue, u8 *status)
{
	int slot = disk_poll(&d->d, queue, status, NULL);

	return slot < 0 ? slot : d->request_of[queue][slot];
}

bool dut_wait(struct dut *d, u32 queue, int ms)
{
	struct vq *q = &d->d.r.q[queue];

	return drv_wait(&q->drv, q->call, ms);
}
