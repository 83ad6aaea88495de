// SPDX-License-Identifier: GPL-2.0
/*
 * A queue that never runs empty beside an ordinary one, on one worker: what is left
 * of the latter's throughput.
 *
 * in:  /dev/vkick-null, no guest; queue 0 is the hog, queue 1 an ordinary driver; a
 *      clock that goes by instructions (lab/run --icount), since on a busy host the
 *      host's scheduler makes more of a difference than the hog
 * out: at least a third of the throughput of queue 1 alone; the time that calls take
 *      meanwhile
 */
#include "kselftest_harness.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "lib/rig.h"

#define ROUNDS		5
#define SPAN_NS		300000000ULL
#define SECOND_NS	1000000000ULL

/*
 * Two kinds of hog: see rig_make_self_refilling(). A packed ring has no such thing, since
 * what the device writes there is never what it takes for available; a thread refills one.
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
		rig_make_self_refilling(&self->r, 0, variant->ahead);
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

TEST_F(budget, neighbour_keeps_a_third_of_its_throughput)
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
		/* Cut, or watched where it seemed to have ended. */
		ASSERT_LT(before.budget_exhausted + before.poll_hits,
			  after.budget_exhausted + after.poll_hits);
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

TEST_HARNESS_MAIN
