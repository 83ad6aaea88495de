// SPDX-License-Identifier: GPL-2.0
/*
 * The console class: streams of bytes both ways, files that stall, end and fail, and each port on its own.
 *
 * in:  /dev/vkick-console, pipes, sockets, terminals, no guest
 * out: the same bytes; stalls that cost nobody else anything
 */
#define _GNU_SOURCE
#include "kselftest_harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/dlog.h"
#include "lib/port.h"

/* Of a kernel with KASAN, as much as there is time for. */
#define STREAM_BYTES	(4U << 20)
#define STREAM_SECONDS	120

FIXTURE(port)
{
	struct rig r;
	struct port p;
	u64 rng;
};

FIXTURE_VARIANT(port)
{
	enum port_kind kind;
	u64 features;
	enum drv_layout layout;
};

FIXTURE_VARIANT_ADD(port, pipes) { PORT_PIPES, 0, DRV_DIRECT };
FIXTURE_VARIANT_ADD(port, pipes_event_idx_indirect) { PORT_PIPES, F_EVENT_IDX | F_INDIRECT, DRV_INDIRECT };
FIXTURE_VARIANT_ADD(port, pipes_packed) { PORT_PIPES, F_PACKED, DRV_DIRECT };
FIXTURE_VARIANT_ADD(port, pipes_packed_event_idx_in_order) { PORT_PIPES, F_PACKED | F_EVENT_IDX | F_IN_ORDER, DRV_DIRECT };
FIXTURE_VARIANT_ADD(port, socket) { PORT_SOCKET, F_EVENT_IDX, DRV_DIRECT };
FIXTURE_VARIANT_ADD(port, socket_packed) { PORT_SOCKET, F_PACKED, DRV_DIRECT };
FIXTURE_VARIANT_ADD(port, terminal) { PORT_PTY, F_EVENT_IDX, DRV_DIRECT };
FIXTURE_VARIANT_ADD(port, terminal_packed) { PORT_PTY, F_PACKED | F_EVENT_IDX, DRV_DIRECT };

static void open_port(struct rig *r, struct port *p, enum port_kind kind, u64 features, enum drv_layout layout)
{
	struct rig_conf conf = { .features = features, .layout = layout };

	signal(SIGPIPE, SIG_IGN);
	console_open(r, &conf);
	port_open(p, r, &conf, 0, kind);
	port_start(p);
}

FIXTURE_SETUP(port)
{
	open_port(&self->r, &self->p, variant->kind, variant->features, variant->layout);
	self->rng = 1;
}

FIXTURE_TEARDOWN(port)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
	rig_close(&self->r);
	port_close(&self->p);
}

/* ---- Streams ---- */

static u32 some_len(u64 *rng)
{
	return 8 + prng(rng) % (prng(rng) % 8 ? 200 : PORT_CHAIN - 8);
}

struct reader {
	struct port *p;
	u64 from, bytes, got;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;

	r->got = port_drain(r->p, r->from, r->bytes, DEADLINE_MS);
	return NULL;
}

TEST_F_TIMEOUT(port, transmitted_bytes_arrive_in_order, STREAM_SECONDS)
{
	struct reader reader = { &self->p, 0, STREAM_BYTES, 0 };
	struct port *p = &self->p;
	pthread_t t;

	ASSERT_EQ(0, pthread_create(&t, NULL, read_all, &reader));
	while (p->sent < STREAM_BYTES) {
		u32 len = some_len(&self->rng), left = STREAM_BYTES - p->sent;

		len = len < left ? len : left;
		while (!port_send(p, len, len < 8 ? 1 : 1 + prng(&self->rng) % 8))
			port_reap(p, true);
	}
	pthread_join(t, NULL);
	EXPECT_EQ(STREAM_BYTES, reader.got);
	EXPECT_EQ(0, vdev_get_stats(p->fd, p->q[PORT_TX].index).dropped);
	EXPECT_EQ(STREAM_BYTES, vdev_get_stats(p->fd, p->q[PORT_TX].index).bytes_out);
}

struct writer {
	struct port *p;
	u64 bytes;
};

static void *write_all(void *arg)
{
	struct writer *w = arg;
	u64 done = 0;
	u8 buf[3000];

	while (done < w->bytes) {
		u64 n = w->bytes - done < sizeof(buf) ? w->bytes - done : sizeof(buf), i;

		for (i = 0; i < n; i++)
			buf[i] = port_byte(done + i);
		CHECK(write(w->p->feed, buf, n) == (ssize_t)n, "write");
		done += n;
	}
	return NULL;
}

