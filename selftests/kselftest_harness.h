/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's harness, with more patience: these tests run where CPUs are emulated, and others want them as well. A test that hangs is
 * found all the same.
 */
#ifndef SELFTEST_HARNESS_H
#define SELFTEST_HARNESS_H

#include_next <kselftest_harness.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 120	/* seconds */

#endif
