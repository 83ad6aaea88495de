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

/*
 * What the driver is to be told is one bit of a port's for each kind of message, and what it says is looked up when there is
 * a buffer for it: so nothing is lost, however long that takes, and the driver hears how things are by then.
 */
static void tell(struct console_port *port, u16 event)
{
	struct virtio_dev *dev = port->dev;

	if (!(dev->acked & 1UL << VIRTIO_CONSOLE_F_MULTIPORT))
		return;
	port->to_tell |= 1U << event;
	virtio_own_stir(&dev->own[0]);
}

void console_ctrl_open(struct console_port *port)
{
	tell(port, VIRTIO_CONSOLE_PORT_OPEN);
}

void console_ctrl_size(struct virtio_dev *dev)
{
	struct console_port *port = port_of(dev, 0);

	if (port && console_of(dev)->rows)
		tell(port, VIRTIO_CONSOLE_RESIZE);
}

void console_ctrl_reset(struct virtio_dev *dev)
{
	struct console *con = console_of(dev);
	u32 i;

	/* A driver has queues for numbers as well that are no port's. */
	for (i = 0; i < con->max_ports; i++)
		dev->ring[console_queue(i)].closed = dev->ring[console_queue(i) + 1].closed = true;
	for (i = 0; i < con->nr_ports; i++) {
		u32 number = con->port[i].number;

		con->port[i].guest_open = false;
		con->port[i].to_tell = 0;
		/* Linux throws away what comes to a port that nobody has open, but for consoles. */
		dev->ring[console_queue(number)].closed = number;
		dev->ring[console_queue(number) + 1].closed = false;
	}
}

/* ---- The driver's ----------------------------------------------------------------- */

static void device_ready(struct virtio_dev *dev)
{
	struct console *con = console_of(dev);
	u32 i;

	for (i = 0; i < con->nr_ports; i++)
		tell(&con->port[i], VIRTIO_CONSOLE_PORT_ADD);
}

static void port_ready(struct console_port *port)
{
	if (!port->number)
		tell(port, VIRTIO_CONSOLE_CONSOLE_PORT);
	if (port->name)
		tell(port, VIRTIO_CONSOLE_PORT_NAME);
	if (port->open)
		console_ctrl_open(port);
	if (!port->number)
		console_ctrl_size(port->dev);
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

/* A port is there before its name is, and is a console before it has a size. */
static const u16 in_order[] = {
	VIRTIO_CONSOLE_PORT_ADD, VIRTIO_CONSOLE_CONSOLE_PORT, VIRTIO_CONSOLE_PORT_NAME, VIRTIO_CONSOLE_PORT_OPEN,
	VIRTIO_CONSOLE_RESIZE,
};

/* Return: the port that has something to tell, and in *@event what, or NULL */
static struct console_port *find_message(struct virtio_dev *dev, u16 *event)
{
	struct console *con = console_of(dev);
	u32 i, port;

	for (i = 0; i < ARRAY_SIZE(in_order); i++)
		for (port = 0; port < con->nr_ports; port++)
			if (con->port[port].to_tell & 1U << in_order[i]) {
				*event = in_order[i];
				return &con->port[port];
			}
	return NULL;
}

/* Return: bytes of it, in @buf */
static u32 make_message(const struct console_port *port, u16 event, u8 *buf)
{
	const struct console *con = console_of(port->dev);
	/* Columns first (5.3.6.2). Linux has had rows first for long, then not, and has gone back and forth: nothing tells which kernel it is. */
	u16 size[2] = { htole16(con->cols), htole16(con->rows) };
	struct virtio_console_control head = { htole32(port->number), htole16(event), htole16(1) };
	const void *tail = event == VIRTIO_CONSOLE_PORT_NAME ? (const void *)port->name : size;
	u32 bytes = 0;

	if (event == VIRTIO_CONSOLE_PORT_NAME)
		bytes = strlen(port->name);
	if (event == VIRTIO_CONSOLE_PORT_OPEN)
		head.value = htole16(port->open);
	if (event == VIRTIO_CONSOLE_RESIZE) {
		head.value = 0;
		bytes = sizeof(size);
	}
	memcpy(buf, &head, sizeof(head));
	memcpy(buf + sizeof(head), tail, bytes);
	return sizeof(head) + bytes;
}

static int64_t serve_rx(struct virtio_dev *dev, const struct vring_chain *c)
{
	u8 buf[sizeof(struct virtio_console_control) + CONSOLE_NAME_BYTES];
	struct console_port *port;
	u16 event;
	u32 bytes;

	port = find_message(dev, &event);
	if (!port)
		return -EAGAIN;
	bytes = make_message(port, event, buf);
	if (c->in_bytes < bytes)
		return -EINVAL;
	if (datapath_copy(dev->vm, c->segs + c->nr_out, c->nr_in, buf, bytes, true))
		return -EFAULT;
	port->to_tell &= ~(1U << event);
	return bytes;
}

int64_t console_ctrl_serve(struct virtio_dev *dev, unsigned int i, const struct vring_chain *c)
{
	return i == CONSOLE_CTRL_RX ? serve_rx(dev, c) : serve_tx(dev, c);
}
