// SPDX-License-Identifier: GPL-2.0
/*
 * A ring whose memory goes away under the engine, at each access in turn.
 *
 * in:  ring/, compiled in here once more with accessors that fail when told to
 * out: -EFAULT from the call that was hit, and a ring that goes on where it was once
 *	its memory is back: nothing is lost, and nothing comes twice
 */
#include "kselftest_harness.h"

#include "../ring/user/vring_io.h"

/* Accesses until one fails; then all do, until it is set again. */
static int left;

static int fault(void)
{
	if (left <= 0)
		return -EFAULT;
	left--;
	return 0;
}

#define OR(call)	(fault() ?: (call))

#define vring_io_get16(...)		OR(vring_io_get16(__VA_ARGS__))
#define vring_io_put16(...)		OR(vring_io_put16(__VA_ARGS__))
#define vring_io_get16s(...)		OR(vring_io_get16s(__VA_ARGS__))
#define vring_io_get_desc(...)		OR(vring_io_get_desc(__VA_ARGS__))
#define vring_io_get_descs(...)		OR(vring_io_get_descs(__VA_ARGS__))
#define vring_io_put_used(...)		OR(vring_io_put_used(__VA_ARGS__))
#define vring_io_get_packed(...)	OR(vring_io_get_packed(__VA_ARGS__))
#define vring_io_put_packed(...)	OR(vring_io_put_packed(__VA_ARGS__))
#define vring_io_get_event(...)		OR(vring_io_get_event(__VA_ARGS__))
#define vring_io_put_event(...)		OR(vring_io_put_event(__VA_ARGS__))

#include "../ring/vring.c"
#include "../ring/split.c"
#include "../ring/packed.c"

#define NUM	32
#define ALWAYS	1000000
/* More than 64, so that elements are published by vring_push(), too. */
#define BIG	128

#define NEXT	0x0001
#define WRITE	0x0002
#define AVAIL	0x0080
#define USED	0x8000

/* No indirect tables here. */
int vring_io_lookup(void *mem, u64 gpa, u32 len, const void **ptr, u32 *contig)
{
	(void)mem;
	(void)gpa;
	(void)len;
	(void)ptr;
	(void)contig;
	return -EFAULT;
}

/* The ring, its engine, and what was popped last. */
static struct ring {
	struct vring_dev vr;
	u32 num;
	u32 hit;	/* failed accesses */
	_Alignas(16) union {
		struct vring_desc split[BIG];
		struct vring_packed_desc packed[BIG];
	} desc;
	_Alignas(4) __virtio16 avail[3 + BIG];
	u32 used[2 + 2 * BIG];
	struct vring_seg segs[4];
	struct vring_chain c;
} the_ring;

FIXTURE(faults)
{
	struct ring *r;
};

FIXTURE_VARIANT(faults)
{
	u64 features;
};

#define PACKED		(1ULL << VIRTIO_F_RING_PACKED)
#define EVENT		(1ULL << VIRTIO_RING_F_EVENT_IDX)

FIXTURE_VARIANT_ADD(faults, split) { .features = 0 };
FIXTURE_VARIANT_ADD(faults, split_event) { .features = EVENT };
FIXTURE_VARIANT_ADD(faults, packed) { .features = PACKED };
FIXTURE_VARIANT_ADD(faults, packed_event) { .features = PACKED | EVENT };

FIXTURE_SETUP(faults)
{
	self->r = &the_ring;
	self->r->c.segs = self->r->segs;
	self->r->c.max_segs = 4;
}

FIXTURE_TEARDOWN(faults)
{
}

static int load(struct ring *r)
{
	return vring_load(&r->vr, r->vr.packed ? VRING_PACKED_START : 0);
}

