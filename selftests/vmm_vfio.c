// SPDX-License-Identifier: GPL-2.0
/*
 * A device of the host's, as a guest without a CPU finds it: config space, BARs, vectors; natively.
 *
 * in:  accesses to config space and BARs; CONFIG_STEPS (default 200000) and CONFIG_SEED for the random ones
 * out: a device that has had no write but those that vfio_cfg.c's table lets through, and KVM and VFIO wired accordingly
 *
 * The VMM's files are the real ones, down to their ioctls: lib/fakevfio.h.
 */
#include "lib/fakevfio.h"

#include "../vmm/layout.h"
#include "../vmm/vfio.h"

#include "kselftest_harness.h"

#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define RAM_BYTES	(4 * MIB)
#define WINDOW		0xd0000000UL
#define SLOT		1		/* on the bus */
#define BAR(n)		(PCI_BASE_ADDRESS_0 + 4 * (n))
#define MASKED		PCI_MSIX_ENTRY_CTRL_MASKBIT

static struct vm vm;
static struct opts opts = { .cpus = 1, .memory_bytes = RAM_BYTES };
static struct vfio_dev dev = { .name = "fake" };

static void machine(bool fixed)
{
	static const struct vfio_opts o = { .device = "fake", .reset = true };

	dev.fd = fakevfio_new(fixed);
	vm = (struct vm) { .opts = &opts, .fd = FAKEVFIO_VM_FD, .nr_ram = 1 };
	vm.ram[0] = (struct ram_region) {
		.bytes = RAM_BYTES, .hva = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	};
	vm.wake_fd = vm_eventfd();
	pthread_mutex_init(&vm.lock, NULL);
	loop_init(&vm);
	irq_power_on(&vm);
	pci_init(&vm);
	vfio_dev_init(&dev, &vm, &o);
}

static u64 cfg_at(u32 off)
{
	return LAYOUT_ECAM + (SLOT << 15) + off;
}

static u32 rd(u32 off, unsigned int len)
{
	return bus_read(&vm.mmio, cfg_at(off), len);
}

static void wr(u32 off, unsigned int len, u32 val)
{
	bus_write(&vm.mmio, cfg_at(off), len, val);
}

static void entry(u32 vector, u32 word, u32 val)
{
	bus_write(&vm.mmio, WINDOW + FAKEVFIO_TABLE + 16 * vector + 4 * word, 4, val);
}

