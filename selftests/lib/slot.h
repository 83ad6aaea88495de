/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One ring and the little guest memory that it works on, with canaries between all
 * parts: what fuzz_ring damages, and looks over afterwards.
 *
 * in:  a size, a state of prng()
 * out: a well-formed ring; damage; a verdict on each byte
 *
 * The ring lies outside of the memory table, so that no descriptor can name it.
 * What may be written then follows from the descriptors alone, by their contents
 * before the device saw them; unless a writable buffer overlaps an indirect table.
 */
#ifndef SELFTEST_SLOT_H
#define SELFTEST_SLOT_H

#include "fring.h"

#define SLOT_NUM_BITS	4
#define SLOT_NUM	(1U << SLOT_NUM_BITS)	/* largest queue */
#define SLOT_REGIONS	3
#define SLOT_BYTES	3200

/**
 * struct slot - a ring, its memory, and both as they were at slot_shoot()
 * @ring: in @mem
 * @rng: the device writes buffers; else it never does
 * @indirect: the feature is negotiated
 * @gpa_bias: added to all guest addresses
 * @chains: that slot_fill() laid out
 */
struct slot {
	struct fring ring;
	bool rng;
	bool indirect;
	u64 gpa_bias;
	u32 chains;
	u32 base;
	u8 *mem;
	u8 *shot;
	u8 allowed[SLOT_BYTES];
};

enum slot_verdict {
	SLOT_GOOD,
	SLOT_WILD,	/* looked at around guest memory alone */
	SLOT_BAD,
};

void slot_init(struct slot *s, bool rng);
void slot_free(struct slot *s);
/* The regions for the memory table. */
void slot_regions(const struct slot *s, struct vhost_memory_region *r);
void slot_shape(struct slot *s, bool packed, u32 num);

/* Everything as it should be, with some chains published. */
void slot_fill(struct slot *s, u32 base, u64 *state);
/* A few random changes. */
void slot_damage(struct slot *s, u64 *state);
/* What is there now is what the device finds. */
void slot_shoot(struct slot *s);
/* Whether only such bytes changed that may; says which did. @hot: damaged meanwhile */
enum slot_verdict slot_check(struct slot *s, bool hot);

#endif
