// SPDX-License-Identifier: GPL-2.0
/*
 * Requests that complete later, from a timer interrupt: VKICK_NULL_SET_LATENCY, which
 * makes the null class a device with a medium behind it.
 *
 * in:  /dev/vkick-null, no guest
 * out: each request once, no sooner than it may, many at a time
 */
#include "kselftest_harness.h"

#include "lib/hammer.h"
#include "lib/rig.h"

#define MS	1000000ULL	/* nanoseconds */
#define DEPTH	256

FIXTURE(latency)
{
	struct rig r;
	struct vq *q;
};

FIXTURE_VARIANT(latency)
{
	u64 features;
};

FIXTURE_VARIANT_ADD(latency, split) { 0 };
FIXTURE_VARIANT_ADD(latency, split_event_idx_in_order) {
	F_EVENT_IDX | F_IN_ORDER };
FIXTURE_VARIANT_ADD(latency, packed) { F_PACKED };
FIXTURE_VARIANT_ADD(latency, packed_event_idx_in_order) {
	F_PACKED | F_EVENT_IDX | F_IN_ORDER };

FIXTURE_SETUP(latency)
{
	struct rig_conf conf = {
		.class = "null",
		.features = variant->features,
		.num = DEPTH,
	};

	rig_open(&self->r, &conf);
	self->q = &self->r.q[0];
	rig_start(&self->r);
}

FIXTURE_TEARDOWN(latency)
{
	rig_close(&self->r);
}

/* Offers @n requests; what their buffers are says which. Return: the first's head. */
static int offer(struct vq *q, int n, bool write)
{
	int i, head, first = -1;

	for (i = 0; i < n; i++) {
		head = drv_add1(&q->drv, GMEM_HIGH + 64 * i, 64, write);
		CHECK(head >= 0, "full at %d", i);
		if (!i)
			first = head;
	}
	drv_publish(&q->drv);
	drv_wants_kick(&q->drv);
	ev_signal(q->kick);
	return first;
}

static void take_back(struct vq *q, int n)
{
	while (n--)
		CHECK(rig_complete(q, NULL) >= 0, "%d are missing", n + 1);
}

static u64 in_flight(FIXTURE_DATA(latency) *self)
{
	return vdev_get_stats(self->r.fd, 0).in_flight;
}

/* The worker has taken up @n requests that it has not given back. */
static void wait_in_flight(FIXTURE_DATA(latency) *self, u64 n)
{
	struct deadline end = deadline_in(DEADLINE_MS);

	while (in_flight(self) != n)
		CHECK(!deadline_passed(&end), "%llu in flight",
		      (unsigned long long)in_flight(self));
}

TEST_F(latency, request_takes_as_long_as_was_asked)
{
	static const u64 ns[] = { 1, 1000, 300000, 1 * MS, 20 * MS, 60 * MS };
	size_t i;
	int n;

	for (i = 0; i < sizeof(ns) / sizeof(ns[0]); i++) {
		vdev_set_latency(self->r.fd, ns[i]);
		for (n = 0; n < 3; n++) {
			u64 start = now_ns();

			offer(self->q, 1, true);
			take_back(self->q, 1);
			ASSERT_LE(ns[i], now_ns() - start);
		}
	}
	EXPECT_EQ(0, in_flight(self));
}

