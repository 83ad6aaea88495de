// SPDX-License-Identifier: GPL-2.0
/*
 * The stop guarantee of a disk with 256 requests in flight that take their time, stand
 * still, or wait for a frozen file system: whoever stops the queue waits for them, and
 * afterwards not a byte of guest memory changes.
 *
 * in:  /dev/vkick-blk over dm-delay, a suspended mapping, ext4; SET_RUNNING, RESET_OWNER,
 *      close, kill -9
 * out: no later write, no later call, no page kept; the ring taken up from there
 */
#define _GNU_SOURCE
#include "kselftest_harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "lib/batch.h"
#include "lib/dut_module.h"

#define DELAY_MS	500
/* When a request that was forgotten about would have written. */
#define LATE_MS		(DELAY_MS + 3 * QUIET_MS)
#define DISK_MIB	2
#define SECTORS		(DISK_MIB * 2048U)
#define SEED		7
#define NEW		8

#define IN		VIRTIO_BLK_T_IN
#define OUT		VIRTIO_BLK_T_OUT
#define OK		VIRTIO_BLK_S_OK

static struct dut *open_dut(const struct backend *on, bool direct, u64 features)
{
	struct dut_conf conf = {
		.path = on->path,
		.sectors = SECTORS,
		.direct = direct,
		.features = features | F_INDIRECT,
		.layout = DRV_INDIRECT,
	};

	return dut_open(&conf);
}

FIXTURE(stop)
{
	struct dut *dut;
	struct backend null, top;
	struct batch b;
};

FIXTURE_VARIANT(stop)
{
	bool direct;
	u64 features;
};

FIXTURE_VARIANT_ADD(stop, direct_split) { true, F_EVENT_IDX };
FIXTURE_VARIANT_ADD(stop, direct_packed_in_order) { true, F_PACKED | F_IN_ORDER };
FIXTURE_VARIANT_ADD(stop, buffered_packed) { false, F_PACKED | F_EVENT_IDX };

FIXTURE_SETUP(stop)
{
	struct null_conf conf = { .mib = DISK_MIB };
	const char *why = backend_lacks("null_blk") ?: backend_lacks("delay");

	backend_sweep();
	if (why)
		SKIP(return, "%s", why);
	self->null = null_make("null", &conf);
	backend_fill(&self->null, SEED);
	self->top = dm_make1("slow", SECTORS, "delay", "%s 0 %d", self->null.path, DELAY_MS);
	self->dut = open_dut(&self->top, variant->direct, variant->features);
}

FIXTURE_TEARDOWN(stop)
{
	if (self->dut)
		dut_close(self->dut);
	backend_sweep();
}

static u64 in_flight(struct disk *d, u32 queue)
{
	return vdev_get_stats(d->r.fd, queue).in_flight;
}

/*
 * BATCH_MAX requests, all of them taken up, and at least most of them with the backend:
 * reads have one half of the disk, writes the other.
 */
static void get_in_flight(struct batch *b, struct dut *dut, u32 queue, u32 type)
{
	u64 places = SECTORS / BATCH_SECTORS / 2, before;
	struct deadline end = deadline_in(DEADLINE_MS);
	struct disk *d = &dut->d;
	struct vkick_stats s;
	u32 i;

	before = vdev_get_stats(d->r.fd, queue).requests;
	batch_begin(b, dut, queue, NEW);
	for (i = 0; i < BATCH_MAX; i++)
		batch_add(b, type, (i * 61 % places + (type == IN ? 0 : places)) *
			  BATCH_SECTORS);
	batch_kick(b);
	do {
		CHECK(!deadline_passed(&end), "%llu in flight",
		      (unsigned long long)in_flight(d, queue));
		s = vdev_get_stats(d->r.fd, queue);
	} while (s.requests - before + s.in_flight != BATCH_MAX);
	CHECK(s.in_flight > BATCH_MAX / 2, "%llu are done already",
	      (unsigned long long)(s.requests - before));
}

static struct gmem_shot shot[3];

/* All that the device could write to: the driver stands still. */
static void shoot(struct disk *d)
{
	shot[0] = gmem_shoot(&d->r.mem, GMEM_LOW, d->r.mem.next - GMEM_LOW);
	shot[1] = gmem_shoot(&d->r.mem, DISK_BUF, DISK_BUF_SIZE);
	shot[2] = gmem_shoot(&d->r.mem, DISK_BUF2, DISK_BUF_SIZE);
}

static bool is_as_shot(struct disk *d)
{
	bool same = true;
	u32 i;

	for (i = 0; i < 3; i++) {
		same = gmem_same(&d->r.mem, &shot[i]) && same;
		gmem_shot_free(&shot[i]);
	}
	return same;
}

/* Whether nothing is written or signalled once the delay is over. */
static bool stays_quiet(struct disk *d, u32 queue)
{
	int call = d->r.q[queue].call;
	bool called;

	ev_take(call);
	shoot(d);
	called = ev_wait(call, LATE_MS);
	return is_as_shot(d) && !called;
}

