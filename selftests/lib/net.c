// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/vkick-net between a driver and a host's interface.
 *
 * in:  features, a kind of backend
 * out: see net.h
 */
#include "net.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEER_BUFFER	(64 << 20)

/* Without it nothing is sent that no test sent. */
static void no_ipv6(const char *interfaces)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", interfaces);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;		/* there is none */
	CHECK(write(fd, "1", 1) == 1, "%s", path);
	close(fd);
}

void net_unshare(void)
{
	CHECK(!unshare(CLONE_NEWNET), "unshare");
	no_ipv6("all");
	no_ipv6("default");
}

/* By itself, since commands take most of a test's time in an emulated machine. */
static void bring_up(const char *name, u32 mtu)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_mtu = mtu };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	CHECK(fd >= 0 && !ioctl(fd, SIOCSIFMTU, &ifr), "%s: mtu %u", name, mtu);
	CHECK(!ioctl(fd, SIOCGIFFLAGS, &ifr), "%s", name);
	ifr.ifr_flags |= IFF_UP;
	CHECK(!ioctl(fd, SIOCSIFFLAGS, &ifr), "%s up", name);
	close(fd);
}

static bool has_tun(void)
{
	return !access("/dev/net/tun", F_OK) || !system("modprobe -qa tun; [ -e /dev/net/tun ]");
}

bool net_can(const char *commands)
{
	char line[512];

	net_unshare();
	snprintf(line, sizeof(line), "{ %s; } >/dev/null 2>&1", commands);
	return !system(line);
}

bool net_has(enum net_kind kind)
{
	static const char * const needs[] = {
		[NET_PACKET] = "modprobe -qa veth; ip link add veth0 type veth peer name veth1",
		[NET_MACVTAP] = "modprobe -qa veth macvtap; ip link add veth0 type veth peer name veth1 && ip link add link veth0 type macvtap",
	};

	return kind == NET_TAP ? has_tun() : net_can(needs[kind]);
}

int net_packet_socket(const char *name, u16 ethertype)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ethertype),
		.sll_ifindex = if_nametoindex(name),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	int bytes = PEER_BUFFER;

	CHECK(fd >= 0 && at.sll_ifindex, "a packet socket on %s", name);
	CHECK(!setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) &&
	      !setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)), "SO_*BUFFORCE");
	CHECK(!bind(fd, (void *)&at, sizeof(at)), "bind to %s", name);
	return fd;
}

static void set_header(int fd, u32 hdr)
{
	int bytes = hdr, le = 1;

	CHECK(!ioctl(fd, TUNSETVNETHDRSZ, &bytes), "TUNSETVNETHDRSZ");
	CHECK(!ioctl(fd, TUNSETVNETLE, &le), "TUNSETVNETLE");
	CHECK(!ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6), "TUNSETOFFLOAD");
}

int net_tap(const char *name, u32 hdr)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | (hdr ? IFF_VNET_HDR : 0) };
	int fd;

	CHECK(has_tun(), "tun");
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0, "/dev/net/tun");
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	CHECK(!ioctl(fd, TUNSETIFF, &ifr), "TUNSETIFF %s", name);
	if (hdr)
		set_header(fd, hdr);
	bring_up(name, NET_MTU);
	return fd;
}

void net_wait_link(const char *from, const char *to)
{
	static const u8 frame[60] = { 0x02, [12] = NET_ETHERTYPE >> 8, NET_ETHERTYPE & 0xff };
	int out = net_packet_socket(from, 0), in = net_packet_socket(to, NET_ETHERTYPE);
	struct deadline d = deadline_in(DEADLINE_MS);
	struct pollfd p = { in, POLLIN, 0 };

	do {
		CHECK(!deadline_passed(&d), "%s to %s: nothing gets through", from, to);
		CHECK(send(out, frame, sizeof(frame), 0) == sizeof(frame), "send on %s", from);
	} while (poll(&p, 1, 10) != 1);
	close(out);
	close(in);
}

static int macvtap(const char *lower, u32 hdr)
{
	char path[64];
	int fd;

	shell("modprobe -qa macvtap; ip link add link %s name mv0 type macvtap mode passthru", lower);
	bring_up("mv0", NET_MTU);
	net_wait_link("mv0", "veth1");
	snprintf(path, sizeof(path), "/dev/tap%u", if_nametoindex("mv0"));
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0, "%s", path);
	set_header(fd, hdr);
	return fd;
}

