// SPDX-License-Identifier: GPL-2.0
/*
 * The PCI bus: config space by CF8/CFC and by ECAM, and BARs wherever the guest
 * puts them.
 *
 * in:  config accesses
 * out: ranges on the buses, and the devices' moved() and cfg_written()
 */
#include <linux/pci_regs.h>
#include <string.h>

#include "layout.h"
#include "pci.h"

#define CF8_ENABLE	0x80000000U

static struct {
	u32 cf8;
	unsigned int nr;
	struct pci_dev *dev[PCI_MAX_DEVICES];
} pci_bus;

static struct pci_dev host_bridge;

static u32 cfg_get32(const struct pci_dev *pci, u32 off)
{
	u32 v;

	memcpy(&v, pci->cfg + off, sizeof(v));
	return v;
}

/* ---- BARs ----------------------------------------------------------------- */

/* Return: where the guest wants it, or 0 for nowhere. */
static u64 bar_wanted(const struct pci_dev *pci, unsigned int nr)
{
	const struct pci_bar *bar = &pci->bar[nr];
	u32 off = PCI_BASE_ADDRESS_0 + 4 * nr;
	u16 command = cfg_get32(pci, PCI_COMMAND);
	u64 addr;

	if (!bar->bytes || pci->hidden || pci->gone)
		return 0;
	if (bar->io) {
		addr = cfg_get32(pci, off) & PCI_BASE_ADDRESS_IO_MASK;
		return command & PCI_COMMAND_IO && addr <= 0xffff ? addr : 0;
	}
	addr = cfg_get32(pci, off) & PCI_BASE_ADDRESS_MEM_MASK;
	if (bar->wide)
		addr |= (u64)cfg_get32(pci, off + 4) << 32;
	return command & PCI_COMMAND_MEMORY ? addr : 0;
}

static void bar_unmap(struct pci_bar *bar)
{
	struct vm *vm = bar->pci->vm;

	bar->mapped = false;
	if (bar->moved)
		bar->moved(bar);
	bus_remove(bar->io ? &vm->pio : &vm->mmio, &bar->range);
}

static void bar_map(struct pci_bar *bar, u64 addr)
{
	struct vm *vm = bar->pci->vm;

	/* Over RAM it would never be seen. */
	if (!bar->io && (guest_ptr(vm, addr, 1) || guest_ptr(vm, addr + bar->bytes - 1, 1)))
		return;
	bar->range.base = addr;
	if (bus_add(bar->io ? &vm->pio : &vm->mmio, &bar->range))
		return;
	bar->mapped = true;
	if (bar->moved)
		bar->moved(bar);
}

/*
 * Brings the buses in line with all BARs. First those go that are to move, then
 * others come: so two may swap places, and one that found its place taken (a
 * guest may well overlap them) gets it as soon as it is free.
 */
static void remap_all(void)
{
	unsigned int i, nr;

	for (i = 0; i < pci_bus.nr; i++)
		for (nr = 0; nr < PCI_NR_BARS; nr++) {
			struct pci_bar *bar = &pci_bus.dev[i]->bar[nr];

			if (bar->mapped && bar->range.base != bar_wanted(bar->pci, nr))
				bar_unmap(bar);
		}
	for (i = 0; i < pci_bus.nr; i++)
		for (nr = 0; nr < PCI_NR_BARS; nr++) {
			struct pci_bar *bar = &pci_bus.dev[i]->bar[nr];
			u64 addr = bar->mapped ? 0 : bar_wanted(pci_bus.dev[i], nr);

			if (addr)
				bar_map(bar, addr);
		}
}

/* ---- Config space ----------------------------------------------------------- */

static u64 cfg_read(u8 devfn, u32 off, u32 len)
{
	struct pci_dev *pci = NULL;
	unsigned int i;
	u64 v = 0;

	for (i = 0; i < pci_bus.nr; i++)
		if (pci_bus.dev[i]->devfn == devfn)
			pci = pci_bus.dev[i];
	if (!pci || pci->gone)
		return ~0UL;
	if (off + len > PCI_CFG_BYTES)
		return 0;		/* no extended capabilities */
	if (pci->cfg_read)
		pci->cfg_read(pci, off, len);
	memcpy(&v, pci->cfg + off, len);
	return v;
}

static void cfg_write(u8 devfn, u32 off, u32 len, u64 val)
{
	unsigned int i;
	u32 k;

	for (i = 0; i < pci_bus.nr; i++) {
		struct pci_dev *pci = pci_bus.dev[i];

		if (pci->devfn != devfn || pci->gone || off + len > PCI_CFG_BYTES)
			continue;
		for (k = 0; k < len; k++) {
			u8 mask = pci->wmask[off + k], *p = &pci->cfg[off + k];

			*p = (*p & ~mask) | (val >> 8 * k & mask);
		}
		if (off < PCI_BASE_ADDRESS_5 + 4 && off + len > PCI_COMMAND)
			remap_all();
		if (pci->cfg_written)
			pci->cfg_written(pci, off, len);
	}
}

/* CF8 has the address, CFC to CFF the data. Bus 0 alone. */
static u64 cf8_read(void *dev, u64 off, unsigned int len)
{
	(void)dev;
	if (off == 0 && len == 4)
		return pci_bus.cf8;
	if (off < 4 || (pci_bus.cf8 & 0xff000000) != CF8_ENABLE || pci_bus.cf8 >> 16 & 0xff)
		return ~0UL;
	return cfg_read(pci_bus.cf8 >> 8, (pci_bus.cf8 & 0xfc) + off - 4, len);
}

