// SPDX-License-Identifier: GPL-2.0
/*
 * `vkick ctl`: asks a running VMM.
 *
 * in:  its control socket, a command and what belongs to it; for `console` see ctl_console.c
 * out: the reply, a line of JSON on stdout; exit status 1 if it says no
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl.h"
#include "opts.h"

int ctl_connect(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(sa.sun_path))
		die("ctl %s: longer than %zu characters: give a shorter path", path,
		    sizeof(sa.sun_path) - 1);
	strcpy(sa.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
		die("ctl %s: %s: give the --ctl socket of a running VM", path,
		    strerror(errno));
	return fd;
}

/* A number of bytes, or one with K, M, G or T. */
static u64 parse_size(const char *s)
{
	static const char units[] = "KMGT";
	const char *unit;
	u64 n, shift = 0;
	char *end;

	n = opts_number(s, &end);
	if (end != s && !errno && *end && !end[1]) {
		unit = strchr(units, *end);
		shift = unit ? 10 * (unit - units + 1) : 0;
		end += !!unit;
	}
	if (end == s || *end || errno || !n || n > (u64)INT64_MAX >> shift)
		die_usage("ctl resize: %s: not a size: give bytes, or a number with K, M, G or T",
			  s);
	return n << shift;
}

/* Return: what to send, NULL if it is no command. */
static json_t *make_request(char **args, int nr)
{
	if (!strcmp(args[0], "resize") && (nr == 2 || nr == 3)) {
		json_t *request = json_pack("{s:s, s:s}", "cmd", args[0], "device", args[1]);

		if (nr == 3)
			json_object_set_new(request, "bytes",
					    json_integer(parse_size(args[2])));
		return request;
	}
	if (!strcmp(args[0], "resize"))
		die_usage("ctl resize: give a disk, as disk0, then a size or none");
	if (!strcmp(args[0], "link") && nr == 3)
		return json_pack("{s:s, s:s, s:s}", "cmd", args[0], "device", args[1], "link", args[2]);
	if (!strcmp(args[0], "link"))
		die_usage("ctl link: give a network device, as net0, then up or down");
	if (!strcmp(args[0], "switch") && nr == 3)
		return json_pack("{s:s, s:s, s:s}", "cmd", args[0], "device", args[1],
				 "datapath", args[2]);
	if (!strcmp(args[0], "switch"))
		die_usage("ctl switch: give a device, as disk0, then kernel or user");
	return nr == 1 ? json_pack("{s:s}", "cmd", args[0]) : NULL;
}

json_t *ctl_ask(int fd, json_t *request)
{
	json_t *reply = NULL;
	json_error_t err;

	if (!json_dumpfd(request, fd, JSON_COMPACT) && write(fd, "\n", 1) == 1)
		reply = json_loadfd(fd, JSON_DISABLE_EOF_CHECK, &err);
	if (!reply)
		die("ctl: the VM ended without a reply");
	json_decref(request);
	return reply;
}

int ctl_client(const char *path, char **args, int nr)
{
	const char *cmd = args[0];
	json_t *request, *reply;
	bool ok;

	if (!strcmp(cmd, "console") && nr <= 2)
		return ctl_console(path, args[1]);
	request = make_request(args, nr);
	if (!request)
		die_usage("ctl %s: not a command: give " CTL_COMMANDS, cmd);
	reply = ctl_ask(ctl_connect(path), request);
	json_dumpf(reply, stdout, JSON_COMPACT);
	putchar('\n');
	ok = json_is_true(json_object_get(reply, "ok"));
	if (!ok)
		warn("ctl %s: %s", cmd, json_string_value(json_object_get(reply, "error")));
	json_decref(reply);
	return !ok;
}
