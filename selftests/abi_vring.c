// SPDX-License-Identifier: GPL-2.0
/*
 * NUM, BASE, ADDR, features and SET_RUNNING: values, order, and what a running
 * queue refuses.
 *
 * in:  /dev/vkick-null
 * out: EINVAL, EBUSY, EFAULT, EOPNOTSUPP where <linux/vkick.h> says so
 */
#include "kselftest_harness.h"

#include "lib/rig.h"

FIXTURE(vring)
{
	struct rig r;
};

FIXTURE_SETUP(vring)
{
	struct rig_conf conf = { .class = "null", .features = F_EVENT_IDX };

	rig_open(&self->r, &conf);
}

FIXTURE_TEARDOWN(vring)
{
	rig_close(&self->r);
}

TEST_F(vring, num_is_a_power_of_two_up_to_32768)
{
	u32 num;

	for (num = 1; num <= 32768; num *= 2) {
		EXPECT_EQ(0, __vdev_set_num(self->r.fd, 0, num));
	}
	EXPECT_EQ(-EINVAL, __vdev_set_num(self->r.fd, 0, 0));
	for (num = 4; num <= 32768; num *= 2) {
		EXPECT_EQ(-EINVAL, __vdev_set_num(self->r.fd, 0, num - 1));
		EXPECT_EQ(-EINVAL, __vdev_set_num(self->r.fd, 0, num + 1));
	}
	for (num = 65536; num; num *= 2) {
		EXPECT_EQ(-EINVAL, __vdev_set_num(self->r.fd, 0, num));
	}
	EXPECT_EQ(-EINVAL, __vdev_set_num(self->r.fd, 0, ~0U));
}

TEST_F(vring, num_while_running_is_ebusy)
{
	rig_start(&self->r);
	EXPECT_EQ(-EBUSY, __vdev_set_num(self->r.fd, 0, 64));
	rig_ping(&self->r.q[0]);
	rig_stop(&self->r);
	EXPECT_EQ(0, __vdev_set_num(self->r.fd, 0, 64));
}

TEST_F(vring, base_is_what_was_set)
{
	static const u32 bases[] = { 0, 1, 255, 256, 32767, 32768, 65535 };
	size_t i;

	for (i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		EXPECT_EQ(0, __vdev_set_base(self->r.fd, 1, bases[i]));
		EXPECT_EQ(bases[i], vdev_get_base(self->r.fd, 1));
		EXPECT_EQ(0, vdev_get_base(self->r.fd, 0));
	}
}

TEST_F(vring, base_past_65535_is_einval)
{
	vdev_set_base(self->r.fd, 0, 77);
	EXPECT_EQ(-EINVAL, __vdev_set_base(self->r.fd, 0, 65536));
	EXPECT_EQ(-EINVAL, __vdev_set_base(self->r.fd, 0, ~0U));
	EXPECT_EQ(77, vdev_get_base(self->r.fd, 0));
}

TEST_F(vring, base_while_running_is_ebusy)
{
	rig_start(&self->r);
	EXPECT_EQ(-EBUSY, __vdev_set_base(self->r.fd, 0, 0));
	rig_ping(&self->r.q[0]);
	rig_stop(&self->r);
	EXPECT_EQ(1, vdev_get_base(self->r.fd, 0));
	EXPECT_EQ(0, __vdev_set_base(self->r.fd, 0, 1));
}

TEST_F(vring, addr_alignment_is_16_2_4)
{
	struct drv *d = &self->r.q[0].drv;
	u8 *desc = (u8 *)d->desc, *avail = (u8 *)d->avail, *used = (u8 *)d->used;
	int fd = self->r.fd, off;

	for (off = 0; off < 16; off++) {
		EXPECT_EQ(off ? -EINVAL : 0,
			  __vdev_set_addr(fd, 0, desc + off, avail, used));
		EXPECT_EQ(off % 2 ? -EINVAL : 0,
			  __vdev_set_addr(fd, 0, desc, avail + off, used));
		EXPECT_EQ(off % 4 ? -EINVAL : 0,
			  __vdev_set_addr(fd, 0, desc, avail, used + off));
	}
}

TEST_F(vring, addr_unknown_flag_is_eopnotsupp)
{
	struct drv *d = &self->r.q[0].drv;
	int bit;

	/* Bit 0, the log, comes with VHOST_F_LOG_ALL. */
	for (bit = 1; bit < 32; bit++) {
		struct vhost_vring_addr a = {
			.flags = 1U << bit,
			.desc_user_addr = (unsigned long)d->desc,
			.avail_user_addr = (unsigned long)d->avail,
			.used_user_addr = (unsigned long)d->used,
		};

		EXPECT_EQ(-EOPNOTSUPP,
			  __vdev_ioctl(self->r.fd, VHOST_SET_VRING_ADDR, &a));
	}
}

