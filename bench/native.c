// SPDX-License-Identifier: GPL-2.0
/*
 * Runs a ring in one thread and takes the time of the device's side (native.h).
 *
 * in:  split|packed direct|chain|indirect flags|event_idx|in_order BATCH REQUESTS
 * out: "ns=" per request; callgrind, which ./instructions runs this under, counts
 *      inside side_device()
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "native.h"

#define WARM_UP_ROUNDS	32

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* Return: what the device's side of a round took. */
static uint64_t round_ns(uint32_t batch)
{
	uint32_t i, served = 0;
	uint64_t begin, ns;

	side_fill();
	begin = now_ns();
	for (i = 0; i < SIDE_REQUESTS / batch; i++) {
		side_publish();
		served += side_device();
	}
	ns = now_ns() - begin;
	if (served != SIDE_REQUESTS) {
		fprintf(stderr, "served %u of %u\n", served, SIDE_REQUESTS);
		abort();
	}
	side_take();
	return ns;
}

int main(int argc, char **argv)
{
	struct side_conf conf;
	uint64_t ns = 0, rounds, i;

	if (argc != 6) {
		fprintf(stderr, "usage: %s RING LAYOUT MODE BATCH REQUESTS (see native.h)\n",
			argv[0]);
		return 2;
	}
	conf = (struct side_conf) { argv[1], argv[2], argv[3], atoi(argv[4]) };
	rounds = strtoull(argv[5], NULL, 0) / SIDE_REQUESTS;
	if (!rounds || !conf.batch || SIDE_REQUESTS % conf.batch) {
		fprintf(stderr, "batch %u, %s requests\n", conf.batch, argv[5]);
		return 2;
	}
	side_init(&conf);

	/* Caches and branch predictors are warm when the clock starts. */
	for (i = 0; i < WARM_UP_ROUNDS; i++)
		round_ns(conf.batch);
	for (i = 0; i < rounds; i++)
		ns += round_ns(conf.batch);
	printf("ns=%.2f\n", (double)ns / (rounds * SIDE_REQUESTS));
	return 0;
}
