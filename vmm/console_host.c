// SPDX-License-Identifier: GPL-2.0
/*
 * The host's ends of a console's ports.
 *
 * in:  --console, --port; what connects, hangs up, or is typed
 * out: files that a datapath reads and writes, none of which it would wait for
 *
 * Standard input and output are other programs' as well, and O_NONBLOCK is of the open file, not of the fd: so they
 * are opened anew. What is typed comes through the main thread and a pipe, where the escape key is taken out.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "console.h"
#include "listen.h"
#include "terminal.h"

bool console_host_parse(struct console_host *host, const char *value, bool stdio_too)
{
	*host = (struct console_host) { .in_fd = -1, .out_fd = -1, .event_fd = -1, .other_fd = -1 };
	if (!strcmp(value, "off"))
		host->kind = CONSOLE_OFF;
	else if (!strcmp(value, "stdio") && stdio_too)
		host->kind = CONSOLE_STDIO;
	else if (!strcmp(value, "pty"))
		host->kind = CONSOLE_PTY;
	else if (!strncmp(value, "file=", 5) && value[5])
		host->kind = CONSOLE_FILE;
	else if (!strncmp(value, "socket=", 7) && value[7])
		host->kind = CONSOLE_SOCKET;
	else
		return false;
	if (host->kind == CONSOLE_FILE || host->kind == CONSOLE_SOCKET)
		host->path = strdup(strchr(value, '=') + 1);
	return true;
}

bool console_host_is_there(const struct console_host *host)
{
	return host->in_fd >= 0 || host->out_fd >= 0;
}

/* ---- Standard input and output ------------------------------------------------------ */

static int typed_fd = -1;	/* the pipe's end where we put it */

/* What a guest does not read in time is lost, as with any terminal: after 64 KiB. */
static u32 pipe_room(void)
{
	return UINT32_MAX;
}

static void pipe_put(const u8 *buf, u32 bytes)
{
	if (write(typed_fd, buf, bytes) < 0)
		return;
}

static const struct terminal_sink pipe_sink = { pipe_room, pipe_put };

/* Our own open file of @fd; one that cannot be had (sockets) is shared, and made non-blocking for all. */
static int reopen(int fd, int flags)
{
	char path[32];
	struct stat st;
	int new;

	/* Closed: there is nobody. */
	if (fstat(fd, &st))
		return -1;
	/* Its position is everybody's. */
	if (S_ISREG(st.st_mode))
		return fcntl(fd, F_DUPFD_CLOEXEC, 3);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	new = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (new >= 0)
		return new;
	new = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (new < 0 || fcntl(new, F_SETFL, fcntl(new, F_GETFL) | O_NONBLOCK))
		die("--console stdio: fd %d: %s", fd, strerror(errno));
	return new;
}

static void open_stdio(struct console_host *host, struct vm *vm)
{
	int fds[2];

	host->out_fd = reopen(1, O_WRONLY);
	if (terminal_is_anothers())
		return;
	if (!terminal_is_one()) {
		host->in_fd = reopen(0, O_RDONLY);
		return;
	}
	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC))
		die("--console stdio: pipe: %s", strerror(errno));
	host->in_fd = fds[0];
	typed_fd = fds[1];
	terminal_open(vm, &pipe_sink);
}

/* One file for both ways: by two fds, each of which can be watched for its own. */
static void set_both(struct console_host *host, int fd)
{
	host->in_fd = fd;
	host->out_fd = dup(fd);
	if (host->out_fd < 0)
		die("--console: %s", strerror(errno));
}

/* ---- Pseudo-terminals ---------------------------------------------------------------- */

/* Its terminal stays open here, or the master would hang up whenever nobody else has it. */
static void open_pty(struct console_host *host)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	struct termios t;
	char path[64];

	if (master < 0 || grantpt(master) || unlockpt(master) || ptsname_r(master, path, sizeof(path)))
		die("--console pty: no terminal to be had: %s", strerror(errno));
	host->other_fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (host->other_fd < 0 || tcgetattr(host->other_fd, &t))
		die("--console pty: %s: %s", path, strerror(errno));
	cfmakeraw(&t);
	tcsetattr(host->other_fd, TCSANOW, &t);
	set_both(host, master);
	host->path = strdup(path);
	warn("%s: port %u is %s", host->port->dev->name, host->port->number, path);
}

/* ---- Files and pipes --------------------------------------------------------------------------- */

/* What others find it by, wherever they are. */
static void make_absolute(char **path)
{
	char *cwd = **path == '/' ? NULL : getcwd(NULL, 0), *relative = *path;

	if (!cwd)
		return;
	if (asprintf(path, "%s/%s", cwd, relative) < 0)
		die("--console: out of memory");
	free(relative);
	free(cwd);
}

