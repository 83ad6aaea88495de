// SPDX-License-Identifier: GPL-2.0
/*
 * The stop guarantee with 256 requests in flight, to be completed by timer
 * interrupts: whoever stops the queue waits for them, or they are gone.
 *
 * in:  /dev/vkick-null with a latency; SET_RUNNING, RESET_OWNER, close, kill -9,
 *      and a queue that breaks
 * out: no later write, no later call, an exact base; the ring taken up from there
 */
#include "kselftest_harness.h"

#include <signal.h>

#include "lib/rig.h"

#define MS		1000000ULL	/* nanoseconds */
#define DEPTH		256
#define LATENCY_MS	200
/* When a request that was forgotten about would have completed. */
#define LATE_MS		(LATENCY_MS + 3 * QUIET_MS)

FIXTURE(stop)
{
	struct rig r;
	struct vq *q;
};

FIXTURE_VARIANT(stop)
{
	u64 features;
};

FIXTURE_VARIANT_ADD(stop, split) { 0 };
FIXTURE_VARIANT_ADD(stop, split_event_idx_in_order) {
	F_EVENT_IDX | F_IN_ORDER };
FIXTURE_VARIANT_ADD(stop, packed) { F_PACKED };
FIXTURE_VARIANT_ADD(stop, packed_event_idx_in_order) {
	F_PACKED | F_EVENT_IDX | F_IN_ORDER };

FIXTURE_SETUP(stop)
{
	struct rig_conf conf = {
		.class = "null",
		.features = variant->features,
		.num = DEPTH,
		.start_at = 65000,
	};

	rig_open(&self->r, &conf);
	self->q = &self->r.q[0];
	rig_start(&self->r);
}

FIXTURE_TEARDOWN(stop)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
	rig_close(&self->r);
}

static void offer(struct vq *q, int n)
{
	while (n--)
		CHECK(drv_add1(&q->drv, GMEM_FAR, 64, true) >= 0, "full");
	drv_publish(&q->drv);
	drv_wants_kick(&q->drv);
	ev_signal(q->kick);
}

/* @n requests that the worker has taken up, none of them done. */
static void get_in_flight(struct rig *r, int n)
{
	struct deadline end = deadline_in(DEADLINE_MS);

	vdev_set_latency(r->fd, LATENCY_MS * MS);
	offer(&r->q[0], n);
	while (vdev_get_stats(r->fd, 0).in_flight != n)
		CHECK(!deadline_passed(&end), "%llu in flight",
		      (unsigned long long)vdev_get_stats(r->fd, 0).in_flight);
}

/* All that the device could write to: the driver stands still. */
struct written {
	struct gmem_shot low, far;
};

static struct written shoot(struct rig *r)
{
	return (struct written) {
		gmem_shoot(&r->mem, GMEM_LOW, 0x40000),	/* the rings */
		gmem_shoot(&r->mem, GMEM_FAR, GMEM_PAGE),
	};
}

/* Return: whether nothing is written or signalled after the latency is over. */
static bool stays_quiet(struct rig *r)
{
	struct written w = shoot(r);
	bool quiet;

	ev_take(r->q[0].call);
	quiet = !ev_wait(r->q[0].call, LATE_MS) && gmem_same(&r->mem, &w.low) &&
		gmem_same(&r->mem, &w.far);
	gmem_shot_free(&w.low);
	gmem_shot_free(&w.far);
	return quiet;
}

static int take_back_all(struct vq *q)
{
	int n = 0;

	while (drv_get(&q->drv, NULL) >= 0)
		n++;
	return n;
}

static void attach_again(struct rig *r, u32 base)
{
	u32 i;

	rig_configure(r);
	vdev_set_base(r->fd, 0, base);
	for (i = 0; i < r->nvqs; i++) {
		vdev_set_kick(r->fd, i, r->q[i].kick);
		vdev_set_call(r->fd, i, r->q[i].call);
	}
	rig_start(r);
}

/* ---- SET_RUNNING ---- */

TEST_F(stop, by_set_running_leaves_none_in_flight)
{
	struct rig *r = &self->r;
	struct vkick_stats s;
	int round;

	for (round = 1; round <= 2; round++) {
		get_in_flight(r, DEPTH);
		rig_stop(r);
		s = vdev_get_stats(r->fd, 0);
		EXPECT_EQ(0, s.in_flight);
		EXPECT_EQ(0, s.running);
		EXPECT_EQ(round * DEPTH, s.requests);
		/* All that was popped is there for the driver. */
		EXPECT_EQ(drv_base_after(&self->q->drv, 65000 + round * DEPTH),
			  vdev_get_base(r->fd, 0));
		EXPECT_EQ(vdev_get_base(r->fd, 0), drv_device_base(&self->q->drv));
		EXPECT_TRUE(stays_quiet(r));
		EXPECT_EQ(DEPTH, take_back_all(self->q));
		EXPECT_EQ(s.requests, vdev_get_stats(r->fd, 0).requests);
		rig_start(r);
	}
	vdev_set_latency(r->fd, 0);
	rig_ping(self->q);
}

/* A call that the driver wants comes before the stop returns, or not at all. */
TEST_F(stop, by_set_running_calls_for_what_it_completed)
{
	struct rig *r = &self->r;
	u64 calls;

	get_in_flight(r, DEPTH);
	ev_take(self->q->call);
	drv_enable_call(&self->q->drv);
	calls = vdev_get_stats(r->fd, 0).calls;
	rig_stop(r);
	EXPECT_LT(0, ev_take(self->q->call));
	EXPECT_LT(calls, vdev_get_stats(r->fd, 0).calls);
}

