// SPDX-License-Identifier: GPL-2.0
/*
 * A power cut's workload: two queues, a thread each.
 *
 * in:  a workload, the disk under test, the dm-log-writes device below it
 * out: see cutload.h
 */
#define _GNU_SOURCE
#include "cutload.h"

#include <endian.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <linux/virtio_blk.h>

/* Of each queue: requests in all, and in flight. */
#define REQUESTS	300
#define DEPTH		12

#define MAX_BYTES	(CUT_MAX_SECTORS * SECTOR)

u64 cut_from_env(const char *name, u64 otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* One flush at a time goes to the device: see lw_make(). With @is_open, all that come. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t left;
	bool is_open;
	bool occupied;
};

/**
 * struct promises - what the disk makes durable
 * @through: it has write-through
 * @flushes: and flushes all the same, or needs them
 * @fua: writes need none: each is durable by itself
 */
struct promises {
	bool through;
	bool flushes;
	bool fua;
};

/* One queue and the thread that drives it. */
struct driver {
	struct dut *disk;
	struct promises is;
	struct pc *pc;
	const struct backend *marks;	/* where promises are written down */
	u32 queue;
	u64 seed;
	struct gate *gate;
	pthread_t thread;

	struct pc_req req[DEPTH];
	bool used[DEPTH];
};

static u32 free_place(const struct driver *v)
{
	u32 i;

	for (i = 0; v->used[i]; i++)
		;
	return i;
}

/* ---- promises ---- */

static void send_mark(const struct driver *v, int mark)
{
	char text[32];

	pc_mark_text(mark, text);
	dm_message(v->marks, text);
	pc_marked(v->pc, mark);
}

static bool passes_gate(const struct driver *v, const struct pc_req *r)
{
	return r->op == PC_FLUSH || (v->is.through && (r->op != PC_WRITE || !v->is.fua));
}

/* Return: whether the caller is in. @wait: for who has nothing else to do. */
static bool enter_gate(struct gate *g, bool wait)
{
	bool enters;

	pthread_mutex_lock(&g->lock);
	while (g->occupied && wait)
		pthread_cond_wait(&g->left, &g->lock);
	enters = !g->occupied;
	g->occupied |= !g->is_open;
	pthread_mutex_unlock(&g->lock);
	return enters;
}

static void leave_gate(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->occupied = false;
	pthread_cond_signal(&g->left);
	pthread_mutex_unlock(&g->lock);
}

/* ---- the load ---- */

static void submit(struct driver *v, const struct pc_req *r)
{
	static const u32 type[] = {
		[PC_WRITE] = VIRTIO_BLK_T_OUT, [PC_ZERO] = VIRTIO_BLK_T_WRITE_ZEROES,
		[PC_FLUSH] = VIRTIO_BLK_T_FLUSH, [PC_DISCARD] = VIRTIO_BLK_T_DISCARD,
	};
	u32 i = free_place(v);
	struct gmem *mem = dut_mem(v->disk);
	struct drv_seg data = {
		DUT_BUF(v->queue) + (u64)i * MAX_BYTES, r->nr * SECTOR, false
	};
	struct virtio_blk_discard_write_zeroes range = {
		.sector = htole64(r->sector),
		.num_sectors = htole32(r->nr),
		.flags = htole32(r->op == PC_ZERO && r->version % 2 ?
				 VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0),
	};
	bool writes = r->op == PC_WRITE, flush = r->op == PC_FLUSH;

	if (writes) {
		pc_fill(r, gmem_ptr(mem, data.gpa, data.len));
	} else if (!flush) {
		data.len = sizeof(range);
		memcpy(gmem_ptr(mem, data.gpa, data.len), &range, sizeof(range));
	}
	v->req[i] = *r;
	v->used[i] = true;
	dut_add(v->disk, v->queue, i, type[r->op], writes ? r->sector : 0, &data, !flush);
	dut_kick(v->disk, v->queue);
}

static void complete(struct driver *v)
{
	struct pc_req *r;
	u8 status;
	int mark, i;

	while ((i = dut_poll(v->disk, v->queue, &status)) < 0)
		CHECK(dut_wait(v->disk, v->queue, 2 * DEADLINE_MS), "nothing comes back");
	r = &v->req[i];
	CHECK(status == VIRTIO_BLK_S_OK, "op %d of %u sectors at %llu: status %u", r->op,
	      r->nr, (unsigned long long)r->sector, status);
	mark = pc_done(v->pc, r, v->is.through);
	if (mark >= 0)
		send_mark(v, mark);
	if (passes_gate(v, r))
		leave_gate(v->gate);
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
			} while (r.op == PC_FLUSH && !v->is.flushes);
			if (passes_gate(v, &r))
				while (!enter_gate(v->gate, made == back)) {
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

void cut_run(struct pc *pc, const char *path, const struct backend *marks,
	     const struct cut_conf *conf, u64 seed)
{
	struct dut_conf dc = {
		.path = path,
		.sectors = pc->conf.sectors,
		.direct = conf->direct,
		.features = conf->features,
		.layout = conf->layout,
		.write_through = conf->write_through,
		.no_flush = conf->no_flush,
	};
	struct promises is = {
		.through = conf->write_through || conf->no_flush,
		.flushes = !conf->no_flush,
	};
	struct gate gate = {
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
		.is_open = conf->many_flushes,
	};
	struct driver v[DUT_QUEUES];
	struct dut *disk;
	struct stat st;
	u32 i;

	CHECK(!stat(path, &st), "%s", path);
	is.fua = conf->direct && S_ISBLK(st.st_mode);
	disk = dut_open(&dc);
	for (i = 0; i < DUT_QUEUES; i++) {
		v[i] = (struct driver) {
			.disk = disk, .is = is, .pc = pc, .marks = marks, .queue = i,
			.seed = seed * 2 + i + 1,
			.gate = &gate,
		};
		CHECK(!pthread_create(&v[i].thread, NULL, drive, &v[i]), "thread");
	}
	for (i = 0; i < DUT_QUEUES; i++)
		pthread_join(v[i].thread, NULL);
	dut_close(disk);
}
