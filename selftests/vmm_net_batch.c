// SPDX-License-Identifier: GPL-2.0
/*
 * Many packets in one system call, by the VMM's own network datapath: natively.
 *
 * in:  bursts; a tap that refuses packets, or has room again in the middle of a burst; a host without io_uring
 * out: every packet once, in its order
 */
#include "lib/vnic.h"

#include "kselftest_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define F_MRG_RXBUF	(1UL << VIRTIO_NET_F_MRG_RXBUF)
#define NUM		128
#define HDR		NET_HDR_BYTES
#define BYTES		(HDR + 100)

/* ---- The ring alone --------------------------------------------------------------------- */

/**
 * struct burst - packets of two pieces each
 * @file: they go there; @peer: and come out here
 */
struct burst {
	struct net_uring u;
	int file, peer;
	u8 data[NET_BATCH][BYTES];
	struct iovec iov[2 * NET_BATCH];
	struct net_buffer packet[NET_BATCH];
};

/* The other end's queue holds about @bytes. */
static void burst_open(struct burst *b, int bytes)
{
	int fd[2];

	memset(b, 0, sizeof(*b));
	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), "socketpair");
	CHECK(!setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), "SO_SNDBUF");
	b->file = fd[0];
	b->peer = fd[1];
	net_uring_open(&b->u, b->file);
}

static void burst_close(struct burst *b)
{
	net_uring_close(&b->u);
	close(b->file);
	close(b->peer);
}

/* Packet @i says that it is the @number-th. */
static void burst_set(struct burst *b, u32 i, u32 number)
{
	memcpy(b->data[i] + HDR, &number, sizeof(number));
	b->iov[2 * i] = (struct iovec) { b->data[i], HDR };
	b->iov[2 * i + 1] = (struct iovec) { b->data[i] + HDR, BYTES - HDR };
	b->packet[i] = (struct net_buffer) { .bytes = BYTES, .nr_iov = 2 };
}

/* The number of the next packet, or -1 after a while. */
static int64_t next_number(int peer)
{
	struct pollfd p = { .fd = peer, .events = POLLIN };
	u8 got[BYTES];
	u32 number;

	if (poll(&p, 1, DEADLINE_MS) != 1 || recv(peer, got, sizeof(got), 0) != BYTES)
		return -1;
	memcpy(&number, got + HDR, sizeof(number));
	return number;
}

static bool can_batch(void)
{
	struct burst b;
	bool on;

	burst_open(&b, 1 << 20);
	on = b.u.on;
	burst_close(&b);
	return on;
}

#define NEEDS_BATCHES	if (!can_batch()) SKIP(return, "no io_uring here, or none that promises not to wait")

struct reader {
	int peer;
	u32 nr, out_of_order;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;
	u32 i;

	for (i = 0; i < r->nr; i++) {
		int64_t number = next_number(r->peer);

		r->out_of_order += number != i;
		if (number < 0)
			break;
	}
	return NULL;
}

/* Somebody takes packets out all the while, so that there is room for some in the middle of a batch, after there was none. */
TEST(room_that_comes_in_the_middle_has_no_packet_pass_another)
{
	struct reader r = { .nr = 200000 };
	u32 sent = 0, refused = 0, i;
	struct burst b;
	pthread_t t;

	NEEDS_BATCHES;
	burst_open(&b, 4096);
	EXPECT_TRUE(b.u.linked);
	r.peer = b.peer;
	ASSERT_EQ(0, pthread_create(&t, NULL, read_all, &r));
	while (sent < r.nr) {
		struct pollfd p = { .fd = b.file, .events = POLLOUT };
		u32 nr = r.nr - sent < NET_BATCH ? r.nr - sent : NET_BATCH, done;

		for (i = 0; i < nr; i++)
			burst_set(&b, i, sent + i);
		done = net_uring_write(&b.u, b.iov, b.packet, nr);
		ASSERT_TRUE(b.u.on);
		ASSERT_LE(done, nr);
		refused += done < nr;
		sent += done;
		if (done < nr)
			ASSERT_EQ(1, poll(&p, 1, DEADLINE_MS));
	}
	pthread_join(t, NULL);
	EXPECT_EQ(0, r.out_of_order);
	EXPECT_LT(0, refused);
	burst_close(&b);
}

