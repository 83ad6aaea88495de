// SPDX-License-Identifier: GPL-2.0
/*
 * Round trips of one byte by TCP, one at a time: what a packet takes to come, be answered and be heard of.
 *
 * usage: rr -s ADDRESS PORT		answers on one connection, and ends with it
 *        rr ADDRESS PORT SECONDS	asks
 *
 * out: the server says "rr: listening" when a client may come; the client, at last, "rr n=N per_s=N p50_ns=N p99_ns=N".
 *
 * The guests' initramfs has it, and bench/ builds it for the other side.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MAX_TRIPS	(1U << 22)	/* in 16 MiB, of which only what is used is ever touched */
#define SILENCE_SECONDS	60		/* an answer that has not come until then does not come */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static struct sockaddr_in address(const char *host, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };

	if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
		errx(2, "%s: not an IPv4 address", host);
	return a;
}

/* Each byte goes at once; neither side waits for more than it has to. */
static void prepare(int fd)
{
	struct timeval silence = { .tv_sec = SILENCE_SECONDS };
	int one = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence)))
		err(1, "setsockopt");
}

static int serve(const struct sockaddr_in *at)
{
	int one = 1, fd, listener = socket(AF_INET, SOCK_STREAM, 0);
	char byte;

	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(listener, (const void *)at, sizeof(*at)) || listen(listener, 1))
		err(1, "listen");
	puts("rr: listening");
	fflush(stdout);
	fd = accept(listener, NULL, NULL);
	if (fd < 0)
		err(1, "accept");
	prepare(fd);
	while (recv(fd, &byte, 1, 0) == 1)
		if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
			return 1;
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int ask(const struct sockaddr_in *at, uint64_t run_ns)
{
	uint32_t *trip_ns = malloc(MAX_TRIPS * sizeof(*trip_ns)), n = 0;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	uint64_t start, now, sent;
	char byte = 0;

	if (!trip_ns || fd < 0)
		err(1, "socket");
	prepare(fd);
	if (connect(fd, (const void *)at, sizeof(*at)))
		err(1, "connect");
	start = now = now_ns();
	while (now - start < run_ns && n < MAX_TRIPS) {
		sent = now;
		if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1)
			err(1, "after %u round trips", n);
		now = now_ns();
		trip_ns[n++] = now - sent < UINT32_MAX ? now - sent : UINT32_MAX;
	}
	qsort(trip_ns, n, sizeof(*trip_ns), compare);
	printf("rr n=%u per_s=%.1f p50_ns=%u p99_ns=%u\n", n, n * 1e9 / (now - start), trip_ns[n / 2], trip_ns[n - 1 - n / 100]);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in at;

	if (argc != 4)
		errx(2, "usage: rr -s ADDRESS PORT | rr ADDRESS PORT SECONDS");
	if (!strcmp(argv[1], "-s")) {
		at = address(argv[2], argv[3]);
		return serve(&at);
	}
	at = address(argv[1], argv[2]);
	return ask(&at, atof(argv[3]) * 1e9);
}
