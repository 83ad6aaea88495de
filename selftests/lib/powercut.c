// SPDX-License-Identifier: GPL-2.0
/*
 * What a disk promised, and whether it held it after a power cut.
 *
 * in:  a seed; word of each request that completed; the log
 * out: see powercut.h
 */
#include "powercut.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS		(SECTOR / sizeof(u64))
#define ROOM		(1U << 16)
#define SHOWN		5	/* findings that are printed */

static void *zeroed(size_t n, size_t size)
{
	void *p = calloc(n, size);

	CHECK(p, "no memory");
	return p;
}

void pc_init(struct pc *pc, const struct pc_conf *conf)
{
	*pc = (struct pc) { .conf = *conf, .nr_req = 1, .room_req = ROOM };
	pthread_mutex_init(&pc->lock, NULL);
	pc->busy = zeroed(conf->sectors, sizeof(*pc->busy));
	pc->required = zeroed(conf->sectors, sizeof(*pc->required));
	pc->req = zeroed(ROOM, sizeof(*pc->req));
	pc->acked = zeroed(ROOM, sizeof(*pc->acked));
	pc->mark = zeroed(ROOM, sizeof(*pc->mark));
}

void pc_free(struct pc *pc)
{
	free(pc->busy);
	free(pc->required);
	free(pc->req);
	free(pc->acked);
	free(pc->mark);
	pthread_mutex_destroy(&pc->lock);
}

/* ---- the workload ---- */

static void set_busy(struct pc *pc, const struct pc_req *r, bool busy)
{
	memset(pc->busy + r->sector, busy, r->nr);
}

static bool is_busy(const struct pc *pc, const struct pc_req *r)
{
	return memchr(pc->busy + r->sector, true, r->nr);
}

/* Half of all goes to a sixteenth of the disk, so that sectors are written again soon. */
static void place(const struct pc *pc, u64 *seed, struct pc_req *r)
{
	u64 units = pc->conf.sectors / pc->conf.unit, n, from;

	n = prng(seed) % pc->conf.max_units + 1;
	if (prng(seed) % 2)
		units = units / 16 > n ? units / 16 : n + 1;
	from = prng(seed) % (units - n);
	r->sector = from * pc->conf.unit;
	r->nr = n * pc->conf.unit;
}

void pc_next(struct pc *pc, u64 *seed, struct pc_req *r)
{
	u32 what = prng(seed) % pc->conf.flush_every;

	*r = (struct pc_req) {
		.op = what == 0 ? PC_FLUSH : what == 1 ? PC_ZERO :
		      what == 2 && pc->conf.discards ? PC_DISCARD : PC_WRITE,
	};
	pthread_mutex_lock(&pc->lock);
	if (r->op == PC_FLUSH) {
		r->covers = pc->nr_acked;
	} else {
		do {
			place(pc, seed, r);
		} while (is_busy(pc, r));
		set_busy(pc, r, true);
		CHECK(pc->nr_req < pc->room_req, "a long workload");
		r->version = pc->nr_req;
		pc->req[pc->nr_req++] = *r;
	}
	pthread_mutex_unlock(&pc->lock);
}

int pc_done(struct pc *pc, const struct pc_req *r, bool durable)
{
	struct pc_mark m = { 0 };
	int mark = -1;

	pthread_mutex_lock(&pc->lock);
	if (r->op == PC_FLUSH) {
		m.covers = r->covers;
		durable = true;
	} else {
		set_busy(pc, r, false);
		pc->acked[pc->nr_acked++] = r->version;
		/* All before it were durable when they were acknowledged. */
		m.covers = pc->nr_acked;
	}
	if (durable) {
		CHECK(pc->nr_marks < ROOM, "a long workload");
		mark = pc->nr_marks++;
		pc->mark[mark] = m;
	}
	pthread_mutex_unlock(&pc->lock);
	return mark;
}

void pc_mark_text(int mark, char text[32])
{
	snprintf(text, 32, "mark m%d", mark);
}

void pc_marked(struct pc *pc, int mark)
{
	pthread_mutex_lock(&pc->lock);
	pc->mark[mark].submitted = pc->nr_req;
	pthread_mutex_unlock(&pc->lock);
}

static u64 word(u64 sector, u32 version, size_t i)
{
	u64 x = sector << 32 | version;

	if (i == 0)
		return x;
	x = (x ^ i << 56) * 0x9e3779b97f4a7c15ULL;
	return x ^ x >> 29;
}

void pc_fill(const struct pc_req *r, void *buf)
{
	u64 *p = buf, s;
	size_t i;

	for (s = 0; s < r->nr; s++)
		for (i = 0; i < WORDS; i++)
			*p++ = word(r->sector + s, r->version, i);
}

