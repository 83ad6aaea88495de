// SPDX-License-Identifier: GPL-2.0
/*
 * Packets of the VMM's own network datapath over a stream, as passt has it: natively, over a socket pair.
 *
 * in:  frames of all lengths; bytes in pieces of all sizes; another end that is slow, leaves, or talks nonsense
 * out: each frame once, in its order, with its length in front of it
 */
#include "lib/vnic.h"

#include "kselftest_harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define F_MRG_RXBUF	(1UL << VIRTIO_NET_F_MRG_RXBUF)
#define NUM		64
#define HDR		NET_HDR_BYTES
#define LENGTH		4
#define EACH		2048
#define BUFFERS_BYTES	(256UL << 10)

FIXTURE(stream)
{
	struct vnic v;
	u8 frame[NET_STREAM_MAX_FRAME];
	u8 got[LENGTH + NET_STREAM_MAX_FRAME];
	u64 gpa;
};

FIXTURE_VARIANT(stream)
{
	u64 features;
};

FIXTURE_VARIANT_ADD(stream, split) { .features = F_MRG_RXBUF };
FIXTURE_VARIANT_ADD(stream, packed) { .features = F_MRG_RXBUF | F_PACKED };
FIXTURE_VARIANT_ADD(stream, big_buffers) { };

FIXTURE_SETUP(stream)
{
	u64 seed = 1;
	size_t i;

	signal(SIGPIPE, SIG_IGN);	/* as loop.c has it */
	vnic_init(&self->v, variant->features, NUM, DRV_INDIRECT, 1);
	vnic_use_stream(&self->v, 65536);
	self->gpa = gmem_alloc(&self->v.m.mem, BUFFERS_BYTES, 4096);
	for (i = 0; i < sizeof(self->frame); i++)
		self->frame[i] = prng(&seed);
	vnic_start(&self->v);
}

FIXTURE_TEARDOWN(stream)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->v.m.mem));
	vnic_free(&self->v);
}

/* ---- The test's ends --------------------------------------------------------------------- */

/* The driver sends frame number @n, of @bytes, from a place of its own. */
static void submit(FIXTURE_DATA(stream) *self, u32 n, u32 bytes)
{
	u64 gpa = self->gpa + n % 3 * 81920;

	memset(gmem_ptr(&self->v.m.mem, gpa, HDR), 0xee, HDR);	/* which nobody is to see */
	memcpy(gmem_ptr(&self->v.m.mem, gpa + HDR, bytes), self->frame, bytes);
	*(u8 *)gmem_ptr(&self->v.m.mem, gpa + HDR, 1) = n;
	vnic_submit1(&self->v, VNIC_TX(0), gpa, HDR + bytes, false);
}

/* Return: whether one of the three places is free, within so long. */
static bool may_submit(FIXTURE_DATA(stream) *self, int ms)
{
	struct drv *d = &self->v.drv[VNIC_TX(0)];

	return drv_in_flight(d) < 3 ||
	       (drv_wait(d, self->v.dev.ring[VNIC_TX(0)].call_fd, ms) && drv_get(d, NULL) >= 0);
}

/* Return: whether so many bytes came from the device. */
static bool peer_read(struct vnic *v, u8 *buf, size_t bytes)
{
	struct pollfd p = { .fd = v->peer[0], .events = POLLIN };

	while (bytes) {
		ssize_t n;

		if (poll(&p, 1, DEADLINE_MS) != 1)
			return false;
		n = read(v->peer[0], buf, bytes);
		if (n <= 0)
			return false;
		buf += n;
		bytes -= n;
	}
	return true;
}

/* Frame number @n comes out, whole. */
static void expect_frame(struct __test_metadata *_metadata, FIXTURE_DATA(stream) *self, u32 n, u32 bytes)
{
	u32 length;

	ASSERT_TRUE(peer_read(&self->v, self->got, LENGTH));
	memcpy(&length, self->got, sizeof(length));
	ASSERT_EQ(bytes, ntohl(length));
	ASSERT_TRUE(peer_read(&self->v, self->got, bytes));
	ASSERT_EQ(n & 0xff, self->got[0]);
	ASSERT_EQ(0, memcmp(self->frame + 1, self->got + 1, bytes - 1));
}

/* Bytes to the device, however full the socket is. */
static void peer_write(struct vnic *v, const void *buf, size_t bytes)
{
	CHECK(write(v->peer[0], buf, bytes) == (ssize_t)bytes, "write: %s", strerror(errno));
}

/* A frame in as many writes as there are pieces of @piece bytes. */
static void peer_send(FIXTURE_DATA(stream) *self, u32 bytes, u32 piece)
{
	u32 length = htonl(bytes), all = LENGTH + bytes, at = 0;

	memcpy(self->got, &length, sizeof(length));
	memcpy(self->got + LENGTH, self->frame, bytes);
	for (; at < all; at += piece)
		peer_write(&self->v, self->got + at, all - at < piece ? all - at : piece);
}

