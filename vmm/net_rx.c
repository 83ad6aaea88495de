// SPDX-License-Identifier: GPL-2.0
/*
 * Packets to the driver, on datapath=user.
 *
 * in:  one read of the tap each, or of a stream, or many in one system call; chains of writable buffers
 * out: a header (5.1.6) and a frame in as many chains as it takes
 *
 * How long a packet is the tap says when it was read, so chains for the longest are at hand before, if the
 * driver gave so many, and what a packet does not take is for the next one. Where they are fewer, a read has
 * memory of ours after theirs; a packet that reaches into that waits for more chains, and no other is read
 * meanwhile. So a driver that gives none has the tap keep its packets, and lose them, at no cost here.
 *
 * While small packets come faster than they are taken, several are read in one system call, each into memory of ours: to copy them
 * costs less than a call. How many doubles each time that all were there. There is a chain for each, so
 * that none of them waits here unless packets are merged of chains that are yet to come.
 *
 * A packet that all chains of this driver could not hold is lost, as on a wire, and so is one of a kind that it did not ask for.
 */
#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "net_user.h"

/* One piece is for net_rx.rest. */
#define MAX_IOV		(NET_MAX_CHAIN - 1)

/* ---- Chains at hand ---------------------------------------------------------------------- */

/* The chain that was just popped. Return: 0; -E2BIG: its pieces are too many; another -errno. */
static int add_chain(struct net_pair *p, const struct vring_chain *c)
{
	struct net_rx *rx = &p->rx;
	int nr;

	/* 5.1.6.3: the device writes them all. */
	if (c->nr_out || !c->nr_in)
		return -EINVAL;
	nr = datapath_map(p->dev->vm, c->segs, c->nr_in, rx->iov + rx->nr_iov, MAX_IOV - rx->nr_iov);
	if (nr < 0)
		return nr;
	rx->buffer[rx->nr_buffers++] = (struct net_buffer) {
		.token = c->token, .bytes = c->in_bytes, .nr_iov = nr,
	};
	rx->nr_iov += nr;
	rx->nr_desc += c->token.nr_desc;
	rx->room += c->in_bytes;
	return 0;
}

static bool wants_chains(const struct net_rx *rx)
{
	return rx->mergeable ? rx->room < NET_MAX_PACKET : !rx->nr_buffers;
}

/* Pops chains until they are enough for any packet. Return: 1: they are, or no more can be had; 0: the ring is empty; -errno. */
static int gather(struct net_pair *p)
{
	struct vring_chain c = { .max_segs = NET_MAX_CHAIN, .segs = p->segs };
	struct vring_dev *ring = &p->q[NET_RX].ring;

	while (wants_chains(&p->rx)) {
		int err = vring_pop(ring, &c);

		if (err <= 0)
			return err;
		err = add_chain(p, &c);
		if (!err)
			continue;
		vring_unpop(ring, c.token);	/* so that ->state names it */
		return err == -E2BIG && p->rx.nr_buffers ? 1 : err;
	}
	return 1;
}

/* The first @nr are the driver's again. */
static void forget(struct net_rx *rx, u32 nr)
{
	u32 nr_iov = 0, i;

	for (i = 0; i < nr; i++) {
		nr_iov += rx->buffer[i].nr_iov;
		rx->room -= rx->buffer[i].bytes;
		rx->nr_desc -= rx->buffer[i].token.nr_desc;
	}
	rx->nr_buffers -= nr;
	rx->nr_iov -= nr_iov;
	memmove(rx->buffer, rx->buffer + nr, rx->nr_buffers * sizeof(rx->buffer[0]));
	memmove(rx->iov, rx->iov + nr_iov, rx->nr_iov * sizeof(rx->iov[0]));
}

void net_rx_put_back(struct net_pair *p)
{
	struct net_rx *rx = &p->rx;

	while (rx->nr_buffers)
		vring_unpop(&p->q[NET_RX].ring, rx->buffer[--rx->nr_buffers].token);
	rx->nr_iov = 0;
	rx->nr_desc = 0;
	rx->room = 0;
	rx->packet_bytes = 0;
	rx->ahead.want = 1;
	rx->ahead.nr = rx->ahead.at = 0;
}

