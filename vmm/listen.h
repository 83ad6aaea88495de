/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Unix sockets that the VMM listens on, and their names.
 */
#ifndef LISTEN_H
#define LISTEN_H

#include <sys/types.h>

#include "vmm.h"

/*
 * Listens at @path, in the place of a socket that a VMM left which was killed; the name goes as the process ends. @option
 * is what a message names it by, as "--ctl ". Return: the socket, which does not wait. die()s. Main thread.
 */
int listen_at(const char *option, const char *path, int backlog);
/* Has the sockets be a user's. die()s. */
void listen_give_away(uid_t uid, gid_t gid);
/* Return: the directory of the nth socket's name, the caller's to free, or NULL past the last. */
char *listen_directory(unsigned int n);

#endif
