/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A power cut after every entry that a disk wrote: what was acknowledged and flushed is
 * there.
 *
 * in:  the disk under test over dm-log-writes;
 *      POWERCUT_ROUNDS of each test (default: 1), POWERCUT_SEED of the first (1)
 * out: no sector lost, none with what nobody wrote
 */
#ifndef SELFTEST_BLK_POWERCUT_H
#define SELFTEST_BLK_POWERCUT_H

#include <unistd.h>

#include "../lib/cutdisk.h"
#include "../lib/cutload.h"

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
FIXTURE_VARIANT_ADD(cut, buffered_packed_many_flushes) {
	.conf = { .features = F_PACKED, .many_flushes = true } };
FIXTURE_VARIANT_ADD(cut, direct_packed_write_through) {
	.conf = { .direct = true, .features = F_PACKED, .write_through = true } };
FIXTURE_VARIANT_ADD(cut, buffered_split_driver_without_flush) {
	.conf = { .no_flush = true } };

FIXTURE_SETUP(cut)
{
	const char *why = dut_lacks() ?: cut_lacks();

	if (why)
		SKIP(return, "%s", why);
	backend_sweep();
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
		.discards = !variant->conf.many_flushes,
	};

	for (; rounds; rounds--, seed++) {
		struct pc_verdict v;
		struct cut_disk d;
		struct pc pc;

		alarm(120);
		cut_disk_make(&d, variant->conf.many_flushes);
		pc_init(&pc, &pconf);
		cut_run(&pc, d.disk.path, &d.top, &variant->conf, seed);
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

#endif
