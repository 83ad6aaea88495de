// SPDX-License-Identifier: GPL-2.0
/*
 * What `vkick top` makes of what VMs say; natively.
 *
 * in:  a control socket that gives the replies of the test's choice, in turn
 * out: the screen, as text or in a terminal of the test's
 */
#define _GNU_SOURCE
#include "lib/util.h"

#include "../vmm/opts.h"

#include "kselftest_harness.h"

#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCREEN_BYTES	65536

FIXTURE(top)
{
	char dir[32], path[64];
	int listener, fd;		/* -1: top has not come yet */
	pid_t pid;
	int out;			/* what top draws */
	char screen[SCREEN_BYTES];
	size_t bytes;
};

FIXTURE_SETUP(top)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	setenv("LC_ALL", "C.UTF-8", 1);
	strcpy(self->dir, "/tmp/vmm_top.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->path, sizeof(self->path), "%s/vm", self->dir);
	strcpy(sa.sun_path, self->path);
	self->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	ASSERT_EQ(0, bind(self->listener, (struct sockaddr *)&sa, sizeof(sa)));
	ASSERT_EQ(0, listen(self->listener, 1));
	self->fd = -1;
}

FIXTURE_TEARDOWN(top)
{
	unlink(self->path);
	rmdir(self->dir);
}

static void run_top(FIXTURE_DATA(top) *self, char *frames)
{
	char *argv[] = { "-d", "0.1", "-n", frames, self->path, NULL };

	exit(top_run(5, argv));
}

/* Its stdout is no terminal. */
static void start_plain(FIXTURE_DATA(top) *self, char *frames)
{
	int out[2];

	CHECK(!pipe(out), "pipe");
	self->pid = fork();
	if (!self->pid) {
		dup2(out[1], STDOUT_FILENO);
		run_top(self, frames);
	}
	close(out[1]);
	self->out = out[0];
}

static void start_in_terminal(FIXTURE_DATA(top) *self, u16 rows, u16 columns)
{
	struct winsize size = { .ws_row = rows, .ws_col = columns };

	self->pid = forkpty(&self->out, NULL, NULL, &size);
	CHECK(self->pid >= 0, "no terminal");
	if (!self->pid)
		run_top(self, "100");
}

/* Waits for top to ask, and answers. */
static void reply(FIXTURE_DATA(top) *self, const char *text)
{
	char request[256];

	if (self->fd < 0)
		self->fd = accept(self->listener, NULL, NULL);
	CHECK(read(self->fd, request, sizeof(request)) > 0, "top asks no more");
	CHECK(write(self->fd, text, strlen(text)) == (ssize_t)strlen(text), "top does not listen");
	CHECK(write(self->fd, "\n", 1) == 1, "top does not listen");
}

/* A VM with a disk of one queue, @s seconds old; @requests of it took what @latency says. */
static const char *disk_vm(double s, u64 requests, const char *latency)
{
	static char text[4096];

	snprintf(text, sizeof(text),
		 "{\"ok\":true,\"state\":\"running\",\"uptime_ns\":%.0f,\"rss_bytes\":4100000,\"guest_rss_bytes\":64000000,"
		 "\"vcpus\":[{\"exits\":{\"total\":0}}],\"devices\":[{\"name\":\"disk0\",\"datapath\":\"kernel\",\"queues\":["
		 "{\"kicks\":%llu,\"requests\":%llu,\"calls\":%llu,\"calls_suppressed\":0%s%s}]}]}", s * 1e9,
		 (unsigned long long)requests / 2, (unsigned long long)requests, (unsigned long long)requests / 4,
		 latency ? ",\"latency_ns\":" : "", latency ? latency : "");
	return text;
}

/* Reads on to the end of what top draws, and to top's own. Return: its exit status. */
static int finish(FIXTURE_DATA(top) *self)
{
	ssize_t n;
	int status;

	while ((n = read(self->out, self->screen + self->bytes, SCREEN_BYTES - 1 - self->bytes)) > 0)
		self->bytes += n;
	self->screen[self->bytes] = 0;
	CHECK(waitpid(self->pid, &status, 0) == self->pid, "top");
	CHECK(WIFEXITED(status), "top died: %x\n%s", status, self->screen);
	return WEXITSTATUS(status);
}

/* The last line of a disk's; or NULL. */
static const char *last_of_disk(FIXTURE_DATA(top) *self)
{
	char *at, *found = NULL;

	for (at = self->screen; (at = strstr(at, "  disk0 ")); at++)
		found = at;
	if (found)
		found[strcspn(found, "\r\n\033")] = 0;
	return found;
}

TEST_F(top, latencies_are_those_of_the_interval)
{
	start_plain(self, "2");
	reply(self, disk_vm(10, 1000000, "[[1024,1000000]]"));
	/* 4000 a second: 98 % in 80 us to 96 us, the others in 5.2 ms to 6.3 ms. */
	reply(self, disk_vm(11, 1004000, "[[1024,1000000],[81920,3920],[5242880,80]]"));
	EXPECT_EQ(0, finish(self));
	EXPECT_STREQ("  disk0    kernel  0   4000    2000    1000      0%   90us  5.8ms             █", last_of_disk(self));
}

