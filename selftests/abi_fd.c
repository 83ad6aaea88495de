// SPDX-License-Identifier: GPL-2.0
/*
 * SET_VRING_KICK, _CALL and _ERR: which file descriptors are taken, and when.
 *
 * in:  /dev/vkick-null
 * out: EBADF, EINVAL for what is no eventfd; and nothing leaks
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "lib/rig.h"

FIXTURE(fd)
{
	struct rig r;
};

/* One variant for each of the three calls: they follow the same rules. */
FIXTURE_VARIANT(fd)
{
	int (*set)(int fd, u32 index, int eventfd);
};

FIXTURE_VARIANT_ADD(fd, kick) { __vdev_set_kick };
FIXTURE_VARIANT_ADD(fd, call) { __vdev_set_call };
FIXTURE_VARIANT_ADD(fd, err) { __vdev_set_err };

FIXTURE_SETUP(fd)
{
	struct rig_conf conf = { .class = "null" };

	rig_open(&self->r, &conf);
}

FIXTURE_TEARDOWN(fd)
{
	rig_close(&self->r);
}

TEST_F(fd, closed_fd_is_ebadf)
{
	int fd = ev_new();

	close(fd);
	EXPECT_EQ(-EBADF, variant->set(self->r.fd, 0, fd));
	EXPECT_EQ(-EBADF, variant->set(self->r.fd, 0, 1 << 20));
}

TEST_F(fd, negative_fd_other_than_minus_1_is_ebadf)
{
	EXPECT_EQ(-EBADF, variant->set(self->r.fd, 0, -2));
	EXPECT_EQ(-EBADF, variant->set(self->r.fd, 0, INT32_MIN));
}

TEST_F(fd, what_is_no_eventfd_is_einval)
{
	int p[2], file = open("/dev/null", O_RDWR);

	ASSERT_LE(0, file);
	ASSERT_EQ(0, pipe(p));
	EXPECT_EQ(-EINVAL, variant->set(self->r.fd, 0, file));
	EXPECT_EQ(-EINVAL, variant->set(self->r.fd, 0, p[0]));
	EXPECT_EQ(-EINVAL, variant->set(self->r.fd, 0, p[1]));
	EXPECT_EQ(-EINVAL, variant->set(self->r.fd, 0, self->r.mem.r[0].memfd));
}

TEST_F(fd, the_device_itself_is_einval)
{
	EXPECT_EQ(-EINVAL, variant->set(self->r.fd, 0, self->r.fd));
}

TEST_F(fd, refused_fd_leaves_the_old_one_in_place)
{
	EXPECT_EQ(-EINVAL, variant->set(self->r.fd, 0, self->r.fd));
	EXPECT_EQ(-EBADF, variant->set(self->r.fd, 0, -2));
	rig_start(&self->r);
	rig_ping(&self->r.q[0]);
	drv_set_avail_idx(&self->r.q[0].drv, 0x7777);
	ev_signal(self->r.q[0].kick);
	EXPECT_EQ(EINVAL, rig_wait_broken(&self->r, &self->r.q[0]));
}

TEST_F(fd, minus_1_detaches_what_is_not_attached)
{
	EXPECT_EQ(0, variant->set(self->r.fd, 0, -1));
	EXPECT_EQ(0, variant->set(self->r.fd, 0, -1));
}

TEST_F(fd, may_be_closed_by_the_owner_once_installed)
{
	struct vq *q = &self->r.q[0];
	int fd = ev_new(), mine = dup(fd);

	ASSERT_LE(0, mine);
	ASSERT_EQ(0, variant->set(self->r.fd, 0, fd));
	close(fd);
	if (variant->set == __vdev_set_kick)
		q->kick = mine;
	else if (variant->set == __vdev_set_call)
		q->call = mine;
	else
		q->err = mine;
	rig_start(&self->r);
	rig_ping(q);
	drv_set_avail_idx(&q->drv, 0x7777);
	ev_signal(q->kick);
	EXPECT_EQ(EINVAL, rig_wait_broken(&self->r, q));
}

