// SPDX-License-Identifier: GPL-2.0
/*
 * The net class, queue 0: the backend's packets go to the driver.
 *
 * in:  packets of the tap's ring, or of the socket's queue; chains of writable buffers
 * out: a header (VIRTIO 1.2, 5.1.6) and a frame in as many chains as it takes
 *
 * A packet is looked at first, then buffers are found for it, and only then it is taken:
 * while there are too few it stays with the backend. One that no buffers of this driver
 * could ever hold is lost, as on a wire.
 */
#include <linux/if_tun.h>
#include <linux/if_vlan.h>
#include <linux/net.h>
#include <linux/skb_array.h>
#include <linux/uio.h>

#include "net.h"
#include "trace.h"

static u32 vk_net_rx_ring_bytes(void *packet)
{
	if (tun_is_xdp_frame(packet))
		return tun_ptr_to_xdp(packet)->len;
	return __skb_array_len_with_tag(packet);
}

/* A packet of a socket stays in its queue, where its owner may still take it from us. */
static int vk_net_rx_sock_bytes(struct sock *sk)
{
	struct sk_buff_head *queue = &sk->sk_receive_queue;
	struct sk_buff *skb;
	unsigned long flags;
	int bytes = -1;

	if (skb_queue_empty_lockless(queue))
		return -1;
	spin_lock_irqsave(&queue->lock, flags);
	skb = skb_peek(queue);
	if (skb)
		bytes = skb->len + (skb_vlan_tag_present(skb) ? VLAN_HLEN : 0);
	spin_unlock_irqrestore(&queue->lock, flags);
	return bytes;
}

/* Bytes of the frame that is next, without a header; -1 if there is none. */
static int vk_net_rx_peek(struct vk_net *net, struct vk_net_backend *b)
{
	if (!b->ring)
		return vk_net_rx_sock_bytes(b->sock->sk);
	if (net->next == net->nr_packets) {
		net->next = 0;
		net->nr_packets = ptr_ring_consume_batched(b->ring, net->packets,
							   VK_NET_BATCH);
		if (!net->nr_packets)
			return -1;
	}
	return vk_net_rx_ring_bytes(net->packets[net->next]);
}

static void vk_net_rx_free(void *packet)
{
	if (tun_is_xdp_frame(packet))
		xdp_return_frame(tun_ptr_to_xdp(packet));
	else
		kfree_skb(packet);
}

/* Packets that were taken from the ring in advance, and their order, are kept. */
void vk_net_rx_return_packets(struct vk_queue *q)
{
	struct vk_net_backend *b = vk_net_queue(q)->backend;
	struct vk_net *net = q->dev->priv;

	if (net->next < net->nr_packets)
		ptr_ring_unconsume(b->ring, net->packets + net->next,
				   net->nr_packets - net->next, vk_net_rx_free);
	net->next = 0;
	net->nr_packets = 0;
}

/* Loses the packet that is next. */
static void vk_net_rx_drop(struct vk_queue *q, struct vk_net_backend *b)
{
	struct vk_net *net = q->dev->priv;
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT };
	struct kvec none = {};

	q->stats.dropped++;
	if (b->ring) {
		vk_net_rx_free(net->packets[net->next++]);
		return;
	}
	iov_iter_kvec(&msg.msg_iter, ITER_DEST, &none, 1, 0);
	b->sock->ops->recvmsg(b->sock, &msg, 0, MSG_DONTWAIT | MSG_TRUNC);
}

/* Unpops what was popped for a packet, last one first. */
void vk_net_rx_put_back(struct vk_queue *q)
{
	struct vk_net *net = q->dev->priv;

	while (net->nr_heads)
		vring_unpop(&q->vring, net->heads[--net->nr_heads]);
}

