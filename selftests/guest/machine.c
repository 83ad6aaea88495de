// SPDX-License-Identifier: GPL-2.0
/*
 * The PC that the image finds itself on: console, time, ends of the machine.
 *
 * in:  the command line
 * out: see bare.h
 */
#include "bare.h"

#include <stdarg.h>

#define COM1		0x3f8
#define PORT_SLEEP_CTL	0x600
#define SLEEP_S5	(0x20 | 5 << 2)

/* 2^36 cycles: 20 s and more. */
#define SOON_CYCLES	(1ULL << 36)

const char *command_line;
static u32 state = 1;

/* The compiler's own. */
void *memset(void *p, int c, size_t n);
void *memset(void *p, int c, size_t n)
{
	void *at = p;

	asm volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(c) : "memory");
	return p;
}

void *memcpy(void *to, const void *from, size_t n);
void *memcpy(void *to, const void *from, size_t n)
{
	void *at = to;

	asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n) : : "memory");
	return to;
}

/* ---- Console --------------------------------------------------------------------------------- */

static void put(char c)
{
	out8(COM1, c);
}

static void put_number(u32 v, u32 base)
{
	char buf[12];
	u32 n = 0;

	do
		buf[n++] = "0123456789abcdef"[v % base];
	while (v /= base);
	while (n)
		put(buf[--n]);
}

static void put_all(const char *fmt, va_list args)
{
	const char *s;

	for (s = "bare: "; *s; s++)
		put(*s);
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(*fmt);
			continue;
		}
		switch (*++fmt) {
		case 's':
			for (s = va_arg(args, const char *); *s; s++)
				put(*s);
			break;
		case 'u':
			put_number(va_arg(args, u32), 10);
			break;
		case 'x':
			put_number(va_arg(args, u32), 16);
			break;
		}
	}
	put('\n');
}

void say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	put_all(fmt, args);
	va_end(args);
}

void fail(const char *fmt, ...)
{
	va_list args;

	say("failed:");
	va_start(args, fmt);
	put_all(fmt, args);
	va_end(args);
	power_off();
}

void await_word(void)
{
	while (!(in8(COM1 + 5) & 1))
		;
	while (in8(COM1 + 5) & 1)
		in8(COM1);
}

void mend_console(void)
{
	out8(COM1 + 3, 3);
	out8(COM1 + 1, 0);
	out8(COM1 + 2, 7);
	out8(COM1 + 4, 0);
	put('\n');
}

/* ---- The machine's end ------------------------------------------------------------------------- */

void power_off(void)
{
	out8(PORT_SLEEP_CTL, SLEEP_S5);
	for (;;)
		asm volatile("cli; hlt");
}

struct table {
	u16 limit;
	u32 base;
} __attribute__((packed));

void triple_fault(void)
{
	const struct table none = { 0, 0 };

	asm volatile("lidt %0; int3" : : "m"(none));
	for (;;)
		;
}

void iret_stub(void);

void ignore_interrupts(void)
{
	static struct gate {
		u16 low, selector, type, high;
	} gates[256];
	const struct table idt = { sizeof(gates) - 1, (u32)gates };
	u32 at = (u32)iret_stub, i;
	u16 cs;

	asm volatile("mov %%cs, %0" : "=r"(cs));
	for (i = 0; i < ARRAY_SIZE(gates); i++)
		gates[i] = (struct gate) { at, cs, 0x8e00, at >> 16 };
	asm volatile("lidt %0" : : "m"(idt));
}

/* ---- The command line ---------------------------------------------------------------------------- */

/* What follows @word in the line, where a word begins with it, or NULL. */
static const char *find(const char *word)
{
	const char *at = command_line, *w;

	for (; *at; at++) {
		if (at != command_line && at[-1] != ' ')
			continue;
		for (w = word; *w && *w == at[w - word]; w++)
			;
		if (!*w)
			return at + (w - word);
	}
	return NULL;
}

bool has_word(const char *word)
{
	const char *end = find(word);

	return end && (!*end || *end == ' ');
}

u32 number(const char *key, u32 otherwise)
{
	const char *at = find(key);
	u32 v = 0;

	if (!at || *at != '=')
		return otherwise;
	while (*++at >= '0' && *at <= '9')
		v = 10 * v + *at - '0';
	return v;
}

/* ---- Chance and time ------------------------------------------------------------------------------ */

void seed(u32 s)
{
	state = s * 0x9e3779b9 | 1;
}

u32 random(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

static u64 cycles(void)
{
	u32 low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	return (u64)high << 32 | low;
}

struct deadline soon(void)
{
	return (struct deadline) { cycles() + SOON_CYCLES };
}

bool passed(const struct deadline *d)
{
	return cycles() > d->at;
}
