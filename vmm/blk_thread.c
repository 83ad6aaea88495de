// SPDX-License-Identifier: GPL-2.0
/*
 * A thread of a disk's user datapath: takes what came, serves its queues, waits.
 *
 * in:  completions: kicks, the stop, I/O
 * out: requests begun; used elements, calls, err signals
 *
 * One turn: take all completions, which are used elements in the making; pass over
 * each queue with anything to do, where new chains become submissions; publish and
 * decide on a call, once a queue; one system call to submit all of it and wait.
 *
 * No kick is lost: a pass ends with notifications on and a second look
 * (vring_finish()), unless the thread polls: then poll_end() does the same.
 *
 * Polling adapts as the module's does (ring/vring_poll.h): what counts is the time from
 * when there was nothing to do to when there was something again. A miss closes the
 * window, and something to do soon after opens it again. Calls are held back while it
 * polls, as the module's are, see ring/vring_coalesce.h.
 */
#include <errno.h>

#include "blk_uring.h"

/* Looks between two at the clock. */
#define POLL_LOOKS	16

/* The next queue of this thread that is served, from @i on; or NULL. */
static struct blk_queue *next_queue(struct blk_thread *t, unsigned int *i)
{
	for (; *i < blk_nr_queues(t->u); *i += t->u->nr_threads)
		if (t->u->q[*i].served)
			return &t->u->q[*i];
	return NULL;
}

#define for_each_queue(q, t, i) \
	for (i = (t)->first; (q = next_queue(t, &i)); i += (t)->u->nr_threads)

/* ---- A pass over a queue ----------------------------------------------------------- */

/* Whether the thread will look at an empty ring by itself for a while. */
static bool polls(const struct blk_thread *t)
{
	return t->window_ns && !t->stopping;
}

static u64 watch_ns(const struct blk_thread *t)
{
	return t->u->disk->poll_us * 1000UL;
}

/* A call is made, or there is none to make. Return: whether one was owed. */
static bool hold_end(struct blk_queue *q, enum vring_coalesce_why why)
{
	return vring_coalesce_end(&q->held, blk_nr_used(q), why);
}

static enum vring_coalesce_why hold_due(const struct blk_queue *q)
{
	return vring_coalesce_due(&q->held, blk_nr_used(q), q->r->num, q->in_flight);
}

/* The driver wants a call. Return: whether it is held back; if not it stands for one that was owed, too. */
static bool hold(struct blk_thread *t, struct blk_queue *q)
{
	enum vring_coalesce_why why = polls(t) ? hold_due(q) : VRING_COALESCE_ANYWAY;

	if (why != VRING_COALESCE_NOT_YET) {
		hold_end(q, why);
		return false;
	}
	if (!q->held.owed) {
		count(&q->n.calls_held, 1);
		vring_coalesce_begin(&q->held, monotonic_ns());
	}
	return true;
}

static void call(struct blk_thread *t, struct blk_queue *q, bool wanted)
{
	if (!q->pushed)
		return;
	q->pushed = false;
	if (q->latency.nr_waiting)
		vring_latency_published(&q->latency, monotonic_ns());
	if (!wanted || q->r->call_fd < 0)
		vring_coalesce_not_wanted(&q->held, blk_nr_used(q));
	else if (hold(t, q))
		return;
	queue_call_if(&q->n, q->r, wanted);
}

static void release_call_since(struct blk_queue *q, enum vring_coalesce_why why)
{
	if (!hold_end(q, why))
		return;
	count(&q->n.calls_in_vain, why == VRING_COALESCE_IN_VAIN);
	queue_call(&q->n, q->r);
}

static void release_call(struct blk_queue *q)
{
	release_call_since(q, VRING_COALESCE_ANYWAY);
}

/* A pass is over, or was none: is the call that is owed due? */
static void release_call_if_due(struct blk_thread *t, struct blk_queue *q)
{
	enum vring_coalesce_why why;

	if (!q->held.owed)
		return;
	why = hold_due(q);
	if (why != VRING_COALESCE_NOT_YET)
		release_call_since(q, why);
	else if (vring_coalesce_is_late(&q->held, monotonic_ns(), watch_ns(t)))
		release_call(q);
}

static void break_queue(struct blk_queue *q)
{
	release_call(q);
	q->broken = true;
	q->watched = false;
	if (!q->told)
		vm_signal_eventfd(q->r->err_fd);
	q->told = true;
}

