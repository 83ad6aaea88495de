// SPDX-License-Identifier: GPL-2.0
/*
 * VHOST_SET_MEM_TABLE ten thousand times under load. Each table is of mappings of
 * its own, which are unmapped as soon as the next table is in force.
 *
 * in:  /dev/vkick-null, /dev/vkick-rng; driver threads that never let go
 * out: no request lost, none that used an old mapping, none that used two tables
 *
 * path_mem.c has what may stand in a table, and a table that shrinks.
 */
#include "kselftest_harness.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "lib/hammer.h"
#include "lib/rig.h"

#define ENOUGH_MS	60000
#define WHOLE_SWAPS	1000	/* maps and unmaps 10 MiB each time */

FIXTURE(swap)
{
	struct rig r;
};

FIXTURE_VARIANT(swap)
{
	u64 features;
	int swaps;
};

FIXTURE_VARIANT_ADD(swap, split) { F_INDIRECT, 10000 };
FIXTURE_VARIANT_ADD(swap, packed_event_idx) {
	F_INDIRECT | F_PACKED | F_EVENT_IDX, 2000 };

FIXTURE_SETUP(swap)
{
}

FIXTURE_TEARDOWN(swap)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
	rig_close(&self->r);
}

/* Where nothing was mapped before, so that whoever comes late finds nothing there. */
static void *map(int memfd, size_t size, off_t from)
{
	static u8 *at = (u8 *)0x100000000000;
	void *p = mmap(at, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED_NOREPLACE, memfd, from);

	CHECK(p == at, "mmap of %zu bytes", size);
	at += size;
	return p;
}

/* All of guest memory at new addresses. Rings stay where they were set. */
static struct vhost_memory *map_anew(const struct gmem *m)
{
	struct vhost_memory *t = gmem_table(m);
	int i;

	for (i = 0; i < m->nr; i++)
		t->regions[i].userspace_addr = (unsigned long)
			map(m->r[i].memfd, m->r[i].size, GMEM_PAGE);
	return t;
}

static void unmap(struct vhost_memory *t)
{
	u32 i;

	for (i = 0; i < t->nregions; i++)
		CHECK(!munmap((void *)(unsigned long)t->regions[i].userspace_addr,
			      t->regions[i].memory_size), "munmap");
	free(t);
}

/*
 * Nothing of a null request is touched but its indirect table, so that there is a
 * lookup for almost each step that the worker makes.
 */
TEST_F(swap, whole_memory_at_new_addresses)
{
	struct rig_conf conf = {
		.class = "null",
		.features = variant->features,
		.layout = DRV_INDIRECT,
	};
	struct hammer h[2] = { { 0 }, { 0 } };
	struct vhost_memory *old, *new;
	struct rig *r = &self->r;
	int i;

	rig_open(r, &conf);
	old = map_anew(&r->mem);
	ASSERT_EQ(0, __vdev_set_mem(r->fd, old));
	rig_start(r);
	hammer_start(&h[0], &r->q[0], 16, 512);
	hammer_start(&h[1], &r->q[1], 1, 512);
	for (i = 0; i < WHOLE_SWAPS; i++) {
		new = map_anew(&r->mem);
		ASSERT_EQ(0, __vdev_set_mem(r->fd, new));
		unmap(old);
		old = new;
		if (i % 100 == 0) {
			hammer_wait(&h[0], 50);
			hammer_wait(&h[1], 5);
		}
	}
	for (i = 0; i < 2; i++) {
		hammer_wait(&h[i], 100);
		hammer_stop(&h[i]);
		hammer_drain(&h[i]);
		EXPECT_EQ(0, vdev_get_stats(r->fd, i).error);
		EXPECT_EQ(r->q[i].drv.got, vdev_get_stats(r->fd, i).requests);
	}
	vdev_set_mem(r->fd, &r->mem);
	unmap(old);
}

/* ---- two memories at one guest address ---- */

/*
 * In place of GMEM_HIGH, of regions of a page each, are pages of memory 0 in one
 * table and of memory 1 in the next. Each buffer lies across a border of two
 * regions. A request sees one table, so both its halves arrive in one memory.
 */
#define PAGES	32
#define HALF	32U
#define DEPTH	8

struct two {
	struct rig *r;
	int memfd[2];
	u8 *mem[2];		/* the driver's own view of them */
	pthread_t thread;
	atomic_bool stop;
	atomic_ullong got;
	u64 in[2];		/* requests that arrived in each */
};

/* Around the border before page @k, 1 to PAGES - 1. */
static u32 buf_at(u32 k)
{
	return k * GMEM_PAGE - HALF;
}

static bool all_zero(const u8 *p)
{
	u32 i;

	for (i = 0; i < HALF; i++)
		if (p[i])
			return false;
	return true;
}

