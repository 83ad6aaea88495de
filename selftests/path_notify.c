// SPDX-License-Identifier: GPL-2.0
/*
 * Kicks and calls through the module: none lost, none where none is wanted, and
 * eventfds that come, go and change at any time.
 *
 * in:  /dev/vkick-null, no guest
 * out: requests served, signals counted
 */
#include "kselftest_harness.h"

#include <sys/mman.h>

#include "lib/hammer.h"
#include "lib/rig.h"

FIXTURE(notify)
{
	struct rig r;
	struct vq *q;
};

FIXTURE_VARIANT(notify)
{
	u64 features;
};

FIXTURE_VARIANT_ADD(notify, flags) { 0 };
FIXTURE_VARIANT_ADD(notify, event_idx) { F_EVENT_IDX };
FIXTURE_VARIANT_ADD(notify, packed) { F_PACKED };
FIXTURE_VARIANT_ADD(notify, packed_event_idx) { F_PACKED | F_EVENT_IDX };

FIXTURE_SETUP(notify)
{
	struct rig_conf conf = {
		.class = "null",
		.features = variant->features,
	};

	/* Kicks and passes are counted: they depend on nobody's pace. */
	vdev_watch_wakeups(false);
	rig_open(&self->r, &conf);
	self->q = &self->r.q[0];
}

FIXTURE_TEARDOWN(notify)
{
	vdev_watch_wakeups(true);
	rig_close(&self->r);
}

static void offer(struct vq *q)
{
	CHECK(drv_add1(&q->drv, GMEM_HIGH, 16, true) >= 0, "full");
	drv_publish(&q->drv);
	drv_wants_kick(&q->drv);	/* not asked again for this one */
}

/* A pass that starts after this call has ended when it returns. */
static void worker_went_round(struct rig *r)
{
	rig_ping(&r->q[1]);
}

/*
 * One request, and no signal of it on its way any more. A driver that finds the
 * used element by itself goes on before the call comes.
 */
static void ping_and_settle(struct rig *r)
{
	rig_ping(&r->q[0]);
	worker_went_round(r);
	ev_take(r->q[0].call);
}

/* ---- kicks ---- */

TEST_F(notify, kick_readable_at_install_counts)
{
	rig_start(&self->r);
	rig_ping(self->q);
	worker_went_round(&self->r);	/* the ping's pass is over, and looks no more */
	vdev_set_kick(self->r.fd, 0, -1);
	offer(self->q);
	ev_signal(self->q->kick);	/* nobody listens */
	worker_went_round(&self->r);
	ASSERT_FALSE(drv_has_used(&self->q->drv));

	vdev_set_kick(self->r.fd, 0, self->q->kick);
	EXPECT_LE(0, rig_complete(self->q, NULL));
}

TEST_F(notify, kick_readable_at_start_counts)
{
	offer(self->q);
	ev_signal(self->q->kick);
	rig_start(&self->r);
	EXPECT_LE(0, rig_complete(self->q, NULL));
}

TEST_F(notify, kick_fd_may_come_before_everything_else)
{
	struct vq *q = self->q;
	int fd = vdev_open("null");

	vdev_set_owner(fd);
	vdev_set_kick(fd, 0, q->kick);
	ev_signal(q->kick);
	vdev_set_call(fd, 0, q->call);
	vdev_set_features(fd, self->r.features);
	vdev_set_ring(fd, 0, &q->drv);
	vdev_set_mem(fd, &self->r.mem);
	offer(q);
	vdev_start(fd, 0);
	EXPECT_LE(0, rig_complete(q, NULL));
	offer(q);
	ev_signal(q->kick);
	EXPECT_LE(0, rig_complete(q, NULL));
}

TEST_F(notify, kick_fd_may_come_after_the_start)
{
	vdev_set_kick(self->r.fd, 0, -1);
	rig_start(&self->r);
	offer(self->q);
	ev_signal(self->q->kick);
	vdev_set_kick(self->r.fd, 0, self->q->kick);
	EXPECT_LE(0, rig_complete(self->q, NULL));
	rig_ping(self->q);
}

