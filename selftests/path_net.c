// SPDX-License-Identifier: GPL-2.0
/*
 * The net class: frames of all sizes and framings, both ways, byte for byte.
 *
 * in:  /dev/vkick-net with each kind of backend, no guest
 * out: the same frames; headers and used lengths as VIRTIO 1.2, 5.1.6 has them
 */
#include "kselftest_harness.h"

#include <sys/mman.h>

#include "lib/net.h"

FIXTURE(net)
{
	struct net n;
	u8 *frame;
};

FIXTURE_VARIANT(net)
{
	struct net_conf conf;
};

#define VARIANT(fixture, name, from, bits, ...)						\
	FIXTURE_VARIANT_ADD(fixture, name) { { .kind = from, .features = bits, __VA_ARGS__ } }

VARIANT(net, split, NET_TAP, 0);
VARIANT(net, split_mrg, NET_TAP, F_MRG);
VARIANT(net, split_mrg_event_idx_indirect, NET_TAP, F_MRG | F_EVENT_IDX | F_INDIRECT, .layout = DRV_INDIRECT);
VARIANT(net, split_mrg_in_order, NET_TAP, F_MRG | F_IN_ORDER);
VARIANT(net, split_legacy, NET_TAP, F_EVENT_IDX, .legacy = true);
VARIANT(net, split_legacy_mrg, NET_TAP, F_MRG, .legacy = true);
VARIANT(net, split_own_hdr, NET_TAP, F_MRG | F_OWN_HDR);
VARIANT(net, packed, NET_TAP, F_PACKED);
VARIANT(net, packed_mrg, NET_TAP, F_PACKED | F_MRG);
VARIANT(net, packed_mrg_event_idx_indirect, NET_TAP, F_PACKED | F_MRG | F_EVENT_IDX | F_INDIRECT, .layout = DRV_INDIRECT);
VARIANT(net, packed_mrg_in_order, NET_TAP, F_PACKED | F_MRG | F_IN_ORDER | F_EVENT_IDX);
VARIANT(net, packet_socket, NET_PACKET, F_OWN_HDR | F_MRG | F_EVENT_IDX);
VARIANT(net, packet_socket_packed, NET_PACKET, F_OWN_HDR | F_PACKED);
VARIANT(net, macvtap, NET_MACVTAP, F_MRG | F_EVENT_IDX);

static void open_net(struct net *n, const struct net_conf *of, u8 **frame)
{
	struct net_conf conf = *of;

	conf.num = 256;
	conf.max_segs = 16;
	net_open(n, &conf);
	*frame = malloc(NET_MAX_FRAME);
	CHECK(*frame, "no memory");
}

FIXTURE_SETUP(net)
{
	if (!net_has(variant->conf.kind))
		SKIP(return, "this kernel has no such backend");
	open_net(&self->n, &variant->conf, &self->frame);
}

FIXTURE_TEARDOWN(net)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->n.r.mem));
	net_close(&self->n);
	free(self->frame);
}

static u32 random_len(struct net *n)
{
	u32 most = prng(&n->rng) % 4 ? 2000 : NET_MAX_FRAME;

	/* What nothing on the way pads. */
	return 60 + prng(&n->rng) % (most - 60 + 1);
}

TEST_F(net, sent_frames_arrive_as_they_were)
{
	struct net *n = &self->n;
	int i;

	for (i = 0; i < 80; i++) {
		u32 len = random_len(n);

		net_fill(n, self->frame, len);
		net_send(n, self->frame, len, 1 + prng(&n->rng) % 16);
		net_peer_expect(n, self->frame, len);
	}
	EXPECT_EQ(0, net_dropped(n, NET_TX));
}

/* 2.7.4.1: any framing; within the header, at its end, and in the frame. */
TEST_F(net, sent_header_may_be_split_at_any_byte)
{
	struct net *n = &self->n;
	u32 cut;

	for (cut = 1; cut < n->hdr + 60; cut++) {
		net_fill(n, self->frame, 100);
		net_send_cut(n, self->frame, 100, 2, cut);
		rig_complete(n->tx, NULL);
		net_peer_expect(n, self->frame, 100);
	}
}

