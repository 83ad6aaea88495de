// SPDX-License-Identifier: GPL-2.0
/*
 * Flushes, one at a time for all of a disk.
 *
 * in:  requests whose next step is BLK_SYNC, of any thread
 * out: one of them, that leads: its thread submits it; and its result, for all that waited for it
 *
 * The host tells an open file but once of writes that it lost. Of two flushes under way at
 * a time one would be told, and the other promise what is lost. So one is under way, and
 * those that come meanwhile share the next, which begins when all of them have come. If the
 * first one fails, they fail too, as they may rely on what was lost; but not before their own
 * is over, which is told of what they themselves lost: or whoever comes after them would be.
 */
#include <errno.h>

#include "blk_uring.h"

void blk_sync_init(struct blk_uring *u)
{
	pthread_mutex_init(&u->sync.lock, NULL);
	u->sync.next.end = &u->sync.next.first;
	u->sync.round.end = &u->sync.round.first;
}

bool blk_sync_leads(struct blk_thread *t, struct blk_req *r)
{
	struct blk_sync *s = &t->u->sync;

	/* It was made so, or is tried again. */
	if (r->leads)
		return true;
	r->thread = t;
	r->lost = false;
	pthread_mutex_lock(&s->lock);
	r->leads = !s->busy;
	s->busy = true;
	if (!r->leads)
		blk_append(&s->next, r);
	pthread_mutex_unlock(&s->lock);
	return r->leads;
}

/* All that came meanwhile: one leads, the others are its round. Return: it, or NULL. */
static struct blk_req *begin_round(struct blk_sync *s)
{
	struct blk_req *leader = blk_take(&s->next), *r;

	s->busy = leader;
	if (leader)
		leader->leads = true;
	while ((r = blk_take(&s->next)))
		blk_append(&s->round, r);
	return leader;
}

int blk_sync_result(const struct blk_req *r, int res)
{
	return r->lost && res >= 0 ? -EIO : res;
}

void blk_sync_end(struct blk_thread *t, struct blk_req *leader, int res)
{
	struct blk_sync *s = &t->u->sync;
	struct blk_list over = { .end = &over.first };
	struct blk_req *r;

	leader->leads = false;
	pthread_mutex_lock(&s->lock);
	while ((r = blk_take(&s->round)))
		blk_append(&over, r);
	for (r = s->next.first; res < 0 && r; r = r->next)
		r->lost = true;
	leader = begin_round(s);
	pthread_mutex_unlock(&s->lock);
	if (leader)
		blk_back_give(leader);
	while ((r = blk_take(&over))) {
		/* What was tried again was so by the leader. */
		r->back_result = res < 0 ? -EIO : blk_sync_result(r, 0);
		blk_back_give(r);
	}
}
