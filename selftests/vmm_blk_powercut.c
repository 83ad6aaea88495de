// SPDX-License-Identifier: GPL-2.0
/* Power cuts of a disk of the user datapath. The check of the check is in path_blk_powercut.c. */
#define _GNU_SOURCE
#include "kselftest_harness.h"

#include "both/blk_powercut.h"

TEST_HARNESS_MAIN
