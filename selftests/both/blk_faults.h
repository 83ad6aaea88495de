/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A backend that fails, or stalls: each error is reported, once, to whom it belongs; none
 * is invented; and what is slow holds up nothing else.
 *
 * in:  the disk under test, direct and buffered, on null_blk and device mapper
 * out: IOERR for exactly the requests that the backend could not serve
 */
#ifndef SELFTEST_BLK_FAULTS_H
#define SELFTEST_BLK_FAULTS_H

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../lib/batch.h"
#include "../lib/faulty.h"

#define DISK_MIB	4
#define SECTORS		(DISK_MIB * 2048U)
#define PLACES		(SECTORS / BATCH_SECTORS)
#define OLD		1	/* seeds of stamps: what was there */
#define NEW		2

#define IN		VIRTIO_BLK_T_IN
#define OUT		VIRTIO_BLK_T_OUT
#define FLUSH		VIRTIO_BLK_T_FLUSH
#define DISCARD		VIRTIO_BLK_T_DISCARD
#define ZEROES		VIRTIO_BLK_T_WRITE_ZEROES
#define OK		VIRTIO_BLK_S_OK
#define IOERR		VIRTIO_BLK_S_IOERR
#define UNSUPP		VIRTIO_BLK_S_UNSUPP

FIXTURE(faults)
{
	struct dut *d;
	struct backend null, top;
	struct batch b;
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
	const char *why = dut_lacks() ?: backend_lacks("null_blk") ?:
			  backend_lacks("flakey") ?: backend_lacks("delay") ?:
			  backend_lacks("loop");

	if (why)
		SKIP(return, "%s", why);
	backend_sweep();
	self->null = null_make("null", &conf);
	backend_fill(&self->null, OLD);
}

FIXTURE_TEARDOWN(faults)
{
	if (self->d)
		dut_close(self->d);
	backend_sweep();
}

static void __open_disk(FIXTURE_DATA(faults) *self, const struct backend *on,
			const FIXTURE_VARIANT(faults) *variant, bool write_through)
{
	struct dut_conf conf = {
		.path = on->path,
		.sectors = on->sectors,
		.direct = variant->direct,
		.features = variant->features | F_INDIRECT,
		.layout = DRV_INDIRECT,
		.write_through = write_through,
	};

	self->top = *on;
	self->d = dut_open(&conf);
	batch_begin(&self->b, self->d, 0, NEW);
}

static void open_disk(FIXTURE_DATA(faults) *self, const struct backend *on,
		      const FIXTURE_VARIANT(faults) *variant)
{
	__open_disk(self, on, variant, false);
}

/* @nr requests at places that are far apart, all in flight at a time. */
static void do_many(FIXTURE_DATA(faults) *self, u32 type, u32 nr, u32 from, u32 places)
{
	u32 i;

	batch_begin(&self->b, self->d, 0, NEW);
	for (i = 0; i < nr; i++)
		batch_add(&self->b, type, (u64)(from + i * 61 % places) * BATCH_SECTORS);
	batch_kick(&self->b);
	batch_finish(&self->b);
}

static u8 do_one(FIXTURE_DATA(faults) *self, u32 type, u32 place)
{
	batch_begin(&self->b, self->d, 0, NEW);
	batch_add(&self->b, type, (u64)place * BATCH_SECTORS);
	batch_kick(&self->b);
	batch_finish(&self->b);
	return self->b.status[0];
}

static u8 do_range(FIXTURE_DATA(faults) *self, u32 type, u64 sector, u32 sectors)
{
	return dut_do_range(self->d, type, sector, sectors);
}

/* ---- known sectors fail ---- */

static void expect_exact_errors(struct __test_metadata *_metadata, struct batch *b)
{
	u32 i;

	for (i = 0; i < b->nr; i++) {
		bool bad = faulty_is_hole(b->sector[i] / BATCH_SECTORS);

		ASSERT_EQ(bad ? IOERR : OK, b->status[i])
			TH_LOG("request %u, sector %llu", i,
			       (unsigned long long)b->sector[i]);
		if (b->type[i] == IN && !bad)
			ASSERT_TRUE(batch_has_stamps(b, i, OLD));
	}
	ASSERT_LT(0, batch_count(b, IOERR));
	ASSERT_LT(0, batch_count(b, OK));
}

