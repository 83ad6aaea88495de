// SPDX-License-Identifier: GPL-2.0
/*
 * The network device, all but its packets, as a driver without a CPU sees it: natively, over taps in a namespace of the test's own.
 *
 * in:  the config space, chains on the control queue, the control socket's word on the link
 * out: VIRTIO 1.2, 5.1.2 to 5.1.6.5; what the taps were told
 */
#include "lib/machine.h"

#include "kselftest_harness.h"

#include "../vmm/net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define NIC		MACHINE_MORE
#define PAIRS		3
#define WINDOW		0xd0000000UL
#define AT_DEVICE	0x2000
#define AT_NOTIFY	0x3000
#define NUM		16
#define RINGS		0x10000UL
#define COMMAND		0x80000UL
#define ANSWER		0xc0000UL
#define NOTHING		0xee
#define MTU		1400

#define F(feature)	(1UL << VIRTIO_NET_F_##feature)
#define F_RING_RESET	(1UL << VIRTIO_F_RING_RESET)

/* Whether this machine lets us have taps; their files. */
static bool has_taps;
static int tap[PAIRS];

static void set_mtu(const char *name, int mtu)
{
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_mtu = mtu };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	CHECK(!ioctl(sock, SIOCSIFMTU, &ifr), "SIOCSIFMTU");
	close(sock);
}

/* Once in a process: as root, or as a user who may have namespaces. */
static void make_taps(void)
{
	struct ifreq ifr = { .ifr_name = "t0", .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE };
	unsigned int i;

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return;
	for (i = 0; i < PAIRS; i++) {
		tap[i] = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
		if (tap[i] < 0 || ioctl(tap[i], TUNSETIFF, &ifr))
			return;
	}
	set_mtu("t0", MTU);
	has_taps = true;
}

FIXTURE(nic)
{
	u64 offered;
	u16 avail;
};

FIXTURE_SETUP(nic)
{
	char option[128];
	char *words[] = { "--net", option };

	make_taps();
	if (!has_taps)
		SKIP(return, "no taps here");
	snprintf(option, sizeof(option), "fd=%d,fd=%d,fd=%d,mac=52:54:00:01:02:03,mtu=%u,datapath=user,notify=mmio",
		 tap[0], tap[1], tap[2], MTU);
	machine_init_more(words, ARRAY_SIZE(words));
	machine_place(NIC, 0, WINDOW);
	machine_place(NIC, 2, WINDOW + 0x8000);
	self->offered = virtio_dev_at(NIC)->offered & ~(1UL << VIRTIO_F_RING_PACKED | 1UL << VIRTIO_F_IN_ORDER |
							1UL << VIRTIO_RING_F_EVENT_IDX);
	self->avail = 0;
}

FIXTURE_TEARDOWN(nic)
{
	if (has_taps)
		machine_check();
}

static u8 *ram(u64 gpa)
{
	return guest_ptr(virtio_dev_at(NIC)->vm, gpa, 1);
}

static u64 config(u64 off, unsigned int len)
{
	return machine_read(false, WINDOW + AT_DEVICE + off, len);
}

#define CONFIG(field) config(offsetof(struct virtio_net_config, field), sizeof(((struct virtio_net_config *)0)->field))

static u8 status(void)
{
	return machine_common_read(NIC, VIRTIO_PCI_COMMON_STATUS, 1);
}

static u64 queue_at(unsigned int q)
{
	return RINGS + q * 32UL * NUM;
}

/* All of its queues, with nothing in them. */
static void drive(FIXTURE_DATA(nic) *self, u64 features)
{
	memset(ram(RINGS), 0, 32UL * NUM * (2 * PAIRS + 1));
	self->avail = 0;
	machine_drive(NIC, features, (1UL << (2 * PAIRS + 1)) - 1, NUM, RINGS);
}

