// SPDX-License-Identifier: GPL-2.0
/*
 * Several workers under load: queues move from one to the other, workers come
 * and go, and nothing is lost, doubled or left behind.
 *
 * in:  /dev/vkick-null, /dev/vkick-rng; driver threads that never let go
 * out: all requests back; threads, files and memory as they were
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/hammer.h"
#include "lib/rig.h"

/* Times that a device gets as many workers as it may, and loses them all. */
#define FULL_HOUSES	160

FIXTURE(worker)
{
	struct rig r;
};

FIXTURE_VARIANT(worker)
{
	u64 features;
	u32 poll_us;
	int moves;
};

FIXTURE_VARIANT_ADD(worker, flags) { 0, 0, 10000 };
FIXTURE_VARIANT_ADD(worker, packed_event_idx) { F_PACKED | F_EVENT_IDX, 0, 1000 };
/* A queue that is watched asks for no kick: who it moves to must look at it. */
FIXTURE_VARIANT_ADD(worker, polled) { 0, 1000, 2000 };

FIXTURE_SETUP(worker)
{
	struct rig_conf conf = {
		.class = "null",
		.features = variant->features,
	};

	rig_open(&self->r, &conf);
	vdev_set_poll(self->r.fd, 0, variant->poll_us);
	vdev_set_poll(self->r.fd, 1, variant->poll_us);
	rig_start(&self->r);
}

FIXTURE_TEARDOWN(worker)
{
	rig_close(&self->r);
}

static void hammer_both(struct hammer h[2], struct rig *r)
{
	hammer_start(&h[0], &r->q[0], 8, 64);
	hammer_start(&h[1], &r->q[1], 1, 64);
}

/* The hammer aborts at what is doubled, and here at what is lost. */
static void rest(struct hammer h[2], struct rig *r)
{
	int i;

	for (i = 0; i < 2; i++) {
		hammer_wait(&h[i], 100);
		hammer_stop(&h[i]);
		hammer_drain(&h[i]);
		CHECK(!vdev_get_stats(r->fd, i).error, "queue %d broke", i);
		CHECK(vdev_get_stats(r->fd, i).requests == r->q[i].drv.got,
		      "queue %d", i);
	}
}

TEST_F(worker, queue_moves_between_four_under_load)
{
	struct rig *r = &self->r;
	struct hammer h[2] = { { 0 }, { 0 } };
	struct deadline enough = deadline_in(60000);
	u64 seed = 1;
	u32 id[4] = { 0 };
	int i;

	for (i = 1; i < 4; i++)
		id[i] = vdev_new_worker(r->fd);
	hammer_both(h, r);
	for (i = 0; i < variant->moves; i++) {
		u32 q = i % 2, to = id[prng(&seed) % 4];

		/* A kernel that looks for faults takes its time. */
		if (i > variant->moves / 10 && deadline_passed(&enough))
			break;
		vdev_attach_worker(r->fd, q, to);
		ASSERT_EQ(to, vdev_get_worker(r->fd, q));
		if (i % 500 == 0) {
			hammer_wait(&h[0], 20);
			hammer_wait(&h[1], 5);
		}
	}
	rest(h, r);
}

/* As a VMM that binds queues anew: who was left is freed at once. */
TEST_F(worker, freed_right_after_its_queue_left)
{
	struct rig *r = &self->r;
	struct hammer h[2] = { { 0 }, { 0 } };
	u32 id[2];
	int i;

	id[0] = vdev_new_worker(r->fd);
	id[1] = vdev_new_worker(r->fd);
	vdev_attach_worker(r->fd, 0, id[0]);
	vdev_attach_worker(r->fd, 1, id[1]);
	hammer_both(h, r);
	for (i = 0; i < 300; i++) {
		u32 q = i % 2, old = id[q];

		id[q] = vdev_new_worker(r->fd);
		vdev_attach_worker(r->fd, q, id[q]);
		ASSERT_EQ(0, __vdev_free_worker(r->fd, old));
		if (i % 30 == 0) {
			hammer_wait(&h[0], 20);
			hammer_wait(&h[1], 5);
		}
	}
	rest(h, r);
	EXPECT_EQ(3, proc_threads_settle("vkick-null-", 3));
}

