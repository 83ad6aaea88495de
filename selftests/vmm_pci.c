// SPDX-License-Identifier: GPL-2.0
/*
 * The VMM's PCI bus, MSI-X and virtio registers, as a guest without a CPU finds them; natively.
 *
 * in:  accesses to config space and BARs; MACHINE_STEPS (default 500000) and MACHINE_SEED for the random ones
 * out: what PCI 3.0 and VIRTIO 1.2 want, and KVM wired accordingly
 *
 * The VMM's files are the real ones, down to its ioctls: lib/machine.h, lib/fakekvm.h.
 */
#include "lib/machine.h"
#include "fuzz/machine_script.h"

#include "kselftest_harness.h"

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <time.h>

#define WINDOW		0xd0000000UL	/* for memory BARs */
#define BAR_REG(n)	(PCI_BASE_ADDRESS_0 + 4 * (n))

#define MESSAGE_ADDR	0xfee00000U
#define MESSAGE_DATA	0x4021U

FIXTURE(machine)
{
	int unused;
};

FIXTURE_SETUP(machine)
{
	machine_init();
}

FIXTURE_TEARDOWN(machine)
{
	machine_check();
	machine_reset();
}

/* ---- Config space ---------------------------------------------------------------------- */

static u64 by_cf8(unsigned int dev, u32 off, unsigned int len)
{
	machine_write(true, PORT_PCI_CF8, 4, 0x80000000 | (dev + 1) << 11 | (off & 0xfc));
	return machine_read(true, PORT_PCI_CF8 + 4 + (off & 3), len);
}

TEST_F(machine, cf8_and_ecam_agree)
{
	unsigned int dev, len;
	u32 off;

	for (dev = 0; dev < NR_MACHINE_DEVICES; dev++)
		for (len = 1; len <= 4; len *= 2)
			for (off = 0; off < PCI_CFG_BYTES; off += len)
				ASSERT_EQ(machine_cfg_read(dev, off, len), by_cf8(dev, off, len));
	machine_write(true, PORT_PCI_CF8, 4, 0x80000000 | 1 << 11 | PCI_INTERRUPT_LINE);
	machine_write(true, PORT_PCI_CF8 + 4, 1, 0x5a);
	EXPECT_EQ(0x5a, machine_cfg_read(0, PCI_INTERRUPT_LINE, 1));
}

TEST_F(machine, nobody_is_all_ones)
{
	EXPECT_EQ(0xffffffff, machine_cfg_read(20, PCI_VENDOR_ID, 4));
	EXPECT_EQ(0xffffffff, by_cf8(20, PCI_VENDOR_ID, 4));
	/* A function that is not there, a bus that is not, and CF8 without its enable bit. */
	EXPECT_EQ(0xffffffff, machine_read(false, LAYOUT_ECAM + (1 << 15) + (1 << 12), 4));
	machine_write(true, PORT_PCI_CF8, 4, 0x80000000 | 1 << 16);
	EXPECT_EQ(0xffffffff, machine_read(true, PORT_PCI_CF8 + 4, 4));
	machine_write(true, PORT_PCI_CF8, 4, 1 << 11);
	EXPECT_EQ(0xffffffff, machine_read(true, PORT_PCI_CF8 + 4, 4));
	/* No extended capabilities: PCIe 7.9.1 reads zero there. */
	EXPECT_EQ(0, machine_cfg_read(0, 0x100, 4));
}

TEST_F(machine, ids_are_those_of_modern_virtio)
{
	static const u16 ids[] = { VIRTIO_ID_BLOCK, VIRTIO_ID_RNG, VIRTIO_ID_RNG, VIRTIO_ID_RNG, VIRTIO_ID_RNG };
	unsigned int dev;

	for (dev = 0; dev < NR_MACHINE_DEVICES; dev++) {
		EXPECT_EQ(0x1af4, machine_cfg_read(dev, PCI_VENDOR_ID, 2));
		EXPECT_EQ(0x1040 + ids[dev], machine_cfg_read(dev, PCI_DEVICE_ID, 2));
		EXPECT_LE(1, machine_cfg_read(dev, PCI_REVISION_ID, 1));
	}
}

