// SPDX-License-Identifier: GPL-2.0
/*
 * The console class: files that end, fail, fill up or freeze, and calls that make no sense.
 *
 * in:  /dev/vkick-console, pipes, files, file systems, no guest
 * out: what became of the bytes, told once; refusals that change nothing
 */
#define _GNU_SOURCE
#include "kselftest_harness.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/port.h"

/* ---- Ends ---- */

FIXTURE(end)
{
	struct rig r;
	struct port p;
};

FIXTURE_SETUP(end)
{
	console_open_port(&self->r, &self->p, PORT_PIPES, F_EVENT_IDX, DRV_DIRECT);
}

FIXTURE_TEARDOWN(end)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
	rig_close(&self->r);
	port_close(&self->p);
}

/* Another file to transmit to. */
static void transmit_to(struct port *p, int fd)
{
	CHECK(fd >= 0, "file");
	port_stop(p);
	close(p->out);
	p->out = fd;
	port_set(p, 0);
	port_start(p);
}

TEST_F(end, end_of_what_is_read_is_told_once)
{
	struct port *p = &self->p;

	ASSERT_EQ(1, write(p->feed, (u8[]){ port_byte(0) }, 1));
	close(p->feed);
	p->feed = -1;
	port_offer(p, 100);
	port_offer(p, 100);
	EXPECT_EQ(1, port_receive(p, DEADLINE_MS));
	EXPECT_TRUE(ev_wait(p->event, DEADLINE_MS));
	EXPECT_EQ(1, ev_take(p->event));
	EXPECT_EQ(ENODATA, port_get(p).in_error);
	EXPECT_EQ(0, port_get(p).out_error);
	EXPECT_FALSE(ev_wait(p->event, QUIET_MS));
	EXPECT_EQ(1, drv_in_flight(&p->q[PORT_RX].drv));
}

TEST_F(end, what_nobody_reads_any_more_is_lost_and_told_once)
{
	struct port *p = &self->p;

	close(p->drain);
	p->drain = -1;
	for (int i = 0; i < 3; i++) {
		port_send(p, 100, 1);
		port_reap(p, true);
	}
	EXPECT_TRUE(ev_wait(p->event, DEADLINE_MS));
	EXPECT_EQ(1, ev_take(p->event));
	EXPECT_EQ(EPIPE, port_get(p).out_error);
	EXPECT_EQ(3, vdev_get_stats(p->fd, p->q[PORT_TX].index).dropped);
}

TEST_F(end, full_disk_stalls_nobody)
{
	struct port *p = &self->p;

	char dir[] = "/tmp/port.XXXXXX", file[64];

	ASSERT_NE(NULL, mkdtemp(dir));
	shell("mount -t tmpfs -o size=8k none %s", dir);
	snprintf(file, sizeof(file), "%s/console", dir);
	transmit_to(p, open(file, O_RDWR | O_CREAT, 0600));
	/* The last one in part. */
	port_send(p, 6000, 1);
	port_send(p, 6000, 1);
	port_send(p, 6000, 1);
	while (drv_in_flight(&p->q[PORT_TX].drv))
		port_reap(p, true);
	EXPECT_EQ(ENOSPC, port_get(p).out_error);
	EXPECT_EQ(2, vdev_get_stats(p->fd, p->q[PORT_TX].index).dropped);
	EXPECT_EQ(8192, lseek(p->out, 0, SEEK_END));
	close(p->out);
	p->out = -1;
	port_stop(p);
	vdev_reset_owner(p->fd);
	shell("umount %s", dir);
	rmdir(dir);
}

