/* SPDX-License-Identifier: GPL-2.0 */
/* What the user asked for. */
#ifndef OPTS_H
#define OPTS_H

#include "vmm.h"

#define OPTS_MAX_DEVICES	16

struct virtio_class;
struct datapath_ops;

enum serial_mode { SERIAL_STDIO, SERIAL_FILE, SERIAL_OFF };

struct device_opts {
	const struct virtio_class *class;
	const struct datapath_ops *datapath;
	bool notify_pio;
	bool packed;
};

/**
 * struct opts - the options of `vkick run`
 *
 * Strings point into argv. Constant once parsed.
 */
struct opts {
	const char *kernel;
	const char *initrd;		/* or NULL */
	const char *cmdline;
	u32 cpus;
	u64 memory_bytes;		/* whole MiB */
	enum serial_mode serial;
	const char *serial_path;	/* for SERIAL_FILE */
	const char *ctl_path;		/* or NULL */
	const char *stats_path;		/* or NULL */
	bool reboot;			/* at a guest's reset */
	unsigned int nr_devices;
	struct device_opts devices[OPTS_MAX_DEVICES];
};

/* ---- opts.c: before anything else ---------------------------------------- */

/* argv[0] is the first option. die_usage()s; does not return from --help. */
void opts_parse(struct opts *o, int argc, char **argv);
void opts_help(void);

#endif
