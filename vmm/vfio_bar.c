// SPDX-License-Identifier: GPL-2.0
/*
 * BARs: the device's registers in the guest's memory.
 *
 * in:  what VFIO says of each region: its size, what of it may be mapped
 * out: memory slots of KVM where the guest has put the BAR, and accesses that come to us where that cannot be
 *
 * All of a BAR is on the bus, so that every access has somebody to answer it. What may be mapped is a memory slot on top: the CPU goes to the
 * device, and the bus never hears of it. Not mapped are
 *
 *  - the pages with the MSI-X table and its pending bits: both are ours (msix.c). What else is on these pages is read and written for
 *    the guest.
 *  - what VFIO keeps out of its sparse areas, BARs of less than a page, and ports.
 *
 * Slots come and go with the BAR (pci.c): with memory decode off nothing is reachable. When KVM has taken a slot away, no vCPU is in it.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vfio.h"

/* Past vm.c's. */
#define FIRST_SLOT	16

/* What the window below 4 GiB has room for, beside others: layout.h, dsdt.asl. */
#define MAX_LOW_BYTES	(256 * MIB)

/* ---- Accesses that come to us ----------------------------------------------------------- */

static unsigned int nr_of(const struct vfio_region *r)
{
	return r - r->dev->bar;
}

/* A part of a BAR that is ours: the table, or the pending bits. */
struct hole {
	unsigned int bar;
	u64 off, bytes;
};

static struct hole table_of(const struct vfio_dev *d)
{
	return (struct hole) { d->msix_at.table_bar, d->msix_at.table, d->msix.nr * PCI_MSIX_ENTRY_SIZE };
}

/* Words of 64. */
static struct hole pba_of(const struct vfio_dev *d)
{
	return (struct hole) { d->msix_at.pba_bar, d->msix_at.pba, (d->msix.nr + 63UL) / 64 * 8 };
}

static bool touches(const struct vfio_region *r, struct hole h, u64 off, u64 len)
{
	return h.bytes && nr_of(r) == h.bar && off < h.off + h.bytes && off + len > h.off;
}

/* One that begins before a hole is not aligned, and so undefined, which msix.c sees. */
static u64 bar_read(void *opaque, u64 off, unsigned int len)
{
	struct vfio_region *r = opaque;
	struct hole table = table_of(r->dev), pba = pba_of(r->dev);
	u64 v = 0;

	r->accesses++;
	if (touches(r, table, off, len))
		return msix_table_read(&r->dev->msix, off - table.off, len);
	if (touches(r, pba, off, len))
		return msix_pba_read(&r->dev->msix, off - pba.off, len);
	return pread(r->dev->fd, &v, len, r->offset + off) == (ssize_t)len ? v : ~0UL;
}

static void bar_write(void *opaque, u64 off, unsigned int len, u64 val)
{
	struct vfio_region *r = opaque;
	struct hole table = table_of(r->dev);

	r->accesses++;
	if (touches(r, table, off, len)) {
		msix_table_write(&r->dev->msix, off - table.off, len, val);
		return;
	}
	if (touches(r, pba_of(r->dev), off, len))
		return;
	/* What the device makes of it is between the guest and the device. */
	if (pwrite(r->dev->fd, &val, len, r->offset + off) < 0)
		return;
}

static const struct bus_ops bar_ops = { bar_read, bar_write };

/* ---- Memory slots -------------------------------------------------------------------------- */

struct slot_call {
	int vm_fd;
	struct kvm_userspace_memory_region slot;
};

static int set_slot_now(void *arg)
{
	const struct slot_call *call = arg;

	return ioctl(call->vm_fd, KVM_SET_USER_MEMORY_REGION, &call->slot) ? -errno : 0;
}

/* A vCPU's thread, next to the guest, is not to be able to give it memory: so another does. */
static int set_slot(const struct vm *vm, const struct vfio_area *a, u64 gpa, u64 bytes)
{
	struct slot_call call = {
		.vm_fd = vm->fd,
		.slot = {
			.slot = a->slot,
			.guest_phys_addr = gpa,
			.memory_size = bytes,
			.userspace_addr = (u64)a->hva,
		},
	};

	return thread_call(set_slot_now, &call);
}

/* Where KVM has something of its own, a slot is not to be had, and accesses come to the bus. */
static void bar_moved(struct pci_bar *bar)
{
	struct vfio_region *r = bar->range.dev;
	unsigned int i;

	for (i = 0; i < r->nr_areas; i++) {
		struct vfio_area *a = &r->area[i];

		if (bar->mapped)
			a->in_guest = !set_slot(bar->pci->vm, a, bar->range.base + a->off, a->bytes);
		else if (a->in_guest)
			a->in_guest = !!set_slot(bar->pci->vm, a, bar->range.base + a->off, 0);
	}
}

/* ---- Set-up ---------------------------------------------------------------------------------- */