TEST_F(faults, reads_fail_where_sectors_do_and_nowhere_else)
{
	struct backend holes = faulty_holes(&self->null);
	int round;

	open_disk(self, &holes, variant);
	for (round = 0; round < 4; round++) {
		do_many(self, IN, BATCH_MAX, round * 200, PLACES - round * 200);
		expect_exact_errors(_metadata, &self->b);
	}
}

/* As a driver's controller would say it, rather than device mapper. */
TEST_F(faults, reads_fail_where_a_block_driver_fails)
{
	char path[200];
	u32 place;
	int fd;

	/* What is merged with a bad request would fail with it. */
	snprintf(path, sizeof(path), "/sys/block/%s/queue/nomerges",
		 self->null.path + strlen("/dev/"));
	fd = open(path, O_WRONLY);
	ASSERT_EQ(1, write(fd, "2", 1));
	close(fd);
	for (place = 0; place < PLACES; place++)
		if (faulty_is_hole(place))
			null_set_bad(&self->null, place * BATCH_SECTORS + 3,
				     place * BATCH_SECTORS + 4, true);
	open_disk(self, &self->null, variant);
	do_many(self, IN, BATCH_MAX, 0, PLACES);
	expect_exact_errors(_metadata, &self->b);
	for (place = 0; place < PLACES; place++)
		if (faulty_is_hole(place))
			null_set_bad(&self->null, place * BATCH_SECTORS + 3,
				     place * BATCH_SECTORS + 4, false);
	do_many(self, IN, BATCH_MAX, 0, PLACES);
	EXPECT_EQ(BATCH_MAX, batch_count(&self->b, OK));
}

TEST_F(faults, writes_fail_where_sectors_do_and_nowhere_else)
{
	struct backend holes = faulty_holes(&self->null);
	struct batch *b = &self->b;
	u32 i;

	open_disk(self, &holes, variant);
	do_many(self, OUT, BATCH_MAX, 0, PLACES);
	if (variant->direct) {
		expect_exact_errors(_metadata, b);
		EXPECT_EQ(OK, do_one(self, FLUSH, 0));
	} else {
		/* The page cache has them all; the error is the next flush's, and no other's. */
		EXPECT_EQ(BATCH_MAX, batch_count(b, OK));
		EXPECT_EQ(IOERR, do_one(self, FLUSH, 0));
		EXPECT_EQ(OK, do_one(self, FLUSH, 0));
	}
	for (i = 0; i < BATCH_MAX; i++) {
		u32 place = i * 61 % PLACES;

		if (!faulty_is_hole(place))
			ASSERT_TRUE(faulty_has(&self->null, place * BATCH_SECTORS, NEW));
	}
	/* A file that is opened later is told of errors that were told to nobody: of none. */
	EXPECT_EQ(OK, do_one(self, OUT, 0));
	EXPECT_EQ(OK, do_one(self, FLUSH, 0));
}

/* ---- it fails for a while ---- */

static void set_flakey(FIXTURE_DATA(faults) *self, bool down, const char *features)
{
	faulty_set(&self->top, &self->null, down, features);
}

TEST_F(faults, of_a_while_are_over_with_it)
{
	struct backend top = dm_make1("flaky", SECTORS, "linear", "%s 0", self->null.path);
	int round;

	open_disk(self, &top, variant);
	for (round = 0; round < 3; round++) {
		/* Places that no cache has. */
		set_flakey(self, true, "");
		do_many(self, IN, 100, round * 200, 100);
		EXPECT_EQ(100, batch_count(&self->b, IOERR));
		set_flakey(self, false, "");
		do_many(self, IN, 100, round * 200, 100);
		EXPECT_EQ(100, batch_count(&self->b, OK));
		EXPECT_TRUE(batch_has_stamps(&self->b, round, OLD));
	}
}

