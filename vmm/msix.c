// SPDX-License-Identifier: GPL-2.0
/*
 * MSI-X: from an eventfd that somebody signals to a message that KVM injects.
 *
 * in:  the table, the two bits of message control, signals of the vectors' eventfds
 * out: irqfds attached and detached, the pending bits
 *
 * Each vector has one eventfd, whoever signals it: the module, an I/O thread, the
 * config interrupt, VFIO. There are two states.
 *
 *  attached: the vector is unmasked, and KVM holds the eventfd. It takes each
 *	signal off it at once, within the signaller's call, so the counter is 0.
 *  detached: the vector is masked, by its own bit, by the function's, or since
 *	MSI-X is off. The counter keeps the event. The pending bit is not stored
 *	anywhere: it is the answer to "is the eventfd readable?".
 *
 * A vector takes a GSI when it is first attached, and keeps it until a reset of the device finds it
 * detached: what drivers never unmask costs KVM's table nothing. If there is none left, the vector
 * stays detached, and its events stay pending.
 *
 * To attach: install the route, attach, then drain. KVM looks at the counter as
 * it attaches, and injects if it is not 0, but leaves it as it was; were it not
 * drained, the next mask would show an event that was delivered long ago. The
 * drain cannot take a new event, since KVM takes those in the signaller's context.
 *
 * To detach: KVM unhooks itself, then waits for injections under way. An event
 * that it was about to inject is injected, which is why the route must stay.
 */
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "pci.h"

#define MSIX_TABLE_AT		0
#define MSIX_PBA_AT		0x1000
#define MSIX_BAR_BYTES		0x2000

static u16 control(const struct msix *m)
{
	u16 v;

	memcpy(&v, m->pci->cfg + m->cap + PCI_MSIX_FLAGS, sizeof(v));
	return v;
}

static bool is_masked(const struct msix *m, const struct msix_vector *v)
{
	u16 flags = control(m);

	return !(flags & PCI_MSIX_FLAGS_ENABLE) || flags & PCI_MSIX_FLAGS_MASKALL ||
	       v->ctrl & PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

/* Guests can have this as often as they like, and are heard once. */
static void complain(struct msix *m, const struct msix_vector *v, const char *why)
{
	if (!m->complained)
		warn("%s: MSI-X vector %u: %s: its events stay pending, as those of others that have the same trouble",
		     m->pci->name, (unsigned int)(v - m->vector), why);
	m->complained = true;
}

static int set_route(struct msix *m, struct msix_vector *v)
{
	return irq_set_msi(m->pci->vm, v->gsi, (u64)v->addr_hi << 32 | v->addr_lo, v->data);
}

static void attach(struct msix *m, struct msix_vector *v)
{
	int err = m->need ? m->need(m, v - m->vector) : 0;

	if (err) {
		complain(m, v, strerror(-err));
		return;
	}
	if (v->gsi == IRQ_NO_GSI)
		v->gsi = irq_alloc_msi(m->pci->vm);
	if (v->gsi == IRQ_NO_GSI) {
		complain(m, v, "KVM has no room for another route: give fewer devices or queues");
		return;
	}
	err = set_route(m, v);
	if (!err)
		err = irq_attach(m->pci->vm, v->gsi, v->fd);
	if (err) {
		complain(m, v, strerror(-err));
		return;
	}
	vm_drain_eventfd(v->fd);
	v->attached = true;
}

static void detach(struct msix *m, struct msix_vector *v)
{
	irq_detach(m->pci->vm, v->gsi, v->fd);
	v->attached = false;
}

static void set_masked(struct msix *m, struct msix_vector *v, bool masked)
{
	if (!masked && !v->attached)
		attach(m, v);
	else if (masked && v->attached)
		detach(m, v);
}

static void update(struct msix *m, struct msix_vector *v)
{
	set_masked(m, v, is_masked(m, v));
}

static void update_all(struct msix *m)
{
	u16 i;

	for (i = 0; i < m->nr; i++)
		update(m, &m->vector[i]);
}

static bool is_pending(const struct msix_vector *v)
{
	return !v->attached && vm_eventfd_readable(v->fd);
}

/* ---- The BAR: table and pending bits ---------------------------------------- */

static u32 *entry_word(struct msix *m, u64 off)
{
	struct msix_vector *v;

	if (off / PCI_MSIX_ENTRY_SIZE >= m->nr)
		return NULL;
	v = &m->vector[off / PCI_MSIX_ENTRY_SIZE];
	switch (off % PCI_MSIX_ENTRY_SIZE) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		return &v->addr_lo;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		return &v->addr_hi;
	case PCI_MSIX_ENTRY_DATA:
		return &v->data;
	default:
		return &v->ctrl;
	}
}

static u32 table_word(struct msix *m, u64 off)
{
	u32 *word = entry_word(m, off);

	return word ? *word : 0;
}

static u32 pba_word(struct msix *m, u64 off)
{
	u32 bits = 0, i;

	for (i = 0; i < 32; i++) {
		u64 vector = off * 8 + i;

		if (vector < m->nr && is_pending(&m->vector[vector]))
			bits |= 1U << i;
	}
	return bits;
}

/* Undefined while unmasked, but then best taken at once. */
static void message_changed(struct msix *m, struct msix_vector *v)
{
	int err = v->attached ? set_route(m, v) : 0;

	if (err) {
		detach(m, v);
		complain(m, v, strerror(-err));
	}
}

