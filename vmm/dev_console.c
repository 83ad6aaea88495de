// SPDX-License-Identifier: GPL-2.0
/*
 * The console device (VIRTIO 1.2, 5.3), all but its bytes and control messages.
 *
 * in:  --console and --port, the size of the terminal, clients of sockets
 * out: the config space, ports' files for the datapath, ioctls that give the module these
 *
 * With --port the device has the feature MULTIPORT, and queues for each port; without, one port, which is the guest's
 * hvc0. Ports that want another datapath are of another device, which has no hvc, nor, so, a port 0.
 */
#include <endian.h>
#include <errno.h>
#include <jansson.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "console.h"
#include "opts.h"
#include "terminal.h"

/* The one that is on standard input and output, or NULL. */
static struct console_port *stdio_port;

bool console_has_stdin(void)
{
	return stdio_port && stdio_port->host.in_fd >= 0;
}

/* ---- The keys ------------------------------------------------------------------------ */

struct console_options {
	bool given;
	struct console_host host;	/* of port 0 */
	u32 poll_us;
};

static struct console_options *options(const struct device_opts *d)
{
	return d->options;
}

static void set_host(struct device_opts *d, const char *key, const char *v)
{
	char *value;

	if (asprintf(&value, "%s%s%s", key, v ? "=" : "", v ? v : "") < 0)
		die("--console: out of memory");
	if (options(d)->given)
		die_usage("--console %s: it has one already: give more with --port", value);
	if (!console_host_parse(&options(d)->host, value, true))
		die_usage("--console %s: give stdio, pty, file=PATH, socket=PATH or off", value);
	options(d)->given = true;
	free(value);
}

static void set_poll(struct device_opts *d, const char *key, const char *v)
{
	options(d)->poll_us = opts_range(d, key, v, 0, VIRTIO_MAX_POLL_US);
}

static const struct opts_key console_words[] = {
	{ "stdio", set_host },
	{ "pty", set_host },
	{ "off", set_host },
	{ }
};

static const struct opts_key console_keys[] = {
	{ "file", set_host },
	{ "socket", set_host },
	{ "poll", set_poll },
	{ }
};

static bool has_port_of_name(const struct console *con, const char *name)
{
	u32 i;

	for (i = 0; i < con->nr_ports; i++)
		if (con->port[i].name && !strcmp(con->port[i].name, name))
			return true;
	return false;
}

/* Linux makes a link of each in the guest, of which the second one would fail. */
static void set_name(struct console_port *port, const char *value, const char *name)
{
	const struct virtio_dev *dev;
	unsigned int n;

	if (port->name)
		die_usage("--port %s: name=%s: it has one already", value, name);
	/* Those that are there, and the one that is being made. */
	for (n = 0; (dev = virtio_dev_at(n)); n++)
		if (dev->class == &dev_console && has_port_of_name(console_of(dev), name))
			break;
	if (dev || has_port_of_name(console_of(port->dev), name))
		die_usage("--port %s: name=%s: another port has it: give another name", value, name);
	port->name = name;
}

/* name=NAME,pty|file=PATH|socket=PATH; datapath= was opts.c's. */
static void parse_port(struct console_port *port, const char *value)
{
	char *copy = strdup(value), *save = NULL, *key;
	bool has_host = false;

	if (!copy)
		die("--port: out of memory");
	for (key = strtok_r(copy, ",", &save); key; key = strtok_r(NULL, ",", &save)) {
		struct console_host host;

		if (!strncmp(key, "datapath=", 9))
			continue;
		if (!strncmp(key, "name=", 5) && key[5] && strlen(key + 5) < CONSOLE_NAME_BYTES) {
			set_name(port, value, key + 5);
			continue;
		}
		if (!console_host_parse(&host, key, false))
			die_usage("--port %s: %s: there are name=NAME (of less than %u bytes), pty, file=PATH, socket=PATH, off and datapath=",
				  value, key, CONSOLE_NAME_BYTES);
		if (has_host)
			die_usage("--port %s: %s: it is on something already: give more with another --port", value, key);
		port->host = host;
		has_host = true;
	}
	if (!has_host)
		die_usage("--port %s: give pty, file=PATH, socket=PATH or off", value);
}

/* ---- Making it ------------------------------------------------------------------------- */

static struct console_port *add_port(struct virtio_dev *dev, u32 number)
{
	struct console *con = console_of(dev);
	struct console_port *port = &con->port[con->nr_ports++];

	port->dev = dev;
	port->number = number;
	return port;
}

static void open_port(struct console_port *port)
{
	console_host_open(&port->host, port->dev->vm, port);
	port->open = console_host_is_there(&port->host);
	if (port->host.kind == CONSOLE_STDIO)
		stdio_port = port;
}

