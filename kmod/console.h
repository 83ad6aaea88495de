/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The console class: ports of a guest's console, each between two queues and two files
 * of the host's.
 *
 *	console.c	the class: which queues are of which port, VKICK_CONSOLE_SET_PORT
 *	console_end.c	files: which ones will do, their readiness, reads and writes
 *	console_io.c	bytes between a queue and its file
 *
 * Objects and lifetimes. A port has two ends, one for each queue: what the driver writes
 * goes to the file of the one, what it reads comes from that of the other. An end is made
 * by VKICK_CONSOLE_SET_PORT and ended by the next one, or as the owner goes or dies; until
 * then it changes only while the queue is stopped. It holds its file, and so the wait
 * queues that it is on.
 *
 * No file is waited for by the worker. One that is not ready wakes its queue when it is:
 *
 *	worker				who reads, writes or hangs up
 *	store waits			store a byte (free room)
 *	mb			(F)	mb			(F)
 *	look whether it is ready	load waits
 *
 * Either the worker sees that it is ready, or the other sees that it is waited for.
 */
#ifndef VK_CONSOLE_H
#define VK_CONSOLE_H

#include <linux/workqueue.h>

#include "vkick.h"

#define VK_CONSOLE_QUEUES	(2 * (VKICK_CONSOLE_MAX_PORTS + 1))

/* Wait queues of one file: a tty has two. */
#define VK_CONSOLE_MAX_WAITS	2

struct vk_console_end;

/**
 * struct vk_console_wait - an end, on one wait queue of its file
 * @end: the end
 * @wqh: the wait queue; NULL: unused
 * @entry: on it
 */
struct vk_console_wait {
	struct vk_console_end *end;
	wait_queue_head_t *wqh;
	wait_queue_entry_t entry;
};

/**
 * struct vk_console_end - what a queue reads from or writes to
 * @q: the queue
 * @file: NULL: nothing to read, nowhere to write to
 * @cred: of who set the port
 * @event: signalled when the file has ended or failed; NULL: nobody asks
 * @events: of the file's that the queue waits for
 * @wait: where it waits
 * @too_many: the file has more wait queues than that
 * @pt: used at attachment alone
 * @waits: [A] the queue waits for one of @events
 * @futile: [Q] it was ready, and then moved nothing, so many times in a row
 * @retry: wakes the queue where the file will not
 * @skip: [Q] of the chain that is next, bytes that were written before
 * @error: [Q] of the last read or write that failed, and was not just too early; 0 since
 *	one went well; -ENODATA: the file has ended
 */
struct vk_console_end {
	struct vk_queue *q;
	struct file *file;
	const struct cred *cred;
	struct eventfd_ctx *event;
	__poll_t events;
	struct vk_console_wait wait[VK_CONSOLE_MAX_WAITS];
	bool too_many;
	poll_table pt;
	bool waits;
	u32 futile;
	struct delayed_work retry;
	u32 skip;
	int error;
};

/**
 * struct vk_console - a device
 * @dev: it
 * @orphaned: lets go of all files, since the owner is dead
 * @end: [Q] by queue; NULL: the port was not set, or its owner is dead
 */
struct vk_console {
	struct vk_dev *dev;
	struct work_struct orphaned;
	struct vk_console_end *end[VK_CONSOLE_QUEUES];
};

static inline bool vk_console_transmits(const struct vk_queue *q)
{
	return q->index & 1;
}

static inline struct vk_console_end *vk_console_end(struct vk_queue *q)
{
	struct vk_console *con = q->dev->priv;

	return con->end[q->index];
}

/* console_end.c. open, close: process, dev->mutex held. Others: worker, queue->lock held */
struct vk_console_end *vk_console_end_open(struct vk_queue *q, int fd, int event_fd);
void vk_console_end_close(struct vk_console_end *end);
ssize_t vk_console_end_read(struct vk_console_end *end, struct iov_iter *to);
ssize_t vk_console_end_write(struct vk_console_end *end, struct iov_iter *from);
bool vk_console_end_wait(struct vk_console_end *end);
void vk_console_end_tell(struct vk_console_end *end, int err);
bool vk_console_end_ended(struct vk_console_end *end, int err);

/* console_io.c, as the operations of the class. */
int vk_console_tx_drain(struct vk_queue *q, struct vk_budget *budget);
int vk_console_rx_drain(struct vk_queue *q, struct vk_budget *budget);

#endif
