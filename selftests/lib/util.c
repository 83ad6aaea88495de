// SPDX-License-Identifier: GPL-2.0
/*
 * What every test needs: a loud way to die, commands, deadlines, eventfds, /proc.
 *
 * in:  -
 * out: see util.h
 */
#define _GNU_SOURCE
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void check_failed(const char *file, int line, const char *cond,
		  const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	fprintf(stderr, "# %s:%d: %s: ", file, line, cond);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (errno %d: %s)\n", err, strerror(err));
	fflush(stderr);
	abort();
}

u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

struct deadline deadline_in(int ms)
{
	return (struct deadline) { now_ns() + ms * 1000000ULL };
}

bool deadline_passed(const struct deadline *d)
{
	return now_ns() >= d->at_ns;
}

int deadline_left_ms(const struct deadline *d)
{
	u64 now = now_ns();

	return now >= d->at_ns ? 0 : (d->at_ns - now + 999999) / 1000000;
}

void shell(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	CHECK(n >= 0 && n < (int)sizeof(line) && !system(line), "%s", line);
}

int ev_new(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	CHECK(fd >= 0, "eventfd");
	return fd;
}

void ev_signal(int fd)
{
	u64 one = 1;

	CHECK(write(fd, &one, sizeof(one)) == sizeof(one), "signal fd %d", fd);
}

u64 ev_take(int fd)
{
	u64 n;
	ssize_t r = read(fd, &n, sizeof(n));

	if (r == sizeof(n))
		return n;
	CHECK(r < 0 && errno == EAGAIN, "read of eventfd %d gave %zd", fd, r);
	return 0;
}

bool ev_wait(int fd, int ms)
{
	struct deadline d = deadline_in(ms);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n;

	do {
		n = poll(&p, 1, deadline_left_ms(&d));
	} while (n < 0 && errno == EINTR);
	CHECK(n >= 0, "poll of fd %d", fd);
	return n == 1;
}

int ev_id(int fd)
{
	char path[64], line[128];
	int id = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	CHECK(f, "open %s", path);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "eventfd-id: %d", &id);
	fclose(f);
	CHECK(id >= 0, "no eventfd-id in %s", path);
	return id;
}

int proc_count(const char *dir)
{
	struct dirent *e;
	DIR *d = opendir(dir);
	int n = 0;

	CHECK(d, "opendir %s", dir);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			n++;
	closedir(d);
	return n;
}

long proc_number(const char *file)
{
	FILE *f = fopen(file, "r");
	long n;

	CHECK(f, "open %s", file);
	CHECK(fscanf(f, "%ld", &n) == 1, "no number in %s", file);
	fclose(f);
	return n;
}

/* Return: whether there is such a thread, with its /proc/<tid>/stat in @line. */
static bool read_stat(pid_t tid, char *line, size_t size)
{
	char path[64];
	bool ok;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	f = fopen(path, "r");
	if (!f)
		return false;
	ok = fgets(line, size, f);
	fclose(f);
	return ok;
}

/* Field @nr, as proc(5) counts them, of such a line: from 3 up. */
static const char *field_of(const char *line, int nr)
{
	/* The name may hold anything, and ends at the last parenthesis. */
	const char *p = strrchr(line, ')');

	CHECK(p, "%s", line);
	for (p++; nr >= 3; nr--) {
		p = strchr(p, ' ');
		CHECK(p, "short: %s", line);
		p++;
	}
	return p;
}

static const char *stat_field(pid_t tid, int nr, char *line, size_t size)
{
	CHECK(read_stat(tid, line, size), "read /proc/%d/stat", tid);
	return field_of(line, nr);
}

/* Threads of a name. */
struct found {
	int n;
	int leave;	/* of these: exiting */
	int stay;	/* of these: asleep, and not exiting */
	pid_t last;
};

#define PF_EXITING	0x4	/* <linux/sched.h> */

static void note(struct found *found, pid_t tid)
{
	char line[1024];
	bool leaves;

	if (!read_stat(tid, line, sizeof(line)))
		return;
	leaves = strtoul(field_of(line, 9), NULL, 10) & PF_EXITING;
	found->n++;
	found->leave += leaves;
	found->stay += !leaves && *field_of(line, 3) != 'R';
	found->last = tid;
}

