// SPDX-License-Identifier: GPL-2.0
/*
 * A device's life: open, owner, features, memory table, dirty log, close.
 *
 * in:  open(2), close(2), VHOST_SET_OWNER, VHOST_RESET_OWNER, VHOST_SET_FEATURES,
 *      VHOST_SET_MEM_TABLE, VHOST_SET_LOG_{BASE,FD}
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

static void vk_dev_init_queue(struct vk_dev *dev, u32 i)
{
	struct vk_queue *q = &dev->vqs[i];

	q->dev = dev;
	q->index = i;
	mutex_init(&q->lock);
	INIT_LIST_HEAD(&q->in_order);
	init_llist_head(&q->done);
	init_waitqueue_head(&q->settled);
}

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

	dev = kvzalloc(struct_size(dev, vqs, class->nvqs), GFP_KERNEL_ACCOUNT);
	if (!dev)
		return -ENOMEM;
	dev->class = class;
	mutex_init(&dev->mutex);
	xa_init_flags(&dev->workers, XA_FLAGS_ALLOC);
	for (i = 0; i < class->nvqs; i++)
		vk_dev_init_queue(dev, i);

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
	kvfree(dev);
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

	worker->had_queues = true;
	for (i = 0; i < dev->class->nvqs; i++)
		rcu_assign_pointer(dev->vqs[i].worker, worker);
	mmgrab(current->mm);
	dev->owner_pid = task_tgid_nr(current);
	dev->mm = current->mm;
	return 0;
}

/*
 * From owned to unowned. The order matters: no more kicks, then no more passes and the
 * workers' end, then the requests that the class still has, and only then what all
 * of these use.
 */
static void vk_dev_disown(struct vk_dev *dev)
{
	u32 i;

	lockdep_assert_held(&dev->mutex);
	if (!dev->mm)
		return;
	for (i = 0; i < dev->class->nvqs; i++)
		vk_kick_detach(&dev->vqs[i]);
	vk_worker_stop_all(dev);
	for (i = 0; i < dev->class->nvqs; i++)
		vk_queue_reset(&dev->vqs[i]);
	if (dev->class->disown)
		dev->class->disown(dev);
	vk_mem_put(dev->mem);
	dev->mem = NULL;
	dev->has_log_base = false;
	dev->pins_mem = false;
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
	/* vk_req_done() may still be on its way out of a queue. */
	kvfree_rcu(dev, rcu);
	return 0;
}

/*
 * Makes the log that @features and the device's log base ask for with @mem. *log is
 * NULL if they ask for none, or if there is no base or no table yet: then a queue that
 * needs it will not start.
 */
static int vk_dev_map_log(struct vk_dev *dev, u64 features, const struct vk_mem *mem,
			  struct vk_log **log)
{
	*log = NULL;
	if (!(features & BIT_ULL(VHOST_F_LOG_ALL)) || !dev->has_log_base || !mem)
		return 0;
	*log = vk_log_map(dev->log_base, mem);
	return PTR_ERR_OR_ZERO(*log);
}

/*
 * Gives each queue a memory table and a log, which may be NULL. Queues change over one
 * by one, between two requests of theirs. Return: 0, or -EINTR with some changed
 * over: the caller is being killed.
 */
static int vk_dev_set_views(struct vk_dev *dev, struct vk_mem *mem, struct vk_log *log)
{
	int err;
	u32 i;

	for (i = 0; i < dev->class->nvqs; i++) {
		err = vk_config_set_view(&dev->vqs[i], mem, log);
		if (err)
			return err;
	}
	return 0;
}

/* Return: 1 if a queue runs or drains, 0, -EINTR. */
int vk_dev_busy(struct vk_dev *dev)
{
	bool busy = false;
	u32 i;

	for (i = 0; i < dev->class->nvqs; i++) {
		struct vk_queue *q = &dev->vqs[i];

		if (mutex_lock_killable(&q->lock))
			return -EINTR;
		busy |= q->state != VK_STOPPED;
		mutex_unlock(&q->lock);
	}
	return busy;
}

