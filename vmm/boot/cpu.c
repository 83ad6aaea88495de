// SPDX-License-Identifier: GPL-2.0
/*
 * The states in which boot protocols want the CPU, with flat segments: long mode, the first 4 GiB
 * mapped one to one; or 32-bit protected mode without paging.
 *
 * in:  guest RAM
 * out: GDT and page tables in it, and the segment and control registers
 *
 * Documentation/arch/x86/boot.rst, "64-bit Boot Protocol"; Multiboot Specification 0.6.96, 3.2, and PVH's own
 * (xen/docs/misc/pvh.pandoc), which wants a task register as well.
 */
#include <linux/kvm.h>

#include "../layout.h"
#include "../vmm.h"

#define BOOT_CS		0x10
#define BOOT_DS		0x18

#define PTE_PRESENT	0x1UL
#define PTE_WRITE	0x2UL
#define PTE_HUGE	0x80UL

#define CR0_PE		0x1UL
#define CR0_ET		0x10UL
#define CR0_PG		0x80000000UL
#define CR4_PAE		0x20UL
#define EFER_LME	0x100UL
#define EFER_LMA	0x400UL

/* One table of each upper level, four of 2 MiB pages. */
static void build_page_tables(struct vm *vm)
{
	u64 *pml4 = guest_ptr(vm, LAYOUT_PAGE_TABLES, 6 * PAGE_BYTES);
	u64 *pdpt = pml4 + 512, *pd = pdpt + 512;
	u64 i;

	pml4[0] = (LAYOUT_PAGE_TABLES + PAGE_BYTES) | PTE_PRESENT | PTE_WRITE;
	for (i = 0; i < 4; i++)
		pdpt[i] = (LAYOUT_PAGE_TABLES + (2 + i) * PAGE_BYTES) |
			  PTE_PRESENT | PTE_WRITE;
	for (i = 0; i < 4 * 512; i++)
		pd[i] = i * 2 * MIB | PTE_PRESENT | PTE_WRITE | PTE_HUGE;
}

#define GDT_CODE_64	0x00af9b000000ffffUL
#define GDT_CODE_32	0x00cf9b000000ffffUL
#define GDT_DATA	0x00cf93000000ffffUL

static void build_gdt(struct vm *vm, u64 code)
{
	u64 *gdt = guest_ptr(vm, LAYOUT_GDT, 4 * sizeof(u64));

	gdt[BOOT_CS / 8] = code;
	gdt[BOOT_DS / 8] = GDT_DATA;
}

/* As build_gdt() has them. */
static void set_segments(struct kvm_sregs *sregs, bool long_mode)
{
	struct kvm_segment code = {
		.selector = BOOT_CS, .limit = 0xffffffff, .type = 0xb,
		.present = 1, .s = 1, .l = long_mode, .db = !long_mode, .g = 1,
	};
	struct kvm_segment data = {
		.selector = BOOT_DS, .limit = 0xffffffff, .type = 0x3,
		.present = 1, .s = 1, .db = 1, .g = 1,
	};

	sregs->cs = code;
	sregs->ds = data;
	sregs->es = data;
	sregs->fs = data;
	sregs->gs = data;
	sregs->ss = data;
	sregs->gdt.base = LAYOUT_GDT;
	sregs->gdt.limit = 4 * sizeof(u64) - 1;
}

void boot_set_long_mode(struct vm *vm, struct kvm_sregs *sregs)
{
	build_page_tables(vm);
	build_gdt(vm, GDT_CODE_64);
	set_segments(sregs, true);
	sregs->cr0 = CR0_PE | CR0_ET | CR0_PG;
	sregs->cr3 = LAYOUT_PAGE_TABLES;
	sregs->cr4 = CR4_PAE;
	sregs->efer = EFER_LME | EFER_LMA;
}

void boot_set_protected_mode(struct vm *vm, struct kvm_sregs *sregs)
{
	build_gdt(vm, GDT_CODE_32);
	set_segments(sregs, false);
	sregs->tr = (struct kvm_segment) { .limit = 0x67, .type = 0xb, .present = 1 };
	sregs->cr0 = CR0_PE | CR0_ET;
}
