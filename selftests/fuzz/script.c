// SPDX-License-Identifier: GPL-2.0
/*
 * Scripts: one byte names a step of the driver or the device, those after it say how.
 *
 * in:  see script.h
 * out: ditto
 *
 * A driver that only wrote junk would never get far. So the script has one that
 * lays out good chains where a driver should, and next to it steps that write any
 * bytes anywhere. Whatever a byte is, it means something; past the end all are 0.
 */
#include "script.h"

#include <string.h>

#include "../lib/duel.h"

#define NEXT		0x0001
#define WRITE		0x0002
#define INDIRECT	0x0004
#define AVAIL		0x0080
#define USED		0x8000

#define TABLE_MAX	24
#define HELD_MAX	128

struct script {
	const u8 *at, *end;
	struct duel *d;
	bool packed;
	u32 num;

	/* The driver. Places are as in model.h. */
	u32 next;		/* avail entry, or descriptor, to fill */
	u32 next_desc;		/* split: descriptor to take */
	u16 next_id;
	u32 next_table;		/* offset in guest memory */
	u32 nr_held;		/* packed: heads whose flags are not written yet */
	u32 held_at[HELD_MAX];
	u16 held_flags[HELD_MAX];
};

static u8 byte(struct script *s)
{
	return s->at < s->end ? *s->at++ : 0;
}

static u16 word(struct script *s)
{
	u8 low = byte(s);

	return low | byte(s) << 8;
}

/* ---- the driver ---- */

struct desc {
	u64 addr;
	u32 len;
	u16 flags;
	u16 next;	/* or buffer ID */
};

static void pack(const struct script *s, u8 *p, const struct desc *d)
{
	u16 v[2] = { d->flags, d->next };
	int i;

	for (i = 0; i < 8; i++)
		p[i] = d->addr >> 8 * i;
	for (i = 0; i < 4; i++)
		p[8 + i] = d->len >> 8 * i;
	for (i = 0; i < 4; i++)
		p[12 + i] = v[(i >> 1) ^ s->packed] >> 8 * (i & 1);
}

static void put_desc(struct script *s, u32 i, const struct desc *d)
{
	u8 bytes[16];

	pack(s, bytes, d);
	duel_put(s->d, MODEL_DESC, 16 * (i % s->num), bytes, 16);
}

/* Lengths at which something happens, of any number of bytes. */
static u32 length(struct script *s)
{
	static const u32 some[] = {
		0, 1, 512, 4096, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
	};
	u8 b = byte(s);

	return b < 0xf8 ? b : some[b & 7];
}

static u32 places(const struct script *s)
{
	return s->packed ? 2 * s->num : 0x10000;
}

/* The flags that make the driver's next place available. */
static u16 place_flags(const struct script *s, u32 pos)
{
	if (!s->packed)
		return 0;
	return pos % places(s) < s->num ? AVAIL : USED;
}

/* Entries that the driver has free: it knows what the device took, and no better. */
static u32 room(const struct script *s)
{
	u32 out = (s->next + places(s) - s->d->m.used) % places(s);

	return out < s->num ? s->num - out : 0;
}

/* @n descriptors into an indirect table, @out of them readable. */
static struct desc make_table(struct script *s, u32 n, u32 out)
{
	u32 i, at = s->next_table;
	struct desc d = {
		.addr = DUEL_GUEST + at, .len = 16 * n, .flags = INDIRECT,
	};
	u8 bytes[16];

	for (i = 0; i < n; i++) {
		struct desc e = {
			.addr = 0x1000 * i, .len = length(s),
			.flags = i < out ? 0 : WRITE, .next = i + 1,
		};

		if (!s->packed && i + 1 < n)
			e.flags |= NEXT;
		pack(s, bytes, &e);
		duel_put_guest(s->d, at + 16 * i, bytes, 16);
	}
	s->next_table += 16 * n;
	if (s->next_table + 16 * TABLE_MAX > DUEL_GUEST_SIZE)
		s->next_table = 0;
	return d;
}

/* Makes what starts at @pos available: now, or when all is published. */
static void put_head(struct script *s, u32 pos, u16 head, u16 flags)
{
	if (!s->packed) {
		duel_put16(s->d, MODEL_DRIVER, 4 + 2 * (pos % s->num), head);
		return;
	}
	if (s->nr_held == HELD_MAX)
		return;
	s->held_at[s->nr_held] = pos;
	s->held_flags[s->nr_held++] = flags;
}

static void publish(struct script *s)
{
	if (!s->packed)
		duel_put16(s->d, MODEL_DRIVER, 2, s->next);
	while (s->nr_held) {
		s->nr_held--;
		duel_put16(s->d, MODEL_DESC,
			   s->held_at[s->nr_held] % s->num * 16 + 14,
			   s->held_flags[s->nr_held]);
	}
}

