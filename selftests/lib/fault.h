/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Faults made to order: the nth allocation or copy from or to userspace that a
 * thread makes in the kernel fails (Documentation/fault-injection).
 *
 * in:  /proc/<thread>/fail-nth, failslab, fail_page_alloc, fail_usercopy
 * out: one fault, and whether it came
 */
#ifndef SELFTEST_FAULT_H
#define SELFTEST_FAULT_H

#include "util.h"

/* For a thread of this process. -1 if the kernel has nothing of the kind. */
int fault_open(pid_t tid);

void fault_arm(int fd, unsigned int nth);
/* Whether the fault has come; and there will be none any more. */
bool fault_disarm(int fd);

#endif
