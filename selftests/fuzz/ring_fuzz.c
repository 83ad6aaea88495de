// SPDX-License-Identifier: GPL-2.0
/*
 * Coverage-guided fuzzing of ring/, split and packed, against the reference model.
 *
 * usage: ring_fuzz [-t split|packed]		TAP; both at a time
 *	  FUZZ=split|packed ring_fuzz ...	libFuzzer itself, with its own options
 *
 * in:  FUZZ_SECONDS for each (default 120); FUZZ_SEED; corpus-split, corpus-packed
 * out: beside the program, in fuzz-out/: LAYOUT.log, inputs that reached something new
 *	(LAYOUT-new/), and one that found a bug (LAYOUT-crash-...), which
 *	FUZZ=LAYOUT ring_fuzz FILE plays again
 *
 * libFuzzer has the main function. It asks LLVMFuzzerInitialize() first, where the
 * run that speaks TAP happens: it starts this program twice, with FUZZ set.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../lib/util.h"
#include "script.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const u8 *bytes, size_t n);

static bool packed;

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t n)
{
	script_play(bytes, n, packed);
	return 0;
}

/* Fewer inputs a second are no fuzzing, whatever the exit status. */
#define RUNS_MIN	20

struct run {
	const char *layout;
	char log[PATH_MAX];
	pid_t pid;
};

static char self[PATH_MAX], out[PATH_MAX - 64];

static const char *setting(const char *name, const char *otherwise)
{
	const char *v = getenv(name);

	return v && *v ? v : otherwise;
}

/* Starts libFuzzer on one layout. */
static void start(struct run *r, const char *seconds, const char *seed)
{
	char time_arg[64], seed_arg[64], length[64];
	char artifacts[PATH_MAX + 32], fresh[PATH_MAX], corpus[PATH_MAX];
	int fd;

	snprintf(time_arg, sizeof(time_arg), "-max_total_time=%s", seconds);
	snprintf(seed_arg, sizeof(seed_arg), "-seed=%s", seed);
	snprintf(length, sizeof(length), "-max_len=%d", SCRIPT_MAX);
	snprintf(artifacts, sizeof(artifacts), "-artifact_prefix=%s/%s-", out, r->layout);
	snprintf(fresh, sizeof(fresh), "%s/%s-new", out, r->layout);
	snprintf(corpus, sizeof(corpus), "%s/corpus-%s", CORPUS_HOME, r->layout);
	snprintf(r->log, sizeof(r->log), "%s/%s.log", out, r->layout);
	CHECK(!mkdir(fresh, 0777) || errno == EEXIST, "%s", fresh);

	r->pid = fork();
	CHECK(r->pid >= 0, "fork");
	if (r->pid)
		return;
	fd = open(r->log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	CHECK(fd >= 0, "%s", r->log);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	setenv("FUZZ", r->layout, 1);
	/* New inputs go to the first directory. */
	execl(self, self, time_arg, seed_arg, length, artifacts, "-timeout=20",
	      "-print_final_stats=1", fresh, corpus, NULL);
	CHECK(false, "%s", self);
}

/* Waits, and says what it found. True if that was nothing. */
static bool finish(struct run *r, const char *seconds)
{
	unsigned long min = RUNS_MIN * strtoul(seconds, NULL, 0);
	unsigned long runs = 0, edges = 0, features = 0;
	char line[1024], *p;
	int status;
	FILE *f;

	CHECK(waitpid(r->pid, &status, 0) == r->pid, "wait");
	f = fopen(r->log, "r");
	CHECK(f, "%s", r->log);
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "stat::number_of_executed_units: %lu", &runs);
		p = strstr(line, " cov: ");
		if (p)
			sscanf(p, " cov: %lu ft: %lu", &edges, &features);
		/* What found a bug; and what libFuzzer says of it. */
		if (status && strncmp(line, "\t", 1) && line[0] != '#' &&
		    strncmp(line, "INFO", 4) && strncmp(line, "0x", 2))
			printf("# %s", line);
		else if (status && !strncmp(line, "# ", 2))
			printf("%s", line);
	}
	fclose(f);
	printf("# %s: %lu inputs, %lu edges and %lu features reached\n", r->layout, runs,
	       edges, features);
	if (status)
		printf("# %s: all of it is in %s\n", r->layout, r->log);
	else if (runs < min)
		printf("# %s: fewer than %lu inputs\n", r->layout, min);
	return !status && min && runs >= min;
}

/* The name at the end of what -t or -r was given; NULL: all. */
static const char *wanted(int argc, char **argv)
{
	const char *name = NULL;
	int c;

	while ((c = getopt(argc, argv, "t:r:")) != -1) {
		if (c == '?')
			exit(1);
		name = strrchr(optarg, '.') ? strrchr(optarg, '.') + 1 : optarg;
	}
	return name;
}

static void run_both(int argc, char **argv)
{
	const char *seconds = setting("FUZZ_SECONDS", "120"), *name, *seed;
	struct run runs[2] = { { .layout = "split" }, { .layout = "packed" } };
	int i, failed = 0, nr = 0;
	char now[32];

	snprintf(now, sizeof(now), "%u", (unsigned int)time(NULL));
	seed = setting("FUZZ_SEED", now);
	name = wanted(argc, argv);
	CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0, "no /proc");
	snprintf(out, sizeof(out), "%.*s/fuzz-out",
		 (int)(strrchr(self, '/') - self), self);
	CHECK(!mkdir(out, 0777) || errno == EEXIST, "%s", out);

	for (i = 0; i < 2; i++)
		nr += !name || !strcmp(name, runs[i].layout);
	printf("TAP version 13\n1..%d\n# FUZZ_SEED=%s FUZZ_SECONDS=%s\n", nr, seed, seconds);
	fflush(stdout);
	for (i = 0; i < 2; i++)
		if (!name || !strcmp(name, runs[i].layout))
			start(&runs[i], seconds, seed);
	for (i = 0, nr = 0; i < 2; i++) {
		bool ok;

		if (!runs[i].pid)
			continue;
		ok = finish(&runs[i], seconds);
		failed += !ok;
		printf("%s %d %s\n", ok ? "ok" : "not ok", ++nr, runs[i].layout);
	}
	/* Not exit(): LeakSanitizer and libFuzzer have nothing to add. */
	fflush(stdout);
	_exit(failed || !nr);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *layout = getenv("FUZZ");

	if (!layout)
		run_both(*argc, *argv);
	CHECK(!strcmp(layout, "split") || !strcmp(layout, "packed"), "FUZZ=%s", layout);
	packed = *layout == 'p';
	return 0;
}
