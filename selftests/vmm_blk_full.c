// SPDX-License-Identifier: GPL-2.0
/* A disk of the user datapath on a file that is too small for it. */
#define _GNU_SOURCE
#include "kselftest_harness.h"

#include "both/blk_full.h"

TEST_HARNESS_MAIN
