// SPDX-License-Identifier: GPL-2.0
/*
 * What a disk's data lie in: a file on tmpfs or ext4, a loop device, a null_blk device.
 *
 * in:  a kind and a size
 * out: see backing.h
 */
#include "backing.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define EXT4_DIR	BACKING_HOME "/ext4"
#define EXT4_BYTES	(48ULL << 20)
#define NULLB		"/sys/kernel/config/nullb"

#define LOOP_FILE	BACKING_HOME "/loop"
#define LOOP_NAME	BACKING_HOME "/loop.name"	/* of the device, a symbolic link */

static int home_error;
static pid_t program;

/* Before main(), so that it is each test's namespace. */
__attribute__((constructor))
static void make_home(void)
{
	program = getpid();
	if (unshare(CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("vkick", BACKING_HOME, "tmpfs", 0, "mode=700"))
		home_error = errno;
}

/* It is built in, or gone wrong: which is seen soon enough. */
static void load(const char *module)
{
	char line[128];

	snprintf(line, sizeof(line), "modprobe -q %s || true", module);
	shell("%s", line);
}

static int make_file(const char *path, u64 bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0, "%s", path);
	CHECK(!ftruncate(fd, bytes), "%s: %llu bytes", path, (unsigned long long)bytes);
	return fd;
}

/* A loop device over @file; with LO_FLAGS_AUTOCLEAR the fd that is returned keeps it. */
static int make_loop(const char *file, u32 flags, char *path, size_t size)
{
	struct loop_config c = { .info.lo_flags = flags };
	int ctl, below, fd = -1, tries, nr;

	load("loop");
	ctl = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	CHECK(ctl >= 0, "/dev/loop-control");
	below = open(file, O_RDWR | O_CLOEXEC);
	CHECK(below >= 0, "%s", file);
	c.fd = below;
	/* Somebody else may take it meanwhile. */
	for (tries = 0; fd < 0 && tries < 20; tries++) {
		nr = ioctl(ctl, LOOP_CTL_GET_FREE);
		CHECK(nr >= 0, "LOOP_CTL_GET_FREE");
		snprintf(path, size, "/dev/loop%d", nr);
		fd = open(path, O_RDWR | O_CLOEXEC);
		CHECK(fd >= 0, "%s", path);
		if (ioctl(fd, LOOP_CONFIGURE, &c)) {
			CHECK(errno == EBUSY, "LOOP_CONFIGURE");
			close(fd);
			fd = -1;
		}
	}
	CHECK(fd >= 0, "no loop device");
	close(below);
	close(ctl);
	return fd;
}

static void find_stat(struct backing *b, dev_t dev)
{
	snprintf(b->stat, sizeof(b->stat), "/sys/dev/block/%u:%u/stat", major(dev), minor(dev));
}

/* One file system for all tests of a program. */
static void need_ext4(void)
{
	char path[64];
	int fd, hold;

	if (!mkdir(EXT4_DIR, 0700)) {
		close(make_file(BACKING_HOME "/ext4.img", EXT4_BYTES));
		shell("mkfs.ext4 -q -F -b 4096 -m 0 -N 64 "
		      "-E nodiscard,lazy_itable_init=1,lazy_journal_init=1 "
		      BACKING_HOME "/ext4.img");
		load("ext4");
		fd = make_loop(BACKING_HOME "/ext4.img", LO_FLAGS_AUTOCLEAR, path, sizeof(path));
		/* Kernels may mount nothing that somebody has open for writing. */
		hold = open(path, O_RDONLY | O_CLOEXEC);
		CHECK(hold >= 0, "%s", path);
		close(fd);
		CHECK(!mount(path, EXT4_DIR, "ext4", 0, NULL), "mount %s", path);
		close(hold);
	}
}

/* One for all tests of a program, too: to make and to unmake one takes seconds. */
static void need_loop(struct backing *b)
{
	ssize_t n;

	snprintf(b->lower, sizeof(b->lower), LOOP_FILE);
	if (access(LOOP_FILE, F_OK)) {
		close(make_file(LOOP_FILE, b->bytes));
		close(make_loop(LOOP_FILE, 0, b->path, sizeof(b->path)));
		CHECK(!symlink(b->path, LOOP_NAME), "symlink");
	}
	n = readlink(LOOP_NAME, b->path, sizeof(b->path) - 1);
	CHECK(n > 0, LOOP_NAME);
	b->path[n] = 0;
}

static void write_attr(const char *dir, const char *name, u64 value)
{
	char path[160];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	CHECK(f && fprintf(f, "%llu\n", (unsigned long long)value) > 0 && !fclose(f),
	      "%s = %llu", path, (unsigned long long)value);
}

