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
/* Of a function that is not to weigh on its caller. */
#define __vring_slow noinline

/* A descriptor in host byte order. Of a packed ring @next is the buffer ID. */
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

/* Under queue->lock, as all of the engine. */
static inline void vring_io_count(u64 *counter, u64 n)
{
	*counter += n;
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

/*
 * Element i goes to entry at[i] of a used ring of @num, likewise. Entries are 4-byte
 * aligned.
 */
static inline int vring_io_put_used(struct vring_used __user *used, u32 num,
				    const struct vring_used_elem *src,
				    const u16 *at, u16 n)
{
	struct vring_used_elem __user *ring = used->ring, *dst;
	u16 i;

	if (n == 1) {
		dst = &ring[at[0]];
		return put_user(src->id, &dst->id) ?: put_user(src->len, &dst->len);
	}
	if (!user_write_access_begin(ring, num * sizeof(*ring)))
		return -EFAULT;
	for (i = 0; i < n; i++) {
		dst = &ring[at[i]];
		unsafe_put_user(src[i].id, &dst->id, fault);
		unsafe_put_user(src[i].len, &dst->len, fault);
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

/*
 * @n words that are 8-byte aligned: for so few a good deal cheaper than copy_from_user()
 * of a size that is not constant, which looks at what lies where they go.
 */
static inline int vring_io_get_words(u64 *dst, const void __user *src, u32 n)
{
	const u64 __user *from = src;
	u32 i;

	if (!user_read_access_begin(from, n * sizeof(*from)))
		return -EFAULT;
	for (i = 0; i < n; i++)
		unsafe_get_user(dst[i], &from[i], fault);
	user_read_access_end();
	return 0;

fault:
	user_read_access_end();
	return -EFAULT;
}

static inline void vring_io_desc_to_cpu(struct vring_desc_cpu *d,
					const struct vring_desc *s)
{
	d->addr = le64_to_cpu((__force __le64)s->addr);
	d->len = le32_to_cpu((__force __le32)s->len);
	d->flags = le16_to_cpu((__force __le16)s->flags);
	d->next = le16_to_cpu((__force __le16)s->next);
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

/* Entries heads[0] to heads[n - 1], modulo @num, of a table of @num, a power of 2. */
static inline int vring_io_get_descs(struct vring_desc *dst,
				     const struct vring_desc __user *table, u32 num,
				     const u16 *heads, u16 n)
{
	const u64 __user *from;
	u64 *to = (u64 *)dst;
	u16 i;

	if (n == 1) {
		from = (const u64 __user *)&table[heads[0] & (num - 1)];
		return get_user(to[0], &from[0]) ?: get_user(to[1], &from[1]);
	}
	if (!user_read_access_begin(table, num * sizeof(*table)))
		return -EFAULT;
	for (i = 0; i < n; i++, to += 2) {
		from = (const u64 __user *)&table[heads[i] & (num - 1)];
		unsafe_get_user(to[0], &from[0], fault);
		unsafe_get_user(to[1], &from[1], fault);
	}
	user_read_access_end();
	return 0;

fault:
	user_read_access_end();
	return -EFAULT;
}

static inline void vring_io_set_used(struct vring_used_elem *e, u32 id, u32 len)
{
	e->id = (__force __virtio32)cpu_to_le32(id);
	e->len = (__force __virtio32)cpu_to_le32(len);
}

/*
 * Packed rings. Length, id and flags are one 8-byte word, and are always read and
 * written as one.
 */
static inline u16 vring_io_packed_flags(const struct vring_packed_desc *d)
{
	return le16_to_cpu(d->flags);
}

static inline int vring_io_get_packed(struct vring_packed_desc *dst,
				      const struct vring_packed_desc __user *src,
				      u16 n, u16 mask, u16 want)
{
	u16 i, avail;
	__le16 flags;

	/* Mostly it ends here, without the LFENCE of a user-access section. */
	if (get_user(flags, &src[0].flags))
		return -EFAULT;
	if ((le16_to_cpu(flags) & mask) != want)
		return 0;
	if (!user_read_access_begin(src, n * sizeof(*src)))
		return -EFAULT;
	for (avail = 1; avail < n; avail++) {
		unsafe_get_user(flags, &src[avail].flags, fault);
		if ((le16_to_cpu(flags) & mask) != want)
			break;
	}
	vring_io_rmb();			/* (A) */
	for (i = 0; i < avail; i++) {
		const u64 __user *from = (const u64 __user *)&src[i];
		u64 *to = (u64 *)&dst[i];

		unsafe_get_user(to[0], &from[0], fault);
		unsafe_get_user(to[1], &from[1], fault);
	}
	user_read_access_end();
	return avail;

fault:
	user_read_access_end();
	return -EFAULT;
}

static inline void vring_io_packed_to_cpu(struct vring_desc_cpu *d,
					  const struct vring_packed_desc *s)
{
	d->addr = le64_to_cpu(s->addr);
	d->len = le32_to_cpu(s->len);
	d->flags = le16_to_cpu(s->flags);
	d->next = le16_to_cpu(s->id);
}

static inline void vring_io_set_packed(struct vring_packed_desc *d, u16 id,
				       u32 len, u16 flags)
{
	/* In one store, as it will be loaded. */
	((__le64 *)d)[1] = cpu_to_le64(len | (u64)id << 32 | (u64)flags << 48);
}

static inline int vring_io_put_packed(struct vring_packed_desc __user *ring, u32 num,
				      const struct vring_packed_desc *src,
				      const u16 *at, u16 n)
{
	u16 i;

	if (n == 1)
		return put_user(((const u64 *)src)[1], &((u64 __user *)&ring[at[0]])[1]);
	if (!user_write_access_begin(ring, num * sizeof(*ring)))
		return -EFAULT;
	for (i = 0; i < n; i++)
		unsafe_put_user(((const u64 *)&src[i])[1],
				&((u64 __user *)&ring[at[i]])[1], fault);
	user_write_access_end();
	return 0;

fault:
	user_write_access_end();
	return -EFAULT;
}

/* Off_wrap in the lower half of the little-endian word, flags in the upper. */
static inline int vring_io_get_event(const struct vring_packed_desc_event __user *p,
				     u16 *off_wrap, u16 *flags)
{
	__le32 word;
	u32 v;

	if (get_user(word, (const __le32 __user *)p))
		return -EFAULT;
	v = le32_to_cpu(word);
	*off_wrap = v;
	*flags = v >> 16;
	return 0;
}

static inline int vring_io_put_event(struct vring_packed_desc_event __user *p,
				     u16 off_wrap, u16 flags)
{
	return put_user(cpu_to_le32(off_wrap | (u32)flags << 16), (__le32 __user *)p);
}

#endif
