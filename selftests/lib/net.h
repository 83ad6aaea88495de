/* SPDX-License-Identifier: GPL-2.0 */
/*
 * /dev/vkick-net between a driver and a host's interface, in a network namespace of
 * the test's own.
 *
 * in:  features, a kind of backend
 * out: frames from the driver to a packet socket of the host, and back
 *
 * The host's end is a packet socket that sees what comes out of the interface of the
 * backend, and sends what goes in there: a tap itself, or a veth's or macvtap's peer.
 */
#ifndef SELFTEST_NET_H
#define SELFTEST_NET_H

#include <linux/virtio_net.h>

#include "rig.h"

#define F_MRG		(1ULL << VIRTIO_NET_F_MRG_RXBUF)
#define F_OWN_HDR	(1ULL << VHOST_NET_F_VIRTIO_NET_HDR)

#define NET_RX		0
#define NET_TX		1

/* Of IEEE's, for experiments: no protocol of the host answers. */
#define NET_ETHERTYPE	0x88b5

#define NET_MTU		65521	/* of a tap, at most */
#define NET_MAX_FRAME	(NET_MTU + 14)
#define NET_MIN_FRAME	14

/* Room for one packet each, and what the driver writes only here, and never here. */
#define NET_TX_BUF	(GMEM_BORDER - 0x10000)
#define NET_RX_BUF	GMEM_FAR
#define NET_BUF_BYTES	0x20000

enum net_kind {
	NET_TAP,
	NET_PACKET,	/* a packet socket on a veth */
	NET_MACVTAP,
};

/**
 * struct net_conf - what net_open() makes
 * @kind: of backend
 * @features: as for rig_conf, and F_MRG, F_OWN_HDR
 * @legacy: without F_VERSION_1
 * @layout: of the driver's chains
 * @num: size of the queues; 0: 64
 * @max_segs: longest chain; 0: 8
 */
struct net_conf {
	enum net_kind kind;
	u64 features;
	bool legacy;
	enum drv_layout layout;
	u32 num;
	u32 max_segs;
};

/**
 * struct net - a NIC at work
 * @backend: the fd that it was given
 * @peer: the host's end
 * @hdr: bytes of its header
 * @mrg: F_MRG
 * @num_buffers: there is one in the header
 */
struct net {
	struct rig r;
	struct vq *rx, *tx;
	int backend, peer;
	u32 hdr;
	bool mrg, num_buffers;
	u64 rng;
};

/* In a new namespace, with the backend's interface up, and both queues running. */
void net_open(struct net *n, const struct net_conf *conf);
/* The same without VHOST_NET_SET_BACKEND. */
void net_open_stopped(struct net *n, const struct net_conf *conf);
/* Of one that was never opened: nothing. */
void net_close(struct net *n);

int __net_set_backend(int fd, u32 index, int backend);
void net_set_backend(struct net *n, u32 index, int backend);
/* Both queues. */
void net_start(struct net *n, int backend);

/* Enters a new network namespace, without IPv6 and so without a word of its own. */
void net_unshare(void);
/* Whether this kernel has it: commands that succeed, in a namespace that is thrown away. */
bool net_can(const char *commands);
bool net_has(enum net_kind kind);
/* A tap with a header of @hdr bytes (0: none), all offloads, up; its fd. */
int net_tap(const char *name, u32 hdr);
/* A packet socket of SOCK_RAW on an interface. */
int net_packet_socket(const char *name, u16 ethertype);

/* A link that just came up loses what is sent until the kernel has taken note: waits for that. */
void net_wait_link(const char *from, const char *to);

/* Fills @frame with random bytes behind an Ethernet header. */
void net_fill(struct net *n, u8 *frame, u32 len);
void net_write(struct net *n, u64 gpa, const void *src, u32 len);

/*
 * Cuts @len bytes at @gpa into @nr pieces at random places, with a cut at @cut if that
 * is not 0. Return: pieces, at most @nr
 */
u32 net_cut(struct net *n, struct drv_seg *segs, u32 nr, u64 gpa, u32 len, u32 cut,
	    bool write);

/* Puts a header of zeroes and @frame at NET_TX_BUF, and a chain for it in the ring. */
void net_send_cut(struct net *n, const u8 *frame, u32 len, u32 segs, u32 cut);
/* The same in up to @segs pieces; and waits until it is used. */
void net_send(struct net *n, const u8 *frame, u32 len, u32 segs);

/* What the peer gets next has to be @frame. */
void net_peer_expect(struct net *n, const u8 *frame, u32 len);
/*
 * It gets @nr frames of @len bytes, each once and as it was, in whatever order: a queueing discipline's packets come from
 * the CPU that happens to dequeue them, and each CPU has a backlog of its own.
 */
void net_peer_expect_all(struct net *n, const u8 *frames, u32 len, u32 nr);
/* Whether nothing is there for the peer. */
bool net_peer_quiet(struct net *n);
void net_peer_send(struct net *n, const u8 *frame, u32 len);

/* Offers a buffer at NET_RX_BUF + @at; its chain. */
int net_offer(struct net *n, u32 at, u32 len, u32 segs, u32 cut);

/*
 * Waits for a packet in buffers that were offered one behind the other from NET_RX_BUF
 * on, each of @each bytes, and looks at all that is to be said of it.
 */
void net_expect(struct net *n, const u8 *frame, u32 len, u32 each);

u64 net_dropped(struct net *n, u32 index);
/* Waits until so many were. */
void net_wait_dropped(struct net *n, u32 index, u64 count);

#endif
