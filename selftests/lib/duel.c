// SPDX-License-Identifier: GPL-2.0
/*
 * The ring engine against the reference model.
 *
 * in:  see duel.h
 * out: ditto
 */
#include "duel.h"

#include <errno.h>
#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NUM		VRING_MAX_NUM
#define GAP		64U
#define PART_ROOM	(16 * MAX_NUM + 2 * GAP)
#define SEGS_ROOM	MODEL_SEGS
/* Comparing more than this at each step would take too long. */
#define SMALL_NUM	512

static _Alignas(64) u8 arena[MODEL_PARTS][PART_ROOM];
static u8 want[MODEL_PARTS][PART_ROOM], clean[MODEL_PARTS][PART_ROOM];
static _Alignas(64) u8 guest[2][DUEL_PIECE + 2 * GAP];
static struct vring_seg segs[SEGS_ROOM];
static struct duel the_duel;

/* ---- memory ---- */

/* Where @gpa is, and how many of @len bytes are there in one piece; or NULL. */
static u8 *guest_at(const struct duel *d, u64 gpa, u64 len, u64 *contig)
{
	u64 offset = gpa - DUEL_GUEST;

	if (gpa < DUEL_GUEST || offset >= DUEL_GUEST_SIZE)
		return NULL;
	if (gpa >= d->hole_from && gpa < d->hole_to)
		return NULL;
	if (len > DUEL_PIECE - offset % DUEL_PIECE)
		len = DUEL_PIECE - offset % DUEL_PIECE;
	if (gpa < d->hole_from && len > d->hole_from - gpa)
		len = d->hole_from - gpa;
	*contig = len;
	return &guest[offset / DUEL_PIECE][GAP + offset % DUEL_PIECE];
}

/* Copies, if @dst; whether all is there. */
static bool guest_read(const struct duel *d, u64 gpa, u64 len, u8 *dst)
{
	const u8 *p;
	u64 n;

	for (; len; len -= n, gpa += n) {
		p = guest_at(d, gpa, len, &n);
		if (!p)
			return false;
		if (dst) {
			memcpy(dst, p, n);
			dst += n;
		}
	}
	return true;
}

static bool fetch(void *arg, u64 gpa, u8 desc[16])
{
	return guest_read(arg, gpa, 16, desc);
}

int vring_io_lookup(void *mem, u64 gpa, u32 len, const void **ptr, u32 *contig)
{
	struct duel *d = mem;
	u64 in_table = gpa - d->m.table_gpa, n;

	CHECK(len, "looked up nothing");
	CHECK(gpa >= d->m.table_gpa && in_table < d->m.table_len &&
	      len <= d->m.table_len - in_table,
	      "looked up %u bytes at %#llx, where the table is %llu at %#llx", len,
	      (unsigned long long)gpa, (unsigned long long)d->m.table_len,
	      (unsigned long long)d->m.table_gpa);
	*ptr = guest_at(d, gpa, len, &n);
	if (!*ptr)
		return -EFAULT;
	*contig = n < d->contig ? n : d->contig;
	return 0;
}

void duel_put(struct duel *d, enum model_part part, u32 offset, const void *src, u32 n)
{
	u32 size = model_bytes(&d->m, part);

	if (offset >= size)
		return;
	if (n > size - offset)
		n = size - offset;
	memcpy(d->mem[part] + offset, src, n);
	memcpy(d->want[part] + offset, src, n);
	memcpy(d->clean[part] + offset, src, n);
}

void duel_put16(struct duel *d, enum model_part part, u32 offset, u16 v)
{
	u8 bytes[2] = { v, v >> 8 };

	duel_put(d, part, offset, bytes, 2);
}

u16 duel_get16(const struct duel *d, enum model_part part, u32 offset)
{
	return model_get16(d->mem[part] + offset);
}