static void cf8_write(void *dev, u64 off, unsigned int len, u64 val)
{
	(void)dev;
	if (off == 0 && len == 4)
		pci_bus.cf8 = val;
	else if (off >= 4 && (pci_bus.cf8 & 0xff000000) == CF8_ENABLE &&
		 !(pci_bus.cf8 >> 16 & 0xff))
		cfg_write(pci_bus.cf8 >> 8, (pci_bus.cf8 & 0xfc) + off - 4, len, val);
}

static u64 ecam_read(void *dev, u64 off, unsigned int len)
{
	(void)dev;
	return cfg_read(off >> 12, off & 0xfff, len);
}

static void ecam_write(void *dev, u64 off, unsigned int len, u64 val)
{
	(void)dev;
	cfg_write(off >> 12, off & 0xfff, len, val);
}

static const struct bus_ops cf8_ops = { cf8_read, cf8_write };
static const struct bus_ops ecam_ops = { ecam_read, ecam_write };

static struct bus_range cf8_range = {
	.base = PORT_PCI_CF8, .len = 8, .ops = &cf8_ops,
};

static struct bus_range ecam_range = {
	.base = LAYOUT_ECAM, .len = LAYOUT_ECAM_BYTES, .ops = &ecam_ops,
};

/* ---- Set-up ------------------------------------------------------------------ */

static void put(struct pci_dev *pci, u32 off, u32 bytes, u32 v)
{
	memcpy(pci->cfg + off, &v, bytes);
}

void pci_dev_init(struct pci_dev *pci, struct vm *vm, const struct pci_ids *ids)
{
	pci->vm = vm;
	pci->cap_end = 0x40;
	put(pci, PCI_VENDOR_ID, 2, ids->vendor);
	put(pci, PCI_DEVICE_ID, 2, ids->device);
	put(pci, PCI_CLASS_REVISION, 4, ids->class << 8 | ids->revision);
	put(pci, PCI_SUBSYSTEM_VENDOR_ID, 2, ids->subsystem_vendor);
	put(pci, PCI_SUBSYSTEM_ID, 2, ids->subsystem);
	pci->wmask[PCI_COMMAND] = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	pci->wmask[PCI_COMMAND + 1] = PCI_COMMAND_INTX_DISABLE >> 8;
	pci->wmask[PCI_INTERRUPT_LINE] = 0xff;
}

void pci_set_bar(struct pci_dev *pci, unsigned int nr, u32 flags, u64 bytes,
		 const struct bus_ops *ops, void *dev, void (*moved)(struct pci_bar *))
{
	u32 off = PCI_BASE_ADDRESS_0 + 4 * nr;
	bool io = flags & PCI_BASE_ADDRESS_SPACE_IO;
	bool wide = !io && (flags & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64;
	u64 mask = ~(bytes - 1);

	pci->bar[nr] = (struct pci_bar) {
		.pci = pci, .bytes = bytes, .io = io, .wide = wide, .moved = moved,
		.range = { .len = bytes, .ops = ops, .dev = dev },
	};
	/* The flag bits are below any size, so the mask leaves them alone. */
	put(pci, off, 4, flags);
	mask &= io ? PCI_BASE_ADDRESS_IO_MASK : PCI_BASE_ADDRESS_MEM_MASK;
	memcpy(pci->wmask + off, &mask, wide ? 8 : 4);
}

u8 pci_add_cap(struct pci_dev *pci, u8 id, u8 bytes)
{
	u8 at = pci->cap_end;

	pci->cap_end = (at + bytes + 3) & ~3;
	pci->cfg[at] = id;
	pci->cfg[pci->last_cap ? pci->last_cap + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST] = at;
	pci->cfg[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	pci->last_cap = at;
	return at;
}

u32 pci_pin_gsi(const struct pci_dev *pci)
{
	return GSI_INTX_FIRST + (pci->devfn / 8 + pci->cfg[PCI_INTERRUPT_PIN] - 1) % NR_INTX_GSIS;
}

void pci_register(struct pci_dev *pci)
{
	pci->devfn = pci_bus.nr << 3;
	/* As firmware leaves it, for a guest that knows of neither ACPI nor MP table. */
	if (pci->cfg[PCI_INTERRUPT_PIN])
		pci->cfg[PCI_INTERRUPT_LINE] = pci_pin_gsi(pci);
	memcpy(pci->reset_cfg, pci->cfg, sizeof(pci->cfg));
	pci_bus.dev[pci_bus.nr++] = pci;
}

void pci_update_bars(void)
{
	remap_all();
}

void pci_reset_one(struct pci_dev *pci)
{
	memcpy(pci->cfg, pci->reset_cfg, PCI_CFG_BYTES);
	pci->hidden = false;
	remap_all();
}

void pci_reset(void)
{
	unsigned int i;

	for (i = 0; i < pci_bus.nr; i++) {
		memcpy(pci_bus.dev[i]->cfg, pci_bus.dev[i]->reset_cfg, PCI_CFG_BYTES);
		pci_bus.dev[i]->hidden = false;
	}
	remap_all();
	pci_bus.cf8 = 0;
}

void pci_init(struct vm *vm)
{
	/* The generic PCIe host bridge, which needs no driver. */
	static const struct pci_ids ids = {
		.vendor = 0x1b36, .device = 0x0008, .class = 0x060000,
	};

	bus_add(&vm->pio, &cf8_range);
	bus_add(&vm->mmio, &ecam_range);
	pci_dev_init(&host_bridge, vm, &ids);
	pci_register(&host_bridge);
}
