// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the guest: a thread per vCPU, and what is done at each exit.
 *
 * in:  registers for the first instruction
 * out: accesses to the buses, vm_end(), counts of exits by reason
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "opts.h"
#include "vmm.h"

/* Gets a vCPU thread out of KVM_RUN. Its handler does nothing. */
#define KICK_SIGNAL	SIGUSR1

const char *const vcpu_exit_names[NR_VCPU_EXITS] = {
	[EXIT_IO] = "io",
	[EXIT_MMIO] = "mmio",
	[EXIT_HLT] = "hlt",
	[EXIT_INTR] = "intr",
	[EXIT_SHUTDOWN] = "shutdown",
	[EXIT_OTHER] = "other",
};

static void count(struct vcpu *vcpu, enum vcpu_exit why)
{
	/* One writer, so no need for a locked instruction. */
	u64 n = atomic_load_explicit(&vcpu->exits[why], memory_order_relaxed);

	atomic_store_explicit(&vcpu->exits[why], n + 1, memory_order_relaxed);
}

/* ---- Creation ------------------------------------------------------------ */

static void set_msrs(struct vcpu *vcpu)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[1];
	} msrs = {
		.head.nmsrs = 1,
		/* IA32_MISC_ENABLE: fast strings, as firmware leaves it. */
		.entry[0] = { .index = 0x1a0, .data = 1 },
	};

	/* Hosts without it refuse; guests do without. */
	ioctl(vcpu->fd, KVM_SET_MSRS, &msrs);
}

void vcpu_power_on(struct vm *vm)
{
	u32 i;

	for (i = 0; i < vm->opts->cpus; i++) {
		struct vcpu *vcpu = &vm->vcpus[i];

		vcpu->vm = vm;
		vcpu->id = i;
		vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, i);
		if (vcpu->fd < 0)
			die("--cpus %u: KVM_CREATE_VCPU %u: %s", vm->opts->cpus, i,
			    strerror(errno));
		vcpu->run = mmap(NULL, vm->run_bytes, PROT_READ | PROT_WRITE,
				 MAP_SHARED, vcpu->fd, 0);
		if (vcpu->run == MAP_FAILED)
			die("--cpus %u: mapping vCPU %u: %s", vm->opts->cpus, i,
			    strerror(errno));
		cpuid_set(vcpu);
		set_msrs(vcpu);
	}
}

void vcpu_power_off(struct vm *vm)
{
	u32 i;

	for (i = 0; i < vm->opts->cpus; i++) {
		munmap(vm->vcpus[i].run, vm->run_bytes);
		close(vm->vcpus[i].fd);
	}
}

void vcpu_set_entry(struct vm *vm, const struct vcpu_entry *entry)
{
	struct kvm_regs regs = {
		.rip = entry->rip, .rax = entry->rax, .rbx = entry->rbx, .rsi = entry->rsi, .rflags = 2,
	};
	struct kvm_sregs sregs;
	int fd = vm->vcpus[0].fd;

	if (ioctl(fd, KVM_GET_SREGS, &sregs))
		die("/dev/kvm: KVM_GET_SREGS: %s", strerror(errno));
	if (entry->long_mode)
		boot_set_long_mode(vm, &sregs);
	else
		boot_set_protected_mode(vm, &sregs);
	if (ioctl(fd, KVM_SET_SREGS, &sregs))
		die("/dev/kvm: KVM_SET_SREGS: %s", strerror(errno));
	if (ioctl(fd, KVM_SET_REGS, &regs))
		die("/dev/kvm: KVM_SET_REGS: %s", strerror(errno));
}

/* ---- Exits --------------------------------------------------------------- */

static u64 load(const u8 *p, unsigned int len)
{
	u64 v = 0;

	memcpy(&v, p, len);
	return v;
}

static void handle_io(struct vm *vm, struct kvm_run *run)
{
	u8 *data = (u8 *)run + run->io.data_offset;
	u8 len = run->io.size;
	u32 i;

	/* More than one for string instructions. */
	for (i = 0; i < run->io.count; i++, data += len) {
		if (run->io.direction == KVM_EXIT_IO_OUT) {
			bus_write(&vm->pio, run->io.port, len, load(data, len));
		} else {
			u64 v = bus_read(&vm->pio, run->io.port, len);

			memcpy(data, &v, len);
		}
	}
}

static void handle_mmio(struct vm *vm, struct kvm_run *run)
{
	u64 addr = run->mmio.phys_addr;
	u32 len = run->mmio.len;

	if (run->mmio.is_write) {
		bus_write(&vm->mmio, addr, len, load(run->mmio.data, len));
	} else {
		u64 v = bus_read(&vm->mmio, addr, len);

		memcpy(run->mmio.data, &v, len);
	}
}

/* What ends the run, as seen from KVM; one clear line. */
static void handle_end(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct kvm_regs regs = { 0 };

	ioctl(vcpu->fd, KVM_GET_REGS, &regs);
	switch (run->exit_reason) {
	case KVM_EXIT_SHUTDOWN:
		warn("vCPU %u: triple fault at RIP 0x%llx: taken as a reset",
		     vcpu->id, regs.rip);
		vm_end(vcpu->vm, VM_RESET);
		return;
	case KVM_EXIT_FAIL_ENTRY:
		warn("vCPU %u: the CPU refused to enter the guest: hardware reason 0x%llx, RIP 0x%llx",
		     vcpu->id, run->fail_entry.hardware_entry_failure_reason, regs.rip);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		warn("vCPU %u: KVM internal error %u%s at RIP 0x%llx", vcpu->id,
		     run->internal.suberror,
		     run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION ?
		     " (an instruction it cannot emulate)" : "", regs.rip);
		break;
	default:
		warn("vCPU %u: unexpected exit %u from KVM_RUN, RIP 0x%llx",
		     vcpu->id, run->exit_reason, regs.rip);
	}
	vm_end(vcpu->vm, VM_FAILED);
}

