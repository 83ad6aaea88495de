// SPDX-License-Identifier: GPL-2.0
/*
 * The user datapath of disks on a backend that fails, stalls, is full or gone: each error
 * is reported, once, to whom it belongs; none is invented; and what is slow holds up
 * nothing else. The module's half is in path_blk_faults.c and path_blk_full.c.
 *
 * in:  vmm/blk_*.c over guest memory of this process, direct and buffered; null_blk, device
 *      mapper and a small ext4, so a lab VM, and root
 * out: IOERR for exactly the requests that the backend could not serve
 */
#define _GNU_SOURCE
#include "lib/vbatch.h"

#include "kselftest_harness.h"

#include <fcntl.h>
#include <unistd.h>

#include "lib/faulty.h"

#define DISK_MIB	4
#define SECTORS		(DISK_MIB * 2048U)
#define PLACES		(SECTORS / VBATCH_SECTORS)
#define OLD		1	/* seeds of stamps: what was there */
#define NEW		2

#define IN		VIRTIO_BLK_T_IN
#define OUT		VIRTIO_BLK_T_OUT
#define FLUSH		VIRTIO_BLK_T_FLUSH
#define OK		VIRTIO_BLK_S_OK
#define IOERR		VIRTIO_BLK_S_IOERR

static const char *lacks(const char *a, const char *b, const char *c)
{
	if (!getenv("LAB"))
		return "makes disks, so it wants a lab VM";
	return backend_lacks(a) ?: backend_lacks(b) ?: backend_lacks(c);
}

FIXTURE(faults)
{
	struct vbatch_disk d;
	struct backend null, top;
	struct vbatch b;
	bool open;
};

FIXTURE_VARIANT(faults)
{
	bool direct;
	u64 features;
};

FIXTURE_VARIANT_ADD(faults, direct) { true, F_EVENT_IDX };
FIXTURE_VARIANT_ADD(faults, buffered) { false, F_PACKED };

FIXTURE_SETUP(faults)
{
	struct null_conf conf = { .mib = DISK_MIB, .cache_mib = DISK_MIB };
	const char *why = lacks("null_blk", "flakey", "delay");

	if (why)
		SKIP(return, "%s", why);
	backend_sweep();
	self->null = null_make("null", &conf);
	backend_fill(&self->null, OLD);
}

FIXTURE_TEARDOWN(faults)
{
	if (self->open) {
		EXPECT_TRUE(gmem_canaries_ok(&self->d.v.m.mem));
		vbatch_close(&self->d);
	}
	backend_sweep();
}

static void open_disk(FIXTURE_DATA(faults) *self, const struct backend *on,
		      const FIXTURE_VARIANT(faults) *variant, bool write_through)
{
	self->top = *on;
	vbatch_open(&self->d, on, on->sectors, variant->direct, variant->features, 2);
	self->d.v.disk.write_back = !write_through;
	vdisk_start(&self->d.v);
	self->open = true;
}

/* @nr requests at places that are far apart, all in flight at a time. */
static void do_many(FIXTURE_DATA(faults) *self, u32 type, u32 nr, u32 from, u32 places)
{
	u32 i;

	vbatch_begin(&self->b, &self->d, 0, NEW);
	for (i = 0; i < nr; i++)
		vbatch_add(&self->b, type, (u64)(from + i * 61 % places) * VBATCH_SECTORS);
	vbatch_kick(&self->b);
	vbatch_finish(&self->b);
}

static u8 do_one(FIXTURE_DATA(faults) *self, u32 type, u32 place)
{
	do_many(self, type, 1, place, 1);
	return self->b.status[0];
}

/* ---- known sectors fail ---- */

