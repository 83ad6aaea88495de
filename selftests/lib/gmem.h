/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guest memory for tests: a few regions of this process's memory that stand at
 * guest-physical addresses of their own.
 *
 * in:  regions, as (gpa, size)
 * out: translation, allocation, snapshots, and canaries around each region
 *
 * Regions that are neighbours in guest-physical space never are in this process:
 * each mapping has a canary page before and after it, which is mapped and
 * writable but not guest memory. So code that runs past a region's end is caught
 * by the canary, not saved by luck.
 */
#ifndef SELFTEST_GMEM_H
#define SELFTEST_GMEM_H

#include <linux/vhost.h>

#include "util.h"

#define GMEM_PAGE	4096UL
#define GMEM_REGIONS	64

/*
 * The layout that gmem_add_standard() makes: rings and tables low; two regions
 * that are neighbours at GMEM_BORDER; a hole from GMEM_HOLE; one more past 4 GiB.
 */
#define GMEM_LOW	0x10000ULL
#define GMEM_LOW_SIZE	0x800000UL
#define GMEM_BORDER	(GMEM_LOW + GMEM_LOW_SIZE)
#define GMEM_HIGH	GMEM_BORDER
#define GMEM_HIGH_SIZE	0x100000UL
#define GMEM_HOLE	(GMEM_HIGH + GMEM_HIGH_SIZE)
#define GMEM_FAR	0x100000000ULL
#define GMEM_FAR_SIZE	0x100000UL

struct gmem_region {
	u64 gpa;
	size_t size;
	u8 *hva;
	int memfd;	/* canary page, region, canary page */
};

struct gmem {
	int nr;
	struct gmem_region r[GMEM_REGIONS];
	u64 next;	/* gmem_alloc() hands out from here */
};

/**
 * gmem_add() - add a region
 * @m: zeroed before the first region
 * @gpa: page-aligned
 * @size: whole pages
 *
 * The memory is MAP_SHARED, so a child process goes on sharing it.
 */
void gmem_add(struct gmem *m, u64 gpa, size_t size);
void gmem_add_standard(struct gmem *m);
void gmem_free(struct gmem *m);

/* The region that holds @gpa, or NULL. */
struct gmem_region *gmem_find(struct gmem *m, u64 gpa);
/* Where @len bytes at @gpa are; they must lie in one region. */
void *gmem_ptr(struct gmem *m, u64 gpa, size_t len);
/* The same for what may span regions. */
void gmem_read(struct gmem *m, void *dst, u64 gpa, size_t len);
void gmem_fill(struct gmem *m, u64 gpa, u8 byte, size_t len);

/**
 * gmem_alloc() - the guest's own allocator: gives out, never takes back
 * @m: memory
 * @len: bytes
 * @align: a power of two
 *
 * Never spans regions; moves on to the next region where one is full.
 * Return: gpa.
 */
u64 gmem_alloc(struct gmem *m, size_t len, size_t align);

/* For VHOST_SET_MEM_TABLE; free() it. */
struct vhost_memory *gmem_table(const struct gmem *m);

/* A copy of a range for a later comparison. */
struct gmem_shot {
	u64 gpa;
	size_t len;
	u8 *copy;
};

struct gmem_shot gmem_shoot(struct gmem *m, u64 gpa, size_t len);
/* Whether the range is as it was; says where not. */
bool gmem_same(struct gmem *m, const struct gmem_shot *s);
void gmem_shot_free(struct gmem_shot *s);

/* Whether nobody wrote past a region; says where somebody did. */
bool gmem_canaries_ok(const struct gmem *m);

#endif
