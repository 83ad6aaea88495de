// SPDX-License-Identifier: GPL-2.0
/*
 * A power cut's workload on /dev/vkick-blk.
 *
 * in:  a workload, a backend, the dm-log-writes device below it
 * out: see cutload.h
 */
#include "cutload.h"

#include <sys/stat.h>

#include "disk.h"

struct module_disk {
	struct disk d;
	u8 of_slot[2][128];
};

static void submit(void *dev, u32 queue, u32 i, u32 type, u64 sector,
		   const struct drv_seg *data, u32 nr)
{
	struct module_disk *m = dev;
	struct disk_req req = { .type = type, .sector = sector, .data = data, .nr = nr };

	m->of_slot[queue][disk_submit(&m->d, queue, &req)] = i;
}

static u32 take(void *dev, u32 queue, u8 *status)
{
	struct module_disk *m = dev;

	return m->of_slot[queue][disk_take(&m->d, queue, status, NULL)];
}

void cut_run_module(struct pc *pc, const char *path, const struct backend *marks,
		    const struct cut_conf *conf, u64 seed)
{
	struct disk_conf dc = {
		.on = BACKING_GIVEN,
		.path = path,
		.direct = conf->direct,
		.sectors = pc->conf.sectors,
		.features = conf->features,
		.layout = conf->layout,
		.without = conf->no_flush ? F_BLK(FLUSH) | F_BLK(CONFIG_WCE) : 0,
		.flags = conf->write_through ? VKICK_BLK_WRITE_THROUGH : 0,
		.nr_queues = 2,
	};
	struct module_disk m;
	struct cut_disk_ops ops = {
		.dev = &m,
		.mem = &m.d.r.mem,
		.buf = { DISK_BUF, DISK_BUF2 },
		.through = conf->write_through || conf->no_flush,
		.flushes = !conf->no_flush,
		.submit = submit,
		.take = take,
	};
	struct stat st;

	CHECK(!stat(path, &st), "%s", path);
	ops.fua = conf->direct && S_ISBLK(st.st_mode);
	disk_open(&m.d, &dc);
	disk_start(&m.d);
	cut_drive(pc, &ops, marks, conf->many_flushes, seed);
	disk_stop(&m.d);
	CHECK(gmem_canaries_ok(&m.d.r.mem), "canaries");
	disk_close(&m.d);
}
