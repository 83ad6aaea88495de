// SPDX-License-Identifier: GPL-2.0
/*
 * `vkick ctl SOCK console`: a terminal for a port of a running VM's console.
 *
 * in:  the port's pseudo-terminal or socket, as status names it; what is typed
 * out: what is typed, to the guest; the guest's output, to stdout; the terminal's size, to the VMM
 *
 * Detaching leaves the guest as it is, and the port for whoever attaches next.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl.h"
#include "escape.h"
#include "terminal.h"

static bool detached;

static void command(char key)
{
	static const char help[] =
		"\nCtrl-A d       detach: the guest goes on; Ctrl-A x does the same\n"
		"Ctrl-A h       this help\n"
		"Ctrl-A Ctrl-A  send Ctrl-A to the guest\n";

	if (key == 'd' || key == 'x')
		detached = true;
	else if (write(1, help, sizeof(help) - 1) < 0)
		return;
}

static struct escape escape = { .keys = "dxh?", .command = command };

/* ---- The port ------------------------------------------------------------------------- */

static bool is_port(const json_t *port, const char *name)
{
	const char *its = json_string_value(json_object_get(port, "name"));
	char number[24];

	snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(port, "port")));
	return !name || !strcmp(number, name) || (its && !strcmp(its, name));
}

/* By its name, or its number; the first one if @name is NULL. @console: whose it is; NULL: there is none */
static const json_t *find_port(const json_t *status, const char *name, const json_t **console)
{
	const json_t *dev, *port;
	size_t i, p;

	*console = NULL;
	json_array_foreach(json_object_get(status, "devices"), i, dev) {
		const char *class = json_string_value(json_object_get(dev, "class"));

		if (!class || strcmp(class, "console"))
			continue;
		*console = dev;
		json_array_foreach(json_object_get(dev, "ports"), p, port)
			if (is_port(port, name))
				return port;
	}
	return NULL;
}

static int connect_to(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(sa.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(sa.sun_path, path);
	if (fd < 0)
		return -1;
	return connect(fd, (struct sockaddr *)&sa, sizeof(sa)) ? -1 : fd;
}

static int open_port(const json_t *port)
{
	const char *host = json_string_value(json_object_get(port, "host"));
	const char *path = json_string_value(json_object_get(port, "path"));
	int fd = -1;

	if (!host || !path || (strcmp(host, "pty") && strcmp(host, "socket")))
		die("ctl console: that port is on %s, where nobody can attach: start the VM with pty or socket=PATH",
		    host ? host : "nothing");
	if (!strcmp(host, "pty"))
		fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	else
		fd = connect_to(path);
	if (fd < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK))
		die("ctl console: %s: %s", path, strerror(errno));
	/* Each of two would get a part of what the guest writes. Of a socket it is the VMM that has one alone. */
	if (!strcmp(host, "pty") && flock(fd, LOCK_EX | LOCK_NB))
		die("ctl console: %s: another vkick ctl console is attached: detach that one first", path);
	return fd;
}

/* ---- Attached --------------------------------------------------------------------------- */

/* What one end had no room for. */
struct buffer {
	u8 bytes[16384];
	u32 nr;
};

/**
 * struct session - what is attached to what
 * @out_fd: standard output, as we may write to it without waiting; a regular file as it is
 * @device: whose first port it is, or NULL
 * @typed: for the port; @shown: for standard output
 * @raw: what is typed has an escape key, which is looked for whatever the guest does
 */
struct session {
	int ctl_fd, fd, out_fd;
	const char *device;
	bool raw;
	struct buffer typed, shown;
};

/* The reply is of no interest: one that is not told its size goes on with another. */
static void tell_size(const struct session *s)
{
	json_t *reply;
	u16 cols, rows;

	if (!s->device || !terminal_size(&cols, &rows))
		return;
	reply = ctl_ask(s->ctl_fd, json_pack("{s:s, s:s, s:i, s:i}", "cmd", "window", "device", s->device,
					     "cols", (int)cols, "rows", (int)rows));
	json_decref(reply);
}

/* As much as @fd takes. Return: false: the other end is gone */
static bool flush(struct buffer *b, int fd)
{
	ssize_t n = 0;

	while (b->nr && (n = write(fd, b->bytes, b->nr)) > 0) {
		b->nr -= n;
		memmove(b->bytes, b->bytes + n, b->nr);
	}
	return n >= 0 || errno == EAGAIN || errno == EINTR;
}

