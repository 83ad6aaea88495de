// SPDX-License-Identifier: GPL-2.0
/*
 * A disk's requests as io_uring submissions.
 *
 * in:  steps of requests
 * out: submissions, and what became of them
 *
 * Guest memory is registered with the ring if it may be, so that I/O of one piece
 * need not look up and pin pages each time. Registering pins all of guest memory, for
 * as long as the driver runs the device: it ends before a reset of the VM gives the
 * guest other pages.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "blk_uring.h"

/* Submissions that wait for the next system call; a full ring is one early. */
#define SQ_ENTRIES		256
#define MAX_CQ_ENTRIES		32768

/* Of the kernel's, for each ring; they come when all others block, and go when idle. */
#define MAX_WORKERS		256

/* Of registered memory, 4 MiB at least: pinned in about a millisecond. The kernel takes so many. */
#define BUF_SHIFT		22
#define MAX_BUFS		(1U << 14)

#define PIN_PAUSE_US		100

/* Write-zeroes of a backend that knows of no better way. */
#define ZEROES_BYTES		(64 * KIB)
static const u8 zeroes[ZEROES_BYTES] __attribute__((aligned(PAGE_BYTES)));

/* ---- The ring --------------------------------------------------------------------- */

/*
 * Disabled at first: the ring is its first user's alone, and that is the thread. With
 * DEFER_TASKRUN (6.1) completions are posted when the thread asks for them, and not by
 * interrupting it.
 */
static int open_ring(struct blk_thread *t, u32 cq_entries)
{
	const u32 best = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
	struct io_uring_params p = {
		.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE |
			 IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | best,
		.cq_entries = cq_entries,
	};
	int err = io_uring_queue_init_params(SQ_ENTRIES, &t->ring, &p);

	if (err != -EINVAL)
		return err;
	p = (struct io_uring_params) {
		.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = cq_entries,
	};
	return io_uring_queue_init_params(SQ_ENTRIES, &t->ring, &p);
}

/* Registered files: what a step is done to. */
enum { FILE_DISK, FILE_ASIDE };

int blk_sqe_open(struct blk_thread *t, u32 nr_requests)
{
	const int files[] = {
		[FILE_DISK] = t->u->disk->fd, [FILE_ASIDE] = t->u->disk->aside_fd,
	};
	u32 cq_entries = 2 * (nr_requests + SQ_ENTRIES), i;
	int err;

	err = open_ring(t, cq_entries < MAX_CQ_ENTRIES ? cq_entries : MAX_CQ_ENTRIES);
	if (err)
		return err;
	t->fixed_file = !io_uring_register_files(&t->ring, files, ARRAY_SIZE(files));
	err = blk_restrict(t);
	if (err) {
		io_uring_queue_exit(&t->ring);
		return err;
	}
	t->no_chunk.end = &t->no_chunk.first;
	t->no_sqe.end = &t->no_sqe.first;
	t->no_chunk.first = t->no_sqe.first = NULL;
	t->nr_chunks = 0;
	for (i = 0; i < BLK_NR_CHUNKS && t->u->disk->direct; i++) {
		t->chunks[i] = aligned_alloc(PAGE_BYTES, BLK_CHUNK_BYTES);
		if (!t->chunks[i]) {
			blk_sqe_close(t);
			return -ENOMEM;
		}
		t->nr_chunks++;
	}
	return 0;
}

void blk_sqe_close(struct blk_thread *t)
{
	while (t->nr_chunks)
		free(t->chunks[--t->nr_chunks]);
	io_uring_queue_exit(&t->ring);
}

/* How many buffers a piece of guest memory takes. */
static u32 nr_bufs(const struct ram_region *ram, u32 shift)
{
	return (ram->bytes + (1UL << shift) - 1) >> shift;
}

/*
 * Pinning does not let go of the CPU, so each call pins one buffer. While another datapath
 * serves the device the guest is to notice nothing: then each is followed by a moment in
 * which a vCPU has the CPU. Return: 0 or -errno.
 */