static void expect_exact_errors(struct __test_metadata *_metadata, struct vbatch *b)
{
	u32 i;

	for (i = 0; i < b->nr; i++) {
		bool bad = faulty_is_hole(b->sector[i] / VBATCH_SECTORS);

		ASSERT_EQ(bad ? IOERR : OK, b->status[i])
			TH_LOG("request %u, sector %llu", i,
			       (unsigned long long)b->sector[i]);
		if (b->type[i] == IN && !bad)
			ASSERT_TRUE(vbatch_has_stamps(b, i, OLD));
	}
	ASSERT_LT(0, vbatch_count(b, IOERR));
	ASSERT_LT(0, vbatch_count(b, OK));
}

TEST_F(faults, reads_fail_where_sectors_do_and_nowhere_else)
{
	struct backend holes = faulty_holes(&self->null);
	int round;

	open_disk(self, &holes, variant, false);
	for (round = 0; round < 12; round++) {
		do_many(self, IN, VBATCH_MAX, round * 64, PLACES - round * 64);
		expect_exact_errors(_metadata, &self->b);
	}
}

TEST_F(faults, writes_fail_where_sectors_do_and_nowhere_else)
{
	struct backend holes = faulty_holes(&self->null);
	struct vbatch *b = &self->b;
	u32 i;

	open_disk(self, &holes, variant, false);
	do_many(self, OUT, VBATCH_MAX, 0, PLACES);
	if (variant->direct) {
		expect_exact_errors(_metadata, b);
		EXPECT_EQ(OK, do_one(self, FLUSH, 0));
	} else {
		/* The page cache has them all; the error is the next flush's, and no other's. */
		EXPECT_EQ(VBATCH_MAX, vbatch_count(b, OK));
		EXPECT_EQ(IOERR, do_one(self, FLUSH, 0));
		EXPECT_EQ(OK, do_one(self, FLUSH, 0));
	}
	for (i = 0; i < VBATCH_MAX; i++) {
		u32 place = i * 61 % PLACES;

		if (!faulty_is_hole(place))
			ASSERT_TRUE(faulty_has(&self->null, place * VBATCH_SECTORS, NEW));
	}
	EXPECT_EQ(OK, do_one(self, OUT, 0));
	EXPECT_EQ(OK, do_one(self, FLUSH, 0));
}

/* ---- it fails for a while ---- */

static struct backend make_sound(FIXTURE_DATA(faults) *self)
{
	return dm_make1("flaky", SECTORS, "linear", "%s 0", self->null.path);
}

TEST_F(faults, of_a_while_are_over_with_it)
{
	struct backend top = make_sound(self);
	u32 round;

	open_disk(self, &top, variant, false);
	for (round = 0; round < 3; round++) {
		/* Places that no cache has. */
		faulty_set(&top, &self->null, true, "");
		do_many(self, IN, 50, round * 200, 100);
		EXPECT_EQ(50, vbatch_count(&self->b, IOERR));
		faulty_set(&top, &self->null, false, "");
		do_many(self, IN, 50, round * 200, 100);
		EXPECT_EQ(50, vbatch_count(&self->b, OK));
		EXPECT_TRUE(vbatch_has_stamps(&self->b, round, OLD));
	}
}

TEST_F(faults, of_a_flush_are_told)
{
	struct backend top = make_sound(self);

	open_disk(self, &top, variant, false);
	EXPECT_EQ(OK, do_one(self, OUT, 5));
	EXPECT_EQ(OK, do_one(self, FLUSH, 0));

	/* Nothing is dirty in the page cache: it is the disk's own cache that fails. */
	faulty_set(&top, &self->null, true, "1 error_writes");
	EXPECT_EQ(IOERR, do_one(self, FLUSH, 0));
	EXPECT_EQ(IOERR, do_one(self, FLUSH, 0));
	EXPECT_EQ(OK, do_one(self, IN, 6));
	faulty_set(&top, &self->null, false, "");
	EXPECT_EQ(OK, do_one(self, FLUSH, 0));

	/* Written while it fails. */
	faulty_set(&top, &self->null, true, "1 error_writes");
	EXPECT_EQ(variant->direct ? IOERR : OK, do_one(self, OUT, 7));
	EXPECT_EQ(IOERR, do_one(self, FLUSH, 0));
	faulty_set(&top, &self->null, false, "");
	EXPECT_EQ(OK, do_one(self, OUT, 8));
	EXPECT_EQ(OK, do_one(self, FLUSH, 0));
	EXPECT_TRUE(faulty_has(&self->null, 8 * VBATCH_SECTORS, NEW));
}

