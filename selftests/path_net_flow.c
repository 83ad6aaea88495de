// SPDX-License-Identifier: GPL-2.0
/*
 * The net class and what happens around it: GSO, backends that are full, change or go
 * away, drivers that do not refill, stops under traffic, the dirty log.
 *
 * in:  /dev/vkick-net on taps and packet sockets, tc and ip of the host, no guest
 * out: nothing lost that need not be; nothing written after a stop; an idle worker
 */
#include "kselftest_harness.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "lib/dlog.h"
#include "lib/net.h"

FIXTURE(flow)
{
	struct net n;
	u8 frame[NET_MAX_FRAME];
};

FIXTURE_VARIANT(flow)
{
	u64 features;
};

FIXTURE_VARIANT_ADD(flow, split) { F_MRG };
FIXTURE_VARIANT_ADD(flow, packed) { F_MRG | F_PACKED | F_EVENT_IDX };

FIXTURE_SETUP(flow)
{
	struct net_conf conf = { .features = variant->features, .num = 256 };

	net_open(&self->n, &conf);
}

FIXTURE_TEARDOWN(flow)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->n.r.mem));
	net_close(&self->n);
}

/* A frame both ways. */
static void ping(struct net *n)
{
	u8 frame[100];

	net_fill(n, frame, 100);
	net_send(n, frame, 100, 2);
	net_peer_expect(n, frame, 100);
	net_fill(n, frame, 100);
	net_offer(n, 0, n->hdr + 100, 1, 0);
	net_peer_send(n, frame, 100);
	net_expect(n, frame, 100, n->hdr + 100);
}

static u64 passes(struct net *n, u32 index)
{
	return vdev_get_stats(n->r.fd, index).passes;
}

/* ---- GSO ---- */

/* From Linux 6.2 on in <linux/virtio_net.h> and <linux/if_tun.h>. */
#define GSO_UDP_L4	5
#define TUN_F_USO	0x60

static void put16(u8 *p, u16 v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static void put_ip4(u8 *ip, u8 protocol, u32 len)
{
	memset(ip, 0, 20);
	ip[0] = 0x45;
	put16(ip + 2, len);
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, "\x0a\x01\x01\x01\x0a\x01\x01\x02", 8);
}

static void put_ip6(u8 *ip, u8 protocol, u32 len)
{
	memset(ip, 0, 40);
	ip[0] = 0x60;
	put16(ip + 4, len - 40);
	ip[6] = protocol;
	ip[7] = 64;
	ip[8] = ip[24] = 0xfd;
	ip[23] = 1;
	ip[39] = 2;
}

static void put_tcp(u8 *tcp)
{
	memset(tcp, 0, 20);
	tcp[12] = 5 << 4;
	tcp[13] = 0x10;
}

static void put_udp(u8 *udp, u32 len)
{
	memset(udp, 0, 8);
	put16(udp, 1000);
	put16(udp + 2, 2000);
	put16(udp + 4, len);
}

/* A packet of @len bytes in all, and the header that wants it cut to 1448 each, as @type (VIRTIO_NET_HDR_GSO_*) says. */
static struct virtio_net_hdr segment(struct net *n, u8 type, u8 *frame, u32 len)
{
	bool v6 = (type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_TCPV6;
	bool udp = type == GSO_UDP_L4 || type == VIRTIO_NET_HDR_GSO_UDP;
	u32 at = 14 + (v6 ? 40 : 20);

	net_fill(n, frame, len);
	put16(frame + 12, v6 ? ETH_P_IPV6 : ETH_P_IP);
	(v6 ? put_ip6 : put_ip4)(frame + 14, udp ? IPPROTO_UDP : IPPROTO_TCP, len - 14);
	if (udp)
		put_udp(frame + at, len - at);
	else
		put_tcp(frame + at);
	return (struct virtio_net_hdr) {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = type,
		.hdr_len = at + (udp ? 8 : 20),
		.gso_size = 1448,
		.csum_start = at,
		.csum_offset = udp ? 6 : 16,
	};
}

static struct virtio_net_hdr tcp_segment(struct net *n, u8 *frame, u32 len)
{
	return segment(n, VIRTIO_NET_HDR_GSO_TCPV4, frame, len);
}

/* The host's end, such that it sees and makes the headers. */
static int gso_peer(u16 ethertype)
{
	int fd = net_packet_socket("tap0", ethertype), one = 1;

	CHECK(!setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), "PACKET_VNET_HDR");
	return fd;
}

