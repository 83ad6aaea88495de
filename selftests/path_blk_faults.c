// SPDX-License-Identifier: GPL-2.0
/* A disk of the module on a backend that fails, or stalls. */
#define _GNU_SOURCE
#include "kselftest_harness.h"

#include "both/blk_faults.h"

TEST_HARNESS_MAIN