/* Moved and stopped, started and moved. */
TEST_F(worker, queue_moves_while_it_stops_and_starts)
{
	struct rig *r = &self->r;
	struct hammer h[2] = { { 0 }, { 0 } };
	u32 id = vdev_new_worker(r->fd);
	int i;

	hammer_both(h, r);
	for (i = 0; i < 300; i++) {
		vdev_stop(r->fd, 0);
		vdev_attach_worker(r->fd, 0, i % 2 ? 0 : id);
		vdev_start(r->fd, 0);
		vdev_attach_worker(r->fd, 1, i % 2 ? id : 0);
		if (i % 100 == 0)
			hammer_wait(&h[0], 20);
	}
	rest(h, r);
}

/* ---- a worker that is held up ---- */

/* Makes a rig's far region one whose page faults nobody handles. */
static int make_stuck_memory(struct rig *r)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct gmem_region *far = gmem_find(&r->mem, GMEM_FAR);
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (uffd < 0)
		return -1;
	CHECK(!ioctl(uffd, UFFDIO_API, &api), "UFFDIO_API");
	CHECK(mmap(far->hva, far->size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == far->hva,
	      "mmap");
	reg.range.start = (unsigned long)far->hva;
	reg.range.len = far->size;
	CHECK(!ioctl(uffd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER");
	return uffd;
}

/* The worker reads the chain's table from there, and waits until @uffd is closed. */
static void get_stuck(struct rig *r, int uffd)
{
	struct drv *d = &r->q[0].drv;
	struct uffd_msg msg;

	drv_set_desc(&d->desc[0], GMEM_FAR, 16, VRING_DESC_F_INDIRECT, 0);
	drv_put_head(d, 0);
	drv_publish(d);
	ev_signal(r->q[0].kick);
	CHECK(read(uffd, &msg, sizeof(msg)) == sizeof(msg), "userfaultfd");
}

TEST(queue_that_is_held_up_holds_up_no_other_worker)
{
	struct rig_conf conf = { .class = "null", .features = F_INDIRECT };
	struct rig r;
	int uffd, i;

	rig_open(&r, &conf);
	uffd = make_stuck_memory(&r);
	if (uffd < 0)
		SKIP(return, "needs userfaultfd for faults of the kernel");
	vdev_attach_worker(r.fd, 1, vdev_new_worker(r.fd));
	rig_start(&r);
	get_stuck(&r, uffd);
	for (i = 0; i < 100; i++) {
		struct drv_seg s = { GMEM_HIGH, 16, true };

		rig_round_trip(&r.q[1], &s, 1);
	}
	EXPECT_FALSE(drv_has_used(&r.q[0].drv));
	close(uffd);
	/* A table of zeroes is a chain with nothing in it. */
	EXPECT_TRUE(drv_wait(&r.q[0].drv, r.q[0].call, DEADLINE_MS));
	rig_close(&r);
}

/* ---- nothing is left behind ---- */

/* Kernel memory that workers are made of, in KiB. */
static long kernel_kib(void)
{
	return proc_labelled("/proc/meminfo", "Slab") +
	       proc_labelled("/proc/meminfo", "KernelStack");
}

/* Once what RCU still had to free is freed: until it does not fall any more. */
static long settled_kib(void)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	long now = kernel_kib(), before;
	int never = ev_new();

	do {
		before = now;
		ev_wait(never, 5 * QUIET_MS);
		now = kernel_kib();
	} while (now < before && !deadline_passed(&end));
	close(never);
	return now;
}

FIXTURE(ends)
{
	int nothing;	/* a fixture, for the time limit */
};

FIXTURE_SETUP(ends)
{
	self->nothing = 0;
}

FIXTURE_TEARDOWN(ends)
{
}

/* ---- a worker that ends before it could run ---- */

static void pin(pid_t tid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK(!sched_setaffinity(tid, sizeof(set), &set), "CPU %d", cpu);
}

/* Keeps CPU 0 from all ordinary threads, until @waiter waits for a worker's end. */
struct holder {
	pid_t waiter;
	atomic_bool holds, saw_it;
};

static bool waits_for_an_end(pid_t tid)
{
	char path[64], name[64] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/wchan", tid);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && read(fd, name, sizeof(name) - 1) >= 0, "%s", path);
	close(fd);
	return strstr(name, "task_stop") || strstr(name, "kthread_stop");
}

static void *hold_cpu_0(void *arg)
{
	struct sched_param first = { 1 };
	struct holder *h = arg;
	struct deadline end;

	pin(0, 0);
	CHECK(!sched_setscheduler(0, SCHED_FIFO, &first), "SCHED_FIFO");
	atomic_store(&h->holds, true);
	end = deadline_in(DEADLINE_MS);
	while (!waits_for_an_end(h->waiter) && !deadline_passed(&end))
		;
	atomic_store(&h->saw_it, !deadline_passed(&end));
	return NULL;
}

TEST_F(ends, freed_with_a_queue_on_its_list)
{
	struct rig_conf conf = { .class = "null" };
	struct holder h = { .waiter = gettid() };
	struct deadline end = deadline_in(DEADLINE_MS);
	pthread_t thread;
	struct rig r;
	u32 other;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "needs 2 CPUs");
	rig_open(&r, &conf);
	rig_start(&r);
	rig_ping(&r.q[0]);
	rig_ping(&r.q[1]);
	pin(0, 1);
	pin(proc_thread("vkick-null-"), 0);
	other = vdev_new_worker(r.fd);
	ASSERT_EQ(0, pthread_create(&thread, NULL, hold_cpu_0, &h));
	while (!atomic_load(&h.holds))
		ASSERT_FALSE(deadline_passed(&end));

	/* It is on the list of a worker that cannot run, and whose end comes first. */
	ASSERT_LE(0, drv_add1(&r.q[1].drv, GMEM_HIGH, 16, true));
	drv_kick(&r.q[1].drv, r.q[1].kick);
	vdev_attach_worker(r.fd, 0, other);
	vdev_attach_worker(r.fd, 1, other);
	ASSERT_EQ(0, __vdev_free_worker(r.fd, 0));
	pthread_join(thread, NULL);
	EXPECT_TRUE(h.saw_it);
	EXPECT_LE(0, rig_complete(&r.q[1], NULL));
	rig_ping(&r.q[1]);
	rig_close(&r);
}

