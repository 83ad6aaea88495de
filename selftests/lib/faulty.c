// SPDX-License-Identifier: GPL-2.0
/*
 * Disks with known faults, for tests of both datapaths.
 *
 * in:  a disk below
 * out: see faulty.h
 */
#define _GNU_SOURCE
#include "faulty.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HOLE_EVERY	29	/* places */
#define FIRST_HOLE	7
#define MAX_HOLES	64

bool faulty_is_hole(u32 place)
{
	return place % HOLE_EVERY == FIRST_HOLE;
}

u32 faulty_hole(u32 i)
{
	return i * HOLE_EVERY + FIRST_HOLE;
}

struct backend faulty_holes(const struct backend *below)
{
	static struct dm_line table[2 * MAX_HOLES + 2];
	u32 places = below->sectors / FAULTY_SECTORS, n = 0, place;
	u64 at = 0, end;

	CHECK(places / HOLE_EVERY < MAX_HOLES, "%u places", places);
	for (place = 0; place <= places; place++) {
		bool last = place == places;

		if (!last && !faulty_is_hole(place))
			continue;
		end = last ? below->sectors :
			     (u64)place * FAULTY_SECTORS + place % FAULTY_SECTORS;
		if (end > at) {
			table[n] = (struct dm_line) { at, end - at, "linear", "" };
			snprintf(table[n++].params, sizeof(table[0].params), "%s %llu",
				 below->path, (unsigned long long)at);
		}
		if (!last)
			table[n++] = (struct dm_line) { end, 1, "error", "" };
		at = end + 1;
	}
	table[n] = (struct dm_line) { 0 };
	return dm_make("holes", table);
}

void faulty_set(const struct backend *top, const struct backend *below, bool down,
		const char *features)
{
	struct dm_line table[2] = { { .len = below->sectors, .target = "flakey" } };

	snprintf(table[0].params, sizeof(table[0].params), "%s 0 %d %d %s", below->path,
		 down ? 0 : 3600, down ? 3600 : 0, features);
	dm_reload(top, table, false);
}

struct backend faulty_halves(const struct backend *below, struct backend *half)
{
	u64 middle = below->sectors / 2;
	struct dm_line table[3] = {
		{ 0, middle, "linear", "" }, { middle, middle, "linear", "" },
	};

	*half = dm_make1("half", middle, "linear", "%s %llu", below->path,
			 (unsigned long long)middle);
	snprintf(table[0].params, sizeof(table[0].params), "%s 0", below->path);
	snprintf(table[1].params, sizeof(table[1].params), "%s 0", half->path);
	return dm_make("whole", table);
}

bool faulty_has(const struct backend *b, u64 sector, u64 seed)
{
	return backend_find_other(b, sector, FAULTY_SECTORS, seed, false) < 0;
}
