/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The memory table: guest-physical addresses to addresses in the owner's memory.
 */
#ifndef VK_MEM_H
#define VK_MEM_H

#include <linux/kref.h>
#include <linux/types.h>

struct vring_seg;
struct iovec;

/* As mainline vhost's default, and what VKICK_GET_INFO reports. */
#define VK_MAX_REGIONS		64

struct vk_region {
	u64 gpa;
	u64 last;		/* gpa of the last byte; so a region may end at 2^64 */
	unsigned long hva;
};

/* Sorted by gpa, without overlap. Immutable once made. */
struct vk_mem {
	struct kref ref;
	u32 nr;
	struct vk_region regions[];
};

/* A queue's view of a table: @hit is where the last look-up ended. */
struct vk_memview {
	struct vk_mem *mem;
	u32 hit;
};

/* mem.c. Context: process or worker */
struct vk_mem *vk_mem_copy_from_user(const void __user *arg);
void vk_mem_get(struct vk_mem *mem);
void vk_mem_put(struct vk_mem *mem);
int vk_mem_lookup(struct vk_memview *view, u64 gpa, u32 len,
		  const void __user **ptr, u32 *contig);
int vk_mem_to_iov(struct vk_memview *view, const struct vring_seg *segs,
		  u32 nr_segs, struct iovec *iov, u32 max);

#endif
