// SPDX-License-Identifier: GPL-2.0
/*
 * The rules that hold for every ioctl alike: who may call, which index, which
 * address.
 *
 * in:  /dev/vkick-null
 * out: EPERM, ENOBUFS, EFAULT, ENOTTY where <linux/vkick.h> says so
 */
#include "kselftest_harness.h"

#include <sys/ioctl.h>

#include "lib/rig.h"

/* Each with an argument that a fresh, owned device takes. */
#define DEVICE_CALLS(X)						\
	X(set_features, VHOST_SET_FEATURES)			\
	X(set_backend_features, VHOST_SET_BACKEND_FEATURES)	\
	X(set_mem_table, VHOST_SET_MEM_TABLE)			\
	X(set_log_fd, VHOST_SET_LOG_FD)				\
	X(new_worker, VHOST_NEW_WORKER)

#define QUEUE_CALLS(X)						\
	X(set_vring_num, VHOST_SET_VRING_NUM)			\
	X(set_vring_base, VHOST_SET_VRING_BASE)			\
	X(get_vring_base, VHOST_GET_VRING_BASE)			\
	X(set_vring_addr, VHOST_SET_VRING_ADDR)			\
	X(set_vring_kick, VHOST_SET_VRING_KICK)			\
	X(set_vring_call, VHOST_SET_VRING_CALL)			\
	X(set_vring_err, VHOST_SET_VRING_ERR)			\
	X(set_busyloop, VHOST_SET_VRING_BUSYLOOP_TIMEOUT)	\
	X(get_busyloop, VHOST_GET_VRING_BUSYLOOP_TIMEOUT)	\
	X(attach_worker, VHOST_ATTACH_VRING_WORKER)		\
	X(get_worker, VHOST_GET_VRING_WORKER)			\
	X(set_running, VKICK_SET_RUNNING)			\
	X(get_stats, VKICK_GET_STATS)

union call_arg {
	u64 features;
	struct vhost_memory mem;
	struct vhost_vring_state state;
	struct vhost_vring_file file;
	struct vhost_vring_addr addr;
	struct vhost_vring_worker worker;
	int log_fd;
	struct vkick_running running;
	struct vkick_stats stats;
};

struct call {
	int fd;
	unsigned long cmd;
	u32 index;
};

static int make_call(const struct call *c)
{
	union call_arg a;

	memset(&a, 0, sizeof(a));
	switch (c->cmd) {
	case VHOST_SET_VRING_NUM:
		a.state.num = 8;
		break;
	case VHOST_SET_VRING_KICK:
	case VHOST_SET_VRING_CALL:
	case VHOST_SET_VRING_ERR:
		a.file.fd = VHOST_FILE_UNBIND;
		break;
	case VKICK_SET_RUNNING:
		a.running.size = sizeof(a.running);
		a.running.index = c->index;
		break;
	case VKICK_GET_STATS:
		a.stats.size = sizeof(a.stats);
		a.stats.index = c->index;
		break;
	}
	if (c->cmd != VKICK_SET_RUNNING && c->cmd != VKICK_GET_STATS)
		a.state.index = c->index;
	if (c->cmd == VHOST_SET_FEATURES || c->cmd == VHOST_SET_BACKEND_FEATURES ||
	    c->cmd == VHOST_SET_MEM_TABLE)
		memset(&a, 0, sizeof(a));
	if (c->cmd == VHOST_SET_LOG_FD)
		a.log_fd = VHOST_FILE_UNBIND;
	return __vdev_ioctl(c->fd, c->cmd, &a);
}

static int call_in_child(void *arg)
{
	return make_call(arg);
}

