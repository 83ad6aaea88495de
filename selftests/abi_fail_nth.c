// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation, and every access to the caller's memory, of every call fails
 * once, in turn.
 *
 * in:  /dev/vkick-null, -rng, -blk, -console; a kernel with failslab, fail_page_alloc and
 *      /proc/self/fail-nth (lab/run --debug), else all is skipped
 * out: each call either succeeds all the same or returns an errno of the contract,
 *      changes nothing, and succeeds when it is made again
 *
 * The method is that of tools/testing/selftests/iommu/iommufd_fail_nth.c.
 */
#include "kselftest_harness.h"

#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "lib/fault.h"
#include "lib/rig.h"

/* More allocations than any one call makes: else the sweep found no end. */
#define MAX_NTH	400

struct state {
	struct rig r;
	const char *class;
	struct vhost_memory *table;
	u8 *log;		/* a dirty log for all of @table */
	u32 worker;		/* the last made */
	int file;		/* for SET_FILE and SET_PORT */
};

/* A bit for each page, to the end of the standard memory. */
#define LOG_BYTES	((GMEM_FAR + GMEM_FAR_SIZE) / GMEM_PAGE / 8)
#define F_LOG_ALL	(1ULL << VHOST_F_LOG_ALL)

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

static int do_get_features(struct state *s)
{
	u64 features;

	return __vdev_get_features(s->r.fd, &features);
}

static int do_get_backend_features(struct state *s)
{
	u64 features;

	return __vdev_ioctl(s->r.fd, VHOST_GET_BACKEND_FEATURES, &features);
}

static int do_set_backend_features(struct state *s)
{
	u64 features = 0;

	return __vdev_ioctl(s->r.fd, VHOST_SET_BACKEND_FEATURES, &features);
}

static int do_set_log_base(struct state *s)
{
	u64 base = (unsigned long)s->log;

	return __vdev_ioctl(s->r.fd, VHOST_SET_LOG_BASE, &base);
}

static int do_set_log_fd(struct state *s)
{
	int fd = s->r.q[0].err;

	return __vdev_ioctl(s->r.fd, VHOST_SET_LOG_FD, &fd);
}

static int do_log_all(struct state *s)
{
	return __vdev_set_features(s->r.fd, s->r.features | F_LOG_ALL);
}

static int do_new_worker(struct state *s)
{
	struct vhost_worker_state w = { 0 };
	int err = __vdev_ioctl(s->r.fd, VHOST_NEW_WORKER, &w);

	if (!err)
		s->worker = w.worker_id;
	return err;
}

static int do_free_worker(struct state *s)
{
	struct vhost_worker_state w = { s->worker };

	return __vdev_ioctl(s->r.fd, VHOST_FREE_WORKER, &w);
}

static int attach_worker(struct state *s, u32 worker)
{
	struct vhost_vring_worker w = { 0, worker };

	return __vdev_ioctl(s->r.fd, VHOST_ATTACH_VRING_WORKER, &w);
}

static int do_attach_worker(struct state *s)
{
	return attach_worker(s, s->worker);
}

static int do_attach_first_worker(struct state *s)
{
	return attach_worker(s, 0);
}

static int do_get_worker(struct state *s)
{
	struct vhost_vring_worker w = { 0, 0 };

	return __vdev_ioctl(s->r.fd, VHOST_GET_VRING_WORKER, &w);
}

static int do_set_busyloop(struct state *s)
{
	struct vhost_vring_state v = { 0, 20 };

	return __vdev_ioctl(s->r.fd, VHOST_SET_VRING_BUSYLOOP_TIMEOUT, &v);
}

static int do_get_busyloop(struct state *s)
{
	struct vhost_vring_state v = { 0, 0 };

	return __vdev_ioctl(s->r.fd, VHOST_GET_VRING_BUSYLOOP_TIMEOUT, &v);
}

/* ENOTTY on every class but null. */
static int do_set_latency(struct state *s)
{
	struct vkick_null_latency l = { .size = sizeof(l), .latency_ns = 1000 };
	int err = __vdev_ioctl(s->r.fd, VKICK_NULL_SET_LATENCY, &l);

	return err == -ENOTTY && strcmp(s->class, "null") ? 0 : err;
}

/* The three are ENOTTY on every class but blk. */
static int do_set_file(struct state *s)
{
	struct vkick_blk_file f = { .size = sizeof(f), .fd = s->file };
	int err = __vdev_ioctl(s->r.fd, VKICK_BLK_SET_FILE, &f);

	return err == -ENOTTY && strcmp(s->class, "blk") ? 0 : err;
}

static int do_set_config(struct state *s)
{
	struct vkick_blk_config c = { .size = sizeof(c), .capacity = 8, .seg_max = 1 };
	int err = __vdev_ioctl(s->r.fd, VKICK_BLK_SET_CONFIG, &c);

	return err == -ENOTTY && strcmp(s->class, "blk") ? 0 : err;
}

