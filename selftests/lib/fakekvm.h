/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KVM's side of a VM that has no vCPU: routes, irqfds and ioeventfds, as a model.
 *
 * in:  the ioctls that the VMM makes on the VM's fd; signals of the eventfds that it attached
 * out: KVM's answers; the messages that a guest would have been interrupted with
 *
 * By the rules of virt/kvm/eventfd.c and irqchip.c in linux-source-6.12. Programs are linked with
 * --wrap=ioctl. What a right VMM never does, such as to detach what is not attached, aborts.
 */
#ifndef SELFTEST_FAKEKVM_H
#define SELFTEST_FAKEKVM_H

#include "util.h"

/* The fd that stands for the VM. A new one: nothing of the last VM may be attached any more. */
int fakekvm_new(void);

/* Each irqfd takes what was signalled, as KVM does within the signaller's call. */
void fakekvm_pump(void);

bool fakekvm_has_irqfd(int fd, u32 gsi);
u32 fakekvm_nr_irqfds(void);
bool fakekvm_has_doorbell(int fd, u64 addr, bool pio);
u32 fakekvm_nr_doorbells(void);
/* Whether @gsi has a route, and it is this message. */
bool fakekvm_routes(u32 gsi, u64 addr, u32 data);

/* Interrupts injected by way of @gsi so far; and the last one's message. */
u64 fakekvm_injected(u32 gsi);
u64 fakekvm_last_addr(void);
u32 fakekvm_last_data(void);

#endif
