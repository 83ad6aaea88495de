/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A console device: what its files know of it. Objects:
 *
 *	dev_console.c	the device: options, config space, the module's ioctls, the control socket's view
 *	console_ctrl.c	control messages between the device and the driver
 *	console_host.c	the host's ends of ports: stdio, terminals, files, sockets
 *	console_user.c	datapath=user: a thread for each port
 *
 * Section numbers in these files are of VIRTIO 1.2.
 */
#ifndef CONSOLE_H
#define CONSOLE_H

#include <linux/virtio_console.h>
#include <sys/types.h>

#include "virtio.h"

#define CONSOLE_MAX_PORTS	VKICK_CONSOLE_MAX_PORTS

#define CONSOLE_NAME_BYTES	64

enum console_kind { CONSOLE_OFF, CONSOLE_STDIO, CONSOLE_PTY, CONSOLE_FILE, CONSOLE_SOCKET };

/**
 * struct console_host - the host's end of a port
 * @path: of a file or a socket, absolute once it is open; of a pty, from then on
 * @in_fd, @out_fd: never the same; -1: nothing is read, or written
 * @event_fd: signalled by a datapath when one of both has ended, or failed, and by console_host_look()
 * @hung_up: of a socket: its client sends no more; main thread
 * @other_fd: of a pty its terminal, so that it does not hang up; of a socket who listens; of a named pipe what tells that it is opened
 * @client: of a socket; or the writing end of a pipe
 * @listener: @other_fd, of a socket or a named pipe
 */
struct console_host {
	enum console_kind kind;
	char *path;
	int in_fd, out_fd, event_fd, other_fd;
	bool hung_up;
	struct loop_source event, listener, client;
	struct console_port *port;
};

/**
 * struct console_port - a port; vm->lock, but for @out_skip, which is the datapath's while it runs
 * @number: its queues: see console_queue()
 * @name: in the guest, /dev/virtio-ports/NAME, or NULL
 * @open: the host's end is there, and the driver was told
 * @guest_open: the driver says that somebody has it open
 * @to_tell: messages to the driver that wait for a buffer, a bit for each VIRTIO_CONSOLE_*
 * @out_skip: bytes of the chain that is next to be transmitted that were written already
 */
struct console_port {
	struct virtio_dev *dev;
	u32 number;
	const char *name;
	struct console_host host;
	bool open;
	bool guest_open;
	u32 to_tell;
	u32 out_skip;
};

/**
 * struct console - a device; vm->lock
 * @port: those that there are; @nr_ports of them, of numbers that may leave 0 out
 * @max_ports: what the driver is told
 * @cols, @rows: of the terminal of port 0; 0: unknown
 */
struct console {
	struct console_port port[CONSOLE_MAX_PORTS];
	u32 nr_ports;
	u32 max_ports;
	u16 cols, rows;
};

static inline struct console *console_of(const struct virtio_dev *dev)
{
	return dev->priv;
}

/* Of a port's receive queue; the transmit queue is the next one (5.3.2). */
static inline u32 console_queue(u32 port)
{
	return port ? 2 * port + 2 : 0;
}

/* ---- dev_console.c ------------------------------------------------------------- */

/* Whether a console has standard input. After virtio_init(). */
bool console_has_stdin(void);
/* Pseudo-terminals become that user's. */
void console_give_away(uid_t uid);
/* SIGWINCH: main thread, without vm->lock. */
void console_window_changed(void);
/* The host's end of a port came or went, or has other files. Main thread, without vm->lock. */
void console_host_changed(struct console_port *port, int in_fd, int out_fd);
/* Nobody is at its other end any more, or somebody is again. As above. */
void console_host_opened(struct console_port *port, bool open);

/* ---- console_ctrl.c ------------------------------------------------------------ */

#define CONSOLE_CTRL_RX		2
#define CONSOLE_CTRL_TX		3

/* As virtio_class.serve_own. */
int64_t console_ctrl_serve(struct virtio_dev *dev, unsigned int i, const struct vring_chain *c);
void console_ctrl_reset(struct virtio_dev *dev);
/* Tells the driver. */
void console_ctrl_open(struct console_port *port);
void console_ctrl_size(struct virtio_dev *dev);

/* ---- console_host.c ------------------------------------------------------------ */

/* KIND[=PATH]. Return: false if it is none. */
bool console_host_parse(struct console_host *host, const char *value, bool stdio_too);
/* die()s. */
void console_host_open(struct console_host *host, struct vm *vm, struct console_port *port);
/* The guest does not read any more, and so nobody may see that a client has gone. Main thread. */
void console_host_look(struct console_host *host);
/* Whether there is anybody at the other end. */
bool console_host_is_there(const struct console_host *host);

extern const struct datapath_ops datapath_console_user;

#endif
