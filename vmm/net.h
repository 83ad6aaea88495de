/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A network device: what its files know of it. Objects:
 *
 *	dev_net.c	the device: options, features, config space, the link
 *	net_tap.c	the host's end: a tap, of which each pair of queues has a file
 *	net_passt.c	or a socket, to passt
 *	net_stream.c	packets over that
 *	net_ctrl.c	commands of the driver's
 *	net_user.c	datapath=user: a thread for each pair of queues
 *	net_rx.c	packets to the driver
 *	net_tx.c	packets of the driver
 *	net_uring.c	many of either in one system call
 *
 * Section numbers in these files are of VIRTIO 1.2.
 */
#ifndef NET_H
#define NET_H

#include <linux/virtio_net.h>
#include <net/if.h>

#include "vmm.h"

/* With VERSION_1 the header ends with num_buffers, whatever else is negotiated (5.1.6.1). */
#define NET_HDR_BYTES		sizeof(struct virtio_net_hdr_mrg_rxbuf)

#define NET_MAC_BYTES		6

/* Pairs of queues, beside the control queue. */
#define NET_MAX_PAIRS		31

/* Ports, or lists of them, of --net user. */
#define NET_MAX_FORWARDS	16

/* From Linux 6.2 on in <linux/virtio_net.h>. */
#define NET_F_GUEST_USO4	54
#define NET_F_GUEST_USO6	55
#define NET_F_HOST_USO		56
#define NET_HDR_GSO_UDP_L4	5

struct virtio_dev;
struct net_stream;
struct vring_chain;

/**
 * struct net_tap - the host's end
 * @name: of the interface
 * @stream: it is this, and no tap; or NULL
 * @fd: of each pair of queues
 * @ufo: it takes UDP packets to be fragmented; Linux has made none since 4.14
 * @uso: it takes and makes UDP segmentation offload
 */
struct net_tap {
	char name[IFNAMSIZ];
	struct net_stream *stream;
	u32 nr;
	int fd[NET_MAX_PAIRS];
	bool ufo;
	bool uso;
};

/**
 * struct net_nic - one device's; vm->lock, but for @tap, which is constant
 * @mac: the guest's; @own_mac at a reset
 * @mtu: that the guest is told; 0: none
 * @link_up: the cable is plugged in
 * @announce: the driver is to tell the network where it is (5.1.4.2), and has not said that it did
 * @pairs: of queues that the driver uses
 */
struct net_nic {
	struct net_tap tap;
	u8 mac[NET_MAC_BYTES];
	u8 own_mac[NET_MAC_BYTES];
	u16 mtu;
	bool link_up;
	bool announce;
	u32 pairs;
};

/* ---- dev_net.c ---------------------------------------------------------------------- */

/* The NIC of a device of its class. */
struct net_nic *net_nic_of(const struct virtio_dev *dev);

/* ---- net_tap.c ---------------------------------------------------------------------- */

/* An interface that is there, by its name, with so many queues. die()s. */
void net_tap_open(struct net_tap *tap, const char *name, u32 queues);
/* No interface, but this. */
void net_tap_be_stream(struct net_tap *tap, struct net_stream *stream);
/* One that somebody opened for us. die()s. */
void net_tap_take(struct net_tap *tap, const int *fds, u32 queues);
/* Features of the class that come with the host's end. */
u64 net_tap_features(const struct net_tap *tap);
/* What the driver takes of packets that are not as on a wire, by GUEST_* bits. Return: 0 or -errno. */
int net_tap_set_offloads(const struct net_tap *tap, u64 features);
/* The host sends to the first @queues files alone. Return: 0 or -errno. */
int net_tap_use(const struct net_tap *tap, u32 queues);
/* Whether the interface was deleted. Its files stay, and say so. */
bool net_tap_is_gone(const struct net_tap *tap);
/* The interface's MTU; 0 if it is in another namespace, where it cannot be asked for. */
u32 net_tap_mtu(const struct net_tap *tap);
/* Whether the host sees the cable plugged in. Not all kinds can tell it. */
void net_tap_set_carrier(const struct net_tap *tap, bool on);

/* ---- net_ctrl.c ----------------------------------------------------------------------- */

/* One command, as virtio_class.serve_own. */
int64_t net_ctrl_serve(struct virtio_dev *dev, unsigned int i, const struct vring_chain *c);

#endif
