// SPDX-License-Identifier: GPL-2.0
/*
 * VHOST_F_LOG_ALL, SET_LOG_BASE, SET_LOG_FD and the log's part of SET_VRING_ADDR:
 * what is taken, what is refused, and what it costs the owner.
 *
 * in:  /dev/vkick-rng
 * out: EFAULT, ENOMEM, EINVAL, EOPNOTSUPP, EBADF, EPERM where <linux/vkick.h> says
 *      so; what was refused leaves the device as it was
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "lib/dlog.h"
#include "lib/hammer.h"
#include "lib/rig.h"

FIXTURE(log)
{
	struct rig r;
	struct vq *q;
	struct dlog l;
	u64 plain, logged;	/* features without and with VHOST_F_LOG_ALL */
};

FIXTURE_SETUP(log)
{
	struct rig_conf conf = { .class = "rng" };

	rig_open(&self->r, &conf);
	self->q = &self->r.q[0];
	self->l = dlog_new(&self->r.mem);
	self->plain = self->r.features;
	self->logged = self->r.features | F_LOG_ALL;
}

FIXTURE_TEARDOWN(log)
{
	rig_close(&self->r);
}

static int start(FIXTURE_DATA(log) *self)
{
	return __vdev_set_running(self->r.fd, 0, 1);
}

static int set_features(FIXTURE_DATA(log) *self, u64 features)
{
	return __vdev_set_features(self->r.fd, features);
}

/* Of a stopped queue, both calls may look at the log: one of them must refuse. */
static int start_logged(FIXTURE_DATA(log) *self)
{
	return set_features(self, self->logged) ?: start(self);
}

/* A request's page is marked, in the log that @self has. */
static bool logs(FIXTURE_DATA(log) *self)
{
	struct drv_seg s = { GMEM_HIGH, 64, true };

	dlog_clear(&self->l);
	rig_round_trip(self->q, &s, 1);
	vdev_get_stats(self->r.fd, 0);
	return dlog_marked(&self->l, GMEM_HIGH);
}

/* ---- the feature ---- */

TEST_F(log, feature_is_offered)
{
	EXPECT_EQ(F_LOG_ALL, vdev_get_features(self->r.fd) & F_LOG_ALL);
}

TEST_F(log, start_without_a_log_is_efault)
{
	EXPECT_EQ(0, set_features(self, self->logged));
	EXPECT_EQ(-EFAULT, start(self));
	EXPECT_EQ(0, vdev_get_stats(self->r.fd, 0).running);
	vdev_set_log_base(self->r.fd, self->l.bits);
	EXPECT_EQ(0, start(self));
	EXPECT_TRUE(logs(self));
}

TEST_F(log, feature_without_a_log_while_running_is_efault)
{
	rig_start(&self->r);
	EXPECT_EQ(-EFAULT, set_features(self, self->logged));
	/* Nothing has changed: it serves, and marks nothing once there is a log. */
	vdev_set_log_base(self->r.fd, self->l.bits);
	EXPECT_FALSE(logs(self));
	EXPECT_EQ(0, set_features(self, self->logged));
	EXPECT_TRUE(logs(self));
}

/* The only one that may change while a queue runs, and only by itself. */
TEST_F(log, other_features_stay_ebusy_while_running)
{
	vdev_set_log_base(self->r.fd, self->l.bits);
	rig_start(&self->r);
	EXPECT_EQ(0, set_features(self, self->logged));
	EXPECT_EQ(-EBUSY, set_features(self, self->plain | F_EVENT_IDX));
	EXPECT_EQ(-EBUSY, set_features(self, self->logged | F_INDIRECT));
	EXPECT_EQ(-EBUSY, set_features(self, 0));
	EXPECT_TRUE(logs(self));
	EXPECT_EQ(0, set_features(self, self->plain));
	EXPECT_FALSE(logs(self));
}

TEST_F(log, reset_owner_forgets_the_log)
{
	vdev_set_log_base(self->r.fd, self->l.bits);
	ASSERT_EQ(0, set_features(self, self->logged));
	vdev_reset_owner(self->r.fd);
	rig_configure(&self->r);
	ASSERT_EQ(0, set_features(self, self->logged));
	EXPECT_EQ(-EFAULT, start(self));
}

/* ---- SET_LOG_BASE ---- */

