// SPDX-License-Identifier: GPL-2.0
/*
 * What the fuzzers share.
 *
 * in:  the command line and the environment
 * out: see fuzz.h
 */
#include "fuzz.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* What a run takes that nobody asked for more: a test among others. */
#define DEFAULT_SECONDS	10

static void usage(const struct fuzz *f, const char *what)
{
	fprintf(stderr, "usage: %s [-s SEED] [-n %s] [-T SECONDS] [-r REPLAY] [-t TEST]\n"
		"in the environment: FUZZ_SEED, FUZZ_COUNT, FUZZ_SECONDS\n",
		f->name, what);
	exit(1);
}

static u64 number(const char *text)
{
	return text && *text ? strtoull(text, NULL, 0) : 0;
}

static void open_record(struct fuzz *f)
{
	const char *dir = getenv("LAB_OUT");
	char path[512];

	f->last = -1;
	if (!dir)
		return;
	snprintf(path, sizeof(path), "%s/%s.last", dir, f->name);
	f->last = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	CHECK(f->last >= 0, "%s", path);
}

void fuzz_init(struct fuzz *f, int argc, char **argv, const char *what)
{
	const char *name = strrchr(argv[0], '/');
	int opt;

	*f = (struct fuzz) {
		.name = name ? name + 1 : argv[0],
		.seed = number(getenv("FUZZ_SEED")),
		.count = number(getenv("FUZZ_COUNT")),
		.seconds = number(getenv("FUZZ_SECONDS")),
	};
	while ((opt = getopt(argc, argv, "s:n:T:r:t:")) != -1) {
		switch (opt) {
		case 's':
			f->seed = number(optarg);
			break;
		case 'n':
			f->count = number(optarg);
			break;
		case 'T':
			f->seconds = number(optarg);
			break;
		case 'r':
			f->replay = optarg;
			break;
		case 't':
			f->only = optarg;
			break;
		default:
			usage(f, what);
		}
	}
	if (optind < argc)
		usage(f, what);
	while (!f->seed)
		CHECK(getrandom(&f->seed, sizeof(f->seed), 0) > 0, "getrandom");
	if (!f->count && !f->seconds)
		f->seconds = DEFAULT_SECONDS;
	open_record(f);
	printf("# seed 0x%llx: %s -s 0x%llx tries the same again\n",
	       (unsigned long long)f->seed, f->name, (unsigned long long)f->seed);
}

void fuzz_start(struct fuzz *f)
{
	if (f->seconds)
		f->end_ns = now_ns() + f->seconds * 1000000000ULL;
}

bool fuzz_goes_on(const struct fuzz *f, u64 done)
{
	if (f->count && done >= f->count)
		return false;
	return !f->end_ns || now_ns() < f->end_ns;
}

void fuzz_record(struct fuzz *f, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	if (f->last < 0)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text) - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(text) - 2)
		n = sizeof(text) - 2;
	/* The rest of a longer record goes: the file has always the same length. */
	memset(text + n, ' ', sizeof(text) - n);
	text[sizeof(text) - 1] = '\n';
	CHECK(pwrite(f->last, text, sizeof(text), 0) == sizeof(text), "record");
}

u64 fuzz_seed(u64 seed, u64 i)
{
	/* splitmix64: neighbours become strangers; and 0 is no state of prng(). */
	u64 z = seed + (i + 1) * 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (z ^ (z >> 31)) | 1;
}

u64 fuzz_u64(u64 *state)
{
	u64 bit = 1ULL << fuzz_below(state, 64);

	switch (fuzz_below(state, 6)) {
	case 0:
		return fuzz_below(state, 8);
	case 1:
		return -(u64)fuzz_below(state, 8);
	case 2:
		return bit;
	case 3:
		return bit - 1;
	case 4:
		return bit + fuzz_below(state, 32) - 16;
	default:
		return prng(state) >> fuzz_below(state, 64);
	}
}

u32 fuzz_u32(u64 *state)
{
	u64 v = fuzz_u64(state);

	return fuzz_one_in(state, 2) ? v : v >> 32;
}

u16 fuzz_u16(u64 *state)
{
	u64 v = fuzz_u64(state);

	return fuzz_one_in(state, 2) ? v : v >> 48;
}

void fuzz_fill(u64 *state, void *p, size_t len)
{
	u8 *byte = p;

	while (len--)
		*byte++ = prng(state) >> 24;
}
