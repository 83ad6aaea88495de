// SPDX-License-Identifier: GPL-2.0
/*
 * A queue that the main thread serves, whichever datapath has the others: commands to the device.
 *
 * in:  kicks of queue dev->nr_served
 * out: requests done by the class's serve(), calls
 *
 * Commands are about device state, which vm->lock guards, and are few. So this is a source of the main
 * thread's like any other, and a switch of datapaths, which that thread makes, finds no command under way.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "virtio.h"

/* Then other events have their turn. */
#define OWN_BUDGET	16

#define OWN_MAX_CHAIN	1024

static struct datapath_queue *ring_of(struct virtio_dev *dev)
{
	return &dev->ring[dev->nr_served];
}

/* Return: 0 if the ring is empty, 1 if @budget is used up, or -errno. */
static int drain(struct virtio_dev *dev, int *budget)
{
	struct virtio_own *own = &dev->own;
	struct vring_seg segs[OWN_MAX_CHAIN];
	struct vring_chain c = { .max_segs = ARRAY_SIZE(segs), .segs = segs };

	for (; *budget; --*budget) {
		int64_t written;
		int err = vring_pop(&own->ring, &c);

		if (err <= 0)
			return err;
		written = dev->class->serve(dev, &c);
		if (written < 0) {
			vring_unpop(&own->ring, c.token);	/* so that ->state names it */
			return written;
		}
		err = vring_push(&own->ring, c.token, written);
		if (err)
			return err;
		own->stats.requests++;
	}
	return 1;
}

static void call(struct virtio_dev *dev, bool wanted)
{
	struct virtio_own *own = &dev->own;

	if (!wanted) {
		own->stats.calls_suppressed++;
		return;
	}
	vm_signal_eventfd(ring_of(dev)->call_fd);
	own->stats.calls++;
}

/* Return: 1 if there is more to do, 0, or -errno. */
static int pass(struct virtio_dev *dev)
{
	struct virtio_own *own = &dev->own;
	int budget = OWN_BUDGET, ret;

	do {
		int before = budget, more;

		more = vring_disable_notify(&own->ring);
		if (!more)
			more = drain(dev, &budget);
		/* What came before an error is complete, and the driver's to have. */
		ret = more ? vring_flush(&own->ring) : vring_finish(&own->ring);
		if (ret >= 0 && budget != before)
			call(dev, ret & VRING_CALL);
		if (more || ret < 0)
			return more < 0 ? more : ret < 0 ? ret : more;
		/* A ring that only ever looks as if something came costs as well. */
		budget -= budget > 0;
	} while (ret & VRING_MORE);
	return 0;
}

/* Main thread. */
static void kicked(struct loop_source *src)
{
	struct virtio_dev *dev = container_of(src, struct virtio_dev, own.kick);
	char why[64];
	int more;

	pthread_mutex_lock(&dev->vm->lock);
	virtio_await_stop(dev);
	/* It may have been stopped since, and started with another eventfd. */
	if (dev->own.on && vm_drain_eventfd(src->fd)) {
		dev->own.stats.kicks++;
		more = pass(dev);
		if (more > 0)
			vm_signal_eventfd(src->fd);
		if (more < 0) {
			snprintf(why, sizeof(why), "queue %u broke: %s", dev->nr_served, strerror(-more));
			virtio_own_stop(dev);
			virtio_needs_reset(dev, why);
		}
	}
	pthread_mutex_unlock(&dev->vm->lock);
}

int virtio_own_start(struct virtio_dev *dev)
{
	struct virtio_own *own = &dev->own;
	int err;

	if (own->on || dev->nr_served >= dev->nr_queues || !ring_of(dev)->enabled)
		return 0;
	err = datapath_load_ring(dev, ring_of(dev), &own->ring);
	if (err)
		return err;
	own->on = true;
	own->kick = (struct loop_source) { .fd = ring_of(dev)->kick_fd, .ready = kicked };
	vm_signal_eventfd(own->kick.fd);	/* a start counts as a kick */
	loop_add(&own->kick);
	return 0;
}

void virtio_own_stop(struct virtio_dev *dev)
{
	struct virtio_own *own = &dev->own;

	if (!own->on)
		return;
	own->on = false;
	loop_remove(&own->kick);
	ring_of(dev)->state = vring_save(&own->ring);
}
