// SPDX-License-Identifier: GPL-2.0
/*
 * vkick vfio: shows which devices could be in a guest, and moves one to vfio-pci and back.
 *
 * in:  list; bind ADDRESS, unbind ADDRESS, each with --yes or a yes on the terminal
 * out: a line for each device; writes to sysfs
 *
 * sysfs' driver_override says which driver a device gets, whatever it is; the probe that follows finds that one alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio.h"

#define DRIVER_BYTES	64

/* ---- list ------------------------------------------------------------------------------- */

static void list_one(const char *address, void *arg)
{
	char driver[DRIVER_BYTES] = "-";

	(void)arg;
	vfio_sysfs_driver(address, driver, sizeof(driver));
	printf("%5d  %s  %04x:%04x  %06x  %s\n", vfio_sysfs_group(address), address, vfio_sysfs_number(address, "vendor"),
	       vfio_sysfs_number(address, "device"), vfio_sysfs_number(address, "class"), driver);
}

static int list(void)
{
	unsigned int group;
	char path[PATH_MAX];

	if (access("/sys/kernel/iommu_groups/0", F_OK))
		die("vfio list: there are no groups: no IOMMU: switch it on in the firmware (VT-d, AMD-Vi), and boot the host with intel_iommu=on");
	printf("group  address       ids        class   driver\n");
	for (group = 0; group < 4096; group++) {
		snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%u", group);
		if (!access(path, F_OK))
			vfio_sysfs_each(group, list_one, NULL);
	}
	return 0;
}

/* ---- bind, unbind -------------------------------------------------------------------------- */

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* @what: an attribute of the device's, or of its driver. die()s. */
static void write_attribute(const char *address, const char *what, const char *text)
{
	char path[PATH_MAX];
	int err;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", address, what);
	err = write_file(path, text);
	if (err)
		die("vfio: %s: %s", path, strerror(-err));
}

/* From whatever driver it has to @override, or to the one that is made for it if that is empty. */
static void move(const char *address, const char *override)
{
	char driver[DRIVER_BYTES];
	int err;

	write_attribute(address, "driver_override", *override ? override : "\n");
	if (vfio_sysfs_driver(address, driver, sizeof(driver)))
		write_attribute(address, "driver/unbind", address);
	err = write_file("/sys/bus/pci/drivers_probe", address);
	if (err && err != -EINVAL && err != -ENODEV)
		die("vfio: /sys/bus/pci/drivers_probe: %s", strerror(-err));
}

struct mates {
	const char *address;
	unsigned int nr;
};

static void say_mate(const char *address, void *arg)
{
	struct mates *m = arg;
	char driver[DRIVER_BYTES] = "no driver";

	if (!strcmp(address, m->address))
		return;
	vfio_sysfs_driver(address, driver, sizeof(driver));
	printf("%s %s (%s)", m->nr++ ? "," : "The IOMMU cannot tell it from", address, driver);
}

static bool agreed(bool yes)
{
	char line[16];

	if (yes)
		return true;
	if (!isatty(STDIN_FILENO))
		die("vfio: nobody can be asked: give --yes");
	printf("Go on? [y/N] ");
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

static int bind_or_unbind(const char *arg, bool bind, bool yes)
{
	char address[VFIO_ADDRESS_BYTES], driver[DRIVER_BYTES] = "";
	struct mates mates = { .address = address };
	bool has_driver;

	vfio_sysfs_find(arg, address);
	has_driver = vfio_sysfs_driver(address, driver, sizeof(driver));
	if (bind && vfio_sysfs_group(address) < 0)
		die("vfio bind %s: no IOMMU is between it and memory: switch it on in the firmware (VT-d, AMD-Vi), and boot the host with intel_iommu=on",
		    address);
	if (bind && access("/sys/bus/pci/drivers/vfio-pci", F_OK))
		die("vfio bind %s: there is no driver vfio-pci: modprobe vfio-pci", address);
	if (bind && !strcmp(driver, "vfio-pci")) {
		printf("%s is vfio-pci's already.\n", address);
		return 0;
	}
	if (!bind && strcmp(driver, "vfio-pci"))
		die("vfio unbind %s: vfio-pci does not have it: %s%s does", address, has_driver ? "" : "no driver", driver);
	printf("%s, %04x:%04x, is taken from %s and given to %s.\n", address, vfio_sysfs_number(address, "vendor"),
	       vfio_sysfs_number(address, "device"), has_driver ? driver : "nobody", bind ? "vfio-pci" : "the host's own driver");
	if (bind)
		vfio_sysfs_each(vfio_sysfs_group(address), say_mate, &mates);
	if (mates.nr)
		printf(".\n");
	if (!agreed(yes))
		return 1;
	move(address, bind ? "vfio-pci" : "");
	has_driver = vfio_sysfs_driver(address, driver, sizeof(driver));
	if (bind && (!has_driver || strcmp(driver, "vfio-pci")))
		die("vfio bind %s: vfio-pci does not take it: see dmesg", address);
	printf("%s: %s\n", address, has_driver ? driver : "no driver");
	return 0;
}

int vfio_tool_run(int argc, char **argv)
{
	const char *cmd = argc ? argv[0] : "", *address = NULL;
	bool yes = false, bad = false;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--yes"))
			yes = true;
		else if (!address)
			address = argv[i];
		else
			bad = true;
	}
	if (!strcmp(cmd, "list") && argc == 1)
		return list();
	if ((!strcmp(cmd, "bind") || !strcmp(cmd, "unbind")) && address && !bad)
		return bind_or_unbind(address, !strcmp(cmd, "bind"), yes);
	die_usage("vfio: give list, bind ADDRESS or unbind ADDRESS, with --yes or without");
}
