// SPDX-License-Identifier: GPL-2.0
/*
 * One queue's configuration, start and stop.
 *
 * in:  VHOST_SET_VRING_{NUM,ADDR,BASE}, VHOST_GET_VRING_BASE, VKICK_SET_RUNNING
 * out: a ring laid over the owner's memory, or the guarantee that it is left alone
 *
 * Context of all: process, dev->mutex held. Each takes queue->lock, killably: the
 * worker may hold it while it waits for a page of the owner's.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vkick.h"
#include "trace.h"

static bool vk_config_packed(const struct vk_queue *q)
{
	return q->dev->features & BIT_ULL(VIRTIO_F_RING_PACKED);
}

/* vhost.h: NUM cannot be modified while the ring is running. */
int vk_config_set_num(struct vk_queue *q, u32 num)
{
	int err = 0;

	if (mutex_lock_killable(&q->lock))
		return -EINTR;
	if (q->running)
		err = -EBUSY;
	else if (!vring_size_ok(num, vk_config_packed(q)))
		err = -EINVAL;
	else
		q->num = num;
	mutex_unlock(&q->lock);
	return err;
}

int vk_config_set_base(struct vk_queue *q, u32 base)
{
	int err = 0;

	if (mutex_lock_killable(&q->lock))
		return -EINTR;
	if (q->running)
		err = -EBUSY;
	else if (base > U16_MAX && !vk_config_packed(q))
		err = -EINVAL;
	if (!err) {
		q->base = base;
		q->has_base = true;
	}
	mutex_unlock(&q->lock);
	return err;
}

/* Where a queue starts that was never told where. */
static u32 vk_config_base(const struct vk_queue *q)
{
	if (!q->has_base && vk_config_packed(q))
		return VRING_PACKED_START;
	return q->base;
}

/* Exact once the queue is stopped; of a running one, where its last pass ended. */
int vk_config_get_base(struct vk_queue *q, u32 *base)
{
	if (mutex_lock_killable(&q->lock))
		return -EINTR;
	*base = q->running ? vring_save(&q->vring) : vk_config_base(q);
	mutex_unlock(&q->lock);
	return 0;
}

static bool vk_config_aligned(const struct vhost_vring_addr *a, bool packed)
{
	/* VIRTIO 1.2, 2.7 and 2.8.10 */
	return !(a->desc_user_addr & 15) && !(a->used_user_addr & 3) &&
	       !(a->avail_user_addr & (packed ? 3 : 1));
}

static bool vk_config_access_ok(u64 addr, size_t bytes)
{
	return addr == (unsigned long)addr &&
	       access_ok((void __user *)(unsigned long)addr, bytes);
}

/*
 * Lays a ring over the owner's memory, at an index, and looks whether it is there.
 * Fails with -EINVAL or -EFAULT, and then leaves *vring half done.
 */
static int vk_config_lay_ring(struct vk_queue *q, struct vring_dev *vring,
			      const struct vhost_vring_addr *a, u32 base)
{
	bool packed = vk_config_packed(q);
	struct vring_config cfg = {
		.num = q->num,
		.features = q->dev->features,
		.desc = (void __user *)(unsigned long)a->desc_user_addr,
		.avail = (void __user *)(unsigned long)a->avail_user_addr,
		.used = (void __user *)(unsigned long)a->used_user_addr,
		.mem = &q->view,
	};
	int err;

	if (!vk_config_access_ok(a->desc_user_addr, vring_desc_bytes(q->num)) ||
	    !vk_config_access_ok(a->avail_user_addr, vring_avail_bytes(q->num, packed)) ||
	    !vk_config_access_ok(a->used_user_addr, vring_used_bytes(q->num, packed)))
		return -EFAULT;
	err = vring_init(vring, &cfg);
	if (err)
		return err;
	return vring_load(vring, base);
}

