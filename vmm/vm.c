// SPDX-License-Identifier: GPL-2.0
/*
 * The machine: KVM's VM, guest RAM, and the one checked way to reach it.
 *
 * in:  the options, /dev/kvm
 * out: RAM that lasts as long as the process, a KVM VM for each boot, guest_ptr()
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layout.h"
#include "opts.h"
#include "vmm.h"
#include "vring.h"

static const struct {
	int cap;
	const char *name;
} needed_caps[] = {
	{ KVM_CAP_IRQCHIP, "an in-kernel interrupt controller" },
	{ KVM_CAP_USER_MEMORY, "user memory slots" },
	{ KVM_CAP_IRQ_ROUTING, "interrupt routing" },
	{ KVM_CAP_IRQFD, "irqfd" },
	{ KVM_CAP_IRQFD_RESAMPLE, "irqfd for level-triggered interrupts" },
	{ KVM_CAP_IOEVENTFD, "ioeventfd" },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, "ioeventfd of any length" },
	{ KVM_CAP_IMMEDIATE_EXIT, "immediate exit" },
};

static void open_kvm(struct vm *vm)
{
	unsigned int i;
	long run_bytes;

	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0 && (errno == ENOENT || errno == ENXIO || errno == ENODEV))
		die("/dev/kvm missing: load kvm_intel or kvm_amd");
	if (vm->kvm_fd < 0 && errno == EACCES)
		die("/dev/kvm: permission denied: join the group kvm");
	if (vm->kvm_fd < 0)
		die("/dev/kvm: %s", strerror(errno));
	if (ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		die("/dev/kvm: not the KVM API of version %d", KVM_API_VERSION);
	for (i = 0; i < ARRAY_SIZE(needed_caps); i++)
		if (ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, needed_caps[i].cap) <= 0)
			die("/dev/kvm: no support for %s: a newer host kernel is needed",
			    needed_caps[i].name);
	run_bytes = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (run_bytes < 0)
		die("/dev/kvm: KVM_GET_VCPU_MMAP_SIZE: %s", strerror(errno));
	vm->run_bytes = run_bytes;
}

static void check_cpus(struct vm *vm)
{
	int max = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);

	/* One-byte APIC IDs, of which 255 is the broadcast. */
	if (max <= 0 || max > 254)
		max = 254;
	if (vm->opts->cpus > (u32)max)
		die("--cpus %u: too many: at most %d", vm->opts->cpus, max);
}

/* For as long as the process lives: others find what has no name by this fd. */
static int open_ram(const struct opts *o)
{
	unsigned int flags = MFD_CLOEXEC;
	struct stat st;
	int fd;

	if (o->memory_file) {
		fd = open(o->memory_file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || fstat(fd, &st))
			die("--memory file=%s: %s", o->memory_file, strerror(errno));
		/* Two VMs in the same memory would both be lost. */
		if (flock(fd, LOCK_EX | LOCK_NB))
			die("--memory file=%s: another VM has it: give another name", o->memory_file);
		/* What is in it goes: so not in one that holds something else. */
		if (!S_ISREG(st.st_mode) || (st.st_size && (u64)st.st_size != o->memory_bytes))
			die("--memory file=%s: not a file of %luM, nor an empty one: give another name",
			    o->memory_file, o->memory_bytes / MIB);
	} else {
		if (o->huge_page_bytes)
			flags |= MFD_HUGETLB | (o->huge_page_bytes == GIB ? MFD_HUGE_1GB : MFD_HUGE_2MB);
		fd = memfd_create("vkick-memory", flags);
		if (fd < 0)
			die("--memory: no memory file: %s", strerror(errno));
	}
	if (ftruncate(fd, o->memory_bytes))
		die("--memory %luM: %s", o->memory_bytes / MIB, strerror(errno));
	return fd;
}

/* Huge pages are reserved at once, or not to be had. */
static u8 *map_pages(const struct opts *o)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, fd = -1;
	u8 *hva;

	if (o->memory_file || o->memory_shared) {
		flags = MAP_SHARED;
		fd = open_ram(o);
	} else if (o->huge_page_bytes) {
		flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
			(o->huge_page_bytes == GIB ? MAP_HUGE_1GB : MAP_HUGE_2MB);
	}
	hva = mmap(NULL, o->memory_bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (hva == MAP_FAILED && o->huge_page_bytes)
		die("--hugepages %luM: %s: %lu of them are needed: see /sys/kernel/mm/hugepages",
		    o->huge_page_bytes / MIB, strerror(errno), o->memory_bytes / o->huge_page_bytes);
	if (hva == MAP_FAILED)
		die("--memory %luM: %s: give less", o->memory_bytes / MIB, strerror(errno));
	return hva;
}

/* One mapping; its parts below and above the hole are neighbours in it. */
static void map_ram(struct vm *vm)
{
	u64 bytes = vm->opts->memory_bytes;
	u64 low = bytes < LAYOUT_RAM_LOW_MAX ? bytes : LAYOUT_RAM_LOW_MAX;
	u8 *hva = map_pages(vm->opts);

	/* Guests' memory is no part of a core dump of ours. */
	madvise(hva, bytes, MADV_DONTDUMP);
	/* Nor of terminal.c's process. */
	madvise(hva, bytes, MADV_DONTFORK);

	vm->huge_page_bytes = vm->opts->huge_page_bytes;
	vm->ram[0] = (struct ram_region) { .gpa = 0, .bytes = low, .hva = hva };
	vm->nr_ram = 1;
	if (bytes > low)
		vm->ram[vm->nr_ram++] = (struct ram_region) {
			.gpa = LAYOUT_RAM_HIGH,
			.bytes = bytes - low,
			.hva = hva + low,
		};
}

