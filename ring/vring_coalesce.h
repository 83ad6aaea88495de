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
 *   - when VRING_COALESCE_REQUESTS were used, or half a ring;
 *   - VRING_COALESCE_NS later, or as long as the queue may be watched, if that is less;
 *   - when nothing came for half the window: by then the driver waits, most likely;
 *   - with the end of the watch, whatever ends it: a stop, an error, a move.
 *
 * It adapts. A call that was held while no request came in was held from a driver that
 * waited for it, as one does that has a request at a time. The next call is then made
 * at once, and if the one after it was held for nothing as well the next three are, and
 * so on up to VRING_COALESCE_MAX_SKIP. One that paid takes that back.
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
 * struct vring_coalesce - of one queue; all zero is a fresh start
 * @owed: a call is yet to be made
 * @paid: a request came since
 * @skip: calls that are not held after one that was held in vain
 * @left: how many of these are to come
 * @since_ns: of when it is owed, by any clock that does not go back
 * @used: requests that were done by then
 */
struct vring_coalesce {
	bool owed;
	bool paid;
	u32 skip;
	u32 left;
	u64 since_ns;
	u64 used;
};

/*
 * The driver wants a call, of a queue that is watched. Return: whether it is held: then
 * vring_coalesce_begin() is to follow, unless one is owed.
 */
static inline bool vring_coalesce_holds(struct vring_coalesce *c)
{
	if (c->owed || !c->left)
		return true;
	c->left--;
	return false;
}

static inline void vring_coalesce_begin(struct vring_coalesce *c, u64 now_ns, u64 used)
{
	c->owed = true;
	c->paid = false;
	c->since_ns = now_ns;
	c->used = used;
}

/* Nothing is owed any more: what did holding it bring? Return: whether a call was owed. */
static inline bool vring_coalesce_end(struct vring_coalesce *c)
{
	u32 skip = 2 * c->skip + 1;

	if (!c->owed)
		return false;
	if (skip > VRING_COALESCE_MAX_SKIP)
		skip = VRING_COALESCE_MAX_SKIP;
	c->skip = c->paid ? 0 : skip;
	c->left = c->skip;
	c->owed = false;
	return true;
}

/* Whether a call has been owed for too long. @watch_ns: as long as the queue may be watched */
static inline bool vring_coalesce_is_late(const struct vring_coalesce *c, u64 now_ns, u64 watch_ns)
{
	u64 max_ns = watch_ns < VRING_COALESCE_NS ? watch_ns : VRING_COALESCE_NS;

	return c->owed && now_ns - c->since_ns >= max_ns;
}

/* Whether a call has been owed for enough requests. @num: of the ring */
static inline bool vring_coalesce_is_full(const struct vring_coalesce *c, u64 used, u32 num)
{
	u32 enough = num / 2 < VRING_COALESCE_REQUESTS ? num / 2 : VRING_COALESCE_REQUESTS;

	return c->owed && used - c->used >= enough;
}

/*
 * Whether a call is owed to a driver that waits for it. @idle_since_ns: of when the queue
 * ran empty; @window_ns: how long it is watched from then on
 */
static inline bool vring_coalesce_is_in_vain(const struct vring_coalesce *c, u64 now_ns,
					     u64 idle_since_ns, u64 window_ns)
{
	u64 quiet_since_ns = c->since_ns > idle_since_ns ? c->since_ns : idle_since_ns;

	return c->owed && now_ns - quiet_since_ns >= window_ns / 2;
}

#endif
