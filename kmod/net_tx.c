// SPDX-License-Identifier: GPL-2.0
/*
 * The net class, queue 1: the driver's packets go to the backend.
 *
 * in:  chains of readable buffers: a header (VIRTIO 1.2, 5.1.6) and a frame
 * out: packets of the socket's; GSO packets are handed on whole
 *
 * Packets of less than a page are copied, and go to a tap in batches, without the
 * allocation of an skb with pages of its own each. Larger ones, and all to other
 * sockets, are sent one by one from the guest's memory, which the socket copies. Either
 * way a chain is used when its packet was copied, in the order of the ring.
 *
 * A packet that the backend refuses is lost, as on a wire. One that it has no room for
 * stays in the ring.
 */
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/uio.h>

#include "net.h"
#include "trace.h"

/* In front of a packet in its buffer, for whoever will want to push headers. */
#define VK_NET_HEADROOM		(NET_IP_ALIGN + NET_SKB_PAD)

/* GSO packets are of at most 64 KiB by their IP headers: no backend sees more than this. */
#define VK_NET_MAX_BYTES	(512U * 1024)

/* Hands the batch to the tap, which takes the buffers over. */
static void vk_net_tx_flush(struct vk_queue *q, struct vk_net_backend *b)
{
	struct vk_net *net = q->dev->priv;
	struct tun_msg_ctl ctl = {
		.type = TUN_MSG_PTR,
		.num = net->nr_xdp,
		.ptr = net->xdp,
	};
	struct msghdr msg = {
		.msg_control = &ctl,
		.msg_controllen = sizeof(ctl),
		.msg_flags = MSG_DONTWAIT,
	};
	u32 i;

	if (!net->nr_xdp)
		return;
	/* It fails as a whole, if there is no network device any more, or not at all. */
	if (b->sock->ops->sendmsg(b->sock, &msg, 0) < 0) {
		for (i = 0; i < net->nr_xdp; i++)
			page_frag_free(net->xdp[i].data_hard_start);
		q->stats.dropped += net->nr_xdp;
	}
	net->nr_xdp = 0;
}

/* Bytes in front of a packet in its buffer; and those of the whole buffer. */
static u32 vk_net_tx_pad(const struct vk_net_queue *nq, const struct vk_net_backend *b)
{
	u32 xdp = sock_flag(b->sock->sk, SOCK_XDP) ? XDP_PACKET_HEADROOM : 0;

	return SKB_DATA_ALIGN(VK_NET_HEADROOM + xdp + nq->sock_hdr);
}

static size_t vk_net_tx_buffer_bytes(u32 pad, size_t bytes)
{
	return SKB_DATA_ALIGN(pad + bytes) +
	       SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
}

/*
 * 5.1.6.2.1: hdr_len is a hint, and a driver may leave it short of what has to be
 * linear for the checksum. Return: false if that is more than there is
 */