/**
 * vk_dev_set_features() - VHOST_SET_FEATURES
 * @dev: device, dev->mutex held
 * @features: what the driver acknowledged
 *
 * Takes effect at a queue's next start, but for VHOST_F_LOG_ALL, which does at once.
 * Unlike mainline's vhost-net, which swaps the ring's layout under a running queue, we
 * refuse to change the others then.
 * Return: 0; -EOPNOTSUPP for unknown bits; -EBUSY; -EFAULT if queues run and there is
 * no log for them; as vk_log_map(); -EINTR.
 */
int vk_dev_set_features(struct vk_dev *dev, u64 features)
{
	u64 changed = features ^ dev->features;
	struct vk_log *log;
	int busy, err;

	if (features & ~(VK_CORE_FEATURES | dev->class->features))
		return -EOPNOTSUPP;
	busy = vk_dev_busy(dev);
	if (busy < 0)
		return busy;
	if (busy && changed & ~BIT_ULL(VHOST_F_LOG_ALL))
		return -EBUSY;
	if (changed & BIT_ULL(VHOST_F_LOG_ALL)) {
		err = vk_dev_map_log(dev, features, dev->mem, &log);
		if (err)
			return err;
		if (busy && features & BIT_ULL(VHOST_F_LOG_ALL) && !log)
			return -EFAULT;
		err = vk_dev_set_views(dev, dev->mem, log);
		vk_log_put(log);
		if (err)
			return err;
	}
	dev->features = features;
	return 0;
}

/**
 * vk_dev_set_mem() - VHOST_SET_MEM_TABLE: replace the table, also under load
 * @dev: device, dev->mutex held
 * @arg: struct vhost_memory
 *
 * When this returns nothing uses the old table, be it a request in flight.
 * Return: 0, or as vk_mem_copy_from_user() and vk_log_map(), or -EINTR with some queues
 * changed over: the caller is being killed.
 */
int vk_dev_set_mem(struct vk_dev *dev, const void __user *arg)
{
	struct vk_log *log;
	struct vk_mem *mem;
	int err;

	mem = vk_mem_copy_from_user(arg, dev->pins_mem);
	if (IS_ERR(mem))
		return PTR_ERR(mem);
	err = vk_dev_map_log(dev, dev->features, mem, &log);
	if (err)
		goto put_mem;
	err = vk_dev_set_views(dev, mem, log);
	vk_log_put(log);	/* the queues hold it now */
	swap(dev->mem, mem);
put_mem:
	vk_mem_put(mem);
	return err;
}

/**
 * vk_dev_set_log_base() - VHOST_SET_LOG_BASE: replace the bitmap, also under load
 * @dev: device, dev->mutex held
 * @base: of the bitmap, in the owner's memory
 *
 * Return: 0; as vk_log_map(), with the old one kept; -EINTR.
 */
int vk_dev_set_log_base(struct vk_dev *dev, u64 base)
{
	u64 old_base = dev->log_base;
	bool had_base = dev->has_log_base;
	struct vk_log *log;
	int err;

	if (base != (unsigned long)base ||
	    !access_ok((void __user *)(unsigned long)base, 1))
		return -EFAULT;
	dev->log_base = base;
	dev->has_log_base = true;
	err = vk_dev_map_log(dev, dev->features, dev->mem, &log);
	if (err) {
		dev->log_base = old_base;
		dev->has_log_base = had_base;
		return err;
	}
	if (log)
		err = vk_dev_set_views(dev, dev->mem, log);
	vk_log_put(log);
	return err;
}

/**
 * vk_dev_set_log_fd() - VHOST_SET_LOG_FD
 * @dev: device, dev->mutex held
 * @fd: eventfd, or VHOST_FILE_UNBIND to have none
 *
 * Queues change over one by one. Return: 0; -EBADF or -EINVAL for a bad fd, with the old
 * one kept, unless the owner closes the fd meanwhile; -EINTR.
 */
int vk_dev_set_log_fd(struct vk_dev *dev, int fd)
{
	int err = 0;
	u32 i;

	for (i = 0; i < dev->class->nvqs && !err; i++)
		err = vk_call_set(&dev->vqs[i], &dev->vqs[i].log_call, fd);
	return err;
}
