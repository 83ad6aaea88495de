// SPDX-License-Identifier: GPL-2.0
/*
 * Packets through the VMM's own network datapath: natively, with a socket for the tap.
 *
 * in:  frames of all lengths, in chains of all kinds; drivers that break rules
 * out: VIRTIO 1.2, 5.1.6, to the byte; and a thread that costs nothing when there is nothing for it to do
 */
#include "lib/vnic.h"

#include "kselftest_harness.h"

#include <endian.h>
#include <errno.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define F_MRG_RXBUF	(1UL << VIRTIO_NET_F_MRG_RXBUF)
#define NUM		64
#define HDR		NET_HDR_BYTES
#define FLAGS_AT	0
#define NUM_BUFFERS_AT	10
#define F_GUEST(name)	(1UL << VIRTIO_NET_F_GUEST_##name)

FIXTURE(nic)
{
	struct vnic v;
	u8 packet[NET_MAX_PACKET + 8192];
	u8 got[NET_MAX_PACKET + 8192];
	u64 gpa;
};

FIXTURE_VARIANT(nic)
{
	u64 features;
	enum drv_layout layout;
};

FIXTURE_VARIANT_ADD(nic, split) { .features = F_MRG_RXBUF, .layout = DRV_DIRECT };
FIXTURE_VARIANT_ADD(nic, indirect) { .features = F_MRG_RXBUF, .layout = DRV_INDIRECT };
FIXTURE_VARIANT_ADD(nic, packed) { .features = F_MRG_RXBUF | F_PACKED, .layout = DRV_DIRECT };
FIXTURE_VARIANT_ADD(nic, packed_in_order) { .features = F_MRG_RXBUF | F_PACKED | F_IN_ORDER, .layout = DRV_INDIRECT };
FIXTURE_VARIANT_ADD(nic, big_buffers) { .layout = DRV_INDIRECT };

#define BUFFERS_BYTES	(256UL << 10)

FIXTURE_SETUP(nic)
{
	u64 seed = 1;
	size_t i;

	vnic_init(&self->v, variant->features, NUM, variant->layout, 1);
	self->gpa = gmem_alloc(&self->v.m.mem, BUFFERS_BYTES, 4096);
	for (i = 0; i < sizeof(self->packet); i++)
		self->packet[i] = prng(&seed);
	memset(self->packet, 0, HDR);
	vnic_start(&self->v);
}

FIXTURE_TEARDOWN(nic)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->v.m.mem));
	vnic_free(&self->v);
}

static bool mergeable(const struct vnic *v)
{
	return v->dev.acked & F_MRG_RXBUF;
}

/* ---- To the network ------------------------------------------------------------------------ */

/* A packet of @bytes in two pieces, the first of @split bytes. */
static void send_split(struct vnic *v, u64 gpa, const u8 *packet, u32 bytes, u32 split)
{
	struct drv_seg segs[] = { { gpa, split, false }, { gpa + split, bytes - split, false } };

	memcpy(gmem_ptr(&v->m.mem, gpa, bytes), packet, bytes);
	if (split && split < bytes)
		vnic_submit(v, VNIC_TX(0), segs, 2);
	else
		vnic_submit1(v, VNIC_TX(0), gpa, bytes, false);
}

TEST_F(nic, header_of_the_drivers_is_split_at_every_byte)
{
	const u32 bytes = HDR + 60;
	u32 split, len;

	for (split = 0; split <= HDR + 3; split++) {
		self->packet[HDR] = split;
		send_split(&self->v, self->gpa, self->packet, bytes, split);
		ASSERT_EQ(bytes, vnic_peer_receive(&self->v, 0, self->got, sizeof(self->got)));
		ASSERT_EQ(0, memcmp(self->packet, self->got, bytes));
		ASSERT_LE(0, vnic_wait(&self->v, VNIC_TX(0), &len));
		ASSERT_EQ(0, len);
	}
}

