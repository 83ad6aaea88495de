// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel datapath: hands a device's queues to the module, which serves them
 * with no exit to userspace (steps 2 to 8 happen in kmod/).
 *
 * in:  rings in guest memory, eventfds
 * out: ioctls of <linux/vhost.h> and <linux/vkick.h>
 *
 * Once a queue runs, nothing of ours is on its path. Mind the addresses: vhost
 * takes rings as addresses of this process, and looks up descriptors, which hold
 * guest addresses, in the memory table.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/vkick.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "virtio.h"

struct kernel_datapath {
	struct datapath dp;
	int fd;
};

static struct kernel_datapath *to_kernel(struct datapath *dp)
{
	return container_of(dp, struct kernel_datapath, dp);
}

/* Return: 0 or -errno. */
static int vhost(int fd, unsigned long request, const void *arg)
{
	return ioctl(fd, request, arg) < 0 ? -errno : 0;
}

/* ---- Opening --------------------------------------------------------------------- */

static int open_node(const struct virtio_class *class, char *why)
{
	int fd = open(class->node, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENXIO || errno == ENODEV)
		return explain(why, "%s missing: load the module (modprobe vkick), or use datapath=user",
			       class->node);
	return explain(why, "%s: %s", class->node, strerror(errno));
}

/* SET_OWNER made worker 0, which serves all queues until told otherwise. */
static int add_workers(int fd, const struct virtio_dev *dev, char *why)
{
	u32 ids[VIRTIO_MAX_QUEUES] = { 0 };
	unsigned int i;

	for (i = 1; i < dev->nr_workers; i++) {
		struct vhost_worker_state w = { 0 };
		int err = vhost(fd, VHOST_NEW_WORKER, &w);

		if (err)
			return explain(why, "thread %u of %u: %s: give fewer iothreads=", i + 1,
				       dev->nr_workers, strerror(-err));
		ids[i] = w.worker_id;
	}
	for (i = 0; i < dev->nr_queues && dev->nr_workers > 1; i++) {
		struct vhost_vring_worker at = {
			.index = i, .worker_id = ids[i % dev->nr_workers],
		};
		int err = vhost(fd, VHOST_ATTACH_VRING_WORKER, &at);

		if (err)
			return explain(why, "thread for queue %u: %s", i, strerror(-err));
	}
	return 0;
}

static int set_polling(int fd, const struct virtio_dev *dev, char *why)
{
	unsigned int i;

	for (i = 0; i < dev->nr_queues && dev->poll_us; i++) {
		struct vhost_vring_state s = { .index = i, .num = dev->poll_us };
		int err = vhost(fd, VHOST_SET_VRING_BUSYLOOP_TIMEOUT, &s);

		if (err)
			return explain(why, "poll=%u: %s: %s", dev->poll_us, dev->class->node,
				       strerror(-err));
	}
	return 0;
}

/* The device is the module of this release's, and ours. */
static int claim(struct kernel_datapath *k, struct virtio_dev *dev, char *why)
{
	const struct virtio_class *class = dev->class;
	struct vkick_info info = { .size = sizeof(info) };
	__u64 features = 0;

	if (vhost(k->fd, VKICK_GET_INFO, &info) || info.abi_version != VKICK_ABI_VERSION ||
	    info.device_id != class->device_id || info.nvqs < dev->nr_queues)
		return explain(why, "%s speaks another version: use the module of this release",
			       class->node);
	if (vhost(k->fd, VHOST_GET_FEATURES, &features) || vhost(k->fd, VHOST_SET_OWNER, NULL))
		return explain(why, "%s: %s", class->node, strerror(errno));
	k->dp = (struct datapath) {
		.ops = &datapath_kernel,
		.dev = dev,
		/* What is the VMM's: the module starts and stops queues one by one anyway. */
		.features = features | 1UL << VIRTIO_F_RING_RESET,
		.max_queue_size = info.max_queue_size,
	};
	return 0;
}

static void kernel_close(struct datapath *dp)
{
	close(to_kernel(dp)->fd);
	free(to_kernel(dp));
}

static struct datapath *kernel_open(struct virtio_dev *dev, char *why)
{
	const struct virtio_class *class = dev->class;
	struct kernel_datapath *k;
	int fd = open_node(class, why);

	if (fd < 0)
		return NULL;
	k = calloc(1, sizeof(*k));
	if (!k) {
		close(fd);
		explain(why, "out of memory");
		return NULL;
	}
	k->fd = fd;
	if (claim(k, dev, why) || add_workers(fd, dev, why) || set_polling(fd, dev, why) ||
	    (class->kernel_open && class->kernel_open(dev, fd, why))) {
		kernel_close(&k->dp);
		return NULL;
	}
	return &k->dp;
}

/* ---- Starting and stopping ---------------------------------------------------------- */

static int set_mem_table(struct kernel_datapath *k)
{
	const struct vm *vm = k->dp.dev->vm;
	struct {
		struct vhost_memory head;
		struct vhost_memory_region region[ARRAY_SIZE(vm->ram)];
	} table = { .head.nregions = vm->nr_ram };
	unsigned int i;

	for (i = 0; i < vm->nr_ram; i++)
		table.region[i] = (struct vhost_memory_region) {
			.guest_phys_addr = vm->ram[i].gpa,
			.memory_size = vm->ram[i].bytes,
			.userspace_addr = (u64)vm->ram[i].hva,
		};
	return vhost(k->fd, VHOST_SET_MEM_TABLE, &table);
}

