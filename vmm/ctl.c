// SPDX-License-Identifier: GPL-2.0
/*
 * The control socket: JSON, a line in, a line out.
 *
 * in:  {"cmd": "status"}, or stats, pause, resume, reset, quit;
 *      {"cmd": "switch", "device": "disk0", "datapath": "user"},
 *      {"cmd": "resize", "device": "disk0", "bytes": 1073741824}, bytes optional,
 *      {"cmd": "link", "device": "net0", "link": "down"}, or
 *      {"cmd": "window", "device": "console0", "cols": 80, "rows": 24}
 * out: {"ok": true, ...} or {"ok": false, "error": "..."}
 *
 * The main thread waits for its clients among everything else, so that one which
 * says nothing, or does not read, holds up nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "listen.h"
#include "opts.h"
#include "stats.h"
#include "virtio.h"

#define CTL_MAX_CLIENTS	8
#define CTL_LINE_BYTES	256

struct client {
	struct loop_source src;		/* fd -1: free */
	u32 bytes;
	char line[CTL_LINE_BYTES];
};

static struct vm *ctl_vm;
static struct client clients[CTL_MAX_CLIENTS];

static json_t *error_reply(const char *error)
{
	return json_pack("{s:b, s:s}", "ok", 0, "error", error);
}

static json_t *ok_reply(json_t *body)
{
	json_t *reply = json_pack("{s:b}", "ok", 1);

	json_object_update(reply, body);
	json_decref(body);
	return reply;
}

static struct virtio_dev *find_device(const char *name)
{
	struct virtio_dev *dev;
	unsigned int i;

	for (i = 0; (dev = virtio_dev_at(i)); i++)
		if (!strcmp(dev->name, name))
			return dev;
	return NULL;
}

static json_t *resize(const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "device"));
	const json_t *bytes = json_object_get(request, "bytes");
	struct virtio_dev *dev = name ? find_device(name) : NULL;
	const char *why;
	json_t *reply;

	if (!dev || !dev->class->resize)
		return error_reply("no such disk: see devices of status");
	if (bytes && json_integer_value(bytes) <= 0)
		return error_reply("bytes: not a size: give a number above 0, or none");
	pthread_mutex_lock(&ctl_vm->lock);
	why = dev->class->resize(dev, json_integer_value(bytes));
	reply = why ? error_reply(why) : ok_reply(stats_device_json(dev));
	pthread_mutex_unlock(&ctl_vm->lock);
	return reply;
}

static json_t *set_link(const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "device"));
	const char *to = json_string_value(json_object_get(request, "link"));
	struct virtio_dev *dev = name ? find_device(name) : NULL;
	const char *why;
	json_t *reply;

	if (!dev || !dev->class->link)
		return error_reply("no such network device: see devices of status");
	if (!to || (strcmp(to, "up") && strcmp(to, "down")))
		return error_reply("no such state: give up or down");
	pthread_mutex_lock(&ctl_vm->lock);
	why = dev->class->link(dev, !strcmp(to, "up"));
	reply = why ? error_reply(why) : ok_reply(stats_device_json(dev));
	pthread_mutex_unlock(&ctl_vm->lock);
	return reply;
}

static json_t *set_window(const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "device"));
	json_int_t cols = json_integer_value(json_object_get(request, "cols"));
	json_int_t rows = json_integer_value(json_object_get(request, "rows"));
	struct virtio_dev *dev = name ? find_device(name) : NULL;
	json_t *reply;

	if (!dev || !dev->class->window)
		return error_reply("no such console: see devices of status");
	if (cols <= 0 || cols > UINT16_MAX || rows <= 0 || rows > UINT16_MAX)
		return error_reply("no such size: give cols and rows, each 1 to 65535");
	pthread_mutex_lock(&ctl_vm->lock);
	dev->class->window(dev, cols, rows);
	reply = ok_reply(stats_device_json(dev));
	pthread_mutex_unlock(&ctl_vm->lock);
	return reply;
}

static json_t *switch_datapath(const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "device"));
	const char *to = json_string_value(json_object_get(request, "datapath"));
	struct virtio_dev *dev = name ? find_device(name) : NULL;
	const struct datapath_ops *ops;
	char why[WHY_BYTES];
	json_t *reply;

	if (!dev)
		return error_reply("no such device: see devices of status");
	ops = to ? datapath_find(dev->class, to) : NULL;
	if (!ops)
		return error_reply(dev->class->vhost_node ? "no such datapath: give kernel, user or vhost" :
							    "no such datapath: give kernel or user");
	if (datapath_switch(dev, ops, why))
		return error_reply(why);
	pthread_mutex_lock(&ctl_vm->lock);
	reply = ok_reply(stats_device_json(dev));
	pthread_mutex_unlock(&ctl_vm->lock);
	return reply;
}

