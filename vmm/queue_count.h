/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a thread of ours counts of a queue that it serves.
 *
 * in:  kicks seen, requests done, calls made or not wanted: by the one thread that serves the queue
 * out: struct datapath_stats, for anyone at any time
 */
#ifndef QUEUE_COUNT_H
#define QUEUE_COUNT_H

#include "datapath.h"

/* As in struct datapath_stats. */
struct queue_count {
	_Atomic u64 kicks, requests, calls, calls_suppressed, calls_held, calls_in_vain;
};

/* The serving thread alone, so that none is lost. */
static inline void count(_Atomic u64 *counter, u64 n)
{
	u64 v = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, v + n, memory_order_relaxed);
}

/* The driver is interrupted. */
static inline void queue_call(struct queue_count *c, const struct datapath_queue *r)
{
	vm_signal_eventfd(r->call_fd);
	count(&c->calls, 1);
}

/* Something was published: the driver is interrupted if it wants that. */
static inline void queue_call_if(struct queue_count *c, const struct datapath_queue *r, bool wanted)
{
	if (wanted && r->call_fd >= 0)
		queue_call(c, r);
	else
		count(&c->calls_suppressed, 1);
}

/* All but latencies, which become 0. */
static inline void count_read(const struct queue_count *c, struct datapath_stats *s)
{
	*s = (struct datapath_stats) {
		.kicks = atomic_load_explicit(&c->kicks, memory_order_relaxed),
		.requests = atomic_load_explicit(&c->requests, memory_order_relaxed),
		.calls = atomic_load_explicit(&c->calls, memory_order_relaxed),
		.calls_suppressed = atomic_load_explicit(&c->calls_suppressed, memory_order_relaxed),
		.calls_held = atomic_load_explicit(&c->calls_held, memory_order_relaxed),
		.calls_in_vain = atomic_load_explicit(&c->calls_in_vain, memory_order_relaxed),
	};
}

#endif