/* Buffers for one frame of any size. */
static u32 give_buffers(FIXTURE_DATA(stream) *self, bool mergeable)
{
	u32 nr = mergeable ? NUM / 2 : 1, each = mergeable ? EACH : HDR + NET_STREAM_MAX_FRAME, i;

	for (i = 0; i < nr; i++)
		vnic_submit1(&self->v, VNIC_RX(0), self->gpa + (u64)i * each, each, true);
	return nr;
}

/* What came is the frame, behind zeros and the number of buffers. Return: how many it took. */
static u32 expect_packet(struct __test_metadata *_metadata, FIXTURE_DATA(stream) *self, u32 bytes, bool mergeable)
{
	static const u8 zeros[HDR - 2];
	u32 each = mergeable ? EACH : HDR + NET_STREAM_MAX_FRAME, all = HDR + bytes, nr = 0, at = 0, len;
	u8 packet[HDR + NET_STREAM_MAX_FRAME];
	u16 num_buffers;

	for (; at < all; at += len, nr++) {
		ASSERT_LE(0, vnic_wait(&self->v, VNIC_RX(0), &len)) {
			return 0;
		}
		ASSERT_EQ(all - at < each ? all - at : each, len) {
			return 0;
		}
		gmem_read(&self->v.m.mem, packet + at, self->gpa + (u64)nr * each, len);
	}
	memcpy(&num_buffers, packet + HDR - 2, sizeof(num_buffers));
	EXPECT_EQ(nr, num_buffers);
	EXPECT_EQ(0, memcmp(packet, zeros, sizeof(zeros)));
	EXPECT_EQ(0, memcmp(packet + HDR, self->frame, bytes));
	return nr;
}

static void restart(struct vnic *v)
{
	vnic_stop(v);
	vnic_start(v);
}

/* ---- Of the driver's ------------------------------------------------------------------------- */

TEST_F(stream, frames_go_with_their_length_and_without_the_header)
{
	static const u32 sizes[] = { 1, 14, 60, 1514, 4096, 65535, NET_STREAM_MAX_FRAME };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		submit(self, i, sizes[i]);
		expect_frame(_metadata, self, i, sizes[i]);
		ASSERT_LE(0, vnic_wait(&self->v, VNIC_TX(0), NULL));
	}
}

TEST_F(stream, what_is_no_frame_of_the_drivers_is_lost)
{
	vnic_submit1(&self->v, VNIC_TX(0), self->gpa, HDR, false);
	ASSERT_LE(0, vnic_wait(&self->v, VNIC_TX(0), NULL));
	vnic_submit1(&self->v, VNIC_TX(0), self->gpa, HDR + NET_STREAM_MAX_FRAME + 1, false);
	ASSERT_LE(0, vnic_wait(&self->v, VNIC_TX(0), NULL));
	submit(self, 7, 100);
	expect_frame(_metadata, self, 7, 100);
}

/* More than socket and buffer hold: the rest waits in the ring, and the thread for room. Stops come in the midst of frames. */
TEST_F(stream, frames_wait_for_a_slow_reader_and_none_is_cut)
{
	const u32 bytes = 60001, total = 60;
	u32 sent = 0, received;
	pid_t thread;
	u64 spent;

	while (may_submit(self, QUIET_MS)) {
		ASSERT_LT(sent, total);
		submit(self, sent++, bytes);
	}
	thread = proc_thread("net0");
	spent = proc_cpu_ns(thread);
	EXPECT_FALSE(may_submit(self, 5 * QUIET_MS));
	EXPECT_LE(proc_cpu_ns(thread), spent + 20000000);
	for (received = 0; received < total; received++) {
		restart(&self->v);
		expect_frame(_metadata, self, received, bytes);
		while (sent < total && may_submit(self, received + 1 == sent ? DEADLINE_MS : 0)) {
			submit(self, sent++, bytes);
		}
	}
	while (drv_in_flight(&self->v.drv[VNIC_TX(0)]))
		ASSERT_LE(0, vnic_wait(&self->v, VNIC_TX(0), NULL));
}

/* ---- From the other end ---------------------------------------------------------------------------- */

TEST_F(stream, frames_come_from_pieces_of_any_size)
{
	static const u32 pieces[] = { 1, 3, 4, 5, 1000, 1 << 20 };
	bool mergeable = variant->features & F_MRG_RXBUF;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		u32 bytes = 60 + 997 * i;

		self->frame[0] = i;
		if (!i)
			give_buffers(self, mergeable);
		peer_send(self, bytes, pieces[i]);
		self->gpa += (u64)expect_packet(_metadata, self, bytes, mergeable) * (mergeable ? EACH : 0);
		if (!mergeable)
			give_buffers(self, mergeable);
	}
}

