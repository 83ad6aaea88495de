/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A PCI device as VFIO hands it out, and what KVM makes of it: a model without hardware.
 *
 * in:  the VMM's ioctls on the device's fd and the VM's; its reads and writes of the device's file, which are real
 * out: VFIO's answers, by drivers/vfio/pci in linux-source-6.12; registers as the device has them
 *
 * Programs are linked with --wrap=ioctl. What a right VMM never does aborts: more vectors than VFIO has room for, two mechanisms at a time, a
 * reset with registers in the guest, an irqfd attached twice.
 *
 * The device has BARs 0 (64 KiB, 64 bits, with the MSI-X table at 2000 and its pending bits at 3000), 2 (4 KiB), 3 (32 ports), and 4 (256 bytes).
 */
#ifndef SELFTEST_FAKEVFIO_H
#define SELFTEST_FAKEVFIO_H

#include "util.h"

#define FAKEVFIO_VECTORS	16
#define FAKEVFIO_TABLE		0x2000U
#define FAKEVFIO_PBA		0x3000U

/* Capabilities, by where they are. */
#define FAKEVFIO_PM		0x40
#define FAKEVFIO_MSI		0x50
#define FAKEVFIO_MSIX		0x70
#define FAKEVFIO_EXP		0x80
#define FAKEVFIO_VPD		0xc0
#define FAKEVFIO_VENDOR		0xd0	/* 16 bytes; its link leads back to the first */

/* The VM's. */
#define FAKEVFIO_VM_FD		0x7000000

/* @fixed: vectors are not added to (VFIO_IRQ_INFO_NORESIZE). Return: the device's fd. */
int fakevfio_new(bool fixed);
/* The device's own register, as it was and as it is. */
u8 fakevfio_was(u32 off);
u32 fakevfio_cfg(u32 off, unsigned int bytes);

/* What VFIO does: the index of the mechanism that is on, or -1; its vectors; and the eventfd of one, or -1. */
int fakevfio_irq(void);
u32 fakevfio_nr_vectors(void);
int fakevfio_trigger(u32 vector);
u32 fakevfio_resets(void);

/* Memory slots of KVM's: how many, and whether one begins at @gpa, with its size in *@bytes. */
u32 fakevfio_nr_slots(void);
bool fakevfio_slot(u64 gpa, u64 *bytes);

/* Eventfds that KVM has. */
bool fakevfio_attached(int fd);

#endif
