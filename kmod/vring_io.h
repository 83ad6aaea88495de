/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How the ring engine reaches guest memory in the kernel: by user access to the
 * owner's address space, in which the worker runs. ring/user/vring_io.h is the
 * same for userspace, and documents the contract.
 *
 * Context: the owner's mm, may fault and sleep. Each access fails with -EFAULT
 * where the owner's memory is not mapped (or not writable).
 */
#ifndef VRING_IO_H
#define VRING_IO_H

#include <linux/types.h>
#include <linux/uaccess.h>
#include <asm/barrier.h>
#include <uapi/linux/virtio_config.h>
#include <uapi/linux/virtio_ring.h>

#include "mem.h"

#define __vring __user

/* A descriptor in host byte order. */
struct vring_desc_cpu {
	u64 addr;
	u32 len;
	u16 flags;
	u16 next;
};

static inline int vring_io_lookup(void *mem, u64 gpa, u32 len,
				  const void __user **ptr, u32 *contig)
{
	return vk_mem_lookup(mem, gpa, len, ptr, contig);
}

static inline int vring_io_get16(const __virtio16 __user *p, u16 *v)
{
	__virtio16 x;

	if (get_user(x, p))
		return -EFAULT;
	*v = le16_to_cpu((__force __le16)x);
	return 0;
}

static inline int vring_io_put16(__virtio16 __user *p, u16 v)
{
	return put_user((__force __virtio16)cpu_to_le16(v), p);
}

/*
 * Entries of the avail ring, in one user-access section: that has an LFENCE on x86,
 * which pays from the second entry on; the first alone is left to get_user().
 */
static inline int vring_io_get16s(u16 *dst, const __virtio16 __user *src, u16 n)
{
	__virtio16 x;
	u16 i;

	if (n == 1)
		return vring_io_get16(src, dst);
	if (!user_read_access_begin(src, n * sizeof(*src)))
		return -EFAULT;
	for (i = 0; i < n; i++) {
		unsafe_get_user(x, &src[i], fault);
		dst[i] = le16_to_cpu((__force __le16)x);
	}
	user_read_access_end();
	return 0;

fault:
	user_read_access_end();
	return -EFAULT;
}

/* Entries of the used ring, likewise. They are 4-byte aligned. */
static inline int vring_io_put_used(struct vring_used_elem __user *dst,
				    const struct vring_used_elem *src, u16 n)
{
	u16 i;

	if (n == 1)
		return put_user(src->id, &dst->id) ?: put_user(src->len, &dst->len);
	if (!user_write_access_begin(dst, n * sizeof(*dst)))
		return -EFAULT;
	for (i = 0; i < n; i++) {
		unsafe_put_user(src[i].id, &dst[i].id, fault);
		unsafe_put_user(src[i].len, &dst[i].len, fault);
	}
	user_write_access_end();
	return 0;

fault:
	user_write_access_end();
	return -EFAULT;
}

static inline int vring_io_read(void *dst, const void __user *src, size_t n)
{
	return copy_from_user(dst, src, n) ? -EFAULT : 0;
}

static inline void vring_io_desc_to_cpu(struct vring_desc_cpu *d,
					const struct vring_desc *s)
{
	d->addr = le64_to_cpu((__force __le64)s->addr);
	d->len = le32_to_cpu((__force __le32)s->len);
	d->flags = le16_to_cpu((__force __le16)s->flags);
	d->next = le16_to_cpu((__force __le16)s->next);
}

/*
 * Two 8-byte loads: a descriptor is 16-byte aligned, and get_user() is a good
 * deal cheaper than copy_from_user() for so little.
 */
static inline int vring_io_get_desc(const struct vring_desc __user *p,
				    struct vring_desc_cpu *d)
{
	const u64 __user *w = (const u64 __user *)p;
	union {
		struct vring_desc desc;
		u64 word[2];
	} copy;

	if (get_user(copy.word[0], &w[0]) || get_user(copy.word[1], &w[1]))
		return -EFAULT;
	vring_io_desc_to_cpu(d, &copy.desc);
	return 0;
}

static inline void vring_io_set_used(struct vring_used_elem *e, u32 id, u32 len)
{
	e->id = (__force __virtio32)cpu_to_le32(id);
	e->len = (__force __virtio32)cpu_to_le32(len);
}

/* The engine's barriers; vring.h tells the driver's side of each. */
static inline void vring_io_rmb(void)
{
	smp_rmb();	/* (A) */
}

static inline void vring_io_wmb(void)
{
	smp_wmb();	/* (B) */
}

static inline void vring_io_mb(void)
{
	smp_mb();	/* (C), (D) */
}

#endif
