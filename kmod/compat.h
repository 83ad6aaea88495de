/* SPDX-License-Identifier: GPL-2.0 */
/*
 * All that differs between the kernels we build on, decided by what their headers
 * have (the HAVE_* of Kbuild), not by version numbers: distributions backport.
 *
 *   vk_eventfd_signal()	add 1 to an eventfd
 *   vk_hrtimer_setup()		prepare a timer of relative time
 *   vk_page_frags_free()	let go of the page that fragments are cut from
 *   vk_iter_write()		write to a file, not while its file system is frozen
 *   vk_bdev_is_exclusive()	whether a block device was opened with O_EXCL
 *   vk_bdev_claim()		have a block device for a moment, unless somebody has it
 *   struct vk_task		a thread that runs in the address space and the cgroups
 *				of the process that made it
 *	struct vk_account	the cgroups that pay for work done elsewhere
 *
 * The thread is a vhost_task where the kernel has that: a thread of the owner's
 * process, counted against its limits, and gone when the owner is killed. Else it
 * is a kthread that borrows the owner's mm, and notices at its next piece of work, or
 * seconds later, that the owner is dead.
 */
#ifndef VK_COMPAT_H
#define VK_COMPAT_H

#include <linux/blk-cgroup.h>
#include <linux/blkdev.h>
#include <linux/cgroup.h>
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/mm_types.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#ifdef HAVE_VHOST_TASK
#include <linux/sched/vhost_task.h>
#endif

static inline void vk_eventfd_signal(struct eventfd_ctx *ctx)
{
#ifdef HAVE_EVENTFD_SIGNAL_COUNT
	eventfd_signal(ctx, 1);
#else
	eventfd_signal(ctx);
#endif
}

