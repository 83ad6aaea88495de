// SPDX-License-Identifier: GPL-2.0
/*
 * A power cut after every entry that a disk wrote: what was acknowledged and flushed is
 * there.
 *
 * in:  /dev/vkick-blk over dm-log-writes;
 *      POWERCUT_ROUNDS of each test (default: 1), POWERCUT_SEED of the first (1)
 * out: no sector lost, none with what nobody wrote
 */
#define _GNU_SOURCE
#include "kselftest_harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/cutdisk.h"
#include "lib/cutload.h"

static void send_mark(struct pc *pc, struct cut_disk *d, int mark)
{
	char text[32];

	if (mark < 0)
		return;
	pc_mark_text(mark, text);
	dm_message(&d->top, text);
	pc_marked(pc, mark);
}

/* ---- the check itself, with no module in the way ---- */

FIXTURE(check)
{
	struct cut_disk d;
	struct pc pc;
	int fd;
};

FIXTURE_SETUP(check)
{
	struct pc_conf conf = {
		.sectors = CUT_DISK_MIB * MIB_SECTORS,
		.unit = 8,
		.max_units = 8,
		.flush_every = 10,
	};

	backend_sweep();
	if (cut_lacks())
		SKIP(return, "%s", cut_lacks());
	cut_disk_make(&self->d);
	pc_init(&self->pc, &conf);
	self->fd = -1;
}

FIXTURE_TEARDOWN(check)
{
	if (self->fd >= 0)
		close(self->fd);
	pc_free(&self->pc);
	backend_sweep();
}

/* pwrite(2) and, of every second flush at least, fsync(2). */
static void write_and_flush(FIXTURE_DATA(check) *self, int flags, bool lie)
{
	static u8 buf[64 * SECTOR] __attribute__((aligned(4096)));
	u64 seed = 1;
	u32 flushes = 0;
	int i;

	self->fd = backend_open(&self->d.top, O_RDWR | flags);
	for (i = 0; i < 400; i++) {
		struct pc_req r;

		pc_next(&self->pc, &seed, &r);
		if (r.op == PC_FLUSH) {
			if (!lie || flushes++ % 2)
				CHECK(!fsync(self->fd), "fsync");
		} else {
			if (r.op == PC_ZERO)
				memset(buf, 0, r.nr * SECTOR);
			else
				pc_fill(&r, buf);
			CHECK(pwrite(self->fd, buf, r.nr * SECTOR, r.sector * SECTOR) ==
			      (ssize_t)(r.nr * SECTOR), "pwrite");
		}
		send_mark(&self->pc, &self->d, pc_done(&self->pc, &r, false));
	}
	close(self->fd);
	self->fd = -1;
}

TEST_F(check, passes_an_honest_disk)
{
	struct pc_verdict v;

	write_and_flush(self, O_DIRECT, false);
	v = cut_disk_verify(&self->d, &self->pc);
	EXPECT_LT(20, v.marks);
	EXPECT_LE(v.marks, v.flushes);
	EXPECT_EQ(0, v.lost + v.alien + v.torn);
}

TEST_F(check, passes_an_honest_cache)
{
	struct pc_verdict v;

	write_and_flush(self, 0, false);
	v = cut_disk_verify(&self->d, &self->pc);
	EXPECT_LT(20, v.marks);
	EXPECT_EQ(0, v.lost + v.alien + v.torn);
}

TEST_F(check, sees_a_disk_that_skips_flushes)
{
	struct pc_verdict v;

	write_and_flush(self, O_DIRECT, true);
	v = cut_disk_verify(&self->d, &self->pc);
	EXPECT_LT(100, v.lost);
	EXPECT_EQ(0, v.alien + v.torn);
}

TEST_F(check, sees_a_cache_that_skips_flushes)
{
	struct pc_verdict v;

	write_and_flush(self, 0, true);
	v = cut_disk_verify(&self->d, &self->pc);
	EXPECT_LT(100, v.lost);
	EXPECT_EQ(0, v.alien + v.torn);
}

/* ---- the module ---- */

FIXTURE(cut)
{
	int unused;
};

FIXTURE_VARIANT(cut)
{
	struct cut_conf conf;
};

FIXTURE_VARIANT_ADD(cut, direct_split) {
	.conf = { .direct = true, .features = F_EVENT_IDX } };
FIXTURE_VARIANT_ADD(cut, buffered_packed_indirect) {
	.conf = { .features = F_PACKED | F_INDIRECT, .layout = DRV_INDIRECT } };
FIXTURE_VARIANT_ADD(cut, direct_packed_write_through) {
	.conf = { .direct = true, .features = F_PACKED, .write_through = true } };
FIXTURE_VARIANT_ADD(cut, buffered_split_driver_without_flush) {
	.conf = { .no_flush = true } };

FIXTURE_SETUP(cut)
{
	backend_sweep();
	if (cut_lacks())
		SKIP(return, "%s", cut_lacks());
}

FIXTURE_TEARDOWN(cut)
{
	backend_sweep();
}

/* Each round has two minutes, however many there are. */
TEST_F_TIMEOUT(cut, of_a_disk_loses_nothing_promised, 3600)
{
	u64 seed = cut_from_env("POWERCUT_SEED", 1), rounds = cut_from_env("POWERCUT_ROUNDS", 1);
	struct pc_conf pconf = {
		.sectors = CUT_DISK_MIB * MIB_SECTORS,
		.unit = 1,
		.max_units = CUT_MAX_SECTORS,
		.flush_every = 12,
	};

	for (; rounds; rounds--, seed++) {
		struct pc_verdict v;
		struct cut_disk d;
		struct pc pc;

		alarm(120);
		cut_disk_make(&d);
		pc_init(&pc, &pconf);
		cut_run_module(&pc, d.top.path, &d.top, &variant->conf, seed);
		v = cut_disk_verify(&d, &pc);
		EXPECT_LT(20, v.marks);
		ASSERT_EQ(0, v.lost) TH_LOG("seed %llu", (unsigned long long)seed);
		ASSERT_EQ(0, v.alien);
		/* The page cache may be written while it is written to. */
		if (variant->conf.direct)
			ASSERT_EQ(0, v.torn);
		pc_free(&pc);
		backend_sweep();
	}
}

TEST_HARNESS_MAIN