/* Processes and threads come and go meanwhile: what cannot be opened is gone. */
static void find_tasks(const char *dir, const char *prefix, struct found *found)
{
	struct dirent *e;
	DIR *d = opendir(dir);

	if (!d)
		return;
	while ((e = readdir(d))) {
		char path[600], name[64] = "";
		FILE *f;

		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "%s/%s/comm", dir, e->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (!fgets(name, sizeof(name), f))
			name[0] = 0;
		fclose(f);
		if (!strncmp(name, prefix, strlen(prefix)))
			note(found, atoi(e->d_name));
	}
	closedir(d);
}

static struct found find_threads(const char *prefix)
{
	struct found found = { 0 };
	struct dirent *e;
	DIR *d = opendir("/proc");

	CHECK(d, "opendir /proc");
	while ((e = readdir(d))) {
		char path[300];

		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/task", e->d_name);
		find_tasks(path, prefix, &found);
	}
	closedir(d);
	return found;
}

int proc_threads_named(const char *prefix)
{
	return find_threads(prefix).n;
}

int proc_threads_settle(const char *prefix, int n)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	struct found found;

	do {
		found = find_threads(prefix);
	} while (found.n - found.leave != n && found.stay <= n && !deadline_passed(&end));
	return found.n - found.leave;
}

long open_files(void)
{
	return proc_number("/proc/sys/fs/file-nr");
}

pid_t proc_thread(const char *prefix)
{
	struct found found = find_threads(prefix);

	CHECK(found.n == 1, "%d threads named %s*", found.n, prefix);
	return found.last;
}

long proc_labelled(const char *file, const char *label)
{
	size_t len = strlen(label);
	char line[256];
	long n = -1;
	FILE *f;

	f = fopen(file, "r");
	CHECK(f, "open %s", file);
	while (n < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, label, len) && line[len] == ':')
			n = atol(line + len + 1);
	fclose(f);
	CHECK(n >= 0, "no %s in %s", label, file);
	return n;
}

/* Any thread has an entry in /proc by its own ID, though none in a listing. */
long proc_switches(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	return proc_labelled(path, "voluntary_ctxt_switches") +
	       proc_labelled(path, "nonvoluntary_ctxt_switches");
}

pid_t proc_thread_called(const char *name)
{
	char line[64];

	/* comm has a newline behind it, which makes a prefix the whole. */
	snprintf(line, sizeof(line), "%s\n", name);
	return find_threads(line).last;
}

bool proc_thread_is_ours(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d", tid);
	return !access(path, F_OK);
}

char proc_state(pid_t tid)
{
	char line[1024];

	return *stat_field(tid, 3, line, sizeof(line));
}

int proc_cpu(pid_t tid)
{
	char line[1024];

	return atoi(stat_field(tid, 39, line, sizeof(line)));
}

u64 proc_cpu_ns(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/schedstat", tid);
	return proc_number(path);
}

void proc_keep_apart(pid_t tid)
{
	int cpu, nr = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t mine, its;

	if (nr < 2)
		return;
	CPU_ZERO(&mine);
	CPU_ZERO(&its);
	CPU_SET(0, &mine);
	for (cpu = 1; cpu < nr; cpu++)
		CPU_SET(cpu, &its);
	CHECK(!sched_setaffinity(0, sizeof(mine), &mine), "sched_setaffinity");
	CHECK(!sched_setaffinity(tid, sizeof(its), &its), "sched_setaffinity");
}

int in_child(int (*fn)(void *arg), void *arg)
{
	int pipefd[2], ret = 0, status;
	pid_t pid;

	CHECK(!pipe(pipefd), "pipe");
	pid = fork();
	CHECK(pid >= 0, "fork");
	if (!pid) {
		ret = fn(arg);
		_exit(write(pipefd[1], &ret, sizeof(ret)) != sizeof(ret));
	}
	close(pipefd[1]);
	CHECK(read(pipefd[0], &ret, sizeof(ret)) == sizeof(ret),
	      "the child died");
	close(pipefd[0]);
	CHECK(waitpid(pid, &status, 0) == pid && !status, "status 0x%x", status);
	return ret;
}

u64 prng(u64 *state)
{
	u64 x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}
