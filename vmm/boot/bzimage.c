// SPDX-License-Identifier: GPL-2.0
/*
 * Loads a bzImage, Linux as distributions have it, by its 64-bit entry.
 *
 * in:  the image, the initrd, the command line
 * out: all three in guest RAM, and the zero page that tells the kernel of them
 *
 * Documentation/arch/x86/boot.rst.
 */
#include <asm/bootparam.h>
#include <string.h>

#include "../layout.h"
#include "../opts.h"
#include "boot.h"

#define HEADER_AT		0x1f1	/* of struct setup_header, in file and zero page */
#define SIGNATURE		0x53726448	/* "HdrS" */
#define SECTOR_BYTES		512
#define PROTOCOL_MIN		0x20c	/* the first with xloadflags */
#define ENTRY_64		0x200	/* from the start of the 64-bit part */
#define LOADER_UNDEFINED	0xff

static struct setup_header header;

/* Size of the part that the boot sector and the real-mode code take. */
static u64 setup_bytes(void)
{
	return ((header.setup_sects ? header.setup_sects : 4) + 1) * SECTOR_BYTES;
}

static u64 initrd_limit(void)
{
	return (u64)header.initrd_addr_max + 1;
}

static bool bzimage_knows(void)
{
	return boot_read(&boot_kernel, &header, sizeof(header), HEADER_AT) &&
	       header.boot_flag == 0xaa55 && header.header == SIGNATURE;
}

/* Where the kernel ends once it has unpacked itself. */
static u64 kernel_end(void)
{
	u64 file = boot_kernel.bytes - setup_bytes();
	u64 need = header.init_size > file ? header.init_size : file;

	return align_up(header.pref_address + need, PAGE_BYTES);
}

static void bzimage_check(struct vm *vm)
{
	const char *cmdline = vm->opts->cmdline;

	if (header.version < PROTOCOL_MIN || !(header.xloadflags & XLF_KERNEL_64))
		die("--kernel %s: no 64-bit entry: give an x86-64 kernel of 3.8 or later",
		    boot_kernel.path);
	if (boot_kernel.bytes <= setup_bytes())
		die("--kernel %s: truncated: copy it again", boot_kernel.path);
	if (strlen(cmdline) > header.cmdline_size)
		die("--cmdline: %zu characters%s: this kernel takes %u", strlen(cmdline), vm->opts->cmdline_note,
		    header.cmdline_size);
	/* It comes from the file, so it may be anything. */
	if (header.pref_address < LAYOUT_HIGH || header.pref_address > LAYOUT_RAM_LOW_MAX)
		die("--kernel %s: wants to lie at 0x%llx: give another kernel",
		    boot_kernel.path, (unsigned long long)header.pref_address);
	boot_check_fit(vm, kernel_end(), initrd_limit());
}

static void build_zero_page(struct vm *vm)
{
	struct boot_params *bp = guest_ptr(vm, LAYOUT_ZERO_PAGE, sizeof(*bp));
	const char *cmdline = vm->opts->cmdline;
	size_t cmdline_bytes = strlen(cmdline) + 1;
	struct boot_range map[BOOT_MAX_RANGES];
	unsigned int i;

	bp->hdr = header;
	bp->hdr.type_of_loader = LOADER_UNDEFINED;
	bp->hdr.cmd_line_ptr = LAYOUT_CMDLINE;
	if (boot_initrd.bytes) {
		bp->hdr.ramdisk_image = boot_initrd_at(vm, initrd_limit());
		bp->hdr.ramdisk_size = boot_initrd.bytes;
	}
	bp->acpi_rsdp_addr = LAYOUT_ACPI;
	bp->e820_entries = boot_map(vm, map);
	for (i = 0; i < bp->e820_entries; i++)
		bp->e820_table[i] = (struct boot_e820_entry) {
			.addr = map[i].from, .size = map[i].to - map[i].from, .type = map[i].kind,
		};
	memcpy(guest_ptr(vm, LAYOUT_CMDLINE, cmdline_bytes), cmdline, cmdline_bytes);
}

static void bzimage_load(struct vm *vm)
{
	u64 at = header.pref_address;

	boot_read_guest(vm, &boot_kernel, at, boot_kernel.bytes - setup_bytes(), setup_bytes());
	if (boot_initrd.bytes)
		boot_read_guest(vm, &boot_initrd, boot_initrd_at(vm, initrd_limit()), boot_initrd.bytes, 0);
	build_zero_page(vm);
	vcpu_set_entry(vm, &(struct vcpu_entry) {
		.long_mode = true, .rip = at + ENTRY_64, .rsi = LAYOUT_ZERO_PAGE,
	});
}

const struct boot_format boot_bzimage = { true, bzimage_knows, bzimage_check, bzimage_load };
