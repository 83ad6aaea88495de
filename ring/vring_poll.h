/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For how long a queue that ran empty is watched before its driver is asked for a kick.
 *
 * in:  how long it took until work came; how long the owner allows
 * out: the window
 *
 * It adapts. If work came later than is allowed, watching would not have paid, and the
 * window becomes 0: not watched at all. Else it becomes four times as long as that took,
 * so that a driver of this pace is mostly met: a miss costs a kick and a wake-up, while
 * the window costs nothing as long as work comes. It grows at once and shrinks by a 32nd
 * at a time, since kicks and completions come at paces of their own. After a miss it is 0
 * as well, and work soon after opens it again.
 *
 * As the engine, one source for the module and the VMM.
 */
#ifndef VRING_POLL_H
#define VRING_POLL_H

#include "vring.h"

/* The shortest window: below this the looks themselves take most of it. */
#define VRING_POLL_MIN_NS	10000U

/*
 * Work came @gap_ns after the queue ran empty; @window_ns: the window until now;
 * @max_ns: what is allowed, 0 for none. Return: the next window
 */
static inline u64 vring_poll_window(u64 window_ns, u64 gap_ns, u64 max_ns)
{
	if (gap_ns > max_ns)
		return 0;
	window_ns -= window_ns / 32;
	if (window_ns < 4 * gap_ns)
		window_ns = 4 * gap_ns;
	if (window_ns < VRING_POLL_MIN_NS)
		window_ns = VRING_POLL_MIN_NS;
	return window_ns < max_ns ? window_ns : max_ns;
}

#endif
