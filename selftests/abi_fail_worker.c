// SPDX-License-Identifier: GPL-2.0
/*
 * Every copy and allocation that the worker makes for a request fails once, in turn.
 *
 * in:  /dev/vkick-null, -rng; a kernel with fault injection and workers that are
 *      threads of their owner (lab/run --debug), else all is skipped
 * out: the request is served all the same, or the queue breaks with EFAULT, its
 *      sibling goes on, and a new start serves the request
 */
#include "kselftest_harness.h"

#include "lib/fault.h"
#include "lib/rig.h"

/* More places than any request passes: else the sweep found no end. */
#define MAX_NTH	400

static int worker_fd;

/*
 * One request with the @nth fault in the worker. It is served all the same, or the
 * queue breaks with EFAULT and serves it when it is started again. Returns whether
 * there was a fault; *broke: whether it broke the queue.
 */
static bool serve_with_fault(struct rig *r, unsigned int nth, bool *broke)
{
	struct drv_seg segs[] = {
		{ GMEM_HIGH, 100, false },
		{ GMEM_BORDER - 50, 100, true },
		{ GMEM_FAR, 5000, true },
	};
	struct vq *q = &r->q[0];
	struct deadline end = deadline_in(DEADLINE_MS);
	bool injected;

	fault_arm(worker_fd, nth);
	rig_submit(q, segs, 3);
	*broke = false;
	while (!drv_has_used(&q->drv) && !*broke) {
		CHECK(!deadline_passed(&end), "neither served nor broken at %u", nth);
		*broke = ev_take(q->err);
	}
	/* Until it sleeps again: a stop waits for the end of its pass. */
	vdev_stop(r->fd, 0);
	injected = fault_disarm(worker_fd);
	CHECK(!*broke || injected, "broke without a fault");
	if (*broke) {
		CHECK(vdev_get_stats(r->fd, 0).error == EFAULT, "broke with %u at %u",
		      vdev_get_stats(r->fd, 0).error, nth);
	}
	vdev_start(r->fd, 0);
	rig_complete(q, NULL);
	rig_ping(q);
	return injected;
}

FIXTURE(worker)
{
	struct rig r;
};

FIXTURE_VARIANT(worker)
{
	const char *class;
	u64 features;
	enum drv_layout layout;
};

FIXTURE_VARIANT_ADD(worker, null_indirect) { "null", F_INDIRECT, DRV_INDIRECT };
FIXTURE_VARIANT_ADD(worker, rng) { "rng", F_EVENT_IDX, DRV_DIRECT };
FIXTURE_VARIANT_ADD(worker, rng_indirect) { "rng", F_INDIRECT, DRV_MIXED };

FIXTURE_SETUP(worker)
{
	struct rig_conf conf = {
		.class = variant->class,
		.features = variant->features,
		.layout = variant->layout,
	};
	char prefix[32];

	rig_open(&self->r, &conf);
	rig_start(&self->r);
	snprintf(prefix, sizeof(prefix), "vkick-%s", variant->class);
	worker_fd = fault_open(proc_thread(prefix));
	if (worker_fd < 0) {
		rig_close(&self->r);
		SKIP(return, "needs a kernel with fault injection");
	}
}

FIXTURE_TEARDOWN(worker)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
	rig_close(&self->r);
	close(worker_fd);
}

TEST_F(worker, fault_breaks_the_queue_with_efault_and_no_more)
{
	unsigned int nth = 1, broken = 0;
	bool broke;

	rig_ping(&self->r.q[0]);
	for (; serve_with_fault(&self->r, nth, &broke); nth++) {
		ASSERT_GT(MAX_NTH, nth);
		broken += broke;
		/* A sibling queue, if there is one, did not notice. */
		if (self->r.nvqs > 1)
			rig_ping(&self->r.q[1]);
	}
	TH_LOG("%u places to fail, of which %u break the queue", nth - 1, broken);
	/* The rng class copies into the buffers. */
	if (!strcmp(variant->class, "rng"))
		EXPECT_LT(0, broken);
}

TEST_HARNESS_MAIN
