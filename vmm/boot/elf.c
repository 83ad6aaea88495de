// SPDX-License-Identifier: GPL-2.0
/*
 * ELF executables as kernels: segments to where they want to lie, and the entry that PVH adds.
 *
 * in:  the kernel's file, ELF32 or ELF64, which may say anything
 * out: what it says, checked; its segments in guest RAM
 */
#include <elf.h>
#include <string.h>

#include "../layout.h"
#include "boot.h"

/* xen/include/public/elfnote.h */
#define NOTE_PHYS32_ENTRY	18
#define NOTE_MAX_BYTES		4096

/* A program header of either class. */
struct phdr {
	u32 type;
	u64 off, at, file_bytes, bytes, align;
};

/* What is used of either class's header. */
struct ehdr {
	bool is_64;
	u64 entry, phoff;
	u16 phnum, phentsize;
};

static bool read_ehdr(struct ehdr *h)
{
	union {
		unsigned char ident[EI_NIDENT];
		Elf32_Ehdr e32;
		Elf64_Ehdr e64;
	} u;

	if (!boot_read(&boot_kernel, &u.e32, sizeof(u.e32), 0) || memcmp(u.ident, ELFMAG, SELFMAG) ||
	    u.ident[EI_DATA] != ELFDATA2LSB)
		return false;
	if (u.ident[EI_CLASS] == ELFCLASS32 && u.e32.e_machine == EM_386) {
		*h = (struct ehdr) { false, u.e32.e_entry, u.e32.e_phoff, u.e32.e_phnum, sizeof(Elf32_Phdr) };
		return u.e32.e_phentsize == sizeof(Elf32_Phdr);
	}
	if (u.ident[EI_CLASS] != ELFCLASS64 || !boot_read(&boot_kernel, &u.e64, sizeof(u.e64), 0) ||
	    u.e64.e_machine != EM_X86_64)
		return false;
	*h = (struct ehdr) { true, u.e64.e_entry, u.e64.e_phoff, u.e64.e_phnum, sizeof(Elf64_Phdr) };
	return u.e64.e_phentsize == sizeof(Elf64_Phdr);
}

/* Return: whether there is an @i-th. */
static bool read_phdr(const struct ehdr *h, unsigned int i, struct phdr *p)
{
	union {
		Elf32_Phdr p32;
		Elf64_Phdr p64;
	} u;

	if (i >= h->phnum || h->phoff > boot_kernel.bytes ||
	    !boot_read(&boot_kernel, &u, h->phentsize, h->phoff + i * h->phentsize))
		return false;
	if (h->is_64)
		*p = (struct phdr) { u.p64.p_type, u.p64.p_offset, u.p64.p_paddr, u.p64.p_filesz, u.p64.p_memsz, u.p64.p_align };
	else
		*p = (struct phdr) { u.p32.p_type, u.p32.p_offset, u.p32.p_paddr, u.p32.p_filesz, u.p32.p_memsz, u.p32.p_align };
	return true;
}

bool elf_is(void)
{
	struct ehdr h;

	return read_ehdr(&h);
}

/* Below LAYOUT_HIGH are the VMM's own tables. */
static void add_segment(struct elf_kernel *elf, const struct phdr *p)
{
	if (p->file_bytes > p->bytes || p->off > boot_kernel.bytes || p->file_bytes > boot_kernel.bytes - p->off)
		die("--kernel %s: truncated: copy it again", boot_kernel.path);
	if (p->at < LAYOUT_HIGH || p->at > LAYOUT_RAM_LOW_MAX || p->bytes > LAYOUT_RAM_LOW_MAX)
		die("--kernel %s: wants to lie at 0x%lx: give another kernel", boot_kernel.path, p->at);
	if (elf->nr == ELF_MAX_SEGMENTS)
		die("--kernel %s: more than %u segments: give another kernel", boot_kernel.path, ELF_MAX_SEGMENTS);
	elf->segment[elf->nr++] = (struct elf_segment) { p->at, p->bytes, p->off, p->file_bytes };
	if (elf->end < p->at + p->bytes)
		elf->end = p->at + p->bytes;
}

void elf_read(struct elf_kernel *elf)
{
	struct ehdr h;
	struct phdr p;
	unsigned int i;

	*elf = (struct elf_kernel) { 0 };
	if (!read_ehdr(&h))
		die("--kernel %s: not an ELF file for x86: give a vmlinuz", boot_kernel.path);
	elf->entry = h.entry;
	for (i = 0; read_phdr(&h, i, &p); i++)
		if (p.type == PT_LOAD && p.bytes)
			add_segment(elf, &p);
	if (!elf->nr)
		die("--kernel %s: nothing to load in it: give a vmlinuz", boot_kernel.path);
	elf->end = align_up(elf->end, PAGE_BYTES);
}

/* Return: the entry, if one of these notes is of PVH. */
static u64 find_note(const u8 *notes, u64 bytes)
{
	u64 at = 0;

	while (at + sizeof(Elf32_Nhdr) <= bytes) {
		const Elf32_Nhdr *n = (const void *)(notes + at);
		u64 name = at + sizeof(*n), desc = name + align_up(n->n_namesz, 4);

		at = desc + align_up(n->n_descsz, 4);
		if (at > bytes)
			break;
		if (n->n_type == NOTE_PHYS32_ENTRY && n->n_namesz == 4 && !memcmp(notes + name, "Xen", 4) &&
		    (n->n_descsz == 4 || n->n_descsz == 8)) {
			u64 entry = 0;

			memcpy(&entry, notes + desc, n->n_descsz);
			return entry;
		}
	}
	return 0;
}

u64 elf_pvh_entry(void)
{
	u8 notes[NOTE_MAX_BYTES] __attribute__((aligned(8)));
	struct ehdr h;
	struct phdr p;
	unsigned int i;
	u64 entry;

	if (!read_ehdr(&h))
		return 0;
	for (i = 0; read_phdr(&h, i, &p); i++) {
		u64 bytes = p.file_bytes < sizeof(notes) ? p.file_bytes : sizeof(notes);

		if (p.type != PT_NOTE || p.off > boot_kernel.bytes || !boot_read(&boot_kernel, notes, bytes, p.off))
			continue;
		entry = find_note(notes, bytes);
		if (entry)
			return entry;
	}
	return 0;
}

void elf_load(struct vm *vm, const struct elf_kernel *elf)
{
	unsigned int i;

	/* RAM is zeroes at each boot, and so is what is past a segment's part of the file. */
	for (i = 0; i < elf->nr; i++)
		boot_read_guest(vm, &boot_kernel, elf->segment[i].at, elf->segment[i].file_bytes, elf->segment[i].off);
}
