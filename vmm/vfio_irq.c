// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts of a device of the host's: which of its three mechanisms signals, and which eventfds.
 *
 * in:  what the guest has set up: MSI-X or MSI on, INTX_DISABLE; vectors that are first unmasked
 * out: VFIO_DEVICE_SET_IRQS
 *
 * The device's interrupt signals an eventfd, in the host's handler. What becomes of that is not ours: msix.c, or intx.c, has KVM take it
 * off as long as the vector is unmasked, and else it stays there, and is pending. So masking, by the guest, costs the device nothing.
 *
 * MSI-X. A vector of the host's is taken when the guest first unmasks one of its own: most never are. Some hosts cannot add any to those
 * that a device has (VFIO_IRQ_INFO_NORESIZE). There MSI-X is switched off and on again with twice as many; what the device signalled
 * meanwhile is lost, so each vector that was in use is signalled once by us: drivers look, and find nothing, or what they would have missed.
 *
 * INTx. VFIO masks the line as it signals. KVM raises the guest's, and at its EOI signals the resample eventfd, which VFIO takes for
 * unmask: and if the line is still up, it signals again.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vfio.h"

/* ---- The one ioctl -------------------------------------------------------------------------- */

static int set_irqs(struct vfio_dev *d, u32 index, u32 start, u32 nr, u32 flags)
{
	struct vfio_irq_set *set = d->irq_set;

	set->argsz = sizeof(*set) + (flags & VFIO_IRQ_SET_DATA_EVENTFD ? nr * sizeof(int) : 0);
	set->flags = flags;
	set->index = index;
	set->start = start;
	set->count = nr;
	/* Above 0: so many vectors could have been had. */
	switch (ioctl(d->fd, VFIO_DEVICE_SET_IRQS, set)) {
	case 0:
		return 0;
	case -1:
		return -errno;
	default:
		return -ENOSPC;
	}
}

static int *fds(struct vfio_dev *d)
{
	return (int *)d->irq_set->data;
}

static int trigger(struct vfio_dev *d, u32 index, u32 start, u32 nr)
{
	return set_irqs(d, index, start, nr, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER);
}

static int trigger_one(struct vfio_dev *d, u32 index, u32 start, int fd)
{
	fds(d)[0] = fd;
	return trigger(d, index, start, 1);
}

static void switch_off(struct vfio_dev *d, u32 index)
{
	set_irqs(d, index, 0, 0, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER);
}

/* Guests can have it as often as they like. */
static void complain(struct vfio_dev *d, const char *what, int err)
{
	if (!d->irq_complained)
		warn("%s: %s: %s: it does not interrupt", d->name, what, strerror(-err));
	d->irq_complained = true;
}

/* ---- MSI-X ------------------------------------------------------------------------------------ */

/* With room for @nr; those that are armed stay so. */
static int set_up_msix(struct vfio_dev *d, u16 nr)
{
	u16 i;

	for (i = 0; i < nr; i++)
		fds(d)[i] = d->armed[i] ? d->msix.vector[i].fd : -1;
	return trigger(d, VFIO_PCI_MSIX_IRQ_INDEX, 0, nr);
}

static int grow(struct vfio_dev *d, u16 least)
{
	u32 nr = 2U * d->host_nr > least ? 2U * d->host_nr : least;
	u16 i;
	int err;

	if (nr > d->msix.nr)
		nr = d->msix.nr;
	switch_off(d, VFIO_PCI_MSIX_IRQ_INDEX);
	err = set_up_msix(d, nr);
	if (err && set_up_msix(d, d->host_nr))
		complain(d, "MSI-X", err);
	if (!err)
		d->host_nr = nr;
	for (i = 0; i < d->msix.nr; i++)
		if (d->armed[i])
			vm_signal_eventfd(d->msix.vector[i].fd);
	return err;
}

/* msix.c is about to attach the vector. */
static int need_msix(struct msix *m, u16 vector)
{
	struct vfio_dev *d = container_of(m, struct vfio_dev, msix);
	int err = 0;

	if (d->irq != VFIO_IRQ_MSIX)
		return -EIO;
	if (d->armed[vector])
		return 0;
	if (d->msix_fixed && vector >= d->host_nr)
		err = grow(d, vector + 1);
	if (!err)
		err = trigger_one(d, VFIO_PCI_MSIX_IRQ_INDEX, vector, m->vector[vector].fd);
	d->armed[vector] = !err;
	return err;
}

/* One vector, which signals nothing yet: the device has MSI-X on, and so its line is silent. */
static int begin_msix(struct vfio_dev *d)
{
	memset(d->armed, 0, d->msix.nr * sizeof(*d->armed));
	d->host_nr = 1;
	return trigger_one(d, VFIO_PCI_MSIX_IRQ_INDEX, 0, -1);
}

/* ---- MSI ---------------------------------------------------------------------------------------- */

/* All that the guest enables, at once: the device counts on all of them. */
static int begin_msi(struct vfio_dev *d)
{
	unsigned int i, nr = msi_nr(&d->msi);

	for (i = 0; i < nr; i++)
		fds(d)[i] = d->msi.set.vector[i].fd;
	return trigger(d, VFIO_PCI_MSI_IRQ_INDEX, 0, nr);
}

