// SPDX-License-Identifier: GPL-2.0
/*
 * Stops of queues, which last as long as what is in flight: without vm->lock.
 *
 * in:  stops of whole devices and of single queues, from vCPU threads and the main thread
 * out: calls of the datapath, one at a time for a device
 *
 * A request may take as long as its backend likes, and a stop waits for it. Meanwhile the
 * thread that asked for the stop waits alone: the other vCPUs, the other devices and the
 * control socket go on. dev->stopping keeps the device as it is until then: whoever would
 * change it waits (virtio_await_stop()), or is refused, and whoever reads it finds what was
 * so before the stop. That goes for the counters too, since the module answers no ioctl of a
 * device while another waits in it. A switch of datapaths begins with it as well: the new one
 * is prepared while the old one still serves the device, and that takes its time too.
 */
#include "virtio.h"

void virtio_await_stop(struct virtio_dev *dev)
{
	while (dev->stopping)
		pthread_cond_wait(&dev->stopped, &dev->vm->lock);
}

void virtio_stop_begin(struct virtio_dev *dev)
{
	unsigned int i;

	virtio_await_stop(dev);
	for (i = 0; i < dev->nr_queues; i++)
		datapath_stats(dev, i, &dev->frozen[i]);
	dev->stopping = true;
	pthread_mutex_unlock(&dev->vm->lock);
}

void virtio_stop_end(struct virtio_dev *dev)
{
	pthread_mutex_lock(&dev->vm->lock);
	dev->stopping = false;
	pthread_cond_broadcast(&dev->stopped);
}

void virtio_stop(struct virtio_dev *dev)
{
	virtio_await_stop(dev);
	if (!dev->running)
		return;
	virtio_own_stop_all(dev);
	virtio_stop_begin(dev);
	datapath_stop(dev->datapath);
	virtio_stop_end(dev);
	dev->running = false;
}