/* A driver without FLUSH, or with the cache off, has no flush to be told by. */
TEST_F(faults, of_a_write_are_its_own_with_write_through)
{
	struct backend top = make_sound(self);

	open_disk(self, &top, variant, true);
	do_many(self, OUT, 50, 0, PLACES);
	EXPECT_EQ(50, vbatch_count(&self->b, OK));
	faulty_set(&top, &self->null, true, "1 error_writes");
	do_many(self, OUT, 50, 0, PLACES);
	EXPECT_EQ(50, vbatch_count(&self->b, IOERR));
	faulty_set(&top, &self->null, false, "");
	do_many(self, OUT, 50, 0, PLACES);
	EXPECT_EQ(50, vbatch_count(&self->b, OK));
	EXPECT_TRUE(faulty_has(&self->null, 61 * VBATCH_SECTORS, NEW));
}

/* Ranges as well: zeroes that did not get there are no zeroes. */
static u8 write_zeroes(struct vdisk *v, u32 place)
{
	struct virtio_blk_discard_write_zeroes range = {
		.sector = htole64(place * VBATCH_SECTORS),
		.num_sectors = htole32(VBATCH_SECTORS),
	};
	u64 gpa = vdisk_alloc(v, sizeof(range), 8);

	memcpy(gmem_ptr(&v->m.mem, gpa, sizeof(range)), &range, sizeof(range));
	return vdisk_do1(v, VIRTIO_BLK_T_WRITE_ZEROES, 0, gpa, sizeof(range));
}

TEST_F(faults, of_zeroes_are_told)
{
	struct backend top = make_sound(self);

	open_disk(self, &top, variant, false);
	EXPECT_EQ(OK, write_zeroes(&self->d.v, 3));
	faulty_set(&top, &self->null, true, "1 error_writes");
	EXPECT_EQ(IOERR, write_zeroes(&self->d.v, 4));
	faulty_set(&top, &self->null, false, "");
	EXPECT_EQ(OK, write_zeroes(&self->d.v, 4));
}

/* ---- it goes away under load ---- */

static void pull_out(FIXTURE_DATA(faults) *self, void (*unplug)(const struct backend *))
{
	struct vbatch *b = &self->b;
	u32 i;

	/* All kinds, and they may end either way; but they end. */
	vbatch_begin(b, &self->d, 0, NEW);
	for (i = 0; i < VBATCH_MAX; i++)
		vbatch_add(b, i % 9 == 8 ? FLUSH : i % 3 == 2 ? OUT : IN,
			   (u64)(i * 61 % 500 + (i % 3 == 2 ? 500 : 0)) * VBATCH_SECTORS);
	vbatch_kick(b);
	unplug(&self->top);
	vbatch_finish(b);
	CHECK(vbatch_count(b, OK) + vbatch_count(b, IOERR) == b->nr, "another status");
	for (i = 0; i < b->nr; i++)
		if (b->type[i] == IN && b->status[i] == OK)
			CHECK(vbatch_has_stamps(b, i, OLD), "OK, and other data");
}

static void expect_gone(struct __test_metadata *_metadata, FIXTURE_DATA(faults) *self,
			bool direct)
{
	/* Never touched so far, so in nobody's cache. */
	do_many(self, IN, 20, 1001, 20);
	EXPECT_EQ(20, vbatch_count(&self->b, IOERR));
	do_many(self, OUT, 20, 1001, 20);
	if (direct) {
		EXPECT_EQ(20, vbatch_count(&self->b, IOERR));
	} else if (vbatch_count(&self->b, OK)) {
		EXPECT_EQ(IOERR, do_one(self, FLUSH, 0));
	}
}

