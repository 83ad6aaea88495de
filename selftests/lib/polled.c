// SPDX-License-Identifier: GPL-2.0
#include <sched.h>
#include <unistd.h>

#include "polled.h"

#define LONG_US		10000000U

void polled_keep_apart(void)
{
	proc_keep_apart(proc_thread("vkick-null-"));
}

bool polled_request(struct vq *q)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	bool kicked;

	CHECK(drv_add1(&q->drv, GMEM_FAR, 16, true) >= 0, "full");
	kicked = drv_kick(&q->drv, q->kick);
	while (drv_get(&q->drv, NULL) < 0) {
		CHECK(!deadline_passed(&end), "no used element: a kick was lost");
		sched_yield();
	}
	return kicked;
}

void polled_make(struct rig *r, struct vq *q, u32 us)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	struct vkick_stats s;

	vdev_set_poll(r->fd, q->index, us);
	drv_disable_call(&q->drv);
	do {
		CHECK(!deadline_passed(&end), "it does not poll");
		polled_request(q);
		s = vdev_get_stats(r->fd, q->index);
	} while (s.poll_hits < 8 || s.poll_window_ns < 1000);
	/* With EVENT_IDX a ring's first decision is for a call, which may be owed until now. */
	vdev_set_call(r->fd, q->index, q->call);
	ev_take(q->call);
}

void polled_for_long(struct rig *r, struct vq *q)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	pid_t tid = proc_thread("vkick-null-");
	struct vkick_stats s = { 0 };
	int never = ev_new();

	polled_keep_apart();
	/* It gives up whenever somebody else wants its CPU, and then begins anew with short ones. */
	do {
		CHECK(!deadline_passed(&end), "it does not poll for long: the window is %llu ns",
		      (unsigned long long)s.poll_window_ns);
		if (!s.poll_window_ns)
			polled_make(r, q, LONG_US);
		ev_wait(never, POLLED_GAP_MS);
		polled_request(q);
		s = vdev_get_stats(r->fd, q->index);
	} while (s.poll_window_ns < POLLED_GAP_MS * 1500000ULL || proc_state(tid) != 'R');
	close(never);
}
