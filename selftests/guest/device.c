// SPDX-License-Identifier: GPL-2.0
/*
 * A driver for queue 0 of each virtio device, register by register.
 *
 * in:  PCI, by CF8 and CFC
 * out: see bare.h; any answer that VIRTIO 1.2 does not allow is a failure
 */
#include "bare.h"

#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>

#define WINDOW		0xc0000000U	/* for memory BARs */
#define WINDOW_IO	0xc000U
#define BAR_SPACING	0x10000U
#define PATTERN		0x5a		/* what the test has filled disks with */

struct device devices[MAX_DEVICES];
u32 nr_devices;

/* ---- PCI ------------------------------------------------------------------------------------------ */

u32 cfg_read32(u8 slot, u32 off)
{
	out32(0xcf8, 0x80000000U | slot << 11 | (off & 0xfc));
	return in32(0xcfc);
}

void cfg_write32(u8 slot, u32 off, u32 v)
{
	out32(0xcf8, 0x80000000U | slot << 11 | (off & 0xfc));
	out32(0xcfc, v);
}

static u8 cfg_read8(u8 slot, u32 off)
{
	return cfg_read32(slot, off) >> 8 * (off & 3);
}

static void place_bars(u8 slot)
{
	u32 bar;

	for (bar = 0; bar < 6; bar += 2) {
		u32 off = PCI_BASE_ADDRESS_0 + 4 * bar;

		if (cfg_read32(slot, off) & PCI_BASE_ADDRESS_SPACE_IO) {
			cfg_write32(slot, off, WINDOW_IO + 0x100 * slot);
		} else {
			cfg_write32(slot, off, WINDOW + (8 * slot + bar) * BAR_SPACING);
			cfg_write32(slot, off + 4, 0);
		}
	}
	cfg_write32(slot, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static u32 bar_at(u8 slot, u8 bar)
{
	u32 v = cfg_read32(slot, PCI_BASE_ADDRESS_0 + 4 * bar);

	return v & PCI_BASE_ADDRESS_SPACE_IO ? v & ~3U : v & ~15U;
}

static void read_capabilities(struct device *d)
{
	u8 at = cfg_read8(d->slot, PCI_CAPABILITY_LIST);

	for (; at; at = cfg_read8(d->slot, at + 1)) {
		u8 id = cfg_read8(d->slot, at), type = cfg_read8(d->slot, at + 3), bar = cfg_read8(d->slot, at + 4);
		u32 place = bar_at(d->slot, bar) + cfg_read32(d->slot, at + 8);

		if (id == PCI_CAP_ID_VNDR && type == VIRTIO_PCI_CAP_COMMON_CFG)
			d->common = place;
		if (id == PCI_CAP_ID_VNDR && type == VIRTIO_PCI_CAP_NOTIFY_CFG) {
			d->notify = place;
			d->notify_io = cfg_read32(d->slot, PCI_BASE_ADDRESS_0 + 4 * bar) & 1;
		}
		if (id == PCI_CAP_ID_MSIX) {
			u32 table = cfg_read32(d->slot, at + 4), pba = cfg_read32(d->slot, at + 8);

			d->table = bar_at(d->slot, table & 7) + (table & ~7U);
			d->pba = bar_at(d->slot, pba & 7) + (pba & ~7U);
			cfg_write32(d->slot, at, cfg_read32(d->slot, at) | (u32)PCI_MSIX_FLAGS_ENABLE << 16);
		}
	}
}

void find_devices(void)
{
	u8 slot;

	nr_devices = 0;
	for (slot = 1; slot < 32 && nr_devices < MAX_DEVICES; slot++) {
		u32 ids = cfg_read32(slot, 0);
		struct device *d = &devices[nr_devices];

		if ((ids & 0xffff) != 0x1af4)
			continue;
		d->slot = slot;
		d->id = (ids >> 16) - 0x1040;
		place_bars(slot);
		read_capabilities(d);
		if (!d->common || !d->notify || !d->pba)
			fail("device in slot %u lacks a capability", slot);
		nr_devices++;
	}
	if (!nr_devices)
		fail("no virtio device");
}

const char *name_of(const struct device *d)
{
	return d->id == ID_BLOCK ? "disk" : "rng";
}

/* ---- The driver ------------------------------------------------------------------------------------ */

static void put64(struct device *d, u32 off, u64 v)
{
	write32(d->common + off, v);
	write32(d->common + off + 4, v >> 32);
}

static void expect_status(struct device *d, u8 wanted)
{
	u8 status = read8(d->common + VIRTIO_PCI_COMMON_STATUS);

	if (status != wanted)
		fail("%s: status %x, not %x", name_of(d), status, wanted);
}

void reset_device(struct device *d)
{
	struct deadline end = soon();

	write8(d->common + VIRTIO_PCI_COMMON_STATUS, 0);
	while (read8(d->common + VIRTIO_PCI_COMMON_STATUS))
		if (passed(&end))
			fail("%s: its reset does not end", name_of(d));
	d->posted = 0;
}

void negotiate(struct device *d, u64 features)
{
	write8(d->common + VIRTIO_PCI_COMMON_STATUS, 1);
	write8(d->common + VIRTIO_PCI_COMMON_STATUS, 3);
	write32(d->common + VIRTIO_PCI_COMMON_GFSELECT, 0);
	write32(d->common + VIRTIO_PCI_COMMON_GF, features);
	write32(d->common + VIRTIO_PCI_COMMON_GFSELECT, 1);
	write32(d->common + VIRTIO_PCI_COMMON_GF, features >> 32);
	write8(d->common + VIRTIO_PCI_COMMON_STATUS, 3 | STATUS_FEATURES_OK);
	expect_status(d, 3 | STATUS_FEATURES_OK);
	write16(d->common + VIRTIO_PCI_COMMON_MSIX, 0);
}

struct ring *ring_of(struct device *d)
{
	return &d->rings[d->which];
}

u16 queue_field(struct device *d, u32 off)
{
	write16(d->common + VIRTIO_PCI_COMMON_Q_SELECT, 0);
	return read16(d->common + off);
}

void set_up_queue(struct device *d, u32 num)
{
	struct ring *r;
	u8 *p;

	d->which ^= 1;
	d->num = num;
	d->most = num > d->most ? num : d->most;
	d->posted = 0;
	r = ring_of(d);
	for (p = (u8 *)r; p < (u8 *)(r + 1); p++)
		*p = 0;
	write16(d->common + VIRTIO_PCI_COMMON_Q_SELECT, 0);
	write16(d->common + VIRTIO_PCI_COMMON_Q_SIZE, num);
	write16(d->common + VIRTIO_PCI_COMMON_Q_MSIX, 1);
	put64(d, VIRTIO_PCI_COMMON_Q_DESCLO, (u32)r->desc);
	put64(d, VIRTIO_PCI_COMMON_Q_AVAILLO, (u32)&r->avail);
	put64(d, VIRTIO_PCI_COMMON_Q_USEDLO, (u32)&r->used);
	write16(d->common + VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	if (read16(d->common + VIRTIO_PCI_COMMON_Q_ENABLE) != 1)
		fail("%s: its queue is not enabled", name_of(d));
}

void driver_ok(struct device *d)
{
	write8(d->common + VIRTIO_PCI_COMMON_STATUS, 3 | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
	expect_status(d, 3 | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
}

void start_device(struct device *d, u32 num)
{
	negotiate(d, F_VERSION_1 | F_RING_RESET);
	set_up_queue(d, num);
	driver_ok(d);
}

void reset_queue(struct device *d)
{
	struct deadline end = soon();

	write16(d->common + VIRTIO_PCI_COMMON_Q_SELECT, 0);
	write16(d->common + VIRTIO_PCI_COMMON_Q_RESET, 1);
	while (read16(d->common + VIRTIO_PCI_COMMON_Q_RESET))
		if (passed(&end))
			fail("%s: the reset of its queue does not end", name_of(d));
	d->posted = 0;
}

bool is_pending(const struct device *d, u32 vector)
{
	return read32(d->pba) >> vector & 1;
}

/* ---- Requests ------------------------------------------------------------------------------------------ */

u32 per_request(const struct device *d)
{
	return d->id == ID_BLOCK ? 3 : 1;
}

static void describe(struct device *d, u32 i)
{
	struct desc *desc = &ring_of(d)->desc[i * per_request(d)];
	struct request *r = &d->requests[i];
	u32 at = i * per_request(d);

	r->status = 0xff;
	r->data[0] = r->data[DATA_BYTES - 1] = 0;
	if (d->id != ID_BLOCK) {
		*desc = (struct desc) { (u32)r->data, DATA_BYTES, 2, 0 };
		return;
	}
	r->header.type = 0;	/* a read */
	r->header.sector = random() % 1024;
	desc[0] = (struct desc) { (u32)&r->header, 16, 1, at + 1 };
	desc[1] = (struct desc) { (u32)r->data, DATA_BYTES, 3, at + 2 };
	desc[2] = (struct desc) { (u32)&r->status, 1, 2, 0 };
}

/* Once after each set-up: request i is in descriptors of its own. */
static void prepare(struct device *d, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++) {
		describe(d, i);
		ring_of(d)->avail.ring[i] = i * per_request(d);
	}
}

static void make_available(struct device *d, u32 n)
{
	__atomic_store_n(&ring_of(d)->avail.idx, n, __ATOMIC_SEQ_CST);
	d->posted = n;
	kick(d);
}

void post(struct device *d, u32 n)
{
	prepare(d, n);
	make_available(d, n);
}

void post_in_flight(struct device *d, u32 n)
{
	const volatile struct ring *r = ring_of(d);
	struct deadline end = soon();

	prepare(d, n);
	d->requests[n - 1].header.type = TYPE_GET_ID;
	make_available(d, n);
	while (!r->used.idx)
		if (passed(&end))
			fail("%s: does not tell its ID", name_of(d));
	if (r->used.idx != 1 || r->used.ring[0].id != (n - 1) * per_request(d))
		fail("%s: %u requests were used, first that at %u", name_of(d), r->used.idx, r->used.ring[0].id);
}

void kick(struct device *d)
{
	if (d->notify_io)
		out16(d->notify, 0);
	else
		write16(d->notify, 0);
}

void await_all(struct device *d)
{
	volatile struct ring *r = ring_of(d);
	struct deadline end = soon();
	u32 i;

	while (r->used.idx != d->posted)
		if (passed(&end))
			fail("%s: %u of %u requests are completed", name_of(d), r->used.idx, d->posted);
	for (i = 0; i < d->posted && d->id == ID_BLOCK; i++) {
		const volatile struct request *q = &d->requests[i];

		if (q->status || q->data[0] != PATTERN || q->data[DATA_BYTES - 1] != PATTERN)
			fail("disk: request %u: status %x, data %x", i, q->status, q->data[0]);
	}
}