TEST_F(faults, of_a_flush_are_told)
{
	struct backend top = dm_make1("flaky", SECTORS, "linear", "%s 0", self->null.path);

	open_disk(self, &top, variant);
	EXPECT_EQ(OK, do_one(self, OUT, 5));
	EXPECT_EQ(OK, do_one(self, FLUSH, 0));

	/* Nothing is dirty in the page cache: it is the disk's own cache that fails. */
	set_flakey(self, true, "1 error_writes");
	EXPECT_EQ(IOERR, do_one(self, FLUSH, 0));
	EXPECT_EQ(IOERR, do_one(self, FLUSH, 0));
	EXPECT_EQ(OK, do_one(self, IN, 6));
	set_flakey(self, false, "");
	EXPECT_EQ(OK, do_one(self, FLUSH, 0));

	/* Written while it fails. */
	set_flakey(self, true, "1 error_writes");
	EXPECT_EQ(variant->direct ? IOERR : OK, do_one(self, OUT, 7));
	EXPECT_EQ(IOERR, do_one(self, FLUSH, 0));
	set_flakey(self, false, "");
	EXPECT_EQ(OK, do_one(self, OUT, 8));
	EXPECT_EQ(OK, do_one(self, FLUSH, 0));
	EXPECT_TRUE(faulty_has(&self->null, 8 * BATCH_SECTORS, NEW));
}

/* A driver without FLUSH, or with the cache off, has no flush to be told by. */
TEST_F(faults, of_a_write_are_its_own_with_write_through)
{
	struct backend top = dm_make1("flaky", SECTORS, "linear", "%s 0", self->null.path);

	__open_disk(self, &top, variant, true);
	do_many(self, OUT, 50, 0, PLACES);
	EXPECT_EQ(50, batch_count(&self->b, OK));
	set_flakey(self, true, "1 error_writes");
	do_many(self, OUT, 50, 0, PLACES);
	EXPECT_EQ(50, batch_count(&self->b, IOERR));
	set_flakey(self, false, "");
	do_many(self, OUT, 50, 0, PLACES);
	EXPECT_EQ(50, batch_count(&self->b, OK));
	EXPECT_TRUE(faulty_has(&self->null, 61 * BATCH_SECTORS, NEW));
}

/* ---- who is told ---- */

#define TOGETHER	8

/* Writes take a second, and then fail where there is no disk below; flushes do not. */
static struct backend make_slow_with_holes(FIXTURE_DATA(faults) *self)
{
	struct backend holes = faulty_holes(&self->null);

	return dm_make1("slow", SECTORS, "delay", "%s 0 0 %s 0 1000 %s 0 0", holes.path,
			holes.path, holes.path);
}

/* Half of them on each queue, all under way at a time; places are bad ones. */
static void do_together(FIXTURE_DATA(faults) *self, u32 type, struct batch *other)
{
	u32 i;

	batch_begin(&self->b, self->d, 0, NEW);
	batch_begin(other, self->d, 1, NEW);
	for (i = 0; i < TOGETHER; i++)
		batch_add(i % 2 ? other : &self->b, type,
			  (u64)faulty_hole(i) * BATCH_SECTORS);
	batch_kick(&self->b);
	batch_kick(other);
	batch_finish(&self->b);
	batch_finish(other);
}

/* Each of them promises what was lost; a file tells but one. */
TEST_F(faults, of_a_lost_write_are_told_to_all_flushes_under_way)
{
	struct backend slow = make_slow_with_holes(self);
	struct batch other;

	if (variant->direct)
		SKIP(return, "a direct write is not lost, but fails");
	open_disk(self, &slow, variant);
	EXPECT_EQ(OK, do_one(self, OUT, 7));
	do_together(self, FLUSH, &other);
	EXPECT_EQ(TOGETHER / 2, batch_count(&self->b, IOERR));
	EXPECT_EQ(TOGETHER / 2, batch_count(&other, IOERR));
	do_together(self, FLUSH, &other);
	EXPECT_EQ(TOGETHER / 2, batch_count(&self->b, OK));
	EXPECT_EQ(TOGETHER / 2, batch_count(&other, OK));
}

TEST_F(faults, of_writes_under_way_are_told_to_each_with_write_through)
{
	struct backend slow = make_slow_with_holes(self);
	struct batch other;

	__open_disk(self, &slow, variant, true);
	do_together(self, OUT, &other);
	EXPECT_EQ(TOGETHER / 2, batch_count(&self->b, IOERR));
	EXPECT_EQ(TOGETHER / 2, batch_count(&other, IOERR));
	EXPECT_EQ(OK, do_one(self, OUT, 8));
}

