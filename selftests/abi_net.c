// SPDX-License-Identifier: GPL-2.0
/*
 * VHOST_NET_SET_BACKEND: what it takes, what it refuses, and with which errno.
 *
 * in:  /dev/vkick-net, fds of all kinds
 * out: mainline's errnos; nothing leaks
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <linux/if_ether.h>
#include <sys/socket.h>

#include "lib/net.h"

FIXTURE(abi)
{
	struct net n;
};

FIXTURE_SETUP(abi)
{
	struct net_conf conf = { .features = F_MRG };

	net_open_stopped(&self->n, &conf);
}

FIXTURE_TEARDOWN(abi)
{
	net_close(&self->n);
}

TEST_F(abi, info_names_the_class)
{
	struct vkick_info i = vdev_get_info(self->n.r.fd);

	EXPECT_STREQ("net", i.class_name);
	EXPECT_EQ(1, i.device_id);
	EXPECT_EQ(2, i.nvqs);
}

/* What QEMU asks for of /dev/vhost-net, and what packed rings add. */
TEST_F(abi, features_are_those_of_vhost_net_and_more)
{
	u64 want = F_VERSION_1 | F_INDIRECT | F_EVENT_IDX | F_MRG | F_OWN_HDR | F_LOG_ALL |
		   F_PACKED | F_IN_ORDER | 1ULL << VIRTIO_F_RING_RESET;

	EXPECT_EQ(want, vdev_get_features(self->n.r.fd));
	EXPECT_EQ(-EOPNOTSUPP, __vdev_set_features(self->n.r.fd, 1ULL << VIRTIO_NET_F_CSUM));
	EXPECT_EQ(0, __vdev_set_features(self->n.r.fd, 0));
}

TEST_F(abi, needs_an_owner)
{
	int fd = vdev_open("net");

	EXPECT_EQ(-EPERM, __net_set_backend(fd, 0, self->n.backend));
	EXPECT_EQ(-EPERM, __net_set_backend(fd, 0, -1));
	close(fd);
}

TEST_F(abi, other_classes_have_no_such_call)
{
	int fd = vdev_open("null");

	EXPECT_EQ(-ENOTTY, __net_set_backend(fd, 0, self->n.backend));
	close(fd);
}

TEST_F(abi, index_past_the_last_is_enobufs)
{
	EXPECT_EQ(-ENOBUFS, __net_set_backend(self->n.r.fd, 2, self->n.backend));
	EXPECT_EQ(-ENOBUFS, __net_set_backend(self->n.r.fd, 2, -1));
	EXPECT_EQ(-ENOBUFS, __net_set_backend(self->n.r.fd, UINT32_MAX, -1));
	EXPECT_EQ(-EFAULT, __vdev_ioctl(self->n.r.fd, VHOST_NET_SET_BACKEND, (void *)8));
}

TEST_F(abi, what_is_no_backend_is_enotsock)
{
	int fds[] = {
		open("/dev/null", O_RDWR), ev_new(), self->n.r.fd, 1 << 20, -2,
		socket(AF_UNIX, SOCK_STREAM, 0), socket(AF_INET, SOCK_DGRAM, 0),
		socket(AF_PACKET, SOCK_DGRAM, 0), socket(AF_INET, SOCK_RAW, 1),
	};
	u32 i;

	for (i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		EXPECT_EQ(-ENOTSOCK, __net_set_backend(self->n.r.fd, i % 2, fds[i])) TH_LOG("%u", i);
	}
}

TEST_F(abi, tap_without_a_device_is_einval)
{
	int fd = open("/dev/net/tun", O_RDWR);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EINVAL, __net_set_backend(self->n.r.fd, 0, fd));
	EXPECT_EQ(-EINVAL, __net_set_backend(self->n.r.fd, 1, fd));
	close(fd);
	shell("ip link del tap0");
	EXPECT_EQ(-EINVAL, __net_set_backend(self->n.r.fd, 0, self->n.backend));
}

TEST_F(abi, minus_1_always_succeeds)
{
	int i;

	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, __net_set_backend(self->n.r.fd, 0, -1));
		EXPECT_EQ(0, __net_set_backend(self->n.r.fd, 1, -1));
	}
	net_start(&self->n, self->n.backend);
	EXPECT_EQ(0, __net_set_backend(self->n.r.fd, 0, -1));
	EXPECT_EQ(0, __net_set_backend(self->n.r.fd, 0, -1));
}

