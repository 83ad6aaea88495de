// SPDX-License-Identifier: GPL-2.0
/*
 * The VMM's sandbox, natively: what a thread of each kind can still do, and what kills it.
 *
 * in:  vmm/sandbox/, vmm/blk_restrict.c, vmm/net_uring.c; children that enter it
 * out: SIGSYS, EACCES, or what the call does without it
 *
 * A filter is put on as it comes to a thread: its makers' first. That real threads run under it is boot/sandbox's to show.
 */
#include "lib/util.h"

#include "../vmm/blk_uring.h"
#include "../vmm/net_user.h"
#include "../vmm/sandbox/sandbox.h"

#include "kselftest_harness.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Past the last that any kernel has so far. */
#define NR_CALLS	500
#define X32_BIT		0x40000000

/* The kernel's own, for its breakpoints in programs: filters do not see them, and no one else can make them. */
#define NR_URETPROBE	335
#define NR_UPROBE	336

#define NOBODY		65534

/* Return: a wait status. A child that hangs is ended by a signal that no test expects. */
static int child_status(void (*act)(void *arg), void *arg)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0, "fork");
	if (!pid) {
		setrlimit(RLIMIT_CORE, &(struct rlimit) { 0, 0 });
		alarm(10);
		signal(SIGSEGV, SIG_DFL);	/* ASan's handler makes calls of its own */
		act(arg);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid, "waitpid");
	return status;
}

static bool was_killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

/* ---- Filters ----------------------------------------------------------------------- */

/**
 * struct attempt - a system call made by a thread of a kind
 * @args: of the call
 */
struct attempt {
	enum thread_kind kind;
	long nr;
	long args[6];
	bool by_int80;
};

#define ATTEMPT(k, n, ...)	((struct attempt) { .kind = (k), .nr = (n), .args = { __VA_ARGS__ } })

