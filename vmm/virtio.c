// SPDX-License-Identifier: GPL-2.0
/*
 * A virtio device's life, whatever the transport: status, features, start, stop.
 *
 * in:  status writes; broken queues
 * out: starts and stops of the datapath, DEVICE_NEEDS_RESET, the config interrupt
 *
 * Section numbers are of VIRTIO 1.2.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opts.h"
#include "virtio.h"

/* A new device: a file dev_*.c, and a row here. */
static const struct virtio_class *const classes[] = {
	&dev_blk,
	&dev_net,
	&dev_console,
	&dev_rng,
};

_Static_assert(OPTS_MAX_DEVICES < PCI_MAX_DEVICES, "the host bridge has a slot");
_Static_assert(VIRTIO_MAX_QUEUES + 1 <= MSIX_MAX_VECTORS,
	       "a vector for each queue, one for config changes");
_Static_assert(2 * OPTS_MAX_DEVICES + 8 <= BUS_MAX_RANGES, "two BARs, and the machine");

static struct virtio_dev *devices[OPTS_MAX_DEVICES];
static unsigned int nr_devices;

const struct virtio_class *virtio_class_at(unsigned int n)
{
	return n < ARRAY_SIZE(classes) ? classes[n] : NULL;
}

struct virtio_dev *virtio_dev_at(unsigned int n)
{
	return n < nr_devices ? devices[n] : NULL;
}

/* ---- Trouble ------------------------------------------------------------------ */

