/* SPDX-License-Identifier: GPL-2.0 */
/*
 * When a call that the driver wants is made, while its queue is watched anyway.
 *
 * in:  calls that the driver wants; requests that come in; the caller's clock
 * out: whether to make the call now, or to owe it, one for many
 *
 * A device that is done before the driver has its next request in the ring calls for
 * each of them, and each call takes the guest out of what it was at. So a call is owed
 * rather than made: what is used is shown, and the driver interrupted
 *
 *   - when enough requests were used since the last call;
 *   - when as many were used as are still in flight: the other half keeps the backend busy
 *     while the driver makes new ones;
 *   - VRING_COALESCE_NS later, or as long as the queue may be watched, if that is less;
 *   - when nothing came for as long as the window, or half of that time: by then the driver
 *     waits, most likely;
 *   - with the end of the watch, whatever ends it: a stop, an error, a move.
 *
 * What is enough is learned. It begins with VRING_COALESCE_REQUESTS, or half a ring. A
 * call that is owed when nothing comes any more was held from a driver that waited for
 * it: what it had used by then is all that this driver has at a time, and is enough from
 * now on. So who has four at a time is called with the fourth, and who has one is called
 * for each, and neither waits. Now and then it is tried whether twice as many come as
 * well: after the next call at first, after three if that was in vain, and so on up to
 * VRING_COALESCE_MAX_SKIP. If they do, that is enough, and twice as many are tried next.
 *
 * As the engine, this has no lock and one source for the module and the VMM: who serves
 * the queue calls it.
 */
#ifndef VRING_COALESCE_H
#define VRING_COALESCE_H

#include "vring.h"

#define VRING_COALESCE_REQUESTS	32U
#define VRING_COALESCE_NS	1000000U
#define VRING_COALESCE_MAX_SKIP	255U

/**
 * enum vring_coalesce_why - why a call is made
 * @VRING_COALESCE_NOT_YET: it is not
 * @VRING_COALESCE_FULL: enough requests were used
 * @VRING_COALESCE_IN_VAIN: nothing came any more
 * @VRING_COALESCE_ANYWAY: neither, and it says nothing of how many the driver has at a time
 */
enum vring_coalesce_why {
	VRING_COALESCE_NOT_YET,
	VRING_COALESCE_FULL,
	VRING_COALESCE_IN_VAIN,
	VRING_COALESCE_ANYWAY,
};

/**
 * struct vring_coalesce - of one queue
 * @owed: a call is yet to be made
 * @tries: @enough is more than the driver is known to have at a time
 * @enough: requests for a call; 0: no fewer than there may be at most
 * @skip: calls with what is known to come, after one that was held in vain
 * @left: how many of these are to come
 * @since_ns: of when it is owed, by any clock that does not go back
 * @called: requests that were done by the last call, or by when none was wanted
 */
struct vring_coalesce {
	bool owed;
	bool tries;
	u32 enough;
	u32 skip;
	u32 left;
	u64 since_ns;
	u64 called;
};

/* A fresh start. @used: requests that were done so far */
static inline void vring_coalesce_start(struct vring_coalesce *c, u64 used)
{
	*c = (struct vring_coalesce) { .called = used };
}

/* The driver wants no call: it looks by itself, unless this is since it was to have one. */
static inline void vring_coalesce_not_wanted(struct vring_coalesce *c, u64 used)
{
	if (!c->owed)
		c->called = used;
}

/* Whether enough requests were used for a call. @num: of the ring */
static inline bool vring_coalesce_is_full(const struct vring_coalesce *c, u64 used, u32 num)
{
	u32 enough = num / 2 < VRING_COALESCE_REQUESTS ? num / 2 : VRING_COALESCE_REQUESTS;

	if (c->enough && c->enough < enough)
		enough = c->enough;
	return used - c->called >= enough;
}

/*
 * Whether half of what the driver has in the queue was used. @in_flight: the other half,
 * without what the backend has not been given yet
 */
