/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The memory table: guest-physical addresses to addresses in the owner's memory.
 */
#ifndef VK_MEM_H
#define VK_MEM_H

#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/kref.h>
#include <linux/mm_types.h>
#include <linux/types.h>

struct vring_seg;
struct iovec;

/* As mainline vhost's default, and what VKICK_GET_INFO reports. */
#define VK_MAX_REGIONS		64

/* Pinned at a time: what fits on the stack. */
#define VK_PIN_BATCH		32

/* Pages that stay where they are, see mem_pin.c: as many pointers as a page holds. */
#define VK_PIN_SET_PAGES	(PAGE_SIZE / sizeof(struct page *))

struct vk_pin_set {
	struct page *page[VK_PIN_SET_PAGES];	/* [A] once set, for good */
};

struct vk_region {
	u64 gpa;
	u64 span;		/* bytes after the first; so a region may end at 2^64 */
	unsigned long hva;
	struct vk_pin_set **pins;	/* each [A] once set, for good; NULL: none */
	u32 refused;			/* [A] times that pages could not be pinned, about */
};

/* The guest-physical address of the last byte. */
static inline u64 vk_region_last(const struct vk_region *r)
{
	return r->gpa + r->span;
}

/* Sorted by gpa, without overlap. Immutable once made, but for the pins. */
struct vk_mem {
	struct kref ref;
	u32 nr;
	struct mm_struct *mm;	/* whose memory is pinned; mm_count held. NULL: nobody's */
	u64 starts[VK_MAX_REGIONS];	/* regions[].gpa, for the search; then U64_MAX */
	struct vk_region regions[];
};

/* A queue's view of a table: @hit is the region that the last look-up found. */
struct vk_memview {
	struct vk_mem *mem;
	const struct vk_region *hit;
};

/* mem.c. Context: process or worker */
struct vk_mem *vk_mem_copy_from_user(const void __user *arg, bool pinned);
void vk_mem_get(struct vk_mem *mem);
void vk_mem_put(struct vk_mem *mem);
const struct vk_region *vk_mem_find(struct vk_memview *view, u64 gpa);
int vk_mem_to_iov(struct vk_memview *view, const struct vring_seg *segs,
		  u32 nr_segs, struct iovec *iov, u32 max);

/* mem_pin.c. prepare: the owner; release: process; pages: worker, owner's mm */
int vk_pin_prepare(struct vk_mem *mem);
void vk_pin_release(struct vk_mem *mem);
int vk_pin_pages(const struct vk_memview *view, unsigned long addr, u32 nr, struct page ***pages);

/* Of the owner's pages that have a part in a region, the one that holds @addr, from 0 on. */
static inline unsigned long vk_pin_index(const struct vk_region *r, unsigned long addr)
{
	return (addr >> PAGE_SHIFT) - (r->hva >> PAGE_SHIFT);
}

/*
 * The page that holds @addr, if it was pinned before and lies in the region that the
 * last look-up found, as is mostly so; else NULL, and vk_pin_pages() may find it.
 */
static inline struct page *vk_pin_find(const struct vk_memview *view, unsigned long addr)
{
	const struct vk_region *r = view->hit;
	struct vk_pin_set *set;
	unsigned long at;

	if (!r || !r->pins || addr - r->hva > r->span)
		return NULL;
	at = vk_pin_index(r, addr);
	set = READ_ONCE(r->pins[at / VK_PIN_SET_PAGES]);
	return set ? READ_ONCE(set->page[at % VK_PIN_SET_PAGES]) : NULL;
}

/**
 * vk_mem_lookup() - where a guest-physical address is
 * @view: of a table
 * @gpa: guest-physical address
 * @len: bytes wanted, not 0
 * @ptr: where it is in the owner's memory
 * @contig: bytes that lie in one piece there, 1 to @len
 *
 * Inline since each request needs it, and mostly finds its answer at once: the
 * buffers of one driver lie together.
 *
 * Return: 0, or -EFAULT if @gpa is in no region.
 */
static inline int vk_mem_lookup(struct vk_memview *view, u64 gpa, u32 len,
				const void __user **ptr, u32 *contig)
{
	const struct vk_region *r = view->hit;
	u64 rest;

	/* What is before a region is, unsigned, far behind it as well. */
	if (unlikely(!r || gpa - r->gpa > r->span)) {
		r = vk_mem_find(view, gpa);
		if (!r)
			return -EFAULT;
	}
	*ptr = (const void __user *)(r->hva + (unsigned long)(gpa - r->gpa));
	rest = r->span - (gpa - r->gpa);
	/* rest + 1 might be 2^64 */
	*contig = rest < len - 1 ? rest + 1 : len;
	return 0;
}

#endif
