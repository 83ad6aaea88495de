// SPDX-License-Identifier: GPL-2.0
/*
 * Packets of the driver's, on datapath=user.
 *
 * in:  chains of readable buffers: a header (5.1.6) and a frame
 * out: a write to the tap each, as many as there are in one system call, or into a stream; GSO packets are handed on whole
 *
 * The tap checks the header, which it copies first. A packet that it refuses is lost, as on a wire. One that
 * it has no room for stays in the ring, and so do those after it.
 */
#include <errno.h>

#include "net_user.h"

/* No packet has more, so that no guest keeps the thread with one. */
#define MAX_BYTES	(NET_MAX_PACKET + 4096)

/* ---- Packets at hand --------------------------------------------------------------------- */

/* The chain that was just popped. Return: 0; -E2BIG: there is no place for its pieces; another -errno. */
static int add_packet(struct net_pair *p, const struct vring_chain *c)
{
	int nr;

	/* 5.1.6.2: the device reads them all. */
	if (c->nr_in)
		return -EINVAL;
	nr = datapath_map(p->dev->vm, c->segs, c->nr_out, p->iov + p->nr_iov, NET_MAX_CHAIN - p->nr_iov);
	if (nr < 0)
		return nr;
	/* Not even a frame, or more than any packet has. */
	if (c->out_bytes <= NET_HDR_BYTES || c->out_bytes > MAX_BYTES)
		nr = 0;
	p->packet[p->nr_packets++] = (struct net_buffer) { .token = c->token, .bytes = c->out_bytes, .nr_iov = nr };
	p->nr_iov += nr;
	return 0;
}

/* At most @max more. Return: 1: there may be others; 0: the ring is empty; -errno: of the one after them. */
static int gather(struct net_pair *p, u32 max)
{
	struct vring_chain c = { .max_segs = NET_MAX_CHAIN, .segs = p->segs };
	struct vring_dev *ring = &p->q[NET_TX].ring;

	while (p->nr_packets < NET_BATCH && max--) {
		int err = vring_pop(ring, &c);

		if (err <= 0)
			return err;
		err = add_packet(p, &c);
		if (!err)
			continue;
		vring_unpop(ring, c.token);	/* so that ->state names it */
		return err == -E2BIG && p->nr_packets ? 1 : err;
	}
	return 1;
}

/* The first @done are the driver's again, the others the ring's. Return: 0 or -errno. */
static int give_back(struct net_pair *p, u32 done)
{
	struct net_queue *q = &p->q[NET_TX];
	int err = 0;
	u32 i;

	while (p->nr_packets > done)
		vring_unpop(&q->ring, p->packet[--p->nr_packets].token);
	for (i = 0; i < done && !err; i++)
		err = net_push(q, p->packet[i].token, 0);
	p->nr_packets = 0;
	p->nr_iov = 0;
	return err;
}

/* ---- To the tap ---------------------------------------------------------------------------- */

/* Return: 0: done with, be it lost; -EAGAIN: not now. */
static int send_one(struct net_pair *p, const struct iovec *iov, const struct net_buffer *b)
{
	while (b->nr_iov && (p->stream ? net_stream_writev(p->stream, iov, b->nr_iov, b->bytes) :
					 writev(p->tap, iov, b->nr_iov)) < 0) {
		if (errno == EAGAIN)
			return -EAGAIN;
		if (errno != EINTR)
			break;
	}
	return 0;
}

/* Return: how many of those at hand are done with. If they are fewer than all, there is no room for the next one. */
static u32 send_all(struct net_pair *p)
{
	const struct iovec *iov = p->iov;
	u32 done = 0, i;

	if (p->uring.on && p->nr_packets > 1) {
		done = net_uring_write(&p->uring, p->iov, p->packet, p->nr_packets);
		if (p->uring.on)
			return done;
	}
	for (i = 0; i < done; i++)
		iov += p->packet[i].nr_iov;
	for (; i < p->nr_packets && !send_one(p, iov, &p->packet[i]); i++)
		iov += p->packet[i].nr_iov;
	return i;
}

static int pass(struct net_pair *p, int *budget)
{
	while (*budget) {
		int more = gather(p, *budget), err;
		u32 nr = p->nr_packets, done = send_all(p);

		*budget -= done;
		err = give_back(p, done);
		if (err)
			return err;
		if (done < nr)
			return NET_WAIT;
		if (more <= 0)
			return more ? more : NET_EMPTY;
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
