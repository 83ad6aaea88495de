/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The dirty log: which pages of guest memory we wrote, for live migration.
 */
#ifndef VK_LOG_H
#define VK_LOG_H

#include <linux/kref.h>
#include <linux/types.h>

struct mm_struct;
struct vk_mem;
struct vk_queue;
struct vring_seg;

/* log.c. map, put: process. Others: queue->lock held, owner's mm */
struct vk_log *vk_log_map(u64 base, const struct vk_mem *mem);
void vk_log_get(struct vk_log *log);
void vk_log_put(struct vk_log *log);
bool vk_log_covers(const struct vk_log *log, u64 gpa, u64 bytes);
int vk_log_segs(struct vk_queue *q, const struct vring_seg *seg, u64 bytes);
int vk_log_ring(struct vk_queue *q);

#endif
