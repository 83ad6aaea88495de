// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty log: the pages that the device wrote to are marked, no other ones, and
 * not before they were written.
 *
 * in:  /dev/vkick-rng, /dev/vkick-null, VHOST_F_LOG_ALL, VHOST_VRING_F_LOG
 * out: the bitmap compared with what was asked for
 */
#include "kselftest_harness.h"

#include "lib/dlog.h"
#include "lib/hammer.h"
#include "lib/rig.h"

#define RNG_MAX	65536U		/* bytes of one request, at most */
/* Where the rings are logged: not where they are, in a page that has nothing else. */
#define LOGGED	(GMEM_FAR + 0x80ff4)

FIXTURE(log)
{
	struct rig r;
	struct vq *q;
	struct dlog l;
	int fd;			/* log eventfd */
};

FIXTURE_VARIANT(log)
{
	u64 features;
	enum drv_layout layout;
};

FIXTURE_VARIANT_ADD(log, split) { 0, DRV_DIRECT };
FIXTURE_VARIANT_ADD(log, split_indirect_event_idx) {
	F_INDIRECT | F_EVENT_IDX, DRV_INDIRECT };
FIXTURE_VARIANT_ADD(log, packed) { F_PACKED, DRV_DIRECT };
FIXTURE_VARIANT_ADD(log, packed_indirect_event_idx) {
	F_PACKED | F_INDIRECT | F_EVENT_IDX, DRV_INDIRECT };

static void open_logged(FIXTURE_DATA(log) *self, const struct rig_conf *conf)
{
	rig_attach(&self->r, conf->class);
	self->q = &self->r.q[0];
	self->l = dlog_new(&self->r.mem);
	self->fd = ev_new();
	vdev_set_log_base(self->r.fd, self->l.bits);
	vdev_set_log_fd(self->r.fd, self->fd);
	vdev_set_features(self->r.fd, self->r.features | F_LOG_ALL);
}

FIXTURE_SETUP(log)
{
	struct rig_conf conf = {
		.class = "rng",
		.features = variant->features,
		.layout = variant->layout,
		.num = 1024,	/* so that a ring has pages that are not written */
	};

	rig_lay_out(&self->r, &conf);
	open_logged(self, &conf);
}

FIXTURE_TEARDOWN(log)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
	rig_close(&self->r);
}

/* One request, after which nothing more of it is marked. */
static u32 request(FIXTURE_DATA(log) *self, const struct drv_seg *segs, u32 nr)
{
	u32 len;

	dlog_clear(&self->l);
	len = rig_round_trip(self->q, segs, nr);
	/* Waits for the end of the pass. */
	vdev_get_stats(self->r.fd, 0);
	return len;
}

/* ---- buffers ---- */

TEST_F(log, pages_of_a_written_buffer_are_marked_and_no_others)
{
	static const struct dlog_range bufs[] = {
		{ GMEM_HIGH, 1 },
		{ GMEM_HIGH + 4095, 1 },
		{ GMEM_HIGH + 4095, 2 },
		{ GMEM_HIGH + 4096, 4096 },
		{ GMEM_HIGH + 4096, 4097 },
		{ GMEM_HIGH + 100, 12000 },
		{ GMEM_HIGH + 63 * 4096, 8192 },	/* over two words */
		{ GMEM_BORDER - 1, 2 },			/* over two regions */
		{ GMEM_BORDER - 5000, 10000 },
		{ GMEM_HOLE - 3, 3 },
		{ GMEM_FAR, 65536 },
		{ GMEM_FAR + GMEM_FAR_SIZE - 1, 1 },	/* the last bit that counts */
	};
	size_t i;

	rig_start(&self->r);
	for (i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++) {
		struct drv_seg s = { bufs[i].gpa, bufs[i].len, true };

		ASSERT_EQ(s.len, request(self, &s, 1));
		EXPECT_TRUE(dlog_exact(&self->l, &bufs[i], 1)) TH_LOG("case %zu", i);
	}
}

TEST_F(log, scattered_buffers)
{
	struct drv_seg s[] = {
		{ GMEM_FAR + 0x1000, 4096, false },	/* read: not marked */
		{ GMEM_HIGH + 0x3ffe, 4, true },
		{ GMEM_FAR + 0x9010, 8192, true },
		{ GMEM_HIGH + 0x80000, 1, true },
	};
	struct dlog_range must[] = {
		{ s[1].gpa, s[1].len }, { s[2].gpa, s[2].len }, { s[3].gpa, s[3].len },
	};

	rig_start(&self->r);
	ASSERT_EQ(8197, request(self, s, 4));
	EXPECT_TRUE(dlog_exact(&self->l, must, 3));
}

