// SPDX-License-Identifier: GPL-2.0
/*
 * Takes the file system away (landlock(7)), but for what is opened or removed late.
 *
 * in:  what that is
 * out: everything else denied: EACCES
 *
 * What was opened before is as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox.h"

/* As of version 6 of the ABI: the build's kernel headers may be older, and kernels too. */
struct ruleset {
	u64 fs;
	u64 net;
	u64 scoped;
};

#define FS_IOCTL_DEV	(1UL << 15)

/* Rights that there are, by the version that they came with. */
#define FS_OF_1		((1UL << 13) - 1)
#define FS_OF_2		(1UL << 13)
#define FS_OF_3		(1UL << 14)
#define NET_OF_4	3UL
#define FS_OF_5		FS_IOCTL_DEV
#define SCOPED_OF_6	3UL

static struct ruleset all_of(int version)
{
	return (struct ruleset) {
		.fs = FS_OF_1 | (version >= 2 ? FS_OF_2 : 0) | (version >= 3 ? FS_OF_3 : 0) |
		      (version >= 5 ? FS_OF_5 : 0),
		.net = version >= 4 ? NET_OF_4 : 0,
		.scoped = version >= 6 ? SCOPED_OF_6 : 0,
	};
}

static int allow(int ruleset, const char *dir, u64 access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access };
	int err;

	rule.parent_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return -errno;
	err = syscall(__NR_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) ? -errno : 0;
	close(rule.parent_fd);
	return err;
}

int landlock_enter(bool devices, char *const *dirs, unsigned int nr, char *why)
{
	int version = syscall(__NR_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset rules;
	int fd, err = 0;

	if (version < 0)
		return explain(why, "%s", errno == ENOSYS ? "not in this kernel" :
			       errno == EOPNOTSUPP ? "not enabled (lsm=)" : strerror(errno));
	rules = all_of(version);
	/* Older kernels take more bytes than they know if these are 0. */
	fd = syscall(__NR_landlock_create_ruleset, &rules, sizeof(rules), 0);
	if (fd < 0)
		return explain(why, "%s", strerror(errno));
	/* Nodes come and go with the module, so it cannot be by their names. */
	if (devices)
		err = allow(fd, "/dev", rules.fs & (LANDLOCK_ACCESS_FS_READ_FILE |
						    LANDLOCK_ACCESS_FS_WRITE_FILE | FS_IOCTL_DEV));
	while (nr && !err)
		err = allow(fd, dirs[--nr], LANDLOCK_ACCESS_FS_REMOVE_FILE);
	if (!err && syscall(__NR_landlock_restrict_self, fd, 0))
		err = -errno;
	close(fd);
	return err ? explain(why, "%s", strerror(-err)) : version;
}
