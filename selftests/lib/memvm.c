// SPDX-License-Identifier: GPL-2.0
/*
 * What vm.c is in the VMM, for its datapaths without a VM: see memvm.h.
 */
#include "memvm.h"

#include "vring.h"

#include <errno.h>

static struct memvm *of_vm(const struct vm *vm)
{
	return container_of(vm, struct memvm, vm);
}

void *guest_ptr(const struct vm *vm, u64 gpa, u64 len)
{
	struct gmem_region *r = gmem_find(&of_vm(vm)->mem, gpa);

	return r && len <= r->size - (gpa - r->gpa) ? r->hva + (gpa - r->gpa) : NULL;
}

int vring_io_lookup(void *mem, u64 gpa, u32 len, const void **ptr, u32 *contig)
{
	struct gmem_region *r = gmem_find(&of_vm(mem)->mem, gpa);
	u64 rest;

	if (!r)
		return -EFAULT;
	rest = r->size - (gpa - r->gpa);
	*ptr = r->hva + (gpa - r->gpa);
	*contig = len < rest ? len : rest;
	return 0;
}

int vm_try_eventfd(void)
{
	return ev_new();
}

bool vm_drain_eventfd(int fd)
{
	return ev_take(fd);
}

void vm_signal_eventfd(int fd)
{
	ev_signal(fd);
}