static void enter(enum thread_kind kind)
{
	unsigned int maker;

	for (maker = 0; maker < NR_THREAD_KINDS; maker++)
		if (sandbox_kinds[maker].heirs & 1U << kind)
			enter(maker);
	/* As all the VMM's threads are, before the first of them enters. */
	if (kind == THREAD_MAIN && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		_exit(100);
	if (seccomp_enter(kind))
		_exit(101);
}

static void try(void *arg)
{
	struct attempt *a = arg;
	long ret = a->nr;

	enter(a->kind);
	if (a->by_int80)
		asm volatile("int $0x80" : "+a"(ret) : "b"(0), "c"(0), "d"(0) : "memory");
	else
		syscall(a->nr, a->args[0], a->args[1], a->args[2], a->args[3], a->args[4], a->args[5]);
	/* What it returned is the call's own affair. */
	syscall(__NR_exit_group, 0);
}

static bool kills(struct attempt a)
{
	int status = child_status(try, &a);

	CHECK(!WIFEXITED(status) || !WEXITSTATUS(status) || a.nr == __NR_exit || a.nr == __NR_exit_group,
	      "no filter: %d", WEXITSTATUS(status));
	return was_killed(status);
}

FIXTURE(filter)
{
	bool listed[NR_CALLS];
	unsigned int nr;
};

FIXTURE_VARIANT(filter)
{
	enum thread_kind kind;
};

FIXTURE_VARIANT_ADD(filter, main) { THREAD_MAIN };
FIXTURE_VARIANT_ADD(filter, vcpu) { THREAD_VCPU };
FIXTURE_VARIANT_ADD(filter, maker) { THREAD_MAKER };
FIXTURE_VARIANT_ADD(filter, io) { THREAD_IO };
FIXTURE_VARIANT_ADD(filter, stream) { THREAD_STREAM };
FIXTURE_VARIANT_ADD(filter, disk) { THREAD_DISK };
FIXTURE_VARIANT_ADD(filter, discard) { THREAD_DISCARD };

static void note_call(const struct sandbox_call *call, void *arg)
{
	FIXTURE_DATA(filter) *self = arg;

	CHECK(call->nr < NR_CALLS, "call %d", call->nr);
	self->nr += !self->listed[call->nr];
	self->listed[call->nr] = true;
}

FIXTURE_SETUP(filter)
{
	sandbox_each_call(variant->kind, note_call, self);
}

FIXTURE_TEARDOWN(filter)
{
}

/* A process for each. */
TEST_F(filter, call_that_is_not_listed_kills)
{
	long nr;

	for (nr = 0; nr < NR_CALLS; nr++) {
		if (self->listed[nr] || nr == NR_URETPROBE || nr == NR_UPROBE)
			continue;
		ASSERT_TRUE(kills(ATTEMPT(variant->kind, nr))) {
			TH_LOG("call %ld", nr);
		}
	}
}

static void try_listed(const struct sandbox_call *call, void *arg)
{
	struct attempt a = ATTEMPT(*(enum thread_kind *)arg, call->nr, -1, -1, -1, -1, -1, -1);

	if (call->checked)
		a.args[call->arg] = call->value;
	CHECK(!kills(a), "call %d is listed, and kills", call->nr);
}

TEST_F(filter, call_that_is_listed_does_not_kill)
{
	enum thread_kind kind = variant->kind;

	EXPECT_GT(self->nr, 10);
	sandbox_each_call(variant->kind, try_listed, &kind);
}

/* More warnings than are said, and, when one may be said again, that one with how many were not. */
static void warn_much(void *arg)
{
	enum thread_kind *kind = arg;
	int null = open("/dev/null", O_WRONLY);
	u64 until;
	u32 i;

	CHECK(null >= 0 && dup2(null, STDERR_FILENO) >= 0, "/dev/null");
	enter(*kind);
	for (i = 0; i < 1000; i++)
		warn("something is wrong");
	for (until = monotonic_ns() + 1000000000UL; monotonic_ns() < until; )
		;
	warn("something is wrong");
	syscall(__NR_exit_group, 0);
}

TEST_F(filter, warning_after_many_does_not_kill)
{
	enum thread_kind kind = variant->kind;

	EXPECT_EQ(0, child_status(warn_much, &kind));
}

/* Whatever the lists say. */
TEST_F(filter, no_thread_executes_or_connects_or_opens_much)
{
	static const long nobody[] = {
		__NR_execve, __NR_execveat, __NR_fork, __NR_vfork, __NR_ptrace, __NR_process_vm_writev, __NR_kill,
		__NR_socket, __NR_connect, __NR_bind, __NR_mount, __NR_setuid, __NR_capset, __NR_bpf, __NR_userfaultfd,
		__NR_open, __NR_memfd_create,
	};
	static const long makers_alone[] = {
		__NR_openat, __NR_accept4, __NR_clone, __NR_io_uring_setup, __NR_rseq, __NR_mprotect,
	};
	unsigned int i;

	for (i = 0; i < sizeof(nobody) / sizeof(nobody[0]); i++)
		ASSERT_TRUE(kills(ATTEMPT(variant->kind, nobody[i])));
	for (i = 0; i < sizeof(makers_alone) / sizeof(makers_alone[0]) && !sandbox_kinds[variant->kind].heirs; i++)
		ASSERT_TRUE(kills(ATTEMPT(variant->kind, makers_alone[i])));
	if (variant->kind == THREAD_MAKER)
		EXPECT_TRUE(kills(ATTEMPT(variant->kind, __NR_openat)));
	if (variant->kind == THREAD_VCPU)
		EXPECT_LE(self->nr, SANDBOX_MAX_VCPU_CALLS);
}

/* Calls that a kind makes, in ways that it does not. */
TEST_F(filter, arguments_are_looked_at)
{
	const struct attempt attempts[] = {
		ATTEMPT(variant->kind, __NR_mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		ATTEMPT(variant->kind, __NR_mprotect, 0, 4096, PROT_EXEC),
		ATTEMPT(variant->kind, __NR_clone, SIGCHLD),
		ATTEMPT(variant->kind, __NR_prctl, PR_SET_DUMPABLE, 1),
		ATTEMPT(variant->kind, __NR_seccomp, SECCOMP_GET_NOTIF_SIZES),
		ATTEMPT(variant->kind, __NR_io_uring_register, -1, IORING_REGISTER_PERSONALITY),
		ATTEMPT(variant->kind, __NR_ioctl, 0, TIOCSTI),
		ATTEMPT(variant->kind, __NR_ioctl, 0, TIOCLINUX),
		ATTEMPT(variant->kind, __NR_ioctl, 0, FICLONE),
	};
	const struct attempt memory = ATTEMPT(variant->kind, __NR_ioctl, -1, KVM_SET_USER_MEMORY_REGION);
	unsigned int i;

	for (i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		ASSERT_TRUE(kills(attempts[i])) {
			TH_LOG("attempt %u", i);
		}
	}
	/* Only who no guest talks to. */
	EXPECT_EQ(variant->kind != THREAD_MAIN && variant->kind != THREAD_MAKER, kills(memory));
}

static void by_int80(void *arg)
{
	long ret = 20;	/* getpid of i386 */

	(void)arg;
	asm volatile("int $0x80" : "+a"(ret) : : "memory");
}

TEST_F(filter, calls_of_x32_kill)
{
	/* Of exit_group and read, which are allowed. */
	EXPECT_TRUE(kills(ATTEMPT(variant->kind, X32_BIT | __NR_exit_group)));
	EXPECT_TRUE(kills(ATTEMPT(variant->kind, X32_BIT | __NR_read, -1)));
}

TEST_F(filter, calls_of_i386_kill)
{
	if (WIFSIGNALED(child_status(by_int80, NULL)))
		SKIP(return, "this kernel has no calls of i386");
	EXPECT_TRUE(kills((struct attempt) { .kind = variant->kind, .nr = 3, .by_int80 = true }));
}

/* ---- Rings ------------------------------------------------------------------------- */

static int submit(struct io_uring *ring, struct io_uring_sqe *sqe)
{
	struct io_uring_cqe *cqe;
	int res;

	CHECK(sqe && io_uring_submit(ring) == 1 && !io_uring_wait_cqe(ring, &cqe), "submit");
	res = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return res;
}

TEST(a_disks_ring_opens_nothing)
{
	struct blk_thread t = { 0 };
	struct io_uring_sqe *sqe;
	struct iovec iov = { &t, sizeof(t) };
	__u64 tag = 0;
	char byte;

	ASSERT_EQ(0, io_uring_queue_init(8, &t.ring, IORING_SETUP_R_DISABLED));
	ASSERT_EQ(0, blk_restrict(&t));
	ASSERT_EQ(0, syscall(__NR_io_uring_register, t.ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0));
	sqe = io_uring_get_sqe(&t.ring);
	io_uring_prep_openat(sqe, AT_FDCWD, "/dev/null", O_RDONLY, 0);
	EXPECT_EQ(-EACCES, submit(&t.ring, sqe));
	sqe = io_uring_get_sqe(&t.ring);
	io_uring_prep_connect(sqe, -1, NULL, 0);
	EXPECT_EQ(-EACCES, submit(&t.ring, sqe));
	/* What a disk does: here with no file. */
	sqe = io_uring_get_sqe(&t.ring);
	io_uring_prep_read(sqe, -1, &byte, 1, 0);
	EXPECT_EQ(-EBADF, submit(&t.ring, sqe));
	EXPECT_EQ(0, io_uring_register_buffers_sparse(&t.ring, 1));
	EXPECT_EQ(1, io_uring_register_buffers_update_tag(&t.ring, 0, &iov, &tag, 1));
	EXPECT_EQ(-EACCES, io_uring_register_personality(&t.ring));
	io_uring_queue_exit(&t.ring);
}

/* Its thread may not close it. */
static void lose_ring(void *arg)
{
	struct net_uring *u = arg;
	static u8 packet[100];
	struct iovec iov = { packet, sizeof(packet) };
	struct net_buffer buffer = { .nr_iov = 1 };

	close(u->ring.ring_fd);
	enter(THREAD_STREAM);
	net_uring_write(u, &iov, &buffer, 1);
	syscall(__NR_exit_group, u->on);
}

TEST(a_nics_ring_that_fails_does_not_kill)
{
	struct net_uring u;
	int fd[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd));
	net_uring_open(&u, fd[0]);
	if (!u.on)
		SKIP(return, "no io_uring here, or none that promises not to wait");
	EXPECT_EQ(0, child_status(lose_ring, &u));
	net_uring_close(&u);
	close(fd[0]);
	close(fd[1]);
}

/* ---- Files ------------------------------------------------------------------------- */

FIXTURE(files)
{
	char dir[64];
	char mine[80], other[80];	/* a file in each of two directories */
};

static void make_file(char *path, const char *dir, const char *name)
{
	int fd;

	sprintf(path, "%s/%s", dir, name);
	CHECK(!mkdir(path, 0700), "%s", path);
	strcat(path, "/file");
	fd = open(path, O_CREAT | O_RDWR, 0600);
	CHECK(fd >= 0 && write(fd, "x", 1) == 1, "%s", path);
	close(fd);
}

FIXTURE_SETUP(files)
{
	snprintf(self->dir, sizeof(self->dir), "%s/vkick-sandbox-XXXXXX", getenv("TMPDIR") ?: "/tmp");
	CHECK(mkdtemp(self->dir), "%s", self->dir);
	make_file(self->mine, self->dir, "mine");
	make_file(self->other, self->dir, "other");
	if (syscall(__NR_landlock_create_ruleset, NULL, 0, 1) < 0)
		SKIP(return, "no Landlock here");
}

FIXTURE_TEARDOWN(files)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -r '%s'", self->dir);
	CHECK(!system(cmd), "%s", cmd);
}