static void console_init(struct virtio_dev *dev, const struct device_opts *opts)
{
	const struct opts *o = dev->vm->opts;
	struct console *con = calloc(1, sizeof(*con));
	bool is_first = opts == opts_console(o);
	u32 i;

	if (!con)
		die("--console: out of memory");
	if (!options(opts)->given)
		die_usage("--console: give stdio, pty, file=PATH, socket=PATH or off");
	if (is_first && options(opts)->poll_us && opts->datapath == opts->class->user)
		die_usage("--console poll=%u: datapath=user does not poll: leave it out", options(opts)->poll_us);
	dev->priv = con;
	dev->poll_us = opts->datapath == opts->class->user ? 0 : options(opts)->poll_us;
	if (is_first)
		add_port(dev, 0)->host = options(opts)->host;
	/* A port has its number to itself, whichever device it is of. */
	for (i = 0; i < o->nr_ports; i++)
		if (o->port_device[i] == opts - o->devices)
			parse_port(add_port(dev, i + 1), o->ports[i]);
	for (i = 0; i < con->nr_ports; i++)
		open_port(&con->port[i]);
	con->max_ports = con->port[con->nr_ports - 1].number + 1;
	dev->nr_queues = 2;
	if (is_first)
		dev->features = 1UL << VIRTIO_CONSOLE_F_SIZE | 1UL << VIRTIO_CONSOLE_F_EMERG_WRITE;
	if (is_first && stdio_port)
		terminal_size(&con->cols, &con->rows);
	if (con->max_ports == 1)
		return;
	dev->features |= 1UL << VIRTIO_CONSOLE_F_MULTIPORT;
	dev->nr_queues = 2 * con->max_ports + 2;
	dev->own[0].index = CONSOLE_CTRL_RX;
	dev->own[1].index = CONSOLE_CTRL_TX;
	dev->nr_own = 2;
}

void console_give_away(uid_t uid)
{
	const struct virtio_dev *dev;
	unsigned int n;
	u32 i;

	for (n = 0; (dev = virtio_dev_at(n)); n++) {
		const struct console *con = dev->class == &dev_console ? console_of(dev) : NULL;

		for (i = 0; con && i < con->nr_ports; i++) {
			const struct console_host *host = &con->port[i].host;

			if (host->kind == CONSOLE_PTY && fchown(host->other_fd, uid, -1))
				die("--user: %s: %s: start vkick as root, or leave it out", host->path, strerror(errno));
		}
	}
}

/* ---- What the driver sees ---------------------------------------------------------------- */

static void console_config(const struct virtio_dev *dev, void *buf)
{
	const struct console *con = console_of(dev);
	struct virtio_console_config c = {
		.cols = htole16(con->cols),
		.rows = htole16(con->rows),
		.max_nr_ports = htole32(con->max_ports),
	};

	memcpy(buf, &c, sizeof(c));
}

/* 5.3.4: a character, without a queue; at any time. */
static void console_config_write(struct virtio_dev *dev, u64 off, unsigned int len, u64 val)
{
	const struct console_port *port = &console_of(dev)->port[0];
	u8 byte = val;

	if (off != offsetof(struct virtio_console_config, emerg_wr) || len > 4 || port->number || port->host.out_fd < 0)
		return;
	if (write(port->host.out_fd, &byte, 1) < 0)
		return;		/* as much as can be done */
}

static void console_reset(struct virtio_dev *dev)
{
	struct console *con = console_of(dev);
	u32 i;

	console_ctrl_reset(dev);
	for (i = 0; i < con->nr_ports; i++)
		con->port[i].out_skip = 0;
}

/* ---- The size of port 0's terminal ----------------------------------------------------------- */

/* Tells the driver: by the config space (5.3.4), and with several ports by a message as well, which is what Linux reads then. */
static void console_window(struct virtio_dev *dev, u16 cols, u16 rows)
{
	struct console *con = console_of(dev);

	if (con->cols == cols && con->rows == rows)
		return;
	con->cols = cols;
	con->rows = rows;
	virtio_config_changed(dev);
	console_ctrl_size(dev);
}

void console_window_changed(void)
{
	struct virtio_dev *dev = stdio_port ? stdio_port->dev : NULL;
	u16 cols, rows;

	if (!dev || !terminal_size(&cols, &rows))
		return;
	pthread_mutex_lock(&dev->vm->lock);
	console_window(dev, cols, rows);
	pthread_mutex_unlock(&dev->vm->lock);
}

/* ---- The host's end ------------------------------------------------------------------------ */

/* Between a stop and a start: what console_host_changed() was given. */
static struct {
	struct console_port *port;
	int in_fd, out_fd;
} change;

