// SPDX-License-Identifier: GPL-2.0
/*
 * What the fuzzers found worth keeping, played again without a fuzzer.
 *
 * in:  fuzz/corpus-split, fuzz/corpus-packed, and inputs that once found a bug,
 *	fuzz/crash-split-* and fuzz/crash-packed-*; or the same beside the program
 * out: ring/ and the reference model agree on all of them
 */
#include "kselftest_harness.h"

#include <dirent.h>
#include <libgen.h>
#include <limits.h>
#include <sanitizer/common_interface_defs.h>

#include "fuzz/script.h"
#include "lib/util.h"

/* Not there without a sanitizer. */
#pragma weak __sanitizer_set_death_callback

/* Fewer inputs than that are not the corpus. */
#define CORPUS_MIN	100

static char playing[PATH_MAX + 16];

static void tell(void)
{
	ssize_t n = write(STDERR_FILENO, playing, strlen(playing));

	(void)n;
}

static void on_abort(int sig)
{
	tell();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void play(const char *path, bool packed)
{
	unsigned char bytes[SCRIPT_MAX];
	FILE *f = fopen(path, "r");
	size_t n;

	CHECK(f, "%s", path);
	n = fread(bytes, 1, sizeof(bytes), f);
	CHECK(!ferror(f), "%s", path);
	fclose(f);
	snprintf(playing, sizeof(playing), "# input: %s\n", path);
	script_play(bytes, n, packed);
}

/* Plays all files in @dir whose names start with @prefix; returns how many. */
static int play_all(const char *dir, const char *prefix, bool packed)
{
	char path[PATH_MAX];
	struct dirent *e;
	DIR *d = opendir(dir);
	int n = 0;

	CHECK(d, "%s", dir);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.' || strncmp(e->d_name, prefix, strlen(prefix)))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		play(path, packed);
		n++;
	}
	closedir(d);
	return n;
}

/* The directory that holds the corpora: in the source tree, or where we are. */
static const char *home(void)
{
	static char self[PATH_MAX];

	if (!access(CORPUS_HOME, R_OK))
		return CORPUS_HOME;
	CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0, "no /proc");
	return dirname(self);
}

static void run(struct __test_metadata *_metadata, const char *layout, bool packed)
{
	char dir[PATH_MAX], prefix[32];
	int n, crashes;

	signal(SIGABRT, on_abort);
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(tell);
	snprintf(dir, sizeof(dir), "%s/corpus-%s", home(), layout);
	snprintf(prefix, sizeof(prefix), "crash-%s-", layout);
	n = play_all(dir, "", packed);
	crashes = play_all(home(), prefix, packed);
	printf("# %s: %d inputs, %d that found a bug once\n", layout, n, crashes);
	EXPECT_LE(CORPUS_MIN, n);
}

TEST(split)
{
	run(_metadata, "split", false);
}

TEST(packed)
{
	run(_metadata, "packed", true);
}

TEST_HARNESS_MAIN
