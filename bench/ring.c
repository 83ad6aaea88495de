// SPDX-License-Identifier: GPL-2.0
/*
 * The ring engine, measured alone.
 *
 * in:  ring, layout, mode and batch (native.h)
 * out: native.h's functions
 *
 * The engine is linked as the module and the VMM link it, a file of its own, so each
 * of its functions is called. Guest memory is this program's: what it costs to look
 * a real memory table up is not the engine's. The driver is the least that can be
 * one, and is not measured.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "native.h"
#include "../ring/vring.h"

#define F_INDIRECT	(1ULL << VIRTIO_RING_F_INDIRECT_DESC)
#define F_EVENT_IDX	(1ULL << VIRTIO_RING_F_EVENT_IDX)
#define F_PACKED	(1ULL << VIRTIO_F_RING_PACKED)
#define F_IN_ORDER	(1ULL << VIRTIO_F_IN_ORDER)

#define OUT_BYTES	64U
#define IN_BYTES	512U
#define MAX_SEGS	8U

#define MUST(cond)							\
	do {								\
		if (!(cond)) {						\
			fprintf(stderr, "%s:%d: %s\n", __FILE__,	\
				__LINE__, #cond);			\
			abort();					\
		}							\
	} while (0)

static struct vring_dev vr;
static struct vring_seg segs[MAX_SEGS];
static struct vring_chain chain = { .max_segs = MAX_SEGS, .segs = segs };

/* Guest memory: the ring's three parts, tables of two descriptors, and a buffer. */
static struct vring_desc desc[SIDE_NUM] __attribute__((aligned(4096)));
static u16 avail[3 + SIDE_NUM] __attribute__((aligned(4096)));
static u16 used[3 + 4 * SIDE_NUM] __attribute__((aligned(4096)));
static struct vring_desc table[SIDE_NUM][2] __attribute__((aligned(4096)));
static unsigned char buffer[OUT_BYTES + IN_BYTES];

static bool packed, event_idx, in_order, indirect;
static u32 batch, in_bytes;
static u32 nr_segs;	/* of a request */
static u32 nr_desc;	/* in the ring */

/* Where driver and device are: packed, an index and a wrap counter; split, idx. */
static u32 at;
static bool wrap;
/* The batches of this round; of a packed ring, the flags that show each. */
static u16 *show_at[SIDE_REQUESTS], show[SIDE_REQUESTS];
static u32 next_show;

int vring_io_lookup(void *mem, u64 gpa, u32 len, const void **ptr, u32 *contig)
{
	if (gpa - (u64)mem >= sizeof(table))
		return -EFAULT;
	*ptr = (const void *)gpa;
	*contig = len;
	return 0;
}

static struct vring_desc segment(u32 i, u16 more)
{
	bool in = i + 1 == nr_segs;

	return (struct vring_desc) {
		.addr = (u64)(in ? buffer + OUT_BYTES : buffer),
		.len = in ? IN_BYTES : OUT_BYTES,
		.flags = (in ? VRING_DESC_F_WRITE : 0) | more,
		.next = more ? i + 1 : 0,
	};
}

/* Descriptor @i of request @n in the ring, without what the ring's place decides. */
static struct vring_desc ring_desc(u32 n, u32 i)
{
	if (!indirect)
		return segment(i, i + 1 < nr_segs ? VRING_DESC_F_NEXT : 0);
	return (struct vring_desc) {
		.addr = (u64)table[n],
		.len = nr_segs * sizeof(struct vring_desc),
		.flags = VRING_DESC_F_INDIRECT,
	};
}

/* Tables are laid out as their ring is (2.7.5.3, 2.8.7). */
static void fill_table(u32 n, u32 i)
{
	struct vring_packed_desc *p = (void *)&table[n][i];

	table[n][i] = segment(i, i + 1 < nr_segs ? VRING_DESC_F_NEXT : 0);
	if (packed)
		*p = (struct vring_packed_desc) {
			.addr = table[n][i].addr,
			.len = table[n][i].len,
			.flags = table[n][i].flags & VRING_DESC_F_WRITE,
		};
}

