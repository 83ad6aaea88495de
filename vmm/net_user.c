// SPDX-License-Identifier: GPL-2.0
/*
 * datapath=user of network devices: a thread for each pair of queues.
 *
 * in:  rings in guest memory, kicks, a tap or a socket that may be read from or written to
 * out: passes over the queues, calls, err signals
 *
 * No kick is lost: a pass that finds nothing in the ring ends with notifications on and a second look
 * (vring_finish()). No packet is left: the tap's edges count, and a pass ends with nothing to read, or
 * nowhere to put it, and then the kick that brings room makes another pass.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net_user.h"

struct net_user {
	struct datapath dp;
	u32 nr_pairs;
	struct net_pair pair[];
};

static struct net_user *to_user(struct datapath *dp)
{
	return container_of(dp, struct net_user, dp);
}

/* ---- In the thread ----------------------------------------------------------------------- */

int net_push(struct net_queue *q, struct vring_token token, u32 written)
{
	q->pushed = true;
	count(&q->n.requests, 1);
	return vring_push(&q->ring, token, written);
}

static void call(struct net_queue *q, const struct datapath_queue *r, bool wanted)
{
	if (!q->pushed)
		return;
	q->pushed = false;
	queue_call_if(&q->n, r, wanted);
}

static const struct datapath_queue *ring_of(const struct net_pair *p, unsigned int i)
{
	return &p->dev->ring[2 * p->index + i];
}

/* Return: 1 if there is more to do, 0, or -errno. */
static int serve(struct net_pair *p, unsigned int i)
{
	struct net_queue *q = &p->q[i];
	int budget = NET_BUDGET, ret;

	do {
		int more = vring_disable_notify(&q->ring);

		if (!more)
			more = i == NET_RX ? net_rx_pass(p, &budget) : net_tx_pass(p, &budget);
		/* What came before an error is complete, and the driver's to have. */
		ret = more == NET_EMPTY ? vring_finish(&q->ring) : vring_flush(&q->ring);
		if (ret >= 0)
			call(q, ring_of(p, i), ret & VRING_CALL);
		if (more < 0 || ret < 0)
			return more < 0 ? more : ret;
		if (more != NET_EMPTY)
			return more == NET_MORE;
		/* A ring that only ever looks as if something came costs as well. */
		budget -= budget > 0;
	} while (ret & VRING_MORE);
	return 0;
}

/* Return: true if there is more to do. */
static bool serve_if(struct net_pair *p, unsigned int i)
{
	struct net_queue *q = &p->q[i];
	int more;

	if (p->io.fd[i] < 0 || q->broken)
		return false;
	more = serve(p, i);
	if (more < 0) {
		q->broken = true;
		vm_signal_eventfd(ring_of(p, i)->err_fd);
	}
	return more > 0;
}

static bool ready(void *ctx, unsigned int i, bool signalled)
{
	struct net_pair *p = ctx;

	if (i == NET_TAP) {
		bool more = serve_if(p, NET_RX);

		return (p->tx_waits && serve_if(p, NET_TX)) || more;
	}
	if (signalled)
		count(&p->q[i].n.kicks, 1);
	return serve_if(p, i);
}

/* ---- The interface ------------------------------------------------------------------------- */

static int load_queue(struct net_pair *p, unsigned int i)
{
	struct net_queue *q = &p->q[i];

	q->broken = false;
	q->pushed = false;
	if (i == NET_TX)
		p->tx_waits = false;
	p->rx.features = p->dev->acked;
	p->rx.ahead.want = 1;
	p->rx.mergeable = p->rx.features & 1UL << VIRTIO_NET_F_MRG_RXBUF;
	return datapath_load_ring(p->dev, ring_of(p, i), &q->ring);
}

static int start_pair(struct net_pair *p)
{
	unsigned int i;

	p->io.kind = THREAD_STREAM;
	p->io.name = p->name;
	p->io.nr = NET_NR_FDS;
	p->io.files = 1U << NET_TAP;
	p->io.ready = ready;
	p->io.ctx = p;
	p->io.fd[NET_TAP] = p->tap;
	for (i = NET_RX; i <= NET_TX; i++) {
		int err;

		p->io.fd[i] = -1;
		if (!datapath_serves(p->dev, 2 * p->index + i))
			continue;
		err = load_queue(p, i);
		if (err)
			return err;
		p->io.fd[i] = ring_of(p, i)->kick_fd;
	}
	return iothread_start(&p->io);
}

