// SPDX-License-Identifier: GPL-2.0
/*
 * The reference model's places, used elements and notifications.
 *
 * in:  see model.h
 * out: ditto
 */
#include "model.h"

#include <errno.h>
#include <string.h>

/* Fields of the rings, by their offsets: 2.7.6, 2.7.8, 2.8.10. */
#define AVAIL_FLAGS	0
#define AVAIL_IDX	2
#define USED_FLAGS	0
#define USED_IDX	2
#define USED_RING	4
#define EVENT_OFF_WRAP	0
#define EVENT_FLAGS	2

#define NO_INTERRUPT	1
#define NO_NOTIFY	1

#define EVENT_ENABLE	0
#define EVENT_DISABLE	1
#define EVENT_DESC	2

#define DESC_WRITE	0x0002
#define DESC_AVAIL	0x0080
#define DESC_USED	0x8000

u16 model_get16(const u8 *p)
{
	return p[0] | p[1] << 8;
}

u32 model_get32(const u8 *p)
{
	return model_get16(p) | (u32)model_get16(p + 2) << 16;
}

u64 model_get64(const u8 *p)
{
	return model_get32(p) | (u64)model_get32(p + 4) << 32;
}

static void put(struct model *m, enum model_part part, u32 offset, u32 v, int bytes)
{
	int i;

	for (i = 0; i < bytes; i++)
		m->want[part][offset + i] = v >> 8 * i;
	m->wrote[part] = true;
}

size_t model_bytes(const struct model *m, enum model_part part)
{
	if (part == MODEL_DESC)
		return 16 * m->num;
	if (m->packed)
		return 4;
	/* Flags, index, entries, event. */
	return 2 + 2 + (part == MODEL_DRIVER ? 2 : 8) * m->num + 2;
}

u32 model_modulus(const struct model *m)
{
	return m->packed ? 2 * m->num : 0x10000;
}

u32 model_add(const struct model *m, u32 pos, u32 n)
{
	return (pos + n) % model_modulus(m);
}

/* Says when to kick: always, or never. With EVENT_IDX flags of a split ring stay 0. */
static void put_notify(struct model *m, bool on)
{
	if (m->packed) {
		put(m, MODEL_DEVICE, EVENT_OFF_WRAP, 0, 2);
		put(m, MODEL_DEVICE, EVENT_FLAGS, on ? EVENT_ENABLE : EVENT_DISABLE, 2);
	} else if (!m->event_idx || on) {
		put(m, MODEL_DEVICE, USED_FLAGS, on ? 0 : NO_NOTIFY, 2);
	}
}

/* ---- state ---- */

int model_load(struct model *m, u32 state)
{
	u32 avail = state & 0x7fff, used = state >> 16 & 0x7fff;

	if (!m->packed) {
		if (state > 0xffff)
			return -EINVAL;
		avail = state;
		used = model_get16(m->mem[MODEL_DEVICE] + USED_IDX);
	} else {
		if (avail >= m->num || used >= m->num)
			return -EINVAL;
		if (!(state & 1U << 15))
			avail += m->num;
		if (!(state & 1U << 31))
			used += m->num;
		/* What was popped and not used is in the ring still. */
		if (model_add(m, avail, model_modulus(m) - used) > m->num)
			return -EINVAL;
	}
	m->avail = avail;
	m->pushed = used;
	m->used = used;
	m->in_flight = 0;
	m->undecided = 0;
	m->decided = false;
	m->nr_pending = 0;
	m->seen_idx = avail;
	m->nr_ahead = 0;
	m->nr_back = 0;
	/* Kicks are on: nobody knows what was said before. */
	put_notify(m, true);
	return 0;
}

/* A place as the ABI and the event suppression structure have it. */
static u16 off_wrap(const struct model *m, u32 pos)
{
	return pos % m->num | (pos < m->num ? 0x8000 : 0);
}

u32 model_save(const struct model *m)
{
	if (!m->packed)
		return m->avail;
	return off_wrap(m, m->avail) | (u32)off_wrap(m, m->used) << 16;
}

/* ---- used elements ---- */