/* A good chain: @n descriptors, the last being @last. */
static void add_chain(struct script *s, u32 n, u32 out, const struct desc *last)
{
	u32 i, pos = s->packed ? s->next : s->next_desc;
	u16 head = pos % s->num, first_flags = 0;
	struct desc d;

	for (i = 0; i < n; i++) {
		if (i + 1 == n && last) {
			d = *last;
		} else {
			d.addr = 0x100000 * (u64)byte(s);
			d.len = length(s);
			d.flags = i < out ? 0 : WRITE;
		}
		d.next = s->packed ? s->next_id : (pos + 1) % s->num;
		if (i + 1 < n)
			d.flags |= NEXT;
		d.flags |= place_flags(s, pos);
		if (!i) {
			first_flags = d.flags;
			/* Not available yet. */
			if (s->packed)
				d.flags ^= AVAIL | USED;
		}
		put_desc(s, pos, &d);
		pos = (pos + 1) % places(s);
	}
	put_head(s, s->next, head, first_flags);
	s->next_id++;
	if (s->packed) {
		s->next = pos;
	} else {
		s->next_desc = pos % s->num;
		s->next = (s->next + 1) % places(s);
	}
}

static void add(struct script *s)
{
	u8 how = byte(s), shape = byte(s);
	u32 n = 1 + shape % 6, out = (shape >> 3) % (n + 1), table = 0;
	struct desc last;

	/* Only a split ring may have others before a table. */
	if (how & 1) {
		table = 1 + (how >> 3) % TABLE_MAX;
		if (s->packed || how & 2)
			n = 1;
		out = n - 1;
		last = make_table(s, table, shape % (table + 1));
	}
	if (n > room(s))
		return;
	add_chain(s, n, out, table ? &last : NULL);
	if (!(how & 4))
		publish(s);
}

/* Many short ones: how a ring gets full, and batches do. */
static void add_many(struct script *s)
{
	u32 n = 1 + byte(s) % 96, len = length(s);
	struct desc d = { .addr = 0x2000, .len = len, .flags = WRITE };

	while (n-- && room(s)) {
		d.flags = len & 1 ? WRITE : 0;
		add_chain(s, 1, 0, &d);
	}
	publish(s);
}

static void held_publish(struct script *s)
{
	publish(s);
}

static void write_desc(struct script *s)
{
	u32 i = byte(s);
	struct desc d = {
		.addr = DUEL_GUEST + 8 * (u64)byte(s), .len = length(s),
	};
	u8 flags = byte(s);

	d.next = byte(s);
	if (flags & 0x10)	/* about where the ring ends */
		d.next = d.next & 0x80 ? 0xff00 | d.next : s->num - 2 + (d.next & 3);
	if (flags & 0x20)
		d.len *= 16;
	if (flags & 0x40)
		d.addr |= 0xffffffffffff0000;
	d.flags = flags & (NEXT | WRITE | INDIRECT | 8);
	/* As if it were the driver's next; or in the other lap. */
	d.flags |= place_flags(s, (i % s->num < s->next % s->num ? s->num : 0) + s->next);
	if (flags & 0x80)
		d.flags ^= AVAIL | USED;
	put_desc(s, i, &d);
}

static void write_table(struct script *s)
{
	u32 at = 16 * byte(s) + byte(s) % 32;
	struct desc d = { .addr = byte(s), .len = length(s) };
	u8 bytes[16];

	d.flags = byte(s) & 0x0f;
	d.next = byte(s);
	pack(s, bytes, &d);
	duel_put_guest(s->d, at, bytes, 16);
}

static void write_junk(struct script *s)
{
	u8 where = byte(s), n = 1 + byte(s) % 16, bytes[16];
	u32 i, part = where % 4, at = word(s);

	for (i = 0; i < n; i++)
		bytes[i] = byte(s);
	if (part == MODEL_PARTS) {
		duel_put_guest(s->d, at % DUEL_GUEST_SIZE, bytes, n);
		return;
	}
	at %= model_bytes(&s->d->m, part);
	if (part == MODEL_DEVICE) {
		/* What the device said of kicks it need not say again: spare that. */
		if (s->packed || at < 2)
			return;
		if (at + n > model_bytes(&s->d->m, part) - 2)
			return;
	}
	duel_put(s->d, part, at, bytes, n);
}

static void set_avail_idx(struct script *s)
{
	u8 b = byte(s);

	if (s->packed)		/* the flags of the next descriptor to pop */
		duel_put16(s->d, MODEL_DESC, s->d->m.avail % s->num * 16 + 14, word(s));
	else if (b & 0x40)
		duel_put16(s->d, MODEL_DRIVER, 2, s->d->m.avail + s->num - 2 + (b & 3));
	else
		duel_put16(s->d, MODEL_DRIVER, 2,
			   b & 0x80 ? word(s) : s->d->m.avail + (b & 0x3f));
}

/* Where the driver wants a call: near where it matters, or anywhere. */
static void set_call(struct script *s)
{
	u8 b = byte(s), near = byte(s);
	u32 pos = (s->d->m.used + places(s) - 8 + near % 80) % places(s);
	u16 v;

	if (!s->packed) {
		duel_put16(s->d, MODEL_DRIVER, 0, b & 3);
		duel_put16(s->d, MODEL_DRIVER, 4 + 2 * s->num, b & 4 ? word(s) : pos);
		return;
	}
	v = pos % s->num | (pos < s->num ? 0x8000 : 0);
	duel_put16(s->d, MODEL_DRIVER, 0, b & 0x20 ? word(s) : v);
	duel_put16(s->d, MODEL_DRIVER, 2, b & 0x1c ? 2 : b & 3);
	if (b & 0x40)
		duel_put16(s->d, MODEL_DRIVER, 2, 0xfffc | (b & 3));
}

