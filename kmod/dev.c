// SPDX-License-Identifier: GPL-2.0
/*
 * A device's life: open, owner, features, memory table, close.
 *
 * in:  open(2), close(2), VHOST_SET_OWNER, VHOST_RESET_OWNER, VHOST_SET_FEATURES,
 *      VHOST_SET_MEM_TABLE
 * out: struct vk_dev in the states of vkick.h
 */
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/kcov.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "vkick.h"

/* Numbers of the open devices: short names for people. */
static DEFINE_IDA(vk_dev_ids);

/**
 * vk_dev_open() - make a device for one open file
 * @class: its class
 * @file: gets it as private_data
 */
int vk_dev_open(const struct vk_class *class, struct file *file)
{
	struct vk_dev *dev;
	int err;
	u32 i;

	dev = kzalloc(struct_size(dev, vqs, class->nvqs), GFP_KERNEL_ACCOUNT);
	if (!dev)
		return -ENOMEM;
	dev->class = class;
	mutex_init(&dev->mutex);
	for (i = 0; i < class->nvqs; i++) {
		dev->vqs[i].dev = dev;
		dev->vqs[i].index = i;
		mutex_init(&dev->vqs[i].lock);
	}

	dev->id = ida_alloc(&vk_dev_ids, GFP_KERNEL);
	err = dev->id;
	if (err < 0)
		goto free_dev;
	if (class->open) {
		err = class->open(dev);
		if (err)
			goto free_id;
	}
	vk_stats_add_dev(dev);
	file->private_data = dev;
	return 0;

free_id:
	ida_free(&vk_dev_ids, dev->id);
free_dev:
	kfree(dev);
	return err;
}

/**
 * vk_dev_set_owner() - VHOST_SET_OWNER: the caller's process becomes the owner
 * @dev: device, dev->mutex held
 *
 * Return: 0; -EBUSY if it has an owner, be it the caller; -errno of the worker.
 */
int vk_dev_set_owner(struct vk_dev *dev)
{
	struct vk_worker *worker;
	u32 i;

	if (dev->mm)
		return -EBUSY;
	dev->kcov_handle = kcov_common_handle();
	worker = vk_worker_create(dev);
	if (IS_ERR(worker))
		return PTR_ERR(worker);

	dev->worker = worker;
	for (i = 0; i < dev->class->nvqs; i++)
		dev->vqs[i].worker = worker;
	mmgrab(current->mm);
	dev->owner_pid = task_tgid_nr(current);
	dev->mm = current->mm;
	return 0;
}

/*
 * From owned to unowned. The order matters: no more kicks, then no more passes,
 * then the worker's end, and only then what a pass uses.
 */
static void vk_dev_disown(struct vk_dev *dev)
{
	u32 i;

	lockdep_assert_held(&dev->mutex);
	if (!dev->mm)
		return;
	for (i = 0; i < dev->class->nvqs; i++)
		vk_kick_detach(&dev->vqs[i]);
	vk_worker_stop(dev->worker);
	dev->worker = NULL;
	for (i = 0; i < dev->class->nvqs; i++)
		vk_queue_reset(&dev->vqs[i]);
	dev->features = 0;
	dev->owner_pid = 0;
	mmdrop(dev->mm);
	dev->mm = NULL;
}

/**
 * vk_dev_reset_owner() - VHOST_RESET_OWNER: all queues stop, all is forgotten
 * @dev: device, dev->mutex held
 *
 * Return: 0, or -EINTR with some queues stopped: the caller is being killed.
 */
int vk_dev_reset_owner(struct vk_dev *dev)
{
	u32 i;

	for (i = 0; i < dev->class->nvqs; i++)
		if (vk_queue_stop(&dev->vqs[i]))
			return -EINTR;
	vk_dev_disown(dev);
	return 0;
}

/**
 * vk_dev_release() - the last close
 * @inode: of the node
 * @file: the device's
 */
int vk_dev_release(struct inode *inode, struct file *file)
{
	struct vk_dev *dev = file->private_data;

	/* Nobody else has the file, but vk_dev_disown() asks for the mutex. */
	mutex_lock(&dev->mutex);
	vk_dev_disown(dev);
	mutex_unlock(&dev->mutex);

	vk_stats_remove_dev(dev);
	if (dev->class->release)
		dev->class->release(dev);
	ida_free(&vk_dev_ids, dev->id);
	kfree(dev);
	return 0;
}

/**
 * vk_dev_set_features() - VHOST_SET_FEATURES
 * @dev: device, dev->mutex held
 * @features: what the driver acknowledged
 *
 * Takes effect at a queue's next start. Unlike mainline's vhost-net, which swaps
 * the ring's layout under a running queue, we refuse to change it then.
 * Return: 0; -EOPNOTSUPP for unknown bits; -EBUSY; -EINTR.
 */
int vk_dev_set_features(struct vk_dev *dev, u64 features)
{
	bool running = false;
	u32 i;

	if (features & ~(VK_CORE_FEATURES | dev->class->features))
		return -EOPNOTSUPP;
	for (i = 0; i < dev->class->nvqs; i++) {
		struct vk_queue *q = &dev->vqs[i];

		if (mutex_lock_killable(&q->lock))
			return -EINTR;
		running |= q->running;
		mutex_unlock(&q->lock);
	}
	if (running && features != dev->features)
		return -EBUSY;
	dev->features = features;
	return 0;
}

/**
 * vk_dev_set_mem() - VHOST_SET_MEM_TABLE: replace the table, also under load
 * @dev: device, dev->mutex held
 * @arg: struct vhost_memory
 *
 * Queues change over one by one, between two passes of theirs. When this returns
 * none uses the old table. Return: 0, or as vk_mem_copy_from_user(), or -EINTR
 * with some queues changed over: the caller is being killed.
 */
int vk_dev_set_mem(struct vk_dev *dev, const void __user *arg)
{
	struct vk_mem *mem;
	int err = 0;
	u32 i;

	mem = vk_mem_copy_from_user(arg);
	if (IS_ERR(mem))
		return PTR_ERR(mem);

	for (i = 0; i < dev->class->nvqs; i++) {
		struct vk_queue *q = &dev->vqs[i];

		if (mutex_lock_killable(&q->lock)) {
			err = -EINTR;
			break;
		}
		vk_mem_get(mem);
		vk_mem_put(q->view.mem);
		q->view = (struct vk_memview) { .mem = mem };
		mutex_unlock(&q->lock);
	}
	vk_mem_put(mem);	/* the queues hold it now */
	return err;
}
