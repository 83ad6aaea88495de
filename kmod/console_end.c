// SPDX-License-Identifier: GPL-2.0
/*
 * Files of the console class: terminals, pipes, sockets, regular files.
 *
 * in:  an fd; its file's wake-ups
 * out: struct vk_console_end; vk_worker_wake()
 *
 * A file is never waited for. It either takes RWF_NOWAIT, or was opened with O_NONBLOCK,
 * which is looked at each time, since its owner may take that back: then it counts as
 * failed. An owner who takes it back between that look and the file's own has its worker
 * wait, until a signal; that the owner is killed is one, and so is vk_task_stop(). A
 * regular file is the exception: reads and writes of it end. While its file system is
 * frozen, or somebody else writes to it by the same open file, it is not ready.
 *
 * Whatever a file checks when it is read or written, it checks of who set the port, and not
 * of the worker, which may be the kernel's.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/net.h>
#include <linux/slab.h>

#include <net/sock.h>

#include "compat.h"
#include "console.h"

/* A file that says that it is ready, and moves nothing: pause this long. */
#define VK_CONSOLE_RETRY_JIFFIES	1

/* Context: the wait queue is locked, irqs off. */
static int vk_console_wakeup(wait_queue_entry_t *entry, unsigned int mode, int sync,
			     void *key)
{
	struct vk_console_end *end = container_of(entry, struct vk_console_wait, entry)->end;

	/* Who wakes without a word may mean anything. */
	if (key && !(key_to_poll(key) & end->events))
		return 0;
	smp_mb();		/* (F) */
	if (READ_ONCE(end->waits))
		vk_worker_wake(end->q);
	return 0;
}

static void vk_console_retry(struct work_struct *work)
{
	struct vk_console_end *end = container_of(to_delayed_work(work),
						  struct vk_console_end, retry);

	vk_worker_wake(end->q);
}

static void vk_console_queue_proc(struct file *file, wait_queue_head_t *wqh,
				  poll_table *pt)
{
	struct vk_console_end *end = container_of(pt, struct vk_console_end, pt);
	u32 i;

	for (i = 0; i < VK_CONSOLE_MAX_WAITS; i++) {
		struct vk_console_wait *w = &end->wait[i];

		if (w->wqh)
			continue;
		w->wqh = wqh;
		add_wait_queue(wqh, &w->entry);
		return;
	}
	end->too_many = true;
}

/*
 * Only to move bytes: what is sent to netlink, say, is carried out by who sends it, and the
 * worker is not made for that. It may have no table of files.
 */
static bool vk_console_socket_ok(struct file *file)
{
	const struct socket *sock = sock_from_file(file);

	if (!sock || !sock->sk)
		return false;
	switch (sock->sk->sk_family) {
	case AF_UNIX:
	case AF_INET:
	case AF_INET6:
	case AF_VSOCK:
		return true;
	default:
		return false;
	}
}

/*
 * Terminals, pipes, sockets, and regular files, that can be read and written by an
 * iterator. Those of proc, sysfs and cgroups are none: they stand for what the kernel does
 * for who writes to them, and their wait queues may go before they do.
 */
static bool vk_console_file_ok(const struct vk_console_end *end)
{
	fmode_t need = vk_console_transmits(end->q) ? FMODE_CAN_WRITE : FMODE_CAN_READ;
	struct file *file = end->file;
	const struct inode *inode = file_inode(file);

	if (!(file->f_mode & need) || !file->f_op->read_iter || !file->f_op->write_iter)
		return false;
	switch (inode->i_mode & S_IFMT) {
	case S_IFREG:
		return !(inode->i_sb->s_iflags & SB_I_NOEXEC);
	case S_IFSOCK:
		return vk_console_socket_ok(file);
	case S_IFCHR:
	case S_IFIFO:
		return true;
	default:
		return false;
	}
}

