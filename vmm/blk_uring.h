/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The user datapath of disks, between its files.
 *
 *	blk_uring.c	datapath_ops: start, stop, counters
 *	blk_thread.c	a thread: kicks, passes over its queues, waiting, polling
 *	blk_sqe.c	a request's steps as io_uring submissions, and completions
 *	blk_restrict.c	what the io_uring may be used for
 *	blk_sync.c	which flushes are one
 *	blk_discard.c	a step that io_uring does not have
 *	blk_back.c	requests that come back from another thread
 *	blk_req.c	the virtio-blk protocol
 *
 * A queue belongs to one thread, a thread has one io_uring, and both have no lock: what
 * they hold is touched by start and stop, with no thread there, and by the thread. But
 * for struct blk_discard, struct blk_sync and struct blk_back, which have their own.
 *
 * Everything that a thread waits for is a completion in its ring: kicks and the stop
 * (polls of the eventfds), and I/O. So there is one wait, one system call that also
 * submits all that the last pass over the queues gave rise to.
 */
#ifndef BLK_URING_H
#define BLK_URING_H

#include <liburing.h>

#include "blk_req.h"
#include "latency.h"
#include "queue_count.h"
#include "virtio.h"
#include "vring_coalesce.h"
#include "vring_poll.h"

/* Of a pass over a queue; then the others, completions and a stop have their turn. */
#define BLK_BUDGET		256
#define BLK_BUDGET_BYTES	MIB

/* Data that O_DIRECT does not take as they lie bounce: a thread's chunks for that. */
#define BLK_NR_CHUNKS		4
#define BLK_CHUNK_BYTES		(128 * KIB)

struct blk_thread;

/**
 * struct blk_queue - one queue
 * @served: it was started; the thread's, from start to stop
 * @leaving: it is to be served no more; see blk_thread.c
 * @watching: the thread waits for its kicks, which it does for good
 * @broken: nothing more is popped; @told: and the main thread knows
 * @runnable: there may be something to do
 * @watched: notifications are off, and the thread polls
 * @pushed: used elements since the last decision on a call
 * @free: @nr_free requests, a stack
 * @in_flight: requests that were begun before the last pass, and were not done by then
 */
struct blk_queue {
	struct vring_dev ring;
	const struct datapath_queue *r;
	unsigned int index;
	bool served;
	bool leaving;
	bool watching;
	bool broken;
	bool told;
	bool runnable;
	bool watched;
	bool pushed;
	struct blk_req **free;
	u32 nr_free;
	u32 in_flight;
	void *requests;
	struct queue_count n;
	struct vring_coalesce held;
	struct vring_latency latency;
};

/* Requests that are done, by the thread that serves it. */
static inline u64 blk_nr_used(const struct blk_queue *q)
{
	return atomic_load_explicit(&q->n.requests, memory_order_relaxed);
}

struct blk_list {
	struct blk_req *first;
	struct blk_req **end;
};

static inline void blk_append(struct blk_list *l, struct blk_req *r)
{
	r->next = NULL;
	*l->end = r;
	l->end = &r->next;
}

/* Return: the first, or NULL. */
static inline struct blk_req *blk_take(struct blk_list *l)
{
	struct blk_req *r = l->first;

	if (!r)
		return NULL;
	l->first = r->next;
	if (!l->first)
		l->end = &l->first;
	return r;
}

/* Requests that another thread did a step of, which signals @fd. */
struct blk_back {
	pthread_mutex_t lock;
	struct blk_list list;
	int fd;
};

/**
 * struct blk_thread - serves queues @first, @first + u->nr_threads, ...
 * @made: the thread is there, from prepare to release; @started: and serves
 * @leave: at the next @go it ends
 * @order: what the next signal of @stop_fd means: BLK_ORDER_*, for queue @order_queue
 * @done: that order, but for a stop, has been carried out
 * @parting: the queue that it has been told to leave, until it has
 * @parked: it waits for @go, and touches nothing of the queues'
 * @in_flight: requests popped and not pushed
 * @fixed_file: the backend is registered, as it was opened for either purpose
 * @fixed_bufs: guest memory is registered, in buffers of 2^@buf_shift bytes
 * @chunks: of which @nr_chunks are free
 * @no_chunk: requests that wait for one
 * @no_sqe: requests that wait for room in the ring
 * @back: requests that come back
 * @copied_bytes: in this pass, of a disk in memory
 * @window_ns: how long to poll, see blk_thread.c
 * @idle_since: when there was nothing left to do; 0 while there is
 */
