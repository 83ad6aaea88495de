// SPDX-License-Identifier: GPL-2.0
/*
 * The blk class: guest memory as the pages of an I/O (step 6).
 *
 * in:  iovecs of the owner's memory
 * out: bvecs for the backend: the guest's own pages, pinned; or, for direct I/O from
 *	and to buffers that no device could reach, pages of ours
 *
 * The backend works with the pages in any thread and any mm, so a pin is all that it
 * needs of the owner, for as long as the request is in flight.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "blk.h"

/* Pinned at a time: what fits on the stack. */
#define VK_BLK_PIN_BATCH	32

static void vk_blk_pages_add(struct vk_blk_pages *p, struct page *page, u32 offset,
			     u32 bytes)
{
	struct bio_vec *last = p->nr_bvecs ? &p->bvecs[p->nr_bvecs - 1] : NULL;

	/* Neighbours, as in a huge page: one bvec for all of them. */
	if (last && !offset && !offset_in_page(last->bv_offset + last->bv_len) &&
	    page == last->bv_page + ((last->bv_offset + last->bv_len) >> PAGE_SHIFT)) {
		last->bv_len += bytes;
		return;
	}
	p->bvecs[p->nr_bvecs++] = (struct bio_vec) {
		.bv_page = page, .bv_offset = offset, .bv_len = bytes,
	};
}

static int vk_blk_pages_pin(struct vk_blk_pages *p, unsigned long addr, size_t bytes)
{
	unsigned int flags = p->to_guest ? FOLL_WRITE : 0;
	struct page *pages[VK_BLK_PIN_BATCH];

	while (bytes) {
		u32 offset = offset_in_page(addr);
		int want = min_t(size_t, DIV_ROUND_UP(offset + bytes, PAGE_SIZE),
				 ARRAY_SIZE(pages));
		int got, i;

		got = pin_user_pages_fast(addr & PAGE_MASK, want, flags, pages);
		if (got <= 0)
			return got ?: -EFAULT;
		for (i = 0; i < got; i++) {
			u32 n = min_t(size_t, bytes, PAGE_SIZE - offset);

			vk_blk_pages_add(p, pages[i], offset, n);
			offset = 0;
			addr += n;
			bytes -= n;
		}
	}
	return 0;
}

/* The iovecs of @bytes bytes from @skip on. Return: how many; *iov is the first. */
static u32 vk_blk_pages_cut(struct iovec *to, const struct iovec *iov, size_t skip,
			    size_t bytes)
{
	u32 n = 0;

	for (; bytes; iov++) {
		size_t len;

		if (skip >= iov->iov_len) {
			skip -= iov->iov_len;
			continue;
		}
		len = min(iov->iov_len - skip, bytes);
		to[n].iov_base = iov->iov_base + skip;
		to[n++].iov_len = len;
		bytes -= len;
		skip = 0;
	}
	return n;
}

static int vk_blk_pages_alloc_bvecs(struct vk_blk_pages *p, u32 nr)
{
	p->bvecs = p->inline_bvecs;
	if (nr <= VK_BLK_INLINE_BVECS)
		return 0;
	p->bvecs = kvmalloc_array(nr, sizeof(*p->bvecs), GFP_KERNEL_ACCOUNT);
	return p->bvecs ? 0 : -ENOMEM;
}

/* Copies between our pages and the owner's memory: @bytes bytes. */
static int vk_blk_pages_copy(struct vk_blk_pages *p, u32 bytes)
{
	struct iov_iter iter;
	u32 i;

	iov_iter_init(&iter, p->to_guest ? ITER_DEST : ITER_SOURCE, p->bounce,
		      p->nr_bounce, bytes);
	for (i = 0; bytes; i++) {
		void *at = page_address(p->bvecs[i].bv_page);
		size_t n = min(bytes, p->bvecs[i].bv_len);
		size_t done = p->to_guest ? copy_to_iter(at, n, &iter) :
					    copy_from_iter(at, n, &iter);

		if (done != n)
			return -EFAULT;
		bytes -= n;
		cond_resched();
	}
	return 0;
}

