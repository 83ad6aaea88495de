// SPDX-License-Identifier: GPL-2.0
/*
 * The reference model's chains: which is next, and what is in it.
 *
 * in:  see model.h
 * out: ditto
 */
#include "model.h"

#include <errno.h>
#include <string.h>

#define DESC_NEXT	0x0001
#define DESC_WRITE	0x0002
#define DESC_INDIRECT	0x0004
#define DESC_AVAIL	0x0080
#define DESC_USED	0x8000

#define AVAIL_IDX	2
#define AVAIL_RING	4

#define SUM_MAX		(1ULL << 32)	/* 2.7.4, 2.8.5 */
#define TABLE_MAX	32768

/* A descriptor. The last two are swapped in a packed ring. */
struct desc {
	u64 addr;
	u32 len;
	u16 flags;
	u16 next;
};

static struct desc parse(const u8 *p)
{
	return (struct desc) {
		.addr = model_get64(p),
		.len = model_get32(p + 8),
		.flags = model_get16(p + 12),
		.next = model_get16(p + 14),
	};
}

static struct desc parse_packed(const u8 *p)
{
	struct desc d = parse(p);
	u16 id = d.flags;

	d.flags = d.next;
	d.next = id;
	return d;
}

/* 2.8.6: AVAIL as the driver's wrap counter, USED not. */
static bool is_avail(const struct model *m, u32 pos, const u8 desc[16])
{
	u16 flags = model_get16(desc + 14);
	bool wrap = pos < m->num;

	return !!(flags & DESC_AVAIL) == wrap && !!(flags & DESC_USED) != wrap;
}

/* An entry as it is now: of a packed ring, a descriptor. */
static void look(const struct model *m, u32 pos, struct model_seen *s)
{
	u32 i = pos % m->num;

	if (!m->packed) {
		s->head = model_get16(m->mem[MODEL_DRIVER] + AVAIL_RING + 2 * i);
		i = s->head;
		if (i >= m->num)
			return;
	}
	memcpy(s->desc, m->mem[MODEL_DESC] + 16 * i, 16);
}

int model_has_avail(const struct model *m)
{
	struct model_seen now;

	if (!m->packed)
		return model_get16(m->mem[MODEL_DRIVER] + AVAIL_IDX) != m->avail;
	look(m, m->avail, &now);
	return is_avail(m, m->avail, now.desc);
}

/* ---- a chain ---- */

static int add_buf(struct model_chain *c, u32 max, const struct desc *d)
{
	bool write = d->flags & DESC_WRITE;
	u32 n = c->nr_out + c->nr_in;

	if (c->nr_in && !write)
		return -EINVAL;		/* 2.7.4.2 */
	if (!d->len)
		return 0;
	if (n == max)
		return -E2BIG;
	if (c->out_bytes + c->in_bytes + d->len > SUM_MAX)
		return -EINVAL;
	c->buf[n].gpa = d->addr;
	c->buf[n].len = d->len;
	if (write) {
		c->nr_in++;
		c->in_bytes += d->len;
	} else {
		c->nr_out++;
		c->out_bytes += d->len;
	}
	return 0;
}

/* 2.7.5.3, 2.8.7: what @d must be to name a table. */
static int check_table(const struct model *m, const struct desc *d)
{
	if (!m->indirect || d->flags & DESC_NEXT)
		return -EINVAL;
	if (!d->len || d->len % 16)
		return -EINVAL;
	if (d->len / 16 > TABLE_MAX)
		return -E2BIG;
	if (d->addr + d->len < d->addr)
		return -EINVAL;
	return 0;
}

/* These return 1 at the end of the chain. */
static int walk_table(struct model *m, u32 max, struct model_chain *c,
		      const struct desc *at)
{
	u32 n = at->len / 16, i = 0, links;
	u8 bytes[16];
	struct desc d;
	int r;

	r = check_table(m, at);
	if (r)
		return r;
	m->table_gpa = at->addr;
	m->table_len = at->len;
	for (links = 0; links < n; links++) {
		if (!m->fetch(m->arg, at->addr + 16ULL * i, bytes))
			return -EFAULT;
		d = m->packed ? parse_packed(bytes) : parse(bytes);
		if (d.flags & DESC_INDIRECT)
			return -EINVAL;
		r = add_buf(c, max, &d);
		if (r)
			return r;
		if (m->packed) {
			i++;	/* 2.8.7: all that there are */
			continue;
		}
		if (!(d.flags & DESC_NEXT))
			return 1;
		i = d.next;
		if (i >= n)
			return -EINVAL;
	}
	return m->packed ? 1 : -EINVAL;
}

static int walk_split(struct model *m, u32 max, struct model_chain *c, u16 head,
		      const u8 first[16])
{
	struct desc d;
	u32 links;
	u16 i = head;
	int r;

	for (links = 0; links < m->num; links++) {
		d = parse(links ? m->mem[MODEL_DESC] + 16 * i : first);
		if (d.flags & DESC_INDIRECT)
			return walk_table(m, max, c, &d);
		r = add_buf(c, max, &d);
		if (r)
			return r;
		if (!(d.flags & DESC_NEXT))
			return 1;
		i = d.next;
		if (i >= m->num)
			return -EINVAL;
	}
	return -EINVAL;
}