TEST_F(machine, capabilities_are_well_formed)
{
	unsigned int dev;

	for (dev = 0; dev < NR_MACHINE_DEVICES; dev++) {
		u8 used[PCI_CFG_BYTES] = { 0 }, at;
		unsigned int i, nr = 0;

		ASSERT_TRUE(machine_cfg_read(dev, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
		for (at = machine_cfg_read(dev, PCI_CAPABILITY_LIST, 1); at;
		     at = machine_cfg_read(dev, at + PCI_CAP_LIST_NEXT, 1)) {
			u8 id = machine_cfg_read(dev, at, 1);
			u32 bytes = id == PCI_CAP_ID_MSIX ? PCI_CAP_MSIX_SIZEOF :
				    machine_cfg_read(dev, at + offsetof(struct virtio_pci_cap, cap_len), 1);

			ASSERT_LE(0x40, at);
			ASSERT_EQ(0, at & 3);
			ASSERT_GE(PCI_CFG_BYTES, at + bytes);
			for (i = at; i < at + bytes; i++) {
				ASSERT_EQ(0, used[i]) TH_LOG("capability at %#x: byte %#x is another's", at, i);
				used[i] = 1;
			}
			ASSERT_GT(16, ++nr);	/* a loop otherwise */
		}
	}
}

/* 4.1.4: each structure lies in its BAR. */
TEST_F(machine, virtio_structures_lie_in_their_bars)
{
	static const u8 types[] = {
		VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_CAP_NOTIFY_CFG, VIRTIO_PCI_CAP_ISR_CFG,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		u8 at = machine_cap(DISK, PCI_CAP_ID_VNDR, types[i]);
		u32 bar, off, len, size;

		ASSERT_NE(0, at);
		bar = machine_cfg_read(DISK, at + offsetof(struct virtio_pci_cap, bar), 1);
		off = machine_cfg_read(DISK, at + offsetof(struct virtio_pci_cap, offset), 4);
		len = machine_cfg_read(DISK, at + offsetof(struct virtio_pci_cap, length), 4);
		machine_cfg_write(DISK, BAR_REG(bar), 4, ~0U);
		size = -(machine_cfg_read(DISK, BAR_REG(bar), 4) & ~15U);
		if (machine_cfg_read(DISK, BAR_REG(bar), 4) & PCI_BASE_ADDRESS_SPACE_IO)
			size = -(machine_cfg_read(DISK, BAR_REG(bar), 4) & ~3U);
		EXPECT_LT(0, len);
		EXPECT_LE(off + len, size) TH_LOG("type %u", types[i]);
	}
}

/* ---- BARs ---------------------------------------------------------------------------------- */

TEST_F(machine, sizing_a_bar_gives_its_size)
{
	machine_cfg_write(RNG, BAR_REG(0), 4, ~0U);
	machine_cfg_write(RNG, BAR_REG(1), 4, ~0U);
	EXPECT_EQ(0xffffc000 | PCI_BASE_ADDRESS_MEM_TYPE_64, machine_cfg_read(RNG, BAR_REG(0), 4));
	EXPECT_EQ(0xffffffff, machine_cfg_read(RNG, BAR_REG(1), 4));
	machine_cfg_write(DISK, BAR_REG(4), 4, ~0U);
	EXPECT_EQ(0xffffff00 | PCI_BASE_ADDRESS_SPACE_IO, machine_cfg_read(DISK, BAR_REG(4), 4));
	/* There is none. */
	machine_cfg_write(RNG, BAR_REG(4), 4, ~0U);
	EXPECT_EQ(0, machine_cfg_read(RNG, BAR_REG(4), 4));
}

static bool is_at(unsigned int dev, u64 addr)
{
	return machine_read(false, addr + VIRTIO_PCI_COMMON_NUMQ, 2) == virtio_dev_at(dev)->nr_queues;
}

TEST_F(machine, bar_follows_where_it_is_moved)
{
	machine_place(DISK, 0, WINDOW);
	EXPECT_TRUE(is_at(DISK, WINDOW));
	machine_place(DISK, 0, 0x7fff00000000);
	EXPECT_TRUE(is_at(DISK, 0x7fff00000000));
	EXPECT_FALSE(is_at(DISK, WINDOW));
	machine_check();
}

TEST_F(machine, doorbells_follow_their_bar)
{
	int kick = virtio_dev_at(RNG)->ring[0].kick_fd;

	machine_place(RNG, 0, WINDOW);
	EXPECT_TRUE(fakekvm_has_doorbell(kick, WINDOW + 0x3000, false));
	machine_place(RNG, 0, WINDOW + 0x4000);
	EXPECT_TRUE(fakekvm_has_doorbell(kick, WINDOW + 0x7000, false));
	EXPECT_EQ(1, fakekvm_nr_doorbells());
	machine_place(DISK, 4, 0xc000);
	EXPECT_TRUE(fakekvm_has_doorbell(virtio_dev_at(DISK)->ring[3].kick_fd, 0xc00c, true));
	EXPECT_EQ(5, fakekvm_nr_doorbells());
	machine_cfg_write(DISK, PCI_COMMAND, 2, 0);
	EXPECT_EQ(1, fakekvm_nr_doorbells());
}

TEST_F(machine, without_decoding_nobody_is_there)
{
	machine_place(RNG, 0, WINDOW);
	machine_cfg_write(RNG, PCI_COMMAND, 2, PCI_COMMAND_IO);
	EXPECT_EQ(0xffff, machine_read(false, WINDOW + VIRTIO_PCI_COMMON_NUMQ, 2));
	machine_cfg_write(RNG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	EXPECT_TRUE(is_at(RNG, WINDOW));
}

TEST_F(machine, overlapping_bar_waits_for_its_place)
{
	machine_place(DISK, 0, WINDOW);
	machine_place(RNG, 0, WINDOW);
	EXPECT_TRUE(is_at(DISK, WINDOW));
	machine_check();
	machine_cfg_write(DISK, BAR_REG(0), 4, WINDOW + 0x10000);
	EXPECT_TRUE(is_at(RNG, WINDOW));
	EXPECT_TRUE(is_at(DISK, WINDOW + 0x10000));
}

TEST_F(machine, bar_over_ram_is_not_seen)
{
	machine_place(RNG, 0, MACHINE_RAM_BYTES - 0x4000);
	EXPECT_FALSE(is_at(RNG, MACHINE_RAM_BYTES - 0x4000));
	EXPECT_EQ(0, fakekvm_nr_doorbells());
	machine_place(RNG, 0, MACHINE_RAM_BYTES);
	EXPECT_TRUE(is_at(RNG, MACHINE_RAM_BYTES));
}

TEST_F(machine, bar_over_config_space_does_not_hide_it)
{
	machine_place(RNG, 0, LAYOUT_ECAM);
	EXPECT_EQ(0x1af4, machine_cfg_read(RNG, PCI_VENDOR_ID, 2));
	machine_place(RNG, 0, WINDOW);
	EXPECT_TRUE(is_at(RNG, WINDOW));
}

TEST_F(machine, bar_at_the_end_of_the_address_space_works)
{
	machine_place(RNG, 0, 0xffffffffffffc000);
	EXPECT_TRUE(is_at(RNG, 0xffffffffffffc000));
	/* From the last byte on there is no more. */
	EXPECT_EQ(~0UL, machine_read(false, 0xffffffffffffffff, 8));
}

/* ---- MSI-X ------------------------------------------------------------------------------------ */

/* Vector 1 of the disk, with a message of its own, and masked if @mask. */
static int vector_ready(u32 mask)
{
	machine_place(DISK, 2, WINDOW);
	machine_vector_write(DISK, 1, 0, MESSAGE_ADDR);
	machine_vector_write(DISK, 1, 1, 0);
	machine_vector_write(DISK, 1, 2, MESSAGE_DATA);
	machine_vector_write(DISK, 1, 3, mask);
	return virtio_dev_at(DISK)->msix.vector[1].fd;
}

TEST_F(machine, event_is_the_message_of_the_table)
{
	int fd = vector_ready(0);

	machine_msix_control(DISK, true, false);
	machine_raise(DISK, 1);
	EXPECT_EQ(1, fakekvm_injected(fd));
	EXPECT_EQ(MESSAGE_ADDR, fakekvm_last_addr());
	EXPECT_EQ(MESSAGE_DATA, fakekvm_last_data());
	EXPECT_FALSE(machine_is_pending(DISK, 1));
}

FIXTURE(masked)
{
	int fd;
};

/* What masks it, and for how it is unmasked again. */
FIXTURE_VARIANT(masked)
{
	u32 vector;
	bool enable, function;
};

FIXTURE_VARIANT_ADD(masked, by_its_own_bit) { .vector = 1, .enable = true };
FIXTURE_VARIANT_ADD(masked, by_the_functions_bit) { .enable = true, .function = true };
FIXTURE_VARIANT_ADD(masked, since_msix_is_off) { };

FIXTURE_SETUP(masked)
{
	machine_init();
	self->fd = vector_ready(variant->vector);
	machine_msix_control(DISK, variant->enable, variant->function);
}

FIXTURE_TEARDOWN(masked)
{
	machine_check();
	machine_reset();
}

static void unmask(void)
{
	machine_vector_write(DISK, 1, 3, 0);
	machine_msix_control(DISK, true, false);
}

TEST_F(masked, events_are_pending_and_come_as_one)
{
	EXPECT_FALSE(machine_is_pending(DISK, 1));
	machine_raise(DISK, 1);
	machine_raise(DISK, 1);
	EXPECT_EQ(0, fakekvm_injected(self->fd));
	EXPECT_TRUE(machine_is_pending(DISK, 1));
	EXPECT_FALSE(machine_is_pending(DISK, 2));
	unmask();
	EXPECT_EQ(1, fakekvm_injected(self->fd));
	EXPECT_FALSE(machine_is_pending(DISK, 1));
	/* What was delivered does not come again. */
	machine_msix_control(DISK, true, true);
	EXPECT_FALSE(machine_is_pending(DISK, 1));
	machine_msix_control(DISK, true, false);
	EXPECT_EQ(1, fakekvm_injected(self->fd));
}

TEST_F(masked, message_changed_meanwhile_is_what_comes)
{
	machine_raise(DISK, 1);
	machine_vector_write(DISK, 1, 0, MESSAGE_ADDR | 1 << 12);
	machine_vector_write(DISK, 1, 2, MESSAGE_DATA + 1);
	unmask();
	EXPECT_EQ(1, fakekvm_injected(self->fd));
	EXPECT_EQ(MESSAGE_ADDR | 1 << 12, fakekvm_last_addr());
	EXPECT_EQ(MESSAGE_DATA + 1, fakekvm_last_data());
}

TEST_F(masked, reset_of_the_device_takes_events_back)
{
	machine_place(DISK, 0, WINDOW + 0x10000);
	machine_raise(DISK, 1);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	EXPECT_FALSE(machine_is_pending(DISK, 1));
	machine_check();
	unmask();
	EXPECT_EQ(0, fakekvm_injected(self->fd));
}

TEST_F(machine, message_changed_while_unmasked_is_used_at_once)
{
	vector_ready(0);
	machine_msix_control(DISK, true, false);
	machine_vector_write(DISK, 1, 2, MESSAGE_DATA + 7);
	machine_raise(DISK, 1);
	EXPECT_EQ(MESSAGE_DATA + 7, fakekvm_last_data());
}

TEST_F(machine, table_keeps_what_was_written)
{
	u32 i;

	machine_place(DISK, 2, WINDOW);
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(PCI_MSIX_ENTRY_CTRL_MASKBIT, machine_vector_read(DISK, i, 3));
		machine_vector_write(DISK, i, 0, MESSAGE_ADDR + i);
		machine_vector_write(DISK, i, 2, i);
		machine_vector_write(DISK, i, 3, ~1U);
	}
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(MESSAGE_ADDR + i, machine_vector_read(DISK, i, 0));
		EXPECT_EQ(i, machine_vector_read(DISK, i, 2));
		EXPECT_EQ(0, machine_vector_read(DISK, i, 3));	/* the other bits are reserved */
	}
	/* Past the last vector. */
	machine_vector_write(DISK, 5, 0, MESSAGE_ADDR);
	EXPECT_EQ(0, machine_vector_read(DISK, 5, 0));
	/* Neither bytes nor words. */
	machine_write(false, WINDOW, 2, 0xffff);
	EXPECT_EQ(MESSAGE_ADDR, machine_vector_read(DISK, 0, 0));
}

TEST_F(machine, without_msix_no_vector_is_attached)
{
	vector_ready(0);
	EXPECT_EQ(0, fakekvm_nr_irqfds());
	machine_msix_control(DISK, true, false);
	EXPECT_EQ(1, fakekvm_nr_irqfds());
	machine_msix_control(DISK, false, false);
	EXPECT_EQ(0, fakekvm_nr_irqfds());
}

/* ---- Virtio's registers -------------------------------------------------------------------------- */

FIXTURE(driver)
{
	u64 offered;
};

FIXTURE_SETUP(driver)
{
	machine_init();
	machine_place(DISK, 0, WINDOW);
	self->offered = virtio_dev_at(DISK)->offered;
}

FIXTURE_TEARDOWN(driver)
{
	machine_check();
	machine_reset();
}

static u8 status(unsigned int dev)
{
	return machine_common_read(dev, VIRTIO_PCI_COMMON_STATUS, 1);
}

TEST_F(driver, queues_start_with_driver_ok_and_stop_at_reset)
{
	machine_drive(DISK, self->offered, 0xf, 64, 0x10000);
	EXPECT_TRUE(machine_runs(DISK));
	EXPECT_EQ(1, machine_starts(DISK));
	/* Once more changes nothing. */
	machine_common_write(DISK, VIRTIO_PCI_COMMON_STATUS, 1, status(DISK));
	EXPECT_EQ(1, machine_starts(DISK));
	machine_common_write(DISK, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	EXPECT_FALSE(machine_runs(DISK));
	EXPECT_EQ(0, status(DISK));
}

TEST_F(driver, feature_that_was_not_offered_is_refused)
{
	machine_drive(DISK, self->offered | 1UL << 63, 1, 64, 0x10000);
	EXPECT_FALSE(status(DISK) & VIRTIO_CONFIG_S_FEATURES_OK);
	EXPECT_FALSE(machine_runs(DISK));
	/* 6.3: and a legacy driver's. */
	machine_drive(DISK, 0, 1, 64, 0x10000);
	EXPECT_FALSE(status(DISK) & VIRTIO_CONFIG_S_FEATURES_OK);
}

TEST_F(driver, queue_outside_memory_wants_a_reset)
{
	machine_drive(DISK, self->offered, 1, 64, MACHINE_RAM_BYTES - 16);
	EXPECT_TRUE(status(DISK) & VIRTIO_CONFIG_S_NEEDS_RESET);
	EXPECT_FALSE(machine_runs(DISK));
	machine_drive(DISK, self->offered, 1, 64, 0x10000);
	EXPECT_FALSE(status(DISK) & VIRTIO_CONFIG_S_NEEDS_RESET);
	EXPECT_TRUE(machine_runs(DISK));
}

TEST_F(driver, fields_of_no_queue_read_as_zero)
{
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_SELECT, 2, 4);
	EXPECT_EQ(0, machine_common_read(DISK, VIRTIO_PCI_COMMON_Q_SIZE, 2));
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_SIZE, 2, 16);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	EXPECT_EQ(0, machine_common_read(DISK, VIRTIO_PCI_COMMON_Q_SIZE, 2));
	EXPECT_EQ(0, machine_common_read(DISK, VIRTIO_PCI_COMMON_Q_ENABLE, 2));
}

