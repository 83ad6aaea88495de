// SPDX-License-Identifier: GPL-2.0
/*
 * What the guest's CPUs say that they are.
 *
 * in:  what KVM can offer
 * out: that, with each CPU's own number in it, and a topology of one package
 *      whose cores have one thread each
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "opts.h"
#include "vmm.h"

#define CPUID_MAX_ENTRIES	256U
#define LEAF_TOPOLOGY		0xb
#define TOPOLOGY_LEVELS		2
#define LEAF_ADDRESS_SIZES	0x80000008U

#define LEAF1_ECX_TSC_DEADLINE	(1U << 24)
#define LEAF1_ECX_HYPERVISOR	(1U << 31)
#define LEAF1_EDX_HTT		(1U << 28)

static size_t cpuid_bytes(u32 n)
{
	return sizeof(struct kvm_cpuid2) + n * sizeof(struct kvm_cpuid_entry2);
}

/*
 * Two subleaves for the topology. KVM offers one, or as many as the host has,
 * which need not be as many as we want to tell of.
 */
static void make_topology_room(struct kvm_cpuid2 *cpuid)
{
	u32 from, to = 0, level;

	for (from = 0; from < cpuid->nent; from++)
		if (cpuid->entries[from].function != LEAF_TOPOLOGY)
			cpuid->entries[to++] = cpuid->entries[from];
	for (level = 0; level < TOPOLOGY_LEVELS; level++)
		cpuid->entries[to++] = (struct kvm_cpuid_entry2) {
			.function = LEAF_TOPOLOGY,
			.index = level,
			.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		};
	cpuid->nent = to;
}

struct kvm_cpuid2 *cpuid_get(int kvm_fd)
{
	struct kvm_cpuid2 *cpuid = calloc(1, cpuid_bytes(CPUID_MAX_ENTRIES + TOPOLOGY_LEVELS));
	u32 i;

	if (!cpuid)
		die("out of memory");
	cpuid->nent = CPUID_MAX_ENTRIES;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid))
		die("/dev/kvm: KVM_GET_SUPPORTED_CPUID: %s", strerror(errno));
	make_topology_room(cpuid);

	/* KVM implements it with its own APIC, but leaves the word to us. */
	if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0)
		for (i = 0; i < cpuid->nent; i++)
			if (cpuid->entries[i].function == 1)
				cpuid->entries[i].ecx |= LEAF1_ECX_TSC_DEADLINE;
	return cpuid;
}

u32 cpuid_address_bits(const struct kvm_cpuid2 *cpuid)
{
	u32 i;

	for (i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == LEAF_ADDRESS_SIZES)
			return cpuid->entries[i].eax & 0xff;
	return 36;	/* as CPUs without the leaf have */
}

/* Bits of an APIC ID that number a core. */
static u32 core_bits(u32 cpus)
{
	u32 bits = 0;

	while (1U << bits < cpus)
		bits++;
	return bits;
}

/* Level 0 is the thread, level 1 the core; EAX has the bits to drop for the next. */
static void set_topology(struct kvm_cpuid_entry2 *e, u32 id, u32 cpus)
{
	bool is_core = e->index == 1;

	e->eax = is_core ? core_bits(cpus) : 0;
	e->ebx = is_core ? cpus : 1;
	e->ecx = e->index | (e->index + 1) << 8;
	e->edx = id;
}

static void adapt(struct kvm_cpuid_entry2 *e, u32 id, u32 cpus)
{
	switch (e->function) {
	case 1:
		e->ebx = (e->ebx & 0xffff) | cpus << 16 | id << 24;
		e->ecx |= LEAF1_ECX_HYPERVISOR;
		e->edx &= ~LEAF1_EDX_HTT;
		if (cpus > 1)
			e->edx |= LEAF1_EDX_HTT;
		break;
	case 4:			/* Intel: cores in bits 31 to 26, threads below */
		if (e->eax & 0x1f) {
			u32 cores = cpus > 64 ? 64 : cpus;

			e->eax = (e->eax & 0x3fff) | (cores - 1) << 26;
		}
		break;
	case LEAF_TOPOLOGY:
		set_topology(e, id, cpus);
		break;
	case LEAF_ADDRESS_SIZES:	/* AMD: ECX has the number of cores */
		e->ecx = core_bits(cpus) << 12 | (cpus - 1);
		break;
	case 0x8000001e:	/* AMD: APIC ID, core, node */
		e->eax = id;
		e->ebx = id;
		e->ecx = 0;
		break;
	}
}

void cpuid_set(const struct vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid = vcpu->vm->cpuid;
	u32 i;

	for (i = 0; i < cpuid->nent; i++)
		adapt(&cpuid->entries[i], vcpu->id, vcpu->vm->opts->cpus);
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid))
		die("/dev/kvm: KVM_SET_CPUID2: %s", strerror(errno));
}
