// SPDX-License-Identifier: GPL-2.0
/*
 * Ports of a console device: see port.h.
 */
#define _GNU_SOURCE
#include "port.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

void console_open(struct rig *r, const struct rig_conf *conf)
{
	rig_lay_out(r, conf);
	r->fd = vdev_open("console");
	r->nvqs = 0;		/* each port has its own */
	rig_configure(r);
}

u32 port_queue(u32 port, u32 which)
{
	return (port ? 2 * port + 2 : 0) + which;
}

/* ---- Files ---- */

static void nonblock(int fd)
{
	CHECK(!fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), "O_NONBLOCK");
}

static void open_pty(struct port *p)
{
	struct termios t;
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK), slave;

	CHECK(master >= 0 && !grantpt(master) && !unlockpt(master), "pty");
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	CHECK(slave >= 0 && !tcgetattr(slave, &t), "its terminal");
	cfmakeraw(&t);
	CHECK(!tcsetattr(slave, TCSANOW, &t), "raw");
	p->in = p->out = master;
	p->feed = p->drain = slave;
}

static void make_files(struct port *p, enum port_kind kind)
{
	int a[2], b[2];

	switch (kind) {
	case PORT_PIPES:
		CHECK(!pipe(a) && !pipe(b), "pipes");
		p->in = a[0], p->feed = a[1];
		p->drain = b[0], p->out = b[1];
		break;
	case PORT_SOCKET:
		CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, a), "sockets");
		p->in = p->out = a[0];
		p->feed = p->drain = a[1];
		break;
	case PORT_PTY:
		open_pty(p);
		return;
	}
	nonblock(p->in);
	nonblock(p->out);
}

/* ---- The port ---- */

int __port_set(int fd, struct vkick_console_port *arg)
{
	arg->size = sizeof(*arg);
	return __vdev_ioctl(fd, VKICK_CONSOLE_SET_PORT, arg);
}

void port_set(struct port *p, u32 skip)
{
	struct vkick_console_port arg = {
		.port = p->number, .in_fd = p->in, .out_fd = p->out, .event_fd = p->event, .out_skip = skip,
	};
	int err = __port_set(p->fd, &arg);

	CHECK(!err, "port %u: %s", p->number, strerror(-err));
}

struct vkick_console_port port_get(struct port *p)
{
	struct vkick_console_port arg = { .size = sizeof(arg), .port = p->number };
	int err = __vdev_ioctl(p->fd, VKICK_CONSOLE_GET_PORT, &arg);

	CHECK(!err && arg.size == sizeof(arg), "port %u: %s", p->number, strerror(-err));
	return arg;
}

static void configure(struct port *p, struct rig *r, u32 which, const struct rig_conf *conf)
{
	struct vq *q = &p->q[which];

	q->index = port_queue(p->number, which);
	q->kick = ev_new();
	q->call = ev_new();
	q->err = ev_new();
	drv_init(&q->drv, &r->mem, PORT_NUM, conf->features, conf->layout, 8);
	drv_start_at(&q->drv, conf->start_at);
	vdev_set_ring(r->fd, q->index, &q->drv);
	vdev_set_base(r->fd, q->index, drv_base(&q->drv));
	vdev_set_kick(r->fd, q->index, q->kick);
	vdev_set_call(r->fd, q->index, q->call);
	vdev_set_err(r->fd, q->index, q->err);
}

void port_open(struct port *p, struct rig *r, const struct rig_conf *conf, u32 number, enum port_kind kind)
{
	*p = (struct port) { .number = number, .fd = r->fd, .mem = &r->mem, .event = ev_new() };
	make_files(p, kind);
	port_set(p, 0);
	configure(p, r, PORT_RX, conf);
	configure(p, r, PORT_TX, conf);
	p->buf = gmem_alloc(&r->mem, 2 * PORT_BUF_BYTES, 1);
}

void console_open_port(struct rig *r, struct port *p, enum port_kind kind, u64 features, enum drv_layout layout)
{
	struct rig_conf conf = { .features = features, .layout = layout };

	signal(SIGPIPE, SIG_IGN);
	console_open(r, &conf);
	port_open(p, r, &conf, 0, kind);
	port_start(p);
}

static void close_once(int *fd, int *same)
{
	if (*fd >= 0)
		close(*fd);
	if (*same == *fd)
		*same = -1;
	*fd = -1;
}

