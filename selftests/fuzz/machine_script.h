/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Bytes as a guest's accesses to the machine, with what devices and their owner do in between.
 *
 * in:  any bytes; a machine that machine_init() made
 * out: aborts where machine_check() does
 */
#ifndef FUZZ_MACHINE_SCRIPT_H
#define FUZZ_MACHINE_SCRIPT_H

#include "../lib/util.h"

/* A step takes this many bytes; what is left over is not looked at. */
#define MACHINE_STEP_BYTES	12
#define MACHINE_SCRIPT_MAX	(256 * MACHINE_STEP_BYTES)

/* From a machine as after power-on, which it is afterwards again. */
void machine_script_play(const u8 *bytes, size_t n);
/* One step, with all checks after it. */
void machine_script_step(const u8 *bytes);

#endif
