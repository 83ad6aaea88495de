// SPDX-License-Identifier: GPL-2.0
/*
 * A driver and a device on two threads, through the ring engine, natively: a
 * million requests, none lost, doubled or left asleep.
 *
 * in:  ring/ over guest memory of this process, two eventfds
 * out: the driver got each request back once, in time, with the right length
 */
#include "kselftest_harness.h"

#include <poll.h>
#include <sys/eventfd.h>

#include "lib/udev.h"

#define REQUESTS	1000000ULL

FIXTURE(threads)
{
	struct gmem mem;
	struct drv drv;
	struct udev dev;
	int kick, call;
};

FIXTURE_VARIANT(threads)
{
	u64 features;
	enum drv_layout layout;
	u32 num;
	bool sleep;	/* both sides sleep on eventfds; else both spin */
};

FIXTURE_VARIANT_ADD(threads, flags_sleeping) {
	0, DRV_DIRECT, 64, true };
FIXTURE_VARIANT_ADD(threads, flags_spinning) {
	0, DRV_DIRECT, 64, false };
FIXTURE_VARIANT_ADD(threads, event_idx_sleeping) {
	F_EVENT_IDX, DRV_DIRECT, 64, true };
FIXTURE_VARIANT_ADD(threads, event_idx_spinning) {
	F_EVENT_IDX, DRV_DIRECT, 64, false };
FIXTURE_VARIANT_ADD(threads, event_idx_sleeping_indirect) {
	F_EVENT_IDX | F_INDIRECT, DRV_INDIRECT, 256, true };
/* Each request is waited for: as many chances as can be to lose a wake-up. */
FIXTURE_VARIANT_ADD(threads, flags_sleeping_one_descriptor) {
	0, DRV_DIRECT, 1, true };
FIXTURE_VARIANT_ADD(threads, event_idx_sleeping_one_descriptor) {
	F_EVENT_IDX, DRV_DIRECT, 1, true };

FIXTURE_VARIANT_ADD(threads, packed_sleeping) {
	F_PACKED, DRV_DIRECT, 64, true };
FIXTURE_VARIANT_ADD(threads, packed_event_idx_sleeping) {
	F_PACKED | F_EVENT_IDX, DRV_DIRECT, 255, true };
FIXTURE_VARIANT_ADD(threads, packed_event_idx_spinning) {
	F_PACKED | F_EVENT_IDX, DRV_DIRECT, 5, false };
FIXTURE_VARIANT_ADD(threads, packed_event_idx_sleeping_one_descriptor) {
	F_PACKED | F_EVENT_IDX | F_INDIRECT, DRV_INDIRECT, 1, true };
FIXTURE_VARIANT_ADD(threads, in_order_event_idx_sleeping) {
	F_IN_ORDER | F_EVENT_IDX, DRV_DIRECT, 64, true };
FIXTURE_VARIANT_ADD(threads, packed_in_order_event_idx_sleeping) {
	F_PACKED | F_IN_ORDER | F_EVENT_IDX, DRV_DIRECT, 64, true };

/* Tells the driver which request came back: writes as much as was asked. */
static u32 echo_length(struct udev *u, const struct vring_chain *c)
{
	(void)u;
	return c->in_bytes;
}

FIXTURE_SETUP(threads)
{
	gmem_add_standard(&self->mem);
	drv_init(&self->drv, &self->mem, variant->num, variant->features,
		 variant->layout, 1);
	udev_init(&self->dev, &self->drv, variant->features);
	/* The device sleeps in read(). */
	self->kick = eventfd(0, EFD_CLOEXEC);
	ASSERT_LE(0, self->kick);
	self->call = ev_new();
	self->dev.kick = self->kick;
	self->dev.call = self->call;
	self->dev.sleep = variant->sleep;
	self->dev.serve = echo_length;
}

FIXTURE_TEARDOWN(threads)
{
	drv_free(&self->drv);
	gmem_free(&self->mem);
}

TEST_F_TIMEOUT(threads, million_requests_round_trip, 240)
{
	struct drv *d = &self->drv;
	u64 requests = variant->num == 1 ? REQUESTS / 10 : REQUESTS;
	u64 sum_added = 0, sum_got = 0, seed = 1, kicks = 0;
	u32 len;

	udev_start(&self->dev);
	while (d->got < requests) {
		/* Batches of all lengths, so that each side catches the other up. */
		u32 batch = 1 + prng(&seed) % d->num;

		while (batch-- && d->added < requests) {
			len = 1 + prng(&seed) % 4096;
			if (drv_add1(d, GMEM_HIGH, len, true) < 0)
				break;
			sum_added += len;
		}
		kicks += drv_kick(d, self->kick);
		ASSERT_TRUE(drv_wait(d, variant->sleep ? self->call : -1,
				     DEADLINE_MS))
			TH_LOG("%s after %llu requests",
			       drv_has_used(d) ? "lost call" : "lost kick",
			       (unsigned long long)d->got);
		while (drv_get(d, &len) >= 0)
			sum_got += len;
	}
	ASSERT_EQ(-EAGAIN, drv_get(d, NULL));
	udev_stop(&self->dev);

	EXPECT_EQ(0, self->dev.error);
	EXPECT_EQ(requests, self->dev.requests);
	EXPECT_EQ(sum_added, sum_got);
	EXPECT_EQ(drv_base_after(d, requests), vring_save(&self->dev.vr));
	/* Each wrote all that it might, so IN_ORDER has fewer elements than that. */
	if (d->in_order) {
		EXPECT_LT(d->used_elems, requests);
	} else {
		EXPECT_EQ(requests, d->used_elems);
		EXPECT_EQ(drv_base_after(d, requests), drv_device_base(d));
	}
	EXPECT_TRUE(gmem_canaries_ok(&self->mem));
	TH_LOG("%llu requests, %llu kicks, %llu calls, %llu rechecks",
	       (unsigned long long)requests, (unsigned long long)kicks,
	       (unsigned long long)self->dev.calls,
	       (unsigned long long)self->dev.rechecks);
}

TEST_HARNESS_MAIN
