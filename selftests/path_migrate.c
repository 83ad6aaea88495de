// SPDX-License-Identifier: GPL-2.0
/*
 * A migration: while the device works, its memory is copied page by page, again
 * wherever the dirty log has a mark. Afterwards source and destination are equal.
 *
 * in:  /dev/vkick-rng, split and packed; a copier that never rests
 * out: two memories compared to the byte, rings included
 *
 * What the driver writes is not the device's to log: in a VM, KVM sees to that.
 * So one test has no driver at work (all requests are offered before the first
 * copy), and everything that differs later is the device's; and in the others the
 * driver's own writes are copied by the bytes at the end.
 */
#include "kselftest_harness.h"

#include "lib/dlog.h"
#include "lib/rig.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define MAX_LEN		8192U
#define LARGE		65536U	/* what the device writes at most */

FIXTURE(migrate)
{
	struct rig r;
	struct vq *q;
	struct dlog l;
	struct dlog_copy copy;

	/* Another thread that copies, while the test does something to the device. */
	pthread_t copier;
	atomic_bool copier_stop;
	u64 rounds;

	/* The driver: requests in flight until it is told to stop. */
	pthread_t driver;
	atomic_bool driver_stop;
	atomic_ullong got;
	u64 seed;
};

FIXTURE_VARIANT(migrate)
{
	u64 features;
	enum drv_layout layout;
};

FIXTURE_VARIANT_ADD(migrate, split) { 0, DRV_DIRECT };
FIXTURE_VARIANT_ADD(migrate, split_indirect_event_idx) {
	F_INDIRECT | F_EVENT_IDX, DRV_INDIRECT };
FIXTURE_VARIANT_ADD(migrate, packed) { F_PACKED, DRV_DIRECT };
FIXTURE_VARIANT_ADD(migrate, packed_in_order_event_idx) {
	F_PACKED | F_IN_ORDER | F_EVENT_IDX, DRV_DIRECT };

FIXTURE_SETUP(migrate)
{
	struct rig_conf conf = {
		.class = "rng",
		.features = variant->features,
		.layout = variant->layout,
		.num = 1024,
		.max_segs = 2,
	};

	rig_open(&self->r, &conf);
	self->q = &self->r.q[0];
	self->l = dlog_new(&self->r.mem);
	self->seed = 11;
	vdev_set_log_base(self->r.fd, self->l.bits);
	vdev_set_features(self->r.fd, self->r.features | F_LOG_ALL);
	vdev_set_addr_logged(self->r.fd, 0, &self->q->drv, self->q->drv.used_gpa);
}

FIXTURE_TEARDOWN(migrate)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
	rig_close(&self->r);
}

/* A buffer somewhere in the two regions that have nothing else. */
static struct drv_seg anywhere(u64 *seed)
{
	u32 len = prng(seed) % MAX_LEN + 1;
	u64 at = prng(seed) % (GMEM_HIGH_SIZE - MAX_LEN);

	return (struct drv_seg) {
		(prng(seed) % 2 ? GMEM_HIGH : GMEM_FAR) + at, len, true,
	};
}

static void *copier_main(void *arg)
{
	FIXTURE_DATA(migrate) *self = arg;

	while (!atomic_load(&self->copier_stop)) {
		dlog_round(&self->copy, &self->l);
		self->rounds++;
	}
	return NULL;
}

static void copier_start(FIXTURE_DATA(migrate) *self)
{
	atomic_store(&self->copier_stop, false);
	CHECK(!pthread_create(&self->copier, NULL, copier_main, self), "thread");
}

/* The device is stopped: one more round, and all must be there. */
static bool arrived(FIXTURE_DATA(migrate) *self)
{
	bool same;

	dlog_round(&self->copy, &self->l);
	same = dlog_copy_same(&self->copy);
	dlog_copy_free(&self->copy);
	return same;
}

/* ---- nobody but the device writes ---- */

/*
 * Offers as many requests as the ring takes, all over the two regions; or one for
 * each 64 KiB of them. That takes the device a while, and no page is written again,
 * so a mark that comes before the write is one too few. Return: how many.
 */
static int offer(FIXTURE_DATA(migrate) *self, bool large)
{
	struct drv *d = &self->q->drv;
	int n = 0;

	for (;;) {
		struct drv_seg s = anywhere(&self->seed);

		if (large) {
			s.gpa = (n % 2 ? GMEM_HIGH : GMEM_FAR) + n / 2 * LARGE;
			s.len = LARGE;
			if (n == 2 * GMEM_HIGH_SIZE / LARGE)
				break;
		}
		if (drv_add(d, &s, 1) < 0)
			break;
		n++;
	}
	drv_publish(d);
	drv_wants_kick(d);
	return n;
}

TEST_F(migrate, all_that_the_device_writes_arrives)
{
	struct rig *r = &self->r;
	u64 pages = 0, done = 0;
	int burst;

	for (burst = 0; burst < 16; burst++) {
		struct deadline end = deadline_in(4 * DEADLINE_MS);
		int n = offer(self, burst % 4);

		done += n;
		drv_disable_call(&self->q->drv);
		dlog_clear(&self->l);
		self->copy = dlog_copy_new(&r->mem);
		copier_start(self);
		rig_start(r);
		while (vdev_get_stats(r->fd, 0).requests < done) {
			ASSERT_FALSE(deadline_passed(&end));
			sched_yield();
		}
		rig_stop(r);
		atomic_store(&self->copier_stop, true);
		pthread_join(self->copier, NULL);
		pages += self->copy.pages;
		ASSERT_TRUE(arrived(self)) TH_LOG("burst %d", burst);
		while (drv_get(&self->q->drv, NULL) >= 0)
			n--;
		ASSERT_EQ(0, n);
	}
	TH_LOG("%llu pages in %llu rounds", (unsigned long long)pages,
	       (unsigned long long)self->rounds);
}

