// SPDX-License-Identifier: GPL-2.0
/*
 * Step 2: a kick eventfd's signal makes its queue runnable.
 *
 * in:  eventfds from VHOST_SET_VRING_KICK; their wake-ups
 * out: vk_worker_wake()
 *
 * The eventfd is never read: as with mainline's vhost its counter stays with the
 * owner, who can hand the same eventfd to another datapath without losing a kick.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>

#include "vkick.h"
#include "trace.h"

/*
 * Context: the eventfd's wqh.lock held, irqs off; KVM's ioeventfd comes from a
 * vCPU thread. No eventfd may be signalled from here (eventfd_signal() refuses to
 * nest), so a call is always left to the worker.
 */
static int vk_kick_wakeup(wait_queue_entry_t *wait, unsigned int mode, int sync,
			  void *key)
{
	struct vk_queue *q = container_of(wait, struct vk_queue, kick.wait);

	if (!(key_to_poll(key) & EPOLLIN))
		return 0;
	WRITE_ONCE(q->stats.kicks, q->stats.kicks + 1);
	trace_vkick_kick(q);
	vk_worker_wake(q);
	return 0;
}

static void vk_kick_queue_proc(struct file *file, wait_queue_head_t *wqh,
			       poll_table *pt)
{
	struct vk_kick *kick = container_of(pt, struct vk_kick, pt);

	kick->wqh = wqh;
	add_wait_queue(wqh, &kick->wait);
}

/**
 * vk_kick_detach() - part with the kick eventfd, if there is one
 * @q: queue
 *
 * When this returns no callback runs any more: remove_wait_queue() takes the lock
 * that they run under.
 */
void vk_kick_detach(struct vk_queue *q)
{
	struct vk_kick *kick = &q->kick;

	if (!kick->file)
		return;
	remove_wait_queue(kick->wqh, &kick->wait);
	fput(kick->file);
	kick->file = NULL;
}

/**
 * vk_kick_attach() - VHOST_SET_VRING_KICK
 * @q: queue, stopped or running
 * @fd: eventfd, or VHOST_FILE_UNBIND to have none
 *
 * Return: 0; -EBADF or -EINVAL for a bad fd, with the old one kept.
 */
int vk_kick_attach(struct vk_queue *q, int fd)
{
	struct vk_kick *kick = &q->kick;
	struct file *file = NULL;

	if (fd != VHOST_FILE_UNBIND) {
		file = eventfd_fget(fd);
		if (IS_ERR(file))
			return PTR_ERR(file);
	}
	vk_kick_detach(q);
	if (!file)
		return 0;

	kick->file = file;
	init_waitqueue_func_entry(&kick->wait, vk_kick_wakeup);
	init_poll_funcptr(&kick->pt, vk_kick_queue_proc);
	/*
	 * A signal from before counts as a kick. The look comes after the wait
	 * entry is in place, so that none falls between.
	 */
	if (vfs_poll(file, &kick->pt) & EPOLLIN)
		vk_worker_wake(q);
	return 0;
}
