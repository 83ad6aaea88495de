// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation, and every access to the caller's memory, of every call fails
 * once, in turn.
 *
 * in:  /dev/vkick-null, -rng; a kernel with failslab, fail_page_alloc and
 *      /proc/self/fail-nth (lab/run --debug), else all is skipped
 * out: each call either succeeds all the same or returns an errno of the contract,
 *      changes nothing, and succeeds when it is made again
 *
 * The method is that of tools/testing/selftests/iommu/iommufd_fail_nth.c.
 */
#include "kselftest_harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "lib/rig.h"

/* More allocations than any one call makes: else the sweep found no end. */
#define MAX_NTH	400

struct state {
	struct rig r;
	const char *class;
	struct vhost_memory *table;
};

static int do_open(struct state *s)
{
	int fd = __vdev_open(s->class);

	if (fd < 0)
		return fd;
	s->r.fd = fd;
	return 0;
}

static int do_set_owner(struct state *s)
{
	return __vdev_set_owner(s->r.fd);
}

static int do_set_features(struct state *s)
{
	return __vdev_set_features(s->r.fd, s->r.features);
}

static int do_set_mem(struct state *s)
{
	return __vdev_set_mem(s->r.fd, s->table);
}

static int do_set_num(struct state *s)
{
	return __vdev_set_num(s->r.fd, 0, s->r.q[0].drv.num);
}

static int do_set_addr(struct state *s)
{
	struct drv *d = &s->r.q[0].drv;

	return __vdev_set_addr(s->r.fd, 0, d->desc, d->avail, d->used);
}

static int do_set_kick(struct state *s)
{
	return __vdev_set_kick(s->r.fd, 0, s->r.q[0].kick);
}

static int do_set_call(struct state *s)
{
	return __vdev_set_call(s->r.fd, 0, s->r.q[0].call);
}

static int do_set_err(struct state *s)
{
	return __vdev_set_err(s->r.fd, 0, s->r.q[0].err);
}

static int do_start(struct state *s)
{
	return __vdev_set_running(s->r.fd, 0, 1);
}

static int do_get_stats(struct state *s)
{
	struct vkick_stats stats;

	return __vdev_get_stats(s->r.fd, 0, &stats);
}

static int do_get_info(struct state *s)
{
	struct vkick_info info;

	return __vdev_get_info(s->r.fd, &info);
}

static int do_stop(struct state *s)
{
	return __vdev_set_running(s->r.fd, 0, 0);
}

static int do_reset_owner(struct state *s)
{
	return __vdev_reset_owner(s->r.fd);
}

/* In the order of a device's life; some once more while it runs. */
static const struct step {
	const char *name;
	int (*call)(struct state *s);
} steps[] = {
	{ "open", do_open },
	{ "GET_INFO", do_get_info },
	{ "SET_OWNER", do_set_owner },
	{ "SET_FEATURES", do_set_features },
	{ "SET_MEM_TABLE", do_set_mem },
	{ "SET_VRING_NUM", do_set_num },
	{ "SET_VRING_ADDR", do_set_addr },
	{ "SET_VRING_KICK", do_set_kick },
	{ "SET_VRING_CALL", do_set_call },
	{ "SET_VRING_ERR", do_set_err },
	{ "SET_RUNNING 1", do_start },
	{ "SET_MEM_TABLE, running", do_set_mem },
	{ "SET_VRING_ADDR, running", do_set_addr },
	{ "SET_VRING_KICK, running", do_set_kick },
	{ "SET_VRING_CALL, running", do_set_call },
	{ "GET_STATS", do_get_stats },
	{ "SET_RUNNING 0", do_stop },
	{ "SET_RUNNING 1, again", do_start },
	{ "RESET_OWNER", do_reset_owner },
};

#define NR_STEPS	(sizeof(steps) / sizeof(steps[0]))
#define START		10	/* index of the step from which on requests are served */
#define RESET		(NR_STEPS - 1)

static bool write_file(const char *path, const char *what)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, what, strlen(what)) == (ssize_t)strlen(what);
	close(fd);
	return ok;
}

/* Lets any allocation fail, also one that could wait; and quietly. */
static bool allow_faults(void)
{
	return write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N") &&
	       write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N") &&
	       write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N") &&
	       write_file("/sys/kernel/debug/failslab/verbose", "0") &&
	       write_file("/sys/kernel/debug/fail_page_alloc/verbose", "0");
}

static int nth_fd;

