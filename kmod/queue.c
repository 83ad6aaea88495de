// SPDX-License-Identifier: GPL-2.0
/*
 * One pass over a queue: push what was completed; then pop, translate, serve, push,
 * until it is empty or the budget is used up. Steps 3 to 8 meet here.
 *
 * in:  a runnable queue, from the worker
 * out: requests to the class; used elements and a call to the driver
 */
#include <linux/blkdev.h>
#include <linux/log2.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>

#include "vkick.h"
#include "trace.h"

/*
 * The queue broke a rule, or its memory is gone: it stops, and the owner is told.
 * Other queues go on. Nothing is printed, since the guest could do it for ever.
 */
void vk_queue_break(struct vk_queue *q, int err)
{
	if (q->state == VK_STOPPED || q->error)
		return;
	q->state = VK_DRAINING;
	q->error = err;
	vk_poll_stop(q);
	trace_vkick_break(q, err);
	vk_call_signal_err(q);
}

/* Step 5. The chain's segments become iovecs of the owner's memory. */
static int vk_queue_map(struct vk_queue *q, struct vk_req *req)
{
	struct vring_chain *c = &q->chain;
	u32 nr = c->nr_out + c->nr_in;
	int out = c->nr_out, all;

	all = vk_mem_to_iov(&q->view, c->segs, nr, q->iov, VK_MAX_CHAIN);
	if (all < 0)
		return all;
	/* None is empty (vring.h), so that is one each; else some span regions. */
	if (unlikely(all != nr)) {
		out = vk_mem_to_iov(&q->view, c->segs, c->nr_out, q->iov, VK_MAX_CHAIN);
		if (out < 0)
			return out;
	}
	q->nr_out_iov = out;
	q->nr_in_iov = all - out;
	iov_iter_init(&req->out, ITER_SOURCE, q->iov, out, c->out_bytes);
	iov_iter_init(&req->in, ITER_DEST, q->iov + out, all - out, c->in_bytes);
	return 0;
}

/* Steps 5 to 7 for the chain that was just popped. */
static int vk_queue_serve(struct vk_queue *q, struct vk_req *req,
			  struct vk_budget *budget)
{
	struct vring_chain *c = &q->chain;
	u64 read;
	int err;

	trace_vkick_pop(q, c);
	req->token = c->token;
	req->stamp.weight = vring_latency_weigh(&q->latency);
	if (req->stamp.weight)
		req->stamp.popped_ns = local_clock();
	err = vk_queue_map(q, req);
	if (err)
		return err;
	err = vk_req_submit(q, req);
	if (err)
		return err;
	/* Read and written while serve() ran; the rest is the class's own business. */
	read = c->out_bytes - iov_iter_count(&req->out);
	q->stats.bytes_out += read;
	budget->requests++;
	budget->bytes += read + c->in_bytes - iov_iter_count(&req->in);
	return 0;
}

/* Whether the pass has had its share: a short turn if siblings wait, or are watched. */
bool vk_queue_spent(const struct vk_budget *b)
{
	if (b->requests >= VK_BUDGET_REQUESTS || b->bytes >= VK_BUDGET_BYTES)
		return true;
	if (b->requests < VK_TURN_REQUESTS && b->bytes < VK_TURN_BYTES)
		return false;
	return b->worker->others_wait || !llist_empty(&b->worker->runnable) ||
	       vk_poll_watches_others(b->worker, b->queue);
}

/* What was pushed since the last decision was published: call if the driver wants it. */
static void vk_queue_call(struct vk_queue *q, bool wanted)
{
	if (q->stats.requests == q->decided)
		return;
	q->decided = q->stats.requests;
	if (q->latency.nr_waiting)
		vring_latency_published(&q->latency, local_clock());
	if (!wanted) {
		q->stats.calls_suppressed++;
		vk_hold_no_call(q);
	} else if (!vk_hold_call(q)) {
		vk_call_signal(q);
	}
}

/* Publishes what was pushed since the last decision on a call, and decides. */
static int vk_queue_flush(struct vk_queue *q)
{
	int call;

	if (q->stats.requests == q->decided)
		return 0;
	call = vring_flush(&q->vring);
	if (call < 0)
		return call;
	vk_queue_call(q, call);
	return 0;
}