/* A file system that is frozen is written to when it is thawed, and not before. */
TEST_F(end, frozen_file_system_is_waited_for)
{
	char dir[] = "/tmp/port.XXXXXX", file[64];
	struct port *p = &self->p;

	ASSERT_NE(NULL, mkdtemp(dir));
	/* `mount -o loop` has the device open for writing meanwhile, which not every kernel lets be mounted. */
	shell("modprobe -qa loop ext4; truncate -s 4M %s.img && mke2fs -q -t ext4 %s.img && mount $(losetup -f --show %s.img) %s", dir, dir, dir, dir);
	snprintf(file, sizeof(file), "%s/console", dir);
	transmit_to(p, open(file, O_RDWR | O_CREAT, 0600));
	port_send(p, 100, 1);
	port_reap(p, true);
	shell("fsfreeze -f %s", dir);
	port_send(p, 100, 1);
	EXPECT_FALSE(drv_wait(&p->q[PORT_TX].drv, p->q[PORT_TX].call, 10 * QUIET_MS));
	/* By the queue, and not by its worker, which has others: this wants the queue's lock. */
	vdev_get_stats(p->fd, p->q[PORT_TX].index);
	shell("fsfreeze -u %s", dir);
	port_reap(p, true);
	EXPECT_EQ(200, lseek(p->out, 0, SEEK_END));
	close(p->out);
	p->out = -1;
	port_stop(p);
	vdev_reset_owner(p->fd);
	shell("loop=$(findmnt -n -o SOURCE %s) && umount %s && losetup -d $loop && rm %s.img", dir, dir, dir);
	rmdir(dir);
}

/* Positions are an open file's: nobody's bytes lie on top of those of who shares it. */
TEST_F(end, file_is_shared_with_who_writes_to_it_as_well)
{
	char name[] = "/tmp/port.XXXXXX";
	struct port *p = &self->p;
	int fd = mkstemp(name), i, at = 0;

	ASSERT_LE(0, fd);
	transmit_to(p, fd);
	for (i = 0; i < 2000; i++) {
		port_send(p, 100, 1);
		ASSERT_EQ(10, write(fd, "0123456789", 10));
		port_reap(p, true);
		at += 110;
	}
	EXPECT_EQ(at, lseek(fd, 0, SEEK_END));
	unlink(name);
}

/* The worker is made to move bytes, and not to do what the kernel does for who writes to these. */
TEST_F(end, files_that_are_the_kernels_own_are_refused)
{
	struct vkick_console_port arg = { .event_fd = -1 };
	struct port *p = &self->p;
	int fds[] = {
		open("/proc/sys/kernel/printk", O_RDWR),
		open("/sys/kernel/rcu_expedited", O_RDWR),
		socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC),
	};
	size_t i;

	port_stop(p);
	for (i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		ASSERT_LE(0, fds[i]);
		arg.in_fd = fds[i];
		arg.out_fd = -1;
		EXPECT_EQ(-EINVAL, __port_set(p->fd, &arg));
		arg.in_fd = -1;
		arg.out_fd = fds[i];
		EXPECT_EQ(-EINVAL, __port_set(p->fd, &arg));
		close(fds[i]);
	}
	port_start(p);
	port_send(p, 100, 1);
	port_reap(p, true);
}

/* Whoever opens a pipe again just as its end is seen is heard. */
TEST_F(end, pipe_that_is_opened_again_goes_on)
{
	char name[] = "/tmp/port.fifo";
	struct port *p = &self->p;
	int i, fd;

	unlink(name);
	ASSERT_EQ(0, mkfifo(name, 0600));
	port_stop(p);
	close(p->in);
	p->in = open(name, O_RDONLY | O_NONBLOCK);
	port_set(p, 0);
	port_start(p);
	while (port_offer(p, 1))
		;
	for (i = 0; i < 1000; i++) {
		fd = open(name, O_WRONLY | O_NONBLOCK);
		ASSERT_LE(0, fd);
		ASSERT_EQ(1, write(fd, (u8[]){ port_byte(i) }, 1));
		close(fd);
		ASSERT_EQ(1, port_receive(p, DEADLINE_MS)) TH_LOG("opened %d times", i);
		port_offer(p, 1);
	}
	unlink(name);
}

TEST_F(end, regular_file_is_written_where_it_is)
{
	struct port *p = &self->p;
	int fd = memfd_create("console", 0), i;
	u8 buf[4000];

	ASSERT_EQ(5, write(fd, "start", 5));
	transmit_to(p, dup(fd));
	for (i = 0; i < 3; i++) {
		port_send(p, 1000, 4);
		port_reap(p, true);
	}
	EXPECT_EQ(3005, lseek(fd, 0, SEEK_CUR));
	ASSERT_EQ(3, write(fd, "end", 3));
	EXPECT_EQ(3008, pread(fd, buf, sizeof(buf), 0));
	EXPECT_EQ(0, memcmp(buf, "start", 5));
	for (i = 0; i < 1000; i++) {
		ASSERT_EQ(port_byte(i), buf[5 + i]);
	}
	EXPECT_EQ(0, memcmp(buf + 3005, "end", 3));
	close(fd);
}