/* From when it was taken off the ring: no less than the device takes, no more than the driver waits. */
TEST_F(latency, histogram_has_how_long_requests_took)
{
	u64 longest = 0, counted = 0;
	struct vkick_stats s;
	u32 i;
	int n;

	vdev_set_latency(self->r.fd, 20 * MS);
	for (n = 0; n < 10; n++) {
		u64 start = now_ns(), took;

		offer(self->q, 1, true);
		take_back(self->q, 1);
		took = now_ns() - start;
		longest = took > longest ? took : longest;
	}
	s = vdev_get_stats(self->r.fd, 0);
	for (i = 0; i < VKICK_LATENCY_BUCKETS; i++) {
		counted += s.pop_to_used_ns[i];
		if (!s.pop_to_used_ns[i])
			continue;
		EXPECT_LE(vkick_latency_bucket(20 * MS), i);
		EXPECT_GE(vkick_latency_bucket(longest), i);
	}
	/* One that came so soon that the last one's pass served it is not the first of its own. */
	EXPECT_LT(0, counted);
	EXPECT_GE(10, counted);

	/* What is faster from then on is told apart by the difference. */
	vdev_set_latency(self->r.fd, 0);
	for (n = 0; n < 1000; n++) {
		offer(self->q, 1, true);
		take_back(self->q, 1);
	}
	for (i = vkick_latency_bucket(20 * MS), n = 0; i < VKICK_LATENCY_BUCKETS; i++)
		n += vdev_get_stats(self->r.fd, 0).pop_to_used_ns[i] - s.pop_to_used_ns[i];
	EXPECT_GE(100, n);
}

TEST_F(latency, of_0_completes_at_once_again)
{
	u64 start;
	int i;

	vdev_set_latency(self->r.fd, 200 * MS);
	offer(self->q, 1, true);
	take_back(self->q, 1);
	vdev_set_latency(self->r.fd, 0);
	start = now_ns();
	for (i = 0; i < 20; i++) {
		offer(self->q, 1, true);
		take_back(self->q, 1);
	}
	EXPECT_GT(20 * 200 * MS, now_ns() - start);
	EXPECT_EQ(0, in_flight(self));
}

TEST_F(latency, of_many_at_once_is_that_of_one)
{
	u64 start;
	int i;

	vdev_set_latency(self->r.fd, 400 * MS);
	for (i = 0; i < 2; i++) {
		start = now_ns();
		offer(self->q, DEPTH, i % 2);
		wait_in_flight(self, DEPTH);
		EXPECT_FALSE(drv_has_used(&self->q->drv));
		take_back(self->q, DEPTH);
		EXPECT_LE(400 * MS, now_ns() - start);
		/* And not 256 times that, nor even 10. */
		EXPECT_GT(4000 * MS, now_ns() - start);
		EXPECT_EQ(0, in_flight(self));
	}
	EXPECT_EQ(2 * DEPTH, vdev_get_stats(self->r.fd, 0).requests);
}

/* 2.7.10, 2.8.14: the driver may add while others are in flight, and is heard. */
TEST_F(latency, new_requests_are_taken_up_while_others_are_in_flight)
{
	int i;

	vdev_set_latency(self->r.fd, 300 * MS);
	for (i = 1; i <= 20; i++) {
		ASSERT_LE(0, drv_add1(&self->q->drv, GMEM_HIGH, 16, true));
		/* Only if it is wanted: it must be, of an idle worker. */
		drv_kick(&self->q->drv, self->q->kick);
		wait_in_flight(self, i);
	}
	take_back(self->q, 20);
}

/* What is in flight keeps its latency; order is the driver's wish alone. */
TEST_F(latency, applies_to_requests_from_the_call_on)
{
	bool in_order = variant->features & F_IN_ORDER;
	u64 start = now_ns();
	int slow, fast, got;

	vdev_set_latency(self->r.fd, 500 * MS);
	slow = offer(self->q, 1, true);
	wait_in_flight(self, 1);
	vdev_set_latency(self->r.fd, 0);
	fast = offer(self->q, 1, true);

	got = rig_complete(self->q, NULL);
	if (in_order) {
		EXPECT_EQ(slow, got);
		EXPECT_LE(500 * MS, now_ns() - start);
	} else {
		EXPECT_EQ(fast, got);
	}
	got = rig_complete(self->q, NULL);
	EXPECT_EQ(in_order ? fast : slow, got);
	EXPECT_LE(500 * MS, now_ns() - start);
}

/*
 * Shorter and shorter: each is done before the one that was offered before it. If
 * the machine was so slow at offering them that this need not be, try again.
 */