static void arm(unsigned int nth)
{
	char buf[16];
	int n = snprintf(buf, sizeof(buf), "%u", nth);

	/* What is left from before may hit the write itself; then nothing is left. */
	if (pwrite(nth_fd, buf, n, 0) == n)
		return;
	CHECK(errno == EFAULT && pwrite(nth_fd, buf, n, 0) == n, "fail-nth");
}

/* Whether the fault has been injected; and there will be none any more. */
static bool disarm(void)
{
	char buf[16] = "";
	ssize_t n = pread(nth_fd, buf, sizeof(buf) - 1, 0);

	/* The read itself was the nth: the call before it was not. */
	CHECK(n > 0 || errno == EFAULT, "fail-nth");
	arm(0);
	return n > 0 && atoi(buf) == 0;
}

FIXTURE(fail_nth)
{
	struct state s;
};

FIXTURE_VARIANT(fail_nth)
{
	const char *class;
};

FIXTURE_VARIANT_ADD(fail_nth, null) { "null" };
FIXTURE_VARIANT_ADD(fail_nth, rng) { "rng" };

FIXTURE_SETUP(fail_nth)
{
	struct rig_conf conf = { .class = variant->class, .num = 16 };
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/fail-nth",
		 (int)syscall(SYS_gettid));
	nth_fd = open(path, O_RDWR | O_CLOEXEC);
	if (nth_fd < 0 || !allow_faults())
		SKIP(return, "needs a kernel with fault injection");
	rig_lay_out(&self->s.r, &conf);
	self->s.class = variant->class;
	self->s.table = gmem_table(&self->s.r.mem);
}

FIXTURE_TEARDOWN(fail_nth)
{
	free(self->s.table);
	rig_close(&self->s.r);
}

/* A life with the @nth allocation of step @which failing. False: there is none. */
static bool live(struct state *s, size_t which, unsigned int nth)
{
	bool injected = false;
	size_t i;
	int err;

	drv_start_at(&s->r.q[0].drv, 0);
	for (i = 0; i < NR_STEPS; i++) {
		if (i == which) {
			arm(nth);
			err = steps[i].call(s);
			injected = disarm();
			CHECK(!err || injected, "%s: %d, without a fault",
			      steps[i].name, err);
			/* EFAULT: copies from and to the caller fail in their turn, too. */
			CHECK(!err || err == -ENOMEM || err == -EAGAIN ||
			      err == -EFAULT,
			      "%s: %d at allocation %u", steps[i].name, err, nth);
		}
		if (i != which || err) {
			err = steps[i].call(s);
			CHECK(!err, "%s: %d, with nothing failing (before: %s, %u)",
			      steps[i].name, err, steps[which].name, nth);
		}
		if (i >= START && i < RESET && vdev_get_stats(s->r.fd, 0).running)
			rig_ping(&s->r.q[0]);
	}
	close(s->r.fd);
	s->r.fd = -1;
	ev_take(s->r.q[0].kick);
	ev_take(s->r.q[0].call);
	return injected;
}

TEST_F_TIMEOUT(fail_nth, every_allocation_of_every_call, 280)
{
	int threads = proc_threads_named("vkick-"), fds = proc_count("/proc/self/fd");
	unsigned int nth, faults = 0;
	size_t i;

	for (i = 0; i < NR_STEPS; i++) {
		for (nth = 1; live(&self->s, i, nth); nth++) {
			ASSERT_GT(MAX_NTH, nth) TH_LOG("%s", steps[i].name);
			faults++;
		}
		TH_LOG("%s: %u places to fail", steps[i].name, nth - 1);
	}
	/* open, SET_OWNER, SET_MEM_TABLE and the first start allocate. */
	EXPECT_LT(4, faults);
	EXPECT_EQ(threads, proc_threads_named("vkick-"));
	EXPECT_EQ(fds, proc_count("/proc/self/fd"));
}

/* Whoever kicks may be a vCPU in the midst of anything. */
TEST_F(fail_nth, kick_needs_no_memory)
{
	struct state *s = &self->s;
	struct drv_seg seg = { GMEM_FAR, 16, true };
	/* write() itself copies its argument, which may fail where that is a fault. */
	unsigned int first = access("/sys/kernel/debug/fail_usercopy", F_OK) ? 1 : 2;
	size_t i;

	for (i = 0; i <= START; i++) {
		ASSERT_EQ(0, steps[i].call(s));
	}
	for (i = 0; i < 20; i++) {
		arm(first);
		rig_submit(&s->r.q[0], &seg, 1);
		EXPECT_FALSE(disarm());
		rig_complete(&s->r.q[0], NULL);
	}
}

TEST_HARNESS_MAIN