static int register_bufs(struct blk_thread *t, const struct ram_region *ram, u32 first)
{
	bool aside = t->u->dp.dev->datapath != &t->u->dp;
	u64 at, bytes = 1UL << t->buf_shift;

	for (at = 0; at < ram->bytes; at += bytes) {
		u64 left = ram->bytes - at;
		struct iovec iov = { ram->hva + at, left < bytes ? left : bytes };
		__u64 tag = 0;
		int n;

		n = io_uring_register_buffers_update_tag(&t->ring, first++, &iov, &tag, 1);
		if (n < 0)
			return n;
		if (aside)
			usleep(PIN_PAUSE_US);
	}
	return 0;
}

/* Return: 0 or -errno, with nothing registered. */
static int register_all(struct blk_thread *t)
{
	const struct vm *vm = t->u->dp.dev->vm;
	u32 n, first = 0;
	unsigned int i;
	int err;

	/* Of a huge page the kernel looks through all buffers for another piece. */
	t->buf_shift = BUF_SHIFT - 1;
	while (vm->huge_page_bytes >> (t->buf_shift + 1) > 1)
		t->buf_shift++;
	do {
		t->buf_shift++;
		for (n = 0, i = 0; i < vm->nr_ram; i++)
			n += nr_bufs(&vm->ram[i], t->buf_shift);
	} while (n > MAX_BUFS);
	err = io_uring_register_buffers_sparse(&t->ring, n);
	if (err)
		return err;
	for (i = 0; i < vm->nr_ram && !err; i++) {
		err = register_bufs(t, &vm->ram[i], first);
		first += nr_bufs(&vm->ram[i], t->buf_shift);
	}
	if (err)
		io_uring_unregister_buffers(&t->ring);
	return err;
}

static void register_memory(struct blk_thread *t)
{
	static atomic_flag warned = ATOMIC_FLAG_INIT;
	int err;

	if (!t->u->disk->pin)
		return;
	err = register_all(t);
	t->fixed_bufs = !err;
	if (err && !atomic_flag_test_and_set(&warned))
		warn("%s: guest memory cannot be registered for I/O: %s: it goes on without%s",
		     t->u->dp.dev->name, strerror(-err),
		     err == -EINVAL ? " (which takes Linux 5.19)" : " (ulimit -l)");
}

/*
 * What may block the kernel gives to threads of its own. However many of these wait, for
 * a disk that stalls, there is one for the next request. Without it there are fewer.
 */
static void limit_workers(struct blk_thread *t)
{
	unsigned int max[2] = { MAX_WORKERS, MAX_WORKERS };	/* bounded, unbounded */

	io_uring_register_iowq_max_workers(&t->ring, max);
}

void blk_sqe_enter(struct blk_thread *t)
{
	/* liburing 2.3 declares a function for it, and does not export it. */
	if (syscall(__NR_io_uring_register, t->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS,
		    NULL, 0))
		die("%s: io_uring: %s", t->u->dp.dev->name, strerror(errno));
	register_memory(t);
	limit_workers(t);
}

void blk_sqe_leave(struct blk_thread *t)
{
	/* The ring's end is not waited for; the pages' is, and the file's: it may be to be unmounted. */
	if (t->fixed_bufs)
		io_uring_unregister_buffers(&t->ring);
	if (t->fixed_file)
		io_uring_unregister_files(&t->ring);
}

/* ---- Submitting -------------------------------------------------------------------- */

void blk_sqe_submit(struct blk_thread *t, bool wait)
{
	int n = wait ? io_uring_submit_and_wait(&t->ring, 1) :
		       io_uring_submit_and_get_events(&t->ring);

	/*
	 * Not now: completions are to be taken first, or memory is short. What was not
	 * submitted is still there. Anything else is a mistake of ours, and nothing could
	 * tell what of the I/O is still under way.
	 */
	if (n < 0 && n != -EINTR && n != -EAGAIN && n != -EBUSY && n != -ENOMEM)
		die("%s: io_uring: %s", t->u->dp.dev->name, strerror(-n));
}

bool blk_sqe_ready(struct blk_thread *t)
{
	if (io_uring_cq_ready(&t->ring))
		return true;
	if (!(IO_URING_READ_ONCE(*t->ring.sq.kflags) &
	      (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)))
		return false;
	io_uring_get_events(&t->ring);
	return io_uring_cq_ready(&t->ring);
}

static struct io_uring_sqe *get_sqe(struct blk_thread *t)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&t->ring);

	if (sqe)
		return sqe;
	io_uring_submit(&t->ring);
	return io_uring_get_sqe(&t->ring);
}

