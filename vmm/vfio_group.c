// SPDX-License-Identifier: GPL-2.0
/*
 * VFIO's groups and its container (type 1): what the kernel hands out together, and the one address space of all devices.
 *
 * in:  a device's address
 * out: its file, or a line that says what stands in the way, and what to do
 *
 * A group is what the IOMMU cannot tell apart: its devices reach each other's memory, so they belong to one owner. A container is an
 * address space that groups are put into; ours has guest memory at the guest's addresses (vfio_dma.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vfio.h"

/* Whose devices may be in a group that is ours: bridges that pass on what is behind them. */
#define DRIVER_OF_PORTS	"pcieport"

static struct {
	int fd;
	int kvm_device;
	unsigned int nr;
	struct group {
		unsigned int number;
		int fd;			/* -1: closed again */
		unsigned int nr_open;
	} group[OPTS_MAX_VFIO];
} container = { .fd = -1, .kvm_device = -1 };

/* ---- What stands in the way ---------------------------------------------------------- */

static bool is_vfio_driver(const char *driver)
{
	return strstr(driver, "vfio");
}

struct others {
	const char *address;
	char names[WHY_BYTES];
};

/* Whoever is in the group and is not VFIO's. */
static void note_other(const char *address, void *arg)
{
	struct others *o = arg;
	char driver[64];
	size_t n = strlen(o->names);

	if (!strcmp(address, o->address) || !vfio_sysfs_driver(address, driver, sizeof(driver)) ||
	    is_vfio_driver(driver) || !strcmp(driver, DRIVER_OF_PORTS))
		return;
	snprintf(o->names + n, sizeof(o->names) - n, "%s%s (%s)", n ? ", " : "", address, driver);
}

static void check_driver(const char *address)
{
	char driver[64];

	if (!vfio_sysfs_driver(address, driver, sizeof(driver)))
		die("--vfio %s: it has no driver: vkick vfio bind %s gives it to vfio-pci", address, address);
	if (!is_vfio_driver(driver))
		die("--vfio %s: the host's driver %s has it: vkick vfio bind %s gives it to vfio-pci", address, driver, address);
}

static void check_viable(const struct group *g, const char *address)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	struct others others = { .address = address };

	if (ioctl(g->fd, VFIO_GROUP_GET_STATUS, &status))
		die("--vfio %s: group %u: %s", address, g->number, strerror(errno));
	if (status.flags & VFIO_GROUP_FLAGS_VIABLE)
		return;
	vfio_sysfs_each(g->number, note_other, &others);
	die("--vfio %s: the IOMMU cannot tell it from others of group %u, which the host uses: %s: give them to vfio-pci too (vkick vfio bind), or take a device that is alone",
	    address, g->number, others.names);
}

/* ---- Opening ---------------------------------------------------------------------------- */

static void open_container(const char *address)
{
	container.fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (container.fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		die("--vfio %s: no /dev/vfio/vfio: modprobe vfio-pci", address);
	if (container.fd < 0)
		die("--vfio %s: /dev/vfio/vfio: %s", address, strerror(errno));
	if (ioctl(container.fd, VFIO_GET_API_VERSION) != VFIO_API_VERSION ||
	    !ioctl(container.fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU))
		die("--vfio %s: this kernel's VFIO has no IOMMU of type 1, version 2: modprobe vfio_iommu_type1", address);
}

/* With the first group the container becomes an address space. */
static void join_container(const struct group *g, const char *address)
{
	if (ioctl(g->fd, VFIO_GROUP_SET_CONTAINER, &container.fd))
		die("--vfio %s: group %u does not go into one address space with the others: %s", address, g->number, strerror(errno));
	if (container.nr)
		return;
	if (!ioctl(container.fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return;
	if (errno == EPERM)
		die("--vfio %s: this host does not remap interrupts, so a device could forge any: switch it on in the firmware, or, for guests that you trust, load vfio_iommu_type1 with allow_unsafe_interrupts=1",
		    address);
	die("--vfio %s: VFIO_SET_IOMMU: %s", address, strerror(errno));
}

static struct group *open_group(unsigned int number, const char *address)
{
	struct group *g;
	unsigned int i;
	char path[32];

	for (i = 0; i < container.nr; i++)
		if (container.group[i].number == number)
			return &container.group[i];
	g = &container.group[container.nr];
	g->number = number;
	snprintf(path, sizeof(path), "/dev/vfio/%u", number);
	g->fd = open(path, O_RDWR | O_CLOEXEC);
	if (g->fd < 0 && errno == EBUSY)
		die("--vfio %s: another process has group %u: it is one VM's at a time", address, number);
	if (g->fd < 0)
		die("--vfio %s: %s: %s: chown it to who runs vkick, or run it as root", address, path, strerror(errno));
	check_viable(g, address);
	join_container(g, address);
	container.nr++;
	return g;
}

void vfio_group_open_device(struct vfio_dev *d, const char *address)
{
	int number = vfio_sysfs_group(address);
	struct group *g;

	if (number < 0)
		die("--vfio %s: no IOMMU is between it and memory: switch it on in the firmware (VT-d, AMD-Vi), and boot the host with intel_iommu=on",
		    address);
	check_driver(address);
	if (container.fd < 0)
		open_container(address);
	g = open_group(number, address);
	d->group = number;
	d->fd = ioctl(g->fd, VFIO_GROUP_GET_DEVICE_FD, address);
	if (d->fd < 0)
		die("--vfio %s: vfio-pci does not open it: %s: see dmesg", address, strerror(errno));
	fcntl(d->fd, F_SETFD, FD_CLOEXEC);
	g->nr_open++;
}

/* ---- Life ---------------------------------------------------------------------------------- */

static void tell_kvm(const struct group *g, u32 what)
{
	int fd = g->fd;
	struct kvm_device_attr attr = {
		.group = KVM_DEV_VFIO_GROUP, .attr = what, .addr = (u64)&fd,
	};

	if (container.kvm_device >= 0 && ioctl(container.kvm_device, KVM_SET_DEVICE_ATTR, &attr))
		warn("VFIO group %u: KVM does not take it: %s: memory that it shares with devices may not be coherent", g->number, strerror(errno));
}

void vfio_group_close_device(struct vfio_dev *d)
{
	unsigned int i;

	close(d->fd);
	d->fd = -1;
	for (i = 0; i < container.nr; i++) {
		struct group *g = &container.group[i];

		if (g->number != d->group || --g->nr_open)
			continue;
		tell_kvm(g, KVM_DEV_VFIO_GROUP_DEL);
		ioctl(g->fd, VFIO_GROUP_UNSET_CONTAINER);
		close(g->fd);
		g->fd = -1;
	}
}

void vfio_group_power_on(struct vm *vm)
{
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_VFIO };
	unsigned int i;

	if (vfio_container() < 0)
		return;
	if (ioctl(vm->fd, KVM_CREATE_DEVICE, &device)) {
		warn("--vfio: KVM knows of no VFIO: %s: memory that it shares with devices may not be coherent", strerror(errno));
		return;
	}
	container.kvm_device = device.fd;
	for (i = 0; i < container.nr; i++)
		if (container.group[i].fd >= 0)
			tell_kvm(&container.group[i], KVM_DEV_VFIO_GROUP_ADD);
}

void vfio_group_power_off(void)
{
	if (container.kvm_device >= 0)
		close(container.kvm_device);
	container.kvm_device = -1;
}

int vfio_container(void)
{
	unsigned int i;

	for (i = 0; i < container.nr; i++)
		if (container.group[i].fd >= 0)
			return container.fd;
	return -1;
}
