// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel datapath: hands a device's queues to the module, which serves them
 * with no exit to userspace (steps 2 to 8 happen in kmod/); or to mainline's vhost, by the same calls.
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

/* Of classes whose node has fewer queues than the device, each file of it has some. */
#define MAX_FILES	(VIRTIO_MAX_QUEUES / 2)

/* Mainline's: a chain is no longer than its queue, and it takes chains of so much (UIO_MAXIOV). */
#define VHOST_MAX_QUEUE_SIZE	1024

/**
 * struct kernel_datapath - a device's
 * @node_features: of every file
 * @per_file: queues of a file
 * @nr_files: open
 */
struct kernel_datapath {
	struct datapath dp;
	u64 node_features;
	u32 per_file;
	u32 nr_files;
	int fd[MAX_FILES];
};

static struct kernel_datapath *to_kernel(struct datapath *dp)
{
	return container_of(dp, struct kernel_datapath, dp);
}

/* Whether it is the module's, and not mainline's. */
static bool is_ours(const struct kernel_datapath *k)
{
	return k->dp.ops == &datapath_kernel;
}

static const char *node_of(const struct kernel_datapath *k)
{
	return is_ours(k) ? k->dp.dev->class->node : k->dp.dev->class->vhost_node;
}

/* The file that has queue @i, by number @i % k->per_file. */
static int file_of(const struct kernel_datapath *k, unsigned int i)
{
	return k->fd[i / k->per_file];
}

/* Return: 0 or -errno. */
static int vhost(int fd, unsigned long request, const void *arg)
{
	return ioctl(fd, request, arg) < 0 ? -errno : 0;
}

/* ---- Opening --------------------------------------------------------------------- */

static int open_node(const struct kernel_datapath *k, char *why)
{
	int fd = open(node_of(k), O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENXIO || errno == ENODEV)
		return explain(why, "%s missing: load the module (modprobe %s), or use datapath=user",
			       node_of(k), is_ours(k) ? "vkick" : "vhost_net");
	return explain(why, "%s: %s", node_of(k), strerror(errno));
}

/* SET_OWNER made worker 0, which serves all queues until told otherwise. */
static int add_workers(const struct kernel_datapath *k, int fd, u32 nr_workers, char *why)
{
	u32 ids[VIRTIO_MAX_QUEUES] = { 0 };
	unsigned int i;

	for (i = 1; i < nr_workers; i++) {
		struct vhost_worker_state w = { 0 };
		int err = vhost(fd, VHOST_NEW_WORKER, &w);

		if (err)
			return explain(why, "thread %u of %u: %s: give fewer iothreads=", i + 1,
				       nr_workers, strerror(-err));
		ids[i] = w.worker_id;
	}
	for (i = 0; i < k->per_file && nr_workers > 1; i++) {
		struct vhost_vring_worker at = {
			.index = i, .worker_id = ids[i % nr_workers],
		};
		int err = vhost(fd, VHOST_ATTACH_VRING_WORKER, &at);

		if (err)
			return explain(why, "thread for queue %u: %s", i, strerror(-err));
	}
	return 0;
}

static int set_polling(const struct kernel_datapath *k, int fd, char *why)
{
	u32 poll_us = k->dp.dev->poll_us;
	unsigned int i;

	for (i = 0; i < k->per_file && poll_us; i++) {
		struct vhost_vring_state s = { .index = i, .num = poll_us };
		int err = vhost(fd, VHOST_SET_VRING_BUSYLOOP_TIMEOUT, &s);

		if (err)
			return explain(why, "poll=%u: %s: %s", poll_us, node_of(k), strerror(-err));
	}
	return 0;
}

/* The device is the module of this release's. */
static int check_version(struct kernel_datapath *k, int fd, char *why)
{
	struct vkick_info info = { .size = sizeof(info) };

	if (vhost(fd, VKICK_GET_INFO, &info) || info.abi_version != VKICK_ABI_VERSION ||
	    info.device_id != k->dp.dev->class->device_id || info.nvqs < k->per_file)
		return explain(why, "%s speaks another version: use the module of this release",
			       node_of(k));
	k->dp.max_queue_size = info.max_queue_size;
	return 0;
}

/* The device is ours. */
static int claim(struct kernel_datapath *k, int fd, char *why)
{
	__u64 features = 0;

	if (vhost(fd, VHOST_GET_FEATURES, &features) || vhost(fd, VHOST_SET_OWNER, NULL))
		return explain(why, "%s: %s", node_of(k), strerror(errno));
	k->node_features &= features;
	return 0;
}

