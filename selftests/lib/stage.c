// SPDX-License-Identifier: GPL-2.0
/*
 * The stage of fuzz_ioctl: devices in the midst of their work, for calls to disturb.
 *
 * in:  a state of prng(), for features and sizes
 * out: see calls.h
 */
#include "calls.h"
#include "fuzz.h"
#include "vdev.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* No call closes from here on; what is kept open from before lies below STAGE_FD. */
#define PRIVATE_FD	200

#define DISK_SIZE	(1U << 20)

static void place(int fd, int at)
{
	CHECK(fd >= 0 && dup2(fd, at) == at, "fd %d to %d", fd, at);
	close(fd);
}

static u64 offered(const char *class)
{
	int fd = vdev_open(class);
	u64 features = vdev_get_features(fd);

	close(fd);
	return features;
}

/* On a loopback interface of our own. */
static int loopback(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd;

	CHECK(!unshare(CLONE_NEWNET), "unshare");
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	CHECK(fd >= 0 && !ioctl(fd, SIOCSIFFLAGS, &ifr), "lo up");
	at.sll_ifindex = if_nametoindex("lo");
	CHECK(!bind(fd, (void *)&at, sizeof(at)), "bind");
	return fd;
}

/* Those under traffic: null has two queues. */
static const struct {
	u32 dev, queue;
} at[STAGE_LIVE] = {
	{ 0, 0 }, { 0, 1 }, { 1, 0 }, { STAGE_DISK, 0 }, { STAGE_CONSOLE, 0 }, { STAGE_CONSOLE, 1 },
	{ STAGE_NIC, 0 }, { STAGE_NIC, 1 },
};

void stage_init(struct stage *s)
{
	u32 i;

	*s = (struct stage) {
		.memfd = memfd_create("stage", MFD_CLOEXEC),
		.disk = memfd_create("disk", MFD_CLOEXEC),
		.nic = loopback(),
		.offered = offered("null") & offered("rng") & offered("blk") & offered("console") & offered("net"),
	};
	CHECK(!pipe2(s->pipe, O_CLOEXEC | O_NONBLOCK), "pipe");
	CHECK(s->disk >= 0 && !ftruncate(s->disk, DISK_SIZE), "memfd");
	CHECK(s->memfd >= 0 && !ftruncate(s->memfd, STAGE_SIZE), "memfd");
	s->view = mmap(NULL, STAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s->memfd, 0);
	CHECK(s->view != MAP_FAILED, "mmap");
	for (i = 0; i < STAGE_LIVE; i++) {
		struct live *l = &s->live[i];

		pthread_mutex_init(&l->lock, NULL);
		l->dev = at[i].dev;
		l->queue = at[i].queue;
	}
}

static void set_ring(struct stage *s, struct live *l, u64 features, u64 *state)
{
	u64 at = (l - s->live) * STAGE_RING;
	int fd = STAGE_FD + l->dev;
	u8 *p = (u8 *)STAGE_MEM + at;
	u32 base;

	l->ring = (struct fring) {
		.packed = features & F_PACKED,
		.num = 1U << fuzz_below(state, 7),
		.desc = (void *)(s->view + at),
		.avail = (void *)(s->view + at + STAGE_AVAIL),
		.used = (void *)(s->view + at + STAGE_USED),
	};
	l->state = prng(state) | 1;
	l->out = false;
	base = fring_random_base(&l->ring, state);
	fring_init(&l->ring, base);
	vdev_set_num(fd, l->queue, l->ring.num);
	CHECK(!__vdev_set_addr(fd, l->queue, p, p + STAGE_AVAIL, p + STAGE_USED), "SET_VRING_ADDR");
	vdev_set_base(fd, l->queue, base);
	vdev_set_kick(fd, l->queue, l->kick);
	vdev_set_call(fd, l->queue, STAGE_FD + STAGE_DEVICES + 2 * (l - s->live));
	vdev_set_err(fd, l->queue, STAGE_FD + STAGE_DEVICES + 2 * (l - s->live) + 1);
}

