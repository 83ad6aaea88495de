/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A client of /dev/vkick-*: one function for each ioctl.
 *
 * in:  an open device
 * out: __vdev_x() returns what the ioctl did, 0 or -errno; vdev_x() aborts the
 *      test unless it did it
 */
#ifndef SELFTEST_VDEV_H
#define SELFTEST_VDEV_H

#include <linux/vhost.h>
#include <linux/vkick.h>

#include "drv.h"

#define F_LOG_ALL	(1ULL << VHOST_F_LOG_ALL)

/* An open device of @class ("null", "rng"), without an owner; -errno. */
int __vdev_open(const char *class);
int vdev_open(const char *class);

int __vdev_ioctl(int fd, unsigned long cmd, void *arg);

int __vdev_set_owner(int fd);
int __vdev_reset_owner(int fd);
int __vdev_get_features(int fd, u64 *features);
int __vdev_set_features(int fd, u64 features);
int __vdev_set_mem(int fd, const struct vhost_memory *table);
int __vdev_set_num(int fd, u32 index, u32 num);
int __vdev_set_base(int fd, u32 index, u32 base);
int __vdev_get_base(int fd, u32 index, u32 *base);
int __vdev_set_addr(int fd, u32 index, const void *desc, const void *avail,
		    const void *used);
int __vdev_set_kick(int fd, u32 index, int eventfd);
int __vdev_set_call(int fd, u32 index, int eventfd);
int __vdev_set_err(int fd, u32 index, int eventfd);
int __vdev_set_running(int fd, u32 index, u32 running);
int __vdev_get_info(int fd, struct vkick_info *info);
int __vdev_get_stats(int fd, u32 index, struct vkick_stats *stats);

int __vdev_new_worker(int fd, u32 *id);
int __vdev_free_worker(int fd, u32 id);
int __vdev_attach_worker(int fd, u32 index, u32 id);
int __vdev_get_worker(int fd, u32 index, u32 *id);
int __vdev_set_poll(int fd, u32 index, u32 us);
int __vdev_get_poll(int fd, u32 index, u32 *us);
int __vdev_set_log_base(int fd, const void *bitmap);
int __vdev_set_log_fd(int fd, int eventfd);
/* SET_VRING_ADDR of a driver's rings, with VHOST_VRING_F_LOG. */
int __vdev_set_addr_logged(int fd, u32 index, const struct drv *d, u64 log_gpa);
/* Of /dev/vkick-null. */
int __vdev_set_latency(int fd, u64 ns);
/* Of /dev/vkick-blk. */
int __vdev_set_file(int fd, int file);
int __vdev_set_config(int fd, const struct vkick_blk_config *config);
int __vdev_set_pinned(int fd, u32 pinned);

void vdev_set_owner(int fd);
void vdev_reset_owner(int fd);
u64 vdev_get_features(int fd);
void vdev_set_features(int fd, u64 features);
void vdev_set_mem(int fd, struct gmem *mem);
void vdev_set_num(int fd, u32 index, u32 num);
void vdev_set_base(int fd, u32 index, u32 base);
u32 vdev_get_base(int fd, u32 index);
/* NUM and ADDR of a driver's rings. */
void vdev_set_ring(int fd, u32 index, const struct drv *d);
void vdev_set_kick(int fd, u32 index, int eventfd);
void vdev_set_call(int fd, u32 index, int eventfd);
void vdev_set_err(int fd, u32 index, int eventfd);
void vdev_start(int fd, u32 index);
void vdev_stop(int fd, u32 index);
u32 vdev_new_worker(int fd);
void vdev_free_worker(int fd, u32 id);
void vdev_attach_worker(int fd, u32 index, u32 id);
u32 vdev_get_worker(int fd, u32 index);
void vdev_set_poll(int fd, u32 index, u32 us);
u32 vdev_get_poll(int fd, u32 index);
/* Whether queues of all devices are watched for as long as two wake-ups take, as they are at first. */
void vdev_watch_wakeups(bool on);
void vdev_set_log_base(int fd, const void *bitmap);
void vdev_set_log_fd(int fd, int eventfd);
void vdev_set_addr_logged(int fd, u32 index, const struct drv *d, u64 log_gpa);
void vdev_set_latency(int fd, u64 ns);
void vdev_set_file(int fd, int file);
void vdev_set_config(int fd, const struct vkick_blk_config *config);
void vdev_set_pinned(int fd, u32 pinned);
struct vkick_info vdev_get_info(int fd);
struct vkick_stats vdev_get_stats(int fd, u32 index);

#endif