/* Pops a chain and appends its buffers. Return: as vring_pop(), or -errno */
static int vk_net_rx_pop(struct vk_queue *q, struct vring_chain *c)
{
	struct vk_net *net = q->dev->priv;
	int ret;

	ret = vring_pop(&q->vring, c);
	if (ret <= 0)
		return ret;
	net->heads[net->nr_heads++] = c->token;
	trace_vkick_pop(q, c);
	/* 5.1.6.3: the device writes them all. */
	if (c->nr_out || !c->nr_in)
		return -EINVAL;
	ret = vk_mem_to_iov(&q->view, c->segs, c->nr_in, q->iov + net->nr_iov,
			    VK_MAX_CHAIN - net->nr_iov);
	if (ret < 0)
		return ret;
	net->nr_iov += ret;
	return 1;
}

/*
 * Pops chains for @bytes bytes, into net->heads. Their segments lie one after the other
 * in q->chain.segs, and in q->iov.
 * Return: 1: they are there; 0: so far there are too few; -ENOSPC: there will never be
 * enough; another -errno breaks the queue
 */
static int vk_net_rx_gather(struct vk_queue *q, u32 bytes)
{
	u32 max = vk_net_queue(q)->mergeable ? VK_MAX_CHAIN : 1;
	struct vk_net *net = q->dev->priv;
	u32 nr_segs = 0, nr_desc = 0;
	u64 room = 0;
	int ret;

	net->nr_iov = 0;
	while (room < bytes) {
		struct vring_chain c = {
			.segs = q->chain.segs + nr_segs,
			.max_segs = VK_MAX_CHAIN - nr_segs,
		};

		/* A driver whose whole ring is too small cannot add to it. */
		if (net->nr_heads == max || nr_desc >= q->num)
			return -ENOSPC;
		/* Of empty descriptors a chain may have as many as two rings. */
		cond_resched();
		ret = vk_net_rx_pop(q, &c);
		/* Of a chain that alone is too long nothing can be made. */
		if (ret == -E2BIG && nr_segs)
			return -ENOSPC;
		if (ret <= 0)
			return ret;
		nr_segs += c.nr_in;
		nr_desc += c.token.nr_desc;
		room += c.in_bytes;
	}
	return 1;
}

/* The header's count of chains, where the socket wrote the rest: mostly one aligned store. */
static int vk_net_rx_write_num_buffers(struct vk_queue *q, struct iov_iter *at)
{
	const size_t offset = offsetof(struct virtio_net_hdr_mrg_rxbuf, num_buffers);
	struct vk_net *net = q->dev->priv;
	__le16 n = cpu_to_le16(net->nr_heads);
	__le16 __user *first = q->iov->iov_base + offset;

	if (q->iov->iov_len >= offset + sizeof(n) && IS_ALIGNED((unsigned long)first, sizeof(n)))
		return put_user(n, first);
	iov_iter_advance(at, offset);
	return copy_to_iter(&n, sizeof(n), at) == sizeof(n) ? 0 : -EFAULT;
}

/* Writes what of the header the socket has not written. @at: its start */
static int vk_net_rx_write_header(struct vk_queue *q, struct iov_iter *at)
{
	struct vk_net_queue *nq = vk_net_queue(q);
	struct vk_net *net = q->dev->priv;
	struct virtio_net_hdr_mrg_rxbuf hdr = {
		.num_buffers = (__force __virtio16)cpu_to_le16(net->nr_heads),
	};

	if (nq->own_hdr)
		return copy_to_iter(&hdr, nq->own_hdr, at) == nq->own_hdr ? 0 : -EFAULT;
	return nq->has_num_buffers ? vk_net_rx_write_num_buffers(q, at) : 0;
}

/*
 * Takes the packet, and writes it to the buffers that were gathered: @bytes with the
 * header. Return: 0; -EMSGSIZE: it was another one, and is lost; -EFAULT
 */