TEST_F(notify, kick_counter_stays_with_the_owner)
{
	/* So that another datapath can take the eventfd over with nothing lost. */
	self->q->drv.kick_always = true;
	rig_start(&self->r);
	rig_ping(self->q);
	rig_ping(self->q);
	EXPECT_EQ(2, ev_take(self->q->kick));
}

TEST_F(notify, detached_kick_is_heard_no_more)
{
	u64 kicks;

	rig_start(&self->r);
	rig_ping(self->q);
	worker_went_round(&self->r);	/* the ping's pass is over, and looks no more */
	vdev_set_kick(self->r.fd, 0, -1);
	kicks = vdev_get_stats(self->r.fd, 0).kicks;
	offer(self->q);
	ev_signal(self->q->kick);
	worker_went_round(&self->r);
	EXPECT_FALSE(drv_has_used(&self->q->drv));
	EXPECT_EQ(kicks, vdev_get_stats(self->r.fd, 0).kicks);
}

TEST_F(notify, swapped_kick_is_heard_at_the_new_fd_alone)
{
	int old = self->q->kick;

	rig_start(&self->r);
	self->q->kick = ev_new();
	vdev_set_kick(self->r.fd, 0, self->q->kick);
	rig_ping(self->q);
	worker_went_round(&self->r);	/* the ping's pass is over, and looks no more */

	offer(self->q);
	ev_signal(old);
	worker_went_round(&self->r);
	ASSERT_FALSE(drv_has_used(&self->q->drv));
	ev_signal(self->q->kick);
	EXPECT_LE(0, rig_complete(self->q, NULL));
}

/* 2.7.10.2: a spurious kick is harmless. */
TEST_F(notify, kick_with_nothing_new_is_harmless)
{
	int i;

	rig_start(&self->r);
	for (i = 0; i < 1000; i++)
		ev_signal(self->q->kick);
	rig_ping(self->q);
	worker_went_round(&self->r);
	EXPECT_EQ(1, vdev_get_stats(self->r.fd, 0).requests);
	EXPECT_EQ(drv_base_after(&self->q->drv, 1), drv_device_base(&self->q->drv));
	EXPECT_EQ(0, vdev_get_stats(self->r.fd, 0).error);
}

TEST_F(notify, kick_of_one_queue_leaves_the_other_alone)
{
	rig_start(&self->r);
	rig_ping(self->q);
	worker_went_round(&self->r);
	offer(self->q);
	worker_went_round(&self->r);
	EXPECT_FALSE(drv_has_used(&self->q->drv));
}

/* An idle device asks for the next kick. */
TEST_F(notify, idle_queue_wants_a_kick)
{
	int i;

	rig_start(&self->r);
	for (i = 0; i < 200; i++) {
		rig_ping(self->q);
		/* The call comes before the device turns notifications on. */
		vdev_get_stats(self->r.fd, 0);
		ASSERT_LE(0, drv_add1(&self->q->drv, GMEM_HIGH, 16, true));
		drv_publish(&self->q->drv);
		ASSERT_TRUE(drv_wants_kick(&self->q->drv));
		ev_signal(self->q->kick);
		ASSERT_LE(0, rig_complete(self->q, NULL));
	}
}

/*
 * 2.7.10.2: 0 or 1, and 0 with EVENT_IDX. 2.8.10: ENABLE or DISABLE, and DESC with
 * EVENT_IDX alone; the reserved value never.
 */
TEST_F(notify, flags_are_of_the_mode)
{
	struct drv *d = &self->q->drv;
	u32 seen = 0, may = 1 << 0 | 1 << 1;
	struct hammer h = { 0 };
	int i;

	if (d->event_idx)
		may = d->packed ? 1 << 0 | 1 << 1 | 1 << 2 : 1 << 0;
	rig_start(&self->r);
	hammer_start(&h, self->q, 32, 64);
	for (i = 0; i < 50; i++) {
		u16 flags;

		hammer_wait(&h, 20);
		flags = d->packed ? drv_device_flags(d) : drv_used_flags(d);
		ASSERT_GT(32, flags);
		seen |= 1 << flags;
	}
	hammer_stop(&h);
	EXPECT_EQ(0, seen & ~may);
}

