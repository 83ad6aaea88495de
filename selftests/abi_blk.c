// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls of /dev/vkick-blk: VKICK_BLK_SET_FILE, _SET_CONFIG and _SET_PINNED by the words of
 * <linux/vkick.h>, and what the device says of itself.
 *
 * in:  /dev/vkick-blk, files and fds of all kinds
 * out: each errno; the file kept as long as it is needed, and not longer
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lib/disk.h"

FIXTURE(abi)
{
	struct disk d;
	int fd;
};

FIXTURE_SETUP(abi)
{
	struct disk_conf conf = { BACKING_TMPFS };

	disk_open(&self->d, &conf);
	self->fd = self->d.r.fd;
}

FIXTURE_TEARDOWN(abi)
{
	disk_close(&self->d);
}

static bool serves(struct disk *d)
{
	return disk_rw(d, VIRTIO_BLK_T_IN, 0, DISK_BUF, 512) == VIRTIO_BLK_S_OK;
}

/* ---- what it is ---- */

TEST_F(abi, info)
{
	struct vkick_info i = vdev_get_info(self->fd);

	EXPECT_EQ(2, i.device_id);	/* VIRTIO 1.2, 5.2.1 */
	EXPECT_EQ(64, i.nvqs);
	EXPECT_STREQ("blk", i.class_name);
	/* Header and status, beside as many data descriptors as may be promised. */
	EXPECT_LE(VKICK_BLK_MAX_SEGS + 2, i.max_chain);
}

TEST_F(abi, features)
{
	u64 must = F_BLK_ALL | F_BLK(RO) | F_VERSION_1 | F_INDIRECT | F_EVENT_IDX |
		   F_PACKED | F_IN_ORDER | F_LOG_ALL;

	EXPECT_EQ(must, vdev_get_features(self->fd));
}