void duel_put_guest(struct duel *d, u32 offset, const void *src, u32 n)
{
	const u8 *bytes = src;
	u32 i;

	for (i = 0; i < n && offset + i < DUEL_GUEST_SIZE; i++)
		guest[(offset + i) / DUEL_PIECE]
		     [GAP + (offset + i) % DUEL_PIECE] = bytes[i];
	(void)d;
}

/* ---- comparing ---- */

static void compare_part(struct duel *d, enum model_part part)
{
	u32 i, n = model_bytes(&d->m, part);

	if (!memcmp(d->mem[part], d->want[part], n))
		return;
	for (i = 0; d->mem[part][i] == d->want[part][i]; i++)
		;
	CHECK(false, "part %u of the ring has %#x at %u, not %#x", part,
	      d->mem[part][i], i, d->want[part][i]);
}

void duel_compare(struct duel *d)
{
	int part;

	for (part = 0; part < MODEL_PARTS; part++)
		compare_part(d, part);
}

/* After each step of the engine. */
static void stepped(struct duel *d)
{
	const struct vring_dev *vr = &d->vr;
	u32 state, mask;

	if (d->m.packed)
		model_ahead(&d->m, vr->p.nr_fetched, 0);
	else
		model_ahead(&d->m, vr->s.nr_heads, vr->s.avail_idx);
	if (d->m.num <= SMALL_NUM)
		duel_compare(d);
	CHECK(vr->in_flight == d->m.in_flight, "%u in flight, not %u", vr->in_flight,
	      d->m.in_flight);
	CHECK(vr->nr_pending == d->m.nr_pending, "%u pending, not %u", vr->nr_pending,
	      d->m.nr_pending);
	/* The used half is only defined when nothing is pending. */
	state = vring_save(vr);
	mask = d->m.packed && d->m.nr_pending ? 0xffff : 0xffffffff;
	CHECK(!((state ^ model_save(&d->m)) & mask), "state %#x, not %#x", state,
	      model_save(&d->m));
}

static void same(const char *what, int engine, int model)
{
	CHECK(engine == model, "%s: %d, not %d", what, engine, model);
}

/* ---- start ---- */

static void init(struct duel *d)
{
	/* What is not set by vring_init() shall be found. */
	memset(&d->vr, 0xa5, sizeof(d->vr));
	same("vring_init", vring_init(&d->vr, &d->cfg), 0);
}

struct duel *duel_start(u64 features, u32 num, u32 state, u16 used_idx)
{
	struct duel *d = &the_duel;
	u32 part, n;

	memset(&d->m, 0, sizeof(d->m));
	d->m.packed = features & DUEL_F_PACKED;
	d->m.event_idx = features & DUEL_F_EVENT;
	d->m.indirect = features & DUEL_F_INDIRECT;
	d->m.in_order = features & DUEL_F_IN_ORDER;
	d->m.num = num;
	d->m.fetch = fetch;
	d->m.arg = d;
	for (part = 0; part < MODEL_PARTS; part++) {
		n = model_bytes(&d->m, part);
		ASAN_UNPOISON_MEMORY_REGION(arena[part], GAP + n);
		ASAN_POISON_MEMORY_REGION(arena[part], GAP);
		ASAN_POISON_MEMORY_REGION(arena[part] + GAP + n, GAP);
		d->mem[part] = arena[part] + GAP;
		d->want[part] = want[part] + GAP;
		d->clean[part] = clean[part] + GAP;
		memset(d->mem[part], 0, n);
		memset(d->want[part], 0, n);
		memset(d->clean[part], 0, n);
		d->m.mem[part] = d->mem[part];
		d->m.want[part] = d->want[part];
	}
	for (part = 0; part < 2; part++) {
		ASAN_POISON_MEMORY_REGION(guest[part], GAP);
		ASAN_POISON_MEMORY_REGION(guest[part] + GAP + DUEL_PIECE, GAP);
		memset(guest[part] + GAP, 0, DUEL_PIECE);
	}
	d->contig = 0xffffffff;
	d->hole_from = 0;
	d->hole_to = 0;
	d->cfg = (struct vring_config) {
		.desc = d->mem[MODEL_DESC],
		.avail = d->mem[MODEL_DRIVER],
		.used = d->mem[MODEL_DEVICE],
		.mem = d,
		.features = features,
		.num = num,
	};
	if (!d->m.packed)
		duel_put16(d, MODEL_DEVICE, 2, used_idx);
	init(d);
	same("first load", duel_load(d, state), 0);
	return d;
}

