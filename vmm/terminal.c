// SPDX-License-Identifier: GPL-2.0
/*
 * Standard input, and the terminal that it may be.
 *
 * in:  bytes of stdin
 * out: bytes to a sink; vm_end() at Ctrl-A x
 *
 * A raw terminal is of no use to the shell that comes after us. It is put back as we exit or crash; and where we cannot do
 * it ourselves, after SIGKILL or the sandbox's SIGSYS, by a small process that outlives us.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "escape.h"
#include "terminal.h"

static struct {
	struct vm *vm;
	const struct terminal_sink *sink;
	u8 waiting[4096];		/* what the sink had no room for */
	u32 nr;
	_Atomic bool full;		/* the sink had no room, and is to say when it has */
	bool stopped;			/* stdin is not read */
} term;

static struct termios saved_termios, raw_termios;
static volatile sig_atomic_t is_raw;
static int guard_fd = -1;	/* a byte: it need not do anything */

/* ---- Raw and back ------------------------------------------------------------------- */

/* Also from signal handlers: tcsetattr() is safe there. */
static void restore(void)
{
	if (!is_raw)
		return;
	is_raw = 0;
	tcsetattr(0, TCSANOW, &saved_termios);
	/* If that fails there is no guard, and so nobody to tell. */
	if (write(guard_fd, "", 1) < 0)
		return;
}

static void on_crash(int sig)
{
	restore();
	signal(sig, SIG_DFL);
	raise(sig);
}

#define GUARD_NAME	"tty-guard"

/*
 * Who kills the VMM by its name, by its command line, or as its shell's job, is not to have the guard as well. The words of the
 * command line are one after the other.
 */
static void hide_guard(void)
{
	char words[4096];
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t bytes = fd < 0 ? 0 : read(fd, words, sizeof(words));

	setsid();
	prctl(PR_SET_NAME, GUARD_NAME);
	if (bytes <= (ssize_t)sizeof(GUARD_NAME))
		return;
	memset(program_invocation_name, 0, bytes);
	memcpy(program_invocation_name, GUARD_NAME, sizeof(GUARD_NAME));
}

/* The guard: nothing of ours but the terminal and a pipe, whose other end closes as we end. */
static void guard(int pipe_fd)
{
	struct termios now;
	sigset_t all;
	ssize_t n;
	char byte;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (dup2(pipe_fd, 1) < 0)
		_exit(1);
	close_range(2, ~0U, 0);
	do {
		n = read(1, &byte, 1);
	} while (n < 0 && errno == EINTR);
	/* A shell may have it by now, and its own way with it. */
	if (!n && !tcgetattr(0, &now) && now.c_lflag == raw_termios.c_lflag && now.c_iflag == raw_termios.c_iflag)
		tcsetattr(0, TCSANOW, &saved_termios);
	_exit(0);
}

/*
 * Its parent is nobody that would have to wait for it: it is a grandchild. It is born hidden, before the terminal is raw: who kills us
 * any time after that leaves it alive.
 */
static void start_guard(void)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return;
	pid = fork();
	if (!pid) {
		close(fds[1]);
		hide_guard();
		if (fork())
			_exit(0);
		guard(fds[0]);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
	close(fds[0]);
	guard_fd = fds[1];
}

bool terminal_make_raw(void)
{
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT };
	unsigned int i;

	if (!isatty(0) || tcgetattr(0, &saved_termios))
		return false;
	raw_termios = saved_termios;
	cfmakeraw(&raw_termios);
	raw_termios.c_oflag |= OPOST;		/* our own messages want their line feeds */
	start_guard();
	atexit(restore);
	for (i = 0; i < ARRAY_SIZE(crashes); i++)
		signal(crashes[i], on_crash);
	is_raw = 1;
	tcsetattr(0, TCSANOW, &raw_termios);
	return true;
}

bool terminal_is_one(void)
{
	return isatty(0);
}

/* To change one, or to read from it, stops a process that its shell has put into the background. */
bool terminal_is_anothers(void)
{
	pid_t job = tcgetpgrp(0);

	return job >= 0 && job != getpgrp();
}

bool terminal_size(u16 *cols, u16 *rows)
{
	struct winsize ws;

	if (ioctl(1, TIOCGWINSZ, &ws) || !ws.ws_col || !ws.ws_row)
		return false;
	*cols = ws.ws_col;
	*rows = ws.ws_row;
	return true;
}

/* ---- What is typed -------------------------------------------------------------------- */

static void command(char key)
{
	static const char help[] =
		"\nCtrl-A x       quit: the guest loses what it has not written to its disks\n"
		"Ctrl-A h       this help\n"
		"Ctrl-A Ctrl-A  send Ctrl-A to the guest\n";

	if (key == 'x')
		vm_end(term.vm, VM_QUIT);
	else if (write(1, help, sizeof(help) - 1) < 0)
		return;
}

static struct escape escape = { .keys = "xh?", .command = command };

static void stdin_ready(struct loop_source *src);
static void room_ready(struct loop_source *src);

static struct loop_source stdin_source = { .fd = 0, .ready = stdin_ready };
static struct loop_source room = { .ready = room_ready };

/* As much as the sink takes. What is left waits for room_ready(). */
static void flush(void)
{
	u32 n;

	for (;;) {
		while (term.nr && (n = term.sink->room())) {
			n = n < term.nr ? n : term.nr;
			term.sink->put(term.waiting, n);
			term.nr -= n;
			memmove(term.waiting, term.waiting + n, term.nr);
		}
		if (!term.nr)
			break;
		atomic_store(&term.full, true);
		/* It may have got room just now, and seen nobody that waits for it. */
		if (!term.sink->room())
			return;
	}
	atomic_store(&term.full, false);
	if (term.stopped)
		loop_add(&stdin_source);
	term.stopped = false;
}

static void room_ready(struct loop_source *src)
{
	vm_drain_eventfd(src->fd);
	flush();
}

void terminal_resume(void)
{
	bool full = true;

	if (atomic_compare_exchange_strong(&term.full, &full, false))
		vm_signal_eventfd(room.fd);
}

/* A terminal is read whatever the guest does, for the sake of the escape key; what is far too much is lost. */
static void stdin_ready(struct loop_source *src)
{
	u8 in[256], out[2 * sizeof(in)];
	ssize_t n;
	u32 nr;

	if (!is_raw && term.nr) {
		loop_remove(src);
		term.stopped = true;
		return;
	}
	n = read(src->fd, in, sizeof(in));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		loop_remove(src);
		return;
	}
	nr = n;
	if (is_raw)
		nr = escape_filter(&escape, in, n, out);
	if (nr > sizeof(term.waiting) - term.nr)
		return;
	memcpy(term.waiting + term.nr, is_raw ? out : in, nr);
	term.nr += nr;
	flush();
}

void terminal_open(struct vm *vm, const struct terminal_sink *sink)
{
	if (terminal_is_anothers())
		return;
	term.vm = vm;
	term.sink = sink;
	room.fd = vm_eventfd();
	loop_add(&room);
	terminal_make_raw();
	loop_add(&stdin_source);
}