static u32 room(const struct buffer *b)
{
	return sizeof(b->bytes) - b->nr;
}

/* Return: bytes; 0: it has ended; -1: there are none now */
static int read_some(int fd, u8 *buf, u32 bytes)
{
	ssize_t n = read(fd, buf, bytes);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? -1 : 0;
	return n;
}

/* From the port to standard output. Return: NULL, or why it ended */
static const char *show(struct session *s)
{
	int n = read_some(s->fd, s->shown.bytes, sizeof(s->shown.bytes));

	if (!n)
		return "the VM has ended, or closed the port";
	s->shown.nr = n > 0 ? n : 0;
	return flush(&s->shown, s->out_fd) ? NULL : "nobody reads what the guest writes";
}

/* From standard input to what goes to the port; what is far too much is lost. Return: false: it has ended */
static bool take(struct session *s)
{
	u8 in[1024], out[2 * sizeof(in)];
	int n = read_some(0, in, sizeof(in));
	u32 nr = n > 0 ? n : 0;

	if (s->raw)
		nr = escape_filter(&escape, in, nr, out);
	if (nr > room(&s->typed))
		nr = room(&s->typed);
	memcpy(s->typed.bytes + s->typed.nr, s->raw ? out : in, nr);
	s->typed.nr += nr;
	return n;
}

static void window_changed(const struct session *s, int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) == sizeof(info))
		tell_size(s);
}

/*
 * Neither end is waited for: a terminal that waits with what is pasted until we have shown something would wait for ever, and
 * so would the escape key where the guest does not read.
 */
static const char *relay(struct session *s, int winch_fd)
{
	struct pollfd in = { 0, 0, 0 };
	const char *why;

	while (!detached) {
		struct pollfd p[] = {
			in, { s->fd, (s->shown.nr ? 0 : POLLIN) | (s->typed.nr ? POLLOUT : 0), 0 },
			{ winch_fd, POLLIN, 0 }, { s->shown.nr ? s->out_fd : -1, POLLOUT, 0 },
		};

		p[0].events = s->raw || room(&s->typed) >= 1024 ? POLLIN : 0;
		if (!p[0].events)
			p[0].fd = -1;
		/* A port that has hung up says so again and again. */
		if (!p[1].events)
			p[1].fd = -1;
		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return strerror(errno);
		if (p[2].revents)
			window_changed(s, winch_fd);
		if (p[3].revents && !flush(&s->shown, s->out_fd))
			return "nobody reads what the guest writes";
		why = p[1].revents & ~POLLOUT && !s->shown.nr ? show(s) : NULL;
		if (why)
			return why;
		if (p[0].revents && !take(s))
			in.fd = -1;		/* what the guest has to say is still of interest */
		if (!flush(&s->typed, s->fd))
			return "the VM has ended, or closed the port";
	}
	return "detached";
}

/* Our own open file, for O_NONBLOCK is everybody's; a regular file's position is everybody's too. */
static int open_output(void)
{
	struct stat st;
	int fd = -1;

	if (!fstat(1, &st) && !S_ISREG(st.st_mode))
		fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? 1 : fd;
}

int ctl_console(const char *path, const char *name)
{
	int ctl_fd = ctl_connect(path), winch_fd;
	json_t *status = ctl_ask(ctl_fd, json_pack("{s:s}", "cmd", "status"));
	const json_t *console, *port = find_port(status, name, &console);
	struct session s = { .ctl_fd = ctl_fd };
	sigset_t winch;

	if (!console)
		die("ctl console: the VM has no console: start it with --console pty or --console socket=PATH");
	if (!port)
		die("ctl console: %s: no such port: see ports of status", name ? name : "0");
	s.fd = open_port(port);
	if (!json_integer_value(json_object_get(port, "port")))
		s.device = json_string_value(json_object_get(console, "name"));

	sigemptyset(&winch);
	sigaddset(&winch, SIGWINCH);
	sigprocmask(SIG_BLOCK, &winch, NULL);
	winch_fd = signalfd(-1, &winch, SFD_CLOEXEC | SFD_NONBLOCK);
	signal(SIGPIPE, SIG_IGN);
	s.out_fd = open_output();
	s.raw = terminal_make_raw();
	if (s.raw)
		warn("attached: Ctrl-A d detaches, Ctrl-A h has help");
	tell_size(&s);
	warn("%s", relay(&s, winch_fd));
	json_decref(status);
	return 0;
}