static void vk_console_detach(struct vk_console_end *end)
{
	u32 i;

	for (i = 0; i < VK_CONSOLE_MAX_WAITS; i++)
		if (end->wait[i].wqh)
			remove_wait_queue(end->wait[i].wqh, &end->wait[i].entry);
}

static int vk_console_take_file(struct vk_console_end *end, int fd)
{
	u32 i;

	if (fd == -1)
		return 0;
	end->file = fget(fd);
	if (!end->file)
		return -EBADF;
	if (!vk_console_file_ok(end))
		return -EINVAL;
	for (i = 0; i < VK_CONSOLE_MAX_WAITS; i++) {
		end->wait[i].end = end;
		init_waitqueue_func_entry(&end->wait[i].entry, vk_console_wakeup);
	}
	init_poll_funcptr(&end->pt, vk_console_queue_proc);
	vfs_poll(end->file, &end->pt);
	return end->too_many ? -EINVAL : 0;
}

/**
 * vk_console_end_open() - take a file for one end of a port
 * @q: queue that it will be of; not touched but by wake-ups
 * @fd: the file, or -1
 * @event_fd: eventfd to signal when it ends or fails, or -1
 *
 * Return: the end; ERR_PTR: -EBADF; -EINVAL for a file that cannot be read, or written to,
 * or that is of no kind that can be waited for; -ENOMEM.
 */
struct vk_console_end *vk_console_end_open(struct vk_queue *q, int fd, int event_fd)
{
	struct vk_console_end *end = kzalloc(sizeof(*end), GFP_KERNEL_ACCOUNT);
	int err;

	if (!end)
		return ERR_PTR(-ENOMEM);
	end->q = q;
	end->cred = get_current_cred();
	end->events = (vk_console_transmits(q) ? EPOLLOUT : EPOLLIN) | EPOLLERR | EPOLLHUP;
	INIT_DELAYED_WORK(&end->retry, vk_console_retry);
	if (event_fd != -1) {
		struct eventfd_ctx *event = eventfd_ctx_fdget(event_fd);

		err = PTR_ERR_OR_ZERO(event);
		if (err)
			goto close;
		end->event = event;
	}
	err = vk_console_take_file(end, fd);
	if (!err)
		return end;
close:
	vk_console_end_close(end);
	return ERR_PTR(err);
}

/**
 * vk_console_end_close() - undo vk_console_end_open()
 * @end: end that no queue has, or NULL
 *
 * No callback touches the end any more when this returns: remove_wait_queue() takes the lock
 * that they run under.
 */
void vk_console_end_close(struct vk_console_end *end)
{
	if (!end)
		return;
	vk_console_detach(end);
	cancel_delayed_work_sync(&end->retry);
	if (end->file)
		fput(end->file);
	if (end->event)
		eventfd_ctx_put(end->event);
	put_cred(end->cred);
	kfree(end);
}

/* How to have it not wait. Return: 0 or RWF_NOWAIT; -EINVAL: it would wait */
static int vk_console_flags(const struct file *file)
{
	if (S_ISREG(file_inode(file)->i_mode))
		return 0;
	if (file->f_mode & FMODE_NOWAIT)
		return (__force int)RWF_NOWAIT;
	return READ_ONCE(file->f_flags) & O_NONBLOCK ? 0 : -EINVAL;
}

/* -EAGAIN, and what a signal makes of it. */
static ssize_t vk_console_result(ssize_t ret)
{
	switch (ret) {
	case -EINTR:
	case -ERESTARTSYS:
	case -ERESTARTNOINTR:
	case -ERESTARTNOHAND:
	case -ERESTART_RESTARTBLOCK:
		return -EAGAIN;
	default:
		return ret;
	}
}

/*
 * As vfs_iter_write(), which would wait for a frozen file system; but without the checks of
 * rw_verify_area(), which not every kernel exports.
 */
