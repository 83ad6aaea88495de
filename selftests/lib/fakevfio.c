// SPDX-License-Identifier: GPL-2.0
/* See fakevfio.h. */
#include "fakevfio.h"

#include <errno.h>
#include <linux/kvm.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CFG_AT		0UL
#define BAR_AT(n)	(0x100000UL * ((n) + 1))
#define MAX_FDS		4096
#define MAX_SLOTS	64
#define RAM_BYTES	0x400000UL

static const struct {
	u64 bytes;
	u32 flags;
} bars[6] = {
	[0] = { 0x10000, PCI_BASE_ADDRESS_MEM_TYPE_64 },
	[2] = { 0x1000, 0 },
	[3] = { 32, PCI_BASE_ADDRESS_SPACE_IO },
	[4] = { 256, 0 },
};

static struct {
	int fd;
	bool fixed;
	u8 was[256];
	int irq;
	u32 nr;
	int trigger[FAKEVFIO_VECTORS];
	u32 resets;
	struct kvm_userspace_memory_region slot[MAX_SLOTS];
	u32 gsi[MAX_FDS];	/* of an attached eventfd, plus 1 */
} fake;

int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_ioctl(int fd, unsigned long request, ...);

static int fail(int err)
{
	errno = err;
	return -1;
}

/* ---- VFIO ---------------------------------------------------------------------- */

static int region_info(struct vfio_region_info *info)
{
	if (info->index == VFIO_PCI_CONFIG_REGION_INDEX) {
		info->offset = CFG_AT;
		info->size = 256;
		info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
		return 0;
	}
	CHECK(info->index < 6, "region %u", info->index);
	info->offset = BAR_AT(info->index);
	info->size = bars[info->index].bytes;
	info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	if (info->size >= 4096)
		info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
	return 0;
}

static int irq_info(struct vfio_irq_info *info)
{
	static const u32 count[] = {
		[VFIO_PCI_INTX_IRQ_INDEX] = 1, [VFIO_PCI_MSI_IRQ_INDEX] = 4, [VFIO_PCI_MSIX_IRQ_INDEX] = FAKEVFIO_VECTORS,
		[VFIO_PCI_ERR_IRQ_INDEX] = 1, [VFIO_PCI_REQ_IRQ_INDEX] = 1,
	};

	info->count = count[info->index];
	info->flags = VFIO_IRQ_INFO_EVENTFD;
	if (info->index == VFIO_PCI_MSI_IRQ_INDEX || (info->index == VFIO_PCI_MSIX_IRQ_INDEX && fake.fixed))
		info->flags |= VFIO_IRQ_INFO_NORESIZE;
	return 0;
}

/* vfio_pci_set_msi_trigger() and its like. */
static int set_irqs(const struct vfio_irq_set *set)
{
	const int *fds = (const int *)set->data;
	int index = set->index;
	u32 i;

	if (index == VFIO_PCI_ERR_IRQ_INDEX || index == VFIO_PCI_REQ_IRQ_INDEX)
		return 0;
	if (set->flags & VFIO_IRQ_SET_ACTION_UNMASK) {
		CHECK(fake.irq == VFIO_PCI_INTX_IRQ_INDEX && index == fake.irq, "unmask of %d while %d is on", index, fake.irq);
		return 0;
	}
	if (set->flags & VFIO_IRQ_SET_DATA_NONE) {
		CHECK(!set->count && index == fake.irq, "%d is switched off while %d is on", index, fake.irq);
		fake.irq = -1;
		fake.nr = 0;
		return 0;
	}
	CHECK(set->count && set->start + set->count <= FAKEVFIO_VECTORS, "vectors %u to %u", set->start, set->start + set->count);
	CHECK(fake.irq < 0 || fake.irq == index, "%d is switched on while %d is on", index, fake.irq);
	if (fake.irq < 0) {
		for (i = 0; i < FAKEVFIO_VECTORS; i++)
			fake.trigger[i] = -1;
		fake.irq = index;
		fake.nr = set->start + set->count;
	} else if (set->start + set->count > fake.nr) {
		CHECK(index == VFIO_PCI_MSIX_IRQ_INDEX && !fake.fixed, "vectors past the %u that there are", fake.nr);
		fake.nr = set->start + set->count;
	}
	for (i = 0; i < set->count; i++)
		fake.trigger[set->start + i] = fds[i];
	return 0;
}