static void expect_all_back(struct __test_metadata *_metadata, struct batch *b, u64 seed)
{
	u32 i;

	batch_poll(b);
	ASSERT_EQ(BATCH_MAX, b->back);
	ASSERT_EQ(BATCH_MAX, batch_count(b, OK));
	for (i = 0; i < BATCH_MAX; i++)
		if (b->type[i] == IN)
			ASSERT_TRUE(batch_has_stamps(b, i, seed));
}

/* ---- SET_RUNNING ---- */

TEST_F(stop, by_set_running_leaves_none_in_flight)
{
	struct batch *b = &self->b;
	struct disk *d = &self->dut->d;
	struct vkick_stats s;

	get_in_flight(b, self->dut, 0, IN);
	disk_stop(d);
	s = vdev_get_stats(d->r.fd, 0);
	EXPECT_EQ(0, s.in_flight);
	EXPECT_EQ(0, s.running);
	EXPECT_EQ(BATCH_MAX, s.requests);
	EXPECT_TRUE(disk_pins_gone(d));
	EXPECT_TRUE(stays_quiet(d, 0));
	expect_all_back(_metadata, b, SEED);
	EXPECT_EQ(drv_base(&d->r.q[0].drv), vdev_get_base(d->r.fd, 0));
	disk_start(d);
	batch_begin(b, self->dut, 0, NEW);
	batch_add(b, IN, 0);
	batch_kick(b);
	batch_finish(b);
	EXPECT_EQ(OK, b->status[0]);
}

/* What is one queue's: the other goes on. */
static bool queue_stays_quiet(struct disk *d, u32 queue)
{
	struct vq *q = &d->r.q[queue];
	struct gmem_shot data, slots, used;
	bool called, same;

	ev_take(q->call);
	data = gmem_shoot(&d->r.mem, BATCH_BUF(queue, 0), BATCH_MAX * BATCH_BYTES);
	slots = gmem_shoot(&d->r.mem, d->q[queue].slots, BATCH_MAX * DISK_SLOT);
	used = gmem_shoot(&d->r.mem, q->drv.used_gpa, drv_used_bytes(&q->drv));
	called = ev_wait(q->call, LATE_MS);
	same = gmem_same(&d->r.mem, &data) && gmem_same(&d->r.mem, &slots) &&
	       gmem_same(&d->r.mem, &used);
	gmem_shot_free(&data);
	gmem_shot_free(&slots);
	gmem_shot_free(&used);
	return same && !called;
}

TEST_F(stop, of_one_queue_leaves_the_other_in_flight)
{
	struct disk *d = &self->dut->d;
	static struct batch other;

	get_in_flight(&self->b, self->dut, 0, IN);
	get_in_flight(&other, self->dut, 1, variant->direct ? OUT : IN);
	vdev_stop(d->r.fd, 0);
	EXPECT_TRUE(queue_stays_quiet(d, 0));
	expect_all_back(_metadata, &self->b, SEED);
	batch_finish(&other);
	EXPECT_EQ(BATCH_MAX, batch_count(&other, OK));
}

/* ---- RESET_OWNER, close ---- */

/* The next one takes the ring up, with what the first one did not do. */
static void attach_again(struct disk *d, const char *path, bool direct)
{
	int file;

	disk_attach(d);
	file = open(path, O_RDWR | O_CLOEXEC | (direct ? O_DIRECT : 0));
	CHECK(file >= 0, "open %s", path);
	vdev_set_file(d->r.fd, file);
	close(file);
}

static void end_in_flight(FIXTURE_DATA(stop) *self, bool direct, bool by_close)
{
	struct disk *d = &self->dut->d;
	u32 base;

	get_in_flight(&self->b, self->dut, 0, IN);
	if (by_close)
		close(d->r.fd);
	else
		vdev_reset_owner(d->r.fd);
	CHECK(!proc_threads_settle("vkick-blk-", 0), "a worker is there");
	CHECK(disk_pins_gone(d), "pages are kept");
	CHECK(stays_quiet(d, 0), "not quiet");

	base = drv_device_base(&d->r.q[0].drv);
	batch_poll(&self->b);
	if (by_close)
		d->r.fd = vdev_open("blk");
	attach_again(d, self->top.path, direct);
	vdev_set_base(d->r.fd, 0, base);
	disk_start(d);
	batch_finish(&self->b);
	CHECK(batch_count(&self->b, OK) == BATCH_MAX, "not all are well");
}

TEST_F(stop, by_reset_owner)
{
	end_in_flight(self, variant->direct, false);
}

TEST_F(stop, by_close)
{
	end_in_flight(self, variant->direct, true);
}

/* ---- kill -9 ---- */

