// SPDX-License-Identifier: GPL-2.0
/*
 * The user datapath of disks: queues served by threads of ours, through io_uring.
 *
 * in:  starts and stops
 * out: threads that serve the queues; see blk_thread.c
 *
 * Threads and io_urings live from prepare to release, which takes its time: guest memory
 * is pinned. From start to stop threads serve the queues; before and after they are parked.
 * A thread parks when the last request is completed, so then nothing is in flight; there
 * is no such thing as I/O that is given up, for it would still write to guest memory.
 *
 * Memory is bounded by the queues' sizes: each queue has as many requests as its ring
 * holds, with room for their pieces, and none is allocated later.
 */
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "blk_uring.h"

/* The largest queue; with indirect descriptors, all of it may be in flight. */
#define MAX_QUEUE_SIZE	1024

static struct blk_uring *to_uring(struct datapath *dp)
{
	return container_of(dp, struct blk_uring, dp);
}

/* ---- Queues ------------------------------------------------------------------------ */

static int make_requests(struct blk_uring *u, struct blk_queue *q)
{
	size_t bytes = blk_req_bytes(u->disk);
	u32 i;

	/* Pages that no request ever needs stay unused. */
	q->requests = calloc(q->r->num, bytes);
	q->free = calloc(q->r->num, sizeof(*q->free));
	if (!q->requests || !q->free)
		return -ENOMEM;
	for (i = 0; i < q->r->num; i++) {
		/* The first in memory are on top, and so used again and again. */
		struct blk_req *r = (void *)((u8 *)q->requests + (q->r->num - 1 - i) * bytes);

		r->queue = q;
		q->free[i] = r;
	}
	q->nr_free = q->r->num;
	return 0;
}

/* All but @served, which may be the thread's to set. */
static int make_queue(struct blk_uring *u, unsigned int i)
{
	struct blk_queue *q = &u->q[i];
	int err;

	q->broken = q->told = q->runnable = q->watched = q->pushed = false;
	vring_coalesce_start(&q->held, blk_nr_used(q));
	vring_latency_start(&q->latency);
	err = datapath_load_ring(u->dp.dev, q->r, &q->ring);
	return err ? err : make_requests(u, q);
}

static void free_queue(struct blk_queue *q)
{
	free(q->requests);
	free(q->free);
	q->requests = NULL;
	q->free = NULL;
	q->served = false;
}

/* ---- Threads ----------------------------------------------------------------------- */

/*
 * Requests that may be in flight on it; 0: none of its queues is to be served. A queue that
 * the driver may reset comes back with another size.
 */
static u32 nr_requests(const struct blk_thread *t)
{
	const struct virtio_dev *dev = t->u->dp.dev;
	bool resettable = dev->acked & 1UL << VIRTIO_F_RING_RESET, any = false;
	u32 n = 0, i;

	for (i = t->first; i < blk_nr_queues(t->u); i += t->u->nr_threads) {
		any |= dev->ring[i].enabled;
		if (resettable)
			n += dev->queue_size;
		else if (dev->ring[i].enabled)
			n += dev->ring[i].num;
	}
	return any ? n : 0;
}

static int make_thread(void *arg)
{
	struct blk_thread *t = arg;
	struct virtio_dev *dev = t->u->dp.dev;
	u32 requests = nr_requests(t), i;
	char name[16];
	int err;

	if (!requests)
		return 0;
	t->leave = false;
	for (i = t->first; i < blk_nr_queues(t->u); i += t->u->nr_threads)
		t->u->q[i].watching = false;
	err = blk_sqe_open(t, requests);
	if (err)
		return err;
	snprintf(name, sizeof(name), "%.11s-%u", dev->name, t->first);
	err = thread_start(&t->thread, THREAD_DISK, name, blk_thread_run, t);
	if (err) {
		blk_sqe_close(t);
		return err;
	}
	t->made = true;
	return 0;
}

