/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A device with guest memory, a driver and eventfds on each of its queues: what a
 * VMM and its guest are to /dev/vkick-*, without either.
 *
 * in:  a class, features, a queue size
 * out: everything set up, not started
 */
#ifndef SELFTEST_RIG_H
#define SELFTEST_RIG_H

#include "vdev.h"

#define RIG_MAX_QUEUES	8

struct vq {
	struct drv drv;
	u32 index;
	int kick, call, err;	/* non-blocking eventfds, installed */
};

struct rig {
	struct gmem mem;
	int fd;
	u32 nvqs;
	u64 features;
	struct vq q[RIG_MAX_QUEUES];
};

/**
 * struct rig_conf - what rig_open() makes
 * @class: "null", "rng"
 * @features: F_INDIRECT, F_EVENT_IDX, F_PACKED, F_IN_ORDER; F_VERSION_1 is added
 * @layout: of the drivers' chains
 * @num: size of each queue; 0: 64
 * @max_segs: longest chain; 0: 8
 * @start_at: requests after which driver and device begin, see drv_start_at()
 */
struct rig_conf {
	const char *class;
	u64 features;
	enum drv_layout layout;
	u32 num;
	u32 max_segs;
	u32 start_at;
};

void rig_open(struct rig *r, const struct rig_conf *conf);
/* The parts of rig_open(): memory and drivers; the device, for the caller to own. */
void rig_lay_out(struct rig *r, const struct rig_conf *conf);
void rig_attach(struct rig *r, const char *class);
/* The same for a device that is open as r->fd and has no owner. */
void rig_attach_fd(struct rig *r);
/* All that rig_attach_fd() does but for the eventfds. */
void rig_configure(struct rig *r);

void rig_start(struct rig *r);
void rig_stop(struct rig *r);
void rig_close(struct rig *r);

/**
 * rig_submit() - add a request, publish, kick if wanted
 *
 * Return: head.
 */
int rig_submit(struct vq *q, const struct drv_seg *segs, u32 nr);

/**
 * rig_complete() - sleep on the call eventfd until a request is used, and take it
 * @q: queue
 * @len: where the used length goes; or NULL
 *
 * Return: head. Aborts the test at the deadline.
 */
int rig_complete(struct vq *q, u32 *len);

/* The two together, for one request alone in flight. Return: used length. */
u32 rig_round_trip(struct vq *q, const struct drv_seg *segs, u32 nr);
/* A round trip of one small writable buffer. */
void rig_ping(struct vq *q);

/* Waits for the err eventfd, and returns why the queue broke (stats.error). */
u32 rig_wait_broken(struct rig *r, struct vq *q);

/*
 * Makes a hog of a split queue that has not run: its avail ring and its used ring are the
 * same memory, so that avail.idx is used.idx. Once that is @ahead of BASE it stays so:
 * each used element makes the next one available, with nobody's help, and its 0s are
 * head 0.
 */
void rig_make_self_refilling(struct rig *r, u32 index, u32 ahead);

#endif