TEST_F(nic, packets_of_the_drivers_arrive_whole)
{
	static const u32 sizes[] = { HDR + 1, HDR + 14, HDR + 60, 1514, 4096, 9000, 65535, NET_MAX_PACKET };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		send_split(&self->v, self->gpa, self->packet, sizes[i], sizes[i] / 2);
		ASSERT_EQ(sizes[i], vnic_peer_receive(&self->v, 0, self->got, sizeof(self->got)));
		ASSERT_EQ(0, memcmp(self->packet, self->got, sizes[i]));
		ASSERT_LE(0, vnic_wait(&self->v, VNIC_TX(0), NULL));
	}
}

/* As on a wire: lost, and the next one goes through. */
TEST_F(nic, short_and_oversize_packets_of_the_drivers_are_lost)
{
	static const u32 sizes[] = { 1, HDR - 1, HDR, NET_MAX_PACKET + 8000, BUFFERS_BYTES };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		vnic_submit1(&self->v, VNIC_TX(0), self->gpa, sizes[i], false);
		ASSERT_LE(0, vnic_wait(&self->v, VNIC_TX(0), NULL));
	}
	send_split(&self->v, self->gpa, self->packet, 1000, 10);
	EXPECT_EQ(1000, vnic_peer_receive(&self->v, 0, self->got, sizeof(self->got)));
	EXPECT_EQ(0, memcmp(self->packet, self->got, 1000));
}

TEST_F(nic, packets_wait_for_room_in_the_tap_and_keep_their_order)
{
	const u32 bytes = 1000, total = 2000;
	u32 sent = 0, done = 0, received = 0;

	/* Nobody reads: at some point the socket is full, and the ring after it. */
	while (drv_in_flight(&self->v.drv[VNIC_TX(0)]) < NUM / 2) {
		self->packet[HDR] = sent;
		self->packet[HDR + 1] = sent >> 8;
		send_split(&self->v, self->gpa + sent % NUM * 1024, self->packet, bytes, 0);
		sent++;
		while (drv_get(&self->v.drv[VNIC_TX(0)], NULL) >= 0) {
			done++;
		}
		ASSERT_LT(sent, 1 << 20);
	}
	for (; received < total; received++) {
		ASSERT_EQ(bytes, vnic_peer_receive(&self->v, 0, self->got, sizeof(self->got)));
		ASSERT_EQ(received & 0xffff, self->got[HDR] | self->got[HDR + 1] << 8);
		while (drv_get(&self->v.drv[VNIC_TX(0)], NULL) >= 0) {
			done++;
		}
		if (sent < total && drv_in_flight(&self->v.drv[VNIC_TX(0)]) < NUM / 2) {
			self->packet[HDR] = sent;
			self->packet[HDR + 1] = sent >> 8;
			send_split(&self->v, self->gpa + sent % NUM * 1024, self->packet, bytes, 0);
			sent++;
		}
		if (received + 1 == sent)
			break;
	}
	while (done < sent) {
		ASSERT_LE(0, vnic_wait(&self->v, VNIC_TX(0), NULL));
		done++;
	}
}

/* ---- From the network --------------------------------------------------------------------------- */

/* Where buffer @i of @bytes is. */
static u64 buffer(const u64 gpa, u32 i, u32 bytes)
{
	return gpa + (u64)i * bytes;
}

/*
 * A packet of @bytes that comes into buffers of @each bytes, all of which the driver gave: is it there to the byte, in as
 * many as it takes, with their number in the header?
 */
static void expect_packet(struct __test_metadata *_metadata, FIXTURE_DATA(nic) *self, u32 bytes, u32 each)
{
	u32 nr = (bytes + each - 1) / each, at = 0, i, len;
	u16 num_buffers;

	for (i = 0; i < nr; i++) {
		u64 gpa = 0;
		int head = vnic_wait(&self->v, VNIC_RX(0), &len);
		u32 want = bytes - at < each ? bytes - at : each;

		ASSERT_LE(0, head);
		ASSERT_EQ(want, len);
		/* Buffers are used in the order in which they were given. */
		gpa = buffer(self->gpa, i, each);
		gmem_read(&self->v.m.mem, self->got + at, gpa, len);
		at += len;
	}
	memcpy(&num_buffers, self->got + NUM_BUFFERS_AT, sizeof(num_buffers));
	EXPECT_EQ(nr, num_buffers);
	memcpy(self->got + NUM_BUFFERS_AT, self->packet + NUM_BUFFERS_AT, sizeof(num_buffers));
	ASSERT_EQ(0, memcmp(self->packet, self->got, bytes));
}

