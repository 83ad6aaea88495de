// SPDX-License-Identifier: GPL-2.0
/*
 * The guest of ringtest's virtio_ring_0_9.c, whose split ring the engine understands.
 *
 * in:  that file, in the directory of ./ringtest; its host side is compiled and unused
 * out: the guest's functions of ringtest's main.h, and swap.h's
 */
#include "swap.h"

#define alloc_ring	peer_alloc_ring
#define add_inbuf	peer_add_inbuf
#define disable_kick	peer_disable_kick
#define enable_kick	peer_enable_kick
#define avail_empty	peer_avail_empty
#define use_buf		peer_use_buf
#define call_used	peer_call_used

#include <virtio_ring_0_9.c>

#undef add_inbuf

void swap_guest_alloc(struct swap_ring *r)
{
	peer_alloc_ring();
	*r = (struct swap_ring) { false, ring.desc, ring.avail, ring.used };
}

/* main.c's len is 0. */
int add_inbuf(unsigned len, void *buf, void *data)
{
	(void)len;
	return peer_add_inbuf(SWAP_BYTES, buf, data);
}
