/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between calls.c and races.c.
 *
 * in:  a stage, a state of prng()
 * out: 0 or -errno of a call
 */
#ifndef SELFTEST_CALLS_IMPL_H
#define SELFTEST_CALLS_IMPL_H

#include "calls.h"

/* The fd of an eventfd, mostly. */
int calls_any_event(u64 *state);
/* The fd of a device, mostly of one that is under traffic. */
int calls_any_device(u64 *state);

int call_set_owner(struct stage *s, u64 *state);
int call_set_running(struct stage *s, u64 *state);

int race_open_device(struct stage *s, u64 *state);
int race_new_event(struct stage *s, u64 *state);
int race_close_fd(struct stage *s, u64 *state);
int race_dup_fd(struct stage *s, u64 *state);
int race_signal_event(struct stage *s, u64 *state);
int race_read_event(struct stage *s, u64 *state);
int race_map_pages(struct stage *s, u64 *state);
int race_unmap_pages(struct stage *s, u64 *state);
int race_protect_pages(struct stage *s, u64 *state);
int race_move_pages(struct stage *s, u64 *state);
int race_advise_pages(struct stage *s, u64 *state);
int race_poke_ring(struct stage *s, u64 *state);
int race_from_another_process(struct stage *s, u64 *state);
int race_yield(struct stage *s, u64 *state);

#endif
