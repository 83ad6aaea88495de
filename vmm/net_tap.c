// SPDX-License-Identifier: GPL-2.0
/*
 * The host's end of a network device: tun/tap, macvtap, ipvtap; and what a socket in their place has of that, which is nothing.
 *
 * in:  a name, or files that somebody opened
 * out: a file for each pair of queues, with the header that VIRTIO 1 wants in front of each packet
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_config.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_stream.h"

/* From Linux 6.2 on in <linux/if_tun.h>. */
#define NET_TUN_F_USO4	0x20
#define NET_TUN_F_USO6	0x40

#define BASE_OFFLOADS	(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
#define USO_OFFLOADS	(NET_TUN_F_USO4 | NET_TUN_F_USO6)

/* @what: as given, for the message. */
static void set_up(struct net_tap *tap, const char *what)
{
	int hdr_bytes = NET_HDR_BYTES, little_endian = 1;
	u32 i;

	for (i = 0; i < tap->nr; i++)
		if (ioctl(tap->fd[i], TUNSETVNETHDRSZ, &hdr_bytes) ||
		    ioctl(tap->fd[i], TUNSETVNETLE, &little_endian))
			die("--net %s: it takes no headers of %d bytes: %s", what, hdr_bytes, strerror(errno));
	if (ioctl(tap->fd[0], TUNSETOFFLOAD, BASE_OFFLOADS))
		die("--net %s: it has no offloads: %s", what, strerror(errno));
	tap->ufo = !ioctl(tap->fd[0], TUNSETOFFLOAD, BASE_OFFLOADS | TUN_F_UFO);
	tap->uso = !ioctl(tap->fd[0], TUNSETOFFLOAD, BASE_OFFLOADS | USO_OFFLOADS);
	net_tap_set_offloads(tap, 0);
}

/* Return: a file of the interface, or -1 with errno. */
static int open_queue(const char *name, int flags)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), err;

	if (fd < 0)
		die("--net tap=%s: /dev/net/tun: %s: load its module (modprobe tun)", name, strerror(errno));
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (!ioctl(fd, TUNSETIFF, &ifr))
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

static const char *remedy(int err, u32 queues)
{
	switch (err) {
	case EBUSY:
		return "another program has it";
	case EPERM:
		return "give it to this user (ip tuntap add ... user NAME), or be root";
	case EINVAL:
		return queues > 1 ? "make it with multi_queue (ip tuntap add ... mode tap multi_queue)" :
				    "give an interface that is a tap";
	default:
		return strerror(err);
	}
}

void net_tap_open(struct net_tap *tap, const char *name, u32 queues)
{
	int flags = queues > 1 ? IFF_MULTI_QUEUE : 0;
	char what[64];

	/* TUNSETIFF would make one, which nobody has plugged in anywhere. */
	if (strlen(name) >= IFNAMSIZ || !if_nametoindex(name))
		die("--net tap=%s: no such interface: make it (ip tuntap add %s mode tap%s)", name, name,
		    queues > 1 ? " multi_queue" : "");
	snprintf(tap->name, sizeof(tap->name), "%s", name);
	while (tap->nr < queues) {
		int fd = open_queue(name, flags);

		/* One queue of an interface that was made for more will do. */
		if (fd < 0 && errno == EINVAL && queues == 1 && !flags) {
			flags = IFF_MULTI_QUEUE;
			continue;
		}
		if (fd < 0)
			die("--net tap=%s: queue %u of %u: %s", name, tap->nr + 1, queues, remedy(errno, queues));
		tap->fd[tap->nr++] = fd;
	}
	snprintf(what, sizeof(what), "tap=%s", name);
	set_up(tap, what);
}