TEST_F(log, base_that_is_no_user_memory_is_efault)
{
	static const u64 bad[] = { 0xffff888000000000, 0xffffffff80000000,
				   0x8000000000000000, ~0ULL };
	size_t i;

	vdev_set_log_base(self->r.fd, self->l.bits);
	ASSERT_EQ(0, set_features(self, self->logged));
	rig_start(&self->r);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(-EFAULT, __vdev_set_log_base(self->r.fd, (void *)bad[i]))
			TH_LOG("0x%llx", (unsigned long long)bad[i]);
		EXPECT_TRUE(logs(self));
	}
	EXPECT_EQ(-EFAULT, __vdev_ioctl(self->r.fd, VHOST_SET_LOG_BASE, NULL));
	EXPECT_EQ(-EFAULT, __vdev_ioctl(self->r.fd, VHOST_SET_LOG_BASE,
					(void *)-4096L));
	EXPECT_TRUE(logs(self));
}

/* Takes a page out of the log, at the byte that stands for @gpa. */
static u8 *log_page(FIXTURE_DATA(log) *self, u64 gpa)
{
	return (u8 *)self->l.bits + (gpa / GMEM_PAGE / 8 & ~(GMEM_PAGE - 1));
}

enum how { UNMAPPED, NO_ACCESS, READ_ONLY };

static void spoil(u8 *page, enum how how)
{
	if (how == UNMAPPED)
		CHECK(!munmap(page, GMEM_PAGE), "munmap");
	else
		CHECK(!mprotect(page, GMEM_PAGE,
				how == NO_ACCESS ? PROT_NONE : PROT_READ),
		      "mprotect");
}

