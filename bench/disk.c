// SPDX-License-Identifier: GPL-2.0
/*
 * What one disk request costs on its way through a datapath, without a guest.
 *
 * in:  /dev/vkick-blk; the VMM's own user datapath (vmm/blk_*.c, io_uring); a file or block
 *      device
 * out: a line for each run, as ./path.c
 *
 * One driver, the tests', plays the guest for both: it keeps @depth requests of 4 KiB
 * in flight, laid out as Linux does (header, data, status, in an indirect table; each is
 * visible once it is there, and all of them are kicked for together), and when there is
 * nothing to take back it sleeps in read() on the call eventfd. The two
 * run in turn, and the report pairs them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "measure.h"
#include "../selftests/lib/vdev.h"
#include "../selftests/lib/vdisk.h"

#define BLOCK		4096U
#define DEVICE_BYTES	(256 * MIB)
#define MAX_SAMPLES	(1U << 20)
#define SAMPLED_SLOTS	8	/* one of so many is timed, as the clock costs, too */

/**
 * struct row - what is measured, on both datapaths
 * @cpus: one for driver and device, or one each
 */
struct row {
	bool write;
	int cpus;
	u32 depth, poll_us;
};

static const struct row rows[] = {
	{ false, 1, 1, 0 },
	{ false, 1, 32, 0 },
	{ true, 1, 32, 0 },
	{ false, 2, 1, 0 },
	{ false, 2, 32, 0 },
	{ false, 2, 32, 50 },
};

static int rounds = 5, run_ms = 500;
static int only = -1, poll_us;
static bool pinned = true;
static const char *path = "/dev/nullb0";
static u32 *samples;

struct slot {
	u64 hdr, data, status;
	u64 since;
};

struct run {
	struct vdisk v;
	struct slot slot[VDISK_NUM];
	u16 free[VDISK_NUM];
	u16 slot_of[VDISK_NUM];
	u32 nr_free;
	u64 seed;
	u64 requests, ns, nr_samples, device_ns, kicks, calls, passes;
	long driver_switches, device_switches;
};

/* ---- The guest's part ---- */

static void lay_out(struct run *r, const struct row *row)
{
	u32 i;

	for (i = 0; i < row->depth; i++) {
		struct slot *s = &r->slot[i];

		s->hdr = vdisk_alloc(&r->v, sizeof(struct virtio_blk_outhdr), 16);
		s->status = vdisk_alloc(&r->v, 1, 1);
		s->data = vdisk_alloc(&r->v, BLOCK, BLOCK);
		r->free[i] = i;
	}
	r->nr_free = row->depth;
	r->seed = 1;
	CHECK(!fcntl(r->v.dev.ring[0].call_fd, F_SETFL, 0), "F_SETFL");
}

static u64 next_sector(struct run *r)
{
	r->seed = r->seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (r->seed >> 33) % (DEVICE_BYTES / BLOCK) * (BLOCK / BLK_SECTOR_BYTES);
}

static void submit(struct run *r, const struct row *row)
{
	struct drv *d = &r->v.drv[0];

	while (r->nr_free) {
		u16 i = r->free[--r->nr_free];
		struct slot *s = &r->slot[i];
		struct drv_seg segs[] = {
			{ s->hdr, sizeof(struct virtio_blk_outhdr), false },
			{ s->data, BLOCK, !row->write },
			{ s->status, 1, true },
		};
		int head;

		vdisk_set_hdr(&r->v, s->hdr, row->write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
			      next_sector(r));
		head = drv_add(d, segs, 3);
		CHECK(head >= 0, "depth %u", row->depth);
		drv_publish(d);
		r->slot_of[head] = i;
		if (i % SAMPLED_SLOTS == 0)
			s->since = now_ns();
	}
	drv_kick(d, r->v.dev.ring[0].kick_fd);
}

static void take(struct run *r)
{
	int head;

	while ((head = drv_get(&r->v.drv[0], NULL)) >= 0) {
		u16 i = r->slot_of[head];
		u8 status = *(u8 *)gmem_ptr(&r->v.m.mem, r->slot[i].status, 1);

		CHECK(status == VIRTIO_BLK_S_OK, "status %u", status);
		if (i % SAMPLED_SLOTS == 0 && r->nr_samples < MAX_SAMPLES)
			samples[r->nr_samples++] = now_ns() - r->slot[i].since;
		r->free[r->nr_free++] = i;
	}
}

static void drive(struct run *r, const struct row *row)
{
	struct drv *d = &r->v.drv[0];
	u64 begin = now_ns(), end = begin + run_ms * 1000000ULL, n;

	for (;;) {
		/* Looked at once: who finds nothing in flight must not wait for it. */
		if (now_ns() < end)
			submit(r, row);
		else if (!drv_in_flight(d))
			break;
		if (!drv_enable_call(d))
			CHECK(read(r->v.dev.ring[0].call_fd, &n, sizeof(n)) == sizeof(n),
			      "call");
		drv_disable_call(d);
		take(r);
	}
	r->ns = now_ns() - begin;
	r->requests = d->got;
	r->driver_switches += own_switches();
}

/* ---- The device's ---- */