static void give_buffers(FIXTURE_DATA(nic) *self, u32 from, u32 nr, u32 each)
{
	for (; nr; nr--, from++)
		vnic_submit1(&self->v, VNIC_RX(0), buffer(self->gpa, from, each), each, true);
}

/* The driver takes back what is left, by a reset of the queue, and starts from the beginning. */
static void renew_rx(struct vnic *v, u64 features, enum drv_layout layout)
{
	struct datapath_queue *r = &v->dev.ring[VNIC_RX(0)];
	struct drv *d = &v->drv[VNIC_RX(0)];

	v->dev.datapath->ops->stop_queue(v->dev.datapath, VNIC_RX(0));
	drv_free(d);
	drv_init(d, &v->m.mem, NUM, v->dev.acked | features, layout, VNIC_MAX_SEGS);
	r->desc = d->desc_gpa;
	r->avail = d->avail_gpa;
	r->used = d->used_gpa;
	r->state = drv_base_after(d, 0);
	CHECK(!v->dev.datapath->ops->start_queue(v->dev.datapath, VNIC_RX(0)), "start_queue");
}

TEST_F(nic, packets_come_in_as_many_buffers_as_they_take)
{
	static const u32 sizes[] = { HDR, HDR + 1, HDR + 60, 1526, 1527, 3052, 9000, 65535, NET_MAX_PACKET };
	static const u32 eaches[] = { 1526, 4096 };
	u32 i, k;

	for (k = 0; k < ARRAY_SIZE(eaches); k++) {
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			u32 each = mergeable(&self->v) ? eaches[k] : NET_MAX_PACKET;

			give_buffers(self, 0, mergeable(&self->v) ? NUM - 4 : 2, each);
			vnic_peer_send(&self->v, 0, self->packet, sizes[i]);
			expect_packet(_metadata, self, sizes[i], each);
			renew_rx(&self->v, variant->features, variant->layout);
		}
	}
}

/* 5.1.6.3.1: of whatever size; the header too goes over as many as it takes. */
TEST_F(nic, header_comes_in_buffers_of_a_few_bytes)
{
	u32 each;

	if (!mergeable(&self->v))
		SKIP(return, "without mergeable buffers there is one a packet");
	for (each = 1; each <= 2 * HDR; each++) {
		give_buffers(self, 0, NUM, each);
		vnic_peer_send(&self->v, 0, self->packet, HDR + 14);
		expect_packet(_metadata, self, HDR + 14, each);
		renew_rx(&self->v, variant->features, variant->layout);
	}
}

TEST_F(nic, packet_waits_for_the_buffers_that_it_lacks)
{
	const u32 each = 2048, bytes = 60000;

	if (!mergeable(&self->v))
		SKIP(return, "a packet takes one buffer");
	give_buffers(self, 0, 3, each);
	vnic_peer_send(&self->v, 0, self->packet, bytes);
	EXPECT_FALSE(ev_wait(self->v.dev.ring[VNIC_RX(0)].call_fd, QUIET_MS));
	give_buffers(self, 3, 10, each);
	EXPECT_FALSE(ev_wait(self->v.dev.ring[VNIC_RX(0)].call_fd, QUIET_MS));
	give_buffers(self, 13, 30, each);
	expect_packet(_metadata, self, bytes, each);
}

TEST_F(nic, packet_that_the_whole_ring_cannot_hold_is_lost)
{
	const u32 each = mergeable(&self->v) ? 100 : 2000, bytes = mergeable(&self->v) ? 100 * NUM + 1 : 2001;

	give_buffers(self, 0, mergeable(&self->v) ? NUM : 1, each);
	vnic_peer_send(&self->v, 0, self->packet, bytes);
	vnic_peer_send(&self->v, 0, self->packet, 90);
	expect_packet(_metadata, self, 90, each);
}

