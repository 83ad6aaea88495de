// SPDX-License-Identifier: GPL-2.0
/*
 * One queue's configuration.
 *
 * in:  VHOST_{SET,GET}_VRING_{BASE,BUSYLOOP_TIMEOUT}, VHOST_SET_VRING_{NUM,ADDR};
 *      the memory table and the dirty log, from dev.c
 * out: a ring laid over the owner's memory
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
	if (q->state != VK_STOPPED)
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
	if (q->state != VK_STOPPED)
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
u32 vk_config_base(const struct vk_queue *q)
{
	if (!q->has_base && vk_config_packed(q))
		return VRING_PACKED_START;
	return q->base;
}

/* Exact once the queue is stopped; of another, where its last pass ended. */
int vk_config_get_base(struct vk_queue *q, u32 *base)
{
	if (mutex_lock_killable(&q->lock))
		return -EINTR;
	*base = q->state == VK_STOPPED ? vk_config_base(q) : vring_save(&q->vring);
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

/* Whether the log has a bit for each byte that the ring's own writes may touch. */
static bool vk_config_logged(struct vk_queue *q, const struct vhost_vring_addr *a)
{
	if (!(q->dev->features & BIT_ULL(VHOST_F_LOG_ALL)))
		return true;
	if (!q->log)
		return false;
	return !(a->flags & BIT(VHOST_VRING_F_LOG)) ||
	       vk_log_covers(q->log, a->log_guest_addr,
			     vring_used_bytes(q->num, vk_config_packed(q)));
}

/*
 * vk_config_lay_ring() - lay a ring over the owner's memory
 * @q: queue, q->lock held
 * @vring: left half done by a failure
 * @a: where
 * @base: where in the ring to start
 *
 * Return: 0; -EINVAL; -EFAULT if the ring, or the log that it needs, is not there.
 */
int vk_config_lay_ring(struct vk_queue *q, struct vring_dev *vring,
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
	    !vk_config_access_ok(a->used_user_addr, vring_used_bytes(q->num, packed)) ||
	    !vk_config_logged(q, a))
		return -EFAULT;
	err = vring_init(vring, &cfg);
	if (err)
		return err;
	return vring_load(vring, base);
}

/*
 * Lets a queue that was quiesced go on where it was, unless it broke meanwhile.
 * Context: q->lock held
 */
static void vk_config_resume(struct vk_queue *q)
{
	if (q->error)
		return;
	q->state = VK_RUNNING;
	vk_worker_wake(q);
}

/* The ring of a running queue moves. Context: q->lock held, but not after -EINTR. */
static int vk_config_move_ring(struct vk_queue *q, const struct vhost_vring_addr *a)
{
	struct vring_dev *moved;
	int err;

	moved = kmalloc(sizeof(*moved), GFP_KERNEL);
	if (!moved)
		return -ENOMEM;
	err = vk_queue_quiesce(q);
	if (err)
		goto free;
	err = vk_config_lay_ring(q, moved, a, q->base);
	if (!err)
		q->vring = *moved;
	vk_config_resume(q);
free:
	kfree(moved);
	return err;
}

static bool vk_config_same_ring(const struct vhost_vring_addr *a,
				const struct vhost_vring_addr *b)
{
	return a->desc_user_addr == b->desc_user_addr &&
	       a->avail_user_addr == b->avail_user_addr &&
	       a->used_user_addr == b->used_user_addr;
}

/* As mainline's vhost, a running queue may be given new addresses. */
int vk_config_set_addr(struct vk_queue *q, const struct vhost_vring_addr *a)
{
	int err = 0;

	if (a->flags & ~BIT(VHOST_VRING_F_LOG))
		return -EOPNOTSUPP;
	if (!vk_config_aligned(a, vk_config_packed(q)))
		return -EINVAL;
	/* vhost.h: as the used ring's own */
	if (a->flags && a->log_guest_addr & 3)
		return -EINVAL;
	if (mutex_lock_killable(&q->lock))
		return -EINTR;
	if (q->state == VK_RUNNING) {
		/* Mostly it is just the log that is new. */
		if (!vk_config_same_ring(a, &q->addr))
			err = vk_config_move_ring(q, a);
		else if (!vk_config_logged(q, a))
			err = -EFAULT;
	}
	if (err == -EINTR)
		return err;
	if (!err) {
		q->addr = *a;
		q->has_addr = true;
	}
	mutex_unlock(&q->lock);
	return err;
}

/* Any time will do: who polls for long gives way to whoever needs the CPU. */
int vk_config_set_busyloop(struct vk_queue *q, u32 timeout_us)
{
	if (mutex_lock_killable(&q->lock))
		return -EINTR;
	q->poll.timeout_us = timeout_us;
	q->poll.window_ns = min(q->poll.window_ns, vk_poll_timeout_ns(q));
	mutex_unlock(&q->lock);
	return 0;
}

int vk_config_get_busyloop(struct vk_queue *q, u32 *timeout_us)
{
	if (mutex_lock_killable(&q->lock))
		return -EINTR;
	*timeout_us = q->poll.timeout_us;
	mutex_unlock(&q->lock);
	return 0;
}

/**
 * vk_config_set_view() - other memory, or another log of it, from the next request on
 * @q: queue, running or not
 * @mem: memory table; gets a reference
 * @log: or NULL; gets a reference
 *
 * Requests in flight use the old ones, so they are waited for. Return: 0 or -EINTR.
 */
int vk_config_set_view(struct vk_queue *q, struct vk_mem *mem, struct vk_log *log)
{
	struct vring_dirty unlogged;
	bool resume;

	if (mutex_lock_killable(&q->lock))
		return -EINTR;
	resume = q->state == VK_RUNNING && q->in_flight;
	if (q->in_flight && vk_queue_quiesce(q))
		return -EINTR;
	vk_mem_get(mem);
	vk_mem_put(q->view.mem);
	q->view = (struct vk_memview) { .mem = mem };
	/* What was written before the log is what the first full copy is for. */
	if (log && !q->log)
		vring_take_dirty(&q->vring, &unlogged);
	vk_log_get(log);
	vk_log_put(q->log);
	q->log = log;
	if (resume)
		vk_config_resume(q);
	mutex_unlock(&q->lock);
	return 0;
}
