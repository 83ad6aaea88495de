// SPDX-License-Identifier: GPL-2.0
/*
 * The serial port COM1, a 16550A, and the console at its other end.
 *
 * in:  the guest's accesses to its eight registers; bytes of the terminal
 * out: bytes to stdout or a file, interrupts on GSI 4
 *
 * The transmitter is always ready, since a write to the console is done before
 * the guest goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/serial_reg.h>
#include <string.h>
#include <unistd.h>

#include "layout.h"
#include "console.h"
#include "opts.h"
#include "terminal.h"
#include "vmm.h"

#define RX_BYTES	64	/* power of two; a 16550A has 16, drivers cannot tell */

static struct {
	struct vm *vm;
	int out_fd;			/* -1: off */
	u8 ier, lcr, mcr, scr, fcr;
	u16 divisor;
	bool thre_pending;		/* "transmitter empty" not yet seen */
	bool line;			/* the interrupt's level */
	u8 rx[RX_BYTES];
	u32 rx_head, rx_tail;		/* free-running */
} com;

static bool rx_empty(void)
{
	return com.rx_head == com.rx_tail;
}

static u32 rx_room(void)
{
	return RX_BYTES - (com.rx_head - com.rx_tail);
}

/* ---- Interrupts ----------------------------------------------------------- */

static u8 interrupt_id(void)
{
	if (com.ier & UART_IER_RDI && !rx_empty())
		return UART_IIR_RDI;
	if (com.ier & UART_IER_THRI && com.thre_pending)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

static void update_line(void)
{
	bool line = interrupt_id() != UART_IIR_NO_INT;

	if (line != com.line)
		irq_set_line(com.vm, GSI_COM1, line);
	com.line = line;
}

/* ---- Registers, under vm->lock -------------------------------------------- */

static u8 read_rx(void)
{
	u8 byte = 0;

	if (!rx_empty())
		byte = com.rx[com.rx_tail++ % RX_BYTES];
	if (rx_empty())
		terminal_resume();
	return byte;
}

static u8 read_iir(void)
{
	u8 id = interrupt_id();

	if (id == UART_IIR_THRI)	/* reading tells the guest, once */
		com.thre_pending = false;
	return id | (com.fcr & UART_FCR_ENABLE_FIFO ? 0xc0 : 0);
}

/* The lines at the other end: connected, or what loopback feeds in. */
static u8 read_msr(void)
{
	u8 msr = 0;

	if (!(com.mcr & UART_MCR_LOOP))
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	if (com.mcr & UART_MCR_DTR)
		msr |= UART_MSR_DSR;
	if (com.mcr & UART_MCR_RTS)
		msr |= UART_MSR_CTS;
	if (com.mcr & UART_MCR_OUT1)
		msr |= UART_MSR_RI;
	if (com.mcr & UART_MCR_OUT2)
		msr |= UART_MSR_DCD;
	return msr;
}

static u64 serial_read(void *dev, u64 off, unsigned int len)
{
	u8 v = 0xff;

	(void)dev;
	if (len != 1)
		return ~0UL;
	if (com.lcr & UART_LCR_DLAB && off <= UART_DLM)
		return off == UART_DLL ? com.divisor & 0xff : com.divisor >> 8;
	switch (off) {
	case UART_RX:
		v = read_rx();
		break;
	case UART_IER:
		return com.ier;
	case UART_IIR:
		v = read_iir();
		break;
	case UART_LCR:
		return com.lcr;
	case UART_MCR:
		return com.mcr;
	case UART_LSR:
		return UART_LSR_TEMT | UART_LSR_THRE | (rx_empty() ? 0 : UART_LSR_DR);
	case UART_MSR:
		return read_msr();
	case UART_SCR:
		return com.scr;
	}
	update_line();
	return v;
}

static void write_tx(u8 byte)
{
	if (com.mcr & UART_MCR_LOOP) {
		if (rx_room())
			com.rx[com.rx_head++ % RX_BYTES] = byte;
	} else if (com.out_fd >= 0) {
		while (write(com.out_fd, &byte, 1) < 0 && errno == EINTR)
			;	/* other errors lose the byte, as a cut line does */
	}
	com.thre_pending = true;
}

static void serial_write(void *dev, u64 off, unsigned int len, u64 val)
{
	u8 v = val;

	(void)dev;
	if (len != 1)
		return;
	if (com.lcr & UART_LCR_DLAB && off <= UART_DLM) {
		com.divisor = off == UART_DLL ? (com.divisor & 0xff00) | v :
						(com.divisor & 0x00ff) | v << 8;
		return;
	}
	switch (off) {
	case UART_TX:
		write_tx(v);
		break;
	case UART_IER:
		/* Enabling it while empty raises it: drivers start on that. */
		if (~com.ier & v & UART_IER_THRI)
			com.thre_pending = true;
		com.ier = v & 0xf;
		break;
	case UART_FCR:
		com.fcr = v;
		if (v & UART_FCR_CLEAR_RCVR)
			com.rx_tail = com.rx_head;
		break;
	case UART_LCR:
		com.lcr = v;
		break;
	case UART_MCR:
		com.mcr = v & 0x1f;
		break;
	case UART_SCR:
		com.scr = v;
		break;
	}
	update_line();
}

static const struct bus_ops serial_ops = { serial_read, serial_write };

static struct bus_range serial_range = {
	.base = PORT_COM1, .len = 8, .ops = &serial_ops,
};

/* ---- The terminal's end, main thread ---------------------------------------- */

static u32 take_room(void)
{
	u32 room;

	pthread_mutex_lock(&com.vm->lock);
	room = rx_room();
	pthread_mutex_unlock(&com.vm->lock);
	return room;
}

static void take(const u8 *buf, u32 bytes)
{
	pthread_mutex_lock(&com.vm->lock);
	while (bytes-- && rx_room())
		com.rx[com.rx_head++ % RX_BYTES] = *buf++;
	update_line();
	pthread_mutex_unlock(&com.vm->lock);
}

static const struct terminal_sink sink = { take_room, take };

/* At a guest's reset: what a power cycle does to the registers. */
void serial_reset(void)
{
	com.ier = com.lcr = com.mcr = com.scr = com.fcr = 0;
	com.divisor = 12;		/* 9600 baud */
	com.thre_pending = false;
	com.line = false;
}

void serial_init(struct vm *vm)
{
	const struct opts *o = vm->opts;

	com.vm = vm;
	com.out_fd = -1;
	serial_reset();
	bus_add(&vm->pio, &serial_range);

	if (o->serial == SERIAL_FILE) {
		com.out_fd = open(o->serial_path,
				  O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		if (com.out_fd < 0)
			die("--serial file=%s: %s", o->serial_path, strerror(errno));
	} else if (o->serial == SERIAL_STDIO) {
		com.out_fd = 1;
		/* A console on stdio has it. */
		if (!console_has_stdin())
			terminal_open(vm, &sink);
	}
}