static void publish(struct model *m)
{
	struct model_elem *e;
	u32 i, flags;

	for (i = 0; i < m->nr_pending; i++) {
		e = &m->pending[i];
		if (m->packed) {
			/* 2.8.6: used if both flags are as the wrap counter. */
			flags = e->len ? DESC_WRITE : 0;
			if (e->at < m->num)
				flags |= DESC_AVAIL | DESC_USED;
			put(m, MODEL_DESC, e->at % m->num * 16 + 8, e->len, 4);
			put(m, MODEL_DESC, e->at % m->num * 16 + 12, e->id, 2);
			put(m, MODEL_DESC, e->at % m->num * 16 + 14, flags, 2);
		} else {
			put(m, MODEL_DEVICE, USED_RING + e->at % m->num * 8, e->id, 4);
			put(m, MODEL_DEVICE, USED_RING + e->at % m->num * 8 + 4, e->len, 4);
		}
		m->in_flight -= e->size;
		m->undecided += e->size;
	}
	m->used = m->pushed;
	if (m->nr_pending && !m->packed)
		put(m, MODEL_DEVICE, USED_IDX, m->used, 2);
	m->nr_pending = 0;
}

void model_push(struct model *m, u16 id, u32 nr_desc, u64 in_bytes, u32 written)
{
	struct model_elem *e = NULL;

	if (m->nr_pending)
		e = &m->pending[m->nr_pending - 1];
	/* 2.7.9, 2.8.11: whom no element names was written in full. */
	if (!m->in_order || !e || !e->full) {
		if (m->nr_pending == MODEL_PENDING)
			publish(m);
		e = &m->pending[m->nr_pending++];
		e->at = m->pushed;
		e->size = 0;
	}
	e->size += nr_desc;
	e->id = id;
	e->len = written;
	/* A token cannot tell 4 GiB from a byte less. */
	e->full = written == in_bytes && written != 0xffffffff;
	m->pushed = model_add(m, m->pushed, nr_desc);
}

/* Whether @pos is among the last @n places before the next to use. */
static bool was_used(const struct model *m, u32 pos, u64 n)
{
	u64 i;

	for (i = 1; i <= n && i <= model_modulus(m); i++)
		if (model_add(m, pos, i) == m->used)
			return true;
	return false;
}

static int wants_call_split(const struct model *m, u64 n, bool first)
{
	const u8 *driver = m->mem[MODEL_DRIVER];

	if (!m->event_idx)
		return !(model_get16(driver + AVAIL_FLAGS) & NO_INTERRUPT);
	return first || was_used(m, model_get16(driver + 4 + 2 * m->num), n);
}

static int wants_call_packed(const struct model *m, u64 n, bool first)
{
	const u8 *driver = m->mem[MODEL_DRIVER];
	u16 event = model_get16(driver + EVENT_OFF_WRAP);
	u32 pos = event & 0x7fff;

	switch (model_get16(driver + EVENT_FLAGS) & 3) {
	case EVENT_DISABLE:
		return 0;
	case EVENT_DESC:
		if (!m->event_idx || first)
			return 1;
		if (pos >= m->num)
			return -1;
		return was_used(m, event & 0x8000 ? pos : pos + m->num, n);
	default:
		return 1;
	}
}

int model_flush(struct model *m)
{
	bool first = !m->decided;
	u64 n;

	publish(m);
	n = m->undecided;
	if (!n)
		return 0;
	m->undecided = 0;
	m->decided = true;
	return m->packed ? wants_call_packed(m, n, first) : wants_call_split(m, n, first);
}

/* ---- kicks ---- */

void model_disable_notify(struct model *m)
{
	put_notify(m, false);
}

int model_enable_notify(struct model *m)
{
	if (!m->event_idx) {
		put_notify(m, true);
	} else if (m->packed) {
		put(m, MODEL_DEVICE, EVENT_OFF_WRAP, off_wrap(m, m->avail), 2);
		put(m, MODEL_DEVICE, EVENT_FLAGS, EVENT_DESC, 2);
	} else {
		put(m, MODEL_DEVICE, 4 + 8 * m->num, m->avail, 2);
	}
	return model_has_avail(m);
}
