/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The control socket's clients.
 */
#ifndef CTL_H
#define CTL_H

#include <jansson.h>

#include "vmm.h"

#define CTL_COMMANDS "status, stats, pause, resume, shutdown, reset, resize, link, switch, console or quit"

/* ---- ctl_client.c ------------------------------------------------------------- */

/* Return: a connection to a VM's control socket. die()s. */
int ctl_connect(const char *path);
/* Sends @request, whose reference it takes. Return: the reply, the caller's to drop. die()s. */
json_t *ctl_ask(int fd, json_t *request);
/* @args: the command and what belongs to it, NULL after the last. Return: exit status. */
int ctl_client(const char *path, char **args, int nr);

/* ---- ctl_console.c ------------------------------------------------------------ */

/* Attaches to the port of that name or number; NULL: the first one. Return: exit status. */
int ctl_console(const char *path, const char *name);

#endif
