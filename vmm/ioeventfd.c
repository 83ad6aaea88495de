// SPDX-License-Identifier: GPL-2.0
/*
 * Doorbells: a guest's write to one address becomes a signal of an eventfd
 * inside KVM, with no exit to userspace (step 1).
 *
 * in:  an eventfd, and the address where a BAR happens to lie
 * out: KVM's ioeventfd at that address
 *
 * Length 0 matches a write of any width and value, which the driver may choose.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "vmm.h"

static int ioeventfd(struct vm *vm, const struct doorbell *d, u32 flags)
{
	struct kvm_ioeventfd arg = {
		.addr = d->addr,
		.fd = d->fd,
		.flags = flags | (d->pio ? KVM_IOEVENTFD_FLAG_PIO : 0),
	};

	return ioctl(vm->fd, KVM_IOEVENTFD, &arg) ? -errno : 0;
}

int doorbell_arm(struct vm *vm, struct doorbell *d, u64 addr)
{
	int err;

	doorbell_disarm(vm, d);
	d->addr = addr;
	err = ioeventfd(vm, d, 0);
	d->armed = !err;
	return err;
}

void doorbell_disarm(struct vm *vm, struct doorbell *d)
{
	if (d->armed)
		ioeventfd(vm, d, KVM_IOEVENTFD_FLAG_DEASSIGN);
	d->armed = false;
}
