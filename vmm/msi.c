// SPDX-License-Identifier: GPL-2.0
/*
 * MSI: messages in config space (PCI 3.0, 6.8.1).
 *
 * in:  address, data, number of messages, mask bits
 * out: the vectors of msix.c, which do the rest: attached or not, pending or not
 *
 * Message N of 2^k has N in the lowest k bits of its data. A function without mask bits has its messages unmasked while MSI is on.
 */
#include <linux/pci_regs.h>
#include <string.h>

#include "msi.h"

static u32 get(const struct msi *s, u32 off, u32 bytes)
{
	u32 v = 0;

	memcpy(&v, s->set.pci->cfg + s->cap + off, bytes);
	return v;
}

static u32 data_at(const struct msi *s)
{
	return s->wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32;
}

static u32 mask_at(const struct msi *s)
{
	return s->wide ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32;
}

u8 msi_cap_bytes(u16 flags)
{
	u8 bytes = flags & PCI_MSI_FLAGS_64BIT ? PCI_MSI_DATA_64 + 2 : PCI_MSI_DATA_32 + 2;

	/* Two bytes to align them, mask bits, pending bits. */
	return flags & PCI_MSI_FLAGS_MASKBIT ? bytes + 10 : bytes;
}

bool msi_enabled(const struct msi *s)
{
	return get(s, PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE;
}

unsigned int msi_nr(const struct msi *s)
{
	unsigned int nr = 1U << (get(s, PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_QSIZE) / (PCI_MSI_FLAGS_QSIZE & -PCI_MSI_FLAGS_QSIZE);

	/* More than the function has is the driver's mistake. */
	return nr < s->set.nr ? nr : s->set.nr;
}

static void update(struct msi *s)
{
	u64 addr = get(s, PCI_MSI_ADDRESS_LO, 4) | (s->wide ? (u64)get(s, PCI_MSI_ADDRESS_HI, 4) << 32 : 0);
	u32 data = get(s, data_at(s), 2), mask = s->maskable ? get(s, mask_at(s), 4) : 0;
	bool enabled = msi_enabled(s);
	unsigned int i, nr = msi_nr(s);

	for (i = 0; i < s->set.nr; i++)
		msix_set_vector(&s->set, i, addr, (data & ~(nr - 1)) | (i & (nr - 1)), !enabled || i >= nr || mask >> i & 1);
}

void msi_cfg_read(struct msi *s, u32 off, u32 len)
{
	u32 at = s->cap + mask_at(s) + 4, bits = 0;
	unsigned int i;

	if (!s->maskable || off >= at + 4 || off + len <= at)
		return;
	for (i = 0; i < s->set.nr; i++)
		bits |= (u32)msix_pending(&s->set, i) << i;
	memcpy(s->set.pci->cfg + at, &bits, sizeof(bits));
}

void msi_cfg_written(struct msi *s, u32 off, u32 len)
{
	if (off < (u32)s->cap + s->bytes && off + len > s->cap)
		update(s);
}

static void set_wmask(struct msi *s, u32 off, u32 bytes, u32 mask)
{
	memcpy(s->set.pci->wmask + s->cap + off, &mask, bytes);
}

void msi_init(struct msi *s, struct pci_dev *pci, u8 cap)
{
	unsigned int log2_nr;
	u16 flags;

	memcpy(&flags, pci->cfg + cap + PCI_MSI_FLAGS, sizeof(flags));
	log2_nr = (flags & PCI_MSI_FLAGS_QMASK) >> 1;
	s->cap = cap;
	s->bytes = msi_cap_bytes(flags);
	s->wide = flags & PCI_MSI_FLAGS_64BIT;
	s->maskable = flags & PCI_MSI_FLAGS_MASKBIT;
	msix_init_vectors(&s->set, pci, 0, log2_nr < 5 ? 1U << log2_nr : MSI_MAX_VECTORS);
	set_wmask(s, PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
	set_wmask(s, PCI_MSI_ADDRESS_LO, 4, ~3U);
	if (s->wide)
		set_wmask(s, PCI_MSI_ADDRESS_HI, 4, ~0U);
	set_wmask(s, data_at(s), 2, ~0U);
	if (s->maskable)
		set_wmask(s, mask_at(s), 4, ~0U);
}
