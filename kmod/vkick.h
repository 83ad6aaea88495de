/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vkick's objects, who owns them, which lock guards what, and what each file offers.
 *
 * Objects and lifetimes
 *
 *   struct vk_dev	one open file of /dev/vkick-<class>. Made by open(), freed
 *			by the last close(). Owned by nobody until
 *			VHOST_SET_OWNER, then by the caller's address space until
 *			VHOST_RESET_OWNER or close().
 *   struct vk_queue	one virtqueue, embedded in its device.
 *   struct vk_worker	one thread that serves queues. Made by SET_OWNER, stopped
 *			when the owner goes. Queues reach it through a pointer.
 *   struct vk_mem	the owner's memory table. Immutable; each queue holds
 *			a reference, the last put frees it.
 *   struct vk_kick	the tie from a kick eventfd's wait queue to its queue. Holds
 *			the eventfd's file, so that the wait queue outlives the tie.
 *
 * Construction publishes last; destruction cannot fail.
 *
 * Lock order (outer first)
 *
 *   dev->mutex		serialises the ioctls of one device
 *     queue->lock	one pass of the worker, or a change of the queue's state;
 *			the worker takes no other lock of ours. Held across user
 *			access, so it may wait for a page fault: everyone but
 *			the worker and close() waits for it killably.
 *       eventfd's wqh.lock	inside the eventfd code, when we signal it
 *   eventfd's wqh.lock	held by whoever signals a kick, irqs off, around
 *			vk_kick_wakeup(), which takes no lock.
 *
 * Legend of the fields below: who may touch them
 *
 *   [C] constant from construction to the end
 *   [D] under dev->mutex
 *   [Q] under queue->lock
 *   [K] under the wqh.lock of the attached kick eventfd
 *   [A] any context, atomically
 *
 * The stop guarantee. When vk_queue_stop() returns, no request of the queue is in
 * flight, no guest byte is written, no eventfd is signalled any more, and ->base
 * is exact. It holds since all of these happen inside a pass, a pass holds
 * queue->lock and begins with a look at ->running, and stop clears ->running under
 * the same lock.
 */
#ifndef VKICK_H
#define VKICK_H

#include <linux/eventfd.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/types.h>
#include <linux/uio.h>
#include <linux/vhost.h>
#include <linux/wait.h>

#include <linux/vkick.h>

#include "../ring/vring.h"
#include "mem.h"

/* Virtqueues of one device, at most. */
#define VK_MAX_QUEUES		64

/* Data descriptors in one chain: as many as readv(2) takes, and as mainline's vhost. */
#define VK_MAX_CHAIN		1024

/*
 * A pass ends after this much work, and the queue goes to the end of its
 * worker's list, so that no guest starves a sibling queue.
 */
#define VK_BUDGET_REQUESTS	256
#define VK_BUDGET_BYTES		(512 * 1024)

/* Features of the core; a class adds its own. */
#define VK_CORE_FEATURES	(BIT_ULL(VIRTIO_F_VERSION_1) | \
				 BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) | \
				 BIT_ULL(VIRTIO_RING_F_EVENT_IDX) | \
				 BIT_ULL(VIRTIO_F_RING_PACKED) | \
				 BIT_ULL(VIRTIO_F_IN_ORDER))

struct vk_dev;
struct vk_queue;
struct vk_worker;
struct vk_task;
struct dentry;

/**
 * struct vk_req - one request, from pop to push
 * @chain: as the ring engine popped it
 * @iov: its segments in the owner's memory, readable ones first
 * @out: what the driver gives us to read
 * @in: what it gives us to write
 * @written: set by the class: bytes written from the start of @in
 */
struct vk_req {
	struct vring_chain chain;
	struct iovec *iov;
	struct iov_iter out;
	struct iov_iter in;
	u32 written;
};

/**
 * struct vk_class - a device class
 * @name: of the node, /dev/vkick-<name>
 * @device_id: virtio device ID (VIRTIO 1.2, section 5), 0 if it has none
 * @nvqs: virtqueues of a device, up to VK_MAX_QUEUES
 * @features: offered beyond VK_CORE_FEATURES
 * @open: optional; make dev->priv. Context: open(2). Return: 0 or -errno
 * @release: optional; undo @open. No queue runs, and none will
 * @serve: do one request, and set req->written. Context: worker, owner's mm,
 *	queue->lock held; may fault and sleep. Return: 0, or -errno for a request
 *	that breaks the queue; what the class's protocol has a status for is not
 *	an error here
 */
struct vk_class {
	const char *name;
	u32 device_id;
	u32 nvqs;
	u64 features;
	int (*open)(struct vk_dev *dev);
	void (*release)(struct vk_dev *dev);
	int (*serve)(struct vk_queue *q, struct vk_req *req);
};

/* Step 2: ties a kick eventfd to its queue. */
struct vk_kick {
	struct file *file;		/* [D] the eventfd, NULL if detached */
	wait_queue_head_t *wqh;		/* [D] of the eventfd */
	wait_queue_entry_t wait;	/* on wqh while file is set */
	poll_table pt;			/* [D] used at attachment alone */
};

