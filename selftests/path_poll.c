// SPDX-License-Identifier: GPL-2.0
/*
 * Busy polling: a queue that ran empty is watched for a while before the driver is
 * asked for a kick. It saves kicks where that pays, and costs nothing where not.
 *
 * in:  /dev/vkick-null with VHOST_SET_VRING_BUSYLOOP_TIMEOUT; driver threads with
 *      think times
 * out: kicks, polls, context switches and CPU time counted; every request served
 */
#define _GNU_SOURCE
#include "kselftest_harness.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "lib/polled_fixture.h"

POLLED_FIXTURE(poll);

static void think(u64 ns)
{
	u64 until = now_ns() + ns;

	while (now_ns() < until)
		;
}

/* ---- what it saves ---- */

TEST_F(poll, driver_that_answers_within_the_window_seldom_kicks)
{
	struct vkick_stats a, b;
	int i, kicks = 0;

	polled_make(&self->r, self->q, 100000);
	a = vdev_get_stats(self->r.fd, 0);
	for (i = 0; i < 2000; i++)
		kicks += polled_request(self->q);
	b = vdev_get_stats(self->r.fd, 0);
	TH_LOG("2000 requests, %d kicks, %llu poll hits, %llu misses", kicks,
	       (unsigned long long)(b.poll_hits - a.poll_hits),
	       (unsigned long long)(b.poll_misses - a.poll_misses));
	EXPECT_GT(500, kicks);
	EXPECT_EQ(kicks, b.kicks - a.kicks);
	EXPECT_LT(1000, b.poll_hits - a.poll_hits);
	EXPECT_EQ(2000, b.requests - a.requests);
}

TEST_F(poll, without_a_timeout_a_queue_is_watched_as_long_as_wakeups_take)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	struct vkick_stats s;

	drv_disable_call(&self->q->drv);
	do {
		ASSERT_FALSE(deadline_passed(&end));
		polled_request(self->q);
		s = vdev_get_stats(self->r.fd, 0);
		ASSERT_GE(50000, s.wakeup_ns);
		ASSERT_GE(2 * s.wakeup_ns, s.poll_window_ns);
	} while (s.poll_hits < 100);
	EXPECT_LT(0, s.wakeup_ns);
}

/* It kicks for the last of them, and who watches begins with the first. */
TEST_F(poll, driver_with_many_requests_is_watched_for_twice_as_long)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	struct drv *d = &self->q->drv;
	struct vkick_stats s = vdev_get_stats(self->r.fd, 0);

	drv_disable_call(d);
	do {
		ASSERT_FALSE(deadline_passed(&end));
		drv_add1(d, GMEM_FAR, 16, true);
		drv_add1(d, GMEM_FAR, 16, true);
		think(2 * s.wakeup_ns);
		drv_kick(d, self->q->kick);
		while (drv_in_flight(d)) {
			ASSERT_FALSE(deadline_passed(&end));
			drv_get(d, NULL);
		}
		s = vdev_get_stats(self->r.fd, 0);
		ASSERT_GE(4 * s.wakeup_ns, s.poll_window_ns);
	} while (s.poll_window_ns <= 2 * s.wakeup_ns);
}

TEST_F(poll, without_a_timeout_nothing_is_polled_if_that_is_off)
{
	struct vkick_stats s;
	int i;

	vdev_watch_wakeups(false);
	drv_disable_call(&self->q->drv);
	for (i = 0; i < 500; i++)
		polled_request(self->q);
	s = vdev_get_stats(self->r.fd, 0);
	EXPECT_EQ(0, s.poll_hits);
	EXPECT_EQ(0, s.poll_misses);
	EXPECT_EQ(0, s.poll_window_ns);

	/* Nor once it is off again. */
	polled_make(&self->r, self->q, 100000);
	vdev_set_poll(self->r.fd, 0, 0);
	polled_request(self->q);
	s = vdev_get_stats(self->r.fd, 0);
	for (i = 0; i < 100; i++)
		polled_request(self->q);
	EXPECT_EQ(s.poll_hits, vdev_get_stats(self->r.fd, 0).poll_hits);
	EXPECT_EQ(0, vdev_get_stats(self->r.fd, 0).poll_window_ns);
}

