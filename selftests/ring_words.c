// SPDX-License-Identifier: GPL-2.0
/*
 * Every value of each word through which a driver steers the ring: indices, heads,
 * event fields, saved states.
 *
 * in:  ring/ and the reference model, with poison around all memory (lib/duel.h)
 * out: they agree on all of them
 */
#include "kselftest_harness.h"

#include "lib/duel.h"

#define WORDS	0x10000

#define WRITE	0x0002
#define AVAIL	0x0080
#define USED	0x8000

/* Places at which something wraps, or is about to. */
static const u16 starts[] = { 0, 1, 5, 0x7ffd, 0x7fff, 0x8000, 0xfffd, 0xffff };

#define STARTS	(sizeof(starts) / sizeof(starts[0]))

/* A writable buffer in each descriptor; available, if the ring is packed. */
static void fill(struct duel *d, bool wrap)
{
	u8 bytes[16] = { 0, 0, 1, 0, 0, 0, 0, 0, 8 };
	u32 i;

	bytes[d->m.packed ? 14 : 12] = WRITE;
	if (d->m.packed)
		bytes[wrap ? 14 : 15] |= wrap ? AVAIL : USED >> 8;
	for (i = 0; i < d->m.num; i++) {
		if (d->m.packed)
			bytes[12] = i;
		duel_put(d, MODEL_DESC, 16 * i, bytes, 16);
	}
}

TEST(split_every_avail_index)
{
	u32 s, num, idx, chains = 0, refused = 0;
	struct duel *d;
	int r;

	for (s = 0; s < STARTS; s++)
		for (num = 1; num <= 8; num *= 8) {
			d = duel_start(0, num, starts[s], starts[s]);
			fill(d, true);
			for (idx = 0; idx < WORDS; idx++) {
				duel_put16(d, MODEL_DRIVER, 2, idx);
				duel_has_avail(d);
				r = duel_pop(d, 4);
				chains += r == 1;
				refused += r == -EINVAL;
				duel_load(d, starts[s]);
			}
		}
	/* 1 and 8 are available indices, of two rings. */
	EXPECT_EQ(STARTS * 9, chains);
	EXPECT_EQ(STARTS * (2 * WORDS - 9 - 2), refused);
}

TEST(split_every_head)
{
	u32 head, num, chains = 0, refused = 0;
	struct duel *d;
	int r;

	for (num = 1; num <= VRING_MAX_NUM; num *= 32) {
		d = duel_start(0, num, 0, 0);
		fill(d, true);
		duel_put16(d, MODEL_DRIVER, 2, 1);
		for (head = 0; head < WORDS; head++) {
			duel_put16(d, MODEL_DRIVER, 4, head);
			r = duel_pop(d, 4);
			chains += r == 1;
			refused += r == -EINVAL;
			duel_load(d, 0);
		}
	}
	EXPECT_EQ(1 + 32 + 1024 + 32768, chains);
	EXPECT_EQ(4 * WORDS - chains, refused);
}

/* Pops @n, which must be there, and pushes them. */
static void serve(struct duel *d, u32 n)
{
	while (n--) {
		CHECK(duel_pop(d, 4) == 1, "no chain");
		duel_push(d, 0, 8);
	}
}

/* Used events, with 1 or 5 elements since the last decision. */
TEST(split_every_used_event)
{
	u32 s, event, batch, calls = 0;
	struct duel *d;

	for (s = 0; s < STARTS; s++)
		for (batch = 1; batch <= 5; batch += 4) {
			u16 at = starts[s];

			d = duel_start(DUEL_F_EVENT, 8, at, at);
			fill(d, true);
			for (event = 0; event < WORDS; event++) {
				at += batch;
				duel_put16(d, MODEL_DRIVER, 2, at);
				duel_put16(d, MODEL_DRIVER, 4 + 2 * 8, event + at);
				serve(d, batch);
				calls += duel_flush(d);
			}
		}
	/* Events count from the ring's place: each distance occurs once. */
	EXPECT_LE(STARTS * 6, calls);
	EXPECT_GE(STARTS * 8, calls);
}

/* After 2^16 elements without a decision the last one's index says nothing. */
TEST(split_a_lap_without_a_decision_ends_in_a_call)
{
	struct duel *d = duel_start(DUEL_F_EVENT, 256, 0, 0);
	u32 i, laps;
	u16 at = 0;

	fill(d, true);
	for (i = 0; i < 256; i++)
		duel_put16(d, MODEL_DRIVER, 4 + 2 * i, i);
	for (laps = 0; laps < 3; laps++) {
		/* More than 64 pending are published, without a decision. */
		for (i = 0; i < WORDS / 128; i++) {
			at += 128;
			duel_put16(d, MODEL_DRIVER, 2, at);
			serve(d, 128);
		}
		/* One more, which alone would not be worth a call. */
		at += 1;
		duel_put16(d, MODEL_DRIVER, 2, at);
		duel_put16(d, MODEL_DRIVER, 4 + 2 * 256, at + 100);
		serve(d, 1);
		EXPECT_EQ(1, duel_flush(d));
		at += 1;
		duel_put16(d, MODEL_DRIVER, 2, at);
		serve(d, 1);
		EXPECT_EQ(0, duel_flush(d));
	}
}

