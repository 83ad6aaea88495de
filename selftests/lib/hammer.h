/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest under load: a thread that keeps a queue's requests in flight, for tests
 * that do something to the device meanwhile.
 *
 * in:  a queue of a rig
 * out: progress; nothing is lost, doubled or left asleep, or the test aborts
 *
 * The thread sleeps on call eventfds without a time limit, so a lost call or kick
 * stops its progress for good: hammer_wait() then finds that out.
 */
#ifndef SELFTEST_HAMMER_H
#define SELFTEST_HAMMER_H

#include <pthread.h>
#include <stdatomic.h>

#include "rig.h"

/* Data goes to GMEM_HIGH alone, where the driver itself never writes. */
#define HAMMER_BUF	GMEM_HIGH

/**
 * struct hammer - the thread and what it found
 * @calls: eventfds to sleep on; the queue's own becomes the first, and the caller
 *	may set a second before hammer_start()
 * @depth: requests to keep in flight
 * @len: bytes of each
 * @got: requests that came back
 * @calls_taken: sum of what was read from @calls; stable once stopped
 */
struct hammer {
	struct vq *q;
	int calls[2];
	u32 depth;
	u32 len;

	atomic_ullong got;
	atomic_ullong wanted;	/* signal @progress when @got is there */
	int progress;
	u64 calls_taken;
	pthread_t thread;
	int quit;		/* eventfd */
};

void hammer_start(struct hammer *h, struct vq *q, u32 depth, u32 len);
/* Waits until @n more requests came back than at the call. */
void hammer_wait(struct hammer *h, u64 n);
/* Ends the thread; requests may be in flight still. */
void hammer_stop(struct hammer *h);
/* Takes back all that is in flight, with the device running. */
void hammer_drain(struct hammer *h);

#endif
