/* SPDX-License-Identifier: GPL-2.0 */
/* Histograms of requests' latencies, as pop_to_used_ns of struct vkick_stats. */
#ifndef LATENCY_H
#define LATENCY_H

#include "vmm.h"
#include "vring_latency.h"

/* Any thread, whatever the one that serves the queue does. */
void latency_copy(u64 *count, const struct vring_latency *from);
/* Return: ns, which @percent of all were not above, to about a tenth; 0 if there are none. Any context. */
u64 latency_percentile(const u64 *count, unsigned int percent);

#endif
