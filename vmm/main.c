// SPDX-License-Identifier: GPL-2.0
/*
 * vkick: a small VMM whose virtqueues may be served by the kernel.
 *
 * in:  the command line
 * out: a guest that runs to its end; exit status 0, 1 for an error, 2 for a
 *      command line that is wrong
 */
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "ctl.h"
#include "opts.h"
#include "pci.h"
#include "stats.h"
#include "vfio.h"
#include "virtio.h"
#include "vmm.h"

/* From power-on to the end of this boot. */
static enum vm_state boot_once(struct vm *vm)
{
	vm_power_on(vm);
	vfio_power_on(vm);
	boot_load(vm);
	acpi_build(vm);
	mptable_build(vm);
	power_load_bios(vm);

	vcpu_start_all(vm);		/* from here on, no die() */
	loop_run(vm);
	vcpu_stop_all(vm);
	return atomic_load(&vm->state);
}

/* The mirror of boot_once(): while KVM's VM is there, devices let go of it. */
static void shut_down(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	virtio_power_off();
	vfio_power_off(vm);
	pci_reset();
	serial_reset();
	pthread_mutex_unlock(&vm->lock);
	vm_power_off(vm);
}

/* Three eventfds a queue: more than the usual soft limit of 1024 has room for. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int run(int argc, char **argv)
{
	static struct opts opts;
	static struct vm vm;
	enum vm_state end;

	argv = opts_expand(&argc, argv);
	opts_parse(&opts, argc, argv);
	sandbox_init(&opts);
	raise_file_limit();
	/* Threads allocate little: one arena will do, and glibc need not ask how many CPUs there are. */
	mallopt(M_ARENA_MAX, 1);
	vm_init(&vm, &opts);
	boot_open(&vm);
	if (boot_takes_linux_words())
		opts_default_console(&opts);
	boot_check(&vm);
	stats_init(&vm);
	loop_init(&vm);
	power_init(&vm);
	pci_init(&vm);
	virtio_init(&vm);
	vfio_init(&vm);
	ctl_init(&vm);
	serial_init(&vm);		/* last: it may make the terminal raw */
	sandbox_enter(&vm);		/* from here on, what is not in sandbox/calls.c kills us */

	for (;;) {
		end = boot_once(&vm);
		if (end != VM_REBOOT && !(end == VM_RESET && opts.reboot))
			break;
		shut_down(&vm);
	}
	stats_write();			/* while the datapaths still count */
	shut_down(&vm);
	return end == VM_FAILED;
}

static int ctl(int argc, char **argv)
{
	if (argc < 2)
		die_usage("ctl: give a socket, then " CTL_COMMANDS);
	return ctl_client(argv[0], argv + 1, argc - 1);
}

int main(int argc, char **argv)
{
	const char *cmd = argc > 1 ? argv[1] : "";

	if (!strcmp(cmd, "run"))
		return run(argc - 2, argv + 2);
	if (!strcmp(cmd, "ctl"))
		return ctl(argc - 2, argv + 2);
	if (!strcmp(cmd, "top"))
		return top_run(argc - 2, argv + 2);
	if (!strcmp(cmd, "vfio"))
		return vfio_tool_run(argc - 2, argv + 2);
	if (!strcmp(cmd, "--version")) {
		puts("vkick " VKICK_VERSION);
		return 0;
	}
	if (!strcmp(cmd, "--help") || !strcmp(cmd, "-h")) {
		opts_help();
		return 0;
	}
	die_usage("%s: unknown command: give run, ctl, top or vfio, or see vkick --help",
		  *cmd ? cmd : "nothing");
}
