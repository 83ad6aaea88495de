// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that does whatever comes to its mind, and one that does nothing at all.
 *
 * in:  seed; n: how many accesses
 * out: nothing that hurts anybody else; at the end a triple fault
 *
 * What a guest may do to itself is left out, as the run would be over: ports that end the machine, messages that would be an
 * INIT, device writes into this image. So rings and buffers lie in a playground, or where there is no memory.
 */
#include "bare.h"

#include <linux/virtio_pci.h>

void *memset(void *p, int c, size_t n);

#define ECAM		0xe8000000U
#define WINDOW		0xc0000000U
#define TABLE_BYTES	0x1000U		/* of MSI-X's BAR */
#define PLAYGROUND	0x01000000U
#define PLAYGROUND_BYTES	0x00400000U

static u32 in_playground(u32 align)
{
	return PLAYGROUND + (random() & (PLAYGROUND_BYTES / 2 - 1) & -align);
}

static void scribble(void)
{
	u32 n = random() & 0xff, at = in_playground(4);

	while (n--) {
		write32(at, random() & 3 ? random() : in_playground(1));
		at += 4;
	}
}

static bool ends_the_machine(u32 port)
{
	/* Any of whose bytes: an access of four may begin before them. */
	return (port >= 0x5fd && port <= 0x602) || (port >= 0x61 && port <= 0x64);
}

static void any_port(void)
{
	static const u16 near[] = { 0x3f9, 0xcf8, 0xcfc, 0xc100, 0xc200, 0x20, 0xa0, 0x40, 0x70, 0x80, 0x4d0, 0x603 };
	u32 port = random() & 1 ? near[random() % ARRAY_SIZE(near)] + (random() & 3) : random() & 0xffff;
	u32 v = random();

	/* The console's data are for what it has to say. */
	if (ends_the_machine(port) || (port >= 0x3f5 && port <= 0x3f8))
		return;
	switch (random() % 7) {
	case 0:
		out8(port, v);
		break;
	case 1:
		out16(port, v);
		break;
	case 2:
		out32(port, v);
		break;
	case 3:
		in8(port);
		break;
	case 4:
		in16(port);
		break;
	case 5:
		in32(port);
		break;
	default: {
		u32 from = in_playground(4), count = random() & 63;

		asm volatile("rep outsl" : "+S"(from), "+c"(count) : "d"(port) : "memory");
	}
	}
}

static void access(u32 addr, u32 v)
{
	switch (random() % 6) {
	case 0:
		write8(addr, v);
		break;
	case 1:
		write16(addr, v);
		break;
	case 2:
	case 3:
		write32(addr, v);
		break;
	case 4:
		read32(addr);
		break;
	default:
		read8(addr);
	}
}

static void any_config(void)
{
	u32 off = random() & 3 ? 0x8000 * (random() % 5) + (random() & 0xff) : random() & 0xfffff;

	/* Capability 5 is a window that reaches all BARs: of the wide world, rarely. */
	access(ECAM + off, random());
}

/* Where the devices' BARs were at first, and may be. */
static void any_bar(void)
{
	u32 slot = 1 + random() % 3, bar = random() & 6, off = random() & 0x3fff, v = random();

	access(WINDOW + (8 * slot + bar) * 0x10000 + off, bar == 2 && off < TABLE_BYTES ? v & ~0x700U : v);
}

/* Past RAM, and short of where interrupt controllers are. */
static void nobody(void)
{
	access(0x10000000U + random() % 0xd8000000U, random());
}

static void any_register(struct device *d)
{
	u32 off = random() % 64, v = random() & 1 ? random() & 0xff : random();

	/* A ring's address: in the playground, or nowhere. */
	if (off >= VIRTIO_PCI_COMMON_Q_DESCLO && off < VIRTIO_PCI_COMMON_Q_NDATA) {
		off &= ~7U;
		write32(d->common + off, random() & 3 ? in_playground(4096) : random() | 0x80000000U);
		return;
	}
	access(d->common + off, v);
}