static void add_area(struct vfio_region *r, u64 from, u64 to)
{
	static u32 slots = FIRST_SLOT;
	struct vfio_area *a = &r->area[r->nr_areas];
	int prot = PROT_READ | PROT_WRITE;

	from = (from + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	to &= ~(PAGE_BYTES - 1);
	if (to <= from || r->nr_areas == VFIO_MAX_AREAS)
		return;
	a->hva = mmap(NULL, to - from, prot, MAP_SHARED, r->dev->fd, r->offset + from);
	if (a->hva == MAP_FAILED)
		return;		/* accesses come to us, then */
	a->off = from;
	a->bytes = to - from;
	a->slot = slots++;
	r->nr_areas++;
}

/* [@from, @to) but for the pages of the holes. */
static void add_around(struct vfio_region *r, u64 from, u64 to, const struct hole *h, unsigned int nr)
{
	u64 hole, end;

	if (!nr) {
		add_area(r, from, to);
		return;
	}
	hole = h->off & ~(PAGE_BYTES - 1);
	end = (h->off + h->bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	if (!h->bytes || h->bar != nr_of(r) || hole >= to || end <= from) {
		add_around(r, from, to, h + 1, nr - 1);
		return;
	}
	add_around(r, from, hole, h + 1, nr - 1);
	add_around(r, end, to, h + 1, nr - 1);
}

/* @info has the capabilities behind it. */
static void add_areas(struct vfio_region *r, const struct vfio_region_info *info)
{
	const struct vfio_region_info_cap_sparse_mmap *sparse = NULL;
	struct hole holes[] = { table_of(r->dev), pba_of(r->dev) };
	u32 at = info->flags & VFIO_REGION_INFO_FLAG_CAPS ? info->cap_offset : 0;
	unsigned int i;

	if (!(info->flags & VFIO_REGION_INFO_FLAG_MMAP))
		return;
	while (at) {
		const struct vfio_info_cap_header *head = (const void *)((const u8 *)info + at);

		if (head->id == VFIO_REGION_INFO_CAP_SPARSE_MMAP)
			sparse = (const void *)head;
		at = head->next;
	}
	if (!sparse)
		add_around(r, 0, r->bytes, holes, ARRAY_SIZE(holes));
	for (i = 0; sparse && i < sparse->nr_areas; i++)
		add_around(r, sparse->areas[i].offset, sparse->areas[i].offset + sparse->areas[i].size,
			   holes, ARRAY_SIZE(holes));
}

static struct vfio_region_info *region_info(const struct vfio_dev *d, unsigned int index)
{
	struct vfio_region_info *info = calloc(1, sizeof(*info));
	u32 bytes = sizeof(*info);

	/* Asked again with more room, if there are capabilities. */
	for (;;) {
		if (!info)
			die("--vfio %s: out of memory", d->name);
		info->argsz = bytes;
		info->index = index;
		if (ioctl(d->fd, VFIO_DEVICE_GET_REGION_INFO, info))
			die("--vfio %s: region %u: %s", d->name, index, strerror(errno));
		if (info->argsz <= bytes)
			return info;
		bytes = info->argsz;
		free(info);
		info = calloc(1, bytes);
	}
}

/* Of a BAR, which may be the only one of its size. */
static u64 max_bytes(const struct vm *vm, u32 flags)
{
	bool high = flags & PCI_BASE_ADDRESS_MEM_PREFETCH &&
		    (flags & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64;

	return high && vm->high_window > MAX_LOW_BYTES ? vm->high_window : MAX_LOW_BYTES;
}

static void init_one(struct vfio_dev *d, unsigned int nr)
{
	struct vfio_region *r = &d->bar[nr];
	struct vfio_region_info *info = region_info(d, VFIO_PCI_BAR0_REGION_INDEX + nr);
	u32 flags = 0;

	*r = (struct vfio_region) { .dev = d, .offset = info->offset, .bytes = info->size };
	if (!r->bytes || pread(d->fd, &flags, 4, d->cfg_offset + PCI_BASE_ADDRESS_0 + 4 * nr) != 4)
		goto out;
	if (flags & PCI_BASE_ADDRESS_SPACE_IO) {
		flags &= ~PCI_BASE_ADDRESS_IO_MASK;
	} else {
		flags &= ~PCI_BASE_ADDRESS_MEM_MASK;
		if (r->bytes > max_bytes(d->pci.vm, flags))
			die("--vfio %s: BAR %u has %luM: the guest has room for %luM at most of its kind", d->name, nr, r->bytes / MIB,
			    max_bytes(d->pci.vm, flags) / MIB);
		add_areas(r, info);
	}
	pci_set_bar(&d->pci, nr, flags, r->bytes, &bar_ops, r, bar_moved);
out:
	free(info);
}

void vfio_bar_init(struct vfio_dev *d)
{
	unsigned int nr;

	for (nr = 0; nr < PCI_NR_BARS; nr++)
		init_one(d, nr);
}

void vfio_bar_close(struct vfio_dev *d)
{
	unsigned int nr, i;

	for (nr = 0; nr < PCI_NR_BARS; nr++) {
		struct vfio_region *r = &d->bar[nr];

		for (i = 0; i < r->nr_areas; i++)
			munmap(r->area[i].hva, r->area[i].bytes);
		r->nr_areas = 0;
	}
}

u64 vfio_bar_mapped_bytes(const struct vfio_region *r)
{
	u64 bytes = 0;
	unsigned int i;

	for (i = 0; i < r->nr_areas; i++)
		bytes += r->area[i].bytes;
	return bytes;
}