/* Zeroes that did not get there are none. */
TEST_F(faults, of_zeroes_are_told)
{
	struct backend top = dm_make1("flaky", SECTORS, "linear", "%s 0", self->null.path);

	open_disk(self, &top, variant);
	EXPECT_EQ(OK, do_range(self, ZEROES, 3 * BATCH_SECTORS, BATCH_SECTORS));
	set_flakey(self, true, "1 error_writes");
	EXPECT_EQ(IOERR, do_range(self, ZEROES, 4 * BATCH_SECTORS, BATCH_SECTORS));
	set_flakey(self, false, "");
	EXPECT_EQ(OK, do_range(self, ZEROES, 4 * BATCH_SECTORS, BATCH_SECTORS));
}

/* ---- it goes away under load ---- */

static void pull_out(FIXTURE_DATA(faults) *self, void (*unplug)(const struct backend *))
{
	struct batch *b = &self->b;
	u32 i;

	/* All kinds, and they may end either way; but they end. */
	batch_begin(b, self->d, 0, NEW);
	for (i = 0; i < 200; i++)
		batch_add(b, i % 9 == 8 ? FLUSH : i % 3 == 2 ? OUT : IN,
			  (u64)(i * 61 % 500 + (i % 3 == 2 ? 500 : 0)) * BATCH_SECTORS);
	batch_kick(b);
	unplug(&self->top);
	batch_finish(b);
	CHECK(batch_count(b, OK) + batch_count(b, IOERR) == b->nr, "another status");
	for (i = 0; i < b->nr; i++)
		if (b->type[i] == IN && b->status[i] == OK)
			CHECK(batch_has_stamps(b, i, OLD), "OK, and other data");
}

static void expect_gone(struct __test_metadata *_metadata, FIXTURE_DATA(faults) *self,
			bool direct)
{
	/* Never touched so far, so in nobody's cache. */
	do_many(self, IN, 20, 1001, 20);
	EXPECT_EQ(20, batch_count(&self->b, IOERR));
	do_many(self, OUT, 20, 1001, 20);
	if (direct) {
		EXPECT_EQ(20, batch_count(&self->b, IOERR));
	} else if (batch_count(&self->b, OK)) {
		EXPECT_EQ(IOERR, do_one(self, FLUSH, 0));
	}
}

TEST_F(faults, of_a_driver_that_is_gone_are_told)
{
	open_disk(self, &self->null, variant);
	pull_out(self, null_unplug);
	expect_gone(_metadata, self, variant->direct);
}

TEST_F(faults, of_a_mapping_that_is_gone_are_told)
{
	struct backend top = dm_make1("gone", SECTORS, "linear", "%s 0", self->null.path);

	open_disk(self, &top, variant);
	pull_out(self, dm_make_fail);
	expect_gone(_metadata, self, variant->direct);
}

/* ---- the host changes it, or it cannot do all ---- */

static void set_read_only(const struct backend *b, int on)
{
	int fd = backend_open(b, O_RDONLY);

	CHECK(!ioctl(fd, BLKROSET, &on), "BLKROSET");
	close(fd);
}

TEST_F(faults, of_a_device_set_read_only_are_its_writes_own)
{
	struct null_conf conf = { .mib = DISK_MIB, .discard = true };
	struct backend null = null_make("discards", &conf);

	backend_fill(&null, OLD);
	open_disk(self, &null, variant);
	EXPECT_EQ(OK, do_one(self, OUT, 3));
	EXPECT_EQ(OK, do_one(self, FLUSH, 0));
	set_read_only(&null, 1);
	EXPECT_EQ(IOERR, do_one(self, OUT, 4));
	EXPECT_EQ(IOERR, do_range(self, DISCARD, 3 * BATCH_SECTORS, BATCH_SECTORS));
	EXPECT_TRUE(faulty_has(&null, 3 * BATCH_SECTORS, NEW));
	EXPECT_TRUE(faulty_has(&null, 4 * BATCH_SECTORS, OLD));
	set_read_only(&null, 0);
	EXPECT_EQ(OK, do_one(self, OUT, 4));
}

