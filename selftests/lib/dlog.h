/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The owner's side of the dirty log: the bitmap that a device marks, and what a
 * migration does with it.
 *
 * in:  guest memory
 * out: a bitmap for VHOST_SET_LOG_BASE; pages taken from it, compared, or copied
 */
#ifndef SELFTEST_DLOG_H
#define SELFTEST_DLOG_H

#include "gmem.h"

/**
 * struct dlog - a bitmap, one bit for each page from gpa 0 to the last of memory
 * @bits: page-aligned, little-endian bit order
 * @bytes: whole pages
 */
struct dlog {
	u64 *bits;
	size_t bytes;
};

struct dlog dlog_new(const struct gmem *m);
void dlog_free(struct dlog *l);
void dlog_clear(struct dlog *l);
bool dlog_marked(const struct dlog *l, u64 gpa);
/* Marked pages in all. */
u64 dlog_count(const struct dlog *l);

/* Bytes of guest memory. */
struct dlog_range {
	u64 gpa;
	size_t len;
};

/* Whether all pages of @must are marked, and none that is not in it; says where not. */
bool dlog_exact(const struct dlog *l, const struct dlog_range *must, int nr);
/* Whether all marked pages are in @may; says where not. */
bool dlog_within(const struct dlog *l, const struct dlog_range *may, int nr);

/* A second memory of the same layout: the destination of a migration. */
struct dlog_copy {
	struct gmem *m;
	u8 *to[GMEM_REGIONS];
	u64 pages;	/* copied by dlog_round() so far */
};

/* Starts with all of it copied. */
struct dlog_copy dlog_copy_new(struct gmem *m);
void dlog_copy_free(struct dlog_copy *c);
void dlog_copy_bytes(struct dlog_copy *c, u64 gpa, size_t len);
/* Takes all marks, and copies the pages that had one. Return: how many. */
u64 dlog_round(struct dlog_copy *c, struct dlog *l);
/* Whether both memories are the same; says where not. */
bool dlog_copy_same(const struct dlog_copy *c);

#endif