/* Over a file that need not be one of a tap's. */
static void ring_over(struct net_uring *u, int fd)
{
	memset(u, 0, sizeof(*u));
	CHECK(!io_uring_queue_init(NET_BATCH, &u->ring, IORING_SETUP_R_DISABLED), "io_uring");
	CHECK(!io_uring_register_files(&u->ring, &fd, 1), "REGISTER_FILES");
	CHECK(!net_uring_restrict(&u->ring), "restrict");
	CHECK(!syscall(__NR_io_uring_register, u->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0), "ENABLE_RINGS");
	u->open = u->on = true;
	u->linked = true;
}

/* A pipe of one page, in which there is room for the second, and not for the first. */
TEST(packet_that_there_is_room_for_does_not_pass_one_that_there_is_none_for)
{
	static u8 page[4096];
	struct iovec iov[] = { { page, 200 }, { page + 1000, 50 } };
	struct net_buffer packet[] = { { .nr_iov = 1 }, { .nr_iov = 1 } };
	struct net_uring u;
	int fd[2], bytes;
	u8 got[250];

	NEEDS_BATCHES;
	memset(page, 'a', 1000);
	ASSERT_EQ(0, pipe2(fd, O_NONBLOCK | O_CLOEXEC));
	ASSERT_EQ(sizeof(page), fcntl(fd[1], F_SETPIPE_SZ, sizeof(page)));
	ASSERT_EQ(4000, write(fd[1], page, 4000));
	ring_over(&u, fd[1]);
	EXPECT_EQ(0, net_uring_write(&u, iov, packet, 2));
	ASSERT_EQ(0, ioctl(fd[0], FIONREAD, &bytes));
	EXPECT_EQ(4000, bytes);
	ASSERT_EQ(4000, read(fd[0], page, 4000));
	memset(page, 'a', 1000);
	memset(page + 1000, 'b', 50);
	EXPECT_EQ(2, net_uring_write(&u, iov, packet, 2));
	ASSERT_EQ(250, read(fd[0], got, sizeof(got)));
	EXPECT_EQ(0, memcmp(got, page, 200));
	EXPECT_EQ(0, memcmp(got + 200, page + 1000, 50));
	net_uring_close(&u);
	close(fd[0]);
	close(fd[1]);
}

/* What was linked to it is not lost with it. */
TEST(packet_that_is_refused_is_lost_alone)
{
	static u8 much[1 << 20];
	struct burst b;
	u32 i;

	NEEDS_BATCHES;
	burst_open(&b, 65536);
	for (i = 0; i < NET_BATCH; i++) {
		burst_set(&b, i, i);
		/* The first, the last, two in a row, some for themselves. */
		if (!i || i == NET_BATCH - 1 || i == 20 || i == 21 || i == 40)
			b.iov[2 * i + 1] = (struct iovec) { much, sizeof(much) };
	}
	EXPECT_EQ(NET_BATCH, net_uring_write(&b.u, b.iov, b.packet, NET_BATCH));
	for (i = 1; i < NET_BATCH - 1; i++)
		if (i != 20 && i != 21 && i != 40)
			ASSERT_EQ(i, next_number(b.peer));
	EXPECT_TRUE(b.u.on);
	burst_close(&b);
}

TEST(packets_of_no_pieces_are_passed_over)
{
	struct burst b;
	u32 i;

	NEEDS_BATCHES;
	burst_open(&b, 65536);
	for (i = 0; i < 4; i++)
		b.packet[i].nr_iov = 0;
	EXPECT_EQ(4, net_uring_write(&b.u, b.iov, b.packet, 4));
	burst_set(&b, 0, 7);
	b.packet[3] = b.packet[0];
	b.packet[0].nr_iov = 0;
	EXPECT_EQ(4, net_uring_write(&b.u, b.iov, b.packet, 4));
	EXPECT_EQ(7, next_number(b.peer));
	burst_close(&b);
}