/* Whether the tap takes UDP's, and makes them. */
static bool has_uso(struct net *n)
{
	return !ioctl(n->backend, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO);
}

static void gso_send(struct net *n, const struct virtio_net_hdr *hdr, const u8 *frame, u32 len)
{
	struct drv_seg s = { NET_TX_BUF, n->hdr + len, false };

	gmem_fill(&n->r.mem, NET_TX_BUF, 0, n->hdr);
	net_write(n, NET_TX_BUF, hdr, sizeof(*hdr));
	net_write(n, NET_TX_BUF + n->hdr, frame, len);
	rig_submit(n->tx, &s, 1);
	rig_complete(n->tx, NULL);
}

/* Of all lengths by TCP, and in each way. */
TEST_F(flow, gso_packet_is_sent_whole)
{
	static const struct {
		u8 type;
		u32 len;
	} packets[] = {
		{ VIRTIO_NET_HDR_GSO_TCPV4, 3000 },
		{ VIRTIO_NET_HDR_GSO_TCPV4, 30000 },
		{ VIRTIO_NET_HDR_GSO_TCPV4, 65000 },
		{ VIRTIO_NET_HDR_GSO_TCPV6, 30000 },
		{ VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN, 30000 },
		{ VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN, 30000 },
		{ GSO_UDP_L4, 30000 },
	};
	static u8 got[1 << 17];
	struct net *n = &self->n;
	u32 i;

	/* UDP's is the last. */
	for (i = 0; i < sizeof(packets) / sizeof(packets[0]) - !has_uso(n); i++) {
		struct virtio_net_hdr hdr = segment(n, packets[i].type, self->frame, packets[i].len), *seen = (void *)got;
		int peer = gso_peer(self->frame[12] << 8 | self->frame[13]);

		gso_send(n, &hdr, self->frame, packets[i].len);
		ASSERT_EQ(sizeof(hdr) + packets[i].len, recv(peer, got, sizeof(got), 0));
		EXPECT_EQ(packets[i].type, seen->gso_type);
		EXPECT_EQ(1448, seen->gso_size);
		EXPECT_EQ(0, memcmp(got + sizeof(hdr), self->frame, packets[i].len));
		close(peer);
	}
}

TEST_F(flow, gso_packet_is_received_whole)
{
	static u8 both[1 << 17], got[1 << 17];
	struct net *n = &self->n;
	const u32 len = 60000;
	struct virtio_net_hdr hdr = tcp_segment(n, self->frame, len), *seen = (void *)got;
	int peer = gso_peer(ETH_P_IP);
	u32 i, used, sum = 0;

	memcpy(both, &hdr, sizeof(hdr));
	memcpy(both + sizeof(hdr), self->frame, len);
	for (i = 0; i < 16; i++)
		net_offer(n, i * 4096, 4096, 1, 0);
	ASSERT_EQ(sizeof(hdr) + len, send(peer, both, sizeof(hdr) + len, 0));
	for (i = 0; i < (n->hdr + len + 4095) / 4096; i++) {
		if (!i)
			rig_complete(n->rx, &used);
		else
			ASSERT_LE(0, drv_get(&n->rx->drv, &used));
		sum += used;
	}
	ASSERT_EQ(n->hdr + len, sum);
	gmem_read(&n->r.mem, got, NET_RX_BUF, sum);
	EXPECT_EQ(VIRTIO_NET_HDR_GSO_TCPV4, seen->gso_type);
	EXPECT_EQ(1448, seen->gso_size);
	EXPECT_EQ(i, got[10] | got[11] << 8);
	EXPECT_EQ(0, memcmp(got + n->hdr, self->frame, len));
	close(peer);
}

/* A checksum that goes past the end, and a GSO type that does not exist. */
TEST_F(flow, header_that_makes_no_sense_loses_its_packet_alone)
{
	struct net *n = &self->n;
	struct virtio_net_hdr bad[] = {
		{ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 0xffff, .csum_offset = 0xffff },
		{ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 99, .csum_offset = 2 },
		{ .gso_type = 0x7f, .gso_size = 100 },
		{ .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 0 },
		{ .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 100, .hdr_len = 0xffff },
	};
	static const u32 lens[] = { 100, 20000 };
	u32 i;

	for (i = 0; i < 10; i++) {
		u32 len = lens[i / 5];
		struct drv_seg s = { NET_TX_BUF, n->hdr + len, false };

		gmem_fill(&n->r.mem, NET_TX_BUF, 0, n->hdr);
		net_fill(n, self->frame, len);
		self->frame[12] = 8;	/* IPv4, which the peer does not listen for */
		self->frame[13] = 0;
		net_write(n, NET_TX_BUF, &bad[i % 5], sizeof(bad[0]));
		net_write(n, NET_TX_BUF + n->hdr, self->frame, len);
		rig_submit(n->tx, &s, 1);
		rig_complete(n->tx, NULL);
	}
	ping(n);
}

