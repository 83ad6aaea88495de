/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One thread plays both sides of a ring, and only the device's side is measured.
 *
 * in:  the same words on the command line for each ring (native.c)
 * out: what each of them provides: ring.c the engine, peer.c those of ringtest
 *
 * A round is SIDE_REQUESTS requests, which the driver lays out beforehand, all but
 * the one store that shows the device the next batch: that is in side_publish().
 * So the clock and the counter run over side_publish() and side_device() alone, for
 * many batches on end, also where a batch is one request.
 */
#ifndef BENCH_NATIVE_H
#define BENCH_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

/* All rings have 256 descriptors, which is ringtest's default. */
#define SIDE_NUM	256U
/* Of two descriptors each, if need be. */
#define SIDE_REQUESTS	128U

/**
 * struct side_conf - what is measured
 * @ring: split or packed
 * @layout: direct, chain or indirect
 * @mode: flags, event_idx or in_order
 * @batch: requests that the device finds at once; divides SIDE_REQUESTS
 */
struct side_conf {
	const char *ring, *layout, *mode;
	uint32_t batch;
};

void side_init(const struct side_conf *conf);
/* Driver: lays a round out. */
void side_fill(void);
/* Driver: shows the device the next batch. */
void side_publish(void);
/* Device: serves what there is, as a worker does when it is woken. How much it was. */
uint32_t side_device(void);
/* Driver: takes the round back, and aborts unless all of it was served. */
void side_take(void);

#endif