TEST_F(driver, vector_that_is_not_there_reads_back_as_none)
{
	machine_common_write(DISK, VIRTIO_PCI_COMMON_MSIX, 2, 5);
	EXPECT_EQ(VIRTIO_MSI_NO_VECTOR, machine_common_read(DISK, VIRTIO_PCI_COMMON_MSIX, 2));
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_MSIX, 2, 4);
	EXPECT_EQ(4, machine_common_read(DISK, VIRTIO_PCI_COMMON_Q_MSIX, 2));
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0x1234);
	EXPECT_EQ(VIRTIO_MSI_NO_VECTOR, machine_common_read(DISK, VIRTIO_PCI_COMMON_Q_MSIX, 2));
}

TEST_F(driver, running_queue_is_not_changed_by_its_registers)
{
	machine_drive(DISK, self->offered, 1, 64, 0x10000);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_SIZE, 2, 16);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
	EXPECT_EQ(64, machine_common_read(DISK, VIRTIO_PCI_COMMON_Q_SIZE, 2));
	EXPECT_EQ(0x10000, machine_common_read(DISK, VIRTIO_PCI_COMMON_Q_DESCLO, 4));
	EXPECT_EQ(1, machine_common_read(DISK, VIRTIO_PCI_COMMON_Q_ENABLE, 2));
}