/* ---- calls ---- */

TEST_F(notify, each_batch_calls_when_the_driver_wants_it)
{
	int i;

	rig_start(&self->r);
	for (i = 0; i < 100; i++) {
		ASSERT_FALSE(drv_enable_call(&self->q->drv));
		ASSERT_EQ(0, ev_take(self->q->call));
		offer(self->q);
		ev_signal(self->q->kick);
		ASSERT_TRUE(ev_wait(self->q->call, DEADLINE_MS));
		ASSERT_TRUE(drv_has_used(&self->q->drv));
		ASSERT_EQ(0, drv_get(&self->q->drv, NULL) < 0);
		ASSERT_EQ(1, ev_take(self->q->call));
	}
	EXPECT_EQ(100, vdev_get_stats(self->r.fd, 0).calls);
}

/* A driver that sleeps until it is called, or has no room left, does not wait for the whole of a pass. */
TEST_F(notify, long_pass_calls_by_the_batch)
{
	struct rig_conf conf = { .class = "null", .features = variant->features, .num = 256 };
	struct vkick_stats stats;
	struct rig r;
	struct vq *q = &r.q[0];
	int i;

	rig_open(&r, &conf);
	rig_start(&r);
	worker_went_round(&r);
	ASSERT_FALSE(drv_enable_call(&q->drv));
	for (i = 0; i < 256; i++) {
		CHECK(drv_add1(&q->drv, GMEM_HIGH, 16, true) >= 0, "full");
	}
	drv_publish(&q->drv);
	ev_signal(q->kick);
	for (i = 0; i < 256; i++) {
		ASSERT_LE(0, rig_complete(q, NULL));
	}
	worker_went_round(&r);
	stats = vdev_get_stats(r.fd, 0);
	EXPECT_EQ(4, stats.calls + stats.calls_suppressed);
	if (!(variant->features & F_EVENT_IDX))
		EXPECT_EQ(4, stats.calls);
	rig_close(&r);
}

/* The driver's wish cannot be read at the first batch's end: what is used by then is used, and is not given out again. */
TEST(queue_that_breaks_between_two_requests_says_where)
{
	struct rig_conf conf = { .class = "null", .features = F_EVENT_IDX, .num = 4096, .max_segs = 1 };
	struct vq *q;
	struct rig r;
	u8 *avail;
	int i;

	/* used_event has a page of its own. */
	avail = mmap(NULL, 3 * GMEM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, avail);
	rig_lay_out(&r, &conf);
	q = &r.q[0];
	q->drv.avail = (void *)avail;
	rig_attach(&r, "null");
	rig_start(&r);
	worker_went_round(&r);
	for (i = 0; i < 200; i++)
		CHECK(drv_add1(&q->drv, GMEM_HIGH, 16, true) >= 0, "full");
	ASSERT_EQ(0, mprotect(avail + 2 * GMEM_PAGE, GMEM_PAGE, PROT_NONE));
	drv_publish(&q->drv);
	ev_signal(q->kick);
	EXPECT_EQ(EFAULT, rig_wait_broken(&r, q));
	EXPECT_EQ(64, q->drv.used->idx);
	EXPECT_EQ(64, vdev_get_base(r.fd, 0));
	mprotect(avail + 2 * GMEM_PAGE, GMEM_PAGE, PROT_READ | PROT_WRITE);
	rig_close(&r);
	munmap(avail, 3 * GMEM_PAGE);
}

