// SPDX-License-Identifier: GPL-2.0
/*
 * Reads the options of `vkick run`.
 *
 * in:  argv
 * out: struct opts, or one line that names the option, its fault and the remedy
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opts.h"
#include "virtio.h"

static const char help[] =
"usage: vkick run --kernel FILE [option ...]\n"
"       vkick ctl SOCK status|stats|pause|resume|shutdown|reset|quit\n"
"       vkick ctl SOCK resize DISK [SIZE] | link NET up|down |\n"
"                      switch DEVICE kernel|user|vhost | console [PORT]\n"
"       vkick top [-d SECONDS] [-n FRAMES] SOCK...\n"
"       vkick vfio list | bind ADDRESS | unbind ADDRESS [--yes]\n"
"       vkick --version | --help\n"
"\n"
"options of vkick run:\n"
"  -k, --kernel FILE        what to boot: a bzImage (vmlinuz), a vmlinux\n"
"                           with a PVH entry, or a multiboot image\n"
"  -i, --initrd FILE        its initramfs\n"
"  -p, --cmdline STRING     its command line\n"
"  -c, --cpus N             virtual CPUs (1)\n"
"  -m, --memory SIZE[,shared=on][,file=FILE]\n"
"                           guest memory, as 512M or 2G (512M); for others\n"
"                           to map: of memory that has no name, or of FILE\n"
"      --hugepages 2M|1G    made of huge pages\n"
"      --prefault on        all of it taken before the guest runs\n"
"      --disk path=FILE,datapath=kernel|user|auto[,KEY=VALUE...]\n"
"                           a disk; may be repeated. Keys: readonly, direct,\n"
"                           serial, block-size, cache, queues, queue-size,\n"
"                           iothreads, poll, pin, and those below: see vkick(1)\n"
"      --net tap=NAME|fd=N|user|socket=PATH[,datapath=kernel|user|vhost|auto]\n"
"            [,KEY=VALUE...]\n"
"                           a network device; may be repeated; datapath=auto if\n"
"                           not given. Keys: tcp and udp, of user; mac, mtu,\n"
"                           queues, queue-size, poll, and those below: see\n"
"                           vkick(1)\n"
"      --console stdio|pty|file=PATH|socket=PATH|off[,KEY=VALUE...]\n"
"                           the guest's hvc0 (stdio, if --cmdline names no\n"
"                           console; Ctrl-A x quits); datapath=auto if not given\n"
"      --port name=NAME,pty|file=PATH|socket=PATH[,datapath=kernel|user|auto]\n"
"                           one more port of it, /dev/virtio-ports/NAME; of a\n"
"                           second device if its datapath is another one\n"
"      --rng datapath=kernel|user|auto[,KEY=VALUE...]\n"
"                           a random number generator; may be repeated. Keys,\n"
"                           of disks as well: notify=mmio|pio|auto, and\n"
"                           packed, indirect, event-idx, in-order=on|off\n"
"      --vfio ADDRESS[,reset=off]\n"
"                           a PCI device of the host's, by its address or its\n"
"                           path in /sys; may be repeated: see vkick vfio list\n"
"      --serial stdio|file=FILE|off\n"
"                           where ttyS0 goes (stdio; Ctrl-A x quits)\n"
"      --ctl SOCK           control socket for vkick ctl\n"
"      --on-reset exit|reboot\n"
"                           what a reset of the guest does (exit)\n"
"      --stats FILE         write statistics as JSON when the VM ends\n"
"      --sandbox on|off     system calls, files and capabilities taken away\n"
"                           before the guest runs (on)\n"
"      --user USER[:GROUP]  who to be from then on; names or numbers\n"
"  @FILE                    more of these, from FILE\n"
"  -h, --help               this text\n";

void opts_help(void)
{
	fputs(help, stdout);
}

u64 opts_number(const char *s, char **end)
{
	errno = 0;
	if (*s < '0' || *s > '9') {	/* strtoull would take "-1" */
		*end = (char *)s;
		return 0;
	}
	return strtoull(s, end, 10);
}

