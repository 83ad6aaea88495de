/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The VMM's core: the machine, and the prototypes of the files that make it up.
 *
 * Threads. The main thread sets everything up, then sits in loop_run(). Each
 * vCPU has a thread. Each device with datapath=user has I/O threads while its
 * driver runs it, one if its class wants no more. They are made by a thread of
 * their own (thread.c), so that vCPUs' need not be allowed to.
 *
 * Locking. vm->lock guards all device state: registers, config space, the bus
 * tables, the GSI table. A vCPU thread takes it around each exit that a device
 * handles, the main thread around each event that concerns a device. I/O threads
 * never take it, so a holder may wait for one to end; for requests in flight it is
 * let go (virtio_stop.c), since they may take for ever. No request passes through
 * it: a kick goes from KVM to an eventfd, a call from an eventfd to KVM. But for
 * drivers without MSI-X: a call wakes the main thread, see virtio_isr.c.
 *
 * Lifetimes. Devices, their eventfds and guest RAM live as long as the process.
 * The KVM VM and its vCPUs live for one boot: vm_power_on() to vm_power_off().
 * A guest's reset makes new ones, so no list of state to put back can be
 * incomplete.
 *
 * Errors. Until the first vCPU runs, die(). From then on nothing that the guest
 * does ends the process, save by vm_end().
 */
#ifndef VMM_H
#define VMM_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <linux/kvm.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) \
	((type *)((char *)(p) - offsetof(type, member)))
#define KIB			1024UL
#define MIB			(1024 * KIB)
#define GIB			(1024 * MIB)
#define PAGE_BYTES		4096UL

/* Threads do little on their stacks; glibc's default of 8 MiB would be mapped. */
#define THREAD_STACK_BYTES	(64 * KIB)

struct opts;
struct vm;

static inline u64 monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000UL + now.tv_nsec;
}

/* ---- log.c: any thread ------------------------------------------------- */

