// SPDX-License-Identifier: GPL-2.0
/*
 * One ring and the little guest memory that it works on.
 *
 * in:  a size, a state of prng()
 * out: see slot.h
 */
#include "slot.h"
#include "fuzz.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANARY		0xa5

/* Where the parts are in @mem. Between any two there are canaries. */
#define DESC_AT		0x080
#define AVAIL_AT	0x1c0
#define USED_AT		0x240

/* Guest memory. Two regions are neighbours there, though not in this process. */
#define GPA_TABLES	0x1000ULL
#define GPA_LOW		(GPA_TABLES + 512)
#define GPA_FAR		0x100000000ULL

static const struct part {
	u64 gpa;
	u32 len;
	u32 at;
} parts[SLOT_REGIONS] = {
	{ GPA_TABLES, 512, 0x340 },	/* where slot_fill() puts indirect tables */
	{ GPA_LOW, 512, 0x580 },
	{ GPA_FAR, 1024, 0x7c8 },	/* to 0xbc8 */
};

#define TABLE_DESCS	(512 / 16)

void slot_init(struct slot *s, bool rng)
{
	*s = (struct slot) {
		.rng = rng,
		.mem = aligned_alloc(64, SLOT_BYTES),
		.shot = malloc(SLOT_BYTES),
	};
	CHECK(s->mem && s->shot, "no memory");
}

void slot_free(struct slot *s)
{
	free(s->mem);
	free(s->shot);
}

void slot_regions(const struct slot *s, struct vhost_memory_region *r)
{
	int i;

	for (i = 0; i < SLOT_REGIONS; i++)
		r[i] = (struct vhost_memory_region) {
			.guest_phys_addr = s->gpa_bias + parts[i].gpa,
			.memory_size = parts[i].len,
			.userspace_addr = (unsigned long)s->mem + parts[i].at,
		};
}

void slot_shape(struct slot *s, bool packed, u32 num)
{
	s->ring = (struct fring) {
		.packed = packed,
		.num = num,
		.desc = (void *)(s->mem + DESC_AT),
		.avail = (void *)(s->mem + AVAIL_AT),
		.used = (void *)(s->mem + USED_AT),
	};
}

/* ---- a good ring ---- */

/* Buffers lie anywhere but among the tables. */
static struct drv_seg random_seg(struct slot *s, bool write, u64 *state)
{
	const struct part *p = &parts[1 + fuzz_below(state, 2)];
	u32 from = fuzz_below(state, p->len);
	u32 most = p->len - from;

	if (most > 64 && !fuzz_one_in(state, 8))
		most = 64;
	return (struct drv_seg) {
		.gpa = s->gpa_bias + p->gpa + from,
		.len = 1 + fuzz_below(state, most),
		.write = write,
	};
}

static bool add_chain(struct slot *s, u32 *tables, u64 *state)
{
	u32 nr = 1 + fuzz_below(state, 4), nr_out = fuzz_below(state, nr + !s->rng);
	struct vring_desc *table = NULL;
	struct drv_seg segs[4];
	u64 gpa = 0;
	u32 i;

	for (i = 0; i < nr; i++)
		segs[i] = random_seg(s, i >= nr_out, state);
	if (s->indirect && *tables + nr <= TABLE_DESCS && fuzz_one_in(state, 2)) {
		table = (struct vring_desc *)(s->mem + parts[0].at) + *tables;
		gpa = s->gpa_bias + GPA_TABLES + 16 * *tables;
		*tables += nr;
	}
	return fring_add(&s->ring, segs, nr, table, gpa);
}

void slot_fill(struct slot *s, u32 base, u64 *state)
{
	u32 want = 1 + fuzz_below(state, s->ring.num), tables = 0, i;

	memset(s->mem, CANARY, SLOT_BYTES);
	for (i = 0; i < SLOT_REGIONS; i++)
		memset(s->mem + parts[i].at, 0x10 + i, parts[i].len);
	s->base = base;
	fring_init(&s->ring, base);
	for (s->chains = 0; s->chains < want; s->chains++)
		if (!add_chain(s, &tables, state))
			break;
	fring_publish(&s->ring);
}

/* ---- damage ---- */

static u64 random_gpa(struct slot *s, u64 *state)
{
	const struct part *p = &parts[fuzz_below(state, SLOT_REGIONS)];

	switch (fuzz_below(state, 8)) {
	case 0:
		return fuzz_u64(state);
	case 1:		/* around a border */
		return s->gpa_bias + p->gpa + fuzz_below(state, 32) - 16;
	case 2:
		return s->gpa_bias + p->gpa + p->len + fuzz_below(state, 32) - 16;
	default:
		return s->gpa_bias + p->gpa + fuzz_below(state, p->len);
	}
}

