/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How the ring engine reaches guest memory in userspace: plain loads and stores,
 * each done exactly once (volatile), since the guest may change what it likes at
 * any time. kmod/vring_io.h is the same for the kernel.
 *
 * The program that links ring/ defines vring_io_lookup().
 */
#ifndef VRING_IO_H
#define VRING_IO_H

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <linux/types.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#define __vring
/* Of a function that is not to weigh on its caller. */
#define __vring_slow __attribute__((__noinline__))
#define U16_MAX UINT16_MAX
#define U32_MAX UINT32_MAX

typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/* Words that stand for several fields at once. */
typedef u32 __attribute__((may_alias)) vring_io_word32;
typedef u64 __attribute__((may_alias)) vring_io_word64;

/* A descriptor in host byte order. Of a packed ring @next is the buffer ID. */
struct vring_desc_cpu {
	u64 addr;
	u32 len;
	u16 flags;
	u16 next;
};

/**
 * vring_io_lookup() - find guest memory
 * @mem: as in struct vring_config
 * @gpa: guest-physical address
 * @len: bytes wanted, not 0
 * @ptr: where @gpa is
 * @contig: bytes that lie there in one piece, 1 to @len
 *
 * Return: 0, or -EFAULT if @gpa is in no region of guest memory.
 */
int vring_io_lookup(void *mem, u64 gpa, u32 len, const void **ptr, u32 *contig);

/* Adds to a counter that one thread writes, and any may read. */
static inline void vring_io_count(u64 *counter, u64 n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline int vring_io_get16(const __virtio16 *p, u16 *v)
{
	*v = le16toh(*(const volatile u16 *)p);
	return 0;
}

static inline int vring_io_put16(__virtio16 *p, u16 v)
{
	*(volatile u16 *)p = htole16(v);
	return 0;
}

/* Entries of the avail ring. */
static inline int vring_io_get16s(u16 *dst, const __virtio16 *src, u16 n)
{
	u16 i;

	for (i = 0; i < n; i++)
		vring_io_get16(&src[i], &dst[i]);
	return 0;
}

static inline int vring_io_read(void *dst, const void *src, size_t n)
{
	memcpy(dst, src, n);
	__asm__ __volatile__("" : : : "memory");	/* dst is a copy, not an alias */
	return 0;
}

/* @n words that are 8-byte aligned. */
static inline int vring_io_get_words(u64 *dst, const void *src, u32 n)
{
	const volatile u64 *from = src;
	u64 word;
	u32 i;

	for (i = 0; i < n; i++) {
		word = from[i];
		memcpy(&dst[i], &word, sizeof(word));	/* of any type */
	}
	return 0;
}

/* Element i goes to entry at[i] of a used ring of @num. */
static inline int vring_io_put_used(struct vring_used *used, u32 num,
				    const struct vring_used_elem *src,
				    const u16 *at, u16 n)
{
	u16 i;

	(void)num;
	for (i = 0; i < n; i++)
		used->ring[at[i]] = src[i];
	return 0;
}

static inline void vring_io_desc_to_cpu(struct vring_desc_cpu *d,
					const struct vring_desc *s)
{
	d->addr = le64toh(s->addr);
	d->len = le32toh(s->len);
	d->flags = le16toh(s->flags);
	d->next = le16toh(s->next);
}

static inline int vring_io_get_desc(const struct vring_desc *p,
				    struct vring_desc_cpu *d)
{
	struct vring_desc copy;

	vring_io_read(&copy, p, sizeof(copy));
	vring_io_desc_to_cpu(d, &copy);
	return 0;
}

/* Entries heads[0] to heads[n - 1], modulo @num, of a table of @num, a power of 2. */
static inline int vring_io_get_descs(struct vring_desc *dst,
				     const struct vring_desc *table, u32 num,
				     const u16 *heads, u16 n)
{
	u16 i;

	for (i = 0; i < n; i++)
		vring_io_read(&dst[i], &table[heads[i] & (num - 1)], sizeof(*dst));
	return 0;
}

/* In one store, as it will be loaded: see vring_set_token(). */
static inline void vring_io_set_used(struct vring_used_elem *e, u32 id, u32 len)
{
	u64 word = htole64(id | (u64)len << 32);

	memcpy(e, &word, sizeof(word));
}

/* The engine's barriers (A) to (D), see vring.h. */
static inline void vring_io_rmb(void)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
}

static inline void vring_io_wmb(void)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void vring_io_mb(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/*
 * The packed ring's descriptors from @src on, up to the first whose flags under
 * @mask are not @want, or @n of them. Flags are read first, all else behind barrier
 * (A). Return: how many, or -EFAULT.
 */
static inline int vring_io_get_packed(struct vring_packed_desc *dst,
				      const struct vring_packed_desc *src, u16 n,
				      u16 mask, u16 want)
{
	u16 i;

	for (i = 0; i < n; i++) {
		u16 flags = *(const volatile u16 *)&src[i].flags;

		if ((le16toh(flags) & mask) != want)
			break;
	}
	vring_io_rmb();			/* (A) */
	n = i;
	for (i = 0; i < n; i++)
		vring_io_read(&dst[i], &src[i], sizeof(*dst));
	return n;
}

static inline void vring_io_packed_to_cpu(struct vring_desc_cpu *d,
					  const struct vring_packed_desc *s)
{
	d->addr = le64toh(s->addr);
	d->len = le32toh(s->len);
	d->flags = le16toh(s->flags);
	d->next = le16toh(s->id);
}

static inline void vring_io_set_packed(struct vring_packed_desc *d, u16 id,
				       u32 len, u16 flags)
{
	u64 word = htole64(len | (u64)id << 32 | (u64)flags << 48);

	memcpy(&d->len, &word, sizeof(word));
}

static inline u16 vring_io_packed_flags(const struct vring_packed_desc *d)
{
	return le16toh(d->flags);
}

/*
 * Length, id and flags of descriptor i go to entry at[i] of a ring of @num in one
 * store: the driver may look at any time, and goes by the flags. @addr stays.
 */
static inline int vring_io_put_packed(struct vring_packed_desc *ring, u32 num,
				      const struct vring_packed_desc *src,
				      const u16 *at, u16 n)
{
	u64 word;
	u16 i;

	(void)num;
	for (i = 0; i < n; i++) {
		memcpy(&word, &src[i].len, sizeof(word));
		*(volatile vring_io_word64 *)&ring[at[i]].len = word;
	}
	return 0;
}

/* An event suppression structure is read and written whole. */
static inline int vring_io_get_event(const struct vring_packed_desc_event *p,
				     u16 *off_wrap, u16 *flags)
{
	struct vring_packed_desc_event e;
	u32 word = *(const volatile vring_io_word32 *)p;

	memcpy(&e, &word, sizeof(e));
	*off_wrap = le16toh(e.off_wrap);
	*flags = le16toh(e.flags);
	return 0;
}

static inline int vring_io_put_event(struct vring_packed_desc_event *p,
				     u16 off_wrap, u16 flags)
{
	struct vring_packed_desc_event e = {
		.off_wrap = htole16(off_wrap),
		.flags = htole16(flags),
	};
	u32 word;

	memcpy(&word, &e, sizeof(word));
	*(volatile vring_io_word32 *)p = word;
	return 0;
}

#endif
