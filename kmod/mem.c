// SPDX-License-Identifier: GPL-2.0
/*
 * The memory table, and step 5: guest addresses become addresses of the owner.
 *
 * in:  struct vhost_memory from VHOST_SET_MEM_TABLE; guest-physical ranges
 * out: user pointers and iovecs
 *
 * A table is checked and sorted when it is made, and never changes. It is
 * replaced whole: each queue is moved to the new one under its lock, and the last
 * to let go of the old one frees it, so no request ever sees half of each.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uaccess.h>

#include "vkick.h"

static int vk_mem_cmp(const void *a, const void *b)
{
	const struct vk_region *x = a, *y = b;

	return x->gpa < y->gpa ? -1 : x->gpa > y->gpa;
}

/* Takes one region of the owner's over, if it makes sense. */
static int vk_mem_set_region(struct vk_region *r,
			     const struct vhost_memory_region *u)
{
	u64 size = u->memory_size;

	/* vhost.h: no flags are defined */
	if (u->flags_padding)
		return -EOPNOTSUPP;
	if (!size || u->guest_phys_addr + size - 1 < u->guest_phys_addr ||
	    u->userspace_addr + size - 1 < u->userspace_addr)
		return -EINVAL;
	if (u->userspace_addr != (unsigned long)u->userspace_addr ||
	    size != (unsigned long)size ||
	    !access_ok((void __user *)(unsigned long)u->userspace_addr, size))
		return -EFAULT;

	r->gpa = u->guest_phys_addr;
	r->span = size - 1;
	r->hva = u->userspace_addr;
	return 0;
}

/*
 * vk_mem_copy_from_user() - make a table from a struct vhost_memory
 * @arg: the owner's
 * @pinned: its memory is to stay where it is, once it was used
 *
 * Return: the table with one reference, or ERR_PTR with EFAULT, EOPNOTSUPP
 * (padding), E2BIG (regions), EINVAL (empty, wrapping or overlapping), ENOMEM (@pinned:
 * also RLIMIT_MEMLOCK).
 */
struct vk_mem *vk_mem_copy_from_user(const void __user *arg, bool pinned)
{
	const struct vhost_memory __user *umem = arg;
	struct vhost_memory head;
	struct vk_mem *mem;
	int err;
	u32 i;

	if (copy_from_user(&head, umem, sizeof(head)))
		return ERR_PTR(-EFAULT);
	if (head.padding)
		return ERR_PTR(-EOPNOTSUPP);
	if (head.nregions > VK_MAX_REGIONS)
		return ERR_PTR(-E2BIG);

	mem = kzalloc(struct_size(mem, regions, head.nregions), GFP_KERNEL_ACCOUNT);
	if (!mem)
		return ERR_PTR(-ENOMEM);
	kref_init(&mem->ref);
	mem->nr = head.nregions;

	for (i = 0; i < mem->nr; i++) {
		struct vhost_memory_region u;

		err = -EFAULT;
		if (copy_from_user(&u, &umem->regions[i], sizeof(u)))
			goto free;
		err = vk_mem_set_region(&mem->regions[i], &u);
		if (err)
			goto free;
	}

	sort(mem->regions, mem->nr, sizeof(mem->regions[0]), vk_mem_cmp, NULL);
	err = -EINVAL;
	for (i = 1; i < mem->nr; i++)
		if (mem->regions[i].gpa <= vk_region_last(&mem->regions[i - 1]))
			goto free;
	for (i = 0; i < VK_MAX_REGIONS; i++)
		mem->starts[i] = i < mem->nr ? mem->regions[i].gpa : U64_MAX;
	err = pinned ? vk_pin_prepare(mem) : 0;
	if (err)
		goto free;
	return mem;

free:
	vk_mem_put(mem);
	return ERR_PTR(err);
}

static void vk_mem_free(struct kref *ref)
{
	struct vk_mem *mem = container_of(ref, struct vk_mem, ref);

	vk_pin_release(mem);
	kfree(mem);
}

void vk_mem_get(struct vk_mem *mem)
{
	if (mem)
		kref_get(&mem->ref);
}

void vk_mem_put(struct vk_mem *mem)
{
	if (mem)
		kref_put(&mem->ref, vk_mem_free);
}

static_assert((VK_MAX_REGIONS & (VK_MAX_REGIONS - 1)) == 0);

/* The region that holds @gpa, which the view remembers, or NULL. */
const struct vk_region *vk_mem_find(struct vk_memview *view, u64 gpa)
{
	const struct vk_mem *mem = view->mem;
	const u64 *at = mem->starts;
	const struct vk_region *r;
	u32 step, i;

	/*
	 * The last that does not start past @gpa. The number of steps is always the
	 * same, and there is no branch to predict: with buffers all over the table each
	 * would go wrong half of the time.
	 */
#pragma GCC unroll 8
	for (step = VK_MAX_REGIONS / 2; step; step /= 2)
		at += at[step] <= gpa ? step : 0;
	i = at - mem->starts;
	if (unlikely(i >= mem->nr)) {
		if (!mem->nr)
			return NULL;
		/* The last byte of all is past the unused places, too. */
		i = mem->nr - 1;
	}
	r = &mem->regions[i];
	if (gpa - r->gpa > r->span)
		return NULL;
	view->hit = r;
	return r;
}

/*
 * vk_mem_to_iov() - translate segments of a chain
 *
 * A segment may span regions that touch in guest-physical memory.
 * Return: iovecs used; -EFAULT if a byte lies in no region; -E2BIG beyond @max.
 */
int vk_mem_to_iov(struct vk_memview *view, const struct vring_seg *segs,
		  u32 nr_segs, struct iovec *iov, u32 max)
{
	u32 i, nr = 0;

	for (i = 0; i < nr_segs; i++) {
		u64 gpa = segs[i].gpa;
		u32 len = segs[i].len;

		/* A wrap around 2^64 finds a hole, or region 0 by mistake. */
		if (gpa + (len - 1) < gpa)
			return -EFAULT;
		while (len) {
			const void __user *ptr;
			u32 contig;
			int err;

			if (nr == max)
				return -E2BIG;
			err = vk_mem_lookup(view, gpa, len, &ptr, &contig);
			if (err)
				return err;
			iov[nr].iov_base = (void __user *)ptr;
			iov[nr].iov_len = contig;
			nr++;
			gpa += contig;
			len -= contig;
		}
	}
	return nr;
}
