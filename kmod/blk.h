/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The blk class: its objects, and what its files offer each other.
 *
 *	blk.c		the protocol: requests in, statuses out (VIRTIO 1.2, 5.2)
 *	blk_dev.c	the backend and its configuration
 *	blk_io.c	reads, writes and flushes of the backend
 *	blk_range.c	discards and zeroes
 *	blk_pages.c	guest memory as the pages of an I/O
 *
 * A request's life. serve() parses it, pins its pages and submits it, with
 * IOCB_NOWAIT, in the worker. What cannot be done without waiting goes to one of the
 * device's workqueues, which have a thread for each, up to 256 (WQ_DFL_ACTIVE): so
 * reads do not wait for what waits for a flush or a frozen file system. The kiocb's,
 * bio's or work's end is told by vk_req_done(); the worker then calls finish(), which
 * submits what is left (short, or would have waited), or lets go of the pages and
 * writes the status. So exactly one of these has the request at a time, and its fields
 * need no lock:
 *
 *   [W] the worker, in serve() and finish()
 *   [B] the backend, from submission to vk_req_done()
 */
#ifndef VK_BLK_H
#define VK_BLK_H

#include <linux/bio.h>
#include <linux/bvec.h>
#include <linux/fs.h>
#include <linux/rcupdate.h>
#include <linux/uio.h>
#include <linux/virtio_blk.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "vkick.h"

/* Pages of a request that need no allocation. */
#define VK_BLK_INLINE_BVECS	8

/* Of a disk, what reads and writes have to know. */
struct vk_blk_limits {
	u64 capacity;		/* sectors */
	u32 seg_max;
	u32 flags;		/* VKICK_BLK_* */
};

/* Between struct vk_blk's owner and the worker; replaced whole. */
struct vk_blk_config {
	struct rcu_head rcu;
	struct vk_blk_limits limits;
	u32 max_discard_seg;
	u32 max_discard_sectors;
	u32 max_write_zeroes_seg;
	u32 max_write_zeroes_sectors;
	u8 serial[VKICK_BLK_SERIAL_BYTES];
};

/* [D] all but @config, @nowait and @lost; changed while no queue runs, so workers may read. */
struct vk_blk {
	struct file *file;		/* NULL: none */
	const struct cred *cred;	/* of who set it */
	struct block_device *bdev;	/* of @file, NULL for a regular file */
	bool direct;			/* opened with O_DIRECT */
	u32 addr_mask;			/* ... which wants buffers aligned so, */
	u32 len_mask;			/* ... and their lengths */
	bool in_memory;			/* its I/O waits for no device: tmpfs */
	bool nowait[2];			/* [A] READ, WRITE: takes IOCB_NOWAIT; false is for good */
	bool flush_acked;		/* the driver has VIRTIO_BLK_F_FLUSH */
	struct workqueue_struct *reads;	/* of @file: reads that wait, ... */
	struct workqueue_struct *others;	/* ... and all else */
	struct vk_blk_config __rcu *config;	/* written under dev->mutex */
	/* Writes from the page cache that failed, as far as the driver was told of them. */
	errseq_t lost;
	spinlock_t lost_lock;		/* to write @lost, which only goes on */
};

/* One range of a discard or write-zeroes, in bytes of the backend. */
struct vk_blk_range {
	loff_t pos;
	loff_t bytes;
	bool unmap;
};

/* A guest buffer as the pages of an I/O, see blk_pages.c. */
struct vk_blk_pages {
	struct bio_vec *bvecs;		/* @inline_bvecs, or allocated; NULL: none */
	u32 nr_bvecs;
	bool to_guest;			/* the I/O writes them */
	bool stay;			/* pinned by the memory table, and not for the I/O */
	struct iovec *bounce;		/* ours, to be copied; where the data belongs */
	u32 nr_bounce;
	struct bio_vec inline_bvecs[VK_BLK_INLINE_BVECS];
};

struct vk_blk_req {
	struct vk_req req;		/* first */
	struct vk_blk *blk;
	u32 type;			/* VIRTIO_BLK_T_* */
	u8 __user *status;		/* the driver's, to be written once */
	u32 in_bytes;			/* of the chain: data and status */

	/* T_IN and T_OUT */
	struct vk_blk_pages pages;
	u32 bytes;			/* to move */
	u32 moved;			/* so far */
	bool durable;			/* write-through */
	bool tried_nowait;		/* by the last submission */
	errseq_t lost;			/* the disk's, when a T_FLUSH began */
	loff_t pos;
	union {
		struct kiocb iocb;
		struct bio bio;		/* direct, of a block device; and T_FLUSH */
	};

	/* T_DISCARD and T_WRITE_ZEROES */
	struct vk_blk_range *ranges;
	u32 nr_ranges;

	long result;			/* 0 or bytes, or -errno: from [B] to [W] */
	atomic_t ref;			/* [B] the backend's, and the work's as long as it runs */

	/* In the workqueue, on whose account. */
	struct work_struct work;
	struct vk_account account;
};

static inline struct vk_blk_req *vk_blk_req(struct vk_req *req)
{
	return container_of(req, struct vk_blk_req, req);
}

/* blk_dev.c. Context: process, dev->mutex held, as the class ops of their name */
extern const struct vk_class_ioctl vk_blk_ioctls[];
int vk_blk_open(struct vk_dev *dev);
void vk_blk_release(struct vk_dev *dev);
void vk_blk_disown(struct vk_dev *dev);
int vk_blk_start(struct vk_queue *q);

/*
 * blk_io.c, blk_range.c. Context: worker. Return: -EIOCBQUEUED, or what struct
 * vk_blk_req's result would have been. The works: the workqueue's thread
 */
long vk_blk_submit_rw(struct vk_blk_req *breq, bool nowait);
long vk_blk_submit_flush(struct vk_blk_req *breq);
long vk_blk_submit_work(struct vk_blk_req *breq);
int vk_blk_sync(struct vk_blk *blk, errseq_t since);
void vk_blk_work(struct work_struct *work);
long vk_blk_do_ranges(struct vk_blk_req *breq);
int vk_blk_get_ranges(struct vk_blk_req *breq, const struct vk_blk_config *config);

/* blk_pages.c. Context: worker, owner's mm; but put: process */
int vk_blk_pages_get(struct vk_blk_pages *p, const struct vk_queue *q,
		     struct iovec *iov, size_t skip, u32 bytes, bool to_guest);
int vk_blk_pages_copy_out(struct vk_blk_pages *p, u32 bytes);
void vk_blk_pages_put(struct vk_blk_pages *p);

#endif
