// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory for tests: a few regions of this process's memory that stand at
 * guest-physical addresses of their own.
 *
 * in:  regions, as (gpa, size)
 * out: see gmem.h
 */
#include "gmem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CANARY	0xa5

void gmem_add(struct gmem *m, u64 gpa, size_t size)
{
	struct gmem_region *r = &m->r[m->nr];
	size_t mapped = size + 2 * GMEM_PAGE;
	u8 *p;

	CHECK(m->nr < GMEM_REGIONS, "too many regions");
	CHECK(!(gpa % GMEM_PAGE) && !(size % GMEM_PAGE) && size, "whole pages");

	r->gpa = gpa;
	r->size = size;
	r->memfd = memfd_create("guest", MFD_CLOEXEC);
	CHECK(r->memfd >= 0, "memfd_create");
	CHECK(!ftruncate(r->memfd, mapped), "ftruncate to %zu", mapped);
	p = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, r->memfd, 0);
	CHECK(p != MAP_FAILED, "mmap of %zu bytes", mapped);
	memset(p, CANARY, GMEM_PAGE);
	memset(p + GMEM_PAGE + size, CANARY, GMEM_PAGE);
	r->hva = p + GMEM_PAGE;

	if (!m->nr++)
		m->next = gpa;
}

void gmem_add_standard(struct gmem *m)
{
	gmem_add(m, GMEM_LOW, GMEM_LOW_SIZE);
	gmem_add(m, GMEM_HIGH, GMEM_HIGH_SIZE);
	gmem_add(m, GMEM_FAR, GMEM_FAR_SIZE);
}

void gmem_free(struct gmem *m)
{
	int i;

	for (i = 0; i < m->nr; i++) {
		munmap(m->r[i].hva - GMEM_PAGE, m->r[i].size + 2 * GMEM_PAGE);
		close(m->r[i].memfd);
	}
	m->nr = 0;
}

struct gmem_region *gmem_find(struct gmem *m, u64 gpa)
{
	int i;

	for (i = 0; i < m->nr; i++)
		if (gpa - m->r[i].gpa < m->r[i].size)
			return &m->r[i];
	return NULL;
}

void *gmem_ptr(struct gmem *m, u64 gpa, size_t len)
{
	struct gmem_region *r = gmem_find(m, gpa);

	CHECK(r && r->gpa + r->size - gpa >= len,
	      "%zu bytes at gpa 0x%llx are not in one region", len,
	      (unsigned long long)gpa);
	return r->hva + (gpa - r->gpa);
}

/* The piece of [gpa, gpa + len) that lies in the region of @gpa. */
static size_t piece(struct gmem *m, u64 gpa, size_t len)
{
	struct gmem_region *r = gmem_find(m, gpa);
	size_t left;

	CHECK(r, "gpa 0x%llx is not guest memory", (unsigned long long)gpa);
	left = r->gpa + r->size - gpa;
	return left < len ? left : len;
}

void gmem_read(struct gmem *m, void *dst, u64 gpa, size_t len)
{
	while (len) {
		size_t n = piece(m, gpa, len);

		memcpy(dst, gmem_ptr(m, gpa, n), n);
		dst = (u8 *)dst + n;
		gpa += n;
		len -= n;
	}
}

void gmem_fill(struct gmem *m, u64 gpa, u8 byte, size_t len)
{
	while (len) {
		size_t n = piece(m, gpa, len);

		memset(gmem_ptr(m, gpa, n), byte, n);
		gpa += n;
		len -= n;
	}
}

u64 gmem_alloc(struct gmem *m, size_t len, size_t align)
{
	struct gmem_region *r = gmem_find(m, m->next);
	int i = r ? (int)(r - m->r) : 0;

	for (; i < m->nr; i++) {
		u64 from = m->next, end;

		r = &m->r[i];
		if (from - r->gpa >= r->size)
			from = r->gpa;
		from = (from + align - 1) & ~(u64)(align - 1);
		end = r->gpa + r->size;
		if (from <= end && end - from >= len) {
			/* A region that is just full ends where none may start. */
			m->next = from + len == end && i + 1 < m->nr ?
				  m->r[i + 1].gpa : from + len;
			return from;
		}
	}
	CHECK(0, "guest memory is too small for %zu bytes more", len);
}

struct vhost_memory *gmem_table(const struct gmem *m)
{
	struct vhost_memory *t;
	int i;

	t = calloc(1, sizeof(*t) + m->nr * sizeof(t->regions[0]));
	CHECK(t, "no memory");
	t->nregions = m->nr;
	for (i = 0; i < m->nr; i++) {
		t->regions[i].guest_phys_addr = m->r[i].gpa;
		t->regions[i].memory_size = m->r[i].size;
		t->regions[i].userspace_addr = (unsigned long)m->r[i].hva;
	}
	return t;
}

struct gmem_shot gmem_shoot(struct gmem *m, u64 gpa, size_t len)
{
	struct gmem_shot s = { gpa, len, malloc(len) };

	CHECK(s.copy, "no memory");
	gmem_read(m, s.copy, gpa, len);
	return s;
}

bool gmem_same(struct gmem *m, const struct gmem_shot *s)
{
	struct gmem_shot now = gmem_shoot(m, s->gpa, s->len);
	bool same = !memcmp(now.copy, s->copy, s->len);
	size_t i;

	for (i = 0; !same && i < s->len; i++) {
		if (now.copy[i] == s->copy[i])
			continue;
		fprintf(stderr, "# gpa 0x%llx: was 0x%02x, is 0x%02x\n",
			(unsigned long long)s->gpa + i, s->copy[i], now.copy[i]);
		break;
	}
	gmem_shot_free(&now);
	return same;
}

void gmem_shot_free(struct gmem_shot *s)
{
	free(s->copy);
	s->copy = NULL;
}

static bool page_is_canary(const u8 *p)
{
	size_t i;

	for (i = 0; i < GMEM_PAGE; i++)
		if (p[i] != CANARY)
			return false;
	return true;
}

bool gmem_canaries_ok(const struct gmem *m)
{
	bool ok = true;
	int i;

	for (i = 0; i < m->nr; i++) {
		const struct gmem_region *r = &m->r[i];

		if (!page_is_canary(r->hva - GMEM_PAGE)) {
			fprintf(stderr, "# written before region %d\n", i);
			ok = false;
		}
		if (!page_is_canary(r->hva + r->size)) {
			fprintf(stderr, "# written past region %d\n", i);
			ok = false;
		}
	}
	return ok;
}