/* One more file. */
static int add_file(struct kernel_datapath *k, u32 nr_workers, char *why)
{
	struct virtio_dev *dev = k->dp.dev;
	int fd = open_node(k, why);

	if (fd < 0)
		return -1;
	k->fd[k->nr_files++] = fd;
	if ((is_ours(k) && check_version(k, fd, why)) || claim(k, fd, why) ||
	    add_workers(k, fd, nr_workers, why) || set_polling(k, fd, why))
		return -1;
	return is_ours(k) && dev->class->kernel_open ? dev->class->kernel_open(dev, fd, why) : 0;
}

static void kernel_close(struct datapath *dp)
{
	struct kernel_datapath *k = to_kernel(dp);

	while (k->nr_files)
		close(k->fd[--k->nr_files]);
	free(k);
}

static struct datapath *open_kind(struct virtio_dev *dev, const struct datapath_ops *ops, char *why)
{
	u32 per_file = dev->class->node_queues ? dev->class->node_queues : dev->nr_queues;
	u32 nr_files = dev->nr_queues / per_file, i;
	struct kernel_datapath *k;

	if (dev->class->kernel_check && dev->class->kernel_check(dev, why))
		return NULL;
	k = calloc(1, sizeof(*k));
	if (!k) {
		explain(why, "out of memory");
		return NULL;
	}
	k->dp = (struct datapath) { .ops = ops, .dev = dev, .max_queue_size = VHOST_MAX_QUEUE_SIZE };
	k->node_features = ~0UL;
	k->per_file = per_file;
	for (i = 0; i < nr_files; i++) {
		if (!add_file(k, dev->nr_workers / nr_files, why))
			continue;
		kernel_close(&k->dp);
		return NULL;
	}
	/* And what is the VMM's: queues start and stop one by one anyway. */
	k->dp.features = k->node_features | 1UL << VIRTIO_F_RING_RESET |
			 (dev->features & dev->class->vmm_features);
	return &k->dp;
}

static struct datapath *kernel_open(struct virtio_dev *dev, char *why)
{
	return open_kind(dev, &datapath_kernel, why);
}

static struct datapath *vhost_open(struct virtio_dev *dev, char *why)
{
	return open_kind(dev, &datapath_vhost, why);
}

/* ---- Starting and stopping ---------------------------------------------------------- */

static int set_mem_table(struct kernel_datapath *k, int fd)
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
	return vhost(fd, VHOST_SET_MEM_TABLE, &table);
}

static int set_addr(struct kernel_datapath *k, unsigned int i)
{
	const struct datapath_queue *r = &k->dp.dev->ring[i];
	const struct vm *vm = k->dp.dev->vm;
	bool packed = virtio_packed(k->dp.dev);
	struct vhost_vring_addr addr = {
		.index = i % k->per_file,
		.desc_user_addr = (u64)guest_ptr(vm, r->desc, vring_desc_bytes(r->num)),
		.avail_user_addr = (u64)guest_ptr(vm, r->avail, vring_avail_bytes(r->num, packed)),
		.used_user_addr = (u64)guest_ptr(vm, r->used, vring_used_bytes(r->num, packed)),
	};

	if (!addr.desc_user_addr || !addr.avail_user_addr || !addr.used_user_addr)
		return -EFAULT;
	return vhost(file_of(k, i), VHOST_SET_VRING_ADDR, &addr);
}

static int set_fd(struct kernel_datapath *k, unsigned long request, unsigned int i, int fd)
{
	struct vhost_vring_file file = { .index = i % k->per_file, .fd = fd };

	return vhost(file_of(k, i), request, &file);
}

static int set_queue(struct kernel_datapath *k, unsigned int i)
{
	const struct datapath_queue *r = &k->dp.dev->ring[i];
	struct vhost_vring_state num = { .index = i % k->per_file, .num = r->num };
	int err;

	err = vhost(file_of(k, i), VHOST_SET_VRING_NUM, &num);
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
	struct vkick_running arg = { .size = sizeof(arg), .index = i % k->per_file, .running = running };
	struct virtio_dev *dev = k->dp.dev;

	if (dev->class->kernel_run)
		return dev->class->kernel_run(dev, file_of(k, i), i, running);
	return vhost(file_of(k, i), VKICK_SET_RUNNING, &arg);
}

static void stop_queue(struct kernel_datapath *k, unsigned int i)
{
	struct vhost_vring_state base = { .index = i % k->per_file };

	/* Fails with a fatal signal pending alone: then close() does it. */
	set_running(k, i, false);
	if (!vhost(file_of(k, i), VHOST_GET_VRING_BASE, &base))
		k->dp.dev->ring[i].state = base.num;
}

/* Of the first @nr queues, those that are served. */
static void stop_queues(struct kernel_datapath *k, unsigned int nr)
{
	struct virtio_dev *dev = k->dp.dev;
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (datapath_serves(dev, i))
			stop_queue(k, i);
}