/* One line on stderr, "vkick: " before it; then exit status 1, or 2. */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void die_usage(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Room for one line that says why something was not done. */
#define WHY_BYTES	256
/* Puts it there. Return: -1, for the caller to hand on. */
int explain(char *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- thread.c: any thread ---------------------------------------------- */

/* What a thread does, and so which system calls it may make: see sandbox/calls.c. */
enum thread_kind {
	THREAD_MAIN,
	THREAD_VCPU,
	THREAD_MAKER,		/* of threads: see thread_call() */
	THREAD_IO,		/* iothread.c */
	THREAD_STREAM,		/* the same, for net_user.c and console_user.c */
	THREAD_DISK,		/* blk_thread.c */
	THREAD_DISCARD,		/* blk_discard.c */
	NR_THREAD_KINDS
};

/* @name: 15 characters at most. Return: 0, with the thread in its sandbox, or -errno. */
int thread_start(pthread_t *thread, enum thread_kind kind, const char *name,
		 void *(*run)(void *), void *arg);
/*
 * Calls @call(@arg) in a thread that may start others, and set up io_urings and memory slots, as vCPUs' may not; in this one, if there is
 * no sandbox. @call does not take vm->lock, which the caller may hold. Return: what @call does.
 */
int thread_call(int (*call)(void *arg), void *arg);
/* From here on there is such a thread. die()s. */
void thread_start_maker(void);
/* sem_wait(), whatever signals come. */
void thread_await(sem_t *sem);

/* ---- bus.c: all under vm->lock ----------------------------------------- */

/**
 * struct bus_ops - what answers accesses to a range
 * @read: @off from the range's start, @len 1 to 8: an access that crosses a page comes in odd parts
 * @write: the same; may move or remove any range, its own too
 */
struct bus_ops {
	u64 (*read)(void *dev, u64 off, unsigned int len);
	void (*write)(void *dev, u64 off, unsigned int len, u64 val);
};

struct bus_range {
	u64 base;
	u64 len;
	const struct bus_ops *ops;
	void *dev;
};

#define BUS_MAX_RANGES	256

struct bus {
	unsigned int nr;
	struct bus_range *range[BUS_MAX_RANGES];	/* sorted, disjoint */
};

/* Return: 0, -EBUSY if it would overlap another, -EINVAL, -ENOSPC. */
int bus_add(struct bus *bus, struct bus_range *r);
void bus_remove(struct bus *bus, struct bus_range *r);
/* Nobody there: all ones, and writes vanish. */
u64 bus_read(struct bus *bus, u64 addr, unsigned int len);
void bus_write(struct bus *bus, u64 addr, unsigned int len, u64 val);

/* ---- loop.c: main thread ------------------------------------------------ */

/**
 * struct loop_source - an fd that the main thread waits for
 * @edge: each signal counts once, and need not be taken back; else it is ready as long as it is readable
 * @hangup: it is ready once, when the other end sends no more
 * @ready: called when it is readable or hung up; may remove the source
 */
struct loop_source {
	int fd;
	bool edge;
	bool hangup;
	void (*ready)(struct loop_source *src);
};

void loop_init(struct vm *vm);
void loop_add(struct loop_source *src);
void loop_remove(struct loop_source *src);
/* One source that is ready within @timeout_ms, -1 for ever. Return: whether there was one. */
bool loop_step(int timeout_ms);
/* Return: when vm_end() has been called. */
void loop_run(struct vm *vm);

/* ---- irq.c: under vm->lock, or before the vCPUs run --------------------- */

/* KVM's table, without the lines of I/O APIC and PICs. */
#define IRQ_MAX_MSI	4056

#define IRQ_NO_GSI	0	/* a line's: no message has it */

/**
 * struct irq_table - the GSIs of MSI messages, of this boot
 * @max_msi: that this KVM has room for
 * @nr_msi: past the last that is used
 * @msi_set: KVM has @msi of it
 */
struct irq_table {
	unsigned int max_msi;
	unsigned int nr_msi;
	bool msi_used[IRQ_MAX_MSI];
	bool msi_set[IRQ_MAX_MSI];
	struct kvm_irq_routing_msi msi[IRQ_MAX_MSI];
};

/* A GSI for one MSI message; IRQ_NO_GSI if all are gone. */
u32 irq_alloc_msi(struct vm *vm);
/* No irqfd of that GSI is attached any more. */
void irq_free_msi(struct vm *vm, u32 gsi);
void irq_power_on(struct vm *vm);
/* Return: 0 or -errno. A live irqfd of that GSI follows to the new message. */
int irq_set_msi(struct vm *vm, u32 gsi, u64 addr, u32 data);
/* The route must stand. Return: 0 or -errno. */
int irq_attach(struct vm *vm, u32 gsi, int fd);
/*
 * A signal of @fd raises the level of a pin of the I/O APIC. The guest's EOI lowers it again, for all that are attached to the
 * pin, and then signals @resample_fd of each: whose level still is high raises it again. Return: 0 or -errno.
 */
int irq_attach_line(struct vm *vm, u32 gsi, int fd, int resample_fd);
/* Either. The pin falls with the last one. */
void irq_detach(struct vm *vm, u32 gsi, int fd);
/* A pin of the I/O APIC. */
void irq_set_line(struct vm *vm, u32 gsi, bool level);

/* ---- ioeventfd.c: under vm->lock ---------------------------------------- */

/* One guest address, of which any write signals @fd, with no exit to us. */
struct doorbell {
	int fd;
	bool pio;
	bool armed;
	u64 addr;
};

/* Return: 0 or -errno; not armed means that the write comes to the bus. */
int doorbell_arm(struct vm *vm, struct doorbell *d, u64 addr);
void doorbell_disarm(struct vm *vm, struct doorbell *d);

/* ---- vm.c --------------------------------------------------------------- */

struct ram_region {
	u64 gpa;
	u64 bytes;
	u8 *hva;
};

enum vm_state {
	VM_RUNNING,
	VM_POWERED_OFF,		/* the guest's wish */
	VM_RESET,		/* the guest's wish, or a triple fault */
	VM_REBOOT,		/* ours: a reset, whatever --on-reset says */
	VM_QUIT,		/* ours: control socket, escape, signal */
	VM_FAILED,		/* KVM cannot go on */
};

struct vcpu;

struct vm {
	const struct opts *opts;
	int kvm_fd;
	int fd;				/* the KVM VM of this boot */
	u32 boots;
	u64 start_ns;			/* CLOCK_MONOTONIC, of the process */

	struct ram_region ram[2];	/* below 3 GiB, above 4 GiB */
	u64 huge_page_bytes;		/* of its pages; 0: ordinary ones */
	unsigned int nr_ram;
	u64 high_window;		/* for BARs: so many bytes from there on; 0: none */

	pthread_mutex_t lock;		/* see the head of this file */
	struct bus mmio;
	struct bus pio;
	struct irq_table irq;

	size_t run_bytes;		/* of struct kvm_run's mapping */
	struct kvm_cpuid2 *cpuid;	/* KVM's, adapted for each vCPU */
	struct vcpu *vcpus;		/* opts->cpus of them */

	/* Of vcpu_pause_all(): innermost, and of these three alone. */
	pthread_mutex_t park_lock;
	pthread_cond_t park_cond;
	_Atomic bool paused;
	u32 nr_parked;			/* threads that run no guest: parked, or ended */

	_Atomic enum vm_state state;
	int wake_fd;			/* eventfd: state has changed */
};

/* /dev/kvm, RAM, the process's part of the machine. die()s. */
void vm_init(struct vm *vm, const struct opts *opts);
/* A fresh KVM VM around the same RAM, with empty memory. die()s. */
void vm_power_on(struct vm *vm);
void vm_power_off(struct vm *vm);
/*
 * Ends this boot; the first caller's word counts, but VM_QUIT, which would be lost in the next boot. That is the main
 * thread's to say, in loop_run(). Others: any thread, any context.
 */
void vm_end(struct vm *vm, enum vm_state why);
/* Return: the host's pointer to all of [gpa, gpa + len), or NULL. Any thread. */
void *guest_ptr(const struct vm *vm, u64 gpa, u64 len);
/* An eventfd, nonblocking, closed on exec. Return: it, or -1 with errno. */
int vm_try_eventfd(void);
/* The same, and die()s. */
int vm_eventfd(void);
/* Takes back what was signalled. Return: true if it was. */
bool vm_drain_eventfd(int fd);
/* Return: whether there is something to take. */
bool vm_eventfd_readable(int fd);
void vm_signal_eventfd(int fd);

/* ---- vcpu.c, cpuid.c ---------------------------------------------------- */

/* Why KVM_RUN came back. Written by the vCPU's thread, read by anyone. */
enum vcpu_exit {
	EXIT_IO, EXIT_MMIO, EXIT_HLT, EXIT_INTR, EXIT_SHUTDOWN, EXIT_OTHER,
	NR_VCPU_EXITS
};

extern const char *const vcpu_exit_names[NR_VCPU_EXITS];

struct vcpu {
	struct vm *vm;
	u32 id;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	_Atomic u64 exits[NR_VCPU_EXITS];	/* over all boots */
};

void vcpu_power_on(struct vm *vm);
/**
 * struct vcpu_entry - the first vCPU at the guest's first instruction
 * @long_mode: 64 bits, with the first 4 GiB mapped; else 32, without paging
 */
struct vcpu_entry {
	bool long_mode;
	u64 rip;
	u64 rax, rbx, rsi;
};

void vcpu_set_entry(struct vm *vm, const struct vcpu_entry *entry);
void vcpu_start_all(struct vm *vm);
/* Return: with all threads ended. */
void vcpu_stop_all(struct vm *vm);
/*
 * Return: with no instruction of the guest's executed any more until vcpu_resume_all().
 * Without vm->lock: an exit is finished first.
 */
void vcpu_pause_all(struct vm *vm);
void vcpu_resume_all(struct vm *vm);
void vcpu_power_off(struct vm *vm);

struct kvm_cpuid2 *cpuid_get(int kvm_fd);
/* Bits of the CPU's physical addresses. */
u32 cpuid_address_bits(const struct kvm_cpuid2 *cpuid);
void cpuid_set(const struct vcpu *vcpu);

/* ---- boot/, acpi/, power.c, serial.c ------------------------------------- */

/* Opens and checks; die()s naming the option. */
void boot_open(struct vm *vm);
/* Whether the kernel's command line may have words that Linux knows. */
bool boot_takes_linux_words(void);
/* That kernel, initrd and command line fit. die()s. */
void boot_check(struct vm *vm);
/* Kernel, initrd, and what tells of them, into RAM; the first vCPU's entry. */
void boot_load(struct vm *vm);
/* Page tables and GDT, and the first vCPU's registers, for a 64-bit entry. */
void boot_set_long_mode(struct vm *vm, struct kvm_sregs *sregs);
/* The same for a 32-bit entry, without paging. */
void boot_set_protected_mode(struct vm *vm, struct kvm_sregs *sregs);
void acpi_build(struct vm *vm);
/* What makes the sum of all bytes 0 if it is put in the place of a 0 among them. */
u8 acpi_checksum(const void *p, size_t bytes);
void mptable_build(struct vm *vm);
void power_init(struct vm *vm);
void power_load_bios(struct vm *vm);
/* What the guest makes of it is its own business. */
void power_press_button(struct vm *vm);
void serial_init(struct vm *vm);
void serial_reset(void);

/* ---- sandbox/: main thread ------------------------------------------------ */

/* Before anything is opened. die()s. */
void sandbox_init(const struct opts *opts);
/* With everything opened, and no thread made. die()s. */
void sandbox_enter(struct vm *vm);
/* A new thread, by itself. Return: 0 or -errno. */
int seccomp_enter(enum thread_kind kind);

/* ---- stats.c, ctl.c, top.c: main thread; what asks a running VM is in ctl.h -- */

void ctl_init(struct vm *vm);
/* argv[0] is the first argument. Return: an exit status. */
int top_run(int argc, char **argv);

#endif
