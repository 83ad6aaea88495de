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
 *   struct vk_worker	one thread that serves queues. Made by SET_OWNER and
 *			NEW_WORKER, ended by FREE_WORKER or when the owner goes.
 *			Queues reach it through an RCU pointer; it is stopped a
 *			grace period after the last of these is gone.
 *   struct vk_req	one request. A queue has an array of them from its first
 *			start to the owner's end; one belongs to the class from
 *			serve() until it returns, or until vk_req_done().
 *   struct vk_mem	the owner's memory table. Immutable but for the pins that it may
 *			have; each queue holds a reference, the last put frees it.
 *   struct vk_log	the dirty log's bitmap, mapped. Likewise.
 *   struct vk_blk	a disk, of a device of class blk; see blk.h.
 *   struct vk_net	a pair of queues of a NIC, and what they send to and receive
 *			from, of a device of class net; see net.h.
 *   struct vk_console	ports, and the files that they read from and write to, of a
 *			device of class console; see console.h.
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
 *			the worker and close() waits for it killably. Of two, both
 *			of a console's port, that to receive is the outer one.
 *       a regular file's f_pos_lock, and its file system's freeze protection in that, of
 *				a console's port; both only if they are free
 *       eventfd's wqh.lock	inside the eventfd code, when we signal it
 *       queue->settled.lock	inside the wait-queue code
 *       owner's mmap_lock	inside user access, and as a dirty log or a pinned memory
 *				table is made or freed
 *   eventfd's wqh.lock	held by whoever signals a kick, irqs off, around
 *			vk_kick_wakeup(), which takes no lock. A socket's wait queue
 *			likewise, around vk_net_wakeup(), and those of a console's
 *			files, around vk_console_wakeup().
 *
 * Legend of the fields below: who may touch them
 *
 *   [C] constant from construction to the end
 *   [D] under dev->mutex
 *   [Q] under queue->lock
 *   [W] the worker's thread alone
 *   [K] under the wqh.lock of the attached kick eventfd
 *   [A] any context, atomically
 *   [R] written under dev->mutex, read under RCU
 *
 * A queue's life: VK_STOPPED -> VK_RUNNING by vk_queue_start(); by a stop or an error
 * -> VK_DRAINING while the class has requests of it, which are handed to the driver
 * as they complete; -> VK_STOPPED when it has none.
 *
 * The stop guarantee. When vk_queue_stop() returns, no request of the queue is in
 * flight, no guest byte is written, no eventfd is signalled any more, and ->base
 * is exact. It holds since guest memory is written and eventfds are signalled in a
 * pass or by the class for a request; a pass holds queue->lock and begins with a
 * look at ->state; and stop, under the same lock, waits until ->state is VK_STOPPED,
 * which it becomes with the last request's end. A call that is owed (hold.c) is made by
 * whoever ends the watch, under that lock too: by the stop itself, before it waits.
 */
#ifndef VKICK_H
#define VKICK_H

#include <linux/eventfd.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/rcupdate.h>
#include <linux/types.h>
#include <linux/uio.h>
#include <linux/vhost.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include <linux/vkick.h>

#include "../ring/vring.h"
#include "../ring/vring_coalesce.h"
#include "../ring/vring_latency.h"
#include "../ring/vring_poll.h"
#include "log.h"
#include "mem.h"

/* Virtqueues of one device, at most. */
#define VK_MAX_QUEUES		64

/* Data descriptors in one chain: as many as readv(2) takes, and as mainline's vhost. */
#define VK_MAX_CHAIN		1024

/* Workers of one device, at most. */
#define VK_MAX_WORKERS		128

/*
 * What the class has at a time, of one queue: requests, at most this and the queue's
 * size; and memory held for them, exceeded by one request at most.
 */
#define VK_MAX_IN_FLIGHT	1024
#define VK_MAX_HELD_BYTES	(64U << 20)

/*
 * A pass ends after this much work, and the queue goes to the end of its worker's
 * list, so that no guest starves a sibling queue. While siblings wait, a turn is
 * short: one that has but a request at a time gets its share as well.
 */
#define VK_BUDGET_REQUESTS	256
#define VK_BUDGET_BYTES		(512 * 1024)
#define VK_TURN_REQUESTS	16
#define VK_TURN_BYTES		(64 * 1024)