void blk_sqe_watch(struct blk_thread *t, int fd, u64 tag)
{
	struct io_uring_sqe *sqe;

	/* Nothing of this is ever many, so room there will be. */
	while (!(sqe = get_sqe(t)))
		blk_sqe_submit(t, false);
	/*
	 * Each signal wakes the poll, whatever the count: it need not be read. What was
	 * signalled before is seen at once.
	 */
	io_uring_prep_poll_multishot(sqe, fd, POLLIN);
	io_uring_sqe_set_data64(sqe, tag);
}

/* The registered buffer that holds a piece, or -1. */
static int find_buf(const struct blk_thread *t, const struct iovec *iov)
{
	const struct vm *vm = t->u->dp.dev->vm;
	unsigned int i;
	u32 first = 0;

	for (i = 0; i < vm->nr_ram && t->fixed_bufs; i++) {
		u64 from = (u64)iov->iov_base - (u64)vm->ram[i].hva;
		u64 last = from + iov->iov_len - 1;

		if (from < vm->ram[i].bytes && last < vm->ram[i].bytes)
			return from >> t->buf_shift == last >> t->buf_shift ?
			       (int)(first + (from >> t->buf_shift)) : -1;
		first += nr_bufs(&vm->ram[i], t->buf_shift);
	}
	return -1;
}

static void prep_read(struct blk_thread *t, struct io_uring_sqe *sqe, struct blk_req *r,
		      int fd)
{
	u32 nr;
	struct iovec *iov = blk_req_iov(r, &nr);
	int buf = nr == 1 ? find_buf(t, iov) : -1;

	if (buf >= 0)
		io_uring_prep_read_fixed(sqe, fd, iov->iov_base, iov->iov_len, r->pos, buf);
	else
		io_uring_prep_readv(sqe, fd, iov, nr, r->pos);
}

static void prep_write(struct blk_thread *t, struct io_uring_sqe *sqe, struct blk_req *r,
		       int fd)
{
	u32 nr;
	struct iovec *iov = blk_req_iov(r, &nr);
	int buf = nr == 1 ? find_buf(t, iov) : -1;

	if (buf >= 0)
		io_uring_prep_write_fixed(sqe, fd, iov->iov_base, iov->iov_len, r->pos, buf);
	else
		io_uring_prep_writev(sqe, fd, iov, nr, r->pos);
}

static u32 at_most(u64 n, u32 max)
{
	return n < max ? n : max;
}

static void prep(struct blk_thread *t, struct io_uring_sqe *sqe, struct blk_req *r)
{
	int fd = t->fixed_file ? FILE_DISK : t->u->disk->fd;
	u32 n;

	switch (r->op) {
	case BLK_READ:
		if (r->chunk)
			io_uring_prep_read(sqe, fd, r->chunk,
					   at_most(r->left, BLK_CHUNK_BYTES), r->pos);
		else
			prep_read(t, sqe, r, fd);
		break;
	case BLK_WRITE:
		if (r->chunk) {
			n = blk_req_gather(r, r->chunk, BLK_CHUNK_BYTES);
			io_uring_prep_write(sqe, fd, r->chunk, n, r->pos);
		} else {
			prep_write(t, sqe, r, fd);
		}
		break;
	case BLK_WRITE_ZERO:
		io_uring_prep_write(sqe, fd, zeroes, at_most(r->left, ZEROES_BYTES), r->pos);
		break;
	case BLK_WRITE_BACK:
		/* What it finds lost is the next flush's to tell. A range has 64 MiB at most: its length fits. */
		io_uring_prep_sync_file_range(sqe, t->fixed_file ? FILE_ASIDE : t->u->disk->aside_fd, r->left, r->pos,
					      SYNC_FILE_RANGE_WAIT_BEFORE |
					      SYNC_FILE_RANGE_WRITE |
					      SYNC_FILE_RANGE_WAIT_AFTER);
		break;
	case BLK_PUNCH:
		io_uring_prep_fallocate(sqe, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					r->pos, r->left);
		break;
	case BLK_ZERO:
		io_uring_prep_fallocate(sqe, fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
					r->pos, r->left);
		break;
	default:
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
	}
	/* Direct, a write's error is its own. */
	if (r->durable && r->op == BLK_WRITE && t->u->disk->direct)
		sqe->rw_flags = RWF_DSYNC;
	if (t->fixed_file)
		sqe->flags |= IOSQE_FIXED_FILE;
	/* It did not do without blocking. */
	if (r->retries)
		sqe->flags |= IOSQE_ASYNC;
	io_uring_sqe_set_data(sqe, r);
}

