// SPDX-License-Identifier: GPL-2.0
/*
 * The virtio-blk protocol (VIRTIO 1.2, 5.2.6), for the user datapath.
 *
 * in:  chains
 * out: steps for a backend, status bytes
 *
 * What the guest wrote is read once, into the request, and used from there.
 */
#include <endian.h>
#include <errno.h>
#include <linux/vkick.h>
#include <string.h>

#include "blk_req.h"
#include "datapath.h"

#define RANGE_UNMAP	(1ULL << 63)

/* EAGAIN of a blocking backend means trouble: for how long it is tried again. */
#define MAX_RETRIES	100

u32 blk_req_max_pieces(const struct blk_disk *disk)
{
	/* Segments, each of them in one region of guest memory but for one or two. */
	u32 n = disk->seg_max + 2;

	return n < BLK_MAX_RANGES ? BLK_MAX_RANGES : n;
}

size_t blk_req_bytes(const struct blk_disk *disk)
{
	return sizeof(struct blk_req) + blk_req_max_pieces(disk) * sizeof(union blk_piece);
}

/* ---- Guest memory ---------------------------------------------------------------- */

/* The first @len bytes that lie behind the first @skip of @iov, into @buf. */
static u32 copy_from(void *buf, const struct iovec *iov, u32 nr, u64 skip, u32 len)
{
	u32 done = 0;

	for (; nr && done < len; iov++, nr--) {
		u64 n = iov->iov_len;

		if (skip >= n) {
			skip -= n;
			continue;
		}
		n -= skip;
		if (n > len - done)
			n = len - done;
		memcpy((u8 *)buf + done, (u8 *)iov->iov_base + skip, n);
		done += n;
		skip = 0;
	}
	return done;
}

static void copy_to(const struct iovec *iov, u32 nr, const void *buf, u32 len)
{
	for (; nr && len; iov++, nr--) {
		u32 n = iov->iov_len < len ? iov->iov_len : len;

		memcpy(iov->iov_base, buf, n);
		buf = (const u8 *)buf + n;
		len -= n;
	}
}

u32 blk_req_gather(const struct blk_req *r, void *buf, u32 len)
{
	return copy_from(buf, &r->piece[r->at].iov, r->nr - r->at, 0, len);
}

void blk_req_scatter(const struct blk_req *r, const void *buf, u32 len)
{
	copy_to(&r->piece[r->at].iov, r->nr - r->at, buf, len);
}

/* ---- Beginning ------------------------------------------------------------------- */

/* The data part of a chain. */
struct data {
	const struct iovec *iov;
	u32 nr;
	u64 skip;		/* of iov: the header */
	u64 bytes;
	u32 nr_segs;		/* descriptors with at least one byte of it */
};

static void done(struct blk_req *r, u8 result)
{
	r->op = BLK_DONE;
	r->result = result;
	/* Part of the data may be there: of no use to a driver that is told of an error. */
	if (result)
		r->written = 0;
}

/* Descriptors that have one of the @bytes bytes behind the first @skip. */
static u32 count_segs(const struct vring_seg *seg, u32 nr, u64 skip, u64 bytes)
{
	u64 at = 0;
	u32 n = 0, i;

	for (i = 0; i < nr && at < skip + bytes; i++) {
		at += seg[i].len;
		n += at > skip;
	}
	return bytes ? n : 0;
}

static bool within(const struct blk_disk *disk, u64 sector, u64 sectors)
{
	u64 capacity = atomic_load_explicit(&disk->capacity, memory_order_relaxed);

	return sector <= capacity && sectors <= capacity - sector;
}

/* Whether O_DIRECT would take it. Block devices want no more of memory than this. */
static bool aligned(const struct blk_req *r)
{
	u64 or = 0;
	u32 i;

	for (i = 0; i < r->nr; i++)
		or |= (u64)r->piece[i].iov.iov_base | r->piece[i].iov.iov_len;
	return !(or & (BLK_SECTOR_BYTES - 1));
}

