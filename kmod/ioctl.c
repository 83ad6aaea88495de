// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctl table: each call, who may make it, and what it is given.
 *
 * in:  ioctl(2) on /dev/vkick-*
 * out: calls into dev.c, config.c, kick.c, call.c, stats.c
 *
 * The argument is copied in once, here; handlers work on the copy. Calls that name
 * a queue start with its index, which is checked here too.
 */
#include <linux/fs.h>
#include <linux/nospec.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "vkick.h"

/* Arguments of fixed size, by the ioctl's own encoding. */
union vk_arg {
	u32 index;			/* first in all that name a queue */
	u64 features;
	struct vhost_vring_state state;
	struct vhost_vring_file file;
	struct vhost_vring_addr addr;
	struct vhost_worker_state worker;
	struct vhost_vring_worker vring_worker;
	u64 log_base;
	int fd;
};

enum vk_caller {
	VK_OWNER,		/* in the owner's address space, or EPERM */
	VK_ANYONE,
};

/*
 * One of the three is set. @dev and @queue get the copied argument, and what they
 * leave in it is copied back if @returns: the encoding of VHOST_GET_VRING_BUSYLOOP_TIMEOUT
 * does not say that it does. @raw does its own copying, for arguments whose size is part
 * of them, or where a failed copy must be undone. Context: process, dev->mutex held.
 */
struct vk_ioctl {
	unsigned int cmd;
	enum vk_caller caller;
	bool returns;
	int (*dev)(struct vk_dev *dev, union vk_arg *arg);
	int (*queue)(struct vk_queue *q, union vk_arg *arg);
	int (*raw)(struct vk_dev *dev, void __user *uarg);
};

/* Return: the queue, or NULL if there is none of this index. */
struct vk_queue *vk_ioctl_queue(struct vk_dev *dev, u32 index)
{
	if (index >= dev->class->nvqs)
		return NULL;
	return &dev->vqs[array_index_nospec(index, dev->class->nvqs)];
}

static int vk_ioctl_get_features(struct vk_dev *dev, union vk_arg *arg)
{
	arg->features = VK_CORE_FEATURES | dev->class->features;
	return 0;
}

static int vk_ioctl_set_features(struct vk_dev *dev, union vk_arg *arg)
{
	return vk_dev_set_features(dev, arg->features);
}

/* No backend features are defined for us yet, but clients ask. */
static int vk_ioctl_get_backend_features(struct vk_dev *dev, union vk_arg *arg)
{
	arg->features = 0;
	return 0;
}

static int vk_ioctl_set_backend_features(struct vk_dev *dev, union vk_arg *arg)
{
	return arg->features ? -EOPNOTSUPP : 0;
}

static int vk_ioctl_set_owner(struct vk_dev *dev, union vk_arg *arg)
{
	return vk_dev_set_owner(dev);
}

static int vk_ioctl_reset_owner(struct vk_dev *dev, union vk_arg *arg)
{
	return vk_dev_reset_owner(dev);
}

static int vk_ioctl_set_mem(struct vk_dev *dev, void __user *uarg)
{
	return vk_dev_set_mem(dev, uarg);
}

static int vk_ioctl_set_log_base(struct vk_dev *dev, union vk_arg *arg)
{
	return vk_dev_set_log_base(dev, arg->log_base);
}

static int vk_ioctl_set_log_fd(struct vk_dev *dev, union vk_arg *arg)
{
	return vk_dev_set_log_fd(dev, arg->fd);
}

static int vk_ioctl_new_worker(struct vk_dev *dev, void __user *uarg)
{
	struct vhost_worker_state __user *state = uarg;
	struct vk_worker *worker = vk_worker_create(dev);

	if (IS_ERR(worker))
		return PTR_ERR(worker);
	if (put_user(worker->id, &state->worker_id)) {
		vk_worker_free(dev, worker->id);
		return -EFAULT;
	}
	return 0;
}

