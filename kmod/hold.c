// SPDX-License-Identifier: GPL-2.0
/*
 * Calls that are held back while a queue is watched.
 *
 * in:  calls that the driver wants; requests that come in; looks of poll.c
 * out: vk_call_signal(), once for many
 *
 * A device that is done before the driver has its next request in the ring calls for
 * each of them, and each call takes the guest out of what it was at. So while the worker
 * watches the queue anyway (poll.c) a call is owed rather than made: what is used is
 * shown, and the driver interrupted
 *
 *   - when VK_HOLD_REQUESTS were used, or half a ring;
 *   - VK_HOLD_NS later, or as long as the owner allows a poll to be, if that is less;
 *   - when nothing came for half the window: by then the driver waits, most likely;
 *   - with the end of the watch, whatever ends it: a stop, an error, a move.
 *
 * That is looked at by the worker, so other queues of its come before, with a turn each.
 *
 * It adapts. A call that was held while no request came in was held from a driver that
 * waited for it, as one does that has a request at a time. The next call is then made
 * at once, and if the one after it was held for nothing as well the next three are, and
 * so on up to VK_HOLD_MAX_SKIP. One that paid takes that back.
 */
#include <linux/sched/clock.h>

#include "vkick.h"

#define VK_HOLD_REQUESTS	32U
#define VK_HOLD_NS		NSEC_PER_MSEC
#define VK_HOLD_MAX_SKIP	255U

static u64 vk_hold_max_ns(const struct vk_queue *q)
{
	return min_t(u64, (u64)q->poll.timeout_us * NSEC_PER_USEC, VK_HOLD_NS);
}

/* Nothing is owed any more: what did holding it bring? */
static void vk_hold_end(struct vk_queue *q)
{
	struct vk_hold *hold = &q->hold;

	hold->skip = hold->paid ? 0 : min(2 * hold->skip + 1, VK_HOLD_MAX_SKIP);
	hold->left = hold->skip;
	hold->owed = false;
}

/**
 * vk_hold_call() - the driver wants a call: is it to wait?
 * @q: queue
 *
 * Return: true if it is owed from now on; false if it is to be made now, and then it
 * stands for one that was owed, too.
 */
bool vk_hold_call(struct vk_queue *q)
{
	struct vk_hold *hold = &q->hold;

	lockdep_assert_held(&q->lock);
	if (!q->poll.active || !q->call) {
		if (hold->owed)
			vk_hold_end(q);
		return false;
	}
	if (hold->owed)
		return true;
	if (hold->left) {
		hold->left--;
		return false;
	}
	q->stats.calls_held++;
	hold->owed = true;
	hold->paid = false;
	hold->since = local_clock();
	hold->used = q->stats.requests;
	return true;
}

/* The driver went on without it. */
void vk_hold_request_came(struct vk_queue *q)
{
	lockdep_assert_held(&q->lock);
	q->hold.paid = true;
}

/* Makes the call that is owed, if one is. */
void vk_hold_release(struct vk_queue *q)
{
	lockdep_assert_held(&q->lock);
	if (!q->hold.owed)
		return;
	vk_hold_end(q);
	vk_call_signal(q);
}

/* A pass is over. */
void vk_hold_pass_ended(struct vk_queue *q)
{
	struct vk_hold *hold = &q->hold;

	if (!hold->owed)
		return;
	if (!q->poll.active ||
	    q->stats.requests - hold->used >= min(VK_HOLD_REQUESTS, q->num / 2) ||
	    local_clock() - hold->since >= vk_hold_max_ns(q))
		vk_hold_release(q);
}

/* The worker looked, and nothing came so far. Sets the start of the idle time, see poll.c. */
void vk_hold_nothing_came(struct vk_queue *q, u64 now)
{
	struct vk_hold *hold = &q->hold;

	if (!hold->owed)
		return;
	if (now - max(hold->since, q->poll.idle_since) < q->poll.window_ns / 2 &&
	    now - hold->since < vk_hold_max_ns(q))
		return;
	vk_hold_release(q);
	/* It is from now on that the driver takes its time, and is watched. */
	q->poll.idle_since = now;
}