void port_close(struct port *p)
{
	u32 i;

	close_once(&p->in, &p->out);
	close_once(&p->out, &p->in);
	close_once(&p->feed, &p->drain);
	close_once(&p->drain, &p->feed);
	close(p->event);
	for (i = 0; i < 2; i++) {
		close(p->q[i].kick);
		close(p->q[i].call);
		close(p->q[i].err);
		drv_free(&p->q[i].drv);
	}
}

void port_start(struct port *p)
{
	vdev_start(p->fd, p->q[PORT_RX].index);
	vdev_start(p->fd, p->q[PORT_TX].index);
}

void port_stop(struct port *p)
{
	vdev_stop(p->fd, p->q[PORT_RX].index);
	vdev_stop(p->fd, p->q[PORT_TX].index);
}

/* ---- The stream ---- */

u8 port_byte(u64 i)
{
	return i * 0x9e3779b97f4a7c15 >> 56;
}

/* Guest memory of chain @head; there are fewer in flight than heads. */
static u64 buffer_of(const struct port *p, u32 which, u64 nr)
{
	return p->buf + which * PORT_BUF_BYTES + nr % PORT_NUM * PORT_CHAIN;
}

static int add(struct port *p, u32 which, u64 gpa, u32 len, u32 segs)
{
	struct drv_seg s[8];
	u32 i, done = 0;

	for (i = 0; i < segs; i++) {
		u32 n = i + 1 < segs ? len / segs : len - done;

		s[i] = (struct drv_seg) { gpa + done, n, which == PORT_RX };
		done += n;
	}
	return drv_add(&p->q[which].drv, s, segs);
}

bool port_send(struct port *p, u32 len, u32 segs)
{
	struct drv *d = &p->q[PORT_TX].drv;
	u64 gpa = buffer_of(p, PORT_TX, d->added);
	u8 *at = gmem_ptr(p->mem, gpa, PORT_CHAIN);
	u32 i;

	if (drv_in_flight(d) == PORT_NUM)
		return false;
	for (i = 0; i < len; i++)
		at[i] = port_byte(p->sent + i);
	if (add(p, PORT_TX, gpa, len, segs) < 0)
		return false;
	p->sent += len;
	drv_kick(d, p->q[PORT_TX].kick);
	return true;
}

void port_reap(struct port *p, bool wait)
{
	struct vq *q = &p->q[PORT_TX];

	if (wait)
		rig_complete(q, NULL);
	while (drv_get(&q->drv, NULL) >= 0)
		;
}

void port_stall(struct port *p)
{
	do {
		while (port_send(p, PORT_STALL_CHAIN, 3))
			;
		port_reap(p, false);
	} while (drv_in_flight(&p->q[PORT_TX].drv) < PORT_NUM / 8 || drv_wait(&p->q[PORT_TX].drv, p->q[PORT_TX].call, 200));
}

u64 port_drain(struct port *p, u64 from, u64 max, int ms)
{
	struct pollfd f = { .fd = p->drain, .events = POLLIN };
	u64 done = 0;
	u8 buf[8192];

	while (done < max && poll(&f, 1, ms) == 1) {
		ssize_t n = read(p->drain, buf, max - done < sizeof(buf) ? max - done : sizeof(buf)), i;

		if (n <= 0)
			break;
		for (i = 0; i < n; i++)
			CHECK(buf[i] == port_byte(from + done + i), "byte %llu is %#x, not %#x",
			      (unsigned long long)(from + done + i), buf[i], port_byte(from + done + i));
		done += n;
	}
	return done;
}

bool port_offer(struct port *p, u32 len)
{
	struct drv *d = &p->q[PORT_RX].drv;

	if (drv_in_flight(d) == PORT_NUM || add(p, PORT_RX, buffer_of(p, PORT_RX, d->added), len, 1) < 0)
		return false;
	drv_kick(d, p->q[PORT_RX].kick);
	return true;
}

/* Buffers come back in the order that they were given in: there is one at a time in work. */
u32 port_receive(struct port *p, int ms)
{
	struct vq *q = &p->q[PORT_RX];
	u64 gpa = buffer_of(p, PORT_RX, q->drv.got);
	const u8 *at;
	u32 len, i;

	if (!drv_wait(&q->drv, q->call, ms) || drv_get(&q->drv, &len) < 0)
		return 0;
	at = gmem_ptr(p->mem, gpa, PORT_CHAIN);
	for (i = 0; i < len; i++)
		CHECK(at[i] == port_byte(p->got + i), "byte %llu is %#x, not %#x", (unsigned long long)(p->got + i),
		      at[i], port_byte(p->got + i));
	p->got += len;
	return len;
}
