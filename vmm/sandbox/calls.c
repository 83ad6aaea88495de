// SPDX-License-Identifier: GPL-2.0
/*
 * The system calls that each kind of thread makes once a guest may run, and why.
 *
 * in:  what the VMM's files do, what glibc does for them
 * out: lists, for generate.c
 *
 * Whoever adds a call to the VMM adds it here: any other kills the process. Lists are by who needs them, not by
 * who is allowed them: a thread also has what the threads have that it makes, since these inherit its filter.
 */
#include <errno.h>
#include <fcntl.h>
#include <asm/ioctls.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/vfio.h>
#include <linux/vhost.h>
#include <linux/vkick.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "../vfio_iommufd.h"
#include "sandbox.h"

#define ALL			(~0UL)
#define CALL(name)		{ .nr = __NR_##name }
#define CALL_IF(name, n, m, v)	{ .nr = __NR_##name, .checked = true, .arg = (n), .mask = (m), .value = (v) }
#define CALL_FAILS(name, err)	{ .nr = __NR_##name, .error = (err) }
#define IOCTL(request)		CALL_IF(ioctl, 1, ALL, request)
/* All requests of a type, that is, of a driver. */
#define IOCTLS(type)		CALL_IF(ioctl, 1, _IOC_TYPEMASK << _IOC_TYPESHIFT, (u64)(type) << _IOC_TYPESHIFT)
#define URING_REGISTER(op)	CALL_IF(io_uring_register, 1, ALL, op)
#define END			{ .nr = -1 }

const struct sandbox_call sandbox_common[] = {
	CALL(futex),				/* locks, semaphores, joins */
	CALL(read), CALL(write),		/* eventfds, the console; messages */
	CALL(clock_gettime),			/* where the vDSO has no clock to read */
	CALL(brk), CALL(munmap), CALL(madvise),	/* malloc() and free(); a stack that was used */
	CALL_IF(mmap, 2, PROT_EXEC, 0),		/* the same; and no code */
	CALL(rt_sigprocmask),			/* glibc, where a thread starts, ends or is signalled */
	CALL(rt_sigreturn),			/* vcpu.c's signal */
	CALL(restart_syscall),			/* after a stop by the debugger or the shell */
	CALL(exit), CALL(exit_group),
	/* serial.c's on_crash(), abort(): a crash is to look like one, and leave the terminal as it was. */
	CALL(rt_sigaction), CALL(getpid), CALL(gettid), CALL(tgkill),
	IOCTL(TCSETS), IOCTL(TCGETS),		/* tcsetattr() looks whether it was done */
	END
};

/* vcpu.c, and the device model below it. */
static const struct sandbox_call vcpu[] = {
	IOCTL(KVM_RUN), IOCTL(KVM_GET_REGS), IOCTL(KVM_KVMCLOCK_CTRL),
	IOCTL(KVM_SET_GSI_ROUTING), IOCTL(KVM_IRQFD), IOCTL(KVM_IRQ_LINE),	/* irq.c */
	IOCTL(KVM_IOEVENTFD),						/* ioeventfd.c */
	IOCTLS(VHOST_VIRTIO), IOCTLS(VKICK_IOCTL_TYPE),			/* datapath_kernel.c starts and stops */
	CALL(poll),							/* msix.c: is it pending? */
	CALL(epoll_ctl),						/* iothread.c's kicks; serial.c's stdin */
	IOCTL(TUNSETOFFLOAD), IOCTL(TUNSETQUEUE),			/* net_tap.c: what a driver takes; a reset */
	IOCTL(TUNGETIFF),						/* net_tap.c: is it gone? */
	CALL(fdatasync),						/* dev_blk.c: no write-back any more */
	CALL(close), URING_REGISTER(IORING_UNREGISTER_FILES),		/* blk_sqe.c's ring, and net_uring.c's */
	CALL(pread64), CALL(pwrite64),					/* vfio_cfg.c, vfio_bar.c: registers that are not mapped */
	IOCTL(VFIO_DEVICE_SET_IRQS),					/* vfio_irq.c: what a driver unmasks */
	IOCTL(VFIO_DEVICE_RESET),					/* dev_vfio.c: a driver's FLR */
	END
};

/* iothread.c, and what a class's serve() does in it. */
static const struct sandbox_call io[] = {
	CALL(epoll_wait),
	CALL(getrandom),			/* dev_rng.c */
	CALL(mremap), CALL(sched_getaffinity),	/* the same in glibc 2.41: a state for each CPU */
	END
};

/* iothread.c with files: net_rx.c, net_tx.c, console_user.c. */
static const struct sandbox_call stream[] = {
	CALL(epoll_wait),
	CALL(epoll_ctl),			/* the tap is full */
	CALL(readv), CALL(writev),		/* packets, bytes */
	CALL(io_uring_enter),			/* many packets: net_uring.c, which says what its ring may be used for */
	END
};

