// SPDX-License-Identifier: GPL-2.0
/*
 * NEW_WORKER, FREE_WORKER, ATTACH_VRING_WORKER, GET_VRING_WORKER: what is taken,
 * what is refused, and what they leave behind.
 *
 * in:  /dev/vkick-null
 * out: ENODEV, EBUSY, ENOBUFS, ENOSPC, EFAULT where <linux/vkick.h> says so
 */
#include "kselftest_harness.h"

#include "lib/rig.h"

/* Of one device, worker 0 included. */
#define MAX_WORKERS	128

FIXTURE(worker)
{
	struct rig r;
};

FIXTURE_SETUP(worker)
{
	struct rig_conf conf = { .class = "null" };

	rig_open(&self->r, &conf);
}

FIXTURE_TEARDOWN(worker)
{
	rig_close(&self->r);
}

/* Threads of all null devices, of which the tests here have one: as proc_threads_settle(). */
static int threads(int n)
{
	return proc_threads_settle("vkick-null-", n);
}

static void both_queues_serve(struct rig *r)
{
	rig_ping(&r->q[0]);
	rig_ping(&r->q[1]);
}

TEST_F(worker, set_owner_makes_worker_0_for_all_queues)
{
	EXPECT_EQ(1, threads(1));
	EXPECT_EQ(0, vdev_get_worker(self->r.fd, 0));
	EXPECT_EQ(0, vdev_get_worker(self->r.fd, 1));
}

TEST_F(worker, new_one_has_an_id_and_a_thread_of_its_own)
{
	u32 a = vdev_new_worker(self->r.fd), b = vdev_new_worker(self->r.fd);

	EXPECT_NE(0, a);
	EXPECT_NE(0, b);
	EXPECT_NE(a, b);
	EXPECT_EQ(3, threads(3));
	/* It serves nothing until it is told to. */
	EXPECT_EQ(0, vdev_get_worker(self->r.fd, 0));
	EXPECT_EQ(0, vdev_get_worker(self->r.fd, 1));
}

TEST_F(worker, attached_queue_is_served_by_it)
{
	struct rig *r = &self->r;
	u32 id = vdev_new_worker(r->fd);

	vdev_attach_worker(r->fd, 1, id);
	EXPECT_EQ(0, vdev_get_worker(r->fd, 0));
	EXPECT_EQ(id, vdev_get_worker(r->fd, 1));
	rig_start(r);
	both_queues_serve(r);
}

TEST_F(worker, queue_may_be_attached_while_it_runs)
{
	struct rig *r = &self->r;
	u32 id = vdev_new_worker(r->fd);

	rig_start(r);
	both_queues_serve(r);
	vdev_attach_worker(r->fd, 0, id);
	both_queues_serve(r);
	vdev_attach_worker(r->fd, 0, 0);
	both_queues_serve(r);
	EXPECT_EQ(0, vdev_get_worker(r->fd, 0));
}

TEST_F(worker, attaching_where_it_is_changes_nothing)
{
	struct rig *r = &self->r;
	int i;

	rig_start(r);
	for (i = 0; i < 100; i++) {
		vdev_attach_worker(r->fd, 0, 0);
		both_queues_serve(r);
	}
	EXPECT_EQ(0, vdev_get_worker(r->fd, 0));
	/* Attached once, however often it was said. */
	vdev_attach_worker(r->fd, 0, vdev_new_worker(r->fd));
	vdev_attach_worker(r->fd, 1, vdev_get_worker(r->fd, 0));
	EXPECT_EQ(0, __vdev_free_worker(r->fd, 0));
}

/* What is attached to a queue is not changed by its stops and starts. */
TEST_F(worker, attachment_survives_stops)
{
	struct rig *r = &self->r;
	u32 id = vdev_new_worker(r->fd);

	vdev_attach_worker(r->fd, 0, id);
	rig_start(r);
	rig_stop(r);
	EXPECT_EQ(id, vdev_get_worker(r->fd, 0));
	rig_start(r);
	both_queues_serve(r);
}