/* ---- Packets ------------------------------------------------------------------------------- */

/* Into the chains, from byte @skip of them on, where there is room. */
static void copy_to(struct net_rx *rx, u64 skip, const void *buf, u32 bytes)
{
	u32 i;

	for (i = 0; i < rx->nr_iov && bytes; i++) {
		u64 n = rx->iov[i].iov_len;

		if (skip >= n) {
			skip -= n;
			continue;
		}
		n -= skip;
		if (n > bytes)
			n = bytes;
		memcpy((u8 *)rx->iov[i].iov_base + skip, buf, n);
		buf = (const u8 *)buf + n;
		bytes -= n;
		skip = 0;
	}
}

/* The next one that was read before its turn. Return: whether there is one. */
static bool take_ahead(struct net_rx *rx)
{
	struct net_ahead *a = &rx->ahead;

	while (a->at < a->nr) {
		u32 i = a->at++;

		if (a->bytes[i] <= 0)
			continue;
		/* What had more was cut. */
		rx->packet_bytes = a->bytes[i] > (int)NET_MAX_PACKET ? 0 : a->bytes[i];
		rx->packet_room = 0;
		rx->tail = a->data[i];
		return true;
	}
	return false;
}

static void read_ahead(struct net_pair *p, u32 nr)
{
	struct net_ahead *a = &p->rx.ahead;
	u32 i;

	a->nr = nr;
	a->at = 0;
	net_uring_read(&p->uring, a->data, a->bytes, nr);
	a->want = nr < NET_READ_BATCH / 2 ? 2 * nr : NET_READ_BATCH;
	for (i = 0; i < nr; i++)
		if (a->bytes[i] <= 0 || a->bytes[i] > NET_SMALL_BYTES)
			a->want = 1;
}

/* Into the chains. Return: 1 with a packet, 0 if there is none, or -EFAULT. */
static int read_one(struct net_pair *p)
{
	struct net_rx *rx = &p->rx;
	ssize_t n;

	rx->iov[rx->nr_iov] = (struct iovec) { rx->rest, sizeof(rx->rest) };
	do {
		n = p->stream ? net_stream_readv(p->stream, rx->iov, rx->nr_iov + 1) :
				readv(p->tap, rx->iov, rx->nr_iov + 1);
	} while (n < 0 && errno == EINTR);
	rx->ahead.want = n > 0 && n <= NET_SMALL_BYTES ? 2 : 1;
	if (n < 0 && errno == EFAULT)
		return -EFAULT;
	/* EAGAIN; or the interface is gone, and then never any more. */
	if (n <= 0)
		return 0;
	/* All that there was room for: the packet was longer (BIG TCP), and what is left of it is none. */
	if ((u64)n == rx->room + sizeof(rx->rest))
		n = 0;
	rx->packet_bytes = n;
	rx->packet_room = rx->room < (u64)n ? rx->room : (u64)n;
	rx->tail = rx->rest;
	return 1;
}

/* At most @max are asked for. Return: as above. */
static int receive(struct net_pair *p, u32 max)
{
	struct net_rx *rx = &p->rx;
	u32 nr = rx->ahead.want;

	if (take_ahead(rx))
		return 1;
	if (nr > max)
		nr = max;
	if (nr > rx->nr_buffers)
		nr = rx->nr_buffers;
	if (nr > 1 && p->uring.on) {
		read_ahead(p, nr);
		if (p->uring.on)
			return take_ahead(rx);
	}
	return read_one(p);
}

/* A byte of the header, which lies in the chains. */
static u8 header_byte(const struct net_rx *rx, u64 at)
{
	u32 i;

	for (i = 0; at >= rx->iov[i].iov_len; i++)
		at -= rx->iov[i].iov_len;
	return *((const volatile u8 *)rx->iov[i].iov_base + at);
}