/* Short turns are for the sake of others (VK_TURN_REQUESTS). */
TEST_F(poll, watched_queue_does_not_cut_its_own_turns)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	struct drv *d = &self->q->drv;
	struct vkick_stats before;
	int n = 0;

	polled_for_long(&self->r, self->q);
	before = vdev_get_stats(self->r.fd, 0);
	while (drv_add1(d, GMEM_FAR, 16, true) >= 0)
		n++;
	ASSERT_LT(16, n);
	/* Should somebody else have had the CPU meanwhile, it is not watched any more. */
	drv_kick(d, self->q->kick);
	while (drv_in_flight(d)) {
		ASSERT_FALSE(deadline_passed(&end));
		drv_get(d, NULL);
	}
	EXPECT_EQ(before.budget_exhausted, vdev_get_stats(self->r.fd, 0).budget_exhausted);
}

TEST_F(poll, window_is_never_above_the_timeout)
{
	int i;

	polled_make(&self->r, self->q, 50000);
	for (i = 0; i < 200; i++) {
		polled_request(self->q);
		ASSERT_GE(50000000, vdev_get_stats(self->r.fd, 0).poll_window_ns);
	}
	vdev_watch_wakeups(false);
	vdev_set_poll(self->r.fd, 0, 20);
	for (i = 0; i < 200; i++) {
		polled_request(self->q);
		ASSERT_GE(20000, vdev_get_stats(self->r.fd, 0).poll_window_ns);
	}
}

/* ---- what it must not cost ---- */

struct rest {
	u64 cpu_ns;
	long switches;
};

static struct rest rest_of(pid_t tid)
{
	return (struct rest) { proc_cpu_ns(tid), proc_switches(tid) };
}

/* Waits until the thread neither runs nor is woken. */
static void wait_asleep(pid_t tid)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	int never = ev_new();

	for (;;) {
		struct rest a = rest_of(tid), b;

		ev_wait(never, QUIET_MS);
		b = rest_of(tid);
		if (a.cpu_ns == b.cpu_ns && a.switches == b.switches &&
		    proc_state(tid) == 'S')
			break;
		CHECK(!deadline_passed(&end), "the worker does not rest");
	}
	close(never);
}

TEST_F(poll, idle_queue_lets_the_worker_sleep)
{
	pid_t tid = proc_thread("vkick-null-");
	struct rest a, b;
	int round, never = ev_new();

	for (round = 0; round < 3; round++) {
		polled_make(&self->r, self->q, 10000);
		wait_asleep(tid);
		a = rest_of(tid);
		EXPECT_FALSE(ev_wait(never, 5 * QUIET_MS));
		b = rest_of(tid);
		EXPECT_EQ(a.cpu_ns, b.cpu_ns);
		EXPECT_EQ(a.switches, b.switches);
	}
}

/* Work that comes at long gaps is not worth a poll; at short gaps it is again. */
TEST_F(poll, window_follows_what_polling_is_worth)
{
	pid_t tid = proc_thread("vkick-null-");
	struct vkick_stats s;
	int i;

	polled_make(&self->r, self->q, 5000);
	for (i = 0; i < 20; i++) {
		polled_request(self->q);
		wait_asleep(tid);
		s = vdev_get_stats(self->r.fd, 0);
		if (!s.poll_window_ns)
			break;
	}
	EXPECT_EQ(0, s.poll_window_ns);
	/* Once it is not, a request at such a gap costs no poll at all. */
	polled_request(self->q);
	wait_asleep(tid);
	EXPECT_EQ(s.poll_misses, vdev_get_stats(self->r.fd, 0).poll_misses);
	polled_make(&self->r, self->q, 200000);
	EXPECT_LT(0, vdev_get_stats(self->r.fd, 0).poll_window_ns);
}

#define CROWDED_ROUNDS	9
#define CROWDED_GAP_NS	5000000U	/* it polls for longer than that */
#define CROWDED_NS	1000000U	/* and a time slice is longer than this */

/*
 * How long this thread, which waits for its turn (SCHED_BATCH) as a vCPU's may have to, waits
 * for a CPU with a worker that polls.
 */
static u64 wait_for_cpu_of_worker(FIXTURE_DATA(poll) *self, const cpu_set_t *its)
{
	u64 since;

	polled_make(&self->r, self->q, 100000);
	think(CROWDED_GAP_NS);
	polled_request(self->q);
	since = now_ns();
	CHECK(!sched_setaffinity(0, sizeof(*its), its), "sched_setaffinity");
	return now_ns() - since;
}

