// SPDX-License-Identifier: GPL-2.0
/*
 * A port's end on a socket, as clients see it, and a datapath that moves nothing.
 *
 * in:  clients that connect, send and leave; the datapath's word that a file has failed
 * out: who is at the other end, and what of it the driver is told
 */
#include "lib/machine.h"

#include "kselftest_harness.h"

#include "../vmm/console.h"
#include "lib/util.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONSOLE	MACHINE_MORE

FIXTURE(port)
{
	char dir[32];
	struct console_port *port;
};

/* By a path that is short for us, and of no use to others. */
FIXTURE_SETUP(port)
{
	char *words[] = { "--console", strdupa("off,datapath=user,notify=mmio"), "--port", "name=org.vkick.a,socket=a.sock" };

	strcpy(self->dir, "/tmp/vkick-port-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	ASSERT_EQ(0, chdir(self->dir));
	machine_init_more(words, ARRAY_SIZE(words));
	self->port = &console_of(virtio_dev_at(CONSOLE))->port[1];
}

FIXTURE_TEARDOWN(port)
{
	machine_check();
	unlink("a.sock");
	rmdir(self->dir);
}

static int client(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = "a.sock" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0 && !connect(fd, (struct sockaddr *)&sa, sizeof(sa)), "connect");
	machine_pump();
	return fd;
}

/* What a datapath does that finds a file's end, or that nobody takes what it writes. */
static void file_has_failed(FIXTURE_DATA(port) *self)
{
	vm_signal_eventfd(self->port->host.event_fd);
	machine_pump();
}

/* What the guest reads of what a client has sent. */
static void expect_read(FIXTURE_DATA(port) *self, const char *text)
{
	char got[64] = "";

	CHECK(read(self->port->host.in_fd, got, sizeof(got) - 1) == (ssize_t)strlen(text) && !strcmp(got, text), "got '%s'", got);
}

TEST_F(port, what_a_client_has_sent_is_there_although_the_guest_writes_after_it_left)
{
	int fd = client();

	EXPECT_TRUE(self->port->open);
	EXPECT_EQ(5, write(fd, "hello", 5));
	close(fd);
	machine_pump();
	file_has_failed(self);		/* EPIPE */
	EXPECT_TRUE(self->port->open);
	expect_read(self, "hello");
	file_has_failed(self);		/* the end of what comes in */
	EXPECT_FALSE(self->port->open);
	fd = client();
	EXPECT_TRUE(self->port->open);
	close(fd);
}

TEST_F(port, second_client_is_told_that_there_is_one)
{
	int first = client(), second = client();
	char said[128] = "";

	EXPECT_LT(0, recv(second, said, sizeof(said) - 1, MSG_DONTWAIT));
	EXPECT_STREQ("vkick: somebody else is connected to this port\n", said);
	EXPECT_EQ(0, recv(second, said, sizeof(said), MSG_DONTWAIT));
	EXPECT_EQ(5, write(first, "hello", 5));
	expect_read(self, "hello");
	EXPECT_TRUE(self->port->open);
	close(first);
	close(second);
}