static void begin_rw(struct blk_req *r, const struct blk_view *v, u64 sector,
		     const struct data *d)
{
	const struct blk_disk *disk = v->disk;
	u64 skip = d->skip, left = d->bytes;
	u32 i;

	if (d->nr_segs > disk->seg_max || d->bytes > VKICK_BLK_MAX_REQUEST_BYTES ||
	    d->bytes % BLK_SECTOR_BYTES ||
	    !within(disk, sector, d->bytes / BLK_SECTOR_BYTES)) {
		done(r, VIRTIO_BLK_S_IOERR);
		return;
	}
	for (i = 0; i < d->nr && left; i++) {
		struct iovec piece = d->iov[i];

		if (skip >= piece.iov_len) {
			skip -= piece.iov_len;
			continue;
		}
		piece.iov_base = (u8 *)piece.iov_base + skip;
		piece.iov_len -= skip;
		skip = 0;
		if (piece.iov_len > left)
			piece.iov_len = left;
		left -= piece.iov_len;
		/* seg_max descriptors that each lie over a border of guest memory */
		if (r->nr == v->max_pieces) {
			done(r, VIRTIO_BLK_S_IOERR);
			return;
		}
		r->piece[r->nr++].iov = piece;
	}
	r->pos = sector * BLK_SECTOR_BYTES;
	r->left = d->bytes;
	r->bounces = disk->direct && !aligned(r);
	if (!r->left)
		done(r, VIRTIO_BLK_S_OK);
}