static int by_value(const void *a, const void *b)
{
	return *(const u64 *)a < *(const u64 *)b ? -1 : *(const u64 *)a > *(const u64 *)b;
}

TEST_F(poll, worker_gives_up_once_somebody_wants_its_cpu)
{
	static const struct sched_param param;
	u64 ns[CROWDED_ROUNDS];
	cpu_set_t mine, its;
	int i;

	ASSERT_EQ(0, sched_getaffinity(0, sizeof(mine), &mine));
	ASSERT_EQ(0, sched_getaffinity(proc_thread("vkick-null-"), sizeof(its), &its));
	if (CPU_EQUAL(&mine, &its))
		SKIP(return, "wants two CPUs");
	ASSERT_EQ(0, sched_setscheduler(0, SCHED_BATCH, &param));
	for (i = 0; i < CROWDED_ROUNDS; i++) {
		ns[i] = wait_for_cpu_of_worker(self, &its);
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(mine), &mine));
	}
	qsort(ns, CROWDED_ROUNDS, sizeof(*ns), by_value);
	TH_LOG("waited for %llu ns, median", (unsigned long long)ns[CROWDED_ROUNDS / 2]);
	EXPECT_GT(CROWDED_NS, ns[CROWDED_ROUNDS / 2]);
}

/* One worker has both queues, and watches one of them for a second and more. */
TEST(poll_of_one_queue_does_not_delay_its_sibling)
{
	struct rig_conf conf = { .class = "null" };
	struct rig r;
	u64 start;
	int i;

	rig_open(&r, &conf);
	rig_start(&r);
	polled_for_long(&r, &r.q[0]);
	start = now_ns();
	for (i = 0; i < 50; i++)
		rig_ping(&r.q[1]);
	EXPECT_GT(POLLED_PROMPT_MS * 1000000ULL, now_ns() - start);
	polled_request(&r.q[0]);
	rig_close(&r);
}

/* The hog is runnable again after each of its passes, and nobody kicks for a queue that is watched. */
TEST(queue_that_is_watched_is_served_beside_a_hog)
{
	struct rig_conf conf = { .class = "null", .max_segs = 1 };
	struct rig r;
	int i;

	rig_open(&r, &conf);
	rig_make_self_refilling(&r, 1, 64);
	vdev_start(r.fd, 0);
	polled_for_long(&r, &r.q[0]);
	vdev_start(r.fd, 1);
	for (i = 0; i < 50; i++)
		polled_request(&r.q[0]);
	ASSERT_EQ(1, vdev_get_stats(r.fd, 1).running);
	rig_close(&r);
}

TEST_F(poll, both_queues_may_poll_on_one_worker)
{
	struct rig *r = &self->r;
	struct vkick_stats a, b;
	int i;

	polled_make(r, &r->q[0], 100000);
	polled_make(r, &r->q[1], 100000);
	for (i = 0; i < 500; i++) {
		polled_request(&r->q[0]);
		polled_request(&r->q[1]);
	}
	a = vdev_get_stats(r->fd, 0);
	b = vdev_get_stats(r->fd, 1);
	EXPECT_LT(100, a.poll_hits);
	EXPECT_LT(100, b.poll_hits);
}

/* ---- what ends it at once ---- */

enum ends { STATS, STOP, NEW_TABLE, NEW_CALL, MOVE, LESS, CLOSE, RESET, NR_ENDS };

static void end_poll(struct rig *r, enum ends how)
{
	switch (how) {
	case STATS:
		vdev_get_stats(r->fd, 0);
		break;
	case STOP:
		vdev_stop(r->fd, 0);
		break;
	case NEW_TABLE:
		vdev_set_mem(r->fd, &r->mem);
		break;
	case NEW_CALL:
		vdev_set_call(r->fd, 0, r->q[0].call);
		break;
	case MOVE:
		vdev_attach_worker(r->fd, 0, vdev_new_worker(r->fd));
		break;
	case LESS:
		vdev_set_poll(r->fd, 0, 0);
		break;
	case CLOSE:
		close(r->fd);
		r->fd = -1;
		break;
	case RESET:
		vdev_reset_owner(r->fd);
		break;
	case NR_ENDS:
		break;
	}
}

