// SPDX-License-Identifier: GPL-2.0
/*
 * What a disk's io_uring may be used for: an io_uring makes system calls that no filter sees, opening files among them.
 *
 * in:  a ring that is not enabled yet
 * out: one that does blk_sqe.c's submissions, and refuses others (-EACCES)
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blk_uring.h"

#define SQE(o)		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = (o) }
#define REGISTER(o)	{ .opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = (o) }
#define FLAGS(f)	{ .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = (f) }

int blk_restrict(struct blk_thread *t)
{
	static const struct io_uring_restriction allowed[] = {
		SQE(IORING_OP_READ), SQE(IORING_OP_READV), SQE(IORING_OP_READ_FIXED),
		SQE(IORING_OP_WRITE), SQE(IORING_OP_WRITEV), SQE(IORING_OP_WRITE_FIXED),
		SQE(IORING_OP_FSYNC), SQE(IORING_OP_SYNC_FILE_RANGE), SQE(IORING_OP_FALLOCATE),
		SQE(IORING_OP_POLL_ADD),
		FLAGS(IOSQE_FIXED_FILE | IOSQE_ASYNC),
		REGISTER(IORING_REGISTER_BUFFERS2), REGISTER(IORING_REGISTER_BUFFERS_UPDATE),
		REGISTER(IORING_UNREGISTER_BUFFERS), REGISTER(IORING_UNREGISTER_FILES),
		REGISTER(IORING_REGISTER_IOWQ_MAX_WORKERS),
	};

	/* liburing 2.3 declares a function for it, and does not export it. */
	return syscall(__NR_io_uring_register, t->ring.ring_fd, IORING_REGISTER_RESTRICTIONS, allowed,
		       ARRAY_SIZE(allowed)) ? -errno : 0;
}
