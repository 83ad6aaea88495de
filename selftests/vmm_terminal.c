// SPDX-License-Identifier: GPL-2.0
/*
 * Standard input: what is typed at a terminal reaches the guest, or is ours; and the terminal is as it was when we have ended.
 *
 * in:  bytes of a pseudo-terminal or a pipe; a guest that reads, or does not
 * out: bytes for the guest, the end of the VM, the terminal's settings
 */
#include "../vmm/vmm.h"

#include "kselftest_harness.h"

#include "../vmm/terminal.h"
#include "lib/util.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define QUIT	42		/* the exit status of who was told to quit */

/* Between the test and the process that has the terminal. */
static struct shared {
	_Atomic u32 room;	/* that the guest has */
	_Atomic u32 got;
	_Atomic bool opened;
	u8 bytes[16384];
} *shared;

FIXTURE(terminal)
{
	int master, slave, resume[2];
	struct termios before;
	pid_t pid;
};

static u32 room(void)
{
	return atomic_load(&shared->room);
}

static void put(const u8 *buf, u32 bytes)
{
	memcpy(shared->bytes + shared->got, buf, bytes);
	atomic_fetch_sub(&shared->room, bytes);
	atomic_fetch_add(&shared->got, bytes);
}

static const struct terminal_sink sink = { room, put };

static struct vm vm;

/* The guest has read: there is as much room as the test has said. Or, by a q, the VM ends. */
static void resume_ready(struct loop_source *src)
{
	char byte;

	if (read(src->fd, &byte, 1) == 1 && byte == 'q')
		vm_end(&vm, VM_QUIT);
	else
		terminal_resume();
}

static struct loop_source resume = { .ready = resume_ready };

static void __attribute__((noreturn)) run(int in, int out, int resume_fd)
{
	struct rlimit none = { 0 };

	setrlimit(RLIMIT_CORE, &none);
	dup2(in, 0);
	dup2(out, 1);
	vm.wake_fd = vm_eventfd();
	loop_init(&vm);
	resume.fd = resume_fd;
	loop_add(&resume);
	terminal_open(&vm, &sink);
	atomic_store(&shared->opened, true);
	loop_run(&vm);
	/* Not _exit(): what is to be done at an exit is part of it. */
	exit(atomic_load(&vm.state) == VM_QUIT ? QUIT : 1);
}

static void await_open(void)
{
	struct deadline d = deadline_in(DEADLINE_MS);

	while (!atomic_load(&shared->opened))
		CHECK(!deadline_passed(&d), "it does not start");
}

#define STOPPED	43	/* what a shell says of a job that was */

/* What a shell is to a job: it has the terminal, and tells how the job ended, or that it stopped. */
static void __attribute__((noreturn)) run_in_background(FIXTURE_DATA(terminal) *self)
{
	pid_t job;
	int status;

	setsid();
	CHECK(!ioctl(self->slave, TIOCSCTTY, 0), "the terminal");
	job = fork();
	if (!job) {
		setpgid(0, 0);
		run(self->slave, self->slave, self->resume[0]);
	}
	CHECK(job > 0 && waitpid(job, &status, WUNTRACED) == job, "the job");
	if (!WIFSTOPPED(status))
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	kill(job, SIGKILL);
	_exit(STOPPED);
}

static void start(FIXTURE_DATA(terminal) *self, int in)
{

	self->pid = fork();
	CHECK(self->pid >= 0, "fork");
	if (!self->pid) {
		setsid();
		run(in, self->slave, self->resume[0]);
	}
	await_open();
}