/* Of a range, what is wrong with it; or VIRTIO_BLK_S_OK, and it is the request's. */
static u8 add_range(struct blk_req *r, const struct blk_disk *disk,
		    const struct virtio_blk_discard_write_zeroes *from)
{
	bool discard = r->type == VIRTIO_BLK_T_DISCARD;
	u32 max = discard ? disk->max_discard_sectors : disk->max_write_zeroes_sectors;
	u32 known = discard ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	u64 sector = le64toh(from->sector);
	u32 sectors = le32toh(from->num_sectors), flags = le32toh(from->flags);

	if (flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	if (sectors > max || !within(disk, sector, sectors))
		return VIRTIO_BLK_S_IOERR;
	if (sectors)
		r->piece[r->nr++].range = (struct blk_range) {
			.pos = sector * BLK_SECTOR_BYTES,
			.bytes = (u64)sectors * BLK_SECTOR_BYTES |
				 (flags && disk->write_zeroes_may_unmap ? RANGE_UNMAP : 0),
		};
	return VIRTIO_BLK_S_OK;
}

static enum blk_op zero_op(const struct blk_range *range)
{
	return range->bytes & RANGE_UNMAP ? BLK_PUNCH : BLK_ZERO;
}

/*
 * The next range, from its first step on; or the end of the request.
 *
 * fallocate() drops what is in the page cache alone, and makes the zeroes some time later:
 * a flush in between would find nothing to write, and promise writes that a power cut then
 * takes back. So they are written first.
 */
static void next_range(struct blk_req *r, const struct blk_disk *disk)
{
	const struct blk_range *range = &r->piece[r->at].range;

	if (r->at == r->nr) {
		if (r->durable && r->nr)
			r->op = BLK_SYNC;
		else
			done(r, VIRTIO_BLK_S_OK);
		return;
	}
	r->pos = range->pos;
	r->left = range->bytes & ~RANGE_UNMAP;
	if (r->type == VIRTIO_BLK_T_DISCARD)
		r->op = disk->is_bdev ? BLK_DISCARD : BLK_PUNCH;
	else
		r->op = disk->direct ? zero_op(range) : BLK_WRITE_BACK;
}

static void begin_ranges(struct blk_req *r, const struct blk_view *v,
			 const struct data *d)
{
	struct virtio_blk_discard_write_zeroes range;
	u64 skip = d->skip, end = d->skip + d->bytes;

	if (!d->bytes || d->bytes % sizeof(range) ||
	    d->bytes / sizeof(range) > BLK_MAX_RANGES) {
		done(r, VIRTIO_BLK_S_IOERR);
		return;
	}
	for (; skip < end; skip += sizeof(range)) {
		u8 wrong;

		copy_from(&range, d->iov, d->nr, skip, sizeof(range));
		wrong = add_range(r, v->disk, &range);
		if (wrong) {
			done(r, wrong);
			return;
		}
	}
	next_range(r, v->disk);
}

static void get_id(struct blk_req *r, const struct blk_disk *disk, const struct data *d)
{
	r->written = d->bytes < sizeof(disk->serial) ? d->bytes : sizeof(disk->serial);
	copy_to(d->iov, d->nr, disk->serial, r->written);
	done(r, VIRTIO_BLK_S_OK);
}

static bool is_served(const struct blk_disk *disk, u32 type)
{
	switch (type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
	case VIRTIO_BLK_T_FLUSH:
	case VIRTIO_BLK_T_GET_ID:
		return true;
	case VIRTIO_BLK_T_DISCARD:
		return disk->max_discard_sectors;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return disk->max_write_zeroes_sectors;
	default:
		return false;
	}
}

static bool writes(u32 type)
{
	return type == VIRTIO_BLK_T_OUT || type == VIRTIO_BLK_T_DISCARD ||
	       type == VIRTIO_BLK_T_WRITE_ZEROES;
}

/* The header is read; @out and @in are the data of both directions. */
static void dispatch(struct blk_req *r, const struct blk_view *v, u64 sector,
		     const struct data *out, const struct data *in)
{
	if (!is_served(v->disk, r->type)) {
		done(r, VIRTIO_BLK_S_UNSUPP);
		return;
	}
	if (v->disk->read_only && writes(r->type)) {
		done(r, VIRTIO_BLK_S_IOERR);
		return;
	}
	switch (r->type) {
	case VIRTIO_BLK_T_IN:
		r->op = BLK_READ;
		begin_rw(r, v, sector, in);
		break;
	case VIRTIO_BLK_T_OUT:
		r->op = BLK_WRITE;
		begin_rw(r, v, sector, out);
		break;
	case VIRTIO_BLK_T_FLUSH:
		r->op = BLK_SYNC;
		break;
	case VIRTIO_BLK_T_GET_ID:
		get_id(r, v->disk, in);
		break;
	default:
		begin_ranges(r, v, out);
	}
}

int blk_req_begin(struct blk_req *r, struct blk_view *v, const struct vring_chain *c)
{
	const struct blk_disk *disk = v->disk;
	struct virtio_blk_outhdr hdr;
	struct data out, in;
	struct iovec *last;
	int nr_out, nr_in;

	if (!c->in_bytes || c->out_bytes < sizeof(hdr))
		return -EINVAL;
	nr_out = datapath_map(v->vm, c->segs, c->nr_out, v->iov, BLK_MAX_CHAIN);
	if (nr_out < 0)
		return nr_out;
	nr_in = datapath_map(v->vm, c->segs + c->nr_out, c->nr_in, v->iov + nr_out,
			     BLK_MAX_CHAIN - nr_out);
	if (nr_in < 0)
		return nr_in;
	out = (struct data) {
		.iov = v->iov, .nr = nr_out, .skip = sizeof(hdr),
		.bytes = c->out_bytes - sizeof(hdr),
	};
	in = (struct data) {
		.iov = v->iov + nr_out, .nr = nr_in, .bytes = c->in_bytes - 1,
	};
	out.nr_segs = count_segs(c->segs, c->nr_out, out.skip, out.bytes);
	in.nr_segs = count_segs(c->segs + c->nr_out, c->nr_in, 0, in.bytes);
	last = &v->iov[nr_out + nr_in - 1];
	copy_from(&hdr, v->iov, nr_out, 0, sizeof(hdr));

	r->token = c->token;
	r->type = le32toh(hdr.type);
	r->bounces = false;
	r->retries = 0;
	r->status = (u8 *)last->iov_base + last->iov_len - 1;
	r->in_bytes = c->in_bytes;
	r->written = 0;
	r->at = 0;
	r->nr = 0;
	r->durable = v->write_through ||
		     !atomic_load_explicit(&disk->write_back, memory_order_relaxed);
	dispatch(r, v, le64toh(hdr.sector), &out, &in);
	return 0;
}

/* ---- Going on -------------------------------------------------------------------- */

static void advance(struct blk_req *r, u64 n)
{
	r->pos += n;
	r->left -= n;
	if (r->op == BLK_WRITE_ZERO)
		return;
	while (n) {
		struct iovec *iov = &r->piece[r->at].iov;
		u64 part = n < iov->iov_len ? n : iov->iov_len;

		iov->iov_base = (u8 *)iov->iov_base + part;
		iov->iov_len -= part;
		n -= part;
		r->at += !iov->iov_len;
	}
}

/* A short count is gone on from: a later error is the request's (5.2.6.2). */
static void transferred(struct blk_req *r, const struct blk_disk *disk, u64 n)
{
	/* 0: the file ends before the disk does. */
	if (!n || n > r->left) {
		done(r, VIRTIO_BLK_S_IOERR);
		return;
	}
	advance(r, n);
	if (r->op == BLK_READ)
		r->written += n;
	if (r->left)
		return;
	if (r->op == BLK_WRITE_ZERO) {
		r->at++;
		next_range(r, disk);
	} else if (r->op == BLK_WRITE && r->durable && !disk->direct) {
		/* See blk_sync.c. */
		r->op = BLK_SYNC;
	} else {
		done(r, VIRTIO_BLK_S_OK);
	}
}

/* Not every backend can do everything: there is a second and a third way. */
static void not_supported(struct blk_req *r)
{
	if (r->op == BLK_PUNCH && r->type == VIRTIO_BLK_T_WRITE_ZEROES)
		r->op = BLK_ZERO;
	else if (r->op == BLK_ZERO)
		r->op = BLK_WRITE_ZERO;
	else
		done(r, r->type == VIRTIO_BLK_T_DISCARD ? VIRTIO_BLK_S_UNSUPP :
							  VIRTIO_BLK_S_IOERR);
}

static void failed(struct blk_req *r, const struct blk_disk *disk, int err)
{
	bool rw = r->op == BLK_READ || r->op == BLK_WRITE;

	switch (err) {
	case EINTR:
		return;
	case EAGAIN:
		if (r->retries++ < MAX_RETRIES)
			return;
		break;
	case EINVAL:
		/* This backend wants more alignment than others do. */
		if (rw && disk->direct && !r->bounces) {
			r->bounces = true;
			return;
		}
		/* Or its blocks are larger than the driver's: through the page cache it can be written. */
		if ((r->op == BLK_PUNCH || r->op == BLK_ZERO) && !disk->direct &&
		    r->type == VIRTIO_BLK_T_WRITE_ZEROES) {
			r->op = BLK_WRITE_ZERO;
			return;
		}
		break;
	case EOPNOTSUPP:
		if (r->op == BLK_WRITE_BACK)
			break;
		not_supported(r);
		return;
	}
	/* Of writes before it: the next flush fails. */
	if (r->op == BLK_WRITE_BACK)
		r->op = zero_op(&r->piece[r->at].range);
	else
		done(r, VIRTIO_BLK_S_IOERR);
}

void blk_req_result(struct blk_req *r, const struct blk_disk *disk, int64_t res)
{
	if (res < 0) {
		failed(r, disk, -res);
		return;
	}
	r->retries = 0;
	switch (r->op) {
	case BLK_READ:
	case BLK_WRITE:
	case BLK_WRITE_ZERO:
		transferred(r, disk, res);
		break;
	case BLK_WRITE_BACK:
		r->op = zero_op(&r->piece[r->at].range);
		break;
	case BLK_DISCARD:
	case BLK_PUNCH:
	case BLK_ZERO:
		r->at++;
		next_range(r, disk);
		break;
	default:
		done(r, VIRTIO_BLK_S_OK);
	}
}

u32 blk_req_finish(struct blk_req *r)
{
	*(volatile u8 *)r->status = r->result;
	return r->written == r->in_bytes - 1 ? r->in_bytes : r->written;
}
