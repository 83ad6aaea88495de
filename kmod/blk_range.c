// SPDX-License-Identifier: GPL-2.0
/*
 * The blk class: discards and zeroes (VIRTIO 1.2, 5.2.6).
 *
 * in:  the ranges of a request
 * out: holes and zeroes in the backend
 */
#include <linux/blkdev.h>
#include <linux/falloc.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "blk.h"

/* Written at a time where the backend has no better way to make zeroes. */
#define VK_BLK_ZERO_PAGES	64

/* Zeroes by writing them. Return: 0 or -errno */
static int vk_blk_write_zeroes(struct file *file, loff_t pos, loff_t bytes)
{
	struct bio_vec *bvecs;
	ssize_t ret = 0;
	int i;

	bvecs = kmalloc_array(VK_BLK_ZERO_PAGES, sizeof(*bvecs), GFP_KERNEL);
	if (!bvecs)
		return -ENOMEM;
	for (i = 0; i < VK_BLK_ZERO_PAGES; i++)
		bvecs[i] = (struct bio_vec) {
			.bv_page = ZERO_PAGE(0), .bv_len = PAGE_SIZE,
		};
	while (bytes && ret >= 0) {
		size_t n = min_t(loff_t, bytes, VK_BLK_ZERO_PAGES * PAGE_SIZE);
		struct iov_iter iter;

		iov_iter_bvec(&iter, ITER_SOURCE, bvecs, VK_BLK_ZERO_PAGES, n);
		ret = vk_iter_write(file, &iter, &pos, 0);
		if (!ret)
			ret = -EIO;
		if (ret > 0)
			bytes -= ret;
		cond_resched();
	}
	kfree(bvecs);
	return min_t(ssize_t, ret, 0);
}

/* Whether the backend, which may have shrunk, has all of it. */
static bool vk_blk_has_range(const struct vk_blk *blk, const struct vk_blk_range *r)
{
	loff_t bytes = blk->bdev ? bdev_nr_bytes(blk->bdev) : i_size_read(file_inode(blk->file));

	return r->pos <= bytes && r->bytes <= bytes - r->pos;
}

/* As BLKDISCARD does it; not every kernel's blkdev_issue_discard() looks. */
static int vk_blk_check_discard(const struct vk_blk *blk, const struct vk_blk_range *r)
{
	if (!bdev_max_discard_sectors(blk->bdev))
		return -EOPNOTSUPP;
	if (bdev_read_only(blk->bdev))
		return -EPERM;
	if ((r->pos | r->bytes) & (bdev_logical_block_size(blk->bdev) - 1))
		return -EINVAL;
	return vk_blk_has_range(blk, r) ? 0 : -EINVAL;
}

/*
 * What is in the page cache of the range is gone, too, as for BLKDISCARD. Whatever is
 * read there from now on is right, so nothing has to be written before. But what a file
 * system that is mounted has there, or another who has the device to himself, is theirs:
 * pages that they use or have written to fail the discard. Return: 0 or -EBUSY
 */
static int vk_blk_drop_cache(struct vk_blk *blk, const struct vk_blk_range *r)
{
	struct address_space *mapping = blk->file->f_mapping;
	loff_t last = r->pos + r->bytes - 1;
	bool ours = vk_bdev_is_exclusive(blk->file);

	if (!ours && vk_bdev_claim(blk->bdev, blk))
		return invalidate_inode_pages2_range(mapping, r->pos >> PAGE_SHIFT,
						     last >> PAGE_SHIFT);
	truncate_inode_pages_range(mapping, r->pos, last);
	if (!ours)
		bd_abort_claiming(blk->bdev, blk);
	return 0;
}

static int vk_blk_discard_bdev(struct vk_blk *blk, const struct vk_blk_range *r)
{
	struct address_space *mapping = blk->file->f_mapping;
	int err = vk_blk_check_discard(blk, r);

	if (err)
		return err;
	/*
	 * As BLKDISCARD of 6.12, in its order, with no lock of ours held: no write through the
	 * page cache, where the kernel's take the inode's lock, and nothing read into it.
	 */
	inode_lock(mapping->host);
	filemap_invalidate_lock(mapping);
	err = vk_blk_drop_cache(blk, r);
	if (!err)
		err = blkdev_issue_discard(blk->bdev, r->pos >> SECTOR_SHIFT,
					   r->bytes >> SECTOR_SHIFT, GFP_KERNEL);
	filemap_invalidate_unlock(mapping);
	inode_unlock(mapping->host);
	return err;
}

static int vk_blk_discard_range(struct vk_blk *blk, const struct vk_blk_range *r)
{
	if (blk->bdev)
		return vk_blk_discard_bdev(blk, r);
	return vfs_fallocate(blk->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     r->pos, r->bytes);
}