/* A page that is not mapped. */
static void *unmapped(void)
{
	void *p = mmap(NULL, GMEM_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	CHECK(p != MAP_FAILED, "mmap");
	munmap(p, GMEM_PAGE);
	return p;
}

/* ---- calls that only the owner may make ---- */

FIXTURE(owner_call)
{
	struct call call;
};

FIXTURE_VARIANT(owner_call)
{
	unsigned long cmd;
};

#define OWNER_VARIANT(_name, _cmd) \
	FIXTURE_VARIANT_ADD(owner_call, _name) { .cmd = _cmd };
DEVICE_CALLS(OWNER_VARIANT)
QUEUE_CALLS(OWNER_VARIANT)

FIXTURE_SETUP(owner_call)
{
	self->call = (struct call) {
		.fd = vdev_open("null"),
		.cmd = variant->cmd,
	};
}

FIXTURE_TEARDOWN(owner_call)
{
	close(self->call.fd);
}

TEST_F(owner_call, before_set_owner_is_eperm)
{
	EXPECT_EQ(-EPERM, make_call(&self->call));
	/* The same call is a good one once there is an owner. */
	vdev_set_owner(self->call.fd);
	EXPECT_EQ(0, make_call(&self->call));
}

TEST_F(owner_call, after_reset_owner_is_eperm)
{
	vdev_set_owner(self->call.fd);
	vdev_reset_owner(self->call.fd);
	EXPECT_EQ(-EPERM, make_call(&self->call));
}

TEST_F(owner_call, from_another_process_is_eperm)
{
	vdev_set_owner(self->call.fd);
	EXPECT_EQ(-EPERM, in_child(call_in_child, &self->call));
	EXPECT_EQ(0, make_call(&self->call));
}

TEST_F(owner_call, unmapped_argument_is_efault)
{
	vdev_set_owner(self->call.fd);
	EXPECT_EQ(-EFAULT, __vdev_ioctl(self->call.fd, variant->cmd, NULL));
	EXPECT_EQ(-EFAULT, __vdev_ioctl(self->call.fd, variant->cmd,
					unmapped()));
	EXPECT_EQ(-EFAULT, __vdev_ioctl(self->call.fd, variant->cmd,
					(void *)-4096L));
}

/* ---- calls that name a queue ---- */

FIXTURE(queue_call)
{
	struct call call;
	u32 nvqs;
};

FIXTURE_VARIANT(queue_call)
{
	unsigned long cmd;
};

#define QUEUE_VARIANT(_name, _cmd) \
	FIXTURE_VARIANT_ADD(queue_call, _name) { .cmd = _cmd };
QUEUE_CALLS(QUEUE_VARIANT)

FIXTURE_SETUP(queue_call)
{
	self->call = (struct call) {
		.fd = vdev_open("null"),
		.cmd = variant->cmd,
	};
	self->nvqs = vdev_get_info(self->call.fd).nvqs;
	vdev_set_owner(self->call.fd);
}

FIXTURE_TEARDOWN(queue_call)
{
	close(self->call.fd);
}

TEST_F(queue_call, each_index_below_nvqs_is_good)
{
	for (self->call.index = 0; self->call.index < self->nvqs;
	     self->call.index++)
		EXPECT_EQ(0, make_call(&self->call));
}

TEST_F(queue_call, index_from_nvqs_up_is_enobufs)
{
	/* VKICK_SET_RUNNING has a use for 2^32 - 1. */
	u32 bad[] = { self->nvqs, self->nvqs + 1, 255, 256, 65535, 65536,
		      0x7fffffff, 0x80000000, 0xfffffffe };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		self->call.index = bad[i];
		EXPECT_EQ(-ENOBUFS, make_call(&self->call))
			TH_LOG("index %u", bad[i]);
	}
	if (variant->cmd == VKICK_SET_RUNNING)
		return;
	self->call.index = 0xffffffff;
	EXPECT_EQ(-ENOBUFS, make_call(&self->call));
}

/* ---- what is no ioctl of ours ---- */

TEST(unknown_ioctl_is_enotty)
{
	static const unsigned long cmds[] = {
		_IO(VHOST_VIRTIO, 0xff),
		_IOW(VHOST_VIRTIO, 0x70, u64),
		VHOST_NET_SET_BACKEND,
		VHOST_VSOCK_SET_GUEST_CID,
		/* A known number with another size or direction is another call. */
		_IOW(VHOST_VIRTIO, 0x10, u64[4]),
		_IO(VHOST_VIRTIO, 0x10),
		_IO(VKICK_IOCTL_TYPE, 0xff),
		_IO(VKICK_IOCTL_TYPE, 0x01),
		TCGETS,
		0,
		~0U,
	};
	u8 arg[256] = { 0 };
	int fd = vdev_open("null");
	size_t i;

	vdev_set_owner(fd);
	for (i = 0; i < sizeof(cmds) / sizeof(cmds[0]); i++) {
		EXPECT_EQ(-ENOTTY, __vdev_ioctl(fd, cmds[i], arg))
			TH_LOG("0x%lx", cmds[i]);
	}
}

TEST(device_cannot_be_read_written_or_mapped)
{
	int fd = vdev_open("null");
	char c = 0;

	EXPECT_EQ(-1, read(fd, &c, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(fd, &c, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, GMEM_PAGE, PROT_READ, MAP_SHARED, fd, 0));
	EXPECT_EQ(ENODEV, errno);
}

TEST_HARNESS_MAIN
