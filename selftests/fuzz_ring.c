// SPDX-License-Identifier: GPL-2.0
/*
 * Rings of any contents, through the module: well-formed ones with random damage,
 * by the million.
 *
 * in:  /dev/vkick-null, -rng; options of lib/fuzz.h: -n is the number of rings of
 *      each type, -r of one ring's number in the seed's sequence
 * out: TAP. A ring is served or breaks its queue with an errno of the contract;
 *      not a byte changes but in the used ring and in writable buffers
 *
 * Rings are tried in batches, one on each queue of some devices, since most of a
 * ring's time is waiting for a worker.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/fuzz.h"
#include "lib/slot.h"
#include "lib/vdev.h"

#define DEVICES		4	/* of each class */
#define QUEUES		(3 * DEVICES)	/* null has two */
#define GROUP		(8 * QUEUES)	/* rings of the same features and sizes */
#define GOOD_EVERY	32	/* this often a ring stays as it should be */
#define HOT_EVERY	16	/* and this often it is written while it is served */

struct queue {
	struct slot slot;
	u64 number;		/* of the ring in the seed's sequence */
	u64 state;		/* prng() */
	bool good, hot;
	struct vkick_stats before;	/* this ring: after the last one */
};

struct device {
	int fd;
	u64 offered;
	u32 nvqs;
	struct queue *q[2];
};

static struct {
	struct fuzz f;
	struct device dev[2 * DEVICES];
	struct queue queue[QUEUES];
	u64 tried, served, requests, wild;
	u64 broke_einval, broke_efault, broke_e2big;
} all;

static void name_ring(const struct queue *q)
{
	printf("# %s: ring %llu of seed 0x%llx (-s 0x%llx -r %llu)\n",
	       q->slot.ring.packed ? "packed" : "split",
	       (unsigned long long)q->number, (unsigned long long)all.f.seed,
	       (unsigned long long)all.f.seed, (unsigned long long)q->number);
	fflush(stdout);
}

static void open_device(struct device *d, const char *class, struct queue *q)
{
	u32 i;

	d->fd = vdev_open(class);
	d->offered = vdev_get_features(d->fd);
	d->nvqs = vdev_get_info(d->fd).nvqs;
	CHECK(d->nvqs == (strcmp(class, "rng") ? 2 : 1), "%s: %u queues", class, d->nvqs);
	vdev_set_owner(d->fd);
	for (i = 0; i < d->nvqs; i++) {
		d->q[i] = &q[i];
		q[i].before = (struct vkick_stats) { 0 };
		slot_init(&q[i].slot, !strcmp(class, "rng"));
	}
}

/* The queues of a device have one memory table: all their slots' regions in it. */
static void set_mem(struct device *d)
{
	struct vhost_memory *t = calloc(1, sizeof(*t) + 2 * SLOT_REGIONS * sizeof(t->regions[0]));
	u32 i;

	CHECK(t, "no memory");
	for (i = 0; i < d->nvqs; i++) {
		d->q[i]->slot.gpa_bias = (u64)i << 40;
		slot_regions(&d->q[i]->slot, &t->regions[t->nregions]);
		t->nregions += SLOT_REGIONS;
	}
	CHECK(!__vdev_set_mem(d->fd, t), "SET_MEM_TABLE");
	free(t);
}

/* Features belong to the device, sizes to the queue. */
static void configure(struct device *d, bool packed, u64 *state)
{
	u64 features = F_VERSION_1 | (packed ? F_PACKED : 0);
	u32 i;

	features |= prng(state) & (F_INDIRECT | F_EVENT_IDX | F_IN_ORDER);
	features &= d->offered;
	vdev_set_features(d->fd, features);
	for (i = 0; i < d->nvqs; i++) {
		struct slot *s = &d->q[i]->slot;

		slot_shape(s, packed, packed ? 1 + fuzz_below(state, SLOT_NUM) :
			   1U << fuzz_below(state, SLOT_NUM_BITS + 1));
		s->indirect = features & F_INDIRECT;
		vdev_set_num(d->fd, i, s->ring.num);
		CHECK(!__vdev_set_addr(d->fd, i, s->ring.desc, s->ring.avail,
				       s->ring.used), "SET_VRING_ADDR");
	}
}

/* All that is done depends on the ring's number and the batch's alone. */
static void prepare(struct device *d, u32 index, u64 number)
{
	struct queue *q = d->q[index];
	u32 base;

	q->number = number;
	q->state = fuzz_seed(all.f.seed, number);
	q->good = fuzz_one_in(&q->state, GOOD_EVERY);
	q->hot = !q->good && fuzz_one_in(&q->state, HOT_EVERY);
	base = fring_random_base(&q->slot.ring, &q->state);
	slot_fill(&q->slot, base, &q->state);
	if (!q->good)
		slot_damage(&q->slot, &q->state);
	slot_shoot(&q->slot);
	vdev_set_base(d->fd, index, base);
}

/* A start counts as a kick, so a pass must come. */
static void await_pass(struct device *d, u32 index)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	struct queue *q = d->q[index];
	struct vkick_stats s;

	for (;;) {
		s = vdev_get_stats(d->fd, index);
		if (s.passes != q->before.passes)
			return;
		if (deadline_passed(&end)) {
			name_ring(q);
			CHECK(0, "the queue was not looked at");
		}
		if (q->hot)
			slot_damage(&q->slot, &q->state);
		else
			usleep(0);
	}
}

