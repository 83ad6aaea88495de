// SPDX-License-Identifier: GPL-2.0
/*
 * Calls that are held back while a queue is watched: one for many requests. When they
 * are is ring/vring_coalesce.h's to say.
 *
 * in:  calls that the driver wants; requests that come in; looks of poll.c
 * out: vk_call_signal(), once for many
 *
 * That a call is due is seen by the worker, so other queues of its come before, with a
 * turn each.
 */
#include <linux/sched/clock.h>

#include "vkick.h"

static enum vring_coalesce_why vk_hold_due(const struct vk_queue *q)
{
	return vring_coalesce_due(&q->held, q->stats.requests, q->num, q->in_flight);
}

/* A call is made, or there is none to make. Return: whether one was owed. */
static bool vk_hold_end(struct vk_queue *q, enum vring_coalesce_why why)
{
	return vring_coalesce_end(&q->held, q->stats.requests, why);
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
	enum vring_coalesce_why why = VRING_COALESCE_ANYWAY;

	lockdep_assert_held(&q->lock);
	if (q->poll.active && q->call)
		why = vk_hold_due(q);
	if (why != VRING_COALESCE_NOT_YET) {
		vk_hold_end(q, why);
		return false;
	}
	if (!q->held.owed) {
		q->stats.calls_held++;
		vring_coalesce_begin(&q->held, local_clock());
	}
	return true;
}

/* The driver wants no call for what it has now. */
void vk_hold_no_call(struct vk_queue *q)
{
	lockdep_assert_held(&q->lock);
	vring_coalesce_not_wanted(&q->held, q->stats.requests);
}

static void vk_hold_release_since(struct vk_queue *q, enum vring_coalesce_why why)
{
	if (!vk_hold_end(q, why))
		return;
	q->stats.calls_in_vain += why == VRING_COALESCE_IN_VAIN;
	vk_call_signal(q);
}

/* Makes the call that is owed, if one is. */
void vk_hold_release(struct vk_queue *q)
{
	lockdep_assert_held(&q->lock);
	vk_hold_release_since(q, VRING_COALESCE_ANYWAY);
}

/* A pass is over. */
void vk_hold_pass_ended(struct vk_queue *q)
{
	enum vring_coalesce_why why;

	if (!q->held.owed)
		return;
	why = vk_hold_due(q);
	if (why != VRING_COALESCE_NOT_YET)
		vk_hold_release_since(q, why);
	else if (!q->poll.active ||
		 vring_coalesce_is_late(&q->held, local_clock(), vk_poll_timeout_ns(q)))
		vk_hold_release(q);
}

/* The worker looked, and nothing came so far. Sets the start of the idle time, see poll.c. */
void vk_hold_nothing_came(struct vk_queue *q, u64 now)
{
	enum vring_coalesce_why why = vring_coalesce_due_idle(&q->held, now, q->poll.idle_since,
							      q->poll.window_ns,
							      vk_poll_timeout_ns(q));

	if (why == VRING_COALESCE_NOT_YET)
		return;
	vk_hold_release_since(q, why);
	/* It is from now on that the driver takes its time, and is watched. */
	q->poll.idle_since = now;
}