static void open_backend(struct net *n, enum net_kind kind)
{
	net_unshare();
	if (kind == NET_TAP) {
		n->backend = net_tap("tap0", n->r.features & F_OWN_HDR ? 0 : n->hdr);
		n->peer = net_packet_socket("tap0", NET_ETHERTYPE);
		return;
	}
	shell("modprobe -qa veth; ip link add veth0 mtu %u type veth peer name veth1 mtu %u", NET_MTU, NET_MTU);
	bring_up("veth0", NET_MTU);
	bring_up("veth1", NET_MTU);
	net_wait_link("veth0", "veth1");
	net_wait_link("veth1", "veth0");
	n->backend = kind == NET_MACVTAP ? macvtap("veth0", n->hdr) : net_packet_socket("veth0", ETH_P_ALL);
	n->peer = net_packet_socket("veth1", NET_ETHERTYPE);
}

void net_open_stopped(struct net *n, const struct net_conf *conf)
{
	struct rig_conf rig = {
		.class = "net",
		.features = conf->features,
		.layout = conf->layout,
		.num = conf->num,
		.max_segs = conf->max_segs,
	};

	*n = (struct net) { .rng = 0x6b6963 };
	rig_lay_out(&n->r, &rig);
	if (conf->legacy)
		n->r.features &= ~F_VERSION_1;
	n->rx = &n->r.q[NET_RX];
	n->tx = &n->r.q[NET_TX];
	n->mrg = conf->features & F_MRG;
	n->num_buffers = n->mrg || !conf->legacy;
	n->hdr = n->num_buffers ? 12 : 10;
	open_backend(n, conf->kind);
	rig_attach(&n->r, "net");
}

void net_open(struct net *n, const struct net_conf *conf)
{
	net_open_stopped(n, conf);
	net_start(n, n->backend);
}

void net_close(struct net *n)
{
	if (!n->r.mem.nr)
		return;
	rig_close(&n->r);
	close(n->backend);
	close(n->peer);
}

int __net_set_backend(int fd, u32 index, int backend)
{
	struct vhost_vring_file f = { .index = index, .fd = backend };

	return __vdev_ioctl(fd, VHOST_NET_SET_BACKEND, &f);
}

void net_set_backend(struct net *n, u32 index, int backend)
{
	int err = __net_set_backend(n->r.fd, index, backend);

	errno = -err;
	CHECK(!err, "NET_SET_BACKEND %u %d", index, backend);
}

void net_start(struct net *n, int backend)
{
	net_set_backend(n, NET_RX, backend);
	net_set_backend(n, NET_TX, backend);
}

void net_fill(struct net *n, u8 *frame, u32 len)
{
	u16 type = htons(NET_ETHERTYPE);
	u32 i;

	for (i = 0; i < len; i++)
		frame[i] = prng(&n->rng);
	frame[0] &= ~1;		/* for one station... */
	frame[6] &= ~1;
	memset(frame, 0x02, 1);	/* ...that is nobody's */
	memcpy(frame + 12, &type, 2);
}

void net_write(struct net *n, u64 gpa, const void *src, u32 len)
{
	const u8 *from = src;
	u32 i;

	for (i = 0; i < len; i++)
		*(u8 *)gmem_ptr(&n->r.mem, gpa + i, 1) = from[i];
}

