// SPDX-License-Identifier: GPL-2.0
/*
 * Disks for tests: null_blk and loop devices, ext4 on top; what they all share.
 *
 * in:  configfs, /dev/loop-control
 * out: see backend.h; device mapper is in backend_dm.c
 */
#define _GNU_SOURCE
#include "backend_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONFIGFS	"/sys/kernel/config"
#define NULLB		CONFIGFS "/nullb"
#define MOUNTS		"/run"

/* ---- what all share ---- */

int backend_exec(char *const argv[])
{
	int status, null;
	pid_t pid = fork();

	CHECK(pid >= 0, "fork");
	if (!pid) {
		null = open("/dev/null", O_RDWR);
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		execvp(argv[0], argv);
		_exit(127);
	}
	CHECK(waitpid(pid, &status, 0) == pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void backend_modprobe(const char *module, const char *option)
{
	char *argv[] = { "modprobe", "-q", (char *)module, (char *)option, NULL };

	/* Built in, or not there at all: the caller looks for what it needs. */
	backend_exec(argv);
}

struct backend backend_named(const char *name)
{
	struct backend b = { 0 };

	snprintf(b.name, sizeof(b.name), BACKEND_PREFIX "%s", name);
	return b;
}

void backend_measure(struct backend *b)
{
	int fd = open(b->path, O_RDONLY | O_CLOEXEC);
	u64 bytes;

	CHECK(fd >= 0, "open %s", b->path);
	CHECK(!ioctl(fd, BLKGETSIZE64, &bytes), "BLKGETSIZE64 of %s", b->path);
	close(fd);
	b->sectors = bytes / SECTOR;
}

static bool in_file(const char *file, const char *word)
{
	char line[256];
	bool found = false;
	FILE *f = fopen(file, "r");

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, word);
	if (f)
		fclose(f);
	return found;
}

static bool mount_configfs(void)
{
	if (!access(NULLB, F_OK))
		return true;
	return !mount("configfs", CONFIGFS, "configfs", 0, NULL) &&
	       !access(NULLB, F_OK);
}

const char *backend_lacks(const char *what)
{
	if (!strcmp(what, "null_blk")) {
		backend_modprobe("null_blk", "nr_devices=0");
		return mount_configfs() ? NULL : "no null_blk with configfs";
	}
	if (!strcmp(what, "loop")) {
		backend_modprobe("loop", NULL);
		return access("/dev/loop-control", F_OK) ? "no loop device" : NULL;
	}
	if (!strcmp(what, "ext4")) {
		backend_modprobe("ext4", NULL);
		return in_file("/proc/filesystems", "ext4") ? NULL : "no ext4";
	}
	return dm_lacks(what);
}

int backend_open(const struct backend *b, int flags)
{
	int fd = open(b->path, flags | O_CLOEXEC);

	CHECK(fd >= 0, "open %s", b->path);
	return fd;
}

void backend_stamp(void *sector, u64 index, u64 seed)
{
	u64 *p = sector, x = (index + 1) * 0x9e3779b97f4a7c15ULL ^ seed;
	size_t i;

	p[0] = index;
	for (i = 1; i < SECTOR / sizeof(*p); i++)
		p[i] = prng(&x);
}

void backend_fill(const struct backend *b, u64 seed)
{
	size_t piece = 256 * SECTOR;
	int fd = backend_open(b, O_WRONLY | O_DIRECT);
	u8 *buf = aligned_alloc(4096, piece);
	u64 at, i, n;

	CHECK(buf, "no memory");
	for (at = 0; at < b->sectors; at += n) {
		n = b->sectors - at < 256 ? b->sectors - at : 256;
		for (i = 0; i < n; i++)
			backend_stamp(buf + i * SECTOR, at + i, seed);
		CHECK(pwrite(fd, buf, n * SECTOR, at * SECTOR) == (ssize_t)(n * SECTOR),
		      "fill %s at %llu", b->path, (unsigned long long)at);
	}
	CHECK(!fsync(fd), "fsync %s", b->path);
	free(buf);
	close(fd);
}

int64_t backend_find_other(const struct backend *b, u64 sector, u32 nr, u64 seed,
		       bool or_zeroes)
{
	static const u8 zeroes[SECTOR];
	int fd = backend_open(b, O_RDONLY | O_DIRECT);
	u8 *got = aligned_alloc(4096, 4096);
	u8 want[SECTOR];
	u32 i;

	CHECK(got, "no memory");
	for (i = 0; i < nr; i++) {
		CHECK(pread(fd, got, SECTOR, (sector + i) * SECTOR) == SECTOR, "read %s",
		      b->path);
		backend_stamp(want, sector + i, seed);
		if (memcmp(got, want, SECTOR) && !(or_zeroes && !memcmp(got, zeroes, SECTOR)))
			break;
	}
	free(got);
	close(fd);
	return i < nr ? (int64_t)(sector + i) : -1;
}

bool backend_is_cached(const struct backend *b, u64 sector, u32 nr)
{
	size_t from = sector * SECTOR / 4096 * 4096, len = (sector + nr) * SECTOR - from;
	int fd = backend_open(b, O_RDONLY);
	u8 *p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, from);
	u8 in[256];
	size_t pages = (len + 4095) / 4096, i;
	bool cached = false;

	CHECK(p != MAP_FAILED && pages <= sizeof(in) && !mincore(p, len, in), "%s", b->path);
	for (i = 0; i < pages; i++)
		cached |= in[i] & 1;
	munmap(p, len);
	close(fd);
	return cached;
}

