/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the boot protocols share: the files, the memory map, ELF.
 *
 * All before the vCPUs run. What the user's files get wrong ends the process with one line.
 */
#ifndef BOOT_H
#define BOOT_H

#include "../vmm.h"

/* A file that stays open, so that a guest's reset finds it whatever became of its name. */
struct boot_image {
	const char *option;	/* that names it */
	const char *path;
	int fd;
	u64 bytes;		/* 0: there is none */
};

/* Those of --kernel and --initrd. */
extern struct boot_image boot_kernel, boot_initrd;

bool boot_read(const struct boot_image *img, void *dst, u64 bytes, u64 off);
/* Straight into guest RAM; die()s if it is gone. */
void boot_read_guest(struct vm *vm, const struct boot_image *img, u64 gpa, u64 bytes, u64 off);

static inline u64 align_down(u64 v, u64 to)
{
	return v & ~(to - 1);
}

static inline u64 align_up(u64 v, u64 to)
{
	return align_down(v + to - 1, to);
}

/* Kinds as E820 has them, which PVH and multiboot took over. */
enum boot_kind { BOOT_RAM = 1, BOOT_RESERVED = 2, BOOT_ACPI = 3 };

struct boot_range {
	u64 from, to;
	enum boot_kind kind;
};

#define BOOT_MAX_RANGES	8

/* Return: how many. */
unsigned int boot_map(const struct vm *vm, struct boot_range *ranges);

/* Where the initrd goes: as high in low RAM as @limit allows. Return: 0 if it has no room. */
u64 boot_initrd_at(const struct vm *vm, u64 limit);
/* die()s unless RAM holds a kernel that ends at @end, and the initrd above it. */
void boot_check_fit(const struct vm *vm, u64 end, u64 initrd_limit);

/**
 * struct boot_format - a boot protocol
 * @linux_words: its command line may have words that Linux knows and all others ignore
 * @knows: whether the kernel's file is one of its kind
 * @check: what can be wrong with it; die()s
 * @load: it and the initrd into RAM, what tells it of them too, and the first vCPU's entry
 */
struct boot_format {
	bool linux_words;
	bool (*knows)(void);
	void (*check)(struct vm *vm);
	void (*load)(struct vm *vm);
};

extern const struct boot_format boot_bzimage, boot_multiboot, boot_pvh;

/* ---- elf.c ---------------------------------------------------------------------- */

#define ELF_MAX_SEGMENTS	16

struct elf_segment {
	u64 at, bytes;		/* in guest RAM, zeroed past @file_bytes */
	u64 off, file_bytes;
};

struct elf_kernel {
	u64 entry;
	u64 end;		/* of the highest segment */
	unsigned int nr;
	struct elf_segment segment[ELF_MAX_SEGMENTS];
};

/* Return: whether the kernel's file starts as ELF does, for x86. */
bool elf_is(void);
/* Segments and entry; die()s if they are not sound, or lie where the VMM's own things do. */
void elf_read(struct elf_kernel *elf);
/* Return: PVH's entry, 0 if it has none. */
u64 elf_pvh_entry(void);
void elf_load(struct vm *vm, const struct elf_kernel *elf);

#endif
