// SPDX-License-Identifier: GPL-2.0
/*
 * Process 1 of L1: runs the command of this run, carries its output to the host, and reports how it ended.
 *
 * in: virtio-serial ports, and in /run/lab: cmd (a bash script), winsize ("ROWS COLUMNS", only with a terminal), quiet (if
 * it is there, the kernel's messages do not go to the console), dump (when it comes, tasks' stacks go there), heard (when it
 * comes, the host has "exit STATUS"), out.taken and err.taken (bytes that the host has passed on).
 * out, on port lab.ctl: "start" when the command starts, "beat" every 2 s while this process is alive and scheduled,
 * "exit STATUS" last; on lab.out and lab.err: the command's stdout and stderr; in /run/lab/dmesg: the kernel's log.
 *
 * STATUS is sent when everything before it has been passed on, however late its reader is, and the VM ends when the host has
 * heard it. If this process dies the kernel panics, and the host sees a VM that ended without a STATUS.
 */
#define _GNU_SOURCE /* pipe2 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define BEAT_SECONDS 2
#define HEARD_SECONDS 30 /* then nobody listens any more */
#define DEATH_SECONDS 20 /* how long a killed process may take to die */
#define PF_KTHREAD 0x200000 /* in the ninth field of /proc/PID/stat */
#define KLOG_READ_ALL 3
#define KLOG_SIZE_BUFFER 10
#define KLOG_CONSOLE_LEVEL 8

/* One direction of output: from the pipe that the command writes to into a port of the host. */
struct stream {
	int pipe; /* -1 after its end */
	int port;
	const char *taken; /* file with how many bytes the host has passed on */
	unsigned long long sent;
	size_t start, end; /* what is left in buffer */
	char buffer[65536];
};

static struct stream streams[2];
static int ctl = -1;
static int tty = -1;
static struct winsize tty_size;

static void fail(const char *what)
{
	dprintf(STDERR_FILENO, "lab: agent: %s: %s\n", what, strerror(errno));
	exit(1); /* and the kernel panics */
}

static int check(int result, const char *what)
{
	if (result < 0)
		fail(what);
	return result;
}

/* Ports have their names in sysfs; nothing here makes udev's links. They appear some time after the driver is loaded. */
static int find_port(const char *name, char *path, size_t size)
{
	const char *class = "/sys/class/virtio-ports";
	struct dirent *entry;
	DIR *dir = opendir(class);
	int found = -1;

	while (dir && found < 0 && (entry = readdir(dir))) {
		char file[512], line[64] = "";
		FILE *f;

		snprintf(file, sizeof(file), "%s/%s/name", class, entry->d_name);
		f = fopen(file, "r");
		if (!f)
			continue;
		if (fgets(line, sizeof(line), f) && !strncmp(line, name, strlen(name)))
			found = snprintf(path, size, "/dev/%s", entry->d_name);
		fclose(f);
	}
	if (dir)
		closedir(dir);
	return found;
}

static int open_port(const char *name)
{
	char path[300];
	int tries;

	for (tries = 0; tries < 1000; tries++) {
		if (find_port(name, path, sizeof(path)) > 0)
			return check(open(path, O_WRONLY | O_CLOEXEC), path);
		usleep(10000);
	}
	errno = ENODEV;
	fail(name);
	return -1;
}

/* Waits for room in the port's queue. What was written may be in there still. */
static void wait_writable(int port)
{
	struct pollfd p = { .fd = port, .events = POLLOUT };

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
}

/* Messages are short, and the host's end is always read, so this does not wait for long. */
static void report(const char *message)
{
	wait_writable(ctl);
	if (write(ctl, message, strlen(message)) < 0)
		fail("lab.ctl");
}

/*
 * The driver does not say when the host has taken what was written, and an emulator that is told to end leaves what it
 * has not come to: so the host says when it has heard the last word, as it says how much of each stream it has.
 */
static void wait_heard(void)
{
	int tries;

	for (tries = 0; access("/run/lab/heard", F_OK) && tries < HEARD_SECONDS * 100; tries++)
		usleep(10000);
}

static void set_nonblocking(int fd)
{
	check(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), "O_NONBLOCK");
}

static void read_pipe(struct stream *s)
{
	ssize_t n = read(s->pipe, s->buffer, sizeof(s->buffer));

	if (n > 0) {
		s->start = 0;
		s->end = n;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		close(s->pipe);
		s->pipe = -1;
	}
}

static void write_port(struct stream *s)
{
	ssize_t n = write(s->port, s->buffer + s->start, s->end - s->start);

	if (n > 0) {
		s->start += n;
		s->sent += n;
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		s->start = s->end; /* nobody reads it */
	}
}

