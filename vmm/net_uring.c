// SPDX-License-Identifier: GPL-2.0
/*
 * A pair's io_uring.
 *
 * in:  packets of the driver's, as pieces of memory; the tap's
 * out: the tap has them, or has refused them; those that it had; none has passed another
 *
 * Reads and writes of one submission are begun in their order, and with RWF_NOWAIT each is over before the next one begins. What could
 * have a write pass another is a tap that has no room, and then some again, in the middle. One whose socket's buffer has no limit,
 * as a tap's has not unless somebody sets one, never says that it has no room. With all others writes are linked: after the
 * first that fails come none, and they are submitted anew. Links cost a tenth.
 */
#include <errno.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net_user.h"

/* ---- The ring --------------------------------------------------------------------------- */

#define SQE(o)		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = (o) }
#define REGISTER(o)	{ .opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = (o) }
#define REQUIRED(f)	{ .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = (f) }
#define ALLOWED(f)	{ .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = (f) }

/* As blk_restrict.c has it. No file but the one that is registered. */
int net_uring_restrict(struct io_uring *ring)
{
	static const struct io_uring_restriction allowed[] = {
		SQE(IORING_OP_READ), SQE(IORING_OP_READV), SQE(IORING_OP_WRITEV), REQUIRED(IOSQE_FIXED_FILE), ALLOWED(IOSQE_IO_LINK),
		REGISTER(IORING_UNREGISTER_FILES),
	};

	return syscall(__NR_io_uring_register, ring->ring_fd, IORING_REGISTER_RESTRICTIONS, allowed,
		       ARRAY_SIZE(allowed)) ? -errno : 0;
}

/* A read of no bytes takes no packet, and fails where RWF_NOWAIT is not known. */
static bool never_waits(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	bool ok;

	io_uring_prep_readv2(sqe, 0, NULL, 0, 0, RWF_NOWAIT);
	sqe->flags |= IOSQE_FIXED_FILE;
	if (io_uring_submit_and_wait(ring, 1) != 1 || io_uring_peek_cqe(ring, &cqe))
		return false;
	ok = !cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return ok;
}

static int set_up(struct io_uring *ring, int tap)
{
	int err = io_uring_register_files(ring, &tap, 1);

	if (!err)
		err = net_uring_restrict(ring);
	if (!err && syscall(__NR_io_uring_register, ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0))
		err = -errno;
	return err;
}

void net_uring_open(struct net_uring *u, int tap)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN,
	};
	int room;

	u->open = u->on = false;
	if (io_uring_queue_init_params(NET_BATCH, &u->ring, &params))
		return;
	u->linked = ioctl(tap, TUNGETSNDBUF, &room) || room != INT_MAX;
	if (!set_up(&u->ring, tap) && never_waits(&u->ring))
		u->open = u->on = true;
	else
		io_uring_queue_exit(&u->ring);
}

void net_uring_close(struct net_uring *u)
{
	if (!u->open)
		return;
	/* The ring's end is not waited for; the tap's is: another VMM may be to have it. */
	io_uring_unregister_files(&u->ring);
	io_uring_queue_exit(&u->ring);
	u->open = u->on = false;
}

/* ---- Packets ------------------------------------------------------------------------------ */

/* Return: writes that were made of packets @from to @nr. */
static u32 prepare(struct net_uring *u, const struct iovec *iov, const struct net_buffer *packet, u32 from, u32 nr)
{
	struct io_uring_sqe *sqe = NULL;
	u32 n = 0, i;

	for (i = 0; i < nr; iov += packet[i++].nr_iov) {
		if (i < from || !packet[i].nr_iov)
			continue;
		sqe = io_uring_get_sqe(&u->ring);
		io_uring_prep_writev2(sqe, 0, iov, packet[i].nr_iov, 0, RWF_NOWAIT);
		sqe->flags |= IOSQE_FIXED_FILE | (u->linked ? IOSQE_IO_LINK : 0);
		io_uring_sqe_set_data64(sqe, i);
		n++;
	}
	if (sqe)
		sqe->flags &= ~IOSQE_IO_LINK;
	return n;
}

/* What became of packet i: @result[i]. Return: false: the ring is no good. */
static bool submit(struct net_uring *u, u32 n, int *result)
{
	struct io_uring_cqe *cqe;
	unsigned int head;
	int err = 0;

	while (io_uring_cq_ready(&u->ring) < n && (err >= 0 || err == -EINTR))
		err = io_uring_submit_and_wait(&u->ring, n);
	n = 0;
	io_uring_for_each_cqe(&u->ring, head, cqe) {
		result[cqe->user_data] = cqe->res;
		n++;
	}
	io_uring_cq_advance(&u->ring, n);
	return err >= 0 || err == -EINTR;
}

u32 net_uring_write(struct net_uring *u, const struct iovec *iov, const struct net_buffer *packet, u32 nr)
{
	int result[NET_BATCH];
	u32 done = 0;

	while (done < nr) {
		u32 from = done, i;
		bool ok;

		for (i = from; i < nr; i++)
			result[i] = packet[i].nr_iov ? -ECANCELED : 0;
		ok = submit(u, prepare(u, iov, packet, from, nr), result);
		/* One that the tap refuses is lost; those that were linked to it were not begun. */
		while (done < nr && result[done] != -ECANCELED && result[done] != -EINTR && result[done] != -EAGAIN)
			done++;
		if (done < nr && result[done] == -EAGAIN)
			break;
		if (!ok || done == from) {
			u->on = false;
			break;
		}
	}
	return done;
}

void net_uring_read(struct net_uring *u, u8 (*data)[NET_MAX_PACKET + 1], int *bytes, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

		io_uring_prep_read(sqe, 0, data[i], sizeof(data[i]), 0);
		sqe->rw_flags = RWF_NOWAIT;
		sqe->flags |= IOSQE_FIXED_FILE;
		io_uring_sqe_set_data64(sqe, i);
		bytes[i] = -ECANCELED;
	}
	if (!submit(u, nr, bytes))
		u->on = false;
}
