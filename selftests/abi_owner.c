// SPDX-License-Identifier: GPL-2.0
/*
 * Who owns a device: SET_OWNER, RESET_OWNER, processes, several opens.
 *
 * in:  /dev/vkick-null
 * out: EBUSY, EPERM and a clean slate where <linux/vkick.h> says so
 */
#include "kselftest_harness.h"

#include <pthread.h>

#include "lib/rig.h"

FIXTURE(owner)
{
	int fd;
};

FIXTURE_SETUP(owner)
{
	self->fd = vdev_open("null");
}

FIXTURE_TEARDOWN(owner)
{
	close(self->fd);
}

static int child_set_owner(void *fd)
{
	return __vdev_set_owner(*(int *)fd);
}

static int child_reset_owner(void *fd)
{
	return __vdev_reset_owner(*(int *)fd);
}

static int child_getters(void *fd)
{
	struct vkick_info info;
	u64 features;
	int err;

	err = __vdev_get_features(*(int *)fd, &features);
	if (!err)
		err = __vdev_ioctl(*(int *)fd, VHOST_GET_BACKEND_FEATURES,
				   &features);
	return err ?: __vdev_get_info(*(int *)fd, &info);
}

static int child_closes(void *fd)
{
	return close(*(int *)fd) ? -errno : 0;
}

TEST_F(owner, set_owner_twice_is_ebusy)
{
	ASSERT_EQ(0, __vdev_set_owner(self->fd));
	EXPECT_EQ(-EBUSY, __vdev_set_owner(self->fd));
}

TEST_F(owner, set_owner_by_another_process_is_ebusy)
{
	ASSERT_EQ(0, __vdev_set_owner(self->fd));
	EXPECT_EQ(-EBUSY, in_child(child_set_owner, &self->fd));
}

TEST_F(owner, reset_owner_without_owner_is_eperm)
{
	EXPECT_EQ(-EPERM, __vdev_reset_owner(self->fd));
}

TEST_F(owner, reset_owner_by_another_process_is_eperm)
{
	vdev_set_owner(self->fd);
	EXPECT_EQ(-EPERM, in_child(child_reset_owner, &self->fd));
	EXPECT_EQ(-EBUSY, __vdev_set_owner(self->fd));
}

TEST_F(owner, reset_owner_lets_the_next_one_in)
{
	int i;

	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, __vdev_set_owner(self->fd));
		ASSERT_EQ(0, __vdev_reset_owner(self->fd));
	}
	EXPECT_EQ(0, in_child(child_set_owner, &self->fd));
}

TEST_F(owner, getters_need_no_owner)
{
	EXPECT_EQ(0, child_getters(&self->fd));
	vdev_set_owner(self->fd);
	EXPECT_EQ(0, in_child(child_getters, &self->fd));
}

static void *thread_set_num(void *fd)
{
	return (void *)(long)__vdev_set_num(*(int *)fd, 0, 8);
}

TEST_F(owner, any_thread_of_the_process_is_the_owner)
{
	pthread_t t;
	void *ret;

	vdev_set_owner(self->fd);
	ASSERT_EQ(0, pthread_create(&t, NULL, thread_set_num, &self->fd));
	ASSERT_EQ(0, pthread_join(t, &ret));
	EXPECT_EQ(0, (long)ret);
}

/* The thread's death is not the process's: the worker goes on. */
static void *thread_set_owner(void *fd)
{
	return (void *)(long)__vdev_set_owner(*(int *)fd);
}

TEST_F(owner, outlives_the_thread_that_called_set_owner)
{
	struct rig_conf conf = { .class = "null" };
	struct rig r;
	pthread_t t;
	void *ret;

	rig_lay_out(&r, &conf);
	r.fd = self->fd;
	ASSERT_EQ(0, pthread_create(&t, NULL, thread_set_owner, &self->fd));
	ASSERT_EQ(0, pthread_join(t, &ret));
	ASSERT_EQ(0, (long)ret);

	vdev_set_features(r.fd, r.features);
	vdev_set_mem(r.fd, &r.mem);
	vdev_set_ring(r.fd, 0, &r.q[0].drv);
	vdev_set_kick(r.fd, 0, r.q[0].kick);
	vdev_set_call(r.fd, 0, r.q[0].call);
	vdev_start(r.fd, 0);
	rig_ping(&r.q[0]);
}

TEST_F(owner, reset_owner_forgets_everything)
{
	struct rig_conf conf = { .class = "null" };
	struct vkick_stats zero, stats;
	struct rig r;

	rig_open(&r, &conf);
	rig_start(&r);
	rig_ping(&r.q[0]);
	vdev_reset_owner(r.fd);

	vdev_set_owner(r.fd);
	/* NUM, ADDR, BASE, the table, the eventfds, the counters. */
	EXPECT_EQ(-EINVAL, __vdev_set_running(r.fd, 0, 1));
	vdev_set_num(r.fd, 0, 64);
	EXPECT_EQ(-EINVAL, __vdev_set_running(r.fd, 0, 1));
	vdev_set_ring(r.fd, 0, &r.q[0].drv);
	EXPECT_EQ(-EFAULT, __vdev_set_running(r.fd, 0, 1));
	EXPECT_EQ(0, vdev_get_base(r.fd, 0));
	ev_signal(r.q[0].kick);
	memset(&zero, 0, sizeof(zero));
	zero.size = sizeof(zero);
	stats = vdev_get_stats(r.fd, 0);
	EXPECT_EQ(0, memcmp(&zero, &stats, sizeof(zero)));
	rig_close(&r);
}

TEST_F(owner, device_works_again_after_reset_owner)
{
	struct rig_conf conf = { .class = "null" };
	struct rig r;
	u32 i;
	int n;

	rig_open(&r, &conf);
	for (n = 0; n < 10; n++) {
		rig_start(&r);
		rig_ping(&r.q[0]);
		rig_ping(&r.q[1]);
		vdev_reset_owner(r.fd);
		rig_configure(&r);
		for (i = 0; i < r.nvqs; i++) {
			vdev_set_kick(r.fd, i, r.q[i].kick);
			vdev_set_call(r.fd, i, r.q[i].call);
		}
	}
	rig_close(&r);
}

TEST_F(owner, close_by_another_process_changes_nothing)
{
	struct rig_conf conf = { .class = "null" };
	struct rig r;

	rig_open(&r, &conf);
	rig_start(&r);
	ASSERT_EQ(0, in_child(child_closes, &r.fd));
	rig_ping(&r.q[0]);
	rig_close(&r);
}

TEST_F(owner, each_open_is_a_device_of_its_own)
{
	struct rig_conf conf = { .class = "null" };
	struct rig a, b;

	rig_open(&a, &conf);
	rig_open(&b, &conf);
	rig_start(&a);
	rig_start(&b);
	rig_ping(&a.q[0]);
	EXPECT_EQ(1, vdev_get_stats(a.fd, 0).requests);
	EXPECT_EQ(0, vdev_get_stats(b.fd, 0).requests);
	rig_close(&a);
	rig_ping(&b.q[0]);
	rig_close(&b);
}

TEST_HARNESS_MAIN