TEST_F(notify, driver_that_wants_no_call_gets_none)
{
	struct vkick_stats before, after;
	int i;

	rig_start(&self->r);
	ping_and_settle(&self->r);	/* the first one always calls */
	before = vdev_get_stats(self->r.fd, 0);
	for (i = 0; i < 100; i++) {
		drv_disable_call(&self->q->drv);
		offer(self->q);
		ev_signal(self->q->kick);
		worker_went_round(&self->r);
		ASSERT_LE(0, drv_get(&self->q->drv, NULL));
	}
	after = vdev_get_stats(self->r.fd, 0);
	EXPECT_EQ(0, ev_take(self->q->call));
	EXPECT_EQ(before.calls, after.calls);
	EXPECT_EQ(before.calls_suppressed + 100, after.calls_suppressed);
}

/* 2.7.7.2: with EVENT_IDX flags do not count, without it used_event does not. */
TEST_F(notify, the_other_modes_wish_is_ignored)
{
	struct drv *d = &self->q->drv;

	rig_start(&self->r);
	ping_and_settle(&self->r);
	if (d->packed) {
		/* The place counts with flags DESC and EVENT_IDX alone. */
		drv_set_driver_event(d, drv_off_wrap(drv_place_after(d, d->used_at, 9)),
				     d->event_idx ? VRING_PACKED_EVENT_FLAG_ENABLE :
						    VRING_PACKED_EVENT_FLAG_DESC);
	} else if (d->event_idx) {
		drv_set_used_event(d, 1);
		drv_set_avail_flags(d, VRING_AVAIL_F_NO_INTERRUPT);
	} else {
		drv_set_used_event(d, 0x9000);
		drv_set_avail_flags(d, 0);
	}
	offer(self->q);
	ev_signal(self->q->kick);
	EXPECT_TRUE(ev_wait(self->q->call, DEADLINE_MS));
}

/* Three requests, a call wanted at the second: it comes with that one's batch. */
TEST(call_comes_exactly_at_used_event)
{
	struct rig_conf conf = { .class = "null", .features = F_EVENT_IDX };
	struct rig r;
	int i;

	rig_open(&r, &conf);
	rig_start(&r);
	ping_and_settle(&r);
	drv_set_used_event(&r.q[0].drv, 2);
	for (i = 1; i <= 3; i++) {
		offer(&r.q[0]);
		ev_signal(r.q[0].kick);
		worker_went_round(&r);
		EXPECT_EQ(i + 1, drv_used_idx(&r.q[0].drv));
		EXPECT_EQ(i == 2, ev_take(r.q[0].call));
	}
	rig_close(&r);
}

/* The same at each place of a small ring, with both wrap counters. */
TEST(call_comes_exactly_at_off_wrap)
{
	struct rig_conf conf = {
		.class = "null", .features = F_PACKED | F_EVENT_IDX, .num = 5,
	};
	int start, i;
	struct rig r;

	rig_open(&r, &conf);
	rig_start(&r);
	for (start = 0; start < 11; start++) {
		struct drv *d = &r.q[0].drv;
		struct drv_place second;

		ping_and_settle(&r);
		second = drv_place_after(d, d->used_at, 1);
		drv_set_driver_event(d, drv_off_wrap(second),
				     VRING_PACKED_EVENT_FLAG_DESC);
		for (i = 1; i <= 3; i++) {
			offer(&r.q[0]);
			ev_signal(r.q[0].kick);
			worker_went_round(&r);
			ASSERT_LE(0, drv_get(d, NULL));
			ASSERT_EQ(i == 2, ev_take(r.q[0].call))
				TH_LOG("request %d, place %u:%u", i, second.i,
				       second.wrap);
		}
		/* The next one starts one place further on. */
		ASSERT_EQ(drv_base_after(d, 4 * start + 4), drv_device_base(d));
	}
	rig_close(&r);
}

TEST_F(notify, polling_driver_needs_no_call_fd)
{
	int i;

	vdev_set_call(self->r.fd, 0, -1);
	rig_start(&self->r);
	for (i = 0; i < 500; i++) {
		offer(self->q);
		ev_signal(self->q->kick);
		ASSERT_TRUE(drv_wait(&self->q->drv, -1, DEADLINE_MS));
		ASSERT_LE(0, drv_get(&self->q->drv, NULL));
	}
	EXPECT_EQ(0, ev_take(self->q->call));
	EXPECT_EQ(0, vdev_get_stats(self->r.fd, 0).calls);
}

