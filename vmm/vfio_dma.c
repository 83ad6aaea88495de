// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory as devices see it: all of it, at the guest's own addresses, and nothing else.
 *
 * in:  the VM's RAM
 * out: mappings in the devices' address space, with the pages pinned
 *
 * The kernel takes each page, and holds it: so a device can write where no fault can be served. It counts as memory that this process
 * has locked. BARs are not mapped: devices do not reach each other's.
 */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <linux/capability.h>
#include <unistd.h>

#include "vfio.h"

static bool may_lock_anything(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return !syscall(__NR_capget, &head, caps) && caps[0].effective & 1U << CAP_IPC_LOCK;
}

void vfio_dma_check(const struct vm *vm, const char *address)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	u64 bytes = vm->opts->memory_bytes;

	/* The sandbox lifts the limit of who may, and takes what makes one need none: so the limit it is. */
	if (!setrlimit(RLIMIT_MEMLOCK, &limit) || (!vm->opts->sandbox && may_lock_anything()))
		return;
	getrlimit(RLIMIT_MEMLOCK, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur < bytes)
		die("--vfio %s: guest memory has to stay where it is, which is %lu KiB, and this process may lock %lu KiB: raise the limit (ulimit -l %lu, LimitMEMLOCK=), or give less --memory",
		    address, bytes / KIB, (u64)limit.rlim_cur / KIB, bytes / KIB);
}

void vfio_dma_map(const struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->nr_ram; i++) {
		const struct ram_region *r = &vm->ram[i];
		int err = vfio_space_map(r->gpa, r->hva, r->bytes);

		if (!err)
			continue;
		if (err == -ENOMEM)
			die("--vfio: %lu KiB of guest memory cannot be locked: raise the limit (ulimit -l %lu, LimitMEMLOCK=), or give less --memory",
			    r->bytes / KIB, vm->opts->memory_bytes / KIB);
		if (err == -EFAULT && vm->opts->memory_file)
			die("--vfio: --memory file=%s: devices cannot write to a file of that file system: give one of tmpfs or hugetlbfs",
			    vm->opts->memory_file);
		die("--vfio: %luM of guest memory at 0x%lx: the IOMMU does not take it: %s: see the ranges in /sys/kernel/iommu_groups/*/reserved_regions, or give less --memory",
		    r->bytes / MIB, r->gpa, strerror(-err));
	}
}

void vfio_dma_unmap(const struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->nr_ram; i++) {
		int err = vfio_space_unmap(vm->ram[i].gpa, vm->ram[i].bytes);

		if (err)
			warn("--vfio: guest memory at 0x%lx cannot be unmapped: %s", vm->ram[i].gpa, strerror(-err));
	}
}
