// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory under the module's worker: borders, holes, and memory that the
 * owner takes away while requests are in flight.
 *
 * in:  /dev/vkick-rng, /dev/vkick-null, no guest
 * out: an error of that queue (EFAULT), never of the kernel, and no byte elsewhere
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "lib/hammer.h"
#include "lib/rig.h"

FIXTURE(mem)
{
	struct rig r;
	struct vq *q;
};

FIXTURE_VARIANT(mem)
{
	u64 features;
	enum drv_layout layout;
};

FIXTURE_VARIANT_ADD(mem, direct) { 0, DRV_DIRECT };
FIXTURE_VARIANT_ADD(mem, indirect_event_idx) {
	F_INDIRECT | F_EVENT_IDX, DRV_INDIRECT };
FIXTURE_VARIANT_ADD(mem, packed_event_idx) { F_PACKED | F_EVENT_IDX, DRV_DIRECT };

FIXTURE_SETUP(mem)
{
	struct rig_conf conf = {
		.class = "rng",
		.features = variant->features,
		.layout = variant->layout,
	};

	/* What is offered is to be found by the kick, with the memory gone by then. */
	vdev_watch_wakeups(false);
	rig_open(&self->r, &conf);
	self->q = &self->r.q[0];
	rig_start(&self->r);
}

FIXTURE_TEARDOWN(mem)
{
	vdev_watch_wakeups(true);
	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
	rig_close(&self->r);
}

/* Offers one writable buffer that must break the queue with EFAULT. */
static void must_fault(FIXTURE_DATA(mem) *self, u64 gpa, u32 len)
{
	struct drv_seg s[] = {
		{ GMEM_HIGH, 64, true },	/* good: it is the whole chain */
		{ gpa, len, true },
	};

	CHECK(drv_add(&self->q->drv, s, 2) >= 0, "full");
	drv_publish(&self->q->drv);
	ev_signal(self->q->kick);
	CHECK(rig_wait_broken(&self->r, self->q) == EFAULT, "gpa 0x%llx len %u",
	      (unsigned long long)gpa, len);
}

TEST_F(mem, buffer_in_no_region)
{
	must_fault(self, 0, 64);
}

TEST_F(mem, buffer_past_all_regions)
{
	must_fault(self, GMEM_FAR + GMEM_FAR_SIZE, 1);
}

TEST_F(mem, buffer_starts_before_a_region)
{
	must_fault(self, GMEM_FAR - 1, 2);
}

TEST_F(mem, buffer_runs_into_a_hole)
{
	must_fault(self, GMEM_HOLE - 64, 65);
}

TEST_F(mem, buffer_spans_a_hole)
{
	/* Both ends are good. */
	must_fault(self, GMEM_HOLE - 64, GMEM_FAR - GMEM_HOLE + 128);
}

TEST_F(mem, buffer_wraps_around)
{
	must_fault(self, 0ULL - 64, 128);
}

/* Both pieces are guest memory, but no address follows the last one. */
TEST_F(mem, buffer_wraps_around_from_one_region_into_another)
{
	struct vhost_memory *t = gmem_table(&self->r.mem);

	t->regions[1].guest_phys_addr = 0ULL - GMEM_HIGH_SIZE;
	t->regions[2].guest_phys_addr = 0;
	t->regions[2].memory_size = GMEM_LOW;
	ASSERT_EQ(0, __vdev_set_mem(self->r.fd, t));
	free(t);
	ASSERT_LE(0, drv_add1(&self->q->drv, 0ULL - 64, 128, true));
	drv_kick(&self->q->drv, self->q->kick);
	EXPECT_EQ(EFAULT, rig_wait_broken(&self->r, self->q));
}

TEST_F(mem, buffer_at_the_last_address)
{
	must_fault(self, ~0ULL, 1);
}

TEST_F(mem, buffer_up_to_the_hole_is_good)
{
	struct drv_seg s = { GMEM_HOLE - 64, 64, true };

	EXPECT_EQ(64, rig_round_trip(self->q, &s, 1));
}

TEST_F(mem, buffer_over_a_border_without_hole_is_good)
{
	struct drv_seg s = { GMEM_BORDER - 4096, 8192, true };

	EXPECT_EQ(8192, rig_round_trip(self->q, &s, 1));
}

/* Somebody will take the ring up from there, and must not lose that chain. */
TEST_F(mem, base_names_the_chain_that_faulted)
{
	struct drv_seg s = { GMEM_HIGH, 64, true };

	rig_round_trip(self->q, &s, 1);
	must_fault(self, GMEM_HOLE, 64);
	EXPECT_EQ(drv_base_after(&self->q->drv, 1), drv_device_base(&self->q->drv));
	EXPECT_EQ(drv_base_after(&self->q->drv, 1), vdev_get_base(self->r.fd, 0));
}

