// SPDX-License-Identifier: GPL-2.0
/*
 * What a latency histogram says.
 *
 * in:  counts by bucket, since the start or the differences of two readings
 * out: percentiles
 *
 * Within a bucket, which is a fifth to a quarter wide, values are taken to be spread evenly.
 */
#include "latency.h"

void latency_copy(u64 *count, const struct vring_latency *from)
{
	unsigned int i;

	for (i = 0; i < VKICK_LATENCY_BUCKETS; i++)
		count[i] = __atomic_load_n(&from->count[i], __ATOMIC_RELAXED);
}

static u64 bucket_width_ns(unsigned int i)
{
	u64 from = vkick_latency_from_ns(i);

	/* The last has no end. */
	return i + 1 < VKICK_LATENCY_BUCKETS ? vkick_latency_from_ns(i + 1) - from : 0;
}

u64 latency_percentile(const u64 *count, unsigned int percent)
{
	double total = 0, below = 0, rank;
	unsigned int i;

	for (i = 0; i < VKICK_LATENCY_BUCKETS; i++)
		total += count[i];
	rank = total * percent / 100;
	for (i = 0; i < VKICK_LATENCY_BUCKETS; i++) {
		if (count[i] && below + count[i] >= rank)
			return vkick_latency_from_ns(i) + (u64)(bucket_width_ns(i) * ((rank - below) / count[i]));
		below += count[i];
	}
	return 0;
}
