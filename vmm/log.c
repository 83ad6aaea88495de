// SPDX-License-Identifier: GPL-2.0
/*
 * Says things to the user: one line each, on stderr.
 *
 * in:  a message that names what was asked, what was wrong and what to do
 * out: "vkick: ..." and, for errors, the end of the process; or a line for the caller
 *
 * A guest can give cause for warnings without end, as by breaking its rings again and again. Whoever keeps
 * them is not to run out of room: after a burst there are so many in a second, and a line tells how many
 * were left out.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm.h"

#define BURST_LINES	100
#define LINE_NS		250000000UL

/*
 * One write per line: vCPU threads and the main thread may speak at once. And nothing but writes:
 * stdio asks what file it has (fstat), which only the main thread's filter lets it.
 */
static void vsay(const char *fmt, va_list ap)
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

static void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
}

/* Return: whether one more line may be said. @nr_left_out: since the last one that was */
static bool may_warn(u64 *nr_left_out)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static u64 paid_until, left_out;
	u64 now = monotonic_ns();
	bool may;

	pthread_mutex_lock(&lock);
	if (paid_until < now)
		paid_until = now;
	may = paid_until - now < BURST_LINES * LINE_NS;
	*nr_left_out = left_out;
	left_out = may ? 0 : left_out + 1;
	if (may)
		paid_until += LINE_NS;
	pthread_mutex_unlock(&lock);
	return may;
}

void warn(const char *fmt, ...)
{
	u64 left_out;
	va_list ap;

	if (!may_warn(&left_out))
		return;
	if (left_out)
		say("%lu lines were left out", left_out);
	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
}

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
	exit(1);
}

void die_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
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
