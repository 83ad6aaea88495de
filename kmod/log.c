// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty log: one bit in the owner's bitmap for each page of guest memory that was
 * written, so that a live migration knows what to send again.
 *
 * in:  VHOST_SET_LOG_BASE, VHOST_F_LOG_ALL; what a pass has written
 * out: bits, and a signal of the owner's log eventfd when there are new ones
 *
 * The parts of the bitmap that the memory table's regions need are pinned and mapped
 * when the log is made, and stay so until it is put; setting a bit touches neither the
 * owner's page tables nor its mmap lock. The pages count against RLIMIT_MEMLOCK.
 *
 * A bit is set after the write that it stands for, with a full barrier between. Who
 * clears a bit and then copies the page either finds it set anew or copies what
 * was written:
 *
 *	worker				migration
 *	write page			xchg bit to 0
 *	mb			(L)	copy page
 *	test bit; set it if clear
 *
 * If the test finds the bit set, then the exchange comes later, and so does the copy.
 */
#include <linux/bitops.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "vkick.h"

/* As VHOST_PAGE_SIZE of mainline: fixed, whatever the kernel's page size is. */
#define VK_LOG_PAGE_SHIFT	12

/* The bits of one region of the memory table. */
struct vk_log_map {
	u64 first;		/* guest page numbers */
	u64 last;
	u64 bit0;		/* of page @first, from the start of @addr */
	unsigned long *addr;	/* mapping of... */
	struct page **pages;
	unsigned long nr_pages;
};

/* Immutable once made. */
struct vk_log {
	struct kref ref;
	struct mm_struct *mm;	/* whose locked memory it counts as; mm_count held */
	u32 nr;
	struct vk_log_map maps[];
};

static void vk_log_unmap_one(struct vk_log *log, struct vk_log_map *map)
{
	vunmap(map->addr);
	unpin_user_pages_dirty_lock(map->pages, map->nr_pages, true);
	account_locked_vm(log->mm, map->nr_pages, false);
	kvfree(map->pages);
}

static int vk_log_map_one(struct vk_log *log, struct vk_log_map *map, u64 base,
			  const struct vk_region *r)
{
	u64 from, to;
	long pinned;
	int err;

	map->first = r->gpa >> VK_LOG_PAGE_SHIFT;
	map->last = vk_region_last(r) >> VK_LOG_PAGE_SHIFT;
	from = base + map->first / 8;
	to = base + map->last / 8;
	if (from < base || to < from || from != (unsigned long)from ||
	    to != (unsigned long)to ||
	    !access_ok((void __user *)(unsigned long)from, to - from + 1))
		return -EFAULT;
	map->bit0 = offset_in_page(from) * 8 + map->first % 8;
	map->nr_pages = (to >> PAGE_SHIFT) - (from >> PAGE_SHIFT) + 1;

	/* First the limit: the array alone of a huge region is large. */
	err = account_locked_vm(log->mm, map->nr_pages, true);
	if (err)
		return err;
	err = -ENOMEM;
	/* More than kvmalloc() takes without a warning. */
	if (map->nr_pages > INT_MAX / sizeof(*map->pages))
		goto unaccount;
	map->pages = kvmalloc_array(map->nr_pages, sizeof(*map->pages),
				    GFP_KERNEL_ACCOUNT);
	if (!map->pages)
		goto unaccount;
	pinned = pin_user_pages_fast(from & PAGE_MASK, map->nr_pages,
				     FOLL_WRITE | FOLL_LONGTERM, map->pages);
	if (pinned != map->nr_pages) {
		err = pinned == -EINTR || fatal_signal_pending(current) ? -EINTR :
		      pinned == -ENOMEM ? -ENOMEM : -EFAULT;
		goto unpin;
	}
	map->addr = vmap(map->pages, map->nr_pages, VM_MAP, PAGE_KERNEL);
	if (!map->addr)
		goto unpin;
	return 0;

unpin:
	if (pinned > 0)
		unpin_user_pages(map->pages, pinned);
	kvfree(map->pages);
unaccount:
	account_locked_vm(log->mm, map->nr_pages, false);
	return err;
}

static void vk_log_free(struct kref *ref)
{
	struct vk_log *log = container_of(ref, struct vk_log, ref);

	while (log->nr)
		vk_log_unmap_one(log, &log->maps[--log->nr]);
	mmdrop(log->mm);
	kfree(log);
}

void vk_log_get(struct vk_log *log)
{
	if (log)
		kref_get(&log->ref);
}

void vk_log_put(struct vk_log *log)
{
	if (log)
		kref_put(&log->ref, vk_log_free);
}

/**
 * vk_log_map() - map the bitmap for a memory table
 * @base: where it starts in the owner's memory
 * @mem: the table
 *
 * Context: the owner, dev->mutex held. Return: the log with one reference, or ERR_PTR
 * with EFAULT (not mapped, not writable), ENOMEM (also RLIMIT_MEMLOCK), EINTR.
 */
struct vk_log *vk_log_map(u64 base, const struct vk_mem *mem)
{
	struct vk_log *log;
	int err;
	u32 i;