int duel_load(struct duel *d, u32 state)
{
	int r = vring_load(&d->vr, state);

	same("vring_load", r, model_load(&d->m, state));
	if (r) {
		/* That must not have been the ring's own; which is loaded again. */
		CHECK(state != model_save(&d->m), "what was saved does not load: %#x",
		      state);
		init(d);
		duel_load(d, model_save(&d->m));
		return r;
	}
	d->nr_tokens = 0;
	d->can_unpop = false;
	/* Chains that somebody else popped and did not use: known of a packed ring. */
	if (d->vr.in_flight) {
		CHECK(d->m.packed, "%u in flight after load", d->vr.in_flight);
		CHECK(d->vr.in_flight == (d->m.avail + 2 * d->m.num - d->m.used) %
		      (2 * d->m.num), "%u in flight after load", d->vr.in_flight);
		d->m.in_flight = d->vr.in_flight;
	}
	stepped(d);
	return 0;
}

void duel_move(struct duel *d)
{
	u32 state;

	duel_flush(d);
	duel_take_dirty(d);
	state = vring_save(&d->vr);
	init(d);
	same("load of what was saved", duel_load(d, state), 0);
	CHECK(vring_save(&d->vr) == state, "saved again: %#x", state);
}

/* ---- chains ---- */

/* Whether the engine's answer is the model's, by what it may have read when. */
static bool agrees(struct duel *d, int r, const struct vring_chain *c, bool cached)
{
	struct model_chain *m = &d->chain;
	u32 i;

	/* A part of a table may be missing that this chain does not come to. */
	if (r == -EFAULT && !guest_read(d, d->m.table_gpa, d->m.table_len, NULL))
		return true;
	if (r != model_pop(&d->m, c->max_segs, m, cached))
		return false;
	if (r != 1)
		return true;
	if (c->token.id != m->id || c->token.nr_desc != m->nr_desc ||
	    c->token.in_bytes != (m->in_bytes > 0xffffffff ? 0xffffffff : m->in_bytes) ||
	    c->nr_out != m->nr_out || c->nr_in != m->nr_in ||
	    c->out_bytes != m->out_bytes || c->in_bytes != m->in_bytes)
		return false;
	for (i = 0; i < m->nr_out + m->nr_in; i++)
		if (c->segs[i].gpa != m->buf[i].gpa || c->segs[i].len != m->buf[i].len)
			return false;
	return true;
}

int duel_pop(struct duel *d, u32 max_segs)
{
	struct vring_chain c = { .max_segs = max_segs, .segs = segs };
	bool may_cache = !d->m.packed && !d->m.nr_ahead && d->m.seen_idx != d->m.avail;
	struct duel_token *t;
	int r, m;

	CHECK(max_segs <= SEGS_ROOM, "%u", max_segs);
	ASAN_UNPOISON_MEMORY_REGION(segs, sizeof(segs));
	ASAN_POISON_MEMORY_REGION(segs + max_segs, sizeof(segs) - max_segs * sizeof(*segs));
	/* Tells vring_io_lookup() where the table is. */
	m = model_pop(&d->m, max_segs, &d->chain, may_cache);
	r = vring_pop(&d->vr, &c);
	if (!agrees(d, r, &c, may_cache) && !(may_cache && agrees(d, r, &c, false)))
		CHECK(false, "pop: %d (id %u, %u descs, %u + %u, %llu + %llu bytes), not %d (id %u, %u descs, %u + %u, %llu + %llu bytes)",
		      r, c.token.id, c.token.nr_desc, c.nr_out, c.nr_in,
		      (unsigned long long)c.out_bytes, (unsigned long long)c.in_bytes,
		      m, d->chain.id, d->chain.nr_desc, d->chain.nr_out, d->chain.nr_in,
		      (unsigned long long)d->chain.out_bytes,
		      (unsigned long long)d->chain.in_bytes);
	if (r == 1) {
		model_take(&d->m, &d->chain);
		CHECK(d->nr_tokens < DUEL_TOKENS, "too many");
		t = &d->tokens[d->nr_tokens++];
		t->t = c.token;
		t->in_bytes = c.in_bytes;
		d->can_unpop = true;
	}
	stepped(d);
	return r;
}