/* Event suppression: every word, with each of the four flags. */
TEST(packed_every_event)
{
	u32 event, flags, batch, calls = 0, n = 0;
	struct duel *d;
	bool wrap = true;

	d = duel_start(DUEL_F_PACKED | DUEL_F_EVENT, 5, VRING_PACKED_START, 0);
	for (flags = 0; flags < 4; flags++)
		for (event = 0; event < WORDS; event++) {
			/* In turn 1, and the other 4. */
			for (batch = 1; batch <= 4; batch += 3) {
				if (batch == 1)
					fill(d, wrap);
				duel_put16(d, MODEL_DRIVER, 0, event);
				duel_put16(d, MODEL_DRIVER, 2, flags | 0xf0);
				serve(d, batch);
				calls += duel_flush(d) && flags == 2;
				n++;
			}
			wrap = !wrap;
		}
	/* Of a word, both turns together hit each place and one wrap counter once. */
	EXPECT_LE(5, calls);
	EXPECT_GE(n / 4, calls);
}

/* Of a ring of 5: all pairs of places that there are, and some that are none. */
TEST(packed_every_state)
{
	struct duel *d = duel_start(DUEL_F_PACKED, 5, VRING_PACKED_START, 0);
	u32 avail, used, good = 0;

	for (avail = 0; avail < WORDS; avail++) {
		if (avail % 0x8000 > 8 && avail % 0x8000 < 0x7ff8)
			continue;
		for (used = 0; used < WORDS; used++)
			good += !duel_load(d, avail | used << 16);
	}
	/* From each of 10 places, 0 to 5 ahead. */
	EXPECT_EQ(10 * 6, good);
}

TEST(split_every_state)
{
	struct duel *d = duel_start(0, 8, 0, 0);
	u32 state, good = 0;

	for (state = 0; state < 4 * WORDS; state++)
		good += !duel_load(d, state);
	EXPECT_EQ(WORDS, good);
	EXPECT_EQ(-EINVAL, duel_load(d, 0x80000000));
}

/* More than 64 pending are published without a decision; a load starts anew. */
TEST(load_forgets_what_was_not_decided)
{
	u32 state, packed;
	struct duel *d;

	for (packed = 0; packed < 2; packed++) {
		state = packed ? VRING_PACKED_START : 0;
		d = duel_start(packed ? DUEL_F_PACKED : 0, 128, state, 0);
		fill(d, true);
		duel_put16(d, MODEL_DRIVER, packed ? 2 : 0, 0);
		if (!packed)
			duel_put16(d, MODEL_DRIVER, 2, 100);
		serve(d, 100);
		ASSERT_LT(0, d->m.undecided);
		ASSERT_LT(0, d->m.nr_pending);
		ASSERT_EQ(0, duel_load(d, state));
		EXPECT_EQ(0, duel_flush(d));
	}
}

/* A loop is one, also where the room for segments ends with the last honest link. */
TEST(loop_with_room_for_as_many_segments_is_einval)
{
	u8 bytes[16] = { 0, 0, 1, 0, 0, 0, 0, 0, 8 };
	struct duel *d;
	u32 i, room;

	for (room = 3; room <= 5; room++) {
		d = duel_start(0, 4, 0, 0);
		duel_put16(d, MODEL_DRIVER, 2, 1);
		bytes[12] = 1;
		duel_put(d, MODEL_DESC, 0, bytes, 16);
		EXPECT_EQ(room < 4 ? -E2BIG : -EINVAL, duel_pop(d, room));

		d = duel_start(DUEL_F_PACKED, 4, VRING_PACKED_START, 0);
		bytes[12] = 0;
		bytes[14] = 1 | AVAIL;
		for (i = 0; i < 4; i++)
			duel_put(d, MODEL_DESC, 16 * i, bytes, 16);
		bytes[14] = 0;
		EXPECT_EQ(room < 4 ? -E2BIG : -EINVAL, duel_pop(d, room));
	}
}

/* Sizes, and alignments of each part, that vring_init() is given. */
TEST(every_size_and_alignment)
{
	static _Alignas(16) u8 mem[64];
	struct vring_dev vr;
	u32 num, at, split = 0, packed = 0, parts[2][3] = { 0 };
	struct vring_config cfg = { .desc = mem, .avail = mem, .used = mem };
	int k;

	for (num = 0; num < 2 * WORDS; num++) {
		cfg.num = num;
		cfg.features = 0;
		split += !vring_init(&vr, &cfg);
		cfg.features = DUEL_F_PACKED;
		packed += !vring_init(&vr, &cfg);
	}
	EXPECT_EQ(16, split);
	EXPECT_EQ(32768, packed);

	cfg.num = 4;
	for (k = 0; k < 2; k++)
		for (at = 0; at < 16; at++) {
			cfg.features = k ? DUEL_F_PACKED : 0;
			cfg.desc = mem + at;
			parts[k][0] += !vring_init(&vr, &cfg);
			cfg.desc = mem;
			cfg.avail = (void *)(mem + at);
			parts[k][1] += !vring_init(&vr, &cfg);
			cfg.avail = (void *)mem;
			cfg.used = (void *)(mem + at);
			parts[k][2] += !vring_init(&vr, &cfg);
			cfg.used = (void *)mem;
		}
	/* 2.7: 16, 2, 4. 2.8.10: 16, 4, 4. */
	EXPECT_EQ(1, parts[0][0]);
	EXPECT_EQ(8, parts[0][1]);
	EXPECT_EQ(4, parts[0][2]);
	EXPECT_EQ(1, parts[1][0]);
	EXPECT_EQ(4, parts[1][1]);
	EXPECT_EQ(4, parts[1][2]);
}

TEST_HARNESS_MAIN