/* blk_thread.c, blk_sqe.c. It has no way to a second ring: what its own may do is limited in blk_restrict.c. */
static const struct sandbox_call disk[] = {
	CALL(io_uring_enter),
	URING_REGISTER(IORING_REGISTER_ENABLE_RINGS), URING_REGISTER(IORING_REGISTER_IOWQ_MAX_WORKERS),
	URING_REGISTER(IORING_REGISTER_BUFFERS2), URING_REGISTER(IORING_REGISTER_BUFFERS_UPDATE),
	URING_REGISTER(IORING_UNREGISTER_BUFFERS), URING_REGISTER(IORING_UNREGISTER_FILES), CALL(clock_nanosleep),
	CALL(preadv), CALL(pwritev), CALL(fdatasync),	/* files in memory */
	CALL(lseek),				/* where the backend ends */
	CALL(unlink),				/* the control socket, when it has to die() */
	END
};

/* blk_discard.c */
static const struct sandbox_call discard[] = {
	IOCTL(BLKDISCARD),
	END
};

/* thread.c: pthread_create(), and what a new thread does before it has its own filter. */
#define NEW_THREADS \
	/* Its flags cannot be looked at; glibc then takes clone(), where they can: threads, no processes. */ \
	CALL_FAILS(clone3, ENOSYS), CALL_IF(clone, 0, CLONE_THREAD, CLONE_THREAD), \
	CALL_IF(mprotect, 2, PROT_EXEC, 0),	/* stacks */ \
	CALL(set_robust_list), CALL(rseq), \
	CALL_IF(prctl, 0, ALL, PR_SET_NAME), CALL_IF(seccomp, 0, ALL, SECCOMP_SET_MODE_FILTER)

static const struct sandbox_call maker[] = {
	NEW_THREADS,
	CALL(io_uring_setup),			/* blk_sqe.c's ring and net_uring.c's, and what is fixed of them */
	URING_REGISTER(IORING_REGISTER_FILES), URING_REGISTER(IORING_REGISTER_RESTRICTIONS),
	IOCTL(TUNGETSNDBUF),			/* net_uring.c */
	CALL(close),				/* what could not be made after all */
	IOCTL(KVM_SET_USER_MEMORY_REGION),	/* vfio_bar.c: BARs that move */
	END
};

/* loop.c and what it waits for, above all ctl.c; and from a guest's reset to its next boot. */
static const struct sandbox_call main_calls[] = {
	NEW_THREADS,				/* vCPUs' and the maker */
	IOCTLS(KVMIO),				/* vm.c: a new VM at each boot */
	/* vfio_dma.c: the memory of each boot; vfio_group.c, vfio_iommufd.c: a device that the host takes back */
	IOCTL(VFIO_IOMMU_MAP_DMA), IOCTL(VFIO_IOMMU_UNMAP_DMA), IOCTL(VFIO_GROUP_UNSET_CONTAINER),
	IOCTL(IOMMUFD_IOAS_MAP), IOCTL(IOMMUFD_IOAS_UNMAP),
	CALL(pread64),				/* boot/: the images, again */
	CALL(epoll_wait),
	CALL(accept4), CALL(sendto), CALL(close),		/* ctl.c */
	CALL_IF(setsockopt, 2, ALL, SO_SNDBUF),			/* the same */
	CALL(openat),				/* switch: the module's nodes; see landlock.c */
	CALL(epoll_create1), CALL(eventfd2),	/* switch: iothread.c, blk_uring.c */
	CALL(io_uring_setup), CALL(fstatfs),	/* switch: blk_uring.c */
	CALL(newfstatat), CALL(fstat),		/* resize: blk_file.c; which of the two depends on glibc */
	CALL(ftruncate), IOCTL(BLKGETSIZE64),	/* the same */
	IOCTL(TUNSETCARRIER),			/* link: net_tap.c */
	IOCTL(FIONREAD),			/* console_host.c: what a client has sent */
	IOCTL(TIOCGWINSZ),			/* its size */
	CALL(dup), CALL_IF(fcntl, 1, ALL, F_GETFL), CALL(lseek),	/* stats.c: /proc/self/smaps */
	CALL(mremap),				/* realloc(), of JSON */
	CALL(unlink),				/* ctl.c's socket, at the end */
	END
};

const struct sandbox_kind sandbox_kinds[NR_THREAD_KINDS] = {
	[THREAD_MAIN] = { "main", main_calls, 1U << THREAD_VCPU | 1U << THREAD_MAKER },
	[THREAD_VCPU] = { "vcpu", vcpu, 0 },
	[THREAD_MAKER] = { "maker", maker, 1U << THREAD_IO | 1U << THREAD_STREAM | 1U << THREAD_DISK | 1U << THREAD_DISCARD },
	[THREAD_IO] = { "io", io, 0 },
	[THREAD_STREAM] = { "stream", stream, 0 },
	[THREAD_DISK] = { "disk", disk, 0 },
	[THREAD_DISCARD] = { "discard", discard, 0 },
};

static void each(const struct sandbox_call *list, void (*act)(const struct sandbox_call *call, void *arg), void *arg)
{
	for (; list->nr >= 0; list++)
		act(list, arg);
}

static void each_own(enum thread_kind kind, void (*act)(const struct sandbox_call *call, void *arg), void *arg)
{
	unsigned int i;

	each(sandbox_kinds[kind].calls, act, arg);
	for (i = 0; i < NR_THREAD_KINDS; i++)
		if (sandbox_kinds[kind].heirs & 1U << i)
			each_own(i, act, arg);
}

void sandbox_each_call(enum thread_kind kind, void (*act)(const struct sandbox_call *call, void *arg), void *arg)
{
	each(sandbox_common, act, arg);
	each_own(kind, act, arg);
}