/*
 * Whether the driver takes such a packet (5.1.6.4.1). The tap makes it so, but for packets that it had before a driver came which
 * takes less than the one before.
 */
static bool is_for_driver(const struct net_rx *rx)
{
	u8 flags = header_byte(rx, offsetof(struct virtio_net_hdr, flags));
	u8 gso = header_byte(rx, offsetof(struct virtio_net_hdr, gso_type));
	u64 needs = 0;

	if (flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		needs |= 1UL << VIRTIO_NET_F_GUEST_CSUM;
	if (gso & VIRTIO_NET_HDR_GSO_ECN)
		needs |= 1UL << VIRTIO_NET_F_GUEST_ECN;
	switch (gso & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		break;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		needs |= 1UL << VIRTIO_NET_F_GUEST_TSO4;
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		needs |= 1UL << VIRTIO_NET_F_GUEST_TSO6;
		break;
	case VIRTIO_NET_HDR_GSO_UDP:
		needs |= 1UL << VIRTIO_NET_F_GUEST_UFO;
		break;
	case NET_HDR_GSO_UDP_L4:
		needs |= 1UL << NET_F_GUEST_USO4 | 1UL << NET_F_GUEST_USO6;
		break;
	default:
		return false;
	}
	return (rx->features & needs) == needs;
}

/* The packet, for which there is room: all its chains become visible at once (5.1.6.4). */
static int deliver(struct net_pair *p)
{
	struct net_rx *rx = &p->rx;
	struct net_queue *q = &p->q[NET_RX];
	u32 left = rx->packet_bytes, nr = 0, i;
	u64 room = 0;
	const u8 no_flags = 0;
	__le16 num_buffers;
	int err = 0;

	while (room < left)
		room += rx->buffer[nr++].bytes;
	copy_to(rx, rx->packet_room, rx->tail, left - rx->packet_room);
	if (!is_for_driver(rx)) {
		rx->packet_bytes = 0;
		return 0;
	}
	/* A tap says of checksums that they are right. 5.1.6.4.1: not to a driver that did not ask. */
	if (!(rx->features & 1UL << VIRTIO_NET_F_GUEST_CSUM))
		copy_to(rx, offsetof(struct virtio_net_hdr, flags), &no_flags, sizeof(no_flags));
	num_buffers = htole16(nr);
	copy_to(rx, offsetof(struct virtio_net_hdr_mrg_rxbuf, num_buffers), &num_buffers, sizeof(num_buffers));

	vring_hold(&q->ring, true);
	for (i = 0; i < nr && !err; i++) {
		u32 written = left < rx->buffer[i].bytes ? left : rx->buffer[i].bytes;

		err = net_push(q, rx->buffer[i].token, written);
		left -= written;
	}
	vring_hold(&q->ring, false);
	forget(rx, nr);
	rx->packet_bytes = 0;
	return err;
}

/* Whether chains that are still to come may make room for the packet. */
static bool has_hope(const struct net_pair *p, bool ring_empty)
{
	const struct net_rx *rx = &p->rx;

	/* A driver whose whole ring is at hand has no place for another. */
	return rx->mergeable && ring_empty && rx->nr_desc < p->q[NET_RX].ring.num;
}

int net_rx_pass(struct net_pair *p, int *budget)
{
	struct net_rx *rx = &p->rx;

	for (; *budget; --*budget) {
		int more = gather(p), err = 0;

		if (more < 0)
			return more;
		if (!rx->packet_bytes) {
			if (!rx->nr_buffers)
				return NET_EMPTY;
			err = receive(p, *budget);
			if (err <= 0)
				return err ? err : NET_WAIT;
		}
		if (rx->packet_bytes < NET_HDR_BYTES)
			rx->packet_bytes = 0;	/* no packet of a tap's */
		else if (rx->packet_bytes <= rx->room)
			err = deliver(p);
		else if (has_hope(p, !more))
			return NET_EMPTY;
		else
			rx->packet_bytes = 0;
		if (err < 0)
			return err;
	}
	return NET_MORE;
}