TEST_F(mem, other_devices_go_on)
{
	struct rig_conf conf = { .class = "rng" };
	struct rig other;

	rig_open(&other, &conf);
	rig_start(&other);
	must_fault(self, GMEM_HOLE, 64);
	rig_ping(&other.q[0]);
	EXPECT_EQ(0, ev_take(other.q[0].err));
	rig_close(&other);
}

/* ---- the owner takes memory away ---- */

TEST_F(mem, unmapped_buffer)
{
	struct gmem_region *far = gmem_find(&self->r.mem, GMEM_FAR);

	ASSERT_EQ(0, munmap(far->hva, far->size));
	must_fault(self, GMEM_FAR, 64);
	/* For the canary's sake. */
	ASSERT_NE(MAP_FAILED, mmap(far->hva, far->size, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_FIXED, far->memfd, GMEM_PAGE));
}

TEST_F(mem, prot_none_buffer)
{
	ASSERT_EQ(0, mprotect(gmem_ptr(&self->r.mem, GMEM_FAR, GMEM_FAR_SIZE),
			      GMEM_FAR_SIZE, PROT_NONE));
	must_fault(self, GMEM_FAR, 64);
}

TEST_F(mem, read_only_buffer_is_not_written)
{
	struct gmem_shot shot = gmem_shoot(&self->r.mem, GMEM_FAR, GMEM_FAR_SIZE);

	ASSERT_EQ(0, mprotect(gmem_ptr(&self->r.mem, GMEM_FAR, GMEM_FAR_SIZE),
			      GMEM_FAR_SIZE, PROT_READ));
	must_fault(self, GMEM_FAR, 64);
	EXPECT_TRUE(gmem_same(&self->r.mem, &shot));
	gmem_shot_free(&shot);
}

/* A fault that would be SIGBUS for the owner's own threads. */
TEST_F(mem, truncated_memfd)
{
	struct gmem_region *far = gmem_find(&self->r.mem, GMEM_FAR);

	ASSERT_EQ(0, ftruncate(far->memfd, GMEM_PAGE));
	must_fault(self, GMEM_FAR, 64);
	ASSERT_EQ(0, ftruncate(far->memfd, far->size + 2 * GMEM_PAGE));
	memset(far->hva + far->size, 0xa5, GMEM_PAGE);
}

/* The ring itself goes, each part of it, with the queue idle. */
static void unmap_ring_part(FIXTURE_DATA(mem) *self, void *part)
{
	u8 *page = (u8 *)((unsigned long)part & ~(GMEM_PAGE - 1));
	struct drv_seg s = { GMEM_HIGH, 64, true };

	rig_round_trip(self->q, &s, 1);
	CHECK(drv_add(&self->q->drv, &s, 1) >= 0, "full");
	drv_publish(&self->q->drv);
	CHECK(!mprotect(page, GMEM_PAGE, PROT_NONE), "mprotect");
	ev_signal(self->q->kick);
	CHECK(rig_wait_broken(&self->r, self->q) == EFAULT, "no EFAULT");
	CHECK(!mprotect(page, GMEM_PAGE, PROT_READ | PROT_WRITE), "mprotect");
}

TEST_F(mem, descriptor_table_taken_away)
{
	unmap_ring_part(self, self->q->drv.desc);
}

TEST_F(mem, avail_ring_taken_away)
{
	unmap_ring_part(self, self->q->drv.avail);
}

TEST_F(mem, used_ring_taken_away)
{
	unmap_ring_part(self, self->q->drv.used);
}

TEST_F(mem, broken_queue_starts_again_where_memory_came_back)
{
	struct drv *d = &self->q->drv;

	unmap_ring_part(self, d->desc);
	ASSERT_EQ(drv_base_after(d, 1), vdev_get_base(self->r.fd, 0));
	vdev_start(self->r.fd, 0);
	/* The request that was offered while the ring was away. */
	EXPECT_LE(0, rig_complete(self->q, NULL));
	EXPECT_EQ(0, drv_in_flight(d));
}

TEST_F(mem, table_replaced_under_load)
{
	struct vhost_memory *less = gmem_table(&self->r.mem);
	struct hammer h = { 0 };
	int i;

	less->nregions = 2;	/* without the one that no request uses */
	hammer_start(&h, self->q, 16, 512);
	for (i = 0; i < 2000; i++) {
		ASSERT_EQ(0, __vdev_set_mem(self->r.fd, less));
		vdev_set_mem(self->r.fd, &self->r.mem);
		if (i % 200 == 0)
			hammer_wait(&h, 50);
	}
	hammer_wait(&h, 200);
	hammer_stop(&h);
	hammer_drain(&h);
	EXPECT_EQ(0, vdev_get_stats(self->r.fd, 0).error);
	free(less);
}