/* Return: 0 if the ring is empty, 1 if @budget is used up, or -errno. */
static int drain(struct blk_thread *t, struct blk_queue *q, int *budget)
{
	struct vring_chain c = { .max_segs = BLK_MAX_CHAIN, .segs = t->view.segs };

	for (; *budget && t->copied_bytes < BLK_BUDGET_BYTES; --*budget) {
		struct blk_req *r;
		int err = vring_pop(&q->ring, &c);

		if (err <= 0)
			return err;
		/* The engine gives out no more chains than the ring holds. */
		r = q->free[q->nr_free - 1];
		r->stamp.weight = vring_latency_weigh(&q->latency);
		if (r->stamp.weight)
			r->stamp.popped_ns = monotonic_ns();
		err = blk_req_begin(r, &t->view, &c);
		if (err) {
			vring_unpop(&q->ring, c.token);	/* so that ->state names it */
			return err;
		}
		q->nr_free--;
		t->in_flight++;
		blk_sqe_start(t, r);
	}
	return 1;
}

/* What a broken queue, or one that is stopped, still has to give. */
static void wind_up(struct blk_thread *t, struct blk_queue *q)
{
	int ret = vring_flush(&q->ring);

	call(t, q, ret > 0);
	release_call(q);
}

/* Return: 1 if there is more to do, 0, or -errno. @worked: set if it did anything. */
static int pass(struct blk_thread *t, struct blk_queue *q, bool *worked)
{
	int budget = BLK_BUDGET, more, ret;

	t->copied_bytes = 0;
	q->in_flight = q->r->num - q->nr_free;
	vring_latency_begin_pass(&q->latency);
	do {
		more = vring_disable_notify(&q->ring);
		if (!more)
			more = drain(t, q, &budget);
		*worked |= q->pushed || budget < BLK_BUDGET;
		q->watched = !more && polls(t);
		/* What came before an error is complete, and the driver's to have. */
		ret = more || q->watched ? vring_flush(&q->ring) : vring_finish(&q->ring);
		if (ret < 0)
			return more < 0 ? more : ret;
		call(t, q, ret & VRING_CALL);
		if (more || q->watched)
			return more;
		/* A ring that only ever looks as if something came costs as well. */
		budget -= budget > 0;
	} while (ret & VRING_MORE);
	return 0;
}

/* Return: whether it did anything. */
static bool serve(struct blk_thread *t, struct blk_queue *q)
{
	bool worked = false;
	int more;

	q->runnable = false;
	if (q->broken || q->leaving || t->stopping) {
		wind_up(t, q);
	} else {
		more = pass(t, q, &worked);
		q->runnable = more > 0;
		if (more < 0)
			q->broken = true;
		else
			release_call_if_due(t, q);
	}
	if (q->broken)
		break_queue(q);
	return worked;
}

/* ---- Completions --------------------------------------------------------------------- */

static void watch(struct blk_thread *t, struct blk_queue *q)
{
	if (!q->watching)
		blk_sqe_watch(t, q->r->kick_fd, BLK_TAG_KICK(q->index));
	q->watching = true;
}

static void take_order(struct blk_thread *t)
{
	struct blk_queue *q = &t->u->q[t->order_queue];

	switch (atomic_load(&t->order)) {
	case BLK_ORDER_STOP:
		t->stopping = true;
		break;
	case BLK_ORDER_QUEUE_START:
		q->served = true;
		q->runnable = true;	/* a start counts as a kick */
		watch(t, q);
		sem_post(&t->done);
		break;
	case BLK_ORDER_QUEUE_STOP:
		t->parting = q;
		q->leaving = true;
		q->runnable = true;
		q->watched = false;
		break;
	}
}

/* An order to leave a queue is carried out when nothing of it is in flight. */
static void part(struct blk_thread *t)
{
	struct blk_queue *q = t->parting;

	if (!q || q->runnable || q->nr_free < q->r->num)
		return;
	t->parting = NULL;
	q->leaving = false;
	q->served = false;
	sem_post(&t->done);
}

static void take_one(struct blk_thread *t, const struct io_uring_cqe *cqe)
{
	u64 tag = io_uring_cqe_get_data64(cqe);
	struct blk_queue *q;

	if (!(tag & 1)) {
		blk_sqe_result(t, io_uring_cqe_get_data(cqe), cqe->res);
		return;
	}
	if (tag == BLK_TAG_STOP) {
		if (!(cqe->flags & IORING_CQE_F_MORE))
			blk_sqe_watch(t, t->stop_fd, tag);
		/* A signal may be seen twice: then it was taken back, and says no more. */
		if (vm_drain_eventfd(t->stop_fd))
			take_order(t);
		return;
	}
	if (tag == BLK_TAG_BACK) {
		if (!(cqe->flags & IORING_CQE_F_MORE))
			blk_sqe_watch(t, t->back.fd, tag);
		blk_back_take(t);
		return;
	}
	q = &t->u->q[BLK_TAG_QUEUE(tag)];
	q->runnable = true;
	if (cqe->res < 0)
		q->broken = true;	/* without memory for a poll */
	else
		count(&q->n.kicks, 1);
	/* The kernel ends a poll when it has no room for the completion. */
	if (cqe->res >= 0 && !(cqe->flags & IORING_CQE_F_MORE))
		blk_sqe_watch(t, q->r->kick_fd, tag);
}

