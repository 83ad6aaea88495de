// SPDX-License-Identifier: GPL-2.0
/*
 * Which test it is.
 *
 * in:  the command line
 * out: "bare: ok", and a machine that is turned off; or "bare: failed:" and why
 */
#include "bare.h"

#define AT_CMDLINE	16	/* in the multiboot information */

static const struct test {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "queue-reset", test_queue_reset },
	{ "needs-reset", test_needs_reset },
	{ "resets", test_resets },
	{ "stall", test_stall },
	{ "garbage", test_garbage },
	{ "deaf", test_deaf },
};

void main(u32 info);
void main(u32 info)
{
	u32 i;

	command_line = (const char *)read32(info + AT_CMDLINE);
	find_devices();
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (!has_word(tests[i].name))
			continue;
		tests[i].run();
		say("ok");
		power_off();
	}
	fail("no such test: %s", command_line);
}