static ssize_t vk_console_write_regular(struct file *file, struct iov_iter *from, loff_t *pos)
{
	struct kiocb kiocb;
	ssize_t ret;

	if (!file_start_write_trylock(file))
		return -EAGAIN;
	init_sync_kiocb(&kiocb, file);
	kiocb.ki_pos = *pos;
	ret = file->f_op->write_iter(&kiocb, from);
	if (ret > 0) {
		*pos = kiocb.ki_pos;
		fsnotify_modify(file);
	}
	file_end_write(file);
	return ret;
}

static ssize_t vk_console_transfer(struct file *file, struct iov_iter *iter, loff_t *pos,
				   int flags, bool out)
{
	if (!out)
		return vfs_iter_read(file, iter, pos, (__force rwf_t)flags);
	if (S_ISREG(file_inode(file)->i_mode))
		return vk_console_write_regular(file, iter, pos);
	return vk_iter_write(file, iter, pos, (__force rwf_t)flags);
}

/* Its position is the file's own, and guarded as by write(2): the VMM writes to it as well. */
static ssize_t vk_console_transfer_at(struct file *file, struct iov_iter *iter, int flags,
				      bool out)
{
	loff_t pos;
	ssize_t ret;

	if (file->f_mode & FMODE_STREAM)
		return vk_console_transfer(file, iter, NULL, flags, out);
	if (file->f_mode & FMODE_ATOMIC_POS && !mutex_trylock(&file->f_pos_lock))
		return -EAGAIN;
	pos = file->f_pos;
	ret = vk_console_transfer(file, iter, &pos, flags, out);
	if (ret > 0)
		file->f_pos = pos;
	if (file->f_mode & FMODE_ATOMIC_POS)
		mutex_unlock(&file->f_pos_lock);
	return ret;
}

/* At most a budget's bytes. */
static ssize_t vk_console_move(struct vk_console_end *end, struct iov_iter *iter, bool out)
{
	int flags = vk_console_flags(end->file);
	const struct cred *old;
	ssize_t ret;

	if (flags < 0)
		return flags;
	iov_iter_truncate(iter, VK_BUDGET_BYTES);
	old = override_creds(end->cred);
	ret = vk_console_transfer_at(end->file, iter, flags, out);
	revert_creds(old);
	if (ret > 0) {
		WRITE_ONCE(end->waits, false);
		end->error = 0;
		end->futile = 0;
	}
	return vk_console_result(ret);
}

/* Return: bytes; 0: the file has ended; -EAGAIN: not now; -EFAULT; another -errno */
ssize_t vk_console_end_read(struct vk_console_end *end, struct iov_iter *to)
{
	return vk_console_move(end, to, false);
}

/* Return: as above */
ssize_t vk_console_end_write(struct vk_console_end *end, struct iov_iter *from)
{
	return vk_console_move(end, from, true);
}

/*
 * It was not ready: have the queue woken when it is. Return: true if it became so just
 * now, and the queue is not to wait
 */
bool vk_console_end_wait(struct vk_console_end *end)
{
	WRITE_ONCE(end->waits, true);
	smp_mb();		/* (F) */
	if (!(vfs_poll(end->file, NULL) & end->events))
		return false;
	if (!end->futile++) {
		WRITE_ONCE(end->waits, false);
		return true;
	}
	/* It is ready and still moves nothing, and will not say when it would. */
	mod_delayed_work(system_wq, &end->retry, VK_CONSOLE_RETRY_JIFFIES);
	return false;
}

/* It has ended (-ENODATA), or failed. Its owner is told, once. */
void vk_console_end_tell(struct vk_console_end *end, int err)
{
	if (end->error == err)
		return;
	end->error = err;
	if (end->event)
		vk_eventfd_signal(end->event);
}

/*
 * There is nothing to read any more: @err. Return: true to look once more, since it may
 * have stirred just now; else it is waited for, as a terminal stirs that is opened again.
 */
bool vk_console_end_ended(struct vk_console_end *end, int err)
{
	if (!end->waits) {
		WRITE_ONCE(end->waits, true);
		smp_mb();		/* (F) */
		return true;
	}
	vk_console_end_tell(end, err);
	return false;
}
