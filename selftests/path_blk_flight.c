// SPDX-License-Identifier: GPL-2.0
/*
 * 256 disk requests in flight, which the medium will complete by and by from timer
 * interrupts, and then something happens: stop, RESET_OWNER, close, kill -9, a broken queue,
 * another memory table, a dirty log.
 *
 * in:  /dev/vkick-blk over a null_blk device with a latency
 * out: the stop guarantee; no page stays pinned; what is read, is where it belongs
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <signal.h>

#include "lib/disk.h"
#include "lib/dlog.h"

#define DEPTH		256
#define DELAY_MS	250
#define LATE_MS		(DELAY_MS + 3 * QUIET_MS)
#define MS		1000000ULL
#define SECTORS		8U	/* of each request */

FIXTURE(flight)
{
	struct disk d;
	struct vq *q;
};

FIXTURE_VARIANT(flight)
{
	struct disk_conf conf;
};

#define CONF(...)	{ .conf = { BACKING_NULL, .direct = true, .delay_ms = DELAY_MS, \
				    .num = 1024, .max_segs = 8, __VA_ARGS__ } }
FIXTURE_VARIANT_ADD(flight, split) CONF(.features = 0);
FIXTURE_VARIANT_ADD(flight, packed_event_idx_in_order)
CONF(.features = F_PACKED | F_EVENT_IDX | F_IN_ORDER);

FIXTURE_SETUP(flight)
{
	disk_open(&self->d, &variant->conf);
	self->q = &self->d.r.q[0];
	disk_file_put_pattern(&self->d, 0, DEPTH * SECTORS, 1);
	disk_start(&self->d);
}

FIXTURE_TEARDOWN(flight)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->d.r.mem));
	disk_close(&self->d);
}

static void offer_reads(struct disk *d, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++) {
		struct drv_seg s = { DISK_BUF + i * SECTORS * SECTOR, SECTORS * SECTOR, true };
		struct disk_req req = { VIRTIO_BLK_T_IN, i * SECTORS, &s, 1 };

		CHECK(disk_add(d, 0, &req) >= 0, "full");
	}
	drv_publish(&d->r.q[0].drv);
	drv_wants_kick(&d->r.q[0].drv);
	ev_signal(d->r.q[0].kick);
}

/*
 * @n reads that the worker has taken up, none of them done. A machine so slow that the
 * first is done before the last is taken up tries again.
 */
static void get_in_flight(struct disk *d, u32 n)
{
	struct deadline end = deadline_in(2 * DEADLINE_MS);
	u8 status;
	u32 i;

again:
	gmem_fill(&d->r.mem, DISK_BUF, 0x33, DISK_BUF_SIZE);
	offer_reads(d, n);
	while (vdev_get_stats(d->r.fd, 0).in_flight != n) {
		CHECK(!deadline_passed(&end), "%llu in flight",
		      (unsigned long long)vdev_get_stats(d->r.fd, 0).in_flight);
		if (!drv_has_used(&d->r.q[0].drv))
			continue;
		for (i = 0; i < n; i++)
			disk_take(d, 0, &status, NULL);
		goto again;
	}
}

/* Whether nothing is written or signalled from now on. */
static bool stays_quiet(struct disk *d)
{
	struct gmem_shot low = gmem_shoot(&d->r.mem, GMEM_LOW, 0x40000);
	struct gmem_shot high = gmem_shoot(&d->r.mem, DISK_BUF, DISK_BUF_SIZE);
	bool quiet;

	ev_take(d->r.q[0].call);
	quiet = !ev_wait(d->r.q[0].call, LATE_MS) && gmem_same(&d->r.mem, &low) &&
		gmem_same(&d->r.mem, &high);
	gmem_shot_free(&low);
	gmem_shot_free(&high);
	return quiet;
}

static u32 take_back_good(struct disk *d)
{
	u8 status;
	u32 n = 0;

	while (disk_poll(d, 0, &status, NULL) >= 0) {
		CHECK(status == VIRTIO_BLK_S_OK, "status %u", status);
		n++;
	}
	return n;
}

