// SPDX-License-Identifier: GPL-2.0
/*
 * Resets of queues and devices with requests in flight.
 *
 * in:  n, warm: how many of test_resets(), of which so many before it first waits for a word
 * out: failures, if a queue serves what it should not, or does not serve what it should
 *
 * Memory that a queue had is filled with a pattern as soon as the reset is complete: from then on it is the driver's, and
 * the pattern stays (VIRTIO 1.2, 2.4.1, 2.6.1.1.1).
 */
#include "bare.h"

#include <linux/virtio_pci.h>

#define MINE		0xa5a5a5a5

/* Whole words. */
static void fill(void *p, u32 bytes)
{
	volatile u32 *at = p;

	for (; bytes; bytes -= sizeof(*at))
		*at++ = MINE;
}

static void check(struct device *d, const void *p, u32 bytes, const char *what)
{
	const volatile u32 *at = p;
	u32 i;

	for (i = 0; i < bytes / sizeof(*at); i++)
		if (at[i] != MINE)
			fail("%s: byte %u of its %s was written after a reset", name_of(d), 4 * i, what);
}

static u32 used_bytes(const struct device *d)
{
	return offsetof(struct used, ring[d->most]) + sizeof(u32);
}

/* What the device may write, as long as the queue is its own. */
static void take_back(struct device *d)
{
	fill(&ring_of(d)->used, used_bytes(d));
	fill(d->requests, d->most * sizeof(d->requests[0]));
}

static void check_mine(struct device *d)
{
	check(d, &ring_of(d)->used, used_bytes(d), "used ring");
	check(d, d->requests, d->most * sizeof(d->requests[0]), "buffers");
}

static u32 as_many_as_fit(const struct device *d)
{
	return d->num / per_request(d);
}

static void expect_default(struct device *d, u16 size)
{
	u32 off;

	if (queue_field(d, VIRTIO_PCI_COMMON_Q_ENABLE) || queue_field(d, VIRTIO_PCI_COMMON_Q_RESET))
		fail("%s: enable and reset do not read 0", name_of(d));
	if (queue_field(d, VIRTIO_PCI_COMMON_Q_SIZE) != size || queue_field(d, VIRTIO_PCI_COMMON_Q_MSIX) != 0xffff)
		fail("%s: size or vector is not as at first", name_of(d));
	for (off = VIRTIO_PCI_COMMON_Q_DESCLO; off <= VIRTIO_PCI_COMMON_Q_USEDHI; off += 4)
		if (read32(d->common + off))
			fail("%s: an address is not as at first", name_of(d));
}

void test_queue_reset(void)
{
	static const u32 sizes[] = { 64, 16, 32, 4 };
	u32 i, round, n = number("n", 200);

	for (i = 0; i < nr_devices; i++) {
		struct device *d = &devices[i];
		u16 size;

		reset_device(d);
		size = queue_field(d, VIRTIO_PCI_COMMON_Q_SIZE);
		start_device(d, 64);
		for (round = 0; round < n; round++) {
			post(d, as_many_as_fit(d));
			/* All of them, or whatever there was time for. */
			if (round % 4 == 0)
				await_all(d);
			reset_queue(d);
			take_back(d);
			expect_default(d, size);
			if (round % 4 == 1)
				kick(d);
			if (is_pending(d, 1))
				fail("%s: an event is pending after the reset of its queue", name_of(d));
			check_mine(d);
			set_up_queue(d, sizes[round % ARRAY_SIZE(sizes)]);
		}
		post(d, as_many_as_fit(d));
		await_all(d);

		/* Without one at DRIVER_OK, and then with one: whatever serves it has to begin then. */
		reset_device(d);
		negotiate(d, F_VERSION_1 | F_RING_RESET);
		driver_ok(d);
		reset_queue(d);
		set_up_queue(d, 64);
		post(d, as_many_as_fit(d));
		await_all(d);
		reset_device(d);
		say("%s: %u queue resets", name_of(d), n);
	}
}

