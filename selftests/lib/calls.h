/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a process can do to its vkick devices, as one numbered set of calls with
 * random arguments: each ioctl, and what races with them.
 *
 * in:  a stage (devices, eventfds, guest memory), a number for each call
 * out: the call, made; how often each was, and succeeded
 *
 * A call's arguments depend on its number alone. Most are such as make sense, so
 * that sequences get somewhere; the rest are junk.
 */
#ifndef SELFTEST_CALLS_H
#define SELFTEST_CALLS_H

#include <pthread.h>
#include <stdatomic.h>

#include "fring.h"

/* File descriptors with fixed numbers, so that threads race for them. */
#define STAGE_FD	100
#define STAGE_DEVICES	8
#define STAGE_EVENTS	16

/*
 * The devices' memory: one piece, which threads may unmap at STAGE_MEM while the
 * drivers use their own view of it. Far from all else, where nothing ever is.
 */
#define STAGE_MEM	0x200000000000UL
#define STAGE_RING	0x1000UL	/* bytes for each ring: its parts are at ... */
#define STAGE_AVAIL	0x400UL
#define STAGE_USED	0x600UL
#define STAGE_NUM	64U	/* largest that fits */
#define STAGE_RINGS	10
#define STAGE_LOG	0x20000UL	/* offset of the dirty log */
#define STAGE_RAM	0x40000UL	/* offset of guest memory */
#define STAGE_RAM_SIZE	0x10000UL
#define STAGE_SIZE	(STAGE_RAM + STAGE_RAM_SIZE)

/* Of the rings, those that stage_set() puts under traffic. */
#define STAGE_LIVE	8

/* Devices that are a disk, a console and a NIC: they have the last of the live rings. */
#define STAGE_DISK	4
#define STAGE_CONSOLE	6
#define STAGE_NIC	7

/**
 * struct live - a ring under traffic
 * @lock: held by the driver for each step, and by who restarts the queue
 * @dev: index of the device
 * @queue: of the device
 * @kick: an eventfd that no call closes
 * @done: requests that came back
 */
struct live {
	pthread_mutex_t lock;
	struct fring ring;
	u32 dev, queue;
	int kick;
	bool out;
	u64 state;
	u64 done;
};

struct stage {
	u8 *view;
	int memfd;
	int disk;		/* memfd: what the disk's data lie in */
	int nic;		/* packet socket: what is sent there comes back */
	int pipe[2];		/* of the console's port: what it transmits it receives */
	u64 offered;		/* features that all devices have */
	struct live live[STAGE_LIVE];
	atomic_bool quit;	/* for the drivers */
};

void stage_init(struct stage *s);
/*
 * Five devices under traffic, one half set up, one open, the rest closed; eventfds
 * for all; memory mapped. @state: features and sizes.
 */
void stage_set(struct stage *s, u64 state);
/* Closes all that there is by now. */
void stage_strike(struct stage *s);
/* A driver's thread: keeps requests in ring @live->... until @quit. */
void stage_drive(struct stage *s, struct live *l);

/* How many kinds of calls there are; the first nr_ioctls are ioctls. */
u32 calls_nr(void);
const char *calls_name(u32 kind);
bool calls_is_ioctl(u32 kind);
/* A kind, the common ones more often. */
u32 calls_pick(u64 *state);
/* Makes the call. Returns 0 or -errno. */
int calls_make(struct stage *s, u32 kind, u64 number);

#endif
