// SPDX-License-Identifier: GPL-2.0
/*
 * What one request costs on its way through a datapath, without a guest.
 *
 * in:  /dev/vkick-null and -rng; the same engine (ring/) in a userspace
 *      thread that sleeps on its kick eventfd
 * out: a line for each run: requests/s, round-trip latency, and what took place
 *
 * Both are driven by the same code: it keeps @depth requests in flight, and when
 * there is nothing to take back it sleeps in read() on the call eventfd, as a
 * vCPU's host would. The two run in turn, and the report pairs them.
 *
 * Requests are spread over one region of guest memory, or (-g) over 64, which is to
 * cost next to nothing more.
 *
 * Where the two threads run decides more than anything else, so it is fixed: on
 * one CPU (what the work itself costs), or on two (what a guest would see, and how
 * long it takes to wake a CPU).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "measure.h"
#include "../selftests/lib/rig.h"
#include "../selftests/lib/udev.h"

#define NUM		256U		/* queue size */
#define REQUEST_BYTES	64U		/* as Linux's hwrng core asks for */
#define MAX_SAMPLES	(1U << 20)
#define POLL_US		50U		/* longer than a round trip anywhere */

/* Buffers are used in an order of chance, BUFFER_STEP apart in a region. */
#define BUFFERS		4096U
#define BUFFER_STEP	1024U
#define BUFFERS_AT	(GMEM_LOW + GMEM_LOW_SIZE / 2)	/* in the first region */

/**
 * struct row - what is measured, on both datapaths
 * @class: of the device
 * @ring: split or packed, "-in-order" added
 * @cpus: one for driver and device, or one each
 * @depth: requests in flight
 * @poll_us: how long an empty queue is watched before a kick is asked for
 * @regions: in the memory table, over which buffers are spread
 */
struct row {
	const char *class, *ring;
	int cpus;
	u32 depth, poll_us, regions;
};

static int rounds = 5, run_ms = 250;
static bool regions_only;		/* -g */
static u32 *samples;			/* latencies, ns */
static u64 *buffers;			/* guest-physical */

struct result {
	u64 requests, ns, nr_samples;
	u64 device_ns;			/* CPU time of the device's thread */
	u64 kicks, calls, passes, rechecks;
	long driver_switches, device_switches;
};

/* The eventfds of a rig are made not to block; these are read to sleep. */
static void make_blocking(int fd)
{
	CHECK(!fcntl(fd, F_SETFL, 0), "F_SETFL");
}

static void submit(struct vq *q, u64 *since, u32 depth)
{
	while (drv_in_flight(&q->drv) < depth) {
		int head = drv_add1(&q->drv, buffers[q->drv.added % BUFFERS],
				    REQUEST_BYTES, true);

		CHECK(head >= 0, "depth %u of %u", depth, NUM);
		since[head] = now_ns();
	}
	drv_kick(&q->drv, q->kick);
}

static void take(struct vq *q, const u64 *since, struct result *res)
{
	int head;
	u64 now;

	while ((head = drv_get(&q->drv, NULL)) >= 0) {
		now = now_ns();
		if (res->nr_samples < MAX_SAMPLES)
			samples[res->nr_samples++] = now - since[head];
	}
}

/* Drives the queue for a while; all of it counts, so that counters can be divided. */
static void drive(struct vq *q, u32 depth, struct result *res)
{
	u64 since[NUM], begin = now_ns(), end = begin + run_ms * 1000000ULL, n;

	while (now_ns() < end) {
		submit(q, since, depth);
		if (!drv_enable_call(&q->drv))
			CHECK(read(q->call, &n, sizeof(n)) == sizeof(n), "call");
		drv_disable_call(&q->drv);
		take(q, since, res);
	}
	while (drv_in_flight(&q->drv)) {
		if (!drv_enable_call(&q->drv))
			CHECK(read(q->call, &n, sizeof(n)) == sizeof(n), "call");
		take(q, since, res);
	}
	res->ns = now_ns() - begin;
	res->requests = q->drv.got;
	res->driver_switches += own_switches();
}

/*
 * The same without calls and sleep on the driver's side: it lends the device the CPU
 * that they share. So nothing depends on whom the scheduler prefers.
 */
