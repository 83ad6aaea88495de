// SPDX-License-Identifier: GPL-2.0
/*
 * Finds out what kind of kernel it is, and has it loaded.
 *
 * in:  the files that --kernel and --initrd name
 * out: both in guest RAM, and the first vCPU at the kernel's entry
 *
 * A new boot protocol: a file in this directory, and a row here.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../layout.h"
#include "../opts.h"
#include "boot.h"

/* A multiboot kernel is most often an ELF file as well; Linux is not a multiboot kernel. */
static const struct boot_format *const formats[] = {
	&boot_multiboot, &boot_pvh, &boot_bzimage,
};

static const struct boot_format *format;
struct boot_image boot_kernel, boot_initrd;

static void open_image(struct boot_image *img, const char *option, const char *path)
{
	struct stat st;

	img->option = option;
	img->path = path;
	img->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (img->fd < 0 || fstat(img->fd, &st))
		die("%s %s: %s", option, path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		die("%s %s: not a regular file: give an image", option, path);
	img->bytes = st.st_size;
}

bool boot_read(const struct boot_image *img, void *dst, u64 bytes, u64 off)
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

void boot_read_guest(struct vm *vm, const struct boot_image *img, u64 gpa, u64 bytes, u64 off)
{
	void *dst = guest_ptr(vm, gpa, bytes);

	if (!dst || !boot_read(img, dst, bytes, off))
		die("%s %s: cannot be read any more", img->option, img->path);
}

unsigned int boot_map(const struct vm *vm, struct boot_range *r)
{
	unsigned int nr = 0;

	r[nr++] = (struct boot_range) { 0, LAYOUT_LOW_END, BOOT_RAM };
	r[nr++] = (struct boot_range) { LAYOUT_ACPI, LAYOUT_ACPI_END, BOOT_ACPI };
	r[nr++] = (struct boot_range) { LAYOUT_BIOS, LAYOUT_HIGH, BOOT_RESERVED };
	r[nr++] = (struct boot_range) { LAYOUT_HIGH, vm->ram[0].bytes, BOOT_RAM };
	r[nr++] = (struct boot_range) { LAYOUT_ECAM, LAYOUT_ECAM + LAYOUT_ECAM_BYTES, BOOT_RESERVED };
	if (vm->nr_ram > 1)
		r[nr++] = (struct boot_range) { vm->ram[1].gpa, vm->ram[1].gpa + vm->ram[1].bytes, BOOT_RAM };
	return nr;
}

u64 boot_initrd_at(const struct vm *vm, u64 limit)
{
	u64 top = vm->ram[0].bytes < limit ? vm->ram[0].bytes : limit;

	return boot_initrd.bytes > top ? 0 : align_down(top - boot_initrd.bytes, PAGE_BYTES);
}

void boot_check_fit(const struct vm *vm, u64 end, u64 initrd_limit)
{
	u64 need = align_up(end + boot_initrd.bytes, MIB);

	if (need > vm->ram[0].bytes || (boot_initrd.bytes && boot_initrd_at(vm, initrd_limit) < end))
		die("--memory %luM: too small for kernel and initrd: give at least %luM",
		    vm->opts->memory_bytes / MIB, need / MIB);
}

void boot_open(struct vm *vm)
{
	unsigned int i;

	open_image(&boot_kernel, "--kernel", vm->opts->kernel);
	if (vm->opts->initrd)
		open_image(&boot_initrd, "--initrd", vm->opts->initrd);
	for (i = 0; i < ARRAY_SIZE(formats) && !format; i++)
		if (formats[i]->knows())
			format = formats[i];
	if (!format && elf_is())
		die("--kernel %s: an ELF file without a PVH entry: give a vmlinuz, or a vmlinux with CONFIG_PVH",
		    boot_kernel.path);
	if (!format)
		die("--kernel %s: neither a bzImage nor an ELF file with a PVH entry nor a multiboot image: give a vmlinuz",
		    boot_kernel.path);
}

bool boot_takes_linux_words(void)
{
	return format->linux_words;
}

void boot_check(struct vm *vm)
{
	format->check(vm);
}

void boot_load(struct vm *vm)
{
	format->load(vm);
}