static int set_addr(struct kernel_datapath *k, unsigned int i)
{
	const struct datapath_queue *r = &k->dp.dev->ring[i];
	const struct vm *vm = k->dp.dev->vm;
	bool packed = virtio_packed(k->dp.dev);
	struct vhost_vring_addr addr = {
		.index = i,
		.desc_user_addr = (u64)guest_ptr(vm, r->desc, vring_desc_bytes(r->num)),
		.avail_user_addr = (u64)guest_ptr(vm, r->avail, vring_avail_bytes(r->num, packed)),
		.used_user_addr = (u64)guest_ptr(vm, r->used, vring_used_bytes(r->num, packed)),
	};

	if (!addr.desc_user_addr || !addr.avail_user_addr || !addr.used_user_addr)
		return -EFAULT;
	return vhost(k->fd, VHOST_SET_VRING_ADDR, &addr);
}

static int set_fd(struct kernel_datapath *k, unsigned long request, unsigned int i, int fd)
{
	struct vhost_vring_file file = { .index = i, .fd = fd };

	return vhost(k->fd, request, &file);
}

static int set_queue(struct kernel_datapath *k, unsigned int i)
{
	const struct datapath_queue *r = &k->dp.dev->ring[i];
	struct vhost_vring_state num = { .index = i, .num = r->num };
	int err;

	err = vhost(k->fd, VHOST_SET_VRING_NUM, &num);
	if (!err)
		err = set_addr(k, i);
	if (!err)
		err = set_fd(k, VHOST_SET_VRING_CALL, i, r->call_fd);
	if (!err)
		err = set_fd(k, VHOST_SET_VRING_ERR, i, r->err_fd);
	if (!err)
		err = set_fd(k, VHOST_SET_VRING_KICK, i, r->kick_fd);
	return err;
}

static int set_running(struct kernel_datapath *k, unsigned int i, bool running)
{
	struct vkick_running arg = { .size = sizeof(arg), .index = i, .running = running };

	return vhost(k->fd, VKICK_SET_RUNNING, &arg);
}

/* Of the first @nr queues, those that are enabled. */
static void stop_queues(struct kernel_datapath *k, unsigned int nr)
{
	struct virtio_dev *dev = k->dp.dev;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		struct vhost_vring_state base = { .index = i };

		if (!dev->ring[i].enabled)
			continue;
		/* Fails with a fatal signal pending alone: then close() does it. */
		set_running(k, i, false);
		if (!vhost(k->fd, VHOST_GET_VRING_BASE, &base))
			dev->ring[i].state = base.num;
	}
}

static void kernel_stop(struct datapath *dp)
{
	stop_queues(to_kernel(dp), dp->dev->nr_queues);
}

/* All but where the queues start: what it takes it keeps, till the next or the close. */
static int kernel_prepare(struct datapath *dp)
{
	struct kernel_datapath *k = to_kernel(dp);
	__u64 features = dp->dev->acked & ~(1UL << VIRTIO_F_RING_RESET);
	unsigned int i;
	int err;

	err = vhost(k->fd, VHOST_SET_FEATURES, &features);
	if (!err)
		err = set_mem_table(k);
	if (!err && dp->dev->class->kernel_config)
		err = dp->dev->class->kernel_config(dp->dev, k->fd);
	for (i = 0; i < dp->dev->nr_queues && !err; i++)
		if (dp->dev->ring[i].enabled)
			err = set_queue(k, i);
	return err;
}

static int start_queue(struct kernel_datapath *k, unsigned int i)
{
	struct vhost_vring_state base = { .index = i, .num = k->dp.dev->ring[i].state };
	int err = vhost(k->fd, VHOST_SET_VRING_BASE, &base);

	return err ? err : set_running(k, i, true);
}

static int kernel_start(struct datapath *dp)
{
	struct kernel_datapath *k = to_kernel(dp);
	unsigned int i;
	int err = 0;

	for (i = 0; i < dp->dev->nr_queues && !err; i++)
		if (dp->dev->ring[i].enabled)
			err = start_queue(k, i);
	/* The last one has no place of its own yet. */
	if (err)
		stop_queues(k, i - 1);
	return err;
}

static int kernel_start_queue(struct datapath *dp, unsigned int i)
{
	struct kernel_datapath *k = to_kernel(dp);
	int err = set_queue(k, i);

	return err ? err : start_queue(k, i);
}

/* A kick later on wakes nothing: the module looks at queues that run. */
static void kernel_stop_queue(struct datapath *dp, unsigned int i)
{
	set_running(to_kernel(dp), i, false);
}

static void kernel_config_changed(struct datapath *dp)
{
	const struct virtio_class *class = dp->dev->class;
	int err = 0;

	if (class->kernel_config)
		err = class->kernel_config(dp->dev, to_kernel(dp)->fd);
	if (err)
		virtio_needs_reset(dp->dev, strerror(-err));
}

static void kernel_stats(struct datapath *dp, unsigned int i, struct datapath_stats *s)
{
	struct vkick_stats v = { .size = sizeof(v), .index = i };

	/* EPERM at worst, and then all stays 0. */
	vhost(to_kernel(dp)->fd, VKICK_GET_STATS, &v);
	*s = (struct datapath_stats) {
		.kicks = v.kicks,
		.requests = v.requests,
		.calls = v.calls,
		.calls_suppressed = v.calls_suppressed,
	};
	_Static_assert(sizeof(s->latency) == sizeof(v.pop_to_used_ns), "the same buckets");
	memcpy(s->latency, v.pop_to_used_ns, sizeof(s->latency));
}

const struct datapath_ops datapath_kernel = {
	.name = "kernel",
	.open = kernel_open,
	.close = kernel_close,
	.prepare = kernel_prepare,
	.start = kernel_start,
	.stop = kernel_stop,
	.start_queue = kernel_start_queue,
	.stop_queue = kernel_stop_queue,
	.stats = kernel_stats,
	.config_changed = kernel_config_changed,
};
