// SPDX-License-Identifier: GPL-2.0
/*
 * Loads Linux: a bzImage by its 64-bit entry, with an initrd and a command line.
 *
 * in:  the files that --kernel and --initrd name
 * out: both in guest RAM, the zero page that tells the kernel of them, and the
 *      first vCPU at the kernel's entry
 *
 * Documentation/arch/x86/boot.rst. The files stay open, so that a guest's reset
 * finds them whatever became of their names, and are read straight into RAM.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../layout.h"
#include "../opts.h"
#include "../vmm.h"

/* Not in every <asm/bootparam.h>. */
#define E820_RAM		1
#define E820_RESERVED		2
#define E820_ACPI		3

#define HEADER_AT		0x1f1	/* of struct setup_header, in file and zero page */
#define SIGNATURE		0x53726448	/* "HdrS" */
#define SECTOR_BYTES		512
#define PROTOCOL_MIN		0x20c	/* the first with xloadflags */
#define ENTRY_64		0x200	/* from the start of the 64-bit part */
#define LOADER_UNDEFINED	0xff

struct image {
	const char *path;
	int fd;
	u64 bytes;
};

static struct image kernel, initrd;
static struct setup_header header;

static void open_image(struct image *img, const char *option, const char *path)
{
	struct stat st;

	img->path = path;
	img->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (img->fd < 0 || fstat(img->fd, &st))
		die("%s %s: %s", option, path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		die("%s %s: not a regular file: give an image", option, path);
	img->bytes = st.st_size;
}

static bool read_at(const struct image *img, void *dst, u64 bytes, u64 off)
{
	while (bytes) {
		ssize_t n = pread(img->fd, dst, bytes, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		dst = (u8 *)dst + n;
		bytes -= n;
		off += n;
	}
	return true;
}

static u64 align_down(u64 v, u64 to)
{
	return v & ~(to - 1);
}

static u64 align_up(u64 v, u64 to)
{
	return align_down(v + to - 1, to);
}

/* Size of the part that the boot sector and the real-mode code take. */
static u64 setup_bytes(void)
{
	return ((header.setup_sects ? header.setup_sects : 4) + 1) * SECTOR_BYTES;
}

static void check_kernel(void)
{
	if (!read_at(&kernel, &header, sizeof(header), HEADER_AT) ||
	    header.boot_flag != 0xaa55 || header.header != SIGNATURE)
		die("--kernel %s: not a bzImage (no HdrS signature): give a vmlinuz",
		    kernel.path);
	if (header.version < PROTOCOL_MIN || !(header.xloadflags & XLF_KERNEL_64))
		die("--kernel %s: no 64-bit entry: give an x86-64 kernel of 3.8 or later",
		    kernel.path);
	if (kernel.bytes <= setup_bytes())
		die("--kernel %s: truncated: copy it again", kernel.path);
}

/* Where the kernel ends once it has unpacked itself. */
static u64 kernel_end(void)
{
	u64 file = kernel.bytes - setup_bytes();
	u64 need = header.init_size > file ? header.init_size : file;

	return align_up(header.pref_address + need, PAGE_BYTES);
}

/* As high as the kernel can take it. */
static u64 initrd_at(const struct vm *vm)
{
	u64 top = vm->ram[0].bytes;

	if (top > (u64)header.initrd_addr_max + 1)
		top = (u64)header.initrd_addr_max + 1;
	return initrd.bytes > top ? 0 : align_down(top - initrd.bytes, PAGE_BYTES);
}

/* pref_address comes from the file, so it may be anything. */
static void check_fit(struct vm *vm)
{
	u64 end = kernel_end();
	u64 need = align_up(end + initrd.bytes, MIB);

	if (header.pref_address < LAYOUT_HIGH || header.pref_address > LAYOUT_RAM_LOW_MAX)
		die("--kernel %s: wants to lie at 0x%llx: give another kernel",
		    kernel.path, (unsigned long long)header.pref_address);
	if (need > vm->ram[0].bytes || (initrd.bytes && initrd_at(vm) < end))
		die("--memory %luM: too small for kernel and initrd: give at least %luM",
		    vm->opts->memory_bytes / MIB, need / MIB);
}

void boot_open(struct vm *vm)
{
	const char *cmdline = vm->opts->cmdline;

	open_image(&kernel, "--kernel", vm->opts->kernel);
	check_kernel();
	if (strlen(cmdline) > header.cmdline_size)
		die("--cmdline: %zu characters: this kernel takes %u",
		    strlen(cmdline), header.cmdline_size);
	if (vm->opts->initrd)
		open_image(&initrd, "--initrd", vm->opts->initrd);
	check_fit(vm);
}

static void add_e820(struct boot_params *bp, u64 from, u64 to, u32 type)
{
	bp->e820_table[bp->e820_entries++] = (struct boot_e820_entry) {
		.addr = from, .size = to - from, .type = type,
	};
}

static void build_e820(struct vm *vm, struct boot_params *bp)
{
	add_e820(bp, 0, LAYOUT_LOW_END, E820_RAM);
	add_e820(bp, LAYOUT_ACPI, LAYOUT_ACPI_END, E820_ACPI);
	add_e820(bp, LAYOUT_BIOS, LAYOUT_HIGH, E820_RESERVED);
	add_e820(bp, LAYOUT_HIGH, vm->ram[0].bytes, E820_RAM);
	add_e820(bp, LAYOUT_ECAM, LAYOUT_ECAM + LAYOUT_ECAM_BYTES, E820_RESERVED);
	if (vm->nr_ram > 1)
		add_e820(bp, vm->ram[1].gpa, vm->ram[1].gpa + vm->ram[1].bytes, E820_RAM);
}

static void build_zero_page(struct vm *vm)
{
	struct boot_params *bp = guest_ptr(vm, LAYOUT_ZERO_PAGE, sizeof(*bp));
	const char *cmdline = vm->opts->cmdline;
	size_t cmdline_bytes = strlen(cmdline) + 1;

	bp->hdr = header;
	bp->hdr.type_of_loader = LOADER_UNDEFINED;
	bp->hdr.cmd_line_ptr = LAYOUT_CMDLINE;
	if (initrd.bytes) {
		bp->hdr.ramdisk_image = initrd_at(vm);
		bp->hdr.ramdisk_size = initrd.bytes;
	}
	bp->acpi_rsdp_addr = LAYOUT_ACPI;
	build_e820(vm, bp);
	memcpy(guest_ptr(vm, LAYOUT_CMDLINE, cmdline_bytes), cmdline, cmdline_bytes);
}

void boot_load(struct vm *vm)
{
	u64 at = header.pref_address, bytes = kernel.bytes - setup_bytes();
	void *dst = guest_ptr(vm, at, bytes);

	if (!dst || !read_at(&kernel, dst, bytes, setup_bytes()))
		die("--kernel %s: cannot be read any more", kernel.path);
	if (initrd.bytes) {
		dst = guest_ptr(vm, initrd_at(vm), initrd.bytes);
		if (!dst || !read_at(&initrd, dst, initrd.bytes, 0))
			die("--initrd %s: cannot be read any more", initrd.path);
	}
	build_zero_page(vm);
	vcpu_set_entry(vm, at + ENTRY_64, LAYOUT_ZERO_PAGE);
}
