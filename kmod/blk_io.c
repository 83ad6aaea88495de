// SPDX-License-Identifier: GPL-2.0
/*
 * The blk class: reads, writes and flushes of the backend (step 6).
 *
 * in:  a parsed request, with its pages
 * out: its result, at once, or by vk_req_done() from wherever the backend ends it
 *
 * The kiocb is what all files have: O_DIRECT or buffered is the file's business, and
 * so is whether it completes later. Direct I/O of a block device that has nothing in
 * its page cache would become a bio of these very pages, so it becomes one here: one
 * of six instructions less. IOCB_NOWAIT and REQ_NOWAIT keep the worker from waiting for a
 * lock, a free tag, or a page that is not in the cache; what comes back with EAGAIN is
 * submitted again from the workqueue, which may wait.
 *
 * Work is done on the owner's account: pages of the cache are charged to the memory
 * cgroup of the worker, and bios go by its I/O cgroup; what a file system allows (quotas,
 * reserved blocks), it allows to who set the file.
 */
#include <linux/blkdev.h>
#include <linux/task_io_accounting_ops.h>

#include "blk.h"

/*
 * The last one to be through with the request hands it to the worker. Context: any, irqs
 * off too.
 */
static void vk_blk_put(struct vk_blk_req *breq)
{
	if (atomic_dec_and_test(&breq->ref))
		vk_req_done(&breq->req, 0);
}

/* Context: any, irqs off too. */
static void vk_blk_done(struct vk_blk_req *breq, long result)
{
	breq->result = result;
	vk_blk_put(breq);
}

/* ---- By bio ---- */

/* Context: any, irqs off too. */
static void vk_blk_bio_done(struct bio *bio)
{
	struct vk_blk_req *breq = container_of(bio, struct vk_blk_req, bio);
	long result = blk_status_to_errno(bio->bi_status) ?: (long)breq->bytes;

	bio_uninit(bio);
	vk_blk_done(breq, result);
}

/* Whether the file could do no more than make a bio of it. */
static bool vk_blk_is_bio(const struct vk_blk_req *breq)
{
	const struct vk_blk *blk = breq->blk;
	u64 device_bytes;

	if (!blk->bdev || !blk->direct || breq->moved)
		return false;
	/* It may be set at any time, and the file's way to say no is the right one. */
	if (breq->type == VIRTIO_BLK_T_OUT && bdev_read_only(blk->bdev))
		return false;
	/* Pages in the cache have to be written, or forgotten. */
	if (blk->file->f_mapping->nrpages || breq->pages.nr_bvecs > BIO_MAX_VECS)
		return false;
	device_bytes = (u64)bdev_nr_sectors(blk->bdev) << SECTOR_SHIFT;
	return !((breq->pos | breq->bytes) & blk->len_mask) &&
	       breq->pos + breq->bytes <= device_bytes;
}

/* A read or write of the request's pages, or, without any, a flush. */
static long vk_blk_submit_bio(struct vk_blk_req *breq, blk_opf_t op, bool nowait)
{
	struct vk_blk_pages *p = &breq->pages;
	struct bio *bio = &breq->bio;

	breq->tried_nowait = nowait;
	if (nowait)
		op |= REQ_NOWAIT;
	bio_init(bio, breq->blk->bdev, p->bvecs, p->nr_bvecs, op);
	bio->bi_end_io = vk_blk_bio_done;
	if (p->nr_bvecs) {
		bio->bi_vcnt = p->nr_bvecs;
		bio->bi_iter.bi_size = breq->bytes;
		bio->bi_iter.bi_sector = breq->pos >> SECTOR_SHIFT;
	}
	submit_bio(bio);
	return -EIOCBQUEUED;
}

static long vk_blk_rw_bio(struct vk_blk_req *breq, bool nowait)
{
	blk_opf_t op = REQ_OP_READ;

	if (breq->type == VIRTIO_BLK_T_OUT) {
		/* As direct writes: somebody waits, and more will come. */
		op = REQ_OP_WRITE | REQ_SYNC | REQ_IDLE;
		if (breq->durable)
			op |= REQ_FUA;
		task_io_account_write(breq->bytes);
	}
	return vk_blk_submit_bio(breq, op, nowait);
}

/* ---- By kiocb ---- */

/* Keeps the file system from being frozen until vk_blk_end_write(). */
static bool vk_blk_start_write(struct kiocb *iocb, bool nowait)
{
	struct inode *inode = file_inode(iocb->ki_filp);

	if (!S_ISREG(inode->i_mode))
		return true;
	if (!nowait) {
		kiocb_start_write(iocb);
		return true;
	}
	if (!sb_start_write_trylock(inode->i_sb))
		return false;
	/* As kiocb_start_write(): another thread may end it. */
	__sb_writers_release(inode->i_sb, SB_FREEZE_WRITE);
	return true;
}

static void vk_blk_end_write(struct kiocb *iocb)
{
	if (S_ISREG(file_inode(iocb->ki_filp)->i_mode))
		kiocb_end_write(iocb);
}

/* Context: any, irqs off too. */
static void vk_blk_iocb_done(struct kiocb *iocb, long res)
{
	struct vk_blk_req *breq = container_of(iocb, struct vk_blk_req, iocb);

	if (iocb->ki_flags & IOCB_WRITE)
		vk_blk_end_write(iocb);
	vk_blk_done(breq, res);
}

static long vk_blk_write(struct kiocb *iocb, struct iov_iter *iter, bool nowait)
{
	long ret;

	iocb->ki_flags |= IOCB_WRITE;
	if (!vk_blk_start_write(iocb, nowait))
		return -EAGAIN;
	ret = iocb->ki_filp->f_op->write_iter(iocb, iter);
	if (ret != -EIOCBQUEUED)
		vk_blk_end_write(iocb);
	return ret;
}

