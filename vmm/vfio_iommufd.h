/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What of <linux/iommufd.h> and <linux/vfio.h> of Linux 6.6 vfio_iommufd.c and the sandbox use, by names of our own: Debian 12's headers are
 * of 6.1, and later ones have them by theirs.
 */
#ifndef VMM_VFIO_IOMMUFD_H
#define VMM_VFIO_IOMMUFD_H

#include <linux/vfio.h>
#include <sys/ioctl.h>

#include "vmm.h"

/* ---- Calls of a device's file ------------------------------------------------------- */

/* VFIO_DEVICE_BIND_IOMMUFD: from here on the device can be used. */
#define IOMMUFD_BIND		_IO(VFIO_TYPE, VFIO_BASE + 18)

struct iommufd_bind {
	u32 argsz;
	u32 flags;		/* 0 */
	int iommufd;
	u32 out_devid;
};

/* VFIO_DEVICE_ATTACH_IOMMUFD_PT: DMA of the device goes to that address space. */
#define IOMMUFD_ATTACH		_IO(VFIO_TYPE, VFIO_BASE + 19)

struct iommufd_attach {
	u32 argsz;
	u32 flags;		/* 0 */
	u32 pt_id;
};

/* ---- Calls of /dev/iommu ----------------------------------------------------------------- */

#define IOMMUFD_IOAS_ALLOC	_IO(';', 0x81)

struct iommufd_ioas_alloc {
	u32 size;
	u32 flags;		/* 0 */
	u32 out_ioas_id;
};

#define IOMMUFD_IOAS_MAP	_IO(';', 0x85)
#define IOMMUFD_MAP_FIXED_IOVA	(1 << 0)
#define IOMMUFD_MAP_WRITEABLE	(1 << 1)
#define IOMMUFD_MAP_READABLE	(1 << 2)

struct iommufd_ioas_map {
	u32 size;
	u32 flags;
	u32 ioas_id;
	u32 reserved;
	u64 user_va;
	u64 length;
	u64 iova;
};

#define IOMMUFD_IOAS_UNMAP	_IO(';', 0x86)

struct iommufd_ioas_unmap {
	u32 size;
	u32 ioas_id;
	u64 iova;
	u64 length;		/* out: bytes that were mapped */
};

#endif
