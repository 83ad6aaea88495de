/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A disk in memory that writes down what it was told, for power cuts.
 *
 * in:  null_blk and dm-log-writes
 * out: whether each prefix of the log holds what was promised
 */
#ifndef SELFTEST_CUTDISK_H
#define SELFTEST_CUTDISK_H

#include "powercut.h"

#define CUT_DISK_MIB	8

/* A disk of zeroes, its log, what writes it down, and what is to be opened. */
struct cut_disk {
	struct backend data, log, top, disk;
	bool many_flushes;
};

/* NULL, or why a test has to be skipped. */
const char *cut_lacks(void);
/* @many_flushes: may be sent at a time; then it has no discards. */
void cut_disk_make(struct cut_disk *d, bool many_flushes);
/* Removes all but the data and the log. */
struct pc_verdict cut_disk_verify(struct cut_disk *d, struct pc *pc);

#endif
