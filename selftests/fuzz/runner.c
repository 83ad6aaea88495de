// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer as a program that speaks TAP: see runner.h.
 *
 * libFuzzer has the main function. It asks LLVMFuzzerInitialize() first, which is where all of this happens: the run that
 * speaks TAP starts the program again for each target, with FUZZ set.
 */
#include "runner.h"

#include "../lib/util.h"

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

/* Fewer inputs a second are no fuzzing, whatever the exit status. */
#define RUNS_MIN	20

#define MAX_TARGETS	4

struct run {
	const struct fuzz_target *target;
	char log[PATH_MAX];
	pid_t pid;
};

static char self[PATH_MAX], out[PATH_MAX - 64];

static const char *setting(const char *name, const char *otherwise)
{
	const char *v = getenv(name);

	return v && *v ? v : otherwise;
}

/* Starts libFuzzer on one target. */
static void start(struct run *r, const char *seconds, const char *seed)
{
	char time_arg[64], seed_arg[64], length[64];
	char artifacts[PATH_MAX + 32], fresh[PATH_MAX], corpus[PATH_MAX];
	int fd;

	snprintf(time_arg, sizeof(time_arg), "-max_total_time=%s", seconds);
	snprintf(seed_arg, sizeof(seed_arg), "-seed=%s", seed);
	snprintf(length, sizeof(length), "-max_len=%d", (int)r->target->max_len);
	snprintf(artifacts, sizeof(artifacts), "-artifact_prefix=%s/%s-", out, r->target->name);
	snprintf(fresh, sizeof(fresh), "%s/%s-new", out, r->target->name);
	snprintf(corpus, sizeof(corpus), "%s/corpus-%s", CORPUS_HOME, r->target->name);
	snprintf(r->log, sizeof(r->log), "%s/%s.log", out, r->target->name);
	CHECK(!mkdir(fresh, 0777) || errno == EEXIST, "%s", fresh);

	r->pid = fork();
	CHECK(r->pid >= 0, "fork");
	if (r->pid)
		return;
	fd = open(r->log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	CHECK(fd >= 0, "%s", r->log);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	setenv("FUZZ", r->target->name, 1);
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
	printf("# %s: %lu inputs, %lu edges and %lu features reached\n", r->target->name, runs,
	       edges, features);
	if (status)
		printf("# %s: all of it is in %s\n", r->target->name, r->log);
	else if (runs < min)
		printf("# %s: fewer than %lu inputs\n", r->target->name, min);
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

static void __attribute__((noreturn)) run_all(const struct fuzz_target *targets, unsigned int nr, const char *seconds,
					      int argc, char **argv)
{
	const char *name, *seed;
	struct run runs[MAX_TARGETS] = { 0 };
	unsigned int i, failed = 0, wants = 0;
	char now[32];

	CHECK(nr <= MAX_TARGETS, "%u targets", nr);
	snprintf(now, sizeof(now), "%u", (unsigned int)time(NULL));
	seed = setting("FUZZ_SEED", now);
	name = wanted(argc, argv);
	CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0, "no /proc");
	snprintf(out, sizeof(out), "%.*s/fuzz-out",
		 (int)(strrchr(self, '/') - self), self);
	CHECK(!mkdir(out, 0777) || errno == EEXIST, "%s", out);

	for (i = 0; i < nr; i++) {
		runs[i].target = !name || !strcmp(name, targets[i].name) ? &targets[i] : NULL;
		wants += !!runs[i].target;
	}
	printf("TAP version 13\n1..%u\n# FUZZ_SEED=%s FUZZ_SECONDS=%s\n", wants, seed, seconds);
	fflush(stdout);
	for (i = 0; i < nr; i++)
		if (runs[i].target)
			start(&runs[i], seconds, seed);
	for (i = 0, wants = 0; i < nr; i++) {
		bool ok;

		if (!runs[i].target)
			continue;
		ok = finish(&runs[i], seconds);
		failed += !ok;
		printf("%s %u %s\n", ok ? "ok" : "not ok", ++wants, targets[i].name);
	}
	/* Not exit(): LeakSanitizer and libFuzzer have nothing to add. */
	fflush(stdout);
	_exit(failed || !wants);
}

const struct fuzz_target *fuzz_run(const struct fuzz_target *targets, unsigned int nr, const char *seconds,
				   int argc, char **argv)
{
	const char *name = getenv("FUZZ");
	unsigned int i;

	if (!name)
		run_all(targets, nr, setting("FUZZ_SECONDS", seconds), argc, argv);
	for (i = 0; i < nr; i++)
		if (!strcmp(name, targets[i].name))
			return &targets[i];
	CHECK(false, "FUZZ=%s: no such target", name);
}