TEST_F(faults, of_a_driver_that_is_gone_are_told)
{
	open_disk(self, &self->null, variant, false);
	pull_out(self, null_unplug);
	expect_gone(_metadata, self, variant->direct);
}

TEST_F(faults, of_a_mapping_that_is_gone_are_told)
{
	struct backend top = make_sound(self);

	open_disk(self, &top, variant, false);
	pull_out(self, dm_make_fail);
	expect_gone(_metadata, self, variant->direct);
}

/* ---- it stalls ---- */

TEST_F(faults, that_stall_hold_up_nothing_else)
{
	struct backend half, whole = faulty_halves(&self->null, &half);
	struct vbatch *b = &self->b, other;
	u32 i, slow = 30, stalled;

	open_disk(self, &whole, variant, false);
	vbatch_begin(b, &self->d, 0, NEW);
	dm_suspend(&half, false);
	/* Reads, writes (which buffered would be done at once), and a flush of them. */
	for (i = 0; i < slow; i++)
		vbatch_add(b, i % 2 || !variant->direct ? IN : OUT,
			   (u64)(PLACES / 2 + i * 5) * VBATCH_SECTORS);
	vbatch_kick(b);
	stalled = vbatch_add(b, FLUSH, 0) + 1;
	vbatch_kick(b);
	for (i = stalled; i < VBATCH_MAX; i++)
		vbatch_add(b, i % 2 ? IN : OUT,
			   (u64)((i % 2 ? 0 : 200) + i) * VBATCH_SECTORS);
	vbatch_kick(b);
	for (i = stalled; i < b->nr; i++) {
		vbatch_wait_for(b, i);
		ASSERT_EQ(OK, b->status[i]);
		if (b->type[i] == IN)
			ASSERT_TRUE(vbatch_has_stamps(b, i, OLD));
	}
	/* Another queue as well. */
	vbatch_begin(&other, &self->d, 1, NEW);
	for (i = 0; i < 50; i++)
		vbatch_add(&other, IN, (u64)(300 + i) * VBATCH_SECTORS);
	vbatch_kick(&other);
	vbatch_finish(&other);
	EXPECT_EQ(50, vbatch_count(&other, OK));

	vbatch_poll(b);
	EXPECT_EQ(b->nr - stalled, b->back);
	dm_resume(&half);
	vbatch_finish(b);
	EXPECT_EQ(b->nr, vbatch_count(b, OK));
	for (i = 1; i < slow; i += 2)
		ASSERT_TRUE(vbatch_has_stamps(b, i, OLD));
}

/* One after the other they would take 19 seconds. */
TEST_F(faults, that_are_slow_are_slow_together)
{
	struct backend top = dm_make1("slow", SECTORS, "delay", "%s 0 300", self->null.path);
	u64 begin;

	open_disk(self, &top, variant, false);
	begin = now_ns();
	do_many(self, IN, VBATCH_MAX, 0, PLACES);
	EXPECT_EQ(VBATCH_MAX, vbatch_count(&self->b, OK));
	EXPECT_LE(300000000ULL, now_ns() - begin);
	EXPECT_GT(9000000000ULL, now_ns() - begin);
	EXPECT_TRUE(vbatch_has_stamps(&self->b, 17, OLD));
}

/* ---- a queue is reset while its requests are slow ---- */

#define SLOW_MS		500
#define MANY		255U

/*
 * Each of them reads a place of its own. The last request is not of the backend: when it is
 * back, those before it have been taken up.
 */
static u64 get_in_flight(struct vdisk *v)
{
	u64 gpa = vdisk_alloc(v, MANY * VBATCH_BYTES, 4096), id = vdisk_alloc(v, 20, 1);
	struct drv_seg data = { id, 20, true };
	u8 status;
	u32 i;

	for (i = 0; i < MANY; i++) {
		struct drv_seg place = { gpa + i * VBATCH_BYTES, VBATCH_BYTES, true };

		vdisk_add(v, 0, i, IN, i * VBATCH_SECTORS, &place, 1);
	}
	vdisk_add(v, 0, MANY, VIRTIO_BLK_T_GET_ID, 0, &data, 1);
	vdisk_kick(v, 0);
	CHECK(drv_wait(&v->drv[0], v->dev.ring[0].call_fd, DEADLINE_MS), "nothing is back");
	CHECK(vdisk_poll(v, 0, &status) == MANY, "a read was not slow");
	return gpa;
}