/* The queue is as it was, and so is the fd. */
TEST_F(abi, refused_start_leaves_no_backend)
{
	int fd = vdev_open("net");

	vdev_set_owner(fd);
	EXPECT_EQ(-EINVAL, __net_set_backend(fd, 0, self->n.backend));
	EXPECT_EQ(-EINVAL, __vdev_set_running(fd, 0, 1));
	vdev_set_ring(fd, 0, &self->n.rx->drv);
	EXPECT_EQ(-EFAULT, __net_set_backend(fd, 0, self->n.backend));
	vdev_set_mem(fd, &self->n.r.mem);
	EXPECT_EQ(-ENODEV, __vdev_set_running(fd, 0, 1));
	EXPECT_EQ(0, __net_set_backend(fd, 0, self->n.backend));
	close(fd);
}

TEST_F(abi, running_needs_a_backend)
{
	int fd = self->n.r.fd;

	EXPECT_EQ(-ENODEV, __vdev_set_running(fd, 0, 1));
	EXPECT_EQ(0, __vdev_set_running(fd, 0, 0));
	net_set_backend(&self->n, 0, self->n.backend);
	EXPECT_TRUE(vdev_get_stats(fd, 0).running);
	EXPECT_EQ(0, __vdev_set_running(fd, 0, 0));
	EXPECT_FALSE(vdev_get_stats(fd, 0).running);
	EXPECT_EQ(0, __vdev_set_running(fd, 0, 1));
	EXPECT_TRUE(vdev_get_stats(fd, 0).running);
	net_set_backend(&self->n, 0, -1);
	EXPECT_FALSE(vdev_get_stats(fd, 0).running);
	EXPECT_EQ(-ENODEV, __vdev_set_running(fd, 0, 1));
}

TEST_F(abi, refused_backend_leaves_the_old_one_at_work)
{
	u8 frame[100];

	net_start(&self->n, self->n.backend);
	EXPECT_EQ(-ENOTSOCK, __net_set_backend(self->n.r.fd, NET_TX, self->n.r.fd));
	EXPECT_EQ(-ENOTSOCK, __net_set_backend(self->n.r.fd, NET_RX, self->n.r.fd));
	net_fill(&self->n, frame, 100);
	net_send(&self->n, frame, 100, 1);
	net_peer_expect(&self->n, frame, 100);
}

TEST_F(abi, same_backend_again_leaves_it_at_work)
{
	struct net *n = &self->n;
	u8 frame[100];
	long before;
	int i;

	net_start(n, n->backend);
	before = proc_number("/proc/sys/fs/file-nr");
	for (i = 0; i < 1000; i++)
		net_set_backend(n, i & 1, n->backend);
	EXPECT_GT(before + 200, proc_number("/proc/sys/fs/file-nr"));
	net_fill(n, frame, 100);
	net_send(n, frame, 100, 1);
	net_peer_expect(n, frame, 100);
	net_offer(n, 0, 200, 1, 0);
	net_peer_send(n, frame, 100);
	net_expect(n, frame, 100, 200);
}

TEST_F(abi, reset_owner_forgets_the_backends)
{
	struct net *n = &self->n;

	net_start(n, n->backend);
	vdev_reset_owner(n->r.fd);
	rig_configure(&n->r);
	EXPECT_EQ(-ENODEV, __vdev_set_running(n->r.fd, 0, 1));
	EXPECT_EQ(-ENODEV, __vdev_set_running(n->r.fd, 1, 1));
	net_start(n, n->backend);
}

/* The tap's device goes with its last file: it does not while a queue has it. */
TEST_F(abi, backend_outlives_its_fd_and_nothing_else)
{
	struct net *n = &self->n;
	u8 frame[100];

	net_start(n, n->backend);
	close(n->backend);
	net_fill(n, frame, 100);
	net_send(n, frame, 100, 1);
	net_peer_expect(n, frame, 100);
	net_set_backend(n, NET_RX, -1);
	shell("ip link show tap0 >/dev/null");
	net_set_backend(n, NET_TX, -1);
	shell("! ip link show tap0 >/dev/null 2>&1");
	n->backend = open("/dev/null", O_RDWR);
}

TEST_F(abi, many_changes_leak_no_file)
{
	struct net *n = &self->n;
	int other = net_packet_socket("tap0", ETH_P_ALL), i;
	long before;

	net_start(n, n->backend);
	before = proc_number("/proc/sys/fs/file-nr");
	for (i = 0; i < 5000; i++)
		net_set_backend(n, i & 1, i & 2 ? n->backend : other);
	for (i = 0; i < 1000; i++)
		EXPECT_NE(0, __net_set_backend(n->r.fd, i & 1, n->r.fd));
	EXPECT_GT(before + 200, proc_number("/proc/sys/fs/file-nr"));
	close(other);
}

TEST_HARNESS_MAIN
