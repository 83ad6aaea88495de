// SPDX-License-Identifier: GPL-2.0
/*
 * What a broken or hostile driver may put into a split ring (VIRTIO 1.2, 2.7).
 *
 * in:  a driver with free descriptors and nothing in flight
 * out: one bad chain (or index), published
 *
 * Ring descriptors are written at fixed places from 0 up: nothing is in flight,
 * so all are free, and the driver is not used for good requests afterwards.
 */
#include "abuse.h"

#define BUF	GMEM_HIGH
#define NEXT	VRING_DESC_F_NEXT
#define WRITE	VRING_DESC_F_WRITE
#define IND	VRING_DESC_F_INDIRECT

static void offer(struct drv *d, u16 head)
{
	drv_put_head(d, head);
	drv_publish(d);
}

/* Room for @n descriptors in guest memory, as an indirect table. */
static struct vring_desc *table(struct drv *d, u32 n, u64 *gpa)
{
	*gpa = gmem_alloc(d->mem, 16UL * n, 16);
	return gmem_ptr(d->mem, *gpa, 16UL * n);
}

/* One ring descriptor that points to a table. */
static void offer_table(struct drv *d, u64 gpa, u32 len, u16 flags)
{
	drv_set_desc(&d->desc[0], gpa, len, IND | flags, 1);
	offer(d, 0);
}

void abuse_next_loop(struct drv *d)
{
	drv_set_desc(&d->desc[0], BUF, 16, NEXT, 1);
	drv_set_desc(&d->desc[1], BUF, 16, NEXT, 2);
	drv_set_desc(&d->desc[2], BUF, 16, NEXT, 0);
	offer(d, 0);
}

void abuse_next_is_itself(struct drv *d)
{
	drv_set_desc(&d->desc[3], BUF, 16, NEXT, 3);
	offer(d, 3);
}

void abuse_next_loop_of_empty_descriptors(struct drv *d)
{
	drv_set_desc(&d->desc[0], BUF, 0, NEXT, 1);
	drv_set_desc(&d->desc[1], BUF, 0, NEXT, 0);
	offer(d, 0);
}

void abuse_next_is_queue_size(struct drv *d)
{
	drv_set_desc(&d->desc[0], BUF, 16, NEXT, d->num);
	offer(d, 0);
}

void abuse_next_is_65535(struct drv *d)
{
	drv_set_desc(&d->desc[0], BUF, 16, NEXT, 65535);
	offer(d, 0);
}

void abuse_head_is_queue_size(struct drv *d)
{
	offer(d, d->num);
}

void abuse_head_is_65535(struct drv *d)
{
	offer(d, 65535);
}

void abuse_indirect_length_not_multiple_of_16(struct drv *d)
{
	u64 gpa;

	drv_set_desc(table(d, 2, &gpa), BUF, 16, 0, 0);
	offer_table(d, gpa, 24, 0);
}

void abuse_indirect_length_below_16(struct drv *d)
{
	u64 gpa;

	drv_set_desc(table(d, 1, &gpa), BUF, 16, 0, 0);
	offer_table(d, gpa, 15, 0);
}

void abuse_indirect_length_zero(struct drv *d)
{
	u64 gpa;

	drv_set_desc(table(d, 1, &gpa), BUF, 16, 0, 0);
	offer_table(d, gpa, 0, 0);
}

/* The first descriptor of these is good: only the length is wrong. */
void abuse_indirect_table_of_32769(struct drv *d)
{
	u64 gpa;

	drv_set_desc(table(d, 32769, &gpa), BUF, 16, 0, 0);
	offer_table(d, gpa, 16 * 32769, 0);
}

void abuse_indirect_table_of_4gib(struct drv *d)
{
	u64 gpa;

	drv_set_desc(table(d, 1, &gpa), BUF, 16, 0, 0);
	offer_table(d, gpa, 0xfffffff0, 0);
}