TEST_F(flight, all_at_once_take_as_long_as_one)
{
	struct disk *d = &self->d;
	u64 start = now_ns();
	u8 status;
	u32 i;

	get_in_flight(d, DEPTH);
	for (i = 0; i < DEPTH; i++) {
		disk_take(d, 0, &status, NULL);
		ASSERT_EQ(VIRTIO_BLK_S_OK, status);
	}
	EXPECT_LE(DELAY_MS * MS, now_ns() - start);
	EXPECT_GT(DEPTH * DELAY_MS * MS / 4, now_ns() - start);
	EXPECT_TRUE(disk_has_pattern(d, DISK_BUF, 0, DEPTH * SECTORS, 1));
}

TEST_F(flight, stop_waits_for_them)
{
	struct disk *d = &self->d;
	int round;

	for (round = 1; round <= 2; round++) {
		get_in_flight(d, DEPTH);
		disk_stop(d);
		EXPECT_EQ(0, vdev_get_stats(d->r.fd, 0).in_flight);
		EXPECT_TRUE(disk_pins_gone(d));
		EXPECT_TRUE(stays_quiet(d));
		EXPECT_EQ(DEPTH, take_back_good(d));
		EXPECT_TRUE(disk_has_pattern(d, DISK_BUF, 0, DEPTH * SECTORS, 1));
		EXPECT_EQ(vdev_get_base(d->r.fd, 0), drv_base(&self->q->drv));
		disk_start(d);
	}
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_rw(d, VIRTIO_BLK_T_IN, 0, DISK_BUF, 512));
}

static void end_in_flight(struct __test_metadata *_metadata, struct disk *d, bool by_close)
{
	int file;

	get_in_flight(d, DEPTH);
	if (by_close)
		close(d->r.fd);
	else
		vdev_reset_owner(d->r.fd);
	EXPECT_EQ(0, proc_threads_settle("vkick-blk-", 0));
	EXPECT_TRUE(disk_pins_gone(d));
	EXPECT_TRUE(stays_quiet(d));
	/* The backing is nobody's: it can be taken apart, or had exclusively. */
	close(d->check);
	file = open(d->b.path, O_RDWR | O_EXCL | O_DIRECT | O_CLOEXEC);
	EXPECT_LE(0, file);
	d->check = file;
	if (by_close)
		d->r.fd = -1;
}

TEST_F(flight, reset_owner_leaves_nothing)
{
	end_in_flight(_metadata, &self->d, false);
}

TEST_F(flight, close_leaves_nothing)
{
	end_in_flight(_metadata, &self->d, true);
}

TEST_F(flight, kill_9_leaves_nothing)
{
	struct disk *d = &self->d;
	int ready = ev_new();
	struct deadline gone;
	pid_t pid;

	/* The parent lays out, the child owns. */
	close(d->r.fd);
	d->r.fd = -1;
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		d->r.fd = vdev_open("blk");
		disk_attach(d);
		vdev_set_file(d->r.fd, d->check);
		disk_start(d);
		get_in_flight(d, DEPTH);
		ev_signal(ready);
		for (;;)
			pause();
	}
	ASSERT_TRUE(ev_wait(ready, DEADLINE_MS));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	gone = deadline_in(GONE_MS);
	while (proc_threads_named("vkick-blk-")) {
		ASSERT_FALSE(deadline_passed(&gone));
	}
	EXPECT_TRUE(disk_pins_gone(d));
	EXPECT_TRUE(stays_quiet(d));
}

TEST_F(flight, queue_that_breaks_is_quiet_once_it_is_stopped)
{
	struct disk *d = &self->d;
	struct vkick_stats s;

	get_in_flight(d, 64);
	drv_break(&self->q->drv);
	ev_signal(self->q->kick);
	EXPECT_EQ(EINVAL, rig_wait_broken(&d->r, self->q));
	disk_stop(d);
	s = vdev_get_stats(d->r.fd, 0);
	EXPECT_EQ(0, s.in_flight);
	EXPECT_EQ(EINVAL, s.error);
	EXPECT_TRUE(disk_pins_gone(d));
	EXPECT_TRUE(stays_quiet(d));
	/* What was in flight was no error of its own. */
	EXPECT_EQ(64, take_back_good(d));
	EXPECT_TRUE(disk_has_pattern(d, DISK_BUF, 0, 64 * SECTORS, 1));
}

