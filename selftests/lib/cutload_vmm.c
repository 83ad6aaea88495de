// SPDX-License-Identifier: GPL-2.0
/*
 * A power cut's workload on the user datapath of the VMM.
 *
 * in:  a workload, a backend, the dm-log-writes device below it
 * out: see cutload.h
 */
#define _GNU_SOURCE
#include "cutload.h"

#include <fcntl.h>
#include <unistd.h>

#include "vdisk.h"

static void submit(void *dev, u32 queue, u32 i, u32 type, u64 sector,
		   const struct drv_seg *data, u32 nr)
{
	vdisk_add(dev, queue, i, type, sector, data, nr);
	vdisk_kick(dev, queue);
}

static u32 take(void *dev, u32 queue, u8 *status)
{
	struct vdisk *v = dev;
	int i = vdisk_poll(v, queue, status);

	if (i < 0) {
		CHECK(drv_wait(&v->drv[queue], v->dev.ring[queue].call_fd, 2 * DEADLINE_MS),
		      "nothing comes back");
		i = vdisk_poll(v, queue, status);
	}
	CHECK(i >= 0, "a call, and nothing is back");
	return i;
}

void cut_run_vmm(struct pc *pc, const char *path, const struct backend *marks,
		 const struct cut_conf *conf, u64 seed)
{
	struct vdisk v;
	struct cut_disk_ops ops = {
		.dev = &v,
		.mem = &v.m.mem,
		.through = conf->write_through || conf->no_flush,
		.flushes = !conf->no_flush,
		.submit = submit,
		.take = take,
	};
	int fd = open(path, O_RDWR | O_CLOEXEC | (conf->direct ? O_DIRECT : 0)), i;

	CHECK(fd >= 0, "open %s", path);
	vdisk_init(&v, fd, pc->conf.sectors * SECTOR, conf->features, 2);
	v.disk.direct = conf->direct;
	v.disk.write_back = !conf->write_through;
	if (conf->no_flush)
		v.dev.acked &= ~(1ULL << VIRTIO_BLK_F_FLUSH);
	ops.fua = conf->direct && v.disk.is_bdev;
	for (i = 0; i < 2; i++)
		ops.buf[i] = vdisk_alloc(&v, CUT_DEPTH * CUT_MAX_BYTES, 4096);
	vdisk_start(&v);
	cut_drive(pc, &ops, marks, conf->many_flushes, seed);
	vdisk_stop(&v);
	CHECK(gmem_canaries_ok(&v.m.mem), "canaries");
	vdisk_free(&v);
	close(fd);
}
