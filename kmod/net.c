// SPDX-License-Identifier: GPL-2.0
/*
 * The net class: a NIC (VIRTIO 1.2, 5.1) as mainline's vhost-net has it, a device for
 * each pair of queues.
 *
 * in:  VHOST_NET_SET_BACKEND
 * out: queues that run, each with its backend
 */
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/virtio_ids.h>

#include "compat.h"
#include "net.h"

static int vk_net_open(struct vk_dev *dev)
{
	struct vk_net *net = kvzalloc(sizeof(*net), GFP_KERNEL_ACCOUNT);

	dev->priv = net;
	return net ? 0 : -ENOMEM;
}

static void vk_net_release(struct vk_dev *dev)
{
	struct vk_net *net = dev->priv;

	vk_page_frags_free(&net->frags);
	kvfree(net);
}

/*
 * Puts @backend, which may be NULL, in the place of the one that the queue has, and
 * returns that. What it had taken from that one's ring goes back there.
 * Context: the queue is stopped, q->lock held.
 */
static struct vk_net_backend *vk_net_exchange(struct vk_queue *q,
					      struct vk_net_backend *backend)
{
	struct vk_net_queue *nq = vk_net_queue(q);
	struct vk_net_backend *old = nq->backend;

	lockdep_assert_held(&q->lock);
	if (q->index == VK_NET_RX)
		vk_net_rx_return_packets(q);
	nq->backend = backend;
	return old;
}

/* As the last one above, where nobody serves the queue, so that nobody has the lock. */
static struct vk_net_backend *vk_net_exchange_stopped(struct vk_queue *q,
						      struct vk_net_backend *backend)
{
	struct vk_net_backend *old;

	mutex_lock(&q->lock);
	old = vk_net_exchange(q, backend);
	mutex_unlock(&q->lock);
	return old;
}

static void vk_net_disown(struct vk_dev *dev)
{
	u32 i;

	for (i = 0; i < VK_NET_QUEUES; i++)
		vk_net_backend_close(vk_net_exchange_stopped(&dev->vqs[i], NULL));
}

/* What features say of the header. They do not change while a queue runs. */
static void vk_net_set_header(struct vk_net_queue *nq, u64 features)
{
	bool mergeable = features & BIT_ULL(VIRTIO_NET_F_MRG_RXBUF);
	bool modern = features & BIT_ULL(VIRTIO_F_VERSION_1);
	u32 bytes;

	/* 5.1.6.1: a legacy driver without MRG_RXBUF knows of no num_buffers. */
	nq->mergeable = mergeable;
	nq->has_num_buffers = mergeable || modern;
	bytes = nq->has_num_buffers ? sizeof(struct virtio_net_hdr_mrg_rxbuf) :
				      sizeof(struct virtio_net_hdr);
	if (features & BIT_ULL(VHOST_NET_F_VIRTIO_NET_HDR)) {
		nq->own_hdr = bytes;
		nq->sock_hdr = 0;
	} else {
		nq->own_hdr = 0;
		nq->sock_hdr = bytes;
	}
}

/* Context: q->lock held, the queue stopped. */
static int vk_net_start(struct vk_queue *q)
{
	struct vk_net_queue *nq = vk_net_queue(q);

	if (!nq->backend)
		return -ENODEV;
	vk_net_set_header(nq, q->dev->features);
	return 0;
}

/* Stops the queue, and leaves it without a backend. Return: 0 or -EINTR */
static int vk_net_unset_backend(struct vk_queue *q)
{
	struct vk_net_backend *old;

	if (mutex_lock_killable(&q->lock))
		return -EINTR;
	if (vk_queue_quiesce(q))
		return -EINTR;
	old = vk_net_exchange(q, NULL);
	mutex_unlock(&q->lock);
	vk_net_backend_close(old);
	return 0;
}

/*
 * Starts the queue with @backend. One that runs is stopped in between; if it does not
 * start again, it goes on with the backend that it had. Return: 0, or -errno with
 * @backend closed
 */
static int vk_net_change_backend(struct vk_queue *q, struct vk_net_backend *backend)
{
	struct vk_net_backend *old = vk_net_queue(q)->backend;
	bool ran;
	int err;

	err = mutex_lock_killable(&q->lock);
	if (err)
		goto close;
	ran = q->state == VK_RUNNING;
	if (ran && old->sock == backend->sock) {
		mutex_unlock(&q->lock);
		goto close;
	}
	err = vk_queue_quiesce(q);
	if (err)
		goto close;
	vk_net_exchange(q, backend);
	mutex_unlock(&q->lock);

	err = vk_queue_start(q);
	if (err >= 0) {
		vk_net_backend_close(old);
		return 0;
	}
	vk_net_exchange_stopped(q, old);
	if (ran)
		vk_queue_start(q);
close:
	vk_net_backend_close(backend);
	return err;
}

/*
 * VHOST_NET_SET_BACKEND. Return: 0; -ENOBUFS; -ENOTSOCK for an fd that is no backend;
 * -EINVAL for a tap of no network device; as vk_queue_start(), with the old backend kept.
 */
static int vk_net_set_backend(struct vk_dev *dev, void __user *uarg)
{
	struct vk_net_backend *backend;
	struct vhost_vring_file arg;
	struct vk_queue *q;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	q = vk_ioctl_queue(dev, arg.index);
	if (!q)
		return -ENOBUFS;
	if (arg.fd == VHOST_FILE_UNBIND)
		return vk_net_unset_backend(q);
	backend = vk_net_backend_open(q, arg.fd);
	if (IS_ERR(backend))
		return PTR_ERR(backend);
	return vk_net_change_backend(q, backend);
}

static int vk_net_drain(struct vk_queue *q, struct vk_budget *budget)
{
	return q->index == VK_NET_RX ? vk_net_rx_drain(q, budget) :
				       vk_net_tx_drain(q, budget);
}

static bool vk_net_has_work(struct vk_queue *q)
{
	return q->index == VK_NET_RX ? vk_net_rx_has_work(q) : vk_net_tx_has_work(q);
}

static const struct vk_class_ioctl vk_net_ioctls[] = {
	{ VHOST_NET_SET_BACKEND, vk_net_set_backend },
	{}
};

const struct vk_class vk_net_class = {
	.name = "net",
	.device_id = VIRTIO_ID_NET,
	.nvqs = VK_NET_QUEUES,
	/* A queue's reset is its stop. ANY_LAYOUT has the number of VIRTIO_NET_HDR. */
	.features = BIT_ULL(VHOST_NET_F_VIRTIO_NET_HDR) |
		    BIT_ULL(VIRTIO_NET_F_MRG_RXBUF) |
		    BIT_ULL(VIRTIO_F_RING_RESET),
	.open = vk_net_open,
	.release = vk_net_release,
	.disown = vk_net_disown,
	.ioctls = vk_net_ioctls,
	.start = vk_net_start,
	.drain = vk_net_drain,
	.put_back = vk_net_rx_put_back,
	.has_work = vk_net_has_work,
};
