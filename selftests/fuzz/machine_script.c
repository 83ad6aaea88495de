// SPDX-License-Identifier: GPL-2.0
/*
 * Plays bytes on the machine: see machine_script.h.
 *
 * A step is what (1 byte), which device (1), three small numbers (2), and a large one (8). Half of the kinds are accesses as
 * wild as a guest can make them, the others what a driver does, so that the wild ones find something to break.
 */
#include "machine_script.h"

#include "../lib/machine.h"

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <string.h>

struct step {
	u8 what;
	u8 dev;
	u8 a, b;
	u64 v;
};

static const u8 bars[] = { 0, 2, 4 };

/* Places that matter: free ones, of which two overlap, RAM's, config space's, both ends of what there is. */
static const u64 places[] = {
	0xd0000000, 0xd0004000, 0xd0008000, 0xd000c000, 0xd0002000, 0, 0x1000, MACHINE_RAM_BYTES - 0x2000,
	MACHINE_RAM_BYTES, LAYOUT_ECAM, LAYOUT_ECAM - 0x2000, 0xfffffffffffffc00, 0xffffffffffffc000, 0x100000000,
	0x8000000000, LAYOUT_IOAPIC,
};

static const u16 ports[] = {
	0xc000, 0xc040, 0xc080, 0xc010, 0, PORT_PCI_CF8, PORT_RESET, 0xffc0,
};

static unsigned int width(u8 b)
{
	return (b & 7) + 1;	/* an access that crosses a page comes in odd parts */
}

static unsigned int vector_of(const struct step *s)
{
	return s->a % virtio_dev_at(s->dev)->msix.nr;
}

static void cfg_access(const struct step *s, bool write)
{
	u32 off = (s->a | (s->b & 0x0f) << 8) & 0xfff;
	u64 addr = LAYOUT_ECAM + ((u64)(s->dev + 1) << 15) + off;

	if (s->b & 0x80)	/* any function there may be */
		addr = LAYOUT_ECAM + (s->v & (LAYOUT_ECAM_BYTES - 1));
	if (write)
		machine_write(false, addr, width(s->b >> 4), s->v);
	else
		machine_read(false, addr, width(s->b >> 4));
}

static void cf8_access(const struct step *s)
{
	machine_write(true, PORT_PCI_CF8, 4, s->b & 1 ? s->v : 0x80000000 | (s->dev + 1) << 11 | (s->a & 0xfc));
	if (s->b & 2)
		machine_write(true, PORT_PCI_CF8 + 4 + (s->b >> 6), width(s->b >> 3), s->v);
	else
		machine_read(true, PORT_PCI_CF8 + 4 + (s->b >> 6), width(s->b >> 3));
}

/* Wherever the guest has put it, decoded or not. */
static void bar_access(const struct step *s, bool write)
{
	const struct pci_bar *bar = &virtio_dev_at(s->dev)->pci.bar[bars[s->b % 3]];
	u64 addr;

	if (!bar->bytes)
		return;
	addr = bar->range.base + ((s->v >> 48 | (u64)s->a << 4) & (bar->bytes - 1));
	if (write)
		machine_write(bar->io, addr, width(s->b >> 2), s->v);
	else
		machine_read(bar->io, addr, width(s->b >> 2));
}

/* Common config, at the widths of its fields. */
static void common_write(const struct step *s)
{
	static const struct {
		u8 off, len;
	} fields[] = {
		{ VIRTIO_PCI_COMMON_DFSELECT, 4 }, { VIRTIO_PCI_COMMON_GFSELECT, 4 }, { VIRTIO_PCI_COMMON_GF, 4 },
		{ VIRTIO_PCI_COMMON_MSIX, 2 }, { VIRTIO_PCI_COMMON_STATUS, 1 }, { VIRTIO_PCI_COMMON_Q_SELECT, 2 },
		{ VIRTIO_PCI_COMMON_Q_SIZE, 2 }, { VIRTIO_PCI_COMMON_Q_MSIX, 2 }, { VIRTIO_PCI_COMMON_Q_ENABLE, 2 },
		{ VIRTIO_PCI_COMMON_Q_DESCLO, 8 }, { VIRTIO_PCI_COMMON_Q_AVAILLO, 8 }, { VIRTIO_PCI_COMMON_Q_USEDLO, 8 },
		{ VIRTIO_PCI_COMMON_Q_DESCHI, 4 }, { VIRTIO_PCI_COMMON_Q_NOFF, 2 },
		{ VIRTIO_PCI_COMMON_Q_RESET, 2 }, { VIRTIO_PCI_COMMON_Q_RESET, 2 },
	};
	unsigned int i = s->a % ARRAY_SIZE(fields);
	u64 v = s->b & 3 ? s->v & 0xff : s->v;	/* small numbers are likelier to mean something */

	if (s->b & 4 && (fields[i].off == VIRTIO_PCI_COMMON_Q_RESET || fields[i].off == VIRTIO_PCI_COMMON_Q_ENABLE))
		v = 1;
	if (s->b & 4 && fields[i].off == VIRTIO_PCI_COMMON_Q_SELECT)
		v &= 3;
	machine_common_write(s->dev, fields[i].off, fields[i].len, v);
}

