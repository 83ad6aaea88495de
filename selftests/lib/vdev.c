// SPDX-License-Identifier: GPL-2.0
/*
 * A client of /dev/vkick-*: one function for each ioctl.
 *
 * in:  an open device
 * out: see vdev.h
 */
#include "vdev.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

int __vdev_open(const char *class)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/vkick-%s", class);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int vdev_open(const char *class)
{
	int fd = __vdev_open(class);

	CHECK(fd >= 0, "open /dev/vkick-%s: %d; is vkick.ko loaded?", class, fd);
	return fd;
}

int __vdev_ioctl(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
}

int __vdev_set_owner(int fd)
{
	return __vdev_ioctl(fd, VHOST_SET_OWNER, NULL);
}

int __vdev_reset_owner(int fd)
{
	return __vdev_ioctl(fd, VHOST_RESET_OWNER, NULL);
}

int __vdev_get_features(int fd, u64 *features)
{
	return __vdev_ioctl(fd, VHOST_GET_FEATURES, features);
}

int __vdev_set_features(int fd, u64 features)
{
	return __vdev_ioctl(fd, VHOST_SET_FEATURES, &features);
}

int __vdev_set_mem(int fd, const struct vhost_memory *table)
{
	return __vdev_ioctl(fd, VHOST_SET_MEM_TABLE, (void *)table);
}

static int set_state(int fd, unsigned long cmd, u32 index, u32 num)
{
	struct vhost_vring_state s = { .index = index, .num = num };

	return __vdev_ioctl(fd, cmd, &s);
}

int __vdev_set_num(int fd, u32 index, u32 num)
{
	return set_state(fd, VHOST_SET_VRING_NUM, index, num);
}

int __vdev_set_base(int fd, u32 index, u32 base)
{
	return set_state(fd, VHOST_SET_VRING_BASE, index, base);
}

int __vdev_get_base(int fd, u32 index, u32 *base)
{
	struct vhost_vring_state s = { .index = index };
	int err = __vdev_ioctl(fd, VHOST_GET_VRING_BASE, &s);

	*base = s.num;
	return err;
}

int __vdev_set_addr(int fd, u32 index, const void *desc, const void *avail,
		    const void *used)
{
	struct vhost_vring_addr a = {
		.index = index,
		.desc_user_addr = (unsigned long)desc,
		.avail_user_addr = (unsigned long)avail,
		.used_user_addr = (unsigned long)used,
	};

	return __vdev_ioctl(fd, VHOST_SET_VRING_ADDR, &a);
}

static int set_file(int fd, unsigned long cmd, u32 index, int eventfd)
{
	struct vhost_vring_file f = { .index = index, .fd = eventfd };

	return __vdev_ioctl(fd, cmd, &f);
}

int __vdev_set_kick(int fd, u32 index, int eventfd)
{
	return set_file(fd, VHOST_SET_VRING_KICK, index, eventfd);
}

int __vdev_set_call(int fd, u32 index, int eventfd)
{
	return set_file(fd, VHOST_SET_VRING_CALL, index, eventfd);
}

int __vdev_set_err(int fd, u32 index, int eventfd)
{
	return set_file(fd, VHOST_SET_VRING_ERR, index, eventfd);
}

int __vdev_set_running(int fd, u32 index, u32 running)
{
	struct vkick_running r = {
		.size = sizeof(r),
		.index = index,
		.running = running,
	};

	return __vdev_ioctl(fd, VKICK_SET_RUNNING, &r);
}

int __vdev_get_info(int fd, struct vkick_info *info)
{
	*info = (struct vkick_info) { .size = sizeof(*info) };
	return __vdev_ioctl(fd, VKICK_GET_INFO, info);
}

int __vdev_get_stats(int fd, u32 index, struct vkick_stats *stats)
{
	*stats = (struct vkick_stats) {
		.size = sizeof(*stats),
		.index = index,
	};
	return __vdev_ioctl(fd, VKICK_GET_STATS, stats);
}

int __vdev_new_worker(int fd, u32 *id)
{
	struct vhost_worker_state s = { .worker_id = ~0U };
	int err = __vdev_ioctl(fd, VHOST_NEW_WORKER, &s);

	*id = s.worker_id;
	return err;
}

