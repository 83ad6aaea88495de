// SPDX-License-Identifier: GPL-2.0
/*
 * The PCI transport, modern alone (VIRTIO 1.2, 4.1): registers and doorbells.
 *
 * in:  accesses to the BARs and to config space
 * out: the device's state; doorbells armed wherever their BAR lies
 *
 * BAR 0 has each structure on a page of its own:
 *
 *	0000 common config	1000 ISR	2000 device config	3000 doorbells
 *
 * BAR 2 is MSI-X, and BAR 4, if notify=pio, has the doorbells in place of BAR 0.
 */
#include <endian.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
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
#define COMMON_BYTES		56	/* to the end of queue_used */
#define NR_VECTORS(dev)		((dev)->class->nr_queues + 1U)

#define PCI_VENDOR_VIRTIO	0x1af4
#define PCI_DEVICE_VIRTIO	0x1040

/* The ring that queue_select names, or NULL. */
static struct datapath_queue *selected(struct virtio_dev *dev)
{
	return dev->queue_select < dev->class->nr_queues ?
	       &dev->ring[dev->queue_select] : NULL;
}

/* ---- Common configuration (4.1.4.3) ---------------------------------------------- */

static u32 feature_word(u64 features, u32 select)
{
	return select < 2 ? features >> 32 * select : 0;
}

/* As the driver would see all of it; reads have no side effects. */
static void common_fill(struct virtio_dev *dev, struct virtio_pci_common_cfg *c)
{
	const struct datapath_queue *r = selected(dev);

	*c = (struct virtio_pci_common_cfg) {
		.device_feature_select = htole32(dev->device_feature_select),
		.device_feature = htole32(feature_word(dev->offered,
						       dev->device_feature_select)),
		.guest_feature_select = htole32(dev->driver_feature_select),
		.guest_feature = htole32(feature_word(dev->acked,
						      dev->driver_feature_select)),
		.msix_config = htole16(dev->config_vector),
		.num_queues = htole16(dev->class->nr_queues),
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
}

static u64 common_read(struct virtio_dev *dev, u64 off, unsigned int len)
{
	struct virtio_pci_common_cfg c;
	u64 v = 0;

	if (off + len > COMMON_BYTES)
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
	return val < NR_VECTORS(dev) ? val : MSIX_NO_VECTOR;
}

static void set_half(u64 *field, bool high, u32 val)
{
	u32 half[2] = { *field, *field >> 32 };

	half[high] = val;
	*field = half[0] | (u64)half[1] << 32;
}

/*
 * A queue's fields. The datapath has copies of them from DRIVER_OK on, so that
 * a later write could do no more than make the two differ: it is inert.
 */
static void queue_write(struct virtio_dev *dev, u64 off, u64 val)
{
	struct datapath_queue *r = selected(dev);

	if (!r || dev->status & VIRTIO_CONFIG_S_DRIVER_OK)
		return;
	if (off == VIRTIO_PCI_COMMON_Q_MSIX) {
		dev->q[dev->queue_select].vector = check_vector(dev, val);
		return;
	}
	if (r->enabled)		/* 4.1.4.3.2: configured before it is enabled */
		return;
	switch (off) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		if (vring_size_ok(val) && val <= dev->class->queue_size &&
		    val <= dev->datapath->max_queue_size)
			r->num = val;
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		r->enabled = val == 1;
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

/* Width of the field that starts at @off, or 0. */
static unsigned int common_width(u64 off)
{
	switch (off) {
	case VIRTIO_PCI_COMMON_STATUS:
		return 1;
	case VIRTIO_PCI_COMMON_MSIX:
	case VIRTIO_PCI_COMMON_Q_SELECT ... VIRTIO_PCI_COMMON_Q_NOFF:
		return off & 1 ? 0 : 2;
	default:
		return off & 3 || off >= COMMON_BYTES ? 0 : 4;
	}
}

/* 4.1.3.1: the driver uses each field's own width, 64-bit ones as two halves. */
static void common_write(struct virtio_dev *dev, u64 off, unsigned int len, u64 val)
{
	if (len == 8 && off >= VIRTIO_PCI_COMMON_Q_DESCLO) {
		common_write(dev, off, 4, val & 0xffffffff);
		common_write(dev, off + 4, 4, val >> 32);
		return;
	}
	if (len != common_width(off))
		return;
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
	default:
		queue_write(dev, off, val);
	}
}

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

/* KVM has no doorbell there yet, or it is not exactly one's address. */
static void notify_write(void *opaque, u64 off, unsigned int len, u64 val)
{
	struct virtio_dev *dev = opaque;
	u64 i = off / DOORBELL_BYTES;

	(void)len, (void)val;
	if (i >= dev->class->nr_queues)
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
		return common_read(dev, off - AT_COMMON, len);
	case AT_DEVICE:
		return config_read(dev, off - AT_DEVICE, len);
	default:
		return 0;	/* ISR included: it is for INTx, which we lack */
	}
}

static void bar_write(void *opaque, u64 off, unsigned int len, u64 val)
{
	struct virtio_dev *dev = opaque;

	if (off < AT_ISR)
		common_write(dev, off - AT_COMMON, len, val);
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

	for (i = 0; i < dev->class->nr_queues; i++) {
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

	add_cap(dev, VIRTIO_PCI_CAP_COMMON_CFG, plain, BAR_VIRTIO, AT_COMMON, COMMON_BYTES);
	add_cap(dev, VIRTIO_PCI_CAP_ISR_CFG, plain, BAR_VIRTIO, AT_ISR, 1);
	if (dev->class->config_bytes)
		add_cap(dev, VIRTIO_PCI_CAP_DEVICE_CFG, plain, BAR_VIRTIO, AT_DEVICE,
			dev->class->config_bytes);
	at = add_cap(dev, VIRTIO_PCI_CAP_NOTIFY_CFG, sizeof(struct virtio_pci_notify_cap),
		     dev->notify_pio ? BAR_PIO : BAR_VIRTIO,
		     dev->notify_pio ? 0 : AT_NOTIFY,
		     dev->class->nr_queues * DOORBELL_BYTES);
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
	dev->pci.cfg_read = cfg_read;
	dev->pci.cfg_written = cfg_written;
	pci_set_bar(&dev->pci, BAR_VIRTIO, false, BAR_VIRTIO_BYTES, &bar_ops, dev,
		    dev->notify_pio ? NULL : doorbells_moved);
	if (dev->notify_pio)
		pci_set_bar(&dev->pci, BAR_PIO, true,
			    VIRTIO_MAX_QUEUES * DOORBELL_BYTES, &notify_ops, dev,
			    doorbells_moved);
	msix_init(&dev->msix, &dev->pci, BAR_MSIX, NR_VECTORS(dev));
	add_caps(dev);
	pci_register(&dev->pci);
}
