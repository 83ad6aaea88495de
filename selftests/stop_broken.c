// SPDX-License-Identifier: GPL-2.0
/*
 * A queue that breaks while the class has requests of it.
 *
 * in:  /dev/vkick-null with a latency; a ring that is not there when they complete
 * out: the queue breaks, its requests end, and whoever waits for that is let go
 */
#include "kselftest_harness.h"

#include <sys/mman.h>

#include "lib/rig.h"

#define LATENCY_NS	50000000

FIXTURE(broken)
{
	struct rig r;
	struct vq *q;
};

FIXTURE_VARIANT(broken)
{
	u64 features;
};

FIXTURE_VARIANT_ADD(broken, flags) { 0 };
FIXTURE_VARIANT_ADD(broken, in_order) { 1ULL << VIRTIO_F_IN_ORDER };

FIXTURE_SETUP(broken)
{
	struct rig_conf conf = { .class = "null", .features = variant->features };
	struct vkick_null_latency l = { .size = sizeof(l), .latency_ns = LATENCY_NS };

	rig_open(&self->r, &conf);
	self->q = &self->r.q[0];
	ASSERT_EQ(0, __vdev_ioctl(self->r.fd, VKICK_NULL_SET_LATENCY, &l));
	rig_start(&self->r);
}

FIXTURE_TEARDOWN(broken)
{
	rig_close(&self->r);
}

static void protect_ring(struct vq *q, int prot)
{
	unsigned long used = (unsigned long)q->drv.used & ~(GMEM_PAGE - 1);

	CHECK(!mprotect((void *)used, GMEM_PAGE, prot), "mprotect");
}

/* The completion's own pass cannot even tell the driver to be quiet. */
TEST_F_TIMEOUT(broken, by_the_pass_of_a_completion_and_stops, 20)
{
	struct drv_seg seg = { GMEM_HIGH, 64, true };
	struct deadline end = deadline_in(DEADLINE_MS);

	rig_submit(self->q, &seg, 1);
	while (!vdev_get_stats(self->r.fd, 0).in_flight) {
		ASSERT_FALSE(deadline_passed(&end));
	}
	protect_ring(self->q, PROT_NONE);
	EXPECT_EQ(EFAULT, rig_wait_broken(&self->r, self->q));
	protect_ring(self->q, PROT_READ | PROT_WRITE);

	vdev_stop(self->r.fd, 0);
	EXPECT_EQ(0, vdev_get_stats(self->r.fd, 0).in_flight);
	rig_ping(&self->r.q[1]);
}

TEST_HARNESS_MAIN