struct blk_thread {
	struct blk_uring *u;
	unsigned int first;
	bool made;
	bool started;
	bool stopping;
	bool leave;
	pthread_t thread;
	sem_t go;
	sem_t parked;
	_Atomic u32 order;
	unsigned int order_queue;
	struct blk_queue *parting;
	sem_t done;
	int stop_fd;
	u32 in_flight;
	struct io_uring ring;
	bool fixed_file;
	bool fixed_bufs;
	u32 buf_shift;
	void *chunks[BLK_NR_CHUNKS];
	u32 nr_chunks;
	struct blk_list no_chunk;
	struct blk_list no_sqe;
	struct blk_back back;
	u64 copied_bytes;
	u64 window_ns;
	u64 idle_since;
	struct blk_view view;
};

enum { BLK_ORDER_STOP, BLK_ORDER_QUEUE_START, BLK_ORDER_QUEUE_STOP };

/* The discard thread, if there is one: of the device, from start to stop. */
struct blk_discard {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	bool started;
	bool stop;
	struct blk_list todo;
};

/**
 * struct blk_sync - flushes of the disk
 * @busy: one is under way, whose result those of @round share; @next share the one after it
 */
struct blk_sync {
	pthread_mutex_t lock;
	bool busy;
	struct blk_list round;
	struct blk_list next;
};

/* @in_memory: the file's data have no other place, so that I/O does not block */
struct blk_uring {
	struct datapath dp;
	const struct blk_disk *disk;
	bool in_memory;
	unsigned int nr_threads;
	struct blk_thread *threads;
	struct blk_discard discard;
	struct blk_sync sync;
	struct blk_queue q[VIRTIO_MAX_QUEUES];
};

static inline unsigned int blk_nr_queues(const struct blk_uring *u)
{
	return u->dp.dev->nr_queues;
}

/* What a completion is of: a request's address, or one of these, odd. */
#define BLK_TAG_STOP		1UL
#define BLK_TAG_BACK		5UL
#define BLK_TAG_KICK(i)		(3UL | (u64)(i) << 2)
#define BLK_TAG_IS_KICK(tag)	(((tag) & 3) == 3)
#define BLK_TAG_QUEUE(tag)	((tag) >> 2)

/* ---- blk_thread.c ------------------------------------------------------------------- */

/* The thread's function. */
void *blk_thread_run(void *arg);

/* ---- blk_sqe.c: the thread, but for the first two ------------------------------------ */

/* Return: 0, or -errno with nothing left behind. */
int blk_sqe_open(struct blk_thread *t, u32 nr_requests);
void blk_sqe_close(struct blk_thread *t);
/* The thread's own part of the two: the ring is its alone. */
void blk_sqe_enter(struct blk_thread *t);
void blk_sqe_leave(struct blk_thread *t);
/* A request's next step, until it has one to wait for; or its end. */
void blk_sqe_start(struct blk_thread *t, struct blk_req *r);
/* A step ended. */
void blk_sqe_result(struct blk_thread *t, struct blk_req *r, int res);
/* Those that had to wait for room. Return: true if some still do. */
bool blk_sqe_retry(struct blk_thread *t);
/* Waits for a signal of an eventfd, again and again. */
void blk_sqe_watch(struct blk_thread *t, int fd, u64 tag);
/* Submits what there is. With @wait, returns with at least one completion. */
void blk_sqe_submit(struct blk_thread *t, bool wait);
/* Whether there are completions to take. */
bool blk_sqe_ready(struct blk_thread *t);

/* ---- blk_restrict.c: before blk_sqe_enter() -------------------------------------------- */

/* Return: 0 or -errno. */
int blk_restrict(struct blk_thread *t);

/* ---- blk_discard.c -------------------------------------------------------------------- */

void blk_discard_init(struct blk_uring *u);
/* Before and after all threads. Return: 0 or -errno. */
int blk_discard_open(struct blk_uring *u);
void blk_discard_close(struct blk_uring *u);
/* The thread's: a request goes there. */
void blk_discard_start(struct blk_thread *t, struct blk_req *r);

/* ---- blk_sync.c ------------------------------------------------------------------------ */

void blk_sync_init(struct blk_uring *u);
/* Before a BLK_SYNC. Return: whether @t is to submit it; else it comes back with its result, or to lead. */
bool blk_sync_leads(struct blk_thread *t, struct blk_req *r);
/* What the host said to @r's leader, or to @r, is this for @r. */
int blk_sync_result(const struct blk_req *r, int res);
/* The one that led is over, with @res of the host's. */
void blk_sync_end(struct blk_thread *t, struct blk_req *leader, int res);

/* ---- blk_back.c ------------------------------------------------------------------------ */

/* fd -1: errno says why. */
void blk_back_init(struct blk_back *b);
/* Any thread, once. */
void blk_back_give(struct blk_req *r);
/* The request's own thread goes on with what came back. */
void blk_back_take(struct blk_thread *t);

#endif
