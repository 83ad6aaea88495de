/* SPDX-License-Identifier: GPL-2.0 */
/* What the user asked for. */
#ifndef OPTS_H
#define OPTS_H

#include "vmm.h"

/* What bus 0 has slots for, next to the host bridge. */
#define OPTS_MAX_DEVICES	31
#define OPTS_MAX_VFIO		16

/* Of a console, beside its own. */
#define OPTS_MAX_PORTS		30

struct virtio_class;
struct datapath_ops;

enum serial_mode { SERIAL_STDIO, SERIAL_FILE, SERIAL_OFF };

/**
 * struct device_opts - one device
 * @datapath_auto: or the class's user, if that one cannot be had; @datapath_asked: the user said so
 * @ring_features: bits to offer; @ring_features_asked: those that were named
 * @queues: 0: the class's choice, as @queue_size
 * @options: what the class's own keys set
 */
struct device_opts {
	const struct virtio_class *class;
	const struct datapath_ops *datapath;
	bool datapath_auto;
	bool datapath_asked;
	bool notify_pio;
	u64 ring_features;
	u64 ring_features_asked;
	u32 queues;
	u32 queue_size;
	void *options;
};

/**
 * struct opts_key - a KEY=VALUE of a device, or of virtio_class.words a KEY, whose value is NULL
 * @set: takes @value, or die_usage()s
 */
struct opts_key {
	const char *name;
	void (*set)(struct device_opts *d, const char *key, const char *value);
};

/**
 * struct vfio_opts - a device of the host's
 * @device: address or path
 * @reset: it must be one that can be reset
 */
struct vfio_opts {
	const char *device;
	bool reset;
};

/**
 * struct opts - the options of `vkick run`
 * @memory_file: what guest memory is a shared mapping of, or NULL
 * @memory_shared: of a file without a name
 * @huge_page_bytes: of hugetlbfs's pages that it is made of; 0: ordinary ones
 * @prefault: all of it is there before the guest runs
 * @user: who to become, NAME or UID, and :GROUP or not; NULL: nobody else
 *
 * Strings point into argv, or last as long. Constant once parsed.
 */
struct opts {
	const char *kernel;
	const char *initrd;		/* or NULL */
	const char *cmdline;
	const char *cmdline_note;	/* of what was added to it, for messages */
	u32 cpus;
	u64 memory_bytes;		/* whole MiB */
	const char *memory_file;
	bool memory_shared;
	u64 huge_page_bytes;
	bool prefault;
	enum serial_mode serial;
	const char *serial_path;	/* for SERIAL_FILE */
	const char *ctl_path;		/* or NULL */
	const char *stats_path;		/* or NULL */
	bool reboot;			/* at a guest's reset */
	bool sandbox;
	const char *user;
	unsigned int nr_ports;
	const char *ports[OPTS_MAX_PORTS];	/* --port's values */
	u8 port_device[OPTS_MAX_PORTS];		/* whose each is: of devices[] */
	unsigned int nr_devices;
	struct device_opts devices[OPTS_MAX_DEVICES];
	unsigned int nr_vfio;
	struct vfio_opts vfio[OPTS_MAX_VFIO];
};

/* ---- opts.c: before anything else ---------------------------------------- */

/* argv with what @FILE names in its place, for as long as the process lives. die()s. */
char **opts_expand(int *argc, char **argv);
/* argv[0] is the first option. die_usage()s; does not return from --help. */
void opts_parse(struct opts *o, int argc, char **argv);
/* The first console, whose hvc0 is; NULL: there is none. */
const struct device_opts *opts_console(const struct opts *o);
/* For Linux: standard input and output are hvc0, unless --console or --cmdline say otherwise. */
void opts_default_console(struct opts *o);
void opts_help(void);
/* Decimal digits alone; errno as strtoull() has it, *@end as @s if there are none. */
u64 opts_number(const char *s, char **end);

/* ---- opts_device.c -------------------------------------------------------- */

void opts_add_device(struct opts *o, const struct virtio_class *class, char *value);
/* Values of keys; die_usage() if @value is none. */
bool opts_on_off(const struct device_opts *d, const char *key, const char *value);
u32 opts_range(const struct device_opts *d, const char *key, const char *value,
	       u32 min, u32 max);
u32 opts_power_of_2(const struct device_opts *d, const char *key, const char *value,
		    u32 min, u32 max);
/* Return: the key of the lowest of these bits that has one, or NULL. */
const char *opts_ring_feature(u64 features);

#endif