static int vk_ioctl_free_worker(struct vk_dev *dev, union vk_arg *arg)
{
	return vk_worker_free(dev, arg->worker.worker_id);
}

static int vk_ioctl_attach_worker(struct vk_queue *q, union vk_arg *arg)
{
	return vk_worker_attach(q, arg->vring_worker.worker_id);
}

static int vk_ioctl_get_worker(struct vk_queue *q, union vk_arg *arg)
{
	arg->vring_worker.worker_id = vk_worker_id(q);
	return 0;
}

static int vk_ioctl_set_busyloop(struct vk_queue *q, union vk_arg *arg)
{
	return vk_config_set_busyloop(q, arg->state.num);
}

static int vk_ioctl_get_busyloop(struct vk_queue *q, union vk_arg *arg)
{
	return vk_config_get_busyloop(q, &arg->state.num);
}

static int vk_ioctl_set_num(struct vk_queue *q, union vk_arg *arg)
{
	return vk_config_set_num(q, arg->state.num);
}

static int vk_ioctl_set_base(struct vk_queue *q, union vk_arg *arg)
{
	return vk_config_set_base(q, arg->state.num);
}

static int vk_ioctl_get_base(struct vk_queue *q, union vk_arg *arg)
{
	return vk_config_get_base(q, &arg->state.num);
}

static int vk_ioctl_set_addr(struct vk_queue *q, union vk_arg *arg)
{
	return vk_config_set_addr(q, &arg->addr);
}

static int vk_ioctl_set_kick(struct vk_queue *q, union vk_arg *arg)
{
	return vk_kick_attach(q, arg->file.fd);
}

static int vk_ioctl_set_call(struct vk_queue *q, union vk_arg *arg)
{
	return vk_call_set(q, &q->call, arg->file.fd);
}

static int vk_ioctl_set_err(struct vk_queue *q, union vk_arg *arg)
{
	return vk_call_set(q, &q->err, arg->file.fd);
}

/*
 * vk_ioctl_copy_struct() - copy a struct that starts with its own size, as
 * <linux/vkick.h> says
 *
 * Return: 0, -EINVAL for a size that does not even hold @min bytes, -E2BIG,
 * -EFAULT.
 */
