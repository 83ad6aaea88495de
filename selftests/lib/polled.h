/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A queue of /dev/vkick-null that its worker polls.
 *
 * in:  a rig that runs
 * out: requests of a driver that watches the ring; a worker that watches it as well
 */
#ifndef SELFTEST_POLLED_H
#define SELFTEST_POLLED_H

#include "rig.h"

/*
 * A driver that came back after this long makes the worker poll for about twice as
 * long; what is done to it meanwhile must not wait for the end of that.
 */
#define POLLED_GAP_MS		700
#define POLLED_PROMPT_MS	POLLED_GAP_MS

/*
 * The worker gives a poll up when somebody else wants its CPU. So that this is not us,
 * this process has one CPU, and the worker the others.
 */
void polled_keep_apart(void);

/* One request, by a driver that watches the ring. Whether it kicked. */
bool polled_request(struct vq *q);

/*
 * Requests one after the other, with calls disabled, until the worker polls for the next one,
 * for @us microseconds at most. No call of these is left, neither owed nor in the eventfd.
 */
void polled_make(struct rig *r, struct vq *q, u32 us);

/* The same until the worker is at the start of a poll of some 2 * POLLED_GAP_MS. */
void polled_for_long(struct rig *r, struct vq *q);

#endif