TEST_F(worker, unknown_id_is_enodev)
{
	static const u32 bad[] = { 1, 2, 127, 128, 65536, 0x7fffffff,
				   0x80000000, 0xffffffff };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(-ENODEV, __vdev_attach_worker(self->r.fd, 0, bad[i]))
			TH_LOG("worker %u", bad[i]);
		EXPECT_EQ(-ENODEV, __vdev_free_worker(self->r.fd, bad[i]))
			TH_LOG("worker %u", bad[i]);
	}
	EXPECT_EQ(0, vdev_get_worker(self->r.fd, 0));
	rig_start(&self->r);
	both_queues_serve(&self->r);
}

/* The index is looked at first. */
TEST_F(worker, bad_index_is_enobufs)
{
	static const u32 bad[] = { 2, 3, 255, 65535, 65536, 0x80000000,
				   0xffffffff };
	size_t i;
	u32 id;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(-ENOBUFS, __vdev_attach_worker(self->r.fd, bad[i], 0));
		EXPECT_EQ(-ENOBUFS, __vdev_attach_worker(self->r.fd, bad[i], 9));
		EXPECT_EQ(-ENOBUFS, __vdev_get_worker(self->r.fd, bad[i], &id));
	}
}

TEST_F(worker, with_a_queue_cannot_be_freed)
{
	struct rig *r = &self->r;
	u32 id = vdev_new_worker(r->fd);

	EXPECT_EQ(-EBUSY, __vdev_free_worker(r->fd, 0));
	vdev_attach_worker(r->fd, 0, id);
	EXPECT_EQ(-EBUSY, __vdev_free_worker(r->fd, 0));	/* has queue 1 */
	EXPECT_EQ(-EBUSY, __vdev_free_worker(r->fd, id));
	rig_start(r);
	EXPECT_EQ(-EBUSY, __vdev_free_worker(r->fd, id));
	both_queues_serve(r);
	EXPECT_EQ(2, threads(2));
}

TEST_F(worker, worker_0_can_be_freed_like_any_other)
{
	struct rig *r = &self->r;
	u32 id = vdev_new_worker(r->fd);

	rig_start(r);
	vdev_attach_worker(r->fd, 0, id);
	vdev_attach_worker(r->fd, 1, id);
	EXPECT_EQ(0, __vdev_free_worker(r->fd, 0));
	EXPECT_EQ(1, threads(1));
	EXPECT_EQ(-ENODEV, __vdev_free_worker(r->fd, 0));
	EXPECT_EQ(-ENODEV, __vdev_attach_worker(r->fd, 0, 0));
	both_queues_serve(r);
}

TEST_F(worker, freed_one_is_gone_when_the_call_returns)
{
	u32 id[8];
	int i;

	for (i = 0; i < 8; i++)
		id[i] = vdev_new_worker(self->r.fd);
	EXPECT_EQ(9, threads(9));
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, __vdev_free_worker(self->r.fd, id[i]));
		EXPECT_EQ(8 - i, threads(8 - i));
		EXPECT_EQ(-ENODEV, __vdev_free_worker(self->r.fd, id[i]));
		EXPECT_EQ(-ENODEV, __vdev_attach_worker(self->r.fd, 0, id[i]));
	}
}

TEST_F(worker, a_device_has_128_of_them_at_most)
{
	u32 id[MAX_WORKERS], one_more;
	int i, j;

	for (i = 1; i < MAX_WORKERS; i++) {
		ASSERT_EQ(0, __vdev_new_worker(self->r.fd, &id[i]));
		for (j = 1; j < i; j++)
			ASSERT_NE(id[j], id[i]);
	}
	EXPECT_EQ(-ENOSPC, __vdev_new_worker(self->r.fd, &one_more));
	EXPECT_EQ(MAX_WORKERS, threads(MAX_WORKERS));
	/* A place that becomes free is free. */
	vdev_free_worker(self->r.fd, id[64]);
	EXPECT_EQ(0, __vdev_new_worker(self->r.fd, &one_more));
	EXPECT_EQ(-ENOSPC, __vdev_new_worker(self->r.fd, &one_more));
	rig_start(&self->r);
	vdev_attach_worker(self->r.fd, 1, id[127]);
	both_queues_serve(&self->r);
}

