// SPDX-License-Identifier: GPL-2.0
/*
 * Start, stop and end of one queue: the states of vkick.h.
 *
 * in:  VKICK_SET_RUNNING, changes that need a queue at rest, the owner's end
 * out: a queue that its worker serves, or the guarantee that it is left alone
 *
 * Context of all: process, dev->mutex held. queue->lock is taken killably: the worker
 * may hold it while it waits for a page of the owner's.
 */
#include <linux/slab.h>

#include "vkick.h"
#include "trace.h"

/* No request is in flight, and none will be: ->base is exact. */
void vk_queue_settle(struct vk_queue *q)
{
	lockdep_assert_held(&q->lock);
	/* It may fail if the log does not cover the ring; then a pass has said so. */
	if (q->log)
		vk_log_ring(q);
	q->base = vring_save(&q->vring);
	q->has_base = true;
	vk_poll_stop(q);
	/* vk_queue_quiesce() looks at it without the lock. */
	WRITE_ONCE(q->state, VK_STOPPED);
	wake_up_all(&q->settled);
}

/**
 * vk_queue_start() - take up service at ->base
 * @q: queue; if it runs already nothing happens
 *
 * A start counts as a kick. Return: 1; 0 if it ran already; -EINVAL without NUM or
 * ADDR; what the class says, as -ENODEV without a backend; -EFAULT without a memory
 * table, without the log that VHOST_F_LOG_ALL asks for, or if the ring cannot be
 * reached; -ENOMEM; -EINTR.
 */
int vk_queue_start(struct vk_queue *q)
{
	int err;

	if (mutex_lock_killable(&q->lock))
		return -EINTR;
	err = 0;
	if (q->state == VK_RUNNING)
		goto unlock;
	/* It broke, and the class still has requests. */
	err = vk_queue_quiesce(q);
	if (err)
		return err;
	err = -EINVAL;
	if (!q->num || !q->has_addr)
		goto unlock;
	err = -EFAULT;
	if (!q->view.mem)
		goto unlock;
	if (q->dev->class->start) {
		err = q->dev->class->start(q);
		if (err)
			goto unlock;
	}
	err = vk_req_alloc_all(q);
	if (err)
		goto unlock;
	err = vk_config_lay_ring(q, &q->vring, &q->addr, vk_config_base(q));
	if (err)
		goto unlock;
	q->error = 0;
	q->decided = q->stats.requests;
	vring_latency_start(&q->latency);
	q->poll.idle = false;
	q->state = VK_RUNNING;
	vk_worker_wake(q);
	err = 1;
unlock:
	mutex_unlock(&q->lock);
	return err;
}

/*
 * Whether to look at the queue again. Without a worker, completions are left to whoever
 * waits here.
 */
static bool vk_queue_stirs(struct vk_queue *q)
{
	return READ_ONCE(q->state) == VK_STOPPED ||
	       (vk_worker_gone(q) && !llist_empty(&q->done));
}

/**
 * vk_queue_quiesce() - take no more requests, and wait until none is in flight
 * @q: queue, q->lock held; if it is stopped nothing happens
 *
 * Return: 0 with the queue stopped; -EINTR for a fatal signal, and then q->lock is
 * NOT held any more, and the queue drains.
 */
int vk_queue_quiesce(struct vk_queue *q)
{
	lockdep_assert_held(&q->lock);
	if (q->state == VK_RUNNING)
		q->state = VK_DRAINING;
	vk_poll_stop(q);
	while (q->state == VK_DRAINING) {
		if (vk_worker_gone(q))
			vk_req_discard(q);
		if (!q->in_flight) {
			vk_queue_settle(q);
			break;
		}
		mutex_unlock(&q->lock);
		if (wait_event_killable(q->settled, vk_queue_stirs(q)) ||
		    mutex_lock_killable(&q->lock))
			return -EINTR;
	}
	return 0;
}

/**
 * vk_queue_stop() - the stop guarantee of vkick.h
 * @q: queue; if it does not run nothing happens
 *
 * Return: 0, or -EINTR if a fatal signal came first.
 */
int vk_queue_stop(struct vk_queue *q)
{
	if (mutex_lock_killable(&q->lock))
		return -EINTR;
	if (vk_queue_quiesce(q))
		return -EINTR;
	mutex_unlock(&q->lock);
	return 0;
}

/* As vk_queue_quiesce(), where no signal counts: the class ends its requests. */
static void vk_queue_end(struct vk_queue *q)
{
	if (q->state == VK_STOPPED)
		return;
	q->state = VK_DRAINING;
	for (;;) {
		vk_req_discard(q);
		if (!q->in_flight)
			break;
		mutex_unlock(&q->lock);
		wait_event(q->settled, !llist_empty(&q->done));
		mutex_lock(&q->lock);
	}
	vk_queue_settle(q);
}

static void vk_queue_put_call(struct eventfd_ctx **slot)
{
	if (*slot)
		eventfd_ctx_put(*slot);
	*slot = NULL;
}

/**
 * vk_queue_reset() - back to what a fresh device has, all references put
 * @q: queue that has no worker any more, and whose kick is detached
 */
void vk_queue_reset(struct vk_queue *q)
{
	mutex_lock(&q->lock);		/* no worker: nobody holds it for long */
	vk_queue_end(q);
	vk_req_free_all(q);
	vk_queue_put_call(&q->call);
	vk_queue_put_call(&q->err);
	vk_queue_put_call(&q->log_call);
	vk_mem_put(q->view.mem);
	q->view = (struct vk_memview) {};
	vk_log_put(q->log);
	q->log = NULL;
	q->poll = (struct vk_poll) {};
	vring_coalesce_start(&q->held, 0);	/* as ->stats below */
	q->num = 0;
	q->base = 0;
	q->has_base = false;
	q->has_addr = false;
	q->error = 0;
	memset(&q->stats, 0, sizeof(q->stats));
	memset(&q->latency, 0, sizeof(q->latency));
	mutex_unlock(&q->lock);
}