TEST_F(stop, by_kill_9)
{
	struct disk *d = &self->dut->d;
	int ready = ev_new();
	pid_t pid;

	/* The parent lays out and watches, the child owns. */
	close(d->r.fd);
	d->r.fd = -1;
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		d->r.fd = vdev_open("blk");
		attach_again(d, self->top.path, variant->direct);
		disk_start(d);
		get_in_flight(&self->b, self->dut, 0, IN);
		ev_signal(ready);
		for (;;)
			pause();
	}
	ASSERT_TRUE(ev_wait(ready, DEADLINE_MS));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_TRUE(stays_quiet(d, 0));
	EXPECT_TRUE(disk_pins_gone(d));
	EXPECT_EQ(0, proc_threads_settle("vkick-blk-", 0));
}

/* ---- a stop has to wait ---- */

struct stopper {
	struct disk *d;
	int done;
	pthread_t thread;
};

static void *stop_it(void *arg)
{
	struct stopper *s = arg;

	vdev_stop(s->d->r.fd, 0);
	ev_signal(s->done);
	return NULL;
}

/* Return: whether the stop waits, as it has to. */
static bool stop_waits(struct stopper *s, struct disk *d)
{
	*s = (struct stopper) { .d = d, .done = ev_new() };
	CHECK(!pthread_create(&s->thread, NULL, stop_it, s), "thread");
	return !ev_wait(s->done, 3 * QUIET_MS);
}

static bool stop_ends(struct stopper *s)
{
	bool ends = ev_wait(s->done, DEADLINE_MS);

	CHECK(ends, "the stop hangs");
	pthread_join(s->thread, NULL);
	close(s->done);
	return ends;
}

TEST_F(stop, waits_for_a_backend_that_stands_still)
{
	struct dm_line plain[2] = { { .len = SECTORS, .target = "linear" } };
	struct disk *d = &self->dut->d;
	struct stopper s;

	snprintf(plain[0].params, sizeof(plain[0].params), "%s 0", self->null.path);
	dm_reload(&self->top, plain, false);
	dm_suspend(&self->top, false);
	get_in_flight(&self->b, self->dut, 0, IN);
	EXPECT_TRUE(stop_waits(&s, d));
	EXPECT_EQ(0, self->b.back);
	dm_resume(&self->top);
	EXPECT_TRUE(stop_ends(&s));
	EXPECT_EQ(0, in_flight(d, 0));
	EXPECT_TRUE(stays_quiet(d, 0));
	expect_all_back(_metadata, &self->b, SEED);
}

/* ---- a frozen file system ---- */

FIXTURE(frozen)
{
	struct dut *dut;
	struct backend loop, fs, file;
	struct batch b;
};

FIXTURE_VARIANT(frozen)
{
	bool direct;
};

FIXTURE_VARIANT_ADD(frozen, direct) { true };
FIXTURE_VARIANT_ADD(frozen, buffered) { false };

FIXTURE_SETUP(frozen)
{
	const char *why = backend_lacks("loop") ?: backend_lacks("ext4");

	backend_sweep();
	if (why)
		SKIP(return, "%s", why);
	self->loop = loop_make("frozen", backend_memfd("frozen", 16 << 20), false);
	self->fs = fs_make("frozen", &self->loop, NULL);
	self->file = fs_file(&self->fs, "disk", DISK_MIB << 20, true);
	self->dut = open_dut(&self->file, variant->direct, F_PACKED);
}

FIXTURE_TEARDOWN(frozen)
{
	if (self->dut)
		dut_close(self->dut);
	backend_sweep();
}

TEST_F(frozen, writes_wait_and_so_does_a_stop)
{
	struct disk *d = &self->dut->d;
	static struct batch reads;
	struct stopper s;
	u32 i;

	fs_freeze(&self->fs);
	get_in_flight(&self->b, self->dut, 0, OUT);

	/* Reads have nothing to wait for. */
	batch_begin(&reads, self->dut, 1, 0);
	for (i = 0; i < 100; i++)
		batch_add(&reads, IN, i * BATCH_SECTORS);
	batch_kick(&reads);
	batch_finish(&reads);
	EXPECT_EQ(100, batch_count(&reads, OK));
	EXPECT_TRUE(batch_has_stamps(&reads, 99, 0));

	EXPECT_TRUE(stop_waits(&s, d));
	fs_thaw(&self->fs);
	EXPECT_TRUE(stop_ends(&s));
	EXPECT_TRUE(stays_quiet(d, 0));
	expect_all_back(_metadata, &self->b, 0);
	for (i = 0; i < 50; i++) {
		batch_begin(&reads, self->dut, 1, 0);
		batch_add(&reads, IN, self->b.sector[i]);
		batch_kick(&reads);
		batch_finish(&reads);
		ASSERT_TRUE(batch_has_stamps(&reads, 0, NEW));
	}
	/* Nobody keeps it from being frozen once more. */
	fs_freeze(&self->fs);
	fs_thaw(&self->fs);
}

TEST_HARNESS_MAIN