static int error_of(long ret)
{
	return ret < 0 ? errno : 0;
}

/* In a child of the harness's: each test is. */
static int enter_landlock(bool devices, const char *file)
{
	char why[WHY_BYTES], dir[80] = "", *dirs[] = { dir };

	if (file)
		*strrchr(strcpy(dir, file), '/') = 0;
	return landlock_enter(devices, dirs, !!file, why);
}

/* By a child, so that the directory can be removed afterwards. */
struct files_case {
	bool devices;
	char *mine, *other;
};

static void in_landlock(void *arg)
{
	const struct files_case *c = arg;
	int before = open(c->other, O_RDWR | O_CLOEXEC), version;
	char byte;

	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	version = enter_landlock(c->devices, c->mine);
	CHECK(version > 0, "landlock_enter()");
	CHECK(pread(before, &byte, 1, 0) == 1 && pwrite(before, "y", 1, 0) == 1 && !ftruncate(before, 2), "what was open");
	CHECK(error_of(open(c->mine, O_RDONLY)) == EACCES, "opened");
	CHECK(error_of(open(c->mine, O_WRONLY)) == EACCES, "opened");
	CHECK(error_of(open(c->other, O_RDONLY)) == EACCES, "opened");
	CHECK(error_of(open("/etc/passwd", O_RDONLY)) == EACCES, "opened");
	CHECK(error_of(open("/proc/self/maps", O_RDONLY)) == EACCES, "opened");
	CHECK(error_of(open("/dev/null", O_RDWR)) == (c->devices ? 0 : EACCES), "/dev/null");
	CHECK(error_of(open("/dev", O_RDONLY)) == EACCES, "opened");
	CHECK(error_of(mknod("/dev/vkick-test", S_IFREG | 0600, 0)) == EACCES, "made");
	CHECK(error_of(unlink(c->other)) == EACCES, "removed");
	CHECK(error_of(unlink(c->mine)) == 0, "not removed");
	CHECK(error_of(open(c->mine, O_CREAT | O_WRONLY, 0600)) == EACCES, "made");
	if (version >= 4) {
		struct sockaddr_in sa = { .sin_family = AF_INET };
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		CHECK(error_of(bind(fd, (struct sockaddr *)&sa, sizeof(sa))) == EACCES, "bound");
	}
	/* The parent's; kill() of ourselves goes on. */
	if (version >= 6)
		CHECK(error_of(kill(getppid(), 0)) == EPERM, "signals");
	CHECK(!kill(getpid(), 0), "signals");
}

