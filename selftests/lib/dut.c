// SPDX-License-Identifier: GPL-2.0
/*
 * The disk under test: what is the same of both datapaths.
 *
 * in:  dut_module.c or dut_vmm.c
 * out: see dut.h
 */
#include "dut.h"

#include <endian.h>
#include <string.h>

u8 dut_do_range(struct dut *d, u32 type, u64 sector, u32 sectors)
{
	struct virtio_blk_discard_write_zeroes range = {
		.sector = htole64(sector), .num_sectors = htole32(sectors),
	};
	struct drv_seg data = { DUT_BUF(0), sizeof(range), false };
	u8 status;

	memcpy(gmem_ptr(dut_mem(d), data.gpa, sizeof(range)), &range, sizeof(range));
	dut_add(d, 0, 0, type, 0, &data, 1);
	dut_kick(d, 0);
	CHECK(dut_wait(d, 0, DEADLINE_MS), "nothing is back");
	CHECK(!dut_poll(d, 0, &status), "another request is back");
	return status;
}
