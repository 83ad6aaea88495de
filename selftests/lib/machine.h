/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The VMM's machine without vCPUs: its own buses, PCI, MSI-X and virtio devices over lib/fakekvm.
 *
 * in:  accesses as a vCPU's exits would bring them
 * out: what the guest would read; machine_check(), which knows what must be so after each of them
 */
#ifndef SELFTEST_MACHINE_H
#define SELFTEST_MACHINE_H

#include "fakekvm.h"

#include "../../vmm/layout.h"
#include "../../vmm/opts.h"
#include "../../vmm/virtio.h"

#define MACHINE_RAM_BYTES	(4 * MIB)

/* Its devices, by virtio_dev_at(); the host bridge has slot 0, so each is in its number's plus one. */
enum {
	DISK,		/* four queues, doorbells in ports, the fake datapath */
	RNG,		/* doorbells in memory, the fake datapath */
	RNG_USER,	/* the VMM's own userspace datapath, with its thread */
	RNG_ALONE,	/* as RNG; its interrupt line is its own, as that of the two before */
	RNG_SHARED,	/* as RNG; its line is the disk's, too */
	NR_MACHINE_DEVICES,
	MACHINE_MORE = NR_MACHINE_DEVICES,	/* what machine_init_more() adds */
	MACHINE_MAX_DEVICES = 8
};

/* Once in a process. */
void machine_init(void);
/* With @nr words more, devices' options: they have the fake datapath. */
void machine_init_more(char *const *words, unsigned int nr);
unsigned int machine_nr_devices(void);
/* What a guest's reset does to devices, with a new VM of KVM's afterwards. */
void machine_reset(void);

u64 machine_read(bool pio, u64 addr, unsigned int len);
void machine_write(bool pio, u64 addr, unsigned int len, u64 val);

/* Config space, by ECAM. */
u64 machine_cfg_read(unsigned int dev, u32 off, unsigned int len);
void machine_cfg_write(unsigned int dev, u32 off, unsigned int len, u64 val);
/* Offset of the first capability of @id, for vendor ones of that virtio type too; 0: none. */
u8 machine_cap(unsigned int dev, u8 id, u8 type);

/* A device's BAR, at @addr, which is then decoded as well. */
void machine_place(unsigned int dev, unsigned int bar, u64 addr);
/* Where the guest has it. */
u64 machine_bar(unsigned int dev, unsigned int bar);

/* Common config, by BAR 0, which is placed. */
u64 machine_common_read(unsigned int dev, u64 off, unsigned int len);
void machine_common_write(unsigned int dev, u64 off, unsigned int len, u64 val);
/* All that a driver does up to DRIVER_OK, with queues of @num, where @enable has bits, in RAM from @at on. */
void machine_drive(unsigned int dev, u64 features, u64 enable, u16 num, u64 at);
/* The same, without vectors. */
void machine_drive_intx(unsigned int dev, u64 features, u64 enable, u16 num, u64 at);

/* One queue of it, which is enabled thereby. */
void machine_drive_queue(unsigned int dev, unsigned int q, u16 num, u64 at);

/* MSI-X: an entry's word, message control, and an event of the device's. */
void machine_vector_write(unsigned int dev, unsigned int vector, unsigned int word, u32 val);
u32 machine_vector_read(unsigned int dev, unsigned int vector, unsigned int word);
void machine_msix_control(unsigned int dev, bool enable, bool mask);
void machine_raise(unsigned int dev, unsigned int vector);
bool machine_is_pending(unsigned int dev, unsigned int vector);

/* A queue's event, as its datapath signals it: the device's driver must have enabled it. */
void machine_event(unsigned int dev, unsigned int queue);
/* The ISR status register, by BAR 0, which is placed. */
u8 machine_isr(unsigned int dev);
u32 machine_gsi(unsigned int dev);
/* A CPU takes an interrupt of the device's line, if there is one; and its EOI. */
bool machine_interrupt(unsigned int dev);
void machine_eoi(unsigned int dev);
/* What KVM and the main thread do by themselves, as after each of these calls. */
void machine_pump(void);
/* While @late, the main thread does not come to look at its events. */
void machine_main_thread(bool late);

/* Whether the fake datapath of @dev runs; starts so far. */
bool machine_runs(unsigned int dev);
u32 machine_starts(unsigned int dev);
/* The queues that it serves, a bit each. */
u64 machine_served(unsigned int dev);
/* Its next stop, or that of a queue, lasts until it is let go: as if something was in flight. */
void machine_stall(unsigned int dev);
void machine_await_stall(unsigned int dev);
void machine_let_go(unsigned int dev);

/* How often the VMM warned, and the last one. */
u32 machine_warnings(const char **last);

/* Aborts unless KVM, the buses and the datapaths are as the registers say. */
void machine_check(void);

#endif
