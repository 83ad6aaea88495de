// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts of a device whose driver uses no MSI-X: the ISR status register (VIRTIO 1.2, 4.1.4.5), and the pin behind it.
 *
 * in:  signals of the eventfds that queues interrupt by, config changes; the driver's reads of the register
 * out: the register, and the pin's level: whether it is not 0
 *
 * A datapath signals the same eventfd whether MSI-X is on or off: the one of the queue's vector, or, for queues without a vector,
 * one that they share. With MSI-X on, KVM has the vectors' (msix.c), and nobody looks at the shared one. With MSI-X off the main
 * thread watches all, and sets the register's bit for a signal. It leaves the signal in the eventfd, where it also is the vector's
 * pending bit, so that a driver that turns MSI-X on again has the interrupt then. The driver's read of the register takes
 * signals back: it was told.
 *
 * Such a read is exact, however late the main thread is: it takes the signals first, and says what they were. One that comes right
 * after it was not taken, so it sets the bit again. One that was taken was signalled before the read, so what it tells of is in
 * the queue, where the driver will look for it after the read.
 *
 * What was told by neither way stays when MSI-X goes on or off. So there may be an interrupt too many after that, but none too few.
 */
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>

#include "virtio.h"

#define ISR_QUEUE	1
#define ISR_CONFIG	2

static void set(struct virtio_dev *dev, u8 bits)
{
	struct virtio_isr *isr = &dev->isr;

	isr->bits |= bits;
	if (isr->on)
		intx_level_set(&isr->pin, isr->bits);
}

int virtio_isr_call_fd(struct virtio_dev *dev, u16 vector)
{
	return vector == MSIX_NO_VECTOR ? dev->isr.fd : dev->msix.vector[vector].fd;
}

static bool is_of_a_queue(const struct virtio_dev *dev, int fd)
{
	unsigned int i;

	for (i = 0; i < dev->nr_queues; i++)
		if (dev->ring[i].enabled && dev->ring[i].call_fd == fd)
			return true;
	return false;
}

/* Main thread. */
static void signalled(struct loop_source *src)
{
	struct virtio_dev *dev = container_of(src, struct virtio_isr_source, src)->dev;

	pthread_mutex_lock(&dev->vm->lock);
	/* The driver may have read the register first, or MSI-X be on by now. */
	if (dev->isr.on && vm_eventfd_readable(src->fd) && is_of_a_queue(dev, src->fd))
		set(dev, ISR_QUEUE);
	pthread_mutex_unlock(&dev->vm->lock);
}

static void watch(struct virtio_dev *dev, void (*add_or_remove)(struct loop_source *src))
{
	unsigned int i;

	for (i = 0; i <= dev->msix.nr; i++)
		add_or_remove(&dev->isr.source[i].src);
}

void virtio_isr_update(struct virtio_dev *dev)
{
	struct virtio_isr *isr = &dev->isr;
	bool on = dev->status & VIRTIO_CONFIG_S_DRIVER_OK && !msix_enabled(&dev->msix);

	if (on == isr->on)
		return;
	isr->on = on;
	if (on) {
		watch(dev, loop_add);	/* which finds what is in them already */
		set(dev, 0);
	} else {
		watch(dev, loop_remove);
		intx_level_detach(&isr->pin);
	}
}

void virtio_isr_config(struct virtio_dev *dev)
{
	set(dev, ISR_CONFIG);
	if (dev->config_vector != MSIX_NO_VECTOR)
		vm_signal_eventfd(dev->msix.vector[dev->config_vector].fd);
}

/* Return: whether the queue had an event that its driver was not told of. */
static bool take(struct virtio_dev *dev, unsigned int i)
{
	u16 vector = dev->q[i].vector;

	if (!dev->ring[i].enabled)
		return false;
	return vector == MSIX_NO_VECTOR ? vm_drain_eventfd(dev->isr.fd) : msix_take(&dev->msix, vector);
}

u8 virtio_isr_read(struct virtio_dev *dev)
{
	struct virtio_isr *isr = &dev->isr;
	unsigned int i;
	u8 bits;

	for (i = 0; i < dev->nr_queues && isr->on; i++)
		if (take(dev, i))
			isr->bits |= ISR_QUEUE;
	/* Its bit was set with the signal. */
	if (isr->on && dev->config_vector != MSIX_NO_VECTOR)
		msix_take(&dev->msix, dev->config_vector);
	bits = isr->bits;
	isr->bits = 0;
	set(dev, 0);
	return bits;
}

void virtio_isr_reset(struct virtio_dev *dev)
{
	dev->isr.bits = 0;
	virtio_isr_update(dev);		/* with no driver */
	vm_drain_eventfd(dev->isr.fd);
}

void virtio_isr_init(struct virtio_dev *dev)
{
	struct virtio_isr *isr = &dev->isr;
	unsigned int i;

	intx_level_init(&isr->pin, &dev->pci);
	isr->fd = vm_eventfd();
	for (i = 0; i <= dev->msix.nr; i++)
		isr->source[i] = (struct virtio_isr_source) {
			.dev = dev,
			.src = {
				.fd = i < dev->msix.nr ? dev->msix.vector[i].fd : isr->fd,
				.edge = true,
				.ready = signalled,
			},
		};
}
