// SPDX-License-Identifier: GPL-2.0
/*
 * Every descriptor table of four entries.
 *
 * in:  ring/ and the reference model, with poison around all memory (lib/duel.h)
 * out: none crashes, loops, or makes the two differ; how many there were
 *
 * Split: next from 0 to 5, past the table's end; all of NEXT, WRITE and INDIRECT; each
 * head. An entry with INDIRECT names a table of its own, each in another
 * way right or wrong. Packed: all of NEXT, WRITE, INDIRECT, AVAIL and USED, from each
 * place in the ring and with both wrap counters.
 * The same for indirect tables of four entries.
 *
 * In the passes that say "fewer", a split entry without NEXT, which ends a chain, has
 * only 0 and 5 for a next.
 */
#include "kselftest_harness.h"

#include "lib/duel.h"

#define ENTRIES		4
#define NEXTS		6

#define NEXT		0x0001
#define WRITE		0x0002
#define INDIRECT	0x0004
#define RESERVED	0x7f78
#define AVAIL		0x0080
#define USED		0x8000

#define DATA		0x100000

static void put(u8 *p, u64 v, int bytes)
{
	while (bytes--) {
		*p++ = v;
		v >>= 8;
	}
}

static void desc(u8 *p, u64 addr, u32 len, u16 a, u16 b)
{
	put(p, addr, 8);
	put(p + 8, len, 4);
	put(p + 12, a, 2);
	put(p + 14, b, 2);
}

/* Flags and next of a split entry; the other way round, flags and ID of a packed one. */
struct entry {
	u16 flags;
	u16 next;
};

/* Where a ring entry with INDIRECT points to: tables that are good but for the last. */
static void target(u32 i, u64 *addr, u32 *len)
{
	static const u32 lens[ENTRIES] = { 16, 32, 16, 24 };

	*addr = DUEL_GUEST + 64 * i;
	*len = lens[i];
}

static void make_targets(struct duel *d)
{
	static const u16 flags[ENTRIES][2] = {
		{ 0 }, { NEXT, WRITE }, { WRITE }, { NEXT, 0 },
	};
	u8 bytes[16];
	int i, k;

	for (i = 0; i < ENTRIES; i++)
		for (k = 0; k < 2; k++) {
			if (d->m.packed)
				desc(bytes, DATA, 8, 7, flags[i][k]);
			else
				desc(bytes, DATA, 8, flags[i][k], 1);
			duel_put_guest(d, 64 * i + 16 * k, bytes, 16);
		}
}

static void put_entry(struct duel *d, u32 i, struct entry e)
{
	u64 addr = DATA * (i + 1);
	u32 len = 16 + i;
	u8 bytes[16];

	if (e.flags & INDIRECT)
		target(i, &addr, &len);
	if (d->m.packed)
		desc(bytes, addr, len, e.next, e.flags);
	else
		desc(bytes, addr, len, e.flags, e.next);
	duel_put(d, MODEL_DESC, 16 * i, bytes, 16);
}

static void put_table_entry(struct duel *d, u32 i, struct entry e)
{
	u8 bytes[16];

	if (d->m.packed)
		desc(bytes, DATA * (i + 1), 16 + i, e.next, e.flags);
	else
		desc(bytes, DATA * (i + 1), 16 + i, e.flags, e.next);
	duel_put_guest(d, 16 * i, bytes, 16);
}

/* One pass: what is tried, and what became of it. */
struct pass {
	struct duel *d;
	u32 state;		/* to go back to */
	u32 in_flight;		/* chains then; or load would forget them */
	struct entry e[64];
	u32 nr;			/* of them */
	u64 all, chains, refused;
};

static void pop(struct pass *p)
{
	int r = duel_pop(p->d, 16);

	p->all++;
	p->chains += r == 1;
	p->refused += r < 0;
	/* Back, with nothing read ahead. */
	if (!p->in_flight)
		duel_load(p->d, p->state);
	else if (r == 1)
		duel_unpop(p->d);
}

/* Pops from all combinations of four entries. */
static void each_table(struct pass *p, void (*put_one)(struct duel *, u32, struct entry))
{
	u32 at[ENTRIES] = { 0 };
	int i;

	for (i = 0; i < ENTRIES; i++)
		put_one(p->d, i, p->e[0]);
	for (;;) {
		pop(p);
		for (i = 0; i < ENTRIES && ++at[i] == p->nr; i++) {
			at[i] = 0;
			put_one(p->d, i, p->e[0]);
		}
		if (i == ENTRIES)
			return;
		put_one(p->d, i, p->e[at[i]]);
	}
}