TEST_F(vring, addr_may_be_set_while_running)
{
	struct rig *r = &self->r;
	struct drv old = r->q[0].drv;

	rig_start(r);
	rig_ping(&r->q[0]);
	/* The same driver state on rings elsewhere. */
	drv_init(&r->q[0].drv, &r->mem, 64, r->features, DRV_DIRECT, 8);
	drv_start_at(&r->q[0].drv, 1);
	ASSERT_EQ(0, __vdev_set_addr(r->fd, 0, r->q[0].drv.desc,
				     r->q[0].drv.avail, r->q[0].drv.used));
	rig_ping(&r->q[0]);
	EXPECT_EQ(1, drv_used_idx(&old));
	drv_free(&old);
}

TEST_F(vring, start_without_num_is_einval)
{
	struct drv *d = &self->r.q[0].drv;
	int fd = vdev_open("null");

	vdev_set_owner(fd);
	vdev_set_mem(fd, &self->r.mem);
	ASSERT_EQ(0, __vdev_set_addr(fd, 0, d->desc, d->avail, d->used));
	EXPECT_EQ(-EINVAL, __vdev_set_running(fd, 0, 1));
	EXPECT_EQ(0, vdev_get_stats(fd, 0).running);
}

TEST_F(vring, start_without_addr_is_einval)
{
	int fd = vdev_open("null");

	vdev_set_owner(fd);
	vdev_set_mem(fd, &self->r.mem);
	vdev_set_num(fd, 0, 64);
	EXPECT_EQ(-EINVAL, __vdev_set_running(fd, 0, 1));
}

TEST_F(vring, start_without_memory_table_is_efault)
{
	int fd = vdev_open("null");

	vdev_set_owner(fd);
	vdev_set_ring(fd, 0, &self->r.q[0].drv);
	EXPECT_EQ(-EFAULT, __vdev_set_running(fd, 0, 1));
	vdev_set_mem(fd, &self->r.mem);
	EXPECT_EQ(0, __vdev_set_running(fd, 0, 1));
}

TEST_F(vring, start_on_unmapped_used_ring_is_efault)
{
	struct drv *d = &self->r.q[0].drv;
	u8 *page = mmap(NULL, GMEM_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	ASSERT_NE(MAP_FAILED, page);
	/* Read-only will not do: the device writes it. */
	ASSERT_EQ(0, __vdev_set_addr(self->r.fd, 0, d->desc, d->avail, page));
	EXPECT_EQ(-EFAULT, __vdev_set_running(self->r.fd, 0, 1));
	munmap(page, GMEM_PAGE);
	EXPECT_EQ(-EFAULT, __vdev_set_running(self->r.fd, 0, 1));
	EXPECT_EQ(0, vdev_get_stats(self->r.fd, 0).running);

	vdev_set_ring(self->r.fd, 0, d);
	rig_start(&self->r);
	rig_ping(&self->r.q[0]);
}

/* Refused when they are set, or at the start; used by no means. */
TEST_F(vring, kernel_address_as_ring_is_refused)
{
	static const u64 bad[] = { 0xffff888000000000, 0xffffffff80000000,
				   0xfffffffffffffff0, 0x8000000000000000,
				   0x7ffffffffffffff0 };
	struct drv *d = &self->r.q[0].drv;
	size_t i;
	int which;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (which = 0; which < 3; which++) {
			void *p = (void *)bad[i];
			int err;

			err = __vdev_set_addr(self->r.fd, 0,
					      which == 0 ? p : d->desc,
					      which == 1 ? p : d->avail,
					      which == 2 ? p : d->used);
			if (!err)
				err = __vdev_set_running(self->r.fd, 0, 1);
			EXPECT_EQ(-EFAULT, err)
				TH_LOG("0x%llx as part %d",
				       (unsigned long long)bad[i], which);
		}
	}
}

TEST_F(vring, start_counts_as_a_kick)
{
	ASSERT_LE(0, drv_add1(&self->r.q[0].drv, GMEM_FAR, 16, true));
	drv_publish(&self->r.q[0].drv);
	rig_start(&self->r);
	EXPECT_LE(0, rig_complete(&self->r.q[0], NULL));
}

TEST_F(vring, starting_what_runs_does_nothing)
{
	rig_start(&self->r);
	rig_ping(&self->r.q[0]);
	EXPECT_EQ(0, __vdev_set_running(self->r.fd, 0, 1));
	EXPECT_EQ(0, __vdev_set_running(self->r.fd, VKICK_ALL_QUEUES, 1));
	rig_ping(&self->r.q[0]);
	rig_ping(&self->r.q[1]);
}

TEST_F(vring, stopping_what_does_not_run_does_nothing)
{
	vdev_set_base(self->r.fd, 0, 9);
	EXPECT_EQ(0, __vdev_set_running(self->r.fd, 0, 0));
	EXPECT_EQ(0, __vdev_set_running(self->r.fd, VKICK_ALL_QUEUES, 0));
	EXPECT_EQ(9, vdev_get_base(self->r.fd, 0));
}

