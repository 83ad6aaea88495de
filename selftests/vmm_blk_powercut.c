// SPDX-License-Identifier: GPL-2.0
/* Power cuts of a disk of the user datapath. The check of the check is in path_blk_powercut.c. */
#define _GNU_SOURCE
#include "kselftest_harness.h"

#include "both/blk_powercut.h"

FIXTURE_VARIANT_ADD(cut, buffered_packed_many_flushes) {
	.conf = { .features = F_PACKED, .many_flushes = true } };

TEST_HARNESS_MAIN