/* Exported as struct vkick_stats, where each is explained. */
struct vk_stats {
	u64 kicks;			/* [K] */
	u64 passes;			/* [Q] and all below */
	u64 requests;
	u64 bytes_in;
	u64 bytes_out;
	u64 calls;
	u64 calls_suppressed;
	u64 rechecks;
	u64 budget_exhausted;
	u64 kick_to_used_ns[VKICK_HIST_BUCKETS];
};

struct vk_queue {
	struct vk_dev *dev;		/* [C] */
	u32 index;			/* [C] in dev->vqs */
	struct mutex lock;		/* see the lock order above */

	/* Runnable: on worker->runnable from the bit's setting to its clearing. */
	struct vk_worker *worker;	/* [D] while detached from kicks and stopped */
	struct llist_node node;
	unsigned long flags;		/* [A] VK_QUEUE_RUNNABLE */
	u64 runnable_since;		/* by whom set the bit; read once it is cleared */

	struct vk_kick kick;
	struct eventfd_ctx *call;	/* [Q] NULL: the driver polls */
	struct eventfd_ctx *err;	/* [Q] signalled when the queue breaks */

	/* Configuration, see config.c. */
	bool has_addr;			/* [Q] */
	u32 num;			/* [Q] 0: not set */
	bool has_base;			/* [Q] */
	u32 base;			/* [Q] where to start; valid while stopped */
	struct vhost_vring_addr addr;	/* [Q] */

	/* What a pass works on. */
	bool running;			/* [Q] */
	int error;			/* [Q] 0, or the -errno that broke it */
	struct vk_memview view;		/* [Q] view.mem NULL: no table yet */
	struct vring_dev vring;		/* [Q] laid out while running */
	struct vk_req req;		/* [Q] */

	struct vk_stats stats;
};

#define VK_QUEUE_RUNNABLE	0

struct vk_worker {
	struct vk_dev *dev;		/* [C] */
	struct vk_task *task;		/* [C] the thread, see compat.h */
	struct llist_head runnable;	/* [A] queues to run */
	bool killed;			/* [A] the thread ended with its owner */
};

struct vk_dev {
	const struct vk_class *class;	/* [C] */
	void *priv;			/* [C] the class's own */
	struct dentry *debugfs;		/* [C] */
	int id;				/* [C] names the device in debugfs and traces */

	struct mutex mutex;		/* see the lock order above */
	struct mm_struct *mm;		/* [D] the owner; NULL: none. mm_count held */
	pid_t owner_pid;		/* [D] for people to read */
	u64 kcov_handle;		/* [D] whose coverage the worker adds to */
	u64 features;			/* [D] acknowledged by SET_FEATURES */
	struct vk_worker *worker;	/* [D] */

	struct vk_queue vqs[];		/* [C] class->nvqs of them */
};

/* null.c, rng.c */
extern const struct vk_class vk_null_class;
extern const struct vk_class vk_rng_class;

/* dev.c. Context: process */
int vk_dev_open(const struct vk_class *class, struct file *file);
int vk_dev_release(struct inode *inode, struct file *file);
int vk_dev_set_owner(struct vk_dev *dev);
int vk_dev_reset_owner(struct vk_dev *dev);
int vk_dev_set_features(struct vk_dev *dev, u64 features);
int vk_dev_set_mem(struct vk_dev *dev, const void __user *arg);

/* ioctl.c. Context: process */
long vk_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* config.c: ioctls of one queue. Context: process, dev->mutex held */
int vk_config_set_num(struct vk_queue *q, u32 num);
int vk_config_set_base(struct vk_queue *q, u32 base);
int vk_config_get_base(struct vk_queue *q, u32 *base);
int vk_config_set_addr(struct vk_queue *q, const struct vhost_vring_addr *addr);
int vk_queue_start(struct vk_queue *q);
int vk_queue_stop(struct vk_queue *q);
void vk_queue_reset(struct vk_queue *q);

/* kick.c. Context: process, dev->mutex held */
int vk_kick_attach(struct vk_queue *q, int fd);
void vk_kick_detach(struct vk_queue *q);

/* call.c. set: process, dev->mutex held. signal: queue->lock held */
int vk_call_set(struct vk_queue *q, struct eventfd_ctx **slot, int fd);
void vk_call_signal(struct vk_queue *q);
void vk_call_signal_err(struct vk_queue *q);

/* worker.c. create, stop: process, dev->mutex held. wake: any, irqs off too */
struct vk_worker *vk_worker_create(struct vk_dev *dev);
void vk_worker_stop(struct vk_worker *worker);
void vk_worker_wake(struct vk_queue *q);

/* queue.c. Context: worker, owner's mm */
void vk_queue_run(struct vk_queue *q, u64 runnable_since);

/* stats.c. Context: process */
int vk_stats_get(struct vk_queue *q, struct vkick_stats *stats);
void vk_stats_add_dev(struct vk_dev *dev);
void vk_stats_remove_dev(struct vk_dev *dev);
void vk_stats_init(void);
void vk_stats_exit(void);

#endif
