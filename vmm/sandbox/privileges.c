// SPDX-License-Identifier: GPL-2.0
/*
 * What the process may do by who it is: its user, its capabilities, the files that it was handed.
 *
 * in:  --user; what was inherited
 * out: a process without any of it
 *
 * The sets of capabilities and no_new_privs are the calling thread's, and those's that it makes. There is no other yet.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../opts.h"
#include "sandbox.h"

/* ---- Files ------------------------------------------------------------------- */

static int *inherited;
static unsigned int nr_inherited;

/* An option may name one of them, as /dev/fd/63: so they are closed when all that is named is open. */
void privileges_note_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	if (!dir)
		die("--sandbox on: /proc/self/fd: %s: mount /proc, or give --sandbox off", strerror(errno));
	while ((entry = readdir(dir))) {
		char *end;
		u64 fd = opts_number(entry->d_name, &end);

		if (end == entry->d_name || fd <= STDERR_FILENO || (int)fd == dirfd(dir))
			continue;
		inherited = reallocarray(inherited, nr_inherited + 1, sizeof(*inherited));
		if (!inherited)
			die("--sandbox on: out of memory");
		inherited[nr_inherited++] = fd;
	}
	closedir(dir);
}

void privileges_close_files(void)
{
	while (nr_inherited)
		close(inherited[--nr_inherited]);
	free(inherited);
	inherited = NULL;
}

/* ---- The user ------------------------------------------------------------------ */

/* Return: whether @s is a number that fits. */
static bool id_of(const char *s, u32 *id)
{
	char *end;
	u64 n = opts_number(s, &end);

	*id = n;
	return end != s && !*end && !errno && n < UINT32_MAX;	/* -1 is nobody */
}

static gid_t find_group(const char *spec, const char *name)
{
	const struct group *g;
	gid_t gid;

	if (id_of(name, &gid))
		return gid;
	g = getgrnam(name);
	if (!g)
		die_usage("--user %s: no group %s: give one, or a number", spec, name);
	return g->gr_gid;
}

void privileges_find_user(struct privileges_user *user, const char *spec)
{
	char *name = strdup(spec), *group = name ? strchr(name, ':') : NULL;
	const struct passwd *pw;

	if (!name)
		die("--user: out of memory");
	if (group)
		*group++ = 0;
	pw = id_of(name, &user->uid) ? getpwuid(user->uid) : getpwnam(name);
	if (!pw && !id_of(name, &user->uid))
		die_usage("--user %s: no user %s: give one, or a number", spec, name);
	if (!pw && !group)
		die_usage("--user %s: it has no group: give UID:GID", spec);
	if (pw) {
		user->uid = pw->pw_uid;
		user->gid = pw->pw_gid;
		user->name = strdup(pw->pw_name);
		if (!user->name)
			die("--user: out of memory");
	}
	if (group)
		user->gid = find_group(spec, group);
	free(name);
}

static bool is_user(const struct privileges_user *user)
{
	uid_t uid[3];
	gid_t gid[3];

	return !getresuid(&uid[0], &uid[1], &uid[2]) && !getresgid(&gid[0], &gid[1], &gid[2]) &&
	       uid[0] == user->uid && uid[1] == user->uid && uid[2] == user->uid &&
	       gid[0] == user->gid && gid[1] == user->gid && gid[2] == user->gid;
}

void privileges_become(const struct privileges_user *user)
{
	/* Then it has the groups that it has. */
	if (is_user(user))
		return;
	if ((user->name ? initgroups(user->name, user->gid) : setgroups(0, NULL)) ||
	    setresgid(user->gid, user->gid, user->gid) || setresuid(user->uid, user->uid, user->uid))
		die("--user: user %u, group %u: %s: start vkick as root, or leave it out",
		    user->uid, user->gid, strerror(errno));
}

/* ---- Capabilities ---------------------------------------------------------------- */

void privileges_limit(void)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	unsigned int cap = 0;

	/* Who may lock any memory (CAP_IPC_LOCK) still may: io_uring counts guest memory that it pins. */
	setrlimit(RLIMIT_MEMLOCK, &limit);
	/* Needs CAP_SETPCAP; who has not that has nothing that a program could give back. */
	while (!prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
		cap++;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(__NR_capset, &head, none) ? -errno : 0;
}

int privileges_drop(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return drop_capabilities();
}
