/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a disk's data lie in: a file on tmpfs or ext4, a loop device, a null_blk device.
 *
 * in:  a kind and a size; root, and the modules loop, ext4, null_blk
 * out: a path to open, and what lies below it
 *
 * The program is in a mount namespace of its own, so that whatever ends it, file systems
 * are gone. Devices are made once for all tests of a program, as that takes seconds: so
 * what the test before has written is still there. They are removed as it ends; if it is
 * killed, they stay.
 */
#ifndef SELFTEST_BACKING_H
#define SELFTEST_BACKING_H

#include "util.h"

enum backing_kind {
	BACKING_TMPFS,
	BACKING_EXT4,		/* one file system for all of a program, on a loop device */
	BACKING_LOOP,		/* over a file on tmpfs */
	BACKING_NULL,		/* null_blk, memory-backed, with a volatile cache */
	BACKING_GIVEN,		/* whatever is at a path, and stays there */
};

/**
 * struct backing - one of them
 * @path: to be opened
 * @lower: of a loop device: the file below; a flush of the device brings data there
 * @stat: of a block device, or the one that the file system is on: its sysfs "stat"
 */
struct backing {
	enum backing_kind kind;
	u64 bytes;
	bool is_block;
	char path[96];
	char lower[96];
	char stat[96];
};

/**
 * struct backing_conf - what backing_make() makes
 * @delay_ms: BACKING_NULL: how long each request takes, by a timer interrupt
 * @path: BACKING_GIVEN
 */
struct backing_conf {
	enum backing_kind kind;
	u64 bytes;
	u32 delay_ms;
	const char *path;
};

void backing_make(struct backing *b, const struct backing_conf *conf);
void backing_free(struct backing *b);

/* A new fd, with O_CLOEXEC. Aborts the test if it cannot be had. */
int backing_open(const struct backing *b, int flags);
/* Whether a file there can be opened with O_DIRECT: tmpfs cannot before 6.6. */
bool backing_has_direct(enum backing_kind kind);

/* Flushes that the block device has completed. */
u64 backing_flushes(const struct backing *b);

/* A directory with nothing in it, on a tmpfs of its own, at most @bytes large. */
void backing_mount_tmpfs(const char *dir, u64 bytes);
/* Where all of this is: the program's own tmpfs. */
#define BACKING_HOME	"/mnt"

#endif
