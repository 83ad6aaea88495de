/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A power cut of a disk whose data lie in a file: once the file system's journal is
 * replayed, what was acknowledged and flushed is there.
 *
 * in:  the disk under test on a sparse file in ext4 over dm-log-writes;
 *      POWERCUT_ROUNDS of each test (default: 1), POWERCUT_SEED of the first (1),
 *      POWERCUT_FULL_ROUNDS: the first of them that cut at every promise (0)
 * out: the file system mounts; no sector lost, none with what nobody wrote
 */
#ifndef SELFTEST_BLK_POWERCUT_FS_H
#define SELFTEST_BLK_POWERCUT_FS_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../lib/cutdisk.h"
#include "../lib/cutload.h"

#define FS_MIB		24
#define FILE_MIB	4
#define CUTS		10	/* each of which is mounted */

static void read_all(const struct backend *b, u8 *buf, size_t bytes)
{
	int fd = backend_open(b, O_RDONLY);
	size_t at;
	ssize_t n;

	for (at = 0; at < bytes; at += n) {
		n = pread(fd, buf + at, bytes - at, at);
		CHECK(n > 0, "read %s at %zu", b->path, at);
	}
	close(fd);
}

/* Boots from @image, as it were: what is in the file once the journal is replayed. */
static struct pc_verdict check_fs(struct pc *pc, const u8 *image, int mark, u32 upper)
{
	size_t bytes = FILE_MIB * MIB_SECTORS * SECTOR;
	int fd = backend_memfd("after", FS_MIB * MIB_SECTORS * SECTOR), err;
	struct backend loop, fs, file;
	struct pc_verdict v;
	u8 *buf = malloc(bytes);

	CHECK(buf, "no memory");
	CHECK(pwrite(fd, image, FS_MIB * MIB_SECTORS * SECTOR, 0) ==
	      (ssize_t)(FS_MIB * MIB_SECTORS * SECTOR), "copy the image");
	loop = loop_make("after", fd, false);
	err = __fs_mount(&fs, "after", &loop, NULL);
	CHECK(!err, "the file system does not mount after a power cut: %d", err);
	file = fs_at(&fs, "disk");
	read_all(&file, buf, bytes);
	v = pc_verify_image(pc, buf, mark, upper);
	fs_umount(&fs);
	loop_detach(&loop);
	close(fd);
	free(buf);
	return v;
}

/* Cuts at @cuts of the marks, or all, and now and then some entries later. */
static struct pc_verdict cut_fs(struct pc *pc, struct lw_log *l, u8 *image, u64 seed, u32 cuts)
{
	u32 every = cuts ? pc->nr_marks / cuts + 1 : 1, seen = 0, upper = 0, later = 0;
	struct pc_verdict sum = { 0 }, v;
	struct lw_entry e;
	int mark = -1, last = -1;

	while (lw_next(l, &e)) {
		lw_apply(l, &e, image, FS_MIB * MIB_SECTORS);
		sum.flushes += !!(e.flags & LW_FLUSH);
		if (e.flags & LW_MARK && sscanf(e.mark, "m%d", &mark) == 1) {
			last = mark;
			if (pc->mark[mark].submitted > upper)
				upper = pc->mark[mark].submitted;
			if (seen++ % every)
				continue;
			/* One that is due is not put off again. */
			later = !cuts || later || prng(&seed) % 2 ? 0 : prng(&seed) % 8;
		} else if (!later || --later) {
			continue;
		}
		if (later)
			continue;
		/* What comes after the mark may have been submitted after it. */
		v = check_fs(pc, image, last, e.flags & LW_MARK ? upper : pc->nr_req);
		sum.marks++;
		sum.lost += v.lost;
		sum.alien += v.alien;
		sum.torn += v.torn;
	}
	return sum;
}

FIXTURE(cut_fs)
{
	int unused;
};

FIXTURE_VARIANT(cut_fs)
{
	struct cut_conf conf;
};

FIXTURE_VARIANT_ADD(cut_fs, direct_split) {
	.conf = { .direct = true, .features = F_EVENT_IDX, .many_flushes = true } };
FIXTURE_VARIANT_ADD(cut_fs, buffered_packed) {
	.conf = { .features = F_PACKED, .many_flushes = true } };

FIXTURE_SETUP(cut_fs)
{
	const char *why = dut_lacks() ?: cut_lacks() ?: backend_lacks("ext4");

	if (why)
		SKIP(return, "%s", why);
	backend_sweep();
}

FIXTURE_TEARDOWN(cut_fs)
{
	backend_sweep();
}

static void cut_once(struct __test_metadata *_metadata, const struct cut_conf *conf, u64 seed,
		     u32 cuts)
{
	u64 fs_bytes = FS_MIB * MIB_SECTORS * SECTOR;
	struct null_conf data_conf = { .mib = FS_MIB }, log_conf = { .mib = LOG_MIB };
	struct pc_conf pconf = {
		.sectors = FILE_MIB * MIB_SECTORS,
		.unit = 1,
		.max_units = CUT_MAX_SECTORS,
		.flush_every = 12,
		.discards = true,
	};
	struct backend below, log, top, turn, fs, file;
	struct pc_verdict v;
	struct lw_log l;
	struct pc pc;
	u8 *image;

	below = null_make("data", &data_conf);
	log = null_make("log", &log_conf);
	fs = fs_make("fs", &below, NULL);
	file = fs_file(&fs, "disk", FILE_MIB * MIB_SECTORS * SECTOR, false);
	fs_umount(&fs);
	image = malloc(fs_bytes);
	ASSERT_NE(NULL, image);
	read_all(&below, image, fs_bytes);

	top = lw_make("cut", &below, &log);
	/* The journal has flushes of its own. */
	turn = lw_in_turn(&top);
	ASSERT_EQ(0, __fs_mount(&fs, "fs", &turn, NULL));
	pc_init(&pc, &pconf);
	cut_run(&pc, file.path, &top, conf, seed);
	fs_umount(&fs);
	loop_detach(&turn);
	lw_end(&top);

	lw_open(&l, &log);
	v = cut_fs(&pc, &l, image, seed, cuts);
	TH_LOG("%llu entries, %llu flushes, %llu cuts: %llu lost, %llu alien, %llu torn",
	       (unsigned long long)l.nr, (unsigned long long)v.flushes,
	       (unsigned long long)v.marks, (unsigned long long)v.lost,
	       (unsigned long long)v.alien, (unsigned long long)v.torn);
	lw_close(&l);
	EXPECT_LE(cuts ? cuts / 4 : pc.nr_marks, v.marks);
	EXPECT_EQ(0, v.lost);
	EXPECT_EQ(0, v.alien);
	if (conf->direct)
		EXPECT_EQ(0, v.torn);
	pc_free(&pc);
	free(image);
}

/* Each round has two minutes, or ten, however many there are. */
TEST_F_TIMEOUT(cut_fs, of_a_sparse_file_loses_nothing_promised, 3600)
{
	u64 seed = cut_from_env("POWERCUT_SEED", 1), rounds = cut_from_env("POWERCUT_ROUNDS", 1);
	u64 full = cut_from_env("POWERCUT_FULL_ROUNDS", 0);

	for (; rounds; rounds--, seed++, full -= !!full) {
		alarm(full ? 600 : 120);
		cut_once(_metadata, &variant->conf, seed, full ? 0 : CUTS);
		ASSERT_TRUE(__test_passed(_metadata)) TH_LOG("seed %llu", (unsigned long long)seed);
		backend_sweep();
	}
}

#endif
