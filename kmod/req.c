// SPDX-License-Identifier: GPL-2.0
/*
 * Step 6: requests go to the class, and come back at once or later.
 *
 * in:  chains that were popped; vk_req_done() of the class, in any context
 * out: elements pushed to the ring
 *
 * Only the worker touches guest memory, so a completion is left for it on q->done, a
 * lock-free list. The worker takes the whole list at the start of each pass, and again
 * while there is something on it. Who adds to an empty list wakes the worker; who
 * finds it filled knows that this was done, and not yet followed by the list's being
 * taken.
 *
 * While a pass runs nobody needs to wake it: q->collecting says so. No completion
 * is lost at its end: the pass clears q->collecting, passes (E), and looks at q->done;
 * vk_req_done() adds to q->done, passes (E), and looks at q->collecting. One of the two
 * sees the other's store.
 *
 * With IN_ORDER the ring wants elements in the order in which chains were popped
 * (vring.h), so a request that is complete waits for those before it.
 *
 * vk_req_done() may run until a grace period after its request was taken from
 * the list: queues and workers are freed after one.
 */
#include <linux/mm.h>
#include <linux/sched/clock.h>
#include <linux/slab.h>

#include "vkick.h"
#include "trace.h"

static size_t vk_req_bytes(const struct vk_queue *q)
{
	return q->dev->class->req_bytes ?: sizeof(struct vk_req);
}

static struct vk_req *vk_req_at(struct vk_queue *q, u32 i)
{
	return q->reqs + i * vk_req_bytes(q);
}

/* Room for the largest chain, and the requests that may be in flight. */
int vk_req_alloc_all(struct vk_queue *q)
{
	const struct vk_class *class = q->dev->class;
	u32 nr = class->req_bytes ? min_t(u32, q->num, VK_MAX_IN_FLIGHT) : 1;
	u32 i;

	if (q->reqs && q->nr_reqs >= nr)
		return 0;
	vk_req_free_all(q);
	q->chain.segs = kvmalloc_array(VK_MAX_CHAIN, sizeof(*q->chain.segs),
				       GFP_KERNEL_ACCOUNT);
	q->iov = kvmalloc_array(VK_MAX_CHAIN, sizeof(*q->iov), GFP_KERNEL_ACCOUNT);
	q->reqs = kvcalloc(nr, vk_req_bytes(q), GFP_KERNEL_ACCOUNT);
	if (!q->chain.segs || !q->iov || !q->reqs) {
		vk_req_free_all(q);
		return -ENOMEM;
	}
	q->chain.max_segs = VK_MAX_CHAIN;
	q->nr_reqs = nr;
	for (i = nr; i--; ) {
		struct vk_req *req = vk_req_at(q, i);

		req->q = q;
		req->next = q->free;
		q->free = req;
		if (class->req_init)
			class->req_init(req);
	}
	return 0;
}

/* None is in flight. */
void vk_req_free_all(struct vk_queue *q)
{
	const struct vk_class *class = q->dev->class;
	u32 i;

	for (i = 0; i < q->nr_reqs && class->req_exit; i++)
		class->req_exit(vk_req_at(q, i));
	q->nr_reqs = 0;
	q->free = NULL;
	kvfree(q->reqs);
	q->reqs = NULL;
	kvfree(q->iov);
	q->iov = NULL;
	kvfree(q->chain.segs);
	q->chain.segs = NULL;
}

/* A free request, which stays where it is until vk_req_submit(); NULL: too much in flight. */
struct vk_req *vk_req_get(struct vk_queue *q)
{
	if (q->held_bytes >= VK_MAX_HELD_BYTES)
		return NULL;
	return q->free;
}

/* Step 7 for one request. */
static int vk_req_push(struct vk_queue *q, struct vk_req *req)
{
	if (req->stamp.weight && vring_latency_pushed(&q->latency, &req->stamp))
		vring_latency_published(&q->latency, local_clock());
	return vk_queue_push(q, req->token, req->written);
}

static void vk_req_drop_segs(struct vk_req *req)
{
	if (!req->log_segs)
		return;
	kfree(req->log_segs);
	req->log_segs = NULL;
}

static void vk_req_put(struct vk_queue *q, struct vk_req *req)
{
	if (q->vring.in_order)
		list_del(&req->link);
	req->next = q->free;
	q->free = req;
	q->in_flight--;
	q->held_bytes -= req->held_bytes;
	vk_req_drop_segs(req);
}

/* The chain is gone when a request is done later: its writable part is kept for the log. */
static int vk_req_keep_segs(struct vk_queue *q, struct vk_req *req)
{
	const struct vring_chain *c = &q->chain;

	if (!q->log || !q->dev->class->req_bytes || !c->nr_in)
		return 0;
	req->log_segs = kmemdup(c->segs + c->nr_out, c->nr_in * sizeof(*c->segs),
				GFP_KERNEL_ACCOUNT);
	return req->log_segs ? 0 : -ENOMEM;
}