/* ---- what a sector says ---- */

/* The state of the check: versions from @upper on had not been given out. */
struct check {
	struct pc *pc;
	struct pc_verdict v;
	u32 upper;
	u64 shown;
	u64 shown_entry;
	u32 shown_wanted;
	u64 entry;
	struct lw_entry at;		/* that entry, when it is of a log */
	/* Then, by sector: the newest version that was written, and the entry that did. */
	u32 *newest;
	u64 *newest_at;
};

static bool covers(const struct pc_req *r, enum pc_op op, u64 s)
{
	return r->op == op && s - r->sector < r->nr;
}

/* Whether a discard came after what is required: then nothing is. */
static bool is_discarded(const struct check *c, u64 s)
{
	u32 v;

	for (v = c->pc->required[s]; v < c->upper && c->pc->conf.discards; v++)
		if (v && covers(&c->pc->req[v], PC_DISCARD, s))
			return true;
	return false;
}

/* Whether version @v of sector @s, all written or all zero, is one that may be there. */
static bool may_be(const struct check *c, u64 s, u32 v, enum pc_op op)
{
	if (v >= c->upper || (v < c->pc->required[s] && !is_discarded(c, s)))
		return false;
	if (!v)
		return op == PC_ZERO;	/* as it was at first */
	return covers(&c->pc->req[v], op, s);
}

static bool may_be_zero(const struct check *c, u64 s)
{
	u32 v;

	if (is_discarded(c, s))
		return true;
	for (v = c->pc->required[s]; v < c->upper; v++)
		if (may_be(c, s, v, PC_ZERO))
			return true;
	return false;
}

/* Whether a word is that of some version that may be there. */
static bool may_be_word(const struct check *c, u64 s, size_t i, u64 w)
{
	u32 v;

	for (v = is_discarded(c, s) ? 0 : c->pc->required[s]; v < c->upper; v++)
		if ((may_be(c, s, v, PC_WRITE) && w == word(s, v, i)) ||
		    (!w && may_be(c, s, v, PC_ZERO)))
			return true;
	return false;
}

static bool is_zero(const u64 *p)
{
	size_t i;

	for (i = 0; i < WORDS; i++)
		if (p[i])
			return false;
	return true;
}

static bool is_version(const u64 *p, u64 s, u32 v)
{
	size_t i;

	for (i = 0; i < WORDS; i++)
		if (p[i] != word(s, v, i))
			return false;
	return true;
}

static void tell_req(const struct check *c, const char *what, u64 v)
{
	static const char *const op[] = {
		[PC_WRITE] = "write", [PC_ZERO] = "zeroes", [PC_FLUSH] = "flush",
		[PC_DISCARD] = "discard",
	};
	const struct pc_req *r;

	if (!v || v >= c->pc->nr_req)
		return;
	r = &c->pc->req[v];
	fprintf(stderr, "#   %s: version %llu, %s of %u sectors at %llu\n", what,
		(unsigned long long)v, op[r->op], r->nr, (unsigned long long)r->sector);
}

/*
 * Which request is missing, and whether the entry brought what is old or promised what is
 * not there: of each request that an entry wrongs, the first sector.
 */
static void tell(struct check *c, u64 s, const char *what, u64 found)
{
	u32 wanted = c->pc->required[s];

	if (c->shown && c->shown_entry == c->entry && c->shown_wanted == wanted)
		return;
	c->shown_entry = c->entry;
	c->shown_wanted = wanted;
	if (c->shown++ >= SHOWN)
		return;
	fprintf(stderr, "# after entry %llu sector %llu %s: found 0x%llx, wanted version %u\n",
		(unsigned long long)c->entry, (unsigned long long)s, what,
		(unsigned long long)found, wanted);
	tell_req(c, "wanted", wanted);
	tell_req(c, "found", found);
	if (c->newest && wanted && c->newest[s] >= wanted)
		fprintf(stderr, "#   entry %llu had brought version %u: what came later was older\n",
			(unsigned long long)c->newest_at[s], c->newest[s]);
	fprintf(stderr, "#   the entry: %llu sectors at %llu, flags 0x%llx %s\n",
		(unsigned long long)c->at.nr, (unsigned long long)c->at.sector,
		(unsigned long long)c->at.flags, c->at.mark);
}