/* Its owner takes back what made it one that is not waited for. */
TEST_F(end, file_that_would_be_waited_for_fails)
{
	struct port *p = &self->p;
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK), slave;

	ASSERT_LE(0, master);
	ASSERT_EQ(0, grantpt(master) || unlockpt(master));
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	transmit_to(p, master);
	port_send(p, 10, 1);
	port_reap(p, true);
	EXPECT_EQ(0, port_get(p).out_error);
	ASSERT_EQ(0, fcntl(master, F_SETFL, O_RDWR));
	port_send(p, 10, 1);
	port_reap(p, true);
	EXPECT_EQ(EINVAL, port_get(p).out_error);
	close(slave);
}

TEST_F(end, without_files_output_is_lost_and_input_never_comes)
{
	struct port *p = &self->p;
	struct vkick_console_port none = { .in_fd = -1, .out_fd = -1, .event_fd = -1 };

	port_stop(p);
	ASSERT_EQ(0, __port_set(p->fd, &none));
	port_start(p);
	port_offer(p, 100);
	port_send(p, 100, 2);
	port_reap(p, true);
	EXPECT_EQ(0, port_receive(p, QUIET_MS));
	EXPECT_EQ(1, vdev_get_stats(p->fd, p->q[PORT_TX].index).dropped);
}

/* 5.3.6.2: readable buffers are transmitted, writable ones are received into. */
TEST_F(end, buffers_of_the_wrong_kind_break_the_queue)
{
	struct port *p = &self->p;
	struct drv_seg readable = { GMEM_HIGH, 10, false }, writable = { GMEM_HIGH, 10, true };

	rig_submit(&p->q[PORT_TX], &writable, 1);
	EXPECT_EQ(EINVAL, rig_wait_broken(&self->r, &p->q[PORT_TX]));
	rig_submit(&p->q[PORT_RX], &readable, 1);
	EXPECT_EQ(EINVAL, rig_wait_broken(&self->r, &p->q[PORT_RX]));
}

/* ---- Refusals ---- */

#define BAD(nr, in, out, event, ...) \
	{ .port = (nr), .in_fd = (in), .out_fd = (out), .event_fd = (event), ##__VA_ARGS__ }

TEST_F(end, what_makes_no_sense_is_refused)
{
	struct port *p = &self->p;
	static const sigset_t none;
	struct vkick_console_port bad[] = {
		BAD(0, -1, -1, -1),
		BAD(VKICK_CONSOLE_MAX_PORTS, -1, -1, -1),
		BAD(UINT32_MAX, -1, -1, -1),
		BAD(1, 1 << 20, -1, -1),
		BAD(1, -1, 1 << 20, -1),
		BAD(1, -2, -1, -1),
		BAD(1, -1, -1, 1 << 20),
		BAD(1, -1, -1, p->out),
		BAD(1, p->out, -1, -1),	/* a pipe's other end */
		BAD(1, -1, p->in, -1),
		BAD(1, p->event, -1, -1),
		BAD(1, -1, p->event, -1),
		BAD(1, p->fd, p->fd, -1),
		BAD(1, signalfd(-1, &none, SFD_NONBLOCK), -1, -1),
		BAD(1, open("/", O_RDONLY), -1, -1),
		BAD(1, -1, -1, -1, .in_error = 1),
		BAD(1, -1, -1, -1, .out_error = 1),
		BAD(1, -1, -1, -1, .reserved = 1),
	};
	const int errs[] = {
		-EBUSY, -ENOBUFS, -ENOBUFS, -EBADF, -EBADF, -EBADF, -EBADF, -EINVAL, -EINVAL, -EINVAL, -EINVAL,
		-EINVAL, -EINVAL, -EINVAL, -EINVAL, -EOPNOTSUPP, -EOPNOTSUPP, -EOPNOTSUPP
	};
	struct vkick_console_port get = { .size = sizeof(get), .port = 1 };
	long files;
	u32 i, round;

	for (round = 0; round < 2; round++) {
		for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			EXPECT_EQ(errs[i], __port_set(p->fd, &bad[i])) TH_LOG("%u", i);
		}
		EXPECT_EQ(-ENODEV, __vdev_ioctl(p->fd, VKICK_CONSOLE_GET_PORT, &get));
		if (!round)
			files = open_files();
	}
	EXPECT_GT(200, open_files() - files);
	get.port = VKICK_CONSOLE_MAX_PORTS;
	EXPECT_EQ(-ENOBUFS, __vdev_ioctl(p->fd, VKICK_CONSOLE_GET_PORT, &get));
	get.size = 8;
	EXPECT_EQ(-EINVAL, __vdev_ioctl(p->fd, VKICK_CONSOLE_GET_PORT, &get));
	EXPECT_EQ(-EFAULT, __vdev_ioctl(p->fd, VKICK_CONSOLE_GET_PORT, (void *)8));
	EXPECT_EQ(-EFAULT, __vdev_ioctl(p->fd, VKICK_CONSOLE_SET_PORT, (void *)8));
	/* Still at work. */
	port_send(p, 100, 1);
	port_reap(p, true);
}

