// SPDX-License-Identifier: GPL-2.0
/*
 * The console device, all but its bytes, as a driver without a CPU sees it: natively.
 *
 * in:  chains on the control queues, the config space, the control socket's word on the terminal's size
 * out: VIRTIO 1.2, 5.3.3 to 5.3.6.2; which queues are served
 */
#include "lib/machine.h"

#include "kselftest_harness.h"

#include "../vmm/console.h"
#include "lib/util.h"

#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONSOLE		MACHINE_MORE
#define NR_PORTS	3		/* the console's, and two with names */
#define NR_QUEUES	(2 * NR_PORTS + 2)
#define WINDOW		0xd0000000UL
#define AT_DEVICE	0x2000
#define AT_NOTIFY	0x3000
#define NUM		16
#define RINGS		0x10000UL
#define MESSAGES	0x80000UL	/* the driver's buffers, for the device to write to */
#define COMMAND		0xc0000UL
#define MESSAGE_BYTES	128U

#define F_MULTIPORT	(1UL << VIRTIO_CONSOLE_F_MULTIPORT)

static char dir[] = "/tmp/vkick-console-XXXXXX";

FIXTURE(console)
{
	u64 offered;
	u16 avail[NR_QUEUES];
	u16 seen;		/* messages */
};

FIXTURE_SETUP(console)
{
	char a[128], b[128];
	char *words[] = { "--console", strdupa("off,datapath=user,notify=mmio"), "--port", a, "--port", b };

	ASSERT_NE(NULL, mkdtemp(dir));
	snprintf(a, sizeof(a), "name=org.vkick.a,file=%s/a", dir);
	snprintf(b, sizeof(b), "name=org.vkick.b,off");
	machine_init_more(words, ARRAY_SIZE(words));
	machine_place(CONSOLE, 0, WINDOW);
	machine_place(CONSOLE, 2, WINDOW + 0x8000);
	self->offered = virtio_dev_at(CONSOLE)->offered & ~(1UL << VIRTIO_F_RING_PACKED | 1UL << VIRTIO_F_IN_ORDER |
							    1UL << VIRTIO_RING_F_EVENT_IDX);
}

FIXTURE_TEARDOWN(console)
{
	char file[64];

	machine_check();
	snprintf(file, sizeof(file), "%s/a", dir);
	unlink(file);
	rmdir(dir);
}

static u8 *ram(u64 gpa)
{
	return guest_ptr(virtio_dev_at(CONSOLE)->vm, gpa, 1);
}

static u8 status(void)
{
	return machine_common_read(CONSOLE, VIRTIO_PCI_COMMON_STATUS, 1);
}

static u64 config(u64 off, unsigned int len)
{
	return machine_read(false, WINDOW + AT_DEVICE + off, len);
}

#define CONFIG(field) \
	config(offsetof(struct virtio_console_config, field), sizeof(((struct virtio_console_config *)0)->field))

static struct vring_desc *table_of(unsigned int q)
{
	return (void *)ram(RINGS + q * 32UL * NUM);
}

static void submit(FIXTURE_DATA(console) *self, unsigned int q, u16 place, struct vring_desc desc)
{
	struct vring_avail *avail = (void *)(ram(RINGS + q * 32UL * NUM) + 16 * NUM);

	table_of(q)[place] = desc;
	avail->ring[self->avail[q] % NUM] = place;
	__atomic_store_n(&avail->idx, ++self->avail[q], __ATOMIC_RELEASE);
	machine_write(false, WINDOW + AT_NOTIFY + 4 * q, 2, q);
}

static const struct vring_used *used_of(unsigned int q)
{
	return (void *)(ram(RINGS + q * 32UL * NUM) + 20 * NUM);
}

/* A buffer for one message, in the place that is free. */
static void offer(FIXTURE_DATA(console) *self, u32 bytes)
{
	u16 place = self->avail[CONSOLE_CTRL_RX] % NUM;

	submit(self, CONSOLE_CTRL_RX, place,
	       (struct vring_desc) { .addr = MESSAGES + place * MESSAGE_BYTES, .len = bytes, .flags = VRING_DESC_F_WRITE });
}

