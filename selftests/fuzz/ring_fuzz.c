// SPDX-License-Identifier: GPL-2.0
/*
 * Coverage-guided fuzzing of ring/, split and packed, against the reference model: usage as in runner.h.
 */
#include "runner.h"
#include "script.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static const struct fuzz_target targets[] = {
	{ "split", SCRIPT_MAX },
	{ "packed", SCRIPT_MAX },
};

static bool packed;

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
	script_play(bytes, n, packed);
	return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	packed = fuzz_run(targets, 2, "120", *argc, *argv) == &targets[1];
	return 0;
}
