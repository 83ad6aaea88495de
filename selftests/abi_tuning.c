// SPDX-License-Identifier: GPL-2.0
/*
 * Numbers that change how a device works, not what it does: the busy-loop timeout
 * of a queue, and the latency of the null class.
 *
 * in:  /dev/vkick-null, /dev/vkick-rng
 * out: what was set is what is got; E2BIG, EINVAL, EOPNOTSUPP, ENOTTY, EPERM,
 *      ENOBUFS where <linux/vkick.h> says so
 */
#include "kselftest_harness.h"

#include "lib/rig.h"

FIXTURE(tuning)
{
	struct rig r;
};

FIXTURE_SETUP(tuning)
{
	struct rig_conf conf = { .class = "null" };

	rig_open(&self->r, &conf);
}

FIXTURE_TEARDOWN(tuning)
{
	rig_close(&self->r);
}

/* ---- VHOST_{SET,GET}_VRING_BUSYLOOP_TIMEOUT ---- */

static const u32 timeouts[] = { 1, 50, 1000000, 0x7fffffff, 0x80000000,
				0xffffffff, 0 };
#define NR_TIMEOUTS	(int)(sizeof(timeouts) / sizeof(timeouts[0]))

TEST_F(tuning, timeout_is_0_at_first)
{
	EXPECT_EQ(0, vdev_get_poll(self->r.fd, 0));
	EXPECT_EQ(0, vdev_get_poll(self->r.fd, 1));
}

TEST_F(tuning, timeout_is_what_was_set_of_each_queue)
{
	int i;

	for (i = 0; i < NR_TIMEOUTS; i++) {
		EXPECT_EQ(0, __vdev_set_poll(self->r.fd, 0, timeouts[i]));
		EXPECT_EQ(0, __vdev_set_poll(self->r.fd, 1, 1234 + i));
		EXPECT_EQ(timeouts[i], vdev_get_poll(self->r.fd, 0));
		EXPECT_EQ(1234 + i, vdev_get_poll(self->r.fd, 1));
	}
}

TEST_F(tuning, timeout_may_change_while_running)
{
	struct rig *r = &self->r;
	int i;

	rig_start(r);
	for (i = 0; i < 10 * NR_TIMEOUTS; i++) {
		u32 us = timeouts[i % NR_TIMEOUTS];

		rig_ping(&r->q[0]);
		ASSERT_EQ(0, __vdev_set_poll(r->fd, 0, us));
		ASSERT_EQ(us, vdev_get_poll(r->fd, 0));
		rig_ping(&r->q[0]);
	}
}

TEST_F(tuning, timeout_survives_stops_and_not_reset_owner)
{
	struct rig *r = &self->r;

	vdev_set_poll(r->fd, 0, 77);
	rig_start(r);
	rig_stop(r);
	EXPECT_EQ(77, vdev_get_poll(r->fd, 0));
	vdev_reset_owner(r->fd);
	vdev_set_owner(r->fd);
	EXPECT_EQ(0, vdev_get_poll(r->fd, 0));
}

TEST_F(tuning, timeout_of_a_bad_index_is_enobufs)
{
	static const u32 bad[] = { 2, 3, 255, 65536, 0x80000000, 0xffffffff };
	size_t i;
	u32 us;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(-ENOBUFS, __vdev_set_poll(self->r.fd, bad[i], 1));
		EXPECT_EQ(-ENOBUFS, __vdev_get_poll(self->r.fd, bad[i], &us));
	}
}

/* ---- VKICK_NULL_SET_LATENCY ---- */

TEST_F(tuning, latency_up_to_the_greatest_is_taken)
{
	static const u64 good[] = { 0, 1, 1000000, VKICK_NULL_MAX_LATENCY_NS };
	static const u64 bad[] = { VKICK_NULL_MAX_LATENCY_NS + 1ULL, 1ULL << 32,
				   1ULL << 63, ~0ULL };
	int i;

	for (i = 0; i < 4; i++) {
		EXPECT_EQ(0, __vdev_set_latency(self->r.fd, good[i]));
		EXPECT_EQ(-EINVAL, __vdev_set_latency(self->r.fd, bad[i]))
			TH_LOG("%llu ns", (unsigned long long)bad[i]);
	}
}

