/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PCI: config space, BARs that move, capabilities; MSI-X on top. The interrupt pin is in intx.h.
 *
 * All under vm->lock, but for the calls of the set-up.
 */
#ifndef PCI_H
#define PCI_H

#include "vmm.h"

#define PCI_CFG_BYTES	256
#define PCI_NR_BARS	6
#define PCI_MAX_DEVICES	32

struct pci_dev;

/**
 * struct pci_bar - one base address register and what lies behind it
 * @bytes: size, a power of two; 0: there is no such BAR
 * @io: ports, else memory
 * @wide: memory with a 64-bit address, which takes the next BAR too
 * @moved: after it was placed (@mapped) and before it is taken away (!@mapped)
 */
struct pci_bar {
	struct pci_dev *pci;
	u64 bytes;
	bool io;
	bool wide;
	bool mapped;
	void (*moved)(struct pci_bar *bar);
	struct bus_range range;
};

/**
 * struct pci_dev - one function
 * @name: for messages
 * @hidden: it has no BARs, as while it sleeps (pci_update_bars()); @gone: there is no such device any more
 * @wmask: the bits of @cfg that the guest may change
 * @cfg_read: before config space is read at [off, off + len), or NULL
 * @cfg_written: after it was written there, or NULL
 */
struct pci_dev {
	struct vm *vm;
	const char *name;
	u8 devfn;
	bool hidden;
	bool gone;
	u8 last_cap;			/* offset of the last capability */
	u8 cap_end;
	u8 cfg[PCI_CFG_BYTES];
	u8 wmask[PCI_CFG_BYTES];
	u8 reset_cfg[PCI_CFG_BYTES];	/* as pci_register() found it */
	struct pci_bar bar[PCI_NR_BARS];
	void (*cfg_read)(struct pci_dev *pci, u32 off, u32 len);
	void (*cfg_written)(struct pci_dev *pci, u32 off, u32 len);
};

/* ---- pci.c ---------------------------------------------------------------- */

struct pci_ids {
	u16 vendor, device, subsystem_vendor, subsystem;
	u32 class;			/* 24 bits */
	u8 revision;
};

void pci_init(struct vm *vm);
void pci_dev_init(struct pci_dev *pci, struct vm *vm, const struct pci_ids *ids);
/* @flags: the lowest bits of the register: PCI_BASE_ADDRESS_SPACE_IO, or PCI_BASE_ADDRESS_MEM_* */
void pci_set_bar(struct pci_dev *pci, unsigned int nr, u32 flags, u64 bytes,
		 const struct bus_ops *ops, void *dev, void (*moved)(struct pci_bar *));
/* Return: offset of the new capability, zero but for its ID and link. */
u8 pci_add_cap(struct pci_dev *pci, u8 id, u8 bytes);
/* The line that its interrupt pin is wired to, which other slots share; the DSDT and the MP table say the same. */
u32 pci_pin_gsi(const struct pci_dev *pci);
/* Puts it into the next free slot; the layout is final then. */
void pci_register(struct pci_dev *pci);
/* @hidden or @gone has changed. */
void pci_update_bars(void);
/* The device as it registered; its BARs are nowhere. */
void pci_reset_one(struct pci_dev *pci);
/* All devices back to what they registered as; nothing is mapped. */
void pci_reset(void);

/* ---- msix.c --------------------------------------------------------------- */

#define MSIX_MAX_VECTORS	2048	/* of the table's size field */
#define MSIX_NO_VECTOR		0xffff

struct msix_vector {
	u32 addr_lo, addr_hi, data, ctrl;	/* as in the table */
	int fd;			/* eventfd: whoever has an event signals this */
	u32 gsi;		/* from the first time it is attached; IRQ_NO_GSI before */
	bool attached;		/* @fd is KVM's: a signal becomes an interrupt */
};

/**
 * struct msix - a function's vectors
 * @complained: that a vector could not be attached
 * @cap: of MSI-X in config space; 0: the vectors are another mechanism's, as MSI's
 * @need: before a vector is attached: whoever is to signal its eventfd does so from then on. Return: 0 or -errno; or NULL
 */
struct msix {
	struct pci_dev *pci;
	bool complained;
	u8 cap;
	u16 nr;
	int (*need)(struct msix *m, u16 vector);
	struct msix_vector *vector;
};

/* A capability and a BAR of its own. die()s, as all of the set-up. */
void msix_init(struct msix *m, struct pci_dev *pci, unsigned int bar, u16 nr);
/* Vectors alone: the capability @cap is there, if it is not 0, and the caller passes on accesses to the table. */
void msix_init_vectors(struct msix *m, struct pci_dev *pci, u8 cap, u16 nr);
/* @off from the table's, or the pending bits', first byte. */
u64 msix_table_read(struct msix *m, u64 off, unsigned int len);
void msix_table_write(struct msix *m, u64 off, unsigned int len, u64 val);
u64 msix_pba_read(struct msix *m, u64 off, unsigned int len);
/* What a table would say of a vector, where it is not the table that does. */
void msix_set_vector(struct msix *m, u16 vector, u64 addr, u32 data, bool masked);
bool msix_pending(const struct msix *m, u16 vector);
void msix_cfg_written(struct msix *m, u32 off, u32 len);
bool msix_enabled(const struct msix *m);
/* Takes back what is pending of a vector. Return: whether anything was. */
bool msix_take(struct msix *m, u16 vector);
/* Detaches all and forgets what is pending: at the machine's reset. */
void msix_reset(struct msix *m);
/* Forgets pending events: none may come after the reset of the device. Gives back GSIs of what is not attached. */
void msix_drop_pending(struct msix *m);
/* Of one vector. */
void msix_drop_event(struct msix *m, u16 vector);

#endif
