// SPDX-License-Identifier: GPL-2.0
/*
 * The userspace datapath: serves a device's queues in an I/O thread of ours
 * (steps 4 to 8).
 *
 * in:  rings in guest memory, kicks
 * out: requests done by the class's serve(), calls, and err signals
 *
 * No kick is lost: user_ready() turns notifications off, drains the ring, turns
 * them on and looks again. A chain that came in before the driver could see that
 * kicks are wanted is found by that second look; ring/vring.h (D) has the barrier.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "latency.h"
#include "queue_count.h"
#include "virtio.h"

/* A chain is no longer than its queue (2.7.5.3.1), and no queue larger. */
#define USER_MAX_QUEUE_SIZE	256

/* Then other queues, and a stop, have their turn. */
#define USER_BUDGET		256

struct user_queue {
	struct vring_dev ring;
	bool broken;
	struct queue_count n;
	struct vring_latency latency;
};

struct user_datapath {
	struct datapath dp;
	struct iothread io;
	struct user_queue q[VIRTIO_MAX_QUEUES];
};

/* ---- In the I/O thread --------------------------------------------------------- */

/* Return: 0 if the ring is empty, 1 if @budget is used up, or -errno. */
static int drain(struct virtio_dev *dev, struct user_queue *q, int *budget)
{
	struct vring_seg segs[USER_MAX_QUEUE_SIZE];
	struct vring_chain c = { .max_segs = ARRAY_SIZE(segs), .segs = segs };
	int err;

	for (; *budget; --*budget) {
		struct vring_stamp stamp;
		int64_t written;

		err = vring_pop(&q->ring, &c);
		if (err <= 0)
			return err;
		stamp.weight = vring_latency_weigh(&q->latency);
		if (stamp.weight)
			stamp.popped_ns = monotonic_ns();
		written = dev->class->serve(dev, &c);
		if (written < 0) {
			vring_unpop(&q->ring, c.token);	/* so that ->state names it */
			return written;
		}
		err = vring_push(&q->ring, c.token, written);
		if (err)
			return err;
		if (stamp.weight && vring_latency_pushed(&q->latency, &stamp))
			vring_latency_published(&q->latency, monotonic_ns());
		count(&q->n.requests, 1);
	}
	return 1;
}

/* Return: 1 if there is more to do, 0, or -errno. */
static int serve(struct virtio_dev *dev, struct user_queue *q,
		 const struct datapath_queue *r)
{
	int budget = USER_BUDGET, ret;

	vring_latency_begin_pass(&q->latency);
	do {
		int before = budget, more;

		more = vring_disable_notify(&q->ring);
		if (!more)
			more = drain(dev, q, &budget);
		/* What came before an error is complete, and the driver's to have. */
		ret = more ? vring_flush(&q->ring) : vring_finish(&q->ring);
		if (ret >= 0 && q->latency.nr_waiting)
			vring_latency_published(&q->latency, monotonic_ns());
		if (ret >= 0 && budget != before)
			queue_call_if(&q->n, r, ret & VRING_CALL);
		if (more || ret < 0)
			return more < 0 ? more : ret < 0 ? ret : more;
		/* A ring that only ever looks as if something came costs as well. */
		budget -= budget > 0;
	} while (ret & VRING_MORE);
	return 0;
}

static bool user_ready(void *ctx, unsigned int i, bool kicked)
{
	struct user_datapath *u = ctx;
	struct user_queue *q = &u->q[i];
	const struct datapath_queue *r = &u->dp.dev->ring[i];
	int more;

	if (kicked)
		count(&q->n.kicks, 1);
	if (q->broken)
		return false;
	more = serve(u->dp.dev, q, r);
	if (more < 0) {
		q->broken = true;
		vm_signal_eventfd(r->err_fd);
	}
	return more > 0;
}

/* ---- The interface ---------------------------------------------- */

static int load_queue(struct user_datapath *u, unsigned int i)
{
	struct virtio_dev *dev = u->dp.dev;

	u->q[i].broken = false;
	vring_latency_start(&u->q[i].latency);
	return datapath_load_ring(dev, &dev->ring[i], &u->q[i].ring);
}

static int user_start(struct datapath *dp)
{
	struct user_datapath *u = container_of(dp, struct user_datapath, dp);
	struct virtio_dev *dev = dp->dev;
	unsigned int i;
	int err;

	u->io.kind = THREAD_IO;
	u->io.name = dev->name;
	u->io.nr = dev->nr_queues;
	u->io.ready = user_ready;
	u->io.ctx = u;
	for (i = 0; i < u->io.nr; i++) {
		u->io.fd[i] = -1;
		if (!datapath_serves(dev, i))
			continue;
		err = load_queue(u, i);
		if (err)
			return err;
		u->io.fd[i] = dev->ring[i].kick_fd;
	}
	return iothread_start(&u->io);
}

static void user_stop(struct datapath *dp)
{
	struct user_datapath *u = container_of(dp, struct user_datapath, dp);
	unsigned int i;

	iothread_stop(&u->io);
	for (i = 0; i < u->io.nr; i++)
		if (u->io.fd[i] >= 0)
			dp->dev->ring[i].state = vring_save(&u->q[i].ring);
}

static int user_start_queue(struct datapath *dp, unsigned int i)
{
	struct user_datapath *u = container_of(dp, struct user_datapath, dp);
	int err = load_queue(u, i);

	return err ? err : iothread_set_fd(&u->io, i, dp->dev->ring[i].kick_fd);
}

static void user_stop_queue(struct datapath *dp, unsigned int i)
{
	struct user_datapath *u = container_of(dp, struct user_datapath, dp);

	iothread_set_fd(&u->io, i, -1);
}

static void user_stats(struct datapath *dp, unsigned int i, struct datapath_stats *s)
{
	struct user_queue *q = &container_of(dp, struct user_datapath, dp)->q[i];

	count_read(&q->n, s);
	latency_copy(s->latency, &q->latency);
}

static void user_close(struct datapath *dp)
{
	struct user_datapath *u = container_of(dp, struct user_datapath, dp);

	iothread_exit(&u->io);
	free(u);
}

static struct datapath *user_open(struct virtio_dev *dev, char *why)
{
	struct user_datapath *u = calloc(1, sizeof(*u));
	int err = u ? iothread_init(&u->io) : -ENOMEM;

	if (err) {
		free(u);
		explain(why, "%s", strerror(-err));
		return NULL;
	}
	u->dp = (struct datapath) {
		.ops = &datapath_user,
		.dev = dev,
		.features = 1UL << VIRTIO_F_VERSION_1 | 1UL << VIRTIO_RING_F_EVENT_IDX |
			    1UL << VIRTIO_RING_F_INDIRECT_DESC |
			    1UL << VIRTIO_F_RING_PACKED | 1UL << VIRTIO_F_RING_RESET |
			    dev->features,
		.max_queue_size = USER_MAX_QUEUE_SIZE,
	};
	return &u->dp;
}

const struct datapath_ops datapath_user = {
	.name = "user",
	.open = user_open,
	.close = user_close,
	.start = user_start,
	.stop = user_stop,
	.start_queue = user_start_queue,
	.stop_queue = user_stop_queue,
	.stats = user_stats,
};
