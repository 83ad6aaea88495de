// SPDX-License-Identifier: GPL-2.0
/*
 * The owner dies: kill -9, exit and exec under load. Its parent holds the same
 * memory and eventfds, and watches.
 *
 * in:  /dev/vkick-null, /dev/vkick-rng; a child process as the owner
 * out: the worker ends at once, writes and signals with it
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "lib/hammer.h"
#include "lib/rig.h"

#define DEVICES		"/sys/kernel/debug/vkick"	/* an entry for each that is open */

enum end {
	KILLED,		/* SIGKILL from outside */
	EXITS,		/* by itself, the driver thread in full swing */
	EXECS,		/* another program; the device's fd is close-on-exec */
	HOLDS_FD,	/* killed, while another process has the fd open */
};

FIXTURE(death)
{
	struct rig r;		/* laid out by the parent, attached by the child */
	struct vq *q;
	int busy;		/* eventfd: the child's hammer made progress */
	int go;			/* eventfd: let it end */
	int threads;		/* of the class, before */
	char prefix[32];
};

FIXTURE_VARIANT(death)
{
	const char *class;
	u64 features;
	enum end end;
};

#define VARIANTS(_name, _end)						\
	FIXTURE_VARIANT_ADD(death, null_##_name)			\
	{ "null", F_EVENT_IDX, _end };					\
	FIXTURE_VARIANT_ADD(death, rng_##_name)				\
	{ "rng", 0, _end };
VARIANTS(kill, KILLED)
VARIANTS(exit, EXITS)
VARIANTS(exec, EXECS)
VARIANTS(kill_with_fd_held_elsewhere, HOLDS_FD)

FIXTURE_SETUP(death)
{
	struct rig_conf conf = {
		.class = variant->class,
		.features = variant->features,
		.num = 256,
	};

	snprintf(self->prefix, sizeof(self->prefix), "vkick-%s", variant->class);
	self->threads = proc_threads_settle(self->prefix, 0);
	rig_lay_out(&self->r, &conf);
	self->q = &self->r.q[0];
	self->busy = ev_new();
	self->go = ev_new();
}

FIXTURE_TEARDOWN(death)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
	rig_close(&self->r);
}

/* The child: becomes the owner, hammers, tells, and ends as it is told. */
static void own_and_hammer(FIXTURE_DATA(death) *self, const char *class,
			   enum end end)
{
	char *argv[] = { "true", NULL };
	struct hammer h = { 0 };

	if (end == HOLDS_FD)
		rig_attach_fd(&self->r);
	else
		rig_attach(&self->r, class);
	rig_start(&self->r);
	hammer_start(&h, self->q, 128, 1024);
	hammer_wait(&h, 1000);
	ev_signal(self->busy);

	CHECK(ev_wait(self->go, 60000), "nobody ends us");
	if (end == EXITS)
		_exit(0);
	if (end == EXECS)
		execv("/bin/true", argv);
	for (;;)
		pause();
}

/*
 * A worker that is not a thread of the owner's (kmod/compat.h) may be in the midst
 * of a pass, which keeps the memory, when the owner is reaped: it has what is left
 * of the time. Return: whether guest memory came to rest.
 */
static bool comes_to_rest(struct rig *r, struct vq *q, struct deadline *gone)
{
	bool still = false;

	while (!still && !deadline_passed(gone)) {
		struct gmem_shot low = gmem_shoot(&r->mem, GMEM_LOW, GMEM_LOW_SIZE);
		struct gmem_shot high = gmem_shoot(&r->mem, GMEM_HIGH, GMEM_HIGH_SIZE);

		still = !ev_wait(q->call, QUIET_MS) && gmem_same(&r->mem, &low) &&
			gmem_same(&r->mem, &high);
		ev_take(q->call);
		gmem_shot_free(&low);
		gmem_shot_free(&high);
	}
	return still;
}

TEST_F(death, nothing_moves_afterwards)
{
	bool by_signal = variant->end == KILLED || variant->end == HOLDS_FD;
	struct rig *r = &self->r;
	struct gmem_shot low, high;
	struct deadline gone;
	pid_t pid;
	int status;

	/* Opened here and inherited: this process holds it, but is not the owner. */
	if (variant->end == HOLDS_FD)
		r->fd = vdev_open(variant->class);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		own_and_hammer(self, variant->class, variant->end);
	ASSERT_TRUE(ev_wait(self->busy, DEADLINE_MS));
	ASSERT_LT(self->threads, proc_threads_named(self->prefix));

	if (by_signal) {
		ASSERT_EQ(0, kill(pid, SIGKILL));
	} else {
		ev_signal(self->go);
	}
	gone = deadline_in(GONE_MS);
	while (waitpid(pid, &status, WNOHANG) != pid) {
		ASSERT_FALSE(deadline_passed(&gone))
			TH_LOG("the owner does not end");
	}
	ASSERT_EQ(by_signal, WIFSIGNALED(status));
	ASSERT_EQ(by_signal ? SIGKILL : 0, status);

	/*
	 * With the fd held elsewhere its thread may stay, with nothing to run in. To see that
	 * nothing moves takes a debug kernel longer than the second that the end may take.
	 */
	if (variant->end == HOLDS_FD) {
		gone = deadline_in(DEADLINE_MS);
		ASSERT_TRUE(comes_to_rest(r, self->q, &gone));
	}
	while (variant->end != HOLDS_FD &&
	       proc_threads_named(self->prefix) != self->threads) {
		ASSERT_FALSE(deadline_passed(&gone))
			TH_LOG("the worker does not end");
	}

	/* All of guest memory: the driver is dead as well. */
	low = gmem_shoot(&r->mem, GMEM_LOW, GMEM_LOW_SIZE);
	high = gmem_shoot(&r->mem, GMEM_HIGH, GMEM_HIGH_SIZE);
	ev_take(self->q->call);
	ev_signal(self->q->kick);
	EXPECT_FALSE(ev_wait(self->q->call, QUIET_MS));
	EXPECT_TRUE(gmem_same(&r->mem, &low));
	EXPECT_TRUE(gmem_same(&r->mem, &high));
	gmem_shot_free(&low);
	gmem_shot_free(&high);

	if (variant->end == HOLDS_FD) {
		/* Nobody's any more, but not free for all either. */
		EXPECT_EQ(-EPERM, __vdev_set_num(r->fd, 0, 64));
		close(r->fd);
		r->fd = -1;
		gone = deadline_in(GONE_MS);
		while (proc_threads_named(self->prefix) != self->threads) {
			ASSERT_FALSE(deadline_passed(&gone));
		}
	}

	/* A new owner takes the very ring up. */
	rig_attach(r, variant->class);
	vdev_set_base(r->fd, 0, drv_used_idx(&self->q->drv));
	rig_start(r);
	EXPECT_TRUE(vdev_get_stats(r->fd, 0).running);
}

/* Open devices of this machine; 0 if nobody tells. */
static int devices(void)
{
	return access(DEVICES, R_OK) ? 0 : proc_count(DEVICES);
}

TEST(fifty_killed_owners_leak_nothing)
{
	struct rig_conf conf = { .class = "null", .num = 256 };
	FIXTURE_DATA(death) s = { .busy = ev_new(), .go = ev_new() };
	int threads = proc_threads_settle("vkick-null", 0), i;
	int before = devices();

	rig_lay_out(&s.r, &conf);
	s.q = &s.r.q[0];
	for (i = 0; i < 50; i++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid)
			own_and_hammer(&s, "null", KILLED);
		ASSERT_TRUE(ev_wait(s.busy, DEADLINE_MS));
		ev_take(s.busy);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		drv_start_at(&s.q->drv, 0);
	}
	EXPECT_EQ(before, devices());
	EXPECT_EQ(threads, proc_threads_settle("vkick-null", threads));
}

TEST_HARNESS_MAIN
