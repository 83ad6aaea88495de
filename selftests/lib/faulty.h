/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Disks with known faults, for tests of both datapaths.
 *
 * in:  a disk below
 * out: device-mapper disks on it: with holes, that fail for a while, half of which stalls
 */
#ifndef SELFTEST_FAULTY_H
#define SELFTEST_FAULTY_H

#include "backend.h"

/* What tests read and write at a time: a place of the disk. */
#define FAULTY_SECTORS	8U
#define FAULTY_BYTES	(FAULTY_SECTORS * SECTOR)

/* Whether a place is one in which faulty_holes() has a hole. */
bool faulty_is_hole(u32 place);
/* The @i-th of these. */
u32 faulty_hole(u32 i);
/* One of the sectors of each such place has no disk below it. */
struct backend faulty_holes(const struct backend *below);

/* Makes @top fail, or again not; @features: as dm-flakey has them, "": all fails. */
void faulty_set(const struct backend *top, const struct backend *below, bool down,
		const char *features);

/* The second half of the disk has a mapping of its own, @half, which can be suspended. */
struct backend faulty_halves(const struct backend *below, struct backend *half);

/* Whether the place at @sector has the stamps of @seed; reads past the page cache. */
bool faulty_has(const struct backend *b, u64 sector, u64 seed);

#endif