FIXTURE_SETUP(terminal)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	self->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	ASSERT_LE(0, self->master);
	ASSERT_EQ(0, grantpt(self->master) || unlockpt(self->master));
	self->slave = open(ptsname(self->master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ASSERT_LE(0, self->slave);
	ASSERT_EQ(0, tcgetattr(self->slave, &self->before));
	ASSERT_EQ(0, pipe(self->resume));
	shared->room = 1000;
}

FIXTURE_TEARDOWN(terminal)
{
	if (self->pid)
		kill(self->pid, SIGKILL);
	close(self->master);
	munmap(shared, sizeof(*shared));
}

static void type(FIXTURE_DATA(terminal) *self, const char *keys)
{
	CHECK(write(self->master, keys, strlen(keys)) == (ssize_t)strlen(keys), "type");
}

/* The guest gets exactly these; @room: what it has again each time it has used it up. */
static void expect_bytes(FIXTURE_DATA(terminal) *self, const void *bytes, u32 nr, u32 room)
{
	struct deadline d = deadline_in(DEADLINE_MS);

	while (atomic_load(&shared->got) < nr) {
		CHECK(!deadline_passed(&d), "%u bytes of %u", shared->got, nr);
		if (room && !atomic_load(&shared->room)) {
			atomic_store(&shared->room, room);
			CHECK(write(self->resume[1], "", 1) == 1, "resume");
		}
	}
	CHECK(shared->got == nr && !memcmp(shared->bytes, bytes, nr), "other bytes");
}

static int ended(FIXTURE_DATA(terminal) *self)
{
	struct deadline d = deadline_in(DEADLINE_MS);
	int status;

	while (waitpid(self->pid, &status, WNOHANG) != self->pid) {
		if (deadline_passed(&d))
			return -1;
		usleep(1000);
	}
	self->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool same(const struct termios *a, const struct termios *b)
{
	return a->c_lflag == b->c_lflag && a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag;
}

static bool becomes(FIXTURE_DATA(terminal) *self, const struct termios *want)
{
	struct deadline d = deadline_in(DEADLINE_MS);
	struct termios now;

	for (;;) {
		CHECK(!tcgetattr(self->slave, &now), "tcgetattr");
		if (same(&now, want))
			return true;
		if (deadline_passed(&d))
			return false;
		usleep(1000);
	}
}

/* ---- What is typed ---------------------------------------------------------------------- */

TEST_F(terminal, keys_reach_the_guest_without_the_escape_key)
{
	start(self, self->slave);
	type(self, "a\003b\r\001\001c\001zd");
	expect_bytes(self, "a\003b\r\001c\001zd", 9, 0);
}

TEST_F(terminal, ctrl_a_x_quits)
{
	start(self, self->slave);
	type(self, "abc\001x");
	EXPECT_EQ(QUIT, ended(self));
}

TEST_F(terminal, ctrl_a_h_tells_of_the_others)
{
	char said[1024] = "";
	u32 n = 0;

	start(self, self->slave);
	type(self, "\001h");
	while (n < sizeof(said) - 1 && !strstr(said, "Ctrl-A x")) {
		struct pollfd p = { .fd = self->master, .events = POLLIN };

		ASSERT_EQ(1, poll(&p, 1, DEADLINE_MS));
		n += read(self->master, said + n, sizeof(said) - 1 - n);
	}
	expect_bytes(self, "", 0, 0);
}

TEST_F(terminal, ctrl_a_x_quits_although_the_guest_reads_nothing)
{
	u32 i;

	shared->room = 0;
	start(self, self->slave);
	for (i = 0; i < 100; i++)
		type(self, "nobody reads this, and there is quite a lot of it ");
	type(self, "\001x");
	EXPECT_EQ(QUIT, ended(self));
}

TEST_F(terminal, what_is_typed_ahead_comes_when_the_guest_reads)
{
	shared->room = 0;
	start(self, self->slave);
	type(self, "typed ahead");
	expect_bytes(self, "typed ahead", 11, 3);
}

/* Nothing of it is lost, however slow the guest is, and Ctrl-A is a byte like others. */
TEST_F(terminal, what_is_no_terminal_is_read_as_the_guest_reads)
{
	u8 bytes[12000];
	u32 i;
	int fds[2];

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = i % 7 ? i * 31 : 1;
	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(sizeof(bytes), write(fds[1], bytes, sizeof(bytes)));
	shared->room = 0;
	start(self, fds[0]);
	expect_bytes(self, bytes, sizeof(bytes), 50);
}

/* ---- The terminal after us ------------------------------------------------------------------ */

TEST_F(terminal, is_raw_and_then_as_it_was)
{
	struct termios raw;

	start(self, self->slave);
	ASSERT_EQ(0, tcgetattr(self->slave, &raw));
	EXPECT_FALSE(raw.c_lflag & (ICANON | ECHO | ISIG));
	type(self, "\001x");
	EXPECT_EQ(QUIT, ended(self));
	EXPECT_TRUE(becomes(self, &self->before));
}

TEST_F(terminal, is_as_it_was_after_sigkill)
{
	start(self, self->slave);
	kill(self->pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, ended(self));
	EXPECT_TRUE(becomes(self, &self->before));
}

/* Of our own process it is the handler that does it, since the guard is gone. */
static pid_t find_guard(FIXTURE_DATA(terminal) *self)
{
	char path[64], comm[32], tty[64], *slave = ptsname(self->master);
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	CHECK(proc, "/proc");
	while (!found && (entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		f = pid ? fopen(path, "r") : NULL;
		if (!f)
			continue;
		if (!fgets(comm, sizeof(comm), f))
			*comm = 0;
		fclose(f);
		snprintf(path, sizeof(path), "/proc/%d/fd/0", pid);
		memset(tty, 0, sizeof(tty));
		if (!strcmp(comm, "tty-guard\n") && readlink(path, tty, sizeof(tty) - 1) > 0 && !strcmp(tty, slave))
			found = pid;
	}
	closedir(proc);
	return found;
}

static void crash_without_a_guard(FIXTURE_DATA(terminal) *self, int sig)
{
	struct deadline d = deadline_in(DEADLINE_MS);
	pid_t guard;

	start(self, self->slave);
	while (!(guard = find_guard(self)))
		CHECK(!deadline_passed(&d), "no guard");
	kill(guard, SIGKILL);
	while (find_guard(self))
		CHECK(!deadline_passed(&d), "the guard is still there");
	kill(self->pid, sig);
	CHECK(ended(self) == 128 + sig, "it did not crash");
	CHECK(becomes(self, &self->before), "the terminal is still raw");
}

TEST_F(terminal, is_as_it_was_after_sigsegv_without_the_guard)
{
	crash_without_a_guard(self, SIGSEGV);
}

TEST_F(terminal, is_as_it_was_after_sigabrt_without_the_guard)
{
	crash_without_a_guard(self, SIGABRT);
}

/* As kill -9 %1 does it in a shell, also as soon as the terminal is raw; and nothing that is left has our command line. */
TEST_F(terminal, is_as_it_was_after_sigkill_of_the_whole_job)
{
	u32 i;

	for (i = 0; i < 50; i++) {
		atomic_store(&shared->opened, false);
		start(self, self->slave);
		kill(-self->pid, SIGKILL);
		ASSERT_EQ(128 + SIGKILL, ended(self));
		ASSERT_TRUE(becomes(self, &self->before));
	}
}

/* The shell that started us may have set it already. */
TEST_F(terminal, is_left_alone_after_sigkill_if_somebody_else_has_set_it)
{
	struct pollfd p = { .fd = self->master };
	struct termios theirs = self->before, now;
	int other;

	start(self, self->slave);
	theirs.c_lflag &= ~ECHO;
	ASSERT_EQ(0, tcsetattr(self->slave, TCSANOW, &theirs));
	kill(self->pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, ended(self));
	/* Hung up: nobody has it open any more, our guard neither. */
	close(self->slave);
	ASSERT_EQ(1, poll(&p, 1, DEADLINE_MS));
	other = open(ptsname(self->master), O_RDWR | O_NOCTTY);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, tcgetattr(other, &now));
	EXPECT_TRUE(same(&theirs, &now));
	close(other);
}

TEST_F(terminal, is_left_alone_and_unread_in_the_background)
{
	struct termios now;
	struct pollfd p = { .fd = self->slave, .events = POLLIN };

	self->pid = fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid)
		run_in_background(self);
	await_open();
	ASSERT_EQ(0, tcgetattr(self->slave, &now));
	EXPECT_TRUE(same(&self->before, &now));
	type(self, "for the shell\n");
	ASSERT_EQ(1, poll(&p, 1, DEADLINE_MS));
	/* Had it read that it would have been stopped (SIGTTIN). */
	CHECK(write(self->resume[1], "q", 1) == 1, "quit");
	EXPECT_EQ(QUIT, ended(self));
	expect_bytes(self, "", 0, 0);
}

TEST_HARNESS_MAIN