int vk_ioctl_copy_struct(void *dst, size_t ksize, size_t min, void __user *uarg)
{
	u32 usize;
	int err;

	if (get_user(usize, (u32 __user *)uarg))
		return -EFAULT;
	if (usize < min)
		return -EINVAL;
	if (usize > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(dst, ksize, uarg, usize);
	*(u32 *)dst = usize;	/* as checked, whatever was copied the second time */
	return err;
}

/* Gives back as much as the caller has room for; @size was its size field. */
static int vk_ioctl_return_struct(void __user *uarg, void *src, size_t ksize,
				  u32 size)
{
	size_t n = min_t(size_t, ksize, size);

	*(u32 *)src = n;
	return copy_to_user(uarg, src, n) ? -EFAULT : 0;
}

static int vk_ioctl_get_info(struct vk_dev *dev, void __user *uarg)
{
	struct vkick_info info = {};
	int err;

	err = vk_ioctl_copy_struct(&info, sizeof(info), sizeof(info.size), uarg);
	if (err)
		return err;
	info.abi_version = VKICK_ABI_VERSION;
	info.device_id = dev->class->device_id;
	info.nvqs = dev->class->nvqs;
	info.max_queue_size = VRING_MAX_NUM;
	info.max_regions = VK_MAX_REGIONS;
	info.max_chain = VK_MAX_CHAIN;
	info.reserved = 0;
	strscpy(info.class_name, dev->class->name, sizeof(info.class_name));
	return vk_ioctl_return_struct(uarg, &info, sizeof(info), info.size);
}

static int vk_ioctl_get_stats(struct vk_dev *dev, void __user *uarg)
{
	struct vkick_stats stats = {};
	struct vk_queue *q;
	u32 size;
	int err;

	err = vk_ioctl_copy_struct(&stats, sizeof(stats),
				   offsetofend(struct vkick_stats, index), uarg);
	if (err)
		return err;
	q = vk_ioctl_queue(dev, stats.index);
	if (!q)
		return -ENOBUFS;
	size = stats.size;
	err = vk_stats_get(q, &stats);
	if (err)
		return err;
	return vk_ioctl_return_struct(uarg, &stats, sizeof(stats), size);
}

/* All or none: a start that fails stops those that this call started. */
static int vk_ioctl_start_all(struct vk_dev *dev)
{
	DECLARE_BITMAP(started, VK_MAX_QUEUES) = {};
	int ret;
	u32 i;

	for (i = 0; i < dev->class->nvqs; i++) {
		ret = vk_queue_start(&dev->vqs[i]);
		if (ret < 0)
			goto stop;
		if (ret)
			__set_bit(i, started);
	}
	return 0;

stop:
	for_each_set_bit(i, started, VK_MAX_QUEUES)
		vk_queue_stop(&dev->vqs[i]);
	return ret;
}

static int vk_ioctl_stop_all(struct vk_dev *dev)
{
	int err = 0;
	u32 i;

	for (i = 0; i < dev->class->nvqs && !err; i++)
		err = vk_queue_stop(&dev->vqs[i]);
	return err;
}

static int vk_ioctl_set_running(struct vk_dev *dev, void __user *uarg)
{
	struct vkick_running arg = {};
	struct vk_queue *q;
	int err;

	err = vk_ioctl_copy_struct(&arg, sizeof(arg),
				   offsetofend(struct vkick_running, running), uarg);
	if (err)
		return err;
	if (arg.reserved)
		return -EOPNOTSUPP;
	if (arg.running > 1)
		return -EINVAL;
	if (arg.index == VKICK_ALL_QUEUES)
		return arg.running ? vk_ioctl_start_all(dev) : vk_ioctl_stop_all(dev);
	q = vk_ioctl_queue(dev, arg.index);
	if (!q)
		return -ENOBUFS;
	return arg.running ? min(vk_queue_start(q), 0) : vk_queue_stop(q);
}

static const struct vk_ioctl vk_ioctls[] = {
	{ VHOST_GET_FEATURES, VK_ANYONE, .dev = vk_ioctl_get_features,
	  .returns = true },
	{ VHOST_GET_BACKEND_FEATURES, VK_ANYONE, .dev = vk_ioctl_get_backend_features,
	  .returns = true },
	{ VKICK_GET_INFO, VK_ANYONE, .raw = vk_ioctl_get_info },
	/* The first to come becomes the owner. */
	{ VHOST_SET_OWNER, VK_ANYONE, .dev = vk_ioctl_set_owner },

	{ VHOST_RESET_OWNER, VK_OWNER, .dev = vk_ioctl_reset_owner },
	{ VHOST_SET_FEATURES, VK_OWNER, .dev = vk_ioctl_set_features },
	{ VHOST_SET_BACKEND_FEATURES, VK_OWNER, .dev = vk_ioctl_set_backend_features },
	{ VHOST_SET_MEM_TABLE, VK_OWNER, .raw = vk_ioctl_set_mem },
	{ VHOST_SET_LOG_BASE, VK_OWNER, .dev = vk_ioctl_set_log_base },
	{ VHOST_SET_LOG_FD, VK_OWNER, .dev = vk_ioctl_set_log_fd },
	{ VHOST_NEW_WORKER, VK_OWNER, .raw = vk_ioctl_new_worker },
	{ VHOST_FREE_WORKER, VK_OWNER, .dev = vk_ioctl_free_worker },
	{ VHOST_ATTACH_VRING_WORKER, VK_OWNER, .queue = vk_ioctl_attach_worker },
	{ VHOST_GET_VRING_WORKER, VK_OWNER, .queue = vk_ioctl_get_worker,
	  .returns = true },
	{ VHOST_SET_VRING_NUM, VK_OWNER, .queue = vk_ioctl_set_num },
	{ VHOST_SET_VRING_ADDR, VK_OWNER, .queue = vk_ioctl_set_addr },
	{ VHOST_SET_VRING_BASE, VK_OWNER, .queue = vk_ioctl_set_base },
	{ VHOST_GET_VRING_BASE, VK_OWNER, .queue = vk_ioctl_get_base,
	  .returns = true },
	{ VHOST_SET_VRING_BUSYLOOP_TIMEOUT, VK_OWNER, .queue = vk_ioctl_set_busyloop },
	{ VHOST_GET_VRING_BUSYLOOP_TIMEOUT, VK_OWNER, .queue = vk_ioctl_get_busyloop,
	  .returns = true },
	{ VHOST_SET_VRING_KICK, VK_OWNER, .queue = vk_ioctl_set_kick },
	{ VHOST_SET_VRING_CALL, VK_OWNER, .queue = vk_ioctl_set_call },
	{ VHOST_SET_VRING_ERR, VK_OWNER, .queue = vk_ioctl_set_err },
	{ VKICK_SET_RUNNING, VK_OWNER, .raw = vk_ioctl_set_running },
	{ VKICK_GET_STATS, VK_OWNER, .raw = vk_ioctl_get_stats },
};

static const struct vk_ioctl *vk_ioctl_find(unsigned int cmd)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(vk_ioctls); i++)
		if (vk_ioctls[i].cmd == cmd)
			return &vk_ioctls[i];
	return NULL;
}