/* 4.1.4.9: the structures by way of config space, for firmware that maps no BAR. */
TEST_F(driver, window_in_config_space_reaches_the_structures)
{
	u8 at = machine_cap(DISK, PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_PCI_CFG);
	u8 data = at + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);

	machine_cfg_write(DISK, PCI_COMMAND, 2, 0);
	machine_cfg_write(DISK, at + offsetof(struct virtio_pci_cap, bar), 1, 0);
	machine_cfg_write(DISK, at + offsetof(struct virtio_pci_cap, length), 4, 2);
	machine_cfg_write(DISK, at + offsetof(struct virtio_pci_cap, offset), 4, VIRTIO_PCI_COMMON_NUMQ);
	EXPECT_EQ(4, machine_cfg_read(DISK, data, 2));
	machine_cfg_write(DISK, at + offsetof(struct virtio_pci_cap, offset), 4, VIRTIO_PCI_COMMON_Q_SELECT);
	machine_cfg_write(DISK, data, 2, 3);
	EXPECT_EQ(3, machine_cfg_read(DISK, data, 2));
	/* Past the BAR, or of a width that it has not: nothing. */
	machine_cfg_write(DISK, at + offsetof(struct virtio_pci_cap, offset), 4, 0x4000);
	machine_cfg_write(DISK, data, 2, 1);
	machine_cfg_write(DISK, at + offsetof(struct virtio_pci_cap, length), 4, 3);
	machine_cfg_write(DISK, data, 2, 1);
	machine_place(DISK, 0, WINDOW);
	EXPECT_EQ(3, machine_common_read(DISK, VIRTIO_PCI_COMMON_Q_SELECT, 2));
}

/* ---- Anything at all --------------------------------------------------------------------------- */

static u64 next(u64 *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static u64 setting(const char *name, u64 otherwise)
{
	const char *v = getenv(name);

	return v && *v ? strtoull(v, NULL, 0) : otherwise;
}

TEST_F_TIMEOUT(machine, random_accesses_break_no_rule, 3600)
{
	u64 seed = setting("MACHINE_SEED", time(NULL)), steps = setting("MACHINE_STEPS", 500000), x, i;
	u8 bytes[MACHINE_STEP_BYTES + 4];
	u32 k;

	TH_LOG("MACHINE_SEED=%llu MACHINE_STEPS=%llu", (unsigned long long)seed, (unsigned long long)steps);
	x = seed * 0x9e3779b97f4a7c15 | 1;
	for (i = 0; i < steps; i++) {
		for (k = 0; k < sizeof(bytes); k += 8) {
			u64 r = next(&x);

			memcpy(bytes + k, &r, 8);
		}
		machine_script_step(bytes);
	}
}

TEST_HARNESS_MAIN