static void mend(u8 *page, enum how how)
{
	if (how == UNMAPPED)
		CHECK(mmap(page, GMEM_PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page,
		      "mmap");
	else
		CHECK(!mprotect(page, GMEM_PAGE, PROT_READ | PROT_WRITE),
		      "mprotect");
}

TEST_F(log, that_does_not_cover_a_region_is_efault_at_the_start)
{
	u8 *page = log_page(self, GMEM_FAR);
	enum how how;

	for (how = UNMAPPED; how <= READ_ONLY; how++) {
		spoil(page, how);
		vdev_set_log_base(self->r.fd, self->l.bits);
		EXPECT_EQ(-EFAULT, start_logged(self)) TH_LOG("way %d", how);
		EXPECT_EQ(0, vdev_get_stats(self->r.fd, 0).running);
		mend(page, how);
		EXPECT_EQ(0, start_logged(self)) TH_LOG("way %d", how);
		EXPECT_TRUE(logs(self));
		rig_stop(&self->r);
		ASSERT_EQ(0, set_features(self, self->plain));
	}
}

TEST_F(log, that_does_not_cover_a_region_is_efault_at_set_features)
{
	u8 *page = log_page(self, GMEM_FAR);
	enum how how;

	rig_start(&self->r);
	for (how = UNMAPPED; how <= READ_ONLY; how++) {
		spoil(page, how);
		vdev_set_log_base(self->r.fd, self->l.bits);
		EXPECT_EQ(-EFAULT, set_features(self, self->logged))
			TH_LOG("way %d", how);
		mend(page, how);
		EXPECT_FALSE(logs(self));
		EXPECT_EQ(0, set_features(self, self->logged));
		EXPECT_TRUE(logs(self));
		ASSERT_EQ(0, set_features(self, self->plain));
	}
}

/* Only the parts that stand for memory need be there. */
TEST_F(log, may_have_holes_where_memory_has)
{
	u8 *far = log_page(self, GMEM_FAR), *p;

	for (p = log_page(self, GMEM_LOW) + GMEM_PAGE; p < far; p += GMEM_PAGE)
		spoil(p, UNMAPPED);
	vdev_set_log_base(self->r.fd, self->l.bits);
	ASSERT_EQ(0, set_features(self, self->logged));
	EXPECT_EQ(0, start(self));
	rig_ping(self->q);	/* in FAR */
	vdev_get_stats(self->r.fd, 0);
	EXPECT_EQ(1, *(far + (GMEM_FAR / GMEM_PAGE / 8) % GMEM_PAGE) & 1);
}

TEST_F(log, bad_base_under_load_leaves_the_old_one)
{
	struct hammer h = { 0 };
	struct dlog bad = dlog_new(&self->r.mem);
	int i;

	/* Not unmapped: a thread's stack might come to lie there. */
	ASSERT_EQ(0, mprotect(bad.bits, bad.bytes, PROT_NONE));
	vdev_set_log_base(self->r.fd, self->l.bits);
	ASSERT_EQ(0, set_features(self, self->logged));
	rig_start(&self->r);
	hammer_start(&h, self->q, 16, 512);
	for (i = 0; i < 200; i++) {
		EXPECT_EQ(-EFAULT, __vdev_set_log_base(self->r.fd, bad.bits));
		if (i % 20 == 0)
			hammer_wait(&h, 20);
	}
	hammer_stop(&h);
	hammer_drain(&h);
	EXPECT_TRUE(logs(self));
}

/* ---- SET_MEM_TABLE ---- */

TEST_F(log, table_that_the_log_does_not_cover_is_efault_while_running)
{
	struct vhost_memory *t = gmem_table(&self->r.mem);

	vdev_set_log_base(self->r.fd, self->l.bits);
	ASSERT_EQ(0, set_features(self, self->logged));
	rig_start(&self->r);
	/* The same memory, a terabyte further up, for which there is no bit. */
	t->regions[2].guest_phys_addr = 1ULL << 46;
	EXPECT_EQ(-EFAULT, __vdev_set_mem(self->r.fd, t));
	rig_ping(self->q);		/* by the old table */
	EXPECT_TRUE(logs(self));
	ASSERT_EQ(0, set_features(self, self->plain));
	EXPECT_EQ(0, __vdev_set_mem(self->r.fd, t));
	free(t);
}

/* Its bitmap would be past the end of all addresses. */
TEST_F(log, region_at_the_last_guest_address_has_no_log)
{
	struct vhost_memory *t = gmem_table(&self->r.mem);

	t->regions[2].guest_phys_addr = 0ULL - GMEM_FAR_SIZE;
	vdev_set_log_base(self->r.fd, self->l.bits);
	ASSERT_EQ(0, __vdev_set_mem(self->r.fd, t));
	EXPECT_EQ(-EFAULT, start_logged(self));
	vdev_set_mem(self->r.fd, &self->r.mem);
	EXPECT_EQ(0, start_logged(self));
	EXPECT_TRUE(logs(self));
	free(t);
}

/* ---- RLIMIT_MEMLOCK ---- */

/* Memory of this process that is locked or pinned, in KiB. */
static long locked_kib(void)
{
	return proc_labelled("/proc/self/status", "VmLck") +
	       proc_labelled("/proc/self/status", "VmPin");
}

TEST_F(log, is_locked_memory_while_the_feature_is_on)
{
	long before = locked_kib(), on;
	int i;

	rig_start(&self->r);
	for (i = 0; i < 50; i++) {
		vdev_set_log_base(self->r.fd, self->l.bits);
		EXPECT_EQ(before, locked_kib());
		ASSERT_EQ(0, set_features(self, self->logged));
		on = locked_kib();
		/* A page for the two low regions, and one for the far one. */
		EXPECT_LE(before + 8, on);
		EXPECT_GE(before + (long)(self->l.bytes >> 10), on);
		/* A new one in place of the old one, not beside it. */
		vdev_set_log_base(self->r.fd, self->l.bits);
		vdev_set_mem(self->r.fd, &self->r.mem);
		EXPECT_EQ(on, locked_kib());
		ASSERT_EQ(0, set_features(self, self->plain));
		EXPECT_EQ(before, locked_kib());
	}
	ASSERT_EQ(0, set_features(self, self->logged));
	vdev_reset_owner(self->r.fd);
	EXPECT_EQ(before, locked_kib());
	vdev_set_owner(self->r.fd);
}

#define NOBODY	65534

/* In a child: owns a device as nobody, with @arg bytes that it may lock. */
static int log_within_limit(void *arg)
{
	struct rig_conf conf = { .class = "rng" };
	struct rlimit limit = { *(long *)arg, *(long *)arg };
	struct dlog l;
	struct rig r;
	int err;

	rig_lay_out(&r, &conf);
	r.fd = vdev_open("rng");
	CHECK(!setrlimit(RLIMIT_MEMLOCK, &limit), "RLIMIT_MEMLOCK");
	/* Root may lock what it likes. */
	CHECK(!setresuid(NOBODY, NOBODY, NOBODY), "setresuid");
	rig_attach_fd(&r);
	l = dlog_new(&r.mem);
	vdev_set_log_base(r.fd, l.bits);
	rig_start(&r);
	err = __vdev_set_features(r.fd, r.features | F_LOG_ALL);
	rig_ping(&r.q[0]);	/* whatever it said */
	rig_close(&r);
	return err;
}

TEST(log_past_rlimit_memlock_is_enomem)
{
	long none = 0, enough = 1 << 20;

	if (geteuid())
		SKIP(return, "needs root");
	EXPECT_EQ(-ENOMEM, in_child(log_within_limit, &none));
	EXPECT_EQ(0, in_child(log_within_limit, &enough));
}

/* ---- SET_LOG_FD ---- */

TEST_F(log, fd_is_an_eventfd_or_minus_1)
{
	int closed = ev_new(), null = open("/dev/null", O_RDWR), good = ev_new();
	struct drv_seg s = { GMEM_HIGH, 64, true };

	close(closed);
	vdev_set_log_base(self->r.fd, self->l.bits);
	ASSERT_EQ(0, set_features(self, self->logged));
	vdev_set_log_fd(self->r.fd, good);
	EXPECT_EQ(-EBADF, __vdev_set_log_fd(self->r.fd, closed));
	EXPECT_EQ(-EBADF, __vdev_set_log_fd(self->r.fd, 1 << 20));
	EXPECT_EQ(-EBADF, __vdev_set_log_fd(self->r.fd, -2));
	EXPECT_EQ(-EINVAL, __vdev_set_log_fd(self->r.fd, null));
	EXPECT_EQ(-EINVAL, __vdev_set_log_fd(self->r.fd, self->r.fd));
	EXPECT_EQ(-EFAULT, __vdev_ioctl(self->r.fd, VHOST_SET_LOG_FD, NULL));
	/* The good one stayed. */
	rig_start(&self->r);
	rig_submit(self->q, &s, 1);
	EXPECT_TRUE(ev_wait(good, DEADLINE_MS));
	rig_complete(self->q, NULL);
	EXPECT_EQ(0, __vdev_set_log_fd(self->r.fd, -1));
	EXPECT_EQ(0, __vdev_set_log_fd(self->r.fd, -1));
	ev_take(good);
	EXPECT_TRUE(logs(self));
	EXPECT_EQ(0, ev_take(good));
}

/* By the end of its ownership, and by the end of the device. */
TEST_F(log, eventfd_goes_with_the_owner)
{
	int id = ev_id(ev_new()), i;

	for (i = 0; i < 150; i++) {
		int fd = ev_new(), dev = vdev_open("null");

		vdev_set_owner(dev);
		vdev_set_log_fd(dev, fd);
		if (i % 2)
			vdev_reset_owner(dev);
		close(fd);
		close(dev);
	}
	EXPECT_GT(id + 50, ev_id(ev_new()));
}

/* ---- SET_VRING_ADDR ---- */

TEST_F(log, ring_log_address_is_4_byte_aligned)
{
	struct drv *d = &self->q->drv;
	int off;

	for (off = 0; off < 16; off++)
		EXPECT_EQ(off % 4 ? -EINVAL : 0,
			  __vdev_set_addr_logged(self->r.fd, 0, d,
						 d->used_gpa + off))
			TH_LOG("offset %d", off);
}

/* For the ring as for memory: there has to be a bit for each page of it. */
TEST_F(log, ring_log_address_that_the_log_does_not_cover_is_efault)
{
	struct drv *d = &self->q->drv;
	static const u64 bad[] = { 1ULL << 46, 1ULL << 62, 0ULL - 4 };
	size_t i;

	vdev_set_log_base(self->r.fd, self->l.bits);
	ASSERT_EQ(0, set_features(self, self->logged));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int err = __vdev_set_addr_logged(self->r.fd, 0, d, bad[i]);

		if (!err)
			err = start(self);
		EXPECT_TRUE(err == -EFAULT || err == -EINVAL)
			TH_LOG("0x%llx: %d", (unsigned long long)bad[i], err);
	}
	vdev_set_addr_logged(self->r.fd, 0, d, d->used_gpa);
	EXPECT_EQ(0, start(self));
	EXPECT_TRUE(logs(self));
}

/* ---- who may call ---- */

static int child_base(void *fd)
{
	return __vdev_set_log_base(*(int *)fd, NULL);
}

static int child_fd(void *fd)
{
	return __vdev_set_log_fd(*(int *)fd, -1);
}

TEST_F(log, another_process_is_eperm)
{
	EXPECT_EQ(-EPERM, in_child(child_base, &self->r.fd));
	EXPECT_EQ(-EPERM, in_child(child_fd, &self->r.fd));
	vdev_reset_owner(self->r.fd);
	EXPECT_EQ(-EPERM, child_base(&self->r.fd));
	EXPECT_EQ(-EPERM, child_fd(&self->r.fd));
}

TEST_HARNESS_MAIN