TEST_F(net, received_frames_are_as_they_were)
{
	struct net *n = &self->n;
	u32 i, j;

	for (i = 0; i < 80; i++) {
		u32 len = random_len(n), all = n->hdr + len;
		u32 each = n->mrg ? 1 + all / (1 + prng(&n->rng) % 100) : all + prng(&n->rng) % 3;
		u32 chains = n->mrg ? (all + each - 1) / each : 1;
		u32 segs = chains < 32 ? 1 + prng(&n->rng) % 4 : 1;

		net_fill(n, self->frame, len);
		gmem_fill(&n->r.mem, NET_RX_BUF, 0x5a, NET_BUF_BYTES);
		for (j = 0; j < chains; j++)
			net_offer(n, j * each, each, segs, 0);
		net_peer_send(n, self->frame, len);
		net_expect(n, self->frame, len, each);
		/* Nothing behind it. */
		ASSERT_EQ(0x5a, *(u8 *)gmem_ptr(&n->r.mem, NET_RX_BUF + all, 1));
	}
	EXPECT_EQ(0, net_dropped(n, NET_RX));
}

TEST_F(net, received_header_may_be_split_at_any_byte)
{
	struct net *n = &self->n;
	u32 cut;

	for (cut = 1; cut < n->hdr + 60; cut++) {
		net_fill(n, self->frame, 100);
		gmem_fill(&n->r.mem, NET_RX_BUF, 0x5a, 256);
		net_offer(n, 0, n->hdr + 100, 2, cut);
		net_peer_send(n, self->frame, 100);
		net_expect(n, self->frame, 100, n->hdr + 100);
	}
}

/* ---- what is no matter of the ring's layout: on fewer kinds ---- */

FIXTURE(edge)
{
	struct net n;
	u8 *frame;
};

FIXTURE_VARIANT(edge)
{
	struct net_conf conf;
};

VARIANT(edge, split_mrg, NET_TAP, F_MRG);
VARIANT(edge, packed, NET_TAP, F_PACKED | F_EVENT_IDX);
VARIANT(edge, packed_mrg_in_order, NET_TAP, F_PACKED | F_MRG | F_IN_ORDER | F_EVENT_IDX);
VARIANT(edge, packet_socket, NET_PACKET, F_OWN_HDR | F_EVENT_IDX);
VARIANT(edge, packet_socket_mrg, NET_PACKET, F_OWN_HDR | F_MRG | F_EVENT_IDX);
VARIANT(edge, macvtap, NET_MACVTAP, F_EVENT_IDX);

FIXTURE_SETUP(edge)
{
	if (!net_has(variant->conf.kind))
		SKIP(return, "this kernel has no such backend");
	open_net(&self->n, &variant->conf, &self->frame);
}

FIXTURE_TEARDOWN(edge)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->n.r.mem));
	net_close(&self->n);
	free(self->frame);
}

/* Many in the ring at a time: each once, and from a tap in their order. Behind other sockets there are backlogs, one for each CPU. */
TEST_F(edge, sent_frames_keep_their_order)
{
	struct net *n = &self->n;
	u8 frames[128][100];
	u32 round, i;

	for (round = 0; round < 10; round++) {
		for (i = 0; i < 128; i++) {
			u64 gpa = NET_TX_BUF + i * 128;

			net_fill(n, frames[i], 100);
			gmem_fill(&n->r.mem, gpa, 0, n->hdr);
			net_write(n, gpa + n->hdr, frames[i], 100);
			ASSERT_LE(0, drv_add1(&n->tx->drv, gpa, n->hdr + 100, false));
		}
		drv_kick(&n->tx->drv, n->tx->kick);
		if (variant->conf.kind != NET_TAP)
			net_peer_expect_all(n, frames[0], 100, 128);
		for (i = 0; i < 128; i++) {
			if (variant->conf.kind == NET_TAP)
				net_peer_expect(n, frames[i], 100);
			rig_complete(n->tx, NULL);
		}
	}
}