/* As many chains of @len descriptors as there is room for: 1 or 3. */
static void start(struct ring *r, u64 features, u32 num, u32 len)
{
	struct vring_config cfg = {
		.desc = &r->desc, .avail = r->avail, .used = r->used,
		.features = features, .num = num,
	};
	u32 i;

	memset(&r->desc, 0, sizeof(r->desc));
	r->num = num / len;
	for (i = 0; i < r->num * len; i++) {
		u16 flags = (i % len < len - 1 ? NEXT : 0) | (i % len || len == 1 ? WRITE : 0);

		if (features & PACKED) {
			r->desc.packed[i].len = 16;
			r->desc.packed[i].id = i / len;
			r->desc.packed[i].flags = flags | AVAIL;
		} else {
			r->desc.split[i].len = 16;
			r->desc.split[i].flags = flags;
			r->desc.split[i].next = i + 1;
		}
	}
	if (!(features & PACKED)) {
		r->avail[1] = r->num;
		for (i = 0; i < r->num; i++)
			r->avail[2 + i] = len * i;
	} else {
		r->avail[0] = 0;
		r->avail[1] = 0;
	}
	left = ALWAYS;
	vring_init(&r->vr, &cfg);
	load(r);
	r->hit = 0;
}

/*
 * Does @step with the memory failing after 0, 0, 1, 1, 2... accesses, until it comes
 * through. What a failed one may have done, the next must put up with; and that may
 * need an access less, hence twice.
 */
static int insist(struct ring *r, int (*step)(struct ring *r))
{
	int n, ret;

	for (n = 0; ; n++) {
		left = n / 2;
		ret = step(r);
		left = ALWAYS;
		if (ret != -EFAULT)
			return ret;
		r->hit++;
	}
}

static int pop(struct ring *r)
{
	return vring_pop(&r->vr, &r->c);
}

static int push(struct ring *r)
{
	return vring_push(&r->vr, r->c.token, 16);
}

static int flush(struct ring *r)
{
	return vring_flush(&r->vr);
}

static int disable(struct ring *r)
{
	return vring_disable_notify(&r->vr);
}

static int enable(struct ring *r)
{
	return vring_enable_notify(&r->vr);
}

static int has_avail(struct ring *r)
{
	return vring_has_avail(&r->vr);
}

static u32 id(const struct ring *r)
{
	return r->vr.packed ? r->c.token.id : r->c.token.id / 3U;
}

TEST_F(faults, each_chain_is_popped_once)
{
	struct ring *r = self->r;
	u32 i;

	start(r, variant->features, NUM, 3);
	for (i = 0; i < r->num; i++) {
		ASSERT_EQ(1, insist(r, pop));
		EXPECT_EQ(i, id(r));
		EXPECT_EQ(1, r->c.nr_out);
		EXPECT_EQ(2, r->c.nr_in);
	}
	EXPECT_EQ(0, insist(r, pop));
	/* Of a packed ring 16 descriptors are read at once, which ends within a chain. */
	EXPECT_LE(3, r->hit);
}

TEST_F(faults, each_element_is_published_once)
{
	struct ring *r = self->r;
	u32 i;

	start(r, variant->features, BIG, 1);
	for (i = 0; i < r->num; i++) {
		ASSERT_EQ(1, pop(r));
		ASSERT_EQ(0, insist(r, push));
	}
	EXPECT_LT(0, r->hit);
	r->hit = 0;
	EXPECT_LE(0, insist(r, flush));
	EXPECT_LT(0, r->hit);
	EXPECT_EQ(0, flush(r));
	EXPECT_EQ(0, r->vr.in_flight);
	for (i = 0; i < r->num; i++) {
		if (r->vr.packed) {
			EXPECT_EQ(i, r->desc.packed[i].id);
			EXPECT_EQ(AVAIL | USED | WRITE, r->desc.packed[i].flags);
		} else {
			EXPECT_EQ(i, r->used[1 + 2 * i]);
			EXPECT_EQ(16, r->used[2 + 2 * i]);
		}
	}
	if (!r->vr.packed)
		EXPECT_EQ(BIG << 16, r->used[0]);
}

TEST_F(faults, notifications_and_load_fail_and_come_through)
{
	struct ring *r = self->r;

	start(r, variant->features, NUM, 3);
	EXPECT_EQ(0, insist(r, disable));
	/* Not tried again: a kick too many does no harm. */
	EXPECT_EQ(variant->features == EVENT ? 0 : 1, r->hit);
	r->hit = 0;
	EXPECT_EQ(1, insist(r, enable));
	EXPECT_EQ(4, r->hit);
	r->hit = 0;
	EXPECT_EQ(1, insist(r, has_avail));
	EXPECT_EQ(2, r->hit);
	r->hit = 0;
	EXPECT_EQ(0, insist(r, load));
	EXPECT_EQ(r->vr.packed ? 2 : 4, r->hit);
}

TEST_HARNESS_MAIN
