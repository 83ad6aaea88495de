// SPDX-License-Identifier: GPL-2.0
/*
 * A power cut after every entry that a disk wrote: what was acknowledged and flushed is
 * there.
 *
 * in:  /dev/vkick-blk over dm-log-writes, and on a file in ext4 over it;
 *      POWERCUT_ROUNDS of each test (default: 1), POWERCUT_SEED of the first (1)
 * out: no sector lost, none with what nobody wrote
 */
#define _GNU_SOURCE
#include "kselftest_harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/disk.h"
#include "lib/powercut.h"

#define MIB_SECTORS	(1024 * 1024 / SECTOR)
#define DISK_MIB	8
#define LOG_MIB		192

/* Of each queue: requests in all, in flight, and the longest one. */
#define REQUESTS	300
#define DEPTH		12
#define MAX_SECTORS	64
#define BUF_BYTES	(MAX_SECTORS * SECTOR)

#define FS_MIB		24
#define FILE_MIB	4
#define CUTS		10	/* of a file system, each of which is mounted */

static u64 from_env(const char *name, u64 otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* A disk of zeroes, its log, and what writes it down. */
struct cut_disk {
	struct backend data, log, top;
};

static void cut_disk_make(struct cut_disk *d)
{
	struct null_conf data = { .mib = DISK_MIB }, log = { .mib = LOG_MIB };

	d->data = null_make("data", &data);
	d->log = null_make("log", &log);
	d->top = lw_make("cut", &d->data, &d->log);
}

static struct pc_verdict cut_disk_verify(struct cut_disk *d, struct pc *pc)
{
	struct pc_verdict v;
	struct lw_log l;

	lw_end(&d->top);
	lw_open(&l, &d->log);
	v = pc_verify_log(pc, &l);
	lw_close(&l);
	printf("# %llu entries, %llu flushes, %llu promises: %llu lost, %llu alien, %llu torn\n",
	       (unsigned long long)v.entries, (unsigned long long)v.flushes,
	       (unsigned long long)v.marks, (unsigned long long)v.lost,
	       (unsigned long long)v.alien, (unsigned long long)v.torn);
	return v;
}

static const char *lacks(void)
{
	return backend_lacks("null_blk") ?: backend_lacks("log-writes");
}

static void send_mark(struct pc *pc, struct cut_disk *d, int mark)
{
	char text[32];

	if (mark < 0)
		return;
	pc_mark_text(mark, text);
	dm_message(&d->top, text);
	pc_marked(pc, mark);
}

/* ---- the check itself, with no module in the way ---- */

FIXTURE(check)
{
	struct cut_disk d;
	struct pc pc;
	int fd;
};

FIXTURE_SETUP(check)
{
	struct pc_conf conf = {
		.sectors = DISK_MIB * MIB_SECTORS,
		.unit = 8,
		.max_units = 8,
		.flush_every = 10,
	};

	backend_sweep();
	if (lacks())
		SKIP(return, "%s", lacks());
	cut_disk_make(&self->d);
	pc_init(&self->pc, &conf);
	self->fd = -1;
}

FIXTURE_TEARDOWN(check)
{
	if (self->fd >= 0)
		close(self->fd);
	pc_free(&self->pc);
	backend_sweep();
}

/* pwrite(2) and, of every second flush at least, fsync(2). */
static void write_and_flush(FIXTURE_DATA(check) *self, int flags, bool lie)
{
	static u8 buf[64 * SECTOR] __attribute__((aligned(4096)));
	u64 seed = 1;
	u32 flushes = 0;
	int i;

	self->fd = backend_open(&self->d.top, O_RDWR | flags);
	for (i = 0; i < 400; i++) {
		struct pc_req r;

		pc_next(&self->pc, &seed, &r);
		if (r.op == PC_FLUSH) {
			if (!lie || flushes++ % 2)
				CHECK(!fsync(self->fd), "fsync");
		} else {
			if (r.op == PC_ZERO)
				memset(buf, 0, r.nr * SECTOR);
			else
				pc_fill(&r, buf);
			CHECK(pwrite(self->fd, buf, r.nr * SECTOR, r.sector * SECTOR) ==
			      (ssize_t)(r.nr * SECTOR), "pwrite");
		}
		send_mark(&self->pc, &self->d, pc_done(&self->pc, &r, false));
	}
	close(self->fd);
	self->fd = -1;
}

TEST_F(check, passes_an_honest_disk)
{
	struct pc_verdict v;

	write_and_flush(self, O_DIRECT, false);
	v = cut_disk_verify(&self->d, &self->pc);
	EXPECT_LT(20, v.marks);
	EXPECT_LE(v.marks, v.flushes);
	EXPECT_EQ(0, v.lost + v.alien + v.torn);
}

TEST_F(check, passes_an_honest_cache)
{
	struct pc_verdict v;

	write_and_flush(self, 0, false);
	v = cut_disk_verify(&self->d, &self->pc);
	EXPECT_LT(20, v.marks);
	EXPECT_EQ(0, v.lost + v.alien + v.torn);
}

TEST_F(check, sees_a_disk_that_skips_flushes)
{
	struct pc_verdict v;

	write_and_flush(self, O_DIRECT, true);
	v = cut_disk_verify(&self->d, &self->pc);
	EXPECT_LT(100, v.lost);
	EXPECT_EQ(0, v.alien + v.torn);
}

TEST_F(check, sees_a_cache_that_skips_flushes)
{
	struct pc_verdict v;

	write_and_flush(self, 0, true);
	v = cut_disk_verify(&self->d, &self->pc);
	EXPECT_LT(100, v.lost);
	EXPECT_EQ(0, v.alien + v.torn);
}

/* ---- the module ---- */

/* One queue and the thread that drives it. */
struct driver {
	struct disk *disk;
	struct pc *pc;
	const struct backend *marks;	/* where promises are written down */
	u32 queue;
	u64 seed;
	bool through;			/* the disk has write-through */
	bool flushes;			/* and flushes all the same */
	pthread_t thread;

	struct pc_req req[DEPTH];
	bool used[DEPTH];
	u8 of_slot[128];
};

static u64 buffer(const struct driver *v, u32 i)
{
	return (v->queue ? DISK_BUF2 : DISK_BUF) + (u64)i * BUF_BYTES;
}

static u32 free_place(const struct driver *v)
{
	u32 i;

	for (i = 0; v->used[i]; i++)
		;
	return i;
}

static void submit(struct driver *v, const struct pc_req *r)
{
	u32 i = free_place(v);
	struct gmem *mem = &v->disk->r.mem;
	struct drv_seg data = { buffer(v, i), r->nr * SECTOR, false };
	struct disk_req req = { .sector = r->sector, .data = &data, .nr = 1 };
	struct virtio_blk_discard_write_zeroes range = {
		.sector = htole64(r->sector),
		.num_sectors = htole32(r->nr),
		.flags = htole32(r->version % 2 ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0),
	};

	switch (r->op) {
	case PC_WRITE:
		req.type = VIRTIO_BLK_T_OUT;
		pc_fill(r, gmem_ptr(mem, data.gpa, data.len));
		break;
	case PC_ZERO:
		req.type = VIRTIO_BLK_T_WRITE_ZEROES;
		req.sector = 0;
		data.len = sizeof(range);
		memcpy(gmem_ptr(mem, data.gpa, data.len), &range, sizeof(range));
		break;
	case PC_FLUSH:
		req.type = VIRTIO_BLK_T_FLUSH;
		req.nr = 0;
		break;
	}
	v->req[i] = *r;
	v->used[i] = true;
	v->of_slot[disk_submit(v->disk, v->queue, &req)] = i;
}

static void complete(struct driver *v)
{
	struct pc_req *r;
	char text[32];
	u8 status;
	int mark;
	u32 i;

	i = v->of_slot[disk_take(v->disk, v->queue, &status, NULL)];
	r = &v->req[i];
	CHECK(status == VIRTIO_BLK_S_OK, "op %d of %u sectors at %llu: status %u", r->op,
	      r->nr, (unsigned long long)r->sector, status);
	mark = pc_done(v->pc, r, v->through);
	if (mark >= 0) {
		pc_mark_text(mark, text);
		dm_message(v->marks, text);
		pc_marked(v->pc, mark);
	}
	v->used[i] = false;
}

static void *drive(void *arg)
{
	struct driver *v = arg;
	u32 made = 0, back = 0;

	while (back < REQUESTS) {
		while (made < REQUESTS && made - back < DEPTH) {
			struct pc_req r;

			do {
				pc_next(v->pc, &v->seed, &r);
			} while (r.op == PC_FLUSH && !v->flushes);
			submit(v, &r);
			made++;
		}
		complete(v);
		back++;
	}
	return NULL;
}

struct cut_conf {
	bool direct;
	u64 features;		/* of the ring */
	enum drv_layout layout;
	u64 without;		/* of F_BLK_ALL */
	u32 flags;		/* VKICK_BLK_* */
};

/* Two queues under load on @path, from the first request to the last. */
static void run_load(struct pc *pc, const char *path, const struct backend *marks,
		     const struct cut_conf *conf, u64 seed)
{
	struct disk_conf dc = {
		.on = BACKING_GIVEN,
		.path = path,
		.direct = conf->direct,
		.sectors = pc->conf.sectors,
		.features = conf->features,
		.layout = conf->layout,
		.without = conf->without,
		.flags = conf->flags,
		.nr_queues = 2,
	};
	struct driver v[2];
	struct disk d;
	u32 i;

	disk_open(&d, &dc);
	disk_start(&d);
	for (i = 0; i < 2; i++) {
		v[i] = (struct driver) {
			.disk = &d, .pc = pc, .marks = marks, .queue = i,
			.seed = seed * 2 + i + 1,
			.through = conf->flags & VKICK_BLK_WRITE_THROUGH ||
				   conf->without & F_BLK(FLUSH),
			.flushes = !(conf->without & F_BLK(FLUSH)),
		};
		CHECK(!pthread_create(&v[i].thread, NULL, drive, &v[i]), "thread");
	}
	for (i = 0; i < 2; i++)
		pthread_join(v[i].thread, NULL);
	disk_stop(&d);
	CHECK(gmem_canaries_ok(&d.r.mem), "canaries");
	disk_close(&d);
}

FIXTURE(cut)
{
	int unused;
};

FIXTURE_VARIANT(cut)
{
	struct cut_conf conf;
};

FIXTURE_VARIANT_ADD(cut, direct_split) {
	.conf = { .direct = true, .features = F_EVENT_IDX } };
FIXTURE_VARIANT_ADD(cut, buffered_packed_indirect) {
	.conf = { .features = F_PACKED | F_INDIRECT, .layout = DRV_INDIRECT } };
FIXTURE_VARIANT_ADD(cut, direct_packed_write_through) {
	.conf = { .direct = true, .features = F_PACKED,
		  .flags = VKICK_BLK_WRITE_THROUGH } };
FIXTURE_VARIANT_ADD(cut, buffered_split_driver_without_flush) {
	.conf = { .without = F_BLK(FLUSH) | F_BLK(CONFIG_WCE) } };

FIXTURE_SETUP(cut)
{
	backend_sweep();
	if (lacks())
		SKIP(return, "%s", lacks());
}

FIXTURE_TEARDOWN(cut)
{
	backend_sweep();
}

TEST_F_TIMEOUT(cut, of_a_disk_loses_nothing_promised, 120)
{
	u64 seed = from_env("POWERCUT_SEED", 1), rounds = from_env("POWERCUT_ROUNDS", 1);
	struct pc_conf pconf = {
		.sectors = DISK_MIB * MIB_SECTORS,
		.unit = 1,
		.max_units = MAX_SECTORS,
		.flush_every = 12,
	};

	for (; rounds; rounds--, seed++) {
		struct pc_verdict v;
		struct cut_disk d;
		struct pc pc;

		alarm(120);
		cut_disk_make(&d);
		pc_init(&pc, &pconf);
		run_load(&pc, d.top.path, &d.top, &variant->conf, seed);
		v = cut_disk_verify(&d, &pc);
		EXPECT_LT(20, v.marks);
		ASSERT_EQ(0, v.lost) TH_LOG("seed %llu", (unsigned long long)seed);
		ASSERT_EQ(0, v.alien);
		/* The page cache may be written while it is written to. */
		if (variant->conf.direct)
			ASSERT_EQ(0, v.torn);
		pc_free(&pc);
		backend_sweep();
	}
}

/* ---- a file in a file system ---- */

static void read_all(const struct backend *b, u8 *buf, size_t bytes)
{
	int fd = backend_open(b, O_RDONLY);
	size_t at;
	ssize_t n;

	for (at = 0; at < bytes; at += n) {
		n = pread(fd, buf + at, bytes - at, at);
		CHECK(n > 0, "read %s at %zu", b->path, at);
	}
	close(fd);
}

/* Boots from @image, as it were: what is in the file once the journal is replayed. */
static struct pc_verdict check_fs(struct pc *pc, const u8 *image, int mark, u32 upper)
{
	size_t bytes = FILE_MIB * MIB_SECTORS * SECTOR;
	int fd = backend_memfd("after", FS_MIB * MIB_SECTORS * SECTOR), err;
	struct backend loop, fs, file;
	struct pc_verdict v;
	u8 *buf = malloc(bytes);

	CHECK(buf, "no memory");
	CHECK(pwrite(fd, image, FS_MIB * MIB_SECTORS * SECTOR, 0) ==
	      (ssize_t)(FS_MIB * MIB_SECTORS * SECTOR), "copy the image");
	loop = loop_make("after", fd, false);
	err = __fs_mount(&fs, "after", &loop, NULL);
	CHECK(!err, "the file system does not mount after a power cut: %d", err);
	file = fs_at(&fs, "disk");
	read_all(&file, buf, bytes);
	v = pc_verify_image(pc, buf, mark, upper);
	fs_umount(&fs);
	loop_detach(&loop);
	close(fd);
	free(buf);
	return v;
}

/* Cuts at some marks, and now and then some entries later. */
static struct pc_verdict cut_fs(struct pc *pc, struct lw_log *l, u8 *image, u64 seed)
{
	u32 every = pc->nr_marks / CUTS + 1, seen = 0, upper = 0, later = 0;
	struct pc_verdict sum = { 0 }, v;
	struct lw_entry e;
	int mark = -1, last = -1;

	while (lw_next(l, &e)) {
		lw_apply(l, &e, image, FS_MIB * MIB_SECTORS);
		sum.flushes += !!(e.flags & LW_FLUSH);
		if (e.flags & LW_MARK && sscanf(e.mark, "m%d", &mark) == 1) {
			last = mark;
			if (pc->mark[mark].submitted > upper)
				upper = pc->mark[mark].submitted;
			if (seen++ % every)
				continue;
			later = prng(&seed) % 2 ? prng(&seed) % 8 : 0;
		} else if (!later || --later) {
			continue;
		}
		if (later)
			continue;
		/* What comes after the mark may have been submitted after it. */
		v = check_fs(pc, image, last, e.flags & LW_MARK ? upper : pc->nr_req);
		sum.marks++;
		sum.lost += v.lost;
		sum.alien += v.alien;
		sum.torn += v.torn;
	}
	return sum;
}

FIXTURE(cut_fs)
{
	int unused;
};

FIXTURE_VARIANT(cut_fs)
{
	struct cut_conf conf;
};

FIXTURE_VARIANT_ADD(cut_fs, direct_split) {
	.conf = { .direct = true, .features = F_EVENT_IDX } };
FIXTURE_VARIANT_ADD(cut_fs, buffered_packed) {
	.conf = { .features = F_PACKED } };

FIXTURE_SETUP(cut_fs)
{
	const char *why = lacks() ?: backend_lacks("ext4") ?: backend_lacks("loop");

	backend_sweep();
	if (why)
		SKIP(return, "%s", why);
}

FIXTURE_TEARDOWN(cut_fs)
{
	backend_sweep();
}

TEST_F_TIMEOUT(cut_fs, of_a_sparse_file_loses_nothing_promised, 120)
{
	u64 seed = from_env("POWERCUT_SEED", 1), fs_bytes = FS_MIB * MIB_SECTORS * SECTOR;
	struct null_conf data = { .mib = FS_MIB }, log = { .mib = LOG_MIB };
	struct pc_conf pconf = {
		.sectors = FILE_MIB * MIB_SECTORS,
		.unit = 1,
		.max_units = MAX_SECTORS,
		.flush_every = 12,
	};
	struct backend fs, file;
	struct cut_disk d;
	struct pc_verdict v;
	struct lw_log l;
	struct pc pc;
	u8 *image;

	d.data = null_make("data", &data);
	d.log = null_make("log", &log);
	fs = fs_make("fs", &d.data, NULL);
	file = fs_file(&fs, "disk", FILE_MIB * MIB_SECTORS * SECTOR, false);
	fs_umount(&fs);
	image = malloc(fs_bytes);
	ASSERT_NE(NULL, image);
	read_all(&d.data, image, fs_bytes);

	d.top = lw_make("cut", &d.data, &d.log);
	ASSERT_EQ(0, __fs_mount(&fs, "fs", &d.top, NULL));
	pc_init(&pc, &pconf);
	run_load(&pc, file.path, &d.top, &variant->conf, seed);
	fs_umount(&fs);
	lw_end(&d.top);

	lw_open(&l, &d.log);
	v = cut_fs(&pc, &l, image, seed);
	TH_LOG("%llu entries, %llu flushes, %llu cuts: %llu lost, %llu alien, %llu torn",
	       (unsigned long long)l.nr, (unsigned long long)v.flushes,
	       (unsigned long long)v.marks, (unsigned long long)v.lost,
	       (unsigned long long)v.alien, (unsigned long long)v.torn);
	lw_close(&l);
	EXPECT_LE(CUTS / 2, v.marks);
	EXPECT_EQ(0, v.lost);
	EXPECT_EQ(0, v.alien);
	if (variant->conf.direct)
		EXPECT_EQ(0, v.torn);
	pc_free(&pc);
	free(image);
}

TEST_HARNESS_MAIN
