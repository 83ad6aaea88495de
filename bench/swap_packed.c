// SPDX-License-Identifier: GPL-2.0
/*
 * A guest with a packed ring for ringtest's main.c, as lean as those of ringtest.
 *
 * in:  ring_size
 * out: the guest's functions of ringtest's main.h, and swap.h's
 *
 * Buffers come back in the order in which they were given, since the engine's caller
 * here gives them back so, and this is checked: a buffer's ID is its place.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#define VIRTIO_RING_NO_LEGACY
#include <linux/virtio_ring.h>

#include "swap.h"

#include <main.h>

#define F_AVAIL	(1 << VRING_PACKED_DESC_F_AVAIL)
#define F_USED	(1 << VRING_PACKED_DESC_F_USED)

static struct vring_packed_desc *desc;
static struct vring_packed_desc_event *driver, *device;
static void **data, **bufs;

/* Places run on past the ring's end; bit ring_size of one says which lap it is. */
static unsigned avail, used, kicked, in_flight;

static bool odd_lap(unsigned place)
{
	return place & ring_size;
}

void swap_guest_alloc(struct swap_ring *r)
{
	/* Cache lines of their own, as ringtest's rings have. */
	desc = aligned_alloc(4096, ring_size * sizeof(*desc));
	driver = aligned_alloc(4096, 4096);
	device = aligned_alloc(4096, 4096);
	data = calloc(ring_size, sizeof(*data));
	bufs = calloc(ring_size, sizeof(*bufs));
	if (!desc || !driver || !device || !data || !bufs)
		abort();
	memset(desc, 0, ring_size * sizeof(*desc));
	memset(driver, 0, 4096);
	memset(device, 0, 4096);
	/* As a guest that waits for its first buffer. */
	driver->off_wrap = 1 << VRING_PACKED_EVENT_F_WRAP_CTR;
	driver->flags = VRING_PACKED_EVENT_FLAG_DESC;
	*r = (struct swap_ring) { true, desc, driver, device };
}

int add_inbuf(unsigned len, void *buf, void *datap)
{
	unsigned i = avail & (ring_size - 1);

	(void)len;
	if (in_flight == ring_size)
		return -1;
	in_flight++;
	desc[i].addr = (unsigned long)buf;
	desc[i].len = SWAP_BYTES;
	desc[i].id = i;
	data[i] = datap;
	bufs[i] = buf;
	smp_release();
	WRITE_ONCE(desc[i].flags, odd_lap(avail) ? F_USED : F_AVAIL);
	avail++;
	return 0;
}

bool used_empty(void)
{
	unsigned short flags = READ_ONCE(desc[used & (ring_size - 1)].flags);
	unsigned short mine = odd_lap(used) ? 0 : F_AVAIL | F_USED;

	return (flags & (F_AVAIL | F_USED)) != mine || !in_flight;
}

void *get_buf(unsigned *lenp, void **bufp)
{
	unsigned i = used & (ring_size - 1);

	if (used_empty())
		return NULL;
	smp_acquire();
	if (desc[i].id != i)
		abort();
	*lenp = desc[i].len;
	*bufp = bufs[i];
	used++;
	in_flight--;
	return data[i];
}

void disable_call(void)
{
}

bool enable_call(void)
{
	driver->off_wrap = (used & (ring_size - 1)) |
			   !odd_lap(used) << VRING_PACKED_EVENT_F_WRAP_CTR;
	smp_mb();
	return used_empty();
}

/* Whether the place that the device waits for is among those filled since. */
void kick_available(void)
{
	unsigned off_wrap, event;

	smp_mb();
	off_wrap = READ_ONCE(device->off_wrap);
	event = off_wrap & ~(1U << VRING_PACKED_EVENT_F_WRAP_CTR);
	if (!(off_wrap >> VRING_PACKED_EVENT_F_WRAP_CTR))
		event += ring_size;
	/* Laps have two colours. */
	if (((avail - event - 1) & (2 * ring_size - 1)) <
	    ((avail - kicked) & (2 * ring_size - 1)) ||
	    avail - kicked >= 2 * ring_size)
		kick();
	kicked = avail;
}
