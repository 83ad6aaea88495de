// SPDX-License-Identifier: GPL-2.0
/*
 * One queue's life within its device's: what it is at first, its reset, and what follows it.
 *
 * in:  queue_enable and queue_reset of the common configuration
 * out: a queue of a running datapath stopped or started, while the others go on
 *
 * Section numbers are of VIRTIO 1.2.
 */
#include <linux/virtio_config.h>
#include <stdio.h>
#include <string.h>

#include "virtio.h"

void virtio_queue_default(struct virtio_dev *dev, unsigned int i)
{
	struct datapath_queue *r = &dev->ring[i];
	struct virtq *q = &dev->q[i];

	r->enabled = false;
	r->num = dev->queue_size;
	r->desc = r->avail = r->used = 0;
	q->vector = MSIX_NO_VECTOR;
	q->was_reset = false;
	/* What belongs to its former life. */
	vm_drain_eventfd(r->kick_fd);
	vm_drain_eventfd(r->err_fd);
}

void virtio_queue_ready(struct virtio_dev *dev, unsigned int i)
{
	dev->ring[i].call_fd = virtio_isr_call_fd(dev, dev->q[i].vector);
	dev->ring[i].state = virtio_packed(dev) ? VRING_PACKED_START : 0;
}

/* With the others running. Return: 0 or -errno. */
static int start(struct virtio_dev *dev, unsigned int i)
{
	struct virtio_own *own = virtio_own_of(dev, i);

	if (own)
		return virtio_own_start(own);
	return datapath_serves(dev, i) ? dev->datapath->ops->start_queue(dev->datapath, i) : 0;
}

static void stop(struct virtio_dev *dev, unsigned int i)
{
	struct virtio_own *own = virtio_own_of(dev, i);

	if (own) {
		virtio_own_stop(own);
		return;
	}
	if (!datapath_serves(dev, i))
		return;
	virtio_stop_begin(dev);
	dev->datapath->ops->stop_queue(dev->datapath, i);
	virtio_stop_end(dev);
}

void virtio_queue_enable(struct virtio_dev *dev, unsigned int i)
{
	char why[80];
	int err;

	dev->ring[i].enabled = true;
	if (!(dev->status & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	virtio_queue_ready(dev, i);
	dev->q[i].was_reset = false;
	/* Else it starts with the others, when the VM goes on; or never, as they. */
	err = dev->running ? start(dev, i) : 0;
	if (!err)
		return;
	dev->ring[i].enabled = false;
	dev->q[i].was_reset = true;
	snprintf(why, sizeof(why), "cannot start queue %u: %s", i, strerror(-err));
	virtio_needs_reset(dev, why);
}

void virtio_queue_gate(struct virtio_dev *dev, unsigned int i, bool open)
{
	struct datapath_queue *r = &dev->ring[i];
	char why[80];
	int err;

	if (r->closed == !open)
		return;
	if (dev->running && !open)
		stop(dev, i);
	r->closed = !open;
	err = dev->running && open ? start(dev, i) : 0;
	if (!err)
		return;
	r->closed = true;
	snprintf(why, sizeof(why), "cannot go on with queue %u: %s", i, strerror(-err));
	virtio_needs_reset(dev, why);
}

/* Whether anything but queue @i interrupts by way of its vector. */
static bool is_shared(const struct virtio_dev *dev, unsigned int i)
{
	u16 vector = dev->q[i].vector;
	unsigned int k;

	for (k = 0; k < dev->nr_queues; k++)
		if (k != i && dev->q[k].vector == vector)
			return true;
	return dev->config_vector == vector;
}

void virtio_queue_reset(struct virtio_dev *dev, unsigned int i)
{
	struct virtq *q = &dev->q[i];

	q->resetting = true;
	if (dev->running)
		stop(dev, i);
	q->resetting = false;
	/* 2.6.1.1.1: no notification either; of others that have the same vector it is one. */
	if (q->vector != MSIX_NO_VECTOR && !is_shared(dev, i))
		msix_drop_event(&dev->msix, q->vector);
	virtio_queue_default(dev, i);
	q->was_reset = true;
}