/* A chain of @nr descriptors, in place 0 of the table, on queue @q. */
static void submit(FIXTURE_DATA(nic) *self, unsigned int q, const struct vring_desc *desc, unsigned int nr)
{
	struct vring_desc *table = (void *)ram(queue_at(q));
	struct vring_avail *avail = (void *)ram(queue_at(q) + 16 * NUM);
	unsigned int i;

	for (i = 0; i < nr; i++) {
		table[i] = desc[i];
		table[i].next = i + 1;
		if (i + 1 < nr)
			table[i].flags |= VRING_DESC_F_NEXT;
	}
	avail->ring[self->avail % NUM] = 0;
	__atomic_store_n(&avail->idx, ++self->avail, __ATOMIC_RELEASE);
	machine_write(false, WINDOW + AT_NOTIFY + 4 * q, 2, q);
}

static u16 nr_used(unsigned int q)
{
	return __atomic_load_n(&((struct vring_used *)ram(queue_at(q) + 20 * NUM))->idx, __ATOMIC_ACQUIRE);
}

/* A command on queue @q, in pieces of @piece bytes. Return: the answer, or NOTHING. */
static u8 command_on(FIXTURE_DATA(nic) *self, unsigned int q, const void *bytes, u32 len, u32 piece)
{
	struct vring_desc desc[NUM];
	unsigned int nr = 0;
	u32 at;

	memcpy(ram(COMMAND), bytes, len);
	*ram(ANSWER) = NOTHING;
	for (at = 0; at < len; at += piece)
		desc[nr++] = (struct vring_desc) { .addr = COMMAND + at, .len = len - at < piece ? len - at : piece };
	desc[nr++] = (struct vring_desc) { .addr = ANSWER, .len = 1, .flags = VRING_DESC_F_WRITE };
	submit(self, q, desc, nr);
	return *ram(ANSWER);
}

static u8 command(FIXTURE_DATA(nic) *self, const void *bytes, u32 len)
{
	return command_on(self, 2 * PAIRS, bytes, len, 4096);
}

#define COMMAND_OF(...) command(self, (u8[]) { __VA_ARGS__ }, sizeof((u8[]) { __VA_ARGS__ }))

static bool is_attached(unsigned int i)
{
	struct ifreq ifr = { 0 };

	CHECK(!ioctl(tap[i], TUNGETIFF, &ifr), "TUNGETIFF");
	return !(ifr.ifr_flags & IFF_DETACH_QUEUE);
}

/* ---- Config space (5.1.4) --------------------------------------------------------------------- */

TEST_F(nic, config_space_tells_mac_status_pairs_and_mtu)
{
	static const u8 mac[] = { 0x52, 0x54, 0, 1, 2, 3 };
	unsigned int i;

	for (i = 0; i < sizeof(mac); i++)
		EXPECT_EQ(mac[i], config(i, 1));
	EXPECT_EQ(VIRTIO_NET_S_LINK_UP, CONFIG(status));
	EXPECT_EQ(PAIRS, CONFIG(max_virtqueue_pairs));
	EXPECT_EQ(MTU, CONFIG(mtu));
	EXPECT_EQ(F(MAC) | F(STATUS) | F(MQ) | F(MTU) | F(CTRL_VQ) | F(CSUM) | F(GUEST_CSUM) | F(MRG_RXBUF),
		  self->offered & (F(MAC) | F(STATUS) | F(MQ) | F(MTU) | F(CTRL_VQ) | F(CSUM) | F(GUEST_CSUM) | F(MRG_RXBUF)));
	EXPECT_EQ(2 * PAIRS + 1, machine_common_read(NIC, VIRTIO_PCI_COMMON_NUMQ, 2));
}

/* 5.1.2 */
TEST_F(nic, control_queue_comes_after_the_pairs_that_the_driver_knows_of)
{
	u8 promisc[] = { VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1 };

	drive(self, self->offered);
	EXPECT_EQ((1U << 2 * PAIRS) - 1, machine_served(NIC));
	EXPECT_EQ(VIRTIO_NET_OK, command_on(self, 2 * PAIRS, promisc, sizeof(promisc), 8));
	drive(self, self->offered & ~F(MQ));
	EXPECT_EQ(3, machine_served(NIC));
	EXPECT_EQ(VIRTIO_NET_OK, command_on(self, 2, promisc, sizeof(promisc), 8));
}

