// SPDX-License-Identifier: GPL-2.0
/* Power cuts of a disk of the module; and the check of the check. */
#define _GNU_SOURCE
#include "kselftest_harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "both/blk_powercut.h"

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

	if (cut_lacks())
		SKIP(return, "%s", cut_lacks());
	backend_sweep();
	cut_disk_make(&self->d, false);
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

TEST_HARNESS_MAIN