static void stop_pair(struct net_pair *p)
{
	unsigned int i;

	iothread_stop(&p->io);
	net_rx_put_back(p);
	for (i = NET_RX; i <= NET_TX; i++)
		if (p->io.fd[i] >= 0)
			p->dev->ring[2 * p->index + i].state = vring_save(&p->q[i].ring);
}

static int user_start(struct datapath *dp)
{
	struct net_user *u = to_user(dp);
	u32 i;
	int err = 0;

	for (i = 0; i < u->nr_pairs && !err; i++)
		err = start_pair(&u->pair[i]);
	/* The last one does not run. */
	for (i = err ? i - 1 : 0; i; i--)
		stop_pair(&u->pair[i - 1]);
	return err;
}

static void user_stop(struct datapath *dp)
{
	struct net_user *u = to_user(dp);
	u32 i;

	for (i = 0; i < u->nr_pairs; i++)
		stop_pair(&u->pair[i]);
}

static int open_urings(void *arg)
{
	struct net_user *u = arg;
	u32 i;

	for (i = 0; i < u->nr_pairs; i++)
		if (!u->pair[i].stream)
			net_uring_open(&u->pair[i].uring, u->pair[i].tap);
	return 0;
}

static int user_prepare(struct datapath *dp)
{
	return thread_call(open_urings, to_user(dp));
}

static void user_release(struct datapath *dp)
{
	struct net_user *u = to_user(dp);
	u32 i;

	for (i = 0; i < u->nr_pairs; i++)
		net_uring_close(&u->pair[i].uring);
}

static int user_start_queue(struct datapath *dp, unsigned int i)
{
	struct net_pair *p = &to_user(dp)->pair[i / 2];
	int err = load_queue(p, i % 2);

	return err ? err : iothread_set_fd(&p->io, i % 2, ring_of(p, i % 2)->kick_fd);
}

static void user_stop_queue(struct datapath *dp, unsigned int i)
{
	struct net_pair *p = &to_user(dp)->pair[i / 2];

	iothread_set_fd(&p->io, i % 2, -1);
	/* Nobody serves it now: what was at hand is the driver's. */
	if (i % 2 == NET_RX)
		net_rx_put_back(p);
}

static void user_stats(struct datapath *dp, unsigned int i, struct datapath_stats *s)
{
	count_read(&to_user(dp)->pair[i / 2].q[i % 2].n, s);
}

static void user_close(struct datapath *dp)
{
	struct net_user *u = to_user(dp);
	u32 i;

	for (i = 0; i < u->nr_pairs; i++)
		iothread_exit(&u->pair[i].io);
	free(u);
}

static void init_pair(struct net_pair *p, struct virtio_dev *dev, unsigned int i)
{
	p->dev = dev;
	p->index = i;
	p->tap = net_nic_of(dev)->tap.fd[i];
	p->stream = net_nic_of(dev)->tap.stream;
	/* At most 15 characters, of which the device's name takes 5. */
	snprintf(p->name, sizeof(p->name), i ? "%.8s/%u" : "%.8s", dev->name, i);
}

static struct datapath *user_open(struct virtio_dev *dev, char *why)
{
	u32 nr_pairs = net_nic_of(dev)->tap.nr;
	struct net_user *u = calloc(1, sizeof(*u) + nr_pairs * sizeof(u->pair[0]));
	int err = u ? 0 : -ENOMEM;

	if (u) {
		u->dp = (struct datapath) {
			.ops = &datapath_net_user,
			.dev = dev,
			.features = 1UL << VIRTIO_F_VERSION_1 | 1UL << VIRTIO_RING_F_EVENT_IDX |
				    1UL << VIRTIO_RING_F_INDIRECT_DESC | 1UL << VIRTIO_F_RING_PACKED |
				    1UL << VIRTIO_F_IN_ORDER | 1UL << VIRTIO_F_RING_RESET | dev->features,
			.max_queue_size = NET_MAX_CHAIN,
		};
	}
	while (!err && u->nr_pairs < nr_pairs) {
		struct net_pair *p = &u->pair[u->nr_pairs];

		init_pair(p, dev, u->nr_pairs);
		err = iothread_init(&p->io);
		u->nr_pairs += !err;
	}
	if (!err)
		return &u->dp;
	if (u)
		user_close(&u->dp);
	explain(why, "%s", strerror(-err));
	return NULL;
}

const struct datapath_ops datapath_net_user = {
	.name = "user",
	.open = user_open,
	.close = user_close,
	.prepare = user_prepare,
	.start = user_start,
	.stop = user_stop,
	.start_queue = user_start_queue,
	.stop_queue = user_stop_queue,
	.release = user_release,
	.stats = user_stats,
};