/* When the call returns the old table is used no more: its memory can go. */
TEST_F(mem, replaced_table_is_used_no_more)
{
	struct rig *r = &self->r;
	struct gmem_region *high = gmem_find(&r->mem, GMEM_HIGH);
	struct vhost_memory *t = gmem_table(&r->mem);
	struct hammer h = { 0 };
	int i;

	hammer_start(&h, self->q, 16, 512);
	for (i = 0; i < 100; i++) {
		u8 *p = mmap(NULL, high->size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		/* HIGH, where the data goes, is elsewhere from here ... */
		ASSERT_NE(MAP_FAILED, p);
		t->regions[1].userspace_addr = (unsigned long)p;
		ASSERT_EQ(0, __vdev_set_mem(r->fd, t));
		hammer_wait(&h, 20);
		/* ... and back, and the memory is gone at once. */
		vdev_set_mem(r->fd, &r->mem);
		ASSERT_EQ(0, munmap(p, high->size));
	}
	hammer_wait(&h, 100);
	hammer_stop(&h);
	hammer_drain(&h);
	EXPECT_EQ(0, vdev_get_stats(r->fd, 0).error);
	free(t);
}

/* ---- a page fault that is never resolved ---- */

/*
 * The child's buffers lie in memory whose faults nobody handles, so its worker
 * hangs in one. Then it is killed.
 */
struct stuck {
	bool uffd_first;	/* opened before the device: closed before it, too */
	int ready;		/* eventfd: the worker took the request */
};

static int open_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd >= 0)
		CHECK(!ioctl(fd, UFFDIO_API, &api), "UFFDIO_API");
	return fd;
}

static void get_stuck(const struct stuck *s)
{
	struct rig_conf conf = { .class = "rng" };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct drv_seg seg = { GMEM_FAR, 64, true };
	struct gmem_region *far;
	struct uffd_msg msg;
	struct rig r;
	int uffd = -1;

	if (s->uffd_first)
		uffd = open_uffd();
	rig_open(&r, &conf);
	if (!s->uffd_first)
		uffd = open_uffd();
	CHECK(uffd >= 0, "userfaultfd");

	far = gmem_find(&r.mem, GMEM_FAR);
	CHECK(mmap(far->hva, far->size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == far->hva,
	      "mmap");
	reg.range.start = (unsigned long)far->hva;
	reg.range.len = far->size;
	CHECK(!ioctl(uffd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER");

	rig_start(&r);
	rig_submit(&r.q[0], &seg, 1);
	/* The fault is there, and stays unanswered. */
	CHECK(read(uffd, &msg, sizeof(msg)) == sizeof(msg), "read of userfaultfd");
	CHECK(msg.event == UFFD_EVENT_PAGEFAULT, "event %u", msg.event);
	ev_signal(s->ready);
	for (;;)
		pause();
}

static void kill_stuck_owner(struct __test_metadata *_metadata, bool uffd_first)
{
	struct stuck s = { .uffd_first = uffd_first, .ready = ev_new() };
	int threads = proc_threads_settle("vkick-rng", 0), fd;
	struct deadline end;
	pid_t pid;

	fd = open_uffd();
	if (fd < 0)
		SKIP(return, "needs userfaultfd for faults of the kernel");
	close(fd);

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		get_stuck(&s);
	ASSERT_TRUE(ev_wait(s.ready, DEADLINE_MS));
	ASSERT_LT(threads, proc_threads_named("vkick-rng"));

	ASSERT_EQ(0, kill(pid, SIGKILL));
	end = deadline_in(GONE_MS);
	while (waitpid(pid, NULL, WNOHANG) != pid) {
		ASSERT_FALSE(deadline_passed(&end))
			TH_LOG("the owner does not die");
	}
	while (proc_threads_named("vkick-rng") != threads) {
		ASSERT_FALSE(deadline_passed(&end))
			TH_LOG("the worker does not die");
	}
}

TEST(owner_killed_in_a_fault_that_nobody_handles_device_opened_first)
{
	kill_stuck_owner(_metadata, false);
}

TEST(owner_killed_in_a_fault_that_nobody_handles_device_opened_last)
{
	kill_stuck_owner(_metadata, true);
}

/* Stuck as well, but the handler goes away instead of the owner. */
TEST(fault_whose_handler_is_closed_goes_on)
{
	struct rig_conf conf = { .class = "rng" };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct drv_seg seg = { GMEM_FAR, 64, true };
	struct gmem_region *far;
	struct uffd_msg msg;
	struct rig r;
	int uffd = open_uffd();

	if (uffd < 0)
		SKIP(return, "needs userfaultfd for faults of the kernel");
	rig_open(&r, &conf);
	far = gmem_find(&r.mem, GMEM_FAR);
	ASSERT_EQ(far->hva, mmap(far->hva, far->size, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	reg.range.start = (unsigned long)far->hva;
	reg.range.len = far->size;
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_REGISTER, &reg));
	rig_start(&r);
	rig_submit(&r.q[0], &seg, 1);
	ASSERT_EQ(sizeof(msg), read(uffd, &msg, sizeof(msg)));
	ASSERT_FALSE(drv_has_used(&r.q[0].drv));
	close(uffd);
	EXPECT_LE(0, rig_complete(&r.q[0], NULL));
	rig_close(&r);
}

TEST_HARNESS_MAIN
