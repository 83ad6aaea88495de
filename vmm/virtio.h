/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Virtio devices: the classes, the state that a driver negotiates, the transport.
 *
 * All under vm->lock, unless said otherwise.
 */
#ifndef VIRTIO_H
#define VIRTIO_H

#include "datapath.h"
#include "pci.h"
#include "vring.h"

#define VIRTIO_MAX_QUEUES	IOTHREAD_MAX_FDS

struct virtio_dev;

/**
 * struct virtio_class - a class of devices: one file dev_*.c each
 * @name: the option's name
 * @device_id: VIRTIO 1.2, section 5
 * @pci_class: class, subclass and interface
 * @nr_queues: at most VIRTIO_MAX_QUEUES
 * @queue_size: the largest, a power of two, at most 256
 * @features: bits of the class alone
 * @config_bytes: size of the device's config space, may be 0
 * @node: the module's char device
 * @config: fills @config_bytes bytes
 * @serve: does one request, for datapath=user, in the I/O thread, without the
 *	lock. Return: bytes written into the chain, or -EFAULT, which breaks the
 *	queue.
 */
struct virtio_class {
	const char *name;
	u16 device_id;
	u32 pci_class;
	u8 nr_queues;
	u16 queue_size;
	u64 features;
	u32 config_bytes;
	const char *node;
	void (*config)(const struct virtio_dev *dev, void *buf);
	int64_t (*serve)(struct virtio_dev *dev, const struct vring_chain *chain);
};

extern const struct virtio_class dev_rng;

struct virtq {
	u16 vector;
	struct doorbell bell;
	struct loop_source err;
	struct virtio_dev *dev;
};

/**
 * struct virtio_dev - a device
 * @ring: what the datapath gets, by queue; @q: the rest, by queue
 * @running: the datapath is started
 * @exits_notify: doorbell writes that came here and not to the eventfd
 */
struct virtio_dev {
	struct vm *vm;
	const struct virtio_class *class;
	char name[16];
	bool notify_pio;
	struct datapath *datapath;

	u64 offered;
	u64 acked;
	u8 status;
	u8 generation;
	u16 config_vector;
	bool running;
	struct datapath_queue ring[VIRTIO_MAX_QUEUES];
	struct virtq q[VIRTIO_MAX_QUEUES];
	u64 exits_notify;

	/* The transport's, virtio_pci.c. */
	u32 device_feature_select;
	u32 driver_feature_select;
	u16 queue_select;
	u8 pci_cfg_cap;
	struct pci_dev pci;
	struct msix msix;
};

/* Whether the driver chose packed rings (2.8). */
static inline bool virtio_packed(const struct virtio_dev *dev)
{
	return dev->acked & 1UL << VIRTIO_F_RING_PACKED;
}

/* ---- virtio.c ---------------------------------------------------------------- */

/* Return: the nth class, or NULL past the last. Any context. */
const struct virtio_class *virtio_class_at(unsigned int n);
/* Makes the devices of vm->opts. die()s. */
void virtio_init(struct vm *vm);
/* Return: the nth device, or NULL past the last. */
struct virtio_dev *virtio_dev_at(unsigned int n);
/* Every device as after power-on, MSI-X included. */
void virtio_power_off(void);

void virtio_write_status(struct virtio_dev *dev, u8 val);
void virtio_reset(struct virtio_dev *dev);
/* VIRTIO 1.2, 2.1.2: the device cannot go on. */
void virtio_needs_reset(struct virtio_dev *dev, const char *why);

/* ---- virtio_common.c --------------------------------------------------------- */

#define VIRTIO_COMMON_BYTES	56	/* to the end of queue_used */

u64 virtio_common_read(struct virtio_dev *dev, u64 off, unsigned int len);
void virtio_common_write(struct virtio_dev *dev, u64 off, unsigned int len, u64 val);

/* ---- virtio_pci.c ------------------------------------------------------------ */

void virtio_pci_init(struct virtio_dev *dev);

#endif