/* Features of the core; a class adds its own. */
#define VK_CORE_FEATURES	(BIT_ULL(VIRTIO_F_VERSION_1) | \
				 BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) | \
				 BIT_ULL(VIRTIO_RING_F_EVENT_IDX) | \
				 BIT_ULL(VIRTIO_F_RING_PACKED) | \
				 BIT_ULL(VIRTIO_F_IN_ORDER) | \
				 BIT_ULL(VHOST_F_LOG_ALL))

struct vk_dev;
struct vk_queue;
struct vk_worker;
struct vk_task;
struct dentry;

/**
 * struct vk_req - one request, from pop to push
 * @q: its queue
 * @token: of its chain
 * @stamp: when it was popped, if it is one that is measured
 * @error: 0, or -errno that breaks the queue; set by vk_req_done()
 * @out: what the driver gives us to read. As @in, for serve() alone: the iovecs
 *	behind them are the next request's afterwards
 * @in: what it gives us to write
 * @written: set by the class: bytes written from the start of @in
 * @touched: set by the class if more than that may have been written, as @written;
 *	for the dirty log
 * @held_bytes: set by the class in serve(), if it holds memory for the request
 * @done: [A] on q->done from vk_req_done() until the worker takes it off
 * @next: [Q] on q->free, which is used like a stack
 * @link: [Q] on q->in_order, in flight with IN_ORDER
 * @complete: [Q] with IN_ORDER: only those before it keep it from the driver
 * @log_segs: [Q] where in guest memory @in is; NULL if writes are not logged
 */
struct vk_req {
	struct vk_queue *q;
	struct vring_token token;
	struct vring_stamp stamp;
	int error;
	u32 written;
	u32 touched;
	u32 held_bytes;
	struct iov_iter out;
	struct iov_iter in;
	struct llist_node done;
	struct vk_req *next;
	struct list_head link;
	bool complete;
	struct vring_seg *log_segs;
};

/**
 * struct vk_budget - what a pass has done, of what it may do
 * @queue: whose pass it is
 * @worker: whose turn
 * @plug: requests are submitted under it; NULL: there is none
 * @requests: served
 * @bytes: read and written for them
 */
struct vk_budget {
	struct vk_queue *queue;
	struct vk_worker *worker;
	struct blk_plug *plug;
	u32 requests;
	u64 bytes;
};

/**
 * enum vk_drained - why a drain ended, if not by an error
 * @VK_DRAINED: the ring is empty, or all requests are in flight
 * @VK_DRAIN_SPENT: the budget is used up
 * @VK_DRAIN_WAITS: for the backend, which wakes the queue: no kick is wanted
 * @VK_DRAIN_SHORT: as VK_DRAINED, for chains that are there but are too few. They are
 *	popped still, so that a kick is asked for at the next one, until @put_back
 */
enum vk_drained {
	VK_DRAINED,
	VK_DRAIN_SPENT,
	VK_DRAIN_WAITS,
	VK_DRAIN_SHORT,
};

/**
 * struct vk_class_ioctl - an ioctl of one class alone
 * @cmd: if it is one of ours, its argument is a struct that starts with its size
 * @fn: does it. Context: process of the owner, dev->mutex held. Return: 0 or -errno
 */
struct vk_class_ioctl {
	unsigned int cmd;
	int (*fn)(struct vk_dev *dev, void __user *uarg);
};

