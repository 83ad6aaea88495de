// SPDX-License-Identifier: GPL-2.0
/*
 * The common configuration structure (VIRTIO 1.2, 4.1.4.3), through which a
 * driver negotiates features and sets up queues.
 *
 * in:  reads and writes of its registers
 * out: the device's state, and virtio_write_status() where it takes effect
 */
#include <endian.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "virtio.h"

/* <linux/virtio_pci.h> has a struct with the last two from Linux 6.9 on. */
struct common {
	struct virtio_pci_common_cfg cfg;
	u16 queue_notify_data;		/* without NOTIF_CONFIG_DATA there is none */
	u16 queue_reset;
};

_Static_assert(sizeof(struct common) == VIRTIO_COMMON_BYTES, "the fields, and no gap");

/* The ring that queue_select names, or NULL. */
static struct datapath_queue *selected(struct virtio_dev *dev)
{
	return dev->queue_select < dev->nr_queues ?
	       &dev->ring[dev->queue_select] : NULL;
}

static u32 feature_word(u64 features, u32 select)
{
	return select < 2 ? features >> 32 * select : 0;
}

/* As the driver would see all of it; reads have no side effects. */
static void common_fill(struct virtio_dev *dev, struct common *common)
{
	struct virtio_pci_common_cfg *c = &common->cfg;
	const struct datapath_queue *r = selected(dev);

	*common = (struct common) { 0 };
	*c = (struct virtio_pci_common_cfg) {
		.device_feature_select = htole32(dev->device_feature_select),
		.device_feature = htole32(feature_word(dev->offered,
						       dev->device_feature_select)),
		.guest_feature_select = htole32(dev->driver_feature_select),
		.guest_feature = htole32(feature_word(dev->acked,
						      dev->driver_feature_select)),
		.msix_config = htole16(dev->config_vector),
		.num_queues = htole16(dev->nr_queues),
		.device_status = dev->status,
		.config_generation = dev->generation,
		.queue_select = htole16(dev->queue_select),
		.queue_msix_vector = htole16(MSIX_NO_VECTOR),
	};
	if (!r)
		return;
	c->queue_size = htole16(r->num);
	c->queue_msix_vector = htole16(dev->q[dev->queue_select].vector);
	c->queue_enable = htole16(r->enabled);
	c->queue_notify_off = htole16(dev->queue_select);
	c->queue_desc_lo = htole32(r->desc);
	c->queue_desc_hi = htole32(r->desc >> 32);
	c->queue_avail_lo = htole32(r->avail);
	c->queue_avail_hi = htole32(r->avail >> 32);
	c->queue_used_lo = htole32(r->used);
	c->queue_used_hi = htole32(r->used >> 32);
	common->queue_reset = htole16(dev->q[dev->queue_select].resetting);
}

u64 virtio_common_read(struct virtio_dev *dev, u64 off, unsigned int len)
{
	struct common c;
	u64 v = 0;

	if (off + len > VIRTIO_COMMON_BYTES)
		return 0;
	common_fill(dev, &c);
	memcpy(&v, (u8 *)&c + off, len);
	return v;
}

static void write_features(struct virtio_dev *dev, u32 val)
{
	u32 shift = 32 * dev->driver_feature_select;

	/* 3.1.1: settled with FEATURES_OK. */
	if (dev->driver_feature_select > 1 || dev->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return;
	dev->acked = (dev->acked & ~(0xffffffffUL << shift)) | (u64)val << shift;
}

/* A vector that is not there reads back as NO_VECTOR (4.1.5.1.2). */
static u16 check_vector(const struct virtio_dev *dev, u64 val)
{
	return val < dev->msix.nr ? val : MSIX_NO_VECTOR;
}

static void set_half(u64 *field, bool high, u32 val)
{
	u32 half[2] = { *field, *field >> 32 };

	half[high] = val;
	*field = half[0] | (u64)half[1] << 32;
}

/*
 * A queue's fields. The datapath has copies of them from DRIVER_OK on, so that
 * a later write could do no more than make the two differ: it is inert, until the queue
 * is reset (2.6.1.2).
 */
static void queue_write(struct virtio_dev *dev, u64 off, u64 val)
{
	struct datapath_queue *r = selected(dev);

	if (!r || (dev->status & VIRTIO_CONFIG_S_DRIVER_OK && !dev->q[dev->queue_select].was_reset))
		return;
	if (off == VIRTIO_PCI_COMMON_Q_MSIX) {
		dev->q[dev->queue_select].vector = check_vector(dev, val);
		return;
	}
	if (r->enabled)		/* 4.1.4.3.2: configured before it is enabled */
		return;
	switch (off) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		if (vring_size_ok(val, virtio_packed(dev)) && val <= dev->queue_size)
			r->num = val;
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		if (val == 1)
			virtio_queue_enable(dev, dev->queue_select);
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		set_half(&r->desc, off == VIRTIO_PCI_COMMON_Q_DESCHI, val);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		set_half(&r->avail, off == VIRTIO_PCI_COMMON_Q_AVAILHI, val);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		set_half(&r->used, off == VIRTIO_PCI_COMMON_Q_USEDHI, val);
		break;
	}
}

/* 4.1.4.3: there is such a field for a driver that negotiated the feature. */
static void queue_reset_write(struct virtio_dev *dev, u64 val)
{
	bool negotiated = dev->status & VIRTIO_CONFIG_S_FEATURES_OK &&
			  dev->acked & 1UL << VIRTIO_F_RING_RESET;

	if (negotiated && val == 1 && selected(dev))
		virtio_queue_reset(dev, dev->queue_select);
}

/* Width of the field that starts at @off, or 0. */
static unsigned int common_width(u64 off)
{
	switch (off) {
	case VIRTIO_PCI_COMMON_STATUS:
		return 1;
	case VIRTIO_PCI_COMMON_MSIX:
	case VIRTIO_PCI_COMMON_Q_SELECT ... VIRTIO_PCI_COMMON_Q_NOFF:
	case VIRTIO_PCI_COMMON_Q_NDATA ... VIRTIO_PCI_COMMON_Q_RESET:
		return off & 1 ? 0 : 2;
	default:
		return off & 3 || off >= VIRTIO_COMMON_BYTES ? 0 : 4;
	}
}

/* 4.1.3.1: the driver uses each field's own width, 64-bit ones as two halves. */
void virtio_common_write(struct virtio_dev *dev, u64 off, unsigned int len, u64 val)
{
	if (len == 8 && off >= VIRTIO_PCI_COMMON_Q_DESCLO) {
		virtio_common_write(dev, off, 4, val & 0xffffffff);
		virtio_common_write(dev, off + 4, 4, val >> 32);
		return;
	}
	if (len != common_width(off))
		return;
	virtio_await_stop(dev);
	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		dev->device_feature_select = val;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		dev->driver_feature_select = val;
		break;
	case VIRTIO_PCI_COMMON_GF:
		write_features(dev, val);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		dev->config_vector = check_vector(dev, val);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		virtio_write_status(dev, val);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		dev->queue_select = val;
		break;
	case VIRTIO_PCI_COMMON_Q_RESET:
		queue_reset_write(dev, val);
		break;
	default:
		queue_write(dev, off, val);
	}
}
