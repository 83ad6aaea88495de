/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One request of a disk in userspace: the virtio-blk protocol (VIRTIO 1.2, 5.2.6),
 * with no word of how the backend is reached.
 *
 * in:  a chain; results of the steps it took
 * out: steps for the backend, one at a time; the status byte
 *
 * A request is a small machine. blk_req_begin() reads the header and checks all there
 * is to check; from then on @op names the next step, and blk_req_result() takes what
 * the backend said of it, until @op is BLK_DONE.
 *
 * What is checked, in this order:
 *
 *  - no writable byte, so no place for a status; fewer than 16 readable ones; or an
 *    address outside guest memory: the queue breaks
 *  - a type that is not served, discards and write-zeroes of a disk that was not to
 *    have them among these: UNSUPP
 *  - anything that writes, on a read-only disk: IOERR
 *  - data of reads and writes: more descriptors than seg_max, or more bytes than the
 *    module takes, or no multiple of 512, or not within the disk: IOERR
 *  - ranges: none, no whole number, or too many of them: IOERR; then each in turn, a
 *    flag that it must not have: UNSUPP; too large or not within the disk: IOERR
 *
 * A descriptor counts as data if one byte of it is neither header nor status: framing
 * is the driver's choice (2.7.4.1). Nothing is done of a request that fails here.
 *
 * The length of the used element counts bytes from the start of the writable part on
 * which the driver may rely (2.7.8.2), so a status byte behind data that were not all
 * written is not counted: a failed read has length 0, or 1 if there was no room for
 * data, and the 20 bytes of a GET_ID into 64 have 20.
 */
#ifndef BLK_REQ_H
#define BLK_REQ_H

#include <sys/uio.h>

#include "blk.h"
#include "vring.h"
#include "vring_latency.h"

/* Descriptors in a chain, and pieces of host memory that they make: as the module. */
#define BLK_MAX_CHAIN		1024

struct blk_queue;
struct blk_thread;

struct blk_queue;
struct blk_thread;

enum blk_op {
	BLK_DONE,		/* the status stands */
	BLK_READ,		/* into blk_req_iov() from @pos */
	BLK_WRITE,		/* from blk_req_iov() to @pos */
	BLK_SYNC,		/* all that was completed becomes durable */
	BLK_DISCARD,		/* @left bytes from @pos: the block device may forget them */
	BLK_WRITE_BACK,		/* ... go from the page cache to the disk */
	BLK_PUNCH,		/* ... read as zeroes, and need not take space */
	BLK_ZERO,		/* ... read as zeroes, and keep their space */
	BLK_WRITE_ZERO,		/* ... are overwritten with zeroes */
};

struct blk_range {
	u64 pos;
	u64 bytes;		/* bit 63: may be deallocated */
};

/* Requests of reads and writes have the one, of ranges the other. */
union blk_piece {
	struct iovec iov;
	struct blk_range range;
};

/**
 * struct blk_view - what requests of a queue are read by
 * @write_through: the driver does not know of flushes (5.2.6.2)
 * @max_pieces: room for pieces in each request, see blk_req_bytes()
 * @segs: room for a chain
 * @iov: room for its translation
 */
struct blk_view {
	struct vm *vm;
	const struct blk_disk *disk;
	bool write_through;
	u32 max_pieces;
	struct vring_seg segs[BLK_MAX_CHAIN];
	struct iovec iov[BLK_MAX_CHAIN];
};

/**
 * struct blk_req - one request
 * @next: in a list of those that wait for something; the backend's
 * @queue: the backend's, as @thread, @back_result, @leads, @lost and @stamp
 * @chunk: a buffer to bounce through; the backend's, see blk_req_gather()
 * @durable: it completes when it is durable
 * @bounces: the data are not aligned as O_DIRECT wants them
 * @status: where the status byte goes
 * @written: data bytes in the guest's buffer, from its start
 * @pos: byte on the disk, of the next step
 * @left: bytes to do there
 * @at: the next of @nr pieces
 */
struct blk_req {
	struct blk_req *next;
	struct blk_queue *queue;
	struct blk_thread *thread;
	int back_result;
	bool leads;
	bool lost;
	void *chunk;
	struct vring_stamp stamp;
	struct vring_token token;
	enum blk_op op;
	u32 type;
	u8 result;
	bool durable;
	bool bounces;
	u8 retries;
	u8 *status;
	u64 in_bytes;
	u64 written;
	u64 pos;
	u64 left;
	u32 at;
	u32 nr;
	union blk_piece piece[];
};

/* Room for pieces that any request of this disk may need; and bytes of a request. */
u32 blk_req_max_pieces(const struct blk_disk *disk);
size_t blk_req_bytes(const struct blk_disk *disk);

/**
 * blk_req_begin() - read and check a request
 * @r: all but the backend's fields is overwritten
 * @v: the queue's; @v->segs holds the chain
 * @c: chain just popped
 *
 * Return: 0, with @r->op the first step; or -errno: the queue is broken, and the
 * guest's memory as it was.
 */
int blk_req_begin(struct blk_req *r, struct blk_view *v, const struct vring_chain *c);

/**
 * blk_req_result() - what became of the step
 * @res: bytes for reads and writes, 0 for others; or -errno
 *
 * Return: with @r->op the next step, which may be the same again.
 */
void blk_req_result(struct blk_req *r, const struct blk_disk *disk, int64_t res);

/* Writes the status. Return: length of the used element. */
u32 blk_req_finish(struct blk_req *r);

/* Data that are still to be read or written, all of them guest memory. */
static inline struct iovec *blk_req_iov(struct blk_req *r, u32 *nr)
{
	*nr = r->nr - r->at;
	return &r->piece[r->at].iov;
}

/* The next bytes of a write into @buf. Return: how many, at most @len. */
u32 blk_req_gather(const struct blk_req *r, void *buf, u32 len);
/* The next bytes of a read, which blk_req_result() is to take next. */
void blk_req_scatter(const struct blk_req *r, const void *buf, u32 len);

#endif
