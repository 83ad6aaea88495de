// SPDX-License-Identifier: GPL-2.0
/*
 * Step 8: the call and err eventfds are signalled.
 *
 * in:  eventfds from VHOST_SET_VRING_CALL and _ERR; decisions of the ring engine
 * out: eventfd signals, which KVM's irqfd turns into an interrupt
 *
 * A swap takes effect between two passes: each signal goes to the eventfd that was
 * installed at that time, and none is lost to a swap.
 */
#include <linux/eventfd.h>

#include "compat.h"
#include "vkick.h"
#include "trace.h"

/**
 * vk_call_set() - VHOST_SET_VRING_CALL, VHOST_SET_VRING_ERR
 * @q: queue, stopped or running
 * @slot: &q->call or &q->err
 * @fd: eventfd, or VHOST_FILE_UNBIND to have none
 *
 * Return: 0; -EBADF or -EINVAL for a bad fd, -EINTR, with the old one kept.
 */
int vk_call_set(struct vk_queue *q, struct eventfd_ctx **slot, int fd)
{
	struct eventfd_ctx *ctx = NULL;

	if (fd != VHOST_FILE_UNBIND) {
		ctx = eventfd_ctx_fdget(fd);
		if (IS_ERR(ctx))
			return PTR_ERR(ctx);
	}
	if (mutex_lock_killable(&q->lock)) {
		if (ctx)
			eventfd_ctx_put(ctx);
		return -EINTR;
	}
	/* What came before is for whoever was to be called then. */
	if (slot == &q->call)
		vk_hold_release(q);
	swap(ctx, *slot);
	mutex_unlock(&q->lock);
	if (ctx)
		eventfd_ctx_put(ctx);
	return 0;
}

/* Context: queue->lock held. */
void vk_call_signal(struct vk_queue *q)
{
	if (!q->call)
		return;
	trace_vkick_call(q);
	q->stats.calls++;
	vk_eventfd_signal(q->call);
}

/* Context: queue->lock held, from the worker. */
void vk_call_signal_err(struct vk_queue *q)
{
	if (q->err)
		vk_eventfd_signal(q->err);
}
