// SPDX-License-Identifier: GPL-2.0
/*
 * The null class: completes each request and touches no buffer, at once or after a set
 * time. What it takes is the floor of every measurement; with a latency it is a
 * disk without data, for whatever has to do with requests in flight.
 *
 * in:  any chain; VKICK_NULL_SET_LATENCY
 * out: 0 bytes written
 */
#include <linux/hrtimer.h>
#include <linux/slab.h>

#include "compat.h"
#include "vkick.h"

struct vk_null {
	u64 latency_ns;		/* written under dev->mutex, read by workers */
};

struct vk_null_req {
	struct vk_req req;	/* first */
	struct hrtimer timer;
};

static struct vk_null_req *vk_null_req(struct vk_req *req)
{
	return container_of(req, struct vk_null_req, req);
}

/* Context: hard interrupt. */
static enum hrtimer_restart vk_null_timer(struct hrtimer *timer)
{
	struct vk_null_req *nreq = container_of(timer, struct vk_null_req, timer);

	vk_req_done(&nreq->req, 0);
	return HRTIMER_NORESTART;
}

static void vk_null_req_init(struct vk_req *req)
{
	vk_hrtimer_setup(&vk_null_req(req)->timer, vk_null_timer);
}

/* The timer has fired; wait until its function has returned, too. */
static void vk_null_req_exit(struct vk_req *req)
{
	hrtimer_cancel(&vk_null_req(req)->timer);
}

static int vk_null_serve(struct vk_queue *q, struct vk_req *req)
{
	const struct vk_null *null = q->dev->priv;
	u64 latency_ns = READ_ONCE(null->latency_ns);

	if (!latency_ns)
		return 0;
	hrtimer_start(&vk_null_req(req)->timer, ns_to_ktime(latency_ns),
		      HRTIMER_MODE_REL);
	return -EIOCBQUEUED;
}

static int vk_null_set_latency(struct vk_dev *dev, void __user *uarg)
{
	struct vk_null *null = dev->priv;
	struct vkick_null_latency arg = {};
	int err;

	err = vk_ioctl_copy_struct(&arg, sizeof(arg),
				   offsetofend(struct vkick_null_latency, latency_ns),
				   uarg);
	if (err)
		return err;
	if (arg.reserved)
		return -EOPNOTSUPP;
	if (arg.latency_ns > VKICK_NULL_MAX_LATENCY_NS)
		return -EINVAL;
	WRITE_ONCE(null->latency_ns, arg.latency_ns);
	return 0;
}

static int vk_null_open(struct vk_dev *dev)
{
	struct vk_null *null = kzalloc(sizeof(*null), GFP_KERNEL_ACCOUNT);

	dev->priv = null;
	return null ? 0 : -ENOMEM;
}

static void vk_null_release(struct vk_dev *dev)
{
	kfree(dev->priv);
}

static void vk_null_disown(struct vk_dev *dev)
{
	struct vk_null *null = dev->priv;

	null->latency_ns = 0;
}

static const struct vk_class_ioctl vk_null_ioctls[] = {
	{ VKICK_NULL_SET_LATENCY, vk_null_set_latency },
	{}
};

const struct vk_class vk_null_class = {
	.name = "null",
	.nvqs = 2,		/* so that one queue's fate can be told from another's */
	.req_bytes = sizeof(struct vk_null_req),
	.open = vk_null_open,
	.release = vk_null_release,
	.disown = vk_null_disown,
	.ioctls = vk_null_ioctls,
	.req_init = vk_null_req_init,
	.req_exit = vk_null_req_exit,
	.serve = vk_null_serve,
};