static bool is_taken(const struct stream *s)
{
	unsigned long long bytes = 0;
	FILE *f = fopen(s->taken, "r");

	if (f) {
		if (fscanf(f, "%llu", &bytes) != 1)
			bytes = 0;
		fclose(f);
	}
	return bytes >= s->sent;
}

static bool all_sent(void)
{
	return streams[0].pipe < 0 && streams[1].pipe < 0 && streams[0].start == streams[0].end &&
	       streams[1].start == streams[1].end;
}

/* Sizes are passed on when the host's terminal changes: lab/run rewrites the file. */
static void update_tty_size(void)
{
	struct winsize size = {};
	FILE *f;

	if (tty < 0)
		return;
	f = fopen("/run/lab/winsize", "r");
	if (!f)
		return;
	if (fscanf(f, "%hu %hu", &size.ws_row, &size.ws_col) == 2 && memcmp(&size, &tty_size, sizeof(size))) {
		tty_size = size;
		ioctl(tty, TIOCSWINSZ, &size); /* tells the foreground processes, too */
	}
	fclose(f);
}

/* A command that takes too long may be stuck in the kernel: before lab/run ends the VM it asks what waits for what. */
static void dump_tasks_if_asked(void)
{
	static bool done;
	int fd;

	if (done || access("/run/lab/dump", F_OK))
		return;
	done = true;
	fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	/* All CPUs' stacks, then those of blocked tasks. */
	if (write(fd, "l", 1) < 0 || write(fd, "w", 1) < 0)
		fail("sysrq-trigger");
	close(fd);
}

static void run_command(int out, int err)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (tty >= 0) {
		check(ioctl(tty, TIOCSCTTY, 0), "TIOCSCTTY");
		dup2(tty, 0);
		dup2(tty, 1);
		dup2(tty, 2);
	} else {
		dup2(check(open("/dev/null", O_RDONLY), "/dev/null"), 0);
		dup2(out, 1);
		dup2(err, 2);
	}
	execl("/bin/bash", "bash", "/run/lab/cmd", NULL);
	_exit(127);
}

static pid_t start_command(void)
{
	int out[2], err[2];
	pid_t pid;

	check(pipe2(out, O_CLOEXEC), "pipe");
	check(pipe2(err, O_CLOEXEC), "pipe");
	pid = check(fork(), "fork");
	if (!pid)
		run_command(out[1], err[1]);
	close(out[1]);
	close(err[1]);
	streams[0].pipe = out[0];
	streams[1].pipe = err[0];
	set_nonblocking(out[0]);
	set_nonblocking(err[0]);
	return pid;
}

/* Reads /proc/PID/NAME; empty if the process is gone, or a kernel thread (cmdline). */
static size_t read_proc(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, size - 1);
		close(fd);
	}
	if (n < 0)
		n = 0;
	text[n] = 0;
	return n;
}

/* Of the user processes only this one and idle-vm, whose end would patch kernel text, outlive the command. */
static bool is_leftover(pid_t pid)
{
	unsigned long flags = 0;
	char text[512], state;

	if (pid == 1 || !read_proc(pid, "stat", text, sizeof(text)) || strstr(text, "(idle-vm)"))
		return false;
	if (sscanf(strrchr(text, ')') + 1, " %c", &state) != 1 || state == 'Z')
		return false;
	sscanf(strrchr(text, ')') + 1, " %*c %*d %*d %*d %*d %*d %lu", &flags);
	return !(flags & PF_KTHREAD);
}

/* Calls f for each leftover process; returns how many there are. */
static int each_leftover(void (*f)(pid_t))
{
	struct dirent *entry;
	DIR *dir = opendir("/proc");
	int count = 0;

	while (dir && (entry = readdir(dir))) {
		pid_t pid = atoi(entry->d_name);

		if (!isdigit((unsigned char)entry->d_name[0]) || !is_leftover(pid))
			continue;
		f(pid);
		count++;
	}
	if (dir)
		closedir(dir);
	return count;
}

static void kill_one(pid_t pid)
{
	kill(pid, SIGKILL);
}

/* lab/run finds the word BUG in the log, and fails. */
static void complain_about(pid_t pid)
{
	char comm[32], stack[1024];
	FILE *f = fopen("/dev/kmsg", "w");
	char *line, *rest = stack;

	if (!f)
		return;
	setlinebuf(f); /* a message is one write */
	read_proc(pid, "comm", comm, sizeof(comm));
	comm[strcspn(comm, "\n")] = 0;
	read_proc(pid, "stack", stack, sizeof(stack));
	fprintf(f, "<1>BUG: lab: process %d (%s) survives SIGKILL\n", pid, comm);
	while ((line = strsep(&rest, "\n")) && *line)
		fprintf(f, "<1>%s\n", line);
	fclose(f);
}

