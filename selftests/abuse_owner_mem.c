// SPDX-License-Identifier: GPL-2.0
/*
 * An owner that takes its memory away under the worker, and is then killed.
 *
 * in:  /dev/vkick-rng under load in a child process; buffers or rings that are
 *      unmapped, PROT_NONE, truncated, or in a page fault that nobody handles; and
 *      other threads of the child that wait for the worker that waits
 * out: a second after kill -9 there is nothing left of it
 *
 * That memory gone is an error of the queue alone is tested in path_mem.
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "lib/dlog.h"
#include "lib/hammer.h"
#include "lib/rig.h"

enum how { UNMAPPED, NO_ACCESS, TRUNCATED, NEVER_THERE };

FIXTURE(taken)
{
	int busy;		/* eventfd: memory is gone, and the worker saw it */
	int threads;
};

FIXTURE_VARIANT(taken)
{
	enum how how;
	bool rings;		/* not the buffers */
	bool waiters;		/* other threads wait for the queue */
};

FIXTURE_VARIANT_ADD(taken, buffers_unmapped) { UNMAPPED, false, false };
FIXTURE_VARIANT_ADD(taken, buffers_prot_none) { NO_ACCESS, false, false };
FIXTURE_VARIANT_ADD(taken, buffers_truncated) { TRUNCATED, false, false };
FIXTURE_VARIANT_ADD(taken, buffers_never_there) { NEVER_THERE, false, false };
FIXTURE_VARIANT_ADD(taken, buffers_never_there_and_waiters) {
	NEVER_THERE, false, true };
FIXTURE_VARIANT_ADD(taken, rings_unmapped) { UNMAPPED, true, false };
FIXTURE_VARIANT_ADD(taken, rings_prot_none) { NO_ACCESS, true, false };
FIXTURE_VARIANT_ADD(taken, rings_truncated) { TRUNCATED, true, false };
FIXTURE_VARIANT_ADD(taken, rings_never_there) { NEVER_THERE, true, false };
FIXTURE_VARIANT_ADD(taken, rings_never_there_and_waiters) {
	NEVER_THERE, true, true };

FIXTURE_SETUP(taken)
{
	/* What is offered is to be found by the kick, with the memory gone by then. */
	vdev_watch_wakeups(false);
	self->busy = ev_new();
	self->threads = proc_threads_settle("vkick-rng-", 0);
}

FIXTURE_TEARDOWN(taken)
{
	vdev_watch_wakeups(true);
	close(self->busy);
}

static int open_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd >= 0)
		CHECK(!ioctl(fd, UFFDIO_API, &api), "UFFDIO_API");
	return fd;
}

static void take(struct gmem_region *g, enum how how, int uffd)
{
	struct uffdio_register reg = {
		.mode = UFFDIO_REGISTER_MODE_MISSING,
		.range = { (unsigned long)g->hva, g->size },
	};

	switch (how) {
	case UNMAPPED:
		CHECK(!munmap(g->hva, g->size), "munmap");
		break;
	case NO_ACCESS:
		CHECK(!mprotect(g->hva, g->size, PROT_NONE), "mprotect");
		break;
	case TRUNCATED:
		CHECK(!ftruncate(g->memfd, 0), "ftruncate");
		break;
	case NEVER_THERE:
		CHECK(mmap(g->hva, g->size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		      g->hva, "mmap");
		CHECK(!ioctl(uffd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER");
		break;
	}
}

static void *wait_in_stop(void *r)
{
	__vdev_set_running(((struct rig *)r)->fd, VKICK_ALL_QUEUES, 0);
	return NULL;
}

static void *wait_in_attach(void *r)
{
	__vdev_attach_worker(((struct rig *)r)->fd, 0, 1);
	return NULL;
}

static void *wait_in_set_mem(void *r)
{
	struct vhost_memory *t = gmem_table(&((struct rig *)r)->mem);

	__vdev_set_mem(((struct rig *)r)->fd, t);
	return NULL;
}

static void *wait_in_reset(void *r)
{
	__vdev_reset_owner(((struct rig *)r)->fd);
	return NULL;
}

/* Each waits for the queue, or for one that does. */
static void start_waiters(struct rig *r)
{
	static void *(* const waits[])(void *) = {
		wait_in_stop, wait_in_attach, wait_in_set_mem, wait_in_reset,
	};
	pthread_t t;
	int i;

	for (i = 0; i < 4; i++)
		CHECK(!pthread_create(&t, NULL, waits[i], r), "thread");
}

/*
 * The child. Requests are on their way all the time: a hammer would fall over the
 * missing rings itself, so a thread kicks, and the device finds what there is.
 */
static void own_and_take(int busy, enum how how, bool rings, bool waiters)
{
	struct rig_conf conf = { .class = "rng", .features = F_INDIRECT };
	int i, uffd = how == NEVER_THERE ? open_uffd() : -1;
	struct uffd_msg msg;
	struct dlog l;
	struct rig r;

	rig_open(&r, &conf);
	l = dlog_new(&r.mem);
	vdev_set_log_base(r.fd, l.bits);
	vdev_set_features(r.fd, r.features | F_LOG_ALL);
	vdev_set_addr_logged(r.fd, 0, &r.q[0].drv, r.q[0].drv.used_gpa);
	vdev_new_worker(r.fd);
	rig_start(&r);
	for (i = 0; i < 50; i++)
		rig_ping(&r.q[0]);

	/* Offered before, found after. */
	CHECK(drv_add1(&r.q[0].drv, GMEM_FAR, 4096, true) >= 0, "full");
	drv_publish(&r.q[0].drv);
	take(gmem_find(&r.mem, rings ? GMEM_LOW : GMEM_FAR), how, uffd);
	dlog_free(&l);
	ev_signal(r.q[0].kick);
	if (how == NEVER_THERE) {
		CHECK(read(uffd, &msg, sizeof(msg)) == sizeof(msg), "userfaultfd");
		if (waiters)
			start_waiters(&r);
	} else {
		CHECK(ev_wait(r.q[0].err, DEADLINE_MS), "the queue did not break");
	}
	ev_signal(busy);
	for (;;)
		pause();
}

TEST_F(taken, then_kill_9)
{
	struct deadline gone;
	pid_t pid;
	int fd;

	if (variant->how == NEVER_THERE) {
		fd = open_uffd();
		if (fd < 0)
			SKIP(return, "needs userfaultfd for faults of the kernel");
		close(fd);
	}
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		own_and_take(self->busy, variant->how, variant->rings,
			     variant->waiters);
	ASSERT_TRUE(ev_wait(self->busy, DEADLINE_MS));
	ASSERT_LT(self->threads, proc_threads_named("vkick-rng-"));
	/* Let the waiters get to where they wait: nothing tells when. */
	if (variant->waiters)
		ev_wait(ev_new(), QUIET_MS);

	ASSERT_EQ(0, kill(pid, SIGKILL));
	gone = deadline_in(GONE_MS);
	while (waitpid(pid, NULL, WNOHANG) != pid) {
		ASSERT_FALSE(deadline_passed(&gone))
			TH_LOG("the owner does not die");
	}
	while (proc_threads_named("vkick-rng-") != self->threads) {
		ASSERT_FALSE(deadline_passed(&gone))
			TH_LOG("the worker does not die");
	}
}

TEST_HARNESS_MAIN