static void set_kernel(struct opts *o, const char *v) { o->kernel = v; }
static void set_initrd(struct opts *o, const char *v) { o->initrd = v; }
static void set_cmdline(struct opts *o, const char *v) { o->cmdline = v; }
static void set_ctl(struct opts *o, const char *v) { o->ctl_path = v; }
static void set_stats(struct opts *o, const char *v) { o->stats_path = v; }
static void set_user(struct opts *o, const char *v) { o->user = v; }

static void set_port(struct opts *o, const char *v)
{
	if (o->nr_ports == OPTS_MAX_PORTS)
		die_usage("--port %s: too many: at most %u", v, OPTS_MAX_PORTS);
	o->ports[o->nr_ports++] = v;
}

static void set_cpus(struct opts *o, const char *v)
{
	char *end;
	u64 n = opts_number(v, &end);

	if (end == v || *end || errno || !n || n > UINT32_MAX)
		die_usage("--cpus %s: not a number of CPUs: give 1 or more", v);
	o->cpus = n;
}

/* A number with M or G. Return: bytes; 0 if it is none. */
static u64 size_of(const char *v)
{
	char *end;
	u64 n = opts_number(v, &end), unit = 0;

	if (!strcmp(end, "M"))
		unit = MIB;
	else if (!strcmp(end, "G"))
		unit = GIB;
	if (end == v || !unit || errno || n > UINT64_MAX / unit)
		return 0;
	return n * unit;
}

/* SIZE[,shared=on|off][,file=FILE] */
static void set_memory(struct opts *o, const char *v)
{
	char *copy = strdup(v), *save = NULL, *size = copy ? strtok_r(copy, ",", &save) : NULL, *key;

	if (!copy)
		die("--memory: out of memory");
	o->memory_bytes = size ? size_of(size) : 0;
	if (!o->memory_bytes)
		die_usage("--memory %s: not a size: give a number with M or G, as 512M or 2G", size ? size : v);
	if (o->memory_bytes > 1UL << 46)
		die_usage("--memory %s: too much: at most 64 TiB", size);
	o->memory_file = NULL;
	o->memory_shared = false;
	while ((key = strtok_r(NULL, ",", &save))) {
		if (!strncmp(key, "file=", 5) && key[5])
			o->memory_file = key + 5;
		else if (!strcmp(key, "shared=on") || !strcmp(key, "shared=off"))
			o->memory_shared = !strcmp(key, "shared=on");
		else
			die_usage("--memory %s: unknown key %s: there are file=FILE and shared=on|off", size, key);
	}
	if (!o->memory_file)
		free(copy);
}

static void set_hugepages(struct opts *o, const char *v)
{
	o->huge_page_bytes = strcmp(v, "off") ? size_of(v) : 0;
	if (strcmp(v, "off") && o->huge_page_bytes != 2 * MIB && o->huge_page_bytes != GIB)
		die_usage("--hugepages %s: give 2M, 1G or off", v);
}

static void set_prefault(struct opts *o, const char *v)
{
	if (strcmp(v, "on") && strcmp(v, "off"))
		die_usage("--prefault %s: give on or off", v);
	o->prefault = !strcmp(v, "on");
}

/* ADDRESS[,reset=on|off] */
static void set_vfio(struct opts *o, const char *v)
{
	char *device = strdup(v), *key = device ? strchr(device, ',') : NULL;
	struct vfio_opts *d = &o->vfio[o->nr_vfio];

	if (!device)
		die("--vfio: out of memory");
	if (o->nr_vfio == OPTS_MAX_VFIO)
		die_usage("--vfio: too many devices: at most %u", OPTS_MAX_VFIO);
	if (key)
		*key++ = 0;
	if (key && strcmp(key, "reset=on") && strcmp(key, "reset=off"))
		die_usage("--vfio %s: unknown key %s: there is reset=on|off", device, key);
	*d = (struct vfio_opts) { .device = device, .reset = !key || !strcmp(key, "reset=on") };
	o->nr_vfio++;
}

