// SPDX-License-Identifier: GPL-2.0
/*
 * The rng class: an entropy device (VIRTIO 1.2, 5.4) fed by the kernel's CSPRNG.
 *
 * in:  chains with writable buffers
 * out: random bytes in them
 */
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/virtio_ids.h>

#include "vkick.h"

/*
 * 5.4.6.1 asks for at least one byte. A driver that offers more than this gets
 * this much, and asks again; so no request holds the worker for long.
 */
#define VK_RNG_MAX_BYTES	(64 * 1024)

/* get_random_bytes() wants kernel memory: this much at a time. */
#define VK_RNG_CHUNK_BYTES	PAGE_SIZE

static int vk_rng_open(struct vk_dev *dev)
{
	dev->priv = kmalloc(VK_RNG_CHUNK_BYTES, GFP_KERNEL_ACCOUNT);
	return dev->priv ? 0 : -ENOMEM;
}

static void vk_rng_release(struct vk_dev *dev)
{
	kfree_sensitive(dev->priv);
}

/* There is one queue, so its lock guards the chunk. */
static int vk_rng_serve(struct vk_queue *q, struct vk_req *req)
{
	size_t left = min_t(size_t, iov_iter_count(&req->in), VK_RNG_MAX_BYTES);
	void *chunk = q->dev->priv;
	size_t used = min_t(size_t, left, VK_RNG_CHUNK_BYTES);
	int err = 0;

	/* 5.4.6.2: the driver places one or more writable buffers */
	if (!left)
		return -EINVAL;

	while (left && !err) {
		size_t n = min_t(size_t, left, VK_RNG_CHUNK_BYTES);

		get_random_bytes(chunk, n);
		if (copy_to_iter(chunk, n, &req->in) != n)
			err = -EFAULT;
		req->written += n;
		left -= n;
		cond_resched();
	}
	/* What the guest has been given is nobody else's to know. */
	memzero_explicit(chunk, used);
	return err;
}

const struct vk_class vk_rng_class = {
	.name = "rng",
	.device_id = VIRTIO_ID_RNG,
	.nvqs = 1,
	.open = vk_rng_open,
	.release = vk_rng_release,
	.serve = vk_rng_serve,
};
