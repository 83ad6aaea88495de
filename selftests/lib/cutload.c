// SPDX-License-Identifier: GPL-2.0
/*
 * A power cut's workload on /dev/vkick-blk: two queues, a thread each.
 *
 * in:  a workload, a backend, the dm-log-writes device below it
 * out: see cutload.h
 */
#define _GNU_SOURCE
#include "cutload.h"

#include <endian.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Of each queue: requests in all, and in flight. */
#define REQUESTS	300
#define DEPTH		12
#define BUF_BYTES	(CUT_MAX_SECTORS * SECTOR)

u64 cut_from_env(const char *name, u64 otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/*
 * dm-log-writes gives what was completed to the first flush that comes by, and writes it
 * down when that one is done. If a second one overtakes it, its promise stands in
 * the log before what it promised. So one flush at a time goes to the device.
 */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	bool closed;
};

/* One queue and the thread that drives it. */
struct driver {
	struct disk *disk;
	struct pc *pc;
	const struct backend *marks;	/* where promises are written down */
	u32 queue;
	u64 seed;
	bool through;			/* the disk has write-through */
	bool flushes;			/* and flushes all the same */
	bool fua;			/* writes need none: each is durable by itself */
	struct gate *gate;
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

/* ---- one flush at a time ---- */

static bool passes_gate(const struct driver *v, const struct pc_req *r)
{
	return r->op == PC_FLUSH || (v->through && (r->op == PC_ZERO || !v->fua));
}

/* Return: whether it is the caller's now. @wait: for who has nothing else to do. */
static bool close_gate(struct gate *g, bool wait)
{
	bool mine;

	pthread_mutex_lock(&g->lock);
	while (g->closed && wait)
		pthread_cond_wait(&g->opened, &g->lock);
	mine = !g->closed;
	g->closed = true;
	pthread_mutex_unlock(&g->lock);
	return mine;
}

static void open_gate(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->closed = false;
	pthread_cond_signal(&g->opened);
	pthread_mutex_unlock(&g->lock);
}

/* ---- the load ---- */

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
	if (passes_gate(v, r))
		open_gate(v->gate);
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
			if (passes_gate(v, &r))
				while (!close_gate(v->gate, made == back)) {
					complete(v);
					back++;
				}
			submit(v, &r);
			made++;
		}
		complete(v);
		back++;
	}
	return NULL;
}

void cut_run_load(struct pc *pc, const char *path, const struct backend *marks,
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
	struct gate gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
	struct driver v[2];
	struct stat st;
	struct disk d;
	u32 i;

	CHECK(!stat(path, &st), "%s", path);

	disk_open(&d, &dc);
	disk_start(&d);
	for (i = 0; i < 2; i++) {
		v[i] = (struct driver) {
			.disk = &d, .pc = pc, .marks = marks, .queue = i,
			.seed = seed * 2 + i + 1,
			.through = conf->flags & VKICK_BLK_WRITE_THROUGH ||
				   conf->without & F_BLK(FLUSH),
			.flushes = !(conf->without & F_BLK(FLUSH)),
			.fua = conf->direct && S_ISBLK(st.st_mode),
			.gate = &gate,
		};
		CHECK(!pthread_create(&v[i].thread, NULL, drive, &v[i]), "thread");
	}
	for (i = 0; i < 2; i++)
		pthread_join(v[i].thread, NULL);
	disk_stop(&d);
	CHECK(gmem_canaries_ok(&d.r.mem), "canaries");
	disk_close(&d);
}
