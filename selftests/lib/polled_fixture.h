/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Queues of /dev/vkick-null to be polled, with each kind of ring.
 *
 * in:  a name for a fixture
 * out: POLLED_FIXTURE(name): self->r runs, self->q is its first queue; its worker and this
 *      process have CPUs of their own
 */
#ifndef SELFTEST_POLLED_FIXTURE_H
#define SELFTEST_POLLED_FIXTURE_H

#include "polled.h"

#define POLLED_FIXTURE(_name)							\
	FIXTURE(_name) { struct rig r; struct vq *q; };				\
	FIXTURE_VARIANT(_name) { u64 features; };				\
	FIXTURE_SETUP(_name)							\
	{									\
		struct rig_conf conf = { .class = "null", .features = variant->features }; \
										\
		rig_open(&self->r, &conf);					\
		self->q = &self->r.q[0];					\
		polled_keep_apart();						\
		rig_start(&self->r);						\
	}									\
	FIXTURE_TEARDOWN(_name)							\
	{									\
		vdev_watch_wakeups(true);					\
		rig_close(&self->r);						\
	}									\
	FIXTURE_VARIANT_ADD(_name, flags) { 0 };				\
	FIXTURE_VARIANT_ADD(_name, event_idx) { F_EVENT_IDX };			\
	FIXTURE_VARIANT_ADD(_name, packed) { F_PACKED };			\
	FIXTURE_VARIANT_ADD(_name, packed_event_idx) { F_PACKED | F_EVENT_IDX }

#endif
