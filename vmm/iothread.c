// SPDX-License-Identifier: GPL-2.0
/*
 * A thread that serves kicks: the userspace datapath's steps 2 and 3.
 *
 * in:  eventfds; files, such as a tap
 * out: calls of ready(), for one at a time
 *
 * The thread lives from start to stop. A stop that joins it needs no further
 * argument why nothing is in flight any more. It is parked where an fd comes or goes in between.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "datapath.h"

#define STOP	IOTHREAD_MAX_FDS	/* in place of an index */

_Static_assert(IOTHREAD_MAX_FDS <= 64, "a bit each");

static bool is_file(const struct iothread *io, u32 tag)
{
	return tag != STOP && io->files & 1UL << tag;
}

static int watch(struct iothread *io, int op, int fd, u32 tag)
{
	struct epoll_event ev = {
		.events = is_file(io, tag) ? EPOLLIN | EPOLLOUT | EPOLLET : EPOLLIN,
		.data.u32 = tag,
	};

	if (!epoll_ctl(io->epoll_fd, op, fd, &ev))
		return 0;
	/* A regular file may always be read from and written to. */
	return errno == EPERM && is_file(io, tag) ? 0 : -errno;
}

static void *run(void *arg)
{
	struct iothread *io = arg;
	struct epoll_event ev[IOTHREAD_MAX_FDS + 1];
	const u64 all = ~0UL >> (64 - io->nr);
	u64 again = all;	/* by fd: starts as kicked */

	for (;;) {
		u64 signalled = 0;
		bool told = false;
		u32 i;
		int n;

		n = epoll_wait(io->epoll_fd, ev, ARRAY_SIZE(ev), again ? 0 : -1);
		while (n-- > 0) {
			if (ev[n].data.u32 == STOP)
				told = true;
			else
				signalled |= 1UL << ev[n].data.u32;
		}
		if (told && atomic_load(&io->leave))
			return NULL;
		if (told) {
			/* What was signalled still is. */
			sem_post(&io->parked);
			thread_await(&io->go);
			again = all;
			continue;
		}
		for (i = 0; i < io->nr; i++) {
			/* One that is about to come may have been signalled already, and still is when it has come. */
			bool there = io->fd[i] >= 0;
			bool kicked = there && signalled & 1UL << i && (is_file(io, i) || vm_drain_eventfd(io->fd[i]));

			if (!kicked && !(again & 1UL << i))
				continue;
			again &= ~(1UL << i);
			if (there && io->ready(io->ctx, i, kicked))
				again |= 1UL << i;
		}
	}
}

int iothread_init(struct iothread *io)
{
	int err = 0;

	sem_init(&io->parked, 0, 0);
	sem_init(&io->go, 0, 0);
	io->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	io->stop_fd = vm_try_eventfd();
	if (io->epoll_fd < 0 || io->stop_fd < 0)
		err = -errno;
	if (!err)
		err = watch(io, EPOLL_CTL_ADD, io->stop_fd, STOP);
	if (err)
		iothread_exit(io);
	return err;
}

void iothread_exit(struct iothread *io)
{
	close(io->epoll_fd);
	close(io->stop_fd);
}

static void unwatch(struct iothread *io)
{
	unsigned int i;

	for (i = 0; i < io->nr; i++)
		if (io->fd[i] >= 0)
			watch(io, EPOLL_CTL_DEL, io->fd[i], i);
}

static int make_thread(void *arg)
{
	struct iothread *io = arg;

	return thread_start(&io->thread, io->kind, io->name, run, io);
}

int iothread_start(struct iothread *io)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < io->nr && !err; i++)
		if (io->fd[i] >= 0)
			err = watch(io, EPOLL_CTL_ADD, io->fd[i], i);
	if (!err) {
		atomic_store(&io->leave, false);
		err = thread_call(make_thread, io);
	}
	if (err)
		unwatch(io);
	return err;
}

int iothread_set_fd(struct iothread *io, unsigned int i, int fd)
{
	int err = fd >= 0 ? watch(io, EPOLL_CTL_ADD, fd, i) : 0;

	if (err)
		return err;
	vm_signal_eventfd(io->stop_fd);
	thread_await(&io->parked);
	vm_drain_eventfd(io->stop_fd);
	if (fd < 0 && io->fd[i] >= 0)
		watch(io, EPOLL_CTL_DEL, io->fd[i], i);
	io->fd[i] = fd;
	sem_post(&io->go);
	return 0;
}

/* It is looked at anew, which also has a tap tell us. */
void iothread_await_room(struct iothread *io, unsigned int i)
{
	watch(io, EPOLL_CTL_MOD, io->fd[i], i);
}

void iothread_stop(struct iothread *io)
{
	atomic_store(&io->leave, true);
	vm_signal_eventfd(io->stop_fd);
	pthread_join(io->thread, NULL);
	vm_drain_eventfd(io->stop_fd);
	unwatch(io);
}