/* As much as Linux with page tables of four levels takes for memory. */
#define MAX_ADDRESS_BITS	46

static void place_high_window(struct vm *vm)
{
	const struct ram_region *last = &vm->ram[vm->nr_ram - 1];
	u32 bits = cpuid_address_bits(vm->cpuid);
	u64 at = 1UL << (bits < MAX_ADDRESS_BITS ? bits : MAX_ADDRESS_BITS) >> 1;

	if (at > LAYOUT_RAM_HIGH && last->gpa + last->bytes <= at)
		vm->high_window = at;
}

void vm_init(struct vm *vm, const struct opts *opts)
{
	*vm = (struct vm) { .opts = opts, .fd = -1, .state = VM_RUNNING };
	vm->start_ns = monotonic_ns();
	pthread_mutex_init(&vm->lock, NULL);
	pthread_mutex_init(&vm->park_lock, NULL);
	pthread_cond_init(&vm->park_cond, NULL);
	vm->wake_fd = vm_eventfd();

	open_kvm(vm);
	check_cpus(vm);
	map_ram(vm);
	vm->cpuid = cpuid_get(vm->kvm_fd);
	place_high_window(vm);
	vm->vcpus = calloc(opts->cpus, sizeof(*vm->vcpus));
	if (!vm->vcpus)
		die("--cpus %u: out of memory", opts->cpus);
}

/* Drops what an earlier boot left, or a file had: it reads as zeroes again. */
static void clear_ram(struct vm *vm, const struct ram_region *r)
{
	const struct opts *o = vm->opts;
	bool shared = o->memory_file || o->memory_shared;

	/* MADV_REMOVE is a hole in the file, which not every file system can make. */
	if (madvise(r->hva, r->bytes, shared ? MADV_REMOVE : MADV_DONTNEED))
		memset(r->hva, 0, r->bytes);
	if (o->prefault && madvise(r->hva, r->bytes, MADV_POPULATE_WRITE))
		die("--prefault on: %luM of memory: %s: give less --memory, or leave it out",
		    r->bytes / MIB, strerror(errno));
}

static void set_memory_slots(struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->nr_ram; i++) {
		struct kvm_userspace_memory_region slot = {
			.slot = i,
			.guest_phys_addr = vm->ram[i].gpa,
			.memory_size = vm->ram[i].bytes,
			.userspace_addr = (u64)vm->ram[i].hva,
		};

		clear_ram(vm, &vm->ram[i]);
		if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot))
			die("--memory %luM: KVM_SET_USER_MEMORY_REGION: %s",
			    vm->opts->memory_bytes / MIB, strerror(errno));
	}
}

void vm_power_on(struct vm *vm)
{
	__u64 identity_map = LAYOUT_IDENTITY_MAP;

	/*
	 * Any work for this thread interrupts it, as that of an io_uring that was closed a
	 * while ago.
	 */
	do {
		vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
	} while (vm->fd < 0 && errno == EINTR);
	if (vm->fd < 0)
		die("/dev/kvm: KVM_CREATE_VM: %s", strerror(errno));
	/* Pages that VMX without unrestricted guest needs; SVM ignores them. */
	ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
	ioctl(vm->fd, KVM_SET_TSS_ADDR, LAYOUT_TSS);
	set_memory_slots(vm);
	irq_power_on(vm);
	vcpu_power_on(vm);
	vm->boots++;
	atomic_store(&vm->state, VM_RUNNING);
}

void vm_power_off(struct vm *vm)
{
	vcpu_power_off(vm);
	close(vm->fd);
	vm->fd = -1;
}

void vm_end(struct vm *vm, enum vm_state why)
{
	enum vm_state was = VM_RUNNING;

	while (!atomic_compare_exchange_weak(&vm->state, &was, why)) {
		bool boots_again = was == VM_RESET || was == VM_REBOOT;

		if (was != VM_RUNNING && !(why == VM_QUIT && boots_again))
			return;
	}
	vm_signal_eventfd(vm->wake_fd);
}

/* The region that holds @gpa, or NULL. */
static const struct ram_region *find_region(const struct vm *vm, u64 gpa)
{
	unsigned int i;

	for (i = 0; i < vm->nr_ram; i++)
		if (gpa - vm->ram[i].gpa < vm->ram[i].bytes)
			return &vm->ram[i];
	return NULL;
}

void *guest_ptr(const struct vm *vm, u64 gpa, u64 len)
{
	const struct ram_region *r = find_region(vm, gpa);

	if (!r || len > r->bytes - (gpa - r->gpa))
		return NULL;
	return r->hva + (gpa - r->gpa);
}

/* The ring engine's way to guest memory: ring/user/vring_io.h. */
int vring_io_lookup(void *mem, u64 gpa, u32 len, const void **ptr, u32 *contig)
{
	const struct ram_region *r = find_region(mem, gpa);
	u64 rest;

	if (!r)
		return -EFAULT;
	rest = r->bytes - (gpa - r->gpa);
	*ptr = r->hva + (gpa - r->gpa);
	*contig = len < rest ? len : rest;
	return 0;
}

int vm_try_eventfd(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

int vm_eventfd(void)
{
	int fd = vm_try_eventfd();

	if (fd < 0)
		die("eventfd: %s", strerror(errno));
	return fd;
}

bool vm_drain_eventfd(int fd)
{
	u64 n;

	return read(fd, &n, sizeof(n)) == sizeof(n);
}

bool vm_eventfd_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

void vm_signal_eventfd(int fd)
{
	u64 one = 1;

	/* EAGAIN: 2^64 - 2 signals wait already, one more says nothing. */
	if (write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		warn("eventfd: %s", strerror(errno));
}