TEST_F_TIMEOUT(port, received_bytes_arrive_in_order, STREAM_SECONDS)
{
	struct port *p = &self->p;
	struct writer writer = { p, STREAM_BYTES };
	pthread_t t;

	ASSERT_EQ(0, pthread_create(&t, NULL, write_all, &writer));
	while (p->got < STREAM_BYTES) {
		while (port_offer(p, some_len(&self->rng)))
			;
		ASSERT_LT(0, port_receive(p, DEADLINE_MS));
	}
	pthread_join(t, NULL);
	EXPECT_EQ(STREAM_BYTES, p->got);
}

/* ---- What each class has ---- */

/* Sends and receives by turns, so that a queue is empty, and polled, between two of its chains. */
TEST_F(port, polled_queues_are_served_without_kicks)
{
	struct port *p = &self->p;
	u64 end = now_ns() + DEADLINE_MS * 1000000ULL, hits = 0, bytes = 0;
	u32 i;

	for (i = 0; i < 2; i++)
		vdev_set_poll(p->fd, p->q[i].index, 50000);
	while (!hits && now_ns() < end) {
		ASSERT_TRUE(port_send(p, 100, 1));
		port_reap(p, true);
		ASSERT_EQ(100, port_drain(p, bytes, 100, DEADLINE_MS));
		bytes += 100;
		hits = vdev_get_stats(p->fd, p->q[PORT_TX].index).poll_hits;
	}
	EXPECT_NE(0, hits);

	/* A file with nothing in it is not asked for more all the time: what is offered is no work. */
	ASSERT_TRUE(port_offer(p, 100));
	EXPECT_EQ(0, port_receive(p, 100));
	ASSERT_EQ(1, write(p->feed, &(u8){ port_byte(0) }, 1));
	EXPECT_EQ(1, port_receive(p, DEADLINE_MS));
}

/* Of a buffer that the guest offers, the pages that were written. */
TEST_F(port, pages_of_received_bytes_are_logged)
{
	struct port *p = &self->p;
	struct dlog l = dlog_new(&self->r.mem);
	u8 bytes[5000];
	u64 gpa = p->buf + PORT_RX * PORT_BUF_BYTES;
	struct dlog_range must = { gpa, 0 };
	u32 i;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = port_byte(i);
	port_stop(p);
	vdev_set_log_base(self->r.fd, l.bits);
	vdev_set_features(self->r.fd, self->r.features | F_LOG_ALL);
	port_start(p);
	dlog_clear(&l);

	ASSERT_TRUE(port_offer(p, PORT_CHAIN));
	/* Terminals and pipes hand on what they have, which may be less than was written. */
	ASSERT_LT(0, write(p->feed, bytes, variant->kind == PORT_SOCKET ? sizeof(bytes) : 3000));
	must.len = port_receive(p, DEADLINE_MS);
	EXPECT_LT(0, must.len);
	/* Waits for the end of the pass. */
	vdev_get_stats(p->fd, p->q[PORT_RX].index);
	EXPECT_TRUE(dlog_exact(&l, &must, 1));
	port_stop(p);
	vdev_set_features(self->r.fd, self->r.features);
	dlog_free(&l);
}

#define STALL_CHAIN	9999

/* Sends until nothing is taken any more. */
static void stall(struct port *p)
{
	do {
		while (port_send(p, STALL_CHAIN, 3))
			;
		port_reap(p, false);
	} while (drv_in_flight(&p->q[PORT_TX].drv) < PORT_NUM / 8 || drv_wait(&p->q[PORT_TX].drv, p->q[PORT_TX].call, 200));
}

TEST_F(port, full_file_stalls_and_goes_on)
{
	struct port *p = &self->p;
	u64 switches;
	pid_t worker;

	stall(p);
	worker = proc_thread("vkick-console-");
	switches = proc_switches(worker);
	usleep(300000);
	/* It waits, and does not ask again and again. */
	EXPECT_GE(5, proc_switches(worker) - switches);
	EXPECT_EQ(p->sent, port_drain(p, 0, p->sent, DEADLINE_MS));
	while (drv_in_flight(&p->q[PORT_TX].drv))
		port_reap(p, true);
	EXPECT_EQ(0, vdev_get_stats(p->fd, p->q[PORT_TX].index).dropped);
}

/* Wherever in a chain it was stopped. */
TEST_F(port, stop_in_the_middle_of_a_chain_loses_and_doubles_no_byte)
{
	struct port *p = &self->p;
	u64 got = 0;
	u32 i, cut = 0;

	for (i = 0; i < 30; i++) {
		struct vkick_console_port state;

		stall(p);
		port_stop(p);
		state = port_get(p);
		cut += !!state.out_skip;
		EXPECT_GT(STALL_CHAIN, state.out_skip);
		port_set(p, state.out_skip);
		/* No more than a terminal holds. */
		got += port_drain(p, got, (777 + 1313 * i) % 8192, DEADLINE_MS);
		port_start(p);
	}
	/* Those take what fits into one packet of theirs whole, or not at all. */
	if (variant->kind != PORT_SOCKET)
		EXPECT_LT(0, cut);
	EXPECT_EQ(p->sent - got, port_drain(p, got, p->sent - got, DEADLINE_MS));
	while (drv_in_flight(&p->q[PORT_TX].drv))
		port_reap(p, true);
}

