// SPDX-License-Identifier: GPL-2.0
/*
 * Step 3: the worker, a thread in the owner's address space, runs runnable queues.
 *
 * in:  vk_worker_wake() from kicks, starts, and passes that ran out of budget
 * out: vk_queue_run()
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
 * or our second look sees its buffer.
 */
#include <linux/kcov.h>
#include <linux/sched/clock.h>
#include <linux/slab.h>

#include "compat.h"
#include "vkick.h"
#include "trace.h"

/**
 * vk_worker_wake() - have the queue's worker look at it, soon and at least once
 * @q: queue with a worker
 *
 * Context: any, also with irqs off.
 */
void vk_worker_wake(struct vk_queue *q)
{
	struct vk_worker *worker = q->worker;

	if (test_and_set_bit(VK_QUEUE_RUNNABLE, &q->flags))
		return;
	/* Ours alone until the worker, which llist_add() hands it to, clears the bit. */
	q->runnable_since = local_clock();
	llist_add(&q->node, &worker->runnable);
	if (!READ_ONCE(worker->killed))
		vk_task_wake(worker->task);
}

/* Context: the thread, in TASK_INTERRUPTIBLE. Return: whether there was work. */
static bool vk_worker_work(void *data)
{
	struct vk_worker *worker = data;
	struct llist_node *list;
	struct vk_queue *q, *next;

	list = llist_del_all(&worker->runnable);
	if (!list)
		return false;
	__set_current_state(TASK_RUNNING);
	if (!vk_task_enter(worker->task))
		return true;

	/* Oldest first; who is queued anew meanwhile waits for the next round. */
	list = llist_reverse_order(list);
	llist_for_each_entry_safe(q, next, list, node) {
		u64 since = q->runnable_since;

		/* release: node and runnable_since are the next waker's from here */
		clear_bit_unlock(VK_QUEUE_RUNNABLE, &q->flags);
		smp_mb__after_atomic();		/* (W) */

		kcov_remote_start_common(worker->dev->kcov_handle);
		vk_queue_run(q, since);
		kcov_remote_stop();
		cond_resched();
	}
	vk_task_leave(worker->task);
	return true;
}

/* The owner died: its queues stand still until close() comes. */
static void vk_worker_killed(void *data)
{
	struct vk_worker *worker = data;

	WRITE_ONCE(worker->killed, true);
}

/**
 * vk_worker_create() - start a worker for the calling process
 * @dev: device, for its name and owner
 *
 * Return: the worker, or ERR_PTR: -ENOMEM, -EAGAIN (process limit), or as fork(2).
 */
struct vk_worker *vk_worker_create(struct vk_dev *dev)
{
	struct vk_worker *worker;
	char name[TASK_COMM_LEN];
	int err;

	worker = kzalloc(sizeof(*worker), GFP_KERNEL_ACCOUNT);
	if (!worker)
		return ERR_PTR(-ENOMEM);
	worker->dev = dev;
	init_llist_head(&worker->runnable);

	snprintf(name, sizeof(name), "vkick-%s-%d", dev->class->name, dev->id);
	worker->task = vk_task_create(vk_worker_work, vk_worker_killed, worker, name);
	if (IS_ERR(worker->task)) {
		err = PTR_ERR(worker->task);
		goto free_worker;
	}
	err = vk_task_start(worker->task);
	if (err)
		goto stop_task;
	return worker;

stop_task:
	vk_task_stop(worker->task);
free_worker:
	kfree(worker);
	return ERR_PTR(err);
}

/**
 * vk_worker_stop() - end a worker
 * @worker: its queues are stopped and detached from their kicks
 */
void vk_worker_stop(struct vk_worker *worker)
{
	vk_task_stop(worker->task);
	kfree(worker);
}
