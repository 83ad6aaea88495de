// SPDX-License-Identifier: GPL-2.0
/*
 * Step 3: the worker, a thread in the owner's address space, runs runnable queues.
 *
 * in:  vk_worker_wake() from kicks, completions, backends, starts, and passes that ran out of
 *      budget
 * out: vk_queue_run(); after each round vk_poll_all()
 *
 * No kick is lost. A queue is runnable while its VK_QUEUE_RUNNABLE bit is set; who
 * sets the bit puts the queue on the list and wakes the thread. The thread takes
 * the queue off the list, clears the bit, and only then looks at the ring:
 *
 *	driver / KVM			worker
 *	store avail.idx			clear RUNNABLE
 *	signal kick, which does		mb			(W)
 *	  test_and_set RUNNABLE		pass: load avail.idx ...
 *
 * test_and_set_bit() is a full barrier. If it finds the bit clear, it queues
 * another pass. If it finds it set, the clearing comes later, and so does the load
 * behind (W), which then sees the driver's store. Within a pass the same question
 * arises for kicks that the driver does not send because we said not to:
 *
 *	disable notifications
 *	drain the ring until it is empty
 *	enable notifications
 *	mb				barrier (D) of ring/vring.h
 *	look at avail.idx again; if it moved, start over
 *
 * Either the driver, after its own barrier, sees notifications enabled and kicks,
 * or our second look sees its buffer. Between drain and enable the queue may be
 * polled for a while (poll.c); the thread does not sleep meanwhile.
 *
 * A queue may move to another worker at any time. Who wakes it reads q->worker under
 * RCU, so for a grace period after the move it may be put on the old worker's list;
 * that one sends it on. A worker ends a grace period after it lost its last queue, and
 * sends on what its list still has then.
 */
#include <linux/kcov.h>
#include <linux/sched/clock.h>
#include <linux/slab.h>

#include "compat.h"
#include "vkick.h"
#include "trace.h"

/**
 * vk_worker_wake() - have the queue's worker look at it, soon and at least once
 * @q: queue; if it has no worker nothing happens
 *
 * Context: any, also with irqs off.
 */
void vk_worker_wake(struct vk_queue *q)
{
	struct vk_worker *worker;

	rcu_read_lock();
	worker = rcu_dereference(q->worker);
	if (worker && !test_and_set_bit(VK_QUEUE_RUNNABLE, &q->flags)) {
		/* Ours alone until the worker, which it is handed to, clears the bit. */
		q->runnable_since = local_clock();
		llist_add(&q->node, &worker->runnable);
		if (!READ_ONCE(worker->killed))
			vk_task_wake(worker->task);
	}
	rcu_read_unlock();
}

/*
 * Takes a queue from the list: from here on node and runnable_since are the next
 * waker's. Return: when it became runnable.
 */
static u64 vk_worker_take(struct vk_queue *q)
{
	u64 since = q->runnable_since;

	clear_bit_unlock(VK_QUEUE_RUNNABLE, &q->flags);
	smp_mb__after_atomic();		/* (W) */
	return since;
}

/* Oldest first; who is queued anew meanwhile waits for the next round. */
static void vk_worker_round(struct vk_worker *worker, struct llist_node *list)
{
	struct vk_queue *q, *next;

	list = llist_reverse_order(list);
	llist_for_each_entry_safe(q, next, list, node) {
		worker->others_wait = q->node.next;
		vk_queue_run(q, worker, vk_worker_take(q));
		cond_resched();
	}
}

/* Context: the thread, in TASK_INTERRUPTIBLE. Return: whether there was work. */
static bool vk_worker_work(void *data)
{
	struct vk_worker *worker = data;
	struct llist_node *list;

	list = llist_del_all(&worker->runnable);
	if (!list && !worker->polls) {
		worker->slept = true;
		return false;
	}
	__set_current_state(TASK_RUNNING);
	if (!vk_task_enter(worker->task))
		return true;
	kcov_remote_start_common(worker->dev->kcov_handle);
	if (list)
		vk_worker_round(worker, list);
	/* Also if there is always something runnable: who is watched does not kick. */
	if (worker->polls)
		vk_poll_all(worker);
	kcov_remote_stop();
	vk_task_leave(worker->task);
	return true;
}

/*
 * The owner died: its queues stand still until close() comes. Another process that
 * shares the owner's memory may wait for one of them to settle.
 */
static void vk_worker_killed(void *data)
{
	struct vk_worker *worker = data;
	struct vk_dev *dev = worker->dev;
	u32 i;

	WRITE_ONCE(worker->killed, true);
	for (i = 0; i < dev->class->nvqs; i++)
		wake_up_all(&dev->vqs[i].settled);
	if (dev->class->orphan)
		dev->class->orphan(dev);
}

/* Whether nobody will serve the queue any more. Context: any */
bool vk_worker_gone(struct vk_queue *q)
{
	struct vk_worker *worker;
	bool gone;

	rcu_read_lock();
	worker = rcu_dereference(q->worker);
	gone = !worker || READ_ONCE(worker->killed);
	rcu_read_unlock();
	return gone;
}