/**
 * struct vk_class - a device class
 * @name: of the node, /dev/vkick-<name>
 * @device_id: virtio device ID (VIRTIO 1.2, section 5), 0 if it has none
 * @nvqs: virtqueues of a device, up to VK_MAX_QUEUES
 * @features: offered beyond VK_CORE_FEATURES
 * @plugs: requests become bios, so they are submitted under a plug
 * @req_bytes: size of the class's request, which starts with a struct vk_req; 0: the
 *	class completes each request in @serve, and one struct vk_req is enough
 * @open: optional; make dev->priv. Context: open(2). Return: 0 or -errno
 * @release: optional; undo @open. No queue runs, and none will
 * @disown: optional; forget what the owner set. No queue runs
 * @orphan: optional; the owner died, and a worker of it with it. Context: that worker, or
 *	what is left of it; must not wait for it
 * @ioctls: optional; the class's own, up to one with @fn NULL
 * @start: optional; a queue of it is to start. Return: 0 or -errno, and then it does not
 * @req_init: with @req_bytes: prepare a request's memory, once
 * @req_exit: undo @req_init; the class has done with the request, but the context
 *	that called vk_req_done() may not have returned yet
 * @serve: do one request, and set req->written. Context: worker, owner's mm,
 *	queue->lock held; may fault and sleep. Return: 0 when it is done;
 *	-EIOCBQUEUED if vk_req_done() will tell (classes with @req_bytes); another
 *	-errno for a request that breaks the queue. What the class's protocol has
 *	a status for is not an error here
 * @finish: optional; what is left to do of a request once vk_req_done() told: only here
 *	may guest memory be touched. Context and return: as @serve
 * @discard: with @finish: let go of what @finish would have; the driver gets nothing.
 *	Context: process, without the owner's mm
 * @drain: for a class whose backend has a say in when it works, in place of @serve: pop,
 *	do and vk_queue_push(), with vk_queue_flush_batch() before each request, until
 *	@budget is spent. Backends may wake its queues
 *	until @disown. Context: as @serve. Return: enum vk_drained or -errno
 * @put_back: with @drain: unpop what VK_DRAIN_SHORT left. Context: as @serve
 * @has_work: with @drain: whether @drain would find something to do, for who polls. One
 *	that says yes has to get on, or to return VK_DRAIN_SHORT. Context: as @serve
 */
struct vk_class {
	const char *name;
	u32 device_id;
	u32 nvqs;
	u64 features;
	bool plugs;
	size_t req_bytes;
	int (*open)(struct vk_dev *dev);
	void (*release)(struct vk_dev *dev);
	void (*disown)(struct vk_dev *dev);
	void (*orphan)(struct vk_dev *dev);
	const struct vk_class_ioctl *ioctls;
	int (*start)(struct vk_queue *q);
	void (*req_init)(struct vk_req *req);
	void (*req_exit)(struct vk_req *req);
	int (*serve)(struct vk_queue *q, struct vk_req *req);
	int (*finish)(struct vk_queue *q, struct vk_req *req);
	void (*discard)(struct vk_req *req);
	int (*drain)(struct vk_queue *q, struct vk_budget *budget);
	void (*put_back)(struct vk_queue *q);
	bool (*has_work)(struct vk_queue *q);
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
	u64 poll_hits;
	u64 poll_misses;
	u64 dropped;
	u64 calls_held;
	u64 calls_in_vain;
};

/* Busy polling, see poll.c. */
struct vk_poll {
	u32 timeout_us;			/* [Q] as the owner set it; 0: as wake-ups take */
	u32 wakeup_ns;			/* [Q] how long the worker's wake-ups for it take */
	bool active;			/* [Q] the worker watches the queue */
	u64 window_ns;			/* [Q] for how long, the next time */
	bool idle;			/* [Q] the last pass found nothing more */
	u64 idle_since;			/* [Q] local_clock() of when that began */
	bool many;			/* [Q] the last requests that ended it came together */
};

enum vk_queue_state {
	VK_STOPPED,
	VK_RUNNING,
	VK_DRAINING,
};

struct vk_queue {
	struct vk_dev *dev;		/* [C] */
	u32 index;			/* [C] in dev->vqs */
	struct mutex lock;		/* see the lock order above */

	/* Runnable: on worker->runnable from the bit's setting to its clearing. */
	struct vk_worker __rcu *worker;	/* [R] NULL: no owner, nobody serves it */
	struct llist_node node;
	unsigned long flags;		/* [A] VK_QUEUE_RUNNABLE */
	u64 runnable_since;		/* by whom set the bit; read once it is cleared */

	struct vk_kick kick;
	struct eventfd_ctx *call;	/* [Q] NULL: the driver polls */
	struct eventfd_ctx *err;	/* [Q] signalled when the queue breaks */
	struct eventfd_ctx *log_call;	/* [Q] signalled when the log has news */

	/* Configuration, see config.c. */
	bool has_addr;			/* [Q] */
	bool has_base;			/* [Q] */
	u32 num;			/* [Q] 0: not set */
	u32 base;			/* [Q] where to start; valid while stopped */
	struct vhost_vring_addr addr;	/* [Q] */

