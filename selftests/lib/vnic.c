// SPDX-License-Identifier: GPL-2.0
/*
 * A NIC of the VMM without a VM.
 *
 * in:  features, a number of queue pairs
 * out: see vnic.h; and what the VMM's other files would give the datapath
 */
#include "vnic.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* A packet is in one piece on its way through the socket. */
#define SOCKET_BYTES	(4 << 20)

/* ---- What dev_net.c is in the VMM ----------------------------------------------------- */

struct net_nic *net_nic_of(const struct virtio_dev *dev)
{
	return dev->priv;
}

/* ---- The NIC ---------------------------------------------------------------------------- */

static const struct virtio_class class = { .name = "net" };

static void init_queue(struct vnic *v, unsigned int q, u64 features, u32 num, enum drv_layout layout)
{
	struct datapath_queue *r = &v->dev.ring[q];
	struct drv *d = &v->drv[q];

	drv_init(d, &v->m.mem, num, features, layout, VNIC_MAX_SEGS);
	*r = (struct datapath_queue) {
		.enabled = true,
		.num = num,
		.desc = d->desc_gpa,
		.avail = d->avail_gpa,
		.used = d->used_gpa,
		.kick_fd = ev_new(),
		.call_fd = ev_new(),
		.err_fd = ev_new(),
	};
}

static void init_pair(struct vnic *v, unsigned int pair)
{
	int fd[2], bytes = SOCKET_BYTES, i;

	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), "socketpair");
	for (i = 0; i < 2; i++)
		CHECK(!setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), "SO_SNDBUF");
	v->nic.tap.fd[pair] = fd[0];
	v->peer[pair] = fd[1];
}

void vnic_init(struct vnic *v, u64 features, u32 num, enum drv_layout layout, unsigned int nr_pairs)
{
	unsigned int i;

	memset(v, 0, sizeof(*v));
	gmem_add_standard(&v->m.mem);
	features |= F_VERSION_1 | F_INDIRECT | F_EVENT_IDX;
	v->nic.tap.nr = nr_pairs;
	v->dev = (struct virtio_dev) {
		.vm = &v->m.vm,
		.class = &class,
		.name = "net0",
		.priv = &v->nic,
		.nr_queues = 2 * nr_pairs + 1,
		.nr_served = 2 * nr_pairs,
		.acked = features,
	};
	for (i = 0; i < nr_pairs; i++)
		init_pair(v, i);
	for (i = 0; i < 2 * nr_pairs; i++)
		init_queue(v, i, features, num, layout);
}

void vnic_use_stream(struct vnic *v, int bytes)
{
	struct net_stream *s;
	int fd[2];

	close(v->nic.tap.fd[0]);
	close(v->peer[0]);
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), "socketpair");
	s = net_stream_new(fd[0], "stream");
	CHECK(!setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), "SO_SNDBUF");
	v->nic.tap.stream = s;
	v->nic.tap.fd[0] = fd[0];
	v->peer[0] = fd[1];
}

void vnic_use_tap(struct vnic *v, int fd)
{
	close(v->nic.tap.fd[0]);
	v->nic.tap.fd[0] = dup(fd);
	CHECK(v->nic.tap.fd[0] >= 0, "dup");
}

void vnic_free(struct vnic *v)
{
	unsigned int i;

	if (v->running)
		vnic_stop(v);
	if (v->dev.datapath)
		v->dev.datapath->ops->close(v->dev.datapath);
	for (i = 0; i < v->dev.nr_served; i++) {
		close(v->dev.ring[i].kick_fd);
		close(v->dev.ring[i].call_fd);
		close(v->dev.ring[i].err_fd);
		drv_free(&v->drv[i]);
	}
	for (i = 0; i < v->nic.tap.nr; i++) {
		close(v->nic.tap.fd[i]);
		close(v->peer[i]);
	}
	free(v->nic.tap.stream);
	gmem_free(&v->m.mem);
}

static void open_datapath(struct vnic *v)
{
	char why[WHY_BYTES];
	unsigned int i;

	if (v->dev.datapath)
		return;
	v->dev.datapath = datapath_net_user.open(&v->dev, why);
	CHECK(v->dev.datapath, "%s", why);
	for (i = 0; i < v->dev.nr_served; i++)
		v->dev.ring[i].state = drv_base_after(&v->drv[i], 0);
}

void vnic_start(struct vnic *v)
{
	int err;

	open_datapath(v);
	err = datapath_start(v->dev.datapath);
	CHECK(!err, "start: %s", strerror(-err));
	v->running = true;
}

/* Of what a start opens there is nothing else. */
void vnic_start_without_uring(struct vnic *v)
{
	struct rlimit files, none;

	open_datapath(v);
	CHECK(!getrlimit(RLIMIT_NOFILE, &files), "getrlimit");
	none = files;
	none.rlim_cur = 0;
	CHECK(!setrlimit(RLIMIT_NOFILE, &none), "setrlimit");
	vnic_start(v);
	CHECK(!setrlimit(RLIMIT_NOFILE, &files), "setrlimit");
}

void vnic_stop(struct vnic *v)
{
	datapath_stop(v->dev.datapath);
	v->running = false;
}

int vnic_submit(struct vnic *v, unsigned int q, const struct drv_seg *segs, u32 nr)
{
	int head = drv_add(&v->drv[q], segs, nr);

	CHECK(head >= 0, "the ring is full");
	drv_kick(&v->drv[q], v->dev.ring[q].kick_fd);
	return head;
}

int vnic_submit1(struct vnic *v, unsigned int q, u64 gpa, u32 len, bool write)
{
	struct drv_seg seg = { gpa, len, write };

	return vnic_submit(v, q, &seg, 1);
}

int vnic_wait(struct vnic *v, unsigned int q, u32 *len)
{
	if (!drv_wait(&v->drv[q], v->dev.ring[q].call_fd, DEADLINE_MS))
		return -1;
	return drv_get(&v->drv[q], len);
}

bool vnic_broke(struct vnic *v, unsigned int q)
{
	return ev_wait(v->dev.ring[q].err_fd, DEADLINE_MS) && ev_take(v->dev.ring[q].err_fd);
}

void vnic_peer_send(struct vnic *v, unsigned int pair, const void *packet, size_t bytes)
{
	struct pollfd p = { .fd = v->peer[pair], .events = POLLOUT };

	while (send(v->peer[pair], packet, bytes, 0) < 0) {
		CHECK(errno == EAGAIN && poll(&p, 1, DEADLINE_MS) == 1, "send");
	}
}

ssize_t vnic_peer_receive(struct vnic *v, unsigned int pair, void *packet, size_t bytes)
{
	struct pollfd p = { .fd = v->peer[pair], .events = POLLIN };

	if (poll(&p, 1, DEADLINE_MS) != 1)
		return -1;
	return recv(v->peer[pair], packet, bytes, 0);
}
