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
#include <sys/signalfd.h>
#include <sys/socket.h>
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

static const json_t *console_of_status(const json_t *status)
{
	const json_t *dev;
	size_t i;

	json_array_foreach(json_object_get(status, "devices"), i, dev) {
		const char *class = json_string_value(json_object_get(dev, "class"));

		if (class && !strcmp(class, "console"))
			return dev;
	}
	return NULL;
}

/* By its name, or its number; the first one if @name is NULL. */
static const json_t *find_port(const json_t *console, const char *name)
{
	const json_t *port;
	char number[24];
	size_t i;

	json_array_foreach(json_object_get(console, "ports"), i, port) {
		const char *its = json_string_value(json_object_get(port, "name"));

		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(port, "port")));
		if (!name || !strcmp(number, name) || (its && !strcmp(its, name)))
			return port;
	}
	return NULL;
}

static int connect_to(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(sa.sun_path) || fd < 0)
		return -1;
	strcpy(sa.sun_path, path);
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
		fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	else
		fd = connect_to(path);
	if (fd < 0)
		die("ctl console: %s: %s", path, strerror(errno));
	return fd;
}

/* ---- Attached --------------------------------------------------------------------------- */

struct session {
	int ctl_fd, fd;
	const char *device;		/* whose first port it is, or NULL */
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

/* Return: false: the other end is gone */
static bool write_all(int fd, const u8 *buf, u32 bytes)
{
	while (bytes) {
		ssize_t n = write(fd, buf, bytes);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			buf += n;
			bytes -= n;
		}
	}
	return true;
}

/* Return: bytes; 0: it has ended */
static u32 read_some(int fd, u8 *buf, u32 bytes)
{
	ssize_t n;

	do {
		n = read(fd, buf, bytes);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? 0 : n;
}

static void window_changed(const struct session *s, int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) == sizeof(info))
		tell_size(s);
}

/* Return: why it ended */
static const char *relay(const struct session *s, bool raw, int winch_fd)
{
	struct pollfd p[] = { { 0, POLLIN, 0 }, { s->fd, POLLIN, 0 }, { winch_fd, POLLIN, 0 } };
	u8 in[4096], out[2 * sizeof(in)];
	u32 n;

	while (!detached) {
		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return strerror(errno);
		if (p[2].revents)
			window_changed(s, winch_fd);
		if (p[1].revents) {
			n = read_some(s->fd, in, sizeof(in));
			if (!n)
				return "the VM has ended, or closed the port";
			if (!write_all(1, in, n))
				return "nobody reads what the guest writes";
		}
		if (p[0].revents) {
			n = read_some(0, in, sizeof(in));
			if (!n)
				p[0].fd = -1;		/* what the guest has to say is still of interest */
			if (!write_all(s->fd, raw ? out : in, raw ? escape_filter(&escape, in, n, out) : n))
				return "the VM has ended, or closed the port";
		}
	}
	return "detached";
}

int ctl_console(const char *path, const char *name)
{
	int ctl_fd = ctl_connect(path), winch_fd;
	json_t *status = ctl_ask(ctl_fd, json_pack("{s:s}", "cmd", "status"));
	const json_t *console = console_of_status(status), *port = find_port(console, name);
	struct session s = { .ctl_fd = ctl_fd };
	sigset_t winch;
	bool raw;

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
	raw = terminal_make_raw();
	if (raw)
		warn("attached: Ctrl-A d detaches, Ctrl-A h has help");
	tell_size(&s);
	warn("%s", relay(&s, raw, winch_fd));
	json_decref(status);
	return 0;
}
