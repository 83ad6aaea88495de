// SPDX-License-Identifier: GPL-2.0
/*
 * What the host's sysfs says of its PCI devices.
 *
 * in:  an address, or a path
 * out: group, driver, attributes
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio.h"

#define DEVICES	"/sys/bus/pci/devices"

/* The last part of where a link of the device's leads. Return: whether there is one. */
static bool link_name(const char *address, const char *link, char *name, size_t bytes)
{
	char path[PATH_MAX], to[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), DEVICES "/%s/%s", address, link);
	n = readlink(path, to, sizeof(to) - 1);
	if (n < 0)
		return false;
	to[n] = 0;
	snprintf(name, bytes, "%s", strrchr(to, '/') ? strrchr(to, '/') + 1 : to);
	return true;
}

void vfio_sysfs_find(const char *arg, char address[VFIO_ADDRESS_BYTES])
{
	unsigned int domain = 0, bus, slot, function;
	char path[PATH_MAX], real[PATH_MAX], tail;
	const char *name = arg;

	if (strchr(arg, '/')) {
		if (!realpath(arg, real))
			die("--vfio %s: %s", arg, strerror(errno));
		name = strrchr(real, '/') + 1;
	}
	if (sscanf(name, "%x:%x:%x.%x%c", &domain, &bus, &slot, &function, &tail) != 4) {
		domain = 0;
		if (sscanf(name, "%x:%x.%x%c", &bus, &slot, &function, &tail) != 3)
			die_usage("--vfio %s: not the address of a PCI device: give one as 0000:01:00.0: see vkick vfio list", arg);
	}
	if (domain > 0xffff || bus > 0xff || slot > 0x1f || function > 7)
		die_usage("--vfio %s: no PCI device has such an address: see vkick vfio list", arg);
	snprintf(address, VFIO_ADDRESS_BYTES, "%04x:%02x:%02x.%x", domain & 0xffff, bus & 0xff, slot & 0x1f, function & 7);
	snprintf(path, sizeof(path), DEVICES "/%s", address);
	if (access(path, F_OK))
		die("--vfio %s: there is no PCI device %s: see vkick vfio list", arg, address);
}

int vfio_sysfs_group(const char *address)
{
	char name[32];

	return link_name(address, "iommu_group", name, sizeof(name)) ? atoi(name) : -1;
}

bool vfio_sysfs_driver(const char *address, char *name, size_t bytes)
{
	return link_name(address, "driver", name, bytes);
}

bool vfio_sysfs_node(const char *address, char *name, size_t bytes)
{
	char path[PATH_MAX];
	struct dirent **entry;
	bool found = false;
	int i, nr;

	snprintf(path, sizeof(path), DEVICES "/%s/vfio-dev", address);
	nr = scandir(path, &entry, NULL, alphasort);
	for (i = 0; i < nr; i++) {
		if (entry[i]->d_name[0] != '.' && !found) {
			snprintf(name, bytes, "%s", entry[i]->d_name);
			found = true;
		}
		free(entry[i]);
	}
	if (nr >= 0)
		free(entry);
	return found;
}

u32 vfio_sysfs_number(const char *address, const char *attribute)
{
	char path[PATH_MAX];
	u32 v = 0;
	FILE *f;

	snprintf(path, sizeof(path), DEVICES "/%s/%s", address, attribute);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%x", &v) != 1)
		v = 0;
	fclose(f);
	return v;
}

void vfio_sysfs_each(unsigned int group, void (*each)(const char *address, void *arg), void *arg)
{
	char path[PATH_MAX];
	struct dirent **entry;
	int i, nr;

	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%u/devices", group);
	nr = scandir(path, &entry, NULL, alphasort);
	for (i = 0; i < nr; i++) {
		if (entry[i]->d_name[0] != '.')
			each(entry[i]->d_name, arg);
		free(entry[i]);
	}
	if (nr >= 0)
		free(entry);
}

static bool file_says(const char *path, const char *what)
{
	char line[128] = "";
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f))
		line[0] = 0;
	fclose(f);
	return strspn(line, what);
}

/* A bit of an IOMMU's capabilities. All units of a host are alike. */
static bool iommu_can(const char *path, unsigned int bit)
{
	FILE *f = fopen(path, "re");
	u64 caps = 0;

	if (!f)
		return false;
	if (fscanf(f, "%lx", &caps) != 1)
		caps = 0;
	fclose(f);
	return caps >> bit & 1;
}

bool vfio_sysfs_posts_interrupts(void)
{
	/* VT-d: posted interrupts; AMD-Vi: a guest's virtual APIC. */
	return (file_says("/sys/module/kvm_intel/parameters/enable_apicv", "Y1") && iommu_can("/sys/class/iommu/dmar0/intel-iommu/cap", 59)) ||
	       (file_says("/sys/module/kvm_amd/parameters/avic", "Y1") && iommu_can("/sys/class/iommu/ivhd0/amd-iommu/features", 7));
}