static void drive(FIXTURE_DATA(console) *self, u64 features)
{
	unsigned int i;

	memset(ram(RINGS), 0, 32UL * NUM * NR_QUEUES);
	memset(self->avail, 0, sizeof(self->avail));
	self->seen = 0;
	machine_drive(CONSOLE, features, features & F_MULTIPORT ? (1U << NR_QUEUES) - 1 : 3, NUM, RINGS);
	if (features & F_MULTIPORT)
		for (i = 0; i < NUM - 1; i++)
			offer(self, MESSAGE_BYTES);
}

static void tell_bytes(FIXTURE_DATA(console) *self, const void *bytes, u32 len)
{
	memcpy(ram(COMMAND), bytes, len);
	submit(self, CONSOLE_CTRL_TX, 0, (struct vring_desc) { .addr = COMMAND, .len = len });
}

static void tell(FIXTURE_DATA(console) *self, u32 port, u16 event, u16 value)
{
	struct virtio_console_control m = { port, event, value };

	tell_bytes(self, &m, sizeof(m));
}

/* The next message of the device's, and its tail. False: there is none */
static bool next(FIXTURE_DATA(console) *self, struct virtio_console_control *m, char *tail)
{
	const struct vring_used *used = used_of(CONSOLE_CTRL_RX);
	const struct vring_used_elem *e = &used->ring[self->seen % NUM];
	const u8 *at = ram(MESSAGES + e->id * MESSAGE_BYTES);

	memset(tail, 0, MESSAGE_BYTES);
	if (__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) == self->seen)
		return false;
	self->seen++;
	memcpy(m, at, sizeof(*m));
	memcpy(tail, at + sizeof(*m), e->len - sizeof(*m));
	offer(self, MESSAGE_BYTES);
	return true;
}

#define EXPECT_MESSAGE(p, e, v, text) do { \
	struct virtio_console_control m = { 0 }; \
	char tail[MESSAGE_BYTES]; \
	EXPECT_TRUE(next(self, &m, tail)); \
	EXPECT_EQ(p, m.id); \
	EXPECT_EQ(e, m.event); \
	EXPECT_EQ(v, m.value); \
	EXPECT_STREQ(text, tail); \
} while (0)

#define EXPECT_SILENCE() do { \
	struct virtio_console_control m; \
	char tail[MESSAGE_BYTES]; \
	EXPECT_FALSE(next(self, &m, tail)); \
} while (0)

