// SPDX-License-Identifier: GPL-2.0
/*
 * A virtqueue laid over guest memory, and its buffers there, for the datapaths that serve it in this process.
 *
 * in:  addresses that the guest gave, unchecked; a state
 * out: a ring of ring/, pieces of memory, or an error
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

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

int datapath_map(struct vm *vm, const struct vring_seg *seg, u32 nr, struct iovec *iov, u32 max)
{
	u32 n = 0, i;

	for (i = 0; i < nr; i++) {
		u64 gpa = seg[i].gpa;
		u32 left = seg[i].len, contig;

		for (; left; gpa += contig, left -= contig) {
			const void *p;
			int err = vring_io_lookup(vm, gpa, left, &p, &contig);

			if (err)
				return err;
			if (n && (u8 *)iov[n - 1].iov_base + iov[n - 1].iov_len == p) {
				iov[n - 1].iov_len += contig;
				continue;
			}
			if (n == max)
				return -E2BIG;
			iov[n++] = (struct iovec) { (void *)p, contig };
		}
	}
	return n;
}

int datapath_copy(struct vm *vm, const struct vring_seg *seg, u32 nr, u8 *buf, u32 bytes, bool to_guest)
{
	u32 done = 0, i;

	for (i = 0; i < nr; i++) {
		u32 left = seg[i].len, contig;
		u64 gpa = seg[i].gpa;

		for (; left && done < bytes; gpa += contig, left -= contig, done += contig) {
			const void *p;

			if (left > bytes - done)
				left = bytes - done;
			if (vring_io_lookup(vm, gpa, left, &p, &contig))
				return -EFAULT;
			if (to_guest)
				memcpy((void *)p, buf + done, contig);
			else
				vring_io_read(buf + done, p, contig);
		}
	}
	return 0;
}
