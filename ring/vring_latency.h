/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How long a queue's requests take: from when vring_pop() gave the chain out until its used
 * element is published.
 *
 * in:  the caller's clock, when chains are popped, pushed and published
 * out: a histogram, of which bucket i begins at vkick_latency_from_ns(i)
 *
 * As the engine, this has no lock and one source for the module and the VMM: who serves the
 * queue calls it.
 *
 * A look at the clock for each request would cost the fastest of them a tenth of their time. So
 * the first request of each pass is measured, and of all others one in VRING_LATENCY_STEP, which
 * counts as that many. Each request is so counted once, on average, whatever the passes look
 * like: no percentile leans to one side. A driver with one request in flight has each of them
 * measured. The step is a prime, so that no batch of a driver's, and no pattern of its requests,
 * keeps step with it.
 *
 * What was pushed is not yet the driver's. Stamps wait for the flush, as the used elements do;
 * if so many wait that there is no room, the engine has published the first of them by itself.
 */
#ifndef VRING_LATENCY_H
#define VRING_LATENCY_H

#include <linux/vkick.h>

#include "vring.h"

#define VRING_LATENCY_STEP	31U
#define VRING_LATENCY_WAITING	32U

/**
 * struct vring_stamp - kept with a request, from pop to push
 * @popped_ns: by any clock that does not go back
 * @weight: requests that it counts as; 0: it is not measured, and @popped_ns is not set
 */
struct vring_stamp {
	u64 popped_ns;
	u32 weight;
};

/**
 * struct vring_latency - of one queue
 * @next: the so manieth to come is measured
 * @after_first: what @next is to be after the first of a pass, which comes next, with @next 1;
 *	0 if that has come
 * @nr_waiting: of @waiting, which were pushed and not published
 * @count: by bucket; another thread may read it, of the VMM
 */
struct vring_latency {
	u32 next;
	u32 after_first;
	u32 nr_waiting;
	struct vring_stamp waiting[VRING_LATENCY_WAITING];
	u64 count[VKICK_LATENCY_BUCKETS];
};

/* A start: with nothing in flight. What was counted stays. */
static inline void vring_latency_start(struct vring_latency *l)
{
	l->next = VRING_LATENCY_STEP;
	l->after_first = 0;
	l->nr_waiting = 0;
}

static inline void vring_latency_begin_pass(struct vring_latency *l)
{
	if (l->after_first)
		return;
	l->after_first = l->next;
	l->next = 1;
}

/* A chain was popped. Return: the weight of its stamp; unless that is 0 it wants the time, too. */
static inline u32 vring_latency_weigh(struct vring_latency *l)
{
	if (--l->next)
		return 0;
	if (l->after_first) {
		l->next = l->after_first;
		l->after_first = 0;
		return 1;
	}
	l->next = VRING_LATENCY_STEP;
	return VRING_LATENCY_STEP;
}

/* Return: whether @s leaves no room for another, so that vring_latency_published() is to follow. */
static inline bool vring_latency_pushed(struct vring_latency *l, const struct vring_stamp *s)
{
	l->waiting[l->nr_waiting++] = *s;
	return l->nr_waiting == VRING_LATENCY_WAITING;
}

/* All that was pushed is the driver's. Clocks of CPUs may differ a bit: then it took no time. */
static inline void vring_latency_published(struct vring_latency *l, u64 now_ns)
{
	u32 i;

	for (i = 0; i < l->nr_waiting; i++) {
		const struct vring_stamp *s = &l->waiting[i];
		u64 ns = now_ns > s->popped_ns ? now_ns - s->popped_ns : 0;

		vring_io_count(&l->count[vkick_latency_bucket(ns)], s->weight);
	}
	l->nr_waiting = 0;
}

#endif
