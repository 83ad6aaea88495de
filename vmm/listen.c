// SPDX-License-Identifier: GPL-2.0
/*
 * Unix sockets that the VMM listens on.
 *
 * in:  --ctl, --console socket=, --port socket=
 * out: sockets with names, which go as the process ends
 */
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "listen.h"

static struct {
	const char *option;
	char *path;
} *sockets;

static unsigned int nr_sockets;

static void remove_names(void)
{
	while (nr_sockets)
		unlink(sockets[--nr_sockets].path);
}

static void remember(const char *option, const char *path)
{
	if (!nr_sockets)
		atexit(remove_names);
	sockets = reallocarray(sockets, nr_sockets + 1, sizeof(*sockets));
	if (!sockets || !(sockets[nr_sockets].path = strdup(path)))
		die("%s%s: out of memory", option, path);
	sockets[nr_sockets++].option = option;
}

/*
 * A socket that nobody has any more was left by a VMM that was killed. One that somebody has is of another type than this
 * asks for (EPROTOTYPE), and so hears nothing of it.
 */
static void remove_stale(const struct sockaddr_un *sa)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct stat st;

	if (fd < 0)
		return;
	if (!lstat(sa->sun_path, &st) && S_ISSOCK(st.st_mode) &&
	    connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) && errno == ECONNREFUSED)
		unlink(sa->sun_path);
	close(fd);
}

int listen_at(const char *option, const char *path, int backlog)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof(sa.sun_path))
		die("%s%s: longer than %zu characters: give a shorter path", option, path, sizeof(sa.sun_path) - 1);
	strcpy(sa.sun_path, path);
	remove_stale(&sa);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)))
		die("%s%s: %s", option, path, strerror(errno));
	remember(option, path);
	if (listen(fd, backlog))
		die("%s%s: %s", option, path, strerror(errno));
	return fd;
}

void listen_give_away(uid_t uid, gid_t gid)
{
	unsigned int i;

	for (i = 0; i < nr_sockets; i++)
		if (lchown(sockets[i].path, uid, gid))
			die("--user: %s%s: %s: start vkick as root, or leave it out", sockets[i].option, sockets[i].path,
			    strerror(errno));
}

char *listen_directory(unsigned int n)
{
	char *path, *dir;

	if (n >= nr_sockets)
		return NULL;
	path = strdup(sockets[n].path);
	dir = path ? strdup(dirname(path)) : NULL;
	free(path);
	if (!dir)
		die("%s%s: out of memory", sockets[n].option, sockets[n].path);
	return dir;
}