static void judge(struct device *d, u32 index)
{
	struct queue *q = d->q[index];
	struct vkick_stats s = vdev_get_stats(d->fd, index);
	u64 requests = s.requests - q->before.requests;
	enum slot_verdict verdict = slot_check(&q->slot, q->hot);

	all.tried++;
	q->before = s;
	all.requests += requests;
	all.wild += verdict == SLOT_WILD;
	switch (s.error) {
	case 0:
		all.served++;
		break;
	case EINVAL:
		all.broke_einval++;
		break;
	case EFAULT:
		all.broke_efault++;
		break;
	case E2BIG:
		all.broke_e2big++;
		break;
	default:
		name_ring(q);
		CHECK(0, "broke with %u", s.error);
	}
	if (verdict == SLOT_BAD) {
		name_ring(q);
		CHECK(0, "written where nothing may be written");
	}
	if (q->good && (s.error || requests != q->slot.chains)) {
		name_ring(q);
		CHECK(0, "a good ring: error %u, %llu of %u requests", s.error,
		      (unsigned long long)requests, q->slot.chains);
	}
}

static void try_batch(bool packed, u64 first)
{
	u64 state = fuzz_seed(~all.f.seed, first / GROUP);
	u64 number = first;
	u32 i, j;

	for (i = 0; i < 2 * DEVICES; i++) {
		struct device *d = &all.dev[i];

		if (first % GROUP == 0 || all.f.replay)
			configure(d, packed, &state);
		for (j = 0; j < d->nvqs; j++)
			prepare(d, j, number++);
	}
	for (i = 0; i < 2 * DEVICES; i++)
		vdev_start(all.dev[i].fd, VKICK_ALL_QUEUES);
	for (i = 0; i < 2 * DEVICES; i++)
		for (j = 0; j < all.dev[i].nvqs; j++)
			await_pass(&all.dev[i], j);
	for (i = 0; i < 2 * DEVICES; i++)
		vdev_stop(all.dev[i].fd, VKICK_ALL_QUEUES);
	for (i = 0; i < 2 * DEVICES; i++)
		for (j = 0; j < all.dev[i].nvqs; j++)
			judge(&all.dev[i], j);
}

static void run(bool packed)
{
	struct queue *q = all.queue;
	u64 first;
	u32 i;

	for (i = 0; i < 2 * DEVICES; i++) {
		struct device *d = &all.dev[i];

		open_device(d, i % 2 ? "rng" : "null", q);
		set_mem(d);
		q += d->nvqs;
	}
	all.tried = all.served = all.requests = all.wild = 0;
	all.broke_einval = all.broke_efault = all.broke_e2big = 0;
	fuzz_start(&all.f);
	for (first = 0; fuzz_goes_on(&all.f, all.tried); first += QUEUES) {
		fuzz_record(&all.f, "%s -s 0x%llx -r %llu", packed ? "packed" : "split",
			    (unsigned long long)all.f.seed, (unsigned long long)first);
		if (all.f.replay)
			first = strtoull(all.f.replay, NULL, 0) / QUEUES * QUEUES;
		try_batch(packed, first);
	}
	for (i = 0; i < 2 * DEVICES; i++) {
		close(all.dev[i].fd);
		all.dev[i].fd = -1;
	}
	for (i = 0; i < QUEUES; i++)
		slot_free(&all.queue[i].slot);
	printf("# %s: %llu rings tried, %llu served, broke with EINVAL %llu, EFAULT %llu, E2BIG %llu; %llu requests; %llu of self-modifying rings\n",
	       packed ? "packed" : "split", (unsigned long long)all.tried,
	       (unsigned long long)all.served, (unsigned long long)all.broke_einval,
	       (unsigned long long)all.broke_efault, (unsigned long long)all.broke_e2big,
	       (unsigned long long)all.requests, (unsigned long long)all.wild);
}

/* Each kind of end is common: a long run without one has not tried what it should. */
static bool tried_enough(void)
{
	if (all.f.replay || all.tried < 1000)
		return all.tried;
	return all.served && all.broke_einval && all.broke_efault &&
	       all.requests && all.wild < all.tried / 2;
}

static bool offers_packed(void)
{
	int fd = vdev_open("null");
	u64 features = vdev_get_features(fd);

	close(fd);
	return features & F_PACKED;
}

int main(int argc, char **argv)
{
	bool packed, ok = true;
	int n = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..2\n");
	fuzz_init(&all.f, argc, argv, "RINGS");
	for (packed = false; ; packed = true) {
		const char *name = packed ? "packed" : "split";

		n++;
		if (all.f.only && strcmp(all.f.only, name)) {
			printf("ok %d fuzz_ring.%s # SKIP not asked for\n", n, name);
		} else if (packed && !offers_packed()) {
			printf("ok %d fuzz_ring.%s # SKIP no packed rings\n", n, name);
		} else {
			run(packed);
			ok &= tried_enough();
			printf("%sok %d fuzz_ring.%s\n", tried_enough() ? "" : "not ", n, name);
		}
		if (packed)
			break;
	}
	return !ok;
}