static int vk_blk_pages_make_bounce(struct vk_blk_pages *p, const struct iovec *iov,
				    u32 nr, size_t skip, u32 bytes)
{
	u32 left = bytes;
	int err;

	p->bounce = kvmalloc_array(nr, sizeof(*iov), GFP_KERNEL_ACCOUNT);
	if (!p->bounce)
		return -ENOMEM;
	p->nr_bounce = vk_blk_pages_cut(p->bounce, iov, skip, bytes);
	err = vk_blk_pages_alloc_bvecs(p, DIV_ROUND_UP(bytes, PAGE_SIZE));
	while (left && !err) {
		struct page *page = alloc_page(GFP_KERNEL_ACCOUNT);
		u32 n = min_t(u32, left, PAGE_SIZE);

		if (!page)
			return -ENOMEM;
		/* Not merged: each is freed by itself. */
		p->bvecs[p->nr_bvecs++] = (struct bio_vec) {
			.bv_page = page, .bv_len = n,
		};
		left -= n;
	}
	if (!err && !p->to_guest)
		err = vk_blk_pages_copy(p, bytes);
	return err;
}

/* Drivers keep to the block size, mostly; but framing is theirs to choose (2.7.4.1). */
static bool vk_blk_pages_aligned(const struct vk_blk *blk, const struct iovec *iov)
{
	return !((unsigned long)iov->iov_base & blk->addr_mask) &&
	       !(iov->iov_len & blk->len_mask);
}

/**
 * vk_blk_pages_get() - the pages of part of a guest buffer
 * @p: none so far
 * @blk: whose
 * @iov: of the buffer
 * @nr: of them
 * @skip: bytes before the part
 * @bytes: of the part, not 0, and there
 * @to_guest: the I/O writes to it
 *
 * Return: 0, -EFAULT or -ENOMEM; vk_blk_pages_put() follows in any case.
 */
int vk_blk_pages_get(struct vk_blk_pages *p, const struct vk_blk *blk,
		     const struct iovec *iov, u32 nr, size_t skip, u32 bytes,
		     bool to_guest)
{
	size_t left = bytes, at = skip;
	const struct iovec *v;
	bool aligned = true;
	u32 pages = 0;
	int err;

	p->to_guest = to_guest;
	for (v = iov; left; v++) {
		struct iovec part = { v->iov_base + at, v->iov_len - at };

		if (at >= v->iov_len) {
			at -= v->iov_len;
			continue;
		}
		part.iov_len = min(part.iov_len, left);
		pages += DIV_ROUND_UP(offset_in_page(part.iov_base) + part.iov_len,
				      PAGE_SIZE);
		aligned &= vk_blk_pages_aligned(blk, &part);
		left -= part.iov_len;
		at = 0;
	}
	if (blk->direct && !aligned)
		return vk_blk_pages_make_bounce(p, iov, nr, skip, bytes);

	err = vk_blk_pages_alloc_bvecs(p, pages);
	for (left = bytes, at = skip, v = iov; left && !err; v++) {
		size_t n;

		if (at >= v->iov_len) {
			at -= v->iov_len;
			continue;
		}
		n = min(v->iov_len - at, left);
		err = vk_blk_pages_pin(p, (unsigned long)v->iov_base + at, n);
		left -= n;
		at = 0;
	}
	return err;
}

/* The I/O is done: what it read goes where it belongs. Return: 0 or -EFAULT */
int vk_blk_pages_copy_out(struct vk_blk_pages *p, u32 bytes)
{
	return p->bounce && p->to_guest ? vk_blk_pages_copy(p, bytes) : 0;
}

static void vk_blk_pages_unpin(const struct bio_vec *v, bool dirty)
{
	u32 nr = DIV_ROUND_UP(v->bv_offset + v->bv_len, PAGE_SIZE);

	unpin_user_page_range_dirty_lock(v->bv_page, nr, dirty);
}

/* Lets go of all pages; those that the I/O wrote are dirty from then on. */
void vk_blk_pages_put(struct vk_blk_pages *p)
{
	u32 i;

	for (i = 0; i < p->nr_bvecs; i++) {
		struct bio_vec *v = &p->bvecs[i];

		if (p->bounce)
			__free_page(v->bv_page);
		else
			vk_blk_pages_unpin(v, p->to_guest);
	}
	if (p->bvecs != p->inline_bvecs)
		kvfree(p->bvecs);
	if (p->bounce)
		kvfree(p->bounce);
	p->bvecs = NULL;
	p->nr_bvecs = 0;
	p->bounce = NULL;
	p->nr_bounce = 0;
}
