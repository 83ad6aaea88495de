/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Standard input: the user's terminal, or whatever else it is.
 */
#ifndef TERMINAL_H
#define TERMINAL_H

#include "vmm.h"

/**
 * struct terminal_sink - where what is typed goes; main thread, without vm->lock
 * @room: bytes that it takes now
 * @put: takes so many
 */
struct terminal_sink {
	u32 (*room)(void);
	void (*put)(const u8 *buf, u32 bytes);
};

/*
 * From now on standard input goes to @sink; one that is a terminal is made raw. Ctrl-A x quits, Ctrl-A h tells of it.
 * One that is another job's is left alone for good.
 */
void terminal_open(struct vm *vm, const struct terminal_sink *sink);
/* The sink has room again. Any thread. */
void terminal_resume(void);
/* Whether standard input is a terminal. */
bool terminal_is_one(void);
/* Whether it is one, and the shell has us in the background. */
bool terminal_is_anothers(void);
/*
 * Makes it raw, if it is one. It is as it was at any end of the process, SIGKILL's too. Before there are threads.
 * Return: whether it is one
 */
bool terminal_make_raw(void);
/* Columns and rows of standard output's. Return: false: it is none */
bool terminal_size(u16 *cols, u16 *rows);

#endif
