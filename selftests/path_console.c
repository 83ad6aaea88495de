// SPDX-License-Identifier: GPL-2.0
/*
 * The console class: streams of bytes both ways, files that stall, end and fail, and each port on its own.
 *
 * in:  /dev/vkick-console, pipes, sockets, terminals, no guest
 * out: the same bytes; stalls that cost nobody else anything
 */
#define _GNU_SOURCE
#include "kselftest_harness.h"

#include <pthread.h>
#include <signal.h>
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

FIXTURE_SETUP(port)
{
	console_open_port(&self->r, &self->p, variant->kind, variant->features, variant->layout);
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
TEST_F(port, polling_finds_what_is_sent)
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

	/* What is offered while there is nothing to read is no work, until there is. */
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

/* ---- Stalls ---- */

TEST_F(port, full_file_stalls_and_goes_on)
{
	struct port *p = &self->p;
	u64 switches;
	pid_t worker;

	port_stall(p);
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

		port_stall(p);
		port_stop(p);
		state = port_get(p);
		cut += !!state.out_skip;
		EXPECT_GT(PORT_STALL_CHAIN, state.out_skip);
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
		port_stall(&self->p[i]);	/* one of each kind */
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

	console_open_port(&r, &p, (uintptr_t)arg, 0, DRV_DIRECT);
	port_stall(&p);
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

TEST_HARNESS_MAIN