/* ---- Commands (5.1.6.5) --------------------------------------------------------------------------- */

TEST_F(nic, command_is_read_whatever_its_framing)
{
	u8 table[] = { VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, 1, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0 };
	u32 piece;

	drive(self, self->offered);
	for (piece = 2; piece <= sizeof(table); piece++)
		EXPECT_EQ(VIRTIO_NET_OK, command_on(self, 2 * PAIRS, table, sizeof(table), piece));
	EXPECT_FALSE(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
}

TEST_F(nic, commands_that_make_sense_are_accepted)
{
	drive(self, self->offered);
	EXPECT_EQ(VIRTIO_NET_OK, COMMAND_OF(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0));
	EXPECT_EQ(VIRTIO_NET_OK, COMMAND_OF(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, 1));
	EXPECT_EQ(VIRTIO_NET_OK, COMMAND_OF(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, 0, 0, 0, 0, 0, 0, 0, 0));
	EXPECT_EQ(VIRTIO_NET_OK, COMMAND_OF(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, 0xff, 0x0f));
	EXPECT_EQ(VIRTIO_NET_OK, COMMAND_OF(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, 1, 0));
	EXPECT_EQ(VIRTIO_NET_OK, COMMAND_OF(VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK));
	EXPECT_EQ(VIRTIO_NET_OK, COMMAND_OF(VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
					    1 << VIRTIO_NET_F_GUEST_CSUM, 0, 0, 0, 0, 0, 0, 0));
}

TEST_F(nic, commands_that_make_none_are_refused_and_change_nothing)
{
	u8 long_table[4096] = { VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, 0xff, 0xff, 0xff, 0xff };

	drive(self, self->offered);
	EXPECT_EQ(VIRTIO_NET_ERR, COMMAND_OF(VIRTIO_NET_CTRL_RX));
	EXPECT_EQ(VIRTIO_NET_ERR, COMMAND_OF(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC));
	EXPECT_EQ(VIRTIO_NET_ERR, COMMAND_OF(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 2));
	EXPECT_EQ(VIRTIO_NET_ERR, COMMAND_OF(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1, 1));
	EXPECT_EQ(VIRTIO_NET_ERR, COMMAND_OF(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOBCAST, 1));
	EXPECT_EQ(VIRTIO_NET_ERR, COMMAND_OF(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, 0, 0, 0, 0));
	EXPECT_EQ(VIRTIO_NET_ERR, COMMAND_OF(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, 0, 0, 0, 0, 1, 0, 0, 0, 2));
	EXPECT_EQ(VIRTIO_NET_ERR, COMMAND_OF(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 2, 0, 0, 0, 0));
	EXPECT_EQ(VIRTIO_NET_ERR, COMMAND_OF(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 1, 0, 0, 0, 0, 1));
	EXPECT_EQ(VIRTIO_NET_ERR, COMMAND_OF(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, 0, 0x10));
	EXPECT_EQ(VIRTIO_NET_ERR, COMMAND_OF(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, 1));
	EXPECT_EQ(VIRTIO_NET_ERR, COMMAND_OF(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 0, 0));
	EXPECT_EQ(VIRTIO_NET_ERR, COMMAND_OF(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, PAIRS + 1, 0));
	EXPECT_EQ(VIRTIO_NET_ERR, COMMAND_OF(VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
					     0, 0, 0, 0, 0, 0, 0, 0x80));
	EXPECT_EQ(VIRTIO_NET_ERR, COMMAND_OF(0x77, 0x77, 0x77));
	EXPECT_EQ(VIRTIO_NET_ERR, command(self, long_table, sizeof(long_table)));
	EXPECT_EQ(VIRTIO_NET_ERR, command_on(self, 2 * PAIRS, (u8[65536]) { 0 }, 65536, 65536));
	EXPECT_EQ(PAIRS, CONFIG(max_virtqueue_pairs));
	EXPECT_EQ(3, config(5, 1));
	EXPECT_FALSE(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
}

TEST_F(nic, command_of_a_feature_that_was_not_taken_is_refused)
{
	drive(self, self->offered & ~(F(CTRL_RX) | F(CTRL_VLAN) | F(CTRL_MAC_ADDR)));
	EXPECT_EQ(VIRTIO_NET_ERR, COMMAND_OF(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1));
	EXPECT_EQ(VIRTIO_NET_ERR, COMMAND_OF(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, 1, 0));
	EXPECT_EQ(VIRTIO_NET_ERR, COMMAND_OF(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 2, 0, 0, 0, 0, 9));
	EXPECT_EQ(3, config(5, 1));
}

/* There is nowhere to say no. */
TEST_F(nic, command_without_room_for_an_answer_breaks_the_control_queue_alone)
{
	struct vring_desc desc = { .addr = COMMAND, .len = 3 };

	drive(self, self->offered);
	submit(self, 2 * PAIRS, &desc, 1);
	EXPECT_TRUE(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
	EXPECT_EQ(0, nr_used(2 * PAIRS));
	EXPECT_EQ((1U << 2 * PAIRS) - 1, machine_served(NIC));
	/* And a reset mends it. */
	drive(self, self->offered);
	EXPECT_EQ(VIRTIO_NET_OK, COMMAND_OF(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1));
}

TEST_F(nic, address_that_the_driver_sets_lasts_until_a_reset)
{
	drive(self, self->offered);
	EXPECT_EQ(VIRTIO_NET_OK, COMMAND_OF(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 2, 0, 0, 0, 0, 9));
	EXPECT_EQ(2, config(0, 1));
	EXPECT_EQ(9, config(5, 1));
	machine_common_write(NIC, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	EXPECT_EQ(0x52, config(0, 1));
	EXPECT_EQ(3, config(5, 1));
}

/* ---- Pairs (5.1.6.5.5) -------------------------------------------------------------------------------- */

TEST_F(nic, host_sends_to_the_pairs_that_the_driver_uses)
{
	unsigned int pairs, i;

	drive(self, self->offered);
	for (i = 0; i < PAIRS; i++)
		EXPECT_EQ(i < 1, is_attached(i));
	for (pairs = PAIRS; pairs; pairs--) {
		EXPECT_EQ(VIRTIO_NET_OK, COMMAND_OF(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, pairs, 0));
		for (i = 0; i < PAIRS; i++)
			EXPECT_EQ(i < pairs, is_attached(i));
	}
	EXPECT_EQ(VIRTIO_NET_OK, COMMAND_OF(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, PAIRS, 0));
	machine_common_write(NIC, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	for (i = 0; i < PAIRS; i++)
		EXPECT_EQ(i < 1, is_attached(i));
}

/* ---- Offloads (5.1.4.1, 5.1.6.5.6) ------------------------------------------------------------------------ */

#define MAX_NAMES	128

static struct {
	struct ethtool_gstrings head;
	char name[MAX_NAMES][ETH_GSTRING_LEN];
} names;

static struct {
	struct ethtool_gfeatures head;
	struct ethtool_get_features_block block[MAX_NAMES / 32];
} features;

/* Whether the host's stack may give the interface packets of a kind, by ethtool's name for it. */
static bool tap_has(const char *feature)
{
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_name = "t0", .ifr_data = (void *)&names };
	u32 i;

	names.head = (struct ethtool_gstrings) { ETHTOOL_GSTRINGS, ETH_SS_FEATURES, 0 };
	CHECK(!ioctl(sock, SIOCETHTOOL, &ifr), "ETHTOOL_GSTRINGS");
	features.head = (struct ethtool_gfeatures) { ETHTOOL_GFEATURES, ARRAY_SIZE(features.block) };
	ifr.ifr_data = (void *)&features;
	CHECK(!ioctl(sock, SIOCETHTOOL, &ifr), "ETHTOOL_GFEATURES");
	close(sock);
	for (i = 0; i < names.head.len; i++)
		if (!strcmp(names.name[i], feature))
			return features.block[i / 32].active & 1U << i % 32;
	return false;
}

static u8 set_offloads(FIXTURE_DATA(nic) *self, u64 offloads)
{
	u8 bytes[2 + sizeof(offloads)] = { VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET };

	memcpy(bytes + 2, &offloads, sizeof(offloads));
	return command(self, bytes, sizeof(bytes));
}

TEST_F(nic, host_makes_what_the_driver_takes)
{
	const u64 uso = 1UL << NET_F_GUEST_USO4 | 1UL << NET_F_GUEST_USO6;

	drive(self, self->offered);
	EXPECT_TRUE(tap_has("tx-checksum-ip-generic"));
	EXPECT_TRUE(tap_has("tx-tcp-segmentation"));
	EXPECT_TRUE(tap_has("tx-tcp6-segmentation"));
	EXPECT_TRUE(tap_has("tx-tcp-ecn-segmentation"));
	EXPECT_EQ((self->offered & uso) == uso, tap_has("tx-udp-segmentation"));

	EXPECT_EQ(VIRTIO_NET_OK, set_offloads(self, F(GUEST_CSUM) | F(GUEST_TSO6)));
	EXPECT_TRUE(tap_has("tx-checksum-ip-generic"));
	EXPECT_TRUE(tap_has("tx-tcp6-segmentation"));
	EXPECT_FALSE(tap_has("tx-tcp-segmentation"));
	EXPECT_FALSE(tap_has("tx-tcp-ecn-segmentation"));
	EXPECT_FALSE(tap_has("tx-udp-segmentation"));
	/* All others go with the checksum. */
	EXPECT_EQ(VIRTIO_NET_OK, set_offloads(self, F(GUEST_TSO4) | F(GUEST_TSO6)));
	EXPECT_FALSE(tap_has("tx-checksum-ip-generic"));
	EXPECT_FALSE(tap_has("tx-tcp6-segmentation"));

	EXPECT_EQ(VIRTIO_NET_OK, set_offloads(self, F(GUEST_CSUM) | F(GUEST_TSO4)));
	EXPECT_TRUE(tap_has("tx-tcp-segmentation"));
	/* Whoever comes next may know of none. */
	machine_common_write(NIC, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	EXPECT_FALSE(tap_has("tx-checksum-ip-generic"));
	EXPECT_FALSE(tap_has("tx-tcp-segmentation"));
}

/* A tap says that it takes it, though Linux makes none any more. */
TEST_F(nic, udp_fragmentation_is_offered_both_ways)
{
	EXPECT_EQ(F(HOST_UFO) | F(GUEST_UFO), self->offered & (F(HOST_UFO) | F(GUEST_UFO)));
	drive(self, self->offered);
	EXPECT_EQ(VIRTIO_NET_OK, set_offloads(self, F(GUEST_CSUM) | F(GUEST_UFO)));
	EXPECT_TRUE(tap_has("tx-checksum-ip-generic"));
}

/* ---- The taps themselves --------------------------------------------------------------------------------- */

/* It is asked for as an interface of one queue first, which it is not. */
TEST_F(nic, one_queue_of_many_takes_one_file)
{
	struct net_tap one = { 0 };
	long before = open_files();

	net_tap_open(&one, "t0", 1);
	EXPECT_EQ(1, one.nr);
	EXPECT_EQ(before + 1, open_files());
	close(one.fd[0]);
}

/* Of the name alone one might find another. */
TEST_F(nic, mtu_is_the_interfaces_own)
{
	struct net_tap t = { .name = "t0", .nr = 1, .fd = { tap[0] } };

	EXPECT_EQ(MTU, net_tap_mtu(&t));
	set_mtu("t0", 1300);
	EXPECT_EQ(1300, net_tap_mtu(&t));
	strcpy(t.name, "lo");
	EXPECT_EQ(0, net_tap_mtu(&t));
	strcpy(t.name, "none");
	EXPECT_EQ(0, net_tap_mtu(&t));
}

/* ---- Resets of the control queue ---------------------------------------------------------------------- */

TEST_F(nic, control_queue_is_reset_while_the_others_run_and_comes_back)
{
	unsigned int q = 2 * PAIRS, round;

	drive(self, self->offered);
	for (round = 0; round < 10; round++) {
		u32 starts = machine_starts(NIC);

		EXPECT_EQ(VIRTIO_NET_OK, COMMAND_OF(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1));
		machine_common_write(NIC, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
		machine_common_write(NIC, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
		/* Nobody looks. */
		EXPECT_EQ(NOTHING, COMMAND_OF(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1));
		EXPECT_EQ((1U << 2 * PAIRS) - 1, machine_served(NIC));
		memset(ram(queue_at(q)), 0, 32 * NUM);
		self->avail = 0;
		machine_drive_queue(NIC, q, NUM, queue_at(q));
		EXPECT_EQ(starts, machine_starts(NIC));
	}
	EXPECT_EQ(VIRTIO_NET_OK, COMMAND_OF(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1));
	EXPECT_FALSE(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
}

TEST_F(nic, control_queue_stands_still_while_the_vm_does)
{
	struct virtio_dev *dev = virtio_dev_at(NIC);

	drive(self, self->offered);
	EXPECT_EQ(VIRTIO_NET_OK, COMMAND_OF(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1));
	pthread_mutex_lock(&dev->vm->lock);
	virtio_hold_all();
	pthread_mutex_unlock(&dev->vm->lock);
	EXPECT_EQ(NOTHING, COMMAND_OF(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1));
	pthread_mutex_lock(&dev->vm->lock);
	virtio_unhold_all();
	pthread_mutex_unlock(&dev->vm->lock);
	machine_pump();
	EXPECT_EQ(VIRTIO_NET_OK, *ram(ANSWER));
	EXPECT_EQ(2, nr_used(2 * PAIRS));
}

/* ---- The link ------------------------------------------------------------------------------------------- */

static const char *set_link(bool up)
{
	struct virtio_dev *dev = virtio_dev_at(NIC);
	const char *why;

	pthread_mutex_lock(&dev->vm->lock);
	why = dev->class->link(dev, up);
	pthread_mutex_unlock(&dev->vm->lock);
	machine_pump();
	return why;
}

TEST_F(nic, link_that_is_down_carries_nothing_and_says_so)
{
	u8 generation;

	drive(self, self->offered);
	generation = machine_common_read(NIC, VIRTIO_PCI_COMMON_CFGGENERATION, 1);
	EXPECT_EQ(NULL, set_link(false));
	EXPECT_EQ(0, CONFIG(status));
	EXPECT_NE(generation, machine_common_read(NIC, VIRTIO_PCI_COMMON_CFGGENERATION, 1));
	EXPECT_TRUE(machine_is_pending(NIC, 0));
	EXPECT_EQ(0, machine_served(NIC));
	machine_check();
	/* The driver may still set the device up, and reset queues. */
	EXPECT_EQ(VIRTIO_NET_OK, COMMAND_OF(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1));
	machine_common_write(NIC, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	machine_common_write(NIC, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	machine_drive_queue(NIC, 1, NUM, queue_at(1));
	drive(self, self->offered);
	EXPECT_EQ(0, machine_served(NIC));
	EXPECT_EQ(NULL, set_link(true));
	EXPECT_EQ((1U << 2 * PAIRS) - 1, machine_served(NIC));
}

/* 5.1.4.2, 5.1.6.5.4 */
TEST_F(nic, guest_is_to_announce_itself_when_the_link_comes_up)
{
	drive(self, self->offered);
	set_link(false);
	set_link(true);
	EXPECT_EQ(VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE, CONFIG(status));
	EXPECT_EQ(VIRTIO_NET_OK, COMMAND_OF(VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK));
	EXPECT_EQ(VIRTIO_NET_S_LINK_UP, CONFIG(status));
	/* One that does not know the feature is not asked. */
	drive(self, self->offered & ~F(GUEST_ANNOUNCE));
	set_link(false);
	set_link(true);
	EXPECT_EQ(VIRTIO_NET_S_LINK_UP, CONFIG(status));
}

TEST_HARNESS_MAIN
