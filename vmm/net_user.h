/* SPDX-License-Identifier: GPL-2.0 */
/*
 * datapath=user of network devices: objects, and the prototypes of its files.
 *
 * Each pair of queues has a thread, which alone touches the pair from a start to a stop, or while it is
 * not parked. It waits for kicks of both queues, and for the tap.
 */
#ifndef NET_USER_H
#define NET_USER_H

#include <sys/uio.h>

#include "net_uring.h"
#include "queue_count.h"
#include "virtio.h"

/* Descriptors in a chain, and pieces of memory that go to the tap, or come from it, in one call (UIO_MAXIOV). */
#define NET_MAX_CHAIN	1024

/* Packets. Then the other queue, and a stop, have their turn. */
#define NET_BUDGET	256

/* Queues of a pair, and the third that its thread waits for. */
enum { NET_RX, NET_TX, NET_TAP, NET_NR_FDS };

/**
 * struct net_queue - one of a pair
 * @broken: it is not served any more
 * @pushed: a chain, since the driver was last told
 */
struct net_queue {
	struct vring_dev ring;
	bool broken;
	bool pushed;
	struct queue_count n;
};

/**
 * struct net_buffer - a chain, popped
 * @bytes: room, or a packet's
 * @nr_iov: pieces of memory that it is; none: a packet that is lost
 */
struct net_buffer {
	struct vring_token token;
	u64 bytes;
	u32 nr_iov;
};

/* Packets that are read in one system call, and what is more dear to copy than to read for itself. */
#define NET_READ_BATCH	16
#define NET_SMALL_BYTES	2048

/**
 * struct net_ahead - packets that were read before their turn
 * @want: how many the next call asks for; 1: it reads into the driver's own memory
 * @nr: so many were asked for, of which those before @at are done with
 * @bytes: of each; none, or less: there was no packet
 */
struct net_ahead {
	u32 want;
	u32 nr;
	u32 at;
	int bytes[NET_READ_BATCH];
	u8 data[NET_READ_BATCH][NET_MAX_PACKET + 1];
};

/**
 * struct net_rx - what the receive queue has at hand
 * @features: that the driver took
 * @mergeable: a packet may take several chains
 * @buffer: chains, in the order of the ring
 * @iov: their memory, one after the other; room for one more piece
 * @nr_desc: places of the ring that they take
 * @room: bytes of all of them
 * @packet_bytes: a packet that was read and waits for more chains; 0: none
 * @packet_room: what of it lies in the chains; the rest is at @tail
 * @rest: the end of a packet that the chains had no room for
 */
struct net_rx {
	u64 features;
	bool mergeable;
	u32 nr_buffers;
	u32 nr_iov;
	u32 nr_desc;
	u64 room;
	u32 packet_bytes;
	u32 packet_room;
	const u8 *tail;
	struct net_ahead ahead;
	struct net_buffer buffer[NET_MAX_CHAIN];
	struct iovec iov[NET_MAX_CHAIN];
	u8 rest[NET_MAX_PACKET];
};

/**
 * struct net_pair - two queues
 * @tap: the file; @stream: it is this one's, or NULL
 * @tx_waits: the tap had no room
 * @uring: for its packets to the tap
 * @segs: of the chain at hand
 * @packet: the driver's, @nr_packets, popped and not pushed; none between passes
 * @iov: their memory, one after the other, @nr_iov pieces
 */
struct net_pair {
	struct virtio_dev *dev;
	unsigned int index;
	char name[16];
	int tap;
	struct net_stream *stream;
	struct iothread io;
	struct net_queue q[2];
	bool tx_waits;
	struct net_rx rx;
	struct net_uring uring;
	struct vring_seg segs[NET_MAX_CHAIN];
	u32 nr_packets;
	u32 nr_iov;
	struct net_buffer packet[NET_BATCH];
	struct iovec iov[NET_MAX_CHAIN];
};

/* ---- net_user.c: the pair's thread ------------------------------------------------------ */

/* One chain that was popped is the driver's again. Return: 0 or -errno. */
int net_push(struct net_queue *q, struct vring_token token, u32 written);

/* What the passes below return beside -errno, which breaks the queue. */
enum net_pass {
	NET_EMPTY,	/* nothing in the ring: wait for a kick */
	NET_MORE,	/* the budget is used up */
	NET_WAIT,	/* wait for the tap */
};

/* ---- net_rx.c, net_tx.c: the pair's thread ------------------------------------------------- */

/* Packets of the tap's to the driver. Return: enum net_pass or -errno. */
int net_rx_pass(struct net_pair *p, int *budget);
/* Everything that is at hand goes back into the ring; packets among it are lost. Any thread, with the other one gone or parked. */
void net_rx_put_back(struct net_pair *p);
/* Packets of the driver's to the tap. Return: as above. */
int net_tx_pass(struct net_pair *p, int *budget);

#endif