static int reset(void)
{
	CHECK(!fakevfio_nr_slots(), "a reset with registers in the guest");
	CHECK(fake.irq < 0, "a reset with interrupts on");
	fake.resets++;
	return 0;
}

/* ---- KVM ------------------------------------------------------------------------ */

/* kvm_set_memory_region() */
static int set_slot(const struct kvm_userspace_memory_region *slot)
{
	u32 i;

	CHECK(slot->slot < MAX_SLOTS, "slot %u", slot->slot);
	CHECK(!(slot->guest_phys_addr & 0xfff) && !(slot->memory_size & 0xfff), "slot %u is not of pages", slot->slot);
	if (!slot->memory_size) {
		CHECK(fake.slot[slot->slot].memory_size, "slot %u is taken away, and not there", slot->slot);
		fake.slot[slot->slot].memory_size = 0;
		return 0;
	}
	CHECK(!fake.slot[slot->slot].memory_size, "slot %u is moved", slot->slot);
	if (slot->guest_phys_addr < RAM_BYTES)
		return fail(EEXIST);
	for (i = 0; i < MAX_SLOTS; i++)
		if (fake.slot[i].memory_size && slot->guest_phys_addr < fake.slot[i].guest_phys_addr + fake.slot[i].memory_size &&
		    fake.slot[i].guest_phys_addr < slot->guest_phys_addr + slot->memory_size)
			return fail(EEXIST);
	fake.slot[slot->slot] = *slot;
	return 0;
}

static int set_irqfd(const struct kvm_irqfd *arg)
{
	CHECK(arg->fd < MAX_FDS, "fd %u", arg->fd);
	if (arg->flags & KVM_IRQFD_FLAG_DEASSIGN) {
		CHECK(fake.gsi[arg->fd] == arg->gsi + 1, "fd %u is detached from GSI %u, and not there", arg->fd, arg->gsi);
		fake.gsi[arg->fd] = 0;
	} else {
		CHECK(!fake.gsi[arg->fd], "fd %u is attached twice", arg->fd);
		fake.gsi[arg->fd] = arg->gsi + 1;
	}
	return 0;
}

