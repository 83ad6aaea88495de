// SPDX-License-Identifier: GPL-2.0
/*
 * What a packet costs on its way between a driver and a tap, without a guest: through
 * /dev/vkick-net, through mainline's /dev/vhost-net, and through the VMM's own user datapath
 * (vmm/net_*.c), with its io_uring and without.
 *
 * in:  both nodes; a tap of its own, in a network namespace of its own
 * out: a line for each run: packets/s, and CPU time of the device's thread for each
 *
 * All are driven by the same code, in turn. Transmitted packets
 * are of a protocol that nobody on the host listens for. Received ones are sent to the
 * tap by a thread of this program, as fast as it can; so there it is that thread which
 * sets the pace, and the CPU time is what to look at.
 *
 * Driver and sender are on CPU 0, the device is on CPU 1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"
#include "nic_user.h"
#include "../selftests/lib/net.h"

#define NUM		256U
#define HDR		12U
#define RX_BUFFER	2048U
#define SEND_BATCH	32

/* What is measured, on both. @bytes: of a frame */
struct row {
	const char *direction, *ring;
	u64 features;
	u32 bytes;
};

/* Who serves the queues: a node, or the VMM's files; the name of the thread. */
static const struct server {
	const char *name, *path, *thread;
	bool one_by_one;	/* the user datapath as where there is no io_uring */
} servers[] = {
	{ "vkick", "/dev/vkick-net", "vkick-net", false },
	{ "vhost", "/dev/vhost-net", "vhost-", false },
	{ "user", NULL, "net0", false },
	{ "user_each", NULL, "net0", true },
};

static int rounds = 5, run_ms = 500;
static int only = -1;
static bool only_user;
static u64 calls;	/* that the driver had, in this run */
static int tap, host;			/* the tap, and a packet socket on it */

static void attach(struct rig *r, const struct server *server, const struct row *row)
{
	struct rig_conf conf = {
		.features = row->features,
		.num = NUM,
		.max_segs = 1,
	};
	u32 i;

	rig_lay_out(r, &conf);
	r->nvqs = 2;
	r->fd = open(server->path, O_RDWR | O_CLOEXEC);
	CHECK(r->fd >= 0, "%s", server->path);
	rig_configure(r);
	for (i = 0; i < 2; i++) {
		CHECK(!fcntl(r->q[i].call, F_SETFL, 0), "F_SETFL");
		vdev_set_kick(r->fd, i, r->q[i].kick);
		vdev_set_call(r->fd, i, r->q[i].call);
	}
}

static void set_backend(struct rig *r, u32 index, int fd)
{
	struct vhost_vring_file f = { index, fd };

	CHECK(!__vdev_ioctl(r->fd, VHOST_NET_SET_BACKEND, &f), "NET_SET_BACKEND %u", index);
}

/* Sleeps until there is a used element. */
static void wait_call(struct nic_side *q)
{
	u64 n;

	if (!drv_enable_call(q->drv)) {
		CHECK(read(q->call, &n, sizeof(n)) == sizeof(n), "call");
		calls += n;
	}
	drv_disable_call(q->drv);
}

/* Keeps the ring full of frames for a while. Return: ns that it took */
static u64 transmit(struct nic_side *q, const struct row *row)
{
	u64 begin = now_ns(), end = begin + run_ms * 1000000ULL;

	while (now_ns() < end) {
		while (drv_add1(q->drv, GMEM_HIGH, HDR + row->bytes, false) >= 0)
			;
		drv_kick(q->drv, q->kick);
		wait_call(q);
		while (drv_get(q->drv, NULL) >= 0)
			;
	}
	while (drv_in_flight(q->drv)) {
		wait_call(q);
		while (drv_get(q->drv, NULL) >= 0)
			;
	}
	return now_ns() - begin;
}

struct sender {
	pthread_t thread;
	atomic_bool quit;
	u32 bytes;
};

static void *send_all(void *arg)
{
	static const u8 frame[RX_BUFFER] = { 0x02, [12] = 0x88, 0xb5 };
	struct sender *s = arg;
	struct iovec iov = { (void *)frame, s->bytes };
	struct mmsghdr m[SEND_BATCH] = { 0 };
	u32 i;

	for (i = 0; i < SEND_BATCH; i++)
		m[i].msg_hdr = (struct msghdr) { .msg_iov = &iov, .msg_iovlen = 1 };
	while (!atomic_load(&s->quit))
		sendmmsg(host, m, SEND_BATCH, MSG_DONTWAIT);
	return NULL;
}

static u64 receive(struct nic_side *q, const struct row *row)
{
	struct sender s = { .bytes = row->bytes };
	u64 begin = now_ns(), end = begin + run_ms * 1000000ULL;

	CHECK(!pthread_create(&s.thread, NULL, send_all, &s), "pthread_create");
	while (now_ns() < end) {
		while (drv_add1(q->drv, GMEM_HIGH, RX_BUFFER, true) >= 0)
			;
		drv_kick(q->drv, q->kick);
		wait_call(q);
		while (drv_get(q->drv, NULL) >= 0)
			;
	}
	end = now_ns();
	atomic_store(&s.quit, true);
	pthread_join(s.thread, NULL);
	return end - begin;
}