TEST_F(top, first_frame_and_idle_queues_have_no_latency)
{
	start_plain(self, "1");
	reply(self, disk_vm(10, 1000, "[[1024,1000]]"));
	EXPECT_EQ(0, finish(self));
	EXPECT_STREQ("  disk0    kernel  0      0       0       0      0%      -      -              ", last_of_disk(self));
}

TEST_F(top, queue_that_rests_has_no_latency)
{
	start_plain(self, "2");
	reply(self, disk_vm(10, 1000, "[[1024,1000]]"));
	reply(self, disk_vm(11, 1000, "[[1024,1000]]"));
	EXPECT_EQ(0, finish(self));
	EXPECT_NE(NULL, strstr(last_of_disk(self), "  0%      -      -  "));
}

/* As one of an older version, or one whose module is older. */
TEST_F(top, vm_that_tells_no_latency_is_shown)
{
	start_plain(self, "2");
	reply(self, disk_vm(10, 1000, NULL));
	reply(self, disk_vm(11, 2000, NULL));
	EXPECT_EQ(0, finish(self));
	EXPECT_NE(NULL, strstr(last_of_disk(self), "   1000     500     250      0%      -      -  "));
}

TEST_F(top, latencies_have_two_digits_and_a_unit)
{
	static const struct {
		u64 from_ns;
		const char *p50;
	} is[] = {
		{ 3, " 3ns " }, { 896, " 960ns " }, { 1024, " 1.2us " }, { 14336, " 15us " }, { 98304, " 110us " },
		{ 917504, " 980us " }, { 1048576, " 1.2ms " }, { 100663296, " 110ms " }, { 3221225472, " 3.5s " },
	};
	char latency[64];
	size_t i;

	for (i = 0; i < sizeof(is) / sizeof(is[0]); i++) {
		self->bytes = 0;
		self->fd = -1;
		start_plain(self, "2");
		reply(self, disk_vm(10, 0, "[]"));
		snprintf(latency, sizeof(latency), "[[%llu,100]]", (unsigned long long)is[i].from_ns);
		reply(self, disk_vm(11, 100, latency));
		EXPECT_EQ(0, finish(self));
		EXPECT_NE(NULL, strstr(last_of_disk(self), is[i].p50)) TH_LOG("%s", last_of_disk(self));
		close(self->fd);
	}
}

/* Whatever a VM says: its counts may have gone back, and it may be no VM of ours. */
TEST_F(top, nonsense_is_drawn_and_drives_nothing)
{
	static const char *const latency[] = {
		"[[-1,5],[1024,-7],[4611686018427387904,9223372036854775807]]", "[[],[1],[null,true],\"x\",[1e9,2.5]]", "17", "[[1024,3]]",
	};
	size_t i;

	start_plain(self, "6");
	reply(self, disk_vm(10, 1000, "[[1024,1000]]"));
	for (i = 0; i < sizeof(latency) / sizeof(latency[0]); i++)
		reply(self, disk_vm(11 + i, 1000, latency[i]));
	reply(self, "{\"ok\":true,\"devices\":[{\"name\":\"\\u001b[2Jdisk\",\"datapath\":\"\\u0007\",\"queues\":[{\"latency_ns\":[[1,1]]}]}],"
		    "\"state\":\"\\u001b]0;x\\u0007\",\"uptime_ns\":1}");
	EXPECT_EQ(0, finish(self));
	EXPECT_EQ(NULL, strchr(self->screen, '\033'));
	EXPECT_EQ(NULL, strchr(self->screen, '\a'));
	EXPECT_NE(NULL, strstr(self->screen, "?[2Jdisk"));
}

/* Columns that a UTF-8 line takes: escape sequences none, characters one. */
static size_t widest_line(const char *s)
{
	size_t columns = 0, most = 0;

	for (; *s; s++) {
		if (*s == '\033') {
			s += strcspn(s, "hlHJK");
		} else if (*s == '\n' || *s == '\r') {
			columns = 0;
		} else if ((*s & 0xc0) != 0x80) {
			columns++;
			most = columns > most ? columns : most;
		}
	}
	return most;
}

TEST_F(top, whole_lines_fit_80_columns)
{
	start_in_terminal(self, 24, 80);
	reply(self, disk_vm(10, 1000000, "[[1024,1000000]]"));
	reply(self, disk_vm(11, 1999000, "[[1024,1999000]]"));
	CHECK(write(self->out, "q", 1) == 1, "the terminal");
	EXPECT_EQ(0, finish(self));
	EXPECT_GE(80, widest_line(self->screen));
	EXPECT_NE(NULL, strstr(self->screen, "p50    p99  requests"));
	EXPECT_NE(NULL, strstr(last_of_disk(self), "  999k    500k    250k      0%  1.2us  1.3us  "));
	EXPECT_EQ(79, widest_line(last_of_disk(self)));
}

TEST_F(top, narrow_terminal_gets_what_it_has_room_for)
{
	start_in_terminal(self, 4, 40);
	reply(self, disk_vm(10, 1000, "[[1024,1000]]"));
	reply(self, disk_vm(11, 2000, "[[1024,2000]]"));
	CHECK(write(self->out, "q", 1) == 1, "the terminal");
	EXPECT_EQ(0, finish(self));
	EXPECT_EQ(40, widest_line(self->screen));
	EXPECT_NE(NULL, last_of_disk(self));
	EXPECT_EQ(NULL, strstr(self->screen, "q quits"));
}

TEST_HARNESS_MAIN