static void place(const struct step *s)
{
	unsigned int bar = bars[s->b % 3];

	if (virtio_dev_at(s->dev)->pci.bar[bar].io)
		machine_place(s->dev, bar, ports[s->a % ARRAY_SIZE(ports)]);
	else
		machine_place(s->dev, bar, places[s->a % ARRAY_SIZE(places)]);
}

static void drive(const struct step *s)
{
	u64 features = s->b & 1 ? virtio_dev_at(s->dev)->offered : s->v;

	if (s->b & 2)
		features |= 1UL << VIRTIO_F_VERSION_1;
	if (s->b & 4)
		features &= ~(1UL << VIRTIO_F_RING_PACKED);
	if (s->b & 0x80)
		machine_drive_intx(s->dev, features, s->a, 1 << (s->b >> 4 & 7), s->b & 8 ? s->v : 0x10000);
	else
		machine_drive(s->dev, features, s->a, 1 << (s->b >> 4 & 7), s->b & 8 ? s->v : 0x10000);
}

/* 4.1.4.9, by the registers that a driver uses. */
static void window(const struct step *s)
{
	u8 at = machine_cap(s->dev, PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_PCI_CFG);

	machine_cfg_write(s->dev, at + offsetof(struct virtio_pci_cap, bar), 1, s->b & 7);
	machine_cfg_write(s->dev, at + offsetof(struct virtio_pci_cap, offset), 4, s->v >> 32 & (s->b & 0x80 ? ~0U : 0x3fff));
	machine_cfg_write(s->dev, at + offsetof(struct virtio_pci_cap, length), 4, s->b & 0x40 ? s->v : 1U << (s->b >> 3 & 3));
	if (s->a & 1)
		machine_cfg_write(s->dev, at + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data), 4, s->v);
	else
		machine_cfg_read(s->dev, at + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data), 4);
}

static void owner(const struct step *s)
{
	struct virtio_dev *dev = virtio_dev_at(s->dev);

	pthread_mutex_lock(&dev->vm->lock);
	switch (s->a & 3) {
	case 0:
		virtio_hold_all();
		break;
	case 1:
		virtio_unhold_all();
		break;
	case 2:
		virtio_config_changed(dev);
		break;
	default:
		virtio_needs_reset(dev, "the test's wish");
	}
	pthread_mutex_unlock(&dev->vm->lock);
	machine_pump();
}

/* What interrupts, and what a guest does about that. */
static void event(const struct step *s)
{
	struct virtio_dev *dev = virtio_dev_at(s->dev);
	unsigned int q = s->a % dev->nr_queues;

	switch (s->b >> 1 & 7) {
	case 0:
	case 1:
		if (dev->ring[q].enabled && dev->status & VIRTIO_CONFIG_S_DRIVER_OK)
			machine_event(s->dev, q);
		break;
	case 2:
		machine_isr(s->dev);
		break;
	case 3:
		machine_interrupt(s->dev);
		break;
	case 4:
		machine_eoi(s->dev);
		break;
	case 5:
		machine_main_thread(s->a & 1);
		break;
	default:
		machine_raise(s->dev, vector_of(s));
		if (s->b & 1)	/* which is not to change it */
			machine_is_pending(s->dev, vector_of(s));
	}
}

void machine_script_step(const u8 *bytes)
{
	struct step s = { .what = bytes[0], .dev = bytes[1] % machine_nr_devices(), .a = bytes[2], .b = bytes[3] };

	memcpy(&s.v, bytes + 4, sizeof(s.v));
	switch (s.what % 18) {
	case 0:
	case 1:
		cfg_access(&s, s.what % 18);
		break;
	case 2:
		cf8_access(&s);
		break;
	case 3:
	case 4:
	case 5:
		bar_access(&s, s.what % 18 > 3);
		break;
	case 6:
		machine_write(s.b & 1, s.b & 1 ? s.v >> 48 : s.v, width(s.b >> 1), s.v);
		break;
	case 7:
		machine_read(s.b & 1, s.b & 1 ? s.v >> 48 : s.v, width(s.b >> 1));
		break;
	case 8:
	case 9:
		common_write(&s);
		break;
	case 10:
		place(&s);
		break;
	case 11:
		machine_cfg_write(s.dev, PCI_COMMAND, 2, s.v);
		break;
	case 12:
		machine_msix_control(s.dev, s.a & 3, s.b & 1);
		break;
	case 13:
		machine_vector_write(s.dev, vector_of(&s), s.b & 3, s.b & 4 ? 0 : s.v);
		break;
	case 14:
		event(&s);
		break;
	case 15:
		if (s.a < 8)
			machine_reset();
		else
			drive(&s);
		break;
	case 16:
		window(&s);
		break;
	default:
		owner(&s);
	}
	machine_check();
}

void machine_script_play(const u8 *bytes, size_t n)
{
	for (; n >= MACHINE_STEP_BYTES; bytes += MACHINE_STEP_BYTES, n -= MACHINE_STEP_BYTES)
		machine_script_step(bytes);
	machine_reset();
	machine_check();
}