/* More chains than the engine holds back of used elements: visible in one go all the same. */
TEST_F(edge, packet_in_many_chains_is_used_in_one_go)
{
	struct net *n = &self->n;
	u32 i, round;

	if (!n->mrg)
		SKIP(return, "one chain is one packet");
	for (round = 0; round < 20; round++) {
		net_fill(n, self->frame, 3000);
		for (i = 0; i < 251; i++)
			net_offer(n, i * 12, 12, 1, 0);
		net_peer_send(n, self->frame, 3000);
		net_expect(n, self->frame, 3000, 12);
	}
}

#define WAITING		20
#define WAITING_BYTES	200

/* For which there are no buffers yet. */
static void send_waiting(struct net *n, u8 (*frames)[WAITING_BYTES])
{
	u32 i;

	for (i = 0; i < WAITING; i++) {
		net_fill(n, frames[i], WAITING_BYTES);
		net_peer_send(n, frames[i], WAITING_BYTES);
	}
}

TEST_F(edge, frames_wait_for_buffers)
{
	struct net *n = &self->n;
	u8 frames[WAITING][WAITING_BYTES];
	u32 i;

	send_waiting(n, frames);
	for (i = 0; i < WAITING; i++) {
		/* The second makes it whole: a kick has to be asked for behind the first. */
		if (n->mrg) {
			net_offer(n, 0, 106, 1, 0);
			net_offer(n, 106, 106, 1, 0);
		} else {
			net_offer(n, 0, 212, 1, 0);
		}
		net_expect(n, frames[i], WAITING_BYTES, n->mrg ? 106 : 212);
	}
	EXPECT_EQ(0, net_dropped(n, NET_RX));
}

/* Of a tap many are taken at a time, before it is known that there are no buffers for them. */
TEST_F(edge, frames_that_wait_outlast_a_stop)
{
	struct net *n = &self->n;
	u8 frames[WAITING][WAITING_BYTES];
	u32 i;

	send_waiting(n, frames);
	for (i = 0; i < WAITING; i++) {
		net_offer(n, 0, 212, 1, 0);
		net_expect(n, frames[i], WAITING_BYTES, 212);
		net_set_backend(n, NET_RX, -1);
		net_set_backend(n, NET_RX, n->backend);
	}
	EXPECT_EQ(0, net_dropped(n, NET_RX));
}

/* What it holds is no frame of the guest's: the queue goes on with the next. */
TEST_F(edge, frame_larger_than_the_buffer_is_lost)
{
	struct net *n = &self->n;
	u32 i;

	if (n->mrg)
		SKIP(return, "it takes another buffer");
	for (i = 1; i <= 10; i++) {
		net_fill(n, self->frame, 300);
		net_offer(n, 0, n->hdr + 100, 1, 0);
		net_peer_send(n, self->frame, 300);
		net_wait_dropped(n, NET_RX, i);
		net_fill(n, self->frame, 100);
		net_peer_send(n, self->frame, 100);
		net_expect(n, self->frame, 100, n->hdr + 100);
	}
}

/* Frames of 0 to 13 bytes, and chains that do not even hold a header. */
TEST_F(edge, short_frames_are_lost)
{
	struct net *n = &self->n;
	u32 len, sent = 0;

	for (len = 1; len < n->hdr + NET_MIN_FRAME; len++) {
		struct drv_seg s = { NET_TX_BUF, len, false };

		gmem_fill(&n->r.mem, NET_TX_BUF, 0, 64);
		rig_submit(n->tx, &s, 1);
		rig_complete(n->tx, NULL);
		sent++;
	}
	ASSERT_NE(0, sent);
	EXPECT_EQ(sent, net_dropped(n, NET_TX));
	EXPECT_TRUE(net_peer_quiet(n));
	net_fill(n, self->frame, 60);
	net_send(n, self->frame, 60, 1);
	net_peer_expect(n, self->frame, 60);
}

