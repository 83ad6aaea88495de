/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The ioctl ABI of /dev/vkick-*, beyond <linux/vhost.h>.
 *
 * A vkick device speaks mainline's vhost ioctls (type 0xAF) with mainline's
 * semantics. The ioctls below add what vhost has no word for.
 *
 * Every struct starts with its own size. The kernel takes what it knows, and
 * accepts a larger struct if all bytes past that are zero (E2BIG if not); a
 * shorter one from an older client counts as zero-filled. So the ABI can grow.
 *
 * What each errno means, for these ioctls and for the vhost ones alike:
 *
 *	EPERM		no owner yet, or the caller is not in the owner's
 *			address space (every call but the GET_FEATURES getters
 *			and VKICK_GET_INFO)
 *	EBUSY		owned already (SET_OWNER); the queue runs, and must be
 *			stopped first (NUM, BASE, SET_FEATURES)
 *	ENOBUFS		no queue with this index
 *	EINVAL		a value is out of range or misaligned, regions overlap
 *			or wrap around, or a queue lacks NUM or ADDR at its
 *			start
 *	EFAULT		an argument, or a ring at its queue's start, does not
 *			lie in mapped user memory
 *	EOPNOTSUPP	unknown feature bits, flags or nonzero padding
 *	E2BIG		too many memory regions; nonzero bytes past the end of
 *			a struct
 *	EBADF		the fd is not open; or is not an eventfd (EINVAL)
 *	ENOTTY		no such ioctl on this device
 *	EINTR		a fatal signal came while waiting for a busy queue
 *	ENOMEM		no memory, or the worker could not be started
 */
#ifndef _UAPI_LINUX_VKICK_H
#define _UAPI_LINUX_VKICK_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VKICK_ABI_VERSION	1

/*
 * Free in Documentation/userspace-api/ioctl/ioctl-number.rst, which leaves
 * 0xD0 to 0xDA unassigned.
 */
#define VKICK_IOCTL_TYPE	0xD5

/* Stands for each queue of a device where a queue index is asked for. */
#define VKICK_ALL_QUEUES	0xffffffffU

/**
 * struct vkick_info - VKICK_GET_INFO: what this device is
 * @size: sizeof(struct vkick_info), set by the caller; on return the number
 *	of bytes that the kernel filled
 * @abi_version: VKICK_ABI_VERSION of the module
 * @device_id: virtio device ID of the class (VIRTIO 1.2, section 5); 0 for null
 * @nvqs: number of virtqueues
 * @max_queue_size: largest value for VHOST_SET_VRING_NUM
 * @max_regions: largest nregions for VHOST_SET_MEM_TABLE
 * @max_chain: descriptors with data in one chain; a longer chain breaks the queue
 * @reserved: 0
 * @class_name: zero-terminated: "null", "rng", ...
 *
 * Needs no owner. Context: any.
 */
struct vkick_info {
	__u32 size;
	__u32 abi_version;
	__u32 device_id;
	__u32 nvqs;
	__u32 max_queue_size;
	__u32 max_regions;
	__u32 max_chain;
	__u32 reserved;
	char  class_name[16];
};

/**
 * struct vkick_running - VKICK_SET_RUNNING: start or stop queues
 * @size: sizeof(struct vkick_running)
 * @index: queue index, or VKICK_ALL_QUEUES
 * @running: 1 to start, 0 to stop
 * @reserved: 0, else EOPNOTSUPP
 *
 * A start takes NUM, ADDR, BASE and the memory table as they are, and counts
 * as a kick. Starting what runs, or stopping what does not, succeeds and does
 * nothing. With VKICK_ALL_QUEUES either all start, or none.
 *
 * When a stop returns, no request is in flight, no guest byte is written and
 * no eventfd signalled any more, and VHOST_GET_VRING_BASE is exact. A stop
 * fails with EINTR alone, and only if a fatal signal is pending: closing the
 * device then completes it.
 */
struct vkick_running {
	__u32 size;
	__u32 index;
	__u32 running;
	__u32 reserved;
};

/* Bucket i counts samples of [2^i, 2^(i+1)) ns, the last all above. */
#define VKICK_HIST_BUCKETS	32

/**
 * struct vkick_stats - VKICK_GET_STATS: counters of one queue
 * @size: sizeof(struct vkick_stats), set by the caller; on return the number
 *	of bytes that the kernel filled
 * @index: queue index, set by the caller
 * @running: 1 if the queue runs
 * @error: 0, or the errno (positive) that broke the queue: EINVAL bad ring or
 *	chain contents, EFAULT memory outside the table or unmapped, E2BIG
 *	chain longer than max_chain
 * @kicks: signals of the kick eventfd seen while it was attached
 * @passes: times the worker looked at the queue
 * @requests: chains completed
 * @bytes_in: bytes written into guest buffers
 * @bytes_out: bytes read from guest buffers by the class
 * @calls: signals of the call eventfd
 * @calls_suppressed: batches after which the driver wanted no interrupt
 * @rechecks: times that a request came in between drain and re-enabling of
 *	notifications, and was caught by looking again
 * @budget_exhausted: passes that ended with work left, to let others run
 * @kick_to_used_ns: log2 histogram, nanoseconds from the kick that made the
 *	queue runnable to the end of the pass that served it
 *
 * Counters start at 0 with VHOST_SET_OWNER and survive stops.
 */
struct vkick_stats {
	__u32 size;
	__u32 index;
	__u32 running;
	__u32 error;
	__aligned_u64 kicks;
	__aligned_u64 passes;
	__aligned_u64 requests;
	__aligned_u64 bytes_in;
	__aligned_u64 bytes_out;
	__aligned_u64 calls;
	__aligned_u64 calls_suppressed;
	__aligned_u64 rechecks;
	__aligned_u64 budget_exhausted;
	__aligned_u64 kick_to_used_ns[VKICK_HIST_BUCKETS];
};

#define VKICK_GET_INFO		_IOWR(VKICK_IOCTL_TYPE, 0x00, struct vkick_info)
#define VKICK_SET_RUNNING	_IOW(VKICK_IOCTL_TYPE, 0x01, struct vkick_running)
#define VKICK_GET_STATS		_IOWR(VKICK_IOCTL_TYPE, 0x02, struct vkick_stats)

#endif /* _UAPI_LINUX_VKICK_H */