TEST_F(faults, discard_that_a_device_does_not_have_is_unsupported_and_loses_nothing)
{
	open_disk(self, &self->null, variant);
	EXPECT_EQ(OK, do_one(self, OUT, 5));
	EXPECT_EQ(UNSUPP, do_range(self, DISCARD, 5 * BATCH_SECTORS, BATCH_SECTORS));
	EXPECT_EQ(OK, do_one(self, IN, 5));
	EXPECT_TRUE(batch_has_stamps(&self->b, 0, NEW));
}

/*
 * The disk is on a device that somebody has mounted, or opened with O_EXCL: what they wrote is
 * not lost under them.
 */
TEST_F(faults, discard_takes_no_page_from_who_has_the_device_to_himself)
{
	struct null_conf conf = { .mib = DISK_MIB, .discard = true };
	struct backend null = null_make("discards", &conf);
	u32 i, page = 4096 / SECTOR;
	u8 sectors[4096], now[4096];
	int holder;

	backend_fill(&null, OLD);
	open_disk(self, &null, variant);
	holder = backend_open(&null, O_RDWR | O_EXCL);
	for (i = 0; i < page; i++)
		backend_stamp(sectors + i * SECTOR, 16 * page + i, NEW);
	ASSERT_EQ(sizeof(sectors), pwrite(holder, sectors, sizeof(sectors), 16 * sizeof(sectors)));
	EXPECT_EQ(IOERR, do_range(self, DISCARD, 16 * page, page));
	ASSERT_EQ(sizeof(now), pread(holder, now, sizeof(now), 16 * sizeof(now)));
	EXPECT_EQ(0, memcmp(now, sectors, sizeof(now)));
	/* Elsewhere, and once it is written, there is nothing to lose. */
	EXPECT_EQ(OK, do_range(self, DISCARD, 32 * page, page));
	ASSERT_EQ(0, fsync(holder));
	EXPECT_EQ(OK, do_range(self, DISCARD, 16 * page, page));
	close(holder);
	EXPECT_EQ(OK, do_range(self, DISCARD, 16 * page, page));
}

/* Where it ends now, zeroes would be short. */
TEST_F(faults, zeroes_and_discards_across_the_end_of_a_shrunken_device_fail)
{
	struct null_conf conf = { .mib = DISK_MIB, .discard = true };
	struct backend null = null_make("discards", &conf);
	struct dm_line half[2] = { { .len = SECTORS / 2, .target = "linear" } };
	struct backend top = dm_make1("shrinks", SECTORS, "linear", "%s 0", null.path);
	u64 last = SECTORS / 2 - BATCH_SECTORS;

	backend_fill(&null, OLD);
	open_disk(self, &top, variant);
	snprintf(half[0].params, sizeof(half[0].params), "%s 0", null.path);
	dm_reload(&top, half, false);
	EXPECT_EQ(IOERR, do_range(self, ZEROES, last, 2 * BATCH_SECTORS));
	EXPECT_EQ(IOERR, do_range(self, DISCARD, last, 2 * BATCH_SECTORS));
	EXPECT_TRUE(faulty_has(&null, last, OLD));
	EXPECT_EQ(OK, do_range(self, ZEROES, last, BATCH_SECTORS));
}

TEST_F(faults, zeroes_may_be_smaller_than_the_blocks_of_a_cached_device)
{
	struct backend loop;
	u8 want[SECTOR];
	int fd;
	u32 i;

	if (variant->direct)
		SKIP(return, "direct, a driver has to keep to the blocks");
	fd = backend_memfd("blocks", SECTORS * SECTOR);
	loop = loop_make("blocks", fd, false);
	close(fd);
	fd = backend_open(&loop, O_RDWR);
	ASSERT_EQ(0, ioctl(fd, LOOP_SET_BLOCK_SIZE, 4096));
	close(fd);
	open_disk(self, &loop, variant);
	EXPECT_EQ(OK, do_one(self, OUT, 0));
	EXPECT_EQ(OK, do_range(self, ZEROES, 3, 2));
	EXPECT_EQ(OK, do_one(self, IN, 0));
	for (i = 0; i < BATCH_SECTORS; i++) {
		backend_stamp(want, i, NEW);
		if (i == 3 || i == 4)
			memset(want, 0, SECTOR);
		EXPECT_EQ(0, memcmp(want, batch_data(&self->b, 0) + i * SECTOR, SECTOR));
	}
}

