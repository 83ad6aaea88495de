// SPDX-License-Identifier: GPL-2.0
/*
 * What the engine reads and writes, in which order, and how often, with a driver that
 * acts at the worst moment: not by luck, but each time.
 *
 * in:  ring/, compiled in here once more with accessors that keep stores back as a CPU's
 *	store buffer does, let the driver act within a load, and spoil what was read
 * out: no kick and no call is lost; elements are whole when they are seen; what was
 *	checked is what is used
 *
 * A store buffer is all that x86 reorders, and more than it has to: here a store is
 * seen by nobody before the engine passes a full barrier. Write barriers are counted.
 */
#include "kselftest_harness.h"

#include "../ring/user/vring_io.h"

#define NUM	32
#define LEN	3	/* descriptors of a long chain */
#define TABLE	0x1000	/* guest address of the indirect table */
#define TABLE_LEN	20

#define NEXT	0x0001
#define WRITE	0x0002
#define INDIRECT	0x0004
#define AVAIL	0x0080
#define USED	0x8000

static struct memory {
	_Alignas(16) union {
		struct vring_desc split[NUM];
		struct vring_packed_desc packed[NUM];
	} desc;
	_Alignas(16) union {
		struct vring_desc split[TABLE_LEN];
		struct vring_packed_desc packed[TABLE_LEN];
	} table;
	_Alignas(4) u16 avail[4 + NUM];	/* flags, idx, ring, used_event; packed: event */
	_Alignas(4) u16 used[4 + 4 * NUM];
} m;

/* Stores that nobody sees yet. */
static struct store {
	void *to;
	u32 bytes;
	unsigned char what[8];
} buffer[4 * NUM];
static u32 nr_buffered;
static bool buffering;

/* Runs once, after the value at @worst was loaded and before the engine goes on. */
static const void *worst;
static void (*at_worst)(void);

static bool spoiling;
static bool write_barrier;	/* passed since the last buffer was written */
static bool seen_too_early;

static void drain(void)
{
	for (u32 i = 0; i < nr_buffered; i++)
		memcpy(buffer[i].to, buffer[i].what, buffer[i].bytes);
	nr_buffered = 0;
}

static void look_at_used(const void *to);

static void store(void *to, const void *what, u32 bytes)
{
	struct store *s = &buffer[nr_buffered++];

	s->to = to;
	s->bytes = bytes;
	memcpy(s->what, what, bytes);
	if (!buffering)
		drain();
	look_at_used(to);
}

static void loaded(const void *from, size_t bytes)
{
	void (*act)(void) = at_worst;

	if (spoiling)
		memset((void *)(uintptr_t)from, 0xa5, bytes);
	if (act && from == worst) {
		at_worst = NULL;
		act();
	}
}

static int get16(const __virtio16 *p, u16 *v)
{
	vring_io_get16(p, v);
	loaded(p, sizeof(*p));
	return 0;
}

static int put16(__virtio16 *p, u16 v)
{
	v = htole16(v);
	store(p, &v, sizeof(v));
	return 0;
}

static int get16s(u16 *dst, const __virtio16 *src, u16 n)
{
	vring_io_get16s(dst, src, n);
	loaded(src, n * sizeof(*src));
	return 0;
}

static int get_desc(const struct vring_desc *p, struct vring_desc_cpu *d)
{
	vring_io_get_desc(p, d);
	loaded(p, sizeof(*p));
	return 0;
}

static int get_descs(struct vring_desc *dst, const struct vring_desc *table, u32 num,
		     const u16 *heads, u16 n)
{
	vring_io_get_descs(dst, table, num, heads, n);
	for (u16 i = 0; i < n; i++)
		loaded(&table[heads[i] & (num - 1)], sizeof(*table));
	return 0;
}

static int put_used(struct vring_used *used, u32 num, const struct vring_used_elem *src,
		    const u16 *at, u16 n)
{
	(void)num;
	for (u16 i = 0; i < n; i++)
		store(&used->ring[at[i]], &src[i], sizeof(src[i]));
	return 0;
}