/* 5.1.6.2.1: it is a hint, and need not reach as far as the checksum. */
TEST_F(flow, short_hdr_len_loses_nothing)
{
	struct net *n = &self->n;
	struct virtio_net_hdr hdr = tcp_segment(n, self->frame, 100);
	struct drv_seg s = { NET_TX_BUF, n->hdr + 100, false };
	u8 got[200];
	int peer = gso_peer(ETH_P_IP);

	hdr.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	hdr.gso_size = 0;
	hdr.hdr_len = 0;
	gmem_fill(&n->r.mem, NET_TX_BUF, 0, n->hdr);
	net_write(n, NET_TX_BUF, &hdr, sizeof(hdr));
	net_write(n, NET_TX_BUF + n->hdr, self->frame, 100);
	rig_submit(n->tx, &s, 1);
	rig_complete(n->tx, NULL);
	ASSERT_EQ(sizeof(hdr) + 100, recv(peer, got, sizeof(got), 0));
	EXPECT_EQ(0, memcmp(got + sizeof(hdr), self->frame, 100));
	EXPECT_EQ(0, net_dropped(n, NET_TX));
	close(peer);
}

/* ---- frames that are no socket buffers ---- */

/* All that comes in at @from goes out at @to, by XDP. Return: what keeps it so, or -1 if this kernel has no BPF. */
static int xdp_redirect(const char *from, const char *to)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1, .imm = if_nametoindex(to) },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = {
		.prog_type = BPF_PROG_TYPE_XDP, .license = (u64)"GPL", .insns = (u64)insns, .insn_cnt = 4,
	}, attach = {
		.link_create = { .attach_type = BPF_XDP, .target_ifindex = if_nametoindex(from), .flags = XDP_FLAGS_DRV_MODE },
	};
	int prog = syscall(__NR_bpf, BPF_PROG_LOAD, &load, sizeof(load)), link;

	if (prog < 0 && errno == ENOSYS)
		return -1;
	CHECK(prog >= 0, "BPF_PROG_LOAD: %s", strerror(errno));
	attach.link_create.prog_fd = prog;
	link = syscall(__NR_bpf, BPF_LINK_CREATE, &attach, sizeof(attach));
	CHECK(link >= 0, "BPF_LINK_CREATE: %s", strerror(errno));
	close(prog);
	return link;
}

TEST_F(flow, frames_of_an_xdp_program_arrive_as_they_were)
{
	struct net *n = &self->n;
	int link, sock, i;

	shell("modprobe -qa veth; ip link add veth0 type veth peer name veth1; ip link set veth0 up; ip link set veth1 up");
	net_wait_link("veth1", "veth0");
	link = xdp_redirect("veth0", "tap0");
	if (link < 0)
		SKIP(return, "this kernel has no BPF");
	sock = net_packet_socket("veth1", ETH_P_ALL);
	for (i = 0; i < 50; i++) {
		net_fill(n, self->frame, 100);
		net_offer(n, 0, n->hdr + 100, 1, 0);
		ASSERT_EQ(100, send(sock, self->frame, 100, 0));
		net_expect(n, self->frame, 100, n->hdr + 100);
	}
	/* Those that find no buffers go with the queue's backend, or the tap. */
	for (i = 0; i < 20; i++)
		ASSERT_EQ(100, send(sock, self->frame, 100, 0));
	net_set_backend(n, NET_RX, -1);
	close(sock);
	close(link);
}

/* ---- backends that have no room ---- */

FIXTURE(full)
{
	struct net n;
};

FIXTURE_VARIANT(full)
{
	enum net_kind kind;
};

FIXTURE_VARIANT_ADD(full, tap) { NET_TAP };
FIXTURE_VARIANT_ADD(full, packet_socket) { NET_PACKET };

#define FULL_SNDBUF	20000
#define FULL_FRAMES	100

