// SPDX-License-Identifier: GPL-2.0
/*
 * Busy polling: a queue that ran empty is watched for a while, by its worker, before
 * the driver is asked for a kick. While it is watched, kicks are not wanted, which
 * spares the guest an exit and us a wake-up.
 *
 * For how long at most is the owner's to say. Where that is less, it is as long as a few
 * of the worker's wake-ups for this queue were seen to take. Sleeping costs the driver
 * one, and the exit for its kick; and one that was called takes a while to come back with
 * more, while which it should not be asked for a kick either. For a driver that comes with
 * many requests it is longer: it kicks for the last of them, while who watches begins with the
 * first, and both work at a time. A queue that waits for its backend is an exception, since
 * no kick and no exit is spared.
 *
 * in:  VHOST_SET_VRING_BUSYLOOP_TIMEOUT; queues that a pass left empty; wake-ups
 * out: passes over those in which work came in; notifications enabled on the others
 *
 * It adapts, as ring/vring_poll.h says: what counts is the time from when the queue ran
 * empty to when the next work came. A miss closes the window, and a kick soon after the
 * queue ran empty opens it again. Where a call was held back (hold.c) the time counts
 * from when it was made: until then the driver knew of nothing.
 *
 * The worker takes queue->lock for one look at a time, and only if it is free; so
 * nobody waits for a queue that is but watched. It never sleeps while one is. It
 * gives up, as for a miss, when somebody else wants the CPU, as KVM does with a halted vCPU:
 * need_resched() alone would have a vCPU that was woken here wait for its turn.
 */
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>

#include "vkick.h"
#include "trace.h"

/* The worker looks at its other duties (its list, its end) at least so often. */
#define VK_POLL_ROUND_NS	200000

/*
 * How many wake-ups a queue is watched for, unasked: of a driver with one request at a
 * time, and of one with more (docs/performance.md has what others come to).
 */
#define VK_POLL_WAKEUPS		2U
#define VK_POLL_WAKEUPS_MANY	4U

/*
 * And what of a wake-up is believed: beyond, it was a CPU that had other things to do. In
 * all no longer than KVM by default polls for a halted vCPU (halt_poll_ns).
 */
#define VK_POLL_WAKEUP_MAX_NS	50000U

static bool vk_poll_wakeups = true;
module_param_named(poll_wakeups, vk_poll_wakeups, bool, 0644);
MODULE_PARM_DESC(poll_wakeups,
		 "watch a queue that ran empty for as long as a few wake-ups of its worker take (default: Y)");

/* Context: queue->lock held */
u64 vk_poll_timeout_ns(const struct vk_queue *q)
{
	u64 ns = (u64)q->poll.timeout_us * NSEC_PER_USEC;
	u32 wakeups = q->poll.many ? VK_POLL_WAKEUPS_MANY : VK_POLL_WAKEUPS;
	u32 unasked_ns = wakeups * q->poll.wakeup_ns;

	return READ_ONCE(vk_poll_wakeups) ? max_t(u64, ns, unasked_ns) : ns;
}

/* The worker slept, and was woken for the queue at @since. */
void vk_poll_woken(struct vk_queue *q, u64 since)
{
	s64 ns = local_clock() - since;		/* clocks of CPUs may differ a bit */

	lockdep_assert_held(&q->lock);
	ns = clamp_t(s64, ns, 0, VK_POLL_WAKEUP_MAX_NS);
	q->poll.wakeup_ns += (ns - q->poll.wakeup_ns) / 8;
}

/*
 * The queue ran empty, and notifications are off. @waits: for its backend. Return: true
 * if it is watched from now on; false if notifications are to be enabled.
 */
bool vk_poll_begin(struct vk_queue *q, struct vk_worker *worker, bool waits)
{
	lockdep_assert_held(&q->lock);
	if (!q->poll.idle)
		q->poll.idle_since = local_clock();
	q->poll.idle = true;
	if (!q->poll.window_ns || (waits && !q->poll.timeout_us))
		return false;
	WRITE_ONCE(q->poll.active, true);
	worker->polls = true;
	return true;
}