static int ascending(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

u32 net_cut(struct net *n, struct drv_seg *segs, u32 nr, u64 gpa, u32 len, u32 cut,
	    bool write)
{
	u32 at[64], i, used = 0;

	CHECK(nr && nr < 64, "%u pieces", nr);
	for (i = 0; i + 1 < nr; i++)
		at[i] = prng(&n->rng) % (len + 1);
	if (cut && nr > 1)
		at[0] = cut;
	at[nr - 1] = len;
	qsort(at, nr, sizeof(at[0]), ascending);
	for (i = 0; i < nr; i++) {
		u32 from = i ? at[i - 1] : 0;

		if (at[i] > from)
			segs[used++] = (struct drv_seg) { gpa + from, at[i] - from, write };
	}
	return used;
}

void net_send_cut(struct net *n, const u8 *frame, u32 len, u32 nr, u32 cut)
{
	struct drv_seg segs[64];

	gmem_fill(&n->r.mem, NET_TX_BUF, 0, n->hdr);
	net_write(n, NET_TX_BUF + n->hdr, frame, len);
	nr = net_cut(n, segs, nr, NET_TX_BUF, n->hdr + len, cut, false);
	rig_submit(n->tx, segs, nr);
}

void net_send(struct net *n, const u8 *frame, u32 len, u32 nr)
{
	u32 used;

	net_send_cut(n, frame, len, nr, 0);
	rig_complete(n->tx, &used);
	CHECK(!used, "%u bytes written by a transmission", used);
}

static bool peer_readable(struct net *n, int ms)
{
	struct pollfd p = { n->peer, POLLIN, 0 };

	return poll(&p, 1, ms) == 1;
}

void net_peer_expect(struct net *n, const u8 *frame, u32 len)
{
	static u8 got[1 << 17];
	ssize_t bytes;

	CHECK(peer_readable(n, DEADLINE_MS), "a frame of %u bytes did not arrive", len);
	bytes = recv(n->peer, got, sizeof(got), MSG_TRUNC);
	CHECK(bytes == (ssize_t)len, "%zd bytes arrived, not %u", bytes, len);
	CHECK(!memcmp(got, frame, len), "a frame of %u bytes arrived as another", len);
}

void net_peer_expect_all(struct net *n, const u8 *frames, u32 len, u32 nr)
{
	bool *seen = calloc(nr, sizeof(*seen));
	u8 *got = malloc(len);
	u32 i, left;

	CHECK(seen && got, "malloc");
	for (left = nr; left; left--) {
		ssize_t bytes;

		CHECK(peer_readable(n, DEADLINE_MS), "%u of %u frames did not arrive", left, nr);
		bytes = recv(n->peer, got, len, MSG_TRUNC);
		CHECK(bytes == (ssize_t)len, "%zd bytes arrived, not %u", bytes, len);
		for (i = 0; i < nr; i++)
			if (!seen[i] && !memcmp(got, frames + i * len, len))
				break;
		CHECK(i < nr, "a frame arrived that is none of the %u that did not yet", left);
		seen[i] = true;
	}
	free(got);
	free(seen);
}

bool net_peer_quiet(struct net *n)
{
	return !peer_readable(n, QUIET_MS);
}

void net_peer_send(struct net *n, const u8 *frame, u32 len)
{
	CHECK(send(n->peer, frame, len, 0) == (ssize_t)len, "send of %u bytes", len);
}

int net_offer(struct net *n, u32 at, u32 len, u32 nr, u32 cut)
{
	struct drv_seg segs[64];

	nr = net_cut(n, segs, nr, NET_RX_BUF + at, len, cut, true);
	return rig_submit(n->rx, segs, nr);
}

static u16 get16(const u8 *p)
{
	return p[0] | p[1] << 8;
}

void net_expect(struct net *n, const u8 *frame, u32 len, u32 each)
{
	static u8 got[1 << 17];
	u32 all = n->hdr + len, chains = (all + each - 1) / each, i, used;

	for (i = 0; i < chains; i++) {
		u32 want = i + 1 < chains ? each : all - i * each;

		/* All of a packet at once: the first can be waited for, the others are there. */
		if (!i)
			rig_complete(n->rx, &used);
		else
			CHECK(drv_get(&n->rx->drv, &used) >= 0, "%u of %u chains used", i, chains);
		CHECK(used == want, "chain %u of %u: %u bytes, not %u", i, chains, used, want);
	}
	gmem_read(&n->r.mem, got, NET_RX_BUF, all);
	CHECK(!got[0] && !got[1], "flags %u, GSO type %u of a plain packet", got[0], got[1]);
	if (n->num_buffers)
		CHECK(get16(got + 10) == chains, "num_buffers %u, not %u", get16(got + 10), chains);
	CHECK(!memcmp(got + n->hdr, frame, len), "a frame of %u bytes came as another", len);
}

u64 net_dropped(struct net *n, u32 index)
{
	return vdev_get_stats(n->r.fd, index).dropped;
}

void net_wait_dropped(struct net *n, u32 index, u64 count)
{
	struct deadline d = deadline_in(DEADLINE_MS);

	while (net_dropped(n, index) < count) {
		CHECK(!deadline_passed(&d), "%llu of %llu dropped",
		      (unsigned long long)net_dropped(n, index), (unsigned long long)count);
		sched_yield();
	}
	CHECK(net_dropped(n, index) == count, "more than %llu dropped", (unsigned long long)count);
}