/* ---- it stalls ---- */

TEST_F(faults, that_stall_hold_up_nothing_else)
{
	struct backend half, whole = faulty_halves(&self->null, &half);
	struct batch *b = &self->b;
	u32 i, slow = 100, fast = 100;

	open_disk(self, &whole, variant);
	dm_suspend(&half, false);
	/* Reads, writes (which buffered are done at once), and a flush of them. */
	for (i = 0; i < slow; i++)
		batch_add(b, i % 2 ? IN : OUT,
			  (u64)(PLACES / 2 + i * 5) * BATCH_SECTORS);
	batch_kick(b);
	if (!variant->direct)
		for (i = 0; i < slow; i += 2)
			batch_wait_for(b, i);
	i = batch_add(b, FLUSH, 0);
	batch_kick(b);
	for (i++; i < slow + 1 + fast; i++)
		batch_add(b, i % 2 ? IN : OUT,
			  (u64)((i % 2 ? 0 : 200) + i - slow) * BATCH_SECTORS);
	batch_kick(b);
	for (i = slow + 1; i < b->nr; i++) {
		batch_wait_for(b, i);
		ASSERT_EQ(OK, b->status[i]);
		if (b->type[i] == IN)
			ASSERT_TRUE(batch_has_stamps(b, i, OLD));
	}
	/* Another queue as well. */
	{
		struct batch other;

		batch_begin(&other, self->d, 1, NEW);
		for (i = 0; i < 50; i++)
			batch_add(&other, IN, (u64)(300 + i) * BATCH_SECTORS);
		batch_kick(&other);
		batch_finish(&other);
		EXPECT_EQ(50, batch_count(&other, OK));
	}
	batch_poll(b);
	EXPECT_EQ(fast + (variant->direct ? 0 : slow / 2), b->back);
	dm_resume(&half);
	batch_finish(b);
	EXPECT_EQ(b->nr, batch_count(b, OK));
	for (i = 1; i < slow; i += 2)
		ASSERT_TRUE(batch_has_stamps(b, i, OLD));
}

/* As many reads as have a thread each; and one write, which no cache takes without waiting. */
TEST_F(faults, that_stall_hold_up_no_read_of_the_cache)
{
	struct backend half, whole = faulty_halves(&self->null, &half);
	struct batch cached;
	u32 i;

	if (variant->direct)
		SKIP(return, "it has no cache");
	open_disk(self, &whole, variant);
	EXPECT_EQ(OK, do_one(self, OUT, 9));
	dm_suspend(&half, false);
	batch_begin(&self->b, self->d, 0, NEW);
	for (i = 0; i < BATCH_MAX; i++)
		batch_add(&self->b, IN, (u64)(PLACES / 2 + i) * BATCH_SECTORS);
	batch_kick(&self->b);
	batch_begin(&cached, self->d, 1, NEW);
	batch_add(&cached, IN, 9 * BATCH_SECTORS);
	batch_kick(&cached);
	EXPECT_TRUE(batch_wait(&cached, 5000));
	dm_resume(&half);
	batch_finish(&cached);
	batch_finish(&self->b);
	EXPECT_EQ(BATCH_MAX, batch_count(&self->b, OK));
	EXPECT_TRUE(batch_has_stamps(&cached, 0, NEW));
}

/* One after the other they would take more than a minute. */
TEST_F(faults, that_are_slow_are_slow_together)
{
	struct backend top = dm_make1("slow", SECTORS, "delay", "%s 0 300", self->null.path);
	u64 begin;

	open_disk(self, &top, variant);
	begin = now_ns();
	do_many(self, IN, BATCH_MAX, 0, PLACES);
	EXPECT_EQ(BATCH_MAX, batch_count(&self->b, OK));
	EXPECT_LE(300000000ULL, now_ns() - begin);
	EXPECT_GT(15000000000ULL, now_ns() - begin);
	EXPECT_TRUE(batch_has_stamps(&self->b, 17, OLD));
}

#endif