void virtio_needs_reset(struct virtio_dev *dev, const char *why)
{
	if (dev->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	warn("%s: %s: the guest must reset the device", dev->name, why);
	dev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	virtio_config_changed(dev);
}

void virtio_config_changed(struct virtio_dev *dev)
{
	dev->generation++;
	if (dev->status & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_isr_config(dev);
}

/* Main thread: a datapath signalled a queue's err eventfd. */
static void queue_broke(struct loop_source *src)
{
	struct virtq *q = container_of(src, struct virtq, err);
	struct virtio_dev *dev = q->dev;
	char why[32];

	pthread_mutex_lock(&dev->vm->lock);
	/* A reset may have come first, and taken the signal back. */
	if (vm_drain_eventfd(src->fd) && dev->running && !(dev->class->stands_still && dev->class->stands_still(dev))) {
		snprintf(why, sizeof(why), "queue %u broke", (unsigned int)(q - dev->q));
		virtio_needs_reset(dev, why);
	}
	pthread_mutex_unlock(&dev->vm->lock);
}

/* ---- Status (2.1, 3.1) ---------------------------------------------------------- */

/* @err: what the datapath's start gave. */
static void started(struct virtio_dev *dev, int err)
{
	char why[64];

	dev->running = !err;
	if (err)
		virtio_own_stop_all(dev);
	else
		err = virtio_own_start_all(dev);
	if (!err)
		return;
	snprintf(why, sizeof(why), "cannot start its queues: %s", strerror(-err));
	virtio_needs_reset(dev, why);
}

/* At ->state of each queue. */
static void run(struct virtio_dev *dev)
{
	started(dev, datapath_start(dev->datapath));
}

static void start(struct virtio_dev *dev)
{
	unsigned int i;

	for (i = 0; i < dev->nr_queues; i++)
		virtio_queue_ready(dev, i);
	if (dev->class->start)
		dev->class->start(dev);
	virtio_isr_update(dev);
	run(dev);
}

void virtio_pause(struct virtio_dev *dev, void (*between)(struct virtio_dev *dev))
{
	bool was_running;

	virtio_await_stop(dev);
	was_running = dev->running;
	virtio_stop_begin(dev);
	if (was_running)
		datapath_stop(dev->datapath);
	between(dev);
	virtio_stop_end(dev);
	if (was_running)
		run(dev);
}

static void flip_cut(struct virtio_dev *dev)
{
	dev->cut = !dev->cut;
}

void virtio_set_cut(struct virtio_dev *dev, bool cut)
{
	if (dev->cut != cut)
		virtio_pause(dev, flip_cut);
}

void virtio_hold_all(void)
{
	unsigned int i;

	for (i = 0; i < nr_devices; i++) {
		devices[i]->held |= devices[i]->running;
		virtio_stop(devices[i]);
	}
}

void virtio_unhold_all(void)
{
	unsigned int i;

	for (i = 0; i < nr_devices; i++) {
		if (devices[i]->held)
			run(devices[i]);
		devices[i]->held = false;
	}
}

int virtio_take_over(struct virtio_dev *dev, struct datapath *new)
{
	struct datapath *old = dev->datapath;
	u64 begin, pause_ns;
	int err = 0, back = 0;

	if (!dev->running) {
		dev->datapath = new;
		return 0;
	}
	/*
	 * Without the lock to the end: preparing takes its time, of which the guest is to notice
	 * nothing, and to wait for the lock would be a longer pause.
	 */
	virtio_stop_begin(dev);
	if (new->ops->prepare)
		err = new->ops->prepare(new);
	if (err) {
		virtio_stop_end(dev);
		return err;
	}
	begin = monotonic_ns();
	old->ops->stop(old);
	err = new->ops->start(new);
	if (err)
		back = old->ops->start(old);
	pause_ns = monotonic_ns() - begin;
	virtio_stop_end(dev);
	dev->pause_ns = pause_ns;
	if (err)
		started(dev, back);
	else
		dev->datapath = new;
	return err;
}

void virtio_reset(struct virtio_dev *dev)
{
	unsigned int i;

	virtio_stop(dev);
	dev->held = false;
	if (dev->class->reset)
		dev->class->reset(dev);
	dev->status = 0;
	dev->acked = 0;
	dev->config_vector = MSIX_NO_VECTOR;
	dev->device_feature_select = 0;
	dev->driver_feature_select = 0;
	dev->queue_select = 0;
	for (i = 0; i < dev->nr_queues; i++)
		virtio_queue_default(dev, i);
	virtio_isr_reset(dev);
	msix_drop_pending(&dev->msix);
}

/* 2.2.2: a subset of what was offered, and not a legacy driver's. */
static bool features_ok(const struct virtio_dev *dev)
{
	return !(dev->acked & ~dev->offered) && dev->acked & 1UL << VIRTIO_F_VERSION_1;
}

void virtio_write_status(struct virtio_dev *dev, u8 val)
{
	u8 set;

	if (!val) {
		virtio_reset(dev);
		return;
	}
	/* 2.1.1: the driver sets bits, and clears them by reset alone. */
	set = val & ~dev->status & ~VIRTIO_CONFIG_S_NEEDS_RESET;
	if (set & VIRTIO_CONFIG_S_FEATURES_OK && !features_ok(dev))
		set &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	if (set & VIRTIO_CONFIG_S_DRIVER_OK &&
	    !((dev->status | set) & VIRTIO_CONFIG_S_FEATURES_OK))
		set &= ~VIRTIO_CONFIG_S_DRIVER_OK;
	dev->status |= set;
	if (set & VIRTIO_CONFIG_S_DRIVER_OK)
		start(dev);
}

void virtio_power_off(void)
{
	unsigned int i;

	for (i = 0; i < nr_devices; i++) {
		virtio_reset(devices[i]);
		msix_reset(&devices[i]->msix);
	}
}

/* ---- Set-up --------------------------------------------------------------------- */

static void init_queue(struct virtio_dev *dev, unsigned int i)
{
	struct virtq *q = &dev->q[i];

	dev->ring[i].kick_fd = vm_eventfd();
	dev->ring[i].err_fd = vm_eventfd();
	q->dev = dev;
	q->bell = (struct doorbell) { .fd = dev->ring[i].kick_fd, .pio = dev->notify_pio };
	q->err = (struct loop_source) { .fd = dev->ring[i].err_fd, .ready = queue_broke };
	loop_add(&q->err);
}

static void init_one(struct vm *vm, const struct device_opts *o)
{
	struct virtio_dev *dev = calloc(1, sizeof(*dev));
	unsigned int i, same = 0;

	if (!dev)
		die("--%s: out of memory", o->class->name);
	for (i = 0; i < nr_devices; i++)
		same += devices[i]->class == o->class;
	snprintf(dev->name, sizeof(dev->name), "%s%u", o->class->name, same);
	dev->vm = vm;
	dev->class = o->class;
	dev->notify_pio = o->notify_pio;
	dev->features = o->class->features;
	dev->nr_queues = o->queues ? o->queues : 1;
	dev->queue_size = o->queue_size ? o->queue_size : o->class->queue_size;
	dev->nr_workers = 1;
	dev->nr_served = VIRTIO_MAX_QUEUES;
	for (i = 0; i < VIRTIO_MAX_OWN; i++)
		dev->own[i].dev = dev;
	pthread_cond_init(&dev->stopped, NULL);
	if (o->class->init)
		o->class->init(dev, o);
	datapath_init(dev, o);
	dev->offered = (1UL << VIRTIO_F_VERSION_1 | 1UL << VIRTIO_F_RING_RESET |
			o->ring_features | dev->features) & dev->datapath->features & ~o->class->withheld;
	for (i = 0; i < dev->nr_queues; i++)
		init_queue(dev, i);
	virtio_pci_init(dev);
	virtio_reset(dev);
	devices[nr_devices++] = dev;
}

void virtio_init(struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->opts->nr_devices; i++)
		init_one(vm, &vm->opts->devices[i]);
}
