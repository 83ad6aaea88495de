// SPDX-License-Identifier: GPL-2.0
/*
 * The host's end of a guest's console or port, whoever serves it.
 *
 * in:  a Unix socket to connect to, or a pipe to read and one to write; commands on stdin:
 *	hello		until the guest, that sends back one byte, has done so
 *	out BYTES	writes a byte, and takes what the guest writes then
 *	in BYTES	writes, until the guest, which has read it all, says so by a byte
 *	echo TIMES	writes a byte, which the guest sends back, and the next one
 * out: on stdout, for each: done bytes=N ns=N [p50_ns=N p99_ns=N]
 *
 * It stays connected from one command to the next: a guest sees hosts come and go.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "measure.h"

#define CHUNK		65536U
#define SILENCE_MS	30000	/* a byte that takes longer is lost; an emulated guest is slow */

static int in_fd, out_fd;
static u8 chunk[CHUNK];

static void reach(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	CHECK(strlen(path) < sizeof(to.sun_path), "%s", path);
	memcpy(to.sun_path, path, strlen(path));
	in_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(in_fd >= 0 && !connect(in_fd, (struct sockaddr *)&to, sizeof(to)), "%s", path);
	out_fd = in_fd;
}

/* Reads what there is, up to @len bytes, into chunk. */
static size_t take(size_t len)
{
	struct pollfd p = { .fd = in_fd, .events = POLLIN };
	ssize_t got;

	CHECK(poll(&p, 1, SILENCE_MS) == 1, "the guest is silent");
	got = read(in_fd, chunk, len < CHUNK ? len : CHUNK);
	CHECK(got > 0, "the guest has gone");
	return got;
}

static void give(size_t len)
{
	struct pollfd p = { .fd = out_fd, .events = POLLOUT };
	ssize_t done;

	while (len) {
		CHECK(poll(&p, 1, SILENCE_MS) == 1, "the guest reads nothing");
		done = write(out_fd, chunk, len < CHUNK ? len : CHUNK);
		CHECK(done > 0, "the guest has gone");
		len -= done;
	}
}

static void hello(u64 unused)
{
	(void)unused;
	chunk[0] = 'h';
	give(1);
	do
		take(1);
	while (chunk[0] != 'h');
	printf("done\n");
}

/* From the first bytes on, if there are others: before, the guest was still starting its program. */
static void out(u64 bytes)
{
	u64 first, got, begin = now_ns();

	give(1);
	got = take(bytes);
	first = got < bytes ? got : 0;
	if (first)
		begin = now_ns();
	while (got < bytes)
		got += take(bytes - got);
	printf("done bytes=%llu ns=%llu\n", (unsigned long long)(got - first), (unsigned long long)(now_ns() - begin));
}

static void in(u64 bytes)
{
	u64 begin = now_ns();

	memset(chunk, 'i', sizeof(chunk));
	give(bytes);
	take(1);
	printf("done bytes=%llu ns=%llu\n", (unsigned long long)bytes, (unsigned long long)(now_ns() - begin));
}

static void echo(u64 times)
{
	u32 *ns = calloc(times, sizeof(*ns));
	u64 begin = now_ns(), sent, i;

	CHECK(ns && times, "echo %llu", (unsigned long long)times);
	for (i = 0; i < times; i++) {
		u8 byte = 'a' + i % 26;		/* none that a terminal or the VMM takes for a command */

		chunk[0] = byte;
		sent = now_ns();
		give(1);
		take(1);
		CHECK(chunk[0] == byte, "%#x came for %#x", chunk[0], byte);
		ns[i] = now_ns() - sent;
	}
	begin = now_ns() - begin;
	qsort(ns, times, sizeof(*ns), by_value);
	printf("done bytes=%llu ns=%llu p50_ns=%u p99_ns=%u\n", (unsigned long long)times, (unsigned long long)begin,
	       ns[times / 2], ns[times * 99 / 100]);
	free(ns);
}

static const struct {
	const char *name;
	void (*run)(u64 n);
} commands[] = { { "hello", hello }, { "out", out }, { "in", in }, { "echo", echo } };

int main(int argc, char **argv)
{
	char line[64], name[16];
	unsigned long long n;
	size_t i;

	if (argc == 2) {
		reach(argv[1]);
	} else if (argc == 3) {
		in_fd = open(argv[1], O_RDONLY | O_CLOEXEC);
		out_fd = open(argv[2], O_WRONLY | O_CLOEXEC);
		CHECK(in_fd >= 0 && out_fd >= 0, "%s, %s", argv[1], argv[2]);
	} else {
		fprintf(stderr, "usage: port SOCKET | IN OUT\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	while (fgets(line, sizeof(line), stdin)) {
		n = 0;
		CHECK(sscanf(line, "%15s %llu", name, &n) >= 1, "an empty command");
		for (i = 0; i < sizeof(commands) / sizeof(commands[0]) && strcmp(name, commands[i].name); i++)
			;
		CHECK(i < sizeof(commands) / sizeof(commands[0]), "%s", name);
		commands[i].run(n);
		fflush(stdout);
	}
	return 0;
}