/* A size field of @size before @bytes bytes; byte @set is 1. */
static int call_sized(int fd, u32 size, int set)
{
	u8 arg[128] = { 0 };

	memcpy(arg, &size, sizeof(size));
	if (set >= 0)
		arg[set] = 1;
	return __vdev_ioctl(fd, VKICK_NULL_SET_LATENCY, arg);
}

TEST_F(tuning, latency_struct_grows_as_all_do)
{
	const int full = sizeof(struct vkick_null_latency);
	int size;

	for (size = 0; size < 4; size++)
		EXPECT_EQ(-EINVAL, call_sized(self->r.fd, size, -1));
	EXPECT_EQ(0, call_sized(self->r.fd, full, -1));
	EXPECT_EQ(0, call_sized(self->r.fd, full + 1, -1));
	EXPECT_EQ(0, call_sized(self->r.fd, 128, -1));
	for (size = full; size < 128; size++)
		EXPECT_EQ(-E2BIG, call_sized(self->r.fd, 128, size));
}

TEST_F(tuning, latency_reserved_is_eopnotsupp)
{
	struct vkick_null_latency l = { .size = sizeof(l), .latency_ns = 1 };
	int bit;

	for (bit = 0; bit < 32; bit++) {
		l.reserved = 1U << bit;
		EXPECT_EQ(-EOPNOTSUPP,
			  __vdev_ioctl(self->r.fd, VKICK_NULL_SET_LATENCY, &l));
	}
}

TEST_F(tuning, latency_that_is_not_there_is_efault)
{
	EXPECT_EQ(-EFAULT, __vdev_ioctl(self->r.fd, VKICK_NULL_SET_LATENCY, NULL));
	EXPECT_EQ(-EFAULT, __vdev_ioctl(self->r.fd, VKICK_NULL_SET_LATENCY,
					(void *)-4096L));
}

/* A refused call changes nothing: requests are still done at once. */
TEST_F(tuning, refused_latency_leaves_the_old_one)
{
	struct vkick_null_latency l = {
		.size = sizeof(l), .reserved = 1,
		.latency_ns = VKICK_NULL_MAX_LATENCY_NS,
	};
	u64 start;
	int i;

	EXPECT_EQ(-EOPNOTSUPP,
		  __vdev_ioctl(self->r.fd, VKICK_NULL_SET_LATENCY, &l));
	EXPECT_EQ(-EINVAL, __vdev_set_latency(self->r.fd, ~0ULL));
	rig_start(&self->r);
	start = now_ns();
	for (i = 0; i < 20; i++)
		rig_ping(&self->r.q[0]);
	EXPECT_GT(20ULL * VKICK_NULL_MAX_LATENCY_NS, now_ns() - start);
}

TEST(latency_of_another_class_is_enotty)
{
	int fd = vdev_open("rng");

	EXPECT_EQ(-ENOTTY, __vdev_set_latency(fd, 1));
	vdev_set_owner(fd);
	EXPECT_EQ(-ENOTTY, __vdev_set_latency(fd, 1));
	EXPECT_EQ(-ENOTTY, __vdev_ioctl(fd, VKICK_NULL_SET_LATENCY, NULL));
	close(fd);
}

/* ---- who may call ---- */

static int child_set_poll(void *fd)
{
	return __vdev_set_poll(*(int *)fd, 0, 1);
}

static int child_get_poll(void *fd)
{
	u32 us;

	return __vdev_get_poll(*(int *)fd, 0, &us);
}

static int child_set_latency(void *fd)
{
	return __vdev_set_latency(*(int *)fd, 1);
}

static int (* const calls[])(void *) = {
	child_set_poll, child_get_poll, child_set_latency,
};

TEST_F(tuning, another_process_is_eperm)
{
	int i;

	for (i = 0; i < 3; i++) {
		EXPECT_EQ(-EPERM, in_child(calls[i], &self->r.fd));
		EXPECT_EQ(0, calls[i](&self->r.fd));
	}
}

TEST(without_an_owner_is_eperm)
{
	int fd = vdev_open("null"), i;

	for (i = 0; i < 3; i++)
		EXPECT_EQ(-EPERM, calls[i](&fd));
	vdev_set_owner(fd);
	vdev_reset_owner(fd);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(-EPERM, calls[i](&fd));
	close(fd);
}

TEST_HARNESS_MAIN