	/* What a pass works on. */
	enum vk_queue_state state;	/* [Q] */
	int error;			/* [Q] 0, or the -errno that broke it */
	struct vk_memview view;		/* [Q] view.mem NULL: no table yet */
	struct vk_log *log;		/* [Q] NULL: writes are not logged */
	struct vring_dev vring;		/* [Q] laid out unless stopped */
	struct vring_chain chain;	/* [Q] room for the largest, with... */
	struct iovec *iov;		/* [Q] ...its segments in the owner's memory: */
	u32 nr_out_iov;			/* [Q] first those that we read */
	u32 nr_in_iov;			/* [Q] then those that we write */
	struct vk_poll poll;
	struct vring_coalesce held;	/* [Q] a call that is held back, see hold.c */
	u64 decided;			/* [Q] stats.requests at the last decision on a call */

	/* Requests, see req.c. */
	void *reqs;			/* [Q] the array of them */
	u32 nr_reqs;			/* [Q] */
	u32 in_flight;			/* [Q] with the class, or held back by IN_ORDER */
	u64 held_bytes;			/* [Q] by those */
	struct vk_req *free;		/* [Q] those that are not */
	struct list_head in_order;	/* [Q] with IN_ORDER: in flight, oldest first */
	struct llist_head done;		/* [A] completed, not yet seen by the worker */
	bool collecting;		/* [A] set by a pass: it looks at done again */
	wait_queue_head_t settled;	/* for who waits until in_flight is 0 */

	struct vk_stats stats;
	struct vring_latency latency;	/* [Q] */
};

#define VK_QUEUE_RUNNABLE	0

struct vk_worker {
	struct vk_dev *dev;		/* [C] */
	u32 id;				/* [C] in dev->workers */
	struct vk_task *task;		/* [C] the thread, see compat.h */
	struct llist_head runnable;	/* [A] queues to run */
	bool had_queues;		/* [D] somebody may be about to wake it */
	bool others_wait;		/* [W] queues of the present round are left */
	bool polls;			/* [W] some queue may be watched, see poll.c */
	bool slept;			/* [W] since it ran a queue */
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
	u64 kcov_handle;		/* [D] whose coverage the workers add to */
	u64 features;			/* [D] acknowledged by SET_FEATURES */
	bool pins_mem;			/* [D] memory tables to come are pinned */
	struct vk_mem *mem;		/* [D] what new logs are made for */
	u64 log_base;			/* [D] of the bitmap, in the owner's memory */
	bool has_log_base;		/* [D] */
	struct xarray workers;		/* [D] by id */
	struct rcu_head rcu;		/* frees it, at the very end */

	struct vk_queue vqs[];		/* [C] class->nvqs of them */
};

/* null.c, rng.c, blk.c, net.c, console.c */
extern const struct vk_class vk_null_class;
extern const struct vk_class vk_rng_class;
extern const struct vk_class vk_blk_class;
extern const struct vk_class vk_net_class;
extern const struct vk_class vk_console_class;

/* dev.c. Context: process; dev->mutex held but for open and release */
int vk_dev_open(const struct vk_class *class, struct file *file);
int vk_dev_release(struct inode *inode, struct file *file);
int vk_dev_set_owner(struct vk_dev *dev);
int vk_dev_reset_owner(struct vk_dev *dev);
int vk_dev_set_features(struct vk_dev *dev, u64 features);
int vk_dev_set_mem(struct vk_dev *dev, const void __user *arg);
int vk_dev_set_log_base(struct vk_dev *dev, u64 base);
int vk_dev_set_log_fd(struct vk_dev *dev, int fd);
int vk_dev_busy(struct vk_dev *dev);

/* ioctl.c. Context: process */
long vk_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
int vk_ioctl_copy_struct(void *dst, size_t ksize, size_t min, void __user *uarg);
struct vk_queue *vk_ioctl_queue(struct vk_dev *dev, u32 index);