	log = kzalloc(struct_size(log, maps, mem->nr), GFP_KERNEL_ACCOUNT);
	if (!log)
		return ERR_PTR(-ENOMEM);
	kref_init(&log->ref);
	mmgrab(current->mm);
	log->mm = current->mm;
	for (i = 0; i < mem->nr; i++) {
		err = vk_log_map_one(log, &log->maps[i], base, &mem->regions[i]);
		if (err) {
			vk_log_put(log);
			return ERR_PTR(err);
		}
		log->nr++;
	}
	return log;
}

/* The map of a guest page, or NULL. Maps are sorted as the table's regions are. */
static const struct vk_log_map *vk_log_find(const struct vk_log *log, u64 page)
{
	u32 lo = 0, hi = log->nr;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (log->maps[mid].last < page)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < log->nr && log->maps[lo].first <= page ? &log->maps[lo] : NULL;
}

/* Whether each of @bytes bytes from @gpa on has a bit. */
bool vk_log_covers(const struct vk_log *log, u64 gpa, u64 bytes)
{
	u64 page = gpa >> VK_LOG_PAGE_SHIFT;
	u64 last = (gpa + bytes - 1) >> VK_LOG_PAGE_SHIFT;

	if (gpa + bytes - 1 < gpa)
		return false;
	for (;;) {
		const struct vk_log_map *map = vk_log_find(log, page);

		if (!map)
			return false;
		if (last <= map->last)
			return true;
		page = map->last + 1;
	}
}

/*
 * Sets the bits of @bytes bytes, not 0, from @gpa on. The caller has passed barrier (L).
 * Return: 1 if one was clear, 0, or -EFAULT if a page has no bit.
 */
static int vk_log_mark(const struct vk_log *log, u64 gpa, u64 bytes)
{
	u64 page = gpa >> VK_LOG_PAGE_SHIFT;
	u64 last = (gpa + bytes - 1) >> VK_LOG_PAGE_SHIFT;
	const struct vk_log_map *map = NULL;
	int news = 0;

	for (; page <= last; page++) {
		u64 bit;

		if (!map || page > map->last)
			map = vk_log_find(log, page);
		if (!map)
			return -EFAULT;
		bit = map->bit0 + (page - map->first);
		if (test_bit(bit, map->addr))
			continue;
		set_bit(bit, map->addr);
		news = 1;
	}
	return news;
}

static int vk_log_tell(struct vk_queue *q, int news)
{
	if (news > 0 && q->log_call)
		vk_eventfd_signal(q->log_call);
	return news < 0 ? news : 0;
}

/**
 * vk_log_segs() - log what a request wrote into guest buffers
 * @q: queue that logs
 * @seg: the writable part of the request's chain
 * @bytes: from its start, all written by now
 *
 * Return: 0 or -EFAULT.
 */
int vk_log_segs(struct vk_queue *q, const struct vring_seg *seg, u64 bytes)
{
	int news = 0;

	if (!bytes)
		return 0;
	smp_mb();		/* (L) */
	for (; bytes; seg++) {
		u64 n = min_t(u64, seg->len, bytes);
		int ret = vk_log_mark(q->log, seg->gpa, n);

		if (ret < 0)
			return ret;
		news |= ret;
		bytes -= n;
	}
	return vk_log_tell(q, news);
}

/*
 * The packed descriptor ring has no log address of its own in the ABI: each place where
 * the memory table has it is logged.
 */
static int vk_log_hva(struct vk_queue *q, u64 hva, u64 bytes)
{
	const struct vk_mem *mem = q->view.mem;
	int news = 0, ret;
	u32 i;

	for (i = 0; i < mem->nr; i++) {
		const struct vk_region *r = &mem->regions[i];
		u64 from = max_t(u64, hva, r->hva);
		u64 to = min_t(u64, hva + bytes - 1, r->hva + r->span);

		if (from > to)
			continue;
		ret = vk_log_mark(q->log, r->gpa + (from - r->hva), to - from + 1);
		if (ret < 0)
			return ret;
		news |= ret;
	}
	return news;
}

/**
 * vk_log_ring() - log what was written into the ring since the last time
 * @q: queue that logs
 *
 * Return: 0 or -EFAULT.
 */
int vk_log_ring(struct vk_queue *q)
{
	const struct vhost_vring_addr *a = &q->addr;
	struct vring_dirty dirty;
	int news = 0, ret = 0;

	if (!vring_take_dirty(&q->vring, &dirty) ||
	    !(a->flags & BIT(VHOST_VRING_F_LOG)))
		return 0;
	smp_mb();		/* (L) */
	if (dirty.used.from < dirty.used.to)
		news = vk_log_mark(q->log, a->log_guest_addr + dirty.used.from,
				   dirty.used.to - dirty.used.from);
	if (dirty.desc.from < dirty.desc.to)
		ret = vk_log_hva(q, a->desc_user_addr + dirty.desc.from,
				 dirty.desc.to - dirty.desc.from);
	if (ret < 0)
		return ret;
	return vk_log_tell(q, news < 0 ? news : news | ret);
}