static u32 random_len(u64 *state)
{
	switch (fuzz_below(state, 4)) {
	case 0:
		return fuzz_u32(state);
	case 1:
		return 16 * fuzz_below(state, 20);
	default:
		return fuzz_below(state, 1100);
	}
}

/* The two layouts differ in what stands at offsets 12 and 14. */
static void damage_desc(struct slot *s, u8 *desc, u64 *state)
{
	u8 *flags = desc + (s->ring.packed ? 14 : 12);
	u8 *next = desc + (s->ring.packed ? 12 : 14);
	u64 v;

	switch (fuzz_below(state, 8)) {
	case 0:
	case 1:
		v = htole64(random_gpa(s, state));
		memcpy(desc, &v, 8);
		break;
	case 2:
	case 3:
		v = htole32(random_len(state));
		memcpy(desc + 8, &v, 4);
		break;
	case 4:		/* NEXT, WRITE, INDIRECT; packed: AVAIL, USED */
		*flags ^= 1 << fuzz_below(state, 3);
		break;
	case 5:
		v = htole16(fuzz_u16(state));
		memcpy(flags, &v, 2);
		break;
	case 6:
		v = htole16(fuzz_below(state, s->ring.num + 2));
		memcpy(next, &v, 2);
		break;
	default:
		v = htole16(fuzz_u16(state));
		memcpy(next, &v, 2);
	}
}

static void damage_avail(struct slot *s, u64 *state)
{
	size_t bytes = fring_avail_bytes(s->ring.packed, s->ring.num);
	u16 *halves = (u16 *)s->ring.avail;

	if (fuzz_one_in(state, 3))
		halves[1] += fuzz_below(state, s->ring.num + 2);	/* split: idx */
	else if (fuzz_one_in(state, 2))
		halves[fuzz_below(state, bytes / 2)] = fuzz_below(state, s->ring.num + 1);
	else
		halves[fuzz_below(state, bytes / 2)] = fuzz_u16(state);
}

static void damage_junk(struct slot *s, u64 *state)
{
	static const u32 at[] = { DESC_AT, AVAIL_AT, USED_AT, 0x340 };
	size_t size[] = { 16UL * s->ring.num,
			  fring_avail_bytes(s->ring.packed, s->ring.num),
			  fring_used_bytes(s->ring.packed, s->ring.num), 512 };
	u32 which = fuzz_below(state, 4), from = fuzz_below(state, size[which]);
	u32 len = 1 + fuzz_below(state, size[which] - from);

	if (fuzz_one_in(state, 2))
		s->mem[at[which] + from] ^= 1 << fuzz_below(state, 8);
	else
		fuzz_fill(state, s->mem + at[which] + from, len < 24 ? len : 24);
}

static void damage_once(struct slot *s, u64 *state)
{
	u8 *desc = (u8 *)s->ring.desc, *tables = s->mem + parts[0].at;
	u32 num = s->ring.num;

	switch (fuzz_below(state, 16)) {
	case 0 ... 5:
		damage_desc(s, desc + 16 * fuzz_below(state, num), state);
		break;
	case 6 ... 8:
		damage_desc(s, tables + 16 * fuzz_below(state, TABLE_DESCS), state);
		break;
	case 9 ... 11:
		damage_avail(s, state);
		break;
	case 12:	/* splice */
		memmove(desc + 16 * fuzz_below(state, num),
			desc + 16 * fuzz_below(state, num), 16);
		break;
	case 13:
		memcpy(tables + 16 * fuzz_below(state, TABLE_DESCS),
		       desc + 16 * fuzz_below(state, num), 16);
		break;
	default:
		damage_junk(s, state);
	}
}

void slot_damage(struct slot *s, u64 *state)
{
	u32 n = 1 + fuzz_below(state, 4);

	while (n--)
		damage_once(s, state);
}

/* ---- verdict ---- */

void slot_shoot(struct slot *s)
{
	memcpy(s->shot, s->mem, SLOT_BYTES);
}

struct range {
	u64 gpa;
	u64 len;
};

struct ranges {
	u32 nr_write, nr_table;
	struct range write[SLOT_NUM * (TABLE_DESCS * 2 + 1)];
	struct range table[SLOT_NUM];
};

/* Offset in the slot of a guest byte, or -1. */
static int offset_of(const struct slot *s, u64 gpa)
{
	int i;

	gpa -= s->gpa_bias;
	for (i = 0; i < SLOT_REGIONS; i++)
		if (gpa - parts[i].gpa < parts[i].len)
			return parts[i].at + (gpa - parts[i].gpa);
	return -1;
}

static u16 desc_flags(const struct slot *s, const u8 *desc)
{
	u16 v;

	memcpy(&v, desc + (s->ring.packed ? 14 : 12), 2);
	return le16toh(v);
}

