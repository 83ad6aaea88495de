/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between backend.c and backend_dm.c.
 *
 * in:  -
 * out: -
 */
#ifndef SELFTEST_BACKEND_IMPL_H
#define SELFTEST_BACKEND_IMPL_H

#include "backend.h"

/* Runs a command silently. Return: its exit status. */
int backend_exec(char *const argv[]);
void backend_modprobe(const char *module, const char *option);

/* A backend with its full name, and no more. */
struct backend backend_named(const char *name);
/* Sets ->sectors from ->path. */
void backend_measure(struct backend *b);

const char *dm_lacks(const char *target);
/* Makes disks that are suspended go on: whoever waits for them does not for ever. */
void dm_unblock(void);
/* Removes all of ours. Whether none is left. */
bool dm_sweep(void);

#endif