static void await_broken(struct device *d)
{
	struct deadline end = soon();

	while (!(read8(d->common + VIRTIO_PCI_COMMON_STATUS) & STATUS_NEEDS_RESET))
		if (passed(&end))
			fail("%s: does not ask for a reset", name_of(d));
	/* 2.1.2: it is told as well. The bit is there before. */
	while (!is_pending(d, 0))
		if (passed(&end))
			fail("%s: no config interrupt", name_of(d));
}

void test_needs_reset(void)
{
	u32 i, round, n = number("n", 50);

	for (i = 0; i < nr_devices; i++) {
		struct device *d = &devices[i];

		for (round = 0; round < n; round++) {
			reset_device(d);
			if (is_pending(d, 0))
				fail("%s: the config interrupt outlives the reset", name_of(d));
			start_device(d, 64);
			/* A chain that begins past the table; or more chains than it holds; or a loop. */
			post(d, 2);
			if (round % 3 == 0)
				ring_of(d)->avail.ring[2] = 64;
			if (round % 3 == 2)
				ring_of(d)->desc[63] = (struct desc) { (u32)d->requests[63].data, 16, 3, 63 };
			ring_of(d)->avail.ring[2] = round % 3 == 2 ? 63 : ring_of(d)->avail.ring[2];
			__atomic_store_n(&ring_of(d)->avail.idx, round % 3 == 1 ? 1000 : 3, __ATOMIC_SEQ_CST);
			kick(d);
			await_broken(d);
			reset_device(d);
			start_device(d, 64);
			post(d, as_many_as_fit(d));
			await_all(d);
		}
		reset_device(d);
		say("%s: %u times broken and mended", name_of(d), n);
	}
}

/* One reset of a device with its queue full; two if the queue's comes first. Return: how many. */
static u32 reset_once(struct device *d, u32 n, u32 *cut)
{
	u32 spins = random() % 8 ? random() % 4096 : 0, resets = 1;

	start_device(d, 64);
	post(d, as_many_as_fit(d));
	if (n % 16 == 0)
		await_all(d);
	while (spins--)
		asm volatile("pause");
	if (n & 1) {
		reset_queue(d);
		*cut += *(volatile u16 *)&ring_of(d)->used.idx != as_many_as_fit(d);
		take_back(d);
		check_mine(d);
		if (n & 2) {
			set_up_queue(d, 32);
			post(d, as_many_as_fit(d));
		}
		resets++;
	}
	reset_device(d);
	*cut += *(volatile u16 *)&ring_of(d)->used.idx < as_many_as_fit(d);
	take_back(d);
	return resets;
}

/* The disk's backend stands still until the test has looked around. Of its requests all that a queue has room for are in flight. */
void test_stall(void)
{
	struct device *d = &devices[0];

	reset_device(d);
	start_device(d, MAX_NUM);
	say("ready");
	await_word();
	post_in_flight(d, as_many_as_fit(d));
	say("%s: full: %u in flight", name_of(d), as_many_as_fit(d) - 1);
	if (has_word("queue"))
		reset_queue(d);
	reset_device(d);
	take_back(d);
	say("%s: reset", name_of(d));
	await_word();
	check_mine(d);
	start_device(d, MAX_NUM);
	post(d, as_many_as_fit(d));
	await_all(d);
	reset_device(d);
}

void test_resets(void)
{
	u32 n = number("n", 1000), warm = number("warm", 100), i, done = 0, cut = 0;
	bool is_warm = false;

	for (i = 0; i < nr_devices; i++)
		reset_device(&devices[i]);
	for (i = 0; done < n; i++) {
		struct device *d = &devices[i % nr_devices];

		if (!is_warm && done >= warm) {
			is_warm = true;
			say("warm");
			await_word();
		}
		/* Since its last reset others have been at work. */
		if (i >= nr_devices)
			check_mine(d);
		done += reset_once(d, i / nr_devices, &cut);
		if (i % 500 == 499)
			say("%u resets so far", done);
	}
	say("resets: %u, with requests left in %u", done, cut);
	await_word();
}
