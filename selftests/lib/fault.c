// SPDX-License-Identifier: GPL-2.0
/*
 * Faults made to order.
 *
 * in:  /proc/<thread>/fail-nth, failslab, fail_page_alloc, fail_usercopy
 * out: see fault.h
 */
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEBUGFS		"/sys/kernel/debug/"

/* Any allocation may fail, also one that could wait, or is of one page; and quietly. */
static const struct setting {
	const char *path;
	const char *value;
	bool optional;
} settings[] = {
	{ DEBUGFS "failslab/ignore-gfp-wait", "N", false },
	{ DEBUGFS "failslab/verbose", "0", false },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N", false },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N", false },
	{ DEBUGFS "fail_page_alloc/min-order", "0", false },
	{ DEBUGFS "fail_page_alloc/verbose", "0", false },
	{ DEBUGFS "fail_usercopy/verbose", "0", true },
};

static bool set(const struct setting *s)
{
	int fd = open(s->path, O_WRONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return s->optional;
	ok = write(fd, s->value, strlen(s->value)) == (ssize_t)strlen(s->value);
	close(fd);
	return ok;
}

int fault_open(pid_t tid)
{
	char path[64];
	size_t i;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (!set(&settings[i]))
			return -1;
	snprintf(path, sizeof(path), "/proc/self/task/%d/fail-nth", tid);
	return open(path, O_RDWR | O_CLOEXEC);
}

void fault_arm(int fd, unsigned int nth)
{
	char buf[16];
	int n = snprintf(buf, sizeof(buf), "%u", nth);

	/* What is left from before may hit the write itself; then nothing is left. */
	if (pwrite(fd, buf, n, 0) == n)
		return;
	CHECK(errno == EFAULT && pwrite(fd, buf, n, 0) == n, "fail-nth");
}

bool fault_disarm(int fd)
{
	char buf[16] = "";
	ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);

	/* The read itself was the nth: the call before it was not. */
	CHECK(n > 0 || errno == EFAULT, "fail-nth");
	fault_arm(fd, 0);
	return n > 0 && atoi(buf) == 0;
}