static int vk_ioctl_call(struct vk_dev *dev, const struct vk_ioctl *call,
			 void __user *uarg)
{
	size_t size = _IOC_SIZE(call->cmd);
	union vk_arg arg = {};
	struct vk_queue *q;
	int err;

	if (call->raw)
		return call->raw(dev, uarg);

	if (_IOC_DIR(call->cmd) & _IOC_WRITE && copy_from_user(&arg, uarg, size))
		return -EFAULT;
	if (call->queue) {
		q = vk_ioctl_queue(dev, arg.index);
		if (!q)
			return -ENOBUFS;
		err = call->queue(q, &arg);
	} else {
		err = call->dev(dev, &arg);
	}
	if (!err && call->returns && copy_to_user(uarg, &arg, size))
		return -EFAULT;
	return err;
}

static const struct vk_class_ioctl *vk_ioctl_find_class(const struct vk_class *class,
							unsigned int cmd)
{
	const struct vk_class_ioctl *own;

	for (own = class->ioctls; own && own->fn; own++)
		if (own->cmd == cmd)
			return own;
	return NULL;
}

/**
 * vk_ioctl() - the file operation
 * @file: of a vkick node
 * @cmd: ioctl
 * @uarg: its argument
 *
 * Return: 0, or an errno as <linux/vkick.h> lists them.
 */
long vk_ioctl(struct file *file, unsigned int cmd, unsigned long uarg)
{
	const struct vk_ioctl *call = vk_ioctl_find(cmd);
	const struct vk_class_ioctl *own = NULL;
	struct vk_dev *dev = file->private_data;
	int err;

	if (!call)
		own = vk_ioctl_find_class(dev->class, cmd);
	if (!call && !own)
		return -ENOTTY;
	if (mutex_lock_killable(&dev->mutex))
		return -EINTR;
	if ((own || call->caller == VK_OWNER) && (!dev->mm || dev->mm != current->mm))
		err = -EPERM;
	else if (own)
		err = own->fn(dev, (void __user *)uarg);
	else
		err = vk_ioctl_call(dev, call, (void __user *)uarg);
	mutex_unlock(&dev->mutex);
	return err;
}