/* config.c: ioctls of one queue. Context: process, dev->mutex held */
int vk_config_set_num(struct vk_queue *q, u32 num);
int vk_config_set_base(struct vk_queue *q, u32 base);
int vk_config_get_base(struct vk_queue *q, u32 *base);
int vk_config_set_addr(struct vk_queue *q, const struct vhost_vring_addr *addr);
int vk_config_set_busyloop(struct vk_queue *q, u32 timeout_us);
int vk_config_get_busyloop(struct vk_queue *q, u32 *timeout_us);
int vk_config_set_view(struct vk_queue *q, struct vk_mem *mem, struct vk_log *log);
int vk_config_lay_ring(struct vk_queue *q, struct vring_dev *vring,
		       const struct vhost_vring_addr *addr, u32 base);
u32 vk_config_base(const struct vk_queue *q);

/* start.c: start, stop and end of one queue. Context: process, dev->mutex held */
int vk_queue_start(struct vk_queue *q);
int vk_queue_stop(struct vk_queue *q);
int vk_queue_quiesce(struct vk_queue *q);
void vk_queue_settle(struct vk_queue *q);
void vk_queue_reset(struct vk_queue *q);

/* kick.c. Context: process, dev->mutex held */
int vk_kick_attach(struct vk_queue *q, int fd);
void vk_kick_detach(struct vk_queue *q);

/* call.c. set: process, dev->mutex held. signal: queue->lock held */
int vk_call_set(struct vk_queue *q, struct eventfd_ctx **slot, int fd);
void vk_call_signal(struct vk_queue *q);
void vk_call_signal_err(struct vk_queue *q);

/* worker.c. wake: any, irqs off too. Others: process, dev->mutex held */
struct vk_worker *vk_worker_create(struct vk_dev *dev);
int vk_worker_free(struct vk_dev *dev, u32 id);
int vk_worker_attach(struct vk_queue *q, u32 id);
u32 vk_worker_id(struct vk_queue *q);
void vk_worker_stop_all(struct vk_dev *dev);
bool vk_worker_gone(struct vk_queue *q);
void vk_worker_wake(struct vk_queue *q);

/* queue.c. Context: worker, owner's mm; locked: queue->lock held */
void vk_queue_run(struct vk_queue *q, struct vk_worker *worker, u64 runnable_since);
void vk_queue_run_locked(struct vk_queue *q, struct vk_worker *worker, u64 since);
void vk_queue_break(struct vk_queue *q, int err);
bool vk_queue_spent(const struct vk_budget *budget);
int vk_queue_push(struct vk_queue *q, struct vring_token token, u32 written);
int vk_queue_flush_batch(struct vk_queue *q);

/* poll.c. Context: worker, owner's mm; all but poll_all: queue->lock held; timeout: any */
u64 vk_poll_timeout_ns(const struct vk_queue *q);
bool vk_poll_begin(struct vk_queue *q, struct vk_worker *worker, bool waits);
void vk_poll_woken(struct vk_queue *q, u64 since);
void vk_poll_work_came(struct vk_queue *q, u64 when, u32 nr);
void vk_poll_stop(struct vk_queue *q);
void vk_poll_all(struct vk_worker *worker);
bool vk_poll_watches_others(const struct vk_worker *worker, const struct vk_queue *q);

/* hold.c. Context: queue->lock held; all but release: worker */
bool vk_hold_call(struct vk_queue *q);
void vk_hold_no_call(struct vk_queue *q);
void vk_hold_release(struct vk_queue *q);
void vk_hold_pass_ended(struct vk_queue *q);
void vk_hold_nothing_came(struct vk_queue *q, u64 now);

/* req.c. done: any context, irqs off too. Others: queue->lock held */
void vk_req_done(struct vk_req *req, int error);
int vk_req_alloc_all(struct vk_queue *q);
void vk_req_free_all(struct vk_queue *q);
struct vk_req *vk_req_get(struct vk_queue *q);
int vk_req_submit(struct vk_queue *q, struct vk_req *req);
int vk_req_reap(struct vk_queue *q);
void vk_req_discard(struct vk_queue *q);

/* stats.c. Context: process */
int vk_stats_get(struct vk_queue *q, struct vkick_stats *stats);
void vk_stats_add_dev(struct vk_dev *dev);
void vk_stats_remove_dev(struct vk_dev *dev);
void vk_stats_init(void);
void vk_stats_exit(void);

#endif