/* What both ends find in the one buffer of the driver's. */
static void lay_frame(struct gmem *mem)
{
	u8 type[2] = { NET_ETHERTYPE >> 8, NET_ETHERTYPE & 0xff };

	gmem_fill(mem, GMEM_HIGH, 0, RX_BUFFER);
	*(u8 *)gmem_ptr(mem, GMEM_HIGH + HDR, 1) = 0x02;
	memcpy(gmem_ptr(mem, GMEM_HIGH + HDR + 12, 2), type, 2);
}

static bool is_tx(const struct row *row)
{
	return !strcmp(row->direction, "tx");
}

static u64 run(struct nic_side *q, const struct row *row)
{
	calls = 0;
	return is_tx(row) ? transmit(q, row) : receive(q, row);
}

static void tell(const struct row *row, const struct server *server, int round,
		 const struct nic_side *q, u64 ns, pid_t tid)
{
	double got = q->drv->got;

	printf("bench=net direction=%s ring=%s bytes=%u datapath=%s round=%d", row->direction,
	       row->ring, row->bytes, server->name, round);
	printf(" packets_per_s=%.0f device_ns=%.1f device_switches=%.4f calls=%.4f\n", got * 1e9 / ns,
	       run_time_ns(tid) / got, proc_switches(tid) / got, calls / got);
	fflush(stdout);
}

static void measure_node(const struct row *row, const struct server *server, int round)
{
	struct nic_side side;
	struct rig r;
	struct vq *q;
	pid_t tid;
	u64 ns;

	attach(&r, server, row);
	lay_frame(&r.mem);
	q = &r.q[is_tx(row) ? NET_TX : NET_RX];
	side = (struct nic_side) { &r.mem, &q->drv, q->kick, q->call };
	tid = proc_thread(server->thread);
	pin(tid, 1);
	set_backend(&r, q->index, tap);
	ns = run(&side, row);
	set_backend(&r, q->index, -1);
	while (drv_get(&q->drv, NULL) >= 0)
		;
	tell(row, server, round, &side, ns, tid);
	rig_close(&r);
}

static void measure_user(const struct row *row, const struct server *server, int round)
{
	struct nic_side side = nic_user_start(tap, row->features, NUM, is_tx(row), server->one_by_one);
	pid_t tid = proc_thread(server->thread);
	u64 ns;

	lay_frame(side.mem);
	CHECK(!fcntl(side.call, F_SETFL, 0), "F_SETFL");
	pin(tid, 1);
	ns = run(&side, row);
	tell(row, server, round, &side, ns, tid);
	nic_user_stop();
}

/* Of the nodes, ours alone has packed rings. */
static void compare(const struct row *row)
{
	int round;
	size_t i;

	for (round = 0; round < rounds; round++) {
		for (i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
			const struct server *s = &servers[i];

			if (s->path && (only_user || (!strcmp(s->name, "vhost") && row->features & F_PACKED)))
				continue;
			limit_run(run_ms);
			if (s->path)
				measure_node(row, s, round);
			else
				measure_user(row, s, round);
		}
	}
}

static const struct row rows[] = {
	{ "tx", "split", F_EVENT_IDX | F_MRG, 64 },
	{ "tx", "packed", F_EVENT_IDX | F_MRG | F_PACKED, 64 },
	{ "tx", "split", F_EVENT_IDX | F_MRG, 1500 },
	{ "rx", "split", F_EVENT_IDX | F_MRG, 64 },
	{ "rx", "packed", F_EVENT_IDX | F_MRG | F_PACKED, 64 },
	{ "rx", "split", F_EVENT_IDX | F_MRG, 1500 },
};

int main(int argc, char **argv)
{
	int opt, one = 1;
	size_t i;

	while ((opt = getopt(argc, argv, "r:m:o:u")) != -1) {
		if (opt == 'r') {
			rounds = atoi(optarg);
		} else if (opt == 'm') {
			run_ms = atoi(optarg);
		} else if (opt == 'o') {
			only = atoi(optarg);
		} else if (opt == 'u') {
			only_user = true;
		} else {
			fprintf(stderr, "usage: nic [-r ROUNDS] [-m MS] [-o ROW] [-u]\n"
				"  -u  the user datapath alone, which needs no module\n");
			return 2;
		}
	}
	CHECK(rounds > 0 && run_ms > 0, "nothing to measure");
	net_unshare();
	if (!only_user)
		shell("modprobe -qa vhost_net; [ -e /dev/vhost-net ]");
	tap = net_tap("tap0", HDR);
	CHECK(!fcntl(tap, F_SETFL, O_RDWR | O_NONBLOCK), "F_SETFL");
	host = net_packet_socket("tap0", 0);
	CHECK(!setsockopt(host, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)),
	      "PACKET_QDISC_BYPASS");
	pin(0, 0);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (only < 0 || (int)i == only)
			compare(&rows[i]);
	return 0;
}