/* ---- the device ---- */

static void pop(struct script *s)
{
	u8 b = byte(s);
	u32 n = 1 + b % 80, max_segs = b & 0x80 ? byte(s) : 256;

	while (n-- && s->d->nr_tokens < DUEL_TOKENS)
		if (duel_pop(s->d, max_segs) != 1)
			break;
}

static u32 written(struct script *s, const struct duel_token *t, u8 how)
{
	switch (how & 3) {
	case 0:
		return t->in_bytes;
	case 1:
		return 0;
	case 2:
		return t->in_bytes - !!t->in_bytes;
	default:
		return length(s);
	}
}

static void push(struct script *s)
{
	u8 b = byte(s), which = byte(s);
	u32 n = 1 + (b >> 2 & 0x1f), i;

	if (b & 0x80)
		n *= 3;
	while (n-- && s->d->nr_tokens) {
		i = s->d->m.in_order ? 0 : which % s->d->nr_tokens;
		duel_push(s->d, i, written(s, &s->d->tokens[i], b));
	}
}

static void flush(struct script *s)
{
	duel_flush(s->d);
}

static void disable_notify(struct script *s)
{
	duel_disable_notify(s->d);
}

static void enable_notify(struct script *s)
{
	duel_enable_notify(s->d);
}

static void has_avail(struct script *s)
{
	duel_has_avail(s->d);
}

static void unpop(struct script *s)
{
	duel_unpop(s->d);
}

static void take_dirty(struct script *s)
{
	duel_take_dirty(s->d);
}

/* To another engine, as a migration does; whatever the ring says of kicks. */
static void move(struct script *s)
{
	u8 b = byte(s);

	if (b & 1) {
		duel_flush(s->d);
		if (s->packed)
			duel_put16(s->d, MODEL_DEVICE, 2, b >> 1 & 3);
		else if (!s->d->m.event_idx)
			duel_put16(s->d, MODEL_DEVICE, 0, b >> 1 & 1);
	}
	duel_move(s->d);
}

/* A state that nobody saved here. */
static void load(struct script *s)
{
	u32 state = word(s), high = word(s);
	u8 how = byte(s);

	/* What is pending then is lost. */
	if (!(how & 8))
		duel_flush(s->d);
	duel_take_dirty(s->d);
	if (how & 1) {
		state = (state & 0x8000) | (state & 0x7fff) % s->num;
		high = (high & 0x8000) | (high & 0x7fff) % s->num;
	}
	if (s->packed || how & 2)
		state |= high << 16;
	/* The driver goes along, or not. */
	if (!duel_load(s->d, state) && how & 4) {
		s->next = s->d->m.avail;
		s->nr_held = 0;
	}
}

static void lookups(struct script *s)
{
	u8 contig = byte(s), from = byte(s), size = byte(s);

	s->d->contig = contig ? contig : 0xffffffff;
	s->d->hole_from = DUEL_GUEST + 16 * (u64)from;
	s->d->hole_to = s->d->hole_from + size;
}

/* ---- the script ---- */

static void (*const steps[])(struct script *) = {
	add, add, add_many, held_publish, write_desc, write_table, write_junk,
	set_avail_idx, set_call, pop, pop, push, push, flush, disable_notify,
	enable_notify, has_avail, unpop, take_dirty, move, load, lookups,
};

static u32 queue_size(u8 b, bool packed)
{
	if (b >= 0xfe)
		return VRING_MAX_NUM;
	if (!packed)
		return 1U << b % 9;
	return b < 0xf0 ? 1 + b % 80 : b;
}

void script_play(const unsigned char *bytes, size_t n, bool packed)
{
	struct script s = {
		.at = bytes,
		.end = bytes + (n < SCRIPT_MAX ? n : SCRIPT_MAX),
		.packed = packed,
	};
	u8 how = byte(&s);
	u32 state;
	u16 start;

	s.num = queue_size(byte(&s), packed);
	start = word(&s);
	state = start;
	if (packed) {
		state = (start & 0x8000) | (start & 0x7fff) % s.num;
		state |= state << 16;
		s.next = state % 0x8000 + (start & 0x8000 ? 0 : s.num);
	} else {
		s.next = start;
	}
	s.d = duel_start((how & 1 ? DUEL_F_EVENT : 0) |
			 (how & 2 ? DUEL_F_IN_ORDER : 0) |
			 (how & 4 ? 0 : DUEL_F_INDIRECT) |
			 (packed ? DUEL_F_PACKED : 0), s.num, state, start);
	while (s.at < s.end)
		steps[byte(&s) % (sizeof(steps) / sizeof(steps[0]))](&s);
	duel_flush(s.d);
	duel_take_dirty(s.d);
	duel_compare(s.d);
}
