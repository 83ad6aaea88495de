// SPDX-License-Identifier: GPL-2.0
/*
 * What a broken or hostile driver may put into a packed ring (VIRTIO 1.2, 2.8).
 *
 * in:  a driver with nothing in flight
 * out: bad descriptors or event suppression, published
 *
 * The driver's own account of what is in flight knows nothing of this, so it is not
 * used for good requests afterwards.
 */
#include "abuse_packed.h"

#define BUF	GMEM_HIGH
#define NEXT	VRING_DESC_F_NEXT
#define WRITE	VRING_DESC_F_WRITE
#define IND	VRING_DESC_F_INDIRECT

/* The ID of all chains here, where it does not matter. */
#define ID	5

/* Room for @n descriptors in guest memory, as an indirect table. */
static struct vring_packed_desc *table(struct drv *d, u32 n, u64 *gpa)
{
	*gpa = gmem_alloc(d->mem, 16UL * n, 16);
	return gmem_ptr(d->mem, *gpa, 16UL * n);
}

/* One descriptor of a table. */
static void put_in(struct vring_packed_desc *t, u64 gpa, u32 len, u16 flags)
{
	drv_set_packed_desc(t, gpa, len, flags, 0);
}

/* One ring descriptor that points to a table. */
static void offer_table(struct drv *d, u64 gpa, u32 len, u16 flags)
{
	drv_put_desc(d, gpa, len, IND | flags, ID);
	drv_publish(d);
}

/* A table of one good descriptor, in a chain of the ring that is not. */
static u64 good_table(struct drv *d)
{
	u64 gpa;

	put_in(table(d, 1, &gpa), BUF, 16, 0);
	return gpa;
}

static void all_round(struct drv *d, u32 len, u16 last_flags)
{
	u32 i;

	for (i = 0; i < d->num; i++)
		drv_put_desc(d, BUF, len, i + 1 < d->num ? NEXT : last_flags, ID);
	drv_publish(d);
}

void abuse_packed_next_all_round(struct drv *d)
{
	all_round(d, 16, NEXT);
}

void abuse_packed_next_all_round_of_empty_descriptors(struct drv *d)
{
	all_round(d, 0, NEXT);
}

void abuse_packed_indirect_length_not_multiple_of_16(struct drv *d)
{
	offer_table(d, good_table(d), 24, 0);
}

void abuse_packed_indirect_length_below_16(struct drv *d)
{
	offer_table(d, good_table(d), 15, 0);
}

void abuse_packed_indirect_length_zero(struct drv *d)
{
	offer_table(d, good_table(d), 0, 0);
}

/* All of these would be good: only the length is wrong. */
void abuse_packed_indirect_table_of_32769(struct drv *d)
{
	u64 gpa;
	struct vring_packed_desc *t = table(d, 32769, &gpa);
	u32 i;

	for (i = 0; i < 32769; i++)
		put_in(&t[i], BUF, 0, 0);
	offer_table(d, gpa, 16 * 32769, 0);
}

void abuse_packed_indirect_table_of_4gib(struct drv *d)
{
	offer_table(d, good_table(d), 0xfffffff0, 0);
}

void abuse_packed_indirect_nested(struct drv *d)
{
	u64 outer;

	put_in(table(d, 1, &outer), good_table(d), 16, IND);
	offer_table(d, outer, 16, 0);
}

void abuse_packed_indirect_with_next(struct drv *d)
{
	drv_put_desc(d, good_table(d), 16, IND | NEXT, ID);
	drv_put_desc(d, BUF, 16, 0, ID);
	drv_publish(d);
}

/* 2.8.19: a split ring's driver may do this, a packed one's may not. */
void abuse_packed_indirect_at_the_end_of_a_chain(struct drv *d)
{
	drv_put_desc(d, BUF, 16, NEXT, ID);
	drv_put_desc(d, good_table(d), 16, IND, ID);
	drv_publish(d);
}

void abuse_packed_indirect_inside_a_chain(struct drv *d)
{
	drv_put_desc(d, BUF, 16, NEXT, ID);
	drv_put_desc(d, good_table(d), 16, IND | NEXT, ID);
	drv_put_desc(d, BUF, 16, 0, ID);
	drv_publish(d);
}

void abuse_packed_indirect_table_wraps_around(struct drv *d)
{
	offer_table(d, 0ULL - 16, 32, 0);
}