/* ---- Requests ---------------------------------------------------------------------- */

static void release_chunk(struct blk_thread *t, struct blk_req *r)
{
	if (!r->chunk)
		return;
	t->chunks[t->nr_chunks++] = r->chunk;
	r->chunk = NULL;
}

static void complete(struct blk_thread *t, struct blk_req *r)
{
	struct blk_queue *q = r->queue;
	u32 written = blk_req_finish(r);

	release_chunk(t, r);
	t->in_flight--;
	if (vring_push(&q->ring, r->token, written))
		q->broken = true;
	if (r->stamp.weight && vring_latency_pushed(&q->latency, &r->stamp))
		vring_latency_published(&q->latency, monotonic_ns());
	q->free[q->nr_free++] = r;
	q->pushed = true;
	q->runnable = true;
	count(&q->n.requests, 1);
}

/*
 * Data in memory: no more than a copy, which the ring would give to another thread since
 * tmpfs does not say that it need not block.
 */
static void serve_in_memory(struct blk_thread *t, struct blk_req *r)
{
	int fd = t->u->disk->fd;

	while (r->op == BLK_READ || r->op == BLK_WRITE || r->op == BLK_SYNC) {
		ssize_t n;
		u32 nr;
		struct iovec *iov = blk_req_iov(r, &nr);

		t->copied_bytes += r->left;
		if (r->op == BLK_READ)
			n = preadv(fd, iov, nr, r->pos);
		else if (r->op == BLK_WRITE)
			n = pwritev(fd, iov, nr, r->pos);
		else
			n = fdatasync(fd);
		blk_req_result(r, t->u->disk, n < 0 ? -errno : n);
	}
}

/* fallocate() would be content with what is there of a backend that has shrunk. */
static bool zeroes_past_end(const struct blk_thread *t, const struct blk_req *r)
{
	off_t end;

	if (r->type != VIRTIO_BLK_T_WRITE_ZEROES || (r->op != BLK_PUNCH && r->op != BLK_ZERO))
		return false;
	end = lseek(t->u->disk->fd, 0, SEEK_END);
	return end < 0 || r->pos + r->left > (u64)end;
}

void blk_sqe_start(struct blk_thread *t, struct blk_req *r)
{
	struct io_uring_sqe *sqe;

	if (t->u->in_memory)
		serve_in_memory(t, r);
	if (zeroes_past_end(t, r))
		blk_req_result(r, t->u->disk, -EIO);
	if (r->op == BLK_DONE) {
		complete(t, r);
		return;
	}
	if (r->op == BLK_DISCARD) {
		blk_discard_start(t, r);
		return;
	}
	if (r->op == BLK_SYNC && !blk_sync_leads(t, r))
		return;
	if (r->bounces && !r->chunk) {
		if (!t->nr_chunks) {
			blk_append(&t->no_chunk, r);
			return;
		}
		r->chunk = t->chunks[--t->nr_chunks];
	}
	sqe = get_sqe(t);
	if (sqe)
		prep(t, sqe, r);
	else
		blk_append(&t->no_sqe, r);
}

void blk_sqe_result(struct blk_thread *t, struct blk_req *r, int res)
{
	struct blk_req *waiter;

	if (r->op == BLK_READ && r->chunk && res > 0)
		blk_req_scatter(r, r->chunk, res);
	blk_req_result(r, t->u->disk, r->leads ? blk_sync_result(r, res) : res);
	if (r->leads && r->op != BLK_SYNC)
		blk_sync_end(t, r, res);
	blk_sqe_start(t, r);
	if (t->nr_chunks && (waiter = blk_take(&t->no_chunk)))
		blk_sqe_start(t, waiter);
}

bool blk_sqe_retry(struct blk_thread *t)
{
	struct blk_list again = t->no_sqe;
	struct blk_req *r;

	if (!again.first)
		return false;
	t->no_sqe.first = NULL;
	t->no_sqe.end = &t->no_sqe.first;
	while ((r = blk_take(&again)))
		blk_sqe_start(t, r);
	return t->no_sqe.first;
}
