/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The device's side in userspace: ring/ over the tests' guest memory, and
 * a thread that serves it the way the module's worker does.
 *
 * in:  a driver's rings, eventfds
 * out: requests completed, counters
 */
#ifndef SELFTEST_UDEV_H
#define SELFTEST_UDEV_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "../../ring/vring.h"
#include "drv.h"

#define UDEV_MAX_SEGS	256
/* Work in one pass, before the queue is put off: as much as the module does. */
#define UDEV_BUDGET	256
#define UDEV_BUDGET_BYTES	(512 * 1024)

/**
 * struct udev - a device with one queue
 * @kick: eventfd, blocking if @sleep
 * @call: eventfd; or -1
 * @sleep: wait for kicks by blocking read(); else look at the ring all the time
 * @poll_ns: for how long an empty ring is watched before a kick is asked for
 * @serve: does one request; returns the number of bytes written
 */
struct udev {
	struct vring_dev vr;
	struct gmem *mem;
	int kick, call;
	bool sleep;
	u64 poll_ns;
	u32 (*serve)(struct udev *u, const struct vring_chain *c);

	/* The chain at hand, in our memory: readable pieces, then writable ones. */
	struct iovec iov[UDEV_MAX_SEGS];
	u32 nr_iov, first_in;

	pthread_t thread;
	atomic_bool stop;
	int error;		/* -errno that ended the thread */
	u64 kicks, passes, requests, calls, calls_suppressed, rechecks;
	u64 budget_exhausted;
};

/* Name of the thread, as in /proc. */
#define UDEV_THREAD	"vkick-user"

/* Lays @u->vr over the rings of @d, starting at the driver's index. */
void udev_init(struct udev *u, struct drv *d, u64 features);

u32 udev_serve_null(struct udev *u, const struct vring_chain *c);
u32 udev_serve_rng(struct udev *u, const struct vring_chain *c);

void udev_start(struct udev *u);
/* Ends the thread; the counters and the ring state are then the caller's. */
void udev_stop(struct udev *u);

#endif
