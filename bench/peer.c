// SPDX-License-Identifier: GPL-2.0
/*
 * A ring of the kernel's tools/virtio/ringtest, measured as the engine is.
 *
 * in:  PEER  its source, <virtio_ring_0_9.c> or <ring.c>, in the directory of ./ringtest
 * out: native.h's functions
 *
 * The host does what run_host() in its main.c does, with the ring's functions
 * flattened into one, as there. With `flags` or `event_idx` it is as with --sleep: a
 * decision on a call after each buffer, and kicks asked for when the ring is empty;
 * what sleeps is left out. With `poll` there is no notification at all. Layout and
 * batches are the ring's own: one descriptor, and a used index for each buffer.
 */
#include <stdlib.h>
#include <string.h>

#include "native.h"

#include PEER

unsigned ring_size = SIDE_NUM;
int param;
bool do_exit, do_sleep = true, do_relax;

static unsigned shown, batch_size;
static volatile unsigned calls;

void kick(void) { }
void wait_for_kick(void) { }
void call(void) { calls++; }
void wait_for_call(void) { }

void side_init(const struct side_conf *conf)
{
	do_sleep = strcmp(conf->mode, "poll");
	batch_size = conf->batch;
	alloc_ring();
}

#ifdef PEER_IS_DESC_RING
/* ring.c: a descriptor says by its own flags that the device may have it. */
void side_publish(void)
{
	smp_release();
	*(volatile unsigned short *)&ring[shown & (ring_size - 1)].flags = DESC_HW;
	shown += batch_size;
}

static void hide(void)
{
	unsigned i;

	for (i = 0; i < SIDE_REQUESTS; i += batch_size)
		ring[(shown + i) & (ring_size - 1)].flags = 0;
}
#else
void side_publish(void)
{
	shown += batch_size;
	smp_release();
	*(volatile unsigned short *)&ring.avail->idx = shown;
}

static void hide(void)
{
	ring.avail->idx = shown;
}
#endif

void side_fill(void)
{
	unsigned i;

	for (i = 0; i < SIDE_REQUESTS; i++)
		if (add_inbuf(64, "Buffer\n", "Hello, world!"))
			abort();
	hide();
}

uint32_t __attribute__((__flatten__, __noinline__)) side_device(void)
{
	uint32_t n = 0;
	unsigned len;
	void *buf;

	if (!do_sleep) {
		while (__builtin_expect(use_buf(&len, &buf), true))
			n++;
		return n;
	}
	disable_kick();
	while (__builtin_expect(use_buf(&len, &buf), true)) {
		call_used();
		n++;
	}
	if (avail_empty() && !enable_kick())
		abort();
	return n;
}

void side_take(void)
{
	unsigned i, len;
	void *buf;

	for (i = 0; i < SIDE_REQUESTS; i++)
		if (!get_buf(&len, &buf) || len != 63)
			abort();
	enable_call();
}