TEST_F(vring, all_queues_start_or_none)
{
	struct rig *r = &self->r;
	struct drv *d = &r->q[1].drv;

	/* The last queue cannot start. */
	ASSERT_EQ(0, __vdev_set_addr(r->fd, 1, d->desc, d->avail,
				     (void *)0x7ffffffffffffff0));
	EXPECT_EQ(-EFAULT, __vdev_set_running(r->fd, VKICK_ALL_QUEUES, 1));
	EXPECT_EQ(0, vdev_get_stats(r->fd, 0).running);
	EXPECT_EQ(0, vdev_get_stats(r->fd, 1).running);

	/* What ran before goes on. */
	vdev_start(r->fd, 0);
	EXPECT_EQ(-EFAULT, __vdev_set_running(r->fd, VKICK_ALL_QUEUES, 1));
	EXPECT_EQ(1, vdev_get_stats(r->fd, 0).running);
	rig_ping(&r->q[0]);
}

TEST_F(vring, queues_start_and_stop_alone)
{
	struct rig *r = &self->r;

	vdev_start(r->fd, 1);
	EXPECT_EQ(0, vdev_get_stats(r->fd, 0).running);
	EXPECT_EQ(1, vdev_get_stats(r->fd, 1).running);
	rig_ping(&r->q[1]);
	vdev_start(r->fd, 0);
	vdev_stop(r->fd, 1);
	rig_ping(&r->q[0]);
	EXPECT_EQ(0, vdev_get_stats(r->fd, 1).running);
}

TEST_F(vring, running_is_0_or_1)
{
	EXPECT_EQ(-EINVAL, __vdev_set_running(self->r.fd, 0, 2));
	EXPECT_EQ(-EINVAL, __vdev_set_running(self->r.fd, 0, ~0U));
	EXPECT_EQ(0, vdev_get_stats(self->r.fd, 0).running);
}

TEST_F(vring, running_reserved_is_eopnotsupp)
{
	struct vkick_running a = {
		.size = sizeof(a), .running = 1, .reserved = 1,
	};

	EXPECT_EQ(-EOPNOTSUPP, __vdev_ioctl(self->r.fd, VKICK_SET_RUNNING, &a));
	EXPECT_EQ(0, vdev_get_stats(self->r.fd, 0).running);
}

/* 2.1.2: nothing is consumed before. */
TEST_F(vring, stopped_queue_serves_no_kick)
{
	struct rig *r = &self->r;
	struct drv_seg s = { GMEM_FAR, 16, true };

	rig_submit(&r->q[0], &s, 1);
	ev_signal(r->q[0].kick);
	EXPECT_FALSE(ev_wait(r->q[0].call, QUIET_MS));
	EXPECT_FALSE(drv_has_used(&r->q[0].drv));
	/* The other queue's worker has been round since, so this one had its turn. */
	vdev_start(r->fd, 1);
	rig_ping(&r->q[1]);
	EXPECT_FALSE(drv_has_used(&r->q[0].drv));
	EXPECT_EQ(0, vdev_get_stats(r->fd, 0).passes);
	EXPECT_EQ(0, vdev_get_base(r->fd, 0));
}

/* ---- features ---- */

TEST_F(vring, features_offered)
{
	u64 f = vdev_get_features(self->r.fd);

	EXPECT_EQ(F_VERSION_1, f & F_VERSION_1);
	EXPECT_EQ(F_INDIRECT, f & F_INDIRECT);
	EXPECT_EQ(F_EVENT_IDX, f & F_EVENT_IDX);
}

TEST_F(vring, unknown_feature_bits_are_eopnotsupp)
{
	u64 offered = vdev_get_features(self->r.fd);
	int bit;

	for (bit = 0; bit < 64; bit++) {
		u64 f = 1ULL << bit;

		EXPECT_EQ(offered & f ? 0 : -EOPNOTSUPP,
			  __vdev_set_features(self->r.fd, f | F_VERSION_1))
			TH_LOG("bit %d", bit);
	}
	EXPECT_EQ(-EOPNOTSUPP, __vdev_set_features(self->r.fd, ~0ULL));
}

TEST_F(vring, features_while_running_are_ebusy)
{
	rig_start(&self->r);
	EXPECT_EQ(-EBUSY, __vdev_set_features(self->r.fd, F_VERSION_1));
	rig_stop(&self->r);
	EXPECT_EQ(0, __vdev_set_features(self->r.fd, F_VERSION_1));
}

TEST_F(vring, no_backend_features)
{
	u64 f = ~0ULL, one = 1;

	EXPECT_EQ(0, __vdev_ioctl(self->r.fd, VHOST_GET_BACKEND_FEATURES, &f));
	EXPECT_EQ(0, f);
	EXPECT_EQ(0, __vdev_ioctl(self->r.fd, VHOST_SET_BACKEND_FEATURES, &f));
	EXPECT_EQ(-EOPNOTSUPP,
		  __vdev_ioctl(self->r.fd, VHOST_SET_BACKEND_FEATURES, &one));
}

TEST_HARNESS_MAIN
