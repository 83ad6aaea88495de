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

typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/* A descriptor in host byte order. */
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

/* Entries of the used ring. */
static inline int vring_io_put_used(struct vring_used_elem *dst,
				    const struct vring_used_elem *src, u16 n)
{
	memcpy(dst, src, n * sizeof(*src));
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

static inline void vring_io_set_used(struct vring_used_elem *e, u32 id, u32 len)
{
	e->id = htole32(id);
	e->len = htole32(len);
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

#endif
