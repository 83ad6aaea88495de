// SPDX-License-Identifier: GPL-2.0
/*
 * Which datapath serves a device: at first, and from a switch on.
 *
 * in:  datapath=kernel|user|vhost|auto, and the control socket's word while the guest runs
 * out: dev->datapath
 *
 * A switch is a stop of one datapath and a start of the other, at the places in the rings
 * where the first one ended. The guest sees none of it but a pause: requests that it made
 * available meanwhile are found at the start, which is as a kick of each queue, and the
 * eventfds of doorbells and interrupts stay the same. The new one is opened before the
 * old one stops, so a switch that cannot be made is found out while the device runs.
 *
 * Opening, preparing and closing take their time (the module waits for grace periods, io_uring
 * for pinned pages), so none is done under vm->lock, for which vCPUs would wait.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "opts.h"
#include "virtio.h"

const struct datapath_ops *datapath_find(const struct virtio_class *class, const char *name)
{
	if (!strcmp(name, datapath_kernel.name))
		return &datapath_kernel;
	if (class->vhost_node && !strcmp(name, datapath_vhost.name))
		return &datapath_vhost;
	if (class->user && !strcmp(name, class->user->name))
		return class->user;
	return NULL;
}

static struct datapath *open_one(struct virtio_dev *dev, const struct device_opts *o,
				 char *why)
{
	struct datapath *dp = o->datapath->open(dev, why);

	if (dp || !o->datapath_auto || !dev->class->user)
		return dp;
	/* `status` tells it in any case. */
	if (o->datapath_asked)
		warn("%s: %s: datapath=user it is", dev->name, why);
	return dev->class->user->open(dev, why);
}

/* What was asked for by name it must have. */
static void check(const struct virtio_dev *dev, const struct device_opts *o)
{
	const struct datapath *dp = dev->datapath;
	const char *lacking = opts_ring_feature(o->ring_features_asked & ~dp->features);

	if (lacking)
		die("--%s %s=on: datapath=%s cannot: leave it out, or choose another",
		    o->class->name, lacking, dp->ops->name);
	if (dev->queue_size > dp->max_queue_size)
		die("--%s queue-size=%u: datapath=%s takes at most %u", o->class->name,
		    dev->queue_size, dp->ops->name, dp->max_queue_size);
}

void datapath_init(struct virtio_dev *dev, const struct device_opts *o)
{
	char why[WHY_BYTES];

	dev->datapath = open_one(dev, o, why);
	if (!dev->datapath)
		die("--%s datapath=%s: %s", o->class->name, o->datapath->name, why);
	check(dev, o);
}

/* Whether it can serve whatever the driver was offered. Return: 0, or -1 */
static int fits(const struct virtio_dev *dev, const struct datapath *dp, char *why)
{
	u64 lacking = dev->offered & ~dp->features;
	const char *name = opts_ring_feature(lacking);

	if (lacking)
		return explain(why, "datapath=%s has no %s, which the guest was offered",
			       dp->ops->name, name ? name : "feature of this device");
	if (dev->queue_size > dp->max_queue_size)
		return explain(why, "datapath=%s takes queues of at most %u, not %u",
			       dp->ops->name, dp->max_queue_size, dev->queue_size);
	return 0;
}

void datapath_stats(struct virtio_dev *dev, unsigned int i, struct datapath_stats *s)
{
	const struct datapath_stats *past = &dev->past[i];
	const struct virtio_own *own;
	unsigned int b;

	if (dev->stopping) {
		*s = dev->frozen[i];
		return;
	}
	own = virtio_own_of(dev, i);
	if (own || i >= dev->nr_served) {
		*s = own ? own->stats : (struct datapath_stats) { 0 };
		return;
	}
	dev->datapath->ops->stats(dev->datapath, i, s);
	s->kicks += past->kicks;
	s->requests += past->requests;
	s->calls += past->calls;
	s->calls_suppressed += past->calls_suppressed;
	s->calls_held += past->calls_held;
	s->calls_in_vain += past->calls_in_vain;
	for (b = 0; b < ARRAY_SIZE(s->latency); b++)
		s->latency[b] += past->latency[b];
}

/* With the new one in its place. The old one's counters are the device's, and stay. */
static void keep_counters(struct virtio_dev *dev, struct datapath *old)
{
	struct datapath *new = dev->datapath;
	unsigned int i;

	dev->datapath = old;
	for (i = 0; i < dev->nr_queues && i < dev->nr_served; i++) {
		struct datapath_stats sum;

		if (virtio_own_of(dev, i))
			continue;
		datapath_stats(dev, i, &sum);
		dev->past[i] = sum;
	}
	dev->datapath = new;
}

/* Whether it stands still for a driver that waits. Return: 0, or -1 with one line in @why. */
static int is_free(const struct virtio_dev *dev, char *why)
{
	if (dev->stopping)
		return explain(why, "%s is being reset, and requests are in flight: try again", dev->name);
	return 0;
}

/* Return: 0 with @new in the old one's place, or -1 with one line in @why. */
static int take_over(struct virtio_dev *dev, struct datapath *new, char *why)
{
	struct datapath *old = dev->datapath;
	int err;

	if (fits(dev, new, why) || is_free(dev, why))
		return -1;
	err = virtio_take_over(dev, new);
	if (err)
		return explain(why, "datapath=%s does not start: %s: %s", new->ops->name, strerror(-err),
			       dev->status & VIRTIO_CONFIG_S_NEEDS_RESET ?
			       "the guest must reset the device" : "it goes on as it was");
	dev->switches++;
	keep_counters(dev, old);
	return 0;
}

int datapath_switch(struct virtio_dev *dev, const struct datapath_ops *to, char *why)
{
	struct datapath *old = dev->datapath, *new, *out;
	int err;

	if (old->ops == to)
		return 0;
	/* Asked again when there is something to take over: a reset may begin meanwhile. */
	pthread_mutex_lock(&dev->vm->lock);
	err = is_free(dev, why);
	pthread_mutex_unlock(&dev->vm->lock);
	if (err)
		return -1;
	new = to->open(dev, why);
	if (!new)
		return -1;
	pthread_mutex_lock(&dev->vm->lock);
	err = take_over(dev, new, why);
	pthread_mutex_unlock(&dev->vm->lock);
	out = err ? new : old;
	if (out->ops->release)
		out->ops->release(out);
	out->ops->close(out);
	return err;
}