TEST_F(edge, oversize_frames_are_lost)
{
	static const u32 lens[] = { (1 << 19) + 8, (1 << 19) + 4096, 1 << 20, 4 << 20, 8 << 20 };
	struct net *n = &self->n;
	u32 i;

	for (i = 0; i < 5; i++) {
		/* The same memory over and over, so that it may be more than there is. */
		struct drv_seg s[8];
		u32 j;

		for (j = 0; j < 8; j++)
			s[j] = (struct drv_seg) { GMEM_HIGH, lens[i] / 8, false };
		rig_submit(n->tx, s, 8);
		rig_complete(n->tx, NULL);
		ASSERT_EQ(i + 1, net_dropped(n, NET_TX));
	}
	EXPECT_TRUE(net_peer_quiet(n));
	net_fill(n, self->frame, 60);
	net_send(n, self->frame, 60, 1);
	net_peer_expect(n, self->frame, 60);
}

TEST_F(edge, buffer_of_the_wrong_direction_breaks_its_queue_alone)
{
	struct net *n = &self->n;
	struct drv_seg in = { NET_RX_BUF, 200, true }, out = { NET_TX_BUF, 200, false };

	rig_submit(n->tx, &in, 1);
	EXPECT_EQ(EINVAL, rig_wait_broken(&n->r, n->tx));
	net_fill(n, self->frame, 100);
	net_peer_send(n, self->frame, 100);
	net_offer(n, 0, n->hdr + 100, 1, 0);
	net_expect(n, self->frame, 100, n->hdr + 100);

	rig_submit(n->rx, &out, 1);
	net_peer_send(n, self->frame, 100);
	EXPECT_EQ(EINVAL, rig_wait_broken(&n->r, n->rx));
	EXPECT_EQ(drv_base_after(&n->rx->drv, 1), vdev_get_base(n->r.fd, NET_RX));
}

TEST_F(edge, memory_that_is_gone_breaks_its_queue_alone)
{
	struct net *n = &self->n;
	struct drv_seg out = { NET_TX_BUF, 200, false };
	u8 *tx = gmem_ptr(&n->r.mem, NET_TX_BUF, GMEM_PAGE), *rx = gmem_ptr(&n->r.mem, NET_RX_BUF, GMEM_PAGE);

	ASSERT_EQ(0, mprotect(tx, GMEM_PAGE, PROT_NONE));
	rig_submit(n->tx, &out, 1);
	EXPECT_EQ(EFAULT, rig_wait_broken(&n->r, n->tx));
	EXPECT_EQ(drv_base_after(&n->tx->drv, 0), vdev_get_base(n->r.fd, NET_TX));
	net_fill(n, self->frame, 100);
	net_peer_send(n, self->frame, 100);
	net_offer(n, 0, n->hdr + 100, 1, 0);
	net_expect(n, self->frame, 100, n->hdr + 100);

	net_offer(n, 0, n->hdr + 100, 1, 0);
	ASSERT_EQ(0, mprotect(rx, GMEM_PAGE, PROT_NONE));
	net_peer_send(n, self->frame, 100);
	EXPECT_EQ(EFAULT, rig_wait_broken(&n->r, n->rx));
	EXPECT_TRUE(net_peer_quiet(n));
	mprotect(tx, GMEM_PAGE, PROT_READ | PROT_WRITE);
	mprotect(rx, GMEM_PAGE, PROT_READ | PROT_WRITE);
}

/* 200 that came while the queue stood still, for which it takes one pass, or two. */
TEST_F(edge, waiting_frames_are_shown_by_the_batch)
{
	struct net *n = &self->n;
	struct vkick_stats before, after;
	u32 i;

	ASSERT_EQ(0, __vdev_set_running(n->r.fd, NET_RX, 0));
	net_fill(n, self->frame, 60);
	for (i = 0; i < 200; i++) {
		net_offer(n, i * 256, n->hdr + 60, 1, 0);
		net_peer_send(n, self->frame, 60);
	}
	before = vdev_get_stats(n->r.fd, NET_RX);
	ASSERT_EQ(0, __vdev_set_running(n->r.fd, NET_RX, 1));
	for (i = 0; i < 200; i++)
		rig_complete(n->rx, NULL);
	after = vdev_get_stats(n->r.fd, NET_RX);
	EXPECT_LE(4, after.calls + after.calls_suppressed - before.calls - before.calls_suppressed);
}