/*
 * What was written to the range and is in the page cache alone goes to the disk first.
 * fallocate() drops it there, and makes the zeroes some time later: a flush in between
 * would find nothing to write, and promise writes that a power cut then takes back. An
 * error here is that of those writes, and the next flush reports it.
 */
static void vk_blk_write_back(struct vk_blk *blk, const struct vk_blk_range *r)
{
	struct address_space *mapping = blk->file->f_mapping;

	filemap_fdatawrite_range(mapping, r->pos, r->pos + r->bytes - 1);
	filemap_fdatawait_range_keep_errors(mapping, r->pos, r->pos + r->bytes - 1);
}

/* Without unmap the space stays allocated: so no hole then. */
static int vk_blk_zero_range(struct vk_blk *blk, const struct vk_blk_range *r)
{
	int err = -EOPNOTSUPP;

	/* fallocate() would be content with what is there, and a write with making it longer. */
	if (!vk_blk_has_range(blk, r))
		return -EIO;
	vk_blk_write_back(blk, r);
	if (r->unmap)
		err = vfs_fallocate(blk->file,
				    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    r->pos, r->bytes);
	if (err == -EOPNOTSUPP)
		err = vfs_fallocate(blk->file,
				    FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
				    r->pos, r->bytes);
	/* Or its blocks are larger than the driver's: through the page cache it can be written. */
	if (err == -EOPNOTSUPP || (err == -EINVAL && !blk->direct))
		err = vk_blk_write_zeroes(blk->file, r->pos, r->bytes);
	return err;
}

/**
 * vk_blk_do_ranges() - a discard or write-zeroes
 * @breq: with its ranges
 *
 * Context: the workqueue's thread. Return: 0, or -errno of the first that failed: those
 * before it are done.
 */
long vk_blk_do_ranges(struct vk_blk_req *breq)
{
	struct vk_blk *blk = breq->blk;
	errseq_t since = READ_ONCE(blk->lost);
	int err = 0;
	u32 i;

	for (i = 0; i < breq->nr_ranges && !err; i++) {
		const struct vk_blk_range *r = &breq->ranges[i];

		if (!r->bytes)
			continue;
		if (breq->type == VIRTIO_BLK_T_DISCARD)
			err = vk_blk_discard_range(blk, r);
		else
			err = vk_blk_zero_range(blk, r);
	}
	if (!err && breq->durable)
		err = vk_blk_sync(blk, since);
	return err;
}

/* One range as the driver gave it. Return: 0; -EIO; -EOPNOTSUPP (5.2.6.2) */
static int vk_blk_check_range(const struct vk_blk_req *breq,
			      const struct virtio_blk_discard_write_zeroes *from,
			      const struct vk_blk_config *config, struct vk_blk_range *r)
{
	bool discard = breq->type == VIRTIO_BLK_T_DISCARD;
	u32 max = discard ? config->max_discard_sectors : config->max_write_zeroes_sectors;
	u64 sector = le64_to_cpu(from->sector);
	u32 nr = le32_to_cpu(from->num_sectors);
	u32 flags = le32_to_cpu(from->flags);

	if (flags & ~VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP || (discard && flags))
		return -EOPNOTSUPP;
	if (nr > max || sector > config->limits.capacity ||
	    nr > config->limits.capacity - sector)
		return -EIO;
	r->pos = sector << SECTOR_SHIFT;
	r->bytes = (loff_t)nr << SECTOR_SHIFT;
	r->unmap = flags;
	return 0;
}

/**
 * vk_blk_get_ranges() - the ranges of a discard or write-zeroes
 * @breq: request; gets them
 * @config: what the driver was promised
 *
 * All are checked before anything is done. Context: worker. Return: 0; -EIO for what the
 * driver must not ask for; -EOPNOTSUPP for flags that we do not know; -ENOMEM;
 * -EFAULT, which breaks the queue.
 */
int vk_blk_get_ranges(struct vk_blk_req *breq, const struct vk_blk_config *config)
{
	struct virtio_blk_discard_write_zeroes from;
	struct iov_iter *out = &breq->req.out;
	size_t bytes = iov_iter_count(out);
	u32 nr = bytes / sizeof(from), i;
	u32 max = breq->type == VIRTIO_BLK_T_DISCARD ? config->max_discard_seg :
						       config->max_write_zeroes_seg;
	int err = 0;

	if (!nr || bytes % sizeof(from) || bytes / sizeof(from) > max)
		return -EIO;
	breq->ranges = kmalloc_array(nr, sizeof(*breq->ranges), GFP_KERNEL_ACCOUNT);
	if (!breq->ranges)
		return -ENOMEM;
	breq->nr_ranges = nr;
	for (i = 0; i < nr && !err; i++) {
		if (copy_from_iter(&from, sizeof(from), out) != sizeof(from))
			return -EFAULT;
		err = vk_blk_check_range(breq, &from, config, &breq->ranges[i]);
	}
	return err;
}
