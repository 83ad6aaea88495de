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
 *			stopped first (NUM, BASE, SET_FEATURES; all of them:
 *			VKICK_BLK_SET_FILE; those of the port: VKICK_CONSOLE_SET_PORT);
 *			the worker has queues (FREE_WORKER)
 *	ENOBUFS		no queue with this index
 *	ENODEV		no worker with this id; a queue of a device without a backend
 *			is to start (VKICK_BLK_SET_FILE, VHOST_NET_SET_BACKEND,
 *			VKICK_CONSOLE_SET_PORT)
 *	ENOSPC		the device has as many workers as it can
 *	EAGAIN		no more threads for this process (RLIMIT_NPROC, pids.max)
 *	EINVAL		a value is out of range or misaligned, regions overlap
 *			or wrap around, or a queue lacks NUM or ADDR at its
 *			start; a tap without its network device (VHOST_NET_SET_BACKEND)
 *	EFAULT		an argument, or a ring at its queue's start, does not
 *			lie in mapped user memory; VHOST_F_LOG_ALL without a
 *			log that covers the memory table
 *	EOPNOTSUPP	unknown feature bits, flags or nonzero padding
 *	E2BIG		too many memory regions; nonzero bytes past the end of
 *			a struct
 *	EBADF		the fd is not open, or not for reading; one of the wrong
 *			type is EINVAL
 *	ENOTSOCK	the fd is no tap and no packet socket (VHOST_NET_SET_BACKEND)
 *	ENOTTY		no such ioctl on this device
 *	EINTR		a fatal signal came while waiting for a busy queue
 *	ENOMEM		no memory, or the log, or a memory table that is to be pinned, does
 *			not fit RLIMIT_MEMLOCK
 *
 * What the vhost ioctls mean here, where <linux/vhost.h> leaves it open:
 *
 * Packed rings (VIRTIO_F_RING_PACKED): desc_user_addr is the descriptor ring,
 * avail_user_addr the driver's event suppression (4-byte aligned), used_user_addr
 * the device's. A queue whose BASE was never set starts as VIRTIO 1.2, 2.8.1 says,
 * with both wrap counters 1.
 *
 * VHOST_NET_SET_BACKEND, of class net alone: gives the queue a backend and starts it,
 * as VKICK_SET_RUNNING does; or with -1 stops it, with what that guarantees, and takes
 * the backend away. A queue that runs goes on with another backend where it was. Queue 0
 * receives, queue 1 transmits. A backend is a tap (/dev/net/tun, macvtap, ipvtap) or a
 * packet socket of type SOCK_RAW. VKICK_SET_RUNNING works too, while there is a backend.
 *
 * Workers: SET_OWNER makes worker 0, which serves all queues until
 * VHOST_ATTACH_VRING_WORKER says otherwise. A queue may be moved while it runs.
 *
 * Polling (VHOST_SET_VRING_BUSYLOOP_TIMEOUT, microseconds): a queue that ran empty
 * is watched for up to this long before the driver is asked for a kick. The time
 * really spent adapts to what the last polls were worth. While it is watched, what is
 * used is shown at once, but a call may be held back: for a millisecond, or this long
 * if that is less, and for as long as its worker is busy with other queues. From the
 * call on the time counts anew. A driver that turns out to wait for its calls has
 * most of them at once.
 *
 * Dirty log: one bit for each 4096 bytes of guest-physical memory, counted from
 * the start of the bitmap at SET_LOG_BASE. It is mapped, and counted against
 * RLIMIT_MEMLOCK, while VHOST_F_LOG_ALL is acknowledged; this feature alone may
 * change while queues run. With VHOST_VRING_F_LOG the ring's own writes are logged
 * as well: the used ring (packed: the device's event suppression) at
 * log_guest_addr, a packed descriptor ring where the memory table has its address.
 */
#ifndef _UAPI_LINUX_VKICK_H
#define _UAPI_LINUX_VKICK_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/vhost.h>

/* <linux/vhost.h> has them from Linux 6.5 on: the module serves them on any kernel. */
#ifndef VHOST_NEW_WORKER
struct vhost_worker_state {
	unsigned int worker_id;
};

struct vhost_vring_worker {
	unsigned int index;
	unsigned int worker_id;
};

#define VHOST_NEW_WORKER		_IOR(VHOST_VIRTIO, 0x8, struct vhost_worker_state)
#define VHOST_FREE_WORKER		_IOW(VHOST_VIRTIO, 0x9, struct vhost_worker_state)
#define VHOST_ATTACH_VRING_WORKER	_IOW(VHOST_VIRTIO, 0x15, struct vhost_vring_worker)
#define VHOST_GET_VRING_WORKER		_IOWR(VHOST_VIRTIO, 0x16, struct vhost_vring_worker)
#endif

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

/* Of pop_to_used_ns: 4 to each power of two, the last all from 7.5 s on. */
#define VKICK_LATENCY_BUCKETS	128U

/* The least of bucket @i, in ns; what is below that of the next is counted there. */
static inline __u64 vkick_latency_from_ns(__u32 i)
{
	return i < 4 ? i : (4ULL + i % 4) << (i / 4 - 1);
}

/* The bucket of @ns. */
static inline __u32 vkick_latency_bucket(__u64 ns)
{
	__u32 log, i;

	if (ns < 4)
		return ns;
	log = 63 - __builtin_clzll(ns);
	i = 4 * (log - 1) + (ns >> (log - 2) & 3);
	return i < VKICK_LATENCY_BUCKETS ? i : VKICK_LATENCY_BUCKETS - 1;
}

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
 * @poll_hits: times that polling found work before its time was up
 * @poll_misses: times that it did not
 * @poll_window_ns: for how long the queue is polled at present, at most what
 *	VHOST_SET_VRING_BUSYLOOP_TIMEOUT allows, or twice @wakeup_ns if that is
 *	more, four times if the driver came with more than one request the last time;
 *	0: polling does not pay
 * @in_flight: requests that the class has not completed
 * @dropped: of class net: packets that were lost, since they were too short or too long,
 *	since the backend refused them, or since no buffers of the driver's could hold them.
 *	What a tap refuses in a batch it does not tell: see vkick(4). Of class console:
 *	chains of which output was lost
 * @pop_to_used_ns: histogram, nanoseconds from when a request was taken off the ring until
 *	its used element was published, with the buckets of vkick_latency_from_ns(). The
 *	first request of each pass is measured, and of the others one in 31, which counts as
 *	31: the sum is near @requests. What was between two calls is the difference. All 0
 *	for class net, whose packets are not requests that wait
 * @calls_held: calls that were not made at once, since the queue was being polled: each
 *	stands for all that was used until it was made
 * @calls_in_vain: of these, the ones that were made because nothing came any more: the
 *	driver waited for them, most likely
 * @wakeup_ns: how long it takes at present from a kick or completion until the worker runs,
 *	if it slept: up to 50000, a moving average
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
	__aligned_u64 poll_hits;
	__aligned_u64 poll_misses;
	__aligned_u64 poll_window_ns;
	__aligned_u64 in_flight;
	__aligned_u64 dropped;
	__aligned_u64 pop_to_used_ns[VKICK_LATENCY_BUCKETS];
	__aligned_u64 calls_held;
	__aligned_u64 calls_in_vain;
	__aligned_u64 wakeup_ns;
};

