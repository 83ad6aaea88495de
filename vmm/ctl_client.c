// SPDX-License-Identifier: GPL-2.0
/*
 * `vkick ctl`: asks a running VMM.
 *
 * in:  its control socket, a command
 * out: the reply, a line of JSON on stdout; exit status 1 if it says no
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm.h"

static int connect_to(const char *path)
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

int ctl_client(const char *path, const char *cmd)
{
	int fd = connect_to(path);
	json_t *request = json_pack("{s:s}", "cmd", cmd), *reply;
	json_error_t err;
	bool ok;

	if (!request)
		die_usage("ctl %s: not a command: give status, stats or quit", cmd);
	if (json_dumpfd(request, fd, JSON_COMPACT) || write(fd, "\n", 1) != 1)
		die("ctl %s: %s", path, strerror(errno));
	reply = json_loadfd(fd, JSON_DISABLE_EOF_CHECK, &err);
	if (!reply)
		die("ctl %s: the VM ended without a reply", path);
	json_dumpf(reply, stdout, JSON_COMPACT);
	putchar('\n');
	ok = json_is_true(json_object_get(reply, "ok"));
	if (!ok)
		warn("ctl %s: %s", cmd, json_string_value(json_object_get(reply, "error")));
	json_decref(reply);
	json_decref(request);
	return !ok;
}