/* What is sent goes out through veth0, which lets hardly anything pass. */
FIXTURE_SETUP(full)
{
	struct net_conf conf = { .kind = variant->kind, .features = F_MRG, .num = 256 };
	int bytes = FULL_SNDBUF;
	struct net *n = &self->n;

	if (!net_can("modprobe -qa veth sch_ingress cls_matchall act_mirred sch_tbf; ip link add veth0 type veth peer name veth1 && "
		     "tc qdisc add dev veth0 root tbf rate 8kbit burst 2000 limit 9000 && tc qdisc add dev veth0 clsact && "
		     "tc filter add dev veth0 ingress matchall action mirred egress redirect dev lo"))
		SKIP(return, "this kernel has no such queues");
	if (variant->kind == NET_PACKET)
		conf.features |= F_OWN_HDR;
	net_open_stopped(n, &conf);
	if (variant->kind == NET_TAP) {
		shell("ip link add veth0 type veth peer name veth1");
		shell("ip link set veth0 up; ip link set veth1 up; tc qdisc add dev tap0 clsact");
		net_wait_link("veth0", "veth1");
		shell("tc filter add dev tap0 ingress matchall action mirred egress redirect dev veth0");
		ASSERT_EQ(0, ioctl(n->backend, TUNSETSNDBUF, &bytes));
		close(n->peer);
		n->peer = net_packet_socket("veth1", NET_ETHERTYPE);
	} else {
		ASSERT_EQ(0, setsockopt(n->backend, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)));
	}
	shell("tc qdisc add dev veth0 root tbf rate 8kbit burst 2000 limit 10000000");
	net_start(n, n->backend);
}

FIXTURE_TEARDOWN(full)
{
	net_close(&self->n);
}

static u32 taken(struct net *n)
{
	u32 i;

	for (i = 0; drv_get(&n->tx->drv, NULL) >= 0; i++)
		;
	return i;
}

TEST_F(full, packets_wait_in_the_ring_and_nobody_spins)
{
	struct net *n = &self->n;
	u8 frames[FULL_FRAMES][1000];
	u32 i, used = 0;
	u64 before;

	for (i = 0; i < FULL_FRAMES; i++) {
		u64 gpa = NET_TX_BUF + i * 1024;

		net_fill(n, frames[i], 1000);
		gmem_fill(&n->r.mem, gpa, 0, n->hdr);
		net_write(n, gpa + n->hdr, frames[i], 1000);
		ASSERT_LE(0, drv_add1(&n->tx->drv, gpa, n->hdr + 1000, false));
	}
	drv_kick(&n->tx->drv, n->tx->kick);
	rig_complete(n->tx, NULL);
	used = 1 + taken(n);
	/* Watched twice as long: it takes a while until the buffer is full. */
	ev_wait(n->tx->call, 5 * QUIET_MS);
	before = passes(n, NET_TX);
	ev_take(n->tx->call);
	ev_wait(n->tx->err, 5 * QUIET_MS);
	EXPECT_GT(10, passes(n, NET_TX) - before);
	used += taken(n);
	ASSERT_GT(FULL_FRAMES, used);

	shell("tc qdisc change dev veth0 root tbf rate 1gbit burst 1000000 limit 10000000");
	net_peer_expect_all(n, frames[0], 1000, FULL_FRAMES);
	while (used < FULL_FRAMES) {
		rig_complete(n->tx, NULL);
		used += 1 + taken(n);
	}
	EXPECT_EQ(0, net_dropped(n, NET_TX));
}

/* A stop names the first that waits. */
TEST_F(full, base_is_exact_while_packets_wait)
{
	struct net *n = &self->n;
	u32 i, used;

	gmem_fill(&n->r.mem, NET_TX_BUF, 0, n->hdr + 1000);
	for (i = 0; i < FULL_FRAMES; i++)
		ASSERT_LE(0, drv_add1(&n->tx->drv, NET_TX_BUF, n->hdr + 1000, false));
	drv_kick(&n->tx->drv, n->tx->kick);
	rig_complete(n->tx, NULL);
	used = 1;
	net_set_backend(n, NET_TX, -1);
	used += taken(n);
	EXPECT_EQ(drv_base_after(&n->tx->drv, used), vdev_get_base(n->r.fd, NET_TX));
	net_set_backend(n, NET_TX, n->backend);
	shell("tc qdisc change dev veth0 root tbf rate 1gbit burst 1000000 limit 10000000");
	while (used < FULL_FRAMES) {
		rig_complete(n->tx, NULL);
		used += 1 + taken(n);
	}
}

/* ---- drivers that misbehave ---- */

