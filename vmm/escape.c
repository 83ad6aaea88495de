// SPDX-License-Identifier: GPL-2.0
/*
 * The escape key of a terminal, as kvmtool's and QEMU's users know it.
 *
 * in:  what is typed
 * out: what of it is the guest's; keys that are not
 */
#include <string.h>

#include "escape.h"

#define ESCAPE		0x01	/* Ctrl-A */

u32 escape_filter(struct escape *e, const u8 *in, u32 n, u8 *out)
{
	u32 i, nr = 0;

	for (i = 0; i < n; i++) {
		if (!e->pending && in[i] == ESCAPE) {
			e->pending = true;
			continue;
		}
		if (e->pending && in[i] && strchr(e->keys, in[i])) {
			e->pending = false;
			e->command(in[i]);
			continue;
		}
		/* Ctrl-A twice sends one; with anything else it was meant so. */
		if (e->pending && in[i] != ESCAPE)
			out[nr++] = ESCAPE;
		e->pending = false;
		out[nr++] = in[i];
	}
	return nr;
}