/*
 * A VM may not end while a process of the command runs: what its end does to the module belongs to the test.
 * Returns false if one does not die.
 */
static bool kill_leftovers(void)
{
	int tries;

	for (tries = 0; tries < DEATH_SECONDS * 10; tries++) {
		if (!each_leftover(kill_one))
			return true;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (tries % (BEAT_SECONDS * 10) == 0)
			report("beat\n");
		usleep(tries < 10 ? 10000 : 100000);
	}
	each_leftover(complain_about);
	return false;
}

/* Reaps what has ended (orphans, too). Returns true when the command is among it, and sets *status as a shell does. */
static bool reap(pid_t command, int *status)
{
	bool ended = false;
	int raw;
	pid_t pid;

	while ((pid = waitpid(-1, &raw, WNOHANG)) > 0) {
		if (pid != command)
			continue;
		ended = true;
		*status = WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
	}
	return ended;
}

/* One wait for whatever comes next. Returns whether output moved. */
static bool pump(int beats, int signals, int timeout_ms)
{
	struct pollfd p[4] = { { .fd = beats, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
	struct signalfd_siginfo info;
	bool moved = false;
	uint64_t ticks;
	int i;

	for (i = 0; i < 2; i++) {
		struct stream *s = &streams[i];
		bool full = s->start < s->end;

		p[2 + i].fd = full ? s->port : s->pipe;
		p[2 + i].events = full ? POLLOUT : POLLIN;
	}
	if (poll(p, 4, timeout_ms) < 0)
		return false;
	if (p[0].revents && read(beats, &ticks, sizeof(ticks)) > 0) {
		report("beat\n");
		update_tty_size();
		dump_tasks_if_asked();
	}
	if (p[1].revents && read(signals, &info, sizeof(info)) < 0)
		fail("signalfd");
	for (i = 0; i < 2; i++) {
		if (!p[2 + i].revents)
			continue;
		moved = true;
		if (streams[i].start < streams[i].end)
			write_port(&streams[i]);
		else
			read_pipe(&streams[i]);
	}
	return moved;
}

static int run(void)
{
	struct itimerspec interval = { .it_value.tv_sec = BEAT_SECONDS, .it_interval.tv_sec = BEAT_SECONDS };
	int beats = check(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "timerfd");
	int signals, status = 0;
	bool all_dead;
	sigset_t child;
	pid_t command;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	signals = check(signalfd(-1, &child, SFD_CLOEXEC), "signalfd");
	check(timerfd_settime(beats, 0, &interval, NULL), "timerfd_settime");

	report("start\n");
	command = start_command();
	while (!reap(command, &status))
		pump(beats, signals, -1);

	/* With all writers dead the pipes end. One that does not die keeps them open, and then silence has to do. */
	all_dead = kill_leftovers();
	while (!all_sent() && (pump(beats, signals, 1000) || all_dead))
		;
	while (!is_taken(&streams[0]) || !is_taken(&streams[1]))
		pump(beats, signals, 20);
	if (tty >= 0)
		tcdrain(tty);
	return status;
}

/* The kernel's log, without the <LEVEL> of each line, to where the host reads it. */
static void save_klog(void)
{
	int size = klogctl(KLOG_SIZE_BUFFER, NULL, 0);
	char *text = malloc(size + 1), *line, *rest = text;
	FILE *f = fopen("/run/lab/dmesg", "w");

	if (!text || !f)
		fail("dmesg");
	size = check(klogctl(KLOG_READ_ALL, text, size), "klogctl");
	text[size] = 0;
	while ((line = strsep(&rest, "\n"))) {
		if (line[0] == '<' && strchr(line, '>'))
			line = strchr(line, '>') + 1;
		if (*line)
			fprintf(f, "%s\n", line);
	}
	if (fclose(f))
		fail("dmesg");
	free(text);
}

int main(void)
{
	char message[32];
	int status;

	ctl = open_port("lab.ctl");
	if (!access("/run/lab/winsize", F_OK)) {
		tty = check(open("/dev/hvc0", O_RDWR | O_NOCTTY | O_CLOEXEC), "/dev/hvc0");
		update_tty_size();
	}
	streams[0].taken = "/run/lab/out.taken";
	streams[1].taken = "/run/lab/err.taken";
	streams[0].port = open_port("lab.out");
	streams[1].port = open_port("lab.err");
	set_nonblocking(streams[0].port);
	set_nonblocking(streams[1].port);
	if (access("/run/lab/quiet", F_OK))
		klogctl(KLOG_CONSOLE_LEVEL, NULL, 7);

	status = run();
	sync();
	save_klog();
	snprintf(message, sizeof(message), "exit %d\n", status);
	report(message);
	wait_heard();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}
