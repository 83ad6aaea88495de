// SPDX-License-Identifier: GPL-2.0
/*
 * Polling by the user datapath of disks, natively: what it spares, and that nothing is lost by it.
 *
 * in:  vmm/blk_*.c with poll_us over guest memory of this process, a memory file as the disk; a driver that watches the ring and
 *      wants a call for each request all the same, or sleeps until it is called
 * out: calls and kicks counted; the last call there in time, whatever happens to the queue
 */
#include "lib/vdisk.h"

#include "kselftest_harness.h"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#define DISK_BYTES	(4 * MIB)
#define ROUNDS		100

FIXTURE(poll)
{
	struct vdisk v;
	int fd;
	u64 hdr, status;
};

FIXTURE_VARIANT(poll)
{
	u64 features;
};

FIXTURE_VARIANT_ADD(poll, split) { .features = 0 };
FIXTURE_VARIANT_ADD(poll, event_idx) { .features = F_EVENT_IDX };
FIXTURE_VARIANT_ADD(poll, packed) { .features = F_PACKED };
FIXTURE_VARIANT_ADD(poll, packed_event_idx) { .features = F_PACKED | F_EVENT_IDX };

FIXTURE_SETUP(poll)
{
	struct vdisk *v = &self->v;

	self->fd = memfd_create("disk", MFD_CLOEXEC);
	ASSERT_EQ(0, ftruncate(self->fd, DISK_BYTES));
	vdisk_init(v, self->fd, DISK_BYTES, variant->features, 2);
	v->disk.iothreads = 1;
	v->disk.poll_us = 100000;
	self->hdr = vdisk_alloc(v, 16, 1);
	self->status = vdisk_alloc(v, 1, 1);
	vdisk_set_hdr(v, self->hdr, VIRTIO_BLK_T_GET_ID, 0);
	vdisk_start(v);
}

FIXTURE_TEARDOWN(poll)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->v.m.mem));
	vdisk_free(&self->v);
	close(self->fd);
}

/* Numbers of queue 0. */
static struct datapath_stats stats(struct vdisk *v)
{
	struct datapath_stats s;

	v->dev.datapath->ops->stats(v->dev.datapath, 0, &s);
	return s;
}

static int call_of(struct vdisk *v)
{
	return v->dev.ring[0].call_fd;
}

/* A request on queue @q that needs no backend, as the driver has it. */
static void submit(FIXTURE_DATA(poll) *self, u32 q)
{
	struct drv_seg segs[] = { { self->hdr, 16, false }, { self->status, 1, true } };

	vdisk_submit(&self->v, q, segs, 2);
}

/* Of a driver that watches the ring. Return: false if nothing came. */
static bool watched_request(FIXTURE_DATA(poll) *self, u32 q)
{
	struct deadline end = deadline_in(DEADLINE_MS);

	submit(self, q);
	while (drv_get(&self->v.drv[q], NULL) < 0) {
		if (deadline_passed(&end))
			return false;
		sched_yield();
	}
	return true;
}

/* Of one that wants to be called for it, and sees it before. */
static void eager_requests(FIXTURE_DATA(poll) *self, int n)
{
	while (n--) {
		CHECK(!drv_enable_call(&self->v.drv[0]), "a used element of nobody's");
		CHECK(watched_request(self, 0), "nothing comes");
	}
}

/* Of one that sleeps until it is called, and does not look at the ring before. */
static void patient_request(FIXTURE_DATA(poll) *self)
{
	struct drv *d = &self->v.drv[0];

	CHECK(!drv_enable_call(d), "a used element of nobody's");
	submit(self, 0);
	CHECK(ev_wait(call_of(&self->v), DEADLINE_MS), "a call was lost");
	ev_take(call_of(&self->v));
	CHECK(drv_get(d, NULL) >= 0, "a call for nothing");
}

/* Three requests, so far apart that the thread polls for twice that time afterwards. None wants a call; with EVENT_IDX the first has one. */
static void make_poll(FIXTURE_DATA(poll) *self, u32 q)
{
	int i;

	drv_disable_call(&self->v.drv[q]);
	for (i = 0; i < 3; i++) {
		usleep(20000);
		CHECK(watched_request(self, q), "nothing comes");
	}
	ev_take(self->v.dev.ring[q].call_fd);
}

TEST_F(poll, driver_that_goes_on_is_called_once_for_many)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	struct datapath_stats a = { 0 }, b = { 0 };

	/* Who else wants the CPUs has the driver, or the thread, come too late now and then. A start forgets what holding brought. */
	do {
		vdisk_stop(&self->v);
		vdisk_start(&self->v);
		ASSERT_FALSE(deadline_passed(&end)) {
			TH_LOG("200 requests, %lu calls", b.calls - a.calls);
		}
		make_poll(self, 0);
		a = stats(&self->v);
		eager_requests(self, 200);
		b = stats(&self->v);
	} while (b.calls - a.calls > 150);
	EXPECT_EQ(200, b.requests - a.requests);
	EXPECT_LT(0, b.calls_held - a.calls_held);
}

