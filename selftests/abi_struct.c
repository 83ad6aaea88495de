// SPDX-License-Identifier: GPL-2.0
/*
 * Structs that start with their size: shorter and longer ones than the kernel's.
 * And what a device says of itself.
 *
 * in:  /dev/vkick-null, /dev/vkick-rng
 * out: zero-filled short ones, E2BIG for nonzero tails
 */
#include "kselftest_harness.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lib/rig.h"

FIXTURE(sized)
{
	struct rig r;
	u8 *page;	/* the struct, zeroed; the page after it is not mapped */
	u32 *size, *index;
};

/* Each call, with the size it has today and the least that makes sense. */
FIXTURE_VARIANT(sized)
{
	unsigned long cmd;
	u32 full;
	u32 least;
};

FIXTURE_VARIANT_ADD(sized, get_info)
{
	.cmd = VKICK_GET_INFO,
	.full = sizeof(struct vkick_info),
	.least = 4,
};

FIXTURE_VARIANT_ADD(sized, set_running)
{
	.cmd = VKICK_SET_RUNNING,
	.full = sizeof(struct vkick_running),
	.least = 12,
};

FIXTURE_VARIANT_ADD(sized, get_stats)
{
	.cmd = VKICK_GET_STATS,
	.full = sizeof(struct vkick_stats),
	.least = 8,
};

FIXTURE_SETUP(sized)
{
	struct rig_conf conf = { .class = "null" };

	rig_open(&self->r, &conf);
	self->page = mmap(NULL, 3 * GMEM_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->page);
	ASSERT_EQ(0, munmap(self->page + 2 * GMEM_PAGE, GMEM_PAGE));
}

FIXTURE_TEARDOWN(sized)
{
	rig_close(&self->r);
}

/* A struct of @size bytes that ends where mapped memory does. */
static u8 *make(FIXTURE_DATA(sized) *self, u32 size)
{
	u8 *p = self->page + 2 * GMEM_PAGE - (size > 4 ? size : 4);

	memset(self->page, 0, 2 * GMEM_PAGE);
	memcpy(p, &size, 4);
	return p;
}

static int call(FIXTURE_DATA(sized) *self,
		const FIXTURE_VARIANT(sized) *variant, void *p)
{
	return __vdev_ioctl(self->r.fd, variant->cmd, p);
}

TEST_F(sized, todays_size_is_taken)
{
	EXPECT_EQ(0, call(self, variant, make(self, variant->full)));
}

TEST_F(sized, size_without_the_needed_fields_is_einval)
{
	u32 size;

	for (size = 0; size < variant->least; size++) {
		EXPECT_EQ(-EINVAL, call(self, variant, make(self, size)))
			TH_LOG("size %u", size);
	}
}

/* An older client's struct: nothing past it is read or written. */
TEST_F(sized, shorter_struct_is_taken_as_zero_filled)
{
	u32 size;

	for (size = variant->least; size < variant->full; size++) {
		u8 *p = make(self, size);
		u32 before = 0xabababab;

		memcpy(p - 4, &before, 4);
		EXPECT_EQ(0, call(self, variant, p)) TH_LOG("size %u", size);
		EXPECT_EQ(0, memcmp(p - 4, &before, 4));
	}
}

TEST_F(sized, longer_struct_with_zero_tail_is_taken)
{
	u32 size;

	for (size = variant->full + 1; size <= GMEM_PAGE; size += 97) {
		EXPECT_EQ(0, call(self, variant, make(self, size)))
			TH_LOG("size %u", size);
	}
	EXPECT_EQ(0, call(self, variant, make(self, GMEM_PAGE)));
}

TEST_F(sized, longer_struct_with_nonzero_tail_is_e2big)
{
	u32 size = variant->full + 64, at;

	for (at = variant->full; at < size; at++) {
		u8 *p = make(self, size);

		p[at] = 1;
		EXPECT_EQ(-E2BIG, call(self, variant, p)) TH_LOG("byte %u", at);
	}
}