static int get_packed(struct vring_packed_desc *dst, const struct vring_packed_desc *src,
		      u16 n, u16 mask, u16 want)
{
	int ret = vring_io_get_packed(dst, src, n, mask, want);

	if (ret > 0)
		loaded(src, ret * sizeof(*src));
	return ret;
}

static int put_packed(struct vring_packed_desc *ring, u32 num,
		      const struct vring_packed_desc *src, const u16 *at, u16 n)
{
	(void)num;
	for (u16 i = 0; i < n; i++)
		store(&ring[at[i]].len, &src[i].len, 8);
	return 0;
}

static int get_event(const struct vring_packed_desc_event *p, u16 *off_wrap, u16 *flags)
{
	vring_io_get_event(p, off_wrap, flags);
	loaded(p, sizeof(*p));
	return 0;
}

static int put_event(struct vring_packed_desc_event *p, u16 off_wrap, u16 flags)
{
	struct vring_packed_desc_event e = {
		.off_wrap = htole16(off_wrap), .flags = htole16(flags),
	};

	store(p, &e, sizeof(e));
	return 0;
}

static int read_guest(void *dst, const void *src, size_t n)
{
	vring_io_read(dst, src, n);
	loaded(src, n);
	return 0;
}

static void full_barrier(void)
{
	write_barrier = true;
	drain();
}

static void store_barrier(void)
{
	write_barrier = true;
}

#define vring_io_get16		get16
#define vring_io_put16		put16
#define vring_io_get16s		get16s
#define vring_io_get_desc	get_desc
#define vring_io_get_descs	get_descs
#define vring_io_put_used	put_used
#define vring_io_get_packed	get_packed
#define vring_io_put_packed	put_packed
#define vring_io_get_event	get_event
#define vring_io_put_event	put_event
#define vring_io_read		read_guest
#define vring_io_mb		full_barrier
#define vring_io_wmb		store_barrier

#include "../ring/vring.c"
#include "../ring/split.c"
#include "../ring/packed.c"

int vring_io_lookup(void *mem, u64 gpa, u32 len, const void **ptr, u32 *contig)
{
	(void)mem;
	if (gpa < TABLE || gpa + len > TABLE + sizeof(m.table))
		return -EFAULT;
	*ptr = (char *)&m.table + (gpa - TABLE);
	*contig = len;
	return 0;
}

/* ---- the driver, of chains of one descriptor, in the first lap ---- */

static struct driver {
	bool packed, event_idx;
	u16 published, taken;	/* chains */
	bool kicks, sees;	/* what it decided in the worst moment */
} d;

static void publish(void)
{
	u16 i = d.published++;

	if (!d.packed) {
		m.desc.split[i] = (struct vring_desc) { .addr = i, .len = 16, .flags = WRITE };
		m.avail[2 + i] = i;
		m.avail[1] = d.published;
	} else {
		m.desc.packed[i] = (struct vring_packed_desc) {
			.addr = i, .len = 16, .id = i, .flags = AVAIL | WRITE,
		};
	}
}

/* Whether the device wants to be told of the chain that was published last. */
static bool wants_kick(void)
{
	u16 last = d.published - 1;

	if (!d.packed && !d.event_idx)
		return !(m.used[0] & VRING_USED_F_NO_NOTIFY);
	if (!d.packed)
		return m.used[2 + 4 * NUM] == last;
	if (m.used[1] == VRING_PACKED_EVENT_FLAG_DESC)
		return m.used[0] == (0x8000 | last);
	return m.used[1] == VRING_PACKED_EVENT_FLAG_ENABLE;
}

static bool has_used(void)
{
	return d.packed ? (m.desc.packed[d.taken].flags & (AVAIL | USED)) == (AVAIL | USED) :
			  m.used[1] != d.taken;
}

static void want_no_call(void)
{
	if (d.packed)
		m.avail[1] = VRING_PACKED_EVENT_FLAG_DISABLE;
	else if (d.event_idx)
		m.avail[2 + NUM] = 0x8000;
	else
		m.avail[0] = VRING_AVAIL_F_NO_INTERRUPT;
}