/* In the middle of a stream: each is read once, nothing is lost. */
TEST_F(flight, stops_and_starts_in_mid_stream)
{
	struct disk *d = &self->d;
	u64 seed = 5;
	u32 i, n, round;
	u8 status;

	for (round = 0; round < 6; round++) {
		n = 1 + prng(&seed) % DEPTH;
		gmem_fill(&d->r.mem, DISK_BUF, 0x33, DISK_BUF_SIZE);
		offer_reads(d, n);
		if (round % 2)
			usleep(prng(&seed) % 20000);
		disk_stop(d);
		EXPECT_EQ(0, vdev_get_stats(d->r.fd, 0).in_flight);
		disk_start(d);
		for (i = 0; i < n; i++) {
			disk_take(d, 0, &status, NULL);
			ASSERT_EQ(VIRTIO_BLK_S_OK, status);
		}
		ASSERT_TRUE(disk_has_pattern(d, DISK_BUF, 0, n * SECTORS, 1));
	}
}

/* ---- the memory table changes under way ---- */

/* A second place for the pages at DISK_BUF: the same gpa, other memory. */
static struct vhost_memory *other_table(struct disk *d, u8 *second)
{
	struct vhost_memory *t = gmem_table(&d->r.mem);
	u32 i;

	for (i = 0; i < t->nregions; i++)
		if (t->regions[i].guest_phys_addr == DISK_BUF)
			t->regions[i].userspace_addr = (unsigned long)second;
	return t;
}

