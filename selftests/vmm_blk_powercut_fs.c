// SPDX-License-Identifier: GPL-2.0
/* Power cuts of a disk of the user datapath on a file. */
#define _GNU_SOURCE
#include "kselftest_harness.h"

#include "both/blk_powercut_fs.h"

TEST_HARNESS_MAIN
