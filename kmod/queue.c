// SPDX-License-Identifier: GPL-2.0
/*
 * One pass over a queue: pop, translate, serve, push, until it is empty or the
 * budget is used up. Steps 3 to 8 meet here.
 *
 * in:  a runnable queue, from the worker
 * out: requests to the class; used elements and a call to the driver
 */
#include <linux/log2.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>

#include "vkick.h"
#include "trace.h"

/*
 * The queue broke a rule, or its memory is gone: it stops, and the owner is told.
 * Other queues go on. Nothing is printed, since the guest could do it for ever.
 */
static void vk_queue_break(struct vk_queue *q, int err)
{
	q->running = false;
	q->error = err;
	q->base = vring_save(&q->vring);
	q->has_base = true;
	trace_vkick_break(q, err);
	vk_call_signal_err(q);
}

/* Step 5. The chain's segments become q->req.in and .out. */
static int vk_queue_map(struct vk_queue *q)
{
	struct vk_req *req = &q->req;
	struct vring_chain *c = &req->chain;
	int out, in;

	out = vk_mem_to_iov(&q->view, c->segs, c->nr_out, req->iov, VK_MAX_CHAIN);
	if (out < 0)
		return out;
	in = vk_mem_to_iov(&q->view, c->segs + c->nr_out, c->nr_in,
			   req->iov + out, VK_MAX_CHAIN - out);
	if (in < 0)
		return in;
	iov_iter_init(&req->out, ITER_SOURCE, req->iov, out, c->out_bytes);
	iov_iter_init(&req->in, ITER_DEST, req->iov + out, in, c->in_bytes);
	return 0;
}

/* Steps 5 to 7 for the chain that was just popped. */
static int vk_queue_serve(struct vk_queue *q)
{
	struct vk_req *req = &q->req;
	struct vring_chain *c = &req->chain;
	int err;

	trace_vkick_pop(q, c);
	req->written = 0;
	err = vk_queue_map(q);
	if (err)
		return err;
	err = q->dev->class->serve(q, req);
	if (err)
		return err;
	trace_vkick_done(q, req);

	q->stats.requests++;
	q->stats.bytes_in += req->written;
	q->stats.bytes_out += c->out_bytes - iov_iter_count(&req->out);
	return vring_push(&q->vring, c->token, req->written);
}

/* Publishes what was pushed, and calls if the driver wants it. */
static int vk_queue_flush(struct vk_queue *q)
{
	int call = vring_flush(&q->vring);

	if (call < 0)
		return call;
	if (call)
		vk_call_signal(q);
	else
		q->stats.calls_suppressed++;
	return 0;
}

/*
 * Serves until the ring is empty (returns 0), the budget is used up (1), or an
 * error (-errno).
 */
static int vk_queue_drain(struct vk_queue *q)
{
	u64 limit = q->stats.requests + VK_BUDGET_REQUESTS;
	u64 bytes = q->stats.bytes_in + q->stats.bytes_out + VK_BUDGET_BYTES;
	int err;

	while (q->stats.requests < limit &&
	       q->stats.bytes_in + q->stats.bytes_out < bytes) {
		err = vring_pop(&q->vring, &q->req.chain);
		if (err <= 0)
			return err;
		err = vk_queue_serve(q);
		if (err) {
			/* so that GET_VRING_BASE names the chain at fault */
			vring_unpop(&q->vring, q->req.chain.token);
			return err;
		}
		cond_resched();
	}
	return 1;
}

/* Return: 0 to wait for a kick, 1 to be run again, -errno to break the queue. */
static int vk_queue_pass(struct vk_queue *q)
{
	int err, more;

	for (;;) {
		u64 before = q->stats.requests;

		err = vring_disable_notify(&q->vring);
		if (err)
			return err;
		more = vk_queue_drain(q);
		/* What came before an error is complete, and the driver's to have. */
		if (q->stats.requests != before)
			err = vk_queue_flush(q);
		if (more < 0)
			return more;
		if (err)
			return err;
		if (more) {
			q->stats.budget_exhausted++;
			return 1;
		}
		/* See "No kick is lost" in worker.c. */
		more = vring_enable_notify(&q->vring);
		if (more <= 0)
			return more;
		q->stats.rechecks++;
	}
}

static void vk_queue_account(struct vk_queue *q, u64 since)
{
	s64 ns = local_clock() - since;	/* clocks of CPUs may differ a bit */
	u32 bucket = ns > 1 ? ilog2(ns) : 0;

	q->stats.kick_to_used_ns[min_t(u32, bucket, VKICK_HIST_BUCKETS - 1)]++;
}

/**
 * vk_queue_run() - serve a queue within its budget
 * @q: queue that was runnable
 * @runnable_since: local_clock() of when it became so
 *
 * Context: worker, owner's mm.
 */
void vk_queue_run(struct vk_queue *q, u64 runnable_since)
{
	u64 before;
	int more;

	mutex_lock(&q->lock);
	if (q->running) {
		before = q->stats.requests;
		q->stats.passes++;
		trace_vkick_run(q);
		more = vk_queue_pass(q);
		if (q->stats.requests != before)
			vk_queue_account(q, runnable_since);
		if (more < 0)
			vk_queue_break(q, more);
		else if (more)
			vk_worker_wake(q);
	}
	mutex_unlock(&q->lock);
}