static void reader_left(struct loop_source *src)
{
	struct console_host *host = container_of(src, struct console_host, client);
	struct pollfd p = { .fd = host->out_fd };

	console_host_opened(host->port, poll(&p, 1, 0) != 1 || !(p.revents & POLLERR));
}

static void pipe_opened(struct loop_source *src)
{
	struct console_host *host = container_of(src, struct console_host, listener);
	char events[4096];

	if (read(src->fd, events, sizeof(events)) > 0)
		reader_left(&host->client);
}

/* A pipe that nobody reads is a port that nobody has open. One that has a name may be read again. */
static void watch_pipe(struct console_host *host, const char *name)
{
	struct stat st;

	if (fstat(host->out_fd, &st) || !S_ISFIFO(st.st_mode))
		return;
	host->client = (struct loop_source) { .fd = host->out_fd, .hangup = true, .ready = reader_left };
	loop_add(&host->client);
	if (!name)
		return;
	host->other_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (host->other_fd < 0 || inotify_add_watch(host->other_fd, name, IN_OPEN) < 0)
		die("--console file=%s: inotify: %s", name, strerror(errno));
	host->listener = (struct loop_source) { .fd = host->other_fd, .ready = pipe_opened };
	loop_add(&host->listener);
}

static void open_file(struct console_host *host)
{
	host->out_fd = open(host->path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666);
	if (host->out_fd < 0)
		die("--console file=%s: %s", host->path, strerror(errno));
	watch_pipe(host, host->path);
	make_absolute(&host->path);
}

/* ---- Sockets ------------------------------------------------------------------------- */

static bool has_unread(const struct console_host *host)
{
	int left;

	return !ioctl(host->in_fd, FIONREAD, &left) && left;
}

/* What it has sent stays for the guest; who reads that comes to its end. */
void console_host_look(struct console_host *host)
{
	if (host->hung_up && !has_unread(host))
		vm_signal_eventfd(host->event_fd);
}

static void client_hung_up(struct loop_source *src)
{
	struct console_host *host = container_of(src, struct console_host, client);

	host->hung_up = true;
	console_host_look(host);
}

/* Whether the client is on its way out: that may not have been looked at yet. */
static bool is_leaving(const struct console_host *host)
{
	struct pollfd p = { .fd = host->in_fd, .events = POLLRDHUP };

	return host->hung_up || poll(&p, 1, 0) == 1;
}

static void refuse(int fd)
{
	static const char why[] = "vkick: somebody else is connected to this port\n";

	send(fd, why, sizeof(why) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

static void take_client(struct console_host *host, int fd)
{
	int out_fd = dup(fd);

	if (out_fd < 0) {
		close(fd);
		return;
	}
	console_host_changed(host->port, fd, out_fd);
	host->client = (struct loop_source) { .fd = fd, .hangup = true, .ready = client_hung_up };
	loop_add(&host->client);
}

/* One client at a time: another one waits if it is about to go, and is told so if not. */
static void listener_ready(struct loop_source *src)
{
	struct console_host *host = container_of(src, struct console_host, listener);
	bool taken = host->in_fd >= 0;
	int fd;

	if (taken && is_leaving(host)) {
		loop_remove(src);
		return;
	}
	fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	if (taken)
		refuse(fd);
	else
		take_client(host, fd);
}

static void open_socket(struct console_host *host)
{
	int fd = listen_at(host->port->number ? "--port socket=" : "--console socket=", host->path, 8);

	make_absolute(&host->path);
	host->other_fd = fd;
	host->listener = (struct loop_source) { .fd = fd, .ready = listener_ready };
	loop_add(&host->listener);
}

/* A file has ended or failed: of a socket, the client has gone, but for what the guest has not read yet. */
static void event_ready(struct loop_source *src)
{
	struct console_host *host = container_of(src, struct console_host, event);

	if (!vm_drain_eventfd(src->fd) || host->kind != CONSOLE_SOCKET || host->in_fd < 0)
		return;
	if (has_unread(host)) {
		host->hung_up = true;
		return;
	}
	loop_remove(&host->client);
	host->hung_up = false;
	console_host_changed(host->port, -1, -1);
	loop_remove(&host->listener);	/* it may have been, for who waits */
	loop_add(&host->listener);
}

void console_host_open(struct console_host *host, struct vm *vm, struct console_port *port)
{
	host->port = port;
	host->event_fd = vm_eventfd();
	host->event = (struct loop_source) { .fd = host->event_fd, .ready = event_ready };
	loop_add(&host->event);
	switch (host->kind) {
	case CONSOLE_STDIO:
		open_stdio(host, vm);
		watch_pipe(host, NULL);
		break;
	case CONSOLE_PTY:
		open_pty(host);
		break;
	case CONSOLE_FILE:
		open_file(host);
		break;
	case CONSOLE_SOCKET:
		open_socket(host);
		break;
	case CONSOLE_OFF:
		break;
	}
}
