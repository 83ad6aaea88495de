// SPDX-License-Identifier: GPL-2.0
/*
 * The owner's side of the dirty log.
 *
 * in:  guest memory
 * out: see dlog.h
 */
#include "dlog.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct dlog dlog_new(const struct gmem *m)
{
	struct dlog l = { 0 };
	u64 last = 0;
	int i;

	for (i = 0; i < m->nr; i++)
		if (m->r[i].gpa + m->r[i].size - 1 > last)
			last = m->r[i].gpa + m->r[i].size - 1;
	l.bytes = last / GMEM_PAGE / 8 + 1;
	l.bytes = (l.bytes + GMEM_PAGE - 1) & ~(GMEM_PAGE - 1);
	l.bits = mmap(NULL, l.bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(l.bits != MAP_FAILED, "mmap of %zu bytes", l.bytes);
	return l;
}

void dlog_free(struct dlog *l)
{
	munmap(l->bits, l->bytes);
	l->bits = NULL;
}

void dlog_clear(struct dlog *l)
{
	size_t i;

	/* Not by memset(): that would give memory to all of a log of terabytes. */
	for (i = 0; i < l->bytes / 8; i++)
		if (l->bits[i])
			__atomic_store_n(&l->bits[i], 0, __ATOMIC_SEQ_CST);
}

bool dlog_marked(const struct dlog *l, u64 gpa)
{
	u64 page = gpa / GMEM_PAGE;
	const u8 *bytes = (const u8 *)l->bits;

	return __atomic_load_n(&bytes[page / 8], __ATOMIC_ACQUIRE) >> page % 8 & 1;
}

u64 dlog_count(const struct dlog *l)
{
	u64 n = 0;
	size_t i;

	for (i = 0; i < l->bytes / 8; i++)
		n += __builtin_popcountll(l->bits[i]);
	return n;
}

static bool in_ranges(u64 page, const struct dlog_range *r, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		if (page >= r[i].gpa / GMEM_PAGE &&
		    page <= (r[i].gpa + r[i].len - 1) / GMEM_PAGE)
			return true;
	return false;
}

bool dlog_within(const struct dlog *l, const struct dlog_range *may, int nr)
{
	bool ok = true;
	size_t i;
	int bit;

	for (i = 0; i < l->bytes / 8; i++)
		for (bit = 0; l->bits[i] && bit < 64; bit++) {
			u64 page = 64 * i + bit;

			if (!(l->bits[i] >> bit & 1) || in_ranges(page, may, nr))
				continue;
			fprintf(stderr, "# gpa 0x%llx is marked\n",
				(unsigned long long)page * GMEM_PAGE);
			ok = false;
		}
	return ok;
}

bool dlog_exact(const struct dlog *l, const struct dlog_range *must, int nr)
{
	bool ok = true;
	int i;

	for (i = 0; i < nr; i++) {
		u64 page = must[i].gpa / GMEM_PAGE;
		u64 last = (must[i].gpa + must[i].len - 1) / GMEM_PAGE;

		for (; page <= last; page++) {
			if (dlog_marked(l, page * GMEM_PAGE))
				continue;
			fprintf(stderr, "# gpa 0x%llx is not marked\n",
				(unsigned long long)page * GMEM_PAGE);
			ok = false;
		}
	}
	return dlog_within(l, must, nr) && ok;
}

/* ---- migration ---- */

struct dlog_copy dlog_copy_new(struct gmem *m)
{
	struct dlog_copy c = { .m = m };
	int i;

	for (i = 0; i < m->nr; i++) {
		c.to[i] = mmap(NULL, m->r[i].size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(c.to[i] != MAP_FAILED, "mmap of %zu bytes", m->r[i].size);
		memcpy(c.to[i], m->r[i].hva, m->r[i].size);
	}
	return c;
}

void dlog_copy_free(struct dlog_copy *c)
{
	int i;

	for (i = 0; i < c->m->nr; i++)
		munmap(c->to[i], c->m->r[i].size);
}

void dlog_copy_bytes(struct dlog_copy *c, u64 gpa, size_t len)
{
	struct gmem_region *r = gmem_find(c->m, gpa);

	memcpy(c->to[r - c->m->r] + (gpa - r->gpa), gmem_ptr(c->m, gpa, len), len);
}

u64 dlog_round(struct dlog_copy *c, struct dlog *l)
{
	u64 n = 0;
	size_t i;

	for (i = 0; i < l->bytes / 8; i++) {
		u64 word;

		if (!__atomic_load_n(&l->bits[i], __ATOMIC_RELAXED))
			continue;
		/* Before the page is read: a write after that marks anew. */
		word = __atomic_exchange_n(&l->bits[i], 0, __ATOMIC_SEQ_CST);
		for (; word; word &= word - 1) {
			u64 page = 64 * i + __builtin_ctzll(word);

			dlog_copy_bytes(c, page * GMEM_PAGE, GMEM_PAGE);
			n++;
		}
	}
	c->pages += n;
	return n;
}

bool dlog_copy_same(const struct dlog_copy *c)
{
	bool same = true;
	size_t at;
	int i;

	for (i = 0; i < c->m->nr; i++) {
		const struct gmem_region *r = &c->m->r[i];

		for (at = 0; at < r->size; at += GMEM_PAGE) {
			size_t b;

			if (!memcmp(c->to[i] + at, r->hva + at, GMEM_PAGE))
				continue;
			for (b = at; c->to[i][b] == r->hva[b]; b++)
				;
			fprintf(stderr, "# gpa 0x%llx differs\n",
				(unsigned long long)r->gpa + b);
			same = false;
		}
	}
	return same;
}