TEST_F(stream, largest_frame_comes_whole)
{
	bool mergeable = variant->features & F_MRG_RXBUF;

	/* The header of the next one lies in the same read. */
	give_buffers(self, mergeable);
	if (mergeable)
		vnic_submit1(&self->v, VNIC_RX(0), self->gpa + NUM / 2 * EACH, EACH, true);
	peer_send(self, NET_STREAM_MAX_FRAME, 1 << 20);
	expect_packet(_metadata, self, NET_STREAM_MAX_FRAME, mergeable);
}

/* What one read brings ends anywhere. */
TEST_F(stream, frames_come_from_reads_that_end_within_one)
{
	const u32 bytes = 700, all = LENGTH + bytes;
	bool mergeable = variant->features & F_MRG_RXBUF;
	u32 length = htonl(bytes), i, len;
	u8 three[3 * (LENGTH + 700)];

	for (i = 0; i < 3; i++) {
		memcpy(three + i * all, &length, sizeof(length));
		memcpy(three + i * all + LENGTH, self->frame, bytes);
		three[i * all + LENGTH] = i;
	}
	for (i = 0; i < 3; i++)
		vnic_submit1(&self->v, VNIC_RX(0), self->gpa + i * 81920, mergeable ? EACH : HDR + NET_STREAM_MAX_FRAME, true);
	peer_write(&self->v, three, all + 2);
	for (i = 0; i < 3; i++) {
		ASSERT_LE(0, vnic_wait(&self->v, VNIC_RX(0), &len));
		ASSERT_EQ(HDR + bytes, len);
		EXPECT_EQ(i, *(u8 *)gmem_ptr(&self->v.m.mem, self->gpa + i * 81920 + HDR, 1));
		EXPECT_EQ(0, memcmp(gmem_ptr(&self->v.m.mem, self->gpa + i * 81920 + HDR + 1, bytes - 1), self->frame + 1, bytes - 1));
		if (i == 0)
			peer_write(&self->v, three + all + 2, all + 100);
		if (i == 1)
			peer_write(&self->v, three + 2 * all + 102, all - 102);
	}
}

TEST_F(stream, half_a_frame_outlives_a_stop)
{
	bool mergeable = variant->features & F_MRG_RXBUF;
	u32 length = htonl(500);

	give_buffers(self, mergeable);
	peer_write(&self->v, &length, 3);
	restart(&self->v);
	peer_write(&self->v, (u8 *)&length + 3, 1);
	peer_write(&self->v, self->frame, 100);
	restart(&self->v);
	peer_write(&self->v, self->frame + 100, 400);
	expect_packet(_metadata, self, 500, mergeable);
}

/* ---- Another end that does not do its part ------------------------------------------------------------ */

static void expect_idle(struct __test_metadata *_metadata, FIXTURE_DATA(stream) *self)
{
	pid_t thread = proc_thread("net0");
	u64 spent = proc_cpu_ns(thread);

	EXPECT_FALSE(ev_wait(self->v.dev.ring[VNIC_RX(0)].call_fd, 5 * QUIET_MS));
	EXPECT_LE(proc_cpu_ns(thread), spent + 20000000);
}

TEST_F(stream, other_end_that_leaves_is_a_cut_cable)
{
	u32 i;

	give_buffers(self, variant->features & F_MRG_RXBUF);
	close(self->v.peer[0]);
	self->v.peer[0] = ev_new();	/* for the teardown */
	for (i = 0; i < 10; i++) {
		submit(self, i, 1000);
		ASSERT_LE(0, vnic_wait(&self->v, VNIC_TX(0), NULL));
	}
	expect_idle(_metadata, self);
	restart(&self->v);
	submit(self, i, 1000);
	ASSERT_LE(0, vnic_wait(&self->v, VNIC_TX(0), NULL));
	expect_idle(_metadata, self);
}

TEST_F(stream, length_that_no_frame_has_ends_it)
{
	u32 length = htonl(NET_STREAM_MAX_FRAME + 1);

	give_buffers(self, variant->features & F_MRG_RXBUF);
	peer_write(&self->v, &length, sizeof(length));
	peer_send(self, 100, 1000);
	EXPECT_FALSE(ev_wait(self->v.dev.ring[VNIC_RX(0)].call_fd, 5 * QUIET_MS));
	expect_idle(_metadata, self);
	submit(self, 0, 1000);
	ASSERT_LE(0, vnic_wait(&self->v, VNIC_TX(0), NULL));
}

TEST_F(stream, empty_frames_are_skipped)
{
	bool mergeable = variant->features & F_MRG_RXBUF;
	u32 none = 0;

	give_buffers(self, mergeable);
	peer_write(&self->v, &none, sizeof(none));
	peer_write(&self->v, &none, sizeof(none));
	peer_send(self, 100, 1000);
	expect_packet(_metadata, self, 100, mergeable);
}

TEST_HARNESS_MAIN
