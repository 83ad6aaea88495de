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
 * Where the two threads run decides more than anything else, so it is fixed: on
 * one CPU (what the work itself costs), or on two (what a guest would see, and how
 * long it takes to wake a CPU).
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../selftests/lib/rig.h"
#include "../selftests/lib/udev.h"

#define NUM		256U		/* queue size */
#define REQUEST_BYTES	64U		/* as Linux's hwrng core asks for */
#define FEATURES	F_EVENT_IDX	/* as Linux guests negotiate */
#define MAX_SAMPLES	(1U << 20)

static int rounds = 5, run_ms = 250;
static u32 *samples;			/* latencies, ns */

struct result {
	u64 requests, ns, nr_samples;
	u64 kicks, calls, passes, rechecks;
	long driver_switches, device_switches;
};

static long own_switches(void)
{
	struct rusage ru;

	getrusage(RUSAGE_THREAD, &ru);
	return ru.ru_nvcsw + ru.ru_nivcsw;
}

static void pin(pid_t tid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK(!sched_setaffinity(tid, sizeof(set), &set), "thread %d to CPU %d",
	      tid, cpu);
}

/* The eventfds of a rig are made not to block; these are read to sleep. */
static void make_blocking(int fd)
{
	CHECK(!fcntl(fd, F_SETFL, 0), "F_SETFL");
}

static void submit(struct vq *q, u64 *since, u32 depth)
{
	while (drv_in_flight(&q->drv) < depth) {
		u64 slot = q->drv.added % (GMEM_HIGH_SIZE / REQUEST_BYTES);
		int head = drv_add1(&q->drv, GMEM_HIGH + slot * REQUEST_BYTES,
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

static struct rig_conf conf_of(const char *class)
{
	return (struct rig_conf) {
		.class = class,
		.features = FEATURES,
		.num = NUM,
		.max_segs = 1,
	};
}

static void run_kernel(const char *class, u32 depth, int cpu, struct result *res)
{
	struct rig_conf conf = conf_of(class);
	struct vkick_stats stats;
	char name[32];
	struct rig r;
	pid_t tid;

	snprintf(name, sizeof(name), "vkick-%s", class);
	rig_open(&r, &conf);
	make_blocking(r.q[0].call);
	tid = proc_thread(name);
	pin(tid, cpu);
	rig_start(&r);
	drive(&r.q[0], depth, res);
	res->device_switches = proc_switches(tid);
	rig_stop(&r);
	stats = vdev_get_stats(r.fd, 0);
	res->kicks = stats.kicks;
	res->calls = stats.calls;
	res->passes = stats.passes;
	res->rechecks = stats.rechecks;
	rig_close(&r);
}

static void run_user(const char *class, u32 depth, int cpu, struct result *res)
{
	struct rig_conf conf = conf_of(class);
	struct udev u;
	struct rig r;
	pid_t tid;

	rig_lay_out(&r, &conf);
	make_blocking(r.q[0].call);
	make_blocking(r.q[0].kick);
	udev_init(&u, &r.q[0].drv, FEATURES);
	u.kick = r.q[0].kick;
	u.call = r.q[0].call;
	u.sleep = true;
	if (!strcmp(class, "rng"))
		u.serve = udev_serve_rng;
	udev_start(&u);
	tid = proc_thread(UDEV_THREAD);
	pin(tid, cpu);
	drive(&r.q[0], depth, res);
	res->device_switches = proc_switches(tid);
	udev_stop(&u);
	CHECK(!u.error, "the device failed: %d", u.error);
	res->kicks = u.kicks - 1;	/* the last one ended the thread */
	res->calls = u.calls;
	res->passes = u.passes;
	res->rechecks = u.rechecks;
	rig_close(&r);
}

static int by_value(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

static void measure(const char *class, const char *datapath, u32 depth, int cpu,
		    int round)
{
	struct result res = { .driver_switches = -own_switches() };
	double n;

	if (!strcmp(datapath, "kernel"))
		run_kernel(class, depth, cpu, &res);
	else
		run_user(class, depth, cpu, &res);

	qsort(samples, res.nr_samples, sizeof(*samples), by_value);
	n = res.requests;
	printf("bench=path class=%s cpus=%s depth=%u datapath=%s round=%d", class,
	       cpu ? "two" : "one", depth, datapath, round);
	printf(" requests_per_s=%.0f p50_ns=%u p99_ns=%u", n * 1e9 / res.ns,
	       samples[res.nr_samples / 2], samples[res.nr_samples * 99 / 100]);
	printf(" kicks=%.4f calls=%.4f passes=%.4f rechecks=%.4f", res.kicks / n,
	       res.calls / n, res.passes / n, res.rechecks / n);
	printf(" driver_switches=%.4f device_switches=%.4f requests=%.0f\n",
	       res.driver_switches / n, res.device_switches / n, n);
	fflush(stdout);
}

static void compare(const char *class, u32 depth, int cpu)
{
	int round;

	for (round = 0; round < rounds; round++) {
		measure(class, "kernel", depth, cpu, round);
		measure(class, "user", depth, cpu, round);
	}
}

int main(int argc, char **argv)
{
	static const char * const classes[] = { "null", "rng" };
	static const u32 depths[] = { 1, 8, 64 };
	int opt, c, d, cpu, cpus;

	while ((opt = getopt(argc, argv, "r:m:")) != -1) {
		if (opt == 'r') {
			rounds = atoi(optarg);
		} else if (opt == 'm') {
			run_ms = atoi(optarg);
		} else {
			fprintf(stderr, "usage: path [-r ROUNDS] [-m MS]\n");
			return 2;
		}
	}
	samples = calloc(MAX_SAMPLES, sizeof(*samples));
	CHECK(samples, "no memory");
	CHECK(rounds > 0 && run_ms > 0, "nothing to measure");

	/* The driver is on CPU 0, the device on 0 or 1. */
	cpus = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1;
	pin(0, 0);
	for (c = 0; c < 2; c++) {
		for (cpu = 0; cpu < cpus; cpu++) {
			for (d = 0; d < 3; d++)
				compare(classes[c], depths[d], cpu);
		}
	}
	return 0;
}
