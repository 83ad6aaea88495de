/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What dm-log-writes wrote down, read back (Documentation/admin-guide/device-mapper/
 * log-writes.rst, drivers/md/dm-log-writes.c of the kernel).
 *
 * in:  the log device, complete: its dm-log-writes device is removed
 * out: entries in the order in which they became durable, of a disk with one flush at a
 *      time; an image as of each
 *
 * The target logs a write that completed when a flush that was submitted after it has
 * completed, then that flush; a write with FUA, and a mark, at once. So a prefix of
 * the log is the least that a disk holds after a power cut: all that was promised, and of what
 * was not, that alone which stands before the cut.
 */
#ifndef SELFTEST_LOGWRITES_H
#define SELFTEST_LOGWRITES_H

#include "backend.h"

#define LW_FLUSH	(1 << 0)
#define LW_FUA		(1 << 1)
#define LW_DISCARD	(1 << 2)
#define LW_MARK		(1 << 3)

/**
 * struct lw_entry - one entry
 * @sector: where on the disk
 * @nr: sectors; 0 for a mark, and for a flush without data
 * @flags: LW_*
 * @at: where its data are in the log, in bytes
 * @mark: text of a mark
 */
struct lw_entry {
	u64 sector;
	u64 nr;
	u32 flags;
	u64 at;
	char mark[64];
};

/**
 * struct lw_log - an open log
 * @fd: of the log device
 * @nr: entries in all
 * @next: to be read next
 */
struct lw_log {
	int fd;
	u64 nr, next;
	u64 at;
	u32 sectorsize;
};

/**
 * lw_make() - a dm-log-writes disk
 * @data: what it is over
 * @log: where it logs to
 *
 * A flush is given what has completed when it begins, which is logged when the flush is
 * done. So where two overlap, and the second overtakes the first, the log has what was
 * written later first: it goes back to what was overwritten, and a promise stands before
 * what it promised. Only a disk that has one flush at a time is judged by its log.
 */
struct backend lw_make(const char *name, const struct backend *data,
		       const struct backend *log);

/**
 * lw_in_turn() - a disk over @lw that takes many flushes, of which one at a time is sent on
 *
 * The block layer does that for a loop device. It has no discards, as @lw has no
 * write-zeroes. Context: to be detached before @lw is removed.
 */
struct backend lw_in_turn(const struct backend *lw);

/*
 * Flushes it and removes it, when nobody uses it any more. Without the flush the target
 * logs what is left ahead of what it has yet to log.
 */
void lw_end(const struct backend *b);

void lw_open(struct lw_log *l, const struct backend *log);
void lw_close(struct lw_log *l);
/* Reads the next entry. Return: false at the end. */
bool lw_next(struct lw_log *l, struct lw_entry *e);
/* Reads the data of an entry that has some. */
void lw_data(const struct lw_log *l, const struct lw_entry *e, void *buf);
/* Does to an image in memory what the entry did to the disk; a discard leaves it as it is. */
void lw_apply(const struct lw_log *l, const struct lw_entry *e, u8 *image, u64 sectors);

#endif
