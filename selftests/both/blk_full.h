/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A file that is too small for its disk: its file system is full, or it was truncated.
 *
 * in:  the disk under test, direct and buffered, on files in a small ext4
 * out: IOERR for what has no room, all else as it was; room is used once there is some
 */
#ifndef SELFTEST_BLK_FULL_H
#define SELFTEST_BLK_FULL_H

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../lib/batch.h"

#define NEW		2	/* seed of stamps */

#define IN		VIRTIO_BLK_T_IN
#define OUT		VIRTIO_BLK_T_OUT
#define FLUSH		VIRTIO_BLK_T_FLUSH
#define OK		VIRTIO_BLK_S_OK
#define IOERR		VIRTIO_BLK_S_IOERR

FIXTURE(file)
{
	struct dut *d;
	struct backend loop, fs, file;
	struct batch b;
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
	const char *why = dut_lacks() ?: backend_lacks("loop") ?: backend_lacks("ext4");
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
	if (self->d)
		dut_close(self->d);
	backend_sweep();
}

static void open_disk(FIXTURE_DATA(file) *self, const FIXTURE_VARIANT(file) *variant,
		      u32 mib, bool allocate)
{
	struct dut_conf conf = {
		.sectors = mib * 2048U,
		.direct = variant->direct,
		.features = variant->features | F_INDIRECT,
		.layout = DRV_INDIRECT,
	};

	self->file = fs_file(&self->fs, "disk", (u64)mib << 20, allocate);
	conf.path = self->file.path;
	self->d = dut_open(&conf);
}

static void file_batch(FIXTURE_DATA(file) *self, u32 type, u32 nr, u32 from)
{
	u32 i;

	batch_begin(&self->b, self->d, 0, NEW);
	for (i = 0; i < nr; i++)
		batch_add(&self->b, type, (u64)(from + i) * BATCH_SECTORS);
	batch_kick(&self->b);
	batch_finish(&self->b);
}

TEST_F(file, system_that_is_full_is_told_and_room_is_used_again)
{
	struct backend filler = fs_file(&self->fs, "filler", 1 << 20, true);
	u32 from, full = 0, i;
	static u8 was[16 << 8];

	/* Sparse, and larger than the file system. */
	open_disk(self, variant, 16, false);
	for (from = 0; from < ARRAY_SIZE(was); from += 128) {
		file_batch(self, OUT, 128, from);
		memcpy(was + from, self->b.status, 128);
		full += batch_count(&self->b, IOERR);
		ASSERT_EQ(128, batch_count(&self->b, IOERR) + batch_count(&self->b, OK));
	}
	ASSERT_LT(500, full);
	ASSERT_GT(3500, full);
	file_batch(self, FLUSH, 1, 0);
	ASSERT_EQ(OK, self->b.status[0]);

	/* All that it took is there, also for who boots from it. */
	if (!variant->direct) {
		int fd = backend_open(&self->file, O_RDONLY);

		ASSERT_EQ(0, posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
		close(fd);
	}
	for (from = 0; from < ARRAY_SIZE(was); from += 128) {
		file_batch(self, IN, 128, from);
		for (i = 0; i < 128; i++) {
			ASSERT_EQ(OK, self->b.status[i]);
			if (was[from + i] == OK)
				ASSERT_TRUE(batch_has_stamps(&self->b, i, NEW));
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
	static const u8 zeroes[BATCH_BYTES];
	u32 i;

	open_disk(self, variant, 2, true);
	batch_begin(&self->b, self->d, 0, NEW);
	for (i = 0; i < 200; i++)
		batch_add(&self->b, IN, (u64)(i * 61 % 512) * BATCH_SECTORS);
	batch_kick(&self->b);
	ASSERT_EQ(0, truncate(self->file.path, 1 << 20));
	batch_finish(&self->b);
	for (i = 0; i < 200; i++)
		if (self->b.sector[i] < 1 << 11) {
			ASSERT_EQ(OK, self->b.status[i]);
			ASSERT_TRUE(batch_has_stamps(&self->b, i, 0));
		}

	/* From now on it is for sure. */
	file_batch(self, IN, 128, 192);
	EXPECT_EQ(64, batch_count(&self->b, OK));
	EXPECT_EQ(64, batch_count(&self->b, IOERR));
	ASSERT_EQ(0, truncate(self->file.path, 2 << 20));
	file_batch(self, IN, 128, 192);
	EXPECT_EQ(128, batch_count(&self->b, OK));
	EXPECT_EQ(0, memcmp(batch_data(&self->b, 127), zeroes, sizeof(zeroes)));
}

#endif
