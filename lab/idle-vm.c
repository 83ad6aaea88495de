// SPDX-License-Identifier: GPL-2.0
/*
 * Holds one idle KVM virtual machine, so that KVM's static keys for odd APIC states stay on while guests run.
 *
 * in: /dev/kvm. out: exit status 0 when the VM is there; a child process goes on holding it.
 *
 * A guest's boot switches apic_hw_disabled and apic_sw_disabled on and off again, and each change patches kernel text.
 * Under QEMU's multi-threaded TCG a CPU may still run the int3 that such a patch puts there for a moment after it is gone
 * ("Oops: int3"). Here vCPU 0 has its local APIC disabled in hardware, and vCPU 1 is as created, disabled in software;
 * so the keys never change any more.
 */
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

#define APIC_BASE_ENABLE (1ULL << 11)

static int check(int result, const char *what)
{
	if (result < 0)
		err(1, "%s", what);
	return result;
}

static void create_vm(void)
{
	int kvm = check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	int vm = check(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	struct kvm_sregs sregs;
	int vcpu;

	check(ioctl(vm, KVM_CREATE_IRQCHIP), "KVM_CREATE_IRQCHIP");
	vcpu = check(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU 0");
	check(ioctl(vm, KVM_CREATE_VCPU, 1), "KVM_CREATE_VCPU 1");
	check(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.apic_base &= ~APIC_BASE_ENABLE;
	check(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
}

int main(void)
{
	int ready[2];
	char byte;

	check(pipe(ready), "pipe");
	if (check(fork(), "fork")) {
		close(ready[1]);
		return read(ready[0], &byte, 1) != 1; /* the child's death closes the pipe */
	}
	create_vm();
	check(write(ready[1], "", 1), "write");
	close(ready[1]);
	for (;;)
		pause();
}
