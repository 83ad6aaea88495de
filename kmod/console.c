// SPDX-License-Identifier: GPL-2.0
/*
 * The console class: the data queues of a console device (VIRTIO 1.2, 5.3).
 *
 * in:  VKICK_CONSOLE_SET_PORT
 * out: queues that run, each with its file
 *
 * Control queues, 2 and 3, are the VMM's own: they do not start here.
 */
#include <linux/slab.h>
#include <linux/virtio_ids.h>

#include "console.h"

/* Puts @end, which may be NULL, in the place of the queue's. Return: that */
static struct vk_console_end *vk_console_exchange(struct vk_queue *q,
						  struct vk_console_end *end)
{
	struct vk_console *con = q->dev->priv;
	struct vk_console_end *old = con->end[q->index];

	lockdep_assert_held(&q->lock);
	con->end[q->index] = end;
	return old;
}

/* Queues that run break. */
static void vk_console_let_go(struct vk_dev *dev)
{
	struct vk_console_end *old;
	u32 i;

	for (i = 0; i < VK_CONSOLE_QUEUES; i++) {
		struct vk_queue *q = &dev->vqs[i];

		mutex_lock(&q->lock);
		old = vk_console_exchange(q, NULL);
		mutex_unlock(&q->lock);
		vk_console_end_close(old);
	}
}

/*
 * A socket of a port's may have been sent the device itself, by its other end: they hold
 * each other, and no close() comes.
 */
static void vk_console_orphaned(struct work_struct *work)
{
	vk_console_let_go(container_of(work, struct vk_console, orphaned)->dev);
}

/* Not here: the device may go with its files, and waits for its workers then. */
static void vk_console_orphan(struct vk_dev *dev)
{
	struct vk_console *con = dev->priv;

	queue_work(system_unbound_wq, &con->orphaned);
}

/* What the dead owner's end still has to do is not done to the ports of the next owner. */
static void vk_console_disown(struct vk_dev *dev)
{
	struct vk_console *con = dev->priv;

	cancel_work_sync(&con->orphaned);
	vk_console_let_go(dev);
}

static int vk_console_open(struct vk_dev *dev)
{
	struct vk_console *con = kzalloc(sizeof(*con), GFP_KERNEL_ACCOUNT);

	if (!con)
		return -ENOMEM;
	con->dev = dev;
	INIT_WORK(&con->orphaned, vk_console_orphaned);
	dev->priv = con;
	return 0;
}

static void vk_console_release(struct vk_dev *dev)
{
	kfree(dev->priv);
}

/* 5.3.2: port 0 has queues 0 and 1, the control queues follow, then all other ports. */
static struct vk_queue *vk_console_rx(struct vk_dev *dev, u32 port)
{
	return vk_ioctl_queue(dev, port ? 2 * (port + 1) : 0);
}

/* Context: q->lock held, the queue stopped. */
static int vk_console_start(struct vk_queue *q)
{
	return vk_console_end(q) ? 0 : -ENODEV;
}

/* Both queues' locks, the first one's outside: nobody else takes two. Return: 0 or -EINTR */
static int vk_console_lock(struct vk_queue *rx, struct vk_queue *tx)
{
	if (mutex_lock_killable(&rx->lock))
		return -EINTR;
	if (!mutex_lock_killable_nested(&tx->lock, SINGLE_DEPTH_NESTING))
		return 0;
	mutex_unlock(&rx->lock);
	return -EINTR;
}

static void vk_console_unlock(struct vk_queue *rx, struct vk_queue *tx)
{
	mutex_unlock(&tx->lock);
	mutex_unlock(&rx->lock);
}

static int vk_console_set_port(struct vk_dev *dev, void __user *uarg)
{
	struct vk_console_end *in, *out, *old_in = NULL, *old_out = NULL;
	struct vkick_console_port arg = {};
	struct vk_queue *rx, *tx;
	int err;

	err = vk_ioctl_copy_struct(&arg, sizeof(arg),
				   offsetofend(struct vkick_console_port, reserved), uarg);
	if (err)
		return err;
	if (arg.reserved || arg.in_error || arg.out_error)
		return -EOPNOTSUPP;
	if (arg.port >= VKICK_CONSOLE_MAX_PORTS)
		return -ENOBUFS;
	rx = vk_console_rx(dev, arg.port);
	tx = rx + 1;

	in = vk_console_end_open(rx, arg.in_fd, arg.event_fd);
	if (IS_ERR(in))
		return PTR_ERR(in);
	out = vk_console_end_open(tx, arg.out_fd, arg.event_fd);
	if (IS_ERR(out)) {
		vk_console_end_close(in);
		return PTR_ERR(out);
	}
	out->skip = arg.out_skip;

	err = vk_console_lock(rx, tx);
	if (!err) {
		err = -EBUSY;
		if (rx->state == VK_STOPPED && tx->state == VK_STOPPED) {
			old_in = vk_console_exchange(rx, in);
			old_out = vk_console_exchange(tx, out);
			err = 0;
		}
		vk_console_unlock(rx, tx);
	}
	vk_console_end_close(err ? in : old_in);
	vk_console_end_close(err ? out : old_out);
	return err;
}

static int vk_console_get_port(struct vk_dev *dev, void __user *uarg)
{
	struct vkick_console_port arg = { .in_fd = -1, .out_fd = -1, .event_fd = -1 };
	struct vk_console_end *in, *out;
	struct vk_queue *rx, *tx;
	u32 size, port;
	int err;

	if (get_user(size, &((struct vkick_console_port __user *)uarg)->size) ||
	    get_user(port, &((struct vkick_console_port __user *)uarg)->port))
		return -EFAULT;
	if (size < offsetofend(struct vkick_console_port, reserved))
		return -EINVAL;
	if (port >= VKICK_CONSOLE_MAX_PORTS)
		return -ENOBUFS;
	rx = vk_console_rx(dev, port);
	tx = rx + 1;
	err = vk_console_lock(rx, tx);
	if (err)
		return err;
	in = vk_console_end(rx);
	out = vk_console_end(tx);
	if (in && out) {
		arg.in_error = -in->error;
		arg.out_error = -out->error;
		arg.out_skip = out->skip;
	}
	vk_console_unlock(rx, tx);
	if (!in || !out)
		return -ENODEV;
	arg.size = min_t(u32, size, sizeof(arg));
	arg.port = port;
	return copy_to_user(uarg, &arg, arg.size) ? -EFAULT : 0;
}

static int vk_console_drain(struct vk_queue *q, struct vk_budget *budget)
{
	return vk_console_transmits(q) ? vk_console_tx_drain(q, budget) :
					 vk_console_rx_drain(q, budget);
}

/* While its file is not ready, what is in the ring is no work. */
static bool vk_console_has_work(struct vk_queue *q)
{
	const struct vk_console_end *end = vk_console_end(q);

	return (!end || !READ_ONCE(end->waits)) && vring_has_avail(&q->vring);
}

static const struct vk_class_ioctl vk_console_ioctls[] = {
	{ VKICK_CONSOLE_SET_PORT, vk_console_set_port },
	{ VKICK_CONSOLE_GET_PORT, vk_console_get_port },
	{}
};

const struct vk_class vk_console_class = {
	.name = "console",
	.device_id = VIRTIO_ID_CONSOLE,
	.nvqs = VK_CONSOLE_QUEUES,
	.open = vk_console_open,
	.release = vk_console_release,
	.disown = vk_console_disown,
	.orphan = vk_console_orphan,
	.ioctls = vk_console_ioctls,
	.start = vk_console_start,
	.drain = vk_console_drain,
	.has_work = vk_console_has_work,
};