static int vk_net_rx_receive(struct vk_queue *q, struct vk_net_backend *b, u32 bytes)
{
	struct vk_net_queue *nq = vk_net_queue(q);
	struct vk_net *net = q->dev->priv;
	struct msghdr *msg = &net->rx_msg;
	u32 want = bytes - nq->own_hdr;
	struct iov_iter start;
	int got;

	iov_iter_init(&start, ITER_DEST, q->iov, net->nr_iov, bytes);
	msg->msg_iter = start;
	if (nq->own_hdr)
		iov_iter_advance(&msg->msg_iter, nq->own_hdr);
	msg->msg_control = b->ring ? net->packets[net->next++] : NULL;
	msg->msg_flags = MSG_DONTWAIT;
	got = b->sock->ops->recvmsg(b->sock, msg, want, MSG_DONTWAIT | MSG_TRUNC);
	if (got != want)
		return got == -EFAULT ? -EFAULT : -EMSGSIZE;
	/* Taps do not say whether all went well. */
	if (iov_iter_count(&msg->msg_iter))
		return -EFAULT;
	return vk_net_rx_write_header(q, &start);
}

/* Step 7: all chains of a packet at once, the last one with what is left (5.1.6.4). */
static int vk_net_rx_push(struct vk_queue *q, u32 bytes)
{
	struct vk_net *net = q->dev->priv;
	u32 i, nr = net->nr_heads;
	int err = 0;

	net->nr_heads = 0;
	vring_hold(&q->vring, true);
	for (i = 0; i < nr && !err; i++) {
		u32 written = min(bytes, net->heads[i].in_bytes);

		err = vk_queue_push(q, net->heads[i], written);
		bytes -= written;
	}
	vring_hold(&q->vring, false);
	return err;
}

/* A packet of @bytes with the header, in the buffers that were gathered for it. */
static int vk_net_rx_deliver(struct vk_queue *q, struct vk_net_backend *b, u32 bytes)
{
	int err, logged = 0;

	err = vk_net_rx_receive(q, b, bytes);
	/* Whatever came of it, nobody knows how much was written. */
	if (q->log)
		logged = vk_log_segs(q, q->chain.segs, bytes);
	if (err) {
		q->stats.dropped++;
		vk_net_rx_put_back(q);
		return err == -EMSGSIZE ? logged : err;
	}
	if (logged) {
		vk_net_rx_put_back(q);
		return logged;
	}
	return vk_net_rx_push(q, bytes);
}

/* No buffers for the packet that is next, by @err of vk_net_rx_gather(). */
static int vk_net_rx_refuse(struct vk_queue *q, struct vk_net_backend *b, int err)
{
	vk_net_rx_put_back(q);
	if (err != -ENOSPC)
		return err;
	vk_net_rx_drop(q, b);
	return 0;
}

int vk_net_rx_drain(struct vk_queue *q, struct vk_budget *budget)
{
	struct vk_net_queue *nq = vk_net_queue(q);
	struct vk_net_backend *b = nq->backend;
	struct vk_net *net = q->dev->priv;
	int bytes, ret;

	WRITE_ONCE(b->waits, false);
	for (; !vk_queue_spent(budget); budget->requests++) {
		ret = vk_queue_flush_batch(q);
		if (ret)
			return ret;
		bytes = vk_net_rx_peek(net, b);
		if (bytes < 0) {
			if (vk_net_backend_wait_rx(b))
				continue;
			return VK_DRAIN_WAITS;
		}
		/* No frame is empty, but a packet socket may be told of one, for ever. */
		if (!bytes) {
			vk_net_rx_drop(q, b);
			continue;
		}
		bytes += nq->own_hdr + nq->sock_hdr;
		ret = vk_net_rx_gather(q, bytes);
		if (!ret)
			return net->nr_heads ? VK_DRAIN_SHORT : VK_DRAINED;
		ret = ret > 0 ? vk_net_rx_deliver(q, b, bytes) :
				vk_net_rx_refuse(q, b, ret);
		if (ret)
			return ret;
		budget->bytes += bytes;
		cond_resched();
	}
	return VK_DRAIN_SPENT;
}

/* Neither a packet without buffers, nor buffers without a packet. */
bool vk_net_rx_has_work(struct vk_queue *q)
{
	struct vk_net_backend *b = vk_net_queue(q)->backend;
	struct vk_net *net = q->dev->priv;

	return (net->next < net->nr_packets || vk_net_backend_readable(b)) &&
	       vring_has_avail(&q->vring);
}
