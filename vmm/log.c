// SPDX-License-Identifier: GPL-2.0
/*
 * Says things to the user: one line each, on stderr.
 *
 * in:  a message that names what was asked, what was wrong and what to do
 * out: "vkick: ..." and, for errors, the end of the process; or a line for the caller
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm.h"

/* One write per line: vCPU threads and the main thread may speak at once. */
static void say(const char *fmt, va_list ap)
{
	char line[512] = "vkick: ";
	size_t prefix = strlen(line), room = sizeof(line) - prefix;
	int n = vsnprintf(line + prefix, room, fmt, ap);

	if (n < 0)
		return;
	/* The line feed takes the place of the zero. */
	n = prefix + ((size_t)n < room ? (size_t)n : room - 1);
	line[n] = '\n';
	while (write(STDERR_FILENO, line, n + 1) < 0 && errno == EINTR)
		;
}

void warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	exit(1);
}

void die_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	exit(2);
}

int explain(char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, WHY_BYTES, fmt, ap);
	va_end(ap);
	return -1;
}
