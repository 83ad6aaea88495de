/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The sandbox, between its files.
 *
 *	sandbox.c	what is done when; what the control socket says of it
 *	privileges.c	user, capabilities, files that were inherited
 *	landlock.c	which files may still be opened
 *	seccomp.c	which system calls a thread may still make
 *	calls.c		the lists of these, with why
 *	generate.c	a program that libseccomp makes filters of the lists with, when vkick is built
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <sys/types.h>

#include "../vmm.h"

/* ---- privileges.c: main thread; all but the last may die() ------------------- */

/**
 * struct privileges_user - who to become
 * @name: of the user, for its supplementary groups; NULL: none, or not to be changed
 */
struct privileges_user {
	const char *name;
	uid_t uid;
	gid_t gid;
};

/* NAME or UID, then :GROUP or not. */
void privileges_find_user(struct privileges_user *user, const char *spec);
/* What was inherited: before anything is opened. */
void privileges_note_files(void);
void privileges_close_files(void);
/* The bounding set, and a limit that takes the place of a capability: what takes privileges itself. */
void privileges_limit(void);
void privileges_become(const struct privileges_user *user);
/* Capabilities, now and for ever; and no way to new ones. Return: 0 or -errno. */
int privileges_drop(void);

/* ---- landlock.c: main thread ------------------------------------------------- */

/*
 * From now on this thread, and those that it makes, open nothing but devices, if @devices, and remove nothing but what
 * is beneath the @nr directories @dirs. Return: the version of the ABI, or -1 with one line in @why, and nothing changed.
 */
int landlock_enter(bool devices, char *const *dirs, unsigned int nr, char *why);

/* ---- calls.c --------------------------------------------------------------------- */

/**
 * struct sandbox_call - a system call that threads of a kind may make
 * @nr: __NR_*; -1 ends the list
 * @checked: only if argument @arg has @value in the bits of @mask
 * @error: it fails with that, and does nothing; 0: it is let through
 */
struct sandbox_call {
	int nr;
	bool checked;
	u8 arg;
	u64 mask;
	u64 value;
	int error;
};

/**
 * struct sandbox_kind - a kind of thread
 * @calls: its own; what all kinds may do is in sandbox_common
 * @heirs: kinds of threads that it makes, as bits: a filter is inherited, so theirs must pass it as well
 */
struct sandbox_kind {
	const char *name;
	const struct sandbox_call *calls;
	u32 heirs;
};

/* What a vCPU's thread is allowed: it is nearest to the guest. */
#define SANDBOX_MAX_VCPU_CALLS	30

extern const struct sandbox_call sandbox_common[];
extern const struct sandbox_kind sandbox_kinds[NR_THREAD_KINDS];

/* Calls @act for each call that a thread of @kind is allowed; a call may come more than once. */
void sandbox_each_call(enum thread_kind kind, void (*act)(const struct sandbox_call *call, void *arg), void *arg);

#endif