/* Some requests as they should be; then whatever comes breaks a ring that works. */
static void lay_ring(const struct device *d, u32 desc, u32 avail, u32 num)
{
	struct desc *at = (void *)desc;
	u32 i, n = per_request(d);

	memset(at, 0, num * sizeof(*at));
	for (i = 0; i + n <= num; i += n) {
		u32 data = in_playground(512);

		write16(avail + 4 + 2 * (i / n), i);
		if (n == 1) {
			at[i] = (struct desc) { data, random() & 0xfff, 2, 0 };
			continue;
		}
		/* Reads, writes, flushes; within the disk, or not. */
		write32(data, random() % 5);
		write32(data + 8, random() & 0xfff);
		write32(data + 12, 0);
		at[i] = (struct desc) { data, 16, 1, i + 1 };
		at[i + 1] = (struct desc) { data + 512, 512, random() & 2 ? 3 : 1, i + 2 };
		at[i + 2] = (struct desc) { data + 16, 1, 2, 0 };
	}
	write16(avail, 0);
	write16(avail + 2, i / n);
}

/* So that there is something to break. */
static void drive(struct device *d)
{
	u64 features = F_VERSION_1 | (random() & 1 ? F_RING_RESET : 0) | (random() & 3 ? 0 : 1ULL << 34);
	u32 q, word;

	write8(d->common + VIRTIO_PCI_COMMON_STATUS, 0);
	write8(d->common + VIRTIO_PCI_COMMON_STATUS, 3);
	for (word = 0; word < 2; word++) {
		write32(d->common + VIRTIO_PCI_COMMON_GFSELECT, word);
		write32(d->common + VIRTIO_PCI_COMMON_GF, features >> 32 * word);
	}
	write8(d->common + VIRTIO_PCI_COMMON_STATUS, 3 | STATUS_FEATURES_OK);
	for (q = 0; q < 2; q++) {
		write16(d->common + VIRTIO_PCI_COMMON_Q_SELECT, q);
		u32 num = 1 << random() % 7, at[3];

		write16(d->common + VIRTIO_PCI_COMMON_Q_SIZE, num);
		write16(d->common + VIRTIO_PCI_COMMON_Q_MSIX, random() % 3);
		for (word = 0; word < 3; word++) {
			at[word] = in_playground(4096);
			write32(d->common + VIRTIO_PCI_COMMON_Q_DESCLO + 8 * word, at[word]);
			write32(d->common + VIRTIO_PCI_COMMON_Q_DESCHI + 8 * word, 0);
		}
		if (random() & 3)
			lay_ring(d, at[0], at[1], num);
		write16(d->common + VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	}
	write8(d->common + VIRTIO_PCI_COMMON_STATUS, 3 | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
}

/* The device may have been moved since; then this is one more access to nobody. */
static void one(void)
{
	struct device *d = &devices[random() % nr_devices];

	switch (random() % 17) {
	case 0:
	case 1:
	case 2:
		any_port();
		break;
	case 3:
	case 4:
		any_config();
		break;
	case 5:
	case 6:
	case 7:
		any_bar();
		break;
	case 8:
	case 9:
	case 10:
		any_register(d);
		break;
	case 11:
		if (d->notify_io)
			out16(d->notify + (random() & 0x3f), random());
		else
			write16(d->notify + (random() & 0x3f), random());
		break;
	case 12:
	case 13:
		scribble();
		break;
	case 14:
		drive(d);
		break;
	case 15:
		nobody();
		break;
	default:
		if (!(random() & 63))
			find_devices();
	}
}

void test_garbage(void)
{
	u32 n = number("n", 20000), i;

	seed(number("seed", 1));
	ignore_interrupts();
	for (i = 0; i < n; i++) {
		one();
		if (i % 10000 == 9999) {
			mend_console();
			say("%u accesses so far", i + 1);
		}
	}
	mend_console();
	say("garbage: %u accesses", n);
	triple_fault();
}

/* Rings full, and never a look at them again; neither at its power button. */
void test_deaf(void)
{
	u32 i;

	for (i = 0; i < nr_devices; i++) {
		struct device *d = &devices[i];

		reset_device(d);
		start_device(d, 64);
		post(d, 64 / per_request(d));
	}
	say("deaf");
	for (;;)
		asm volatile("cli; hlt");
}
