// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts of devices whose drivers use no MSI-X, and the routes of those that do, as a guest without a CPU finds them; natively.
 *
 * in:  accesses; signals of datapaths; interrupts that the test's CPU takes, and its EOIs; INTX_STEPS (default 200000) and INTX_SEED
 * out: what PCI 3.0, 2.2.6, and VIRTIO 1.2, 4.1.4.5, want: none lost, and no line that comes back for nothing
 *
 * lib/fakekvm.h has KVM's part of a level-triggered line: it falls at an EOI, and rises for a signal alone.
 */
#include "lib/machine.h"
#include "fuzz/machine_script.h"

#include "kselftest_harness.h"

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <time.h>

#define WINDOW		0xd0000000UL
#define RINGS		0x10000
#define ISR_QUEUE	1
#define ISR_CONFIG	2

#define MESSAGE_ADDR	0xfee00000U
#define MESSAGE_DATA	0x4021U

static void drive(unsigned int dev)
{
	machine_place(dev, 0, WINDOW + dev * 0x10000);
	machine_place(dev, 2, WINDOW + dev * 0x10000 + 0x8000);
	machine_drive_intx(dev, virtio_dev_at(dev)->offered, ~0UL, 64, RINGS);
}

static void config_changes(unsigned int dev)
{
	struct virtio_dev *d = virtio_dev_at(dev);

	pthread_mutex_lock(&d->vm->lock);
	virtio_config_changed(d);
	pthread_mutex_unlock(&d->vm->lock);
	machine_pump();
}

static void disable_intx(unsigned int dev, bool disable)
{
	u16 command = machine_cfg_read(dev, PCI_COMMAND, 2) & ~PCI_COMMAND_INTX_DISABLE;

	machine_cfg_write(dev, PCI_COMMAND, 2, command | (disable ? PCI_COMMAND_INTX_DISABLE : 0));
}

static bool is_high(unsigned int dev)
{
	return fakekvm_is_high(machine_gsi(dev));
}

