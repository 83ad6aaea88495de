/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The disks that tests of /dev/vkick-blk are run on: each kind of backing, buffered and
 * direct, with each layout of rings and chains somewhere.
 *
 * in:  a name for a fixture
 * out: DISK_FIXTURE(name): self->d is a disk that runs, of each kind
 */
#ifndef SELFTEST_DISK_FIXTURE_H
#define SELFTEST_DISK_FIXTURE_H

#include "disk.h"

#define DISK_FIXTURE_PARTS(_name)						\
	FIXTURE(_name) { struct disk d; };					\
	FIXTURE_VARIANT(_name) { struct disk_conf conf; };			\
	FIXTURE_SETUP(_name)							\
	{									\
		if (variant->conf.direct && !backing_has_direct(variant->conf.on)) \
			SKIP(return, "this kernel's tmpfs has no O_DIRECT");	\
		disk_open(&self->d, &variant->conf);				\
		disk_start(&self->d);						\
	}									\
	FIXTURE_TEARDOWN(_name)							\
	{									\
		EXPECT_TRUE(gmem_canaries_ok(&self->d.r.mem));			\
		disk_close(&self->d);						\
	}

/* One buffered, one direct. */
#define DISK_FIXTURE_TWO(_name)							\
	DISK_FIXTURE_PARTS(_name)						\
	FIXTURE_VARIANT_ADD(_name, tmpfs_split)					\
	{ .conf = { BACKING_TMPFS } };						\
	FIXTURE_VARIANT_ADD(_name, ext4_direct_packed_indirect)			\
	{ .conf = { BACKING_EXT4, .direct = true, .layout = DRV_INDIRECT,	\
		    .features = F_PACKED | F_INDIRECT | F_EVENT_IDX } }

/* And a block device. */
#define DISK_FIXTURE_THREE(_name)						\
	DISK_FIXTURE_TWO(_name);						\
	FIXTURE_VARIANT_ADD(_name, null_direct_split_in_order)			\
	{ .conf = { BACKING_NULL, .direct = true,				\
		    .features = F_IN_ORDER | F_EVENT_IDX } }

#define DISK_FIXTURE(_name)							\
	DISK_FIXTURE_THREE(_name);						\
	FIXTURE_VARIANT_ADD(_name, loop_packed_in_order)			\
	{ .conf = { BACKING_LOOP, .features = F_PACKED | F_IN_ORDER } };	\
	FIXTURE_VARIANT_ADD(_name, ext4_split_indirect)				\
	{ .conf = { BACKING_EXT4, .layout = DRV_INDIRECT,			\
		    .features = F_INDIRECT | F_EVENT_IDX } };			\
	FIXTURE_VARIANT_ADD(_name, tmpfs_direct_packed)				\
	{ .conf = { BACKING_TMPFS, .direct = true, .pinned = true,		\
		    .features = F_PACKED } };					\
	FIXTURE_VARIANT_ADD(_name, loop_direct_split_mixed)			\
	{ .conf = { BACKING_LOOP, .direct = true, .pinned = true,		\
		    .layout = DRV_MIXED, .features = F_INDIRECT } }

#endif
