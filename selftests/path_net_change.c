// SPDX-License-Identifier: GPL-2.0
/*
 * The net class and what the host does with its interface meanwhile.
 *
 * in:  /dev/vkick-net on a tap; ip of the host, no guest
 * out: packets are lost, and no queue breaks; those of the next interface, or of the same one when it is back, arrive
 */
#include "kselftest_harness.h"

#include <linux/if_tun.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/net.h"

FIXTURE(change)
{
	struct net n;
	u8 frame[NET_MAX_FRAME];
};

FIXTURE_VARIANT(change)
{
	u64 features;
};

FIXTURE_VARIANT_ADD(change, split) { F_MRG };
FIXTURE_VARIANT_ADD(change, packed) { F_MRG | F_PACKED | F_EVENT_IDX };

FIXTURE_SETUP(change)
{
	struct net_conf conf = { .features = variant->features, .num = 256 };

	net_open(&self->n, &conf);
}

FIXTURE_TEARDOWN(change)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->n.r.mem));
	net_close(&self->n);
}

/* ---- both ways, all the time ---- */

/* Sends to the driver as fast as it is taken, if it is. */
struct sender {
	pthread_t thread;
	atomic_bool quit;
	int peer;
	u8 frame[1000];
};

static void *send_all(void *arg)
{
	struct sender *s = arg;

	while (!atomic_load(&s->quit))
		if (send(s->peer, s->frame, sizeof(s->frame), MSG_DONTWAIT) < 0)
			sched_yield();
	return NULL;
}

static void start_sender(struct net *n, struct sender *s)
{
	atomic_store(&s->quit, false);
	s->peer = n->peer;
	net_fill(n, s->frame, sizeof(s->frame));
	CHECK(!pthread_create(&s->thread, NULL, send_all, s), "pthread_create");
}

static void stop_sender(struct sender *s)
{
	atomic_store(&s->quit, true);
	pthread_join(s->thread, NULL);
}

/* All buffers that there are, after those that were used are taken back. Return: of these, how many */
static u32 refill(struct net *n)
{
	u32 used = 0;

	while (drv_get(&n->rx->drv, NULL) >= 0)
		used++;
	while (drv_add1(&n->rx->drv, NET_RX_BUF, 4096, true) >= 0)
		;
	drv_kick(&n->rx->drv, n->rx->kick);
	return used;
}

/* Of packets for a batch and others: each is used, whatever became of it. */
static void transmit(struct net *n, const u8 *frame)
{
	u32 i;

	for (i = 0; i < 20; i++)
		net_send(n, frame, i % 4 ? 100 : 10000, 1);
	refill(n);
}

static void expect_both_run(struct __test_metadata *_metadata, struct net *n)
{
	struct vkick_stats rx = vdev_get_stats(n->r.fd, NET_RX), tx = vdev_get_stats(n->r.fd, NET_TX);

	ASSERT_TRUE(rx.running && !rx.error);
	ASSERT_TRUE(tx.running && !tx.error);
}

static void set_carrier(struct net *n, int on)
{
	CHECK(!ioctl(n->backend, TUNSETCARRIER, &on), "TUNSETCARRIER");
}

/* Packets of the peer's come in again: what a link that is back loses until the kernel has taken note does not matter. */
static void await_received(struct net *n)
{
	struct deadline d = deadline_in(DEADLINE_MS);

	refill(n);
	while (!refill(n)) {
		CHECK(!deadline_passed(&d), "nothing is received any more");
		sched_yield();
	}
}

/* With nothing of the sender's left, in the tap or the ring. */
static void settle(struct net *n)
{
	do
		ev_wait(n->rx->err, QUIET_MS);
	while (refill(n));
}

/* Into buffers that are offered already. */
static void ping(struct net *n)
{
	u8 frame[100];

	net_fill(n, frame, 100);
	net_send(n, frame, 100, 2);
	net_peer_expect(n, frame, 100);
	net_fill(n, frame, 100);
	net_peer_send(n, frame, 100);
	net_expect(n, frame, 100, n->hdr + 100);
}

static void new_peer(struct net *n, const char *name)
{
	close(n->peer);
	n->peer = net_packet_socket(name, NET_ETHERTYPE);
}

TEST_F(change, interface_changes_under_traffic_and_packets_go_on)
{
	struct net *n = &self->n;
	struct sender s;
	u32 i;

	net_fill(n, self->frame, 10000);
	start_sender(n, &s);
	for (i = 0; i < 3; i++) {
		await_received(n);
		transmit(n, self->frame);
		shell("ip link set tap0 down");
		transmit(n, self->frame);
		shell("ip link set tap0 name tap1 mtu 1280; ip link set tap1 up");
		transmit(n, self->frame);
		await_received(n);
		set_carrier(n, 0);
		transmit(n, self->frame);
		set_carrier(n, 1);
		await_received(n);
		shell("ip link set tap1 mtu %u; ip link set tap1 down; ip link set tap1 name tap0; ip link set tap0 up", NET_MTU);
		expect_both_run(_metadata, n);
	}
	await_received(n);
	stop_sender(&s);
	settle(n);
	new_peer(n, "tap0");
	ping(n);
}

/* It takes the interface along. */
TEST_F(change, namespace_of_the_tap_ends_under_traffic)
{
	struct net *n = &self->n;
	struct deadline d;
	struct sender s;
	u64 before;

	net_fill(n, self->frame, 10000);
	start_sender(n, &s);
	await_received(n);
	shell("ip netns add vkick-gone; ip link set tap0 netns vkick-gone");
	transmit(n, self->frame);
	shell("ip -n vkick-gone link set tap0 up");
	transmit(n, self->frame);
	shell("ip netns del vkick-gone");
	before = net_dropped(n, NET_TX);
	d = deadline_in(DEADLINE_MS);
	/* The namespace is taken apart when there is time. */
	do
		net_send(n, self->frame, 100, 1);
	while (net_dropped(n, NET_TX) == before && !deadline_passed(&d));
	ASSERT_LT(before, net_dropped(n, NET_TX));
	transmit(n, self->frame);
	stop_sender(&s);
	expect_both_run(_metadata, n);

	net_set_backend(n, NET_RX, -1);
	net_set_backend(n, NET_TX, -1);
	close(n->backend);
	n->backend = net_tap("tap0", n->hdr);
	new_peer(n, "tap0");
	net_start(n, n->backend);
	settle(n);
	ping(n);
}

TEST_HARNESS_MAIN