static bool status_bit(unsigned int dev)
{
	return machine_cfg_read(dev, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT;
}

/* Vector @i of the disk, unmasked. */
static int open_vector(unsigned int dev, u32 i)
{
	machine_vector_write(dev, i, 0, MESSAGE_ADDR);
	machine_vector_write(dev, i, 2, MESSAGE_DATA + i);
	machine_vector_write(dev, i, 3, 0);
	return virtio_dev_at(dev)->msix.vector[i].fd;
}

/* ---- One device ----------------------------------------------------------------------------- */

FIXTURE(intx)
{
	int unused;
};

FIXTURE_SETUP(intx)
{
	machine_init();
	drive(DISK);
}

FIXTURE_TEARDOWN(intx)
{
	machine_check();
	machine_reset();
	machine_check();
}

/* PCI 3.0, 2.2.6: a function with one pin uses INTA#; the lines are those of the DSDT. */
TEST_F(intx, pin_and_line_are_said_in_config_space)
{
	unsigned int dev;

	for (dev = 0; dev < NR_MACHINE_DEVICES; dev++) {
		EXPECT_EQ(1, machine_cfg_read(dev, PCI_INTERRUPT_PIN, 1));
		EXPECT_EQ(16 + (dev + 1) % 4, machine_cfg_read(dev, PCI_INTERRUPT_LINE, 1));
		EXPECT_EQ(16 + (dev + 1) % 4, machine_gsi(dev));
	}
}

TEST_F(intx, event_raises_the_line_and_read_and_eoi_end_it)
{
	EXPECT_FALSE(machine_interrupt(DISK));
	machine_event(DISK, 2);
	EXPECT_TRUE(status_bit(DISK));
	ASSERT_TRUE(machine_interrupt(DISK));
	EXPECT_EQ(ISR_QUEUE, machine_isr(DISK));
	EXPECT_EQ(0, machine_isr(DISK));
	EXPECT_FALSE(status_bit(DISK));
	machine_eoi(DISK);
	EXPECT_FALSE(is_high(DISK));
	EXPECT_FALSE(machine_interrupt(DISK));
}

TEST_F(intx, config_change_has_a_bit_of_its_own)
{
	config_changes(DISK);
	ASSERT_TRUE(machine_interrupt(DISK));
	EXPECT_EQ(ISR_CONFIG, machine_isr(DISK));
	machine_eoi(DISK);
	machine_event(DISK, 0);
	config_changes(DISK);
	ASSERT_TRUE(machine_interrupt(DISK));
	EXPECT_EQ(ISR_QUEUE | ISR_CONFIG, machine_isr(DISK));
	machine_eoi(DISK);
	EXPECT_FALSE(machine_interrupt(DISK));
}

TEST_F(intx, event_between_read_and_eoi_interrupts_again)
{
	machine_event(DISK, 0);
	ASSERT_TRUE(machine_interrupt(DISK));
	EXPECT_EQ(ISR_QUEUE, machine_isr(DISK));
	machine_event(DISK, 1);
	EXPECT_FALSE(machine_interrupt(DISK));
	machine_eoi(DISK);
	ASSERT_TRUE(machine_interrupt(DISK));
	EXPECT_EQ(ISR_QUEUE, machine_isr(DISK));
	machine_eoi(DISK);
	EXPECT_FALSE(machine_interrupt(DISK));
}

/* That is what level-triggered means: no handler looked. */
TEST_F(intx, line_comes_back_until_the_register_is_read)
{
	int i;

	machine_event(DISK, 0);
	for (i = 0; i < 10; i++) {
		ASSERT_TRUE(machine_interrupt(DISK));
		machine_eoi(DISK);
	}
	EXPECT_EQ(ISR_QUEUE, machine_isr(DISK));
	ASSERT_TRUE(machine_interrupt(DISK));
	machine_eoi(DISK);
	EXPECT_FALSE(machine_interrupt(DISK));
}

TEST_F(intx, read_is_exact_however_late_the_main_thread_is)
{
	machine_main_thread(true);
	machine_event(DISK, 0);
	EXPECT_FALSE(is_high(DISK));
	EXPECT_EQ(ISR_QUEUE, machine_isr(DISK));
	machine_main_thread(false);
	/* It was told of that one. */
	EXPECT_FALSE(is_high(DISK));
	EXPECT_EQ(0, machine_isr(DISK));
	/* Config's bit alone would leave it to think that no queue has anything. */
	machine_main_thread(true);
	config_changes(DISK);
	machine_event(DISK, 3);
	EXPECT_EQ(ISR_QUEUE | ISR_CONFIG, machine_isr(DISK));
}

TEST_F(intx, event_before_the_main_thread_hears_of_the_eoi_is_not_lost)
{
	machine_event(DISK, 0);
	ASSERT_TRUE(machine_interrupt(DISK));
	machine_isr(DISK);
	machine_main_thread(true);
	machine_event(DISK, 1);
	machine_eoi(DISK);
	EXPECT_FALSE(is_high(DISK));
	machine_event(DISK, 2);
	machine_main_thread(false);
	ASSERT_TRUE(machine_interrupt(DISK));
	EXPECT_EQ(ISR_QUEUE, machine_isr(DISK));
	machine_eoi(DISK);
	EXPECT_FALSE(machine_interrupt(DISK));
}

/* PCI 3.0, 6.2.2 and 6.2.3 */
TEST_F(intx, disable_bit_keeps_the_line_down_and_the_status_bit_up)
{
	disable_intx(DISK, true);
	machine_event(DISK, 0);
	EXPECT_FALSE(is_high(DISK));
	EXPECT_TRUE(status_bit(DISK));
	disable_intx(DISK, false);
	ASSERT_TRUE(machine_interrupt(DISK));
	/* As a driver that does its work later: masks, and ends the interrupt. */
	disable_intx(DISK, true);
	machine_eoi(DISK);
	EXPECT_FALSE(is_high(DISK));
	EXPECT_TRUE(status_bit(DISK));
	disable_intx(DISK, false);
	ASSERT_TRUE(machine_interrupt(DISK));
	EXPECT_EQ(ISR_QUEUE, machine_isr(DISK));
	machine_eoi(DISK);
	EXPECT_FALSE(machine_interrupt(DISK));
}

TEST_F(intx, reset_of_the_device_takes_the_line_down)
{
	machine_event(DISK, 0);
	config_changes(DISK);
	EXPECT_TRUE(is_high(DISK));
	machine_common_write(DISK, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	EXPECT_FALSE(is_high(DISK));
	EXPECT_FALSE(status_bit(DISK));
	EXPECT_EQ(0, machine_isr(DISK));
	drive(DISK);
	EXPECT_FALSE(is_high(DISK));
	machine_event(DISK, 0);
	ASSERT_TRUE(machine_interrupt(DISK));
	EXPECT_EQ(ISR_QUEUE, machine_isr(DISK));
	machine_eoi(DISK);
}

TEST_F(intx, signal_that_a_reset_overtakes_interrupts_nobody)
{
	machine_main_thread(true);
	machine_event(DISK, 0);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	drive(DISK);
	machine_main_thread(false);
	EXPECT_FALSE(is_high(DISK));
	EXPECT_EQ(0, machine_isr(DISK));
}

TEST_F(intx, ten_thousand_interrupts_are_as_many)
{
	u64 before = fakekvm_interrupts(machine_gsi(DISK));
	int i;

	for (i = 0; i < 10000; i++) {
		machine_event(DISK, i % 4);
		ASSERT_TRUE(machine_interrupt(DISK));
		ASSERT_EQ(ISR_QUEUE, machine_isr(DISK));
		machine_eoi(DISK);
		ASSERT_FALSE(machine_interrupt(DISK));
	}
	EXPECT_EQ(10000, fakekvm_interrupts(machine_gsi(DISK)) - before);
}

/* ---- Several on a line --------------------------------------------------------------------------- */

TEST_F(intx, shared_line_is_up_while_any_device_holds_it)
{
	drive(RNG_SHARED);
	ASSERT_EQ(machine_gsi(DISK), machine_gsi(RNG_SHARED));
	machine_event(DISK, 0);
	machine_event(RNG_SHARED, 0);
	ASSERT_TRUE(machine_interrupt(DISK));
	/* The handler of the one alone: the other's turn comes after the EOI, which both are told of. */
	EXPECT_EQ(ISR_QUEUE, machine_isr(DISK));
	machine_eoi(DISK);
	ASSERT_TRUE(machine_interrupt(DISK));
	EXPECT_EQ(0, machine_isr(DISK));
	EXPECT_EQ(ISR_QUEUE, machine_isr(RNG_SHARED));
	machine_eoi(DISK);
	EXPECT_FALSE(machine_interrupt(DISK));
}

TEST_F(intx, reset_of_one_leaves_the_others_line_up)
{
	drive(RNG_SHARED);
	machine_event(DISK, 0);
	machine_event(RNG_SHARED, 0);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	ASSERT_TRUE(machine_interrupt(RNG_SHARED));
	EXPECT_EQ(ISR_QUEUE, machine_isr(RNG_SHARED));
	machine_eoi(RNG_SHARED);
	EXPECT_FALSE(is_high(RNG_SHARED));
}

TEST_F(intx, lines_of_others_stay_down)
{
	drive(RNG);
	drive(RNG_ALONE);
	machine_event(DISK, 0);
	EXPECT_FALSE(is_high(RNG));
	EXPECT_FALSE(is_high(RNG_ALONE));
	machine_event(RNG, 0);
	EXPECT_EQ(ISR_QUEUE, machine_isr(DISK));
	EXPECT_TRUE(is_high(RNG));
}

/* A device with eventfds of its own, such as VFIO's, beside an emulated one. */
TEST_F(intx, device_that_signals_by_itself_shares_the_line)
{
	struct intx pin;

	intx_init(&pin, &virtio_dev_at(RNG_SHARED)->pci);
	machine_event(DISK, 0);
	/* What it signalled before is not lost. */
	vm_signal_eventfd(pin.fd);
	ASSERT_TRUE(intx_attach(&pin));
	ASSERT_TRUE(machine_interrupt(DISK));
	EXPECT_EQ(ISR_QUEUE, machine_isr(DISK));
	EXPECT_FALSE(vm_eventfd_readable(pin.resample_fd));
	machine_eoi(DISK);
	EXPECT_FALSE(is_high(DISK));
	EXPECT_TRUE(vm_drain_eventfd(pin.resample_fd));
	vm_signal_eventfd(pin.fd);
	machine_pump();
	EXPECT_TRUE(machine_interrupt(DISK));
	intx_detach(&pin);
	EXPECT_TRUE(is_high(DISK));	/* the disk is attached: KVM keeps it till the EOI */
	machine_eoi(DISK);
	EXPECT_FALSE(is_high(DISK));
}

/* ---- MSI-X goes on and off ------------------------------------------------------------------------- */

TEST_F(intx, with_msix_on_the_pin_is_silent)
{
	machine_msix_control(DISK, true, false);
	machine_event(DISK, 0);		/* of a queue without a vector: nobody's */
	config_changes(DISK);
	EXPECT_FALSE(is_high(DISK));
	EXPECT_FALSE(status_bit(DISK));
	EXPECT_EQ(0, machine_isr(DISK) & ISR_QUEUE);
}

TEST_F(intx, msix_going_on_takes_the_line_down)
{
	machine_event(DISK, 0);
	EXPECT_TRUE(is_high(DISK));
	machine_msix_control(DISK, true, false);
	EXPECT_FALSE(is_high(DISK));
	EXPECT_FALSE(status_bit(DISK));
	/* And off: the driver still was not told. */
	machine_msix_control(DISK, false, false);
	ASSERT_TRUE(machine_interrupt(DISK));
	EXPECT_EQ(ISR_QUEUE, machine_isr(DISK));
	machine_eoi(DISK);
}

FIXTURE(vectors)
{
	int fd;
};

/* A driver with a vector for each queue, as if it were to switch. */
FIXTURE_SETUP(vectors)
{
	machine_init();
	machine_place(DISK, 0, WINDOW);
	machine_place(DISK, 2, WINDOW + 0x8000);
	self->fd = open_vector(DISK, 2);
	machine_drive(DISK, virtio_dev_at(DISK)->offered, ~0UL, 64, RINGS);
}

FIXTURE_TEARDOWN(vectors)
{
	machine_check();
	machine_reset();
	machine_check();
}

TEST_F(vectors, event_that_the_pin_told_does_not_come_as_a_message)
{
	machine_event(DISK, 1);
	EXPECT_TRUE(machine_is_pending(DISK, 2));
	ASSERT_TRUE(machine_interrupt(DISK));
	EXPECT_EQ(ISR_QUEUE, machine_isr(DISK));
	machine_eoi(DISK);
	EXPECT_FALSE(machine_is_pending(DISK, 2));
	machine_msix_control(DISK, true, false);
	EXPECT_EQ(0, fakekvm_injected(self->fd));
}

TEST_F(vectors, event_that_nobody_was_told_comes_as_one_message)
{
	disable_intx(DISK, true);
	machine_event(DISK, 1);
	machine_event(DISK, 1);
	EXPECT_FALSE(is_high(DISK));
	machine_msix_control(DISK, true, false);
	EXPECT_EQ(1, fakekvm_injected(self->fd));
	EXPECT_EQ(MESSAGE_DATA + 2, fakekvm_last_data());
}

TEST_F(vectors, masked_event_is_the_pins_when_msix_goes_off)
{
	machine_msix_control(DISK, true, true);
	machine_event(DISK, 1);
	EXPECT_FALSE(is_high(DISK));
	machine_msix_control(DISK, false, false);
	ASSERT_TRUE(machine_interrupt(DISK));
	EXPECT_EQ(ISR_QUEUE, machine_isr(DISK));
	machine_eoi(DISK);
	EXPECT_EQ(0, fakekvm_injected(self->fd));
}

TEST_F(vectors, config_vector_is_no_queues)
{
	config_changes(DISK);
	EXPECT_EQ(ISR_CONFIG, machine_isr(DISK));
	EXPECT_FALSE(machine_is_pending(DISK, 0));
}

/* ---- GSIs -------------------------------------------------------------------------------------------- */

static u32 gsis_used(void)
{
	const struct irq_table *irq = &virtio_dev_at(DISK)->vm->irq;
	u32 i, n = 0;

	for (i = 0; i < irq->max_msi; i++)
		n += irq->msi_used[i];
	return n;
}

TEST_F(vectors, gsi_is_taken_when_a_vector_is_first_attached)
{
	EXPECT_EQ(0, gsis_used());
	machine_msix_control(DISK, true, false);
	EXPECT_EQ(1, gsis_used());
	open_vector(DISK, 1);
	EXPECT_EQ(2, gsis_used());
	/* Masked it keeps its own. */
	machine_msix_control(DISK, true, true);
	EXPECT_EQ(2, gsis_used());
	machine_msix_control(DISK, true, false);
	EXPECT_EQ(2, gsis_used());
}

TEST_F(vectors, gsi_is_given_back_at_a_reset)
{
	int i;

	for (i = 0; i < 5000; i++) {
		machine_msix_control(DISK, true, false);
		ASSERT_EQ(1, gsis_used());
		/* The vector is attached, and stays so. */
		machine_common_write(DISK, VIRTIO_PCI_COMMON_STATUS, 1, 0);
		ASSERT_EQ(1, gsis_used());
		machine_msix_control(DISK, false, false);
		machine_common_write(DISK, VIRTIO_PCI_COMMON_STATUS, 1, 0);
		ASSERT_EQ(0, gsis_used());
	}
	machine_msix_control(DISK, true, false);
	machine_reset();
	EXPECT_EQ(0, gsis_used());
}

/* KVM has room for two messages. */
TEST_F(vectors, without_room_for_a_route_a_vector_keeps_its_events)
{
	const char *last;
	u32 warnings;
	int fd[3], i;

	fakekvm_set_max_routes(40 + 2);
	machine_reset();
	for (i = 0; i < 2; i++)
		machine_place(i ? RNG : DISK, 2, WINDOW + i * 0x10000 + 0x8000);
	warnings = machine_warnings(&last);
	for (i = 0; i < 3; i++)
		fd[i] = open_vector(DISK, i);
	machine_msix_control(DISK, true, false);
	for (i = 0; i < 3; i++)
		machine_raise(DISK, i);
	/* One line, which names the device. */
	EXPECT_EQ(warnings + 1, machine_warnings(&last));
	EXPECT_EQ(0, strncmp(last, "disk0: MSI-X vector 2: ", 23)) TH_LOG("%s", last);
	machine_msix_control(DISK, true, true);
	machine_msix_control(DISK, true, false);
	EXPECT_EQ(warnings + 1, machine_warnings(&last));
	EXPECT_EQ(1, fakekvm_injected(fd[0]));
	EXPECT_EQ(1, fakekvm_injected(fd[1]));
	EXPECT_EQ(0, fakekvm_injected(fd[2]));
	EXPECT_TRUE(machine_is_pending(DISK, 2));
	machine_check();
	/* Another device has its own warning. */
	open_vector(RNG, 0);
	machine_msix_control(RNG, true, false);
	EXPECT_EQ(warnings + 2, machine_warnings(&last));
	EXPECT_EQ(0, strncmp(last, "rng0: ", 6));
	/* And what comes free is taken. */
	machine_msix_control(DISK, false, false);
	machine_place(DISK, 0, WINDOW);
	machine_common_write(DISK, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	machine_msix_control(RNG, true, true);
	machine_msix_control(RNG, true, false);
	machine_raise(RNG, 0);
	EXPECT_EQ(1, fakekvm_injected(virtio_dev_at(RNG)->msix.vector[0].fd));
	fakekvm_set_max_routes(4096);
}

/* ---- The most queues that there can be --------------------------------------------------------------- */

FIXTURE(wide)
{
	char file[64];
};

FIXTURE_SETUP(wide)
{
	char option[128], *words[] = { "--disk", option };
	int fd;

	strcpy(self->file, "/tmp/vkick-wide-XXXXXX");
	fd = mkstemp(self->file);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, MIB));
	close(fd);
	snprintf(option, sizeof(option), "path=%s,datapath=user,queues=64,notify=pio", self->file);
	machine_init_more(words, 2);
	machine_place(MACHINE_MORE, 0, WINDOW);
	machine_place(MACHINE_MORE, 2, WINDOW + 0x8000);
	machine_place(MACHINE_MORE, 4, 0xc000);
}

FIXTURE_TEARDOWN(wide)
{
	machine_check();
	machine_reset();
	unlink(self->file);
}

TEST_F(wide, each_of_64_queues_has_a_doorbell_and_a_vector)
{
	struct virtio_dev *dev = virtio_dev_at(MACHINE_MORE);
	u32 i;

	EXPECT_EQ(64, machine_common_read(MACHINE_MORE, VIRTIO_PCI_COMMON_NUMQ, 2));
	EXPECT_EQ(64, machine_cfg_read(MACHINE_MORE, dev->msix.cap + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE);
	for (i = 0; i < 65; i++)
		open_vector(MACHINE_MORE, i);
	machine_drive(MACHINE_MORE, dev->offered, ~0UL, 16, RINGS);
	EXPECT_TRUE(machine_runs(MACHINE_MORE));
	for (i = 0; i < 64; i++)
		EXPECT_TRUE(fakekvm_has_doorbell(dev->ring[i].kick_fd, 0xc000 + 4 * i, true));
	/* Those past 32 and 64 are pending in words of their own. */
	for (i = 0; i < 64; i += 7)
		machine_event(MACHINE_MORE, i);
	for (i = 0; i < 65; i++)
		EXPECT_EQ(i && (i - 1) % 7 == 0, machine_is_pending(MACHINE_MORE, i));
	machine_msix_control(MACHINE_MORE, true, false);
	for (i = 0; i < 65; i++)
		EXPECT_EQ(i && (i - 1) % 7 == 0, fakekvm_injected(dev->msix.vector[i].fd));
	for (i = 0; i < 64; i++)
		machine_event(MACHINE_MORE, i);
	for (i = 1; i < 65; i++)
		EXPECT_EQ(1 + ((i - 1) % 7 == 0), fakekvm_injected(dev->msix.vector[i].fd));
	EXPECT_EQ(65, gsis_used());
}

TEST_F(wide, any_of_64_queues_raises_the_pin)
{
	u32 i;

	machine_drive_intx(MACHINE_MORE, virtio_dev_at(MACHINE_MORE)->offered, ~0UL, 16, RINGS);
	for (i = 0; i < 64; i++) {
		machine_event(MACHINE_MORE, i);
		ASSERT_TRUE(machine_interrupt(MACHINE_MORE));
		ASSERT_EQ(ISR_QUEUE, machine_isr(MACHINE_MORE));
		machine_eoi(MACHINE_MORE);
		ASSERT_FALSE(machine_interrupt(MACHINE_MORE));
	}
}

/* ---- Anything at all ------------------------------------------------------------------------------------ */

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

/* Two devices on a line, events, a guest's handler that may stop at any point, and a main thread that may be late. */
static void any_step(u64 r)
{
	unsigned int dev = r >> 8 & 1 ? DISK : RNG_SHARED, q = (r >> 16) % virtio_dev_at(dev)->nr_queues;

	switch (r & 15) {
	case 0 ... 4:
		if (virtio_dev_at(dev)->status & VIRTIO_CONFIG_S_DRIVER_OK)
			machine_event(dev, q);
		break;
	case 5:
		config_changes(dev);
		break;
	case 6:
	case 7:
		machine_isr(dev);
		break;
	case 8:
		machine_interrupt(dev);
		break;
	case 9:
	case 10:
		machine_eoi(dev);
		break;
	case 11:
		disable_intx(dev, r >> 9 & 1);
		break;
	case 12:
		machine_main_thread(r >> 9 & 1);
		break;
	case 13:
		machine_msix_control(dev, (r >> 9 & 3) == 3, r >> 11 & 1);
		break;
	case 14:
		machine_vector_write(dev, q, 3, r >> 9 & 1);
		break;
	default:
		if (r >> 9 & 1)
			machine_common_write(dev, VIRTIO_PCI_COMMON_STATUS, 1, 0);
		else if (r >> 10 & 1)
			machine_drive_intx(dev, virtio_dev_at(dev)->offered, ~0UL, 64, RINGS);
		else
			machine_drive(dev, virtio_dev_at(dev)->offered, ~0UL, 64, RINGS);
	}
	machine_check();
}

/* A handler that does what it should: how often is the line up before it is down for good? */
static u32 settle(void)
{
	u32 n = 0;

	machine_main_thread(false);
	machine_eoi(DISK);	/* of what was under way */
	while (n < 100 && machine_interrupt(DISK)) {
		machine_isr(DISK);
		machine_isr(RNG_SHARED);
		machine_eoi(DISK);
		n++;
	}
	return n;
}

TEST_F_TIMEOUT(intx, random_events_are_neither_lost_nor_storm, 3600)
{
	u64 seed = setting("INTX_SEED", time(NULL)), steps = setting("INTX_STEPS", 200000), x, i;

	TH_LOG("INTX_SEED=%llu INTX_STEPS=%llu", (unsigned long long)seed, (unsigned long long)steps);
	x = seed * 0x9e3779b97f4a7c15 | 1;
	drive(RNG_SHARED);
	for (i = 0; i < steps; i++) {
		any_step(next(&x) >> 16);
		/* machine_check() saw to it that what is owed was told by then. */
		if (i % 16 == 0)
			ASSERT_GE(1, settle()) TH_LOG("step %llu", (unsigned long long)i);
	}
}

TEST_HARNESS_MAIN
