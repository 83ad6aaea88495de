// SPDX-License-Identifier: GPL-2.0
/*
 * Rings whose parts lie over each other, so that what the device writes is what it
 * reads next: a driver that is always just in time, without a second CPU.
 *
 * in:  /dev/vkick-null; a split ring whose avail ring is laid over its used ring
 * out: what comes in between is seen each time, and no pass goes on for ever
 *
 * A guest may do this, since its driver says where each part lies.
 */
#include "kselftest_harness.h"

#include <endian.h>

#include "lib/rig.h"

#define NUM	64

FIXTURE(alias)
{
	struct rig r;
	u8 *area;
};

FIXTURE_SETUP(alias)
{
	struct rig_conf conf = { .class = "null", .num = NUM, .max_segs = 1 };
	struct rig *r = &self->r;

	rig_open(r, &conf);
	self->area = gmem_ptr(&r->mem, gmem_alloc(&r->mem, GMEM_PAGE, GMEM_PAGE),
			      GMEM_PAGE);
	/* Entries of both rings read as this chain: their heads are 0, or small. */
	for (u32 i = 0; i < NUM; i++)
		drv_set_desc(&r->q[0].drv.desc[i], GMEM_HIGH, 16, VRING_DESC_F_WRITE, 0);
}

FIXTURE_TEARDOWN(alias)
{
	EXPECT_TRUE(gmem_canaries_ok(&self->r.mem));
	rig_close(&self->r);
}

static u64 requests(struct rig *r)
{
	return vdev_get_stats(r->fd, 0).requests;
}

static void lay(FIXTURE_DATA(alias) *self, void *avail, void *used)
{
	struct rig *r = &self->r;

	CHECK(!__vdev_set_addr(r->fd, 0, r->q[0].drv.desc, avail, used),
	      "SET_VRING_ADDR");
}

/*
 * avail.idx is used.idx: each batch that is published makes one as large available,
 * after the pass has looked at the ring and before it looks again.
 */
TEST_F(alias, what_comes_in_while_notifications_are_off_is_served)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	struct vring_used *used = (void *)self->area;
	struct rig *r = &self->r;

	used->idx = htole16(1);
	lay(self, used, used);
	rig_start(r);
	/* Far more than one pass serves, with no kick at all. */
	while (requests(r) < 2000)
		ASSERT_FALSE(deadline_passed(&end)) {
			TH_LOG("stands still at %llu", requests(r));
		}
	rig_ping(&r->q[1]);
	vdev_stop(r->fd, 0);
	EXPECT_EQ(0, vdev_get_stats(r->fd, 0).error);
}

/*
 * avail.idx is used.flags: 1 while notifications are off, 0 while they are on. After
 * the one request there is always something new, and never anything to serve.
 */
TEST_F(alias, what_comes_and_goes_keeps_no_pass_for_ever)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	u8 *used = self->area + 64;
	struct rig *r = &self->r;

	lay(self, used - 2, used);
	rig_start(r);
	while (!vdev_get_stats(r->fd, 0).passes)
		ASSERT_FALSE(deadline_passed(&end));
	rig_ping(&r->q[1]);
	rig_ping(&r->q[1]);
	vdev_stop(r->fd, 0);
	EXPECT_EQ(1, requests(r));
}

TEST_HARNESS_MAIN