TEST_F(log, what_is_offered_and_not_written_is_not_marked)
{
	struct drv_seg s = { GMEM_HIGH + 0x800, GMEM_HIGH_SIZE - 0x800, true };
	struct dlog_range must = { s.gpa, RNG_MAX };

	rig_start(&self->r);
	ASSERT_EQ(RNG_MAX, request(self, &s, 1));
	EXPECT_TRUE(dlog_exact(&self->l, &must, 1));
}

/* The request fails in the middle, but memory has changed. */
TEST_F(log, what_was_written_before_a_fault_is_marked)
{
	struct drv_seg s = { GMEM_FAR + 0x4000, 0x4000, true };
	u8 *gone = gmem_ptr(&self->r.mem, GMEM_FAR + 0x6000, GMEM_PAGE);
	struct gmem_shot shot = gmem_shoot(&self->r.mem, GMEM_FAR + 0x4000, 0x2000);

	rig_start(&self->r);
	ASSERT_EQ(0, mprotect(gone, GMEM_PAGE, PROT_NONE));
	rig_submit(self->q, &s, 1);
	EXPECT_EQ(EFAULT, rig_wait_broken(&self->r, self->q));
	ASSERT_EQ(0, mprotect(gone, GMEM_PAGE, PROT_READ | PROT_WRITE));
	EXPECT_TRUE(gmem_same(&self->r.mem, &shot) ||
		    dlog_marked(&self->l, GMEM_FAR + 0x4000));
	shot.gpa += GMEM_PAGE;
	shot.len -= GMEM_PAGE;
	memmove(shot.copy, shot.copy + GMEM_PAGE, GMEM_PAGE);
	EXPECT_TRUE(gmem_same(&self->r.mem, &shot) ||
		    dlog_marked(&self->l, GMEM_FAR + 0x5000));
	gmem_shot_free(&shot);
}

TEST_F(log, guest_address_near_2_to_the_40)
{
	struct rig_conf conf = {
		.class = "rng",
		.features = variant->features,
		.layout = variant->layout,
	};
	const u64 top = 1ULL << 40;
	struct drv_seg s = { top - 3 * GMEM_PAGE - 1, 4 * GMEM_PAGE + 2, true };
	struct dlog_range must = { s.gpa, s.len };

	rig_close(&self->r);
	rig_lay_out(&self->r, &conf);
	gmem_add(&self->r.mem, top - 0x10000, 0x20000);
	open_logged(self, &conf);
	rig_start(&self->r);
	ASSERT_EQ(s.len, request(self, &s, 1));
	EXPECT_TRUE(dlog_exact(&self->l, &must, 1));
}

TEST(null_marks_nothing)
{
	struct rig_conf conf = { .class = "null" };
	FIXTURE_DATA(log) s;
	int i;

	rig_lay_out(&s.r, &conf);
	open_logged(&s, &conf);
	rig_start(&s.r);
	for (i = 0; i < 20; i++)
		rig_ping(s.q);
	EXPECT_EQ(0, dlog_count(&s.l));
	rig_close(&s.r);
}

/* ---- the feature ---- */

TEST_F(log, without_the_feature_nothing_is_marked)
{
	struct drv_seg s = { GMEM_HIGH, 4096, true };
	struct dlog_range must = { s.gpa, s.len };
	struct rig *r = &self->r;
	int i;

	rig_start(r);
	/* It may come and go while the queue runs, as a migration does. */
	for (i = 0; i < 20; i++) {
		vdev_set_features(r->fd, r->features);
		request(self, &s, 1);
		EXPECT_EQ(0, dlog_count(&self->l));
		vdev_set_features(r->fd, r->features | F_LOG_ALL);
		request(self, &s, 1);
		EXPECT_TRUE(dlog_exact(&self->l, &must, 1));
	}
}

TEST_F(log, feature_comes_and_goes_under_load)
{
	struct rig *r = &self->r;
	struct hammer h = { 0 };
	int i;

	rig_start(r);
	hammer_start(&h, self->q, 16, 512);
	for (i = 0; i < 1000; i++) {
		vdev_set_features(r->fd, r->features | (i % 2 ? F_LOG_ALL : 0));
		if (i % 100 == 0)
			hammer_wait(&h, 30);
		if (i % 2 == 0)
			continue;
		/* All of what comes from here on. */
		if (i % 100 == 1) {
			dlog_clear(&self->l);
			hammer_wait(&h, GMEM_HIGH_SIZE / 512 + 32);
			EXPECT_EQ(GMEM_HIGH_SIZE / GMEM_PAGE,
				  dlog_count(&self->l));
		}
	}
	hammer_wait(&h, 100);
	hammer_stop(&h);
	hammer_drain(&h);
	EXPECT_EQ(0, vdev_get_stats(r->fd, 0).error);
}

/* ---- rings ---- */