TEST_F(nic, bursts_come_in_order)
{
	const u32 each = 2048;
	u32 round, i, len;

	for (round = 0; round < 20; round++) {
		for (i = 0; i < NUM / 4; i++) {
			self->packet[HDR] = i;
			vnic_peer_send(&self->v, 0, self->packet, 100 + i);
		}
		give_buffers(self, 0, NUM / 4, each);
		for (i = 0; i < NUM / 4; i++) {
			ASSERT_LE(0, vnic_wait(&self->v, VNIC_RX(0), &len));
			ASSERT_EQ(100 + i, len);
			ASSERT_EQ(i, *(u8 *)gmem_ptr(&self->v.m.mem, buffer(self->gpa, i, each) + HDR, 1));
		}
	}
}

/* Until the thread has read all that was sent. */
static void wait_taken(const struct vnic *v)
{
	struct deadline d = deadline_in(DEADLINE_MS);
	int bytes;

	for (;;) {
		CHECK(!ioctl(v->peer[0], SIOCOUTQ, &bytes), "SIOCOUTQ");
		if (!bytes)
			return;
		CHECK(!deadline_passed(&d), "%d bytes lie there", bytes);
		sched_yield();
	}
}

/* Longer than what there was room for in the one read: what came of it is no packet. */
TEST_F(nic, packet_that_was_cut_is_lost)
{
	const u32 each = 2000, bytes = each + NET_MAX_PACKET + 1000;
	u8 *packet = calloc(1, bytes);

	ASSERT_NE(NULL, packet);
	give_buffers(self, 0, 1, each);
	vnic_peer_send(&self->v, 0, packet, bytes);
	wait_taken(&self->v);
	/* There is room for all of it by now. */
	vnic_submit1(&self->v, VNIC_RX(0), self->gpa + each, BUFFERS_BYTES - each, true);
	vnic_peer_send(&self->v, 0, self->packet, 90);
	expect_packet(_metadata, self, 90, each);
	free(packet);
}

/* 5.1.6.4.1: flags are of the checksum alone, which this driver has not asked about. */
TEST_F(nic, driver_without_checksums_sees_no_flags)
{
	const u32 each = mergeable(&self->v) ? 1 : 2000;

	give_buffers(self, 0, mergeable(&self->v) ? NUM : 1, each);
	self->packet[FLAGS_AT] = VIRTIO_NET_HDR_F_DATA_VALID;
	vnic_peer_send(&self->v, 0, self->packet, HDR + 20);
	self->packet[FLAGS_AT] = 0;
	expect_packet(_metadata, self, HDR + 20, each);
}

/* They were in the tap's queue before this driver came. */
TEST_F(nic, packets_of_kinds_that_the_driver_did_not_ask_for_are_lost)
{
	static const u8 headers[][2] = {
		{ VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_NONE },
		{ VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4 },
		{ VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV6 },
		{ VIRTIO_NET_HDR_F_NEEDS_CSUM, NET_HDR_GSO_UDP_L4 },
		{ 0, VIRTIO_NET_HDR_GSO_TCPV4 },
		{ 0, VIRTIO_NET_HDR_GSO_ECN },
		{ 0, VIRTIO_NET_HDR_GSO_UDP },
		{ 0, 0x7f },
	};
	u32 i;

	give_buffers(self, 0, 1, 4096);
	for (i = 0; i < ARRAY_SIZE(headers); i++) {
		memcpy(self->packet + FLAGS_AT, headers[i], 2);
		vnic_peer_send(&self->v, 0, self->packet, 3000);
	}
	memset(self->packet, 0, HDR);
	vnic_peer_send(&self->v, 0, self->packet, 90);
	expect_packet(_metadata, self, 90, 4096);
}