static void take(struct blk_thread *t)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;

	io_uring_for_each_cqe(&t->ring, head, cqe) {
		take_one(t, cqe);
		n++;
	}
	io_uring_cq_advance(&t->ring, n);
}

/* ---- Waiting ------------------------------------------------------------------------- */

/* Work came at @when, the first since idle_since: what would the right window have been? */
static void work_came(struct blk_thread *t, u64 when)
{
	t->window_ns = vring_poll_window(t->window_ns, when - t->idle_since, watch_ns(t));
	t->idle_since = 0;
}

/* One look. Junk in a ring counts as work: the pass will tell. */
static bool look(struct blk_thread *t)
{
	struct blk_queue *q;
	bool found = blk_sqe_ready(t);
	unsigned int i;

	for_each_queue(q, t, i) {
		if (!q->watched || !vring_has_avail(&q->ring))
			continue;
		q->runnable = true;
		found = true;
	}
	return found;
}

/* Nothing came: back to kicks. Return: true if something came just then. */
static bool poll_end(struct blk_thread *t)
{
	struct blk_queue *q;
	bool more = false;
	unsigned int i;

	t->window_ns = 0;
	for_each_queue(q, t, i) {
		release_call(q);
		if (!q->watched)
			continue;
		q->watched = false;
		if (!q->broken && vring_enable_notify(&q->ring))
			q->runnable = more = true;
	}
	return more;
}

/* Whoever waits for a call that is held has it. From now on the driver takes its time. */
static void release_calls_in_vain(struct blk_thread *t, u64 now)
{
	struct blk_queue *q;
	unsigned int i;

	for_each_queue(q, t, i) {
		enum vring_coalesce_why why = vring_coalesce_due_idle(&q->held, now, t->idle_since,
								      t->window_ns, watch_ns(t));

		if (why == VRING_COALESCE_NOT_YET)
			continue;
		release_call_since(q, why);
		t->idle_since = now;
	}
}

/* Return: true if there is something to do. */
static bool poll_rings(struct blk_thread *t)
{
	unsigned int n;
	u64 now;

	do {
		for (n = 0; n < POLL_LOOKS; n++) {
			if (look(t))
				return true;
			__builtin_ia32_pause();
		}
		now = monotonic_ns();
		release_calls_in_vain(t, now);
	} while (now - t->idle_since < t->window_ns);
	return poll_end(t);
}

/* Return: with something to do. */
static void wait(struct blk_thread *t)
{
	bool more = false;

	if (t->u->disk->poll_us && !t->idle_since)
		t->idle_since = monotonic_ns();
	if (polls(t)) {
		if (io_uring_sq_ready(&t->ring))
			blk_sqe_submit(t, false);
		more = poll_rings(t);
	} else if (t->u->disk->poll_us) {
		/* The window closed since a queue was to be watched. */
		more = poll_end(t);
	}
	if (!more)
		blk_sqe_submit(t, true);
}

/* ---- The thread ---------------------------------------------------------------------- */

/* Return: true if there is more to do at once. */
static bool turn(struct blk_thread *t)
{
	struct blk_queue *q;
	u64 when = t->idle_since ? monotonic_ns() : 0;
	bool more = false;
	unsigned int i;

	take(t);
	for_each_queue(q, t, i) {
		/* While another never runs empty this is the one look at a queue that is watched. */
		if (q->watched && vring_has_avail(&q->ring))
			q->runnable = true;
		if (!q->runnable) {
			release_call_if_due(t, q);
			continue;
		}
		if (serve(t, q) && t->idle_since)
			work_came(t, when);
		more |= q->runnable;
	}
	part(t);
	return blk_sqe_retry(t) || more;
}

/* Once: the eventfds are the same until the release. */
static void watch_own(struct blk_thread *t)
{
	blk_sqe_watch(t, t->stop_fd, BLK_TAG_STOP);
	blk_sqe_watch(t, t->back.fd, BLK_TAG_BACK);
}

/* From a start to a stop. */
static void run(struct blk_thread *t)
{
	struct blk_queue *q;
	unsigned int i;

	for_each_queue(q, t, i) {
		q->runnable = true;	/* a start counts as a kick */
		watch(t, q);
	}
	for (;;) {
		bool more = turn(t);

		if (t->stopping && !t->in_flight) {
			for_each_queue(q, t, i)
				release_call(q);
			break;
		}
		if (more)
			blk_sqe_submit(t, false);
		else
			wait(t);
	}
}

static void park(struct blk_thread *t)
{
	sem_post(&t->parked);
	thread_await(&t->go);
}

void *blk_thread_run(void *arg)
{
	struct blk_thread *t = arg;
	bool watching = false;

	blk_sqe_enter(t);
	/* More than once, if another datapath was to take over, and could not. */
	for (park(t); !t->leave; park(t)) {
		if (!watching)
			watch_own(t);
		watching = true;
		run(t);
	}
	blk_sqe_leave(t);
	return NULL;
}
