// SPDX-License-Identifier: GPL-2.0
/*
 * The blk class: a disk (VIRTIO 1.2, 5.2) on a file or block device of the host.
 *
 * in:  chains of a header, data and a status byte, framed in any way (2.7.4.1): the header
 *	is the first 16 readable bytes, the status the last writable one
 * out: data moved, and a status for each; blk.h has the request's way
 *
 * A chain without room for header or status has no place for an answer: it breaks the
 * queue. All else that a driver asks for in vain is answered by the status.
 */
#include <linux/uaccess.h>
#include <linux/virtio_ids.h>

#include "blk.h"

static void vk_blk_req_init(struct vk_req *req)
{
	INIT_WORK(&vk_blk_req(req)->work, vk_blk_work);
}

/* The one place where an errno becomes a status. */
static u8 vk_blk_status(long result)
{
	if (result >= 0)
		return VIRTIO_BLK_S_OK;
	return result == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

static u32 vk_blk_data_in_bytes(const struct vk_blk_req *breq)
{
	return breq->in_bytes - 1;
}

/* Lets go of all that the request holds. */
static void vk_blk_let_go(struct vk_blk_req *breq)
{
	if (breq->pages.bvecs || breq->pages.bounce)
		vk_blk_pages_put(&breq->pages);
	if (!breq->ranges)
		return;
	kfree(breq->ranges);
	breq->ranges = NULL;
}

/*
 * The answer. 2.7.8.2: the length that we tell counts from the first byte on, so the
 * status is in it if all before it was written. Return: 0 or -EFAULT
 */
static int vk_blk_answer(struct vk_blk_req *breq, u32 data_written)
{
	struct vk_req *req = &breq->req;
	u8 status = vk_blk_status(breq->result);
	int err = 0;

	if (!breq->result && breq->pages.bvecs)
		err = vk_blk_pages_copy_out(&breq->pages, breq->bytes);
	vk_blk_let_go(breq);
	req->touched = breq->in_bytes;
	req->written = data_written;
	if (data_written == vk_blk_data_in_bytes(breq))
		req->written++;
	return err ?: put_user(status, breq->status);
}

/* ---- Reads and writes ---- */

/* How many of @nr segments have a part in the @bytes bytes from @skip on. */
static u32 vk_blk_count_segs(const struct vring_seg *seg, u32 nr, u64 skip, u64 bytes)
{
	u64 at = 0;
	u32 n = 0;

	for (; nr--; at += seg++->len)
		n += at + seg->len > skip && at < skip + bytes;
	return n;
}

/* Whether a T_IN or T_OUT keeps to the disk's limits. */
static bool vk_blk_rw_ok(const struct vk_queue *q, const struct vk_blk_req *breq,
			 u64 sector, u64 bytes, const struct vk_blk_limits *limits)
{
	const struct vring_chain *c = &q->chain;
	u32 segs;

	if (bytes & (SECTOR_SIZE - 1) || bytes > VKICK_BLK_MAX_REQUEST_BYTES)
		return false;
	if (sector > limits->capacity || bytes >> SECTOR_SHIFT > limits->capacity - sector)
		return false;
	if (breq->type == VIRTIO_BLK_T_OUT)
		segs = vk_blk_count_segs(c->segs, c->nr_out,
					 sizeof(struct virtio_blk_outhdr), bytes);
	else
		segs = vk_blk_count_segs(c->segs + c->nr_out, c->nr_in, 0, bytes);
	return segs <= limits->seg_max;
}

/* Return: whether it is done, with breq->result; else it is submitted once more. */
static bool vk_blk_rw_is_done(struct vk_blk_req *breq)
{
	long result = breq->result;

	if (breq->tried_nowait && result == -EOPNOTSUPP)
		WRITE_ONCE(breq->blk->nowait[breq->type == VIRTIO_BLK_T_OUT], false);
	if (breq->tried_nowait && (result == -EAGAIN || result == -EOPNOTSUPP)) {
		vk_blk_submit_work(breq);
		return false;
	}
	if (result > 0) {
		breq->moved += min_t(long, result, breq->bytes - breq->moved);
		if (breq->moved < breq->bytes) {
			vk_blk_submit_work(breq);
			return false;
		}
		breq->result = 0;
	} else if (result != -EIO) {
		/* The file's end (0) as well: it is shorter than the disk. */
		breq->result = -EIO;
	}
	return true;
}

static long vk_blk_submit_first(struct vk_blk_req *breq)
{
	const struct vk_blk *blk = breq->blk;
	bool nowait = READ_ONCE(blk->nowait[breq->type == VIRTIO_BLK_T_OUT]);

	if (blk->in_memory)
		return vk_blk_submit_rw(breq, false);
	/* A buffered write is made durable by waiting. */
	if (!nowait || (breq->durable && !blk->direct))
		return vk_blk_submit_work(breq);
	return vk_blk_submit_rw(breq, true);
}

/* What holds whatever the owner said. */
static void vk_blk_add_flags(const struct vk_blk *blk, struct vk_blk_limits *limits)
{
	if (!(blk->file->f_mode & FMODE_WRITE))
		limits->flags |= VKICK_BLK_READ_ONLY;
	/* 5.2.6.2: who cannot flush relies on every write. So does who opened the file so. */
	if (!READ_ONCE(blk->flush_acked) || blk->file->f_flags & O_DSYNC)
		limits->flags |= VKICK_BLK_WRITE_THROUGH;
}

static struct vk_blk_limits vk_blk_copy_limits(const struct vk_blk *blk)
{
	struct vk_blk_limits limits;

	rcu_read_lock();
	limits = rcu_dereference(blk->config)->limits;
	rcu_read_unlock();
	vk_blk_add_flags(blk, &limits);
	return limits;
}

/* Return: 0 with breq->result, -EIOCBQUEUED, or -errno that breaks the queue */
static int vk_blk_serve_rw(struct vk_queue *q, struct vk_blk_req *breq, u64 sector)
{
	struct vk_blk_limits limits = vk_blk_copy_limits(breq->blk);
	bool read = breq->type == VIRTIO_BLK_T_IN;
	struct vk_req *req = &breq->req;
	struct iov_iter *data = read ? &req->in : &req->out;
	u64 bytes = read ? vk_blk_data_in_bytes(breq) : iov_iter_count(data);
	struct iovec *iov = q->iov + (read ? q->nr_out_iov : 0);
	long ret;
	int err;

	breq->durable = limits.flags & VKICK_BLK_WRITE_THROUGH;
	breq->result = -EIO;
	if ((!read && limits.flags & VKICK_BLK_READ_ONLY) ||
	    !vk_blk_rw_ok(q, breq, sector, bytes, &limits))
		return 0;
	breq->result = 0;
	if (!bytes)
		return 0;
	breq->pos = sector << SECTOR_SHIFT;
	breq->bytes = bytes;
	breq->moved = 0;
	err = vk_blk_pages_get(&breq->pages, q, iov,
			       read ? 0 : sizeof(struct virtio_blk_outhdr), bytes, read);
	if (err) {
		vk_blk_let_go(breq);
		breq->result = -EIO;
		return err == -ENOMEM ? 0 : -EFAULT;
	}
	req->held_bytes = bytes;
	/* It is the pages that move, but the bytes count. */
	iov_iter_truncate(data, iov_iter_count(data) - bytes);
	ret = vk_blk_submit_first(breq);
	/* Not ours any more: it may be done by now. */
	if (ret == -EIOCBQUEUED)
		return ret;
	breq->result = ret;
	return vk_blk_rw_is_done(breq) ? 0 : -EIOCBQUEUED;
}

/* ---- The others ---- */

static int vk_blk_serve_flush(struct vk_blk_req *breq)
{
	long ret = vk_blk_submit_flush(breq);

	if (ret == -EIOCBQUEUED)
		return ret;
	breq->result = ret;
	return 0;
}

/* The device has no room for it now, or knows no REQ_NOWAIT: as for reads and writes. */
static bool vk_blk_flush_is_done(struct vk_blk_req *breq)
{
	long result = breq->result;

	if (breq->tried_nowait && (result == -EAGAIN || result == -EOPNOTSUPP)) {
		vk_blk_submit_work(breq);
		return false;
	}
	if (result == -EOPNOTSUPP)
		breq->result = -EIO;	/* not a matter of the driver's asking */
	return true;
}

static int vk_blk_serve_ranges(struct vk_blk_req *breq, const struct vk_blk_config *config)
{
	int err = vk_blk_get_ranges(breq, config);

	if (err == -EFAULT) {
		vk_blk_let_go(breq);
		return err;
	}
	breq->result = err;
	return err ? 0 : vk_blk_submit_work(breq);
}

/* 5.2.6: 20 bytes, or as many as there is room for. */
static int vk_blk_serve_id(struct vk_blk_req *breq, const struct vk_blk_config *config,
			   u32 *written)
{
	u32 n = min_t(u32, vk_blk_data_in_bytes(breq), VIRTIO_BLK_ID_BYTES);

	breq->result = 0;
	*written = n;
	return copy_to_iter(config->serial, n, &breq->req.in) == n ? 0 : -EFAULT;
}

/* ---- Entry points ---- */

/* The address of the last writable byte. */
static u8 __user *vk_blk_status_at(const struct vk_queue *q)
{
	const struct iovec *last = &q->iov[q->nr_out_iov + q->nr_in_iov - 1];

	return last->iov_base + last->iov_len - 1;
}

static void vk_blk_copy_config(const struct vk_blk *blk, struct vk_blk_config *config)
{
	rcu_read_lock();
	*config = *rcu_dereference(blk->config);
	rcu_read_unlock();
	vk_blk_add_flags(blk, &config->limits);
}

/* Return: 0; -EOPNOTSUPP for what we do not know, -EIO for what is not allowed */
static int vk_blk_allowed(u32 type, const struct vk_blk_config *config)
{
	bool known;

	switch (type) {
	case VIRTIO_BLK_T_FLUSH:
	case VIRTIO_BLK_T_GET_ID:
		return 0;
	case VIRTIO_BLK_T_DISCARD:
		known = config->max_discard_seg;
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		known = config->max_write_zeroes_seg;
		break;
	default:
		known = false;
	}
	if (!known)
		return -EOPNOTSUPP;
	return config->limits.flags & VKICK_BLK_READ_ONLY ? -EIO : 0;
}

/* All but reads and writes, which need not make a copy of so much. */
static noinline_for_stack int vk_blk_serve_other(struct vk_blk_req *breq, u32 *written)
{
	struct vk_blk_config config;

	vk_blk_copy_config(breq->blk, &config);
	breq->durable = config.limits.flags & VKICK_BLK_WRITE_THROUGH;
	breq->result = vk_blk_allowed(breq->type, &config);
	if (breq->result)
		return 0;
	switch (breq->type) {
	case VIRTIO_BLK_T_FLUSH:
		return vk_blk_serve_flush(breq);
	case VIRTIO_BLK_T_GET_ID:
		return vk_blk_serve_id(breq, &config, written);
	default:
		return vk_blk_serve_ranges(breq, &config);
	}
}

static u32 vk_blk_read_bytes(const struct vk_blk_req *breq)
{
	return breq->type == VIRTIO_BLK_T_IN && !breq->result ? breq->bytes : 0;
}

/* struct virtio_blk_outhdr in VIRTIO 1's byte order, and as two words. */
union vk_blk_header {
	u64 words[2];
	struct {
		__le32 type;
		__le32 ioprio;
		__le64 sector;
	};
};

/* Mostly it lies in one piece. It is not taken from the buffer. */
static int vk_blk_get_header(const struct vk_queue *q, const struct vk_req *req,
			     union vk_blk_header *hdr)
{
	const u64 __user *at = q->iov[0].iov_base;

	if (q->iov[0].iov_len < sizeof(*hdr)) {
		struct iov_iter iter = req->out;

		return copy_from_iter(hdr, sizeof(*hdr), &iter) == sizeof(*hdr) ? 0 : -EFAULT;
	}
	if (!user_read_access_begin(at, sizeof(*hdr)))
		return -EFAULT;
	unsafe_get_user(hdr->words[0], &at[0], fault);
	unsafe_get_user(hdr->words[1], &at[1], fault);
	user_read_access_end();
	return 0;

fault:
	user_read_access_end();
	return -EFAULT;
}

static int vk_blk_serve(struct vk_queue *q, struct vk_req *req)
{
	struct vk_blk_req *breq = vk_blk_req(req);
	union vk_blk_header hdr;
	u32 written = 0;
	int err;

	if (iov_iter_count(&req->out) < sizeof(hdr) || !iov_iter_count(&req->in))
		return -EINVAL;
	err = vk_blk_get_header(q, req, &hdr);
	if (err)
		return err;
	breq->blk = q->dev->priv;
	breq->type = le32_to_cpu(hdr.type);
	breq->in_bytes = req->token.in_bytes;
	breq->bytes = 0;
	breq->status = vk_blk_status_at(q);
	atomic_set(&breq->ref, 1);

	if (breq->type == VIRTIO_BLK_T_IN || breq->type == VIRTIO_BLK_T_OUT) {
		/* Their pages are found by address: that the header was read need but count. */
		iov_iter_truncate(&req->out, iov_iter_count(&req->out) - sizeof(hdr));
		err = vk_blk_serve_rw(q, breq, le64_to_cpu(hdr.sector));
	} else {
		iov_iter_advance(&req->out, sizeof(hdr));
		err = vk_blk_serve_other(breq, &written);
	}
	if (err)
		return err;
	return vk_blk_answer(breq, written ?: vk_blk_read_bytes(breq));
}

static int vk_blk_finish(struct vk_queue *q, struct vk_req *req)
{
	struct vk_blk_req *breq = vk_blk_req(req);
	bool done = true;

	if (breq->type == VIRTIO_BLK_T_IN || breq->type == VIRTIO_BLK_T_OUT)
		done = vk_blk_rw_is_done(breq);
	else if (breq->type == VIRTIO_BLK_T_FLUSH)
		done = vk_blk_flush_is_done(breq);
	return done ? vk_blk_answer(breq, vk_blk_read_bytes(breq)) : -EIOCBQUEUED;
}

static void vk_blk_discard(struct vk_req *req)
{
	vk_blk_let_go(vk_blk_req(req));
}

const struct vk_class vk_blk_class = {
	.name = "blk",
	.device_id = VIRTIO_ID_BLOCK,
	.nvqs = VK_MAX_QUEUES,
	.features = BIT_ULL(VIRTIO_BLK_F_SIZE_MAX) | BIT_ULL(VIRTIO_BLK_F_SEG_MAX) |
		    BIT_ULL(VIRTIO_BLK_F_RO) | BIT_ULL(VIRTIO_BLK_F_BLK_SIZE) |
		    BIT_ULL(VIRTIO_BLK_F_FLUSH) | BIT_ULL(VIRTIO_BLK_F_TOPOLOGY) |
		    BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE) | BIT_ULL(VIRTIO_BLK_F_MQ) |
		    BIT_ULL(VIRTIO_BLK_F_DISCARD) | BIT_ULL(VIRTIO_BLK_F_WRITE_ZEROES),
	.plugs = true,
	.req_bytes = sizeof(struct vk_blk_req),
	.open = vk_blk_open,
	.release = vk_blk_release,
	.disown = vk_blk_disown,
	.ioctls = vk_blk_ioctls,
	.start = vk_blk_start,
	.req_init = vk_blk_req_init,
	.serve = vk_blk_serve,
	.finish = vk_blk_finish,
	.discard = vk_blk_discard,
};