/* Control queues are the VMM's; a port must have been set. */
TEST_F(end, queues_of_no_port_do_not_start)
{
	struct port *p = &self->p;
	u32 i;

	for (i = 2; i < 6; i++) {
		vdev_set_ring(p->fd, i, &p->q[0].drv);
		EXPECT_EQ(-ENODEV, __vdev_set_running(p->fd, i, 1));
	}
}

TEST_F(end, reset_of_the_owner_lets_go_of_the_files)
{
	struct port *p = &self->p;
	struct vkick_console_port get = { .size = sizeof(get) };
	char byte;

	port_stop(p);
	vdev_reset_owner(p->fd);
	close(p->out);
	p->out = -1;
	EXPECT_EQ(0, read(p->drain, &byte, 1));		/* nobody has the other end */
	vdev_set_owner(p->fd);
	EXPECT_EQ(-ENODEV, __vdev_ioctl(p->fd, VKICK_CONSOLE_GET_PORT, &get));
}

TEST_F(end, info_names_the_class)
{
	struct vkick_info i = vdev_get_info(self->p.fd);

	EXPECT_STREQ("console", i.class_name);
	EXPECT_EQ(3, i.device_id);
	EXPECT_EQ(64, i.nvqs);
}

/* ---- Owners ---- */

static long module_users(void)
{
	FILE *f = fopen("/sys/module/vkick/refcnt", "r");
	long n;

	CHECK(f && fscanf(f, "%ld", &n) == 1, "refcnt");
	fclose(f);
	return n;
}

static void send_fd(int sock, int fd)
{
	union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(fd))]; } c = { 0 };
	struct iovec iov = { "x", 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &c, .msg_controllen = sizeof(c),
	};

	c.head = (struct cmsghdr) { CMSG_LEN(sizeof(fd)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(&c.head), &fd, sizeof(fd));
	CHECK(sendmsg(sock, &msg, 0) == 1, "SCM_RIGHTS");
}

/* They hold each other, and nobody is left to close either. */
TEST(device_that_lies_in_a_socket_of_its_own_goes_with_its_owner)
{
	struct vkick_console_port arg = { .out_fd = -1, .event_fd = -1 };
	struct deadline end = deadline_in(DEADLINE_MS);
	long before = module_users();
	int pair[2], fd, never = ev_new();
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		fd = vdev_open("console");
		vdev_set_owner(fd);
		CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), "socketpair");
		arg.in_fd = pair[1];
		CHECK(!__port_set(fd, &arg), "SET_PORT");
		send_fd(pair[0], fd);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	while (module_users() != before) {
		ASSERT_FALSE(deadline_passed(&end));
		ev_wait(never, QUIET_MS);
	}
	close(never);
}

TEST_HARNESS_MAIN