int __vdev_free_worker(int fd, u32 id)
{
	struct vhost_worker_state s = { .worker_id = id };

	return __vdev_ioctl(fd, VHOST_FREE_WORKER, &s);
}

int __vdev_attach_worker(int fd, u32 index, u32 id)
{
	struct vhost_vring_worker w = { .index = index, .worker_id = id };

	return __vdev_ioctl(fd, VHOST_ATTACH_VRING_WORKER, &w);
}

int __vdev_get_worker(int fd, u32 index, u32 *id)
{
	struct vhost_vring_worker w = { .index = index, .worker_id = ~0U };
	int err = __vdev_ioctl(fd, VHOST_GET_VRING_WORKER, &w);

	*id = w.worker_id;
	return err;
}

int __vdev_set_poll(int fd, u32 index, u32 us)
{
	return set_state(fd, VHOST_SET_VRING_BUSYLOOP_TIMEOUT, index, us);
}

int __vdev_get_poll(int fd, u32 index, u32 *us)
{
	struct vhost_vring_state s = { .index = index, .num = ~0U };
	int err = __vdev_ioctl(fd, VHOST_GET_VRING_BUSYLOOP_TIMEOUT, &s);

	*us = s.num;
	return err;
}

int __vdev_set_log_base(int fd, const void *bitmap)
{
	u64 addr = (unsigned long)bitmap;

	return __vdev_ioctl(fd, VHOST_SET_LOG_BASE, &addr);
}

int __vdev_set_log_fd(int fd, int eventfd)
{
	return __vdev_ioctl(fd, VHOST_SET_LOG_FD, &eventfd);
}

int __vdev_set_addr_logged(int fd, u32 index, const struct drv *d, u64 log_gpa)
{
	struct vhost_vring_addr a = {
		.index = index,
		.flags = 1U << VHOST_VRING_F_LOG,
		.desc_user_addr = (unsigned long)d->desc,
		.avail_user_addr = (unsigned long)d->avail,
		.used_user_addr = (unsigned long)d->used,
		.log_guest_addr = log_gpa,
	};

	return __vdev_ioctl(fd, VHOST_SET_VRING_ADDR, &a);
}

int __vdev_set_latency(int fd, u64 ns)
{
	struct vkick_null_latency l = { .size = sizeof(l), .latency_ns = ns };

	return __vdev_ioctl(fd, VKICK_NULL_SET_LATENCY, &l);
}

int __vdev_set_file(int fd, int file)
{
	struct vkick_blk_file f = { .size = sizeof(f), .fd = file };

	return __vdev_ioctl(fd, VKICK_BLK_SET_FILE, &f);
}

int __vdev_set_config(int fd, const struct vkick_blk_config *config)
{
	return __vdev_ioctl(fd, VKICK_BLK_SET_CONFIG, (void *)config);
}

int __vdev_set_pinned(int fd, u32 pinned)
{
	struct vkick_blk_pinned p = { .size = sizeof(p), .pinned = pinned };

	return __vdev_ioctl(fd, VKICK_BLK_SET_PINNED, &p);
}

/* Aborts the test with the ioctl's errno if it failed. */
static void must(int err, const char *what)
{
	errno = -err;
	CHECK(!err, "%s", what);
}

void vdev_set_owner(int fd)
{
	must(__vdev_set_owner(fd), "SET_OWNER");
}

void vdev_reset_owner(int fd)
{
	must(__vdev_reset_owner(fd), "RESET_OWNER");
}

u64 vdev_get_features(int fd)
{
	u64 features = 0;

	must(__vdev_get_features(fd, &features), "GET_FEATURES");
	return features;
}

void vdev_set_features(int fd, u64 features)
{
	must(__vdev_set_features(fd, features), "SET_FEATURES");
}

void vdev_set_mem(int fd, struct gmem *mem)
{
	struct vhost_memory *table = gmem_table(mem);

	must(__vdev_set_mem(fd, table), "SET_MEM_TABLE");
	free(table);
}

void vdev_set_num(int fd, u32 index, u32 num)
{
	must(__vdev_set_num(fd, index, num), "SET_VRING_NUM");
}

