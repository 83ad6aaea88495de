// SPDX-License-Identifier: GPL-2.0
/*
 * VHOST_SET_MEM_TABLE: which tables are taken.
 *
 * in:  /dev/vkick-null
 * out: EOPNOTSUPP, E2BIG, EINVAL, EFAULT where <linux/vkick.h> says so; a table
 *      that is refused leaves the one before in force
 */
#include "kselftest_harness.h"

#include "lib/rig.h"

#define MAX	65	/* one more than may be */

FIXTURE(mem)
{
	struct rig r;
	struct vhost_memory *t;
	u64 hva;	/* of a megabyte that is there */
};

FIXTURE_SETUP(mem)
{
	struct rig_conf conf = { .class = "null" };

	rig_open(&self->r, &conf);
	self->t = calloc(1, sizeof(*self->t) + MAX * sizeof(self->t->regions[0]));
	ASSERT_NE(NULL, self->t);
	self->hva = (unsigned long)gmem_ptr(&self->r.mem, GMEM_HIGH,
					    GMEM_HIGH_SIZE);
}

FIXTURE_TEARDOWN(mem)
{
	/* Whatever was refused, the table of the set-up still serves. */
	free(self->t);
	rig_close(&self->r);
}

static void region(FIXTURE_DATA(mem) *self, u64 gpa, u64 size, u64 hva)
{
	self->t->regions[self->t->nregions++] = (struct vhost_memory_region) {
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = hva,
	};
}

static int set(FIXTURE_DATA(mem) *self)
{
	return __vdev_set_mem(self->r.fd, self->t);
}

/* The buffer is in the rig's table, and in none that the tests make. */
static void old_table_serves(FIXTURE_DATA(mem) *self)
{
	rig_start(&self->r);
	rig_ping(&self->r.q[0]);
}

TEST_F(mem, padding_is_eopnotsupp)
{
	region(self, 0, 4096, self->hva);
	ASSERT_EQ(0, set(self));
	vdev_set_mem(self->r.fd, &self->r.mem);
	self->t->padding = 1;
	EXPECT_EQ(-EOPNOTSUPP, set(self));
	old_table_serves(self);
}

TEST_F(mem, region_flags_are_eopnotsupp)
{
	region(self, 0, 4096, self->hva);
	self->t->regions[0].flags_padding = 1;
	EXPECT_EQ(-EOPNOTSUPP, set(self));
	old_table_serves(self);
}

TEST_F(mem, as_many_regions_as_info_says)
{
	u32 max = vdev_get_info(self->r.fd).max_regions, i;

	ASSERT_GT(MAX, max);
	for (i = 0; i < max; i++)
		region(self, 8192 * i, 4096, self->hva + 4096 * i);
	EXPECT_EQ(0, set(self));
}

TEST_F(mem, one_region_more_is_e2big)
{
	u32 max = vdev_get_info(self->r.fd).max_regions, i;

	for (i = 0; i <= max; i++)
		region(self, 8192 * i, 4096, self->hva + 4096 * i);
	EXPECT_EQ(-E2BIG, set(self));
	/* And no size is computed from it that could wrap around. */
	self->t->nregions = 0xffffffff;
	EXPECT_EQ(-E2BIG, set(self));
	self->t->nregions = 0x08000001;
	EXPECT_EQ(-E2BIG, set(self));
	old_table_serves(self);
}

TEST_F(mem, no_regions_is_a_table)
{
	struct rig *r = &self->r;
	struct drv_seg s = { GMEM_FAR, 16, true };

	EXPECT_EQ(0, set(self));
	rig_start(r);
	rig_submit(&r->q[0], &s, 1);
	EXPECT_EQ(EFAULT, rig_wait_broken(r, &r->q[0]));
}

TEST_F(mem, overlap_is_einval)
{
	static const struct { u64 gpa, size; } second[] = {
		{ 0x10000, 0x10000 },	/* the same */
		{ 0x0f000, 0x01001 },	/* one byte at the start */
		{ 0x1ffff, 0x01000 },	/* one byte at the end */
		{ 0x14000, 0x01000 },	/* inside */
		{ 0x00000, 0x80000 },	/* around */
	};
	size_t i;

	for (i = 0; i < sizeof(second) / sizeof(second[0]); i++) {
		self->t->nregions = 0;
		region(self, 0x10000, 0x10000, self->hva);
		region(self, second[i].gpa, second[i].size, self->hva);
		EXPECT_EQ(-EINVAL, set(self)) TH_LOG("case %zu", i);
		/* In the other order as well. */
		self->t->nregions = 0;
		region(self, second[i].gpa, second[i].size, self->hva);
		region(self, 0x10000, 0x10000, self->hva);
		EXPECT_EQ(-EINVAL, set(self)) TH_LOG("case %zu, other order", i);
	}
	old_table_serves(self);
}