/* An inotify's reads know of no RWF_NOWAIT, as a tap's before Linux 6.4. */
TEST(file_that_cannot_promise_not_to_wait_gets_none)
{
	struct net_uring u;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	ASSERT_LE(0, fd);
	net_uring_open(&u, fd);
	EXPECT_FALSE(u.on);
	net_uring_close(&u);
	close(fd);
}

static int submit(struct io_uring *ring, struct io_uring_sqe *sqe)
{
	struct io_uring_cqe *cqe;
	int res;

	CHECK(sqe && io_uring_submit_and_wait(ring, 1) == 1 && !io_uring_peek_cqe(ring, &cqe), "submit");
	res = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return res;
}

/* The thread that has it is next to the guest. */
TEST(ring_is_good_for_packets_of_its_tap_alone)
{
	struct io_uring_sqe *sqe;
	struct burst b;
	int other;

	NEEDS_BATCHES;
	burst_open(&b, 65536);
	other = open("/dev/null", O_RDWR | O_CLOEXEC);
	burst_set(&b, 0, 0);
	sqe = io_uring_get_sqe(&b.u.ring);
	io_uring_prep_openat(sqe, AT_FDCWD, "/dev/null", O_RDONLY, 0);
	EXPECT_EQ(-EACCES, submit(&b.u.ring, sqe));
	sqe = io_uring_get_sqe(&b.u.ring);
	io_uring_prep_writev(sqe, other, b.iov, 2, 0);
	EXPECT_EQ(-EACCES, submit(&b.u.ring, sqe));
	sqe = io_uring_get_sqe(&b.u.ring);
	io_uring_prep_read(sqe, other, b.data, 1, 0);
	EXPECT_EQ(-EACCES, submit(&b.u.ring, sqe));
	EXPECT_EQ(-EACCES, io_uring_register_personality(&b.u.ring));
	EXPECT_EQ(1, net_uring_write(&b.u, b.iov, b.packet, 1));
	EXPECT_EQ(0, next_number(b.peer));
	close(other);
	burst_close(&b);
}

/* The next VMM's, which finds it attached otherwise. */
TEST(ring_that_is_closed_has_let_go_of_its_tap)
{
	struct pollfd peer = { .events = POLLIN };
	struct net_uring u;
	int fd[2], i;

	NEEDS_BATCHES;
	for (i = 0; i < 200; i++) {
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fd));
		ring_over(&u, fd[0]);
		net_uring_close(&u);
		close(fd[0]);
		peer.fd = fd[1];
		ASSERT_EQ(1, poll(&peer, 1, 0)) TH_LOG("round %d", i);
		ASSERT_EQ(POLLHUP, peer.revents & POLLHUP);
		close(fd[1]);
	}
}

/* With a room that has no limit a tap has no EAGAIN in the middle, and its writes need no links. */
TEST(writes_to_a_tap_are_linked_if_its_room_has_a_limit)
{
	struct ifreq ifr = { .ifr_name = "t0", .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int room = 100000, tap;
	struct net_uring u;

	NEEDS_BATCHES;
	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		SKIP(return, "no namespaces here");
	tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tap < 0 || ioctl(tap, TUNSETIFF, &ifr))
		SKIP(return, "no taps here");
	net_uring_open(&u, tap);
	if (!u.on)
		SKIP(return, "taps here cannot promise not to wait");
	EXPECT_FALSE(u.linked);
	net_uring_close(&u);
	ASSERT_EQ(0, ioctl(tap, TUNSETSNDBUF, &room));
	net_uring_open(&u, tap);
	EXPECT_TRUE(u.on && u.linked);
	net_uring_close(&u);
	close(tap);
}