/* With all queues stopped: what the class's device knows of them is the VMM's again. */
static void tell_stopped(struct kernel_datapath *k)
{
	struct virtio_dev *dev = k->dp.dev;
	unsigned int i;

	for (i = 0; i < k->nr_files && dev->class->kernel_stopped && is_ours(k); i++)
		dev->class->kernel_stopped(dev, k->fd[i]);
}

static void kernel_stop(struct datapath *dp)
{
	struct kernel_datapath *k = to_kernel(dp);

	stop_queues(k, dp->dev->nr_queues);
	tell_stopped(k);
}

static int prepare_file(struct kernel_datapath *k, int fd)
{
	struct virtio_dev *dev = k->dp.dev;
	__u64 features = dev->acked & k->node_features;
	int err;

	err = vhost(fd, VHOST_SET_FEATURES, &features);
	if (!err)
		err = set_mem_table(k, fd);
	if (err == -ENOMEM && is_ours(k) && dev->class->kernel_unpin) {
		err = dev->class->kernel_unpin(dev, fd);
		if (!err)
			err = set_mem_table(k, fd);
	}
	if (!err && is_ours(k) && dev->class->kernel_config)
		err = dev->class->kernel_config(dev, fd);
	return err;
}

/* All but where the queues start: what it takes it keeps, till the next or the close. */
static int kernel_prepare(struct datapath *dp)
{
	struct kernel_datapath *k = to_kernel(dp);
	unsigned int i;
	int err = 0;

	for (i = 0; i < k->nr_files && !err; i++)
		err = prepare_file(k, k->fd[i]);
	for (i = 0; i < dp->dev->nr_queues && !err; i++)
		if (datapath_serves(dp->dev, i))
			err = set_queue(k, i);
	return err;
}

/* With a table of nothing: guest memory that stayed pinned may be had again, and cleared for the next boot. */
static void kernel_release(struct datapath *dp)
{
	struct kernel_datapath *k = to_kernel(dp);
	struct vhost_memory none = { 0 };
	unsigned int i;

	for (i = 0; i < k->nr_files; i++)
		vhost(k->fd[i], VHOST_SET_MEM_TABLE, &none);
}

static int start_queue(struct kernel_datapath *k, unsigned int i)
{
	struct vhost_vring_state base = {
		.index = i % k->per_file, .num = k->dp.dev->ring[i].state,
	};
	int err = vhost(file_of(k, i), VHOST_SET_VRING_BASE, &base);

	return err ? err : set_running(k, i, true);
}

static int kernel_start(struct datapath *dp)
{
	struct kernel_datapath *k = to_kernel(dp);
	unsigned int i;
	int err = 0;

	for (i = 0; i < k->nr_files && !err && dp->dev->class->kernel_starting && is_ours(k); i++)
		err = dp->dev->class->kernel_starting(dp->dev, k->fd[i]);
	if (err)
		return err;
	for (i = 0; i < dp->dev->nr_queues && !err; i++)
		if (datapath_serves(dp->dev, i))
			err = start_queue(k, i);
	if (!err)
		return 0;
	/* The last one has no place of its own yet. Of the others some may have been served already. */
	stop_queues(k, i - 1);
	tell_stopped(k);
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
	stop_queue(to_kernel(dp), i);
}

static void kernel_config_changed(struct datapath *dp)
{
	const struct virtio_class *class = dp->dev->class;
	int err = 0;

	if (class->kernel_config)
		err = class->kernel_config(dp->dev, to_kernel(dp)->fd[0]);
	if (err)
		virtio_needs_reset(dp->dev, strerror(-err));
}

static void kernel_stats(struct datapath *dp, unsigned int i, struct datapath_stats *s)
{
	struct kernel_datapath *k = to_kernel(dp);
	struct vkick_stats v = { .size = sizeof(v), .index = i % k->per_file };

	/* EPERM at worst, and then all stays 0, as with mainline's, which does not count. */
	if (is_ours(k))
		vhost(file_of(k, i), VKICK_GET_STATS, &v);
	*s = (struct datapath_stats) {
		.kicks = v.kicks,
		.requests = v.requests,
		.calls = v.calls,
		.calls_suppressed = v.calls_suppressed,
		.calls_held = v.calls_held,
		.calls_in_vain = v.calls_in_vain,
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
	.release = kernel_release,
	.stats = kernel_stats,
	.config_changed = kernel_config_changed,
};

/* Mainline's node, for the classes that it has. */
const struct datapath_ops datapath_vhost = {
	.name = "vhost",
	.open = vhost_open,
	.close = kernel_close,
	.prepare = kernel_prepare,
	.start = kernel_start,
	.stop = kernel_stop,
	.start_queue = kernel_start_queue,
	.stop_queue = kernel_stop_queue,
	.stats = kernel_stats,
};