void vdev_set_base(int fd, u32 index, u32 base)
{
	must(__vdev_set_base(fd, index, base), "SET_VRING_BASE");
}

u32 vdev_get_base(int fd, u32 index)
{
	u32 base = ~0U;

	must(__vdev_get_base(fd, index, &base), "GET_VRING_BASE");
	return base;
}

void vdev_set_ring(int fd, u32 index, const struct drv *d)
{
	vdev_set_num(fd, index, d->num);
	must(__vdev_set_addr(fd, index, d->desc, d->avail, d->used),
	     "SET_VRING_ADDR");
}

void vdev_set_kick(int fd, u32 index, int eventfd)
{
	must(__vdev_set_kick(fd, index, eventfd), "SET_VRING_KICK");
}

void vdev_set_call(int fd, u32 index, int eventfd)
{
	must(__vdev_set_call(fd, index, eventfd), "SET_VRING_CALL");
}

void vdev_set_err(int fd, u32 index, int eventfd)
{
	must(__vdev_set_err(fd, index, eventfd), "SET_VRING_ERR");
}

void vdev_start(int fd, u32 index)
{
	must(__vdev_set_running(fd, index, 1), "SET_RUNNING 1");
}

void vdev_stop(int fd, u32 index)
{
	must(__vdev_set_running(fd, index, 0), "SET_RUNNING 0");
}

u32 vdev_new_worker(int fd)
{
	u32 id;

	must(__vdev_new_worker(fd, &id), "NEW_WORKER");
	return id;
}

void vdev_free_worker(int fd, u32 id)
{
	must(__vdev_free_worker(fd, id), "FREE_WORKER");
}

void vdev_attach_worker(int fd, u32 index, u32 id)
{
	must(__vdev_attach_worker(fd, index, id), "ATTACH_VRING_WORKER");
}

u32 vdev_get_worker(int fd, u32 index)
{
	u32 id;

	must(__vdev_get_worker(fd, index, &id), "GET_VRING_WORKER");
	return id;
}

void vdev_set_poll(int fd, u32 index, u32 us)
{
	must(__vdev_set_poll(fd, index, us), "SET_VRING_BUSYLOOP_TIMEOUT");
}

void vdev_watch_wakeups(bool on)
{
	int fd = open("/sys/module/vkick/parameters/poll_wakeups", O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0 && write(fd, on ? "Y" : "N", 1) == 1, "poll_wakeups");
	close(fd);
}

u32 vdev_get_poll(int fd, u32 index)
{
	u32 us;

	must(__vdev_get_poll(fd, index, &us), "GET_VRING_BUSYLOOP_TIMEOUT");
	return us;
}

void vdev_set_log_base(int fd, const void *bitmap)
{
	must(__vdev_set_log_base(fd, bitmap), "SET_LOG_BASE");
}

void vdev_set_log_fd(int fd, int eventfd)
{
	must(__vdev_set_log_fd(fd, eventfd), "SET_LOG_FD");
}

void vdev_set_addr_logged(int fd, u32 index, const struct drv *d, u64 log_gpa)
{
	must(__vdev_set_addr_logged(fd, index, d, log_gpa),
	     "SET_VRING_ADDR with a log");
}

void vdev_set_latency(int fd, u64 ns)
{
	must(__vdev_set_latency(fd, ns), "NULL_SET_LATENCY");
}

void vdev_set_file(int fd, int file)
{
	must(__vdev_set_file(fd, file), "BLK_SET_FILE");
}

void vdev_set_config(int fd, const struct vkick_blk_config *config)
{
	must(__vdev_set_config(fd, config), "BLK_SET_CONFIG");
}

void vdev_set_pinned(int fd, u32 pinned)
{
	must(__vdev_set_pinned(fd, pinned), "BLK_SET_PINNED");
}

struct vkick_info vdev_get_info(int fd)
{
	struct vkick_info info;

	must(__vdev_get_info(fd, &info), "GET_INFO");
	return info;
}

struct vkick_stats vdev_get_stats(int fd, u32 index)
{
	struct vkick_stats stats;

	must(__vdev_get_stats(fd, index, &stats), "GET_STATS");
	return stats;
}