TEST_F(flight, memory_table_swapped_under_load_tears_no_request)
{
	struct disk *d = &self->d;
	u8 *second = mmap(NULL, DISK_BUF_SIZE, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct vhost_memory *t[2];
	u8 want[SECTORS * SECTOR], *first = gmem_ptr(&d->r.mem, DISK_BUF, DISK_BUF_SIZE);
	u32 i, round, swaps = 0, in_first = 0, in_second = 0;
	struct deadline give_up = deadline_in(30000);
	u8 status;

	ASSERT_NE(MAP_FAILED, second);
	t[0] = gmem_table(&d->r.mem);
	t[1] = other_table(d, second);
	/*
	 * Which table a request meets is up to the worker: a slow one may take a
	 * whole round up under one of them. So the rounds begin with either in
	 * turn, and go on until both have been met.
	 */
	for (round = 0; round < 4 || !in_first || !in_second; round++) {
		u32 back = 0, table = round % 2;

		ASSERT_FALSE(deadline_passed(&give_up))
			TH_LOG("%u rounds met one table alone", round);

		memset(first, 0x33, DISK_BUF_SIZE);
		memset(second, 0x33, DISK_BUF_SIZE);
		offer_reads(d, DEPTH);
		while (back < DEPTH) {
			ASSERT_EQ(0, __vdev_set_mem(d->r.fd, t[table]));
			table = !table;
			swaps++;
			while (disk_poll(d, 0, &status, NULL) >= 0) {
				ASSERT_EQ(VIRTIO_BLK_S_OK, status);
				back++;
			}
		}
		for (i = 0; i < DEPTH; i++) {
			u32 at = i * sizeof(want);
			bool a, b;

			disk_pattern(want, i * SECTORS, SECTORS, 1);
			a = !memcmp(first + at, want, sizeof(want));
			b = !memcmp(second + at, want, sizeof(want));
			ASSERT_NE(a, b) TH_LOG("request %u", i);
			in_first += a;
			in_second += b;
			/* And the other place has nothing of it. */
			ASSERT_EQ(0x33, (a ? second : first)[at]);
			ASSERT_EQ(0, memcmp((a ? second : first) + at,
					    (a ? second : first) + at + 1, sizeof(want) - 1));
		}
	}
	TH_LOG("%u swaps in %u rounds; %u requests in the first memory, %u in the second",
	       swaps, round, in_first, in_second);
	free(t[0]);
	free(t[1]);
	munmap(second, DISK_BUF_SIZE);
}

/* ---- the dirty log ---- */

/* Marked at the end, when it is written for sure: not when the read was taken up. */
TEST_F(flight, pages_are_marked_when_the_medium_has_written_them)
{
	struct disk *d = &self->d;
	struct dlog l = dlog_new(&d->r.mem);
	struct dlog_range must = { DISK_BUF, DEPTH * SECTORS * SECTOR };
	u32 i;
	u8 status;

	vdev_set_log_base(d->r.fd, l.bits);
	vdev_set_features(d->r.fd, d->r.features | F_LOG_ALL);
	get_in_flight(d, DEPTH);
	/* What a migration does: takes the marks, and copies. */
	dlog_clear(&l);
	for (i = 0; i < DEPTH; i++) {
		disk_take(d, 0, &status, NULL);
		ASSERT_EQ(VIRTIO_BLK_S_OK, status);
	}
	vdev_get_stats(d->r.fd, 0);
	for (i = 0; i < must.len; i += GMEM_PAGE)
		ASSERT_TRUE(dlog_marked(&l, must.gpa + i)) TH_LOG("page %u", i / 4096);
	/* And the statuses, in some page of LOW. */
	EXPECT_TRUE(dlog_marked(&l, d->q[0].slots));
	dlog_free(&l);
}

/*
 * A migration: what the log has, is copied, again and again, while reads come in. In
 * the end both memories are the same. A loop device writes from threads of its own.
 */
TEST(migration_under_reads_loses_no_page)
{
	struct disk_conf conf = { BACKING_LOOP, .direct = true, .num = 1024, .max_segs = 8 };
	struct dlog_copy c;
	struct dlog l;
	struct disk d;
	u32 round, back;
	u8 status;

	disk_open(&d, &conf);
	l = dlog_new(&d.r.mem);
	vdev_set_log_base(d.r.fd, l.bits);
	vdev_set_features(d.r.fd, d.r.features | F_LOG_ALL);
	disk_start(&d);
	c = dlog_copy_new(&d.r.mem);
	for (round = 1; round <= 5; round++) {
		disk_file_put_pattern(&d, 0, DEPTH * SECTORS, round);
		offer_reads(&d, DEPTH);
		for (back = 0; back < DEPTH; dlog_round(&c, &l))
			while (disk_poll(&d, 0, &status, NULL) >= 0) {
				ASSERT_EQ(VIRTIO_BLK_S_OK, status);
				back++;
			}
	}
	disk_stop(&d);
	dlog_round(&c, &l);
	EXPECT_TRUE(disk_has_pattern(&d, DISK_BUF, 0, DEPTH * SECTORS, 5));
	/* What the driver itself has written is for others to log. */
	dlog_copy_bytes(&c, GMEM_LOW, GMEM_LOW_SIZE);
	EXPECT_TRUE(dlog_copy_same(&c));
	/* One copy of each buffer is not enough for five rounds. */
	EXPECT_LE(5 * DEPTH, c.pages);
	dlog_copy_free(&c);
	dlog_free(&l);
	disk_close(&d);
}

/*
 * Longer than what the device takes at a time, so that each is submitted a second time,
 * where it may wait for being split. A driver that sleeps hears of each.
 */
TEST(requests_that_are_submitted_twice_are_called_for)
{
	struct disk_conf conf = {
		.on = BACKING_NULL, .direct = true, .features = F_EVENT_IDX,
	};
	const u32 sectors = DISK_BUF_SIZE / 4 / SECTOR;
	struct disk d;
	u32 i, n;
	u8 status;

	disk_open(&d, &conf);
	disk_file_put_pattern(&d, 0, 4 * sectors, 1);
	disk_start(&d);
	/* Four in flight: some are popped as others complete. */
	for (n = 0; n < 2000 + 4; n++) {
		struct drv_seg s = { DISK_BUF + n % 4 * sectors * SECTOR, sectors * SECTOR,
				     true };
		struct disk_req req = { VIRTIO_BLK_T_IN, n % 4 * sectors, &s, 1 };

		if (n >= 4) {
			disk_take(&d, 0, &status, NULL);
			ASSERT_EQ(VIRTIO_BLK_S_OK, status);
		}
		if (n < 2000)
			ASSERT_LE(0, disk_submit(&d, 0, &req));
	}
	for (i = 0; i < 4; i++)
		EXPECT_TRUE(disk_has_pattern(&d, DISK_BUF + i * sectors * SECTOR,
					     i * sectors, sectors, 1));
	disk_close(&d);
}

TEST_HARNESS_MAIN
