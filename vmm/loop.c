// SPDX-License-Identifier: GPL-2.0
/*
 * The main thread's wait for events: signals, console input, control socket,
 * broken queues.
 *
 * in:  sources, each an fd and what to call when it is ready
 * out: calls, one at a time, until vm_end()
 */
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "console.h"
#include "vmm.h"

static int loop_fd = -1;
static struct vm *loop_vm;

static void signal_ready(struct loop_source *src)
{
	struct signalfd_siginfo info;

	if (read(src->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH)
		console_window_changed();
	else
		vm_end(loop_vm, VM_QUIT);
}

static void wake_ready(struct loop_source *src)
{
	vm_drain_eventfd(src->fd);
}

static struct loop_source signals = { .ready = signal_ready };
static struct loop_source wake = { .ready = wake_ready };

/* Before any thread is made: they inherit the blocked signals. */
void loop_init(struct vm *vm)
{
	sigset_t set;

	loop_vm = vm;
	loop_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop_fd < 0)
		die("epoll: %s", strerror(errno));

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);	/* a reader of the console that leaves */

	signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals.fd < 0)
		die("signalfd: %s", strerror(errno));
	loop_add(&signals);
	wake.fd = vm->wake_fd;
	loop_add(&wake);
}

void loop_add(struct loop_source *src)
{
	struct epoll_event ev = {
		.events = src->hangup ? EPOLLRDHUP | EPOLLET : EPOLLIN | (src->edge ? EPOLLET : 0),
		.data.ptr = src,
	};

	/* EPERM: a regular file as stdin. It is simply not read. */
	if (epoll_ctl(loop_fd, EPOLL_CTL_ADD, src->fd, &ev) && errno != EPERM)
		warn("epoll: %s", strerror(errno));
}

void loop_remove(struct loop_source *src)
{
	epoll_ctl(loop_fd, EPOLL_CTL_DEL, src->fd, NULL);
}

bool loop_step(int timeout_ms)
{
	struct loop_source *src;
	struct epoll_event ev;

	/* One at a time: a callback may remove any source. */
	if (epoll_wait(loop_fd, &ev, 1, timeout_ms) != 1)
		return false;
	src = ev.data.ptr;
	src->ready(src);
	return true;
}

void loop_run(struct vm *vm)
{
	while (atomic_load(&vm->state) == VM_RUNNING)
		loop_step(-1);
}