/* ---- null_blk ---- */

static int __null_set(const char *name, const char *attr, const char *value)
{
	char path[200];
	ssize_t n, len = strlen(value);
	int fd;

	snprintf(path, sizeof(path), NULLB "/%s/%s", name, attr);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = write(fd, value, len);
	n = n == len ? 0 : n < 0 ? -errno : -EIO;
	close(fd);
	return n;
}

static void null_set(const char *name, const char *attr, u64 value)
{
	char text[32];
	int err;

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	err = __null_set(name, attr, text);
	CHECK(!err, "%s/%s = %s: %d", name, attr, text, err);
}

static int null_index(const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), NULLB "/%s/index", name);
	return proc_number(path);
}

struct backend null_make(const char *name, const struct null_conf *conf)
{
	struct backend b = backend_named(name);
	char dir[128];

	snprintf(dir, sizeof(dir), NULLB "/%s", b.name);
	CHECK(!mkdir(dir, 0755), "mkdir %s", dir);
	null_set(b.name, "size", conf->mib);
	null_set(b.name, "blocksize", SECTOR);
	null_set(b.name, "memory_backed", 1);
	null_set(b.name, "hw_queue_depth", 256);
	if (conf->discard)
		null_set(b.name, "discard", 1);
	if (conf->cache_mib)
		null_set(b.name, "cache_size", conf->cache_mib);
	if (conf->completion_us) {
		null_set(b.name, "irqmode", 2);
		null_set(b.name, "completion_nsec", conf->completion_us * 1000ULL);
	}
	null_set(b.name, "power", 1);
	/* Newer kernels name the disk by the directory. */
	snprintf(b.path, sizeof(b.path), "/dev/%s", b.name);
	if (access(b.path, F_OK))
		snprintf(b.path, sizeof(b.path), "/dev/nullb%d", null_index(b.name));
	backend_measure(&b);
	return b;
}

void null_set_bad(const struct backend *b, u64 first, u64 last, bool bad)
{
	char text[64];
	int err;

	snprintf(text, sizeof(text), "%c%llu-%llu", bad ? '+' : '-',
		 (unsigned long long)first, (unsigned long long)last);
	err = __null_set(b->name, "badblocks", text);
	CHECK(!err, "badblocks %s: %d", text, err);
}

void null_unplug(const struct backend *b)
{
	null_set(b->name, "power", 0);
}

static bool null_sweep(void)
{
	bool clean = true;
	struct dirent *e;
	DIR *d = opendir(NULLB);
	char dir[400];

	while (d && (e = readdir(d))) {
		if (strncmp(e->d_name, BACKEND_PREFIX, strlen(BACKEND_PREFIX)))
			continue;
		snprintf(dir, sizeof(dir), NULLB "/%s", e->d_name);
		if (rmdir(dir))
			clean = false;
	}
	if (d)
		closedir(d);
	return clean;
}

/* ---- loop ---- */

int backend_memfd(const char *name, u64 bytes)
{
	struct backend b = backend_named(name);
	int fd = memfd_create(b.name, MFD_CLOEXEC);

	CHECK(fd >= 0 && !ftruncate(fd, bytes), "memfd of %llu bytes",
	      (unsigned long long)bytes);
	return fd;
}

struct backend loop_make(const char *name, int fd, bool direct)
{
	struct backend b = backend_named(name);
	struct loop_config conf = {
		.fd = fd,
		.block_size = SECTOR,
		.info.lo_flags = direct ? LO_FLAGS_DIRECT_IO : 0,
	};
	int ctl = open("/dev/loop-control", O_RDWR | O_CLOEXEC), nr, lo;

	CHECK(ctl >= 0, "open /dev/loop-control");
	nr = ioctl(ctl, LOOP_CTL_GET_FREE);
	CHECK(nr >= 0, "LOOP_CTL_GET_FREE");
	close(ctl);
	snprintf(b.path, sizeof(b.path), "/dev/loop%d", nr);
	lo = backend_open(&b, O_RDWR);
	snprintf((char *)conf.info.lo_file_name, LO_NAME_SIZE, "%s", b.name);
	CHECK(!ioctl(lo, LOOP_CONFIGURE, &conf), "LOOP_CONFIGURE %s", b.path);
	close(lo);
	backend_measure(&b);
	return b;
}

