// SPDX-License-Identifier: GPL-2.0
/*
 * The PCI transport, modern alone (VIRTIO 1.2, 4.1): BARs, capabilities, doorbells.
 *
 * in:  accesses to the BARs and to config space
 * out: accesses to the structures behind; doorbells armed wherever their BAR lies
 *
 * BAR 0 has each structure on a page of its own:
 *
 *	0000 common config	1000 ISR	2000 device config	3000 doorbells
 *
 * BAR 2 is MSI-X, and BAR 4, if notify=pio, has the doorbells in place of BAR 0.
 */
#include <endian.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "virtio.h"

#define BAR_VIRTIO		0
#define BAR_MSIX		2
#define BAR_PIO			4

#define AT_COMMON		0x0000
#define AT_ISR			0x1000
#define AT_DEVICE		0x2000
#define AT_NOTIFY		0x3000
#define BAR_VIRTIO_BYTES	0x4000
#define REGION_BYTES		0x1000

#define DOORBELL_BYTES		4

#define PCI_VENDOR_VIRTIO	0x1af4
#define PCI_DEVICE_VIRTIO	0x1040

/* ---- The other structures --------------------------------------------------------- */

static u64 config_read(struct virtio_dev *dev, u64 off, unsigned int len)
{
	u8 buf[256] = { 0 };
	u64 v = 0;

	if (off + len > dev->class->config_bytes)
		return 0;
	dev->class->config(dev, buf);
	memcpy(&v, buf + off, len);
	return v;
}

static void config_write(struct virtio_dev *dev, u64 off, unsigned int len, u64 val)
{
	if (!dev->class->config_write || off + len > dev->class->config_bytes)
		return;
	virtio_await_stop(dev);
	dev->class->config_write(dev, off, len, val);
}

/* KVM has no doorbell there yet, or it is not exactly one's address. */
static void notify_write(void *opaque, u64 off, unsigned int len, u64 val)
{
	struct virtio_dev *dev = opaque;
	u64 i = off / DOORBELL_BYTES;

	(void)len, (void)val;
	if (i >= dev->nr_queues)
		return;
	dev->exits_notify++;
	vm_signal_eventfd(dev->ring[i].kick_fd);
}

static u64 notify_read(void *opaque, u64 off, unsigned int len)
{
	(void)opaque, (void)off, (void)len;
	return 0;
}

static u64 bar_read(void *opaque, u64 off, unsigned int len)
{
	struct virtio_dev *dev = opaque;

	switch (off & ~(REGION_BYTES - 1UL)) {
	case AT_COMMON:
		return virtio_common_read(dev, off - AT_COMMON, len);
	case AT_DEVICE:
		return config_read(dev, off - AT_DEVICE, len);
	case AT_ISR:
		return off == AT_ISR ? virtio_isr_read(dev) : 0;
	default:
		return 0;
	}
}

static void bar_write(void *opaque, u64 off, unsigned int len, u64 val)
{
	struct virtio_dev *dev = opaque;

	if (off < AT_ISR)
		virtio_common_write(dev, off - AT_COMMON, len, val);
	else if (off >= AT_DEVICE && off < AT_NOTIFY)
		config_write(dev, off - AT_DEVICE, len, val);
	else if (off >= AT_NOTIFY && !dev->notify_pio)
		notify_write(dev, off - AT_NOTIFY, len, val);
}

static const struct bus_ops bar_ops = { bar_read, bar_write };
static const struct bus_ops notify_ops = { notify_read, notify_write };

/* The BAR with the doorbells has come to a new place, or goes from its old one. */
static void doorbells_moved(struct pci_bar *bar)
{
	struct virtio_dev *dev = bar->range.dev;
	u64 base = bar->range.base + (dev->notify_pio ? 0 : AT_NOTIFY);
	unsigned int i;

	for (i = 0; i < dev->nr_queues; i++) {
		struct doorbell *bell = &dev->q[i].bell;
		int err = 0;

		if (bar->mapped)
			err = doorbell_arm(dev->vm, bell, base + i * DOORBELL_BYTES);
		else
			doorbell_disarm(dev->vm, bell);
		if (err)
			warn("%s: doorbell %u: %s: kicks go through the VMM", dev->name,
			     i, strerror(-err));
	}
}

/* ---- The window in config space (4.1.4.9) ------------------------------------------- */

/* Return: whether the driver set it to something in BAR 0, 2 or 4. */
static bool window_target(struct virtio_dev *dev, struct pci_bar **bar, u32 *off, u32 *len)
{
	struct virtio_pci_cfg_cap cap;

	memcpy(&cap, dev->pci.cfg + dev->pci_cfg_cap, sizeof(cap));
	*off = le32toh(cap.cap.offset);
	*len = le32toh(cap.cap.length);
	if (cap.cap.bar >= PCI_NR_BARS || (*len != 1 && *len != 2 && *len != 4))
		return false;
	*bar = &dev->pci.bar[cap.cap.bar];
	return !(*off & (*len - 1)) && *off < (*bar)->bytes;
}

static bool touches_window(const struct virtio_dev *dev, u32 off, u32 len)
{
	u32 data = dev->pci_cfg_cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);

	return off < data + 4 && off + len > data;
}

