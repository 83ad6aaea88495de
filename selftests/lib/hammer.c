// SPDX-License-Identifier: GPL-2.0
/*
 * A guest under load: a thread that keeps a queue's requests in flight.
 *
 * in:  a queue of a rig
 * out: see hammer.h
 */
#include "hammer.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

static void submit(struct hammer *h)
{
	struct drv *d = &h->q->drv;

	while (drv_in_flight(d) < h->depth) {
		u64 slot = d->added % (GMEM_HIGH_SIZE / h->len);

		if (drv_add1(d, HAMMER_BUF + slot * h->len, h->len, true) < 0)
			break;
	}
	drv_kick(d, h->q->kick);
}

static void take_calls(struct hammer *h)
{
	h->calls_taken += ev_take(h->calls[0]);
	if (h->calls[1] >= 0)
		h->calls_taken += ev_take(h->calls[1]);
}

static void *hammer_main(void *arg)
{
	struct hammer *h = arg;
	struct drv *d = &h->q->drv;
	unsigned long long wanted;
	struct pollfd p[] = {
		{ .fd = h->quit, .events = POLLIN },
		{ .fd = h->calls[0], .events = POLLIN },
		{ .fd = h->calls[1], .events = POLLIN },
	};

	for (;;) {
		submit(h);
		if (!drv_enable_call(d)) {
			CHECK(poll(p, 3, -1) > 0 || errno == EINTR, "poll");
			take_calls(h);
		}
		if (ev_wait(h->quit, 0))
			return NULL;
		drv_disable_call(d);
		while (drv_get(d, NULL) >= 0)
			atomic_fetch_add(&h->got, 1);
		/* Unless hammer_wait() wants something else by now, and looks for itself. */
		wanted = atomic_load(&h->wanted);
		if (atomic_load(&h->got) >= wanted &&
		    atomic_compare_exchange_strong(&h->wanted, &wanted, ~0ULL))
			ev_signal(h->progress);
	}
}

void hammer_start(struct hammer *h, struct vq *q, u32 depth, u32 len)
{
	int second = h->calls[1];

	*h = (struct hammer) {
		.q = q,
		.calls = { q->call, second ?: -1 },
		.depth = depth,
		.len = len,
		.wanted = ~0ULL,
		.progress = ev_new(),
		.quit = ev_new(),
	};
	CHECK(!pthread_create(&h->thread, NULL, hammer_main, h),
	      "pthread_create");
}

void hammer_wait(struct hammer *h, u64 n)
{
	u64 until = atomic_load(&h->got) + n;
	struct deadline end = deadline_in(DEADLINE_MS);

	atomic_store(&h->wanted, until);
	while (atomic_load(&h->got) < until) {
		CHECK(ev_wait(h->progress, deadline_left_ms(&end)),
		      "stuck at %llu of %llu requests, %llu in flight",
		      (unsigned long long)atomic_load(&h->got),
		      (unsigned long long)until,
		      (unsigned long long)drv_in_flight(&h->q->drv));
		ev_take(h->progress);
	}
}

void hammer_stop(struct hammer *h)
{
	ev_signal(h->quit);
	CHECK(!pthread_join(h->thread, NULL), "pthread_join");
	close(h->quit);
	close(h->progress);
	take_calls(h);
}

void hammer_drain(struct hammer *h)
{
	struct drv *d = &h->q->drv;
	struct deadline end = deadline_in(DEADLINE_MS);

	/* What was added before the end of the thread, and perhaps not kicked for. */
	drv_publish(d);
	ev_signal(h->q->kick);
	while (drv_in_flight(d)) {
		CHECK(!deadline_passed(&end), "%llu requests were lost",
		      (unsigned long long)drv_in_flight(d));
		if (drv_get(d, NULL) < 0)
			sched_yield();
	}
	CHECK(!drv_has_used(d), "more came back than went out");
	take_calls(h);
}