TEST_F(worker, reset_owner_ends_all_of_them)
{
	struct rig *r = &self->r;
	u32 id, i;

	id = vdev_new_worker(r->fd);
	vdev_new_worker(r->fd);
	vdev_attach_worker(r->fd, 0, id);
	rig_start(r);
	both_queues_serve(r);
	vdev_reset_owner(r->fd);
	EXPECT_EQ(0, threads(0));

	rig_configure(r);
	for (i = 0; i < r->nvqs; i++) {
		vdev_set_kick(r->fd, i, r->q[i].kick);
		vdev_set_call(r->fd, i, r->q[i].call);
	}
	EXPECT_EQ(1, threads(1));
	EXPECT_EQ(0, vdev_get_worker(r->fd, 0));
	EXPECT_EQ(-ENODEV, __vdev_attach_worker(r->fd, 0, id));
	rig_start(r);
	both_queues_serve(r);
}

TEST_F(worker, close_ends_all_of_them)
{
	int i;

	for (i = 0; i < 5; i++)
		vdev_new_worker(self->r.fd);
	rig_start(&self->r);
	both_queues_serve(&self->r);
	close(self->r.fd);
	self->r.fd = -1;
	EXPECT_EQ(0, threads(0));
}

TEST_F(worker, argument_that_is_not_there_is_efault)
{
	static const unsigned long cmds[] = {
		VHOST_NEW_WORKER, VHOST_FREE_WORKER,
		VHOST_ATTACH_VRING_WORKER, VHOST_GET_VRING_WORKER,
	};
	int i;

	for (i = 0; i < 4; i++) {
		EXPECT_EQ(-EFAULT, __vdev_ioctl(self->r.fd, cmds[i], NULL));
		EXPECT_EQ(-EFAULT, __vdev_ioctl(self->r.fd, cmds[i],
						(void *)-4096L));
	}
	/* Nor is there a worker that nobody knows the name of. */
	EXPECT_EQ(1, threads(1));
}

/* ---- who may call ---- */

static int child_new(void *fd)
{
	u32 id;

	return __vdev_new_worker(*(int *)fd, &id);
}

static int child_free(void *fd)
{
	return __vdev_free_worker(*(int *)fd, 0);
}

static int child_attach(void *fd)
{
	return __vdev_attach_worker(*(int *)fd, 0, 0);
}

static int child_get(void *fd)
{
	u32 id;

	return __vdev_get_worker(*(int *)fd, 0, &id);
}

static int (* const calls[])(void *) = {
	child_new, child_free, child_attach, child_get,
};

TEST_F(worker, another_process_is_eperm)
{
	int i;

	for (i = 0; i < 4; i++)
		EXPECT_EQ(-EPERM, in_child(calls[i], &self->r.fd));
	EXPECT_EQ(1, threads(1));
}

TEST(without_an_owner_is_eperm)
{
	int fd = vdev_open("null"), i;

	for (i = 0; i < 4; i++)
		EXPECT_EQ(-EPERM, calls[i](&fd));
	vdev_set_owner(fd);
	vdev_reset_owner(fd);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(-EPERM, calls[i](&fd));
	EXPECT_EQ(0, threads(0));
}

/* Ids and limits are a device's own. */
TEST_F(worker, of_one_device_are_unknown_to_another)
{
	struct rig_conf conf = { .class = "null" };
	struct rig other;
	u32 id = vdev_new_worker(self->r.fd);

	rig_open(&other, &conf);
	EXPECT_EQ(-ENODEV, __vdev_attach_worker(other.fd, 0, id));
	EXPECT_EQ(-ENODEV, __vdev_free_worker(other.fd, id));
	EXPECT_NE(0, vdev_new_worker(other.fd));
	rig_close(&other);
	rig_start(&self->r);
	vdev_attach_worker(self->r.fd, 0, id);
	both_queues_serve(&self->r);
}

TEST_HARNESS_MAIN
