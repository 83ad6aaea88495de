// SPDX-License-Identifier: GPL-2.0
/*
 * Network devices with no interface of the host's: by passt, or by who else speaks as it does (--net user, --net socket=PATH).
 *
 * in:  ports to forward; a socket's path
 * out: a connected stream socket
 *
 * passt makes the guest's packets system calls of an ordinary process, and so needs no rights. It has the other end of a
 * socket pair, by number, leaves its terminal when it is ready, and ends when our end is closed, however we end.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net_stream.h"

#define MAX_ARGS	(7 + 2 * 2 * NET_MAX_FORWARDS)

extern char **environ;

/* What we ignore or block is not for it to. Return: 0 or an errno. */
static int spawn(pid_t *pid, char *argv[], int fd)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, pipe;
	int err;

	sigemptyset(&none);
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigdefault(&attr, &pipe);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawn_file_actions_init(&actions);
	/* To its own place, which takes O_CLOEXEC off. */
	posix_spawn_file_actions_adddup2(&actions, fd, fd);
	err = posix_spawnp(pid, argv[0], &actions, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return err;
}

/* Until it says by its exit that it is ready, in the background. */
static void await(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("--net user: passt: %s", strerror(errno));
	if (WIFSIGNALED(status))
		die("--net user: passt was killed by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status))
		die("--net user: passt ended with status %d: it says why above", WEXITSTATUS(status));
}

struct net_stream *net_passt_start(const struct net_forward *forwards, u32 nr, u32 mtu)
{
	char number[16], bytes[16], *argv[MAX_ARGS] = { "passt", "--quiet", "--fd", number };
	int fd[2], err, argc = 4;
	pid_t pid;
	u32 i;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd))
		die("--net user: socketpair: %s", strerror(errno));
	snprintf(number, sizeof(number), "%d", fd[1]);
	for (i = 0; i < nr; i++) {
		argv[argc++] = forwards[i].udp ? "--udp-ports" : "--tcp-ports";
		argv[argc++] = (char *)forwards[i].ports;
	}
	if (mtu) {
		snprintf(bytes, sizeof(bytes), "%u", mtu);
		argv[argc++] = "--mtu";
		argv[argc++] = bytes;
	}
	/* Who started us may have it ignored, and then there is nobody to wait for. */
	signal(SIGCHLD, SIG_DFL);
	err = spawn(&pid, argv, fd[1]);
	if (err == ENOENT)
		die("--net user: there is no passt: install it (Debian's package passt), or give tap=NAME");
	if (err)
		die("--net user: passt: %s", strerror(err));
	close(fd[1]);
	await(pid);
	return net_stream_new(fd[0], "user");
}

struct net_stream *net_passt_connect(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char *words;
	int fd;

	if (strlen(path) >= sizeof(at.sun_path))
		die_usage("--net socket=%s: more than %zu bytes", path, sizeof(at.sun_path) - 1);
	strcpy(at.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)))
		die("--net socket=%s: %s: start passt --socket %s before", path, strerror(errno), path);
	if (asprintf(&words, "socket=%s", path) < 0)
		die("--net socket=%s: out of memory", path);
	return net_stream_new(fd, words);
}
