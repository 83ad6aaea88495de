// SPDX-License-Identifier: GPL-2.0
/*
 * The VMM's own user datapath of NICs without a VM.
 *
 * in, out: nic_user.h
 */
#include "nic_user.h"
#include "../selftests/lib/vnic.h"

static struct vnic nic;

struct nic_side nic_user_start(int tap, u64 features, u32 num, bool tx, bool one_by_one)
{
	unsigned int i = tx ? VNIC_TX(0) : VNIC_RX(0);

	vnic_init(&nic, features, num, DRV_DIRECT, 1);
	vnic_use_tap(&nic, tap);
	if (one_by_one)
		vnic_start_without_uring(&nic);
	else
		vnic_start(&nic);
	return (struct nic_side) { &nic.m.mem, &nic.drv[i], nic.dev.ring[i].kick_fd, nic.dev.ring[i].call_fd };
}

void nic_user_stop(void)
{
	vnic_free(&nic);
}
