// SPDX-License-Identifier: GPL-2.0
/*
 * The engine as the host side of a ringtest program: its main.c, its two threads and
 * its guest, against our device.
 *
 * in:  the guest's ring (swap.h)
 * out: the functions that ringtest's main.h asks of a host
 *
 * run_host() takes buffers until there are none. Used ones are published at that
 * point, as our workers do; ringtest's own rings publish each at once.
 */
#include <stdlib.h>

#include "swap.h"
#include "../ring/vring.h"

#include <main.h>

extern int runcycles;		/* of main.c: buffers in all */

static struct vring_dev vr;
static struct vring_seg segs[1];
static struct vring_chain chain = { .max_segs = 1, .segs = segs };
static int served;

/* There are no indirect tables. */
int vring_io_lookup(void *mem, u64 gpa, u32 len, const void **ptr, u32 *contig)
{
	(void)mem, (void)gpa, (void)len, (void)ptr, (void)contig;
	return -EFAULT;
}

void alloc_ring(void)
{
	struct swap_ring r;
	struct vring_config cfg;

	swap_guest_alloc(&r);
	cfg = (struct vring_config) {
		.desc = r.desc,
		.avail = r.avail,
		.used = r.used,
		.num = ring_size,
		.features = 1ULL << VIRTIO_RING_F_EVENT_IDX |
			    (u64)r.packed << VIRTIO_F_RING_PACKED,
	};
	if (vring_init(&vr, &cfg) ||
	    vring_load(&vr, r.packed ? VRING_PACKED_START : 0))
		abort();
}

static void publish(void)
{
	int want = vring_flush(&vr);

	if (want < 0)
		abort();
	if (want && do_sleep)
		call();
}

bool use_buf(unsigned *len, void **buf)
{
	int ret = vring_pop(&vr, &chain);

	if (ret < 0)
		abort();
	if (!ret) {
		publish();
		return false;
	}
	*len = segs[0].len;
	*buf = (void *)segs[0].gpa;
	if (vring_push(&vr, chain.token, SWAP_BYTES - 1))
		abort();
	/* run_host() does not look for another after the last. */
	if (++served == runcycles)
		publish();
	return true;
}

/* use_buf() has decided on the call. */
void call_used(void)
{
}

bool avail_empty(void)
{
	return !vring_has_avail(&vr);
}

void disable_kick(void)
{
	if (vring_disable_notify(&vr))
		abort();
}

bool enable_kick(void)
{
	int more = vring_enable_notify(&vr);

	if (more < 0)
		abort();
	return !more;
}
