// SPDX-License-Identifier: GPL-2.0
/*
 * The blk class: a disk's backend and configuration.
 *
 * in:  VKICK_BLK_SET_FILE, VKICK_BLK_SET_CONFIG, VKICK_BLK_SET_PINNED
 * out: struct vk_blk, which requests go by
 */
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/magic.h>
#include <linux/slab.h>

#include "blk.h"

/* Larger ones would overflow loff_t. */
#define VK_BLK_MAX_CAPACITY	(1ULL << (63 - SECTOR_SHIFT))

/* Context: no queue runs. What the workqueue has done, it has done with. */
static void vk_blk_detach(struct vk_blk *blk)
{
	if (!blk->file)
		return;
	destroy_workqueue(blk->reads);
	destroy_workqueue(blk->others);
	fput(blk->file);
	put_cred(blk->cred);
	blk->file = NULL;
	blk->bdev = NULL;
}

/* Return: 0; -EBADF or -EINVAL */
static int vk_blk_check_file(const struct file *file)
{
	umode_t mode = file_inode(file)->i_mode;

	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	if (!S_ISREG(mode) && !S_ISBLK(mode))
		return -EINVAL;
	/* Writes would go elsewhere. */
	if (file->f_flags & O_APPEND || !file->f_op->read_iter)
		return -EINVAL;
	if (file->f_mode & FMODE_WRITE && !file->f_op->write_iter)
		return -EINVAL;
	return 0;
}

static bool vk_blk_is_in_memory(const struct file *file)
{
	const struct inode *inode = file_inode(file);

	return S_ISREG(inode->i_mode) && inode->i_sb->s_magic == TMPFS_MAGIC;
}

/* What direct I/O of the file asks for: as its device, or what a sector is. */
static void vk_blk_set_alignment(struct vk_blk *blk)
{
	struct block_device *bdev = blk->bdev ?: file_inode(blk->file)->i_sb->s_bdev;

	blk->addr_mask = bdev ? bdev_dma_alignment(bdev) : SECTOR_SIZE - 1;
	blk->len_mask = bdev ? bdev_logical_block_size(bdev) - 1 : SECTOR_SIZE - 1;
}

static int vk_blk_attach(struct vk_dev *dev, struct file *file)
{
	struct vk_blk *blk = dev->priv;
	struct workqueue_struct *reads, *others;

	/* Two a disk, so that what one backend holds up is no other's work. */
	reads = alloc_workqueue("vkick-blk-%d-reads", WQ_UNBOUND, 0, dev->id);
	others = alloc_workqueue("vkick-blk-%d", WQ_UNBOUND, 0, dev->id);
	if (!reads || !others) {
		if (reads)
			destroy_workqueue(reads);
		if (others)
			destroy_workqueue(others);
		return -ENOMEM;
	}
	vk_blk_detach(blk);
	blk->reads = reads;
	blk->others = others;
	blk->file = file;
	blk->cred = get_current_cred();
	if (S_ISBLK(file_inode(file)->i_mode))
		blk->bdev = I_BDEV(file->f_mapping->host);
	blk->in_memory = vk_blk_is_in_memory(file);
	blk->direct = file->f_flags & O_DIRECT && !blk->in_memory;
	blk->nowait[READ] = file->f_mode & FMODE_NOWAIT;
	blk->nowait[WRITE] = blk->nowait[READ];
	/* Who had the file before has been told of what came before. */
	blk->lost = READ_ONCE(file->f_wb_err);
	vk_blk_set_alignment(blk);
	return 0;
}

static int vk_blk_set_file(struct vk_dev *dev, void __user *uarg)
{
	struct vkick_blk_file arg = {};
	struct file *file;
	int err;

	err = vk_ioctl_copy_struct(&arg, sizeof(arg), sizeof(arg), uarg);
	if (err)
		return err;
	err = vk_dev_busy(dev);
	if (err)
		return err < 0 ? err : -EBUSY;
	if (arg.fd == -1) {
		vk_blk_detach(dev->priv);
		return 0;
	}
	file = fget(arg.fd);
	if (!file)
		return -EBADF;
	err = vk_blk_check_file(file);
	if (!err)
		err = vk_blk_attach(dev, file);
	if (err)
		fput(file);
	return err;
}

