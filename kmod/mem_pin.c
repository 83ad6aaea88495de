// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that stays where it is, so that an I/O need not walk the owner's page tables
 * and pin each page of its own.
 *
 * in:  a memory table that is to be pinned; addresses in the owner's memory
 * out: its pages
 *
 * A page is pinned when an I/O first uses it, and until the table is freed: what no I/O
 * uses costs nothing. All of the table counts against RLIMIT_MEMLOCK from the beginning,
 * as the limit is to be met where the owner is told, and not in the midst of an I/O.
 * No request is in flight when a table is freed (vk_config_set_view()), so none needs a
 * reference to what it uses.
 *
 * Who pins a page first is settled by cmpxchg(), from NULL alone: workers of several
 * queues may need the same one. What is there then stays, so a reader that finds it
 * needs no more than its address, and the other lets go of what it pinned.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "vkick.h"

/*
 * Memory that cannot stay, as that of a file on disk, says so each time, after a long way
 * through the kernel. After so many times its region is not asked any more.
 */
#define VK_PIN_MAX_REFUSED	32

static unsigned long vk_pin_pages_of(const struct vk_region *r)
{
	return vk_pin_index(r, r->hva + r->span) + 1;
}

static unsigned long vk_pin_sets_of(const struct vk_region *r)
{
	return DIV_ROUND_UP(vk_pin_pages_of(r), VK_PIN_SET_PAGES);
}

/* What a table counts as. */
static unsigned long vk_pin_pages_of_all(const struct vk_mem *mem)
{
	unsigned long nr = 0;
	u32 i;

	for (i = 0; i < mem->nr; i++)
		nr += vk_pin_pages_of(&mem->regions[i]);
	return nr;
}

/**
 * vk_pin_prepare() - count a table's memory, and make room for its pages
 * @mem: table, not in use yet
 *
 * Context: the owner. Return: 0, or -ENOMEM (also RLIMIT_MEMLOCK); vk_pin_release()
 * undoes what was done in any case.
 */
int vk_pin_prepare(struct vk_mem *mem)
{
	unsigned long sets;
	int err;
	u32 i;

	err = account_locked_vm(current->mm, vk_pin_pages_of_all(mem), true);
	if (err)
		return err;
	mmgrab(current->mm);
	mem->mm = current->mm;
	for (i = 0; i < mem->nr; i++) {
		struct vk_region *r = &mem->regions[i];

		sets = vk_pin_sets_of(r);
		/* More than kvcalloc() takes without a warning. */
		if (sets > INT_MAX / sizeof(*r->pins))
			return -ENOMEM;
		r->pins = kvcalloc(sets, sizeof(*r->pins), GFP_KERNEL_ACCOUNT);
		if (!r->pins)
			return -ENOMEM;
	}
	return 0;
}

/* A device may have written to each of them. */
static void vk_pin_release_set(struct vk_pin_set *set)
{
	u32 i, n;

	for (i = 0; i < VK_PIN_SET_PAGES; i += n ?: 1) {
		for (n = 0; i + n < VK_PIN_SET_PAGES && set->page[i + n]; n++)
			;
		if (n)
			unpin_user_pages_dirty_lock(&set->page[i], n, true);
	}
	kfree(set);
}

/* vk_pin_release() - let go of all pages. Nobody uses the table any more. */
void vk_pin_release(struct vk_mem *mem)
{
	unsigned long s;
	u32 i;

	if (!mem->mm)
		return;
	for (i = 0; i < mem->nr; i++) {
		struct vk_region *r = &mem->regions[i];

		for (s = 0; r->pins && s < vk_pin_sets_of(r); s++) {
			if (r->pins[s])
				vk_pin_release_set(r->pins[s]);
			cond_resched();
		}
		kvfree(r->pins);
	}
	account_locked_vm(mem->mm, vk_pin_pages_of_all(mem), false);
	mmdrop(mem->mm);
}

/* A region that holds @addr, mostly the one that the look-up of the request found. */
static struct vk_region *vk_pin_region(const struct vk_memview *view, unsigned long addr)
{
	struct vk_region *regions = view->mem->regions;
	const struct vk_region *hit = view->hit;
	u32 i;

	if (likely(hit && addr - hit->hva <= hit->span))
		return &regions[hit - regions];
	for (i = 0; i < view->mem->nr; i++)
		if (addr - regions[i].hva <= regions[i].span)
			return &regions[i];
	return NULL;
}

static struct vk_pin_set *vk_pin_get_set(const struct vk_region *r, unsigned long s)
{
	struct vk_pin_set *set = READ_ONCE(r->pins[s]), *other;

	if (likely(set))
		return set;
	set = kzalloc(sizeof(*set), GFP_KERNEL_ACCOUNT);
	if (!set)
		return NULL;
	other = cmpxchg(&r->pins[s], NULL, set);
	if (!other)
		return set;
	kfree(set);
	return other;
}

/* Fills places from the first one on, which is empty. Return: how many, or -errno */
static int vk_pin_more(struct page **place, unsigned long addr, u32 nr)
{
	struct page *pages[VK_PIN_BATCH];
	int got, i;
	u32 want;

	for (want = 1; want < min_t(u32, nr, VK_PIN_BATCH) && !READ_ONCE(place[want]); want++)
		;
	got = pin_user_pages_fast(addr & PAGE_MASK, want, FOLL_WRITE | FOLL_LONGTERM, pages);
	for (i = 0; i < got; i++)
		if (cmpxchg(&place[i], NULL, pages[i]))
			unpin_user_page(pages[i]);
	return got ?: -EFAULT;
}

/**
 * vk_pin_pages() - pages that stay where they are
 * @view: of a table
 * @addr: in the owner's memory
 * @nr: pages wanted, from the one that holds @addr on; not 0
 * @pages: the first
 *
 * Context: worker, owner's mm. Return: how many are there, at least 1; or -errno if the
 * table is not pinned, or this memory cannot be: it may be read-only, or of a file whose
 * pages move.
 */
int vk_pin_pages(const struct vk_memview *view, unsigned long addr, u32 nr, struct page ***pages)
{
	struct vk_pin_set *set;
	struct vk_region *r;
	unsigned long at;
	int got;
	u32 n;

	if (!view->mem->mm)
		return -EINVAL;
	r = vk_pin_region(view, addr);
	if (!r || READ_ONCE(r->refused) >= VK_PIN_MAX_REFUSED)
		return -EFAULT;
	at = vk_pin_index(r, addr);
	set = vk_pin_get_set(r, at / VK_PIN_SET_PAGES);
	if (!set)
		return -ENOMEM;
	/*
	 * Up to the end of the set: past that of the region, too, if what was asked for lies
	 * in one that goes on there. Its pages follow in this one's set as well.
	 */
	at %= VK_PIN_SET_PAGES;
	nr = min_t(unsigned long, nr, VK_PIN_SET_PAGES - at);
	*pages = &set->page[at];
	for (n = 0; n < nr && READ_ONCE(set->page[at + n]); n++)
		;
	if (n)
		return n;
	got = vk_pin_more(*pages, addr, nr);
	/* Of two at once one may not count: no matter. */
	if (got < 0)
		WRITE_ONCE(r->refused, READ_ONCE(r->refused) + 1);
	return got;
}