TEST(packets_of_kinds_that_the_driver_asked_for_come_as_they_are)
{
	static const struct {
		u8 flags, gso;
		u64 features;
	} kinds[] = {
		{ VIRTIO_NET_HDR_F_DATA_VALID, 0, F_GUEST(CSUM) },
		{ VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, F_GUEST(CSUM) },
		{ VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, F_GUEST(CSUM) | F_GUEST(TSO4) },
		{ VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV6, F_GUEST(CSUM) | F_GUEST(TSO6) },
		{ VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN,
		  F_GUEST(CSUM) | F_GUEST(TSO4) | F_GUEST(ECN) },
		{ VIRTIO_NET_HDR_F_NEEDS_CSUM, NET_HDR_GSO_UDP_L4, F_GUEST(CSUM) | 1UL << NET_F_GUEST_USO4 | 1UL << NET_F_GUEST_USO6 },
	};
	u32 i, len;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		u8 packet[200] = { kinds[i].flags, kinds[i].gso }, *got;
		struct vnic v;
		u64 gpa;

		vnic_init(&v, F_MRG_RXBUF | kinds[i].features, NUM, DRV_DIRECT, 1);
		gpa = gmem_alloc(&v.m.mem, 4096, 4096);
		vnic_start(&v);
		vnic_submit1(&v, VNIC_RX(0), gpa, 2048, true);
		vnic_peer_send(&v, 0, packet, sizeof(packet));
		ASSERT_LE(0, vnic_wait(&v, VNIC_RX(0), &len));
		EXPECT_EQ(sizeof(packet), len);
		got = gmem_ptr(&v.m.mem, gpa, 2);
		EXPECT_EQ(kinds[i].flags, got[0]);
		EXPECT_EQ(kinds[i].gso, got[1]);
		vnic_free(&v);
	}
}

#define GAP	64	/* between buffers; nobody writes there */

static bool is_untouched(struct vnic *v, u64 gpa)
{
	const u8 *p = gmem_ptr(&v->m.mem, gpa, GAP);
	u32 i;

	for (i = 0; i < GAP; i++)
		if (p[i] != 0xa5)
			return false;
	return true;
}

/* Of @nr buffers of @sizes, how many a packet takes; 0: it is lost. */
static u32 takes(const struct vnic *v, const u32 *sizes, u32 nr, u32 bytes)
{
	u32 room = 0, i;

	if (bytes < HDR)
		return 0;
	for (i = 0; i < nr && room < bytes && (!i || mergeable(v)); i++)
		room += sizes[i];
	return room < bytes ? 0 : i;
}

/* Short ones, long ones, and some that are too long, each followed by one that shows that it was dealt with. */
TEST_F(nic, packets_of_all_lengths_stay_in_their_buffers)
{
	u32 nr = mergeable(&self->v) ? NUM : 2, sizes[NUM], round, i, len;
	u64 seed = 7, gpa[NUM];

	for (round = 0; round < 200; round++) {
		u32 bytes = 1 + prng(&seed) % (round % 3 ? 3000 : sizeof(self->packet)), taken;
		u64 at = self->gpa;

		gmem_fill(&self->v.m.mem, self->gpa, 0xa5, BUFFERS_BYTES);
		for (i = 0; i < nr; at += sizes[i++] + GAP) {
			sizes[i] = HDR + prng(&seed) % (mergeable(&self->v) ? 1000 : 70000);
			gpa[i] = at;
			vnic_submit1(&self->v, VNIC_RX(0), at, sizes[i], true);
		}
		taken = takes(&self->v, sizes, nr - 1, bytes);
		if (!taken)
			bytes = bytes < HDR ? bytes : sizeof(self->packet);
		vnic_peer_send(&self->v, 0, self->packet, bytes);
		vnic_peer_send(&self->v, 0, self->packet, HDR);
		for (i = 0; i < nr; i++) {
			u32 want = i == taken ? HDR : bytes < sizes[i] ? bytes : sizes[i];

			if (i <= taken) {
				ASSERT_LE(0, vnic_wait(&self->v, VNIC_RX(0), &len));
				ASSERT_EQ(want, len);
				bytes -= want;
			}
			ASSERT_TRUE(is_untouched(&self->v, gpa[i] + sizes[i]));
		}
		renew_rx(&self->v, variant->features, variant->layout);
	}
}

/* ---- Turns --------------------------------------------------------------------------------- */

/*
 * The avail ring of this driver is its used ring: each packet that is done makes another one available, and the ring is
 * never empty, with more than a batch in it. They are too short to be sent.
 */