/* The longest @latency_ns of struct vkick_null_latency. */
#define VKICK_NULL_MAX_LATENCY_NS	1000000000U

/**
 * struct vkick_null_latency - VKICK_NULL_SET_LATENCY: how long a request takes
 * @size: sizeof(struct vkick_null_latency)
 * @reserved: 0, else EOPNOTSUPP
 * @latency_ns: 0 to VKICK_NULL_MAX_LATENCY_NS, else EINVAL
 *
 * /dev/vkick-null completes a request at once if @latency_ns is 0, as it is at
 * first; else from a timer interrupt this much later, as a disk would. Applies to
 * requests from the call on. Forgotten by VHOST_RESET_OWNER.
 */
struct vkick_null_latency {
	__u32 size;
	__u32 reserved;
	__aligned_u64 latency_ns;
};

/**
 * struct vkick_blk_file - VKICK_BLK_SET_FILE: what a disk's data lie in
 * @size: sizeof(struct vkick_blk_file)
 * @fd: a regular file or a block device, open for reading at least; -1: none
 *
 * Requests are submitted as the fd was opened: with O_DIRECT from and to the guest's
 * pages, else through the page cache. If it was opened without write access the disk
 * is read-only. The device keeps the file, so the fd may be closed. EBUSY while a
 * queue runs.
 */