TEST_F(sized, size_past_a_page_is_e2big)
{
	EXPECT_EQ(-E2BIG, call(self, variant, make(self, GMEM_PAGE + 1)));
	EXPECT_EQ(-E2BIG, call(self, variant, make(self, 2 * GMEM_PAGE)));
	memset(self->page, 0xff, 4);	/* 4 GiB - 1 */
	EXPECT_EQ(-E2BIG, call(self, variant, self->page));
}

TEST_F(sized, struct_that_runs_out_of_memory_is_efault)
{
	u8 *p = make(self, variant->least);
	u32 full = variant->full;

	memcpy(p, &full, 4);
	EXPECT_EQ(-EFAULT, call(self, variant, p));
}

/* ---- what comes back ---- */

TEST(info_returns_no_more_than_asked_for)
{
	int fd = vdev_open("rng");
	u32 size;

	for (size = 4; size <= sizeof(struct vkick_info) + 8; size += 4) {
		u8 full[sizeof(struct vkick_info) + 16];
		struct vkick_info whole = vdev_get_info(fd);
		u32 want = size < sizeof(whole) ? size : sizeof(whole), got;

		memset(full, 0, sizeof(full));
		memset(full + size, 0x5a, sizeof(full) - size);
		memcpy(full, &size, 4);
		ASSERT_EQ(0, __vdev_ioctl(fd, VKICK_GET_INFO, full));
		memcpy(&got, full, 4);
		EXPECT_EQ(want, got);
		EXPECT_EQ(0, memcmp(full + 4, (u8 *)&whole + 4, want - 4));
		EXPECT_EQ(0x5a, full[size]);
	}
}

TEST(stats_return_no_more_than_asked_for)
{
	struct rig_conf conf = { .class = "null" };
	struct {
		struct vkick_stats s;
		u8 tail[16];
	} a;
	struct rig r;

	rig_open(&r, &conf);
	rig_start(&r);
	rig_ping(&r.q[0]);

	memset(&a, 0, sizeof(a));
	a.s.size = offsetof(struct vkick_stats, passes);
	a.s.passes = 0x5a5a5a5a;	/* not part of it: not to be touched */
	ASSERT_EQ(0, __vdev_ioctl(r.fd, VKICK_GET_STATS, &a));
	EXPECT_EQ(offsetof(struct vkick_stats, passes), a.s.size);
	EXPECT_EQ(1, a.s.running);
	EXPECT_EQ(1, a.s.kicks);
	EXPECT_EQ(0x5a5a5a5a, a.s.passes);

	memset(&a, 0, sizeof(a));
	a.s.size = sizeof(a);
	ASSERT_EQ(0, __vdev_ioctl(r.fd, VKICK_GET_STATS, &a));
	EXPECT_EQ(sizeof(a.s), a.s.size);
	EXPECT_EQ(1, a.s.requests);
}

TEST(null_says_what_it_is)
{
	struct vkick_info i = vdev_get_info(vdev_open("null"));

	EXPECT_EQ(sizeof(i), i.size);
	EXPECT_EQ(VKICK_ABI_VERSION, i.abi_version);
	EXPECT_EQ(0, i.device_id);
	EXPECT_EQ(2, i.nvqs);
	EXPECT_EQ(32768, i.max_queue_size);
	EXPECT_LE(64, i.max_regions);
	EXPECT_LE(128, i.max_chain);
	EXPECT_EQ(0, i.reserved);
	EXPECT_STREQ("null", i.class_name);
}

TEST(rng_says_what_it_is)
{
	struct vkick_info i = vdev_get_info(vdev_open("rng"));

	EXPECT_EQ(4, i.device_id);	/* VIRTIO 1.2, 5.4.1 */
	EXPECT_EQ(1, i.nvqs);
	EXPECT_STREQ("rng", i.class_name);
}

TEST(nodes_are_misc_devices)
{
	static const char * const nodes[] = { "/dev/vkick-null", "/dev/vkick-rng" };
	int i;

	for (i = 0; i < 2; i++) {
		struct stat st;

		ASSERT_EQ(0, stat(nodes[i], &st));
		EXPECT_TRUE(S_ISCHR(st.st_mode));
		EXPECT_EQ(10, major(st.st_rdev));
		/* The owner's memory is at stake: not for everyone. */
		EXPECT_EQ(0, st.st_mode & 077);
	}
}

TEST_HARNESS_MAIN