static struct range desc_range(const u8 *desc)
{
	u64 gpa;
	u32 len;

	memcpy(&gpa, desc, 8);
	memcpy(&len, desc + 8, 4);
	return (struct range) { le64toh(gpa), le32toh(len) };
}

/* All descriptors that a table has in guest memory, before the first that is not. */
static void gather_table(const struct slot *s, struct range t, struct ranges *r)
{
	u8 desc[16];
	u64 at;
	int i;

	for (at = 0; at + 16 <= t.len; at += 16) {
		for (i = 0; i < 16; i++) {
			int from = offset_of(s, t.gpa + at + i);

			if (from < 0)
				return;
			desc[i] = s->shot[from];
		}
		if (desc_flags(s, desc) & VRING_DESC_F_WRITE)
			r->write[r->nr_write++] = desc_range(desc);
	}
}

/* All that may be written, and all that is read as a table: rather too much of both. */
static void gather(const struct slot *s, struct ranges *r)
{
	const u8 *desc = s->shot + DESC_AT;
	u32 i;

	r->nr_write = 0;
	r->nr_table = 0;
	for (i = 0; i < s->ring.num; i++, desc += 16) {
		u16 flags = desc_flags(s, desc);
		struct range range = desc_range(desc);

		if (flags & VRING_DESC_F_WRITE)
			r->write[r->nr_write++] = range;
		if (flags & VRING_DESC_F_INDIRECT) {
			r->table[r->nr_table++] = range;
			gather_table(s, range, r);
		}
	}
}

static bool overlap(struct range a, struct range b)
{
	return a.gpa - b.gpa < b.len || b.gpa - a.gpa < a.len;
}

/*
 * Whether the device may change descriptors before it reads them: a writable buffer
 * in a table; or, packed, a chain that comes round to where the ring's lap began,
 * and reads what the device has written there.
 */
static bool self_modifying(const struct slot *s, const struct ranges *r)
{
	u32 last, i, j;

	if (s->ring.packed) {
		last = ((s->base & 0x7fff) + s->ring.num - 1) % s->ring.num;
		if (desc_flags(s, s->shot + DESC_AT + 16 * last) & VRING_DESC_F_NEXT)
			return true;
	}
	for (i = 0; i < r->nr_write; i++)
		for (j = 0; j < r->nr_table; j++)
			if (overlap(r->write[i], r->table[j]))
				return true;
	return false;
}

static void allow(struct slot *s, u32 from, u32 len)
{
	memset(s->allowed + from, 1, len);
}

static void allow_range(struct slot *s, struct range r)
{
	int i;

	for (i = 0; i < SLOT_REGIONS; i++) {
		const struct part *p = &parts[i];
		/* Offsets in the region; a range that wraps around is none. */
		u64 gpa = r.gpa - s->gpa_bias;
		u64 from = gpa > p->gpa ? gpa : p->gpa;
		u64 to = gpa + r.len < p->gpa + p->len ? gpa + r.len : p->gpa + p->len;

		if (gpa + r.len >= gpa && from < to)
			allow(s, p->at + (from - p->gpa), to - from);
	}
}

static void allow_all(struct slot *s)
{
	int i;

	allow(s, DESC_AT, 16 * s->ring.num);
	allow(s, AVAIL_AT, fring_avail_bytes(s->ring.packed, s->ring.num));
	allow(s, USED_AT, fring_used_bytes(s->ring.packed, s->ring.num));
	for (i = 0; i < SLOT_REGIONS; i++)
		allow(s, parts[i].at, parts[i].len);
}

static enum slot_verdict decide_allowed(struct slot *s, bool hot)
{
	struct ranges r;
	u32 i;

	memset(s->allowed, 0, SLOT_BYTES);
	if (!hot && s->rng)
		gather(s, &r);
	if (hot || (s->rng && self_modifying(s, &r))) {
		allow_all(s);
		return SLOT_WILD;
	}
	allow(s, USED_AT, fring_used_bytes(s->ring.packed, s->ring.num));
	for (i = 0; s->ring.packed && i < s->ring.num; i++)
		allow(s, DESC_AT + 16 * i + 8, 8);	/* all but the address */
	for (i = 0; s->rng && i < r.nr_write; i++)
		allow_range(s, r.write[i]);
	return SLOT_GOOD;
}

enum slot_verdict slot_check(struct slot *s, bool hot)
{
	enum slot_verdict verdict = decide_allowed(s, hot);
	u32 i;

	for (i = 0; i < SLOT_BYTES; i++) {
		if (s->mem[i] == s->shot[i] || s->allowed[i])
			continue;
		printf("# byte 0x%x of the slot: was 0x%02x, is 0x%02x\n", i,
		       s->shot[i], s->mem[i]);
		return SLOT_BAD;
	}
	return verdict;
}
