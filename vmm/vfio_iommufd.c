// SPDX-License-Identifier: GPL-2.0
/*
 * iommufd: an address space that is an object of its own, and devices that are attached to it one by one, each by its own node.
 *
 * in:  a device of vfio-pci's, of a kernel of 6.6 or later with CONFIG_IOMMUFD and CONFIG_VFIO_DEVICE_CDEV
 * out: its file; mappings
 *
 * The kernel still keeps apart what it can tell apart only: the first device of a group claims the whole of it for this process.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vfio.h"
#include "vfio_iommufd.h"

#define IOMMU_NODE	"/dev/iommu"
#define NODE_BYTES	64

static struct {
	int fd;
	u32 ioas;		/* the address space */
	unsigned int nr, nr_open;
	struct vfio_dev *dev[OPTS_MAX_VFIO];
} iommufd = { .fd = -1 };

/* ---- Opening ---------------------------------------------------------------------------- */

/* Return: whether the kernel has a node for it. */
static bool node_of(const char *address, char node[NODE_BYTES])
{
	char name[32];

	if (!vfio_sysfs_node(address, name, sizeof(name)))
		return false;
	snprintf(node, NODE_BYTES, "/dev/vfio/devices/%s", name);
	return true;
}

/* Who may not open them may still have been given the group. */
static bool is_there(const char *address)
{
	char node[NODE_BYTES];

	return node_of(address, node) && !access(node, R_OK | W_OK) && !access(IOMMU_NODE, R_OK | W_OK);
}

static void open_space(const char *address)
{
	struct iommufd_ioas_alloc alloc = { .size = sizeof(alloc) };

	iommufd.fd = open(IOMMU_NODE, O_RDWR | O_CLOEXEC);
	if (iommufd.fd < 0 || ioctl(iommufd.fd, IOMMUFD_IOAS_ALLOC, &alloc))
		die("--vfio %s: %s: %s", address, IOMMU_NODE, strerror(errno));
	iommufd.ioas = alloc.out_ioas_id;
}

static void bind_device(struct vfio_dev *d)
{
	struct iommufd_bind bind = { .argsz = sizeof(bind), .iommufd = iommufd.fd };
	int err = ioctl(d->fd, IOMMUFD_BIND, &bind) ? errno : 0;

	if (!err)
		return;
	if (err == EPERM)
		vfio_space_no_remapping(d, "iommufd");
	if (err == EBUSY)
		vfio_space_check_others(d);
	/* A node may be open many times, but bound once. */
	if (err == EBUSY || err == EINVAL)
		die("--vfio %s: another process has group %u: it is one VM's at a time", d->name, d->group);
	die("--vfio %s: vfio-pci does not open it: %s: see dmesg", d->name, strerror(err));
}

static void open_device(struct vfio_dev *d)
{
	struct iommufd_attach attach = { .argsz = sizeof(attach) };
	char node[NODE_BYTES];

	if (!node_of(d->name, node))
		die("--vfio %s: it has no node in /dev/vfio/devices: see dmesg", d->name);
	if (iommufd.fd < 0)
		open_space(d->name);
	d->fd = open(node, O_RDWR | O_CLOEXEC);
	if (d->fd < 0)
		die("--vfio %s: %s: %s: chown it to who runs vkick, or run it as root", d->name, node, strerror(errno));
	bind_device(d);
	attach.pt_id = iommufd.ioas;
	if (ioctl(d->fd, IOMMUFD_ATTACH, &attach))
		die("--vfio %s: it does not go into one address space with the others: %s", d->name, strerror(errno));
	iommufd.dev[iommufd.nr++] = d;
	iommufd.nr_open++;
}

/* ---- Life ---------------------------------------------------------------------------------- */

/*
 * KVM first, which has the file as well: it is closed when the last one has let go. With the last device goes the address space, and all
 * that is mapped there.
 */
static void close_device(struct vfio_dev *d)
{
	vfio_space_tell_kvm(d->fd, false);
	close(d->fd);
	d->fd = -1;
	if (--iommufd.nr_open)
		return;
	close(iommufd.fd);
	iommufd.fd = -1;
}

static void each_file(void (*each)(int fd))
{
	unsigned int i;

	for (i = 0; i < iommufd.nr; i++)
		if (iommufd.dev[i]->fd >= 0)
			each(iommufd.dev[i]->fd);
}

static int map(u64 iova, void *hva, u64 bytes)
{
	struct iommufd_ioas_map map = {
		.size = sizeof(map), .ioas_id = iommufd.ioas,
		.flags = IOMMUFD_MAP_FIXED_IOVA | IOMMUFD_MAP_WRITEABLE | IOMMUFD_MAP_READABLE,
		.user_va = (u64)hva, .length = bytes, .iova = iova,
	};

	return ioctl(iommufd.fd, IOMMUFD_IOAS_MAP, &map) ? -errno : 0;
}

static int unmap(u64 iova, u64 bytes)
{
	struct iommufd_ioas_unmap unmap = { .size = sizeof(unmap), .ioas_id = iommufd.ioas, .iova = iova, .length = bytes };

	return ioctl(iommufd.fd, IOMMUFD_IOAS_UNMAP, &unmap) ? -errno : 0;
}

const struct vfio_way vfio_by_iommufd = {
	.name = "iommufd",
	.is_there = is_there,
	.open = open_device,
	.close = close_device,
	.each_file = each_file,
	.map = map,
	.unmap = unmap,
};