void abuse_packed_indirect_table_outside_memory(struct drv *d)
{
	offer_table(d, GMEM_HOLE + GMEM_PAGE, 32, 0);
}

void abuse_packed_indirect_table_runs_into_hole(struct drv *d)
{
	put_in(gmem_ptr(d->mem, GMEM_HOLE - 16, 16), BUF, 16, 0);
	offer_table(d, GMEM_HOLE - 16, 32, 0);
}

void abuse_packed_sum_over_4gib(struct drv *d)
{
	drv_put_desc(d, GMEM_FAR, 0xffffffff, WRITE | NEXT, ID);
	drv_put_desc(d, GMEM_FAR, 2, WRITE, ID);
	drv_publish(d);
}

void abuse_packed_sum_over_4gib_in_table(struct drv *d)
{
	u64 gpa;
	struct vring_packed_desc *t = table(d, 3, &gpa);

	put_in(&t[0], GMEM_FAR, 0x80000000, WRITE);
	put_in(&t[1], GMEM_FAR, 0x80000000, WRITE);
	put_in(&t[2], GMEM_FAR, 1, WRITE);
	offer_table(d, gpa, 48, 0);
}

void abuse_packed_readable_after_writable(struct drv *d)
{
	drv_put_desc(d, BUF, 16, WRITE | NEXT, ID);
	drv_put_desc(d, BUF, 16, 0, ID);
	drv_publish(d);
}

void abuse_packed_readable_after_writable_in_table(struct drv *d)
{
	u64 gpa;
	struct vring_packed_desc *t = table(d, 2, &gpa);

	put_in(&t[0], BUF, 16, WRITE);
	put_in(&t[1], BUF, 16, 0);
	offer_table(d, gpa, 32, 0);
}

/* ---- what does not break a queue ---- */

void abuse_packed_chain_as_long_as_the_ring(struct drv *d)
{
	all_round(d, 16, WRITE);
}

/* The device takes it that the rest of a chain is there if its start is (2.8.21). */
void abuse_packed_chain_runs_into_what_is_not_available(struct drv *d)
{
	u16 at = drv_place_after(d, d->avail_at, 1).i;

	drv_set_packed_desc(&d->ring[at], BUF, 16,
			    WRITE | (drv_desc_flags(d, at) &
				     (PACKED_F_AVAIL | PACKED_F_USED)), ID);
	drv_put_desc(d, BUF, 16, NEXT, ID);
	drv_publish(d);
}

void abuse_packed_id_twice(struct drv *d)
{
	drv_put_desc(d, BUF, 16, WRITE, ID);
	drv_put_desc(d, BUF + 16, 16, WRITE, ID);
	drv_publish(d);
}

void abuse_packed_id_past_the_ring(struct drv *d)
{
	drv_put_desc(d, BUF, 16, WRITE, 0xffff);
	drv_publish(d);
}

void abuse_packed_event_flags_reserved(struct drv *d)
{
	drv_set_driver_event(d, 0xffff, 0xffff);
	drv_put_desc(d, BUF, 16, WRITE, ID);
	drv_publish(d);
}

void abuse_packed_event_place_past_the_ring(struct drv *d)
{
	drv_set_driver_event(d, d->num, VRING_PACKED_EVENT_FLAG_DESC);
	drv_put_desc(d, BUF, 16, WRITE, ID);
	drv_publish(d);
}

/* Published, and unpublished before the device looked. */
void abuse_packed_flags_flipped_back(struct drv *d)
{
	u16 at = d->avail_at.i, was = drv_desc_flags(d, at);

	drv_put_desc(d, BUF, 16, WRITE, ID);
	drv_publish(d);
	drv_set_desc_flags(d, at, was);
}

void abuse_packed_flags_of_the_next_lap(struct drv *d)
{
	drv_set_packed_desc(&d->ring[d->avail_at.i], BUF, 16,
			    WRITE | (d->avail_at.wrap ? PACKED_F_USED : PACKED_F_AVAIL),
			    ID);
}

void abuse_packed_flags_of_a_used_descriptor(struct drv *d)
{
	drv_set_packed_desc(&d->ring[d->avail_at.i], BUF, 16,
			    WRITE | PACKED_F_USED | PACKED_F_AVAIL, ID);
}

void abuse_packed_second_without_the_first(struct drv *d)
{
	drv_put_desc(d, BUF, 16, WRITE, ID);
	drv_put_desc(d, BUF, 16, WRITE, ID);
	/* No drv_publish(), which would make the first available. */
}
