// SPDX-License-Identifier: GPL-2.0
/*
 * The MP table, for guests that know of no ACPI, or are told acpi=off: without it Linux uses one CPU, and no local APIC, hence
 * no message-signalled interrupts, and has no way to the lines of PCI's pins.
 *
 * in:  the number of CPUs
 * out: the floating pointer and the table, in the BIOS's page
 *
 * MultiProcessor Specification 1.4. What it has no words for: power-off.
 */
#include <string.h>

#include "../layout.h"
#include "../opts.h"
#include "../vmm.h"

#define SPEC_REVISION	4
#define LAPIC_VERSION	0x14
#define IOAPIC_VERSION	0x11
#define ISA_IRQS	16
#define PCI_SLOTS	32
#define PCI_PINS	4
#define NR_IRQS		(ISA_IRQS - 1 + PCI_SLOTS * PCI_PINS + 2)

enum { ENTRY_CPU, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_IRQ, ENTRY_LOCAL_IRQ };
enum { BUS_PCI, BUS_ISA };
enum { IRQ_INT = 0, IRQ_NMI = 1, IRQ_EXTINT = 3 };

#define LEVEL_LOW	0xf	/* of flags: PCI's */

#define CPU_ENABLED	1
#define CPU_BOOT	2
#define ALL_LAPICS	0xff

struct mp_pointer {		/* 4.1 */
	char signature[4];
	u32 table;
	u8 paragraphs;
	u8 revision;
	u8 checksum;
	u8 features[5];
} __attribute__((packed));

struct mp_header {		/* 4.2 */
	char signature[4];
	u16 bytes;
	u8 revision;
	u8 checksum;
	char oem[8];
	char product[12];
	u32 oem_table;
	u16 oem_bytes;
	u16 nr_entries;
	u32 lapic;
	u16 extended_bytes;
	u8 extended_checksum;
	u8 reserved;
} __attribute__((packed));

struct mp_cpu {			/* 4.3.1 */
	u8 type;
	u8 apic_id;
	u8 version;
	u8 flags;
	u32 signature;
	u32 features;
	u64 reserved;
} __attribute__((packed));

struct mp_bus {			/* 4.3.2 */
	u8 type;
	u8 id;
	char name[6];
} __attribute__((packed));

struct mp_ioapic {		/* 4.3.3 */
	u8 type;
	u8 id;
	u8 version;
	u8 flags;
	u32 address;
} __attribute__((packed));

struct mp_irq {			/* 4.3.4, 4.3.5; flags 0: polarity and trigger are the bus's */
	u8 type;
	u8 kind;
	u16 flags;
	u8 bus;
	u8 irq;
	u8 apic_id;
	u8 pin;
} __attribute__((packed));

static size_t table_bytes(u32 cpus)
{
	return sizeof(struct mp_header) + cpus * sizeof(struct mp_cpu) + 2 * sizeof(struct mp_bus) +
	       sizeof(struct mp_ioapic) + NR_IRQS * sizeof(struct mp_irq);
}

/* Each line to the pin of its number, as irq.c routes them; 2 is the second PIC's. */
static struct mp_irq *add_isa(struct mp_irq *irq, u8 ioapic_id)
{
	u32 i;

	for (i = 0; i < ISA_IRQS; i++)
		if (i != 2)
			*irq++ = (struct mp_irq) { ENTRY_IRQ, IRQ_INT, 0, BUS_ISA, i, ioapic_id, i };
	return irq;
}

/* As pci_pin_gsi() has it. */
static struct mp_irq *add_pci(struct mp_irq *irq, u8 ioapic_id)
{
	u32 slot, pin;

	for (slot = 0; slot < PCI_SLOTS; slot++)
		for (pin = 0; pin < PCI_PINS; pin++)
			*irq++ = (struct mp_irq) {
				ENTRY_IRQ, IRQ_INT, LEVEL_LOW, BUS_PCI, slot << 2 | pin, ioapic_id,
				GSI_INTX_FIRST + (slot + pin) % NR_INTX_GSIS,
			};
	return irq;
}

/* A guest with more CPUs than fit has ACPI. */
void mptable_build(struct vm *vm)
{
	u32 cpus = vm->opts->cpus, room = LAYOUT_BIOS_RESET - LAYOUT_BIOS, i;
	size_t bytes = table_bytes(cpus);
	struct mp_pointer *pointer = guest_ptr(vm, LAYOUT_BIOS, room);
	struct mp_header *h = (void *)(pointer + 1);
	struct mp_cpu *cpu = (void *)(h + 1);
	struct mp_bus *bus = (void *)(cpu + cpus);
	struct mp_ioapic *ioapic = (void *)(bus + 2);
	struct mp_irq *irq = (void *)(ioapic + 1);
	u8 ioapic_id = cpus;

	if (sizeof(*pointer) + bytes > room)
		return;
	for (i = 0; i < cpus; i++)
		cpu[i] = (struct mp_cpu) {
			.type = ENTRY_CPU, .apic_id = i, .version = LAPIC_VERSION, .flags = CPU_ENABLED | (i ? 0 : CPU_BOOT),
		};
	bus[0] = (struct mp_bus) { ENTRY_BUS, BUS_PCI, { 'P', 'C', 'I', ' ', ' ', ' ' } };
	bus[1] = (struct mp_bus) { ENTRY_BUS, BUS_ISA, { 'I', 'S', 'A', ' ', ' ', ' ' } };
	*ioapic = (struct mp_ioapic) { ENTRY_IOAPIC, ioapic_id, IOAPIC_VERSION, 1, LAYOUT_IOAPIC };
	irq = add_pci(add_isa(irq, ioapic_id), ioapic_id);
	*irq++ = (struct mp_irq) { ENTRY_LOCAL_IRQ, IRQ_EXTINT, 0, BUS_ISA, 0, ALL_LAPICS, 0 };
	*irq++ = (struct mp_irq) { ENTRY_LOCAL_IRQ, IRQ_NMI, 0, BUS_ISA, 0, ALL_LAPICS, 1 };

	*h = (struct mp_header) {
		.signature = { 'P', 'C', 'M', 'P' },
		.bytes = bytes,
		.revision = SPEC_REVISION,
		.oem = { 'V', 'K', 'I', 'C', 'K', ' ', ' ', ' ' },
		.product = { 'V', 'K', 'I', 'C', 'K', 'V', 'M', ' ', ' ', ' ', ' ', ' ' },
		.nr_entries = cpus + 2 + 1 + NR_IRQS,
		.lapic = LAYOUT_LAPIC,
	};
	h->checksum = acpi_checksum(h, bytes);
	*pointer = (struct mp_pointer) {
		.signature = { '_', 'M', 'P', '_' },
		.table = LAYOUT_BIOS + sizeof(*pointer),
		.paragraphs = 1,
		.revision = SPEC_REVISION,
	};
	pointer->checksum = acpi_checksum(pointer, sizeof(*pointer));
}