/* The guest's memory is not changed by anything but ourselves from here on. */
static json_t *pause_vm(void)
{
	vcpu_pause_all(ctl_vm);
	pthread_mutex_lock(&ctl_vm->lock);
	virtio_hold_all();
	pthread_mutex_unlock(&ctl_vm->lock);
	return ok_reply(stats_status_json());
}

static json_t *resume_vm(void)
{
	pthread_mutex_lock(&ctl_vm->lock);
	virtio_unhold_all();
	pthread_mutex_unlock(&ctl_vm->lock);
	vcpu_resume_all(ctl_vm);
	return ok_reply(stats_status_json());
}

/* Asks; the VM ends when the guest has turned itself off. */
static json_t *press_power_button(void)
{
	pthread_mutex_lock(&ctl_vm->lock);
	power_press_button(ctl_vm);
	pthread_mutex_unlock(&ctl_vm->lock);
	return ok_reply(json_object());
}

static json_t *answer(const char *line, size_t bytes)
{
	json_error_t err;
	json_t *request = json_loadb(line, bytes, 0, &err), *reply;
	const char *cmd = json_string_value(json_object_get(request, "cmd"));

	if (!request)
		reply = error_reply("not JSON");
	else if (!cmd)
		reply = error_reply("no \"cmd\"");
	else if (!strcmp(cmd, "status"))
		reply = ok_reply(stats_status_json());
	else if (!strcmp(cmd, "stats"))
		reply = ok_reply(stats_json());
	else if (!strcmp(cmd, "pause"))
		reply = pause_vm();
	else if (!strcmp(cmd, "resume"))
		reply = resume_vm();
	else if (!strcmp(cmd, "shutdown"))
		reply = press_power_button();
	else if (!strcmp(cmd, "reset") || !strcmp(cmd, "quit"))
		reply = ok_reply(json_object());
	else if (!strcmp(cmd, "resize"))
		reply = resize(request);
	else if (!strcmp(cmd, "link"))
		reply = set_link(request);
	else if (!strcmp(cmd, "window"))
		reply = set_window(request);
	else if (!strcmp(cmd, "switch"))
		reply = switch_datapath(request);
	else
		reply = error_reply("unknown cmd: give status, stats, pause, resume, shutdown, reset, resize, link, window, switch or quit");
	/* After the reply was made, whose state is still "running". */
	if (cmd && !strcmp(cmd, "quit"))
		vm_end(ctl_vm, VM_QUIT);
	else if (cmd && !strcmp(cmd, "reset"))
		vm_end(ctl_vm, VM_REBOOT);
	json_decref(request);
	return reply;
}

static void drop(struct client *c)
{
	loop_remove(&c->src);
	close(c->src.fd);
	c->src.fd = -1;
}

/* Return: false if the client takes no more. */
static bool send_line(struct client *c, json_t *reply)
{
	char *text = json_dumps(reply, JSON_COMPACT);
	size_t bytes = text ? strlen(text) : 0;
	bool ok = false;

	json_decref(reply);
	if (text) {
		text[bytes] = '\n';	/* in the place of the zero */
		ok = send(c->src.fd, text, bytes + 1, MSG_DONTWAIT | MSG_NOSIGNAL) ==
		     (ssize_t)bytes + 1;
	}
	free(text);
	return ok;
}

static void client_ready(struct loop_source *src)
{
	struct client *c = container_of(src, struct client, src);
	ssize_t n = read(src->fd, c->line + c->bytes, sizeof(c->line) - c->bytes);
	char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(c);
		return;
	}
	c->bytes += n;
	while ((end = memchr(c->line, '\n', c->bytes))) {
		if (!send_line(c, answer(c->line, end - c->line))) {
			drop(c);
			return;
		}
		c->bytes -= end + 1 - c->line;
		memmove(c->line, end + 1, c->bytes);
	}
	if (c->bytes == sizeof(c->line)) {
		send_line(c, error_reply("line too long"));
		drop(c);
	}
}

static void listener_ready(struct loop_source *src)
{
	int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int most = INT32_MAX;
	unsigned int i;

	if (fd < 0)
		return;
	/* As much as there may be: a reply goes out in one piece. */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &most, sizeof(most));
	for (i = 0; i < CTL_MAX_CLIENTS; i++) {
		struct client *c = &clients[i];

		if (c->src.fd >= 0)
			continue;
		*c = (struct client) { .src = { .fd = fd, .ready = client_ready } };
		loop_add(&c->src);
		return;
	}
	close(fd);
}

static struct loop_source listener = { .ready = listener_ready };

void ctl_init(struct vm *vm)
{
	const char *path = vm->opts->ctl_path;
	unsigned int i;

	if (!path)
		return;
	ctl_vm = vm;
	for (i = 0; i < CTL_MAX_CLIENTS; i++)
		clients[i].src.fd = -1;
	listener.fd = listen_at("--ctl ", path, CTL_MAX_CLIENTS);
	loop_add(&listener);
}