/**
 * vk_worker_create() - start a worker for the calling process
 * @dev: device, dev->mutex held
 *
 * Return: the worker, or ERR_PTR: -ENOSPC (VK_MAX_WORKERS), -ENOMEM, -EAGAIN
 * (process limit), or as fork(2).
 */
struct vk_worker *vk_worker_create(struct vk_dev *dev)
{
	struct vk_worker *worker;
	char name[40];		/* the task takes as much as it has room for */
	int err;

	worker = kzalloc(sizeof(*worker), GFP_KERNEL_ACCOUNT);
	if (!worker)
		return ERR_PTR(-ENOMEM);
	worker->dev = dev;
	init_llist_head(&worker->runnable);
	err = xa_alloc(&dev->workers, &worker->id, worker,
		       XA_LIMIT(0, VK_MAX_WORKERS - 1), GFP_KERNEL_ACCOUNT);
	if (err) {
		err = err == -EBUSY ? -ENOSPC : err;
		goto free_worker;
	}

	if (worker->id)
		snprintf(name, sizeof(name), "vkick-%s-%d.%u", dev->class->name,
			 dev->id, worker->id);
	else
		snprintf(name, sizeof(name), "vkick-%s-%d", dev->class->name, dev->id);
	worker->task = vk_task_create(vk_worker_work, vk_worker_killed, worker, name);
	if (IS_ERR(worker->task)) {
		err = PTR_ERR(worker->task);
		goto erase_id;
	}
	err = vk_task_start(worker->task);
	if (err)
		goto stop_task;
	return worker;

stop_task:
	vk_task_stop(worker->task);
erase_id:
	xa_erase(&dev->workers, worker->id);
free_worker:
	kfree(worker);
	return ERR_PTR(err);
}

/*
 * Ends a worker that no queue has had for a grace period: nobody puts one on its list
 * any more. What is there still goes to those who have it now.
 */
static void vk_worker_stop(struct vk_worker *worker)
{
	struct vk_queue *q, *next;

	xa_erase(&worker->dev->workers, worker->id);
	vk_task_stop(worker->task);
	llist_for_each_entry_safe(q, next, llist_del_all(&worker->runnable), node) {
		vk_worker_take(q);
		vk_worker_wake(q);
	}
	kfree(worker);
}

/* dev->mutex keeps the pointer as it is. */
static struct vk_worker *vk_worker_of(struct vk_queue *q)
{
	return rcu_dereference_protected(q->worker,
					 lockdep_is_held(&q->dev->mutex));
}

/**
 * vk_worker_free() - VHOST_FREE_WORKER
 * @dev: device, dev->mutex held
 * @id: of the worker
 *
 * Return: 0; -ENODEV; -EBUSY if it has queues.
 */
int vk_worker_free(struct vk_dev *dev, u32 id)
{
	struct vk_worker *worker = xa_load(&dev->workers, id);
	u32 i;

	if (!worker)
		return -ENODEV;
	for (i = 0; i < dev->class->nvqs; i++)
		if (vk_worker_of(&dev->vqs[i]) == worker)
			return -EBUSY;
	if (worker->had_queues)
		synchronize_rcu();
	vk_worker_stop(worker);
	return 0;
}

/**
 * vk_worker_attach() - VHOST_ATTACH_VRING_WORKER
 * @q: queue, stopped or running; dev->mutex held
 * @id: of the worker that is to serve it from now on
 *
 * When this returns the former worker does not touch the queue any more, unless to
 * send it on. Return: 0; -ENODEV; -EINTR.
 */
int vk_worker_attach(struct vk_queue *q, u32 id)
{
	struct vk_worker *worker = xa_load(&q->dev->workers, id);

	if (!worker)
		return -ENODEV;
	if (mutex_lock_killable(&q->lock))
		return -EINTR;
	/* The former worker watches it no longer: the new one's pass decides anew. */
	vk_poll_stop(q);
	worker->had_queues = true;
	rcu_assign_pointer(q->worker, worker);
	vk_worker_wake(q);
	mutex_unlock(&q->lock);
	return 0;
}

/* VHOST_GET_VRING_WORKER. Context: dev->mutex held; there is an owner, so a worker */
u32 vk_worker_id(struct vk_queue *q)
{
	return vk_worker_of(q)->id;
}

/*
 * Whether somebody may be about to wake a worker, with all kicks detached and dev->mutex
 * held: completions, backends, or a worker that sends on a queue that had moved.
 */
static bool vk_worker_may_be_woken(struct vk_dev *dev)
{
	struct vk_worker *worker;
	unsigned long id, nr = 0;

	xa_for_each(&dev->workers, id, worker)
		nr++;
	return nr > 1 || dev->class->req_bytes || dev->class->drain;
}

/**
 * vk_worker_stop_all() - no queue is served from here on
 * @dev: device, dev->mutex held, all kicks detached
 */
void vk_worker_stop_all(struct vk_dev *dev)
{
	struct vk_worker *worker;
	unsigned long id;
	u32 i;

	for (i = 0; i < dev->class->nvqs; i++)
		RCU_INIT_POINTER(dev->vqs[i].worker, NULL);
	if (vk_worker_may_be_woken(dev))
		synchronize_rcu();
	xa_for_each(&dev->workers, id, worker)
		vk_worker_stop(worker);
}
