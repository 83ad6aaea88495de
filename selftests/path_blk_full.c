// SPDX-License-Identifier: GPL-2.0
/*
 * A file that is too small for its disk: its file system is full, or it was truncated.
 *
 * in:  /dev/vkick-blk, direct and buffered, on files in a small ext4
 * out: IOERR for what has no room, all else as it was; room is used once there is some
 */
#define _GNU_SOURCE
#include "kselftest_harness.h"

#include <fcntl.h>
#include <unistd.h>

#include "lib/batch.h"

#define NEW		2	/* seed of stamps */

#define IN		VIRTIO_BLK_T_IN
#define OUT		VIRTIO_BLK_T_OUT
#define FLUSH		VIRTIO_BLK_T_FLUSH
#define OK		VIRTIO_BLK_S_OK
#define IOERR		VIRTIO_BLK_S_IOERR

FIXTURE(file)
{
	struct disk d;
	struct backend loop, fs, file;
	struct batch b;
	int below;
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
	const char *why = backend_lacks("loop") ?: backend_lacks("ext4");

	backend_sweep();
	if (why)
		SKIP(return, "%s", why);
	self->below = backend_memfd("small", 12 << 20);
	self->loop = loop_make("small", self->below, false);
	self->fs = fs_make("small", &self->loop, NULL);
}

FIXTURE_TEARDOWN(file)
{
	if (self->open) {
		EXPECT_TRUE(gmem_canaries_ok(&self->d.r.mem));
		disk_close(&self->d);
	}
	backend_sweep();
}

static void file_batch(FIXTURE_DATA(file) *self, u32 type, u32 nr, u32 from)
{
	u32 i;

	batch_begin(&self->b, &self->d, 0, NEW);
	for (i = 0; i < nr; i++)
		batch_add(&self->b, type, (u64)(from + i) * BATCH_SECTORS);
	batch_kick(&self->b);
	batch_finish(&self->b);
}

TEST_F(file, system_that_is_full_is_told_and_room_is_used_again)
{
	struct backend filler = fs_file(&self->fs, "filler", 1 << 20, true);
	u32 sectors = 16 << 11, from, full = 0, i;
	static u8 was[16 << 8];

	/* Sparse, and larger than the file system. */
	self->file = fs_file(&self->fs, "disk", 16 << 20, false);
	batch_open(&self->d, self->file.path, sectors, variant->direct, variant->features, 1);
	self->open = true;
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
	u32 i;

	self->file = fs_file(&self->fs, "disk", 2 << 20, true);
	batch_open(&self->d, self->file.path, 2 << 11, variant->direct, variant->features, 1);
	self->open = true;
	batch_begin(&self->b, &self->d, 0, NEW);
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
	EXPECT_TRUE(disk_is_all(&self->d, BATCH_BUF(0, 127), BATCH_BYTES, 0));
}

TEST_HARNESS_MAIN
