// SPDX-License-Identifier: GPL-2.0
/*
 * The sandbox: a guest that takes this process over is to find little that it can do with it.
 *
 * in:  --sandbox, --user; a process with all that it needs open
 * out: the same process, as another user, without capabilities, and with its files and system calls limited
 *
 * What was opened stays open, and what the module does for us it does as before: none of it is on the path of a request.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../console.h"
#include "../listen.h"
#include "../opts.h"
#include "../stats.h"
#include "sandbox.h"

/* The control socket, and those of a console. */
#define MAX_SOCKETS	(2 + OPTS_MAX_PORTS)

static struct {
	bool on;
	bool other_user;
	struct privileges_user user;
	uid_t uid;			/* who we are */
	gid_t gid;
	int landlock;			/* version of its ABI; below 0: there is none */
	char no_landlock[WHY_BYTES];	/* why */
} sandbox;

void sandbox_init(const struct opts *opts)
{
	sandbox.on = opts->sandbox;
	if (opts->user) {
		sandbox.other_user = true;
		privileges_find_user(&sandbox.user, opts->user);
	}
	if (sandbox.on)
		privileges_note_files();
}

/* Only a client of the control socket makes us open anything: its switch. */
static void enter_landlock(const struct opts *opts)
{
	char *dirs[MAX_SOCKETS];
	unsigned int nr = 0;

	while (nr < MAX_SOCKETS && (dirs[nr] = listen_directory(nr)))
		nr++;
	sandbox.landlock = landlock_enter(opts->ctl_path && opts->nr_devices, dirs, nr, sandbox.no_landlock);
	if (sandbox.landlock < 0)
		warn("--sandbox on: no Landlock: %s: files are protected by their permissions alone",
		     sandbox.no_landlock);
	while (nr)
		free(dirs[--nr]);
}

void sandbox_enter(struct vm *vm)
{
	const struct opts *opts = vm->opts;
	int err;

	if (sandbox.on) {
		privileges_close_files();
		privileges_limit();
	}
	if (sandbox.other_user) {
		/* Who the user is that vkick ctl is run by. */
		listen_give_away(sandbox.user.uid, sandbox.user.gid);
		console_give_away(sandbox.user.uid);
		privileges_become(&sandbox.user);
	}
	sandbox.uid = getuid();
	sandbox.gid = getgid();
	if (!sandbox.on)
		return;
	err = privileges_drop();
	if (err)
		die("--sandbox on: capabilities: %s: give --sandbox off", strerror(-err));
	enter_landlock(opts);
	err = seccomp_enter(THREAD_MAIN);
	if (err)
		die("--sandbox on: seccomp: %s: a kernel with CONFIG_SECCOMP_FILTER is needed, or --sandbox off",
		    strerror(-err));
	thread_start_maker();
}

json_t *sandbox_json(void)
{
	json_t *json = json_pack("{s:b, s:b, s:i, s:i}", "on", sandbox.on, "seccomp", sandbox.on,
				 "uid", (int)sandbox.uid, "gid", (int)sandbox.gid);

	if (sandbox.on && sandbox.landlock >= 0)
		json_object_set_new(json, "landlock", json_integer(sandbox.landlock));
	else
		json_object_set_new(json, "landlock", json_string(sandbox.on ? sandbox.no_landlock : "off"));
	return json;
}
