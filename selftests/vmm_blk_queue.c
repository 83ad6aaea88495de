// SPDX-License-Identifier: GPL-2.0
/*
 * Single queues of a disk's user datapath stopped and started while the others run: natively.
 *
 * in:  a pipe as the backend, so that a request is in flight for as long as the test likes; a memory file
 * out: what datapath.h says of start_queue() and stop_queue()
 */
#include "lib/vdisk.h"

#include "kselftest_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

FIXTURE(queue)
{
	struct vdisk v;
	int pipe[2];
	int fd;
	u64 gpa;
};

/* Threads for four queues; whether they poll. */
FIXTURE_VARIANT(queue)
{
	u32 iothreads, poll_us;
	u64 features;
};

FIXTURE_VARIANT_ADD(queue, thread_of_its_own) { .iothreads = 4, .features = F_EVENT_IDX };
FIXTURE_VARIANT_ADD(queue, shared_thread) { .iothreads = 1 };
FIXTURE_VARIANT_ADD(queue, packed) { .iothreads = 2, .features = F_PACKED | F_EVENT_IDX };
FIXTURE_VARIANT_ADD(queue, polling) { .iothreads = 1, .poll_us = 1000, .features = F_EVENT_IDX };

static void init(struct vdisk *v, int fd, u32 iothreads, u32 poll_us, u64 features)
{
	vdisk_init(v, fd, MIB, features, 4);
	v->disk.iothreads = iothreads;
	v->disk.poll_us = poll_us;
	v->dev.queue_size = 4 * VDISK_NUM;
	v->dev.acked |= 1ULL << VIRTIO_F_RING_RESET;
}

FIXTURE_SETUP(queue)
{
	ASSERT_EQ(0, pipe2(self->pipe, O_CLOEXEC));
	self->fd = memfd_create("disk", MFD_CLOEXEC);
	ASSERT_EQ(0, ftruncate(self->fd, MIB));
	init(&self->v, self->pipe[0], variant->iothreads, variant->poll_us, variant->features);
	self->gpa = vdisk_alloc(&self->v, 4096, 4096);
}

FIXTURE_TEARDOWN(queue)
{
	close(self->pipe[1]);
	EXPECT_TRUE(gmem_canaries_ok(&self->v.m.mem));
	vdisk_free(&self->v);
	close(self->pipe[0]);
	close(self->fd);
}

static const struct datapath_ops *ops(struct vdisk *v)
{
	return v->dev.datapath->ops;
}

/* A request that needs no backend, there and back. */
static bool serves(struct vdisk *v, u32 q)
{
	u64 hdr = vdisk_alloc(v, 16, 1), status = vdisk_alloc(v, 1, 1);
	struct drv_seg segs[] = { { hdr, 16, false }, { status, 1, true } };
	int head;

	vdisk_set_hdr(v, hdr, VIRTIO_BLK_T_GET_ID, 0);
	head = vdisk_submit(v, q, segs, 2);
	return vdisk_wait(v, q) == head;
}

/* A read on queue @q that waits for the pipe. */
static void submit_read(struct vdisk *v, u32 q, u64 gpa)
{
	u64 hdr = vdisk_alloc(v, 16, 1), status = vdisk_alloc(v, 1, 1);
	struct drv_seg segs[] = { { hdr, 16, false }, { gpa, 512, true }, { status, 1, true } };

	vdisk_set_hdr(v, hdr, VIRTIO_BLK_T_IN, 0);
	vdisk_submit(v, q, segs, 3);
}

TEST_F(queue, comes_back_with_rings_of_any_size_while_others_serve)
{
	static const u32 sizes[] = { 4 * VDISK_NUM, 2, VDISK_NUM, 16 };
	struct vdisk *v = &self->v;
	u32 round, q, n;

	vdisk_start(v);
	for (round = 0; round < 40; round++) {
		u32 victim = round & 3;

		ASSERT_TRUE(serves(v, victim));
		vdisk_stop_queue(v, victim);
		for (q = 0; q < 4; q++) {
			ASSERT_TRUE(q == victim || serves(v, q));
		}
		vdisk_set_ring(v, victim, sizes[round / 4 & 3], 4);
		ASSERT_EQ(0, ops(v)->start_queue(v->dev.datapath, victim));
		for (n = 0; n < 10; n++) {
			ASSERT_TRUE(serves(v, victim));
		}
	}
}

