/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A PCI function's interrupt pin, INTA#: an eventfd that somebody signals becomes a level that KVM holds until the guest's EOI.
 *
 * All under vm->lock, but for the calls of the set-up.
 *
 * There are two kinds of source, and one way for both. A device that has eventfds of its own, as VFIO's have, is given
 * struct intx's: it signals @fd when its line rises, and takes @resample_fd for the word to look at its line again, with nobody
 * in between. One that the VMM emulates has a level, which struct intx_level keeps and the main thread raises.
 */
#ifndef INTX_H
#define INTX_H

#include "pci.h"

/**
 * struct intx - a pin
 * @fd: eventfd: a signal raises the line
 * @resample_fd: eventfd: KVM signals it after it has lowered the line, at the guest's EOI
 * @attached: both are KVM's
 * @complained: that they could not be
 */
struct intx {
	struct pci_dev *pci;
	int fd;
	int resample_fd;
	bool attached;
	bool complained;
};

/* Before pci_register(). */
void intx_init(struct intx *x, struct pci_dev *pci);
/* What @fd was signalled before raises the line now. Return: whether it is attached; one warning if it cannot be. */
bool intx_attach(struct intx *x);
/* The line falls, unless others share it and hold it up. */
void intx_detach(struct intx *x);

/**
 * struct intx_level - a pin of an emulated device's
 * @level: as the device has it, which the command register may keep off the line
 * @raised: the line was raised, and no EOI has come since
 */
struct intx_level {
	struct intx pin;
	struct loop_source resample;
	bool level;
	bool raised;
};

void intx_level_init(struct intx_level *l, struct pci_dev *pci);
void intx_level_set(struct intx_level *l, bool level);
/* Config space was written. */
void intx_level_cfg_written(struct intx_level *l, u32 off, u32 len);
/* The level is low, and the line no longer the device's. */
void intx_level_detach(struct intx_level *l);

#endif