/**
 * vk_blk_submit_rw() - move what is left of a T_IN or T_OUT
 * @breq: request
 * @nowait: rather fail with -EAGAIN, or -EOPNOTSUPP, than wait for anything
 *
 * Context: worker; without @nowait, the workqueue's thread. Return: -EIOCBQUEUED, bytes,
 * or -errno.
 */
long vk_blk_submit_rw(struct vk_blk_req *breq, bool nowait)
{
	bool write = breq->type == VIRTIO_BLK_T_OUT;
	struct vk_blk_pages *p = &breq->pages;
	struct file *file = breq->blk->file;
	struct kiocb *iocb = &breq->iocb;
	struct iov_iter iter;

	if (vk_blk_is_bio(breq))
		return vk_blk_rw_bio(breq, nowait);
	breq->tried_nowait = nowait;
	init_sync_kiocb(iocb, file);
	iocb->ki_pos = breq->pos + breq->moved;
	iocb->ki_complete = vk_blk_iocb_done;
	if (nowait)
		iocb->ki_flags |= IOCB_NOWAIT;
	if (breq->durable)
		iocb->ki_flags |= IOCB_DSYNC;
	iov_iter_bvec(&iter, write ? ITER_SOURCE : ITER_DEST, p->bvecs, p->nr_bvecs,
		      breq->bytes);
	iov_iter_advance(&iter, breq->moved);
	return write ? vk_blk_write(iocb, &iter, nowait) :
		       file->f_op->read_iter(iocb, &iter);
}

/* ---- What was lost ---- */

/*
 * The file tells one caller alone of writes from the page cache that failed. Requests that
 * are under way at a time may all rely on what was lost: so each is told that began before
 * one was told. @since: blk->lost when it began. Return: 0 or -errno
 */
static int vk_blk_check_lost(struct vk_blk *blk, errseq_t since)
{
	int err;

	spin_lock(&blk->lost_lock);
	err = errseq_check_and_advance(&blk->file->f_mapping->wb_err, &since);
	WRITE_ONCE(blk->lost, since);
	spin_unlock(&blk->lost_lock);
	return err;
}

/**
 * vk_blk_sync() - make durable what completed so far
 * @blk: disk
 * @since: its ->lost when the request began
 *
 * Context: process; waits. Return: 0 or -errno.
 */
int vk_blk_sync(struct vk_blk *blk, errseq_t since)
{
	int err = vfs_fsync(blk->file, 1);

	return vk_blk_check_lost(blk, since) ?: err;
}

/* What is not durable is told by the next flush. */
static long vk_blk_write_and_wait(struct vk_blk_req *breq)
{
	struct vk_blk *blk = breq->blk;
	errseq_t since = READ_ONCE(blk->lost);
	bool durable = breq->durable;
	long ret = vk_blk_submit_rw(breq, false);

	/* A direct write fails by itself; and may be over by now. */
	if (blk->direct || !durable)
		return ret;
	return vk_blk_check_lost(blk, since) ?: ret;
}

/* ---- Flushes ---- */

/**
 * vk_blk_submit_flush() - make durable what completed so far
 * @breq: T_FLUSH
 *
 * Direct writes leave nothing in the page cache: the device's own is all there is. All
 * else is the file's business. Context: worker. Return: as vk_blk_submit_rw().
 */
long vk_blk_submit_flush(struct vk_blk_req *breq)
{
	struct vk_blk *blk = breq->blk;

	breq->lost = READ_ONCE(blk->lost);
	if (blk->in_memory)
		return vk_blk_sync(blk, breq->lost);
	if (!blk->bdev || !blk->direct)
		return vk_blk_submit_work(breq);
	return vk_blk_submit_bio(breq, REQ_OP_WRITE | REQ_PREFLUSH | REQ_SYNC,
				 READ_ONCE(blk->nowait[WRITE]));
}

/* ---- What may wait ---- */

/**
 * vk_blk_submit_work() - do what is left of a request where waiting holds up nobody
 * @breq: request
 *
 * Context: worker. Return: -EIOCBQUEUED.
 */
long vk_blk_submit_work(struct vk_blk_req *breq)
{
	struct vk_blk *blk = breq->blk;

	breq->tried_nowait = false;
	/* A file system may look at its kiocb after that has ended: here, that is not us. */
	atomic_set(&breq->ref, 2);
	vk_account_get(&breq->account);
	queue_work(breq->type == VIRTIO_BLK_T_IN ? blk->reads : blk->others, &breq->work);
	return -EIOCBQUEUED;
}

static long vk_blk_do_work(struct vk_blk_req *breq)
{
	switch (breq->type) {
	case VIRTIO_BLK_T_IN:
		return vk_blk_submit_rw(breq, false);
	case VIRTIO_BLK_T_OUT:
		return vk_blk_write_and_wait(breq);
	case VIRTIO_BLK_T_FLUSH:
		return vk_blk_sync(breq->blk, breq->lost);
	default:
		return vk_blk_do_ranges(breq);
	}
}

/* Context: the workqueue's thread. */
void vk_blk_work(struct work_struct *work)
{
	struct vk_blk_req *breq = container_of(work, struct vk_blk_req, work);
	const struct cred *old = override_creds(breq->blk->cred);
	long ret;

	vk_account_enter(&breq->account);
	ret = vk_blk_do_work(breq);
	vk_account_leave(&breq->account);
	revert_creds(old);
	if (ret != -EIOCBQUEUED)
		vk_blk_done(breq, ret);
	vk_blk_put(breq);
}
