/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the benchmarks without a guest measure by: CPUs, context switches, run time.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../selftests/lib/util.h"

static inline long own_switches(void)
{
	struct rusage ru;

	getrusage(RUSAGE_THREAD, &ru);
	return ru.ru_nvcsw + ru.ru_nivcsw;
}

static inline void pin(pid_t tid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK(!sched_setaffinity(tid, sizeof(set), &set), "thread %d to CPU %d", tid, cpu);
}

/* What thread @tid has run, in ns. */
static inline u64 run_time_ns(pid_t tid)
{
	unsigned long long ns = 0;
	char name[64];
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/schedstat", tid);
	f = fopen(name, "r");
	CHECK(f && fscanf(f, "%llu", &ns) == 1, "%s", name);
	fclose(f);
	return ns;
}

static inline void run_is_too_long(int sig)
{
	static const char why[] = "# the run does not end: a call was lost\n";

	(void)sig;
	if (write(STDERR_FILENO, why, sizeof(why) - 1) < 0)
		_exit(2);
	_exit(1);
}

/* A lost call is no endless run. @ms: of the run that begins */
static inline void limit_run(int ms)
{
	signal(SIGALRM, run_is_too_long);
	alarm((DEADLINE_MS + ms) / 1000);
}

/* For qsort(), of latencies. */
static inline int by_value(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

#endif
