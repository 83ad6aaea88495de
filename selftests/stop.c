// SPDX-License-Identifier: GPL-2.0
/*
 * The stop guarantee: when the call that stops a queue returns, no request is in
 * flight, no guest byte is written, no eventfd signalled any more, and
 * GET_VRING_BASE is exact.
 *
 * in:  /dev/vkick-null, /dev/vkick-rng; a driver thread that never lets go
 * out: memory and counters compared with later ones; a ring that can be taken up
 *      again with nothing lost and nothing doubled
 */
#include "kselftest_harness.h"

#include "lib/hammer.h"
#include "lib/rig.h"

enum way {
	SET_RUNNING_0,
	SET_RUNNING_0_ONE_QUEUE,
	RESET_OWNER,
	CLOSE,
};

FIXTURE(stop)
{
	struct rig r;
	struct vq *q;
};

FIXTURE_VARIANT(stop)
{
	const char *class;
	u64 features;
	enum drv_layout layout;
	enum way way;
};

#define VARIANTS(_name, _way)						\
	FIXTURE_VARIANT_ADD(stop, null_##_name)				\
	{ "null", 0, DRV_DIRECT, _way };				\
	FIXTURE_VARIANT_ADD(stop, null_event_idx_##_name)		\
	{ "null", F_EVENT_IDX | F_INDIRECT, DRV_INDIRECT, _way };	\
	FIXTURE_VARIANT_ADD(stop, rng_##_name)				\
	{ "rng", 0, DRV_DIRECT, _way };					\
	FIXTURE_VARIANT_ADD(stop, rng_event_idx_##_name)		\
	{ "rng", F_EVENT_IDX | F_INDIRECT, DRV_INDIRECT, _way };
VARIANTS(by_set_running, SET_RUNNING_0)
VARIANTS(by_set_running_of_one_queue, SET_RUNNING_0_ONE_QUEUE)
VARIANTS(by_reset_owner, RESET_OWNER)
VARIANTS(by_close, CLOSE)

/* What a stop leaves in the ring matters here, more than the way. */
#define PACKED_VARIANT(_name, _way)					\
	FIXTURE_VARIANT_ADD(stop, null_packed_event_idx_##_name)	\
	{ "null", F_PACKED | F_EVENT_IDX, DRV_DIRECT, _way };
PACKED_VARIANT(by_set_running, SET_RUNNING_0)
PACKED_VARIANT(by_reset_owner, RESET_OWNER)
PACKED_VARIANT(by_close, CLOSE)
/* Batches leave no trace of their length in a packed ring: the owner must ask. */
FIXTURE_VARIANT_ADD(stop, rng_packed_in_order_by_set_running) {
	"rng", F_PACKED | F_IN_ORDER, DRV_DIRECT, SET_RUNNING_0 };
FIXTURE_VARIANT_ADD(stop, rng_in_order_event_idx_by_close) {
	"rng", F_IN_ORDER | F_EVENT_IDX, DRV_DIRECT, CLOSE };

static void open_and_start(struct rig *r, const char *class, u64 features,
			   enum drv_layout layout)
{
	struct rig_conf conf = {
		.class = class,
		.features = features,
		.layout = layout,
		.num = 256,
		.max_segs = 1,
		.start_at = 65000,
	};

	rig_open(r, &conf);
	rig_start(r);
}

FIXTURE_SETUP(stop)
{
	open_and_start(&self->r, variant->class, variant->features,
		       variant->layout);
	self->q = &self->r.q[0];
}

FIXTURE_TEARDOWN(stop)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
	rig_close(&self->r);
}

static void stop_it(struct rig *r, enum way way)
{
	switch (way) {
	case SET_RUNNING_0:
		vdev_stop(r->fd, VKICK_ALL_QUEUES);
		break;
	case SET_RUNNING_0_ONE_QUEUE:
		vdev_stop(r->fd, 0);
		break;
	case RESET_OWNER:
		vdev_reset_owner(r->fd);
		break;
	case CLOSE:
		close(r->fd);
		r->fd = -1;
		break;
	}
}

/* Makes the device run again, from @base if it has forgotten it. */
static void resume(struct rig *r, enum way way, const char *class, u32 base)
{
	if (way == CLOSE)
		r->fd = vdev_open(class);
	if (way == CLOSE || way == RESET_OWNER) {
		rig_configure(r);
		vdev_set_base(r->fd, 0, base);
		vdev_set_kick(r->fd, 0, r->q[0].kick);
		vdev_set_call(r->fd, 0, r->q[0].call);
	}
	vdev_start(r->fd, 0);
}

/*
 * All that a device writes to: the device area, where the hammer has its data, and of
 * a packed ring the descriptors, to which the driver writes as well.
 */
struct written {
	struct gmem_shot used, data, desc;
};

static struct written shoot(struct rig *r)
{
	struct drv *d = &r->q[0].drv;

	return (struct written) {
		gmem_shoot(&r->mem, d->used_gpa, drv_used_bytes(d)),
		gmem_shoot(&r->mem, GMEM_HIGH, GMEM_HIGH_SIZE),
		gmem_shoot(&r->mem, d->desc_gpa, 16 * d->num),
	};
}

static bool same(struct rig *r, const struct written *w, bool driver_rests)
{
	return gmem_same(&r->mem, &w->used) && gmem_same(&r->mem, &w->data) &&
	       (!driver_rests || gmem_same(&r->mem, &w->desc));
}

static void written_free(struct written *w)
{
	gmem_shot_free(&w->used);
	gmem_shot_free(&w->data);
	gmem_shot_free(&w->desc);
}

TEST_F(stop, no_write_and_no_signal_afterwards)
{
	struct drv *d = &self->q->drv;
	struct rig *r = &self->r;
	int round;

	for (round = 0; round < 10; round++) {
		struct hammer h = { 0 };
		struct written at_stop, at_rest;
		u32 base;

		hammer_start(&h, self->q, 128, 1024);
		hammer_wait(&h, 500 + 37 * round);

		stop_it(r, variant->way);
		/* The hammer kicks on; it may take a call, and cannot make one. */
		at_stop = shoot(r);
		base = drv_device_base(d);
		ev_take(self->q->call);

		EXPECT_FALSE(ev_wait(self->q->call, QUIET_MS));
		EXPECT_TRUE(same(r, &at_stop, false));
		hammer_stop(&h);
		at_rest = shoot(r);
		ev_signal(self->q->kick);
		EXPECT_FALSE(ev_wait(self->q->call, QUIET_MS));
		EXPECT_TRUE(same(r, &at_stop, false));
		EXPECT_TRUE(same(r, &at_rest, true));
		/* Where the rings tell it, which they do not of batches. */
		if (!d->packed || !d->in_order) {
			EXPECT_EQ(base, drv_device_base(d));
		}
		written_free(&at_stop);
		written_free(&at_rest);

		resume(r, variant->way, variant->class, base);
		hammer_drain(&h);
	}
}

TEST_F(stop, nothing_is_lost_or_doubled_across_stops)
{
	struct rig *r = &self->r;
	struct hammer h = { 0 };
	int cycles = variant->way == RESET_OWNER || variant->way == CLOSE ? 200 : 2000;
	int i;

	hammer_start(&h, self->q, 32, 64);
	for (i = 0; i < cycles; i++) {
		stop_it(r, variant->way);
		resume(r, variant->way, variant->class,
		       drv_device_base(&self->q->drv));
		if (i % 50 == 0)
			hammer_wait(&h, 20);
	}
	hammer_wait(&h, 200);
	hammer_stop(&h);
	hammer_drain(&h);
	EXPECT_EQ(self->q->drv.added, self->q->drv.got);
}

/* Requests that are offered while it is stopped wait for the start. */
TEST_F(stop, requests_offered_meanwhile_are_served_at_the_start)
{
	struct rig *r = &self->r;
	int i;

	rig_ping(self->q);
	stop_it(r, variant->way);
	for (i = 0; i < 100; i++) {
		ASSERT_LE(0, drv_add1(&self->q->drv, GMEM_HIGH, 16, true));
	}
	drv_kick(&self->q->drv, self->q->kick);
	EXPECT_FALSE(ev_wait(self->q->call, QUIET_MS) &&
		     drv_has_used(&self->q->drv));
	resume(r, variant->way, variant->class,
	       drv_base_after(&self->q->drv, 65000 + 1));
	for (i = 0; i < 100; i++) {
		ASSERT_LE(0, rig_complete(self->q, NULL));
	}
}

/* ---- what SET_RUNNING leaves with the owner: base and counters ---- */

FIXTURE(running)
{
	struct rig r;
	struct vq *q;
};

FIXTURE_VARIANT(running)
{
	const char *class;
	u64 features;
	enum drv_layout layout;
};

FIXTURE_VARIANT_ADD(running, null) { "null", 0, DRV_DIRECT };
FIXTURE_VARIANT_ADD(running, null_event_idx) {
	"null", F_EVENT_IDX | F_INDIRECT, DRV_INDIRECT };
FIXTURE_VARIANT_ADD(running, rng) { "rng", 0, DRV_DIRECT };
FIXTURE_VARIANT_ADD(running, rng_event_idx) {
	"rng", F_EVENT_IDX | F_INDIRECT, DRV_INDIRECT };
FIXTURE_VARIANT_ADD(running, null_packed) { "null", F_PACKED, DRV_DIRECT };
FIXTURE_VARIANT_ADD(running, rng_packed_in_order) {
	"rng", F_PACKED | F_IN_ORDER, DRV_DIRECT };

FIXTURE_SETUP(running)
{
	open_and_start(&self->r, variant->class, variant->features,
		       variant->layout);
	self->q = &self->r.q[0];
}

FIXTURE_TEARDOWN(running)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
	rig_close(&self->r);
}

TEST_F(running, calls_counted_are_calls_received)
{
	struct hammer h = { 0 };

	hammer_start(&h, self->q, 64, 64);
	hammer_wait(&h, 2000);
	rig_stop(&self->r);
	hammer_stop(&h);
	EXPECT_EQ(h.calls_taken, vdev_get_stats(self->r.fd, 0).calls);
}

TEST_F(running, base_is_exact_at_the_stop)
{
	struct rig *r = &self->r;
	int round;

	for (round = 0; round < 20; round++) {
		struct hammer h = { 0 };
		struct drv *d = &self->q->drv;
		struct vkick_stats stats;
		u32 base;

		hammer_start(&h, self->q, 200, 64);
		hammer_wait(&h, 300 + 17 * round);
		rig_stop(r);
		base = vdev_get_base(r->fd, 0);
		stats = vdev_get_stats(r->fd, 0);

		/* All that was consumed is completed, and the other way round. */
		if (!d->packed || !d->in_order) {
			EXPECT_EQ(base, drv_device_base(d));
		}
		EXPECT_EQ(base, drv_base_after(d, 65000 + stats.requests));
		EXPECT_EQ(0, stats.running);
		hammer_stop(&h);
		EXPECT_EQ(base, vdev_get_base(r->fd, 0));
		EXPECT_EQ(stats.requests, vdev_get_stats(r->fd, 0).requests);

		vdev_start(r->fd, 0);
		hammer_drain(&h);
	}
}

/* ---- cycles ---- */

TEST(stop_of_one_queue_leaves_the_other_under_load)
{
	struct rig_conf conf = { .class = "null", .num = 256 };
	struct hammer h = { 0 };
	struct rig r;
	int i;

	rig_open(&r, &conf);
	rig_start(&r);
	hammer_start(&h, &r.q[1], 64, 64);
	for (i = 0; i < 500; i++) {
		vdev_stop(r.fd, 0);
		vdev_start(r.fd, 0);
		rig_ping(&r.q[0]);
	}
	hammer_wait(&h, 500);
	hammer_stop(&h);
	hammer_drain(&h);
	rig_close(&r);
}

/* Nothing grows: neither files nor threads, of this process or of the machine. */
TEST(five_thousand_cycles_leak_nothing)
{
	struct rig_conf conf = { .class = "null" };
	long files = 0;
	int threads = 0, fds = 0, i;
	struct rig r;

	rig_open(&r, &conf);
	for (i = 0; i < 5000; i++) {
		rig_start(&r);
		if (i % 8 == 0)
			rig_ping(&r.q[i % 2]);
		rig_stop(&r);
		if (i == 100) {
			files = open_files();
			threads = proc_threads_settle("vkick-null", 1);
			fds = proc_count("/proc/self/fd");
		}
	}
	EXPECT_EQ(threads, proc_threads_settle("vkick-null", threads));
	EXPECT_EQ(fds, proc_count("/proc/self/fd"));
	EXPECT_GT(files + 500, open_files());
	rig_close(&r);
}

TEST(thousand_opens_leak_nothing)
{
	struct rig_conf conf = { .class = "rng" };
	long files = 0;
	int threads = 0, fds = 0, i;
	struct rig r;

	rig_lay_out(&r, &conf);
	for (i = 0; i < 1000; i++) {
		drv_start_at(&r.q[0].drv, 0);
		rig_attach(&r, "rng");
		rig_start(&r);
		if (i % 8 == 0)
			rig_ping(&r.q[0]);
		/* Every other one with a kick that nobody will answer. */
		if (i % 2)
			ev_signal(r.q[0].kick);
		close(r.fd);
		if (i == 100) {
			files = open_files();
			threads = proc_threads_settle("vkick-rng", 0);
			fds = proc_count("/proc/self/fd");
		}
	}
	r.fd = -1;
	EXPECT_EQ(threads, proc_threads_settle("vkick-rng", threads));
	EXPECT_EQ(fds, proc_count("/proc/self/fd"));
	EXPECT_GT(files + 500, open_files());
	rig_close(&r);
}

TEST_HARNESS_MAIN
