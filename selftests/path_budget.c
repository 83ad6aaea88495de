// SPDX-License-Identifier: GPL-2.0
/*
 * A queue that never runs empty takes its share of the worker, and no more: others
 * of the same worker are served, and its owner can stop it and look at it.
 *
 * in:  /dev/vkick-null, no guest; queue 0 is the hog, queue 1 an ordinary driver
 * out: the throughput of queue 1 with the hog against that without, the time that
 *      calls take meanwhile
 */
#include "kselftest_harness.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "lib/rig.h"

#define ROUNDS		5
#define TRIALS		1000
#define SPAN_NS		300000000ULL
#define SECOND_NS	1000000000ULL

/*
 * Two kinds of hog. Self-refilling: a split ring whose avail ring and used ring are
 * the same memory, so that avail.idx is used.idx. Once that is @ahead of BASE it
 * stays so: each used element makes the next one available, with nobody's help, and
 * its 0s are head 0. A packed ring has no such thing, since what the device writes
 * there is never what it takes for available; a thread refills one.
 */
FIXTURE(budget)
{
	struct rig r;
	pthread_t refiller, burner;
	atomic_bool quit;
};

FIXTURE_VARIANT(budget)
{
	u64 features;
	u32 ahead;	/* 0: a thread refills */
	u32 depth;	/* of the driver of queue 1 */
};

FIXTURE_VARIANT_ADD(budget, self_refilling_beside_depth_1) { 0, 1, 1 };
FIXTURE_VARIANT_ADD(budget, self_refilling_beside_depth_8) { 0, 1, 8 };
FIXTURE_VARIANT_ADD(budget, self_refilling_beside_depth_64) { 0, 1, 64 };
FIXTURE_VARIANT_ADD(budget, self_refilling_full_beside_depth_1) { 0, 64, 1 };
FIXTURE_VARIANT_ADD(budget, packed_beside_depth_8) { F_PACKED, 0, 8 };

/* Never sleeps, whether the queue runs or not: the machine is as busy in both cases. */
static void *refill(void *arg)
{
	FIXTURE_DATA(budget) *self = arg;
	struct vq *q = &self->r.q[0];
	struct drv *d = &q->drv;

	drv_disable_call(d);
	while (!atomic_load(&self->quit)) {
		while (drv_get(d, NULL) >= 0)
			;
		while (drv_add1(d, GMEM_HIGH, 16, true) >= 0)
			;
		drv_kick(d, q->kick);
	}
	return NULL;
}

static void make_self_refilling(struct rig *r, u32 ahead)
{
	struct drv *d = &r->q[0].drv;

	drv_set_desc(&d->desc[0], GMEM_HIGH, 16, VRING_DESC_F_WRITE, 0);
	d->used->idx = htole16(ahead);
	CHECK(!__vdev_set_addr(r->fd, 0, d->desc, d->used, d->used), "SET_VRING_ADDR");
}

/*
 * The worker has one CPU and the drivers another, with the hog and without; and the
 * worker's is never idle, with a thread of the lowest kind where there is no hog. Else
 * the scheduler's choices, of this machine and of one that it is a guest of, make
 * more of a difference than the hog.
 */
static void pin(pid_t tid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK(!sched_setaffinity(tid, sizeof(set), &set), "CPU %d", cpu);
}

static void *burn(void *arg)
{
	FIXTURE_DATA(budget) *self = arg;
	struct sched_param none = { 0 };

	pin(0, 1);
	CHECK(!sched_setscheduler(0, SCHED_IDLE, &none), "SCHED_IDLE");
	while (!atomic_load(&self->quit))
		;
	return NULL;
}

FIXTURE_SETUP(budget)
{
	struct rig_conf conf = {
		.class = "null",
		.features = variant->features,
		.num = variant->ahead ? 64 : 4096,
		.max_segs = 1,
	};

	rig_open(&self->r, &conf);
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1) {
		pin(0, 0);
		pin(proc_thread("vkick-null"), 1);
		ASSERT_EQ(0, pthread_create(&self->burner, NULL, burn, self));
	}
	if (variant->ahead) {
		make_self_refilling(&self->r, variant->ahead);
	} else {
		ASSERT_EQ(0, pthread_create(&self->refiller, NULL, refill, self));
	}
	vdev_start(self->r.fd, 1);
}

FIXTURE_TEARDOWN(budget)
{
	atomic_store(&self->quit, true);
	if (self->refiller)
		pthread_join(self->refiller, NULL);
	if (self->burner)
		pthread_join(self->burner, NULL);
	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
	rig_close(&self->r);
}