/* BAR 0 at the window, and all that decodes on. */
static void place(void)
{
	wr(BAR(0), 4, WINDOW);
	wr(BAR(1), 4, 0);
	wr(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void msix_on(void)
{
	wr(FAKEVFIO_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
}

static void unmask(u32 vector)
{
	entry(vector, 0, 0xfee00000);
	entry(vector, 2, 0x4000 + vector);
	entry(vector, 3, 0);
}

/* ---- What must always be so ------------------------------------------------------------ */

static bool is_passed(u32 off)
{
	return (off >= PCI_STATUS && off < PCI_STATUS + 2) || off == PCI_CACHE_LINE_SIZE || off == PCI_LATENCY_TIMER ||
	       off == FAKEVFIO_EXP + PCI_EXP_DEVSTA || (off > FAKEVFIO_VENDOR + 2 && off < FAKEVFIO_VENDOR + 16);
}

static void check_device(void)
{
	bool master = rd(PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
	u32 off;

	CHECK(fakevfio_cfg(PCI_COMMAND, 2) == (PCI_COMMAND_MEMORY | PCI_COMMAND_IO | (master ? PCI_COMMAND_MASTER : 0U)), "command %#x",
	      fakevfio_cfg(PCI_COMMAND, 2));
	for (off = PCI_STATUS; off < 256; off++)
		CHECK(is_passed(off) || fakevfio_cfg(off, 1) == fakevfio_was(off), "the device's byte %#x is %#x", off, fakevfio_cfg(off, 1));
}

static void check_slots(void)
{
	u32 command = rd(PCI_COMMAND, 2), nr = 0, i, k;
	bool asleep = (rd(FAKEVFIO_PM + PCI_PM_CTRL, 2) & 3) == 3;

	for (i = 0; i < PCI_NR_BARS; i++) {
		const struct vfio_region *r = &dev.bar[i];
		const struct pci_bar *bar = &dev.pci.bar[i];

		CHECK(!bar->mapped || (command & (bar->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY) && !asleep), "BAR %u is reachable", i);
		for (k = 0; k < r->nr_areas; k++) {
			u64 bytes;

			CHECK(i || r->area[k].off + r->area[k].bytes <= FAKEVFIO_TABLE || r->area[k].off >= FAKEVFIO_PBA + 0x1000,
			      "the table is the guest's");
			if (!r->area[k].in_guest)
				continue;
			nr++;
			CHECK(bar->mapped && fakevfio_slot(bar->range.base + r->area[k].off, &bytes) && bytes == r->area[k].bytes,
			      "BAR %u, area %u: no slot", i, k);
		}
	}
	CHECK(fakevfio_nr_slots() == nr, "%u slots, %u areas", fakevfio_nr_slots(), nr);
}

static void check_irqs(void)
{
	u32 msix = rd(FAKEVFIO_MSIX + PCI_MSIX_FLAGS, 2), msi = rd(FAKEVFIO_MSI + PCI_MSI_FLAGS, 2), command = rd(PCI_COMMAND, 2), i;
	int want = -1;

	if (msix & PCI_MSIX_FLAGS_ENABLE)
		want = VFIO_PCI_MSIX_IRQ_INDEX;
	else if (msi & PCI_MSI_FLAGS_ENABLE)
		want = VFIO_PCI_MSI_IRQ_INDEX;
	else if (command & (PCI_COMMAND_MEMORY | PCI_COMMAND_IO) && !(command & PCI_COMMAND_INTX_DISABLE))
		want = VFIO_PCI_INTX_IRQ_INDEX;
	CHECK(fakevfio_irq() == want, "mechanism %d is on, the guest wants %d", fakevfio_irq(), want);
	CHECK(fakevfio_attached(dev.intx.fd) == (want == VFIO_PCI_INTX_IRQ_INDEX), "the line");
	for (i = 0; i < FAKEVFIO_VECTORS; i++) {
		const struct msix_vector *v = &dev.msix.vector[i];
		bool open = want == VFIO_PCI_MSIX_IRQ_INDEX && !(msix & PCI_MSIX_FLAGS_MASKALL) && !(v->ctrl & MASKED);

		CHECK(fakevfio_attached(v->fd) == open, "vector %u", i);
		CHECK(!open || fakevfio_trigger(i) == v->fd, "vector %u is nobody's", i);
	}
}

static void check(void)
{
	check_device();
	check_slots();
	check_irqs();
}

FIXTURE(vfio)
{
	int unused;
};

FIXTURE_SETUP(vfio)
{
	machine(false);
	check();
}

FIXTURE_TEARDOWN(vfio)
{
	check();
}

/* ---- Config space -------------------------------------------------------------------------- */

TEST_F(vfio, identity_is_the_devices)
{
	EXPECT_EQ(0x56781234, rd(PCI_VENDOR_ID, 4));
	EXPECT_EQ(0x01080203, rd(PCI_CLASS_REVISION, 4));
	EXPECT_EQ(0xdef09abc, rd(PCI_SUBSYSTEM_VENDOR_ID, 4));
	EXPECT_EQ(0, rd(PCI_HEADER_TYPE, 1));
	EXPECT_EQ(0, rd(PCI_ROM_ADDRESS, 4));
	EXPECT_EQ(1, rd(PCI_INTERRUPT_PIN, 1));
}

TEST_F(vfio, capabilities_are_those_that_work)
{
	static const u8 want[] = { FAKEVFIO_PM, FAKEVFIO_MSI, FAKEVFIO_MSIX, FAKEVFIO_EXP, FAKEVFIO_VENDOR, 0 };
	u32 at = PCI_CAPABILITY_LIST, i;

	for (i = 0; i < sizeof(want); i++) {
		at = rd(at + (i ? PCI_CAP_LIST_NEXT : 0), 1);
		ASSERT_EQ(want[i], at);
	}
	EXPECT_EQ(0, rd(FAKEVFIO_VPD, 4));
	EXPECT_EQ(PCI_EXP_TYPE_RC_END, rd(FAKEVFIO_EXP + PCI_EXP_FLAGS, 2) >> 4);
	EXPECT_NE(0, rd(FAKEVFIO_EXP + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR);
	EXPECT_EQ(0, rd(FAKEVFIO_EXP + PCI_EXP_LNKCAP, 4));
	EXPECT_EQ(0, rd(FAKEVFIO_PM + PCI_PM_PMC, 2) & PCI_PM_CAP_PME_MASK);
}

TEST_F(vfio, bus_mastering_alone_goes_to_the_device)
{
	EXPECT_EQ(PCI_COMMAND_MEMORY | PCI_COMMAND_IO, fakevfio_cfg(PCI_COMMAND, 2));
	wr(PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	EXPECT_EQ(PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE, rd(PCI_COMMAND, 2));
	EXPECT_EQ(PCI_COMMAND_MEMORY | PCI_COMMAND_IO | PCI_COMMAND_MASTER, fakevfio_cfg(PCI_COMMAND, 2));
}

TEST_F(vfio, vendor_capability_is_the_devices)
{
	wr(FAKEVFIO_VENDOR + 4, 4, 0x01020304);
	EXPECT_EQ(0x01020304, fakevfio_cfg(FAKEVFIO_VENDOR + 4, 4));
	EXPECT_EQ(0x01020304, rd(FAKEVFIO_VENDOR + 4, 4));
	wr(FAKEVFIO_VENDOR, 4, 0);
	EXPECT_EQ(PCI_CAP_ID_VNDR, rd(FAKEVFIO_VENDOR, 1));
	EXPECT_EQ(16, rd(FAKEVFIO_VENDOR + 2, 1));
}

/* ---- BARs -------------------------------------------------------------------------------------- */

TEST_F(vfio, bars_have_the_devices_sizes)
{
	static const u32 sizes[] = { 0xffff0004, 0xffffffff, 0xfffff000, 0xffffffe1, 0xffffff00, 0 };
	u32 i;

	for (i = 0; i < PCI_NR_BARS; i++) {
		wr(BAR(i), 4, ~0U);
		EXPECT_EQ(sizes[i], rd(BAR(i), 4));
	}
}

TEST_F(vfio, registers_are_where_the_guest_puts_them)
{
	u64 bytes;

	place();
	/* Around table and pending bits. */
	EXPECT_EQ(2, fakevfio_nr_slots());
	EXPECT_TRUE(fakevfio_slot(WINDOW, &bytes) && bytes == FAKEVFIO_TABLE);
	EXPECT_TRUE(fakevfio_slot(WINDOW + 0x4000, &bytes) && bytes == 0xc000);
	wr(BAR(0), 4, WINDOW + 0x100000);
	EXPECT_TRUE(fakevfio_slot(WINDOW + 0x100000, &bytes));
	wr(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	EXPECT_EQ(0, fakevfio_nr_slots());
	EXPECT_EQ(~0U, (u32)bus_read(&vm.mmio, WINDOW + 0x100000, 4));
}

TEST_F(vfio, sleep_takes_registers_away)
{
	place();
	wr(FAKEVFIO_PM + PCI_PM_CTRL, 2, 3);
	EXPECT_EQ(0, fakevfio_nr_slots());
	wr(FAKEVFIO_PM + PCI_PM_CTRL, 2, 0);
	EXPECT_EQ(2, fakevfio_nr_slots());
}

TEST_F(vfio, ports_and_small_bars_are_read_and_written_for_the_guest)
{
	wr(BAR(3), 4, 0x2000);
	wr(BAR(4), 4, WINDOW + 0x20000);
	wr(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	bus_write(&vm.pio, 0x2004, 2, 0xbeef);
	EXPECT_EQ(0xbeef, bus_read(&vm.pio, 0x2004, 2));
	bus_write(&vm.mmio, WINDOW + 0x20010, 4, 0x12345678);
	EXPECT_EQ(0x12345678, bus_read(&vm.mmio, WINDOW + 0x20010, 4));
	EXPECT_EQ(0, fakevfio_nr_slots());
}

/* What shares the table's page is the device's. */
TEST_F(vfio, rest_of_the_tables_page_is_the_devices)
{
	u64 at = WINDOW + FAKEVFIO_TABLE + 16 * FAKEVFIO_VECTORS;

	place();
	bus_write(&vm.mmio, at, 4, 0xcafe);
	EXPECT_EQ(0xcafe, bus_read(&vm.mmio, at, 4));
	EXPECT_EQ(MASKED, bus_read(&vm.mmio, at - 4, 4));
}

/* ---- Interrupts ------------------------------------------------------------------------------------ */

TEST_F(vfio, vectors_are_taken_as_they_are_unmasked)
{
	place();
	msix_on();
	EXPECT_EQ(1, fakevfio_nr_vectors());
	EXPECT_EQ(-1, fakevfio_trigger(0));
	unmask(5);
	EXPECT_EQ(dev.msix.vector[5].fd, fakevfio_trigger(5));
	EXPECT_EQ(-1, fakevfio_trigger(0));
	EXPECT_TRUE(fakevfio_attached(dev.msix.vector[5].fd));
	entry(5, 3, MASKED);
	EXPECT_EQ(dev.msix.vector[5].fd, fakevfio_trigger(5));
	EXPECT_FALSE(fakevfio_attached(dev.msix.vector[5].fd));
	/* And what comes now is pending. */
	vm_signal_eventfd(dev.msix.vector[5].fd);
	EXPECT_EQ(1 << 5, bus_read(&vm.mmio, WINDOW + FAKEVFIO_PBA, 4));
}

TEST(vectors_that_cannot_be_added_are_doubled_and_none_is_lost)
{
	machine(true);
	place();
	msix_on();
	unmask(0);
	EXPECT_EQ(1, fakevfio_nr_vectors());
	vm_drain_eventfd(dev.msix.vector[0].fd);
	unmask(1);
	EXPECT_EQ(2, fakevfio_nr_vectors());
	EXPECT_TRUE(vm_eventfd_readable(dev.msix.vector[0].fd));
	unmask(2);
	EXPECT_EQ(4, fakevfio_nr_vectors());
	unmask(3);
	EXPECT_EQ(4, fakevfio_nr_vectors());
	unmask(15);
	EXPECT_EQ(16, fakevfio_nr_vectors());
	EXPECT_EQ(dev.msix.vector[3].fd, fakevfio_trigger(3));
	check();
}

TEST_F(vfio, msi_has_as_many_as_the_guest_enables)
{
	place();
	wr(FAKEVFIO_MSI + PCI_MSI_ADDRESS_LO, 4, 0xfee00000);
	wr(FAKEVFIO_MSI + PCI_MSI_DATA_64, 2, 0x4040);
	wr(FAKEVFIO_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | 1 << 4);
	EXPECT_EQ(VFIO_PCI_MSI_IRQ_INDEX, fakevfio_irq());
	EXPECT_EQ(2, fakevfio_nr_vectors());
	EXPECT_TRUE(fakevfio_attached(dev.msi.set.vector[1].fd));
	EXPECT_EQ(0x4041, dev.msi.set.vector[1].data);
	EXPECT_FALSE(fakevfio_attached(dev.msi.set.vector[2].fd));
	wr(FAKEVFIO_MSI + PCI_MSI_MASK_64, 4, 2);
	EXPECT_FALSE(fakevfio_attached(dev.msi.set.vector[1].fd));
	vm_signal_eventfd(dev.msi.set.vector[1].fd);
	EXPECT_EQ(2, rd(FAKEVFIO_MSI + PCI_MSI_MASK_64 + 4, 4));
	wr(FAKEVFIO_MSI + PCI_MSI_FLAGS, 2, 0);
	EXPECT_EQ(VFIO_PCI_INTX_IRQ_INDEX, fakevfio_irq());
}

/* ---- Reset ---------------------------------------------------------------------------------------------- */

TEST_F(vfio, function_reset_is_the_devices_and_ours)
{
	u32 resets = fakevfio_resets();

	place();
	msix_on();
	unmask(3);
	wr(FAKEVFIO_EXP + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	EXPECT_EQ(resets + 1, fakevfio_resets());
	EXPECT_EQ(0, rd(PCI_COMMAND, 2));
	EXPECT_EQ(4, rd(BAR(0), 4));
	EXPECT_EQ(0, rd(FAKEVFIO_MSIX + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE);
	EXPECT_EQ(0, rd(FAKEVFIO_EXP + PCI_EXP_DEVCTL, 2) & PCI_EXP_DEVCTL_BCR_FLR);
	place();
	EXPECT_EQ(MASKED, bus_read(&vm.mmio, WINDOW + FAKEVFIO_TABLE + 16 * 3 + 12, 4));
}

/* ---- A hostile guest ---------------------------------------------------------------------------------------- */

static u64 setting(const char *name, u64 otherwise)
{
	const char *v = getenv(name);

	return v ? strtoull(v, NULL, 0) : otherwise;
}

static u64 next(u64 *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* Places that overlap each other, RAM, ECAM and the I/O APIC now and then. */
static u32 some_address(u64 r)
{
	static const u32 bases[] = { 0xd0000000, 0xd0008000, 0x3ff000, 0xe8000000, 0xfec00000, 0x100000, 0x2000, 0 };

	return bases[r & 7] + (r >> 3 & 7) * 0x1000;
}

static void step(u64 r, u64 v)
{
	unsigned int len = 1 << (r & 3) % 4;
	u32 off = r >> 2 & 0xff, i = r >> 10 & 15;

	switch (r >> 16 & 15) {
	case 0 ... 3:		/* anything, anywhere, of any alignment */
		bus_write(&vm.mmio, cfg_at(off), len, v);
		break;
	case 4:
		rd(off, len > 4 ? 4 : len);
		break;
	case 5 ... 6:
		wr(BAR(i % 6), 4, some_address(v));
		break;
	case 7:
		wr(PCI_COMMAND, 2, v);
		break;
	case 8:
		wr(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO | (v & PCI_COMMAND_MASTER));
		break;
	case 9:
		wr(FAKEVFIO_MSIX + PCI_MSIX_FLAGS, 2, v & (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL));
		break;
	case 10:
		wr(FAKEVFIO_MSI + PCI_MSI_FLAGS, 2, v);
		break;
	case 11 ... 13:		/* wherever BAR 0 is by now: the table and its neighbours */
		if (dev.pci.bar[0].mapped)
			bus_write(&vm.mmio, dev.pci.bar[0].range.base + FAKEVFIO_TABLE + (r >> 20 & 0x1fff), len, v);
		break;
	case 14:
		bus_read(&vm.mmio, some_address(v) + (r >> 20 & 0xfff), len);
		break;
	case 15:		/* the device's side */
		vm_signal_eventfd(dev.msix.vector[i].fd);
		break;
	}
}

static void hostile(struct __test_metadata *_metadata, bool fixed)
{
	u64 seed = setting("CONFIG_SEED", time(NULL)), steps = setting("CONFIG_STEPS", 200000), x, i;

	TH_LOG("CONFIG_SEED=%llu CONFIG_STEPS=%llu", (unsigned long long)seed, (unsigned long long)steps);
	machine(fixed);
	x = seed * 0x9e3779b97f4a7c15 | 1;
	for (i = 0; i < steps; i++) {
		u64 r = next(&x);

		step(r, next(&x));
		if (i % 16 == 0)
			check();
	}
	check();
	TH_LOG("%u function resets", fakevfio_resets());
}

FIXTURE(guest)
{
	int unused;
};

FIXTURE_VARIANT(guest)
{
	bool fixed;
};

FIXTURE_VARIANT_ADD(guest, on_a_host_that_adds_vectors) { false };
FIXTURE_VARIANT_ADD(guest, on_a_host_that_does_not) { true };
FIXTURE_SETUP(guest) { }
FIXTURE_TEARDOWN(guest) { }

TEST_F_TIMEOUT(guest, random_accesses_break_no_rule, 3600)
{
	hostile(_metadata, variant->fixed);
}

TEST_HARNESS_MAIN