/* As mainline's vhost, a running queue may be given new addresses. */
int vk_config_set_addr(struct vk_queue *q, const struct vhost_vring_addr *a)
{
	int err = 0;

	/* The log comes with VHOST_F_LOG_ALL, which is not offered. */
	if (a->flags)
		return -EOPNOTSUPP;
	if (!vk_config_aligned(a, vk_config_packed(q)))
		return -EINVAL;
	if (mutex_lock_killable(&q->lock))
		return -EINTR;
	if (q->running) {
		struct vring_dev *moved;

		err = -ENOMEM;
		moved = kmalloc(sizeof(*moved), GFP_KERNEL);
		if (!moved)
			goto unlock;
		err = vk_config_lay_ring(q, moved, a, vring_save(&q->vring));
		if (!err)
			q->vring = *moved;
		kfree(moved);
		if (err)
			goto unlock;
		vk_worker_wake(q);
	}
	q->addr = *a;
	q->has_addr = true;
unlock:
	mutex_unlock(&q->lock);
	return err;
}

/* Room for the largest request; kept from the first start to the device's end. */
static int vk_config_alloc_req(struct vk_queue *q)
{
	struct vk_req *req = &q->req;

	if (req->iov)
		return 0;
	req->chain.segs = kvmalloc_array(VK_MAX_CHAIN, sizeof(*req->chain.segs),
					 GFP_KERNEL_ACCOUNT);
	if (!req->chain.segs)
		return -ENOMEM;
	req->iov = kvmalloc_array(VK_MAX_CHAIN, sizeof(*req->iov),
				  GFP_KERNEL_ACCOUNT);
	if (!req->iov) {
		kvfree(req->chain.segs);
		req->chain.segs = NULL;
		return -ENOMEM;
	}
	req->chain.max_segs = VK_MAX_CHAIN;
	return 0;
}

static void vk_config_free_req(struct vk_queue *q)
{
	kvfree(q->req.iov);
	q->req.iov = NULL;
	kvfree(q->req.chain.segs);
	q->req.chain.segs = NULL;
}

/**
 * vk_queue_start() - take up service at ->base
 * @q: queue; if it runs already nothing happens
 *
 * A start counts as a kick. Return: 1; 0 if it ran already; -EINVAL without NUM or ADDR; -EFAULT
 * without a memory table, or if the ring cannot be reached; -ENOMEM; -EINTR.
 */
int vk_queue_start(struct vk_queue *q)
{
	int err;

	if (mutex_lock_killable(&q->lock))
		return -EINTR;
	err = 0;
	if (q->running)
		goto unlock;
	err = -EINVAL;
	if (!q->num || !q->has_addr)
		goto unlock;
	err = -EFAULT;
	if (!q->view.mem)
		goto unlock;
	err = vk_config_alloc_req(q);
	if (err)
		goto unlock;
	err = vk_config_lay_ring(q, &q->vring, &q->addr, vk_config_base(q));
	if (err)
		goto unlock;
	q->error = 0;
	q->running = true;
	vk_worker_wake(q);
	err = 1;
unlock:
	mutex_unlock(&q->lock);
	return err;
}

static void vk_queue_stop_locked(struct vk_queue *q)
{
	if (!q->running)
		return;
	q->running = false;
	q->base = vring_save(&q->vring);
	q->has_base = true;
}

/**
 * vk_queue_stop() - the stop guarantee of vkick.h
 * @q: queue; if it does not run nothing happens
 *
 * Return: 0, or -EINTR if a fatal signal came first.
 */
int vk_queue_stop(struct vk_queue *q)
{
	if (mutex_lock_killable(&q->lock))
		return -EINTR;
	vk_queue_stop_locked(q);
	mutex_unlock(&q->lock);
	return 0;
}

/**
 * vk_queue_reset() - back to what a fresh device has, all references put
 * @q: queue whose worker is gone and whose kick is detached
 */
void vk_queue_reset(struct vk_queue *q)
{
	mutex_lock(&q->lock);		/* no worker: nobody holds it for long */
	vk_queue_stop_locked(q);
	if (q->call)
		eventfd_ctx_put(q->call);
	q->call = NULL;
	if (q->err)
		eventfd_ctx_put(q->err);
	q->err = NULL;
	vk_mem_put(q->view.mem);
	q->view = (struct vk_memview) {};
	vk_config_free_req(q);
	q->num = 0;
	q->base = 0;
	q->has_base = false;
	q->has_addr = false;
	q->error = 0;
	memset(&q->stats, 0, sizeof(q->stats));
	clear_bit(VK_QUEUE_RUNNABLE, &q->flags);
	q->worker = NULL;
	mutex_unlock(&q->lock);
}