TEST_F(files, nothing_is_opened_and_only_there_something_removed)
{
	EXPECT_EQ(0, child_status(in_landlock, &(struct files_case) { false, self->mine, self->other }));
}

TEST_F(files, devices_alone_are_opened)
{
	EXPECT_EQ(0, child_status(in_landlock, &(struct files_case) { true, self->mine, self->other }));
}

TEST(only_what_was_inherited_is_closed)
{
	int inherited = fcntl(0, F_DUPFD, 77), ours;

	ASSERT_EQ(77, inherited);
	privileges_note_files();
	ours = open("/dev/null", O_RDWR);
	ASSERT_GE(ours, 3);
	privileges_close_files();
	EXPECT_EQ(EBADF, error_of(fcntl(inherited, F_GETFD)));
	EXPECT_EQ(0, error_of(fcntl(ours, F_GETFD)));
	EXPECT_EQ(0, error_of(fcntl(2, F_GETFD)));
}

/* ---- Who it is --------------------------------------------------------------------- */

/* A line of /proc/self/status, without its name and white space. */
static const char *status_of(const char *name)
{
	static char line[256];
	size_t n = strlen(name);
	FILE *f = fopen("/proc/self/status", "re");

	CHECK(f, "/proc/self/status");
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, name, n) || line[n] != ':')
			continue;
		fclose(f);
		line[strcspn(line, "\n")] = 0;
		return line + n + 1 + strspn(line + n + 1, "\t ");
	}
	CHECK(false, "no %s", name);
}

