/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest without an operating system, which drives its devices by hand.
 *
 * in:  the command line: the image, a test of main.c, KEY=NUMBER...
 * out: lines on the console that begin with "bare: "; the machine's end
 *
 * It boots in no time, sees each register itself, and can do to its memory what Linux would not let a program do. One
 * CPU, with interrupts off: what a device has to say is in its rings and its pending bits.
 */
#ifndef GUEST_BARE_H
#define GUEST_BARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* ---- machine.c ------------------------------------------------------------------------------- */

static inline void out8(u16 port, u8 v) { asm volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static inline void out16(u16 port, u16 v) { asm volatile("outw %0, %1" : : "a"(v), "Nd"(port)); }
static inline void out32(u16 port, u32 v) { asm volatile("outl %0, %1" : : "a"(v), "Nd"(port)); }
static inline u8 in8(u16 port) { u8 v; asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline u16 in16(u16 port) { u16 v; asm volatile("inw %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline u32 in32(u16 port) { u32 v; asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port)); return v; }

static inline void write8(u32 addr, u8 v) { *(volatile u8 *)addr = v; }
static inline void write16(u32 addr, u16 v) { *(volatile u16 *)addr = v; }
static inline void write32(u32 addr, u32 v) { *(volatile u32 *)addr = v; }
static inline u8 read8(u32 addr) { return *(volatile u8 *)addr; }
static inline u16 read16(u32 addr) { return *(volatile u16 *)addr; }
static inline u32 read32(u32 addr) { return *(volatile u32 *)addr; }

/* %s, %u and %x. A line of its own, with "bare: " before it. */
void say(const char *fmt, ...);
/* The same, and the machine is turned off: the test has failed. */
void fail(const char *fmt, ...) __attribute__((noreturn));
/* Until something is typed. */
void await_word(void);
void power_off(void) __attribute__((noreturn));
void triple_fault(void) __attribute__((noreturn));
/* All interrupts and NMIs return at once. */
void ignore_interrupts(void);
/* UART as at first, whatever was done to it. */
void mend_console(void);

/* Of the command line. */
extern const char *command_line;
bool has_word(const char *word);
u32 number(const char *key, u32 otherwise);

u32 random(void);
void seed(u32 s);

/* Some tens of seconds from now, by the TSC; what a working machine never needs. */
struct deadline { u64 at; };
struct deadline soon(void);
bool passed(const struct deadline *d);

/* ---- device.c -------------------------------------------------------------------------------- */

#define MAX_DEVICES	4
#define MAX_NUM		1024
#define ID_BLOCK	2
#define TYPE_GET_ID	8
#define ID_RNG		4
#define F_VERSION_1	(1ULL << 32)
#define F_RING_RESET	(1ULL << 40)
#define STATUS_DRIVER_OK	0x04
#define STATUS_FEATURES_OK	0x08
#define STATUS_NEEDS_RESET	0x40

struct ring {
	struct desc { u64 addr; u32 len; u16 flags, next; } desc[MAX_NUM] __attribute__((aligned(4096)));
	struct { u16 flags, idx, ring[MAX_NUM], event; } avail __attribute__((aligned(64)));
	struct used { u16 flags, idx; struct { u32 id, len; } ring[MAX_NUM]; u16 event, pad; } used __attribute__((aligned(64)));
};

#define DATA_BYTES	512

/* A request's memory: what a disk wants of it, and an rng's bytes in @data. */
struct request {
	struct { u32 type, reserved; u64 sector; } header;
	u8 status;
	u8 data[DATA_BYTES] __attribute__((aligned(512)));
};

/**
 * struct device - a virtio device, and the driver of its queue 0
 * @ring: one of two, so that there is another after a reset; @num: its size, and @most of all that it had
 * @posted: requests made available since its last set-up
 */
struct device {
	u8 slot;
	u16 id;
	u32 common, notify, table, pba;
	bool notify_io;
	u32 which;
	u32 num, most;
	u16 posted;
	struct ring rings[2];
	struct request requests[MAX_NUM];
};

extern struct device devices[MAX_DEVICES];
extern u32 nr_devices;

u32 cfg_read32(u8 slot, u32 off);
void cfg_write32(u8 slot, u32 off, u32 v);

/* All virtio devices, with their BARs placed and MSI-X on, each vector masked. */
void find_devices(void);
const char *name_of(const struct device *d);
void reset_device(struct device *d);
/* Up to FEATURES_OK; with queue 0 set up, in its next ring, of @num; DRIVER_OK. */
void negotiate(struct device *d, u64 features);
void set_up_queue(struct device *d, u32 num);
void driver_ok(struct device *d);
/* All three. */
void start_device(struct device *d, u32 num);
/* Resets queue 0, and waits until it is. */
void reset_queue(struct device *d);
struct ring *ring_of(struct device *d);
/* Descriptors of one request; and @n requests made available, then a kick. */
u32 per_request(const struct device *d);
void post(struct device *d, u32 n);
/*
 * The same, of a disk whose medium stands still; until they are in flight: off the ring, where a reset would find
 * none of them. The last one asks for the disk's ID alone, so that it is used once those before it were taken.
 */
void post_in_flight(struct device *d, u32 n);
void kick(struct device *d);
/* Until all of them are used; or it fails. They are right. */
void await_all(struct device *d);
bool is_pending(const struct device *d, u32 vector);
u16 queue_field(struct device *d, u32 off);

/* ---- tests: each returns once it is through ----------------------------------------------------- */

void test_queue_reset(void);
void test_needs_reset(void);
void test_resets(void);
void test_stall(void);
void test_garbage(void);
void test_deaf(void);

#endif
