// SPDX-License-Identifier: GPL-2.0
/*
 * INTx: a function's pin on a line of the I/O APIC, level-triggered and shared.
 *
 * in:  signals of the pin's eventfd, or a level; the command register's INTX_DISABLE; KVM's word that the guest has done an EOI
 * out: a resampling irqfd, the status register's interrupt bit
 *
 * A signal raises the line. KVM lowers it by itself when the guest does its EOI, for all that share it, and tells each of them by
 * its resample eventfd: who still has something raises it again. Nothing is lost: what comes while the line is up finds @raised
 * and does nothing, but then the EOI that lowers the line is yet to come, and is told after it has. Nothing storms: a line
 * goes up again after an EOI only for a level that is high after it.
 *
 * A line cannot be lowered before the EOI: a level that falls in between, as it does when the driver has read what it was
 * interrupted for, costs nothing, since the EOI follows. A driver that does so with the line masked in the I/O APIC has one
 * more interrupt when it unmasks it, which is nobody's, and the last. INTX_DISABLE is the same: from then on the line is not
 * raised.
 *
 * The irqfd is attached when the line is first raised, as most guests never do: it costs KVM a grace period.
 */
#include <linux/pci_regs.h>
#include <string.h>

#include "intx.h"

/* ---- The pin ---------------------------------------------------------------------- */

bool intx_attach(struct intx *x)
{
	int err;

	if (x->attached)
		return true;
	err = irq_attach_line(x->pci->vm, pci_pin_gsi(x->pci), x->fd, x->resample_fd);
	if (err && !x->complained)
		warn("%s: INTx on GSI %u: %s: it does not interrupt", x->pci->name, pci_pin_gsi(x->pci), strerror(-err));
	x->complained |= err;
	x->attached = !err;
	/* KVM has looked at it, and left it as it was: see msix.c. */
	if (x->attached)
		vm_drain_eventfd(x->fd);
	return x->attached;
}

void intx_detach(struct intx *x)
{
	if (x->attached)
		irq_detach(x->pci->vm, pci_pin_gsi(x->pci), x->fd);
	x->attached = false;
}

void intx_init(struct intx *x, struct pci_dev *pci)
{
	*x = (struct intx) { .pci = pci, .fd = vm_eventfd(), .resample_fd = vm_eventfd() };
	pci->cfg[PCI_INTERRUPT_PIN] = 1;
}

/* ---- A level that we keep ----------------------------------------------------------- */

static bool is_disabled(const struct pci_dev *pci)
{
	return pci->cfg[PCI_COMMAND + 1] & PCI_COMMAND_INTX_DISABLE >> 8;
}

static void update(struct intx_level *l)
{
	if (!l->level || l->raised || is_disabled(l->pin.pci) || !intx_attach(&l->pin))
		return;
	l->raised = true;
	vm_signal_eventfd(l->pin.fd);
}

/* Main thread. */
static void resampled(struct loop_source *src)
{
	struct intx_level *l = container_of(src, struct intx_level, resample);
	struct vm *vm = l->pin.pci->vm;

	pthread_mutex_lock(&vm->lock);
	/* Not if it was detached meanwhile. It may be another's EOI: then the line goes up once too often. */
	if (vm_drain_eventfd(src->fd)) {
		l->raised = false;
		update(l);
	}
	pthread_mutex_unlock(&vm->lock);
}

void intx_level_set(struct intx_level *l, bool level)
{
	u8 *status = &l->pin.pci->cfg[PCI_STATUS];

	l->level = level;
	/* PCI 3.0, 6.2.3: whatever INTX_DISABLE says. */
	*status = level ? *status | PCI_STATUS_INTERRUPT : *status & ~PCI_STATUS_INTERRUPT;
	update(l);
}

void intx_level_cfg_written(struct intx_level *l, u32 off, u32 len)
{
	if (off < PCI_COMMAND + 2 && off + len > PCI_COMMAND)
		update(l);
}

void intx_level_detach(struct intx_level *l)
{
	intx_level_set(l, false);
	intx_detach(&l->pin);
	vm_drain_eventfd(l->pin.resample_fd);
	l->raised = false;
}

void intx_level_init(struct intx_level *l, struct pci_dev *pci)
{
	intx_init(&l->pin, pci);
	l->resample = (struct loop_source) { .fd = l->pin.resample_fd, .ready = resampled };
	loop_add(&l->resample);
}
