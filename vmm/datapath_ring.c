// SPDX-License-Identifier: GPL-2.0
/*
 * A virtqueue laid over guest memory, for the datapaths that serve it in this process.
 *
 * in:  addresses that the guest gave, unchecked; a state
 * out: a ring of ring/, or an error
 */
#include <errno.h>

#include "virtio.h"

int datapath_load_ring(struct virtio_dev *dev, const struct datapath_queue *r,
		       struct vring_dev *ring)
{
	bool packed = virtio_packed(dev);
	struct vring_config cfg = {
		.num = r->num,
		.features = dev->acked,
		.desc = guest_ptr(dev->vm, r->desc, vring_desc_bytes(r->num)),
		.avail = guest_ptr(dev->vm, r->avail, vring_avail_bytes(r->num, packed)),
		.used = guest_ptr(dev->vm, r->used, vring_used_bytes(r->num, packed)),
		.mem = dev->vm,
	};
	int err;

	if (!cfg.desc || !cfg.avail || !cfg.used)
		return -EFAULT;
	err = vring_init(ring, &cfg);
	return err ? err : vring_load(ring, r->state);
}
