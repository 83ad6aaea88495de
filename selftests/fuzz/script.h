/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Any bytes, read as a script for a driver and a device.
 *
 * in:  what a fuzzer makes up
 * out: a duel (../lib/duel.h) fought to its end; a difference aborts
 */
#ifndef SELFTEST_FUZZ_SCRIPT_H
#define SELFTEST_FUZZ_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

/* Longer inputs are cut: they find nothing that shorter ones do not. */
#define SCRIPT_MAX	1024

void script_play(const unsigned char *bytes, size_t n, bool packed);

#endif