void net_tap_take(struct net_tap *tap, const int *fds, u32 queues)
{
	char what[64];
	u32 i;

	for (i = 0; i < queues; i++) {
		struct ifreq ifr = { 0 };
		int flags, fd;

		if (ioctl(fds[i], TUNGETIFF, &ifr))
			die("--net fd=%d: %s: give an open tap", fds[i],
			    errno == EBADF ? "not open" : "not a tap");
		if (!(ifr.ifr_flags & IFF_TAP) || !(ifr.ifr_flags & IFF_NO_PI) ||
		    !(ifr.ifr_flags & IFF_VNET_HDR))
			die("--net fd=%d: open it with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR", fds[i]);
		/* One of our own: the sandbox closes what we were given. */
		fd = fcntl(fds[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		flags = fcntl(fd, F_GETFL);
		if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
			die("--net fd=%d: %s", fds[i], strerror(errno));
		memcpy(tap->name, ifr.ifr_name, sizeof(tap->name));
		tap->name[IFNAMSIZ - 1] = 0;
		tap->fd[tap->nr++] = fd;
	}
	snprintf(what, sizeof(what), "fd=%d", fds[0]);
	set_up(tap, what);
}

void net_tap_be_stream(struct net_tap *tap, struct net_stream *stream)
{
	tap->stream = stream;
	tap->fd[0] = stream->fd;
	tap->nr = 1;
}

u64 net_tap_features(const struct net_tap *tap)
{
	u64 f = 1UL << VIRTIO_NET_F_CSUM | 1UL << VIRTIO_NET_F_HOST_TSO4 | 1UL << VIRTIO_NET_F_HOST_TSO6 |
		1UL << VIRTIO_NET_F_HOST_ECN | 1UL << VIRTIO_NET_F_GUEST_CSUM | 1UL << VIRTIO_NET_F_GUEST_TSO4 |
		1UL << VIRTIO_NET_F_GUEST_TSO6 | 1UL << VIRTIO_NET_F_GUEST_ECN;

	if (tap->stream)
		return 0;
	if (tap->ufo)
		f |= 1UL << VIRTIO_NET_F_HOST_UFO | 1UL << VIRTIO_NET_F_GUEST_UFO;
	if (tap->uso)
		f |= 1UL << NET_F_HOST_USO | 1UL << NET_F_GUEST_USO4 | 1UL << NET_F_GUEST_USO6;
	return f;
}

int net_tap_set_offloads(const struct net_tap *tap, u64 features)
{
	static const struct {
		u8 bit;
		u32 flag;
	} offload[] = {
		{ VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4 },
		{ VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6 },
		{ VIRTIO_NET_F_GUEST_UFO, TUN_F_UFO },
		{ NET_F_GUEST_USO4, NET_TUN_F_USO4 },
		{ NET_F_GUEST_USO6, NET_TUN_F_USO6 },
	};
	const unsigned long tso = TUN_F_TSO4 | TUN_F_TSO6;
	unsigned long flags = 0;
	unsigned int i;

	if (tap->stream)
		return 0;
	/* 5.1.3.1: all others go with this one; a driver that has them alone gets none. */
	if (features & 1UL << VIRTIO_NET_F_GUEST_CSUM) {
		flags = TUN_F_CSUM;
		for (i = 0; i < ARRAY_SIZE(offload); i++)
			if (features & 1UL << offload[i].bit)
				flags |= offload[i].flag;
	}
	if (features & 1UL << VIRTIO_NET_F_GUEST_ECN && flags & tso)
		flags |= TUN_F_TSO_ECN;
	/* A tap takes UDP's for both, or for none. */
	if ((flags & USO_OFFLOADS) != USO_OFFLOADS)
		flags &= ~(unsigned long)USO_OFFLOADS;
	return ioctl(tap->fd[0], TUNSETOFFLOAD, flags) ? -errno : 0;
}

/* One that is so already says EINVAL, or has one queue and does not mind. */
int net_tap_use(const struct net_tap *tap, u32 queues)
{
	u32 i;

	for (i = 0; i < tap->nr && tap->nr > 1; i++) {
		struct ifreq ifr = { .ifr_flags = i < queues ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

		if (ioctl(tap->fd[i], TUNSETQUEUE, &ifr) && errno != EINVAL)
			return -errno;
	}
	return 0;
}

bool net_tap_is_gone(const struct net_tap *tap)
{
	struct ifreq ifr = { 0 };

	/* A tap's word for it, and a macvtap's. */
	return ioctl(tap->fd[0], TUNGETIFF, &ifr) && (errno == EBADFD || errno == ENOLINK);
}

u32 net_tap_mtu(const struct net_tap *tap)
{
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq own = { 0 }, named = { 0 };
	u32 mtu = 0;

	/* By its name one may find another: addresses tell them apart. */
	memcpy(named.ifr_name, tap->name, sizeof(named.ifr_name));
	if (!ioctl(tap->fd[0], SIOCGIFHWADDR, &own) && !ioctl(sock, SIOCGIFHWADDR, &named) &&
	    !memcmp(own.ifr_hwaddr.sa_data, named.ifr_hwaddr.sa_data, NET_MAC_BYTES) && !ioctl(sock, SIOCGIFMTU, &named))
		mtu = named.ifr_mtu;
	close(sock);
	return mtu;
}

void net_tap_set_carrier(const struct net_tap *tap, bool on)
{
	int carrier = on;

	if (tap->stream)
		return;
	ioctl(tap->fd[0], TUNSETCARRIER, &carrier);
}
