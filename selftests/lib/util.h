/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What every test needs: a loud way to die, deadlines, eventfds, /proc.
 *
 * in:  -
 * out: helpers that either do their job or abort the test with a message
 */
#ifndef SELFTEST_UTIL_H
#define SELFTEST_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/*
 * How long to wait for what must happen. Far above what any machine needs, since
 * it is only ever waited out by a test that fails.
 */
#define DEADLINE_MS	15000

/*
 * What is to happen at once: an owner that is killed is gone within a second, with all that
 * it had, wherever its threads wait. A machine that is emulated, and not alone on its
 * host, gets a few: what would really wait here waits for ever.
 */
#define GONE_MS		5000

/*
 * How long to watch for what must not happen. A test that relies on this alone
 * might miss a late event, so each also compares a counter.
 */
#define QUIET_MS	40

/* The harness reports SIGABRT as a failed assertion of this test. */
#define CHECK(cond, fmt, ...)						\
	do {								\
		if (!(cond))						\
			check_failed(__FILE__, __LINE__, #cond, fmt,	\
				     ##__VA_ARGS__);			\
	} while (0)

void check_failed(const char *file, int line, const char *cond,
		  const char *fmt, ...)
	__attribute__((noreturn, format(printf, 4, 5)));

u64 now_ns(void);

/**
 * struct deadline - a moment after which waiting is in vain
 */
struct deadline {
	u64 at_ns;
};

struct deadline deadline_in(int ms);
bool deadline_passed(const struct deadline *d);
/* Milliseconds left, rounded up; 0 if none. For poll(). */
int deadline_left_ms(const struct deadline *d);

/* Runs a command, which must succeed. */
void shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Eventfds, non-blocking. */
int ev_new(void);
void ev_signal(int fd);
/* Takes what is there: the number of signals since the last time, 0 if none. */
u64 ev_take(int fd);
/* Waits until there is a signal to take, and leaves it. */
bool ev_wait(int fd, int ms);

/*
 * The kernel's number of an eventfd: the lowest that is free when it is made. So
 * it climbs if references are leaked, which hold no file.
 */
int ev_id(int fd);

/* Entries of a /proc directory such as /proc/self/fd, without "." and "..". */
int proc_count(const char *dir);
/* The first number in a file. */
long proc_number(const char *file);
/* Threads anywhere on this machine whose name starts with @prefix. */
int proc_threads_named(const char *prefix);
/*
 * The same without those that exit, once there are @n, or else when waiting is in vain. Whoever
 * stopped a thread knows that before the thread has gone from its last word to its exit: a
 * few instructions, in which it runs. So one that sleeps was not stopped, and is not waited for:
 * a thread that outlives its stop is told from one that is late in /proc.
 */
int proc_threads_settle(const char *prefix, int n);

/*
 * Open files of this machine. The kernel keeps a part of the count by CPU, up to 32 either
 * way, and does not show it: so the difference of two may be off by 128 on two CPUs.
 */
long open_files(void);

/* The thread whose name starts with @prefix; there must be one. */
pid_t proc_thread(const char *prefix);
/* Context switches of a thread so far, voluntary and not. */
long proc_switches(pid_t tid);

/* The thread of exactly this name, anywhere on this machine; 0: none. */
pid_t proc_thread_called(const char *name);
/* Whether a thread is one of this process's. */
bool proc_thread_is_ours(pid_t tid);
/* What /proc/<tid>/stat says: R, S, D, ...; and the CPU it ran on last. */
char proc_state(pid_t tid);
int proc_cpu(pid_t tid);
/* CPU time of a thread so far. */
u64 proc_cpu_ns(pid_t tid);
/* This process gets the first CPU, and the thread the others, if there are any. */
void proc_keep_apart(pid_t tid);
/* The number behind "@label:" in a file such as /proc/meminfo. */
long proc_labelled(const char *file, const char *label);

/* Runs @fn in a child process; returns what it returned. */
int in_child(int (*fn)(void *arg), void *arg);

/* xorshift64: the same sequence for the same seed, on any machine. */
u64 prng(u64 *state);

#endif