/* More than fits: some are with the worker, some wait in the ring for the start. */
TEST_F(stop, in_mid_stream_and_start_lose_nothing)
{
	struct rig *r = &self->r;
	u64 seed = 3;
	int round, i;

	vdev_set_latency(r->fd, 2 * MS);
	for (round = 0; round < 50; round++) {
		u32 n = prng(&seed) % 64 + 1;

		offer(self->q, n);
		if (round % 3)
			rig_stop(r);
		else
			vdev_stop(r->fd, 0);
		EXPECT_EQ(0, vdev_get_stats(r->fd, 0).in_flight);
		ASSERT_EQ(vdev_get_base(r->fd, 0), drv_device_base(&self->q->drv));
		rig_start(r);
		for (i = 0; i < n; i++)
			ASSERT_LE(0, rig_complete(self->q, NULL));
	}
	EXPECT_EQ(self->q->drv.got, vdev_get_stats(r->fd, 0).requests);
}

TEST_F(stop, of_one_queue_leaves_the_other_in_flight)
{
	struct rig *r = &self->r;

	get_in_flight(r, DEPTH);
	offer(&r->q[1], DEPTH);
	vdev_stop(r->fd, 0);
	EXPECT_EQ(DEPTH, take_back_all(&r->q[0]));
	while (drv_in_flight(&r->q[1].drv))
		ASSERT_LE(0, rig_complete(&r->q[1], NULL));
}

/* ---- RESET_OWNER, close ---- */

static void end_in_flight(FIXTURE_DATA(stop) *self, bool by_close)
{
	struct rig *r = &self->r;
	u32 base;
	int back;

	get_in_flight(r, DEPTH);
	if (by_close)
		close(r->fd);
	else
		vdev_reset_owner(r->fd);
	CHECK(!proc_threads_settle("vkick-null-", 0), "the worker is there");
	CHECK(stays_quiet(r), "not quiet");
	base = drv_device_base(&self->q->drv);
	back = take_back_all(self->q);

	/* The next one takes the ring up, with what the first one did not do. */
	if (by_close)
		r->fd = vdev_open("null");
	attach_again(r, base);
	while (back++ < DEPTH)
		CHECK(rig_complete(self->q, NULL) >= 0, "%d are back", back);
	CHECK(!drv_in_flight(&self->q->drv), "some are missing");
	rig_ping(self->q);
}

TEST_F(stop, by_reset_owner)
{
	end_in_flight(self, false);
}

TEST_F(stop, by_close)
{
	end_in_flight(self, true);
}

/* What was in flight has no queue, no eventfd, no memory table to come back to. */
TEST_F(stop, by_close_again_and_again)
{
	struct rig_conf conf = { .class = "null", .features = variant->features };
	int i;

	for (i = 0; i < 50; i++) {
		struct rig r;

		rig_open(&r, &conf);
		rig_start(&r);
		vdev_set_latency(r.fd, (i % 5) * 100000 + 1);
		offer(&r.q[0], 64);
		if (i % 2)
			vdev_reset_owner(r.fd);
		rig_close(&r);
	}
}

/* ---- kill -9 ---- */

TEST_F(stop, by_kill_9)
{
	struct rig *r = &self->r;
	int ready = ev_new();
	struct deadline gone;
	pid_t pid;

	/* The parent lays out, the child owns. */
	close(r->fd);
	r->fd = -1;
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		rig_attach(r, "null");
		rig_start(r);
		get_in_flight(r, DEPTH);
		ev_signal(ready);
		for (;;)
			pause();
	}
	ASSERT_TRUE(ev_wait(ready, DEADLINE_MS));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	gone = deadline_in(GONE_MS);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	while (proc_threads_named("vkick-null-")) {
		ASSERT_FALSE(deadline_passed(&gone));
	}
	EXPECT_TRUE(stays_quiet(r));
}

/* ---- the queue breaks ---- */

TEST_F(stop, by_an_error_of_the_queue)
{
	struct rig *r = &self->r;
	struct vkick_stats s;
	u64 calls;

	get_in_flight(r, 64);
	drv_break(&self->q->drv);
	ev_signal(self->q->kick);
	EXPECT_EQ(EINVAL, rig_wait_broken(r, self->q));

	/* It is stopped, and who stops it once more is promised what a stop promises. */
	rig_stop(r);
	s = vdev_get_stats(r->fd, 0);
	calls = s.calls;
	EXPECT_EQ(0, s.in_flight);
	EXPECT_EQ(0, s.running);
	EXPECT_EQ(EINVAL, s.error);
	EXPECT_TRUE(stays_quiet(r));
	EXPECT_EQ(calls, vdev_get_stats(r->fd, 0).calls);
	EXPECT_EQ(s.requests, vdev_get_stats(r->fd, 0).requests);
	/* What was in flight was no error of its own: it is complete. */
	EXPECT_EQ(64, take_back_all(self->q));
	EXPECT_EQ(drv_base_after(&self->q->drv, 65000 + 64),
		  vdev_get_base(r->fd, 0));
	/* The other queue does not care. */
	vdev_set_latency(r->fd, 0);
	vdev_start(r->fd, 1);
	rig_ping(&r->q[1]);
}

TEST_HARNESS_MAIN