static void drive_yielding(struct vq *q, u32 depth, struct result *res)
{
	u64 since[NUM], begin = now_ns(), end = begin + run_ms * 1000000ULL;

	while (now_ns() < end) {
		drv_disable_call(&q->drv);
		submit(q, since, depth);
		while (drv_in_flight(&q->drv)) {
			sched_yield();
			take(q, since, res);
		}
	}
	res->ns = now_ns() - begin;
	res->requests = q->drv.got;
	res->driver_switches += own_switches();
}

static u64 features_of(const struct row *row)
{
	u64 features = F_EVENT_IDX;	/* as Linux guests negotiate */

	if (!strncmp(row->ring, "packed", 6))
		features |= 1ULL << VIRTIO_F_RING_PACKED;
	if (strstr(row->ring, "in-order"))
		features |= 1ULL << VIRTIO_F_IN_ORDER;
	return features;
}

/*
 * Memory of @n regions, and as many buffers in each. The first has the rings as well,
 * and is the one that rig_lay_out() made; its others go.
 */
static void make_regions(struct gmem *m, u32 n)
{
	u32 share = BUFFERS / n, i;

	while (m->nr > 1) {
		struct gmem_region *r = &m->r[--m->nr];

		munmap(r->hva - GMEM_PAGE, r->size + 2 * GMEM_PAGE);
		close(r->memfd);
	}
	for (i = 1; i < n; i++)
		gmem_add(m, GMEM_FAR + i * GMEM_FAR_SIZE, share * BUFFER_STEP);

	for (i = 0; i < BUFFERS; i++) {
		u64 base = i / share ? GMEM_FAR + i / share * GMEM_FAR_SIZE : BUFFERS_AT;

		buffers[i] = base + i % share * BUFFER_STEP;
	}
	srandom(1);		/* each run meets the same chance */
	for (i = BUFFERS - 1; i; i--) {
		u32 other = random() % (i + 1);
		u64 gpa = buffers[i];

		buffers[i] = buffers[other];
		buffers[other] = gpa;
	}
}

static void lay_out(struct rig *r, const struct row *row)
{
	struct rig_conf conf = {
		.class = row->class,
		.features = features_of(row),
		.num = NUM,
		.max_segs = 1,
	};

	rig_lay_out(r, &conf);
	make_regions(&r->mem, row->regions);
	make_blocking(r->q[0].call);
}

static void run_kernel(const struct row *row, struct result *res)
{
	struct vhost_vring_state poll = { 0, row->poll_us };
	struct vkick_stats stats;
	char name[32];
	struct rig r;
	pid_t tid;

	snprintf(name, sizeof(name), "vkick-%s", row->class);
	lay_out(&r, row);
	rig_attach(&r, row->class);
	CHECK(!__vdev_ioctl(r.fd, VHOST_SET_VRING_BUSYLOOP_TIMEOUT, &poll) ||
	      !row->poll_us, "polling");
	tid = proc_thread(name);
	pin(tid, row->cpus - 1);
	rig_start(&r);
	(regions_only ? drive_yielding : drive)(&r.q[0], row->depth, res);
	res->device_switches = proc_switches(tid);
	rig_stop(&r);
	res->device_ns = run_time_ns(tid);
	stats = vdev_get_stats(r.fd, 0);
	res->kicks = stats.kicks;
	res->calls = stats.calls;
	res->passes = stats.passes;
	res->rechecks = stats.rechecks;
	rig_close(&r);
}

static void run_user(const struct row *row, struct result *res)
{
	struct udev u;
	struct rig r;
	pid_t tid;

	lay_out(&r, row);
	make_blocking(r.q[0].kick);
	udev_init(&u, &r.q[0].drv, r.features);
	u.kick = r.q[0].kick;
	u.call = r.q[0].call;
	u.sleep = true;
	u.poll_ns = row->poll_us * 1000;
	if (!strcmp(row->class, "rng"))
		u.serve = udev_serve_rng;
	udev_start(&u);
	tid = proc_thread(UDEV_THREAD);
	pin(tid, row->cpus - 1);
	drive(&r.q[0], row->depth, res);
	res->device_switches = proc_switches(tid);
	res->device_ns = run_time_ns(tid);
	udev_stop(&u);
	CHECK(!u.error, "the device failed: %d", u.error);
	res->kicks = u.kicks - 1;	/* the last one ended the thread */
	res->calls = u.calls;
	res->passes = u.passes;
	res->rechecks = u.rechecks;
	rig_close(&r);
}

