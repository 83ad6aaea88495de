// SPDX-License-Identifier: GPL-2.0
/*
 * Queues that the main thread serves, whichever datapath has the others: commands to the device, and its messages.
 *
 * in:  kicks of queues of dev->own
 * out: requests done by the class's serve_own(), calls
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

/* What drain() returns beside -errno. */
enum {
	EMPTY,		/* wait for a kick */
	SPENT,
	WAITS,		/* for virtio_own_stir() */
};

static struct datapath_queue *ring_of(struct virtio_own *own)
{
	return &own->dev->ring[own->index];
}

static int drain(struct virtio_own *own, int *budget)
{
	struct vring_seg segs[OWN_MAX_CHAIN];
	struct vring_chain c = { .max_segs = ARRAY_SIZE(segs), .segs = segs };

	for (; *budget; --*budget) {
		int64_t written;
		int err = vring_pop(&own->ring, &c);

		if (err <= 0)
			return err;
		written = own->dev->class->serve_own(own->dev, own->index, &c);
		if (written < 0) {
			vring_unpop(&own->ring, c.token);	/* so that ->state names it */
			return written == -EAGAIN ? WAITS : written;
		}
		err = vring_push(&own->ring, c.token, written);
		if (err)
			return err;
		own->stats.requests++;
	}
	return SPENT;
}

static void call(struct virtio_own *own, bool wanted)
{
	if (!wanted) {
		own->stats.calls_suppressed++;
		return;
	}
	vm_signal_eventfd(ring_of(own)->call_fd);
	own->stats.calls++;
}

/* Return: 1 if there is more to do, 0, or -errno. */
static int pass(struct virtio_own *own)
{
	int budget = OWN_BUDGET, ret;

	do {
		int before = budget, more;

		more = vring_disable_notify(&own->ring);
		if (!more)
			more = drain(own, &budget);
		/* What came before an error is complete, and the driver's to have. */
		ret = more ? vring_flush(&own->ring) : vring_finish(&own->ring);
		if (ret >= 0 && budget != before)
			call(own, ret & VRING_CALL);
		if (more || ret < 0)
			return more < 0 ? more : ret < 0 ? ret : more == SPENT;
		/* A ring that only ever looks as if something came costs as well. */
		budget -= budget > 0;
	} while (ret & VRING_MORE);
	return 0;
}

/* Main thread. */
static void kicked(struct loop_source *src)
{
	struct virtio_own *own = container_of(src, struct virtio_own, kick);
	struct virtio_dev *dev = own->dev;
	char why[64];
	int more;

	pthread_mutex_lock(&dev->vm->lock);
	virtio_await_stop(dev);
	/* It may have been stopped since, and started with another eventfd. */
	if (own->on && vm_drain_eventfd(src->fd)) {
		own->stats.kicks++;
		more = pass(own);
		if (more > 0)
			vm_signal_eventfd(src->fd);
		if (more < 0) {
			snprintf(why, sizeof(why), "queue %u broke: %s", own->index, strerror(-more));
			virtio_own_stop(own);
			virtio_needs_reset(dev, why);
		}
	}
	pthread_mutex_unlock(&dev->vm->lock);
}

int virtio_own_start(struct virtio_own *own)
{
	struct datapath_queue *r = ring_of(own);
	int err;

	if (own->on || !r->enabled)
		return 0;
	err = datapath_load_ring(own->dev, r, &own->ring);
	if (err)
		return err;
	own->on = true;
	own->kick = (struct loop_source) { .fd = r->kick_fd, .ready = kicked };
	vm_signal_eventfd(own->kick.fd);	/* a start counts as a kick */
	loop_add(&own->kick);
	return 0;
}

void virtio_own_stop(struct virtio_own *own)
{
	if (!own->on)
		return;
	own->on = false;
	loop_remove(&own->kick);
	ring_of(own)->state = vring_save(&own->ring);
}

int virtio_own_start_all(struct virtio_dev *dev)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < dev->nr_own && !err; i++)
		err = virtio_own_start(&dev->own[i]);
	return err;
}

void virtio_own_stop_all(struct virtio_dev *dev)
{
	unsigned int i;

	for (i = 0; i < dev->nr_own; i++)
		virtio_own_stop(&dev->own[i]);
}

void virtio_own_stir(struct virtio_own *own)
{
	if (own->on)
		vm_signal_eventfd(own->kick.fd);
}
