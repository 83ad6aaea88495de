// SPDX-License-Identifier: GPL-2.0
/*
 * Loads an ELF vmlinux by its PVH entry: 32-bit protected mode, no decompression.
 *
 * in:  the kernel, the initrd, the command line
 * out: all three in guest RAM, and the start info that tells the kernel of them
 *
 * Linux: arch/x86/platform/pvh/. The structures are of xen/include/public/arch-x86/hvm/start_info.h.
 */
#include <string.h>

#include "../layout.h"
#include "../opts.h"
#include "boot.h"

#define START_MAGIC	0x336ec578
#define CMDLINE_MAX	2047		/* COMMAND_LINE_SIZE - 1 of Linux */
#define INITRD_LIMIT	LAYOUT_RAM_LOW_MAX

struct start_info {
	u32 magic;
	u32 version;
	u32 flags;
	u32 nr_modules;
	u64 modules;
	u64 cmdline;
	u64 rsdp;
	u64 map;		/* from version 1 on */
	u32 nr_map;
	u32 reserved;
};

struct start_module {
	u64 at, bytes;
	u64 cmdline;
	u64 reserved;
};

struct start_range {
	u64 at, bytes;
	u32 kind;
	u32 reserved;
};

/* All that the kernel reads, in the place of bzImage's zero page. */
struct start {
	struct start_info info;
	struct start_module initrd;
	struct start_range map[BOOT_MAX_RANGES];
};

static struct elf_kernel elf;
static u64 entry;

static bool pvh_knows(void)
{
	entry = elf_pvh_entry();
	return entry;
}

static void pvh_check(struct vm *vm)
{
	elf_read(&elf);
	if (entry < LAYOUT_HIGH || entry >= elf.end)
		die("--kernel %s: its PVH entry 0x%lx is not in it: give another kernel", boot_kernel.path, entry);
	if (strlen(vm->opts->cmdline) > CMDLINE_MAX)
		die("--cmdline: %zu characters%s: this kernel takes %u", strlen(vm->opts->cmdline), vm->opts->cmdline_note,
		    CMDLINE_MAX);
	boot_check_fit(vm, elf.end, INITRD_LIMIT);
}

static void build_start(struct vm *vm)
{
	struct start *s = guest_ptr(vm, LAYOUT_ZERO_PAGE, sizeof(*s));
	size_t cmdline_bytes = strlen(vm->opts->cmdline) + 1;
	struct boot_range map[BOOT_MAX_RANGES];
	unsigned int i;

	s->info = (struct start_info) {
		.magic = START_MAGIC,
		.version = 1,
		.cmdline = LAYOUT_CMDLINE,
		.rsdp = LAYOUT_ACPI,
		.map = LAYOUT_ZERO_PAGE + offsetof(struct start, map),
		.nr_map = boot_map(vm, map),
	};
	if (boot_initrd.bytes) {
		s->initrd.at = boot_initrd_at(vm, INITRD_LIMIT);
		s->initrd.bytes = boot_initrd.bytes;
		s->info.nr_modules = 1;
		s->info.modules = LAYOUT_ZERO_PAGE + offsetof(struct start, initrd);
	}
	for (i = 0; i < s->info.nr_map; i++)
		s->map[i] = (struct start_range) {
			.at = map[i].from, .bytes = map[i].to - map[i].from, .kind = map[i].kind,
		};
	memcpy(guest_ptr(vm, LAYOUT_CMDLINE, cmdline_bytes), vm->opts->cmdline, cmdline_bytes);
}

static void pvh_load(struct vm *vm)
{
	elf_load(vm, &elf);
	if (boot_initrd.bytes)
		boot_read_guest(vm, &boot_initrd, boot_initrd_at(vm, INITRD_LIMIT), boot_initrd.bytes, 0);
	build_start(vm);
	vcpu_set_entry(vm, &(struct vcpu_entry) { .rip = entry, .rbx = LAYOUT_ZERO_PAGE });
}

const struct boot_format boot_pvh = { true, pvh_knows, pvh_check, pvh_load };
