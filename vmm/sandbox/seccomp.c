// SPDX-License-Identifier: GPL-2.0
/*
 * Puts a filter of system calls on a thread.
 *
 * in:  filters.h, which generate.c made of calls.c
 * out: a thread that makes the calls of its kind, and with any other ends the process (SIGSYS)
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox.h"
#include "filters.h"

/* Written while there is one thread. */
static bool on;

int seccomp_enter(enum thread_kind kind)
{
	unsigned int flags = 0;
	long ret;

	/* Threads of the kernel's within this process, which came with devices, are not left out. */
	if (kind == THREAD_MAIN)
		flags = SECCOMP_FILTER_FLAG_TSYNC;
	else if (!on)
		return 0;
	ret = syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filters[kind]);
	if (ret)
		return ret < 0 ? -errno : -EBUSY;	/* above 0: the thread that would not */
	on = true;
	return 0;
}