static int of_the_vm(unsigned long request, void *arg)
{
	switch (request) {
	case KVM_CHECK_EXTENSION:
		return 4096;
	case KVM_CREATE_IRQCHIP:
	case KVM_SET_GSI_ROUTING:
		return 0;
	case KVM_IRQFD:
		return set_irqfd(arg);
	case KVM_SET_USER_MEMORY_REGION:
		return set_slot(arg);
	}
	CHECK(false, "ioctl %#lx of the VM", request);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (fd == FAKEVFIO_VM_FD)
		return of_the_vm(request, arg);
	if (fd != fake.fd)
		return __real_ioctl(fd, request, arg);
	switch (request) {
	case VFIO_DEVICE_GET_INFO:
		((struct vfio_device_info *)arg)->flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
		return 0;
	case VFIO_DEVICE_GET_REGION_INFO:
		return region_info(arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return irq_info(arg);
	case VFIO_DEVICE_SET_IRQS:
		return set_irqs(arg);
	case VFIO_DEVICE_RESET:
		return reset();
	}
	CHECK(false, "ioctl %#lx of the device", request);
}

/* ---- The device ----------------------------------------------------------------- */

static void put(u32 off, unsigned int bytes, u32 v)
{
	memcpy(fake.was + off, &v, bytes);
}

static void cap(u8 at, u8 id, u8 next)
{
	fake.was[at] = id;
	fake.was[at + 1] = next;
}

int fakevfio_new(bool fixed)
{
	u32 i;

	memset(&fake, 0, sizeof(fake));
	/* What is in no register shows if it gets through. */
	memset(fake.was, 0xa5, sizeof(fake.was));
	fake.fixed = fixed;
	fake.irq = -1;
	put(PCI_VENDOR_ID, 4, 0x56781234);
	put(PCI_COMMAND, 4, PCI_STATUS_CAP_LIST << 16);
	put(PCI_CLASS_REVISION, 4, 0x01080203);
	put(PCI_HEADER_TYPE, 1, 0x80);
	for (i = 0; i < 6; i++)
		put(PCI_BASE_ADDRESS_0 + 4 * i, 4, bars[i].flags);
	put(PCI_SUBSYSTEM_VENDOR_ID, 4, 0xdef09abc);
	put(PCI_CAPABILITY_LIST, 1, FAKEVFIO_PM);
	cap(FAKEVFIO_PM, PCI_CAP_ID_PM, FAKEVFIO_MSI);
	put(FAKEVFIO_PM + PCI_PM_PMC, 2, 0xfe03);
	put(FAKEVFIO_PM + PCI_PM_CTRL, 2, 0);
	cap(FAKEVFIO_MSI, PCI_CAP_ID_MSI, FAKEVFIO_MSIX);
	put(FAKEVFIO_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT | 2 << 1);
	cap(FAKEVFIO_MSIX, PCI_CAP_ID_MSIX, FAKEVFIO_EXP);
	put(FAKEVFIO_MSIX + PCI_MSIX_FLAGS, 2, FAKEVFIO_VECTORS - 1);
	put(FAKEVFIO_MSIX + PCI_MSIX_TABLE, 4, FAKEVFIO_TABLE);
	put(FAKEVFIO_MSIX + PCI_MSIX_PBA, 4, FAKEVFIO_PBA);
	cap(FAKEVFIO_EXP, PCI_CAP_ID_EXP, FAKEVFIO_VPD);
	put(FAKEVFIO_EXP + PCI_EXP_FLAGS, 2, 0x0002);
	cap(FAKEVFIO_VPD, PCI_CAP_ID_VPD, FAKEVFIO_VENDOR);
	cap(FAKEVFIO_VENDOR, PCI_CAP_ID_VNDR, FAKEVFIO_PM);
	put(FAKEVFIO_VENDOR + PCI_CAP_FLAGS, 1, 16);
	fake.fd = memfd_create("device", 0);
	CHECK(fake.fd >= 0 && !ftruncate(fake.fd, BAR_AT(7)), "memfd: %s", strerror(errno));
	CHECK(pwrite(fake.fd, fake.was, 256, CFG_AT) == 256, "config space: %s", strerror(errno));
	return fake.fd;
}

u8 fakevfio_was(u32 off)
{
	return fake.was[off];
}

u32 fakevfio_cfg(u32 off, unsigned int bytes)
{
	u32 v = 0;

	CHECK(pread(fake.fd, &v, bytes, CFG_AT + off) == (ssize_t)bytes, "config space: %s", strerror(errno));
	return v;
}

int fakevfio_irq(void)
{
	return fake.irq;
}

u32 fakevfio_nr_vectors(void)
{
	return fake.nr;
}

int fakevfio_trigger(u32 vector)
{
	return fake.irq < 0 ? -1 : fake.trigger[vector];
}

u32 fakevfio_resets(void)
{
	return fake.resets;
}

u32 fakevfio_nr_slots(void)
{
	u32 i, nr = 0;

	for (i = 0; i < MAX_SLOTS; i++)
		nr += !!fake.slot[i].memory_size;
	return nr;
}

bool fakevfio_slot(u64 gpa, u64 *bytes)
{
	u32 i;

	for (i = 0; i < MAX_SLOTS; i++) {
		if (!fake.slot[i].memory_size || fake.slot[i].guest_phys_addr != gpa)
			continue;
		*bytes = fake.slot[i].memory_size;
		return true;
	}
	return false;
}

bool fakevfio_attached(int fd)
{
	return fake.gsi[fd];
}