TEST_F(faults, that_are_slow_end_before_a_queue_is_reset)
{
	struct backend top = dm_make1("slow", SECTORS, "delay", "%s 0 %d", self->null.path,
				      SLOW_MS);
	struct vdisk *v = &self->d.v;
	struct gmem_shot shot;
	u8 want[SECTOR], status;
	u32 i, back = 0;
	u64 gpa;

	vbatch_open(&self->d, &top, SECTORS, variant->direct, variant->features, 2);
	self->open = true;
	v->dev.queue_size = VDISK_MAX_NUM;
	v->dev.acked |= 1ULL << VIRTIO_F_RING_RESET;
	vdisk_set_ring(v, 0, VDISK_MAX_NUM, 4);
	vdisk_start(v);
	vbatch_begin(&self->b, &self->d, 1, NEW);
	for (i = 0; i < VBATCH_MAX; i++)
		vbatch_add(&self->b, IN, (u64)(PLACES / 2 + i) * VBATCH_SECTORS);
	vbatch_kick(&self->b);
	gpa = get_in_flight(v);

	vdisk_stop_queue(v, 0);
	ev_take(v->dev.ring[0].call_fd);
	/* All that was in flight is the driver's again, in full; afterwards nothing is written. */
	shot = gmem_shoot(&v->m.mem, gpa, MANY * VBATCH_BYTES);
	for (; vdisk_poll(v, 0, &status) >= 0; back++)
		ASSERT_EQ(OK, status);
	EXPECT_EQ(MANY, back);
	for (i = 0; i < MANY * VBATCH_SECTORS; i++) {
		backend_stamp(want, i, OLD);
		ASSERT_EQ(0, memcmp(want, gmem_ptr(&v->m.mem, gpa + i * SECTOR, SECTOR), SECTOR));
	}
	EXPECT_FALSE(ev_wait(v->dev.ring[0].call_fd, SLOW_MS + 3 * QUIET_MS));
	EXPECT_TRUE(gmem_same(&v->m.mem, &shot));
	gmem_shot_free(&shot);
	EXPECT_FALSE(drv_has_used(&v->drv[0]));

	/* And the other queue never heard of it. */
	vbatch_finish(&self->b);
	EXPECT_EQ(VBATCH_MAX, vbatch_count(&self->b, OK));
}

/* ---- a file that is too small for its disk ---- */

FIXTURE(file)
{
	struct vbatch_disk d;
	struct backend loop, fs, file;
	struct vbatch b;
	bool open;
};

FIXTURE_VARIANT(file)
{
	bool direct;
	u64 features;
};

FIXTURE_VARIANT_ADD(file, direct) { true, F_PACKED };
FIXTURE_VARIANT_ADD(file, buffered) { false, F_EVENT_IDX };

FIXTURE_SETUP(file)
{
	const char *why = lacks("loop", "ext4", "loop");
	int fd;

	if (why)
		SKIP(return, "%s", why);
	backend_sweep();
	fd = backend_memfd("small", 12 << 20);
	self->loop = loop_make("small", fd, false);
	close(fd);
	self->fs = fs_make("small", &self->loop, NULL);
}

FIXTURE_TEARDOWN(file)
{
	if (self->open) {
		EXPECT_TRUE(gmem_canaries_ok(&self->d.v.m.mem));
		vbatch_close(&self->d);
	}
	backend_sweep();
}

static void open_file(FIXTURE_DATA(file) *self, const FIXTURE_VARIANT(file) *variant,
		      u64 bytes, bool allocate)
{
	self->file = fs_file(&self->fs, "disk", bytes, allocate);
	vbatch_open(&self->d, &self->file, bytes / SECTOR, variant->direct, variant->features,
		    1);
	vdisk_start(&self->d.v);
	self->open = true;
}