/* ---- Through the datapath ------------------------------------------------------------------ */

FIXTURE(bursts)
{
	struct vnic v;
	u64 gpa;
	u32 next;
};

FIXTURE_VARIANT(bursts)
{
	u64 features;
	enum drv_layout layout;
	bool one_by_one;
};

FIXTURE_VARIANT_ADD(bursts, split) { .layout = DRV_DIRECT };
FIXTURE_VARIANT_ADD(bursts, split_one_by_one) { .layout = DRV_DIRECT, .one_by_one = true };
FIXTURE_VARIANT_ADD(bursts, packed) { .features = F_PACKED, .layout = DRV_DIRECT };
FIXTURE_VARIANT_ADD(bursts, packed_one_by_one) { .features = F_PACKED, .layout = DRV_DIRECT, .one_by_one = true };
FIXTURE_VARIANT_ADD(bursts, packed_in_order) { .features = F_PACKED | F_IN_ORDER, .layout = DRV_INDIRECT };

FIXTURE_SETUP(bursts)
{
	int bytes = 8192;

	vnic_init(&self->v, variant->features | F_MRG_RXBUF, NUM, variant->layout, 1);
	/* Has no room for the larger ones, so that what is left over goes back into the ring. */
	CHECK(!setsockopt(self->v.nic.tap.fd[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), "SO_SNDBUF");
	self->gpa = gmem_alloc(&self->v.m.mem, NUM * 2048, 4096);
	if (variant->one_by_one)
		vnic_start_without_uring(&self->v);
	else
		vnic_start(&self->v);
}

FIXTURE_TEARDOWN(bursts)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->v.m.mem));
	vnic_free(&self->v);
}

/* Packet number @i, of two pieces; every seventh is too short to be one. */
static void put(FIXTURE_DATA(bursts) *self, u32 i)
{
	u64 gpa = self->gpa + i % NUM * 2048;
	struct drv_seg segs[] = { { gpa, HDR, false }, { gpa + 1024, BYTES - HDR, false } };

	gmem_fill(&self->v.m.mem, gpa, 0, 2048);
	memcpy(gmem_ptr(&self->v.m.mem, gpa + 1024, sizeof(i)), &i, sizeof(i));
	CHECK(drv_add(&self->v.drv[VNIC_TX(0)], segs, i % 7 ? 2 : 1) >= 0, "the ring is full");
}

static void expect_numbers(struct __test_metadata *_metadata, FIXTURE_DATA(bursts) *self, u32 from, u32 to)
{
	for (; from < to; from++)
		if (from % 7)
			ASSERT_EQ(from, next_number(self->v.peer[0]));
}

TEST_F(bursts, come_whole_and_in_order)
{
	u32 sent = 0, nr, i;

	for (nr = 1; nr <= NUM / 2; nr++) {
		for (i = 0; i < nr; i++)
			put(self, sent + i);
		drv_kick(&self->v.drv[VNIC_TX(0)], self->v.dev.ring[VNIC_TX(0)].kick_fd);
		expect_numbers(_metadata, self, sent, sent + nr);
		for (i = 0; i < nr; i++)
			ASSERT_LE(0, vnic_wait(&self->v, VNIC_TX(0), NULL));
		sent += nr;
	}
}

#define EACH	1000	/* bytes of a buffer for what comes in */

/* Buffers for what comes in, as many as there is room for; the driver says so once. @gpa: by chain */
static void give_buffers(FIXTURE_DATA(bursts) *self, u64 *gpa, u32 nr)
{
	while (nr--) {
		u64 at = self->gpa + self->next++ % NUM * 2048;
		int head = drv_add1(&self->v.drv[VNIC_RX(0)], at, EACH, true);

		CHECK(head >= 0, "the ring is full");
		gpa[head] = at;
	}
	drv_kick(&self->v.drv[VNIC_RX(0)], self->v.dev.ring[VNIC_RX(0)].kick_fd);
}

