/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a disk promised, and whether it held it after a power cut: a random workload, a
 * journal of what was acknowledged, and the check of every state that dm-log-writes
 * could have left.
 *
 * in:  a seed; word of each request that completed; the log
 * out: requests to submit; sectors that were acknowledged, flushed, and lost
 *
 * Who submits is not known here: a test of the module, or of a guest's driver. No two
 * requests that are in flight touch the same sector, so the versions of a sector have
 * an order. Each written sector says its number and its version.
 *
 * The rule (VIRTIO 1.2, 5.2.6.2): what was acknowledged before a flush was submitted is
 * durable once the flush is acknowledged. So whoever submits sends a mark into the log
 * after that; what precedes the mark in the log is the least that the disk holds then.
 */
#ifndef SELFTEST_POWERCUT_H
#define SELFTEST_POWERCUT_H

#include <pthread.h>

#include "logwrites.h"

enum pc_op {
	PC_WRITE,
	PC_ZERO,
	PC_FLUSH,
	PC_DISCARD,
};

/**
 * struct pc_req - a request to submit
 * @op: what
 * @sector: where
 * @nr: sectors
 * @version: names the request; 0: a flush
 * @covers: of a flush: how many requests had been acknowledged before it
 */
struct pc_req {
	enum pc_op op;
	u64 sector;
	u32 nr;
	u32 version;
	u32 covers;
};

/**
 * struct pc_conf - a workload
 * @sectors: of the disk
 * @unit: sectors that all requests are made of and aligned to
 * @max_units: the longest one
 * @flush_every: one request in so many is a flush, and one a write-zeroes, on average
 * @discards: and one a discard, after which a sector may have anything that it ever had,
 *	and zeroes, until it is written
 */
struct pc_conf {
	u64 sectors;
	u32 unit;
	u32 max_units;
	u32 flush_every;
	bool discards;
};

/* When something was promised. */
struct pc_mark {
	u32 covers;		/* of the acknowledged ones, so many are durable */
	u32 submitted;		/* versions below had been given out when it was in the log */
};

struct pc {
	struct pc_conf conf;
	pthread_mutex_t lock;
	bool *busy;		/* by sector: a request is in flight */
	struct pc_req *req;	/* by version, from 1 */
	u32 nr_req, room_req;
	u32 *acked;		/* versions, as they were acknowledged */
	u32 nr_acked;
	struct pc_mark *mark;
	u32 nr_marks;
	u32 *required;		/* by sector: the version that must have survived */
	u32 required_upto;	/* of @acked */
};

/**
 * struct pc_verdict - what a check found
 * @entries: of the log, each of which was taken for the last before the cut
 * @flushes: among them
 * @marks: promises among them
 * @lost: sectors that were promised and are not there
 * @alien: sectors with what nobody wrote there
 * @torn: sectors with words of more than one write, none of them too old
 */
struct pc_verdict {
	u64 entries, flushes, marks, lost, alien, torn;
};

void pc_init(struct pc *pc, const struct pc_conf *conf);
void pc_free(struct pc *pc);

/* The next request, to be submitted now. Any thread. */
void pc_next(struct pc *pc, u64 *seed, struct pc_req *r);
/* What a PC_WRITE writes. */
void pc_fill(const struct pc_req *r, void *buf);
/**
 * pc_done() - a request was acknowledged
 * @durable: that alone is the promise: the disk has write-through
 *
 * Return: the number of the mark to send into the log, as pc_mark_text() has it; -1: none.
 */
int pc_done(struct pc *pc, const struct pc_req *r, bool durable);
void pc_mark_text(int mark, char text[32]);
/* To be called when the mark is in the log. */
void pc_marked(struct pc *pc, int mark);

/* Checks every prefix of the log of a disk that was all zeroes. */
struct pc_verdict pc_verify_log(struct pc *pc, struct lw_log *l);
/*
 * Checks an image of which nothing is known but that what was promised by @mark is in
 * it, and nothing that was submitted after @next. Marks have to come in rising order.
 */
struct pc_verdict pc_verify_image(struct pc *pc, const u8 *image, u32 mark, u32 next);

#endif