/* What one request with one buffer in HIGH marks of the ring's own. */
static void check_ring_marks(struct __test_metadata *_metadata,
			     FIXTURE_DATA(log) *self, int i)
{
	struct drv *d = &self->q->drv;
	struct dlog_range may[] = {
		{ GMEM_HIGH, 64 },
		{ LOGGED, drv_used_bytes(d) },
		{ d->desc_gpa, 16UL * d->num },
	};

	EXPECT_TRUE(dlog_marked(&self->l, GMEM_HIGH));
	/* A split ring's descriptors are the driver's. */
	EXPECT_TRUE(dlog_within(&self->l, may, d->packed ? 3 : 2));
	if (d->packed) {
		EXPECT_TRUE(dlog_marked(&self->l, d->desc_gpa + 16 * (i % d->num)))
			TH_LOG("descriptor of request %d", i);
		/* The buffer; the descriptor; the device area, where it was written. */
		EXPECT_GE(4, dlog_count(&self->l));
	} else {
		u64 elem = LOGGED + 4 + 8 * (i % d->num);

		EXPECT_TRUE(dlog_marked(&self->l, LOGGED + 2));
		EXPECT_TRUE(dlog_marked(&self->l, elem));
		EXPECT_TRUE(dlog_marked(&self->l, elem + 7));
		/* The buffer; index; element; avail_event. */
		EXPECT_GE(5, dlog_count(&self->l));
	}
}

TEST_F(log, ring_writes_are_marked_at_log_guest_addr)
{
	struct drv_seg s = { GMEM_HIGH, 64, true };
	struct drv *d = &self->q->drv;
	u32 i;

	vdev_set_addr_logged(self->r.fd, 0, d, LOGGED);
	rig_start(&self->r);
	/* Twice round the ring. */
	for (i = 0; i < 2 * d->num; i++) {
		request(self, &s, 1);
		check_ring_marks(_metadata, self, i);
	}
}

/* With EVENT_IDX (packed: without as well) the device asks for kicks in the ring. */
TEST_F(log, what_the_device_tells_the_driver_is_marked)
{
	struct drv_seg s = { GMEM_HIGH, 64, true };
	struct drv *d = &self->q->drv;
	struct gmem_shot shot;
	size_t bytes = drv_used_bytes(d);
	int i;

	vdev_set_addr_logged(self->r.fd, 0, d, LOGGED);
	rig_start(&self->r);
	for (i = 0; i < 50; i++) {
		size_t b;

		shot = gmem_shoot(&self->r.mem, d->used_gpa, bytes);
		request(self, &s, 1);
		for (b = 0; b < bytes; b++) {
			u8 now = *(u8 *)gmem_ptr(&self->r.mem, d->used_gpa + b, 1);

			ASSERT_TRUE(now == shot.copy[b] ||
				    dlog_marked(&self->l, LOGGED + b))
				TH_LOG("byte %zu of the device area", b);
		}
		gmem_shot_free(&shot);
	}
}

TEST_F(log, ring_is_not_marked_without_its_flag)
{
	struct drv_seg s = { GMEM_HIGH, 64, true };
	struct dlog_range must = { s.gpa, s.len };
	int i;

	rig_start(&self->r);
	for (i = 0; i < 20; i++) {
		request(self, &s, 1);
		EXPECT_TRUE(dlog_exact(&self->l, &must, 1));
	}
}

/* ---- the eventfd ---- */

TEST_F(log, eventfd_is_signalled_after_the_marks_are_there)
{
	struct rig *r = &self->r;
	int i;

	rig_start(r);
	for (i = 0; i < 100; i++) {
		struct drv_seg s = { GMEM_HIGH + i * GMEM_PAGE, 64, true };
		struct dlog_range must = { s.gpa, s.len };

		rig_submit(self->q, &s, 1);
		ASSERT_TRUE(ev_wait(self->fd, DEADLINE_MS));
		ASSERT_TRUE(dlog_exact(&self->l, &must, 1));
		ASSERT_LE(0, rig_complete(self->q, NULL));
		vdev_get_stats(r->fd, 0);
		ev_take(self->fd);
		dlog_clear(&self->l);
	}
	vdev_set_features(r->fd, r->features);
	rig_ping(self->q);
	vdev_get_stats(r->fd, 0);
	EXPECT_EQ(0, ev_take(self->fd));
}

TEST_F(log, eventfd_may_be_closed_swapped_and_taken_away)
{
	struct drv_seg s = { GMEM_HIGH, 4096, true };
	struct dlog_range must = { s.gpa, s.len };
	int fd = ev_new(), i;

	rig_start(&self->r);
	for (i = 0; i < 20; i++) {
		vdev_set_log_fd(self->r.fd, i % 3 ? fd : self->fd);
		if (i == 10)
			close(self->fd);
		request(self, &s, 1);
		EXPECT_TRUE(dlog_exact(&self->l, &must, 1));
		if (i > 10)
			self->fd = fd;
	}
	vdev_set_log_fd(self->r.fd, -1);
	close(fd);
	request(self, &s, 1);
	EXPECT_TRUE(dlog_exact(&self->l, &must, 1));
}

TEST_HARNESS_MAIN