void duel_unpop(struct duel *d)
{
	struct vring_token t;

	if (!d->can_unpop)
		return;
	t = d->tokens[--d->nr_tokens].t;
	d->can_unpop = false;
	vring_unpop(&d->vr, t);
	model_unpop(&d->m, t.nr_desc);
	stepped(d);
}

void duel_push(struct duel *d, u32 token, u32 written)
{
	struct duel_token t = d->tokens[token];

	CHECK(token < d->nr_tokens, "no such token");
	if (token + 1 == d->nr_tokens)
		d->can_unpop = false;
	memmove(&d->tokens[token], &d->tokens[token + 1],
		(d->nr_tokens - token - 1) * sizeof(t));
	d->nr_tokens--;
	same("vring_push", vring_push(&d->vr, t.t, written), 0);
	model_push(&d->m, t.t.id, t.t.nr_desc, t.in_bytes, written);
	stepped(d);
}

/* ---- notifications ---- */

int duel_flush(struct duel *d)
{
	int r = vring_flush(&d->vr), m = model_flush(&d->m);

	if (m == -1)
		m = !!r;
	same("vring_flush", r, m);
	stepped(d);
	return r;
}

void duel_disable_notify(struct duel *d)
{
	same("vring_disable_notify", vring_disable_notify(&d->vr), 0);
	model_disable_notify(&d->m);
	stepped(d);
}

int duel_enable_notify(struct duel *d)
{
	int r = vring_enable_notify(&d->vr);

	same("vring_enable_notify", r, model_enable_notify(&d->m));
	stepped(d);
	return r;
}

int duel_has_avail(struct duel *d)
{
	int r = vring_has_avail(&d->vr);

	same("vring_has_avail", r, model_has_avail(&d->m));
	stepped(d);
	return r;
}

/* ---- the dirty log ---- */

static void check_extent(struct duel *d, enum model_part part,
			 const struct vring_extent *e, bool any)
{
	u32 i, n = model_bytes(&d->m, part);
	bool empty = !any || e->to <= e->from;

	CHECK(empty || e->to <= n, "dirty up to %u of %u", e->to, n);
	CHECK(empty || d->m.wrote[part], "part %u dirty, and nothing was written", part);
	if (!memcmp(d->mem[part], d->clean[part], n))
		n = 0;
	for (i = 0; i < n; i++)
		if (d->mem[part][i] != d->clean[part][i])
			CHECK(!empty && i >= e->from && i < e->to,
			      "part %u: byte %u is not dirty in %u..%u", part, i,
			      e->from, e->to);
	memcpy(d->clean[part], d->mem[part], n);
	d->m.wrote[part] = false;
}

void duel_take_dirty(struct duel *d)
{
	struct vring_dirty dirty;
	bool any = vring_take_dirty(&d->vr, &dirty);

	check_extent(d, MODEL_DESC, &dirty.desc, any);
	check_extent(d, MODEL_DEVICE, &dirty.used, any);
	CHECK(!vring_take_dirty(&d->vr, &dirty), "dirty twice");
	stepped(d);
}
