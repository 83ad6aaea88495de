// SPDX-License-Identifier: GPL-2.0
/*
 * An owner that does all it can to the ioctls: any order, any time, from several
 * threads, and with the device's descriptor that comes and goes.
 *
 * in:  /dev/vkick-null, /dev/vkick-rng
 * out: an errno of <linux/vkick.h>, never a crash, and a device that works again
 *
 * The checklist for the owner's side, and where each item is tested:
 *
 *	bad, closed, wrong, own fd	abi_fd; the log's: abi_log.fd_is_*
 *	index nvqs to 2^32-1		abi_calls.queue_call
 *	misaligned addresses		abi_vring.addr_*, abi_log.ring_log_address_*
 *	unmapped, wrapping addresses	abi_calls.unmapped_argument_*, abi_mem, abi_vring,
 *					abi_log.base_*; indirect tables: path_abuse
 *	size 0, short, long		abi_struct, abi_tuning.latency_struct_*
 *	wrong order, twice		here: every_two_calls
 *	while running			here: every_call_while_running; abi_vring
 *	from another process		abi_calls.from_another_process_*, abi_owner
 *	racing with close, dup2		abi_fd.races_*; of the device itself: here
 *	eventfds closed in every order	abuse_owner_fds
 *	eventfds closed mid-signal	abuse_owner_fds; path_notify.*_swapped_*
 *	memory unmapped, PROT_NONE,	path_mem: an error of the queue;
 *	truncated, never there		abuse_owner_mem: then kill -9
 *	kill -9				stop_death, path_worker.eight, stop_latency,
 *					path_poll, abuse_owner_mem
 *	rmmod with an open fd		stop_unload
 *	each allocation failing		abi_fail_nth
 *	10^5 swaps of each fd		abi_fd; the log's: abuse_owner_fds
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "lib/hammer.h"
#include "lib/rig.h"

/* ---- every call, on a device in any state ---- */

/* What a call may say that is given nonsense. */
static bool documented(int err)
{
	switch (-err) {
	case 0: case EPERM: case EBUSY: case ENOBUFS: case ENODEV: case ENOSPC:
	case EINVAL: case EFAULT: case EOPNOTSUPP: case E2BIG: case EBADF:
	case ENOMEM: case EAGAIN: case ENOTTY:
		return true;
	}
	return false;
}

static const unsigned long cmds[] = {
	VHOST_GET_FEATURES, VHOST_SET_FEATURES, VHOST_SET_OWNER,
	VHOST_RESET_OWNER, VHOST_SET_MEM_TABLE, VHOST_SET_LOG_BASE,
	VHOST_SET_LOG_FD, VHOST_NEW_WORKER, VHOST_FREE_WORKER,
	VHOST_SET_VRING_NUM, VHOST_SET_VRING_ADDR, VHOST_SET_VRING_BASE,
	VHOST_GET_VRING_BASE, VHOST_ATTACH_VRING_WORKER,
	VHOST_GET_VRING_WORKER, VHOST_SET_VRING_KICK, VHOST_SET_VRING_CALL,
	VHOST_SET_VRING_ERR, VHOST_SET_VRING_BUSYLOOP_TIMEOUT,
	VHOST_GET_VRING_BUSYLOOP_TIMEOUT, VHOST_SET_BACKEND_FEATURES,
	VHOST_GET_BACKEND_FEATURES, VKICK_GET_INFO, VKICK_SET_RUNNING,
	VKICK_GET_STATS, VKICK_NULL_SET_LATENCY,
};
#define NR_CMDS		(sizeof(cmds) / sizeof(cmds[0]))

/* Arguments: all zero, all ones, and what is good of its kind in this rig. */
enum args { ZEROES, ONES, GOOD, NR_ARGS };

