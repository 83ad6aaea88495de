/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between the two halves of a ringtest program whose host side is the engine.
 *
 * in:  swap_split.c or swap_packed.c  a guest side, with rings laid out as VIRTIO says
 * out: swap.c  ringtest's host functions
 *
 * They are two files because ringtest wants <linux/virtio_ring.h> with its
 * vring_init(), and the engine wants it without.
 */
#ifndef BENCH_SWAP_H
#define BENCH_SWAP_H

#include <stdbool.h>

/* Each buffer of the guest; ringtest's own have none, which the engine would skip. */
#define SWAP_BYTES	64

struct swap_ring {
	bool packed;
	void *desc, *avail, *used;
};

/* Makes a ring of ringtest's ring_size, with EVENT_IDX. */
void swap_guest_alloc(struct swap_ring *r);

#endif
