// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts on their way into the guest: the GSI table and irqfds (step 9).
 *
 * in:  MSI messages for GSIs, eventfds for GSIs, levels for the I/O APIC's pins
 * out: KVM's routing table and irqfds
 *
 * KVM takes the routing table as a whole. A route stays in it from the first
 * irq_set_msi() until its GSI is given back, for which its irqfd, attached after,
 * must be detached. So that one never finds itself without a route: a signal in the
 * midst of a detach is then delivered, not dropped.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "layout.h"
#include "vmm.h"

#define IOAPIC_PINS	24
#define PIC_PINS	8

/* As many as any KVM takes for an x86 guest. */
#define KVM_ROUTES	4096

_Static_assert(IOAPIC_PINS + 2 * PIC_PINS + IRQ_MAX_MSI == KVM_ROUTES, "all that there can be");
_Static_assert(GSI_MSI_FIRST == IOAPIC_PINS && GSI_INTX_FIRST + NR_INTX_GSIS <= IOAPIC_PINS, "GSIs of pins");

u32 irq_alloc_msi(struct vm *vm)
{
	struct irq_table *irq = &vm->irq;
	u32 i;

	for (i = 0; i < irq->max_msi && irq->msi_used[i]; i++)
		;
	if (i == irq->max_msi)
		return IRQ_NO_GSI;
	irq->msi_used[i] = true;
	if (irq->nr_msi == i)
		irq->nr_msi++;
	return GSI_MSI_FIRST + i;
}

void irq_free_msi(struct vm *vm, u32 gsi)
{
	struct irq_table *irq = &vm->irq;

	irq->msi_used[gsi - GSI_MSI_FIRST] = false;
	/* KVM's table loses it when the next route is set. */
	irq->msi_set[gsi - GSI_MSI_FIRST] = false;
	while (irq->nr_msi && !irq->msi_used[irq->nr_msi - 1])
		irq->nr_msi--;
}

void irq_power_on(struct vm *vm)
{
	int routes = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQ_ROUTING);
	int others = IOAPIC_PINS + 2 * PIC_PINS;

	memset(&vm->irq, 0, sizeof(vm->irq));
	vm->irq.max_msi = routes > KVM_ROUTES ? IRQ_MAX_MSI : routes > others ? routes - others : 0;
	if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0))
		die("/dev/kvm: KVM_CREATE_IRQCHIP: %s", strerror(errno));
}

static void add_pin(struct kvm_irq_routing *t, u32 gsi, u32 chip, u32 pin)
{
	t->entries[t->nr++] = (struct kvm_irq_routing_entry) {
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

/* The lines as KVM wires them by itself, then the messages. */
static int set_table(struct vm *vm)
{
	/* Under vm->lock; more than a thread's stack has room for. */
	static char buf[sizeof(struct kvm_irq_routing) +
			(IOAPIC_PINS + 2 * PIC_PINS + IRQ_MAX_MSI) *
			sizeof(struct kvm_irq_routing_entry)] __attribute__((aligned(8)));
	struct kvm_irq_routing *t = (void *)buf;
	u32 i;

	t->nr = 0;
	t->flags = 0;
	for (i = 0; i < IOAPIC_PINS; i++)
		add_pin(t, i, KVM_IRQCHIP_IOAPIC, i);
	for (i = 0; i < PIC_PINS; i++) {
		add_pin(t, i, KVM_IRQCHIP_PIC_MASTER, i);
		add_pin(t, PIC_PINS + i, KVM_IRQCHIP_PIC_SLAVE, i);
	}
	for (i = 0; i < vm->irq.nr_msi; i++)
		if (vm->irq.msi_set[i])
			t->entries[t->nr++] = (struct kvm_irq_routing_entry) {
				.gsi = GSI_MSI_FIRST + i,
				.type = KVM_IRQ_ROUTING_MSI,
				.u.msi = vm->irq.msi[i],
			};
	return ioctl(vm->fd, KVM_SET_GSI_ROUTING, t) ? -errno : 0;
}

int irq_set_msi(struct vm *vm, u32 gsi, u64 addr, u32 data)
{
	struct kvm_irq_routing_msi msi = {
		.address_lo = addr,
		.address_hi = addr >> 32,
		.data = data,
	};
	struct irq_table *irq = &vm->irq;
	u32 i = gsi - GSI_MSI_FIRST;
	int err;

	/* Setting the table waits for a grace period in KVM. */
	if (irq->msi_set[i] && !memcmp(&irq->msi[i], &msi, sizeof(msi)))
		return 0;
	irq->msi[i] = msi;
	irq->msi_set[i] = true;
	err = set_table(vm);
	if (err)
		irq->msi_set[i] = false;
	return err;
}

static int irqfd(struct vm *vm, const struct kvm_irqfd *arg)
{
	return ioctl(vm->fd, KVM_IRQFD, arg) ? -errno : 0;
}

int irq_attach(struct vm *vm, u32 gsi, int fd)
{
	return irqfd(vm, &(struct kvm_irqfd) { .fd = fd, .gsi = gsi });
}

int irq_attach_line(struct vm *vm, u32 gsi, int fd, int resample_fd)
{
	return irqfd(vm, &(struct kvm_irqfd) {
		.fd = fd, .gsi = gsi, .flags = KVM_IRQFD_FLAG_RESAMPLE, .resamplefd = resample_fd,
	});
}

void irq_detach(struct vm *vm, u32 gsi, int fd)
{
	irqfd(vm, &(struct kvm_irqfd) { .fd = fd, .gsi = gsi, .flags = KVM_IRQFD_FLAG_DEASSIGN });
}

void irq_set_line(struct vm *vm, u32 gsi, bool level)
{
	struct kvm_irq_level arg = { .irq = gsi, .level = level };

	ioctl(vm->fd, KVM_IRQ_LINE, &arg);
}
