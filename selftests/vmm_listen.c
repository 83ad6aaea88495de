// SPDX-License-Identifier: GPL-2.0
/*
 * Unix sockets that the VMM listens on: their names come, go, and are taken from nobody.
 *
 * in:  what is at a path already
 * out: a socket there, or a message and what was there
 */
#include "../vmm/vmm.h"

#include "kselftest_harness.h"

#include "../vmm/listen.h"
#include "lib/util.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LISTENS	42	/* the exit status of who does, and then ends */

FIXTURE(listen)
{
	char dir[32], path[48];
};

FIXTURE_SETUP(listen)
{
	strcpy(self->dir, "/tmp/vkick-listen-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->path, sizeof(self->path), "%s/socket", self->dir);
}

FIXTURE_TEARDOWN(listen)
{
	unlink(self->path);
	rmdir(self->dir);
}

/* Another VMM there; @sig kills it once it listens, or 0. Return: its exit status, or 128 and the signal */
static int vmm_listens(FIXTURE_DATA(listen) *self, int sig)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0, "fork");
	if (!pid) {
		listen_at("--ctl ", self->path, 1);
		raise(sig);
		exit(LISTENS);
	}
	CHECK(waitpid(pid, &status, 0) == pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool is_there(FIXTURE_DATA(listen) *self, mode_t type)
{
	struct stat st;

	return !lstat(self->path, &st) && (st.st_mode & S_IFMT) == type;
}

TEST_F(listen, name_goes_when_the_vmm_ends)
{
	EXPECT_EQ(LISTENS, vmm_listens(self, 0));
	EXPECT_FALSE(is_there(self, S_IFSOCK));
}

TEST_F(listen, socket_of_a_killed_vmm_is_replaced)
{
	EXPECT_EQ(128 + SIGKILL, vmm_listens(self, SIGKILL));
	EXPECT_TRUE(is_there(self, S_IFSOCK));
	EXPECT_EQ(LISTENS, vmm_listens(self, 0));
}

TEST_F(listen, what_is_no_socket_is_left_alone)
{
	FILE *file = fopen(self->path, "w");

	ASSERT_NE(NULL, file);
	fclose(file);
	EXPECT_EQ(1, vmm_listens(self, 0));
	EXPECT_TRUE(is_there(self, S_IFREG));
}

/* It would take it for a client. */
TEST_F(listen, who_has_the_socket_hears_nothing_of_who_wants_it)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, self->path);
	ASSERT_EQ(0, bind(fd, (struct sockaddr *)&sa, sizeof(sa)));
	ASSERT_EQ(0, listen(fd, 1));
	EXPECT_EQ(1, vmm_listens(self, 0));
	EXPECT_TRUE(is_there(self, S_IFSOCK));
	EXPECT_EQ(-1, accept(fd, NULL, NULL));
	EXPECT_EQ(EAGAIN, errno);
	close(fd);
}

TEST_HARNESS_MAIN