static void file_batch(FIXTURE_DATA(file) *self, u32 type, u32 nr, u32 from)
{
	u32 i;

	vbatch_begin(&self->b, &self->d, 0, NEW);
	for (i = 0; i < nr; i++)
		vbatch_add(&self->b, type, (u64)(from + i) * VBATCH_SECTORS);
	vbatch_kick(&self->b);
	vbatch_finish(&self->b);
}

TEST_F(file, system_that_is_full_is_told_and_room_is_used_again)
{
	struct backend filler = fs_file(&self->fs, "filler", 1 << 20, true);
	static u8 was[16 << 8];
	u32 from, full = 0, i;

	/* Sparse, and larger than the file system. */
	open_file(self, variant, 16 << 20, false);
	for (from = 0; from < ARRAY_SIZE(was); from += VBATCH_MAX) {
		file_batch(self, OUT, VBATCH_MAX, from);
		memcpy(was + from, self->b.status, VBATCH_MAX);
		full += vbatch_count(&self->b, IOERR);
		ASSERT_EQ(VBATCH_MAX, vbatch_count(&self->b, IOERR) + vbatch_count(&self->b, OK));
	}
	ASSERT_LT(500, full);
	ASSERT_GT(3500, full);
	file_batch(self, FLUSH, 1, 0);
	ASSERT_EQ(OK, self->b.status[0]);

	/* All that it took is there, also for who boots from it. */
	if (!variant->direct)
		ASSERT_EQ(0, posix_fadvise(self->d.fd, 0, 0, POSIX_FADV_DONTNEED));
	for (from = 0; from < ARRAY_SIZE(was); from += VBATCH_MAX) {
		file_batch(self, IN, VBATCH_MAX, from);
		for (i = 0; i < VBATCH_MAX; i++) {
			ASSERT_EQ(OK, self->b.status[i]);
			if (was[from + i] == OK)
				ASSERT_TRUE(vbatch_has_stamps(&self->b, i, NEW));
		}
	}

	/* The next one finds room. */
	for (from = 0; was[from] == OK; from++)
		;
	ASSERT_EQ(0, unlink(filler.path));
	sync();
	file_batch(self, OUT, 1, from);
	EXPECT_EQ(OK, self->b.status[0]);
	file_batch(self, FLUSH, 1, 0);
	EXPECT_EQ(OK, self->b.status[0]);
}

TEST_F(file, that_is_truncated_under_load_fails_past_its_end)
{
	u32 i;

	open_file(self, variant, 2 << 20, true);
	vbatch_begin(&self->b, &self->d, 0, NEW);
	for (i = 0; i < VBATCH_MAX; i++)
		vbatch_add(&self->b, IN, (u64)(i * 61 % 512) * VBATCH_SECTORS);
	vbatch_kick(&self->b);
	ASSERT_EQ(0, truncate(self->file.path, 1 << 20));
	vbatch_finish(&self->b);
	for (i = 0; i < VBATCH_MAX; i++)
		if (self->b.sector[i] < 1 << 11) {
			ASSERT_EQ(OK, self->b.status[i]);
			ASSERT_TRUE(vbatch_has_stamps(&self->b, i, 0));
		}

	/* From now on it is for sure. */
	file_batch(self, IN, VBATCH_MAX, 256 - VBATCH_MAX / 2);
	EXPECT_EQ(VBATCH_MAX / 2, vbatch_count(&self->b, OK));
	EXPECT_EQ(VBATCH_MAX / 2, vbatch_count(&self->b, IOERR));
	ASSERT_EQ(0, truncate(self->file.path, 2 << 20));
	file_batch(self, IN, VBATCH_MAX, 256 - VBATCH_MAX / 2);
	EXPECT_EQ(VBATCH_MAX, vbatch_count(&self->b, OK));
}

TEST_HARNESS_MAIN