TEST_F(port, nothing_to_read_costs_nothing)
{
	struct port *p = &self->p;
	u64 switches;
	pid_t worker;

	while (port_offer(p, 100))
		;
	EXPECT_EQ(0, port_receive(p, 200));
	worker = proc_thread("vkick-console-");
	switches = proc_switches(worker);
	usleep(300000);
	EXPECT_GE(5, proc_switches(worker) - switches);
	ASSERT_EQ(1, write(p->feed, (u8[]){ port_byte(0) }, 1));
	EXPECT_EQ(1, port_receive(p, DEADLINE_MS));
}

/* ---- Ends ---- */

FIXTURE(end)
{
	struct rig r;
	struct port p;
};

FIXTURE_SETUP(end)
{
	open_port(&self->r, &self->p, PORT_PIPES, F_EVENT_IDX, DRV_DIRECT);
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

/* That of a pressure file goes with its cgroup, whoever has the file open: on kernels where it is the trigger's (POLLFREE). */
TEST_F(end, wait_queue_may_go_before_its_file)
{
	static const char dir[] = "/sys/fs/cgroup/port", trigger[] = "some 150000 1000000";
	struct port *p = &self->p;
	struct vkick_console_port arg = { .event_fd = -1 };
	int fd, i;

	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK))
		shell("mountpoint -q /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup");
	port_stop(p);
	for (i = 0; i < 20; i++) {
		shell("mkdir -p %s", dir);
		fd = open("/sys/fs/cgroup/port/memory.pressure", O_RDWR | O_NONBLOCK);
		if (fd < 0) {
			rmdir(dir);
			SKIP(return, "no pressure files here");
		}
		ASSERT_EQ(sizeof(trigger), write(fd, trigger, sizeof(trigger)));
		arg.in_fd = arg.out_fd = fd;
		ASSERT_EQ(0, __port_set(p->fd, &arg));
		ASSERT_EQ(0, rmdir(dir));
		close(fd);
		/* Whatever is to be freed is, and is something else's. */
		usleep(50000);
		port_set(p, 0);
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

/* ---- Ports ---- */

#define NR_PORTS	16

FIXTURE(ports)
{
	struct rig r;
	struct port p[NR_PORTS];
};

FIXTURE_SETUP(ports)
{
	struct rig_conf conf = { .features = F_EVENT_IDX };
	u32 i;

	console_open(&self->r, &conf);
	for (i = 0; i < NR_PORTS; i++) {
		port_open(&self->p[i], &self->r, &conf, i, i % 3);
		port_start(&self->p[i]);
	}
}

FIXTURE_TEARDOWN(ports)
{
	u32 i;

	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
	rig_close(&self->r);
	for (i = 0; i < NR_PORTS; i++)
		port_close(&self->p[i]);
}

TEST_F(ports, blocked_one_beside_fifteen_busy_ones)
{
	u32 i, round;

	for (i = 0; i < 3; i++) {
		stall(&self->p[i]);	/* one of each kind */
	}
	for (round = 0; round < 200; round++) {
		for (i = 3; i < NR_PORTS; i++) {
			struct port *p = &self->p[i];

			ASSERT_TRUE(port_send(p, 500, 2));
			port_reap(p, true);
			ASSERT_EQ(500, port_drain(p, p->sent - 500, 500, DEADLINE_MS));
		}
	}
	for (i = 0; i < 3; i++) {
		struct port *p = &self->p[i];

		EXPECT_EQ(p->sent, port_drain(p, 0, p->sent, DEADLINE_MS));
	}
}

static int stalled_owner(void *arg)
{
	struct rig r;
	struct port p;

	open_port(&r, &p, (uintptr_t)arg, 0, DRV_DIRECT);
	stall(&p);
	raise(SIGKILL);
	return 0;
}

TEST(killed_owner_of_a_stalled_port_is_gone)
{
	uintptr_t kind;

	for (kind = PORT_PIPES; kind <= PORT_PTY; kind++) {
		pid_t pid = fork();
		struct deadline d;
		int status, got = 0;

		if (!pid)
			_exit(stalled_owner((void *)kind));
		d = deadline_in(DEADLINE_MS + GONE_MS);
		while (!got && !deadline_passed(&d)) {
			got = waitpid(pid, &status, WNOHANG);
			usleep(1000);
		}
		ASSERT_EQ(pid, got);
		EXPECT_EQ(SIGKILL, WTERMSIG(status));
		EXPECT_EQ(0, proc_threads_settle("vkick-console-", 0));
	}
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

TEST_HARNESS_MAIN
