// SPDX-License-Identifier: GPL-2.0
/*
 * Discards of block devices, which are ioctls that block: a thread of their own.
 *
 * in:  requests whose next step is BLK_DISCARD
 * out: their results, to the threads that they came from
 *
 * io_uring has a command for it from 6.12 on, and nothing before. Punching a hole is not
 * the same: it promises zeroes, and a device that can discard may be unable to do that.
 */
#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "blk_uring.h"

static int discard(const struct blk_uring *u, const struct blk_req *r)
{
	u64 range[2] = { r->pos, r->left };

	if (!ioctl(u->disk->fd, BLKDISCARD, range))
		return 0;
	return errno == ENOTTY ? -EOPNOTSUPP : -errno;
}

static void *run(void *arg)
{
	struct blk_uring *u = arg;
	struct blk_discard *d = &u->discard;
	struct blk_req *r;

	pthread_mutex_lock(&d->lock);
	while (!d->stop) {
		r = blk_take(&d->todo);
		if (!r) {
			pthread_cond_wait(&d->wake, &d->lock);
			continue;
		}
		pthread_mutex_unlock(&d->lock);
		r->back_result = discard(u, r);
		blk_back_give(r);
		pthread_mutex_lock(&d->lock);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

void blk_discard_init(struct blk_uring *u)
{
	pthread_mutex_init(&u->discard.lock, NULL);
	pthread_cond_init(&u->discard.wake, NULL);
	u->discard.todo.end = &u->discard.todo.first;
}

static int make_thread(void *arg)
{
	struct blk_uring *u = arg;

	return thread_start(&u->discard.thread, THREAD_DISCARD, "vkick-discard", run, u);
}

int blk_discard_open(struct blk_uring *u)
{
	struct blk_discard *d = &u->discard;
	int err;

	if (!u->disk->is_bdev || !u->disk->max_discard_sectors)
		return 0;
	d->stop = false;
	err = thread_call(make_thread, u);
	d->started = !err;
	return err;
}

void blk_discard_close(struct blk_uring *u)
{
	struct blk_discard *d = &u->discard;

	if (!d->started)
		return;
	pthread_mutex_lock(&d->lock);
	d->stop = true;
	pthread_cond_signal(&d->wake);
	pthread_mutex_unlock(&d->lock);
	pthread_join(d->thread, NULL);
	d->started = false;
}

void blk_discard_start(struct blk_thread *t, struct blk_req *r)
{
	struct blk_discard *d = &t->u->discard;

	r->thread = t;
	pthread_mutex_lock(&d->lock);
	blk_append(&d->todo, r);
	pthread_cond_signal(&d->wake);
	pthread_mutex_unlock(&d->lock);
}