static void exchange(struct virtio_dev *dev)
{
	struct console_host *host = &change.port->host;

	(void)dev;
	if (host->in_fd >= 0)
		close(host->in_fd);
	if (host->out_fd >= 0)
		close(host->out_fd);
	host->in_fd = change.in_fd;
	host->out_fd = change.out_fd;
	/* What another client had a part of is none of this one's. */
	vm_drain_eventfd(host->event_fd);
}

void console_host_changed(struct console_port *port, int in_fd, int out_fd)
{
	struct virtio_dev *dev = port->dev;

	pthread_mutex_lock(&dev->vm->lock);
	change.port = port;
	change.in_fd = in_fd;
	change.out_fd = out_fd;
	virtio_pause(dev, exchange);
	port->open = console_host_is_there(&port->host);
	console_ctrl_open(port);
	pthread_mutex_unlock(&dev->vm->lock);
}

void console_host_opened(struct console_port *port, bool open)
{
	pthread_mutex_lock(&port->dev->vm->lock);
	if (port->open != open) {
		port->open = open;
		console_ctrl_open(port);
	}
	pthread_mutex_unlock(&port->dev->vm->lock);
}

/* ---- The module's ---------------------------------------------------------------------------- */

/* Whether the device has queues of a port's, which the module's ports come with. */
static bool has_queues(const struct virtio_dev *dev, const struct console_port *port)
{
	return console_queue(port->number) < dev->nr_queues;
}

/* Not before: the other datapath may be in the middle of a chain until then. */
static int console_kernel_starting(struct virtio_dev *dev, int fd)
{
	struct console *con = console_of(dev);
	u32 i;

	for (i = 0; i < con->nr_ports; i++) {
		const struct console_port *port = &con->port[i];
		struct vkick_console_port arg = {
			.size = sizeof(arg),
			.port = port->number,
			.in_fd = port->host.in_fd,
			.out_fd = port->host.out_fd,
			.event_fd = port->host.event_fd,
			.out_skip = port->out_skip,
		};

		if (has_queues(dev, port) && ioctl(fd, VKICK_CONSOLE_SET_PORT, &arg))
			return -errno;
	}
	return 0;
}

static void console_kernel_stopped(struct virtio_dev *dev, int fd)
{
	struct console *con = console_of(dev);
	u32 i;

	for (i = 0; i < con->nr_ports; i++) {
		struct vkick_console_port arg = { .size = sizeof(arg), .port = con->port[i].number };

		if (!ioctl(fd, VKICK_CONSOLE_GET_PORT, &arg))
			con->port[i].out_skip = arg.out_skip;
	}
}

/* ---- The control socket's --------------------------------------------------------------------- */

static const char *const kind_names[] = {
	[CONSOLE_OFF] = "off", [CONSOLE_STDIO] = "stdio", [CONSOLE_PTY] = "pty", [CONSOLE_FILE] = "file",
	[CONSOLE_SOCKET] = "socket",
};

static void console_describe(const struct virtio_dev *dev, json_t *json)
{
	const struct console *con = console_of(dev);
	json_t *ports = json_array();
	u32 i;

	for (i = 0; i < con->nr_ports; i++) {
		const struct console_port *port = &con->port[i];
		json_t *p = json_pack("{s:i, s:s, s:b, s:b}", "port", (int)port->number, "host",
				      kind_names[port->host.kind], "host_open", port->open, "guest_open",
				      port->guest_open);

		if (port->name)
			json_object_set_new(p, "name", json_string(port->name));
		if (port->host.path)
			json_object_set_new(p, "path", json_string(port->host.path));
		json_array_append_new(ports, p);
	}
	json_object_set_new(json, "ports", ports);
}

const struct virtio_class dev_console = {
	.name = "console",
	.device_id = VIRTIO_ID_CONSOLE,
	.pci_class = 0x078000,
	.max_queues = 1,
	.queue_size = 128,
	.max_queue_size = 1024,
	.config_bytes = sizeof(struct virtio_console_config),
	.node = "/dev/vkick-console",
	.vmm_features = ~0UL,
	/* What of a chain was written already is no part of a queue's reset. */
	.withheld = 1UL << VIRTIO_F_RING_RESET,
	.datapath_by_default = true,
	.user = &datapath_console_user,
	.keys = console_keys,
	.words = console_words,
	.options_bytes = sizeof(struct console_options),
	.init = console_init,
	.config = console_config,
	.config_write = console_config_write,
	.reset = console_reset,
	.kernel_starting = console_kernel_starting,
	.kernel_stopped = console_kernel_stopped,
	.describe = console_describe,
	.window = console_window,
	.serve_own = console_ctrl_serve,
};