static int call(struct rig *r, unsigned long cmd, enum args args)
{
	struct vq *q = &r->q[0];
	u64 arg[512];
	u32 size;

	memset(arg, args == ONES ? 0xff : 0, sizeof(arg));
	size = args == ONES ? 200 : _IOC_SIZE(cmd);
	if (_IOC_TYPE(cmd) == VKICK_IOCTL_TYPE)
		memcpy(arg, &size, sizeof(size));
	if (args != GOOD)
		return __vdev_ioctl(r->fd, cmd, arg);
	switch (cmd) {
	case VHOST_SET_FEATURES:
		return __vdev_set_features(r->fd, r->features);
	case VHOST_SET_MEM_TABLE: {
		struct vhost_memory *t = gmem_table(&r->mem);
		int err = __vdev_set_mem(r->fd, t);

		free(t);
		return err;
	}
	case VHOST_SET_VRING_NUM:
		return __vdev_set_num(r->fd, 0, q->drv.num);
	case VHOST_SET_VRING_ADDR:
		return __vdev_set_addr(r->fd, 0, q->drv.desc, q->drv.avail,
				       q->drv.used);
	case VHOST_SET_VRING_KICK:
		return __vdev_set_kick(r->fd, 0, q->kick);
	case VHOST_SET_VRING_CALL:
		return __vdev_set_call(r->fd, 0, q->call);
	case VHOST_SET_VRING_ERR:
		return __vdev_set_err(r->fd, 0, q->err);
	case VHOST_SET_LOG_FD:
		return __vdev_set_log_fd(r->fd, q->err);
	case VKICK_SET_RUNNING:
		return __vdev_set_running(r->fd, 0, 1);
	}
	return __vdev_ioctl(r->fd, cmd, arg);
}

/* Whatever was done to it: a new owner makes it work. */
static void works_again(struct rig *r)
{
	u32 i;

	__vdev_reset_owner(r->fd);
	for (i = 0; i < r->nvqs; i++)
		drv_start_at(&r->q[i].drv, 0);
	rig_configure(r);
	for (i = 0; i < r->nvqs; i++) {
		vdev_set_kick(r->fd, i, r->q[i].kick);
		vdev_set_call(r->fd, i, r->q[i].call);
		vdev_set_err(r->fd, i, r->q[i].err);
	}
}

TEST(every_two_calls_in_either_order)
{
	struct rig_conf conf = { .class = "null" };
	struct rig r;
	size_t a, b;

	rig_open(&r, &conf);
	vdev_reset_owner(r.fd);
	for (a = 0; a < NR_CMDS; a++) {
		for (b = 0; b < NR_CMDS; b++) {
			enum args args = (a + b) % NR_ARGS;
			int err[2];

			/* Each half of the time on a device that has no owner. */
			if ((a + b) / NR_ARGS % 2)
				vdev_set_owner(r.fd);
			err[0] = call(&r, cmds[a], args);
			err[1] = call(&r, cmds[b], (args + a) % NR_ARGS);
			ASSERT_TRUE(documented(err[0]) && documented(err[1]))
				TH_LOG("0x%lx: %d, 0x%lx: %d", cmds[a], err[0],
				       cmds[b], err[1]);
			__vdev_reset_owner(r.fd);
		}
	}
	works_again(&r);
	rig_start(&r);
	rig_close(&r);
}

TEST(every_call_while_running)
{
	struct rig_conf conf = { .class = "null" };
	struct rig r;
	int args;
	size_t a;

	rig_open(&r, &conf);
	for (a = 0; a < NR_CMDS; a++) {
		for (args = 0; args < NR_ARGS; args++) {
			int err;

			rig_start(&r);
			err = call(&r, cmds[a], args);
			ASSERT_TRUE(documented(err))
				TH_LOG("0x%lx, arguments %d: %d", cmds[a], args, err);
			/* It may be reset, or have a ring at 0, but it is a device. */
			ev_signal(r.q[0].kick);
			works_again(&r);
		}
	}
	rig_start(&r);
	rig_close(&r);
}

