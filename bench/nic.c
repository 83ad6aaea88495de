// SPDX-License-Identifier: GPL-2.0
/*
 * What a packet costs on its way between a driver and a tap, without a guest: through
 * /dev/vkick-net and through mainline's /dev/vhost-net.
 *
 * in:  both nodes; a tap of its own, in a network namespace of its own
 * out: a line for each run: packets/s, and CPU time of the worker for each
 *
 * Both are driven by the same code, through the same calls, in turn. Transmitted packets
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

/* The two nodes; the name of the worker's thread. */
static const struct node {
	const char *name, *path, *thread;
} nodes[] = {
	{ "vkick", "/dev/vkick-net", "vkick-net" },
	{ "vhost", "/dev/vhost-net", "vhost-" },
};

static int rounds = 5, run_ms = 500;
static int only = -1;
static u64 calls;	/* that the driver had, in this run */
static int tap, host;			/* the tap, and a packet socket on it */

static void attach(struct rig *r, const struct node *node, const struct row *row)
{
	struct rig_conf conf = {
		.features = row->features,
		.num = NUM,
		.max_segs = 1,
	};
	u32 i;

	rig_lay_out(r, &conf);
	r->nvqs = 2;
	r->fd = open(node->path, O_RDWR | O_CLOEXEC);
	CHECK(r->fd >= 0, "%s", node->path);
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
static void wait_call(struct vq *q)
{
	u64 n;

	if (!drv_enable_call(&q->drv)) {
		CHECK(read(q->call, &n, sizeof(n)) == sizeof(n), "call");
		calls += n;
	}
	drv_disable_call(&q->drv);
}

/* Keeps the ring full of frames for a while. Return: ns that it took */
static u64 transmit(struct vq *q, const struct row *row)
{
	u64 begin = now_ns(), end = begin + run_ms * 1000000ULL;

	while (now_ns() < end) {
		while (drv_add1(&q->drv, GMEM_HIGH, HDR + row->bytes, false) >= 0)
			;
		drv_kick(&q->drv, q->kick);
		wait_call(q);
		while (drv_get(&q->drv, NULL) >= 0)
			;
	}
	while (drv_in_flight(&q->drv)) {
		wait_call(q);
		while (drv_get(&q->drv, NULL) >= 0)
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

static u64 receive(struct vq *q, const struct row *row)
{
	struct sender s = { .bytes = row->bytes };
	u64 begin = now_ns(), end = begin + run_ms * 1000000ULL;

	CHECK(!pthread_create(&s.thread, NULL, send_all, &s), "pthread_create");
	while (now_ns() < end) {
		while (drv_add1(&q->drv, GMEM_HIGH, RX_BUFFER, true) >= 0)
			;
		drv_kick(&q->drv, q->kick);
		wait_call(q);
		while (drv_get(&q->drv, NULL) >= 0)
			;
	}
	end = now_ns();
	atomic_store(&s.quit, true);
	pthread_join(s.thread, NULL);
	return end - begin;
}

static void measure(const struct row *row, const struct node *node, int round)
{
	bool tx = !strcmp(row->direction, "tx");
	u8 type[2] = { NET_ETHERTYPE >> 8, NET_ETHERTYPE & 0xff };
	struct rig r;
	struct vq *q;
	pid_t tid;
	u64 ns;

	limit_run(run_ms);
	attach(&r, node, row);
	gmem_fill(&r.mem, GMEM_HIGH, 0, RX_BUFFER);
	*(u8 *)gmem_ptr(&r.mem, GMEM_HIGH + HDR, 1) = 0x02;
	memcpy(gmem_ptr(&r.mem, GMEM_HIGH + HDR + 12, 2), type, 2);
	q = &r.q[tx ? NET_TX : NET_RX];
	tid = proc_thread(node->thread);
	pin(tid, 1);
	set_backend(&r, q->index, tap);
	calls = 0;
	ns = tx ? transmit(q, row) : receive(q, row);
	set_backend(&r, q->index, -1);
	while (drv_get(&q->drv, NULL) >= 0)
		;
	printf("bench=net direction=%s ring=%s bytes=%u datapath=%s round=%d", row->direction,
	       row->ring, row->bytes, node->name, round);
	printf(" packets_per_s=%.0f device_ns=%.1f device_switches=%.4f calls=%.4f\n",
	       q->drv.got * 1e9 / ns, (double)run_time_ns(tid) / q->drv.got,
	       (double)proc_switches(tid) / q->drv.got, (double)calls / q->drv.got);
	fflush(stdout);
	rig_close(&r);
}

/* Packed rings are ours alone: they are measured against nothing. */
static void compare(const struct row *row)
{
	int i;

	for (i = 0; i < rounds; i++) {
		measure(row, &nodes[0], i);
		if (!(row->features & F_PACKED))
			measure(row, &nodes[1], i);
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

	while ((opt = getopt(argc, argv, "r:m:o:")) != -1) {
		if (opt == 'r') {
			rounds = atoi(optarg);
		} else if (opt == 'm') {
			run_ms = atoi(optarg);
		} else if (opt == 'o') {
			only = atoi(optarg);
		} else {
			fprintf(stderr, "usage: nic [-r ROUNDS] [-m MS] [-o ROW]\n");
			return 2;
		}
	}
	CHECK(rounds > 0 && run_ms > 0, "nothing to measure");
	net_unshare();
	shell("modprobe -qa vhost_net; [ -e /dev/vhost-net ]");
	tap = net_tap("tap0", HDR);
	host = net_packet_socket("tap0", 0);
	CHECK(!setsockopt(host, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)),
	      "PACKET_QDISC_BYPASS");
	pin(0, 0);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (only < 0 || (int)i == only)
			compare(&rows[i]);
	return 0;
}
