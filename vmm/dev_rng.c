// SPDX-License-Identifier: GPL-2.0
/*
 * The entropy device (VIRTIO 1.2, 5.4).
 *
 * in:  chains of writable buffers
 * out: random bytes in them, from the host kernel
 */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <sys/random.h>

#include "virtio.h"

/* 5.4.6.1: one byte or more per request. So a huge one holds nobody up. */
#define RNG_MAX_BYTES	(64 * KIB)

/* Return: bytes put at @gpa, which may be fewer than @len, or -EFAULT. */
static int64_t fill(struct vm *vm, u64 gpa, u32 len)
{
	const void *p;
	u32 contig;
	ssize_t n;

	if (vring_io_lookup(vm, gpa, len, &p, &contig))
		return -EFAULT;
	n = getrandom((void *)p, contig, 0);
	return n < 0 ? (errno == EINTR ? 0 : -EFAULT) : n;
}

static int64_t rng_serve(struct virtio_dev *dev, const struct vring_chain *c)
{
	const struct vring_seg *seg = c->segs + c->nr_out;
	u64 want = c->in_bytes < RNG_MAX_BYTES ? c->in_bytes : RNG_MAX_BYTES;
	u64 done = 0;
	u32 at = 0;		/* in *seg */

	/* 5.4.6.2: the driver places one or more writable buffers */
	if (!want)
		return -EINVAL;
	while (done < want) {
		u64 len = seg->len - at;
		int64_t n;

		if (len > want - done)
			len = want - done;
		n = fill(dev->vm, seg->gpa + at, len);
		if (n < 0)
			return n;
		done += n;
		at += n;
		if (at == seg->len) {
			seg++;
			at = 0;
		}
	}
	return done;
}

const struct virtio_class dev_rng = {
	.name = "rng",
	.device_id = VIRTIO_ID_RNG,
	.pci_class = 0xff0000,		/* none of PCI's */
	.max_queues = 1,
	.queue_size = 64,
	.max_queue_size = 64,
	.node = "/dev/vkick-rng",
	.user = &datapath_user,
	.serve = rng_serve,
};
