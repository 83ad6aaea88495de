// SPDX-License-Identifier: GPL-2.0
/*
 * Requests that come back to the thread that serves them from where another did a step of theirs.
 *
 * in:  requests, from any thread
 * out: the same, in their own
 */
#include "blk_uring.h"

void blk_back_init(struct blk_back *b)
{
	pthread_mutex_init(&b->lock, NULL);
	b->list.end = &b->list.first;
	b->fd = vm_try_eventfd();
}

void blk_back_give(struct blk_req *r)
{
	struct blk_back *b = &r->thread->back;

	pthread_mutex_lock(&b->lock);
	blk_append(&b->list, r);
	pthread_mutex_unlock(&b->lock);
	vm_signal_eventfd(b->fd);
}

void blk_back_take(struct blk_thread *t)
{
	struct blk_back *b = &t->back;
	struct blk_req *r;

	for (;;) {
		pthread_mutex_lock(&b->lock);
		r = blk_take(&b->list);
		pthread_mutex_unlock(&b->lock);
		if (!r)
			return;
		if (r->leads)
			blk_sqe_start(t, r);
		else
			blk_sqe_result(t, r, r->back_result);
	}
}