/* A start counts as a kick. */
TEST_F(queue, finds_what_was_made_available_before_its_start)
{
	u64 hdr = vdisk_alloc(&self->v, 16, 1), status = vdisk_alloc(&self->v, 1, 1);
	struct drv_seg segs[] = { { hdr, 16, false }, { status, 1, true } };
	struct vdisk *v = &self->v;
	int head;

	vdisk_set_hdr(v, hdr, VIRTIO_BLK_T_GET_ID, 0);
	vdisk_start(v);
	vdisk_stop_queue(v, 2);
	vdisk_set_ring(v, 2, 16, 4);
	head = drv_add(&v->drv[2], segs, 2);
	drv_publish(&v->drv[2]);
	ASSERT_EQ(0, ops(v)->start_queue(v->dev.datapath, 2));
	EXPECT_EQ(head, vdisk_wait(v, 2));
}

TEST_F(queue, is_left_alone_once_it_is_stopped)
{
	struct vdisk *v = &self->v;
	struct gmem_shot shot;

	vdisk_start(v);
	ASSERT_TRUE(serves(v, 1));
	vdisk_stop_queue(v, 1);
	submit_read(v, 1, self->gpa);
	ev_signal(v->dev.ring[1].kick_fd);
	ev_take(v->dev.ring[1].call_fd);
	shot = gmem_shoot(&v->m.mem, v->dev.ring[1].desc, 4096);
	EXPECT_FALSE(ev_wait(v->dev.ring[1].call_fd, QUIET_MS));
	EXPECT_TRUE(gmem_same(&v->m.mem, &shot));
	gmem_shot_free(&shot);
	EXPECT_FALSE(drv_has_used(&v->drv[1]));
	/* The eventfd had a signal that nobody took: it is no breakage, and no kick to come. */
	EXPECT_FALSE(ev_take(v->dev.ring[1].err_fd));
	EXPECT_TRUE(serves(v, 0));
}

struct stop {
	struct vdisk *v;
	u32 q;
};

static void *stop_it(void *arg)
{
	struct stop *s = arg;

	vdisk_stop_queue(s->v, s->q);
	return NULL;
}

TEST_F(queue, stop_waits_for_its_own_requests_alone)
{
	struct stop one = { &self->v, 1 };
	struct vdisk *v = &self->v;
	pthread_t thread;
	u8 data[512] = { 7 };
	u32 n;

	vdisk_start(v);
	submit_read(v, 1, self->gpa);
	ASSERT_EQ(0, pthread_create(&thread, NULL, stop_it, &one));
	for (n = 0; n < 50; n++) {
		ASSERT_TRUE(serves(v, 0));
		ASSERT_TRUE(serves(v, 3));
	}
	ASSERT_EQ(EBUSY, pthread_tryjoin_np(thread, NULL));
	ASSERT_EQ(512, write(self->pipe[1], data, 512));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	/* It is complete, and its call made. */
	EXPECT_TRUE(drv_has_used(&v->drv[1]));
	EXPECT_EQ(7, *(u8 *)gmem_ptr(&v->m.mem, self->gpa, 1));
	EXPECT_TRUE(ev_wait(v->dev.ring[1].call_fd, 0));

	/* Of another queue a request may stay in flight for as long as it likes. */
	submit_read(v, 2, self->gpa);
	vdisk_set_ring(v, 1, 32, 4);
	ASSERT_EQ(0, ops(v)->start_queue(v->dev.datapath, 1));
	ASSERT_TRUE(serves(v, 1));
	vdisk_stop_queue(v, 1);
	EXPECT_FALSE(drv_has_used(&v->drv[2]));
	ASSERT_EQ(512, write(self->pipe[1], data, 512));
	EXPECT_LE(0, vdisk_wait(v, 2));
}

