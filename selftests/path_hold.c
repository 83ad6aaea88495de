// SPDX-License-Identifier: GPL-2.0
/*
 * Calls that are held back while a queue is polled (kmod/hold.c): a driver that goes on
 * without them has one for many requests, and none is lost, or late by much.
 *
 * in:  /dev/vkick-null with VHOST_SET_VRING_BUSYLOOP_TIMEOUT; a driver that watches the
 *      ring, and wants a call for each request all the same
 * out: calls counted; the last one there in time, whatever happens to the queue
 */
#include "kselftest_harness.h"

#include "lib/polled_fixture.h"

#define POLL_US		100000
#define ROUNDS		100

POLLED_FIXTURE(hold);

/* A request of a driver that wants to be called for it, and sees it before. */
static void eager_request(struct vq *q)
{
	CHECK(!drv_enable_call(&q->drv), "a used element of nobody's");
	polled_request(q);
}

static void eager_requests(struct vq *q, int n)
{
	while (n--)
		eager_request(q);
}

/* One of a driver that sleeps until it is called, and does not look at the ring before. */
static void patient_request(struct vq *q)
{
	CHECK(!drv_enable_call(&q->drv), "a used element of nobody's");
	CHECK(drv_add1(&q->drv, GMEM_FAR, 16, true) >= 0, "full");
	drv_kick(&q->drv, q->kick);
	CHECK(ev_wait(q->call, DEADLINE_MS), "a call was lost");
	ev_take(q->call);
	CHECK(drv_get(&q->drv, NULL) >= 0, "a call for nothing");
}

TEST_F(hold, driver_that_goes_on_is_called_once_for_many)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	struct vkick_stats a = { 0 }, b = { 0 };

	/* Who else wants the CPUs has the driver, or the worker, come too late now and then. */
	do {
		ASSERT_FALSE(deadline_passed(&end)) {
			TH_LOG("500 requests, %llu calls", (unsigned long long)(b.calls - a.calls));
		}
		polled_make(&self->r, self->q, POLL_US);
		a = vdev_get_stats(self->r.fd, 0);
		eager_requests(self->q, 500);
		b = vdev_get_stats(self->r.fd, 0);
	} while (b.calls - a.calls > 50);
	EXPECT_EQ(500, b.requests - a.requests);
	EXPECT_LT(0, b.calls_held - a.calls_held);
}

TEST_F(hold, driver_that_does_not_want_calls_has_none)
{
	u64 calls;
	int i;

	polled_make(&self->r, self->q, POLL_US);
	calls = vdev_get_stats(self->r.fd, 0).calls;
	for (i = 0; i < 500; i++)
		polled_request(self->q);
	rig_stop(&self->r);
	EXPECT_EQ(calls, vdev_get_stats(self->r.fd, 0).calls);
}

/* The driver has nothing more to do: the worker, which watches on, is to see that. */
TEST_F(hold, call_that_is_owed_is_made_when_nothing_comes)
{
	int i;

	polled_make(&self->r, self->q, POLL_US);
	for (i = 0; i < ROUNDS; i++) {
		eager_requests(self->q, 20);
		ev_take(self->q->call);
		eager_request(self->q);
		ASSERT_TRUE(ev_wait(self->q->call, DEADLINE_MS)) {
			TH_LOG("round %d", i);
		}
	}
}

/* The window is longer than a second. */
TEST(call_is_not_held_for_as_long_as_a_queue_is_polled)
{
	struct rig_conf conf = { .class = "null" };
	struct rig r;
	u64 start;

	rig_open(&r, &conf);
	rig_start(&r);
	polled_for_long(&r, &r.q[0]);
	eager_requests(&r.q[0], 2);
	ev_take(r.q[0].call);
	start = now_ns();
	eager_request(&r.q[0]);
	ASSERT_TRUE(ev_wait(r.q[0].call, DEADLINE_MS));
	EXPECT_GT(POLLED_PROMPT_MS / 2 * 1000000ULL, now_ns() - start);
	rig_close(&r);
}

