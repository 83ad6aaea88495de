// SPDX-License-Identifier: GPL-2.0
/*
 * `vkick ctl SOCK console`: a terminal attached to a port whose guest reads, or does not.
 *
 * in:  keys; a port on a pseudo-terminal, as the VMM of a made-up status has it
 * out: what reaches the port and the terminal; who is attached, and who is refused
 */
#include "../vmm/vmm.h"

#include "kselftest_harness.h"

#include "../vmm/ctl.h"
#include "lib/util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* A pseudo-terminal's two ends. */
struct pty {
	int master, slave;
};

/**
 * @typed: where a user is; @port: its slave is what the VMM says that the port is, its master what the guest has
 */
FIXTURE(attach)
{
	char dir[32], socket[48], path[32];
	struct pty typed, port;
	pid_t vmm, pid;
};

static void open_pty(struct pty *p, bool raw)
{
	struct termios t;

	p->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	CHECK(p->master >= 0 && !grantpt(p->master) && !unlockpt(p->master), "a terminal");
	p->slave = open(ptsname(p->master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK(p->slave >= 0 && !tcgetattr(p->slave, &t), "a terminal");
	if (!raw)
		return;
	cfmakeraw(&t);
	tcsetattr(p->slave, TCSANOW, &t);
}

/* Says the same to all that it is asked. */
static void __attribute__((noreturn)) be_vmm(int listener, const char *path)
{
	char reply[256], line[512];

	snprintf(reply, sizeof(reply), "{\"ok\":true,\"devices\":[{\"name\":\"console0\",\"class\":\"console\",\"ports\":"
		 "[{\"port\":1,\"name\":\"bulk\",\"host\":\"pty\",\"path\":\"%s\"}]}]}\n", path);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (read(fd, line, sizeof(line)) > 0 && write(fd, reply, strlen(reply)) < 0)
			_exit(1);
	}
}

FIXTURE_SETUP(attach)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(self->dir, "/tmp/vkick-attach-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->socket, sizeof(self->socket), "%s/ctl", self->dir);
	open_pty(&self->typed, false);
	open_pty(&self->port, true);
	ASSERT_EQ(0, ptsname_r(self->port.master, self->path, sizeof(self->path)));
	strcpy(sa.sun_path, self->socket);
	ASSERT_EQ(0, bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 8));
	self->vmm = fork();
	if (!self->vmm)
		be_vmm(fd, self->path);
	close(fd);
}

FIXTURE_TEARDOWN(attach)
{
	kill(self->vmm, SIGKILL);
	if (self->pid)
		kill(self->pid, SIGKILL);
	unlink(self->socket);
	rmdir(self->dir);
}

/* At a terminal, or with @in and @out for standard input and output. */
static pid_t attach(FIXTURE_DATA(attach) *self, int in, int out)
{
	pid_t pid = fork();

	CHECK(pid >= 0, "fork");
	if (pid)
		return pid;
	setsid();
	dup2(in, 0);
	dup2(out, 1);
	exit(ctl_console(self->socket, "bulk"));
}

/* Return: the exit status; -1: it goes on */
static int ended(pid_t pid)
{
	struct deadline d = deadline_in(DEADLINE_MS);
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (deadline_passed(&d))
			return -1;
		usleep(1000);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Until the terminal is raw: what is typed before has another meaning. */
static void await_raw(FIXTURE_DATA(attach) *self)
{
	struct deadline d = deadline_in(DEADLINE_MS);
	struct termios now;

	do {
		CHECK(!tcgetattr(self->typed.slave, &now) && !deadline_passed(&d), "it is not raw");
	} while (now.c_lflag & ICANON);
}

/* As a terminal emulator does it, which shows nothing meanwhile. */
static void paste(FIXTURE_DATA(attach) *self, const char *bytes, u32 nr)
{
	while (nr) {
		struct pollfd p = { .fd = self->typed.master, .events = POLLOUT };
		ssize_t n;

		CHECK(poll(&p, 1, DEADLINE_MS) == 1, "nobody reads what is typed: %u bytes are left", nr);
		n = write(self->typed.master, bytes, nr);
		CHECK(n > 0 || errno == EAGAIN, "write");
		nr -= n > 0 ? n : 0;
		bytes += n > 0 ? n : 0;
	}
}

#define PASTED	(1U << 20)

static char *text(void)
{
	char *bytes = malloc(PASTED);
	u32 i;

	CHECK(bytes, "malloc");
	for (i = 0; i < PASTED; i++)
		bytes[i] = 'a' + i / 100 % 26;
	return bytes;
}

TEST_F(attach, detaches_although_the_guest_does_not_read_what_was_pasted)
{
	char *bytes = text(), got[1024];
	struct pollfd p = { .fd = self->port.master, .events = POLLIN };

	self->pid = attach(self, self->typed.slave, self->typed.slave);
	await_raw(self);
	paste(self, bytes, PASTED);
	paste(self, "\001d", 2);
	EXPECT_EQ(0, ended(self->pid));
	self->pid = 0;
	/* Of what the guest gets the beginning is whole. */
	ASSERT_EQ(1, poll(&p, 1, DEADLINE_MS));
	ASSERT_EQ(sizeof(got), read(self->port.master, got, sizeof(got)));
	EXPECT_EQ(0, memcmp(bytes, got, sizeof(got)));
	free(bytes);
}

/* Nothing is lost of what can wait. */
TEST_F(attach, what_comes_by_a_pipe_arrives_as_the_guest_reads)
{
	char *bytes = text(), got[512];
	u32 sent = 0, came = 0;
	int fds[2];

	ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	self->pid = attach(self, fds[0], self->typed.slave);
	while (came < PASTED / 8) {
		struct pollfd p[] = { { self->port.master, POLLIN, 0 }, { sent < PASTED / 8 ? fds[1] : -1, POLLOUT, 0 } };
		ssize_t n;

		ASSERT_LE(1, poll(p, 2, DEADLINE_MS));
		n = p[1].revents ? write(fds[1], bytes + sent, PASTED / 8 - sent) : 0;
		sent += n > 0 ? n : 0;
		n = p[0].revents ? read(self->port.master, got, sizeof(got)) : 0;
		ASSERT_LE(0, n);
		ASSERT_EQ(0, memcmp(bytes + came, got, n));
		came += n;
	}
	free(bytes);
}

TEST_F(attach, second_one_is_refused_until_the_first_detaches)
{
	pid_t second;

	self->pid = attach(self, self->typed.slave, self->typed.slave);
	await_raw(self);
	second = attach(self, self->port.master, self->typed.slave);
	EXPECT_EQ(1, ended(second));
	paste(self, "\001d", 2);
	EXPECT_EQ(0, ended(self->pid));
	self->pid = attach(self, self->typed.slave, self->typed.slave);
	await_raw(self);
}

TEST_HARNESS_MAIN
