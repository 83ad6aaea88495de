// SPDX-License-Identifier: GPL-2.0
/*
 * datapath=user of console devices: a thread for each port.
 *
 * in:  rings in guest memory, kicks, files that may be read from or written to
 * out: reads and writes, calls, err signals
 *
 * As in the module (kmod/console_io.c): a chain is used when all of it was written, what is left of one is for later,
 * from port->out_skip on; no file is waited for but by epoll, whose edges count, so that each pass ends with a file that had
 * no more, or with a ring that had no more, which then asks for a kick.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "console.h"
#include "queue_count.h"

#define MAX_CHAIN	1024
#define BUDGET		64

/* Queues of a port, and its files, in the order of iothread->fd. */
enum { RX, TX, IN, OUT, NR_FDS };

/* What a pass returns beside -errno, which breaks the queue. */
enum {
	EMPTY,		/* nothing in the ring: wait for a kick */
	MORE,		/* the budget is used up */
	WAIT,		/* wait for the file */
};

struct port_queue {
	struct vring_dev ring;
	bool broken;
	bool pushed;
	int error;		/* of the file; told once */
	struct queue_count n;
};

struct port_thread {
	struct virtio_dev *dev;
	struct console_port *port;
	char name[16];
	struct iothread io;
	struct port_queue q[2];
	struct vring_seg segs[MAX_CHAIN];
	struct iovec iov[MAX_CHAIN];
};

struct console_user {
	struct datapath dp;
	u32 nr;
	struct port_thread port[];
};

static struct console_user *to_user(struct datapath *dp)
{
	return container_of(dp, struct console_user, dp);
}

static const struct datapath_queue *ring_of(const struct port_thread *p, unsigned int i)
{
	return &p->dev->ring[console_queue(p->port->number) + i];
}

/* ---- In the thread ----------------------------------------------------------------------- */

static int push(struct port_queue *q, struct vring_token token, u32 written)
{
	q->pushed = true;
	count(&q->n.requests, 1);
	return vring_push(&q->ring, token, written);
}

static void call(struct port_queue *q, const struct datapath_queue *r, bool wanted)
{
	if (!q->pushed)
		return;
	q->pushed = false;
	queue_call_if(&q->n, r, wanted);
}

/* The file has ended, or failed: told once. */
static void failed(struct port_thread *p, struct port_queue *q, int error)
{
	if (q->error == error)
		return;
	q->error = error;
	vm_signal_eventfd(p->port->host.event_fd);
}

/* Leaves out the first @skip bytes. Return: pieces that are left */
static int skip_iov(struct iovec **iov, int nr, u64 skip)
{
	while (nr && skip >= (*iov)->iov_len) {
		skip -= (*iov)->iov_len;
		++*iov;
		nr--;
	}
	if (nr) {
		(*iov)->iov_base = (u8 *)(*iov)->iov_base + skip;
		(*iov)->iov_len -= skip;
	}
	return nr;
}

/* Return: 0: all was written, or is lost; -EAGAIN: not now; another -errno breaks the queue */
static int transmit(struct port_thread *p, const struct vring_chain *c)
{
	struct port_queue *q = &p->q[TX];
	struct console_port *port = p->port;
	int nr, fd = port->host.out_fd;
	struct iovec *iov = p->iov;

	if (c->nr_in || c->out_bytes > UINT32_MAX)
		return -EINVAL;
	nr = datapath_map(p->dev->vm, c->segs, c->nr_out, p->iov, MAX_CHAIN);
	if (nr < 0)
		return nr;
	nr = skip_iov(&iov, nr, port->out_skip);
	while (nr) {
		ssize_t n = fd >= 0 ? writev(fd, iov, nr) : -1;

		if (n < 0 && fd >= 0 && errno == EAGAIN)
			return -EAGAIN;
		if (n < 0 && fd >= 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (fd >= 0)
				failed(p, q, errno);
			break;
		}
		q->error = 0;
		port->out_skip += n;
		nr = skip_iov(&iov, nr, n);
	}
	port->out_skip = 0;
	return 0;
}