/* No kick is spared by that: the backend's wake-up costs its sender as little as a look. */
TEST_F(edge, queue_that_waits_for_its_backend_is_watched_only_if_asked_for)
{
	struct net *n = &self->n;
	struct vkick_stats s;
	int i;

	for (i = 0; i < 200; i++) {
		net_offer(n, 0, n->hdr + 60, 1, 0);
		net_fill(n, self->frame, 60);
		net_peer_send(n, self->frame, 60);
		net_expect(n, self->frame, 60, n->hdr + 60);
	}
	s = vdev_get_stats(n->r.fd, NET_RX);
	EXPECT_EQ(200, s.requests);
	EXPECT_EQ(0, s.poll_misses);
}

/* Watched, rather than kicked for: nothing else is different. */
TEST_F(edge, polled_queues_lose_nothing)
{
	struct net *n = &self->n;
	u32 i, len;

	/* A worker whose CPU is wanted watches nothing. */
	proc_keep_apart(proc_thread("vkick-net-"));
	vdev_set_poll(n->r.fd, NET_RX, 100000);
	vdev_set_poll(n->r.fd, NET_TX, 100000);
	for (i = 0; i < 100; i++) {
		len = 60 + prng(&n->rng) % 1000;
		net_fill(n, self->frame, len);
		net_send(n, self->frame, len, 2);
		net_peer_expect(n, self->frame, len);
		net_peer_send(n, self->frame, len);
		net_offer(n, 0, n->hdr + len, 2, 0);
		net_expect(n, self->frame, len, n->hdr + len);
	}
	EXPECT_LT(0, vdev_get_stats(n->r.fd, NET_RX).poll_hits);
	EXPECT_LT(0, vdev_get_stats(n->r.fd, NET_TX).poll_hits);
}

/* The second one is for the other queue alone, and it is that queue which it gets. */
TEST_F(edge, each_queue_may_have_a_worker_of_its_own)
{
	struct net *n = &self->n;
	struct vhost_worker_state w = { 0 };
	struct vhost_vring_worker at = { .index = NET_TX };
	struct vhost_vring_worker rx = { .index = NET_RX };
	int i;

	ASSERT_EQ(0, __vdev_ioctl(n->r.fd, VHOST_NEW_WORKER, &w));
	at.worker_id = w.worker_id;
	ASSERT_EQ(0, __vdev_ioctl(n->r.fd, VHOST_ATTACH_VRING_WORKER, &at));
	at.worker_id = 0;
	ASSERT_EQ(0, __vdev_ioctl(n->r.fd, VHOST_GET_VRING_WORKER, &at));
	ASSERT_EQ(0, __vdev_ioctl(n->r.fd, VHOST_GET_VRING_WORKER, &rx));
	EXPECT_EQ(w.worker_id, at.worker_id);
	EXPECT_NE(w.worker_id, rx.worker_id);
	for (i = 0; i < 20; i++) {
		net_fill(n, self->frame, 100);
		net_send(n, self->frame, 100, 2);
		net_peer_expect(n, self->frame, 100);
		net_peer_send(n, self->frame, 100);
		net_offer(n, 0, n->hdr + 100, 2, 0);
		net_expect(n, self->frame, 100, n->hdr + 100);
	}
	/* And back, so that it is free. */
	at.worker_id = rx.worker_id;
	ASSERT_EQ(0, __vdev_ioctl(n->r.fd, VHOST_ATTACH_VRING_WORKER, &at));
	ASSERT_EQ(0, __vdev_ioctl(n->r.fd, VHOST_FREE_WORKER, &w));
	net_fill(n, self->frame, 100);
	net_send(n, self->frame, 100, 2);
	net_peer_expect(n, self->frame, 100);
}

TEST_HARNESS_MAIN