static void write_word(struct msix *m, u64 off, u32 val)
{
	u32 *word = entry_word(m, off);
	struct msix_vector *v;

	if (!word)
		return;
	v = &m->vector[off / PCI_MSIX_ENTRY_SIZE];
	if (word == &v->ctrl) {
		v->ctrl = val & PCI_MSIX_ENTRY_CTRL_MASKBIT;
		update(m, v);
	} else {
		*word = val;
		message_changed(m, v);
	}
}

/* PCI 3.0, 6.8.2: aligned words and double words; anything else is undefined. */
static u64 read_words(struct msix *m, u64 off, unsigned int len, u32 (*word)(struct msix *m, u64 off))
{
	if (len == 8 && !(off & 7))
		return word(m, off) | (u64)word(m, off + 4) << 32;
	return len == 4 && !(off & 3) ? word(m, off) : 0;
}

u64 msix_table_read(struct msix *m, u64 off, unsigned int len)
{
	return read_words(m, off, len, table_word);
}

u64 msix_pba_read(struct msix *m, u64 off, unsigned int len)
{
	return read_words(m, off, len, pba_word);
}

void msix_table_write(struct msix *m, u64 off, unsigned int len, u64 val)
{
	if ((len != 8 && len != 4) || off & (len - 1))
		return;
	write_word(m, off, val);
	if (len == 8)
		write_word(m, off + 4, val >> 32);
}

static u64 msix_read(void *dev, u64 off, unsigned int len)
{
	return off < MSIX_PBA_AT ? msix_table_read(dev, off, len) : msix_pba_read(dev, off - MSIX_PBA_AT, len);
}

static void msix_write(void *dev, u64 off, unsigned int len, u64 val)
{
	if (off < MSIX_PBA_AT)
		msix_table_write(dev, off, len, val);
}

static const struct bus_ops msix_ops = { msix_read, msix_write };

/* ---- The function's side ------------------------------------------------------ */

void msix_cfg_written(struct msix *m, u32 off, u32 len)
{
	u32 flags_at = m->cap + PCI_MSIX_FLAGS;

	if (off < flags_at + 2 && off + len > flags_at)
		update_all(m);
}

void msix_set_vector(struct msix *m, u16 vector, u64 addr, u32 data, bool masked)
{
	struct msix_vector *v = &m->vector[vector];

	if (v->addr_lo != (u32)addr || v->addr_hi != addr >> 32 || v->data != data) {
		v->addr_lo = addr;
		v->addr_hi = addr >> 32;
		v->data = data;
		message_changed(m, v);
	}
	set_masked(m, v, masked);
}

bool msix_pending(const struct msix *m, u16 vector)
{
	return is_pending(&m->vector[vector]);
}

bool msix_enabled(const struct msix *m)
{
	return control(m) & PCI_MSIX_FLAGS_ENABLE;
}

bool msix_take(struct msix *m, u16 vector)
{
	return vm_drain_eventfd(m->vector[vector].fd);
}

void msix_drop_event(struct msix *m, u16 vector)
{
	vm_drain_eventfd(m->vector[vector].fd);
}

void msix_drop_pending(struct msix *m)
{
	u16 i;

	for (i = 0; i < m->nr; i++) {
		struct msix_vector *v = &m->vector[i];

		vm_drain_eventfd(v->fd);
		if (v->attached || v->gsi == IRQ_NO_GSI)
			continue;
		irq_free_msi(m->pci->vm, v->gsi);
		v->gsi = IRQ_NO_GSI;
	}
}

void msix_reset(struct msix *m)
{
	u16 i;

	for (i = 0; i < m->nr; i++) {
		struct msix_vector *v = &m->vector[i];

		if (v->attached)
			detach(m, v);
		v->addr_lo = v->addr_hi = v->data = 0;
		v->ctrl = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	}
	msix_drop_pending(m);
	m->complained = false;
}

void msix_init_vectors(struct msix *m, struct pci_dev *pci, u8 cap, u16 nr)
{
	u16 i;

	m->pci = pci;
	m->cap = cap;
	m->nr = nr;
	m->vector = calloc(nr, sizeof(*m->vector));
	if (!m->vector)
		die("%s: out of memory", pci->name);
	for (i = 0; i < nr; i++) {
		m->vector[i].fd = vm_eventfd();
		m->vector[i].gsi = IRQ_NO_GSI;
		m->vector[i].ctrl = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	}
}

void msix_init(struct msix *m, struct pci_dev *pci, unsigned int bar, u16 nr)
{
	u16 flags = nr - 1;
	u32 table = MSIX_TABLE_AT | bar, pba = MSIX_PBA_AT | bar;

	msix_init_vectors(m, pci, pci_add_cap(pci, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF), nr);
	memcpy(pci->cfg + m->cap + PCI_MSIX_FLAGS, &flags, sizeof(flags));
	memcpy(pci->cfg + m->cap + PCI_MSIX_TABLE, &table, sizeof(table));
	memcpy(pci->cfg + m->cap + PCI_MSIX_PBA, &pba, sizeof(pba));
	pci->wmask[m->cap + PCI_MSIX_FLAGS + 1] =
		(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) >> 8;
	pci_set_bar(pci, bar, PCI_BASE_ADDRESS_MEM_TYPE_64, MSIX_BAR_BYTES, &msix_ops, m, NULL);
}