TEST_F(queue, may_be_the_first_of_its_thread)
{
	struct vdisk *v = &self->v;
	u32 q;

	for (q = 1; q < 4; q++)
		v->dev.ring[q].enabled = false;
	vdisk_start(v);
	ASSERT_TRUE(serves(v, 0));
	for (q = 3; q > 0; q--) {
		vdisk_set_ring(v, q, 32, 4);
		ASSERT_EQ(0, ops(v)->start_queue(v->dev.datapath, q));
		ASSERT_TRUE(serves(v, q));
	}
	vdisk_stop_queue(v, 0);
	for (q = 1; q < 4; q++) {
		ASSERT_TRUE(serves(v, q));
	}
}

TEST_F(queue, with_a_ring_outside_memory_is_refused)
{
	struct vdisk *v = &self->v;

	vdisk_start(v);
	vdisk_stop_queue(v, 1);
	vdisk_set_ring(v, 1, 32, 4);
	v->dev.ring[1].avail = GMEM_HOLE;
	EXPECT_EQ(-EFAULT, ops(v)->start_queue(v->dev.datapath, 1));
	EXPECT_TRUE(serves(v, 0));
	vdisk_set_ring(v, 1, 32, 4);
	ASSERT_EQ(0, ops(v)->start_queue(v->dev.datapath, 1));
	EXPECT_TRUE(serves(v, 1));
}

TEST_F(queue, that_broke_can_come_back)
{
	struct vdisk *v = &self->v;
	struct drv_seg none = { GMEM_HOLE, 16, false };

	vdisk_start(v);
	vdisk_submit(v, 1, &none, 1);
	ASSERT_TRUE(vdisk_broke(v, 1));
	vdisk_stop_queue(v, 1);
	EXPECT_TRUE(serves(v, 0));
	vdisk_set_ring(v, 1, 32, 4);
	ASSERT_EQ(0, ops(v)->start_queue(v->dev.datapath, 1));
	EXPECT_TRUE(serves(v, 1));
	EXPECT_FALSE(ev_take(v->dev.ring[1].err_fd));
}

/* Whole starts as well as single queues; what is in flight is up to the threads. */
TEST_F(queue, two_thousand_resets_under_load_leave_nothing_behind)
{
	struct drv_seg segs[3];
	struct vdisk v;
	int fds = 0, threads = 0;
	u64 hdr, status, deadline, rings;
	u32 i, q, n;

	init(&v, self->fd, variant->iothreads, variant->poll_us, variant->features);
	hdr = vdisk_alloc(&v, 16, 1);
	status = vdisk_alloc(&v, 1, 1);
	segs[0] = (struct drv_seg) { hdr, 16, false };
	segs[1] = (struct drv_seg) { vdisk_alloc(&v, 4096, 4096), 4096, true };
	segs[2] = (struct drv_seg) { status, 1, true };
	vdisk_set_hdr(&v, hdr, VIRTIO_BLK_T_IN, 0);
	rings = vdisk_alloc(&v, 4 * 64 * 1024, 4096);
	for (i = 0; i < 2000; i++) {
		if (i % 20 == 0)
			vdisk_start(&v);
		q = i & 3;
		for (n = 0; n < VDISK_NUM / 2; n++)
			vdisk_submit(&v, q, segs, 3);
		vdisk_stop_queue(&v, q);
		v.m.mem.next = rings + q * 64 * 1024;	/* where its last ring was */
		vdisk_set_ring(&v, q, VDISK_NUM, 4);
		ASSERT_EQ(0, ops(&v)->start_queue(v.dev.datapath, q));
		if (i % 20 == 19)
			vdisk_stop(&v);
		if (i != 19)
			continue;
		fds = proc_count("/proc/self/fd");
		threads = proc_count("/proc/self/task");
	}
	EXPECT_EQ(fds, proc_count("/proc/self/fd"));
	deadline = now_ns() + DEADLINE_MS * 1000000ULL;
	while (proc_count("/proc/self/task") > threads) {
		ASSERT_GT(deadline, now_ns());
	}
	EXPECT_TRUE(gmem_canaries_ok(&v.m.mem));
	vdisk_free(&v);
}

TEST_HARNESS_MAIN