static inline void vk_hrtimer_setup(struct hrtimer *timer,
				    enum hrtimer_restart (*fn)(struct hrtimer *))
{
#ifdef HAVE_HRTIMER_SETUP
	hrtimer_setup(timer, fn, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	timer->function = fn;
#endif
}

static inline void vk_page_frags_free(struct page_frag_cache *frags)
{
#ifdef HAVE_PAGE_FRAG_CACHE_DRAIN
	page_frag_cache_drain(frags);
#else
	if (frags->va)
		__page_frag_cache_drain(virt_to_head_page(frags->va),
					frags->pagecnt_bias);
	frags->va = NULL;
#endif
}

static inline ssize_t vk_iter_write(struct file *file, struct iov_iter *iter, loff_t *pos,
				    rwf_t flags)
{
#ifdef HAVE_ITER_WRITE_STARTS
	return vfs_iter_write(file, iter, pos, flags);
#else
	ssize_t ret;

	file_start_write(file);
	ret = vfs_iter_write(file, iter, pos, flags);
	file_end_write(file);
	return ret;
#endif
}

static inline bool vk_bdev_is_exclusive(const struct file *file)
{
#ifdef FMODE_EXCL
	return file->f_mode & FMODE_EXCL;
#else
	return file->private_data;
#endif
}

/* Return: 0, and bd_abort_claiming() follows; or -EBUSY */
static inline int vk_bdev_claim(struct block_device *bdev, void *holder)
{
#ifdef HAVE_BLK_HOLDER_OPS
	return bd_prepare_to_claim(bdev, holder, NULL);
#else
	return bd_prepare_to_claim(bdev, holder);
#endif
}

/*
 * What a kernel thread does for the owner is charged to the owner's cgroups: pages to
 * the memory controller's, bios to the I/O controller's, where the kernel has them.
 * get: the thread whose they are; enter and leave: the kernel thread, once each.
 */
struct vk_account {
	struct cgroup_subsys_state *memory;
	struct cgroup_subsys_state *io;
	struct mem_cgroup *old;
};

static inline void vk_account_get(struct vk_account *account)
{
#ifdef CONFIG_MEMCG
	account->memory = task_get_css(current, memory_cgrp_id);
#endif
#ifdef CONFIG_BLK_CGROUP
	account->io = task_get_css(current, io_cgrp_id);
#endif
}

static inline void vk_account_enter(struct vk_account *account)
{
#ifdef CONFIG_MEMCG
	account->old = set_active_memcg(mem_cgroup_from_css(account->memory));
#endif
#ifdef CONFIG_BLK_CGROUP
	kthread_associate_blkcg(account->io);
#endif
}

static inline void vk_account_leave(struct vk_account *account)
{
#ifdef CONFIG_BLK_CGROUP
	kthread_associate_blkcg(NULL);
	css_put(account->io);
#endif
#ifdef CONFIG_MEMCG
	set_active_memcg(account->old);
	css_put(account->memory);
#endif
}

/*
 * The contract, both ways: @work is called in TASK_INTERRUPTIBLE; if there is
 * something to do it sets TASK_RUNNING, does it and returns true; else it returns
 * false, and the thread sleeps until vk_task_wake(). @killed is called at most
 * once, when the thread will not call @work again because the owner died.
 *
 * vk_task_create() returns ERR_PTR on failure, a sleeping thread otherwise.
 * vk_task_start() lets it run, and is followed by vk_task_stop() even if it fails;
 * that waits for the thread's end and frees it.
 * Between vk_task_enter() == true and vk_task_leave() the owner's memory is there.
 */

#ifdef HAVE_VHOST_TASK

/* struct vk_task is never defined: it stands for a vhost_task. */
static inline struct vk_task *vk_task_create(bool (*work)(void *data),
					     void (*killed)(void *data),
					     void *data, const char *name)
{
	struct vhost_task *task;

	task = vhost_task_create(work, killed, data, name);
	/* Older 6.12.y returned NULL. */
	if (!task)
		return ERR_PTR(-ENOMEM);
	return (struct vk_task *)task;
}

static inline int vk_task_start(struct vk_task *task)
{
	vhost_task_start((struct vhost_task *)task);
	return 0;
}

static inline void vk_task_wake(struct vk_task *task)
{
	vhost_task_wake((struct vhost_task *)task);
}

static inline void vk_task_stop(struct vk_task *task)
{
	vhost_task_stop((struct vhost_task *)task);
}

static inline bool vk_task_enter(struct vk_task *task)
{
	return true;		/* a thread of the owner's has its mm anyway */
}

static inline void vk_task_leave(struct vk_task *task)
{
}

#else /* !HAVE_VHOST_TASK */

struct vk_task {
	bool (*work)(void *data);
	void (*killed)(void *data);
	void *data;
	struct mm_struct *mm;		/* mm_count held by kthread_use_mm() */
	struct task_struct *owner;	/* valid until @ready */
	struct task_struct *thread;
	struct completion ready;
	int error;			/* valid from @ready */
	bool dead;			/* the thread's own */
};

/* Nothing tells a kthread that the owner died: it looks so often, if it has nothing to do. */
#define VK_TASK_LOOK_JIFFIES	(5 * HZ)

static inline void vk_task_died(struct vk_task *task)
{
	task->dead = true;
	task->killed(task->data);
}

static inline int vk_task_main(void *data)
{
	struct vk_task *task = data;
#ifdef CONFIG_MEMCG
	struct cgroup_subsys_state *memory = task_get_css(task->owner, memory_cgrp_id);

	/* Being in the cgroup is not enough for a kthread's allocations. */
	set_active_memcg(mem_cgroup_from_css(memory));
#endif
	allow_kernel_signal(SIGKILL);	/* for vk_task_stop() */
	kthread_use_mm(task->mm);
	task->error = cgroup_attach_task_all(task->owner, current);
	complete(&task->ready);

	for (;;) {
		/* pairs with the barrier in wake_up_process() */
		set_current_state(TASK_INTERRUPTIBLE);
		if (kthread_should_stop())
			break;
		if (task->dead) {
			schedule();
		} else if (!atomic_read(&task->mm->mm_users)) {
			__set_current_state(TASK_RUNNING);
			vk_task_died(task);
		} else if (!task->work(task->data)) {
			schedule_timeout(VK_TASK_LOOK_JIFFIES);
		}
	}
	__set_current_state(TASK_RUNNING);
	kthread_unuse_mm(task->mm);
#ifdef CONFIG_MEMCG
	set_active_memcg(NULL);
	css_put(memory);
#endif
	return 0;
}

static inline struct vk_task *vk_task_create(bool (*work)(void *data),
					     void (*killed)(void *data),
					     void *data, const char *name)
{
	struct vk_task *task;
	int err;

	task = kzalloc(sizeof(*task), GFP_KERNEL);
	if (!task)
		return ERR_PTR(-ENOMEM);
	task->work = work;
	task->killed = killed;
	task->data = data;
	task->mm = current->mm;
	task->owner = current;
	init_completion(&task->ready);

	task->thread = kthread_create(vk_task_main, task, "%s", name);
	if (IS_ERR(task->thread)) {
		err = PTR_ERR(task->thread);
		kfree(task);
		return ERR_PTR(err);
	}
	return task;
}

static inline void vk_task_wake(struct vk_task *task)
{
	wake_up_process(task->thread);
}

/*
 * Waits until the thread has taken hold of the mm, which mm_count keeps from then
 * on, and has joined the owner's cgroups, or failed to.
 */
static inline int vk_task_start(struct vk_task *task)
{
	wake_up_process(task->thread);
	wait_for_completion(&task->ready);
	/* As a thread of the owner's would have; kthreads start out anywhere. */
	return task->error ?: set_cpus_allowed_ptr(task->thread, current->cpus_ptr);
}

/*
 * The thread may wait for a page of the owner's that nobody will bring
 * (userfaultfd). The signal ends that wait: user access fails with -EFAULT.
 */
static inline void vk_task_stop(struct vk_task *task)
{
	send_sig(SIGKILL, task->thread, 1);
	kthread_stop(task->thread);
	kfree(task);
}

/*
 * mm_users is taken for each piece of work, not for the thread's life: that would
 * keep a dead owner's memory until the last close of the device.
 */
static inline bool vk_task_enter(struct vk_task *task)
{
	if (mmget_not_zero(task->mm))
		return true;
	if (!task->dead)
		vk_task_died(task);
	return false;
}

static inline void vk_task_leave(struct vk_task *task)
{
	mmput(task->mm);
}

#endif /* !HAVE_VHOST_TASK */

#endif