static void report(const struct pass *p)
{
	printf("# %llu tables of %u^4: %llu chains, %llu refused\n",
	       (unsigned long long)p->all, p->nr, (unsigned long long)p->chains,
	       (unsigned long long)p->refused);
}

/* ---- split ---- */

static void split_start(struct pass *p, u64 features, u16 head)
{
	p->d = duel_start(features, ENTRIES, 0, 0);
	p->state = 0;
	make_targets(p->d);
	duel_put16(p->d, MODEL_DRIVER, 2, 1);
	duel_put16(p->d, MODEL_DRIVER, 4, head);
}

static void split_entries(struct pass *p, bool fewer, u16 reserved)
{
	u16 flags, next;

	for (flags = 0; flags < 8; flags++)
		for (next = 0; next < NEXTS; next++)
			if (flags & NEXT || !next || next == NEXTS - 1 || !fewer)
				p->e[p->nr++] = (struct entry) { flags | reserved, next };
}

FIXTURE(split)
{
};

FIXTURE_VARIANT(split)
{
	u16 head;
};

#define HEAD(n)	FIXTURE_VARIANT_ADD(split, head_##n) { .head = n }

HEAD(0);
HEAD(1);
HEAD(2);
HEAD(3);

FIXTURE_SETUP(split)
{
}

FIXTURE_TEARDOWN(split)
{
}

TEST_F(split, all_tables)
{
	struct pass p = { 0 };

	split_start(&p, DUEL_F_INDIRECT, variant->head);
	split_entries(&p, false, 0);
	each_table(&p, put_entry);
	report(&p);
	EXPECT_EQ(48 * 48 * 48 * 48, p.all);
	EXPECT_EQ(p.all, p.chains + p.refused);
	EXPECT_LT(0, p.chains);
}

TEST(split_fewer_tables_from_heads_outside)
{
	u16 head;

	for (head = ENTRIES; head < NEXTS; head++) {
		struct pass p = { 0 };

		split_start(&p, DUEL_F_INDIRECT, head);
		split_entries(&p, true, 0);
		each_table(&p, put_entry);
		report(&p);
		EXPECT_EQ(p.all, p.refused);
	}
}

TEST(split_fewer_tables_without_the_indirect_feature)
{
	struct pass p = { 0 };

	split_start(&p, 0, 0);
	split_entries(&p, true, 0);
	each_table(&p, put_entry);
	report(&p);
	EXPECT_EQ(p.all, p.chains + p.refused);
	EXPECT_LT(0, p.chains);
}

TEST(split_fewer_tables_with_all_reserved_flags)
{
	struct pass p = { 0 }, plain = { 0 };

	split_start(&plain, DUEL_F_INDIRECT, 0);
	split_entries(&plain, true, 0);
	each_table(&plain, put_entry);
	split_start(&p, DUEL_F_INDIRECT, 0);
	split_entries(&p, true, RESERVED | AVAIL | USED);
	each_table(&p, put_entry);
	report(&p);
	EXPECT_EQ(plain.chains, p.chains);
	EXPECT_EQ(plain.refused, p.refused);
}

/* Ring entries before the table: none, a readable one, a writable one. */
static void split_indirect(struct pass *p, int before)
{
	u8 bytes[16];

	split_start(p, DUEL_F_INDIRECT, before ? 1 : 0);
	desc(bytes, DUEL_GUEST, 16 * ENTRIES, INDIRECT, 0);
	duel_put(p->d, MODEL_DESC, 0, bytes, 16);
	desc(bytes, DATA, 8, before == 2 ? WRITE | NEXT : NEXT, 0);
	duel_put(p->d, MODEL_DESC, 16, bytes, 16);
	split_entries(p, before, 0);
	each_table(p, put_table_entry);
	report(p);
}

TEST(split_indirect_all_tables)
{
	struct pass p = { 0 };

	split_indirect(&p, 0);
	EXPECT_EQ(48 * 48 * 48 * 48, p.all);
	EXPECT_EQ(p.all, p.chains + p.refused);
	EXPECT_LT(0, p.chains);
}

TEST(split_indirect_fewer_tables_after_plain_descriptors)
{
	struct pass r = { 0 }, w = { 0 };

	split_indirect(&r, 1);
	split_indirect(&w, 2);
	EXPECT_LT(0, w.chains);
	EXPECT_LT(w.chains, r.chains);
}