/* The device holds the last reference, and works on: nobody hears, nobody crashes. */
TEST_F(fd, last_fd_may_be_closed_while_running)
{
	struct vq *q = &self->r.q[0];
	int fd = ev_new();

	ASSERT_EQ(0, variant->set(self->r.fd, 0, fd));
	rig_start(&self->r);
	close(fd);
	rig_ping(&self->r.q[1]);
	ASSERT_EQ(0, variant->set(self->r.fd, 0, q->kick));
	vdev_set_kick(self->r.fd, 0, q->kick);
	vdev_set_call(self->r.fd, 0, q->call);
	rig_ping(q);
}

TEST_F(fd, one_eventfd_may_serve_both_queues)
{
	int fd = ev_new(), i;

	for (i = 0; i < 2; i++) {
		struct vq *q = &self->r.q[i];

		ASSERT_EQ(0, variant->set(self->r.fd, i, fd));
		if (variant->set == __vdev_set_kick)
			q->kick = fd;
		else if (variant->set == __vdev_set_call)
			q->call = fd;
		else
			q->err = fd;
	}
	rig_start(&self->r);
	rig_ping(&self->r.q[0]);
	rig_ping(&self->r.q[1]);
}

/*
 * Twice the descriptors of a process pass through; a leaked one would show up
 * in the count of open files on this machine.
 */
TEST_F_TIMEOUT(fd, hundred_thousand_swaps_leak_no_file, 240)
{
	long before, after;
	int a = ev_new(), b = ev_new(), i;

	rig_start(&self->r);
	before = open_files();
	for (i = 0; i < 50000; i++) {
		ASSERT_EQ(0, variant->set(self->r.fd, 0, a));
		ASSERT_EQ(0, variant->set(self->r.fd, 0, b));
	}
	after = open_files();
	/* Others on this machine open files as well, but not that many. */
	EXPECT_GT(before + 1000, after);
}

/* Fresh eventfds each time, half of them closed before the swap. */
TEST_F(fd, swaps_of_fresh_eventfds_leak_none)
{
	long before = open_files(), after;
	int id = ev_id(ev_new()), i;

	rig_start(&self->r);
	for (i = 0; i < 20000; i++) {
		int fd = ev_new();

		ASSERT_EQ(0, variant->set(self->r.fd, 0, fd));
		if (i % 2)
			ev_signal(fd);
		close(fd);
	}
	ASSERT_EQ(0, variant->set(self->r.fd, 0, -1));
	after = open_files();
	EXPECT_GT(before + 1000, after);
	EXPECT_GT(id + 1000, ev_id(ev_new()));
}

/* Another thread closes and reopens the very descriptor that is being installed. */
struct racer {
	int fd;
	atomic_bool stop;
};

static void *race_dup2(void *arg)
{
	struct racer *race = arg;
	int ev = ev_new(), null = open("/dev/null", O_RDWR);

	CHECK(null >= 0, "/dev/null");
	while (!atomic_load(&race->stop)) {
		CHECK(dup2(ev, race->fd) == race->fd, "dup2");
		CHECK(dup2(null, race->fd) == race->fd, "dup2");
		close(race->fd);
	}
	close(ev);
	close(null);
	return NULL;
}

TEST_F(fd, races_with_close_and_dup2)
{
	struct racer race = { .fd = dup(self->r.q[0].call) };
	int counts[3] = { 0 }, i;
	pthread_t t;

	ASSERT_LE(0, race.fd);
	rig_start(&self->r);
	ASSERT_EQ(0, pthread_create(&t, NULL, race_dup2, &race));
	for (i = 0; i < 20000; i++) {
		int err = variant->set(self->r.fd, 0, race.fd);

		ASSERT_TRUE(!err || err == -EBADF || err == -EINVAL)
			TH_LOG("error %d", err);
		counts[err ? err == -EBADF ? 1 : 2 : 0]++;
	}
	atomic_store(&race.stop, true);
	pthread_join(t, NULL);
	TH_LOG("%d taken, %d EBADF, %d EINVAL", counts[0], counts[1], counts[2]);

	vdev_set_kick(self->r.fd, 0, self->r.q[0].kick);
	vdev_set_call(self->r.fd, 0, self->r.q[0].call);
	rig_ping(&self->r.q[0]);
}

TEST_HARNESS_MAIN
