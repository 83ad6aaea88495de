// SPDX-License-Identifier: GPL-2.0
/*
 * The blk class: guest memory as the pages of an I/O (step 6).
 *
 * in:  iovecs of the owner's memory
 * out: bvecs for the backend: the guest's own pages, pinned; or, for direct I/O from
 *	and to buffers that no device could reach, pages of ours
 *
 * The backend works with the pages in any thread and any mm, so a pin is all that it
 * needs of the owner, for as long as the request is in flight. It is the request's, or
 * the memory table's (mem_pin.c).
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "blk.h"

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

/* Adds up to @nr pages, of which the first holds @addr. Return: bytes of them, up to @bytes */
static __always_inline size_t vk_blk_pages_add_all(struct vk_blk_pages *p,
						   struct page **pages, u32 nr,
						   unsigned long addr, size_t bytes)
{
	u32 offset = offset_in_page(addr), i;
	size_t left = bytes;

	for (i = 0; i < nr && left; i++) {
		u32 n = min_t(size_t, left, PAGE_SIZE - offset);

		vk_blk_pages_add(p, pages[i], offset, n);
		offset = 0;
		left -= n;
	}
	return bytes - left;
}

static u32 vk_blk_pages_spanned(unsigned long addr, size_t bytes)
{
	return DIV_ROUND_UP(offset_in_page(addr) + bytes, PAGE_SIZE);
}

static int vk_blk_pages_pin(struct vk_blk_pages *p, unsigned long addr, size_t bytes)
{
	unsigned int flags = p->to_guest ? FOLL_WRITE : 0;
	struct page *pages[VK_PIN_BATCH];
	size_t n;
	int got;

	for (; bytes; addr += n, bytes -= n) {
		got = pin_user_pages_fast(addr & PAGE_MASK,
					  min_t(u32, vk_blk_pages_spanned(addr, bytes),
						ARRAY_SIZE(pages)), flags, pages);
		if (got <= 0)
			return got ?: -EFAULT;
		n = vk_blk_pages_add_all(p, pages, got, addr, bytes);
	}
	return 0;
}

/* The same with what the memory table pinned. */
static int vk_blk_pages_find(struct vk_blk_pages *p, const struct vk_memview *view,
			     unsigned long addr, size_t bytes)
{
	struct page **pages;
	size_t n;
	int got;

	for (; bytes; addr += n, bytes -= n) {
		got = vk_pin_pages(view, addr, vk_blk_pages_spanned(addr, bytes), &pages);
		if (got < 0)
			return got;
		n = vk_blk_pages_add_all(p, pages, got, addr, bytes);
	}
	return 0;
}

/*
 * Makes the iovecs those of the @bytes bytes, not 0, from @skip on: the first and the last
 * become shorter. Return: how many; *iov is the first.
 */
static u32 vk_blk_pages_trim(struct iovec **iov, size_t skip, size_t bytes)
{
	struct iovec *v = *iov;
	u32 n;

	for (; skip >= v->iov_len; v++)
		skip -= v->iov_len;
	v->iov_base += skip;
	v->iov_len -= skip;
	*iov = v;
	for (n = 1; bytes > v->iov_len; v++, n++)
		bytes -= v->iov_len;
	v->iov_len = bytes;
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
				    u32 nr, u32 bytes)
{
	u32 left = bytes;
	int err;

	p->bounce = kmemdup(iov, nr * sizeof(*iov), GFP_KERNEL_ACCOUNT);
	if (!p->bounce)
		return -ENOMEM;
	p->nr_bounce = nr;
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

/* Return: whether the memory table has them all; else there are none */
static bool vk_blk_pages_find_all(struct vk_blk_pages *p, const struct vk_memview *view,
				  const struct iovec *iov, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		if (vk_blk_pages_find(p, view, (unsigned long)iov[i].iov_base,
				      iov[i].iov_len)) {
			p->nr_bvecs = 0;
			return false;
		}
	}
	return true;
}

/* What most requests are: within one page, which is pinned already. Return: whether it is */
static bool vk_blk_pages_get_one(struct vk_blk_pages *p, const struct vk_memview *view,
				 const struct iovec *iov)
{
	unsigned long addr = (unsigned long)iov->iov_base;
	struct page *page;

	if (offset_in_page(addr) + iov->iov_len > PAGE_SIZE)
		return false;
	page = vk_pin_find(view, addr);
	if (!page)
		return false;
	p->bvecs = p->inline_bvecs;
	vk_blk_pages_add(p, page, offset_in_page(addr), iov->iov_len);
	p->stay = true;
	return true;
}

/**
 * vk_blk_pages_get() - the pages of part of a guest buffer
 * @p: none so far
 * @q: whose request it is
 * @iov: of the buffer; changed
 * @skip: bytes before the part
 * @bytes: of the part, not 0, and there
 * @to_guest: the I/O writes to it
 *
 * Return: 0, -EFAULT or -ENOMEM; vk_blk_pages_put() follows in any case.
 */
int vk_blk_pages_get(struct vk_blk_pages *p, const struct vk_queue *q,
		     struct iovec *iov, size_t skip, u32 bytes, bool to_guest)
{
	u32 nr = vk_blk_pages_trim(&iov, skip, bytes), pages = 0, i;
	const struct vk_blk *blk = q->dev->priv;
	bool aligned = true;
	int err;

	p->to_guest = to_guest;
	for (i = 0; i < nr; i++) {
		pages += vk_blk_pages_spanned((unsigned long)iov[i].iov_base, iov[i].iov_len);
		aligned &= vk_blk_pages_aligned(blk, &iov[i]);
	}
	if (blk->direct && !aligned)
		return vk_blk_pages_make_bounce(p, iov, nr, bytes);
	if (nr == 1 && vk_blk_pages_get_one(p, &q->view, iov))
		return 0;

	err = vk_blk_pages_alloc_bvecs(p, pages);
	if (err)
		return err;
	p->stay = vk_blk_pages_find_all(p, &q->view, iov, nr);
	for (i = 0; i < nr && !p->stay && !err; i++)
		err = vk_blk_pages_pin(p, (unsigned long)iov[i].iov_base, iov[i].iov_len);
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

static void vk_blk_pages_put_bounce(struct vk_blk_pages *p)
{
	u32 i;

	for (i = 0; i < p->nr_bvecs; i++)
		__free_page(p->bvecs[i].bv_page);
	kfree(p->bounce);
	p->bounce = NULL;
	p->nr_bounce = 0;
}

/* Lets go of all pages; those that the I/O wrote are dirty from then on. */
void vk_blk_pages_put(struct vk_blk_pages *p)
{
	u32 i;

	if (p->bounce)
		vk_blk_pages_put_bounce(p);
	else if (!p->stay)
		for (i = 0; i < p->nr_bvecs; i++)
			vk_blk_pages_unpin(&p->bvecs[i], p->to_guest);
	if (p->bvecs != p->inline_bvecs)
		kvfree(p->bvecs);
	p->bvecs = NULL;
	p->nr_bvecs = 0;
	p->stay = false;
}
