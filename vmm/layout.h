/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest-physical map, and the ports and interrupt lines of the fixed devices.
 *
 * acpi/dsdt.asl repeats the numbers that the guest learns from AML: change both.
 *
 *	0000_0500	GDT, page tables, zero page, command line: read once, at boot
 *	000e_0000	ACPI tables
 *	000f_f000	the BIOS: the MP table, and nine bytes at its reset vector, see power.c
 *	0010_0000	RAM, up to 3 GiB; the kernel lies where its header prefers
 *	c000_0000	window for memory BARs
 *	e800_0000	ECAM, bus 0
 *	fec0_0000	I/O APIC, local APICs, KVM's own pages
 *	1_0000_0000	the rest of RAM
 *	the upper half of what the CPU addresses, unless RAM goes on to there: window for memory BARs of 64 bits that may be
 *			prefetched, see vm.c
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#define LAYOUT_GDT		0x500UL
#define LAYOUT_ZERO_PAGE	0x7000UL
#define LAYOUT_BOOT_STACK	0x8ff0UL
#define LAYOUT_PAGE_TABLES	0x9000UL	/* six pages */
#define LAYOUT_CMDLINE		0x20000UL
#define LAYOUT_LOW_END		0x9fc00UL	/* where a PC's EBDA would be */
#define LAYOUT_ACPI		0xe0000UL	/* a firmware's place for the RSDP */
#define LAYOUT_ACPI_END		0xff000UL
#define LAYOUT_BIOS		0xff000UL
#define LAYOUT_BIOS_RESET	0xffff0UL	/* F000:FFF0 */
#define LAYOUT_HIGH		0x100000UL

#define LAYOUT_RAM_LOW_MAX	0xc0000000UL	/* 3 GiB, then the hole */
#define LAYOUT_ECAM		0xe8000000UL
#define LAYOUT_ECAM_BYTES	0x100000UL	/* bus 0 alone */
#define LAYOUT_IOAPIC		0xfec00000UL
#define LAYOUT_LAPIC		0xfee00000UL
#define LAYOUT_IDENTITY_MAP	0xfffbc000UL	/* one page for KVM on VMX */
#define LAYOUT_TSS		0xfffbd000UL	/* three pages, likewise */
#define LAYOUT_RAM_HIGH		0x100000000UL	/* 4 GiB */

#define PORT_I8042_CMD		0x64
#define PORT_COM1		0x3f8
#define PORT_SLEEP_CTL		0x600		/* ACPI 6.4, 4.8.3.7 */
#define PORT_SLEEP_STATUS	0x601
#define PORT_RESET		0x602
#define PORT_PCI_CF8		0xcf8

#define RESET_VALUE		1
#define SLEEP_TYPE_S5		5		/* as in the DSDT's \_S5 */

#define GSI_COM1		4
#define GSI_POWER_BUTTON	5		/* an edge is a press */
#define GSI_INTX_FIRST		16		/* PCI's pins, swizzled over four lines: level, low */
#define NR_INTX_GSIS		4
#define GSI_MSI_FIRST		24		/* past the I/O APIC's pins */

#endif