/*
 * A pass found work that came at @when, @nr new requests among it: what would have been the
 * right window?
 */
void vk_poll_work_came(struct vk_queue *q, u64 when, u32 nr)
{
	struct vk_poll *poll = &q->poll;
	s64 gap = when - poll->idle_since;	/* clocks of CPUs may differ a bit */

	lockdep_assert_held(&q->lock);
	if (poll->active)
		q->stats.poll_hits++;
	WRITE_ONCE(poll->active, false);
	/* A queue that did not run empty says nothing of how long it would have taken. */
	if (!poll->idle)
		return;
	poll->idle = false;
	if (nr)
		poll->many = nr > 1;
	poll->window_ns = vring_poll_window(poll->window_ns, max_t(s64, gap, 0),
					    vk_poll_timeout_ns(q));
}

/* Something else happens to the queue; whoever ends this enables notifications. */
void vk_poll_stop(struct vk_queue *q)
{
	lockdep_assert_held(&q->lock);
	WRITE_ONCE(q->poll.active, false);
	vk_hold_release(q);
}

static bool vk_poll_has_work(struct vk_queue *q)
{
	const struct vk_class *class = q->dev->class;

	if (class->has_work)
		return class->has_work(q);
	if (!llist_empty(&q->done))
		return true;
	/* Junk in the ring counts as work: the pass will tell. */
	return vk_req_get(q) && vring_has_avail(&q->vring);
}

/* One look. Return: whether to look again. */
static bool vk_poll_look(struct vk_queue *q, struct vk_worker *worker)
{
	struct vk_poll *poll = &q->poll;
	u64 now = local_clock();

	if (vk_poll_has_work(q)) {
		vk_queue_run_locked(q, worker, now);
		return poll->active;
	}
	vk_hold_nothing_came(q, now);
	if (now - poll->idle_since < poll->window_ns && single_task_running() && !need_resched())
		return true;
	q->stats.poll_misses++;
	WRITE_ONCE(poll->active, false);
	poll->window_ns = 0;
	/* With the window at 0 this enables notifications, and looks once more. */
	vk_queue_run_locked(q, worker, now);
	return poll->active;
}

/*
 * Whether a queue of the worker's is watched beside @q, which it serves. Who is watched
 * does not kick, so that a request came is seen between turns alone.
 */
bool vk_poll_watches_others(const struct vk_worker *worker, const struct vk_queue *q)
{
	const struct vk_dev *dev = worker->dev;
	u32 i;

	for (i = 0; i < dev->class->nvqs && worker->polls; i++) {
		const struct vk_queue *other = &dev->vqs[i];

		if (other != q && rcu_access_pointer(other->worker) == worker &&
		    READ_ONCE(other->poll.active))
			return true;
	}
	return false;
}

/**
 * vk_poll_all() - watch those of the worker's queues that are to be watched
 * @worker: its worker->polls is cleared if no queue is left
 *
 * Context: worker, owner's mm. Looks at each once at least. Returns after
 * VK_POLL_ROUND_NS, or when a queue is runnable.
 */
void vk_poll_all(struct vk_worker *worker)
{
	u64 end = local_clock() + VK_POLL_ROUND_NS;
	struct vk_dev *dev = worker->dev;
	bool more;
	u32 i;

	do {
		more = false;
		for (i = 0; i < dev->class->nvqs; i++) {
			struct vk_queue *q = &dev->vqs[i];

			if (!READ_ONCE(q->poll.active) ||
			    rcu_access_pointer(q->worker) != worker)
				continue;
			/* Whoever has it may leave it as it is: look again. */
			if (!mutex_trylock(&q->lock)) {
				more = true;
				continue;
			}
			if (q->poll.active && rcu_access_pointer(q->worker) == worker)
				more |= vk_poll_look(q, worker);
			mutex_unlock(&q->lock);
		}
		cpu_relax();
	} while (more && llist_empty(&worker->runnable) && local_clock() < end);
	worker->polls = more;
	cond_resched();
}
