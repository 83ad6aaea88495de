// SPDX-License-Identifier: GPL-2.0
/*
 * Calls that are held back while the thread polls, as the module's are (kmod/hold.c,
 * which has the reasons): one for many requests, if the driver goes on without it.
 *
 * in:  calls that the driver wants; requests that come in; looks of blk_thread.c
 * out: whether to call now, or later
 *
 * A call that is owed is made when BLK_HOLD_REQUESTS were used, or half a ring;
 * BLK_HOLD_NS later, or as long as polling may last, if that is less; when nothing came
 * for half the window; and before the thread waits, stops, or leaves the queue.
 *
 * A call that was held while no request came in was held from a driver that waited for
 * it. The next is made at once, and if the one after it was held for nothing as well the
 * next three are, and so on up to BLK_HOLD_MAX_SKIP. One that paid takes that back.
 */
#include "blk_uring.h"

#define BLK_HOLD_REQUESTS	32U
#define BLK_HOLD_NS		1000000UL
#define BLK_HOLD_MAX_SKIP	255U

static u64 max_ns(const struct blk_thread *t)
{
	u64 poll_ns = t->u->disk->poll_us * 1000UL;

	return poll_ns < BLK_HOLD_NS ? poll_ns : BLK_HOLD_NS;
}

/* Nothing is owed any more: what did holding it bring? */
static void end(struct blk_hold *hold)
{
	u32 skip = 2 * hold->skip + 1;

	hold->skip = hold->paid ? 0 : skip < BLK_HOLD_MAX_SKIP ? skip : BLK_HOLD_MAX_SKIP;
	hold->left = hold->skip;
	hold->owed = false;
}

bool blk_hold_call(struct blk_thread *t, struct blk_queue *q)
{
	struct blk_hold *hold = &q->hold;

	if (!blk_thread_polls(t)) {
		if (hold->owed)
			end(hold);
		return false;
	}
	if (hold->owed)
		return true;
	if (hold->left) {
		hold->left--;
		return false;
	}
	count(&q->n.calls_held, 1);
	hold->owed = true;
	hold->paid = false;
	hold->since = monotonic_ns();
	hold->used = atomic_load_explicit(&q->n.requests, memory_order_relaxed);
	return true;
}

bool blk_hold_end(struct blk_queue *q)
{
	bool owed = q->hold.owed;

	if (owed)
		end(&q->hold);
	return owed;
}

bool blk_hold_is_over(const struct blk_thread *t, const struct blk_queue *q)
{
	const struct blk_hold *hold = &q->hold;
	u32 half = q->r->num / 2;
	u64 used;

	if (!hold->owed)
		return false;
	used = atomic_load_explicit(&q->n.requests, memory_order_relaxed) - hold->used;
	return used >= (half < BLK_HOLD_REQUESTS ? half : BLK_HOLD_REQUESTS) ||
	       monotonic_ns() - hold->since >= max_ns(t);
}

bool blk_hold_is_in_vain(const struct blk_thread *t, const struct blk_queue *q, u64 now)
{
	const struct blk_hold *hold = &q->hold;
	u64 quiet_since = hold->since > t->idle_since ? hold->since : t->idle_since;

	return hold->owed && (now - quiet_since >= t->window_ns / 2 || now - hold->since >= max_ns(t));
}