/* One that has a request at a time, and sleeps until it is called, would have each of them late. */
TEST_F(hold, driver_that_waits_is_seldom_kept_waiting)
{
	struct vkick_stats a, b;
	int i;

	polled_make(&self->r, self->q, POLL_US);
	a = vdev_get_stats(self->r.fd, 0);
	for (i = 0; i < 1000; i++)
		patient_request(self->q);
	b = vdev_get_stats(self->r.fd, 0);
	TH_LOG("1000 requests, %llu calls held; %llu poll hits",
	       (unsigned long long)(b.calls_held - a.calls_held),
	       (unsigned long long)(b.poll_hits - a.poll_hits));
	/* It is tried now and then: once in 256 in the end. */
	EXPECT_LT(0, b.calls_held - a.calls_held);
	EXPECT_GT(100, b.calls_held - a.calls_held);
	/* Who is not polled for is not held. */
	EXPECT_LT(250, b.poll_hits - a.poll_hits);
}

/* Four requests of a driver that sleeps then. */
static void four_requests(struct vq *q)
{
	eager_requests(q, 3);
	CHECK(!drv_enable_call(&q->drv), "a used element of nobody's");
	CHECK(drv_add1(&q->drv, GMEM_FAR, 16, true) >= 0, "full");
	drv_kick(&q->drv, q->kick);
	/* If something kept us from the fourth there is a call for the three as well. */
	do {
		CHECK(ev_wait(q->call, DEADLINE_MS), "a call was lost");
		ev_take(q->call);
	} while (drv_get(&q->drv, NULL) < 0);
}

TEST_F(hold, driver_with_some_at_a_time_is_called_with_the_last)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	struct vkick_stats a = { 0 }, b = { 0 };
	int i;

	/* Who else wants the CPUs ends many a watch, and then each request has a call. */
	do {
		ASSERT_FALSE(deadline_passed(&end)) {
			TH_LOG("400 requests, %llu calls; of %llu that were held, %llu in vain",
			       (unsigned long long)(b.calls - a.calls),
			       (unsigned long long)(b.calls_held - a.calls_held),
			       (unsigned long long)(b.calls_in_vain - a.calls_in_vain));
		}
		polled_make(&self->r, self->q, POLL_US);
		a = vdev_get_stats(self->r.fd, 0);
		for (i = 0; i < 100; i++)
			four_requests(self->q);
		b = vdev_get_stats(self->r.fd, 0);
	} while (b.calls - a.calls > 200 || b.calls_in_vain - a.calls_in_vain > 20);
	EXPECT_EQ(400, b.requests - a.requests);
	EXPECT_LT(50, b.calls_held - a.calls_held);
}

/* ---- what ends a poll ---- */

static void stop(struct rig *r)
{
	vdev_stop(r->fd, 0);
}

static void set_call(struct rig *r)
{
	int other = ev_new();

	vdev_set_call(r->fd, 0, other);
	CHECK(!ev_take(other), "the call went to who was not there");
	vdev_set_call(r->fd, 0, r->q[0].call);
	close(other);
}

static void move(struct rig *r)
{
	static u32 worker;

	vdev_attach_worker(r->fd, 0, worker ? 0 : vdev_new_worker(r->fd));
	if (worker)
		vdev_free_worker(r->fd, worker);
	worker = worker ? 0 : 1;
}

/* When the ioctl is back the call has been made: its owner may do without the eventfd from then on. */
static void expect_call_with(struct __test_metadata *_metadata, struct rig *r, void (*end)(struct rig *r))
{
	struct vq *q = &r->q[0];
	int i;

	polled_make(r, q, POLL_US);
	for (i = 0; i < ROUNDS; i++) {
		eager_requests(q, 20);
		ev_take(q->call);
		eager_request(q);
		end(r);
		ASSERT_LT(0, ev_take(q->call)) {
			TH_LOG("round %d", i);
		}
		vdev_start(r->fd, 0);
	}
}

TEST_F(hold, call_that_is_owed_is_made_before_a_stop)
{
	expect_call_with(_metadata, &self->r, stop);
}

TEST_F(hold, call_that_is_owed_goes_to_the_eventfd_of_its_time)
{
	expect_call_with(_metadata, &self->r, set_call);
}

TEST_F(hold, call_that_is_owed_is_made_before_a_move)
{
	expect_call_with(_metadata, &self->r, move);
}

/* It breaks, and what came before is the driver's. */
TEST_F(hold, call_that_is_owed_is_made_before_a_queue_breaks)
{
	polled_make(&self->r, self->q, POLL_US);
	eager_requests(self->q, 20);
	ev_take(self->q->call);
	eager_request(self->q);
	drv_break(&self->q->drv);
	ev_signal(self->q->kick);
	ASSERT_EQ(EINVAL, rig_wait_broken(&self->r, self->q));
	EXPECT_LT(0, ev_take(self->q->call));
}

TEST_HARNESS_MAIN