static void measure(const char *bench, const struct row *row, const char *datapath,
		    int round)
{
	struct result res = { .driver_switches = -own_switches() };
	double n;

	limit_run(run_ms);
	if (!strcmp(datapath, "kernel"))
		run_kernel(row, &res);
	else
		run_user(row, &res);

	qsort(samples, res.nr_samples, sizeof(*samples), by_value);
	n = res.requests;
	printf("bench=%s class=%s ring=%s cpus=%s depth=%u poll_us=%u regions=%u", bench,
	       row->class, row->ring, row->cpus > 1 ? "two" : "one", row->depth,
	       row->poll_us, row->regions);
	printf(" datapath=%s round=%d requests_per_s=%.0f p50_ns=%u p99_ns=%u", datapath,
	       round, n * 1e9 / res.ns, samples[res.nr_samples / 2],
	       samples[res.nr_samples * 99 / 100]);
	printf(" kicks=%.4f calls=%.4f passes=%.4f rechecks=%.4f", res.kicks / n,
	       res.calls / n, res.passes / n, res.rechecks / n);
	printf(" driver_switches=%.4f device_switches=%.4f device_ns=%.1f requests=%.0f\n",
	       res.driver_switches / n, res.device_switches / n, res.device_ns / n, n);
	fflush(stdout);
}

/* What each row is to tell, against the one above it where that differs in one thing. */
static const struct row rows[] = {
	{ "null", "split", 1, 1, 0, 1 },	/* two wake-ups and the way in and out */
	{ "null", "split", 1, 64, 0, 1 },	/* the work on a request */
	{ "null", "split-in-order", 1, 64, 0, 1 },
	{ "null", "packed", 1, 64, 0, 1 },
	{ "null", "packed-in-order", 1, 64, 0, 1 },
	{ "null", "split", 2, 1, 0, 1 },	/* waking another CPU */
	{ "null", "split", 2, 1, POLL_US, 1 },	/* and what polling spares */
	{ "null", "split", 2, 64, 0, 1 },
	{ "null", "split", 2, 64, POLL_US, 1 },
	{ "rng", "split", 1, 64, 0, 1 },	/* with work done */
	{ "rng", "split", 2, 1, 0, 1 },
};

/* For a machine whose clock counts instructions: see ./run. */
static const struct row region_rows[] = {
	{ "null", "split", 1, 64, 0, 1 },
	{ "null", "split", 1, 64, 0, 64 },
};

int main(int argc, char **argv)
{
	int opt, round, cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t i;

	while ((opt = getopt(argc, argv, "r:m:g")) != -1) {
		if (opt == 'r') {
			rounds = atoi(optarg);
		} else if (opt == 'm') {
			run_ms = atoi(optarg);
		} else if (opt == 'g') {
			regions_only = true;
		} else {
			fprintf(stderr, "usage: path [-r ROUNDS] [-m MS] [-g]\n");
			return 2;
		}
	}
	samples = calloc(MAX_SAMPLES, sizeof(*samples));
	buffers = calloc(BUFFERS, sizeof(*buffers));
	CHECK(samples && buffers, "no memory");
	CHECK(rounds > 0 && run_ms > 0, "nothing to measure");

	/* The driver is on CPU 0, the device on 0 or 1. */
	pin(0, 0);
	if (regions_only) {
		/* Of the kernel datapath alone: the tests' user one searches in a list. */
		for (round = 0; round < rounds; round++)
			for (i = 0; i < sizeof(region_rows) / sizeof(*region_rows); i++)
				measure("regions", &region_rows[i], "kernel", round);
		return 0;
	}
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		for (round = 0; round < rounds && rows[i].cpus <= cpus; round++) {
			measure("path", &rows[i], "kernel", round);
			measure("path", &rows[i], "user", round);
		}
	}
	return 0;
}