static inline bool vring_coalesce_is_half(const struct vring_coalesce *c, u64 used, u32 in_flight)
{
	return in_flight && used - c->called >= in_flight;
}

/* Whether a call that the driver wants, or is owed, is made for what was used. */
static inline enum vring_coalesce_why vring_coalesce_due(const struct vring_coalesce *c, u64 used,
							 u32 num, u32 in_flight)
{
	if (vring_coalesce_is_full(c, used, num))
		return VRING_COALESCE_FULL;
	if (vring_coalesce_is_half(c, used, in_flight))
		return VRING_COALESCE_ANYWAY;
	return VRING_COALESCE_NOT_YET;
}

/* The driver wants a call, of a queue that is watched, and it is not made yet. */
static inline void vring_coalesce_begin(struct vring_coalesce *c, u64 now_ns)
{
	c->owed = true;
	c->since_ns = now_ns;
}

/* As many came as were waited for: are there more? */
static inline void vring_coalesce_learn_full(struct vring_coalesce *c)
{
	if (!c->enough)
		return;
	if (c->tries)
		c->skip = 0;
	c->tries = false;
	if (c->left && --c->left)
		return;
	c->tries = true;
	c->enough *= 2;
	if (c->enough >= VRING_COALESCE_REQUESTS)
		c->enough = 0;
}

/* No more than @n came. */
static inline void vring_coalesce_learn_in_vain(struct vring_coalesce *c, u64 n)
{
	c->enough = n < VRING_COALESCE_REQUESTS ? n : VRING_COALESCE_REQUESTS;
	c->tries = false;
	c->skip = 2 * c->skip + 1;
	if (c->skip > VRING_COALESCE_MAX_SKIP)
		c->skip = VRING_COALESCE_MAX_SKIP;
	c->left = c->skip;
}

/*
 * A call is made, or would be if one is owed. @used: requests that are done.
 * Return: whether one was owed
 */
static inline bool vring_coalesce_end(struct vring_coalesce *c, u64 used,
				      enum vring_coalesce_why why)
{
	bool owed = c->owed;

	if (why == VRING_COALESCE_FULL)
		vring_coalesce_learn_full(c);
	else if (why == VRING_COALESCE_IN_VAIN && owed)
		vring_coalesce_learn_in_vain(c, used - c->called);
	c->owed = false;
	c->called = used;
	return owed;
}

/* Whether a call has been owed for too long. @watch_ns: as long as the queue may be watched */
static inline bool vring_coalesce_is_late(const struct vring_coalesce *c, u64 now_ns, u64 watch_ns)
{
	u64 max_ns = watch_ns < VRING_COALESCE_NS ? watch_ns : VRING_COALESCE_NS;

	return c->owed && now_ns - c->since_ns >= max_ns;
}

/*
 * Whether a call is owed to a driver that waits for it. @idle_since_ns: of when the queue
 * ran empty; @window_ns: how long it is watched from then on
 */
static inline bool vring_coalesce_is_in_vain(const struct vring_coalesce *c, u64 now_ns,
					     u64 idle_since_ns, u64 window_ns)
{
	u64 quiet_since_ns = c->since_ns > idle_since_ns ? c->since_ns : idle_since_ns;
	u64 max_ns = window_ns < VRING_COALESCE_NS / 2 ? window_ns : VRING_COALESCE_NS / 2;

	return c->owed && now_ns - quiet_since_ns >= max_ns;
}

/* Whether a call that is owed is made as nothing came so far; times as for these two. */
static inline enum vring_coalesce_why vring_coalesce_due_idle(const struct vring_coalesce *c,
							      u64 now_ns, u64 idle_since_ns,
							      u64 window_ns, u64 watch_ns)
{
	if (vring_coalesce_is_in_vain(c, now_ns, idle_since_ns, window_ns))
		return VRING_COALESCE_IN_VAIN;
	if (vring_coalesce_is_late(c, now_ns, watch_ns))
		return VRING_COALESCE_ANYWAY;
	return VRING_COALESCE_NOT_YET;
}

#endif