TEST_F_TIMEOUT(ends, twenty_thousand_new_and_freed_leak_nothing, 240)
{
	struct rig_conf conf = { .class = "null" };
	struct deadline enough = deadline_in(60000);
	int threads = 0, fds = 0, i, n;
	long files = 0, kib = 0;
	struct rig r;

	rig_open(&r, &conf);
	for (i = 0; i < FULL_HOUSES; i++) {
		u32 id = 0, made = 0;

		/* A kernel that looks for faults takes its time. */
		if (i > FULL_HOUSES / 5 && deadline_passed(&enough))
			break;
		while (!__vdev_new_worker(r.fd, &id))
			made++;
		ASSERT_EQ(127, made);
		/* A few by themselves, the rest with the owner. */
		for (n = 0; n < 3; n++)
			vdev_free_worker(r.fd, 1 + (i + 40 * n) % 127);
		vdev_reset_owner(r.fd);
		vdev_set_owner(r.fd);
		if (i == FULL_HOUSES / 10) {
			files = open_files();
			threads = proc_threads_settle("vkick-null-", 1);
			fds = proc_count("/proc/self/fd");
			kib = settled_kib();
		}
	}
	EXPECT_EQ(1, threads);
	EXPECT_EQ(threads, proc_threads_settle("vkick-null-", threads));
	EXPECT_EQ(fds, proc_count("/proc/self/fd"));
	EXPECT_GT(files + 500, open_files());
	/*
	 * A struct of each of them, with its share of slub_debug, is more than this. A kernel
	 * with KASAN keeps more than that of what was freed, but has kmemleak to tell.
	 */
	if (access("/sys/kernel/debug/kmemleak", F_OK)) {
		long now = settled_kib();

		EXPECT_GT(kib + 4096, now) TH_LOG("was %ld KiB, is %ld KiB", kib, now);
	}
	rig_close(&r);
}