TEST_F(mem, neighbours_do_not_overlap)
{
	region(self, 0x20000, 0x10000, self->hva);
	region(self, 0x10000, 0x10000, self->hva);
	region(self, 0x30000, 0x10000, self->hva);
	EXPECT_EQ(0, set(self));
}

TEST_F(mem, the_same_memory_may_be_at_two_places)
{
	region(self, 0x10000, 0x10000, self->hva);
	region(self, 0x90000, 0x10000, self->hva);
	EXPECT_EQ(0, set(self));
}

TEST_F(mem, region_without_size_is_einval)
{
	region(self, 0x10000, 0, self->hva);
	EXPECT_EQ(-EINVAL, set(self));
	old_table_serves(self);
}

TEST_F(mem, guest_address_wrap_is_einval)
{
	region(self, 0ULL - 4096, 8192, self->hva);
	EXPECT_EQ(-EINVAL, set(self));
	self->t->nregions = 0;
	region(self, 4096, 0ULL - 1, self->hva);
	EXPECT_EQ(-EINVAL, set(self));
	old_table_serves(self);
}

TEST_F(mem, region_may_end_at_the_last_guest_address)
{
	region(self, 0ULL - 4096, 4096, self->hva);
	EXPECT_EQ(0, set(self));
}

TEST_F(mem, user_address_wrap_is_einval)
{
	region(self, 0, 8192, 0ULL - 4096);
	EXPECT_EQ(-EINVAL, set(self));
	old_table_serves(self);
}

TEST_F(mem, kernel_address_is_efault)
{
	static const u64 bad[] = { 0xffff888000000000, 0xffffffff80000000,
				   0x8000000000000000, 0x7ffffffffffff000 };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		self->t->nregions = 0;
		region(self, 0, 8192, bad[i]);
		EXPECT_EQ(-EFAULT, set(self))
			TH_LOG("0x%llx", (unsigned long long)bad[i]);
	}
	old_table_serves(self);
}

TEST_F(mem, table_cut_short_by_an_unmapped_page_is_efault)
{
	struct vhost_memory head = { .nregions = 2 };
	u8 *page = mmap(NULL, 2 * GMEM_PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* The header and the first region, and nothing more. */
	u8 *at = page + GMEM_PAGE - sizeof(head) -
		 sizeof(struct vhost_memory_region);

	ASSERT_NE(MAP_FAILED, page);
	region(self, 0, 4096, self->hva);
	self->t->nregions = 2;
	memcpy(at, self->t, sizeof(head) + sizeof(struct vhost_memory_region));
	ASSERT_EQ(0, munmap(page + GMEM_PAGE, GMEM_PAGE));
	EXPECT_EQ(-EFAULT, __vdev_set_mem(self->r.fd, (void *)at));
	old_table_serves(self);
}

TEST_F(mem, table_may_be_replaced_while_running)
{
	struct rig *r = &self->r;
	int i;

	rig_start(r);
	for (i = 0; i < 100; i++) {
		rig_ping(&r->q[0]);
		vdev_set_mem(r->fd, &r->mem);
	}
	rig_ping(&r->q[1]);
}

TEST_F(mem, the_new_table_holds_at_once)
{
	struct rig *r = &self->r;
	struct drv_seg s = { GMEM_FAR, 16, true };

	rig_start(r);
	rig_ping(&r->q[0]);
	region(self, GMEM_LOW, GMEM_LOW_SIZE,
	       (unsigned long)gmem_ptr(&r->mem, GMEM_LOW, GMEM_LOW_SIZE));
	ASSERT_EQ(0, set(self));
	rig_submit(&r->q[0], &s, 1);
	EXPECT_EQ(EFAULT, rig_wait_broken(r, &r->q[0]));
}

TEST_HARNESS_MAIN
