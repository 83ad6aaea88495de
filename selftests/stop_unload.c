// SPDX-License-Identifier: GPL-2.0
/*
 * rmmod: refused while a device is open, and clean when none is.
 *
 * in:  the vkick module, loaded; LAB=1 and VKICK_KO, else all is skipped: the
 *      module of a machine that is not a lab is not ours to unload
 * out: the module loaded again
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>

#include "lib/hammer.h"
#include "lib/rig.h"

FIXTURE(unload)
{
	const char *ko;
};

FIXTURE_SETUP(unload)
{
	const char *lab = getenv("LAB");

	self->ko = getenv("VKICK_KO");
	if (!lab || strcmp(lab, "1") || !self->ko)
		SKIP(return, "needs LAB=1 and VKICK_KO");
}

static int unload(void)
{
	return syscall(SYS_delete_module, "vkick", O_NONBLOCK) ? -errno : 0;
}

static int load(const char *ko)
{
	int fd = open(ko, O_RDONLY | O_CLOEXEC), ret;

	CHECK(fd >= 0, "open %s", ko);
	ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret;
}

/* udev, or devtmpfs, makes the nodes. */
static void wait_for_node(void)
{
	struct deadline end = deadline_in(DEADLINE_MS);

	while (access("/dev/vkick-null", F_OK) || access("/dev/vkick-rng", F_OK))
		CHECK(!deadline_passed(&end), "no /dev/vkick-*");
}

FIXTURE_TEARDOWN(unload)
{
	int err = load(self->ko);

	EXPECT_TRUE(!err || err == -EEXIST);
	wait_for_node();
}

TEST_F(unload, refused_with_an_open_fd)
{
	int fd = vdev_open("null");

	/* EBUSY to the reader of rmmod; delete_module(2) spells it so. */
	EXPECT_EQ(-EWOULDBLOCK, unload());
	vdev_set_owner(fd);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(fd);
	EXPECT_EQ(0, unload());
	EXPECT_EQ(-1, access("/dev/vkick-null", F_OK));
}

TEST_F(unload, refused_under_load)
{
	struct rig_conf conf = { .class = "null", .num = 256 };
	struct hammer h = { 0 };
	struct rig r;
	int i;

	rig_open(&r, &conf);
	rig_start(&r);
	hammer_start(&h, &r.q[0], 64, 64);
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(-EWOULDBLOCK, unload());
	}
	hammer_wait(&h, 500);
	hammer_stop(&h);
	hammer_drain(&h);
	rig_close(&r);
	EXPECT_EQ(0, unload());
}

/* The close is the last that needs the code: the thread must be out of it. */
TEST_F(unload, at_once_after_a_close_under_load)
{
	int i;

	for (i = 0; i < 20; i++) {
		struct rig_conf conf = {
			.class = i % 2 ? "null" : "rng",
			.num = 256,
		};
		struct hammer h = { 0 };
		struct rig r;

		rig_open(&r, &conf);
		rig_start(&r);
		hammer_start(&h, &r.q[0], 64, 64);
		hammer_wait(&h, 100);
		close(r.fd);
		ASSERT_EQ(0, unload());
		hammer_stop(&h);
		ev_signal(r.q[0].kick);	/* nobody may listen any more */
		r.fd = -1;
		rig_close(&r);
		ASSERT_EQ(0, load(self->ko));
		wait_for_node();
	}
}

TEST_F(unload, at_once_after_the_owner_was_killed)
{
	struct rig_conf conf = { .class = "null", .num = 256 };
	int busy = ev_new();
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct hammer h = { 0 };
		struct rig r;

		rig_open(&r, &conf);
		rig_start(&r);
		hammer_start(&h, &r.q[0], 64, 64);
		hammer_wait(&h, 100);
		ev_signal(busy);
		for (;;)
			pause();
	}
	ASSERT_TRUE(ev_wait(busy, DEADLINE_MS));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_EQ(0, unload());
}

TEST_F(unload, hundred_times_in_a_row)
{
	int i;

	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, unload());
		ASSERT_EQ(0, load(self->ko));
	}
}

TEST_HARNESS_MAIN
