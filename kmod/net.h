/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The net class: two queues between a guest's NIC and a socket of the host's.
 *
 *	net.c		the class: features, header sizes, VHOST_NET_SET_BACKEND
 *	net_sock.c	backends: tap, tun, macvtap, ipvtap, packet sockets; their wake-ups
 *	net_tx.c	queue 1: packets of the driver to the socket
 *	net_rx.c	queue 0: packets of the socket to the driver
 *
 * Objects and lifetimes. A queue's backend is made by VHOST_NET_SET_BACKEND and ended
 * by the next one, or as the owner goes; it changes only while the queue is stopped. It
 * holds the fd's file, and with it the socket, its wait queue, a tap's ring and
 * the module that these are of. What its wake-ups and its timer touch is the backend and
 * q->worker; both are over when vk_net_backend_close() returns.
 *
 * Waiting. A queue that can do nothing until the socket stirs says so in ->waits, and
 * only then is it woken:
 *
 *	worker				socket
 *	store waits			store a packet (free room)
 *	mb			(S)	mb			(S)
 *	look for a packet (room)	load waits
 *
 * Either the worker sees the packet, or the socket sees that it is waited for. The
 * socket's barrier is in our callback, since not all sockets have one of their own.
 */
#ifndef VK_NET_H
#define VK_NET_H

#include <linux/mm_types.h>
#include <linux/ptr_ring.h>
#include <linux/socket.h>
#include <linux/virtio_net.h>
#include <linux/workqueue.h>
#include <net/sock.h>
#include <net/xdp.h>

#include "vkick.h"

/* As mainline's vhost-net has them. */
#define VK_NET_RX	0
#define VK_NET_TX	1
#define VK_NET_QUEUES	2

/* Packets that go to a tap, or come from its ring, at a time. */
#define VK_NET_BATCH	64

/**
 * struct vk_net_backend - what a queue sends to or receives from
 * @q: the queue
 * @file: the fd's; keeps all that is below
 * @sock: of the file
 * @ring: a tap's packets for us; NULL for a packet socket
 * @wqh: the socket's wait queue, with @wait on it
 * @wait: ditto
 * @pt: used at attachment alone
 * @events: that @wait is for
 * @waits: [A] the queue waits for one of these
 * @retry: wakes the queue where the socket will not
 */
struct vk_net_backend {
	struct vk_queue *q;
	struct file *file;
	struct socket *sock;
	struct ptr_ring *ring;
	wait_queue_head_t *wqh;
	wait_queue_entry_t wait;
	poll_table pt;
	__poll_t events;
	bool waits;
	struct delayed_work retry;
};

/**
 * struct vk_net_queue - one of the two
 * @backend: [Q] NULL: none, and the queue does not run
 * @own_hdr: [Q] bytes of a header that we make (rx) and strip (tx)
 * @sock_hdr: [Q] bytes of a header that the socket makes and takes
 * @has_num_buffers: [Q] the header, whose ever it is, ends with num_buffers
 * @mergeable: [Q] a packet may take several chains
 */
struct vk_net_queue {
	struct vk_net_backend *backend;
	u32 own_hdr;
	u32 sock_hdr;
	bool has_num_buffers;
	bool mergeable;
};

/**
 * struct vk_net - a device
 * @vqs: its queues
 * @packets: [Q] of rx: taken from the tap's ring
 * @next: [Q] the next of these
 * @nr_packets: [Q] of these, those before it included
 * @heads: [Q] of rx: chains popped for one packet
 * @nr_heads: [Q] of these; 0 between two passes
 * @nr_iov: [Q] iovecs in q->iov that they are
 * @rx_msg: [Q] how the socket is asked; what no packet sets is 0 for good
 * @xdp: [Q] of tx: packets for the tap
 * @nr_xdp: [Q] of these; 0 between two passes
 * @frags: [Q] of tx: the memory that they are copied to
 */
struct vk_net {
	struct vk_net_queue vqs[VK_NET_QUEUES];

	void *packets[VK_NET_BATCH];
	u32 next;
	u32 nr_packets;
	struct vring_token heads[VK_MAX_CHAIN];
	u32 nr_heads;
	u32 nr_iov;
	struct msghdr rx_msg;

	struct xdp_buff xdp[VK_NET_BATCH];
	u32 nr_xdp;
	struct page_frag_cache frags;
};

static inline struct vk_net_queue *vk_net_queue(struct vk_queue *q)
{
	struct vk_net *net = q->dev->priv;

	return &net->vqs[q->index];
}

/*
 * net_sock.c. open, close: process, dev->mutex held. Others: worker, queue->lock held.
 * wait_rx and wait_tx return true if there is something to do after all.
 */
struct vk_net_backend *vk_net_backend_open(struct vk_queue *q, int fd);
void vk_net_backend_close(struct vk_net_backend *b);
bool vk_net_backend_readable(struct vk_net_backend *b);
bool vk_net_backend_wait_rx(struct vk_net_backend *b);
bool vk_net_backend_wait_tx(struct vk_net_backend *b, int err);

/* net_tx.c, as the operations of the class. */
int vk_net_tx_drain(struct vk_queue *q, struct vk_budget *budget);
bool vk_net_tx_has_work(struct vk_queue *q);

/* net_rx.c, as the operations of the class. return_packets: q->lock held, q stopped */
int vk_net_rx_drain(struct vk_queue *q, struct vk_budget *budget);
void vk_net_rx_put_back(struct vk_queue *q);
bool vk_net_rx_has_work(struct vk_queue *q);
void vk_net_rx_return_packets(struct vk_queue *q);

#endif