static int pop_split(struct model *m, u32 max, struct model_chain *c, bool cached)
{
	const u8 *driver = m->mem[MODEL_DRIVER];
	u16 idx = model_get16(driver + AVAIL_IDX);
	struct model_seen now;

	if (cached)
		idx = m->seen_idx;
	if (!m->nr_ahead && idx == m->avail)
		return 0;
	/* An index that was read before was checked then; a chain may be back since. */
	if (!m->nr_ahead && !cached && (u16)(idx - m->avail) > m->num)
		return -EINVAL;
	if (m->in_flight >= m->num)
		return -EINVAL;
	if (m->nr_ahead)
		now = m->ahead[0];
	else
		look(m, m->avail, &now);
	if (now.head >= m->num)
		return -EINVAL;
	c->id = now.head;
	c->nr_desc = 1;
	return walk_split(m, max, c, now.head, now.desc);
}

static int pop_packed(struct model *m, u32 max, struct model_chain *c)
{
	struct model_seen now;
	struct desc d;
	u32 links;
	int r;

	if (!model_has_avail(m) &&
	    !(m->nr_ahead && is_avail(m, m->avail, m->ahead[0].desc)))
		return 0;
	for (links = 0; m->in_flight + links < m->num; links++) {
		if (links < m->nr_ahead)
			now = m->ahead[links];
		else
			look(m, model_add(m, m->avail, links), &now);
		/* What was read before it was there must be read again. */
		if (!links && !is_avail(m, m->avail, now.desc))
			look(m, m->avail, &now);
		d = parse_packed(now.desc);
		c->id = d.next;
		c->nr_desc = links + 1;
		if (d.flags & DESC_INDIRECT)
			return links ? -EINVAL : walk_table(m, max, c, &d);
		r = add_buf(c, max, &d);
		if (r)
			return r;
		if (!(d.flags & DESC_NEXT))
			return 1;
	}
	return -EINVAL;
}

int model_pop(struct model *m, u32 max, struct model_chain *c, bool cached)
{
	c->nr_out = 0;
	c->nr_in = 0;
	c->out_bytes = 0;
	c->in_bytes = 0;
	m->table_len = 0;
	return m->packed ? pop_packed(m, max, c) : pop_split(m, max, c, cached);
}

/* ---- what was read when ---- */

void model_take(struct model *m, const struct model_chain *c)
{
	u32 i;

	m->nr_back = 0;
	for (i = 0; i < c->nr_desc && i < MODEL_AHEAD; i++) {
		if (i < m->nr_ahead)
			m->back[i] = m->ahead[i];
		else
			look(m, model_add(m, m->avail, i), &m->back[i]);
		m->nr_back++;
	}
	i = c->nr_desc < m->nr_ahead ? c->nr_desc : m->nr_ahead;
	m->nr_ahead -= i;
	memmove(m->ahead, m->ahead + i, m->nr_ahead * sizeof(m->ahead[0]));
	m->avail = model_add(m, m->avail, c->nr_desc);
	m->in_flight += c->nr_desc;
}

void model_unpop(struct model *m, u32 nr_desc)
{
	struct model_seen old[MODEL_AHEAD];
	u32 n = m->nr_ahead, back = m->nr_back;

	m->avail = model_add(m, m->avail, model_modulus(m) - nr_desc);
	m->in_flight -= nr_desc;
	/* An engine may go back to what it had read; model_ahead() tells. */
	if (back + n > MODEL_AHEAD)
		n = MODEL_AHEAD - back;
	memcpy(old, m->ahead, sizeof(old));
	memcpy(m->ahead, m->back, back * sizeof(old[0]));
	memcpy(m->ahead + back, old, n * sizeof(old[0]));
	m->nr_ahead = back + n;
	m->nr_back = 0;
}

void model_ahead(struct model *m, u32 n, u16 seen_idx)
{
	u16 idx = model_get16(m->mem[MODEL_DRIVER] + AVAIL_IDX);

	CHECK(n <= MODEL_AHEAD, "read %u entries ahead", n);
	if (!m->packed) {
		CHECK(seen_idx == m->seen_idx || seen_idx == idx,
		      "took avail.idx for %u, which was %u and is %u", seen_idx,
		      m->seen_idx, idx);
		CHECK(n <= (u16)(seen_idx - m->avail),
		      "read %u entries ahead, where %u are available", n,
		      (u16)(seen_idx - m->avail));
		m->seen_idx = seen_idx;
	}
	/* What is new was read just now, when memory was as it is. */
	for (; m->nr_ahead < n; m->nr_ahead++)
		look(m, model_add(m, m->avail, m->nr_ahead), &m->ahead[m->nr_ahead]);
	m->nr_ahead = n;
}