/*
 * A long pass does not keep a driver waiting that sleeps until it is called, or has no
 * room left: it has its chains by the batch. For between two requests: if this fails
 * there is no chain in hand that might be put back though it is used. Return: 0 or -EFAULT
 */
int vk_queue_flush_batch(struct vk_queue *q)
{
	return q->stats.requests - q->decided < VRING_PUSH_BATCH ? 0 : vk_queue_flush(q);
}

/* Step 7 for one chain. Return: 0 or -EFAULT */
int vk_queue_push(struct vk_queue *q, struct vring_token token, u32 written)
{
	trace_vkick_done(q, token.id, written);
	q->stats.requests++;
	q->stats.bytes_in += written;
	return vring_push(&q->vring, token, written);
}

/*
 * The chain in hand is followed by those that the engine has fetched: if the block layer
 * is out of requests and tags, it takes them for all at once. The plug's end gives back
 * what was too much, as does a sleep.
 */
static void vk_queue_announce(struct vk_queue *q, struct vk_budget *budget)
{
	if (budget->plug)
		budget->plug->nr_ios = 1 + vring_nr_fetched(&q->vring);
}

/*
 * Serves until the ring is empty or all requests are in flight, the budget is used up,
 * or an error. Return: enum vk_drained or -errno
 */
static int vk_queue_drain(struct vk_queue *q, struct vk_budget *budget)
{
	struct vk_req *req;
	int err;

	while (!vk_queue_spent(budget)) {
		err = vk_queue_flush_batch(q);
		if (err)
			return err;
		req = vk_req_get(q);
		if (!req)
			return VK_DRAINED;
		err = vring_pop(&q->vring, &q->chain);
		if (err <= 0)
			return err;
		vk_queue_announce(q, budget);
		err = vk_queue_serve(q, req, budget);
		if (err) {
			/* so that GET_VRING_BASE names the chain at fault */
			vring_unpop(&q->vring, q->chain.token);
			return err;
		}
		cond_resched();
	}
	return VK_DRAIN_SPENT;
}

/* The same under a plug, if that is worth it: the block layer sees them as one batch. */
static int vk_queue_drain_plugged(struct vk_queue *q, struct vk_budget *budget)
{
	struct blk_plug plug;
	int ret;

	if (q->dev->class->drain)
		return q->dev->class->drain(q, budget);
	if (!q->dev->class->plugs)
		return vk_queue_drain(q, budget);
	blk_start_plug(&plug);
	budget->plug = &plug;
	ret = vk_queue_drain(q, budget);
	budget->plug = NULL;
	blk_finish_plug(&plug);
	return ret;
}

/*
 * The same for a queue that ran empty, with notifications enabled: see "No kick is
 * lost" in worker.c. Return: 1 if something came in meanwhile, 0, -errno.
 */
static int vk_queue_finish(struct vk_queue *q)
{
	int ret = vring_finish(&q->vring);

	if (ret < 0)
		return ret;
	vk_queue_call(q, ret & VRING_CALL);
	if (!(ret & VRING_MORE))
		return 0;
	q->stats.rechecks++;
	return 1;
}

/* The same after VK_DRAIN_SHORT: of what is there nobody can make anything yet. */
static int vk_queue_finish_short(struct vk_queue *q)
{
	int ret;

	vk_poll_stop(q);
	ret = vk_queue_finish(q);
	q->dev->class->put_back(q);
	return ret;
}

/* Completions, then new requests. Return: as vk_queue_drain() */
static int vk_queue_work(struct vk_queue *q, struct vk_budget *budget, u64 since)
{
	u64 before = q->stats.requests;
	u32 served = budget->requests;
	int ret;

	/* First of all: what is on q->done is not announced a second time. */
	ret = vk_req_reap(q);
	if (!ret)
		ret = vring_disable_notify(&q->vring);
	if (!ret)
		ret = vk_queue_drain_plugged(q, budget);
	if (q->stats.requests != before || budget->requests != served)
		vk_poll_work_came(q, since, budget->requests - served);
	return ret;
}

