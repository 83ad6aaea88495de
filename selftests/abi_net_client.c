// SPDX-License-Identifier: GPL-2.0
/*
 * A client of mainline's /dev/vhost-net, as it comes, with the module under that name: the
 * kernel's own test of vhost-net, tools/virtio/vhost_net_test.c, with the kernel's own
 * driver of rings (drivers/virtio/virtio_ring.c) in a process.
 *
 * in:  kernel.vhost_net_test, beside this program
 * out: its exit status, after so many packets both ways; the module's own count of them
 *
 * It has /dev to itself, with no other vhost-net in it. Its option --no-virtio-1 is not tried:
 * the program has the tap make headers of 12 bytes then, where a legacy device has 10,
 * and gets no packet from mainline's vhost either.
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/net.h"

#define PROGRAM		"kernel.vhost_net_test"
#define PACKETS		"3000"

FIXTURE(net_client)
{
	char program[PATH_MAX + sizeof(PROGRAM)];
};

FIXTURE_VARIANT(net_client)
{
	const char *options[3];
};

FIXTURE_VARIANT_ADD(net_client, all_features) { {} };
FIXTURE_VARIANT_ADD(net_client, no_event_idx) { { "--no-event-idx" } };
FIXTURE_VARIANT_ADD(net_client, no_indirect) { { "--no-indirect", "--no-event-idx" } };
FIXTURE_VARIANT_ADD(net_client, delayed_interrupts) { { "--delayed-interrupt" } };

static void make_node(const char *path, dev_t dev)
{
	CHECK(!mknod(path, S_IFCHR | 0600, dev), "mknod %s: %m", path);
}

/* In place of /dev, for this process and its children: what the program is to find. */
static void own_dev(void)
{
	struct stat module, tun;

	CHECK(!stat("/dev/vkick-net", &module) && !stat("/dev/net/tun", &tun), "stat: %m");
	CHECK(!unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL),
	      "a mount namespace: %m");
	CHECK(!mount("dev", "/dev", "tmpfs", 0, NULL), "/dev: %m");
	CHECK(!mkdir("/dev/net", 0700), "/dev/net: %m");
	make_node("/dev/net/tun", tun.st_rdev);
	make_node("/dev/vhost-net", module.st_rdev);
}

FIXTURE_SETUP(net_client)
{
	ssize_t n = readlink("/proc/self/exe", self->program, PATH_MAX);

	CHECK(n > 0, "/proc/self/exe: %m");
	self->program[n] = 0;
	strcpy(strrchr(self->program, '/') + 1, PROGRAM);
	CHECK(net_has(NET_TAP), "no taps");
	net_unshare();
	own_dev();
}

FIXTURE_TEARDOWN(net_client)
{
}

/* Starts the program such that it stops as it ends, with all its files still open. */
static pid_t start(const char *program, const char *const *options)
{
	const char *argv[] = { program, "--buf-num", PACKETS, options[0], options[1], NULL };
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0, "fork");
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execv(program, (char **)argv);
		fprintf(stderr, "# %s: %m\n", program);
		_exit(127);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status), "%s does not start", program);
	CHECK(!ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL | PTRACE_O_TRACEEXIT) &&
	      !ptrace(PTRACE_CONT, pid, NULL, NULL), "ptrace: %m");
	return pid;
}

/* Lets it run to its end. Return: the status that it is about to exit with */
static int await_exit(pid_t pid)
{
	unsigned long message;
	int status;

	for (;;) {
		CHECK(waitpid(pid, &status, 0) == pid, "waitpid");
		CHECK(WIFSTOPPED(status), "it ended unseen, with status %d", status);
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8))
			break;
		CHECK(!ptrace(PTRACE_CONT, pid, NULL, WSTOPSIG(status)), "ptrace: %m");
	}
	CHECK(!ptrace(PTRACE_GETEVENTMSG, pid, NULL, &message), "ptrace: %m");
	return (int)message;
}

/* Requests of both queues of the device of the module's that a process owns. */
static void requests_of(pid_t pid, long *rx, long *tx)
{
	FILE *f = popen("cat /sys/kernel/debug/vkick/net-*", "r");
	int owner = 0, queue = -1;
	char line[256];
	long count;

	CHECK(f, "popen");
	*rx = *tx = -1;
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "class net, owner %d", &owner);
		sscanf(line, "queue %d:", &queue);
		if (owner == pid &&
		    sscanf(line, " kicks %*u passes %*u requests %ld", &count) == 1)
			*(queue == NET_TX ? tx : rx) = count;
	}
	pclose(f);
}

TEST_F(net_client, kernels_own_test_passes)
{
	long rx, tx;
	pid_t pid;

	pid = start(self->program, variant->options);
	EXPECT_EQ(0, await_exit(pid));
	requests_of(pid, &rx, &tx);
	EXPECT_EQ(atol(PACKETS), rx);
	EXPECT_EQ(atol(PACKETS), tx);
	CHECK(!ptrace(PTRACE_CONT, pid, NULL, NULL), "ptrace: %m");
	CHECK(waitpid(pid, NULL, 0) == pid, "waitpid");
}

TEST_HARNESS_MAIN
