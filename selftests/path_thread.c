// SPDX-License-Identifier: GPL-2.0
/*
 * Workers as threads: their names, whose they are, on which CPUs and in which
 * cgroups they run, and which limits count them.
 *
 * in:  /dev/vkick-null; cgroup2, for which some tests need root and are skipped
 *      without
 * out: as said in <linux/vkick.h> and kmod/compat.h, which has two kinds of
 *      threads: a worker that is in /proc/self/task must behave as a thread of
 *      this process in all, another one as a kernel thread
 */
#include "kselftest_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "lib/rig.h"

/* A device, with what its workers' names start with. */
struct dev {
	struct rig r;
	char name[16];
};

static void open_dev(struct dev *d)
{
	struct rig_conf conf = { .class = "null" };
	char path[64];
	FILE *f;

	rig_open(&d->r, &conf);
	/* The only one; which number it has does not matter. */
	snprintf(path, sizeof(path), "/proc/%d/comm", proc_thread("vkick-null-"));
	f = fopen(path, "r");
	CHECK(f && fscanf(f, "%15s", d->name) == 1, "read %s", path);
	fclose(f);
	rig_start(&d->r);
}

/* The thread of worker @id. */
static pid_t tid_of(const struct dev *d, u32 id)
{
	char name[64];
	pid_t tid;

	if (id)
		snprintf(name, sizeof(name), "%s.%u", d->name, id);
	else
		snprintf(name, sizeof(name), "%s", d->name);
	name[15] = 0;
	tid = proc_thread_called(name);
	CHECK(tid, "no thread %s", name);
	return tid;
}

FIXTURE(thread)
{
	struct dev d;
	struct rig *r;
};

FIXTURE_SETUP(thread)
{
	open_dev(&self->d);
	self->r = &self->d.r;
}

FIXTURE_TEARDOWN(thread)
{
	rig_close(self->r);
}

/* A worker with queue 1, made now. */
static pid_t second(const struct dev *d)
{
	u32 id = vdev_new_worker(d->r.fd);

	vdev_attach_worker(d->r.fd, 1, id);
	return tid_of(d, id);
}

/* ---- names ---- */

TEST_F(thread, names_tell_device_and_worker)
{
	u32 id;
	int i;

	EXPECT_EQ(0, strncmp(self->d.name, "vkick-null-", 11));
	EXPECT_NE(0, self->d.name[11]);
	EXPECT_EQ(strspn(self->d.name + 11, "0123456789"), strlen(self->d.name + 11));
	for (i = 0; i < 20; i++) {
		id = vdev_new_worker(self->r->fd);
		EXPECT_LT(0, tid_of(&self->d, id));
	}
}

/* The names are true: the one that is said to serve is the one that switches. */
TEST_F(thread, name_is_of_the_worker_that_serves)
{
	pid_t a = tid_of(&self->d, 0), b = second(&self->d);
	long before_a, before_b;
	int i;

	rig_ping(&self->r->q[1]);
	before_a = proc_switches(a);
	before_b = proc_switches(b);
	for (i = 0; i < 50; i++) {
		rig_ping(&self->r->q[1]);
		/* The worker sleeps again, so that the next one wakes it. */
		vdev_get_stats(self->r->fd, 1);
	}
	EXPECT_LE(before_b + 10, proc_switches(b));
	EXPECT_EQ(before_a, proc_switches(a));
}

TEST_F(thread, all_workers_are_of_one_kind)
{
	pid_t a = tid_of(&self->d, 0), b = second(&self->d);

	EXPECT_EQ(proc_thread_is_ours(a), proc_thread_is_ours(b));
	TH_LOG("workers are %s", proc_thread_is_ours(a) ?
	       "threads of this process" : "kernel threads");
}

/* ---- CPUs ---- */

static cpu_set_t one_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return set;
}

static bool runs_on(pid_t tid, const cpu_set_t *want)
{
	cpu_set_t has;

	CHECK(!sched_getaffinity(tid, sizeof(has), &has), "sched_getaffinity");
	return CPU_EQUAL(&has, want);
}

/* Queue @index is served, and nowhere but on @cpu. */
static bool served_on(struct rig *r, u32 index, pid_t tid, int cpu)
{
	int i;

	for (i = 0; i < 20; i++) {
		rig_ping(&r->q[index]);
		if (proc_cpu(tid) != cpu)
			return false;
	}
	return true;
}

static cpu_set_t all_cpus(void)
{
	cpu_set_t set;

	CHECK(!sched_getaffinity(0, sizeof(set), &set), "sched_getaffinity");
	return set;
}