struct vkick_blk_file {
	__u32 size;
	__s32 fd;
};

/* Limits of struct vkick_blk_config, and of one request's data. */
#define VKICK_BLK_MAX_SEGS		1022U
#define VKICK_BLK_MAX_RANGES		256U
#define VKICK_BLK_MAX_REQUEST_BYTES	(16U << 20)

#define VKICK_BLK_SERIAL_BYTES		20

/* Flags of struct vkick_blk_config. */
#define VKICK_BLK_READ_ONLY	0x1	/* writes of any kind fail with IOERR */
#define VKICK_BLK_WRITE_THROUGH	0x2	/* a write completes when it is durable */

/**
 * struct vkick_blk_config - VKICK_BLK_SET_CONFIG: what the driver was promised
 * @size: sizeof(struct vkick_blk_config)
 * @flags: VKICK_BLK_READ_ONLY, VKICK_BLK_WRITE_THROUGH; others EOPNOTSUPP
 * @capacity: of the disk, in sectors of 512 bytes, at most 2^54; 0 at first
 * @seg_max: data descriptors of one request, 1 to VKICK_BLK_MAX_SEGS, else EINVAL
 * @max_discard_seg: ranges of a discard, 0 (none are served) to VKICK_BLK_MAX_RANGES
 * @max_discard_sectors: of each
 * @max_write_zeroes_seg: as for discards
 * @max_write_zeroes_sectors: of each
 * @reserved: 0, else EOPNOTSUPP
 * @serial: for VIRTIO_BLK_T_GET_ID, filled up with zeroes
 *
 * The fields of struct virtio_blk_config that the device has to know: a request that
 * does not keep to them fails with VIRTIO_BLK_S_IOERR. May be set at any time, so
 * that a disk is resized, or its cache switched, under load: each request goes by
 * one configuration, and by the new one if the driver made it available after the
 * ioctl returned. A driver without VIRTIO_BLK_F_FLUSH has write-through in any case
 * (VIRTIO 1.2, 5.2.6.2).
 */
struct vkick_blk_config {
	__u32 size;
	__u32 flags;
	__aligned_u64 capacity;
	__u32 seg_max;
	__u32 max_discard_seg;
	__u32 max_discard_sectors;
	__u32 max_write_zeroes_seg;
	__u32 max_write_zeroes_sectors;
	__u32 reserved;
	__u8  serial[VKICK_BLK_SERIAL_BYTES];
	__u32 reserved2;
};

/**
 * struct vkick_blk_pinned - VKICK_BLK_SET_PINNED: whether guest memory stays where it is
 * @size: sizeof(struct vkick_blk_pinned)
 * @pinned: 1: memory of the tables that VHOST_SET_MEM_TABLE sets from now on is pinned
 *	where an I/O first uses it, until its table is replaced or forgotten. 0, as at
 *	first: each I/O pins its own, for as long as it lasts. Else EINVAL
 *
 * Spares each I/O the way through the owner's page tables. All of such a table counts
 * against RLIMIT_MEMLOCK (ENOMEM, and the old one stays), though only what was used
 * is pinned. The owner must not put other memory in its place meanwhile, by mmap(2),
 * MADV_DONTNEED, a hole in the file, or a balloon: the device would go on with the old
 * pages. What cannot be pinned for so long, as read-only memory and pages of a disk's
 * file, is served as if this was 0. Forgotten by VHOST_RESET_OWNER.
 */