/* GET_STATS, in time. */
static struct vkick_stats look(struct rig *r, u32 index)
{
	u64 start = now_ns();
	struct vkick_stats stats = vdev_get_stats(r->fd, index);

	CHECK(now_ns() - start < SECOND_NS, "GET_STATS took %llu ms",
	      (unsigned long long)(now_ns() - start) / 1000000);
	return stats;
}

/* Requests of queue 1 in a second, with @depth in flight. */
static u64 throughput(struct rig *r, u32 depth)
{
	struct vq *q = &r->q[1];
	struct drv *d = &q->drv;
	u64 before = look(r, 1).requests, start = now_ns(), ns;

	do {
		while (drv_in_flight(d) < depth)
			CHECK(drv_add1(d, GMEM_FAR, 16, true) >= 0, "full");
		drv_kick(d, q->kick);
		rig_complete(q, NULL);
		while (drv_get(d, NULL) >= 0)
			;
		ns = now_ns() - start;
	} while (ns < SPAN_NS);
	while (drv_in_flight(d))
		rig_complete(q, NULL);
	return (look(r, 1).requests - before) * SECOND_NS / ns;
}

static int by_value(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* What else the machine does can only take away from it. */
static u64 best(u64 *v)
{
	qsort(v, ROUNDS, sizeof(*v), by_value);
	return v[ROUNDS - 1];
}

TEST_F_TIMEOUT(budget, neighbour_keeps_a_third_of_its_throughput, 60)
{
	struct rig *r = &self->r;
	u64 alone[ROUNDS], beside[ROUNDS], served = 0, start;
	int i;

	/* In turn, so that what else the machine does hits both alike. */
	for (i = 0; i < ROUNDS; i++) {
		struct vkick_stats before, after;

		alone[i] = throughput(r, variant->depth);

		before = look(r, 0);
		vdev_start(r->fd, 0);
		beside[i] = throughput(r, variant->depth);
		after = look(r, 0);
		ASSERT_EQ(1, after.running);
		ASSERT_EQ(0, after.error);
		ASSERT_LT(before.budget_exhausted, after.budget_exhausted);
		served += after.requests - before.requests;

		start = now_ns();
		vdev_stop(r->fd, 0);
		ASSERT_GT(SECOND_NS, now_ns() - start);
	}
	EXPECT_LT(best(alone), 3 * best(beside))
		TH_LOG("alone %llu/s to %llu/s, beside the hog %llu/s to %llu/s",
		       (unsigned long long)alone[0],
		       (unsigned long long)alone[ROUNDS - 1],
		       (unsigned long long)beside[0],
		       (unsigned long long)beside[ROUNDS - 1]);
	/* It was one. */
	EXPECT_LT(ROUNDS * 256, served);
}

/*
 * The same without a clock: how many requests of the hog are served from the kick of
 * a neighbour to its completion. That is what is left of the hog's turn, and what it
 * gets while the kick is on its way, of which a busy machine makes more: hence not
 * the mean, but the median.
 */
TEST(neighbour_waits_for_a_short_turn_of_the_hog)
{
	struct rig_conf conf = { .class = "null", .max_segs = 1 };
	u64 served[TRIALS];
	struct drv *d;
	struct rig r;
	int i;

	rig_open(&r, &conf);
	make_self_refilling(&r, 1);
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1) {
		pin(0, 0);
		pin(proc_thread("vkick-null"), 1);
	}
	rig_start(&r);
	d = &r.q[1].drv;
	for (i = 0; i < TRIALS; i++) {
		struct deadline end = deadline_in(DEADLINE_MS);
		u16 before;

		ASSERT_LE(0, drv_add1(d, GMEM_FAR, 16, true));
		drv_publish(d);
		before = drv_used_idx(&r.q[0].drv);
		ev_signal(r.q[1].kick);
		while (!drv_has_used(d)) {
			ASSERT_FALSE(deadline_passed(&end));
		}
		served[i] = (u16)(drv_used_idx(&r.q[0].drv) - before);
		ASSERT_LE(0, drv_get(d, NULL));
	}
	rig_stop(&r);
	qsort(served, TRIALS, sizeof(served[0]), by_value);
	EXPECT_GT(80, served[TRIALS / 2])
		TH_LOG("from %llu to %llu", (unsigned long long)served[0],
		       (unsigned long long)served[TRIALS - 1]);
	TH_LOG("%llu of the hog's, from %llu to %llu",
	       (unsigned long long)served[TRIALS / 2],
	       (unsigned long long)served[0], (unsigned long long)served[TRIALS - 1]);
	rig_close(&r);
}

TEST_HARNESS_MAIN