static void end_thread(struct blk_thread *t)
{
	if (!t->made)
		return;
	t->leave = true;
	sem_post(&t->go);
	pthread_join(t->thread, NULL);
	blk_sqe_close(t);
	t->made = false;
}

static void start_thread(struct blk_thread *t)
{
	struct virtio_dev *dev = t->u->dp.dev;

	if (!t->made)
		return;
	t->stopping = false;
	t->in_flight = 0;
	t->window_ns = 0;
	t->idle_since = 0;
	t->view.vm = dev->vm;
	t->view.disk = t->u->disk;
	t->view.max_pieces = blk_req_max_pieces(t->u->disk);
	t->view.write_through = !(dev->acked & 1UL << VIRTIO_BLK_F_FLUSH);
	t->started = true;
	sem_post(&t->go);
}

static void stop_thread(struct blk_thread *t)
{
	if (!t->started)
		return;
	atomic_store(&t->order, BLK_ORDER_STOP);
	vm_signal_eventfd(t->stop_fd);
	thread_await(&t->parked);
	t->started = false;
}

/* Return: when it is done. */
static void order(struct blk_thread *t, u32 what, unsigned int queue)
{
	t->order_queue = queue;
	atomic_store(&t->order, what);
	vm_signal_eventfd(t->stop_fd);
	thread_await(&t->done);
}

/* ---- The interface --------------------------------------------------- */

static void uring_stop(struct datapath *dp)
{
	struct blk_uring *u = to_uring(dp);
	unsigned int i;

	for (i = 0; i < u->nr_threads; i++)
		stop_thread(&u->threads[i]);
	blk_discard_close(u);
	for (i = 0; i < blk_nr_queues(u); i++) {
		if (!u->q[i].served)
			continue;
		dp->dev->ring[i].state = vring_save(&u->q[i].ring);
		free_queue(&u->q[i]);
	}
}

static int uring_start(struct datapath *dp)
{
	struct blk_uring *u = to_uring(dp);
	unsigned int i;
	int err = 0;

	for (i = 0; i < blk_nr_queues(u) && !err; i++)
		if (dp->dev->ring[i].enabled)
			err = make_queue(u, i);
	if (!err)
		err = blk_discard_open(u);
	if (err) {
		for (i = 0; i < blk_nr_queues(u); i++)
			free_queue(&u->q[i]);
		return err;
	}
	for (i = 0; i < blk_nr_queues(u); i++)
		u->q[i].served = dp->dev->ring[i].enabled;
	for (i = 0; i < u->nr_threads; i++)
		start_thread(&u->threads[i]);
	return 0;
}

static void uring_release(struct datapath *dp)
{
	struct blk_uring *u = to_uring(dp);
	unsigned int i;

	for (i = 0; i < u->nr_threads; i++)
		end_thread(&u->threads[i]);
}

static int make_all_threads(void *arg)
{
	struct blk_uring *u = arg;
	unsigned int i;
	int err = 0;

	for (i = 0; i < u->nr_threads && !err; i++)
		err = make_thread(&u->threads[i]);
	return err;
}

static int uring_prepare(struct datapath *dp)
{
	struct blk_uring *u = to_uring(dp);
	int err = thread_call(make_all_threads, u);
	unsigned int i;

	/* Each pins all of guest memory: at the same time. */
	for (i = 0; i < u->nr_threads; i++)
		if (u->threads[i].made)
			thread_await(&u->threads[i].parked);
	if (err)
		uring_release(dp);
	return err;
}

static int uring_start_queue(struct datapath *dp, unsigned int i)
{
	struct blk_uring *u = to_uring(dp);
	struct blk_thread *t = &u->threads[i % u->nr_threads];
	int err = make_queue(u, i);

	/* It has none if no queue of its was enabled so far. */
	if (!err && !t->started) {
		err = thread_call(make_thread, t);
		if (!err)
			thread_await(&t->parked);
	}
	if (err) {
		free_queue(&u->q[i]);
		return err;
	}
	if (t->started) {
		order(t, BLK_ORDER_QUEUE_START, i);
	} else {
		u->q[i].served = true;
		start_thread(t);
	}
	return 0;
}