TEST_F(flow, driver_that_never_refills_costs_nothing)
{
	struct net *n = &self->n;
	u64 before;
	u32 i;

	net_fill(n, self->frame, 60);
	net_peer_send(n, self->frame, 60);
	/* It has seen that there are no buffers. */
	ev_wait(n->rx->call, QUIET_MS);
	before = passes(n, NET_RX);
	for (i = 0; i < 2000; i++)
		send(n->peer, self->frame, 60, 0);
	EXPECT_GE(before + 2, passes(n, NET_RX));
	net_offer(n, 0, n->hdr + 60, 1, 0);
	net_expect(n, self->frame, 60, n->hdr + 60);
}

/* One worker for both: each gets its turn. */
TEST_F(flow, ring_that_refills_itself_does_not_starve_the_other)
{
	struct net *n = &self->n;
	struct drv *d = &n->tx->drv;
	struct vkick_stats s;
	u8 frame[100];
	int i;

	if (d->packed)
		SKIP(return, "only a split ring can");
	net_set_backend(n, NET_TX, -1);
	rig_make_self_refilling(&n->r, NET_TX, 1);
	drv_set_desc(&d->desc[0], NET_TX_BUF, n->hdr + 60, 0, 0);
	gmem_fill(&n->r.mem, NET_TX_BUF, 0, n->hdr + 60);
	net_set_backend(n, NET_TX, n->backend);
	for (i = 0; i < 50; i++) {
		net_fill(n, frame, 100);
		net_offer(n, 0, n->hdr + 100, 1, 0);
		net_peer_send(n, frame, 100);
		net_expect(n, frame, 100, n->hdr + 100);
	}
	/* It never ended by itself. */
	s = vdev_get_stats(n->r.fd, NET_TX);
	EXPECT_LT(0, s.budget_exhausted + s.poll_hits);
}

/* Each that leaks would be half a kilobyte at least. A million by one ring, which is the device's business but in part. */
TEST_F_TIMEOUT(flow, short_and_oversize_frames_leave_memory_as_it_was, 240)
{
	struct net *n = &self->n;
	u32 nr = n->tx->drv.packed ? 100000 : 1000000;
	long before, after;
	u32 i, j;

	gmem_fill(&n->r.mem, NET_TX_BUF, 0, 64);
	before = proc_labelled("/proc/meminfo", "MemAvailable");
	for (i = 0; i < nr; i += 200) {
		for (j = 0; j < 200; j++) {
			u64 gpa = j % 4 ? NET_TX_BUF : GMEM_HIGH;
			u32 len = j % 4 ? 1 + (i + j) % (n->hdr + 13) : 600000;

			ASSERT_LE(0, drv_add1(&n->tx->drv, gpa, len, false));
		}
		drv_kick(&n->tx->drv, n->tx->kick);
		for (j = 0; j < 200; j++)
			rig_complete(n->tx, NULL);
	}
	after = proc_labelled("/proc/meminfo", "MemAvailable");
	EXPECT_GT(20000, before - after);
	ping(n);
}

/* ---- backends that change and go away ---- */

TEST_F(flow, deleted_tap_loses_packets_and_breaks_nothing)
{
	struct net *n = &self->n;
	u32 i;

	ping(n);
	for (i = 0; i < 20; i++) {
		net_fill(n, self->frame, 100);
		net_peer_send(n, self->frame, 100);
	}
	shell("ip link del tap0");
	net_offer(n, 0, n->hdr + 100, 1, 0);
	for (i = 0; i < 10; i++)
		net_send(n, self->frame, i % 2 ? 100 : 10000, 1);
	EXPECT_EQ(10, net_dropped(n, NET_TX));
	EXPECT_TRUE(vdev_get_stats(n->r.fd, NET_RX).running);
	net_set_backend(n, NET_RX, -1);
	net_set_backend(n, NET_TX, -1);
	while (drv_get(&n->rx->drv, NULL) >= 0)
		;
	close(n->backend);
	close(n->peer);
	n->backend = net_tap("tap0", n->hdr);
	n->peer = net_packet_socket("tap0", NET_ETHERTYPE);
	net_start(n, n->backend);
	net_fill(n, self->frame, 100);
	net_send(n, self->frame, 100, 1);
	net_peer_expect(n, self->frame, 100);
}

TEST_F(flow, link_that_goes_down_comes_up_again)
{
	struct net *n = &self->n;
	u32 i;

	for (i = 0; i < 5; i++) {
		ping(n);
		shell("ip link set tap0 down");
		net_send(n, self->frame, 10000, 1);
		shell("ip link set tap0 txqueuelen %u", 10 + 100 * i);
		shell("ip link set tap0 up");
		close(n->peer);
		n->peer = net_packet_socket("tap0", NET_ETHERTYPE);
	}
	ping(n);
}