void abuse_indirect_nested(struct drv *d)
{
	u64 outer, inner;
	struct vring_desc *o = table(d, 1, &outer);

	drv_set_desc(table(d, 1, &inner), BUF, 16, 0, 0);
	drv_set_desc(o, inner, 16, IND, 0);
	offer_table(d, outer, 16, 0);
}

void abuse_indirect_with_next(struct drv *d)
{
	u64 gpa;

	drv_set_desc(table(d, 1, &gpa), BUF, 16, 0, 0);
	drv_set_desc(&d->desc[1], BUF, 16, 0, 0);
	offer_table(d, gpa, 16, NEXT);
}

void abuse_indirect_next_is_table_size(struct drv *d)
{
	u64 gpa;
	struct vring_desc *t = table(d, 3, &gpa);

	/* The third is a good end of the chain, but past the table's length. */
	drv_set_desc(&t[0], BUF, 16, NEXT, 2);
	drv_set_desc(&t[2], BUF, 16, 0, 0);
	offer_table(d, gpa, 32, 0);
}

void abuse_indirect_loop(struct drv *d)
{
	u64 gpa;
	struct vring_desc *t = table(d, 2, &gpa);

	drv_set_desc(&t[0], BUF, 16, NEXT, 1);
	drv_set_desc(&t[1], BUF, 16, NEXT, 0);
	offer_table(d, gpa, 32, 0);
}

void abuse_indirect_table_wraps_around(struct drv *d)
{
	offer_table(d, 0ULL - 16, 32, 0);
}

void abuse_indirect_table_outside_memory(struct drv *d)
{
	offer_table(d, GMEM_HOLE + GMEM_PAGE, 32, 0);
}

void abuse_indirect_table_runs_into_hole(struct drv *d)
{
	struct vring_desc *t = gmem_ptr(d->mem, GMEM_HOLE - 16, 16);

	drv_set_desc(t, BUF, 16, NEXT, 1);
	offer_table(d, GMEM_HOLE - 16, 32, 0);
}

void abuse_avail_idx_past_queue_size(struct drv *d)
{
	u32 i;

	/* Every entry that could be read is good. */
	drv_set_desc(&d->desc[0], BUF, 16, 0, 0);
	for (i = 0; i < d->num + 1; i++)
		drv_put_head(d, 0);
	drv_publish(d);
}

void abuse_avail_idx_goes_back(struct drv *d)
{
	d->avail_idx--;
	drv_publish(d);
}

void abuse_sum_over_4gib(struct drv *d)
{
	drv_set_desc(&d->desc[0], GMEM_FAR, 0xffffffff, WRITE | NEXT, 1);
	drv_set_desc(&d->desc[1], GMEM_FAR, 2, WRITE, 0);
	offer(d, 0);
}

void abuse_sum_over_4gib_in_table(struct drv *d)
{
	u64 gpa;
	struct vring_desc *t = table(d, 3, &gpa);

	drv_set_desc(&t[0], GMEM_FAR, 0x80000000, WRITE | NEXT, 1);
	drv_set_desc(&t[1], GMEM_FAR, 0x80000000, WRITE | NEXT, 2);
	drv_set_desc(&t[2], GMEM_FAR, 1, WRITE, 0);
	offer_table(d, gpa, 48, 0);
}

void abuse_readable_after_writable(struct drv *d)
{
	drv_set_desc(&d->desc[0], BUF, 16, WRITE | NEXT, 1);
	drv_set_desc(&d->desc[1], BUF, 16, 0, 0);
	offer(d, 0);
}

void abuse_readable_in_table_after_writable(struct drv *d)
{
	u64 gpa;

	drv_set_desc(table(d, 1, &gpa), BUF, 16, 0, 0);
	drv_set_desc(&d->desc[0], BUF, 16, WRITE | NEXT, 1);
	drv_set_desc(&d->desc[1], gpa, 16, IND, 0);
	offer(d, 0);
}