TEST(no_call_waits_for_the_end_of_a_poll)
{
	struct rig_conf conf = { .class = "null" };
	enum ends how;

	for (how = 0; how < NR_ENDS; how++) {
		struct rig r;
		u64 start;

		rig_open(&r, &conf);
		rig_start(&r);
		polled_for_long(&r, &r.q[0]);
		start = now_ns();
		end_poll(&r, how);
		EXPECT_GT(POLLED_PROMPT_MS * 1000000ULL, now_ns() - start)
			TH_LOG("way %d", how);
		rig_close(&r);
	}
}

TEST(owner_dies_at_once_in_a_poll)
{
	struct rig_conf conf = { .class = "null" };
	struct deadline gone;
	int ready = ev_new();
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct rig r;

		rig_open(&r, &conf);
		rig_start(&r);
		polled_for_long(&r, &r.q[0]);
		ev_signal(ready);
		for (;;)
			pause();
	}
	ASSERT_TRUE(ev_wait(ready, DEADLINE_MS));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	gone = deadline_in(POLLED_PROMPT_MS);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	while (proc_threads_named("vkick-null-")) {
		ASSERT_FALSE(deadline_passed(&gone));
	}
}

/* ---- no kick is lost when a poll ends ---- */

#define THOUGHTS	2500	/* of each of the four variants */

/*
 * Gaps of random length, within the window, beyond it, and just at its end: it is
 * twice a gap of late, and 150 us at most.
 */
TEST_F(poll, no_kick_is_lost_when_a_poll_ends)
{
	struct vkick_stats s;
	u64 seed = 7;
	int i;

	polled_make(&self->r, self->q, 1500);
	for (i = 0; i < THOUGHTS; i++) {
		u64 r = prng(&seed);

		think((r >> 8) % (r % 4 ? 800000 : 2500000));
		polled_request(self->q);
	}
	s = vdev_get_stats(self->r.fd, 0);
	TH_LOG("%llu kicks, %llu hits, %llu misses",
	       (unsigned long long)s.kicks, (unsigned long long)s.poll_hits,
	       (unsigned long long)s.poll_misses);
	/* A busy machine turns many of the one kind into the other. */
	EXPECT_LT(0, s.poll_hits);
	EXPECT_LT(0, s.poll_misses);
	EXPECT_LT(0, s.kicks);
}

/* The same to a driver that sleeps: calls and kicks both must come. */
TEST_F(poll, no_call_is_lost_with_polling)
{
	u64 seed = 9;
	int i;

	vdev_set_poll(self->r.fd, 0, 60);
	for (i = 0; i < 3000; i++) {
		rig_ping(self->q);
		think(prng(&seed) % 100000);
	}
	EXPECT_EQ(3000, vdev_get_stats(self->r.fd, 0).requests);
}

/* ---- completions that come from elsewhere are polled for as well ---- */

/* Times that the thread went to sleep. */
static long sleeps(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	return proc_labelled(path, "voluntary_ctxt_switches");
}

TEST_F(poll, completions_are_polled_for)
{
	pid_t tid = proc_thread("vkick-null-");
	struct vkick_stats a, b;
	long asleep, polled;
	int i;

	drv_disable_call(&self->q->drv);
	vdev_set_latency(self->r.fd, 200000);
	asleep = sleeps(tid);
	for (i = 0; i < 300; i++)
		polled_request(self->q);
	asleep = sleeps(tid) - asleep;

	polled_make(&self->r, self->q, 100000);
	a = vdev_get_stats(self->r.fd, 0);
	polled = sleeps(tid);
	for (i = 0; i < 300; i++)
		polled_request(self->q);
	polled = sleeps(tid) - polled;
	b = vdev_get_stats(self->r.fd, 0);
	TH_LOG("%ld sleeps without polling, %ld with; %llu hits, %llu misses",
	       asleep, polled, (unsigned long long)(b.poll_hits - a.poll_hits),
	       (unsigned long long)(b.poll_misses - a.poll_misses));
	/* Once until the request, and once until its completion. */
	EXPECT_LT(300, asleep);
	EXPECT_GT(asleep / 3, polled);
}

TEST_HARNESS_MAIN