TEST_F(flow, queues_stay_with_the_namespace_of_their_backend)
{
	struct net *n = &self->n;

	ping(n);
	net_unshare();
	ping(n);
}

/* Sends to both taps as fast as they take it. */
struct sender {
	pthread_t thread;
	atomic_bool quit;
	int peers[2];
	u8 frame[1000];
};

static void *send_all(void *arg)
{
	struct sender *s = arg;
	u32 i;

	for (i = 0; !atomic_load(&s->quit); i++)
		send(s->peers[i % 2], s->frame, sizeof(s->frame), MSG_DONTWAIT);
	return NULL;
}

static void refill(struct net *n)
{
	while (drv_add1(&n->rx->drv, NET_RX_BUF, 4096, true) >= 0)
		;
	drv_kick(&n->rx->drv, n->rx->kick);
}

/* The stop guarantee of vkick.h, with packets coming in all the time. */
TEST_F(flow, nothing_is_written_after_a_stop_under_traffic)
{
	struct net *n = &self->n;
	struct sender s = { 0 };
	u64 used = 0;
	u32 i;
	int tap1 = net_tap("tap1", n->hdr);

	s.peers[0] = n->peer;
	s.peers[1] = net_packet_socket("tap1", NET_ETHERTYPE);
	net_fill(n, s.frame, sizeof(s.frame));
	ASSERT_EQ(0, pthread_create(&s.thread, NULL, send_all, &s));
	for (i = 0; i < 60; i++) {
		struct gmem_shot shot, ring;
		u64 target = used + prng(&n->rng) % 300;
		u32 base;

		while (used < target) {
			refill(n);
			rig_complete(n->rx, NULL);
			used++;
		}
		refill(n);
		/* On to the other one while it runs, now and then. */
		if (i % 3 == 0)
			net_set_backend(n, NET_RX, i % 2 ? n->backend : tap1);
		net_set_backend(n, NET_RX, -1);
		ev_take(n->rx->call);
		shot = gmem_shoot(&n->r.mem, NET_RX_BUF, 4096);
		ring = gmem_shoot(&n->r.mem, n->rx->drv.used_gpa, drv_used_bytes(&n->rx->drv));
		base = vdev_get_base(n->r.fd, NET_RX);
		EXPECT_FALSE(ev_wait(n->rx->call, i % 8 ? 1 : QUIET_MS));
		ASSERT_TRUE(gmem_same(&n->r.mem, &shot));
		ASSERT_TRUE(gmem_same(&n->r.mem, &ring));
		gmem_shot_free(&shot);
		gmem_shot_free(&ring);
		while (drv_get(&n->rx->drv, NULL) >= 0)
			used++;
		ASSERT_EQ(drv_base_after(&n->rx->drv, used), base) TH_LOG("stop %u", i);
		net_set_backend(n, NET_RX, i % 2 ? n->backend : tap1);
	}
	atomic_store(&s.quit, true);
	pthread_join(s.thread, NULL);
	close(s.peers[1]);
	close(tap1);
}

/* ---- the dirty log ---- */

TEST_F(flow, log_names_all_that_a_packet_was_written_to)
{
	struct net *n = &self->n;
	struct dlog log = dlog_new(&n->r.mem);
	struct dlog_range must[] = {
		{ NET_RX_BUF, 3 * 4096 },
		{ NET_RX_BUF + 0x10000, 4096 },
	};

	vdev_set_log_base(n->r.fd, log.bits);
	vdev_set_features(n->r.fd, n->r.features | F_LOG_ALL);
	dlog_clear(&log);
	net_fill(n, self->frame, 4 * 4096 - 12);
	net_offer(n, 0, 3 * 4096, 1, 0);
	net_offer(n, 0x10000, 4096, 1, 0);
	net_peer_send(n, self->frame, 4 * 4096 - 12);
	rig_complete(n->rx, NULL);
	ASSERT_LE(0, drv_get(&n->rx->drv, NULL));
	EXPECT_TRUE(dlog_exact(&log, must, 2));
	/* Nothing is written to send. */
	dlog_clear(&log);
	net_send(n, self->frame, 1000, 1);
	EXPECT_EQ(0, dlog_count(&log));
	vdev_set_features(n->r.fd, n->r.features);
	dlog_free(&log);
}

TEST_HARNESS_MAIN