/* The CPUs that this process has, two of them. */
static bool two_cpus(int cpu[2])
{
	cpu_set_t set = all_cpus();
	int i, n = 0;

	for (i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &set))
			cpu[n++] = i;
	return n == 2;
}

TEST_F(thread, worker_0_inherits_the_cpus_of_who_calls_set_owner)
{
	struct rig *r = self->r;
	cpu_set_t all = all_cpus(), want;
	int cpu[2], i;

	if (!two_cpus(cpu))
		SKIP(return, "needs two CPUs");
	EXPECT_TRUE(runs_on(tid_of(&self->d, 0), &all));
	for (i = 0; i < 4; i++) {
		want = one_cpu(cpu[i % 2]);
		vdev_reset_owner(r->fd);
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(want), &want));
		rig_configure(r);
		vdev_set_kick(r->fd, 0, r->q[0].kick);
		vdev_set_call(r->fd, 0, r->q[0].call);
		/* Whatever becomes of the caller's afterwards. */
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(all), &all));
		vdev_start(r->fd, 0);
		EXPECT_TRUE(runs_on(tid_of(&self->d, 0), &want));
		EXPECT_TRUE(served_on(r, 0, tid_of(&self->d, 0), cpu[i % 2]));
	}
}

TEST_F(thread, new_worker_inherits_the_cpus_of_who_calls_new_worker)
{
	cpu_set_t all = all_cpus(), want;
	int cpu[2], i;

	if (!two_cpus(cpu))
		SKIP(return, "needs two CPUs");
	for (i = 0; i < 4; i++) {
		pid_t tid;

		want = one_cpu(cpu[i % 2]);
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(want), &want));
		tid = second(&self->d);
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(all), &all));
		EXPECT_TRUE(runs_on(tid, &want));
		EXPECT_TRUE(served_on(self->r, 1, tid, cpu[i % 2]));
		EXPECT_TRUE(runs_on(tid_of(&self->d, 0), &all));
	}
}

/* taskset(1) on the thread. */
TEST_F(thread, cpus_can_be_changed_later)
{
	pid_t tid[2] = { tid_of(&self->d, 0), second(&self->d) };
	int cpu[2], i;

	if (!two_cpus(cpu))
		SKIP(return, "needs two CPUs");
	for (i = 0; i < 8; i++) {
		cpu_set_t want = one_cpu(cpu[i / 2 % 2]);

		ASSERT_EQ(0, sched_setaffinity(tid[i % 2], sizeof(want), &want));
		EXPECT_TRUE(runs_on(tid[i % 2], &want));
		EXPECT_TRUE(served_on(self->r, i % 2, tid[i % 2], cpu[i / 2 % 2]));
	}
}

/* ---- cgroups ---- */

#define CGROUP2	"/sys/fs/cgroup"

/* The unified hierarchy's place in a /proc/<pid>/cgroup, without the "0::". */
static void cgroup_of(const char *pid, char *at, size_t size)
{
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/cgroup", pid);
	f = fopen(path, "r");
	CHECK(f, "open %s", path);
	*at = 0;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "0::", 3))
			snprintf(at, size, "%s", line + 3);
	fclose(f);
	CHECK(*at, "no cgroup2 in %s", path);
}

static int write_to(const char *dir, const char *file, const char *what)
{
	char path[600];
	int fd, err;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -errno;
	err = write(fd, what, strlen(what)) < 0 ? -errno : 0;
	close(fd);
	return err;
}

/* Makes a cgroup of this test's own, with a limit on processes. */
static bool make_cgroup(char dir[64])
{
	snprintf(dir, 64, CGROUP2 "/vkick-test-%d", getpid());
	if (access(CGROUP2 "/cgroup.procs", F_OK) &&
	    mount("cgroup2", CGROUP2, "cgroup2", 0, NULL))
		return false;
	/* Where it fails pids.max will not be there. */
	write_to(CGROUP2, "cgroup.subtree_control", "+pids");
	return !mkdir(dir, 0755);
}

static int close_dev(struct dev *d, int ret)
{
	rig_close(&d->r);
	return ret;
}

/* In a child. Return: how many of five workers are in its cgroup. */
static int own_five_in(void *dir)
{
	char mine[512], its[512], pid[32];
	struct dev d;
	int i, n = 0;

	CHECK(!write_to(dir, "cgroup.procs", "0"), "join %s", (char *)dir);
	cgroup_of("self", mine, sizeof(mine));
	CHECK(strstr(mine, "vkick-test"), "in %s", mine);
	open_dev(&d);
	for (i = 0; i < 5; i++) {
		u32 id = i ? vdev_new_worker(d.r.fd) : 0;

		vdev_attach_worker(d.r.fd, 0, id);
		rig_ping(&d.r.q[0]);
		snprintf(pid, sizeof(pid), "%d", tid_of(&d, id));
		cgroup_of(pid, its, sizeof(its));
		n += !strcmp(mine, its);
	}
	return close_dev(&d, n);
}