static bool vk_net_tx_fix_hdr_len(struct virtio_net_hdr *hdr, size_t bytes)
{
	u32 want;

	if (!(hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return true;
	want = le16_to_cpu((__force __le16)hdr->csum_start) +
	       le16_to_cpu((__force __le16)hdr->csum_offset) + 2;
	if (want <= le16_to_cpu((__force __le16)hdr->hdr_len))
		return true;
	if (want > bytes)
		return false;
	hdr->hdr_len = (__force __virtio16)cpu_to_le16(want);
	return true;
}

/*
 * Copies a packet to the batch. @from has the socket's header and @bytes of a frame. What
 * a tap refuses of a batch it does not tell, and old ones did not look for short frames.
 * Return: 0; -E2BIG: too large for a batch, nothing was done; -EINVAL: the header makes
 * no sense, or no frame is so short; -EFAULT; -ENOMEM
 */
static int vk_net_tx_batch(struct vk_queue *q, struct vk_net_backend *b,
			   struct iov_iter *from, size_t bytes)
{
	struct vk_net_queue *nq = vk_net_queue(q);
	struct vk_net *net = q->dev->priv;
	u32 pad = vk_net_tx_pad(nq, b), hdr_bytes = nq->sock_hdr;
	size_t buffer_bytes = vk_net_tx_buffer_bytes(pad, bytes);
	struct xdp_buff *xdp = &net->xdp[net->nr_xdp];
	struct tun_xdp_hdr *hdr;
	size_t all = hdr_bytes + bytes;
	u8 *buffer;
	int err;

	if (bytes < ETH_HLEN)
		return -EINVAL;
	if (buffer_bytes > PAGE_SIZE)
		return -E2BIG;
	/* All are whole cache lines, and so begin on one. */
	buffer = page_frag_alloc(&net->frags, buffer_bytes, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	/* In one copy, header in front of the frame. A tap wants it at the start. */
	err = -EFAULT;
	if (copy_from_iter(buffer + pad - hdr_bytes, all, from) != all)
		goto free;
	hdr = (struct tun_xdp_hdr *)buffer;
	if (hdr_bytes)
		memcpy(&hdr->gso, buffer + pad - hdr_bytes, sizeof(hdr->gso));
	else
		memset(&hdr->gso, 0, sizeof(hdr->gso));
	hdr->buflen = buffer_bytes;
	err = -EINVAL;
	if (!vk_net_tx_fix_hdr_len(&hdr->gso, bytes))
		goto free;

	xdp_init_buff(xdp, buffer_bytes, NULL);
	xdp_prepare_buff(xdp, buffer, pad, bytes, true);
	net->nr_xdp++;
	return 0;

free:
	page_frag_free(buffer);
	return err;
}

/* Return: 0, or -errno as the socket says */
static int vk_net_tx_send(struct vk_net_backend *b, struct iov_iter *from)
{
	struct msghdr msg = { .msg_iter = *from, .msg_flags = MSG_DONTWAIT };
	int ret;

	ret = b->sock->ops->sendmsg(b->sock, &msg, iov_iter_count(from));
	return min(ret, 0);
}

/*
 * The packet of the chain that was just popped, to the batch or to the socket.
 * Return: 0: done with, be it lost; -EAGAIN, -ENOBUFS, -ENOMEM: not now; another -errno
 * breaks the queue
 */
static int vk_net_tx_packet(struct vk_queue *q, struct vk_net_backend *b,
			    struct iov_iter *from, bool batches)
{
	struct vk_net_queue *nq = vk_net_queue(q);
	struct vk_net *net = q->dev->priv;
	int err = -E2BIG;

	/* Not even a header, or more than any packet has. */
	if (iov_iter_count(from) < nq->own_hdr + nq->sock_hdr ||
	    iov_iter_count(from) > VK_NET_MAX_BYTES) {
		q->stats.dropped++;
		return 0;
	}
	iov_iter_advance(from, nq->own_hdr);
	if (batches) {
		if (net->nr_xdp == VK_NET_BATCH)
			vk_net_tx_flush(q, b);
		err = vk_net_tx_batch(q, b, from, iov_iter_count(from) - nq->sock_hdr);
	}
	if (err == -E2BIG) {
		vk_net_tx_flush(q, b);
		err = vk_net_tx_send(b, from);
	}
	switch (err) {
	case 0:
	case -EAGAIN:
	case -ENOBUFS:
	case -ENOMEM:
	case -EFAULT:
		return err;
	default:
		q->stats.dropped++;
		return 0;
	}
}

/* The buffers of the chain that was just popped. Return: 0, or -errno breaks the queue */
static int vk_net_tx_map(struct vk_queue *q, struct iov_iter *from)
{
	struct vring_chain *c = &q->chain;
	int nr;

	trace_vkick_pop(q, c);
	/* 5.1.6.2: the device reads them all. */
	if (c->nr_in)
		return -EINVAL;
	nr = vk_mem_to_iov(&q->view, c->segs, c->nr_out, q->iov, VK_MAX_CHAIN);
	if (nr < 0)
		return nr;
	iov_iter_init(from, ITER_SOURCE, q->iov, nr, c->out_bytes);
	return 0;
}

/* One chain. Return: 1 to go on, enum vk_drained or -errno to end with the chain put back */
static int vk_net_tx_serve(struct vk_queue *q, struct vk_net_backend *b, bool batches,
			   struct vk_budget *budget)
{
	struct iov_iter from;
	int err;

	err = vk_net_tx_map(q, &from);
	if (!err)
		err = vk_net_tx_packet(q, b, &from, batches);
	if (err)
		return err;
	budget->requests++;
	budget->bytes += q->chain.out_bytes;
	q->stats.bytes_out += q->chain.out_bytes;
	return vk_queue_push(q, q->chain.token, 0);
}

/* The backend has no room. Return: 0 to go on, or VK_DRAIN_WAITS */
static int vk_net_tx_wait(struct vk_queue *q, struct vk_net_backend *b, int err,
			  struct vk_budget *budget)
{
	/* What is in the batch has its room. */
	vk_net_tx_flush(q, b);
	budget->requests++;
	return vk_net_backend_wait_tx(b, err) ? 0 : VK_DRAIN_WAITS;
}

static int vk_net_tx_loop(struct vk_queue *q, struct vk_net_backend *b, bool batches,
			  struct vk_budget *budget)
{
	int err;

	while (!vk_queue_spent(budget)) {
		err = vk_queue_flush_batch(q);
		if (err)
			return err;
		err = vring_pop(&q->vring, &q->chain);
		if (err <= 0)
			return err ?: VK_DRAINED;
		err = vk_net_tx_serve(q, b, batches, budget);
		if (err)
			vring_unpop(&q->vring, q->chain.token);
		if (err == -EAGAIN || err == -ENOBUFS || err == -ENOMEM)
			err = vk_net_tx_wait(q, b, err, budget);
		if (err)
			return err;
		cond_resched();
	}
	return VK_DRAIN_SPENT;
}

int vk_net_tx_drain(struct vk_queue *q, struct vk_budget *budget)
{
	struct vk_net_backend *b = vk_net_queue(q)->backend;
	bool batches;
	int ret;

	WRITE_ONCE(b->waits, false);
	/* A batch is not counted against the socket's buffer: only if that has no end. */
	batches = b->ring && READ_ONCE(b->sock->sk->sk_sndbuf) == INT_MAX;
	ret = vk_net_tx_loop(q, b, batches, budget);
	vk_net_tx_flush(q, b);
	return ret;
}

/* While the backend has no room, what is in the ring is no work. */
bool vk_net_tx_has_work(struct vk_queue *q)
{
	return !READ_ONCE(vk_net_queue(q)->backend->waits) &&
	       vring_has_avail(&q->vring);
}
