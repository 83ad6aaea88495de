// SPDX-License-Identifier: GPL-2.0
/*
 * Loads a multiboot image, version 1: what bare-metal test images are.
 *
 * in:  the image, --initrd as its one module, the command line
 * out: both in guest RAM, and the multiboot information
 *
 * Multiboot Specification 0.6.96. What it wants of a video mode it does not get: there is no display.
 */
#include <stdio.h>
#include <string.h>

#include "../layout.h"
#include "../opts.h"
#include "boot.h"

#define HEADER_MAGIC		0x1badb002
#define HEADER_WITHIN		8192
#define WANTS_ADDRESSES		(1U << 16)
/* Of the lower half, where an unknown bit means not to load it: aligned modules, memory, video. */
#define KNOWN_WANTS		0x7U

#define LOADED_MAGIC		0x2badb002
#define HAS_MEMORY		(1U << 0)
#define HAS_CMDLINE		(1U << 2)
#define HAS_MODULES		(1U << 3)
#define HAS_MAP			(1U << 6)
#define HAS_LOADER_NAME		(1U << 9)

#define CMDLINE_MAX		2047
#define INITRD_LIMIT		LAYOUT_RAM_LOW_MAX

struct header {
	u32 magic, flags, checksum;
	u32 header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

struct info {
	u32 flags;
	u32 mem_lower, mem_upper;	/* KiB */
	u32 boot_device;
	u32 cmdline;
	u32 nr_modules, modules;
	u32 symbols[4];
	u32 map_bytes, map;
	u32 drives_bytes, drives;
	u32 config_table;
	u32 loader_name;
	u32 apm, vbe[4];
	u8 framebuffer[28];
};

struct module {
	u32 start, end, cmdline, reserved;
};

struct map_entry {
	u32 size;		/* of what follows */
	u64 at, bytes;
	u32 kind;
} __attribute__((packed));

struct information {
	struct info info;
	struct module initrd;
	struct map_entry map[BOOT_MAX_RANGES];
	char loader_name[8];
};

static struct header header;
static u32 header_at;
static struct elf_kernel image;

/* In the first 8 KiB, on a 32-bit boundary. */
static bool multiboot_knows(void)
{
	u32 bytes = boot_kernel.bytes < HEADER_WITHIN ? boot_kernel.bytes : HEADER_WITHIN;
	u32 words[HEADER_WITHIN / 4], i;

	bytes &= ~3U;
	if (!boot_read(&boot_kernel, words, bytes, 0))
		return false;
	for (i = 0; i + 3 <= bytes / 4; i++) {
		if (words[i] != HEADER_MAGIC || words[i] + words[i + 1] + words[i + 2])
			continue;
		header = (struct header) { .flags = words[i + 1] };
		header_at = i * 4;
		if (header.flags & WANTS_ADDRESSES)
			return boot_read(&boot_kernel, &header, sizeof(header), header_at);
		return true;
	}
	return false;
}

/* A segment as the header's addresses have it: any format will do then. */
static void read_addresses(void)
{
	u64 off = header_at - ((u64)header.header_addr - header.load_addr);
	u64 rest = off < boot_kernel.bytes ? boot_kernel.bytes - off : 0;
	u64 bytes = header.load_end_addr ? (u64)header.load_end_addr - header.load_addr : rest;
	u64 end = header.bss_end_addr;

	if (header.load_addr > header.header_addr || !rest || bytes > rest ||
	    (header.load_end_addr && header.load_end_addr < header.load_addr))
		die("--kernel %s: its multiboot header's addresses are not in it: build it anew", boot_kernel.path);
	if (header.load_addr < LAYOUT_HIGH)
		die("--kernel %s: wants to lie at 0x%x: link it at 1 MiB or above", boot_kernel.path, header.load_addr);
	if (end < header.load_addr + bytes)
		end = header.load_addr + bytes;
	image = (struct elf_kernel) {
		.entry = header.entry_addr,
		.end = align_up(end, PAGE_BYTES),
		.nr = 1,
		.segment = { { header.load_addr, end - header.load_addr, off, bytes } },
	};
}

/* By convention the first word is the image's name. */
static int print_cmdline(const struct vm *vm, char *buf, size_t bytes)
{
	const char *slash = strrchr(boot_kernel.path, '/');

	return snprintf(buf, bytes, "%s%s%s", slash ? slash + 1 : boot_kernel.path,
			*vm->opts->cmdline ? " " : "", vm->opts->cmdline);
}

static void multiboot_check(struct vm *vm)
{
	if (header.flags & 0xffff & ~KNOWN_WANTS)
		die("--kernel %s: wants more of a multiboot loader than there is (flags 0x%x)", boot_kernel.path, header.flags);
	if (header.flags & WANTS_ADDRESSES)
		read_addresses();
	else
		elf_read(&image);
	if (image.entry < LAYOUT_HIGH || image.entry >= image.end)
		die("--kernel %s: its entry 0x%lx is not in it: build it anew", boot_kernel.path, image.entry);
	if (print_cmdline(vm, NULL, 0) > CMDLINE_MAX)
		die("--cmdline: %zu characters: with the image's name, %u are all there is room for",
		    strlen(vm->opts->cmdline), CMDLINE_MAX);
	boot_check_fit(vm, image.end, INITRD_LIMIT);
}

static void build_information(struct vm *vm)
{
	struct information *s = guest_ptr(vm, LAYOUT_ZERO_PAGE, sizeof(*s));
	struct boot_range map[BOOT_MAX_RANGES];
	unsigned int i, nr = boot_map(vm, map);

	s->info = (struct info) {
		.flags = HAS_MEMORY | HAS_CMDLINE | HAS_MAP | HAS_LOADER_NAME,
		.mem_lower = LAYOUT_LOW_END / KIB,
		.mem_upper = (vm->ram[0].bytes - LAYOUT_HIGH) / KIB,
		.cmdline = LAYOUT_CMDLINE,
		.map = LAYOUT_ZERO_PAGE + offsetof(struct information, map),
		.map_bytes = nr * sizeof(s->map[0]),
		.loader_name = LAYOUT_ZERO_PAGE + offsetof(struct information, loader_name),
	};
	strcpy(s->loader_name, "vkick");
	for (i = 0; i < nr; i++)
		s->map[i] = (struct map_entry) {
			sizeof(s->map[0]) - sizeof(s->map[0].size), map[i].from, map[i].to - map[i].from, map[i].kind,
		};
	if (boot_initrd.bytes) {
		s->info.flags |= HAS_MODULES;
		s->initrd.start = boot_initrd_at(vm, INITRD_LIMIT);
		s->initrd.end = s->initrd.start + boot_initrd.bytes;
		s->info.nr_modules = 1;
		s->info.modules = LAYOUT_ZERO_PAGE + offsetof(struct information, initrd);
	}
	print_cmdline(vm, guest_ptr(vm, LAYOUT_CMDLINE, CMDLINE_MAX + 1), CMDLINE_MAX + 1);
}

static void multiboot_load(struct vm *vm)
{
	elf_load(vm, &image);
	if (boot_initrd.bytes)
		boot_read_guest(vm, &boot_initrd, boot_initrd_at(vm, INITRD_LIMIT), boot_initrd.bytes, 0);
	build_information(vm);
	vcpu_set_entry(vm, &(struct vcpu_entry) {
		.rip = image.entry, .rax = LOADED_MAGIC, .rbx = LAYOUT_ZERO_PAGE,
	});
}

const struct boot_format boot_multiboot = { false, multiboot_knows, multiboot_check, multiboot_load };