static void become_nobody(void *arg)
{
	struct privileges_user user;

	privileges_find_user(&user, arg);
	privileges_limit();
	privileges_become(&user);
	CHECK(!privileges_drop(), "privileges_drop()");
	CHECK(!strcmp(status_of("Uid"), "65534\t65534\t65534\t65534"), "Uid %s", status_of("Uid"));
	CHECK(!strcmp(status_of("Gid"), "65533\t65533\t65533\t65533"), "Gid %s", status_of("Gid"));
	CHECK(error_of(setuid(0)) == EPERM, "root again");
}

static void drop(void *arg)
{
	static const char *const sets[] = { "CapInh", "CapPrm", "CapEff", "CapAmb" };
	unsigned int i;

	if (arg)
		become_nobody(arg);
	privileges_limit();
	CHECK(!privileges_drop(), "privileges_drop()");
	for (i = 0; i < 4; i++)
		CHECK(!strcmp(status_of(sets[i]), "0000000000000000"), "%s %s", sets[i], status_of(sets[i]));
	CHECK(!strcmp(status_of("NoNewPrivs"), "1"), "NoNewPrivs");
	if (arg || !geteuid())
		CHECK(!strcmp(status_of("CapBnd"), "0000000000000000"), "CapBnd %s", status_of("CapBnd"));
}

TEST(capabilities_are_gone)
{
	EXPECT_EQ(0, child_status(drop, NULL));
}

TEST(another_user_is_the_user_in_every_way)
{
	if (geteuid())
		SKIP(return, "needs root");
	EXPECT_EQ(0, child_status(drop, "65534:65533"));
	EXPECT_EQ(0, child_status(drop, "nobody:65533"));
}

static void become_root(void *arg)
{
	struct privileges_user user;

	CHECK(!setresgid(NOBODY, NOBODY, NOBODY) && !setresuid(NOBODY, NOBODY, NOBODY), "nobody");
	privileges_find_user(&user, arg);
	privileges_become(&user);
}

TEST(nobody_becomes_nobody_else)
{
	if (geteuid())
		SKIP(return, "needs root");
	EXPECT_EQ(1 << 8, child_status(become_root, "root"));
	EXPECT_EQ(1 << 8, child_status(become_root, "12345:12345"));
	EXPECT_EQ(0, child_status(become_root, "65534:65534"));
}

TEST_HARNESS_MAIN