static void set_device(struct stage *s, u32 i, const char *class, u64 features, bool owned)
{
	struct {
		struct vhost_memory head;
		struct vhost_memory_region r[1];
	} t = {
		{ 1, 0 }, { { 0, STAGE_RAM_SIZE, STAGE_MEM + STAGE_RAM, 0 } },
	};

	place(vdev_open(class), STAGE_FD + i);
	if (!owned)
		return;
	vdev_set_owner(STAGE_FD + i);
	vdev_set_features(STAGE_FD + i, features);
	CHECK(!__vdev_set_mem(STAGE_FD + i, &t.head), "SET_MEM_TABLE");
}

static void start_nic(struct stage *s, u32 queue)
{
	struct vhost_vring_file f = { queue, s->nic };

	CHECK(!__vdev_ioctl(STAGE_FD + STAGE_NIC, VHOST_NET_SET_BACKEND, &f), "NET_SET_BACKEND");
}

void stage_set(struct stage *s, u64 state)
{
	u64 features;
	u32 i;

	CHECK(mmap((void *)STAGE_MEM, STAGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_FIXED, s->memfd, 0) == (void *)STAGE_MEM, "mmap");
	for (i = 0; i < STAGE_EVENTS; i++)
		place(eventfd(0, EFD_NONBLOCK), STAGE_FD + STAGE_DEVICES + i);
	for (i = 0; i < STAGE_LIVE; i++) {
		int fd = eventfd(0, EFD_NONBLOCK);

		s->live[i].kick = PRIVATE_FD + i;
		place(fd, PRIVATE_FD + i);
	}
	features = F_VERSION_1 | (prng(&state) & (F_INDIRECT | F_EVENT_IDX | F_IN_ORDER | F_PACKED));
	features &= s->offered;
	set_device(s, 0, "null", features, true);
	set_device(s, 1, "rng", features, true);
	set_device(s, 2, "null", 0, false);
	set_device(s, 3, "null", F_VERSION_1, true);
	set_device(s, STAGE_DISK, "blk", features, true);
	vdev_set_file(STAGE_FD + STAGE_DISK, s->disk);
	vdev_set_config(STAGE_FD + STAGE_DISK, &(struct vkick_blk_config) {
		.size = sizeof(struct vkick_blk_config),
		.capacity = DISK_SIZE / 512,
		.seg_max = 16,
		.max_discard_seg = 4,
		.max_discard_sectors = 64,
		.max_write_zeroes_seg = 4,
		.max_write_zeroes_sectors = 64,
	});
	set_device(s, STAGE_CONSOLE, "console", features, true);
	CHECK(!__vdev_ioctl(STAGE_FD + STAGE_CONSOLE, VKICK_CONSOLE_SET_PORT, &(struct vkick_console_port) {
		.size = sizeof(struct vkick_console_port), .in_fd = s->pipe[0], .out_fd = s->pipe[1], .event_fd = -1,
	}), "CONSOLE_SET_PORT");
	/* A packet socket has no headers: the device makes them, and takes them away. */
	set_device(s, STAGE_NIC, "net", features | 1ULL << VHOST_NET_F_VIRTIO_NET_HDR |
		   (prng(&state) & 1ULL << VIRTIO_NET_F_MRG_RXBUF), true);
	for (i = 0; i < STAGE_LIVE; i++)
		set_ring(s, &s->live[i], features, &state);
	for (i = 0; i < STAGE_LIVE; i++) {
		if (at[i].dev == STAGE_NIC)
			start_nic(s, at[i].queue);
		else
			vdev_start(STAGE_FD + at[i].dev, at[i].queue);
	}
	atomic_store(&s->quit, false);
}

void stage_strike(struct stage *s)
{
	u32 i;

	for (i = 0; i < STAGE_DEVICES + STAGE_EVENTS; i++)
		close(STAGE_FD + i);
	for (i = 0; i < STAGE_LIVE; i++)
		close(s->live[i].kick);
}

