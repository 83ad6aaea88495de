// SPDX-License-Identifier: GPL-2.0
/*
 * The net class and backends that are not as a tap of plain Ethernet is.
 *
 * in:  /dev/vkick-net on taps, tuns and packet sockets; VLANs, no guest
 * out: packets with all that belongs to them, or none
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/net.h"

/* ---- tags of VLANs ---- */

static bool has_vlans(void)
{
	return net_can("modprobe -qa 8021q veth; ip link add veth0 type veth peer name veth1 && ip link add link veth0 name veth0.5 type vlan id 5");
}

/* As on the wire: the tag stands in the frame, also where the host keeps it beside its packet. */
TEST(tag_of_a_vlan_goes_through_a_tap)
{
	struct net_conf conf = { .features = F_MRG, .num = 256 };
	u8 frame[100], tagged[104];
	struct net n;
	int vlan;

	if (!has_vlans())
		SKIP(return, "this kernel has no VLANs");
	net_open(&n, &conf);
	shell("ip link add link tap0 name tap0.5 type vlan id 5; ip link set tap0.5 up");
	vlan = net_packet_socket("tap0.5", NET_ETHERTYPE);
	net_fill(&n, frame, 100);
	memcpy(tagged, frame, 12);
	memcpy(tagged + 12, "\x81\x00\x00\x05", 4);
	memcpy(tagged + 16, frame + 12, 88);

	net_offer(&n, 0, n.hdr + 104, 1, 0);
	ASSERT_EQ(100, send(vlan, frame, 100, 0));
	net_expect(&n, tagged, 104, n.hdr + 104);
	close(n.peer);
	n.peer = vlan;
	net_send(&n, tagged, 104, 1);
	net_peer_expect(&n, frame, 100);
	EXPECT_EQ(0, net_dropped(&n, NET_RX));
	net_close(&n);
}

/* It takes tags off, and gives them to who asks by itself: rather no frame than one of another VLAN. */
TEST(tagged_frame_of_a_packet_socket_is_lost)
{
	struct net_conf conf = { .kind = NET_PACKET, .features = F_MRG | F_OWN_HDR, .num = 256 };
	u8 frame[100];
	struct net n;

	if (!net_has(NET_PACKET))
		SKIP(return, "this kernel has no such backend");
	net_open(&n, &conf);
	net_fill(&n, frame, 100);
	memcpy(frame + 12, "\x81\x00\x00\x05", 4);
	net_offer(&n, 0, n.hdr + 100, 1, 0);
	net_peer_send(&n, frame, 100);
	net_wait_dropped(&n, NET_RX, 1);
	net_fill(&n, frame, 100);
	net_peer_send(&n, frame, 100);
	net_expect(&n, frame, 100, n.hdr + 100);
	net_close(&n);
}

/* ---- packets of IP, with nothing in front ---- */

static int tun(const char *name, u32 hdr)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), bytes = hdr, le = 1;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	CHECK(fd >= 0 && !ioctl(fd, TUNSETIFF, &ifr), "TUNSETIFF %s", name);
	CHECK(!ioctl(fd, TUNSETVNETHDRSZ, &bytes) && !ioctl(fd, TUNSETVNETLE, &le), "TUNSETVNET*");
	shell("ip link set %s mtu 20000 up", name);
	return fd;
}

static void fill_ip(struct net *n, u8 *packet, u32 len)
{
	net_fill(n, packet, len);
	packet[0] = 0x45;
}

/* In a batch 6.12's tun takes 14 bytes off each: without one it does not. */
TEST(tun_with_a_limit_carries_packets_of_ip)
{
	static const u32 lens[] = { 20, 100, 1500, 3000, 10000 };
	struct net_conf conf = { .features = F_MRG, .num = 256 };
	static u8 packet[10000];
	int limit = 1 << 20;
	struct net n;
	u32 i;

	net_open_stopped(&n, &conf);
	close(n.backend);
	close(n.peer);
	n.backend = tun("tun0", n.hdr);
	n.peer = net_packet_socket("tun0", ETH_P_IP);
	ASSERT_EQ(0, ioctl(n.backend, TUNSETSNDBUF, &limit));
	net_start(&n, n.backend);
	for (i = 0; i < 5; i++) {
		fill_ip(&n, packet, lens[i]);
		net_send(&n, packet, lens[i], 2);
		net_peer_expect(&n, packet, lens[i]);
		fill_ip(&n, packet, lens[i]);
		net_offer(&n, 0, n.hdr + lens[i], 1, 0);
		net_peer_send(&n, packet, lens[i]);
		net_expect(&n, packet, lens[i], n.hdr + lens[i]);
	}
	EXPECT_EQ(0, net_dropped(&n, NET_TX));
	net_close(&n);
}

TEST_HARNESS_MAIN
