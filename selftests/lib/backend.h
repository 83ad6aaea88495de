/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Disks that fail, stall and remember, for tests of a block backend: null_blk, loop,
 * and device-mapper targets on top of each other.
 *
 * in:  root; a kernel with these (lab/run's kernels have all of them)
 * out: block devices and file systems, all of which backend_sweep() removes
 *
 * Whatever is made here has BACKEND_PREFIX in its name, so that what a dead test has left
 * is found without its help: a fixture sweeps at its setup and its teardown, and the
 * program once more at its end, whoever died in between.
 */
#ifndef SELFTEST_BACKEND_H
#define SELFTEST_BACKEND_H

#include "util.h"

#define BACKEND_PREFIX	"vkt-"
#ifndef SECTOR
#define SECTOR		512U
#endif

/* A disk, or a file in a file system. */
struct backend {
	char name[32];		/* with the prefix */
	char path[128];		/* to open(2) */
	u64 sectors;
};

/**
 * backend_lacks() - whether this kernel can make something
 * @what: "null_blk", "loop", "ext4", or a device-mapper target
 *
 * Loads the module for it. Return: NULL, or why a test has to be skipped.
 */
const char *backend_lacks(const char *what);

/* Removes all that backends are made of, the topmost first; aborts if that fails. */
void backend_sweep(void);

/* open(2) of a backend; aborts the test. */
int backend_open(const struct backend *b, int flags);
/* Writes all of it directly, sector by sector, as backend_stamp() does. */
void backend_fill(const struct backend *b, u64 seed);
/* What backend_fill() puts in a sector. */
void backend_stamp(void *sector, u64 index, u64 seed);
/**
 * backend_find_other() - look for a sector that is not as it should be
 * @seed: of the stamps that should be there
 * @or_zeroes: a sector of zeroes will do as well
 *
 * Reads past the page cache. Return: the first of @nr from @sector on, or -1.
 */
int64_t backend_find_other(const struct backend *b, u64 sector, u32 nr, u64 seed,
		       bool or_zeroes);
/* Whether a page of these sectors is in the page cache. */
bool backend_is_cached(const struct backend *b, u64 sector, u32 nr);

/* ---- null_blk, memory backed ---- */

/**
 * struct null_conf - what null_make() makes
 * @mib: size
 * @completion_us: when a request completes, by a timer; 0: at once
 * @cache_mib: of a volatile write cache; 0: none, and no flush reaches the device
 * @discard: whether it has discard
 */
struct null_conf {
	u32 mib;
	u32 completion_us;
	u32 cache_mib;
	bool discard;
};

struct backend null_make(const char *name, const struct null_conf *conf);
/* Makes I/O of these sectors fail, or again not. */
void null_set_bad(const struct backend *b, u64 first, u64 last, bool bad);
/* As if it was pulled out. */
void null_unplug(const struct backend *b);

/* ---- loop ---- */

/* On a file that is open as @fd and has the prefix in its name. */
struct backend loop_make(const char *name, int fd, bool direct);
void loop_detach(const struct backend *b);
/* A file in memory with the prefix in its name. */
int backend_memfd(const char *name, u64 bytes);

/* ---- device mapper ---- */

/* One line of a table; printf formats are done by the caller. */
struct dm_line {
	u64 start, len;		/* sectors */
	const char *target;
	char params[192];
};

/* A table that ends where @len is 0. */
struct backend dm_make(const char *name, const struct dm_line *table);
/* The same with one line over all of @below. */
struct backend dm_make1(const char *name, u64 sectors, const char *target,
			const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Swaps the table of a live device; what is in flight ends first, unless @noflush. */
void dm_reload(const struct backend *b, const struct dm_line *table, bool noflush);
/* As dmsetup remove --force has it: from now on all fails. */
void dm_make_fail(const struct backend *b);
void dm_suspend(const struct backend *b, bool noflush);
void dm_resume(const struct backend *b);
int __dm_message(const struct backend *b, const char *message);
void dm_message(const struct backend *b, const char *message);
void dm_remove(const struct backend *b);

/* ---- a file system ---- */

/**
 * fs_make() - makes an ext4 and mounts it
 * @on: disk
 * @options: of mount(2); NULL: none
 *
 * Return: the directory, as ->path.
 */
struct backend fs_make(const char *name, const struct backend *on, const char *options);
/* Mounts what is there, replaying its journal. Return: -errno. */
int __fs_mount(struct backend *fs, const char *name, const struct backend *on,
	       const char *options);
void fs_freeze(const struct backend *fs);
void fs_thaw(const struct backend *fs);
void fs_umount(const struct backend *fs);
/* A file that is there already. */
struct backend fs_at(const struct backend *fs, const char *name);
/* A file of @bytes in it; @allocate: with its blocks written, else sparse. */
struct backend fs_file(const struct backend *fs, const char *name, u64 bytes,
		       bool allocate);

#endif