void loop_detach(const struct backend *b)
{
	int lo = backend_open(b, O_RDWR);

	CHECK(!ioctl(lo, LOOP_CLR_FD), "LOOP_CLR_FD %s", b->path);
	close(lo);
}

static bool loop_sweep(void)
{
	bool clean = true;
	struct loop_info64 info;
	struct dirent *e;
	DIR *d = opendir("/sys/block");
	char path[300];
	int lo;

	CHECK(d, "opendir /sys/block");
	while ((e = readdir(d))) {
		if (strncmp(e->d_name, "loop", 4))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", e->d_name);
		lo = open(path, O_RDWR | O_CLOEXEC);
		if (lo < 0)
			continue;
		if (!ioctl(lo, LOOP_GET_STATUS64, &info) &&
		    !strncmp((char *)info.lo_file_name, BACKEND_PREFIX,
			     strlen(BACKEND_PREFIX)))
			clean = !ioctl(lo, LOOP_CLR_FD) && clean;
		close(lo);
	}
	closedir(d);
	return clean;
}

/* ---- a file system ---- */

int __fs_mount(struct backend *fs, const char *name, const struct backend *on,
	       const char *options)
{
	*fs = backend_named(name);
	fs->sectors = on->sectors;
	snprintf(fs->path, sizeof(fs->path), MOUNTS "/%s", fs->name);
	CHECK(!mkdir(fs->path, 0700) || errno == EEXIST, "mkdir %s", fs->path);
	return mount(on->path, fs->path, "ext4", 0, options) ? -errno : 0;
}

struct backend fs_make(const char *name, const struct backend *on, const char *options)
{
	/* All of it at once: lazily made inode tables would be written under the test. */
	char *argv[] = {
		"mkfs.ext4", "-q", "-F", "-b", "4096", "-J", "size=4",
		"-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard",
		(char *)on->path, NULL
	};
	struct backend fs;
	int err = backend_exec(argv);

	CHECK(!err, "mkfs.ext4 %s: status %d", on->path, err);
	err = __fs_mount(&fs, name, on, options);
	CHECK(!err, "mount %s on %s: %d", on->path, fs.path, err);
	return fs;
}

static int __fs_ioctl(const char *path, unsigned long cmd)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = ioctl(fd, cmd, 0) ? -errno : 0;
	close(fd);
	return ret;
}

void fs_freeze(const struct backend *fs)
{
	int err = __fs_ioctl(fs->path, FIFREEZE);

	CHECK(!err, "FIFREEZE %s: %d", fs->path, err);
}

void fs_thaw(const struct backend *fs)
{
	int err = __fs_ioctl(fs->path, FITHAW);

	CHECK(!err, "FITHAW %s: %d", fs->path, err);
}

void fs_umount(const struct backend *fs)
{
	CHECK(!umount(fs->path), "umount %s", fs->path);
	rmdir(fs->path);
}

struct backend fs_at(const struct backend *fs, const char *name)
{
	struct backend b = backend_named(name);

	CHECK(snprintf(b.path, sizeof(b.path), "%s/%s", fs->path, b.name) <
	      (int)sizeof(b.path), "long name");
	return b;
}

struct backend fs_file(const struct backend *fs, const char *name, u64 bytes,
		       bool allocate)
{
	struct backend b = fs_at(fs, name);
	int fd;

	b.sectors = bytes / SECTOR;
	fd = open(b.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && !ftruncate(fd, bytes), "create %s", b.path);
	close(fd);
	if (allocate)
		backend_fill(&b, 0);
	return b;
}

static bool fs_sweep(void)
{
	bool clean = true;
	struct mntent *e;
	FILE *f = setmntent("/proc/self/mounts", "r");

	CHECK(f, "open /proc/self/mounts");
	while ((e = getmntent(f))) {
		if (strncmp(e->mnt_dir, MOUNTS "/" BACKEND_PREFIX,
			    strlen(MOUNTS "/" BACKEND_PREFIX)))
			continue;
		__fs_ioctl(e->mnt_dir, FITHAW);
		clean = !umount(e->mnt_dir) && clean;
		rmdir(e->mnt_dir);
	}
	endmntent(f);
	return clean;
}

/* ---- the end of all ---- */

/*
 * What is on top goes first, and what it stands on may be busy for as long as it takes
 * the last user to go. A disk that stalls is made to fail, so that everyone goes.
 */
void backend_sweep(void)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	bool clean;

	for (;;) {
		dm_unblock();
		clean = fs_sweep();
		clean = dm_sweep() && clean;
		clean = loop_sweep() && clean;
		clean = null_sweep() && clean;
		if (clean)
			return;
		CHECK(!deadline_passed(&end), "a backend cannot be removed");
		usleep(20000);
	}
}

/* A test that died swept nothing. Its harness ends by _exit() but for the program itself. */
__attribute__((constructor))
static void sweep_at_exit(void)
{
	CHECK(!atexit(backend_sweep), "atexit");
}
