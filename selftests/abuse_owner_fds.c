// SPDX-License-Identifier: GPL-2.0
/*
 * An owner that closes, replaces and takes away eventfds while they are signalled.
 *
 * in:  /dev/vkick-null, /dev/vkick-rng under load; a thread that signals on and on
 * out: no crash, no leak, and a queue that goes on as soon as it is heard again
 *
 * abuse_owner.c has the list of what an owner may do, and where it is tested.
 */
#include "kselftest_harness.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "lib/dlog.h"
#include "lib/hammer.h"
#include "lib/rig.h"

struct signaller {
	int fd;
	atomic_bool stop;
	pthread_t thread;
};

static void *signal_on_and_on(void *arg)
{
	struct signaller *s = arg;
	u64 one = 1;

	while (!atomic_load(&s->stop))
		/* Closed and reused under our hands: any error will do. */
		if (write(s->fd, &one, sizeof(one)) < 0)
			sched_yield();
	return NULL;
}

static void signaller_start(struct signaller *s, int fd)
{
	s->fd = fd;
	atomic_store(&s->stop, false);
	CHECK(!pthread_create(&s->thread, NULL, signal_on_and_on, s), "thread");
}

static void signaller_stop(struct signaller *s)
{
	atomic_store(&s->stop, true);
	pthread_join(s->thread, NULL);
}

/* The @n-th order of 0 to 3. */
static void nth_order(int n, int order[4])
{
	int left[4] = { 0, 1, 2, 3 }, i, j;

	for (i = 0; i < 4; i++) {
		int at = n % (4 - i);

		n /= 4 - i;
		order[i] = left[at];
		for (j = at; j < 3; j++)
			left[j] = left[j + 1];
	}
}

/*
 * Kick, call, err and log of a queue under load, each closed, or taken from the device,
 * while they are being signalled.
 */
static void close_in_order(int n, bool take_away)
{
	struct rig_conf conf = { .class = "rng" };
	struct signaller s;
	struct hammer h = { 0 };
	struct dlog l;
	struct rig r;
	int fds[4], order[4], i;

	rig_open(&r, &conf);
	l = dlog_new(&r.mem);
	vdev_set_log_base(r.fd, l.bits);
	vdev_set_features(r.fd, r.features | F_LOG_ALL);
	/* Those of the hammer stay open: the device has dups. */
	fds[0] = dup(r.q[0].kick);
	fds[1] = ev_new();
	fds[2] = dup(r.q[0].err);
	fds[3] = ev_new();
	vdev_set_kick(r.fd, 0, fds[0]);
	vdev_set_call(r.fd, 0, fds[1]);
	vdev_set_err(r.fd, 0, fds[2]);
	vdev_set_log_fd(r.fd, fds[3]);
	h.calls[1] = dup(fds[1]);
	rig_start(&r);
	hammer_start(&h, &r.q[0], 8, 64);
	signaller_start(&s, fds[0]);
	hammer_wait(&h, 20);

	nth_order(n, order);
	for (i = 0; i < 4; i++) {
		if (take_away && order[i] == 0)
			vdev_set_kick(r.fd, 0, -1);
		if (take_away && order[i] == 1)
			vdev_set_call(r.fd, 0, -1);
		if (take_away && order[i] == 2)
			vdev_set_err(r.fd, 0, -1);
		if (take_away && order[i] == 3)
			vdev_set_log_fd(r.fd, -1);
		close(fds[order[i]]);
		if (!take_away)
			hammer_wait(&h, 5);
	}
	signaller_stop(&s);
	hammer_stop(&h);
	if (take_away)
		vdev_set_kick(r.fd, 0, r.q[0].kick);
	hammer_drain(&h);
	close(h.calls[1]);
	dlog_free(&l);
	rig_close(&r);
}

TEST(eventfds_closed_in_every_order_mid_signal)
{
	int n;

	for (n = 0; n < 24; n++)
		close_in_order(n, false);
}

TEST(eventfds_taken_away_in_every_order_mid_signal)
{
	int n;

	for (n = 0; n < 24; n++)
		close_in_order(n, true);
}

/* The device may hold the last reference to what somebody signals this moment. */
TEST(kick_replaced_by_fresh_ones_mid_signal)
{
	struct rig_conf conf = { .class = "null" };
	int before, i, fd = 100;
	struct signaller s;
	struct rig r;

	rig_open(&r, &conf);
	rig_start(&r);
	before = proc_count("/proc/self/fd");
	signaller_start(&s, fd);
	for (i = 0; i < 2000; i++) {
		int ev = ev_new();

		ASSERT_EQ(fd, dup2(ev, fd));
		vdev_set_kick(r.fd, 0, fd);
		close(ev);
		if (i % 2)
			close(fd);
	}
	signaller_stop(&s);
	close(fd);
	EXPECT_EQ(before, proc_count("/proc/self/fd"));
	vdev_set_kick(r.fd, 0, r.q[0].kick);
	rig_ping(&r.q[0]);
	rig_close(&r);
}

TEST(hundred_thousand_swaps_of_the_log_leak_no_file)
{
	struct rig_conf conf = { .class = "rng" };
	int a = ev_new(), b = ev_new(), id = ev_id(ev_new()), i;
	struct dlog l, m;
	struct rig r;
	long before;

	rig_open(&r, &conf);
	l = dlog_new(&r.mem);
	m = dlog_new(&r.mem);
	vdev_set_log_base(r.fd, l.bits);
	vdev_set_features(r.fd, r.features | F_LOG_ALL);
	rig_start(&r);
	before = open_files();
	for (i = 0; i < 50000; i++) {
		vdev_set_log_fd(r.fd, a);
		vdev_set_log_fd(r.fd, b);
		if (i % 100 == 0)
			vdev_set_log_base(r.fd, i % 200 ? l.bits : m.bits);
	}
	for (i = 0; i < 5000; i++) {
		int fd = ev_new();

		vdev_set_log_fd(r.fd, fd);
		close(fd);
	}
	vdev_set_log_fd(r.fd, -1);
	EXPECT_GT(before + 1000, open_files());
	EXPECT_GT(id + 1000, ev_id(ev_new()));
	rig_ping(&r.q[0]);
	rig_close(&r);
}

TEST_HARNESS_MAIN