void side_init(const struct side_conf *conf)
{
	struct vring_config cfg = {
		.desc = desc, .avail = avail, .used = used,
		.mem = table, .num = SIDE_NUM,
	};
	u32 n, i;

	packed = !strcmp(conf->ring, "packed");
	indirect = !strcmp(conf->layout, "indirect");
	nr_segs = strcmp(conf->layout, "direct") ? 2 : 1;
	nr_desc = indirect ? 1 : nr_segs;
	in_order = !strcmp(conf->mode, "in_order");
	event_idx = strcmp(conf->mode, "flags");
	batch = conf->batch;
	in_bytes = IN_BYTES;
	wrap = true;

	cfg.features = F_INDIRECT | (packed ? F_PACKED : 0) |
		       (in_order ? F_IN_ORDER : 0) | (event_idx ? F_EVENT_IDX : 0);
	for (n = 0; n < SIDE_REQUESTS; n++) {
		for (i = 0; i < nr_segs; i++)
			fill_table(n, i);
		for (i = 0; i < nr_desc && !packed; i++) {
			struct vring_desc *d = &desc[n * nr_desc + i];

			*d = ring_desc(n, i);
			if (d->flags & VRING_DESC_F_NEXT)
				d->next = n * nr_desc + i + 1;
		}
	}
	if (packed && event_idx)
		avail[1] = VRING_PACKED_EVENT_FLAG_DESC;
	MUST(!vring_init(&vr, &cfg));
	MUST(!vring_load(&vr, packed ? VRING_PACKED_START : 0));
}

/* A packed ring is written in full, but for the flags that show each batch. */
static void fill_packed(void)
{
	u32 place = at, n, i;
	bool w = wrap;

	for (n = 0; n < SIDE_REQUESTS; n++) {
		for (i = 0; i < nr_desc; i++) {
			struct vring_desc d = ring_desc(n, i);
			struct vring_packed_desc *p = (void *)&desc[place];
			u16 flags = d.flags | (w ? 1 << VRING_PACKED_DESC_F_AVAIL :
						   1 << VRING_PACKED_DESC_F_USED);

			p->addr = d.addr;
			p->len = d.len;
			p->id = n;
			if (n % batch || i) {
				p->flags = flags;
			} else {
				show_at[n / batch] = &p->flags;
				show[n / batch] = flags;
			}
			if (++place == SIDE_NUM) {
				place = 0;
				w = !w;
			}
		}
	}
}

void side_fill(void)
{
	u32 n;

	next_show = 0;
	if (packed) {
		fill_packed();
		return;
	}
	for (n = 0; n < SIDE_REQUESTS; n++)
		avail[2 + (at + n) % SIDE_NUM] = n * nr_desc;
}

void side_publish(void)
{
	u32 i = next_show++;

	if (packed)
		__atomic_store_n(show_at[i], show[i], __ATOMIC_RELEASE);
	else
		__atomic_store_n(&avail[1], at + next_show * batch, __ATOMIC_RELEASE);
}

/* A worker's pass. What it does about errors is not in question here. */
uint32_t __attribute__((__noinline__)) side_device(void)
{
	uint32_t n = 0;
	int ret;

	MUST(!vring_disable_notify(&vr));
	while ((ret = vring_pop(&vr, &chain)) == 1) {
		MUST(!vring_push(&vr, chain.token, chain.in_bytes));
		n++;
	}
	MUST(!ret);
	ret = vring_finish(&vr);
	MUST(ret >= 0 && !(ret & VRING_MORE));
	return n;
}

/* With IN_ORDER one element, that of a batch's last request, stands for all. */
static void take_packed(void)
{
	u32 n;

	for (n = 0; n < SIDE_REQUESTS; n++) {
		const struct vring_packed_desc *p = (void *)&desc[at];
		u16 bits = 1 << VRING_PACKED_DESC_F_AVAIL | 1 << VRING_PACKED_DESC_F_USED;

		if (!in_order || n % batch == 0) {
			MUST((p->flags & bits) == (wrap ? bits : 0));
			MUST(p->id == (in_order ? n + batch - 1 : n));
			MUST(p->len == in_bytes);
		}
		at += nr_desc;
		if (at >= SIDE_NUM) {
			at -= SIDE_NUM;
			wrap = !wrap;
		}
	}
	avail[0] = at | wrap << VRING_PACKED_EVENT_F_WRAP_CTR;
}

static void take_split(void)
{
	const struct vring_used *u = (void *)used;
	u32 n;

	MUST(u->idx == (u16)(at + SIDE_REQUESTS));
	for (n = 0; n < SIDE_REQUESTS; n++) {
		const struct vring_used_elem *e = &u->ring[(at + n) % SIDE_NUM];

		if (in_order && n % batch)
			continue;
		MUST(e->id == (in_order ? n + batch - 1 : n) * nr_desc);
		MUST(e->len == in_bytes);
	}
	at += SIDE_REQUESTS;
	avail[2 + SIDE_NUM] = at;	/* used_event */
}

void side_take(void)
{
	if (packed)
		take_packed();
	else
		take_split();
}