TEST_F(port, client_that_comes_while_another_leaves_is_next)
{
	int first = client(), second;
	char byte;

	EXPECT_EQ(5, write(first, "hello", 5));
	close(first);
	second = client();
	EXPECT_EQ(-1, recv(second, &byte, 1, MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(5, write(second, "again", 5));
	expect_read(self, "hello");
	file_has_failed(self);
	EXPECT_TRUE(self->port->open);
	expect_read(self, "again");
	close(second);
}

TEST_F(port, path_is_said_as_others_find_it)
{
	struct virtio_dev *dev = virtio_dev_at(CONSOLE);
	json_t *json = json_object();
	const char *path;

	dev->class->describe(dev, json);
	path = json_string_value(json_object_get(json_array_get(json_object_get(json, "ports"), 1), "path"));
	EXPECT_EQ('/', *path);
	EXPECT_EQ(0, access(path, F_OK));
	json_decref(json);
}

/* ---- A named pipe ------------------------------------------------------------------------------------- */

FIXTURE(fifo)
{
	char path[48];
	int reader;
	struct console_port *port;
};

FIXTURE_SETUP(fifo)
{
	char option[80], *words[] = { "--console", strdupa("off,datapath=user,notify=mmio"), "--port", option };

	snprintf(self->path, sizeof(self->path), "/tmp/vkick-fifo-%d", getpid());
	snprintf(option, sizeof(option), "name=a,file=%s", self->path);
	ASSERT_EQ(0, mkfifo(self->path, 0600));
	self->reader = open(self->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	machine_init_more(words, ARRAY_SIZE(words));
	self->port = &console_of(virtio_dev_at(CONSOLE))->port[1];
}

FIXTURE_TEARDOWN(fifo)
{
	machine_check();
	unlink(self->path);
}

TEST_F(fifo, port_is_open_while_somebody_reads_the_pipe)
{
	u32 i;

	for (i = 0; i < 3; i++) {
		machine_pump();
		EXPECT_TRUE(self->port->open);
		close(self->reader);
		machine_pump();
		EXPECT_FALSE(self->port->open);
		self->reader = open(self->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		ASSERT_LE(0, self->reader);
	}
}

/* ---- Ports whose datapath is another one than the console's ------------------------------------------- */

#define OTHER	(MACHINE_MORE + 1)
#define WINDOW	0xd0000000UL

FIXTURE(split)
{
	int unused;
};

FIXTURE_SETUP(split)
{
	char *words[] = {
		"--console", strdupa("off,datapath=user,notify=mmio"), "--port", "name=a,off", "--port", "name=b,off,datapath=kernel",
		"--port", "name=c,off,datapath=user", "--port", "name=d,off,datapath=kernel",
	};

	(void)self;
	machine_init_more(words, ARRAY_SIZE(words));
}

FIXTURE_TEARDOWN(split)
{
	(void)self;
	machine_check();
}

static void expect_ports(unsigned int dev, const u32 *numbers, const char *const *names, u32 nr)
{
	const struct console *con = console_of(virtio_dev_at(dev));
	u32 i;

	CHECK(con->nr_ports == nr, "%u ports", con->nr_ports);
	for (i = 0; i < nr; i++)
		CHECK(con->port[i].number == numbers[i] && (!names[i] || !strcmp(con->port[i].name, names[i])), "port %u", i);
}

TEST_F(split, ports_are_of_the_device_that_has_their_datapath)
{
	expect_ports(CONSOLE, (const u32[]) { 0, 1, 3 }, (const char *[]) { NULL, "a", "c" }, 3);
	expect_ports(OTHER, (const u32[]) { 2, 4 }, (const char *[]) { "b", "d" }, 2);
	EXPECT_STREQ("console1", virtio_dev_at(OTHER)->name);
	EXPECT_EQ(OTHER + 1, machine_nr_devices());
}

/* There is no hvc there, and no queue is served that is no port's. */
TEST_F(split, second_device_has_its_ports_and_no_console)
{
	const u64 withheld = 1UL << VIRTIO_F_RING_PACKED | 1UL << VIRTIO_F_IN_ORDER | 1UL << VIRTIO_RING_F_EVENT_IDX;
	const struct virtio_dev *dev = virtio_dev_at(OTHER);

	EXPECT_FALSE(dev->offered & (1UL << VIRTIO_CONSOLE_F_SIZE | 1UL << VIRTIO_CONSOLE_F_EMERG_WRITE));
	EXPECT_TRUE(dev->offered & 1UL << VIRTIO_CONSOLE_F_MULTIPORT);
	machine_place(OTHER, 0, WINDOW);
	machine_drive(OTHER, dev->offered & ~withheld, (1ULL << dev->nr_queues) - 1, 16, 0x10000);
	EXPECT_EQ(1 << 7 | 1 << 11, machine_served(OTHER));
	/* A driver that knows no ports has nothing. */
	machine_common_write(OTHER, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	machine_drive(OTHER, dev->offered & ~withheld & ~(1UL << VIRTIO_CONSOLE_F_MULTIPORT), 3, 16, 0x10000);
	EXPECT_EQ(0, machine_served(OTHER));
}

TEST_HARNESS_MAIN