static void check_sector(struct check *c, const u8 *image, u64 s)
{
	const u64 *p = (const void *)(image + s * SECTOR);
	size_t i;

	if (is_zero(p)) {
		if (may_be_zero(c, s))
			return;
		c->v.lost++;
		tell(c, s, "is lost", 0);
		return;
	}
	if (p[0] >> 32 == s && is_version(p, s, p[0])) {
		if (may_be(c, s, p[0], PC_WRITE))
			return;
		if ((u32)p[0] < c->upper && covers(&c->pc->req[(u32)p[0]], PC_WRITE, s)) {
			c->v.lost++;
			tell(c, s, "is lost", (u32)p[0]);
		} else {
			c->v.alien++;
			tell(c, s, "is alien", p[0]);
		}
		return;
	}
	for (i = 0; i < WORDS; i++) {
		if (!may_be_word(c, s, i, p[i])) {
			c->v.alien++;
			tell(c, s, "is alien", p[i]);
			return;
		}
	}
	c->v.torn++;
}

/* ---- the check of a log ---- */

/* From now on what @covers says must be there. */
static void require(struct check *c, u32 covers, const u8 *image)
{
	struct pc *pc = c->pc;
	u64 s;

	for (; pc->required_upto < covers; pc->required_upto++) {
		u32 v = pc->acked[pc->required_upto];
		const struct pc_req *r = &pc->req[v];

		/* It promises nothing. */
		if (r->op == PC_DISCARD)
			continue;
		for (s = r->sector; s < r->sector + r->nr; s++) {
			/* Acknowledged later, but not newer: never, as no two overlap. */
			CHECK(pc->required[s] < v, "versions of sector %llu",
			      (unsigned long long)s);
			pc->required[s] = v;
			if (image)
				check_sector(c, image, s);
		}
	}
}

static int mark_of(const struct lw_entry *e)
{
	int mark;

	return e->flags & LW_MARK && sscanf(e->mark, "m%d", &mark) == 1 ? mark : -1;
}

static void note_version(struct check *c, const u8 *image, u64 s)
{
	u64 w;

	memcpy(&w, image + s * SECTOR, sizeof(w));
	if (w >> 32 == s && (u32)w > c->newest[s]) {
		c->newest[s] = w;
		c->newest_at[s] = c->entry;
	}
}

static void check_entry(struct check *c, struct lw_log *l, const struct lw_entry *e,
			u8 *image)
{
	int mark = mark_of(e);
	u64 s;

	c->v.entries++;
	c->v.flushes += !!(e->flags & LW_FLUSH);
	if (mark >= 0) {
		CHECK((u32)mark < c->pc->nr_marks, "%s", e->mark);
		c->v.marks++;
		require(c, c->pc->mark[mark].covers, image);
	}
	if (!e->nr)
		return;
	lw_apply(l, e, image, c->pc->conf.sectors);
	for (s = e->sector; s < e->sector + e->nr; s++) {
		note_version(c, image, s);
		check_sector(c, image, s);
	}
}

/*
 * An entry between two marks was submitted before the second. With two threads marks
 * may change places, so what is asked is the latest of all up to it.
 */
static u32 *upper_bounds(struct pc *pc, struct lw_log *l)
{
	u32 *upper = zeroed(l->nr + 1, sizeof(*upper)), latest = 0;
	struct lw_log scan = *l;
	struct lw_entry e;
	u64 i, from = l->next;

	while (lw_next(&scan, &e)) {
		int mark = mark_of(&e);

		if (mark < 0)
			continue;
		CHECK((u32)mark < pc->nr_marks, "%s", e.mark);
		if (pc->mark[mark].submitted > latest)
			latest = pc->mark[mark].submitted;
		for (i = from; i < scan.next; i++)
			upper[i] = latest;
		from = scan.next;
	}
	for (i = from; i < l->nr; i++)
		upper[i] = pc->nr_req;
	return upper;
}

struct pc_verdict pc_verify_log(struct pc *pc, struct lw_log *l)
{
	u8 *image = zeroed(pc->conf.sectors, SECTOR);
	u32 *upper = upper_bounds(pc, l);
	struct check c = {
		.pc = pc,
		.newest = zeroed(pc->conf.sectors, sizeof(*c.newest)),
		.newest_at = zeroed(pc->conf.sectors, sizeof(*c.newest_at)),
	};
	struct lw_entry e;

	while (lw_next(l, &e)) {
		c.entry = l->next - 1;
		c.at = e;
		c.upper = upper[c.entry];
		check_entry(&c, l, &e, image);
	}
	free(c.newest);
	free(c.newest_at);
	free(upper);
	free(image);
	return c.v;
}

struct pc_verdict pc_verify_image(struct pc *pc, const u8 *image, u32 mark, u32 next)
{
	struct check c = { .pc = pc, .upper = next, .entry = mark };
	u64 s;

	CHECK(mark < pc->nr_marks, "mark %u", mark);
	require(&c, pc->mark[mark].covers, NULL);
	for (s = 0; s < pc->conf.sectors; s++)
		check_sector(&c, image, s);
	return c.v;
}
