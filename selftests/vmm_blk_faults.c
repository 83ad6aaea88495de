// SPDX-License-Identifier: GPL-2.0
/*
 * A disk of the user datapath on a backend that fails, or stalls; and one whose queue is reset
 * while its requests are slow, which of the module is in boot/bare.
 */
#define _GNU_SOURCE
#include "lib/dut_vmm.h"

#include "kselftest_harness.h"

#include "both/blk_faults.h"

/* ---- a queue is reset while its requests are slow ---- */

#define SLOW_MS		500
#define MANY		255U

/*
 * Each of them reads a place of its own. The last request is not of the backend: when it is
 * back, those before it have been taken up.
 */
static u64 get_in_flight(struct vdisk *v)
{
	u64 gpa = vdisk_alloc(v, MANY * BATCH_BYTES, 4096), id = vdisk_alloc(v, 20, 1);
	struct drv_seg data = { id, 20, true };
	u8 status;
	u32 i;

	for (i = 0; i < MANY; i++) {
		struct drv_seg place = { gpa + i * BATCH_BYTES, BATCH_BYTES, true };

		vdisk_add(v, 0, i, IN, i * BATCH_SECTORS, &place, 1);
	}
	vdisk_add(v, 0, MANY, VIRTIO_BLK_T_GET_ID, 0, &data, 1);
	vdisk_kick(v, 0);
	CHECK(drv_wait(&v->drv[0], v->dev.ring[0].call_fd, DEADLINE_MS), "nothing is back");
	CHECK(vdisk_poll(v, 0, &status) == MANY, "a read was not slow");
	return gpa;
}

TEST_F(faults, that_are_slow_end_before_a_queue_is_reset)
{
	struct backend top = dm_make1("slow", SECTORS, "delay", "%s 0 %d", self->null.path,
				      SLOW_MS);
	struct gmem_shot shot;
	struct vdisk *v;
	u8 want[SECTOR], status;
	u32 i, back = 0;
	u64 gpa;

	open_disk(self, &top, variant);
	v = &self->d->v;
	batch_begin(&self->b, self->d, 1, NEW);
	for (i = 0; i < BATCH_MAX; i++)
		batch_add(&self->b, IN, (u64)(PLACES / 2 + i) * BATCH_SECTORS);
	batch_kick(&self->b);
	gpa = get_in_flight(v);

	vdisk_stop_queue(v, 0);
	ev_take(v->dev.ring[0].call_fd);
	/* All that was in flight is the driver's again, in full; afterwards nothing is written. */
	shot = gmem_shoot(&v->m.mem, gpa, MANY * BATCH_BYTES);
	for (; vdisk_poll(v, 0, &status) >= 0; back++)
		ASSERT_EQ(OK, status);
	EXPECT_EQ(MANY, back);
	for (i = 0; i < MANY * BATCH_SECTORS; i++) {
		backend_stamp(want, i, OLD);
		ASSERT_EQ(0, memcmp(want, gmem_ptr(&v->m.mem, gpa + i * SECTOR, SECTOR), SECTOR));
	}
	EXPECT_FALSE(ev_wait(v->dev.ring[0].call_fd, SLOW_MS + 3 * QUIET_MS));
	EXPECT_TRUE(gmem_same(&v->m.mem, &shot));
	gmem_shot_free(&shot);
	EXPECT_FALSE(drv_has_used(&v->drv[0]));

	/* And the other queue never heard of it. */
	batch_finish(&self->b);
	EXPECT_EQ(BATCH_MAX, batch_count(&self->b, OK));
}

TEST_HARNESS_MAIN