/* Its threads leave it as they end, which may be a moment after they were waited for. */
static int remove_cgroup(const char *dir)
{
	struct deadline until = deadline_in(GONE_MS);
	int err;

	do {
		err = rmdir(dir) ? errno : 0;
	} while (err == EBUSY && !deadline_passed(&until));
	return err;
}

TEST(workers_are_in_the_owners_cgroup)
{
	char dir[64];

	if (!make_cgroup(dir))
		SKIP(return, "needs cgroup2 and root");
	EXPECT_EQ(5, in_child(own_five_in, dir));
	/* Empty again: no worker is left in it. */
	EXPECT_EQ(0, remove_cgroup(dir));
}

/* ---- limits ---- */

/*
 * Makes workers until it is refused, 8 at most, where @room threads more than this
 * process has may be. Return: 0 if that is as it should be.
 */
static int fill(struct dev *d, int room)
{
	struct deadline until;
	u32 id[8];
	int i, err = 0;

	for (i = 0; i < 8; i++) {
		err = __vdev_new_worker(d->r.fd, &id[i]);
		if (err)
			break;
		vdev_attach_worker(d->r.fd, 0, id[i]);
		rig_ping(&d->r.q[0]);
	}
	if (!proc_thread_is_ours(tid_of(d, 0)))
		return i != 8;	/* kernel threads are not counted */
	if (i != room || err != -EAGAIN)
		return 1;
	/* The limit is on those that are, not on those that were: one that was stopped counts until Linux has reaped it. */
	vdev_attach_worker(d->r.fd, 0, 0);
	vdev_free_worker(d->r.fd, id[0]);
	until = deadline_in(GONE_MS);
	do {
		err = __vdev_new_worker(d->r.fd, &id[0]);
	} while (err == -EAGAIN && !deadline_passed(&until));
	if (err)
		return 2;
	if (__vdev_new_worker(d->r.fd, &id[1]) != -EAGAIN)
		return 3;
	rig_ping(&d->r.q[0]);
	return 0;
}

static int fill_cgroup(void *dir)
{
	struct dev d;
	int ret, err, fd;

	CHECK(!write_to(dir, "cgroup.procs", "0"), "join %s", (char *)dir);
	/* This process is one: no place for a worker. */
	CHECK(!write_to(dir, "pids.max", "1"), "pids.max");
	fd = vdev_open("null");
	err = __vdev_set_owner(fd);
	if (err)
		ret = err == -EAGAIN ? 0 : 4;
	else
		ret = proc_thread_is_ours(proc_thread("vkick-null-")) ? 5 : 0;
	close(fd);
	if (ret)
		return ret;
	CHECK(!write_to(dir, "pids.max", "4"), "pids.max");
	open_dev(&d);
	return close_dev(&d, fill(&d, 2));
}

TEST(pids_max_counts_workers_that_are_threads_of_the_owner)
{
	char dir[64], max[80];
	int ret;

	if (!make_cgroup(dir))
		SKIP(return, "needs cgroup2 and root");
	snprintf(max, sizeof(max), "%s/pids.max", dir);
	if (access(max, F_OK)) {
		rmdir(dir);
		SKIP(return, "needs the pids controller in cgroup2");
	}
	ret = in_child(fill_cgroup, dir);
	EXPECT_EQ(0, remove_cgroup(dir));
	EXPECT_EQ(0, ret);
}

#define NOBODY	65534

static int fill_rlimit(void *unused)
{
	struct rlimit limit = { 4, 4 };
	struct dev d;

	(void)unused;
	open_dev(&d);
	vdev_reset_owner(d.r.fd);
	CHECK(!setrlimit(RLIMIT_NPROC, &limit), "RLIMIT_NPROC");
	/* Root is not bound by it. */
	CHECK(!setresuid(NOBODY, NOBODY, NOBODY), "setresuid");
	rig_configure(&d.r);
	vdev_set_kick(d.r.fd, 0, d.r.q[0].kick);
	vdev_set_call(d.r.fd, 0, d.r.q[0].call);
	vdev_start(d.r.fd, 0);
	return close_dev(&d, fill(&d, 2));
}

TEST(rlimit_nproc_counts_workers_that_are_threads_of_the_owner)
{
	if (geteuid())
		SKIP(return, "needs root");
	EXPECT_EQ(0, in_child(fill_rlimit, NULL));
}

TEST_HARNESS_MAIN