/* ---- the owner dies with eight of them ---- */

FIXTURE(eight)
{
	struct rig r;		/* laid out by the parent, attached by the child */
	int busy;		/* eventfd: the child's queues are under load */
};

FIXTURE_VARIANT(eight)
{
	bool held;		/* another process has the fd open */
};

FIXTURE_VARIANT_ADD(eight, alone) { false };
FIXTURE_VARIANT_ADD(eight, fd_held_elsewhere) { true };

FIXTURE_SETUP(eight)
{
	struct rig_conf conf = { .class = "null", .num = 256 };

	rig_lay_out(&self->r, &conf);
	self->busy = ev_new();
	if (variant->held)
		self->r.fd = vdev_open("null");
}

FIXTURE_TEARDOWN(eight)
{
	rig_close(&self->r);
}

/* The child: two queues under load, moved between eight workers for ever. */
static void own_eight(struct rig *r, int busy, bool held)
{
	struct hammer h[2] = { { 0 }, { 0 } };
	u32 id[8] = { 0 };
	int i;

	if (!held)
		r->fd = vdev_open("null");
	rig_attach_fd(r);
	for (i = 1; i < 8; i++)
		id[i] = vdev_new_worker(r->fd);
	rig_start(r);
	hammer_both(h, r);
	for (i = 0; ; i++) {
		vdev_attach_worker(r->fd, i % 2, id[i % 8]);
		if (i == 200) {
			hammer_wait(&h[0], 200);
			ev_signal(busy);
		}
	}
}

TEST_F(eight, are_gone_right_after_kill_9)
{
	int round;

	for (round = 0; round < (variant->held ? 1 : 10); round++) {
		struct deadline gone;
		pid_t pid = fork();
		u32 i;

		ASSERT_LE(0, pid);
		if (!pid)
			own_eight(&self->r, self->busy, variant->held);
		ASSERT_TRUE(ev_wait(self->busy, DEADLINE_MS));
		ev_take(self->busy);
		ASSERT_EQ(8, proc_threads_named("vkick-null-"));

		ASSERT_EQ(0, kill(pid, SIGKILL));
		gone = deadline_in(GONE_MS);
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		if (variant->held) {
			EXPECT_EQ(-EPERM, __vdev_free_worker(self->r.fd, 1));
			close(self->r.fd);
			self->r.fd = -1;
		}
		while (proc_threads_named("vkick-null-")) {
			ASSERT_FALSE(deadline_passed(&gone))
				TH_LOG("%d workers do not end",
				       proc_threads_named("vkick-null-"));
		}
		for (i = 0; i < 2; i++)
			drv_start_at(&self->r.q[i].drv, 0);
	}
}

static void end_under_load(struct rig *r, bool by_close)
{
	struct hammer h[2] = { { 0 }, { 0 } };
	u32 i;

	vdev_attach_worker(r->fd, 1, vdev_new_worker(r->fd));
	for (i = 0; i < 6; i++)
		vdev_new_worker(r->fd);
	rig_start(r);
	hammer_both(h, r);
	hammer_wait(&h[0], 100);
	hammer_wait(&h[1], 10);
	if (by_close)
		close(r->fd);
	else
		vdev_reset_owner(r->fd);
	CHECK(!proc_threads_settle("vkick-null-", 0), "workers are left");
	hammer_stop(&h[0]);
	hammer_stop(&h[1]);
}

TEST_F(ends, close_and_reset_owner_with_eight_under_load)
{
	struct rig_conf conf = { .class = "null", .num = 256 };
	int i;

	for (i = 0; i < 20; i++) {
		struct rig r;

		rig_open(&r, &conf);
		end_under_load(&r, i % 2);
		if (i % 2)
			r.fd = -1;
		rig_close(&r);
	}
}

TEST_HARNESS_MAIN