/* ---- a driver at work ---- */

static void *driver_main(void *arg)
{
	FIXTURE_DATA(migrate) *self = arg;
	struct drv *d = &self->q->drv;
	u64 seed = 5;

	while (!atomic_load(&self->driver_stop)) {
		while (drv_in_flight(d) < 64) {
			struct drv_seg s[2] = { anywhere(&seed), anywhere(&seed) };

			CHECK(drv_add(d, s, 2) >= 0, "full");
		}
		drv_kick(d, self->q->kick);
		CHECK(drv_wait(d, self->q->call, DEADLINE_MS), "a lost call");
		drv_disable_call(d);
		while (drv_get(d, NULL) >= 0)
			atomic_fetch_add(&self->got, 1);
	}
	return NULL;
}

static void driver_start(FIXTURE_DATA(migrate) *self)
{
	rig_start(&self->r);
	CHECK(!pthread_create(&self->driver, NULL, driver_main, self), "thread");
}

static void driver_wait(FIXTURE_DATA(migrate) *self, u64 n)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	u64 until = atomic_load(&self->got) + n;

	while (atomic_load(&self->got) < until) {
		CHECK(!deadline_passed(&end), "no progress");
		sched_yield();
	}
}

/* Everything stops, and what the driver itself wrote is copied. */
static void stop_all(FIXTURE_DATA(migrate) *self)
{
	struct drv *d = &self->q->drv;

	atomic_store(&self->driver_stop, true);
	pthread_join(self->driver, NULL);
	rig_stop(&self->r);
	CHECK(!vdev_get_stats(self->r.fd, 0).error, "the queue broke");

	dlog_copy_bytes(&self->copy, d->avail_gpa, drv_avail_bytes(d));
	dlog_copy_bytes(&self->copy, d->desc_gpa, 16UL * d->num);
	if (d->layout != DRV_DIRECT)
		dlog_copy_bytes(&self->copy, d->table_gpa,
				16UL * d->num * d->max_segs);
}

TEST_F(migrate, with_a_driver_at_work)
{
	int i;

	self->copy = dlog_copy_new(&self->r.mem);
	driver_start(self);
	for (i = 0; i < 3; i++) {
		copier_start(self);
		driver_wait(self, 400);
		atomic_store(&self->copier_stop, true);
		pthread_join(self->copier, NULL);
		driver_wait(self, 100);
	}
	EXPECT_LT(0, self->copy.pages);
	stop_all(self);
	EXPECT_TRUE(arrived(self));
}

/*
 * As QEMU does when memory grows: once the call is back nothing is marked in the
 * old bitmap, which is read for the last time and unmapped.
 */
TEST_F(migrate, log_replaced_under_load)
{
	int i;

	self->copy = dlog_copy_new(&self->r.mem);
	driver_start(self);
	for (i = 0; i < 100; i++) {
		struct dlog old = self->l;

		self->l = dlog_new(&self->r.mem);
		vdev_set_log_base(self->r.fd, self->l.bits);
		dlog_round(&self->copy, &old);
		dlog_free(&old);
		if (i % 10 == 0)
			driver_wait(self, 20);
	}
	stop_all(self);
	EXPECT_TRUE(arrived(self));
}

TEST_F(migrate, memory_table_replaced_under_load)
{
	int i;

	self->copy = dlog_copy_new(&self->r.mem);
	driver_start(self);
	copier_start(self);
	for (i = 0; i < 300; i++) {
		vdev_set_mem(self->r.fd, &self->r.mem);
		if (i % 50 == 0)
			driver_wait(self, 20);
	}
	atomic_store(&self->copier_stop, true);
	pthread_join(self->copier, NULL);
	stop_all(self);
	EXPECT_TRUE(arrived(self));
}

TEST_F(migrate, ring_address_set_again_under_load)
{
	int i;

	/* As mainline's vhost, a running queue may be given its address anew. */
	self->copy = dlog_copy_new(&self->r.mem);
	driver_start(self);
	copier_start(self);
	for (i = 0; i < 100; i++) {
		vdev_set_addr_logged(self->r.fd, 0, &self->q->drv,
				     self->q->drv.used_gpa);
		if (i % 10 == 0)
			driver_wait(self, 20);
	}
	atomic_store(&self->copier_stop, true);
	pthread_join(self->copier, NULL);
	stop_all(self);
	EXPECT_TRUE(arrived(self));
}

/*
 * The owner takes the log's memory away. Its pages are the device's as long as the
 * feature is on, and nobody's to see: requests go on, and so does a next log.
 */
TEST_F(migrate, log_unmapped_under_the_worker)
{
	struct rig *r = &self->r;
	int i;

	driver_start(self);
	for (i = 0; i < 8; i++) {
		driver_wait(self, 20);
		dlog_free(&self->l);
		driver_wait(self, 50);
		self->l = dlog_new(&r->mem);
		vdev_set_log_base(r->fd, self->l.bits);
	}
	/* The last one is a good one. */
	self->copy = dlog_copy_new(&r->mem);
	copier_start(self);
	driver_wait(self, 100);
	atomic_store(&self->copier_stop, true);
	pthread_join(self->copier, NULL);
	stop_all(self);
	EXPECT_TRUE(arrived(self));
}

TEST_HARNESS_MAIN