static int vk_blk_check_config(const struct vkick_blk_config *arg)
{
	if (arg->flags & ~(VKICK_BLK_READ_ONLY | VKICK_BLK_WRITE_THROUGH) ||
	    arg->reserved || arg->reserved2)
		return -EOPNOTSUPP;
	if (arg->capacity > VK_BLK_MAX_CAPACITY ||
	    !arg->seg_max || arg->seg_max > VKICK_BLK_MAX_SEGS ||
	    arg->max_discard_seg > VKICK_BLK_MAX_RANGES ||
	    arg->max_write_zeroes_seg > VKICK_BLK_MAX_RANGES)
		return -EINVAL;
	return 0;
}

static int vk_blk_set_config(struct vk_dev *dev, void __user *uarg)
{
	struct vk_blk *blk = dev->priv;
	struct vk_blk_config *config, *old;
	struct vkick_blk_config arg = {};
	int err;

	err = vk_ioctl_copy_struct(&arg, sizeof(arg),
				   offsetofend(struct vkick_blk_config, seg_max), uarg);
	if (!err)
		err = vk_blk_check_config(&arg);
	if (err)
		return err;
	config = kmalloc(sizeof(*config), GFP_KERNEL_ACCOUNT);
	if (!config)
		return -ENOMEM;
	config->limits = (struct vk_blk_limits) { arg.capacity, arg.seg_max, arg.flags };
	config->max_discard_seg = arg.max_discard_seg;
	config->max_discard_sectors = arg.max_discard_sectors;
	config->max_write_zeroes_seg = arg.max_write_zeroes_seg;
	config->max_write_zeroes_sectors = arg.max_write_zeroes_sectors;
	memcpy(config->serial, arg.serial, sizeof(config->serial));

	old = rcu_replace_pointer(blk->config, config, lockdep_is_held(&dev->mutex));
	kfree_rcu(old, rcu);
	return 0;
}

static int vk_blk_set_pinned(struct vk_dev *dev, void __user *uarg)
{
	struct vkick_blk_pinned arg = {};
	int err;

	err = vk_ioctl_copy_struct(&arg, sizeof(arg), sizeof(arg), uarg);
	if (err)
		return err;
	if (arg.pinned > 1)
		return -EINVAL;
	dev->pins_mem = arg.pinned;
	return 0;
}

/* A disk without sectors, until it is told otherwise. */
int vk_blk_open(struct vk_dev *dev)
{
	struct vk_blk *blk = kzalloc(sizeof(*blk), GFP_KERNEL_ACCOUNT);
	struct vk_blk_config *config = kzalloc(sizeof(*config), GFP_KERNEL_ACCOUNT);

	if (!blk || !config) {
		kfree(config);
		kfree(blk);
		return -ENOMEM;
	}
	RCU_INIT_POINTER(blk->config, config);
	spin_lock_init(&blk->lost_lock);
	dev->priv = blk;
	return 0;
}

void vk_blk_release(struct vk_dev *dev)
{
	struct vk_blk *blk = dev->priv;

	kfree(rcu_access_pointer(blk->config));
	kfree(blk);
}

/* Nobody reads the configuration: no queue runs. */
void vk_blk_disown(struct vk_dev *dev)
{
	struct vk_blk *blk = dev->priv;
	struct vk_blk_config *config;

	vk_blk_detach(blk);
	config = rcu_dereference_protected(blk->config, lockdep_is_held(&dev->mutex));
	memset(config, 0, sizeof(*config));
}

int vk_blk_start(struct vk_queue *q)
{
	struct vk_blk *blk = q->dev->priv;

	if (!blk->file)
		return -ENODEV;
	/* The same for all queues: features do not change while one runs. */
	WRITE_ONCE(blk->flush_acked, q->dev->features & BIT_ULL(VIRTIO_BLK_F_FLUSH));
	return 0;
}

const struct vk_class_ioctl vk_blk_ioctls[] = {
	{ VKICK_BLK_SET_FILE, vk_blk_set_file },
	{ VKICK_BLK_SET_CONFIG, vk_blk_set_config },
	{ VKICK_BLK_SET_PINNED, vk_blk_set_pinned },
	{}
};
