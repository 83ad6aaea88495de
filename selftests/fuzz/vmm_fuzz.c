// SPDX-License-Identifier: GPL-2.0
/*
 * Coverage-guided fuzzing of the VMM's buses, PCI, MSI-X and virtio registers: usage as in runner.h.
 *
 * lib/machine.h says what is checked after each step.
 */
#include "machine_script.h"
#include "runner.h"

#include "../lib/machine.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const u8 *bytes, size_t n);

static const struct fuzz_target target = { "accesses", MACHINE_SCRIPT_MAX };

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t n)
{
	machine_script_play(bytes, n);
	return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fuzz_run(&target, 1, "30", *argc, *argv);
	machine_init();
	return 0;
}
