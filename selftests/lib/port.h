/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ports of a console device, each with a driver, and the far ends of its files.
 *
 * in:  /dev/vkick-console, kinds of files
 * out: bytes of a known stream, sent and received by either side
 */
#ifndef SELFTEST_PORT_H
#define SELFTEST_PORT_H

#include "rig.h"

#define PORT_RX		0
#define PORT_TX		1

/* What a port's files are, as far as the device goes. */
enum port_kind {
	PORT_PIPES,
	PORT_SOCKET,
	PORT_PTY,	/* the device has the master; this side the terminal, raw */
};

/**
 * struct port - one port
 * @q: its two queues, with drivers
 * @in, @out: the device's files; may be the same
 * @feed, @drain: their far ends, which block; may be the same
 * @event: eventfd
 * @sent, @got: bytes of the stream that were sent to, and received from, the device by its driver
 */
struct port {
	u32 number;
	int fd;
	struct gmem *mem;
	struct vq q[2];
	int in, out, feed, drain, event;
	u64 buf;		/* guest memory, PORT_BUF_BYTES for each queue */
	u64 sent, got;
};

#define PORT_NUM	16
#define PORT_CHAIN	10240U	/* pipes take less than 4096 whole, or not at all */
#define PORT_STALL_CHAIN	9999
#define PORT_BUF_BYTES	(PORT_NUM * PORT_CHAIN)

/* A device with an owner, and no ports yet. */
void console_open(struct rig *r, const struct rig_conf *conf);

/* The same with port 0, started. */
void console_open_port(struct rig *r, struct port *p, enum port_kind kind, u64 features, enum drv_layout layout);

/* Makes files, and the port, set and configured, but not started. */
void port_open(struct port *p, struct rig *r, const struct rig_conf *conf, u32 number, enum port_kind kind);
void port_close(struct port *p);
void port_start(struct port *p);
void port_stop(struct port *p);

int __port_set(int fd, struct vkick_console_port *arg);
/* The files that it has, from @skip on. */
void port_set(struct port *p, u32 skip);
struct vkick_console_port port_get(struct port *p);

/* Queue number of a port's queue. */
u32 port_queue(u32 port, u32 which);

/* Byte @i of the stream. */
u8 port_byte(u64 i);

/* The driver transmits the stream's next @len bytes in @segs pieces. False: its ring is full */
bool port_send(struct port *p, u32 len, u32 segs);
/* Sends chains of PORT_STALL_CHAIN until nothing is taken any more. */
void port_stall(struct port *p);
/* Takes back what was used; @wait: at least one chain, or the test ends. */
void port_reap(struct port *p, bool wait);
/* The far end reads what there is, up to @max, and finds the stream from @from on. Return: bytes; 0: none for @ms */
u64 port_drain(struct port *p, u64 from, u64 max, int ms);
/* The driver offers a buffer of @len; false: its ring is full. */
bool port_offer(struct port *p, u32 len);
/* Takes back one that was used, if there is one or comes within @ms, and finds the stream in it. Return: bytes */
u32 port_receive(struct port *p, int ms);

#endif
