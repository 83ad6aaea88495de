/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A pair's io_uring: many packets to a tap, or from it, in one system call.
 *
 * Nothing is left pending: each read and write has RWF_NOWAIT, and is done or refused when the call returns. So nothing is in
 * flight between two passes, and a stop has nothing to wait for.
 */
#ifndef NET_URING_H
#define NET_URING_H

#include <liburing.h>

#include "net_stream.h"

struct net_buffer;

/* The largest packet, of a tap too. */
#define NET_MAX_PACKET	(NET_HDR_BYTES + NET_STREAM_MAX_FRAME)

/**
 * struct net_uring - one of a pair
 * @open: there is a ring
 * @on: it may be used; else packets go one by one
 * @linked: the tap may run out of room, and then takes none of those after
 */
struct net_uring {
	bool open;
	bool on;
	bool linked;
	struct io_uring ring;
};

/* Packets in a call. */
#define NET_BATCH	64

/*
 * Before the thread is there; where io_uring cannot be had, or the tap cannot promise not to wait (before Linux 6.4), it is
 * not @on. The opener may have io_uring_setup(), as the pair's thread may not.
 */
void net_uring_open(struct net_uring *u, int tap);
void net_uring_close(struct net_uring *u);
/*
 * @nr packets, at most NET_BATCH, each of packet[i].nr_iov of the pieces in @iov, in their order; one of no pieces is nothing to
 * do. Return: how many of them, from the first on, the tap is done with. If they are fewer, it has no room for the next, unless
 * the ring is not @on any more.
 */
u32 net_uring_write(struct net_uring *u, const struct iovec *iov, const struct net_buffer *packet, u32 nr);
/* At most @nr packets, in their order: bytes[i] of data[i], or, if there is none, 0 or -errno. */
void net_uring_read(struct net_uring *u, u8 (*data)[NET_MAX_PACKET + 1], int *bytes, u32 nr);

/* What the ring may be used for, before it is enabled. Return: 0 or -errno. */
int net_uring_restrict(struct io_uring *ring);

#endif