TEST(ring_that_never_runs_empty_leaves_the_other_its_turn)
{
	struct datapath_stats stats;
	struct datapath_queue *r;
	u8 packet[200] = { 0 };
	struct vnic v;
	struct drv *d;
	u32 round, len;
	u64 gpa;

	vnic_init(&v, F_MRG_RXBUF, 4 * NET_BATCH, DRV_DIRECT, 1);
	gpa = gmem_alloc(&v.m.mem, 4096, 4096);
	r = &v.dev.ring[VNIC_TX(0)];
	d = &v.drv[VNIC_TX(0)];
	drv_set_desc(&d->desc[0], gpa + 2048, HDR, 0, 0);
	d->used->idx = htole16(4 * NET_BATCH);
	r->avail = r->used;
	vnic_start(&v);
	for (round = 0; round < 100; round++) {
		vnic_submit1(&v, VNIC_RX(0), gpa, 2048, true);
		vnic_peer_send(&v, 0, packet, sizeof(packet));
		ASSERT_LE(0, vnic_wait(&v, VNIC_RX(0), &len));
		ASSERT_EQ(sizeof(packet), len);
	}
	v.dev.datapath->ops->stats(v.dev.datapath, VNIC_TX(0), &stats);
	EXPECT_LT(100 * NET_BUDGET / 4, stats.requests);
	EXPECT_FALSE(ev_take(r->err_fd));
	vnic_stop(&v);
	vnic_free(&v);
}

/* ---- Drivers that break rules ---------------------------------------------------------------------- */

TEST_F(nic, readable_receive_buffer_breaks_its_queue_alone)
{
	vnic_submit1(&self->v, VNIC_RX(0), self->gpa, 2000, false);
	EXPECT_TRUE(vnic_broke(&self->v, VNIC_RX(0)));
	send_split(&self->v, self->gpa, self->packet, 100, 0);
	EXPECT_EQ(100, vnic_peer_receive(&self->v, 0, self->got, sizeof(self->got)));
	/* What comes now waits for whoever comes next. */
	vnic_peer_send(&self->v, 0, self->packet, 100);
	EXPECT_FALSE(ev_wait(self->v.dev.ring[VNIC_RX(0)].call_fd, QUIET_MS));
}

TEST_F(nic, writable_buffer_to_send_breaks_its_queue_alone)
{
	vnic_submit1(&self->v, VNIC_TX(0), self->gpa, 2000, true);
	EXPECT_TRUE(vnic_broke(&self->v, VNIC_TX(0)));
	give_buffers(self, 0, 1, 2000);
	vnic_peer_send(&self->v, 0, self->packet, 100);
	expect_packet(_metadata, self, 100, 2000);
}

TEST_F(nic, buffer_outside_of_memory_breaks_its_queue)
{
	vnic_submit1(&self->v, VNIC_TX(0), GMEM_HOLE + 4096, 100, false);
	EXPECT_TRUE(vnic_broke(&self->v, VNIC_TX(0)));
	vnic_submit1(&self->v, VNIC_RX(0), GMEM_HOLE - 10, 2000, true);
	EXPECT_TRUE(vnic_broke(&self->v, VNIC_RX(0)));
}

/* The thread sleeps. */
static void expect_idle(struct __test_metadata *_metadata, FIXTURE_DATA(nic) *self)
{
	pid_t thread = proc_thread("net0");
	long before = proc_switches(thread);
	u64 spent = proc_cpu_ns(thread);

	ev_take(self->v.dev.ring[VNIC_RX(0)].call_fd);
	EXPECT_FALSE(ev_wait(self->v.dev.ring[VNIC_RX(0)].call_fd, 5 * QUIET_MS));
	EXPECT_LE(proc_switches(thread), before + 1);
	EXPECT_LE(proc_cpu_ns(thread), spent + 20000000);
}

/* No turn of the thread but for what comes, and none at all once the tap's own queue is full. */
TEST_F(nic, driver_that_gives_no_buffers_costs_nothing)
{
	int n = 0;

	while (send(self->v.peer[0], self->packet, 1000, 0) == 1000) {
		n++;
	}
	ASSERT_EQ(EAGAIN, errno);
	ASSERT_LT(0, n);
	/* It has seen them all, when this has gone through it. */
	send_split(&self->v, self->gpa, self->packet, 100, 0);
	ASSERT_LE(0, vnic_wait(&self->v, VNIC_TX(0), NULL));
	expect_idle(_metadata, self);
	/* And they are there when it does. */
	give_buffers(self, 0, 1, 2000);
	expect_packet(_metadata, self, 1000, 2000);
}

