// SPDX-License-Identifier: GPL-2.0
/*
 * Control messages of a console device with several ports (5.3.6.2).
 *
 * in:  the driver's messages, from queue 3; what became of ports
 * out: messages to the driver, into its buffers of queue 2
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "console.h"

static struct console_port *port_of(struct virtio_dev *dev, u32 number)
{
	struct console *con = console_of(dev);
	u32 i;

	for (i = 0; i < con->nr_ports; i++)
		if (con->port[i].number == number)
			return &con->port[i];
	return NULL;
}

static bool has_ports(const struct virtio_dev *dev)
{
	return dev->acked & 1UL << VIRTIO_CONSOLE_F_MULTIPORT;
}

static void send(struct virtio_dev *dev, u32 port, u16 event, u16 value, const void *tail, u32 bytes)
{
	struct console *con = console_of(dev);
	struct console_message *m;

	if (!has_ports(dev) || con->nr_messages == CONSOLE_MAX_MESSAGES)
		return;
	m = &con->message[(con->first + con->nr_messages++) % CONSOLE_MAX_MESSAGES];
	m->head = (struct virtio_console_control) { htole32(port), htole16(event), htole16(value) };
	m->bytes = bytes;
	if (bytes)
		memcpy(m->tail, tail, bytes);
	virtio_own_stir(&dev->own[0]);
}

void console_ctrl_open(struct console_port *port)
{
	send(port->dev, port->number, VIRTIO_CONSOLE_PORT_OPEN, port->open, NULL, 0);
}

/* Columns first (5.3.6.2). Linux had rows first for long, and nothing tells which kernel it is. */
void console_ctrl_size(struct virtio_dev *dev)
{
	const struct console *con = console_of(dev);
	u16 size[2] = { htole16(con->cols), htole16(con->rows) };

	if (con->rows && port_of(dev, 0))
		send(dev, 0, VIRTIO_CONSOLE_RESIZE, 0, size, sizeof(size));
}

void console_ctrl_reset(struct virtio_dev *dev)
{
	struct console *con = console_of(dev);
	u32 i;

	con->nr_messages = 0;
	for (i = 0; i < con->nr_ports; i++) {
		u32 number = con->port[i].number;

		con->port[i].guest_open = false;
		/* Linux throws away what comes to a port that nobody has open, but for consoles. */
		dev->ring[console_queue(number)].closed = number;
	}
}

/* ---- The driver's ----------------------------------------------------------------- */

static void device_ready(struct virtio_dev *dev)
{
	const struct console *con = console_of(dev);
	u32 i;

	for (i = 0; i < con->nr_ports; i++)
		send(dev, con->port[i].number, VIRTIO_CONSOLE_PORT_ADD, 1, NULL, 0);
}

static void port_ready(struct console_port *port)
{
	struct virtio_dev *dev = port->dev;

	if (!port->number)
		send(dev, 0, VIRTIO_CONSOLE_CONSOLE_PORT, 1, NULL, 0);
	if (port->name)
		send(dev, port->number, VIRTIO_CONSOLE_PORT_NAME, 1, port->name, strlen(port->name));
	if (port->open)
		console_ctrl_open(port);
	if (!port->number)
		console_ctrl_size(dev);
}

static void set_guest_open(struct console_port *port, bool open)
{
	port->guest_open = open;
	if (port->number)
		virtio_queue_gate(port->dev, console_queue(port->number), open);
	if (!open)
		console_host_look(&port->host);
}

static void take(struct virtio_dev *dev, const struct virtio_console_control *c)
{
	struct console_port *port = port_of(dev, le32toh(c->id));
	u16 value = le16toh(c->value);

	switch (le16toh(c->event)) {
	case VIRTIO_CONSOLE_DEVICE_READY:
		if (value)
			device_ready(dev);
		break;
	case VIRTIO_CONSOLE_PORT_READY:
		if (port && value)
			port_ready(port);
		break;
	case VIRTIO_CONSOLE_PORT_OPEN:
		if (port)
			set_guest_open(port, value);
		break;
	default:
		break;		/* 5.3.6.2.1: no other is the driver's to send */
	}
}

/* ---- Chains ------------------------------------------------------------------------- */

static int64_t serve_tx(struct virtio_dev *dev, const struct vring_chain *c)
{
	struct virtio_console_control m;

	/* Shorter ones say nothing. */
	if (c->out_bytes < sizeof(m))
		return 0;
	if (datapath_copy(dev->vm, c->segs, c->nr_out, (u8 *)&m, sizeof(m), false))
		return -EFAULT;
	take(dev, &m);
	return 0;
}

static int64_t serve_rx(struct virtio_dev *dev, const struct vring_chain *c)
{
	struct console *con = console_of(dev);
	const struct console_message *m = &con->message[con->first];
	u8 buf[sizeof(m->head) + sizeof(m->tail)];
	u32 bytes;

	if (!con->nr_messages)
		return -EAGAIN;
	bytes = sizeof(m->head) + m->bytes;
	if (c->in_bytes < bytes)
		return -EINVAL;
	memcpy(buf, &m->head, sizeof(m->head));
	memcpy(buf + sizeof(m->head), m->tail, m->bytes);
	if (datapath_copy(dev->vm, c->segs + c->nr_out, c->nr_in, buf, bytes, true))
		return -EFAULT;
	con->first = (con->first + 1) % CONSOLE_MAX_MESSAGES;
	con->nr_messages--;
	return bytes;
}

int64_t console_ctrl_serve(struct virtio_dev *dev, unsigned int i, const struct vring_chain *c)
{
	return i == CONSOLE_CTRL_RX ? serve_rx(dev, c) : serve_tx(dev, c);
}