static int do_set_pinned(struct state *s)
{
	int err = __vdev_set_pinned(s->r.fd, 1);

	return err == -ENOTTY && strcmp(s->class, "blk") ? 0 : err;
}

/* The two are ENOTTY on every class but console. */
static int do_set_port(struct state *s)
{
	struct vkick_console_port p = {
		.size = sizeof(p), .in_fd = s->file, .out_fd = s->file, .event_fd = s->r.q[0].err, .out_skip = 1,
	};
	int err = __vdev_ioctl(s->r.fd, VKICK_CONSOLE_SET_PORT, &p);

	return err == -ENOTTY && strcmp(s->class, "console") ? 0 : err;
}

static int do_get_port(struct state *s)
{
	struct vkick_console_port p = { .size = sizeof(p) };
	int err = __vdev_ioctl(s->r.fd, VKICK_CONSOLE_GET_PORT, &p);

	return err == -ENOTTY && strcmp(s->class, "console") ? 0 : err;
}

static int do_set_base(struct state *s)
{
	return __vdev_set_base(s->r.fd, 0, 0);
}

static int do_get_base(struct state *s)
{
	u32 base;

	return __vdev_get_base(s->r.fd, 0, &base);
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

#define START	"SET_RUNNING 1"

/* In the order of a device's life; some once more while it runs. */
static const struct step {
	const char *name;
	int (*call)(struct state *s);
} steps[] = {
	{ "open", do_open },
	{ "GET_INFO", do_get_info },
	{ "GET_FEATURES", do_get_features },
	{ "GET_BACKEND_FEATURES", do_get_backend_features },
	{ "SET_OWNER", do_set_owner },
	{ "SET_BACKEND_FEATURES", do_set_backend_features },
	{ "SET_FEATURES", do_set_features },
	{ "SET_MEM_TABLE", do_set_mem },
	{ "BLK_SET_PINNED", do_set_pinned },
	{ "SET_MEM_TABLE, pinned", do_set_mem },
	{ "SET_LOG_BASE", do_set_log_base },
	{ "SET_LOG_FD", do_set_log_fd },
	{ "NULL_SET_LATENCY", do_set_latency },
	{ "BLK_SET_FILE", do_set_file },
	{ "BLK_SET_FILE, again", do_set_file },
	{ "BLK_SET_CONFIG", do_set_config },
	{ "CONSOLE_SET_PORT", do_set_port },
	{ "CONSOLE_SET_PORT, again", do_set_port },
	{ "CONSOLE_GET_PORT", do_get_port },
	{ "SET_VRING_NUM", do_set_num },
	{ "SET_VRING_ADDR", do_set_addr },
	{ "SET_VRING_BASE", do_set_base },
	{ "GET_VRING_BASE", do_get_base },
	{ "SET_VRING_BUSYLOOP_TIMEOUT", do_set_busyloop },
	{ "GET_VRING_BUSYLOOP_TIMEOUT", do_get_busyloop },
	{ "SET_VRING_KICK", do_set_kick },
	{ "SET_VRING_CALL", do_set_call },
	{ "SET_VRING_ERR", do_set_err },
	{ START, do_start },
	{ "NEW_WORKER", do_new_worker },
	{ "ATTACH_VRING_WORKER, running", do_attach_worker },
	{ "GET_VRING_WORKER", do_get_worker },
	{ "ATTACH_VRING_WORKER, back", do_attach_first_worker },
	{ "FREE_WORKER", do_free_worker },
	{ "SET_FEATURES, to log", do_log_all },
	{ "SET_LOG_BASE, logging", do_set_log_base },
	{ "SET_MEM_TABLE, logging", do_set_mem },
	{ "SET_VRING_ADDR, logging", do_set_addr },
	{ "SET_FEATURES, not to log", do_set_features },
	{ "SET_MEM_TABLE, running", do_set_mem },
	{ "SET_VRING_ADDR, running", do_set_addr },
	{ "SET_VRING_KICK, running", do_set_kick },
	{ "SET_VRING_CALL, running", do_set_call },
	{ "BLK_SET_CONFIG, running", do_set_config },
	{ "GET_STATS", do_get_stats },
	{ "SET_RUNNING 0", do_stop },
	{ "SET_RUNNING 1, again", do_start },
	{ "RESET_OWNER", do_reset_owner },
};

#define NR_STEPS	(sizeof(steps) / sizeof(steps[0]))
#define RESET		(NR_STEPS - 1)

/* Index of the step from which on requests are served. */
static size_t start_step(void)
{
	size_t i = 0;

	while (strcmp(steps[i].name, START))
		i++;
	return i;
}

static int nth_fd;

static bool is_console(const struct state *s)
{
	return !strcmp(s->class, "console");
}

/* A request that any other class knows: for a disk, a flush. A console's buffer is read into. Return: its descriptors. */
static u32 any_request(struct state *s, struct drv_seg *segs)
{
	struct virtio_blk_outhdr h = { .type = htole32(VIRTIO_BLK_T_FLUSH) };

	if (is_console(s)) {
		segs[0] = (struct drv_seg) { GMEM_FAR, 16, true };
		return 1;
	}
	memcpy(gmem_ptr(&s->r.mem, GMEM_HIGH, sizeof(h)), &h, sizeof(h));
	segs[0] = (struct drv_seg) { GMEM_HIGH, sizeof(h), false };
	segs[1] = (struct drv_seg) { GMEM_FAR, 1, true };
	return 2;
}

static void ping(struct state *s)
{
	struct drv_seg segs[2];

	rig_round_trip(&s->r.q[0], segs, any_request(s, segs));
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
FIXTURE_VARIANT_ADD(fail_nth, blk) { "blk" };
FIXTURE_VARIANT_ADD(fail_nth, console) { "console" };

FIXTURE_SETUP(fail_nth)
{
	struct rig_conf conf = { .class = variant->class, .num = 16 };

	nth_fd = fault_open(syscall(SYS_gettid));
	if (nth_fd < 0)
		SKIP(return, "needs a kernel with fault injection");
	rig_lay_out(&self->s.r, &conf);
	self->s.class = variant->class;
	self->s.file = is_console(&self->s) ? open("/dev/zero", O_RDWR | O_CLOEXEC) : memfd_create("disk", MFD_CLOEXEC);
	ASSERT_LE(0, self->s.file);
	self->s.table = gmem_table(&self->s.r.mem);
	self->s.log = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT_NE(MAP_FAILED, self->s.log);
}

FIXTURE_TEARDOWN(fail_nth)
{
	close(self->s.file);
	free(self->s.table);
	munmap(self->s.log, LOG_BYTES);
	rig_close(&self->s.r);
}

/* A thread that has ended is to be seen for some time still. */
static bool threads_at_most(int n)
{
	struct deadline end = deadline_in(DEADLINE_MS);

	while (proc_count("/proc/self/task") > n)
		if (deadline_passed(&end))
			return false;
	return true;
}

/* A life with the @nth allocation of step @which failing. False: there is none. */
static bool live(struct state *s, size_t which, unsigned int nth)
{
	bool injected = false;
	size_t i, start = start_step();
	int err, threads;

	drv_start_at(&s->r.q[0].drv, 0);
	for (i = 0; i < NR_STEPS; i++) {
		if (i == which) {
			threads = proc_count("/proc/self/task");
			fault_arm(nth_fd, nth);
			err = steps[i].call(s);
			injected = fault_disarm(nth_fd);
			CHECK(!err || injected, "%s: %d, without a fault",
			      steps[i].name, err);
			/* EFAULT: copies from and to the caller fail in their turn, too. */
			CHECK(!err || err == -ENOMEM || err == -EAGAIN ||
			      err == -EFAULT,
			      "%s: %d at allocation %u", steps[i].name, err, nth);
			/* A worker whose number nobody was told is one too many. */
			CHECK(!err || threads_at_most(threads), "%s: %d at %u leaves a thread",
			      steps[i].name, err, nth);
		}
		if (i != which || err) {
			err = steps[i].call(s);
			CHECK(!err, "%s: %d, with nothing failing (before: %s, %u)",
			      steps[i].name, err, steps[which].name, nth);
		}
		if (i >= start && i < RESET && vdev_get_stats(s->r.fd, 0).running)
			ping(s);
	}
	close(s->r.fd);
	s->r.fd = -1;
	ev_take(s->r.q[0].kick);
	ev_take(s->r.q[0].call);
	return injected;
}

TEST_F_TIMEOUT(fail_nth, every_allocation_of_every_call, 600)
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
	EXPECT_EQ(threads, proc_threads_settle("vkick-", threads));
	EXPECT_EQ(fds, proc_count("/proc/self/fd"));
}

/* Whoever kicks may be a vCPU in the midst of anything. */
TEST_F(fail_nth, kick_needs_no_memory)
{
	struct state *s = &self->s;
	struct drv_seg segs[2];
	/* write() itself copies its argument, which may fail where that is a fault. */
	unsigned int first = access("/sys/kernel/debug/fail_usercopy", F_OK) ? 1 : 2;
	u32 nr = any_request(s, segs);
	size_t i;

	for (i = 0; i <= start_step(); i++) {
		ASSERT_EQ(0, steps[i].call(s));
	}
	for (i = 0; i < 20; i++) {
		fault_arm(nth_fd, first);
		rig_submit(&s->r.q[0], segs, nr);
		EXPECT_FALSE(fault_disarm(nth_fd));
		rig_complete(&s->r.q[0], NULL);
	}
}

TEST_HARNESS_MAIN
