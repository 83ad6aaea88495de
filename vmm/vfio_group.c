// SPDX-License-Identifier: GPL-2.0
/*
 * VFIO's groups and its container (type 1): what the kernel hands out together, and the address space that it is put into.
 *
 * in:  a device of vfio-pci's
 * out: its file; mappings
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

static struct {
	int fd;
	unsigned int nr;
	struct group {
		unsigned int number;
		int fd;			/* -1: closed again */
		unsigned int nr_open;
	} group[OPTS_MAX_VFIO];
} container = { .fd = -1 };

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

static void check_viable(const struct group *g, const struct vfio_dev *d)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };

	if (ioctl(g->fd, VFIO_GROUP_GET_STATUS, &status))
		die("--vfio %s: group %u: %s", d->name, g->number, strerror(errno));
	if (status.flags & VFIO_GROUP_FLAGS_VIABLE)
		return;
	vfio_space_check_others(d);
	die("--vfio %s: the host uses others of group %u: see vkick vfio list", d->name, g->number);
}

/* With the first group the container becomes an address space. */
static void join_container(const struct group *g, const struct vfio_dev *d)
{
	if (ioctl(g->fd, VFIO_GROUP_SET_CONTAINER, &container.fd))
		die("--vfio %s: group %u does not go into one address space with the others: %s", d->name, g->number, strerror(errno));
	if (container.nr || !ioctl(container.fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return;
	if (errno == EPERM)
		vfio_space_no_remapping(d, "vfio_iommu_type1");
	die("--vfio %s: VFIO_SET_IOMMU: %s", d->name, strerror(errno));
}

static struct group *open_group(const struct vfio_dev *d)
{
	struct group *g;
	unsigned int i;
	char path[32];

	for (i = 0; i < container.nr; i++)
		if (container.group[i].number == d->group)
			return &container.group[i];
	g = &container.group[container.nr];
	g->number = d->group;
	snprintf(path, sizeof(path), "/dev/vfio/%u", d->group);
	g->fd = open(path, O_RDWR | O_CLOEXEC);
	if (g->fd < 0 && errno == EBUSY)
		die("--vfio %s: another process has group %u: it is one VM's at a time", d->name, d->group);
	if (g->fd < 0)
		die("--vfio %s: %s: %s: chown it to who runs vkick, or run it as root", d->name, path, strerror(errno));
	check_viable(g, d);
	join_container(g, d);
	container.nr++;
	return g;
}

static void open_device(struct vfio_dev *d)
{
	struct group *g;

	if (container.fd < 0)
		open_container(d->name);
	g = open_group(d);
	d->fd = ioctl(g->fd, VFIO_GROUP_GET_DEVICE_FD, d->name);
	if (d->fd < 0)
		die("--vfio %s: vfio-pci does not open it: %s: see dmesg", d->name, strerror(errno));
	fcntl(d->fd, F_SETFD, FD_CLOEXEC);
	g->nr_open++;
}

/* ---- Life ---------------------------------------------------------------------------------- */

/* The group goes as well, if nothing of it is open any more. */
static void close_device(struct vfio_dev *d)
{
	unsigned int i;

	close(d->fd);
	d->fd = -1;
	for (i = 0; i < container.nr; i++) {
		struct group *g = &container.group[i];

		if (g->number != d->group || --g->nr_open)
			continue;
		vfio_space_tell_kvm(g->fd, false);
		ioctl(g->fd, VFIO_GROUP_UNSET_CONTAINER);
		close(g->fd);
		g->fd = -1;
	}
}

static void each_file(void (*each)(int fd))
{
	unsigned int i;

	for (i = 0; i < container.nr; i++)
		if (container.group[i].fd >= 0)
			each(container.group[i].fd);
}

static int map(u64 iova, void *hva, u64 bytes)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (u64)hva, .iova = iova, .size = bytes,
	};

	return ioctl(container.fd, VFIO_IOMMU_MAP_DMA, &map) ? -errno : 0;
}

static int unmap(u64 iova, u64 bytes)
{
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap), .iova = iova, .size = bytes };

	return ioctl(container.fd, VFIO_IOMMU_UNMAP_DMA, &unmap) ? -errno : 0;
}

const struct vfio_way vfio_by_group = {
	.name = "group",
	.open = open_device,
	.close = close_device,
	.each_file = each_file,
	.map = map,
	.unmap = unmap,
};
