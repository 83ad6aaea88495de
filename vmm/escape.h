/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The escape key of a terminal: Ctrl-A, and what follows it.
 */
#ifndef ESCAPE_H
#define ESCAPE_H

#include "vmm.h"

/**
 * struct escape - what is typed at a terminal
 * @keys: that mean something after Ctrl-A; all others are sent, and the Ctrl-A before them too
 * @command: is told which
 * @pending: Ctrl-A was typed last
 */
struct escape {
	const char *keys;
	void (*command)(char key);
	bool pending;
};

/* Return: bytes that are left of @n when keys and the Ctrl-A before them are taken out, in @out, at most 2 * @n */
u32 escape_filter(struct escape *e, const u8 *in, u32 n, u8 *out);

#endif