struct vkick_blk_pinned {
	__u32 size;
	__u32 pinned;
};

/* Of a device; they have numbers from 0 on. */
#define VKICK_CONSOLE_MAX_PORTS		31U

/**
 * struct vkick_console_port - VKICK_CONSOLE_SET_PORT, VKICK_CONSOLE_GET_PORT: a port's files
 * @size: sizeof(struct vkick_console_port); of GET_PORT, on return the number of bytes
 *	that the kernel filled
 * @port: 0 to VKICK_CONSOLE_MAX_PORTS - 1, else ENOBUFS. Port 0 has queues 0 (the driver
 *	receives) and 1 (it transmits), port N queues 2N+2 and 2N+3 (VIRTIO 1.2,
 *	5.3.2). Queues 2 and 3 are for control messages, and do not run here
 * @in_fd: what the driver receives is read from it; -1: it receives nothing
 * @out_fd: what the driver transmits is written to it; -1: it is thrown away
 * @event_fd: eventfd, signalled when one of both ends or fails; -1: none
 * @out_skip: bytes of the chain that is next to be transmitted that were written already:
 *	where another datapath stopped, or (GET_PORT) where this one did
 * @in_error: GET_PORT: 0, or the errno (positive) of the last read; ENODATA: @in_fd has
 *	ended. SET_PORT: 0, else EOPNOTSUPP
 * @out_error: the same of the last write. What was to be written then is lost
 * @reserved: 0, else EOPNOTSUPP
 *
 * Files are terminals, pipes, sockets or regular files, that may be polled and be written
 * to by an iterator, else EINVAL. The device waits for none of them: all but regular files are
 * to be open with O_NONBLOCK, and fail with EINVAL if they are not (any more). It keeps
 * the files, so the fds may be closed. EBUSY while a queue of the port runs.
 *
 * GET_PORT fills all but the fds, which are -1; ENODEV for a port that was not set.
 * Ports are forgotten by VHOST_RESET_OWNER.
 */
struct vkick_console_port {
	__u32 size;
	__u32 port;
	__s32 in_fd;
	__s32 out_fd;
	__s32 event_fd;
	__u32 out_skip;
	__u32 in_error;
	__u32 out_error;
	__aligned_u64 reserved;
};

#define VKICK_GET_INFO		_IOWR(VKICK_IOCTL_TYPE, 0x00, struct vkick_info)
#define VKICK_SET_RUNNING	_IOW(VKICK_IOCTL_TYPE, 0x01, struct vkick_running)
#define VKICK_GET_STATS		_IOWR(VKICK_IOCTL_TYPE, 0x02, struct vkick_stats)

/* Of one class alone; ENOTTY elsewhere. */
#define VKICK_NULL_SET_LATENCY	_IOW(VKICK_IOCTL_TYPE, 0x10, struct vkick_null_latency)
#define VKICK_BLK_SET_FILE	_IOW(VKICK_IOCTL_TYPE, 0x11, struct vkick_blk_file)
#define VKICK_BLK_SET_CONFIG	_IOW(VKICK_IOCTL_TYPE, 0x12, struct vkick_blk_config)
#define VKICK_CONSOLE_SET_PORT	_IOW(VKICK_IOCTL_TYPE, 0x13, struct vkick_console_port)
#define VKICK_CONSOLE_GET_PORT	_IOWR(VKICK_IOCTL_TYPE, 0x14, struct vkick_console_port)
#define VKICK_BLK_SET_PINNED	_IOW(VKICK_IOCTL_TYPE, 0x15, struct vkick_blk_pinned)

#endif /* _UAPI_LINUX_VKICK_H */
