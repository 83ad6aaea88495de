/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What programs that are libFuzzer inside share.
 *
 * usage: PROGRAM [-t TARGET]		TAP; all targets at a time
 *	  FUZZ=TARGET PROGRAM ...	libFuzzer itself, with its own options
 *
 * in:  FUZZ_SECONDS for each; FUZZ_SEED; fuzz/corpus-TARGET
 * out: beside the program, in fuzz-out/: TARGET.log, inputs that reached something new
 *	(TARGET-new/), and one that found a bug (TARGET-crash-...), which
 *	FUZZ=TARGET PROGRAM FILE plays again
 */
#ifndef FUZZ_RUNNER_H
#define FUZZ_RUNNER_H

#include <stddef.h>

/**
 * struct fuzz_target - what inputs are played on
 * @max_len: longer ones find nothing that shorter ones do not
 */
struct fuzz_target {
	const char *name;
	size_t max_len;
};

/* From LLVMFuzzerInitialize(); @seconds: without FUZZ_SECONDS. Return: the one that FUZZ names; without FUZZ, not. */
const struct fuzz_target *fuzz_run(const struct fuzz_target *targets, unsigned int nr, const char *seconds,
				   int argc, char **argv);

#endif