static u8 *window_data(struct virtio_dev *dev)
{
	return dev->pci.cfg + dev->pci_cfg_cap +
	       offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);
}

static void cfg_read(struct pci_dev *pci, u32 off, u32 len)
{
	struct virtio_dev *dev = container_of(pci, struct virtio_dev, pci);
	struct pci_bar *bar;
	u32 at, bytes;

	if (touches_window(dev, off, len) && window_target(dev, &bar, &at, &bytes)) {
		u64 v = bar->range.ops->read(bar->range.dev, at, bytes);

		memcpy(window_data(dev), &v, bytes);
	}
}

static void cfg_written(struct pci_dev *pci, u32 off, u32 len)
{
	struct virtio_dev *dev = container_of(pci, struct virtio_dev, pci);
	struct pci_bar *bar;
	u32 at, bytes;

	msix_cfg_written(&dev->msix, off, len);
	intx_level_cfg_written(&dev->isr.pin, off, len);
	virtio_isr_update(dev);
	if (touches_window(dev, off, len) && window_target(dev, &bar, &at, &bytes)) {
		u64 v = 0;

		memcpy(&v, window_data(dev), bytes);
		bar->range.ops->write(bar->range.dev, at, bytes, v);
	}
}

/* ---- Set-up -------------------------------------------------------------------------- */

/* A virtio_pci_cap of @bytes; Return: its offset. */
static u8 add_cap(struct virtio_dev *dev, u8 type, u8 bytes, u8 bar, u32 off, u32 len)
{
	u8 at = pci_add_cap(&dev->pci, PCI_CAP_ID_VNDR, bytes);
	struct virtio_pci_cap cap;

	memcpy(&cap, dev->pci.cfg + at, sizeof(cap));
	cap.cap_len = bytes;
	cap.cfg_type = type;
	cap.bar = bar;
	cap.offset = htole32(off);
	cap.length = htole32(len);
	memcpy(dev->pci.cfg + at, &cap, sizeof(cap));
	return at;
}

static void add_caps(struct virtio_dev *dev)
{
	const u8 plain = sizeof(struct virtio_pci_cap);
	u32 multiplier = htole32(DOORBELL_BYTES);
	u8 at, *wmask;

	add_cap(dev, VIRTIO_PCI_CAP_COMMON_CFG, plain, BAR_VIRTIO, AT_COMMON, VIRTIO_COMMON_BYTES);
	add_cap(dev, VIRTIO_PCI_CAP_ISR_CFG, plain, BAR_VIRTIO, AT_ISR, 1);
	if (dev->class->config_bytes)
		add_cap(dev, VIRTIO_PCI_CAP_DEVICE_CFG, plain, BAR_VIRTIO, AT_DEVICE,
			dev->class->config_bytes);
	at = add_cap(dev, VIRTIO_PCI_CAP_NOTIFY_CFG, sizeof(struct virtio_pci_notify_cap),
		     dev->notify_pio ? BAR_PIO : BAR_VIRTIO,
		     dev->notify_pio ? 0 : AT_NOTIFY,
		     dev->nr_queues * DOORBELL_BYTES);
	memcpy(dev->pci.cfg + at + VIRTIO_PCI_NOTIFY_CAP_MULT, &multiplier, 4);

	dev->pci_cfg_cap = add_cap(dev, VIRTIO_PCI_CAP_PCI_CFG,
				   sizeof(struct virtio_pci_cfg_cap), 0, 0, 0);
	wmask = dev->pci.wmask + dev->pci_cfg_cap;
	wmask[offsetof(struct virtio_pci_cap, bar)] = 0xff;
	memset(wmask + offsetof(struct virtio_pci_cap, offset), 0xff,
	       sizeof(struct virtio_pci_cfg_cap) - offsetof(struct virtio_pci_cap, offset));
}

void virtio_pci_init(struct virtio_dev *dev)
{
	const struct pci_ids ids = {
		.vendor = PCI_VENDOR_VIRTIO,
		.device = PCI_DEVICE_VIRTIO + dev->class->device_id,
		.subsystem_vendor = PCI_VENDOR_VIRTIO,
		.subsystem = PCI_DEVICE_VIRTIO + dev->class->device_id,
		.class = dev->class->pci_class,
		.revision = 1,		/* 4.1.2.1: 1 or more for a modern device */
	};

	pci_dev_init(&dev->pci, dev->vm, &ids);
	dev->pci.name = dev->name;
	dev->pci.cfg_read = cfg_read;
	dev->pci.cfg_written = cfg_written;
	pci_set_bar(&dev->pci, BAR_VIRTIO, PCI_BASE_ADDRESS_MEM_TYPE_64, BAR_VIRTIO_BYTES, &bar_ops, dev,
		    dev->notify_pio ? NULL : doorbells_moved);
	if (dev->notify_pio)
		pci_set_bar(&dev->pci, BAR_PIO, PCI_BASE_ADDRESS_SPACE_IO,
			    VIRTIO_MAX_QUEUES * DOORBELL_BYTES, &notify_ops, dev,
			    doorbells_moved);
	msix_init(&dev->msix, &dev->pci, BAR_MSIX, dev->nr_queues + 1);
	add_caps(dev);
	virtio_isr_init(dev);
	pci_register(&dev->pci);
}