/* Up to where Linux has them all. */
static void bring_up(FIXTURE_DATA(console) *self)
{
	struct virtio_console_control m;
	char tail[MESSAGE_BYTES];
	u32 i;

	drive(self, self->offered);
	tell(self, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
	for (i = 0; i < NR_PORTS; i++)
		tell(self, i, VIRTIO_CONSOLE_PORT_READY, 1);
	while (next(self, &m, tail))
		;
}

/* ---- Messages (5.3.6.2) ------------------------------------------------------------------------- */

TEST_F(console, ports_are_added_named_and_opened_when_the_driver_is_ready)
{
	drive(self, self->offered);
	EXPECT_SILENCE();
	tell(self, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
	EXPECT_MESSAGE(0, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	EXPECT_MESSAGE(1, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	EXPECT_MESSAGE(2, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	EXPECT_SILENCE();
	tell(self, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	EXPECT_MESSAGE(0, VIRTIO_CONSOLE_CONSOLE_PORT, 1, "");
	tell(self, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	EXPECT_MESSAGE(1, VIRTIO_CONSOLE_PORT_NAME, 1, "org.vkick.a");
	EXPECT_MESSAGE(1, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
	/* There is nobody at the other end of this one. */
	tell(self, 2, VIRTIO_CONSOLE_PORT_READY, 1);
	EXPECT_MESSAGE(2, VIRTIO_CONSOLE_PORT_NAME, 1, "org.vkick.b");
	EXPECT_SILENCE();
	EXPECT_EQ(3, CONFIG(max_nr_ports));
	EXPECT_EQ(NR_QUEUES, machine_common_read(CONSOLE, VIRTIO_PCI_COMMON_NUMQ, 2));
}

/* What comes to a port that nobody has open Linux throws away. */
TEST_F(console, port_receives_while_the_driver_has_it_open)
{
	const u64 outputs = 1 << 1 | 1 << 5 | 1 << 7, console = 1 << 0;

	bring_up(self);
	EXPECT_EQ(outputs | console, machine_served(CONSOLE));
	tell(self, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	EXPECT_EQ(outputs | console | 1 << 4, machine_served(CONSOLE));
	tell(self, 2, VIRTIO_CONSOLE_PORT_OPEN, 1);
	tell(self, 2, VIRTIO_CONSOLE_PORT_OPEN, 1);
	EXPECT_EQ(outputs | console | 1 << 4 | 1 << 6, machine_served(CONSOLE));
	tell(self, 1, VIRTIO_CONSOLE_PORT_OPEN, 0);
	EXPECT_EQ(outputs | console | 1 << 6, machine_served(CONSOLE));
	tell(self, 0, VIRTIO_CONSOLE_PORT_OPEN, 0);
	EXPECT_EQ(outputs | console | 1 << 6, machine_served(CONSOLE));
	bring_up(self);
	EXPECT_EQ(outputs | console, machine_served(CONSOLE));
}

TEST_F(console, driver_that_knows_no_ports_has_one)
{
	drive(self, self->offered & ~F_MULTIPORT);
	EXPECT_EQ(3, machine_served(CONSOLE));
}

TEST_F(console, size_is_told_when_it_changes)
{
	const struct virtio_class *class = virtio_dev_at(CONSOLE)->class;
	struct virtio_dev *dev = virtio_dev_at(CONSOLE);
	struct virtio_console_control m = { 0 };
	char tail[MESSAGE_BYTES];
	u8 generation;

	bring_up(self);
	generation = machine_common_read(CONSOLE, VIRTIO_PCI_COMMON_CFGGENERATION, 1);
	class->window(dev, 100, 40);
	machine_pump();
	EXPECT_EQ(100, CONFIG(cols));
	EXPECT_EQ(40, CONFIG(rows));
	EXPECT_NE(generation, machine_common_read(CONSOLE, VIRTIO_PCI_COMMON_CFGGENERATION, 1));
	EXPECT_TRUE(next(self, &m, tail));
	EXPECT_EQ(VIRTIO_CONSOLE_RESIZE, m.event);
	EXPECT_EQ(0, memcmp(tail, "\x64\0\x28\0", 4));	/* columns first */
	class->window(dev, 100, 40);
	machine_pump();
	EXPECT_SILENCE();
}

/* ---- Emergency writes (5.3.4) --------------------------------------------------------------------- */

static void emerg(u64 off, unsigned int len, u32 val)
{
	machine_write(false, WINDOW + AT_DEVICE + offsetof(struct virtio_console_config, emerg_wr) + off, len, val);
}

TEST_F(console, emergency_write_is_one_character_before_there_is_a_driver)
{
	struct console_host *host = &console_of(virtio_dev_at(CONSOLE))->port[0].host;
	char got[16] = "";
	int fds[2];

	EXPECT_TRUE(self->offered & 1UL << VIRTIO_CONSOLE_F_EMERG_WRITE);
	emerg(0, 4, 'x');		/* off: it is lost */
	ASSERT_EQ(0, pipe(fds));
	host->out_fd = fds[1];
	emerg(0, 1, 'a');
	emerg(0, 2, 'b' | 'B' << 8);
	emerg(0, 4, 'c' | 'C' << 8 | 'D' << 16);
	emerg(1, 1, 'e');
	emerg(2, 2, 'f');
	drive(self, self->offered);
	emerg(0, 4, 'g');
	EXPECT_EQ(4, read(fds[0], got, sizeof(got)));
	EXPECT_STREQ("abcg", got);
	host->out_fd = -1;
	close(fds[0]);
	close(fds[1]);
}

/* ---- Abuse ---------------------------------------------------------------------------------------- */

TEST_F(console, messages_that_make_no_sense_change_nothing)
{
	u8 longer[300] = { 1, 0, 0, 0, VIRTIO_CONSOLE_PORT_OPEN };

	bring_up(self);
	tell(self, 3, VIRTIO_CONSOLE_PORT_OPEN, 1);
	tell(self, 31, VIRTIO_CONSOLE_PORT_READY, 1);
	tell(self, UINT32_MAX, VIRTIO_CONSOLE_PORT_READY, 1);
	tell(self, 1, VIRTIO_CONSOLE_PORT_READY, 0);
	tell(self, 1, VIRTIO_CONSOLE_PORT_ADD, 1);
	tell(self, 1, VIRTIO_CONSOLE_PORT_REMOVE, 1);
	tell(self, 1, 0xffff, 0xffff);
	tell(self, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 0);
	tell_bytes(self, "\1", 1);
	tell_bytes(self, longer, sizeof(longer));
	EXPECT_SILENCE();
	EXPECT_EQ(1 << 0 | 1 << 1 | 1 << 5 | 1 << 7, machine_served(CONSOLE));
	EXPECT_FALSE(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* 5.3.6.2 has no way to say no: what does not fit breaks the queue, and a reset mends it. */
TEST_F(console, buffer_without_room_for_a_message_breaks_the_device_until_its_reset)
{
	drive(self, self->offered);
	offer(self, 4);
	/* Until the good ones are used up. */
	while (!(status() & VIRTIO_CONFIG_S_NEEDS_RESET) && self->avail[CONSOLE_CTRL_TX] < 100) {
		tell(self, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
		machine_pump();
	}
	EXPECT_TRUE(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
	bring_up(self);
	EXPECT_FALSE(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* Nobody takes them: they are no more than one of each kind, and what they say is how it is when somebody does. */
TEST_F(console, messages_that_nobody_takes_are_told_once_as_things_are_then)
{
	const struct virtio_class *class = virtio_dev_at(CONSOLE)->class;
	struct virtio_dev *dev = virtio_dev_at(CONSOLE);
	struct virtio_console_control m;
	struct console_port *port = &console_of(dev)->port[1];
	char tail[MESSAGE_BYTES];
	u32 i, names = 0, open = 99, size = 0;

	bring_up(self);
	for (i = 0; i < 10000; i++)
		tell(self, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	class->window(dev, 80, 25);
	machine_pump();
	class->window(dev, 100, 40);
	console_host_changed(port, -1, -1);
	machine_pump();
	memset(&m, 0, sizeof(m));
	for (i = 0; i < 10000 && next(self, &m, tail); i++) {
		machine_pump();
		names += m.event == VIRTIO_CONSOLE_PORT_NAME;
		if (m.event == VIRTIO_CONSOLE_PORT_OPEN)
			open = m.value;
		if (m.event == VIRTIO_CONSOLE_RESIZE)
			size = tail[0] * 1000 + tail[2];
	}
	EXPECT_GT(100, names);
	EXPECT_EQ(0, open);
	EXPECT_EQ(100040, size);
	EXPECT_FALSE(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
}

#define RANDOM_MESSAGES	50000

TEST_F(console, random_messages_hurt_nothing)
{
	u64 rng = 0x9e3779b97f4a7c15;
	u32 i, resets = 0;

	bring_up(self);
	for (i = 0; i < RANDOM_MESSAGES; i++) {
		struct vring_desc d = {
			.addr = prng(&rng) % 16 ? COMMAND + prng(&rng) % 64 : prng(&rng),
			.len = prng(&rng) % 16 ? prng(&rng) % 24 : prng(&rng),
			.flags = prng(&rng) % 32 ? 0 : prng(&rng),
			.next = prng(&rng) % NUM,
		};
		struct virtio_console_control m = {
			prng(&rng) % 5 ? prng(&rng) % 4 : prng(&rng), prng(&rng) % 9, prng(&rng) % 3,
		};

		memcpy(ram(COMMAND), &m, sizeof(m));
		if (prng(&rng) % 4)
			submit(self, CONSOLE_CTRL_TX, prng(&rng) % NUM, d);
		else
			offer(self, prng(&rng) % 16 ? MESSAGE_BYTES : prng(&rng) % MESSAGE_BYTES);
		if (status() & VIRTIO_CONFIG_S_NEEDS_RESET) {
			bring_up(self);
			resets++;
		}
		if (i % 1000 == 0) {
			machine_check();
		}
	}
	TH_LOG("%u messages, %u resets", i, resets);
	bring_up(self);
	tell(self, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	EXPECT_TRUE(machine_served(CONSOLE) & 1 << 4);
	EXPECT_FALSE(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
}

TEST_HARNESS_MAIN