static void set_serial(struct opts *o, const char *v)
{
	o->serial_path = NULL;
	if (!strcmp(v, "stdio")) {
		o->serial = SERIAL_STDIO;
	} else if (!strcmp(v, "off")) {
		o->serial = SERIAL_OFF;
	} else if (!strncmp(v, "file=", 5) && v[5]) {
		o->serial = SERIAL_FILE;
		o->serial_path = v + 5;
	} else {
		die_usage("--serial %s: give stdio, file=FILE or off", v);
	}
}

static void set_on_reset(struct opts *o, const char *v)
{
	if (strcmp(v, "exit") && strcmp(v, "reboot"))
		die_usage("--on-reset %s: give exit or reboot", v);
	o->reboot = !strcmp(v, "reboot");
}

static void set_sandbox(struct opts *o, const char *v)
{
	if (strcmp(v, "on") && strcmp(v, "off"))
		die_usage("--sandbox %s: give on or off", v);
	o->sandbox = !strcmp(v, "on");
}

static const struct {
	const char *name;
	char letter;
	void (*set)(struct opts *o, const char *value);
} options[] = {
	{ "kernel", 'k', set_kernel },
	{ "initrd", 'i', set_initrd },
	{ "cmdline", 'p', set_cmdline },
	{ "cpus", 'c', set_cpus },
	{ "memory", 'm', set_memory },
	{ "hugepages", 0, set_hugepages },
	{ "prefault", 0, set_prefault },
	{ "serial", 0, set_serial },
	{ "ctl", 0, set_ctl },
	{ "on-reset", 0, set_on_reset },
	{ "stats", 0, set_stats },
	{ "sandbox", 0, set_sandbox },
	{ "user", 0, set_user },
	{ "port", 0, set_port },
	{ "vfio", 0, set_vfio },
};

/* Return: whether @arg is --@name, with its value in *@value if one is attached. */
static bool match_long(const char *arg, const char *name, char **value)
{
	size_t n = strlen(name);

	if (strncmp(arg, "--", 2) || strncmp(arg + 2, name, n))
		return false;
	if (arg[2 + n] != '=' && arg[2 + n])
		return false;
	*value = arg[2 + n] ? (char *)arg + 3 + n : NULL;
	return true;
}

static char *need_value(char *attached, const char *option, int argc, char **argv, int *i)
{
	if (attached)
		return attached;
	if (*i + 1 == argc)
		die_usage("%s: needs a value: see vkick run --help", option);
	return argv[++*i];
}

static void parse_one(struct opts *o, int argc, char **argv, int *i)
{
	const struct virtio_class *class;
	char *arg = argv[*i], *value;
	unsigned int k;

	if (!strcmp(arg, "--help") || !strcmp(arg, "-h")) {
		opts_help();
		exit(0);
	}
	for (k = 0; k < ARRAY_SIZE(options); k++) {
		bool is_short = arg[0] == '-' && options[k].letter &&
				arg[1] == options[k].letter && !arg[2];

		value = NULL;
		if (is_short || match_long(arg, options[k].name, &value)) {
			options[k].set(o, need_value(value, arg, argc, argv, i));
			return;
		}
	}
	for (k = 0; (class = virtio_class_at(k)); k++) {
		if (match_long(arg, class->name, &value)) {
			opts_add_device(o, class, need_value(value, arg, argc, argv, i));
			return;
		}
	}
	die_usage("%s: unknown option: see vkick run --help", arg);
}

static bool names_a_console(const char *cmdline)
{
	return !strncmp(cmdline, "console=", 8) || strstr(cmdline, " console=");
}

const struct device_opts *opts_console(const struct opts *o)
{
	unsigned int i;

	for (i = 0; i < o->nr_devices; i++)
		if (o->devices[i].class == &dev_console)
			return &o->devices[i];
	return NULL;
}