TEST_F(latency, completions_out_of_order)
{
	bool in_order = variant->features & F_IN_ORDER, slow = true;
	int head[3], got[3], i, tries;

	for (tries = 0; slow && tries < 10; tries++) {
		u64 start = now_ns();

		for (i = 0; i < 3; i++) {
			vdev_set_latency(self->r.fd, (900 - 450 * i) * MS);
			head[i] = offer(self->q, 1, i % 2);
			if (i < 2)
				wait_in_flight(self, i + 1);
		}
		slow = now_ns() - start > 200 * MS;
		for (i = 0; i < 3; i++)
			got[i] = rig_complete(self->q, NULL);
	}
	for (i = 0; i < 3; i++)
		EXPECT_EQ(head[in_order ? i : 2 - i], got[i]);
}

TEST_F(latency, reset_owner_forgets_it)
{
	struct rig *r = &self->r;
	u64 start;
	u32 i;

	vdev_set_latency(r->fd, 1000 * MS);
	vdev_reset_owner(r->fd);
	rig_configure(r);
	for (i = 0; i < r->nvqs; i++) {
		vdev_set_kick(r->fd, i, r->q[i].kick);
		vdev_set_call(r->fd, i, r->q[i].call);
	}
	rig_start(r);
	start = now_ns();
	for (i = 0; i < 20; i++)
		rig_ping(self->q);
	EXPECT_GT(20 * 1000 * MS, now_ns() - start);
}

TEST_F(latency, of_each_queue_alike)
{
	struct rig *r = &self->r;
	u64 start = now_ns();

	vdev_set_latency(r->fd, 200 * MS);
	offer(&r->q[0], 10, true);
	offer(&r->q[1], 10, true);
	take_back(&r->q[0], 10);
	take_back(&r->q[1], 10);
	EXPECT_LE(200 * MS, now_ns() - start);
	EXPECT_GT(2000 * MS, now_ns() - start);
}

/* The driver sleeps: a lost call, or completion, or kick, and it sleeps for ever. */
TEST_F(latency, nothing_is_lost_under_load)
{
	static const u64 ns[] = { 1000, 50000, 0, 1 * MS, 200000 };
	struct hammer h = { 0 };
	struct vkick_stats s;
	int i;

	hammer_start(&h, self->q, DEPTH / 2, 64);
	for (i = 0; i < 30; i++) {
		vdev_set_latency(self->r.fd, ns[i % 5]);
		hammer_wait(&h, 300);
		s = vdev_get_stats(self->r.fd, 0);
		ASSERT_GE(DEPTH / 2, s.in_flight);
	}
	hammer_stop(&h);
	hammer_drain(&h);
	s = vdev_get_stats(self->r.fd, 0);
	EXPECT_EQ(0, s.in_flight);
	EXPECT_EQ(0, s.error);
	EXPECT_EQ(self->q->drv.got, s.requests);
}

/* Completions come while the queue changes hands. */
TEST_F(latency, queue_moves_with_requests_in_flight)
{
	struct rig *r = &self->r;
	struct hammer h = { 0 };
	u32 id = vdev_new_worker(r->fd);
	int i;

	vdev_set_latency(r->fd, 300000);
	hammer_start(&h, self->q, DEPTH, 64);
	for (i = 0; i < 100; i++) {
		u32 old = id;

		vdev_attach_worker(r->fd, 0, i % 2 ? old : 0);
		if (i % 2 == 0) {
			vdev_free_worker(r->fd, old);
			id = vdev_new_worker(r->fd);
		}
		if (i % 10 == 0)
			hammer_wait(&h, 50);
	}
	hammer_wait(&h, 500);
	hammer_stop(&h);
	hammer_drain(&h);
	EXPECT_EQ(self->q->drv.got, vdev_get_stats(r->fd, 0).requests);
}

TEST_HARNESS_MAIN
