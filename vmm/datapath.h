/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The one interface of both datapaths: what serves a device's queues.
 *
 * A queue goes in as rings in guest memory, an index and three eventfds, and
 * comes out of a stop with the index that the next start needs, whichever
 * datapath that is. Calls are made under vm->lock, but for stops, and in a switch (virtio.c)
 * for the preparation before and the start right after, and for those of a datapath that
 * serves nothing, which the main thread makes: @open, @release, @close. There is one at a time for a device in
 * any case, but for stats().
 */
#ifndef DATAPATH_H
#define DATAPATH_H

#include <linux/vkick.h>

#include "vmm.h"

struct iovec;
struct virtio_class;
struct virtio_dev;
struct vring_dev;
struct vring_seg;

/**
 * struct datapath_queue - one virtqueue, between starts
 * @enabled: by the driver; others are left alone
 * @closed: by the class: it is not served for now, whatever is in it, and keeps its place
 * @num: size
 * @state: as VHOST_SET_VRING_BASE has it; in: where to start, out: where it ended
 * @desc: guest-physical address, unchecked; as @avail and @used
 * @kick_fd: eventfd that the doorbell signals
 * @call_fd: eventfd that interrupts the guest
 * @err_fd: eventfd that the datapath signals when the queue broke
 */
struct datapath_queue {
	bool enabled;
	bool closed;
	u16 num;
	u32 state;
	u64 desc;
	u64 avail;
	u64 used;
	int kick_fd;
	int call_fd;
	int err_fd;
};

/* Counters since the process started: struct vkick_stats has the words' meaning. @latency is pop_to_used_ns. */
struct datapath_stats {
	u64 kicks;
	u64 requests;
	u64 calls;
	u64 calls_suppressed;
	u64 calls_held;
	u64 calls_in_vain;
	u64 latency[VKICK_LATENCY_BUCKETS];
};

/**
 * struct datapath - one device's; each kind puts its own fields after it
 * @features: bits that it can serve
 * @max_queue_size: the most that it takes
 */
struct datapath {
	const struct datapath_ops *ops;
	struct virtio_dev *dev;
	u64 features;
	u32 max_queue_size;
};

/**
 * struct datapath_ops - a kind of datapath
 * @name: as in datapath=
 * @open: makes one for @dev, which another may serve meanwhile. Return: NULL with one
 *	line in @why
 * @close: of one that does not run, and is released; all that it held is free
 * @prepare: takes what serving the enabled ones of dev->ring[] with dev->acked needs, all
 *	but ->state; another may serve them meanwhile. Return: 0, or -errno with nothing
 *	taken: the guest may have given any address. May be NULL, with @release
 * @start: serves them, each as if it had just been kicked. Return: 0, or -errno with
 *	nothing running and ->state as it was
 * @stop: when it returns, no request is in flight, no guest byte is written and
 *	no eventfd signalled any more, and ->state is exact
 * @start_queue: serves queue @i as well, which is enabled, with the others running.
 *	Return: 0, or -errno with those running and @i not
 * @stop_queue: the same for queue @i as @stop, with the others running on; its ->state
 *	matters only where the class closes queues (virtio_queue_gate())
 * @release: gives back what @prepare took, if it took anything
 * @stats: of queue @i, running or not
 * @config_changed: what the class told the datapath is no longer so, whether it runs
 *	or not. Requests that the driver makes available after it returned go by what
 *	is so now. May be NULL
 */
struct datapath_ops {
	const char *name;
	struct datapath *(*open)(struct virtio_dev *dev, char *why);
	void (*close)(struct datapath *dp);
	int (*prepare)(struct datapath *dp);
	int (*start)(struct datapath *dp);
	void (*stop)(struct datapath *dp);
	int (*start_queue)(struct datapath *dp, unsigned int i);
	void (*stop_queue)(struct datapath *dp, unsigned int i);
	void (*release)(struct datapath *dp);
	void (*stats)(struct datapath *dp, unsigned int i, struct datapath_stats *s);
	void (*config_changed)(struct datapath *dp);
};

/* Both in one, where no time is to be saved between the two. */
static inline int datapath_start(struct datapath *dp)
{
	int err = dp->ops->prepare ? dp->ops->prepare(dp) : 0;

	if (err)
		return err;
	err = dp->ops->start(dp);
	if (err && dp->ops->release)
		dp->ops->release(dp);
	return err;
}

static inline void datapath_stop(struct datapath *dp)
{
	dp->ops->stop(dp);
	if (dp->ops->release)
		dp->ops->release(dp);
}

extern const struct datapath_ops datapath_kernel;
extern const struct datapath_ops datapath_vhost;
extern const struct datapath_ops datapath_user;
extern const struct datapath_ops datapath_blk_user;
extern const struct datapath_ops datapath_net_user;

/* The kind called @name, as @class has it, or NULL. */
const struct datapath_ops *datapath_find(const struct virtio_class *class, const char *name);

/* ---- datapath_ring.c -------------------------------------------------------- */

/* @r's ring, at its state. Return: 0 or -errno: the guest may have given any address. */
int datapath_load_ring(struct virtio_dev *dev, const struct datapath_queue *r,
		       struct vring_dev *ring);
/*
 * Segments become at most @max pieces of this process's memory; neighbours become one.
 * Return: how many, or -errno: the guest may have given any address.
 */
int datapath_map(struct vm *vm, const struct vring_seg *seg, u32 nr, struct iovec *iov, u32 max);
/* Between @buf and the first @bytes of @nr segments, which have so many. Return: 0 or -EFAULT */
int datapath_copy(struct vm *vm, const struct vring_seg *seg, u32 nr, u8 *buf, u32 bytes, bool to_guest);

/* ---- iothread.c ------------------------------------------------------------ */

#define IOTHREAD_MAX_FDS	64

/**
 * struct iothread - a thread that waits for eventfds
 * @kind: of thread, for the sandbox
 * @files: of @fd, those that are no eventfds, a bit each: each time that one may be read from or written to
 *	again counts as a signal, once
 * @leave: at the next signal of @stop_fd it ends; else it parks
 * @parked: it waits for @go, and touches nothing
 * @ready: called in it, once for each fd at the start, then whenever fd @i was
 *	signalled. Returns true to be called again, after the others had their turn.
 */
struct iothread {
	enum thread_kind kind;
	const char *name;	/* of the thread, at most 15 characters */
	pthread_t thread;
	int epoll_fd;
	int stop_fd;
	_Atomic bool leave;
	sem_t parked;
	sem_t go;
	unsigned int nr;
	int fd[IOTHREAD_MAX_FDS];	/* -1: none */
	u64 files;
	bool (*ready)(void *ctx, unsigned int i, bool signalled);
	void *ctx;
};

/* Return: 0 or -errno. */
int iothread_init(struct iothread *io);
void iothread_exit(struct iothread *io);
/* All that does not come from iothread_init() is set. Return: 0 or -errno. */
int iothread_start(struct iothread *io);
/*
 * One more fd, or one less, while the thread runs. @fd is -1 for one less; when that returns
 * ready() is not under way for @i, and is not called for it any more. For one more, what
 * ready() needs for @i is there. Return: 0 or -errno, which the latter alone can give.
 */
int iothread_set_fd(struct iothread *io, unsigned int i, int fd);
/* In the thread: a file did not take something. That it will counts as a signal. */
void iothread_await_room(struct iothread *io, unsigned int i);
/* Return: when the thread is no more. */
void iothread_stop(struct iothread *io);

#endif
