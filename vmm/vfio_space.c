// SPDX-License-Identifier: GPL-2.0
/*
 * The one address space of all devices of the host's, by whichever of the kernel's two ways there is: iommufd (vfio_iommufd.c), or groups
 * and a container (vfio_group.c).
 *
 * in:  a device's address
 * out: its file, or a line that says what stands in the way, and what to do; mappings; what KVM has to know of it
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vfio.h"

/* Whose devices may be in a group that is ours: bridges that pass on what is behind them. */
#define DRIVER_OF_PORTS	"pcieport"

static const struct vfio_way *way;
static unsigned int nr_open;
static int kvm_device = -1;

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

void vfio_space_check_others(const struct vfio_dev *d)
{
	struct others others = { .address = d->name };

	vfio_sysfs_each(d->group, note_other, &others);
	if (others.names[0])
		die("--vfio %s: the IOMMU cannot tell it from others of group %u, which the host uses: %s: give them to vfio-pci too (vkick vfio bind), or take a device that is alone",
		    d->name, d->group, others.names);
}

void vfio_space_no_remapping(const struct vfio_dev *d, const char *module)
{
	die("--vfio %s: this host does not remap interrupts, so a device could forge any: switch it on in the firmware, or, for guests that you trust, load %s with allow_unsafe_interrupts=1",
	    d->name, module);
}

/* ---- Devices ------------------------------------------------------------------------------ */

void vfio_space_open_device(struct vfio_dev *d)
{
	int group = vfio_sysfs_group(d->name);

	if (group < 0)
		die("--vfio %s: no IOMMU is between it and memory: switch it on in the firmware (VT-d, AMD-Vi), and boot the host with intel_iommu=on",
		    d->name);
	d->group = group;
	check_driver(d->name);
	/* The first device decides for all, which are to be in one. */
	if (!way)
		way = vfio_by_iommufd.is_there(d->name) ? &vfio_by_iommufd : &vfio_by_group;
	way->open(d);
	nr_open++;
}

void vfio_space_close_device(struct vfio_dev *d)
{
	way->close(d);
	nr_open--;
}

const char *vfio_space_way(void)
{
	return way->name;
}

/* ---- Boots ---------------------------------------------------------------------------------- */

void vfio_space_tell_kvm(int fd, bool add)
{
	struct kvm_device_attr attr = {
		/* Of iommufd's kernels, whose headers say FILE, it takes devices as well. */
		.group = KVM_DEV_VFIO_GROUP, .attr = add ? KVM_DEV_VFIO_GROUP_ADD : KVM_DEV_VFIO_GROUP_DEL, .addr = (u64)&fd,
	};

	if (kvm_device >= 0 && ioctl(kvm_device, KVM_SET_DEVICE_ATTR, &attr))
		warn("--vfio: KVM does not take a device: %s: memory that it shares with the guest may not be coherent", strerror(errno));
}

static void tell_all_of(int fd)
{
	vfio_space_tell_kvm(fd, true);
}

bool vfio_space_power_on(struct vm *vm)
{
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_VFIO };

	if (!nr_open)
		return false;
	if (ioctl(vm->fd, KVM_CREATE_DEVICE, &device)) {
		warn("--vfio: KVM knows of no VFIO: %s: memory that it shares with devices may not be coherent", strerror(errno));
		return true;
	}
	kvm_device = device.fd;
	way->each_file(tell_all_of);
	return true;
}

bool vfio_space_power_off(void)
{
	if (kvm_device >= 0)
		close(kvm_device);
	kvm_device = -1;
	return nr_open;
}

int vfio_space_map(u64 iova, void *hva, u64 bytes)
{
	return way->map(iova, hva, bytes);
}

int vfio_space_unmap(u64 iova, u64 bytes)
{
	return way->unmap(iova, bytes);
}