TEST_F(notify, detached_call_is_signalled_no_more)
{
	rig_start(&self->r);
	ping_and_settle(&self->r);
	vdev_set_call(self->r.fd, 0, -1);
	offer(self->q);
	ev_signal(self->q->kick);
	ASSERT_TRUE(drv_wait(&self->q->drv, -1, DEADLINE_MS));
	worker_went_round(&self->r);
	EXPECT_EQ(0, ev_take(self->q->call));
}

TEST_F(notify, swapped_call_is_signalled_at_the_new_fd_alone)
{
	int old = self->q->call;

	rig_start(&self->r);
	ping_and_settle(&self->r);
	self->q->call = ev_new();
	vdev_set_call(self->r.fd, 0, self->q->call);
	rig_ping(self->q);
	EXPECT_EQ(0, ev_take(old));
}

/*
 * As a VMM does at each mask and unmask. The guest sleeps on both eventfds, with
 * no time limit: one lost signal and it sleeps for ever.
 */
TEST_F(notify, call_swapped_under_load_loses_no_signal)
{
	struct hammer h = { .calls = { 0, ev_new() } };
	int swaps;

	rig_start(&self->r);
	hammer_start(&h, self->q, 4, 64);
	for (swaps = 0; swaps < 3000; swaps++) {
		vdev_set_call(self->r.fd, 0, h.calls[1]);
		vdev_set_call(self->r.fd, 0, h.calls[0]);
		if (swaps % 100 == 0)
			hammer_wait(&h, 10);
	}
	hammer_wait(&h, 100);
	hammer_stop(&h);
	hammer_drain(&h);
	rig_stop(&self->r);
	/* Each signal that the device counted arrived at one of the two. */
	h.calls_taken += ev_take(h.calls[0]) + ev_take(h.calls[1]);
	EXPECT_EQ(vdev_get_stats(self->r.fd, 0).calls, h.calls_taken);
}

TEST_F(notify, kick_swapped_under_load_loses_no_kick)
{
	struct hammer h = { 0 };
	int swaps;

	rig_start(&self->r);
	hammer_start(&h, self->q, 4, 64);
	/* The same eventfd off and on: its signals meanwhile count at its return. */
	for (swaps = 0; swaps < 3000; swaps++) {
		vdev_set_kick(self->r.fd, 0, -1);
		vdev_set_kick(self->r.fd, 0, self->q->kick);
		if (swaps % 100 == 0)
			hammer_wait(&h, 10);
	}
	hammer_wait(&h, 100);
	hammer_stop(&h);
	hammer_drain(&h);
}

TEST_F(notify, everything_swapped_under_load_at_once)
{
	struct hammer h[2] = { { 0 }, { 0 } };
	int i;

	rig_start(&self->r);
	hammer_start(&h[0], &self->r.q[0], 8, 64);
	hammer_start(&h[1], &self->r.q[1], 8, 64);
	for (i = 0; i < 1000; i++) {
		vdev_set_mem(self->r.fd, &self->r.mem);
		vdev_set_kick(self->r.fd, i % 2, self->r.q[i % 2].kick);
		vdev_set_call(self->r.fd, i % 2, self->r.q[i % 2].call);
		vdev_set_err(self->r.fd, i % 2, self->r.q[i % 2].err);
		if (i % 100 == 0) {
			hammer_wait(&h[0], 10);
			hammer_wait(&h[1], 10);
		}
	}
	for (i = 0; i < 2; i++) {
		hammer_wait(&h[i], 100);
		hammer_stop(&h[i]);
		hammer_drain(&h[i]);
		EXPECT_EQ(0, vdev_get_stats(self->r.fd, i).error);
	}
}

TEST_HARNESS_MAIN