/* ---- packed ---- */

static void packed_entries(struct pass *p, u16 reserved)
{
	u16 i;

	for (i = 0; i < 32; i++)
		p->e[p->nr++] = (struct entry) {
			(i & 7) | (i & 8 ? AVAIL : 0) | (i & 16 ? USED : 0) | reserved,
			100 + i,
		};
}

/* At place @at, with @in_flight popped. */
static void packed_start(struct pass *p, u64 features, u32 at, bool wrap, u32 in_flight)
{
	u32 i;

	p->state = at | (wrap ? 0x8000 : 0);
	p->state |= p->state << 16;
	p->in_flight = in_flight;
	p->d = duel_start(features | DUEL_F_PACKED, ENTRIES, p->state, 0);
	make_targets(p->d);
	for (i = 0; i < in_flight; i++) {
		bool now = at + i < ENTRIES ? wrap : !wrap;

		put_entry(p->d, (at + i) % ENTRIES,
			  (struct entry) { now ? AVAIL : USED, i });
		CHECK(duel_pop(p->d, 1) == 1, "no chain");
	}
}

FIXTURE(packed)
{
};

FIXTURE_VARIANT(packed)
{
	u32 at;
	bool wrap;
};

#define AT(n, w)	FIXTURE_VARIANT_ADD(packed, at_##n##_wrap_##w) { .at = n, .wrap = w }

AT(0, 1);
AT(1, 1);
AT(2, 1);
AT(3, 1);
AT(0, 0);
AT(1, 0);
AT(2, 0);
AT(3, 0);

FIXTURE_SETUP(packed)
{
}

FIXTURE_TEARDOWN(packed)
{
}

TEST_F(packed, all_tables)
{
	struct pass p = { 0 };

	packed_start(&p, DUEL_F_INDIRECT, variant->at, variant->wrap, 0);
	packed_entries(&p, 0);
	each_table(&p, put_entry);
	report(&p);
	EXPECT_EQ(1 << 20, p.all);
	EXPECT_LT(0, p.chains);
	EXPECT_LT(0, p.refused);
	/* Three of four do not start with an available descriptor. */
	EXPECT_EQ(p.all / 4, p.chains + p.refused);
}

/* The table is popped across the end of the ring, and at it. */
TEST(packed_all_tables_with_some_in_flight)
{
	u32 n;

	for (n = 1; n < ENTRIES; n++) {
		struct pass p = { 0 };

		packed_start(&p, DUEL_F_INDIRECT, 1, n & 1, n);
		packed_entries(&p, 0);
		each_table(&p, put_entry);
		report(&p);
		EXPECT_EQ(n, p.d->m.in_flight);
		EXPECT_EQ(p.all / 4, p.chains + p.refused);
		EXPECT_LT(0, p.chains);
	}
}

static void packed_other(struct pass *p, u64 features, u16 reserved)
{
	packed_start(p, features, 2, false, 0);
	packed_entries(p, reserved);
	each_table(p, put_entry);
	report(p);
}

TEST(packed_all_tables_without_the_indirect_feature)
{
	struct pass p = { 0 };

	packed_other(&p, 0, 0);
	EXPECT_EQ(p.all / 4, p.chains + p.refused);
	EXPECT_LT(0, p.chains);
}

TEST(packed_all_tables_with_all_reserved_flags)
{
	struct pass p = { 0 }, plain = { 0 };

	packed_other(&plain, DUEL_F_INDIRECT, 0);
	packed_other(&p, DUEL_F_INDIRECT, RESERVED);
	EXPECT_EQ(plain.chains, p.chains);
	EXPECT_EQ(plain.refused, p.refused);
}

TEST(packed_indirect_all_tables)
{
	struct pass p = { 0 };
	u8 bytes[16];

	packed_start(&p, DUEL_F_INDIRECT, 0, true, 0);
	desc(bytes, DUEL_GUEST, 16 * ENTRIES, 9, INDIRECT | AVAIL);
	duel_put(p.d, MODEL_DESC, 0, bytes, 16);
	packed_entries(&p, 0);
	each_table(&p, put_table_entry);
	report(&p);
	EXPECT_EQ(1 << 20, p.all);
	EXPECT_EQ(p.all, p.chains + p.refused);
	EXPECT_LT(0, p.chains);
}

TEST_HARNESS_MAIN
