// SPDX-License-Identifier: GPL-2.0
/*
 * A disk in memory that writes down what it was told, for power cuts.
 *
 * in:  null_blk and dm-log-writes
 * out: see cutdisk.h
 */
#include "cutdisk.h"

#include <stdio.h>

#include "cutload.h"

void cut_disk_make(struct cut_disk *d, bool many_flushes)
{
	struct null_conf data = { .mib = CUT_DISK_MIB }, log = { .mib = LOG_MIB };

	d->many_flushes = many_flushes;
	d->data = null_make("data", &data);
	d->log = null_make("log", &log);
	d->top = lw_make("cut", &d->data, &d->log);
	d->disk = many_flushes ? lw_in_turn(&d->top) : d->top;
}

struct pc_verdict cut_disk_verify(struct cut_disk *d, struct pc *pc)
{
	struct pc_verdict v;
	struct lw_log l;

	if (d->many_flushes)
		loop_detach(&d->disk);
	lw_end(&d->top);
	lw_open(&l, &d->log);
	v = pc_verify_log(pc, &l);
	lw_close(&l);
	printf("# %llu entries, %llu flushes, %llu promises: %llu lost, %llu alien, %llu torn\n",
	       (unsigned long long)v.entries, (unsigned long long)v.flushes,
	       (unsigned long long)v.marks, (unsigned long long)v.lost,
	       (unsigned long long)v.alien, (unsigned long long)v.torn);
	return v;
}

const char *cut_lacks(void)
{
	return backend_lacks("null_blk") ?: backend_lacks("log-writes") ?: backend_lacks("loop");
}