/* The driver has nothing more to do: the thread, which polls on, is to see that. */
TEST_F(poll, call_that_is_owed_is_made_when_nothing_comes)
{
	int i;

	make_poll(self, 0);
	for (i = 0; i < ROUNDS; i++) {
		eager_requests(self, 20);
		ev_take(call_of(&self->v));
		eager_requests(self, 1);
		ASSERT_TRUE(ev_wait(call_of(&self->v), DEADLINE_MS)) {
			TH_LOG("round %d", i);
		}
	}
}

/* One that has a request at a time would have each of them late. */
TEST_F(poll, driver_that_waits_is_seldom_kept_waiting)
{
	struct datapath_stats a, b;
	int i;

	make_poll(self, 0);
	a = stats(&self->v);
	for (i = 0; i < 1000; i++)
		patient_request(self);
	vdisk_stop(&self->v);
	b = stats(&self->v);
	TH_LOG("1000 requests, %lu calls held", b.calls_held - a.calls_held);
	EXPECT_EQ(1000, b.calls - a.calls);
	/* It is tried now and then: once in 256 in the end. */
	EXPECT_LT(0, b.calls_held - a.calls_held);
	EXPECT_GT(100, b.calls_held - a.calls_held);
}

TEST_F(poll, driver_that_does_not_want_calls_has_none)
{
	struct datapath_stats a, b;
	int i;

	make_poll(self, 0);
	a = stats(&self->v);
	for (i = 0; i < 500; i++)
		ASSERT_TRUE(watched_request(self, 0));
	vdisk_stop(&self->v);
	b = stats(&self->v);
	EXPECT_EQ(a.calls, b.calls);
}

/* ---- What ends it: who is told that it is over may do without the eventfd from then on ---- */

static void stop_all(struct vdisk *v)
{
	vdisk_stop(v);
}

static void stop_one(struct vdisk *v)
{
	v->dev.datapath->ops->stop_queue(v->dev.datapath, 0);
	v->dev.ring[0].enabled = false;
}

static void break_it(struct vdisk *v)
{
	drv_break(&v->drv[0]);
	ev_signal(v->dev.ring[0].kick_fd);
	CHECK(vdisk_broke(v, 0), "it did not break");
}

static void expect_call_with(struct __test_metadata *_metadata, FIXTURE_DATA(poll) *self, void (*end)(struct vdisk *), int rounds)
{
	struct vdisk *v = &self->v;
	int i;

	for (i = 0; i < rounds; i++) {
		eager_requests(self, 20);
		ev_take(call_of(v));
		eager_requests(self, 1);
		end(v);
		ASSERT_LT(0, ev_take(call_of(v))) {
			TH_LOG("round %d", i);
		}
		if (!v->running)
			vdisk_start(v);
	}
}

TEST_F(poll, call_that_is_owed_is_made_before_a_stop)
{
	make_poll(self, 0);
	expect_call_with(_metadata, self, stop_all, ROUNDS);
}

TEST_F(poll, call_that_is_owed_is_made_before_a_queue_is_left)
{
	make_poll(self, 0);
	expect_call_with(_metadata, self, stop_one, 1);
}

TEST_F(poll, call_that_is_owed_is_made_before_a_queue_breaks)
{
	make_poll(self, 0);
	expect_call_with(_metadata, self, break_it, 1);
}

/* ---- A queue with much to do, of the same thread ---------------------------------------------- */

/* More than the thread does in a pass. */
#define HOG_BYTES	DISK_BYTES

static u64 hog_requests(struct vdisk *v)
{
	struct datapath_stats s;

	v->dev.datapath->ops->stats(v->dev.datapath, 1, &s);
	return s.requests;
}

TEST_F(poll, queue_that_is_watched_is_served_beside_a_hog)
{
	struct vdisk *v = &self->v;
	struct deadline end = deadline_in(DEADLINE_MS);
	u64 hdr = vdisk_alloc(v, 16, 1), data = vdisk_alloc(v, HOG_BYTES, 512), before = 0, ahead;
	struct drv_seg segs[] = { { hdr, 16, false }, { data, HOG_BYTES, true }, { self->status, 1, true } };
	struct drv *d = &v->drv[1];
	u64 n;

	vdisk_set_hdr(v, hdr, VIRTIO_BLK_T_IN, 0);
	drv_disable_call(d);
	/* We may come too late to see it, on a busy host. */
	do {
		ASSERT_FALSE(deadline_passed(&end)) {
			TH_LOG("it had to wait for all of the other's %lu requests", n);
		}
		make_poll(self, 0);
		/* It is watched for some 40 ms from here on. */
		for (n = 0; drv_add(d, segs, 3) >= 0; n++)
			;
		drv_kick(d, v->dev.ring[1].kick_fd);
		while (!drv_has_used(d))
			;
		ASSERT_TRUE(watched_request(self, 0));
		ahead = before + n - hog_requests(v);
		while (drv_in_flight(d))
			drv_get(d, NULL);
		before += n;
	} while (!ahead);
}

TEST_HARNESS_MAIN
