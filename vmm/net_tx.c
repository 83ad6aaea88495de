// SPDX-License-Identifier: GPL-2.0
/*
 * Packets of the driver's, on datapath=user.
 *
 * in:  chains of readable buffers: a header (5.1.6) and a frame
 * out: one write to the tap each, or into a stream; GSO packets are handed on whole
 *
 * The tap checks the header, which it copies first. A packet that it refuses is lost, as on a wire. One that
 * it has no room for stays in the ring.
 */
#include <errno.h>

#include "net_user.h"

/* No packet has more, so that no guest keeps the thread with one. */
#define MAX_BYTES	(NET_MAX_PACKET + 4096)

/* Return: 0: done with, be it lost; -EAGAIN: not now. */
static int send_packet(struct net_pair *p, int nr, u64 bytes)
{
	/* Not even a frame, or more than any packet has. */
	if (bytes <= NET_HDR_BYTES || bytes > MAX_BYTES)
		return 0;
	while ((p->stream ? net_stream_writev(p->stream, p->iov, nr, bytes) : writev(p->tap, p->iov, nr)) < 0) {
		if (errno == EAGAIN)
			return -EAGAIN;
		if (errno != EINTR)
			break;
	}
	return 0;
}

/* The chain that was just popped. Return: 0, -EAGAIN or another -errno, which breaks the queue. */
static int serve(struct net_pair *p, const struct vring_chain *c)
{
	int nr;

	/* 5.1.6.2: the device reads them all. */
	if (c->nr_in)
		return -EINVAL;
	nr = datapath_map(p->dev->vm, c->segs, c->nr_out, p->iov, NET_MAX_CHAIN);
	return nr < 0 ? nr : send_packet(p, nr, c->out_bytes);
}

static int pass(struct net_pair *p, int *budget)
{
	struct net_queue *q = &p->q[NET_TX];
	struct vring_chain c = { .max_segs = NET_MAX_CHAIN, .segs = p->segs };

	for (; *budget; --*budget) {
		int err = vring_pop(&q->ring, &c);

		if (err <= 0)
			return err ? err : NET_EMPTY;
		err = serve(p, &c);
		if (err)
			vring_unpop(&q->ring, c.token);	/* so that ->state names it */
		if (err == -EAGAIN)
			return NET_WAIT;
		if (!err)
			err = net_push(q, c.token, 0);
		if (err)
			return err;
	}
	return NET_MORE;
}

int net_tx_pass(struct net_pair *p, int *budget)
{
	int ret = pass(p, budget);

	p->tx_waits = (p->stream && !net_stream_flush(p->stream)) || ret == NET_WAIT;
	if (p->tx_waits)
		iothread_await_room(&p->io, NET_TAP);
	return ret;
}
