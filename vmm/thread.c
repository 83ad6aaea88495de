// SPDX-License-Identifier: GPL-2.0
/*
 * Starts threads, each in the sandbox of its kind.
 *
 * in:  a kind, a name, a function
 * out: a thread that has both, and a small stack
 *
 * The maker. A guest's driver makes a vCPU's thread start and stop datapaths, and the user's have threads. A vCPU's is the
 * thread next to the guest, so it is not to be able to start any, nor to set up an io_uring, which goes around its filter, nor to give
 * the guest memory.
 * It has that done by one that no guest talks to.
 */
#include <errno.h>
#include <string.h>

#include "vmm.h"

/* Of a thread that starts; on the stack of who starts it. */
struct start {
	enum thread_kind kind;
	const char *name;
	void *(*run)(void *);
	void *arg;
	sem_t entered;
	int err;
};

static struct {
	bool started;		/* once, before the threads that ask for it */
	pthread_t thread;
	pthread_mutex_t callers;	/* one at a time */
	sem_t called, returned;
	int (*call)(void *arg);
	void *arg;
	int ret;
} maker = { .callers = PTHREAD_MUTEX_INITIALIZER };

void thread_await(sem_t *sem)
{
	while (sem_wait(sem))
		;	/* interrupted */
}

static void *enter(void *arg)
{
	struct start *s = arg;
	void *(*run)(void *) = s->run;
	void *run_arg = s->arg;
	int err;

	pthread_setname_np(pthread_self(), s->name);
	err = s->err = seccomp_enter(s->kind);
	sem_post(&s->entered);	/* and *s is no more */
	return err ? NULL : run(run_arg);
}

int thread_start(pthread_t *thread, enum thread_kind kind, const char *name,
		 void *(*run)(void *), void *arg)
{
	struct start s = { .kind = kind, .name = name, .run = run, .arg = arg };
	pthread_attr_t attr;
	int err;

	sem_init(&s.entered, 0, 0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
	err = -pthread_create(thread, &attr, enter, &s);
	pthread_attr_destroy(&attr);
	if (err)
		return err;
	thread_await(&s.entered);
	if (s.err)
		pthread_join(*thread, NULL);
	return s.err;
}

static void *make(void *arg)
{
	(void)arg;
	for (;;) {
		thread_await(&maker.called);
		maker.ret = maker.call(maker.arg);
		sem_post(&maker.returned);
	}
	return NULL;
}

int thread_call(int (*call)(void *arg), void *arg)
{
	int ret;

	if (!maker.started)
		return call(arg);
	pthread_mutex_lock(&maker.callers);
	maker.call = call;
	maker.arg = arg;
	sem_post(&maker.called);
	thread_await(&maker.returned);
	ret = maker.ret;
	pthread_mutex_unlock(&maker.callers);
	return ret;
}

void thread_start_maker(void)
{
	int err;

	sem_init(&maker.called, 0, 0);
	sem_init(&maker.returned, 0, 0);
	err = thread_start(&maker.thread, THREAD_MAKER, "vkick-threads", make, NULL);
	if (err)
		die("--sandbox on: the thread that makes threads: %s", strerror(-err));
	maker.started = true;
}