/* Return: 0 to wait for a kick or a completion, 1 to be run again, -errno to break. */
static int vk_queue_pass(struct vk_queue *q, struct vk_worker *worker, u64 since)
{
	struct vk_budget budget = { .queue = q, .worker = worker };
	bool full, waits, few;
	int err, more;

	/*
	 * One budget for all rounds, and a round costs as much as a request: a ring that
	 * refills itself, or one that only ever looks as if it did, gives way as others do.
	 */
	for (;; budget.requests++) {
		more = vk_queue_work(q, &budget, since);
		/* Done already: a used element and a call less to make on its own. */
		if (!more && !llist_empty(&q->done))
			continue;
		few = more == VK_DRAIN_SHORT;
		/* The backend's wake-up leads here again. */
		waits = more == VK_DRAIN_WAITS;
		if (few || waits)
			more = 0;
		/* All requests are in flight: the next completion leads here again. */
		full = !more && !vk_req_get(q);
		if (more || (!few && vk_poll_begin(q, worker, waits)) || full || waits) {
			/* What came before an error is the driver's to have. */
			err = vk_queue_flush(q);
			if (more > 0)
				q->stats.budget_exhausted++;
			return more < 0 ? more : err ?: more;
		}
		more = few ? vk_queue_finish_short(q) : vk_queue_finish(q);
		if (more <= 0)
			return more;
	}
}

/* What the class completes of a queue that takes no more is the driver's to have. */
static int vk_queue_wind_up(struct vk_queue *q)
{
	int err = vk_req_reap(q);

	return vk_queue_flush(q) ?: err;
}

static void vk_queue_account(struct vk_queue *q, u64 since)
{
	s64 ns = local_clock() - since;	/* clocks of CPUs may differ a bit */
	u32 bucket = ns > 1 ? ilog2(ns) : 0;

	q->stats.kick_to_used_ns[min_t(u32, bucket, VKICK_HIST_BUCKETS - 1)]++;
}

/*
 * Completions are looked for until here, and are announced from here on: (E), the
 * argument stands in req.c.
 */
static void vk_queue_stop_collecting(struct vk_queue *q)
{
	WRITE_ONCE(q->collecting, false);
	smp_mb();		/* (E) */
	if (!llist_empty(&q->done))
		vk_worker_wake(q);
}

/**
 * vk_queue_run_locked() - serve a queue within its budget
 * @q: queue, q->lock held
 * @worker: whose thread this is
 * @since: local_clock() of when there was something to do
 *
 * Context: worker, owner's mm.
 */
void vk_queue_run_locked(struct vk_queue *q, struct vk_worker *worker, u64 since)
{
	u64 before = q->stats.requests;
	int more;

	if (q->state == VK_STOPPED)
		return;
	q->stats.passes++;
	trace_vkick_run(q);
	WRITE_ONCE(q->collecting, true);
	vring_latency_begin_pass(&q->latency);
	if (q->state == VK_RUNNING)
		more = vk_queue_pass(q, worker, since);
	else
		more = vk_queue_wind_up(q);
	vk_queue_stop_collecting(q);
	if (q->log)
		more = vk_log_ring(q) ?: more;
	if (q->stats.requests != before)
		vk_queue_account(q, since);
	vk_hold_pass_ended(q);
	if (more < 0)
		vk_queue_break(q, more);
	else if (more)
		vk_worker_wake(q);
	if (q->state == VK_DRAINING && !q->in_flight)
		vk_queue_settle(q);
}

/* The same for a queue that was runnable. */
void vk_queue_run(struct vk_queue *q, struct vk_worker *worker, u64 since)
{
	mutex_lock(&q->lock);
	if (worker->slept)
		vk_poll_woken(q, since);
	worker->slept = false;
	/* Under the lock, which who moves the queue has: else it is another worker's by now. */
	if (rcu_access_pointer(q->worker) == worker)
		vk_queue_run_locked(q, worker, since);
	else
		vk_worker_wake(q);
	mutex_unlock(&q->lock);
}