/* The next packet that comes in, with its buffers. Return: its bytes; 0: none came. */
static u32 take_packet(FIXTURE_DATA(bursts) *self, const u64 *gpa, u8 *got, u32 *nr)
{
	u32 bytes = 0, len;
	u16 num = 1, i;

	for (i = 0; i < num; i++, bytes += len) {
		int head = vnic_wait(&self->v, VNIC_RX(0), &len);

		if (head < 0)
			return 0;
		gmem_read(&self->v.m.mem, got + bytes, gpa[head], len);
		if (!i)
			memcpy(&num, got + offsetof(struct virtio_net_hdr_mrg_rxbuf, num_buffers), sizeof(num));
	}
	*nr += num;
	return bytes;
}

/* Small ones, of which many are read at a time, between large ones, and some that are none. */
TEST_F(bursts, into_the_guest_come_whole_and_in_order)
{
	u8 *packet = calloc(1, 2 * NET_MAX_PACKET), *got = malloc(2 * NET_MAX_PACKET);
	u64 seed = 3, gpa[NUM];
	u32 number = 0, used = NUM, round, i, bytes[10];

	ASSERT_TRUE(packet && got);
	for (i = HDR; i < 2 * NET_MAX_PACKET; i++)
		packet[i] = prng(&seed);
	for (round = 0; round < 300; round++) {
		/* As many as wait in a socket. */
		for (i = 0; i < ARRAY_SIZE(bytes); i++, number++) {
			u32 kind = prng(&seed) % 16;

			bytes[i] = kind < 12 ? HDR + 4 + prng(&seed) % 1500 : kind < 14 ? 2000 + prng(&seed) % 6000 :
				   kind < 15 ? 1 + prng(&seed) % (HDR - 1) : round % 8 ? HDR + 4 : NET_MAX_PACKET + 60000;
			memcpy(packet + HDR, &number, sizeof(number));
			vnic_peer_send(&self->v, 0, packet, bytes[i]);
			if (!i)
				give_buffers(self, gpa, round % 2 ? used : 0);
		}
		if (!(round % 2))
			give_buffers(self, gpa, used);
		used = 0;
		for (i = 0, number -= ARRAY_SIZE(bytes); i < ARRAY_SIZE(bytes); i++, number++) {
			if (bytes[i] < HDR || bytes[i] > NET_MAX_PACKET)
				continue;
			ASSERT_EQ(bytes[i], take_packet(self, gpa, got, &used));
			memcpy(packet + HDR, &number, sizeof(number));
			ASSERT_EQ(0, memcmp(packet + HDR, got + HDR, bytes[i] - HDR));
		}
	}
	free(packet);
	free(got);
}

/* Packets before it are sent, those after it are the next one's who serves this ring. */
TEST_F(bursts, chain_that_breaks_the_queue_comes_after_those_before_it)
{
	struct drv *d = &self->v.drv[VNIC_TX(0)];
	/* Places of a packed ring are descriptors, of which eight of them have two. */
	u32 places = variant->features & F_PACKED && variant->layout == DRV_DIRECT ? 18 : 10, i;

	for (i = 0; i < 10; i++)
		put(self, i);
	CHECK(drv_add1(d, self->gpa, 100, true) >= 0, "the ring is full");
	put(self, 11);
	drv_kick(d, self->v.dev.ring[VNIC_TX(0)].kick_fd);
	EXPECT_TRUE(vnic_broke(&self->v, VNIC_TX(0)));
	expect_numbers(_metadata, self, 0, 10);
	for (i = 0; i < 10; i++)
		ASSERT_LE(0, vnic_wait(&self->v, VNIC_TX(0), NULL));
	EXPECT_FALSE(drv_has_used(d));
	vnic_stop(&self->v);
	EXPECT_EQ(drv_base_after(d, places) & 0x7fff, self->v.dev.ring[VNIC_TX(0)].state & 0x7fff);
}

TEST_HARNESS_MAIN