/* Logs what a request wrote; all of it if it failed, since nobody knows how far it got. */
static int vk_req_log(struct vk_queue *q, const struct vk_req *req,
		      const struct vring_seg *segs, int err)
{
	u64 bytes = err ? req->token.in_bytes : max(req->written, req->touched);

	return vk_log_segs(q, segs, bytes);
}

/* With IN_ORDER: pushes what is complete, and has nothing before it that is not. */
static int vk_req_push_in_order(struct vk_queue *q)
{
	struct vk_req *req, *next;
	int err = 0;

	list_for_each_entry_safe(req, next, &q->in_order, link) {
		if (!req->complete)
			break;
		err = req->error ?: err ?: vk_req_push(q, req);
		vk_req_put(q, req);
	}
	return err;
}

/**
 * vk_req_submit() - hand a request to the class
 * @q: queue
 * @req: as vk_req_get() returned it, filled in
 *
 * Return: 0: pushed, or in flight; -errno: the queue breaks, and the request is the
 * driver's still.
 */
int vk_req_submit(struct vk_queue *q, struct vk_req *req)
{
	struct vring_chain *c = &q->chain;
	int err;

	req->error = 0;
	req->complete = false;
	req->written = 0;
	req->touched = 0;
	req->held_bytes = 0;
	err = vk_req_keep_segs(q, req);
	if (err)
		return err;
	err = q->dev->class->serve(q, req);
	if (err != -EIOCBQUEUED) {
		int logged = q->log ? vk_req_log(q, req, c->segs + c->nr_out, err) : 0;

		err = err ?: logged;
		vk_req_drop_segs(req);
		if (err)
			return err;
		req->held_bytes = 0;
		if (list_empty(&q->in_order))
			return vk_req_push(q, req);
		req->complete = true;
	}

	/* It may be on q->done already, but that is looked at under this lock alone. */
	q->in_flight++;
	q->held_bytes += req->held_bytes;
	q->free = req->next;
	if (q->vring.in_order)
		list_add_tail(&req->link, &q->in_order);
	return 0;
}

/**
 * vk_req_done() - the class has done a request, for which serve() returned -EIOCBQUEUED
 * @req: with @written set; not the class's any more
 * @error: 0, or -errno that breaks the queue; of a class with @finish, which says, 0
 *
 * Context: any, also with irqs off, also before serve() returned.
 */
void vk_req_done(struct vk_req *req, int error)
{
	struct vk_queue *q = req->q;

	rcu_read_lock();
	req->error = error;
	/* From here on the request is the worker's. */
	if (llist_add(&req->done, &q->done)) {
		/* (E): llist_add() is a cmpxchg(), which is a full barrier. */
		if (!READ_ONCE(q->collecting))
			vk_worker_wake(q);
		if (vk_worker_gone(q))
			wake_up(&q->settled);
	}
	rcu_read_unlock();
}

/* What the class and the log still want of a request that is done. Return: as serve() */
static int vk_req_finish(struct vk_queue *q, struct vk_req *req)
{
	const struct vk_class *class = q->dev->class;
	int err = req->error, logged = 0;

	if (class->finish)
		err = class->finish(q, req);
	if (err != -EIOCBQUEUED && req->log_segs)
		logged = vk_req_log(q, req, req->log_segs, err);
	return err ?: logged;
}

/**
 * vk_req_reap() - push what the class completed since the last time
 * @q: queue
 *
 * Context: worker, owner's mm. Return: 0, or -errno that breaks the queue, with all
 * completions taken all the same.
 */
int vk_req_reap(struct vk_queue *q)
{
	struct llist_node *list = llist_del_all(&q->done);
	struct vk_req *req, *next;
	int err = 0;

	if (!list)
		return 0;
	list = llist_reverse_order(list);
	llist_for_each_entry_safe(req, next, list, done) {
		int ret = vk_req_finish(q, req);

		if (ret == -EIOCBQUEUED)
			continue;
		req->error = ret;
		if (q->vring.in_order) {
			req->complete = true;
			continue;
		}
		err = req->error ?: err ?: vk_req_push(q, req);
		vk_req_put(q, req);
	}
	if (q->vring.in_order)
		err = vk_req_push_in_order(q);
	return err;
}

/* As vk_req_reap() where nobody serves the queue any more: the driver gets nothing. */
void vk_req_discard(struct vk_queue *q)
{
	struct llist_node *list = llist_del_all(&q->done);
	const struct vk_class *class = q->dev->class;
	struct vk_req *req, *next;

	llist_for_each_entry_safe(req, next, list, done) {
		if (class->discard)
			class->discard(req);
		vk_req_put(q, req);
	}
	list_for_each_entry_safe(req, next, &q->in_order, link)
		if (req->complete)
			vk_req_put(q, req);
}
