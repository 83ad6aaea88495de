/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KVM's side of a VM that has no vCPU: routes, irqfds and ioeventfds, and the I/O APIC's pins, as a model.
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

/* Of the next VM. */
void fakekvm_set_max_routes(u32 nr);

/* Each irqfd takes what was signalled, as KVM does within the signaller's call. */
void fakekvm_pump(void);

bool fakekvm_has_irqfd(int fd, u32 gsi);
u32 fakekvm_nr_irqfds(void);
bool fakekvm_has_doorbell(int fd, u64 addr, bool pio);
u32 fakekvm_nr_doorbells(void);
/* Whether @gsi has a route, and it is this message. */
bool fakekvm_routes(u32 gsi, u64 addr, u32 data);

/* Messages injected by way of the eventfd @fd so far; and the last one. */
u64 fakekvm_injected(int fd);
u64 fakekvm_last_addr(void);
u32 fakekvm_last_data(void);

/* A pin of the I/O APIC: its level; an interrupt that a CPU takes for it, if there is one to take; its EOI; interrupts so far. */
bool fakekvm_is_high(u32 gsi);
bool fakekvm_interrupt(u32 gsi);
void fakekvm_eoi(u32 gsi);
u64 fakekvm_interrupts(u32 gsi);

#endif