TEST(node_is_a_misc_device)
{
	struct stat st;

	ASSERT_EQ(0, stat("/dev/vkick-blk", &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(10, major(st.st_rdev));
	EXPECT_EQ(0, st.st_mode & 077);
}

TEST_F(abi, each_of_64_queues_serves)
{
	struct disk *d = &self->d;
	struct vq *q = &d->r.q[0];
	u32 i;

	EXPECT_EQ(-ENOBUFS, __vdev_set_num(self->fd, 64, 128));
	for (i = 63; i > 0; i -= i > 8 ? 11 : 1) {
		struct disk_req req = { .type = VIRTIO_BLK_T_FLUSH };
		u8 status;

		vdev_set_ring(self->fd, i, &q->drv);
		vdev_set_base(self->fd, i, drv_base(&q->drv));
		vdev_set_kick(self->fd, i, q->kick);
		vdev_set_call(self->fd, i, q->call);
		vdev_start(self->fd, i);
		disk_submit(d, 0, &req);
		disk_take(d, 0, &status, NULL);
		EXPECT_EQ(VIRTIO_BLK_S_OK, status);
		EXPECT_EQ(1, vdev_get_stats(self->fd, i).requests);
		vdev_stop(self->fd, i);
		vdev_set_kick(self->fd, i, -1);
	}
}

/* ---- SET_FILE ---- */

TEST_F(abi, fd_that_is_not_open_is_ebadf)
{
	static const int bad[] = { -2, -100, 1 << 20, 0x7fffffff, (int)0x80000000 };
	int i, closed = open("/dev/null", O_RDONLY);

	close(closed);
	EXPECT_EQ(-EBADF, __vdev_set_file(self->fd, closed));
	for (i = 0; i < 5; i++)
		EXPECT_EQ(-EBADF, __vdev_set_file(self->fd, bad[i])) TH_LOG("%d", bad[i]);
	disk_start(&self->d);
	EXPECT_TRUE(serves(&self->d));
}

TEST_F(abi, fd_that_is_not_for_reading_is_ebadf)
{
	int fd = backing_open(&self->d.b, O_WRONLY), path = backing_open(&self->d.b, O_PATH);

	EXPECT_EQ(-EBADF, __vdev_set_file(self->fd, fd));
	EXPECT_EQ(-EBADF, __vdev_set_file(self->fd, path));
	close(fd);
	close(path);
}

TEST_F(abi, fd_of_the_wrong_type_is_einval)
{
	int pipe_fd[2], sock[2], fds[10], n = 0, i, files;

	ASSERT_EQ(0, pipe(pipe_fd));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	fds[n++] = pipe_fd[0];
	fds[n++] = sock[0];
	fds[n++] = open("/", O_RDONLY | O_DIRECTORY);
	fds[n++] = ev_new();
	fds[n++] = epoll_create1(0);
	fds[n++] = open("/dev/null", O_RDWR);
	fds[n++] = open("/dev/zero", O_RDWR);
	fds[n++] = vdev_open("null");
	fds[n++] = self->fd;
	for (i = 0; i < n; i++)
		EXPECT_EQ(-EINVAL, __vdev_set_file(self->fd, fds[i])) TH_LOG("fd %d", i);
	files = proc_count("/proc/self/fd");
	for (i = 0; i < 1000; i++)
		__vdev_set_file(self->fd, fds[i % n]);
	EXPECT_EQ(files, proc_count("/proc/self/fd"));
	/* The one before is there still. */
	disk_start(&self->d);
	EXPECT_TRUE(serves(&self->d));
}

/* Writes would go elsewhere. */
TEST_F(abi, fd_that_appends_is_einval)
{
	int fd = backing_open(&self->d.b, O_RDWR | O_APPEND);

	EXPECT_EQ(-EINVAL, __vdev_set_file(self->fd, fd));
	close(fd);
}

TEST_F(abi, file_and_start_need_each_other)
{
	u32 i;

	vdev_set_file(self->fd, -1);
	vdev_set_file(self->fd, -1);
	EXPECT_EQ(-ENODEV, __vdev_set_running(self->fd, 0, 1));
	EXPECT_EQ(0, vdev_get_stats(self->fd, 0).running);
	for (i = 0; i < 5; i++) {
		vdev_set_file(self->fd, self->d.check);
		disk_start(&self->d);
		ASSERT_TRUE(serves(&self->d));
		disk_stop(&self->d);
		vdev_set_file(self->fd, -1);
		EXPECT_EQ(-ENODEV, __vdev_set_running(self->fd, 0, 1));
	}
}

TEST_F(abi, set_file_while_a_queue_runs_is_ebusy)
{
	disk_start(&self->d);
	EXPECT_EQ(-EBUSY, __vdev_set_file(self->fd, self->d.check));
	EXPECT_EQ(-EBUSY, __vdev_set_file(self->fd, -1));
	EXPECT_TRUE(serves(&self->d));
	disk_stop(&self->d);
	EXPECT_EQ(0, __vdev_set_file(self->fd, self->d.check));
}

TEST_F(abi, same_file_may_be_set_again_and_again)
{
	long files = open_files();
	int i;

	for (i = 0; i < 400; i++) {
		int fd = backing_open(&self->d.b, i % 3 ? O_RDWR : O_RDONLY);

		vdev_set_file(self->fd, fd);
		close(fd);
	}
	EXPECT_GT(files + 200, open_files());
	disk_start(&self->d);
	EXPECT_TRUE(serves(&self->d));
}

/* ---- the file is kept, and let go ---- */

#define FS	BACKING_HOME "/abi"

static int fs_file(void)
{
	int fd;

	backing_mount_tmpfs(FS, 1 << 20);
	fd = open(FS "/disk", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && !ftruncate(fd, 1 << 20), "%s", FS);
	return fd;
}

static bool unmounts(void)
{
	struct deadline end = deadline_in(GONE_MS);

	while (umount(FS)) {
		if (errno != EBUSY || deadline_passed(&end))
			return false;
		usleep(1000);
	}
	return true;
}

TEST_F(abi, file_is_kept_after_its_fd_is_closed)
{
	int fd = fs_file();

	vdev_set_file(self->fd, fd);
	close(fd);
	ASSERT_EQ(-1, umount(FS));
	EXPECT_EQ(EBUSY, errno);
	unlink(FS "/disk");
	disk_start(&self->d);
	EXPECT_TRUE(serves(&self->d));
	disk_stop(&self->d);
	EXPECT_EQ(-1, umount(FS));
	vdev_set_file(self->fd, -1);
	EXPECT_TRUE(unmounts());
}

TEST_F(abi, file_is_let_go_for_another)
{
	int fd = fs_file();

	vdev_set_file(self->fd, fd);
	close(fd);
	vdev_set_file(self->fd, self->d.check);
	EXPECT_TRUE(unmounts());
}

TEST_F(abi, reset_owner_lets_the_file_go)
{
	int fd = fs_file();

	vdev_set_file(self->fd, fd);
	close(fd);
	disk_start(&self->d);
	EXPECT_TRUE(serves(&self->d));
	vdev_reset_owner(self->fd);
	EXPECT_TRUE(unmounts());
	/* And there is none for the next owner. */
	rig_configure(&self->d.r);
	EXPECT_EQ(-ENODEV, __vdev_set_running(self->fd, 0, 1));
}

TEST_F(abi, close_lets_the_file_go)
{
	int fd = fs_file();

	vdev_set_file(self->fd, fd);
	close(fd);
	disk_start(&self->d);
	EXPECT_TRUE(serves(&self->d));
	close(self->fd);
	self->d.r.fd = -1;
	EXPECT_TRUE(unmounts());
}

/* ---- SET_CONFIG ---- */

static int try_config(FIXTURE_DATA(abi) *self, struct vkick_blk_config c)
{
	return __vdev_set_config(self->fd, &c);
}

TEST_F(abi, config_limits)
{
	struct vkick_blk_config c = self->d.config;
	u32 bit;

	EXPECT_EQ(0, try_config(self, c));
#define GOOD(field, value) do { struct vkick_blk_config g = c; g.field = value;	\
	EXPECT_EQ(0, try_config(self, g)) TH_LOG(#field " " #value); } while (0)
#define BAD(err, field, value) do { struct vkick_blk_config g = c; g.field = value; \
	EXPECT_EQ(-(err), try_config(self, g)) TH_LOG(#field " " #value); } while (0)
	GOOD(capacity, 0);
	GOOD(capacity, 1ULL << 54);
	BAD(EINVAL, capacity, (1ULL << 54) + 1);
	BAD(EINVAL, capacity, 1ULL << 63);
	BAD(EINVAL, capacity, ~0ULL);
	GOOD(seg_max, 1);
	GOOD(seg_max, VKICK_BLK_MAX_SEGS);
	BAD(EINVAL, seg_max, 0);
	BAD(EINVAL, seg_max, VKICK_BLK_MAX_SEGS + 1);
	BAD(EINVAL, seg_max, ~0U);
	GOOD(max_discard_seg, 0);
	GOOD(max_discard_seg, VKICK_BLK_MAX_RANGES);
	BAD(EINVAL, max_discard_seg, VKICK_BLK_MAX_RANGES + 1);
	BAD(EINVAL, max_discard_seg, ~0U);
	GOOD(max_write_zeroes_seg, 0);
	GOOD(max_write_zeroes_seg, VKICK_BLK_MAX_RANGES);
	BAD(EINVAL, max_write_zeroes_seg, VKICK_BLK_MAX_RANGES + 1);
	GOOD(max_discard_sectors, ~0U);
	GOOD(max_write_zeroes_sectors, ~0U);
	GOOD(flags, VKICK_BLK_READ_ONLY);
	GOOD(flags, VKICK_BLK_READ_ONLY | VKICK_BLK_WRITE_THROUGH);
	for (bit = 2; bit < 32; bit++)
		BAD(EOPNOTSUPP, flags, 1U << bit);
	for (bit = 0; bit < 32; bit++) {
		BAD(EOPNOTSUPP, reserved, 1U << bit);
		BAD(EOPNOTSUPP, reserved2, 1U << bit);
	}
}

TEST_F(abi, refused_config_changes_nothing)
{
	struct vkick_blk_config c = self->d.config;

	disk_start(&self->d);
	c.capacity = 0;
	c.reserved = 1;
	EXPECT_EQ(-EOPNOTSUPP, try_config(self, c));
	c.reserved = 0;
	c.seg_max = 0;
	EXPECT_EQ(-EINVAL, try_config(self, c));
	EXPECT_TRUE(serves(&self->d));
}

TEST_F(abi, config_may_be_set_at_any_time)
{
	int i;

	disk_start(&self->d);
	for (i = 0; i < 200; i++) {
		self->d.config.flags = i % 4;
		ASSERT_EQ(0, try_config(self, self->d.config));
		ASSERT_TRUE(serves(&self->d));
	}
}

/* ---- structs that start with their size ---- */

struct sized {
	unsigned long cmd;
	u32 full;
	u32 least;
};

static int call_sized(FIXTURE_DATA(abi) *self, const struct sized *s, u32 size, int set)
{
	static u8 arg[5000];
	struct vkick_blk_file f = { size, self->d.check };
	struct vkick_blk_config c = self->d.config;
	struct vkick_blk_pinned p = { size, 1 };

	memset(arg, 0, sizeof(arg));
	c.size = size;
	if (s->cmd == VKICK_BLK_SET_FILE)
		memcpy(arg, &f, sizeof(f));
	else if (s->cmd == VKICK_BLK_SET_PINNED)
		memcpy(arg, &p, sizeof(p));
	else
		memcpy(arg, &c, sizeof(c));
	if (set >= 0)
		arg[set] = 1;
	return __vdev_ioctl(self->fd, s->cmd, arg);
}

TEST_F(abi, structs_grow_as_all_do)
{
	static const struct sized calls[] = {
		{ VKICK_BLK_SET_FILE, sizeof(struct vkick_blk_file), 8 },
		{ VKICK_BLK_SET_CONFIG, sizeof(struct vkick_blk_config),
		  offsetof(struct vkick_blk_config, max_discard_seg) },
		{ VKICK_BLK_SET_PINNED, sizeof(struct vkick_blk_pinned), 8 },
	};
	int i;
	u32 size;

	for (i = 0; i < 3; i++) {
		const struct sized *s = &calls[i];

		for (size = 0; size < s->least; size++)
			EXPECT_EQ(-EINVAL, call_sized(self, s, size, -1)) TH_LOG("size %u", size);
		for (; size <= s->full + 100; size++)
			EXPECT_EQ(0, call_sized(self, s, size, -1)) TH_LOG("size %u", size);
		EXPECT_EQ(0, call_sized(self, s, 4096, -1));
		for (size = s->full; size < s->full + 100; size++)
			EXPECT_EQ(-E2BIG, call_sized(self, s, s->full + 100, size));
		EXPECT_EQ(-E2BIG, call_sized(self, s, 4097, -1));
		EXPECT_EQ(-E2BIG, call_sized(self, s, ~0U, -1));
		EXPECT_EQ(-EFAULT, __vdev_ioctl(self->fd, s->cmd, NULL));
		EXPECT_EQ(-EFAULT, __vdev_ioctl(self->fd, s->cmd, (void *)-4096L));
	}
}

/* What a shorter struct leaves out is zero: here, no discards and no serial. */
TEST_F(abi, short_config_is_filled_up_with_zeroes)
{
	struct sized s = { VKICK_BLK_SET_CONFIG, 0, 0 };

	disk_start(&self->d);
	EXPECT_EQ(VIRTIO_BLK_S_OK, disk_range(&self->d, VIRTIO_BLK_T_DISCARD, 0, 8, 0));
	EXPECT_EQ(0, call_sized(self, &s, offsetof(struct vkick_blk_config, max_discard_seg), -1));
	EXPECT_NE(VIRTIO_BLK_S_OK, disk_range(&self->d, VIRTIO_BLK_T_DISCARD, 0, 8, 0));
	EXPECT_TRUE(serves(&self->d));
}

/* ---- who may call ---- */

static struct vkick_blk_config any_config = { .size = sizeof(any_config), .seg_max = 1 };

static int child_set_file(void *fd)
{
	return __vdev_set_file(*(int *)fd, -1);
}

static int child_set_config(void *fd)
{
	return __vdev_set_config(*(int *)fd, &any_config);
}

static int child_set_pinned(void *fd)
{
	return __vdev_set_pinned(*(int *)fd, 1);
}

TEST_F(abi, pinned_is_0_or_1)
{
	EXPECT_EQ(0, __vdev_set_pinned(self->fd, 1));
	EXPECT_EQ(-EINVAL, __vdev_set_pinned(self->fd, 2));
	EXPECT_EQ(-EINVAL, __vdev_set_pinned(self->fd, ~0U));
	EXPECT_EQ(0, __vdev_set_pinned(self->fd, 0));
}

TEST_F(abi, another_process_is_eperm)
{
	EXPECT_EQ(-EPERM, in_child(child_set_pinned, &self->fd));
	EXPECT_EQ(-EPERM, in_child(child_set_file, &self->fd));
	EXPECT_EQ(-EPERM, in_child(child_set_config, &self->fd));
	disk_start(&self->d);
	EXPECT_TRUE(serves(&self->d));
}

TEST(without_an_owner_is_eperm)
{
	int fd = vdev_open("blk");

	EXPECT_EQ(-EPERM, child_set_file(&fd));
	EXPECT_EQ(-EPERM, child_set_config(&fd));
	EXPECT_EQ(-EPERM, child_set_pinned(&fd));
	vdev_set_owner(fd);
	EXPECT_EQ(0, child_set_file(&fd));
	EXPECT_EQ(0, child_set_config(&fd));
	vdev_reset_owner(fd);
	EXPECT_EQ(-EPERM, child_set_file(&fd));
	EXPECT_EQ(-EPERM, child_set_config(&fd));
	close(fd);
}

TEST(other_classes_are_enotty)
{
	static const char * const classes[] = { "null", "rng" };
	int i;

	for (i = 0; i < 2; i++) {
		int fd = vdev_open(classes[i]);

		vdev_set_owner(fd);
		EXPECT_EQ(-ENOTTY, child_set_file(&fd));
		EXPECT_EQ(-ENOTTY, child_set_config(&fd));
		EXPECT_EQ(-ENOTTY, child_set_pinned(&fd));
		close(fd);
	}
	i = vdev_open("blk");
	vdev_set_owner(i);
	EXPECT_EQ(-ENOTTY, __vdev_set_latency(i, 1));
	close(i);
}

TEST_HARNESS_MAIN