/* One for all tests of a program that want the same latency. */
static void need_null(struct backing *b, u32 delay_ms)
{
	char dir[96], path[160];

	load("null_blk nr_devices=0");
	load("configfs");
	if (access(NULLB, F_OK))
		mount("none", "/sys/kernel/config", "configfs", 0, NULL);
	snprintf(dir, sizeof(dir), NULLB "/vkick%d_%u", program, delay_ms);
	if (!mkdir(dir, 0700)) {
		write_attr(dir, "size", b->bytes >> 20);
		write_attr(dir, "memory_backed", 1);
		write_attr(dir, "blocksize", 512);
		write_attr(dir, "hw_queue_depth", 1024);
		write_attr(dir, "discard", 1);
		write_attr(dir, "cache_size", 64);
		write_attr(dir, "irqmode", delay_ms ? 2 : 1);
		write_attr(dir, "completion_nsec", delay_ms * 1000000ULL);
		write_attr(dir, "power", 1);
	}
	/* Named as its directory, or as older kernels do. */
	snprintf(b->path, sizeof(b->path), "/dev/vkick%d_%u", program, delay_ms);
	if (access(b->path, F_OK)) {
		snprintf(path, sizeof(path), "%s/index", dir);
		snprintf(b->path, sizeof(b->path), "/dev/nullb%ld", proc_number(path));
	}
}

/* As the program ends: tests are processes of their own, and end otherwise. */
__attribute__((destructor))
static void remove_devices(void)
{
	char name[64], line[160];
	int fd;

	if (getpid() != program || home_error)
		return;
	fd = open(LOOP_NAME, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ioctl(fd, LOOP_CLR_FD);
		close(fd);
	}
	snprintf(name, sizeof(name), NULLB "/vkick%d_*", program);
	snprintf(line, sizeof(line),
		 "for d in %s; do [ ! -d $d ] || { echo 0 >$d/power; rmdir $d; }; done", name);
	if (system(line))
		fprintf(stderr, "# %s: cannot be removed\n", name);
}

void backing_make(struct backing *b, const struct backing_conf *conf)
{
	struct stat st;

	CHECK(!home_error, "no mount namespace: errno %d; are you root?", home_error);
	*b = (struct backing) { .kind = conf->kind, .bytes = conf->bytes };
	switch (conf->kind) {
	case BACKING_TMPFS:
		snprintf(b->path, sizeof(b->path), BACKING_HOME "/disk%d", getpid());
		close(make_file(b->path, conf->bytes));
		return;
	case BACKING_EXT4:
		need_ext4();
		snprintf(b->path, sizeof(b->path), EXT4_DIR "/disk%d", getpid());
		close(make_file(b->path, conf->bytes));
		CHECK(!stat(b->path, &st), "%s", b->path);
		find_stat(b, st.st_dev);
		return;
	case BACKING_LOOP:
		need_loop(b);
		break;
	case BACKING_NULL:
		need_null(b, conf->delay_ms);
		break;
	case BACKING_GIVEN:
		snprintf(b->path, sizeof(b->path), "%s", conf->path);
		break;
	}
	CHECK(!stat(b->path, &st), "%s", b->path);
	b->is_block = S_ISBLK(st.st_mode);
	CHECK(b->is_block || conf->kind == BACKING_GIVEN, "%s is no block device", b->path);
	find_stat(b, b->is_block ? st.st_rdev : st.st_dev);
}

void backing_free(struct backing *b)
{
	if (b->kind == BACKING_TMPFS || b->kind == BACKING_EXT4)
		unlink(b->path);
}

int backing_open(const struct backing *b, int flags)
{
	int fd = open(b->path, flags | O_CLOEXEC);

	CHECK(fd >= 0, "%s, flags %#x", b->path, flags);
	return fd;
}

bool backing_has_direct(enum backing_kind kind)
{
	int fd;

	if (kind != BACKING_TMPFS)
		return true;
	fd = open(BACKING_HOME "/try", O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
	unlink(BACKING_HOME "/try");
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

u64 backing_flushes(const struct backing *b)
{
	unsigned long long v[17] = { 0 };
	FILE *f = fopen(b->stat, "r");
	int n = 0;

	CHECK(f, "%s", b->stat);
	while (n < 17 && fscanf(f, "%llu", &v[n]) == 1)
		n++;
	fclose(f);
	/* Documentation/block/stat.rst: the 16th, since 5.5. */
	CHECK(n >= 17, "%s has %d numbers", b->stat, n);
	return v[15];
}

void backing_mount_tmpfs(const char *dir, u64 bytes)
{
	char opts[64];

	CHECK(!home_error, "no mount namespace: errno %d; are you root?", home_error);
	CHECK(!mkdir(dir, 0700) || errno == EEXIST, "%s", dir);
	snprintf(opts, sizeof(opts), "mode=700,size=%llu", (unsigned long long)bytes);
	CHECK(!mount("vkick", dir, "tmpfs", 0, opts), "mount %s", dir);
}
