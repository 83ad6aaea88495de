// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel datapath, over a module that is none: what it does when a call fails half-way.
 *
 * in:  a device of two queues, of which the module refuses to run the second
 * out: ioctls; what the class is told
 */
#include "../vmm/virtio.h"

#include "kselftest_harness.h"

#include "lib/util.h"

#include <errno.h>
#include <linux/vhost.h>
#include <linux/vkick.h>
#include <stdarg.h>
#include <unistd.h>

#define NR_QUEUES	2
#define SERVED		5	/* where queue 0 is when it is stopped */

int __wrap_ioctl(int fd, unsigned long request, ...);

static struct {
	bool runs[NR_QUEUES];
	bool refuses;
	u32 poll_us[NR_QUEUES];
	u32 stopped;		/* times that the class was told, with nothing running */
} fake;

static int set_running(const struct vkick_running *arg)
{
	if (arg->running && arg->index && fake.refuses) {
		errno = ENOMEM;
		return -1;
	}
	fake.runs[arg->index] = arg->running;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	struct vkick_info *info;
	va_list ap;
	void *arg;

	(void)fd;
	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	switch (request) {
	case VKICK_GET_INFO:
		info = arg;
		*info = (struct vkick_info) { .abi_version = VKICK_ABI_VERSION, .nvqs = NR_QUEUES, .max_queue_size = 256 };
		return 0;
	case VKICK_SET_RUNNING:
		return set_running(arg);
	case VHOST_SET_VRING_BUSYLOOP_TIMEOUT:
		fake.poll_us[((struct vhost_vring_state *)arg)->index] = ((struct vhost_vring_state *)arg)->num;
		return 0;
	case VHOST_GET_VRING_BASE:
		((struct vhost_vring_state *)arg)->num = SERVED;
		return 0;
	default:
		return 0;
	}
}

static void stopped(struct virtio_dev *dev, int fd)
{
	(void)dev, (void)fd;
	fake.stopped += !fake.runs[0] && !fake.runs[1];
}

static const struct virtio_class class = { .name = "test", .node = "/dev/null", .kernel_stopped = stopped };

TEST(start_that_fails_half_way_is_a_stop_of_what_was_started)
{
	struct virtio_dev dev = { .class = &class, .nr_queues = NR_QUEUES, .nr_served = NR_QUEUES, .nr_workers = 1 };
	struct datapath *dp;
	char why[WHY_BYTES];

	dev.ring[0].enabled = dev.ring[1].enabled = true;
	dp = datapath_kernel.open(&dev, why);
	ASSERT_NE(NULL, dp);
	fake.refuses = true;
	EXPECT_EQ(-ENOMEM, dp->ops->start(dp));
	EXPECT_FALSE(fake.runs[0]);
	EXPECT_EQ(SERVED, dev.ring[0].state);
	EXPECT_EQ(1, fake.stopped);
	fake.refuses = false;
	EXPECT_EQ(0, dp->ops->start(dp));
	EXPECT_TRUE(fake.runs[0] && fake.runs[1]);
	dp->ops->stop(dp);
	EXPECT_EQ(2, fake.stopped);
	dp->ops->close(dp);
}

TEST(every_queue_polls_for_as_long_as_the_device_was_told)
{
	struct virtio_dev dev = { .class = &class, .nr_queues = NR_QUEUES, .nr_served = NR_QUEUES, .nr_workers = 1, .poll_us = 200 };
	char why[WHY_BYTES];
	struct datapath *dp = datapath_kernel.open(&dev, why);

	ASSERT_NE(NULL, dp);
	EXPECT_EQ(200, fake.poll_us[0]);
	EXPECT_EQ(200, fake.poll_us[1]);
	dp->ops->close(dp);
}

TEST_HARNESS_MAIN