static void handle_exit(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		count(vcpu, EXIT_IO);
		pthread_mutex_lock(&vm->lock);
		handle_io(vm, run);
		pthread_mutex_unlock(&vm->lock);
		break;
	case KVM_EXIT_MMIO:
		count(vcpu, EXIT_MMIO);
		pthread_mutex_lock(&vm->lock);
		handle_mmio(vm, run);
		pthread_mutex_unlock(&vm->lock);
		break;
	case KVM_EXIT_HLT:
		count(vcpu, EXIT_HLT);
		break;
	case KVM_EXIT_INTR:
		count(vcpu, EXIT_INTR);
		break;
	case KVM_EXIT_SHUTDOWN:
		count(vcpu, EXIT_SHUTDOWN);
		handle_end(vcpu);
		break;
	default:
		count(vcpu, EXIT_OTHER);
		handle_end(vcpu);
	}
}

/* Until the VM goes on, or ends. */
static void park(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;

	pthread_mutex_lock(&vm->park_lock);
	vm->nr_parked++;
	pthread_cond_broadcast(&vm->park_cond);
	while (atomic_load(&vm->paused) && atomic_load(&vm->state) == VM_RUNNING)
		pthread_cond_wait(&vm->park_cond, &vm->park_lock);
	vm->nr_parked--;
	vcpu->run->immediate_exit = 0;
	pthread_mutex_unlock(&vm->park_lock);
	/* So that the guest's watchdogs know; it may have no such clock. */
	ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL, 0);
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	struct vm *vm = vcpu->vm;

	while (atomic_load_explicit(&vm->state, memory_order_relaxed) == VM_RUNNING) {
		if (atomic_load_explicit(&vm->paused, memory_order_relaxed)) {
			park(vcpu);
		} else if (!ioctl(vcpu->fd, KVM_RUN, 0)) {
			handle_exit(vcpu);
		} else if (errno == EINTR) {
			count(vcpu, EXIT_INTR);
		} else if (errno != EAGAIN) {	/* EAGAIN: woken by an INIT or SIPI */
			warn("vCPU %u: KVM_RUN: %s", vcpu->id, strerror(errno));
			vm_end(vm, VM_FAILED);
		}
	}
	pthread_mutex_lock(&vm->park_lock);
	vm->nr_parked++;
	pthread_cond_broadcast(&vm->park_cond);
	pthread_mutex_unlock(&vm->park_lock);
	return NULL;
}

/* ---- Threads ------------------------------------------------------------- */

static void on_kick(int sig)
{
	(void)sig;
}

/*
 * vm->state or vm->paused was changed before. immediate_exit catches a thread between its
 * look at these and KVM_RUN, the signal one inside.
 */
static void kick_all(struct vm *vm)
{
	u32 i;

	for (i = 0; i < vm->opts->cpus; i++) {
		*(volatile __u8 *)&vm->vcpus[i].run->immediate_exit = 1;
		pthread_kill(vm->vcpus[i].thread, KICK_SIGNAL);
	}
}

void vcpu_start_all(struct vm *vm)
{
	struct sigaction sa = { .sa_handler = on_kick };
	u32 i;

	atomic_store(&vm->paused, false);
	vm->nr_parked = 0;
	sigaction(KICK_SIGNAL, &sa, NULL);
	for (i = 0; i < vm->opts->cpus; i++) {
		char name[32];	/* 253 at most, and so no longer than a name may be */
		int err;

		snprintf(name, sizeof(name), "vkick-vcpu%u", i);
		err = thread_start(&vm->vcpus[i].thread, THREAD_VCPU, name, vcpu_thread, &vm->vcpus[i]);
		if (err)
			die("--cpus %u: vCPU thread: %s", vm->opts->cpus, strerror(-err));
	}
}

void vcpu_stop_all(struct vm *vm)
{
	u32 i;

	kick_all(vm);
	pthread_mutex_lock(&vm->park_lock);
	pthread_cond_broadcast(&vm->park_cond);
	pthread_mutex_unlock(&vm->park_lock);
	for (i = 0; i < vm->opts->cpus; i++)
		pthread_join(vm->vcpus[i].thread, NULL);
}

void vcpu_pause_all(struct vm *vm)
{
	pthread_mutex_lock(&vm->park_lock);
	atomic_store(&vm->paused, true);
	kick_all(vm);
	while (vm->nr_parked < vm->opts->cpus)
		pthread_cond_wait(&vm->park_cond, &vm->park_lock);
	pthread_mutex_unlock(&vm->park_lock);
}

void vcpu_resume_all(struct vm *vm)
{
	pthread_mutex_lock(&vm->park_lock);
	atomic_store(&vm->paused, false);
	pthread_cond_broadcast(&vm->park_cond);
	pthread_mutex_unlock(&vm->park_lock);
}