static void run_kernel(struct run *r, const struct row *row)
{
	struct vkick_blk_config config = {
		.size = sizeof(config),
		.capacity = DEVICE_BYTES / BLK_SECTOR_BYTES,
		.seg_max = BLK_MAX_SEGS,
	};
	struct vkick_blk_file file = { .size = sizeof(file), .fd = r->v.disk.fd };
	const struct datapath_queue *q = &r->v.dev.ring[0];
	struct vkick_stats stats;
	int fd = vdev_open("blk");
	pid_t tid;

	vdev_set_owner(fd);
	vdev_set_features(fd, r->v.dev.acked);
	vdev_set_pinned(fd, pinned);
	vdev_set_mem(fd, &r->v.m.mem);
	CHECK(!__vdev_ioctl(fd, VKICK_BLK_SET_FILE, &file), "VKICK_BLK_SET_FILE");
	CHECK(!__vdev_ioctl(fd, VKICK_BLK_SET_CONFIG, &config), "VKICK_BLK_SET_CONFIG");
	vdev_set_ring(fd, 0, &r->v.drv[0]);
	vdev_set_kick(fd, 0, q->kick_fd);
	vdev_set_call(fd, 0, q->call_fd);
	vdev_set_poll(fd, 0, row->poll_us);
	tid = proc_thread("vkick-blk");
	pin(tid, row->cpus - 1);
	vdev_start(fd, 0);
	drive(r, row);
	r->device_switches = proc_switches(tid);
	vdev_stop(fd, 0);
	r->device_ns = run_time_ns(tid);
	stats = vdev_get_stats(fd, 0);
	r->kicks = stats.kicks;
	r->calls = stats.calls;
	r->passes = stats.passes;
	close(fd);
}

static void run_user(struct run *r, const struct row *row)
{
	struct datapath_stats stats;
	pid_t tid;

	r->v.disk.poll_us = row->poll_us;
	vdisk_start(&r->v);
	tid = proc_thread("disk0-0");
	pin(tid, row->cpus - 1);
	drive(r, row);
	r->device_switches = proc_switches(tid);
	r->device_ns = run_time_ns(tid);
	vdisk_stop(&r->v);
	r->v.dev.datapath->ops->stats(r->v.dev.datapath, 0, &stats);
	r->kicks = stats.kicks;
	r->calls = stats.calls;
}

static void measure(const struct row *row, const char *datapath, int round)
{
	struct run *r = calloc(1, sizeof(*r));
	int fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	double n;

	CHECK(r && fd >= 0, "%s", path);
	limit_run(run_ms);
	vdisk_init(&r->v, fd, DEVICE_BYTES, F_EVENT_IDX, 1);
	r->v.disk.direct = true;
	lay_out(r, row);
	r->driver_switches = -own_switches();
	if (!strcmp(datapath, "kernel"))
		run_kernel(r, row);
	else
		run_user(r, row);
	vdisk_free(&r->v);
	close(fd);

	qsort(samples, r->nr_samples, sizeof(*samples), by_value);
	n = r->requests;
	printf("bench=disk class=%s ring=split cpus=%s depth=%u poll_us=%u",
	       row->write ? "write" : "read", row->cpus > 1 ? "two" : "one", row->depth,
	       row->poll_us);
	printf(" datapath=%s round=%d requests_per_s=%.0f p50_ns=%u p99_ns=%u", datapath,
	       round, n * 1e9 / r->ns, samples[r->nr_samples / 2],
	       samples[r->nr_samples * 99 / 100]);
	printf(" kicks=%.4f calls=%.4f passes=%.4f driver_switches=%.4f", r->kicks / n,
	       r->calls / n, r->passes / n, r->driver_switches / n);
	printf(" device_switches=%.4f device_ns=%.1f requests=%.0f\n",
	       r->device_switches / n, r->device_ns / n, n);
	fflush(stdout);
	free(r);
}

int main(int argc, char **argv)
{
	int opt, round, cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t i;

	while ((opt = getopt(argc, argv, "f:r:m:o:p:u")) != -1) {
		if (opt == 'f') {
			path = optarg;
		} else if (opt == 'r') {
			rounds = atoi(optarg);
		} else if (opt == 'm') {
			run_ms = atoi(optarg);
		} else if (opt == 'o') {
			only = atoi(optarg);
		} else if (opt == 'p') {
			poll_us = atoi(optarg);
		} else if (opt == 'u') {
			pinned = false;
		} else {
			fprintf(stderr, "usage: disk [-f FILE] [-r ROUNDS] [-m MS] [-o ROW] [-p US] [-u]\n"
				"  -p  rows that poll do so for US microseconds\n"
				"  -u  without VKICK_BLK_SET_PINNED\n");
			return 2;
		}
	}
	samples = calloc(MAX_SAMPLES, sizeof(*samples));
	CHECK(samples && rounds > 0 && run_ms > 0, "nothing to measure");

	/* The driver is on CPU 0, the device on 0 or 1. */
	pin(0, 0);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct row row = rows[i];

		if (only >= 0 && (int)i != only)
			continue;
		if (poll_us && row.poll_us)
			row.poll_us = poll_us;
		for (round = 0; round < rounds && row.cpus <= cpus; round++) {
			measure(&row, "kernel", round);
			measure(&row, "user", round);
		}
	}
	return 0;
}