/* Twice each, of those that set what is good already. */
TEST(good_calls_may_be_repeated_while_running)
{
	static const unsigned long again[] = {
		VHOST_SET_FEATURES, VHOST_SET_MEM_TABLE, VHOST_SET_LOG_FD,
		VHOST_SET_VRING_ADDR, VHOST_SET_VRING_KICK, VHOST_SET_VRING_CALL,
		VHOST_SET_VRING_ERR, VHOST_ATTACH_VRING_WORKER,
		VHOST_SET_VRING_BUSYLOOP_TIMEOUT, VKICK_SET_RUNNING,
	};
	struct rig_conf conf = { .class = "null" };
	struct hammer h = { 0 };
	struct rig r;
	int i;

	rig_open(&r, &conf);
	rig_start(&r);
	hammer_start(&h, &r.q[0], 8, 64);
	for (i = 0; i < 1000; i++)
		ASSERT_EQ(0, call(&r, again[i % 10], GOOD)) TH_LOG("call %d", i % 10);
	hammer_wait(&h, 100);
	hammer_stop(&h);
	hammer_drain(&h);
	rig_close(&r);
}

/* ---- the device's own descriptor ---- */

struct race {
	struct rig r;		/* r.fd is a number that means now this, now that */
	atomic_bool stop;
	atomic_ullong calls, taken;
	u64 seed;
};

static void *race_calls(void *arg)
{
	struct race *race = arg;
	u64 seed = atomic_fetch_add(&race->calls, 1) + 99;

	while (!atomic_load(&race->stop)) {
		u64 x = prng(&seed);
		/* No memory but ours: zeroes and ones have no good addresses. */
		int err = call(&race->r, cmds[x % NR_CMDS], (x >> 8) % NR_ARGS);

		CHECK(documented(err), "0x%lx: %d", cmds[x % NR_CMDS], err);
		atomic_fetch_add(&race->calls, 1);
		atomic_fetch_add(&race->taken, !err);
	}
	return NULL;
}

FIXTURE(races)
{
	struct race race;
};

FIXTURE_SETUP(races)
{
	struct rig_conf conf = { .class = "null" };

	rig_lay_out(&self->race.r, &conf);
}

FIXTURE_TEARDOWN(races)
{
	rig_close(&self->race.r);
}

TEST_F(races, calls_with_close_and_dup2_of_the_device)
{
	struct race *race = &self->race;
	int i, null = open("/dev/null", O_RDWR);
	pthread_t t[2];

	ASSERT_LE(0, null);
	race->r.fd = vdev_open("null");
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, race_calls, race));
	for (i = 0; i < 400; i++) {
		int fd = vdev_open(i % 2 ? "null" : "rng");

		/* The old one is closed with calls under way. */
		ASSERT_EQ(race->r.fd, dup2(fd, race->r.fd));
		__vdev_set_owner(fd);
		close(fd);
		if (i % 3 == 0)
			ASSERT_EQ(race->r.fd, dup2(null, race->r.fd));
		if (i % 7 == 0)
			close(race->r.fd);
	}
	atomic_store(&race->stop, true);
	for (i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	TH_LOG("%llu calls, %llu succeeded",
	       (unsigned long long)race->calls, (unsigned long long)race->taken);
	EXPECT_LT(100, race->taken);
	close(race->r.fd);
	race->r.fd = -1;
	EXPECT_EQ(0, proc_threads_settle("vkick-", 0));
}

/* Both at the same device, all the time. */
TEST_F(races, calls_with_each_other)
{
	struct race *race = &self->race;
	struct deadline end;
	pthread_t t[3];
	int i;

	race->r.fd = vdev_open("null");
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, race_calls, race));
	end = deadline_in(4 * DEADLINE_MS);
	while (atomic_load(&race->calls) < 20000) {
		ASSERT_FALSE(deadline_passed(&end));
		sched_yield();
	}
	atomic_store(&race->stop, true);
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	race->r.nvqs = 2;
	works_again(&race->r);
	rig_start(&race->r);
	rig_ping(&race->r.q[0]);
	rig_ping(&race->r.q[1]);
}

TEST_HARNESS_MAIN