static void uring_stop_queue(struct datapath *dp, unsigned int i)
{
	struct blk_uring *u = to_uring(dp);

	order(&u->threads[i % u->nr_threads], BLK_ORDER_QUEUE_STOP, i);
	free_queue(&u->q[i]);
}

static void uring_stats(struct datapath *dp, unsigned int i, struct datapath_stats *s)
{
	struct blk_queue *q = &to_uring(dp)->q[i];

	count_read(&q->n, s);
	latency_copy(s->latency, &q->latency);
}

/* So that a host that forbids it is found at once, and not by a guest. */
static int check_io_uring(char *why)
{
	struct io_uring ring;
	int err = io_uring_queue_init(1, &ring, 0);

	if (err)
		return explain(why, "io_uring: %s: see kernel.io_uring_disabled, or use datapath=kernel",
			       strerror(-err));
	io_uring_queue_exit(&ring);
	return 0;
}

static bool is_in_memory(const struct blk_disk *disk)
{
	struct statfs fs;

	return !disk->is_bdev && !fstatfs(disk->fd, &fs) &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static void uring_close(struct datapath *dp)
{
	struct blk_uring *u = to_uring(dp);
	unsigned int i;

	for (i = 0; u->threads && i < u->nr_threads; i++) {
		close(u->threads[i].stop_fd);
		close(u->threads[i].back.fd);
	}
	free(u->threads);
	free(u);
}

static int make_threads(struct blk_uring *u)
{
	unsigned int i;
	int err = 0;

	u->nr_threads = u->disk->iothreads;
	u->threads = calloc(u->nr_threads, sizeof(*u->threads));
	if (!u->threads)
		return -ENOMEM;
	for (i = 0; i < u->nr_threads; i++) {
		struct blk_thread *t = &u->threads[i];

		t->u = u;
		t->first = i;
		t->stop_fd = vm_try_eventfd();
		blk_back_init(&t->back);
		sem_init(&t->go, 0, 0);
		sem_init(&t->parked, 0, 0);
		sem_init(&t->done, 0, 0);
		if (t->stop_fd < 0 || t->back.fd < 0)
			err = -errno;
	}
	return err;
}

static struct datapath *uring_open(struct virtio_dev *dev, char *why)
{
	struct blk_uring *u;
	unsigned int i;
	int err;

	if (check_io_uring(why))
		return NULL;
	u = calloc(1, sizeof(*u));
	if (!u) {
		explain(why, "out of memory");
		return NULL;
	}
	u->disk = blk_disk_of(dev);
	u->dp = (struct datapath) {
		.ops = &datapath_blk_user,
		.dev = dev,
		.features = 1UL << VIRTIO_F_VERSION_1 | 1UL << VIRTIO_RING_F_EVENT_IDX |
			    1UL << VIRTIO_RING_F_INDIRECT_DESC |
			    1UL << VIRTIO_F_RING_PACKED | 1UL << VIRTIO_F_RING_RESET |
			    dev->features,
		.max_queue_size = MAX_QUEUE_SIZE,
	};
	u->in_memory = is_in_memory(u->disk);
	blk_discard_init(u);
	blk_sync_init(u);
	for (i = 0; i < VIRTIO_MAX_QUEUES; i++) {
		u->q[i].index = i;
		u->q[i].r = &dev->ring[i];
	}
	err = make_threads(u);
	if (err) {
		uring_close(&u->dp);
		explain(why, "threads: %s", strerror(-err));
		return NULL;
	}
	return &u->dp;
}

const struct datapath_ops datapath_blk_user = {
	.name = "user",
	.open = uring_open,
	.close = uring_close,
	.prepare = uring_prepare,
	.start = uring_start,
	.stop = uring_stop,
	.start_queue = uring_start_queue,
	.stop_queue = uring_stop_queue,
	.release = uring_release,
	.stats = uring_stats,
};