/* ---- INTx ------------------------------------------------------------------------------------------ */

static int begin_intx(struct vfio_dev *d)
{
	int err;

	if (!intx_attach(&d->intx))
		return 0;	/* it was said */
	err = trigger_one(d, VFIO_PCI_INTX_IRQ_INDEX, 0, d->intx.fd);
	if (err)
		return err;
	fds(d)[0] = d->intx.resample_fd;
	return set_irqs(d, VFIO_PCI_INTX_IRQ_INDEX, 0, 1, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK);
}

static void end_intx(struct vfio_dev *d)
{
	switch_off(d, VFIO_PCI_INTX_IRQ_INDEX);
	intx_detach(&d->intx);
	vm_drain_eventfd(d->intx.fd);
	vm_drain_eventfd(d->intx.resample_fd);
}

/* ---- Which of them --------------------------------------------------------------------------------- */

/* A driver that has not even let the device decode gets no line. */
static enum vfio_irq wanted(const struct vfio_dev *d)
{
	u16 command;

	memcpy(&command, d->pci.cfg + PCI_COMMAND, sizeof(command));
	if (d->has_msix && msix_enabled(&d->msix))
		return VFIO_IRQ_MSIX;
	if (d->has_msi && msi_enabled(&d->msi))
		return VFIO_IRQ_MSI;
	if (d->has_intx && command & (PCI_COMMAND_MEMORY | PCI_COMMAND_IO) && !(command & PCI_COMMAND_INTX_DISABLE))
		return VFIO_IRQ_INTX;
	return VFIO_IRQ_NONE;
}

static void end(struct vfio_dev *d)
{
	switch (d->irq) {
	case VFIO_IRQ_INTX:
		end_intx(d);
		break;
	case VFIO_IRQ_MSI:
		switch_off(d, VFIO_PCI_MSI_IRQ_INDEX);
		break;
	case VFIO_IRQ_MSIX:
		switch_off(d, VFIO_PCI_MSIX_IRQ_INDEX);
		memset(d->armed, 0, d->msix.nr * sizeof(*d->armed));
		break;
	case VFIO_IRQ_NONE:
		break;
	}
	d->irq = VFIO_IRQ_NONE;
}

void vfio_irq_update(struct vfio_dev *d)
{
	static const struct {
		const char *name;
		int (*begin)(struct vfio_dev *d);
	} ways[] = {
		[VFIO_IRQ_INTX] = { "INTx", begin_intx },
		[VFIO_IRQ_MSI] = { "MSI", begin_msi },
		[VFIO_IRQ_MSIX] = { "MSI-X", begin_msix },
	};
	enum vfio_irq want = wanted(d);
	int err;

	if (want == d->irq)
		return;
	end(d);
	d->irq = want;
	if (want == VFIO_IRQ_NONE)
		return;
	err = ways[want].begin(d);
	if (err)
		complain(d, ways[want].name, err);
}

void vfio_irq_reset(struct vfio_dev *d)
{
	end(d);
	if (d->has_msix)
		msix_reset(&d->msix);
	if (d->has_msi)
		msix_reset(&d->msi.set);
	d->irq_complained = false;
}

unsigned int vfio_irq_vectors(const struct vfio_dev *d)
{
	unsigned int i, nr = 0;

	switch (d->irq) {
	case VFIO_IRQ_MSIX:
		for (i = 0; i < d->msix.nr; i++)
			nr += d->armed[i];
		return nr;
	case VFIO_IRQ_MSI:
		return msi_nr(&d->msi);
	default:
		return d->irq == VFIO_IRQ_INTX;
	}
}

/* ---- Set-up --------------------------------------------------------------------------------------------- */

static struct vfio_irq_info irq_info(const struct vfio_dev *d, u32 index)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };

	if (ioctl(d->fd, VFIO_DEVICE_GET_IRQ_INFO, &info))
		info.count = 0;
	return info;
}

static void watch(struct vfio_dev *d, u32 index, struct loop_source *src)
{
	if (!irq_info(d, index).count)
		return;
	src->fd = vm_eventfd();
	if (trigger_one(d, index, 0, src->fd))
		return;
	loop_add(src);
}

void vfio_irq_init(struct vfio_dev *d)
{
	struct vfio_irq_info msix = irq_info(d, VFIO_PCI_MSIX_IRQ_INDEX);
	unsigned int most = d->has_msix && d->msix.nr > MSI_MAX_VECTORS ? d->msix.nr : MSI_MAX_VECTORS;

	d->irq_set = calloc(1, sizeof(*d->irq_set) + most * sizeof(int));
	d->armed = calloc(most, sizeof(*d->armed));
	if (!d->irq_set || !d->armed)
		die("--vfio %s: out of memory", d->name);
	d->msix_fixed = msix.flags & VFIO_IRQ_INFO_NORESIZE;
	d->msix.need = need_msix;
	d->has_intx = irq_info(d, VFIO_PCI_INTX_IRQ_INDEX).count;
	if (d->has_intx)
		intx_init(&d->intx, &d->pci);
	watch(d, VFIO_PCI_ERR_IRQ_INDEX, &d->err);
	watch(d, VFIO_PCI_REQ_IRQ_INDEX, &d->req);
}