/* 32 random bytes are not all zero. */
static void check_buf(struct two *t, u32 k)
{
	bool got[2][2];
	int m;

	for (m = 0; m < 2; m++) {
		got[m][0] = !all_zero(t->mem[m] + buf_at(k));
		got[m][1] = !all_zero(t->mem[m] + buf_at(k) + HALF);
	}
	CHECK(got[0][0] == got[0][1] && got[1][0] == got[1][1],
	      "torn: memory 0 has %d %d, memory 1 has %d %d",
	      got[0][0], got[0][1], got[1][0], got[1][1]);
	CHECK(got[0][0] != got[1][0], "in %s memory", got[0][0] ? "each" : "no");
	t->in[got[1][0]]++;
}

static void *two_main(void *arg)
{
	struct two *t = arg;
	struct vq *q = &t->r->q[0];
	u32 at[1024], k, next = 0;

	while (!atomic_load(&t->stop)) {
		int head;

		while (drv_in_flight(&q->drv) < DEPTH) {
			k = next++ % (PAGES - 1) + 1;
			memset(t->mem[0] + buf_at(k), 0, 2 * HALF);
			memset(t->mem[1] + buf_at(k), 0, 2 * HALF);
			head = drv_add1(&q->drv, GMEM_HIGH + buf_at(k), 2 * HALF, true);
			CHECK(head >= 0, "full");
			at[head] = k;
		}
		drv_kick(&q->drv, q->kick);
		CHECK(drv_wait(&q->drv, q->call, DEADLINE_MS), "%s",
		      vdev_get_stats(t->r->fd, 0).error ? "the queue broke" :
							  "a lost call");
		drv_disable_call(&q->drv);
		while ((head = drv_get(&q->drv, NULL)) >= 0) {
			check_buf(t, at[head]);
			atomic_fetch_add(&t->got, 1);
		}
	}
	return NULL;
}

/* GMEM_LOW, where the rings are, and pages of @p. */
static struct vhost_memory *two_table(struct gmem *m, u8 *p)
{
	struct vhost_memory *t;
	u32 i;

	t = calloc(1, sizeof(*t) + (1 + PAGES) * sizeof(t->regions[0]));
	CHECK(t, "no memory");
	t->nregions = 1 + PAGES;
	t->regions[0] = (struct vhost_memory_region) {
		.guest_phys_addr = GMEM_LOW,
		.memory_size = GMEM_LOW_SIZE,
		.userspace_addr = (unsigned long)gmem_ptr(m, GMEM_LOW, GMEM_LOW_SIZE),
	};
	for (i = 0; i < PAGES; i++)
		t->regions[1 + i] = (struct vhost_memory_region) {
			.guest_phys_addr = GMEM_HIGH + i * GMEM_PAGE,
			.memory_size = GMEM_PAGE,
			.userspace_addr = (unsigned long)p + i * GMEM_PAGE,
		};
	return t;
}

static void two_wait(struct two *t, u64 n)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	u64 until = atomic_load(&t->got) + n;

	while (atomic_load(&t->got) < until) {
		CHECK(!deadline_passed(&end), "no progress");
		sched_yield();
	}
}

TEST_F(swap, no_request_sees_half_of_each_table)
{
	struct rig_conf conf = {
		.class = "rng",
		.features = variant->features,
		.layout = DRV_DIRECT,
	};
	const size_t size = PAGES * GMEM_PAGE;
	struct rig *r = &self->r;
	struct deadline enough = deadline_in(ENOUGH_MS);
	struct two t = { .r = r };
	u8 *old, *new;
	int i;

	rig_open(r, &conf);
	for (i = 0; i < 2; i++) {
		t.memfd[i] = memfd_create("two", MFD_CLOEXEC);
		ASSERT_LE(0, t.memfd[i]);
		ASSERT_EQ(0, ftruncate(t.memfd[i], size));
		t.mem[i] = map(t.memfd[i], size, 0);
	}
	old = NULL;
	for (i = 0; i < variant->swaps; i++) {
		struct vhost_memory *table;

		/* A kernel that looks for faults takes its time. */
		if (i > variant->swaps / 10 && deadline_passed(&enough))
			break;

		new = map(t.memfd[i % 2], size, 0);
		table = two_table(&r->mem, new);
		ASSERT_EQ(0, __vdev_set_mem(r->fd, table));
		free(table);
		if (old)
			ASSERT_EQ(0, munmap(old, size));
		old = new;
		if (!i) {
			rig_start(r);
			ASSERT_EQ(0, pthread_create(&t.thread, NULL, two_main, &t));
		}
		if (i % 500 < 2)
			two_wait(&t, 20);
	}
	atomic_store(&t.stop, true);
	pthread_join(t.thread, NULL);
	TH_LOG("%d tables; %llu requests in one memory, %llu in the other", i,
	       (unsigned long long)t.in[0], (unsigned long long)t.in[1]);
	EXPECT_LT(100, t.in[0]);
	EXPECT_LT(100, t.in[1]);
	rig_stop(r);
	EXPECT_EQ(0, vdev_get_stats(r->fd, 0).error);
}

TEST_HARNESS_MAIN