/* ---- Stops -------------------------------------------------------------------------------------------- */

/* A stop gives back what was at hand: the next start finds the same buffers, in the same order. */
TEST_F(nic, buffers_at_hand_are_the_rings_again_after_a_stop)
{
	const u32 each = mergeable(&self->v) ? 2048 : 4096;
	u32 round, i = 0, len;

	give_buffers(self, 0, NUM / 2, each);
	for (round = 0; round < NUM / 2; round++) {
		self->packet[HDR] = round;
		vnic_peer_send(&self->v, 0, self->packet, 500);
		ASSERT_LE(0, vnic_wait(&self->v, VNIC_RX(0), &len));
		ASSERT_EQ(500, len);
		ASSERT_EQ(round, *(u8 *)gmem_ptr(&self->v.m.mem, buffer(self->gpa, i++, each) + HDR, 1));
		vnic_stop(&self->v);
		ASSERT_EQ(drv_base_after(&self->v.drv[VNIC_RX(0)], round + 1) & 0x7fff,
			  self->v.dev.ring[VNIC_RX(0)].state & 0x7fff);
		vnic_start(&self->v);
	}
}

TEST_F(nic, stop_of_one_queue_leaves_the_other_to_serve)
{
	struct datapath *dp = self->v.dev.datapath;
	u32 round;

	for (round = 0; round < 50; round++) {
		renew_rx(&self->v, variant->features, variant->layout);
		send_split(&self->v, self->gpa + 65536, self->packet, 100, 20);
		ASSERT_EQ(100, vnic_peer_receive(&self->v, 0, self->got, sizeof(self->got)));
		ASSERT_LE(0, vnic_wait(&self->v, VNIC_TX(0), NULL));
		give_buffers(self, 0, 2, 2000);
		vnic_peer_send(&self->v, 0, self->packet, 1000);
		expect_packet(_metadata, self, 1000, 2000);
	}
	give_buffers(self, 2, 1, 2000);
	dp->ops->stop_queue(dp, VNIC_RX(0));
	ev_take(self->v.dev.ring[VNIC_RX(0)].call_fd);	/* what the driver did not wait for */
	vnic_peer_send(&self->v, 0, self->packet, 1000);
	EXPECT_FALSE(ev_wait(self->v.dev.ring[VNIC_RX(0)].call_fd, QUIET_MS));
	EXPECT_FALSE(drv_has_used(&self->v.drv[VNIC_RX(0)]));
	expect_idle(_metadata, self);
	self->v.dev.ring[VNIC_RX(0)].enabled = false;
}

/* ---- Pairs ------------------------------------------------------------------------------------------------ */

TEST(each_pair_has_its_own_file_and_thread)
{
	struct vnic v;
	u8 packet[200] = { 0 }, got[200];
	u32 round, pair, len;
	u64 gpa;

	vnic_init(&v, F_MRG_RXBUF, NUM, DRV_DIRECT, 2);
	gpa = gmem_alloc(&v.m.mem, 65536, 4096);
	vnic_start(&v);
	for (round = 0; round < 100; round++) {
		for (pair = 0; pair < 2; pair++) {
			packet[HDR] = pair + round;
			vnic_submit1(&v, VNIC_RX(pair), gpa + 4096 * pair, 2048, true);
			vnic_peer_send(&v, pair, packet, sizeof(packet));
			ASSERT_LE(0, vnic_wait(&v, VNIC_RX(pair), &len));
			ASSERT_EQ(sizeof(packet), len);
			vnic_submit1(&v, VNIC_TX(pair), gpa + 4096 * pair, len, false);
			ASSERT_EQ(sizeof(got), vnic_peer_receive(&v, pair, got, sizeof(got)));
			ASSERT_LE(0, vnic_wait(&v, VNIC_TX(pair), NULL));
			ASSERT_EQ(packet[HDR], got[HDR]);
		}
	}
	vnic_free(&v);
}

TEST_HARNESS_MAIN
