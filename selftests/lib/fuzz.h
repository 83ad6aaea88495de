/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the fuzzers share: their options, random choices that a seed repeats, and
 * a record of what was tried last.
 *
 * in:  the command line, or FUZZ_SEED, FUZZ_COUNT, FUZZ_SECONDS
 * out: choices; $LAB_OUT/<program>.last, which outlives a kernel that does not
 */
#ifndef SELFTEST_FUZZ_H
#define SELFTEST_FUZZ_H

#include "util.h"

/**
 * struct fuzz - one run
 * @seed: of everything that is generated
 * @count: how many to try; 0: until @seconds are over
 * @seconds: for how long, at most; 0: until @count is reached
 * @replay: argument of -r, what to try alone and again; or NULL
 * @only: argument of -t, the one test to run; or NULL
 */
struct fuzz {
	const char *name;
	u64 seed;
	u64 count;
	u64 seconds;
	const char *replay;
	const char *only;
	u64 end_ns;
	int last;
};

/* Reads the options, and prints the seed. @what is what -n counts. */
void fuzz_init(struct fuzz *f, int argc, char **argv, const char *what);
/* Starts the clock, for a program with several tests. */
void fuzz_start(struct fuzz *f);
/* Whether @done are not enough yet. */
bool fuzz_goes_on(const struct fuzz *f, u64 done);
/* Stores what is about to be tried. */
void fuzz_record(struct fuzz *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A state for prng() that belongs to number @i of a seed. */
u64 fuzz_seed(u64 seed, u64 i);

/* Below @n. */
static inline u32 fuzz_below(u64 *state, u32 n)
{
	return (prng(state) >> 16) % n;
}

static inline bool fuzz_one_in(u64 *state, u32 n)
{
	return !fuzz_below(state, n);
}

/* Numbers at which code goes wrong: borders of every kind, and any. */
u64 fuzz_u64(u64 *state);
u32 fuzz_u32(u64 *state);
u16 fuzz_u16(u64 *state);
/* Overwrites @len bytes, each with anything. */
void fuzz_fill(u64 *state, void *p, size_t len);

#endif