static void want_call(void)
{
	if (d.packed && d.event_idx)
		m.avail[0] = 0x8000 | d.taken;
	if (d.packed)
		m.avail[1] = d.event_idx ? VRING_PACKED_EVENT_FLAG_DESC :
					   VRING_PACKED_EVENT_FLAG_ENABLE;
	else if (d.event_idx)
		m.avail[2 + NUM] = d.taken;
	else
		m.avail[0] = 0;
}

/* Worst moments. What the driver looks at, it looks at behind its own full barrier. */
static void publish_and_decide_on_a_kick(void)
{
	publish();
	d.kicks = wants_kick();
}

static void want_a_call_and_look_again(void)
{
	want_call();
	d.sees = has_used();
}

/* With each store of the engine's: what can the driver see of it? */
static void look_at_used(const void *to)
{
	if (nr_buffered)
		return;
	if (!d.packed) {
		if (to != &m.used[1])
			return;
		for (u16 i = d.taken; i != m.used[1]; i++) {
			seen_too_early |= m.used[2 + 4 * i] != i;
			seen_too_early |= m.used[4 + 4 * i] != 16;
		}
		seen_too_early |= !write_barrier;
	} else if (to == &m.desc.packed[d.taken].len) {
		for (u16 i = d.taken; i < d.published; i++)
			seen_too_early |= !(m.desc.packed[i].flags & USED);
		seen_too_early |= !write_barrier;
	}
}

/* ---- tests ---- */

static struct vring_dev vr;
static struct vring_seg segs[TABLE_LEN + LEN];
static struct vring_chain c = { .segs = segs, .max_segs = TABLE_LEN + LEN };

FIXTURE(order)
{
	int unused;
};

FIXTURE_VARIANT(order)
{
	u64 features;
};

#define PACKED		(1ULL << VIRTIO_F_RING_PACKED)
#define EVENT		(1ULL << VIRTIO_RING_F_EVENT_IDX)
#define TABLES		(1ULL << VIRTIO_RING_F_INDIRECT_DESC)

FIXTURE_VARIANT_ADD(order, split) { 0 };
FIXTURE_VARIANT_ADD(order, split_event) { EVENT };
FIXTURE_VARIANT_ADD(order, packed) { PACKED };
FIXTURE_VARIANT_ADD(order, packed_event) { PACKED | EVENT };

FIXTURE_SETUP(order)
{
	struct vring_config cfg = {
		.desc = &m.desc, .avail = m.avail, .used = m.used,
		.features = variant->features | TABLES, .num = NUM,
	};

	d.packed = variant->features & PACKED;
	d.event_idx = variant->features & EVENT;
	ASSERT_EQ(0, vring_init(&vr, &cfg));
	ASSERT_EQ(0, vring_load(&vr, d.packed ? VRING_PACKED_START : 0));
}

FIXTURE_TEARDOWN(order)
{
}

/* The engine takes a chain up, and has written its buffer. */
static void serve(struct __test_metadata *_metadata)
{
	ASSERT_EQ(1, vring_pop(&vr, &c));
	write_barrier = false;
	ASSERT_EQ(0, vring_push(&vr, c.token, 16));
}

/* One that comes and goes, with notifications off: what they were is past. */
static void begin(struct __test_metadata *_metadata)
{
	want_no_call();
	publish();
	ASSERT_EQ(0, vring_disable_notify(&vr));
	serve(_metadata);
	ASSERT_LE(0, vring_flush(&vr));
	ASSERT_TRUE(has_used());
	d.taken++;
}

static void arm(const void *word, void (*act)(void))
{
	worst = word;
	at_worst = act;
	buffering = true;
}

static void disarm(struct __test_metadata *_metadata)
{
	ASSERT_EQ(NULL, at_worst) {
		TH_LOG("the word was not read");
	}
	buffering = false;
	drain();
}

/* Where the next chain will be seen. */
static const void *next_avail(void)
{
	return d.packed ? (void *)&m.desc.packed[d.published].flags : (void *)&m.avail[1];
}

/* Where the driver says whether it wants a call. */
static const void *wish(void)
{
	return d.packed || !d.event_idx ? &m.avail[0] : &m.avail[2 + NUM];
}

