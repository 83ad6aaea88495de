/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A NIC of the VMM without a VM: its user datapath over the tests' guest memory, a driver for each queue,
 * and a socket in the place of the tap, whose other end the test has.
 *
 * in:  features, a number of queue pairs
 * out: packets, with their headers, both ways
 */
#ifndef SELFTEST_VNIC_H
#define SELFTEST_VNIC_H

#include "../../vmm/net_user.h"
#include "drv.h"
#include "memvm.h"

#define VNIC_MAX_PAIRS	2
#define VNIC_MAX_SEGS	40

/* Queues of pair @p. */
#define VNIC_RX(p)	(2 * (p))
#define VNIC_TX(p)	(2 * (p) + 1)

/**
 * struct vnic - the NIC
 * @peer: the other ends
 */
struct vnic {
	struct memvm m;
	struct net_nic nic;
	struct virtio_dev dev;
	struct drv drv[2 * VNIC_MAX_PAIRS];
	int peer[VNIC_MAX_PAIRS];
	bool running;
};

/* With queues of @num; EVENT_IDX and what @features has. It does not run yet. */
void vnic_init(struct vnic *v, u64 features, u32 num, enum drv_layout layout, unsigned int nr_pairs);
/* Before it runs: its one pair has a stream (net_stream.h) in the tap's place, in a socket of @bytes or so. */
void vnic_use_stream(struct vnic *v, int bytes);
/* Before it runs: its one pair has this, which it does not close. */
void vnic_use_tap(struct vnic *v, int fd);
void vnic_free(struct vnic *v);
/* The datapath takes over where the drivers are. */
void vnic_start(struct vnic *v);
/* The same on a host that lets nobody have an io_uring. */
void vnic_start_without_uring(struct vnic *v);
/* And checks nothing: each queue's ->state is what it says. */
void vnic_stop(struct vnic *v);

/* Adds and kicks. Return: its head. */
int vnic_submit(struct vnic *v, unsigned int q, const struct drv_seg *segs, u32 nr);
/* The same with one buffer. */
int vnic_submit1(struct vnic *v, unsigned int q, u64 gpa, u32 len, bool write);
/* Waits for one used element. Return: its head, or -1 where the deadline passed. */
int vnic_wait(struct vnic *v, unsigned int q, u32 *len);
/* Whether queue @q told the main thread that it broke; takes the signal back. */
bool vnic_broke(struct vnic *v, unsigned int q);

/* A packet of the network's. */
void vnic_peer_send(struct vnic *v, unsigned int pair, const void *packet, size_t bytes);
/* Waits for a packet of the guest's. Return: its bytes, or -1 where the deadline passed. */
ssize_t vnic_peer_receive(struct vnic *v, unsigned int pair, void *packet, size_t bytes);

#endif
