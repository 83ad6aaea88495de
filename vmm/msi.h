/* SPDX-License-Identifier: GPL-2.0 */
/* MSI: one message, or up to 32 that follow each other, in config space. Under vm->lock, but for the set-up. */
#ifndef MSI_H
#define MSI_H

#include "pci.h"

#define MSI_MAX_VECTORS	32

/**
 * struct msi - a function's
 * @set: its vectors, as MSI-X's: see msix.c
 * @cap: in config space
 * @bytes: of the capability
 * @wide: a message's address has 64 bits; @maskable: there are mask and pending bits
 */
struct msi {
	struct msix set;
	u8 cap;
	u8 bytes;
	bool wide;
	bool maskable;
};

/* Return: bytes of a capability with these flags. */
u8 msi_cap_bytes(u16 flags);
/* The capability @cap is there, with the flags of what it can. die()s. */
void msi_init(struct msi *s, struct pci_dev *pci, u8 cap);
bool msi_enabled(const struct msi *s);
/* Return: how many messages are enabled. */
unsigned int msi_nr(const struct msi *s);
/* Before config space is read there, and after it was written. */
void msi_cfg_read(struct msi *s, u32 off, u32 len);
void msi_cfg_written(struct msi *s, u32 off, u32 len);

#endif