static u32 random_chain(struct live *l, struct drv_seg *segs)
{
	u32 nr = 1 + fuzz_below(&l->state, 4), i;

	for (i = 0; i < nr; i++)
		segs[i] = (struct drv_seg) {
			.gpa = fuzz_below(&l->state, STAGE_RAM_SIZE - 2048),
			.len = 1 + fuzz_below(&l->state, 2048),
			.write = i >= nr / 2,
		};
	return nr;
}

/* A disk's request, mostly as it should be. */
static u32 disk_chain(struct stage *s, struct live *l, struct drv_seg *segs)
{
	static const u32 types[] = {
		VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID,
		VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_T_IN, 99,
	};
	struct virtio_blk_outhdr h = {
		.type = htole32(types[fuzz_below(&l->state, 8)]),
		.sector = htole64(fuzz_below(&l->state, DISK_SIZE / 512 + 8)),
	};
	u32 len = 512 * (1 + fuzz_below(&l->state, 4));

	if (fuzz_one_in(&l->state, 64))
		return random_chain(l, segs);
	if (h.type == htole32(VIRTIO_BLK_T_DISCARD) ||
	    h.type == htole32(VIRTIO_BLK_T_WRITE_ZEROES))
		len = 16;
	segs[0] = (struct drv_seg) { fuzz_below(&l->state, 1024), sizeof(h), false };
	segs[1] = (struct drv_seg) {
		1024 + fuzz_below(&l->state, STAGE_RAM_SIZE - 4096), len,
		h.type == htole32(VIRTIO_BLK_T_IN) || h.type == htole32(VIRTIO_BLK_T_GET_ID),
	};
	segs[2] = (struct drv_seg) { STAGE_RAM_SIZE - 1 - fuzz_below(&l->state, 64), 1, true };
	memcpy(s->view + STAGE_RAM + segs[0].gpa, &h, sizeof(h));
	/* A range near the beginning, of some sectors. */
	if (len == 16)
		memcpy(s->view + STAGE_RAM + segs[1].gpa,
		       (u32[]) { htole32(fuzz_below(&l->state, 64)), 0,
				 htole32(fuzz_below(&l->state, 70)), 0 }, 16);
	return 3;
}

/* All its buffers are for the one way, mostly. */
static u32 port_chain(struct live *l, struct drv_seg *segs)
{
	u32 nr = random_chain(l, segs), i;

	for (i = 0; i < nr && !fuzz_one_in(&l->state, 64); i++)
		segs[i].write = !(l->queue & 1);
	return nr;
}

/* A few chains, all that is free at most. */
static void submit(struct stage *s, struct live *l)
{
	u32 chains = 1 + fuzz_below(&l->state, 3), nr;
	struct drv_seg segs[4];

	fring_recycle(&l->ring);
	while (chains--) {
		if (l->dev == STAGE_DISK)
			nr = disk_chain(s, l, segs);
		else if (l->dev == STAGE_CONSOLE || l->dev == STAGE_NIC)
			nr = port_chain(l, segs);
		else
			nr = random_chain(l, segs);
		if (!fring_add(&l->ring, segs, nr, NULL, 0))
			break;
	}
	l->out = l->ring.pending;
	fring_publish(&l->ring);
}

void stage_drive(struct stage *s, struct live *l)
{
	u64 one = 1;
	bool kick;

	while (!atomic_load(&s->quit)) {
		pthread_mutex_lock(&l->lock);
		kick = !l->out || fring_all_used(&l->ring);
		if (kick) {
			l->done += l->out;
			submit(s, l);
		}
		pthread_mutex_unlock(&l->lock);
		/* EAGAIN: it was kicked 2^64 - 2 times, by a call of the others. */
		if (kick)
			CHECK(write(l->kick, &one, 8) == 8 || errno == EAGAIN, "kick");
		else
			usleep(1000);	/* more often, and there is less traffic: nobody else gets the CPU */
	}
}