TEST_F(order, kick_or_second_look)
{
	int ret;

	begin(_metadata);
	arm(next_avail(), publish_and_decide_on_a_kick);
	ret = vring_enable_notify(&vr);
	disarm(_metadata);
	EXPECT_TRUE(ret == 1 || d.kicks);
}

TEST_F(order, kick_or_second_look_by_finish)
{
	int ret;

	begin(_metadata);
	publish();
	serve(_metadata);
	arm(next_avail(), publish_and_decide_on_a_kick);
	ret = vring_finish(&vr);
	disarm(_metadata);
	ASSERT_LE(0, ret);
	EXPECT_TRUE((ret & VRING_MORE) || d.kicks);
}

TEST_F(order, call_or_second_look)
{
	int ret;

	begin(_metadata);
	publish();
	serve(_metadata);
	arm(wish(), want_a_call_and_look_again);
	ret = vring_flush(&vr);
	disarm(_metadata);
	EXPECT_TRUE(ret == 1 || d.sees);
}

TEST_F(order, call_or_second_look_by_finish)
{
	int ret;

	begin(_metadata);
	publish();
	serve(_metadata);
	arm(wish(), want_a_call_and_look_again);
	ret = vring_finish(&vr);
	disarm(_metadata);
	ASSERT_LE(0, ret);
	EXPECT_TRUE((ret & VRING_CALL) || d.sees);
}

/* Of a packed ring: no descriptor before all of the batch, behind a write barrier. */
TEST_F(order, elements_are_there_before_they_are_seen)
{
	u32 i;

	for (i = 0; i < 8; i++)
		publish();
	for (i = 0; i < 8; i++)
		serve(_metadata);
	ASSERT_LE(0, vring_flush(&vr));
	EXPECT_TRUE(has_used());
	EXPECT_FALSE(seen_too_early);
}

/* Chains of three, and last one of an indirect table. */
static void lay_chains(void)
{
	u32 i;

	for (i = 0; i < NUM; i++) {
		u16 flags = i % LEN < LEN - 1 ? NEXT : 0;

		if (d.packed)
			m.desc.packed[i] = (struct vring_packed_desc) {
				i, 16, i / LEN, flags | AVAIL };
		else
			m.desc.split[i] = (struct vring_desc) { i, 16, flags, i + 1 };
	}
	for (i = 0; i < TABLE_LEN; i++) {
		if (d.packed)
			m.table.packed[i] = (struct vring_packed_desc) { i, 16, 0, 0 };
		else
			m.table.split[i] = (struct vring_desc) {
				i, 16, i < TABLE_LEN - 1 ? NEXT : 0, i + 1 };
	}
	/* In place of the last whole chain's first descriptor. */
	i = NUM / LEN * LEN - LEN;
	if (d.packed)
		m.desc.packed[i] = (struct vring_packed_desc) {
			TABLE, sizeof(m.table), i / LEN, INDIRECT | AVAIL };
	else
		m.desc.split[i] = (struct vring_desc) {
			TABLE, sizeof(m.table), INDIRECT, 0 };
	for (i = 0; i < NUM / LEN; i++)
		m.avail[2 + i] = LEN * i;
	m.avail[1] = NUM / LEN;
}

/* A driver that rewrites each word as soon as it was read. */
TEST_F(order, what_was_read_may_change_at_once)
{
	struct memory was;
	u32 i, k, n;

	lay_chains();
	was = m;
	for (i = 0; i < NUM / LEN; i++) {
		bool table = i == NUM / LEN - 1;

		m = was;
		spoiling = true;
		ASSERT_EQ(1, vring_pop(&vr, &c));
		spoiling = false;
		n = table ? TABLE_LEN : LEN;
		ASSERT_EQ(n, c.nr_out);
		EXPECT_EQ(0, c.nr_in);
		EXPECT_EQ(16 * n, c.out_bytes);
		for (k = 0; k < n; k++) {
			EXPECT_EQ(table ? k : LEN * i + k, segs[k].gpa);
			EXPECT_EQ(16, segs[k].len);
		}
	}
	/* Of a packed ring the table took the place of the first of three alone. */
	m = was;
	if (!d.packed)
		EXPECT_EQ(0, vring_pop(&vr, &c));
}

TEST_HARNESS_MAIN
