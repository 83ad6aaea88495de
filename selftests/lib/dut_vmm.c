// SPDX-License-Identifier: GPL-2.0
/*
 * The disk under test: vmm/blk_*.c over guest memory of this process. The memory of queue 1's
 * data is none that io_uring has registered.
 *
 * in:  a backend, features
 * out: see dut.h
 */
#define _GNU_SOURCE
#include "dut_vmm.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

const char *dut_lacks(void)
{
	return getenv("LAB") ? NULL : "makes disks, so it wants a lab VM";
}

struct dut *dut_open(const struct dut_conf *conf)
{
	struct dut *d = calloc(1, sizeof(*d));
	struct vdisk *v;
	u32 i;

	CHECK(d, "no memory");
	v = &d->v;
	d->fd = open(conf->path, O_RDWR | O_CLOEXEC | (conf->direct ? O_DIRECT : 0));
	CHECK(d->fd >= 0, "open %s", conf->path);
	vdisk_init(v, d->fd, conf->sectors * BLK_SECTOR_BYTES, conf->features, DUT_QUEUES);
	v->disk.direct = conf->direct;
	v->disk.write_back = !conf->write_through;
	v->dev.queue_size = DUT_NUM;
	/* A queue that can be reset is one whose ring can be another. */
	v->dev.acked |= 1ULL << VIRTIO_F_RING_RESET;
	if (conf->no_flush)
		v->dev.acked &= ~(1ULL << VIRTIO_BLK_F_FLUSH);
	v->layout = conf->layout;
	for (i = 0; i < DUT_QUEUES; i++)
		vdisk_set_ring(v, i, DUT_NUM, 4);
	vdisk_start(v);
	return d;
}

void dut_close(struct dut *d)
{
	vdisk_stop(&d->v);
	CHECK(gmem_canaries_ok(&d->v.m.mem), "canaries");
	vdisk_free(&d->v);
	close(d->fd);
	free(d);
}

struct gmem *dut_mem(struct dut *d)
{
	return &d->v.m.mem;
}

void dut_add(struct dut *d, u32 queue, u32 i, u32 type, u64 sector,
	     const struct drv_seg *data, u32 nr)
{
	vdisk_add(&d->v, queue, i, type, sector, data, nr);
}

void dut_kick(struct dut *d, u32 queue)
{
	vdisk_kick(&d->v, queue);
}

int dut_poll(struct dut *d, u32 queue, u8 *status)
{
	int i = vdisk_poll(&d->v, queue, status);

	CHECK(i < 0 || *status != VDISK_LOST, "request %d has no status", i);
	return i;
}

bool dut_wait(struct dut *d, u32 queue, int ms)
{
	return drv_wait(&d->v.drv[queue], d->v.dev.ring[queue].call_fd, ms);
}