/* Who names no console has the one that costs least, if there is room for it, and the serial port until its driver is there. */
void opts_default_console(struct opts *o)
{
	bool named = names_a_console(o->cmdline), full = o->nr_devices + o->nr_vfio == OPTS_MAX_DEVICES;
	char stdio[] = "stdio", *cmdline;

	if (!opts_console(o) && !full && (!named || strstr(o->cmdline, "console=hvc")))
		opts_add_device(o, &dev_console, stdio);
	if (named)
		return;
	if (asprintf(&cmdline, "%s%s%s", o->cmdline, *o->cmdline ? " " : "",
		     opts_console(o) ? "earlycon=uart8250,io,0x3f8 console=hvc0" : "console=ttyS0") < 0)
		die("--cmdline: out of memory");
	o->cmdline = cmdline;
	o->cmdline_note = ", with those that name a console";
}

/* What --port VALUE says of its datapath, or NULL. */
static char *datapath_of_port(const char *value)
{
	char *copy = strdup(value), *save = NULL, *key, *name = NULL;

	if (!copy)
		die("--port: out of memory");
	for (key = strtok_r(copy, ",", &save); key && !name; key = strtok_r(NULL, ",", &save))
		if (!strncmp(key, "datapath=", 9))
			name = strdup(key + 9);
	free(copy);
	return name;
}

/* The console device with the datapath of that name; it is as the first console in all else. Return: its index */
static u8 console_with(struct opts *o, const char *port, const char *name)
{
	bool is_auto = !strcmp(name, "auto");
	const struct datapath_ops *dp = datapath_find(&dev_console, is_auto ? "kernel" : name);
	struct device_opts *d;
	unsigned int i;

	if (!dp)
		die_usage("--port %s: datapath=%s: give kernel, user or auto", port, name);
	for (i = 0; i < o->nr_devices; i++)
		if (o->devices[i].class == &dev_console && o->devices[i].datapath == dp && o->devices[i].datapath_auto == is_auto)
			return i;
	if (i == OPTS_MAX_DEVICES)
		die_usage("--port %s: too many devices, with one more console: at most %u", port, OPTS_MAX_DEVICES);
	d = &o->devices[o->nr_devices++];
	*d = *opts_console(o);
	d->datapath = dp;
	d->datapath_auto = is_auto;
	d->datapath_asked = true;
	return i;
}

/* A device has one datapath: so ports are of the console, which there is one of, or of others that have no hvc. */
static void check_consoles(struct opts *o)
{
	const struct device_opts *console = opts_console(o);
	const struct device_opts *last = &o->devices[o->nr_devices];
	char off[] = "off", *datapath;
	unsigned int i;

	while (console && ++console < last)
		if (console->class == &dev_console)
			die_usage("--console: given twice: give more ports with --port");
	if (o->nr_ports && !opts_console(o))
		opts_add_device(o, &dev_console, off);
	for (i = 0; i < o->nr_ports; i++) {
		datapath = datapath_of_port(o->ports[i]);
		o->port_device[i] = datapath ? console_with(o, o->ports[i], datapath) : opts_console(o) - o->devices;
		free(datapath);
	}
}

void opts_parse(struct opts *o, int argc, char **argv)
{
	int i;

	*o = (struct opts) {
		.cmdline = "",
		.cmdline_note = "",
		.cpus = 1,
		.memory_bytes = 512 * MIB,
		.serial = SERIAL_STDIO,
		.sandbox = true,
	};
	for (i = 0; i < argc; i++)
		parse_one(o, argc, argv, &i);
	if (!o->kernel)
		die_usage("--kernel: missing: give a bzImage (vmlinuz) to boot");
	check_consoles(o);
	if (o->nr_devices + o->nr_vfio > OPTS_MAX_DEVICES)
		die_usage("--vfio: too many devices, with the others: at most %u", OPTS_MAX_DEVICES);
	if (o->memory_file && o->huge_page_bytes)
		die_usage("--hugepages with --memory file=: the file decides: give one on hugetlbfs instead");
	if (o->huge_page_bytes && o->memory_bytes % o->huge_page_bytes)
		die_usage("--memory %luM: not whole huge pages of %luM: give a multiple",
			  o->memory_bytes / MIB, o->huge_page_bytes / MIB);
}