/* Return: bytes; -EAGAIN: not now, or never again; another -errno breaks the queue */
static ssize_t receive(struct port_thread *p, const struct vring_chain *c)
{
	struct port_queue *q = &p->q[RX];
	ssize_t n;
	int nr;

	if (c->nr_out || !c->in_bytes)
		return -EINVAL;
	nr = datapath_map(p->dev->vm, c->segs, c->nr_in, p->iov, MAX_CHAIN);
	if (nr < 0)
		return nr;
	if (p->port->host.in_fd < 0)
		return -EAGAIN;
	do {
		n = readv(p->port->host.in_fd, p->iov, nr);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		q->error = 0;
	else if (!n || errno != EAGAIN)
		failed(p, q, n ? errno : ENODATA);
	return n > 0 ? n : -EAGAIN;
}

static int drain(struct port_thread *p, unsigned int i, int *budget)
{
	struct vring_chain c = { .max_segs = MAX_CHAIN, .segs = p->segs };
	struct port_queue *q = &p->q[i];

	for (; *budget; --*budget) {
		int err = vring_pop(&q->ring, &c);
		ssize_t n;

		if (err <= 0)
			return err ? err : EMPTY;
		n = i == RX ? receive(p, &c) : transmit(p, &c);
		if (n < 0) {
			vring_unpop(&q->ring, c.token);	/* so that ->state names it */
			if (n == -EAGAIN && i == TX)
				iothread_await_room(&p->io, OUT);
			return n == -EAGAIN ? WAIT : n;
		}
		err = push(q, c.token, n);
		if (err)
			return err;
	}
	return MORE;
}

/* Return: true if there is more to do. */
static bool serve(struct port_thread *p, unsigned int i)
{
	struct port_queue *q = &p->q[i];
	int budget = BUDGET, ret, more;

	if (p->io.fd[i] < 0 || q->broken)
		return false;
	do {
		more = vring_disable_notify(&q->ring);
		if (!more)
			more = drain(p, i, &budget);
		/* What came before an error is complete, and the driver's to have. */
		ret = more == EMPTY ? vring_finish(&q->ring) : vring_flush(&q->ring);
		if (ret >= 0)
			call(q, ring_of(p, i), ret & VRING_CALL);
		if (more < 0 || ret < 0) {
			q->broken = true;
			vm_signal_eventfd(ring_of(p, i)->err_fd);
			return false;
		}
		if (more != EMPTY)
			return more == MORE;
		/* A ring that only ever looks as if something came costs as well. */
		budget -= budget > 0;
	} while (ret & VRING_MORE);
	return false;
}

static bool ready(void *ctx, unsigned int i, bool signalled)
{
	struct port_thread *p = ctx;

	if (i == RX || i == TX) {
		if (signalled)
			count(&p->q[i].n.kicks, 1);
		return serve(p, i);
	}
	return serve(p, i == IN ? RX : TX);
}

/* ---- The interface ------------------------------------------------------------------------- */

static int load_queue(struct port_thread *p, unsigned int i)
{
	p->q[i].broken = false;
	p->q[i].pushed = false;
	p->q[i].error = 0;
	return datapath_load_ring(p->dev, ring_of(p, i), &p->q[i].ring);
}

static int start_port(struct port_thread *p)
{
	const struct console_host *host = &p->port->host;
	unsigned int i;
	int err;

	for (i = RX; i <= TX; i++) {
		p->io.fd[i] = -1;
		if (!datapath_serves(p->dev, console_queue(p->port->number) + i))
			continue;
		err = load_queue(p, i);
		if (err)
			return err;
		p->io.fd[i] = ring_of(p, i)->kick_fd;
	}
	p->io.fd[IN] = host->in_fd;
	p->io.fd[OUT] = host->out_fd;
	return iothread_start(&p->io);
}

static void stop_port(struct port_thread *p)
{
	unsigned int i;

	iothread_stop(&p->io);
	for (i = RX; i <= TX; i++)
		if (p->io.fd[i] >= 0)
			p->dev->ring[console_queue(p->port->number) + i].state = vring_save(&p->q[i].ring);
}

static int user_start(struct datapath *dp)
{
	struct console_user *u = to_user(dp);
	u32 i;
	int err = 0;

	for (i = 0; i < u->nr && !err; i++)
		err = start_port(&u->port[i]);
	/* The last one does not run. */
	for (i = err ? i - 1 : 0; i; i--)
		stop_port(&u->port[i - 1]);
	return err;
}

static void user_stop(struct datapath *dp)
{
	struct console_user *u = to_user(dp);
	u32 i;

	for (i = 0; i < u->nr; i++)
		stop_port(&u->port[i]);
}

/* That of queue @i, and which of its two that is. */
static struct port_thread *thread_of(struct console_user *u, unsigned int i, unsigned int *which)
{
	u32 n;

	for (n = 0; n < u->nr; n++) {
		*which = i - console_queue(u->port[n].port->number);
		if (*which <= TX)
			return &u->port[n];
	}
	return NULL;
}

static int user_start_queue(struct datapath *dp, unsigned int i)
{
	unsigned int which;
	struct port_thread *p = thread_of(to_user(dp), i, &which);
	int err = p ? load_queue(p, which) : -EINVAL;

	if (!err)
		err = iothread_set_fd(&p->io, which, ring_of(p, which)->kick_fd);
	/* What its file had to say was for nobody. */
	if (!err)
		vm_signal_eventfd(ring_of(p, which)->kick_fd);
	return err;
}

static void user_stop_queue(struct datapath *dp, unsigned int i)
{
	unsigned int which;
	struct port_thread *p = thread_of(to_user(dp), i, &which);

	if (!p)
		return;
	iothread_set_fd(&p->io, which, -1);
	p->dev->ring[i].state = vring_save(&p->q[which].ring);
}

static void user_stats(struct datapath *dp, unsigned int i, struct datapath_stats *s)
{
	unsigned int which;
	struct port_thread *p = thread_of(to_user(dp), i, &which);

	if (p)
		count_read(&p->q[which].n, s);
	else
		*s = (struct datapath_stats) { 0 };
}

static void user_close(struct datapath *dp)
{
	struct console_user *u = to_user(dp);
	u32 i;

	for (i = 0; i < u->nr; i++)
		iothread_exit(&u->port[i].io);
	free(u);
}

static void init_port(struct port_thread *p, struct console_port *port)
{
	p->dev = port->dev;
	p->port = port;
	snprintf(p->name, sizeof(p->name), port->number ? "%.10s/%u" : "%.10s", port->dev->name, port->number);
	p->io = (struct iothread) {
		.kind = THREAD_STREAM, .name = p->name, .nr = NR_FDS, .files = 1U << IN | 1U << OUT, .ready = ready, .ctx = p,
	};
}

static struct datapath *user_open(struct virtio_dev *dev, char *why)
{
	struct console *con = console_of(dev);
	struct console_user *u = calloc(1, sizeof(*u) + con->nr_ports * sizeof(u->port[0]));
	int err = u ? 0 : -ENOMEM;

	if (u) {
		u->dp = (struct datapath) {
			.ops = &datapath_console_user,
			.dev = dev,
			.features = 1UL << VIRTIO_F_VERSION_1 | 1UL << VIRTIO_RING_F_EVENT_IDX |
				    1UL << VIRTIO_RING_F_INDIRECT_DESC | 1UL << VIRTIO_F_RING_PACKED |
				    1UL << VIRTIO_F_IN_ORDER | 1UL << VIRTIO_F_RING_RESET | dev->features,
			.max_queue_size = MAX_CHAIN,
		};
	}
	while (!err && u->nr < con->nr_ports) {
		init_port(&u->port[u->nr], &con->port[u->nr]);
		err = iothread_init(&u->port[u->nr].io);
		u->nr += !err;
	}
	if (!err)
		return &u->dp;
	if (u)
		user_close(&u->dp);
	explain(why, "%s", strerror(-err));
	return NULL;
}

const struct datapath_ops datapath_console_user = {
	.name = "user",
	.open = user_open,
	.close = user_close,
	.start = user_start,
	.stop = user_stop,
	.start_queue = user_start_queue,
	.stop_queue = user_stop_queue,
	.stats = user_stats,
};
