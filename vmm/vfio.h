/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A PCI device of the host's in the guest, by VFIO.
 *
 *	dev_vfio.c	a device's life: opened, reset with the guest, taken out when the host wants it back; what status says of it
 *	vfio_space.c	the address space of all: what may be opened, and why not
 *	vfio_group.c	the one way to it: groups and a container
 *	vfio_iommufd.c	the other way: iommufd
 *	vfio_sysfs.c	what the host says of its devices: group, driver
 *	vfio_dma.c	guest memory as the device sees it
 *	vfio_cfg.c	config space: what of it is the device's, what is ours
 *	vfio_bar.c	BARs in the guest's memory
 *	vfio_irq.c	interrupts: the device's eventfds, and which of the three mechanisms the guest uses
 *	vfio_tool.c	vkick vfio list, bind, unbind
 *
 * Lifetimes. What is opened at the set-up stays open until the process ends, or the host asks for it: nothing is opened later. Guest
 * memory is mapped for the device from a boot's start to its end, since a reset gives the guest other pages; and before these go, the
 * device is reset, so that it does not write to them any more.
 *
 * Under vm->lock, but for the calls of the set-up.
 */
#ifndef VMM_VFIO_H
#define VMM_VFIO_H

#include <jansson.h>

#include "intx.h"
#include "msi.h"
#include "opts.h"
#include "pci.h"

#define VFIO_ADDRESS_BYTES	16	/* 0000:00:00.0 */
#define VFIO_MAX_AREAS		8

struct vfio_dev;

/**
 * struct vfio_area - a part of a BAR that the guest reaches with no exit
 * @off: in the BAR; whole pages, as @bytes
 * @hva: where we have it
 * @slot: KVM's, of ours alone
 * @in_guest: KVM has it
 */
struct vfio_area {
	u64 off, bytes;
	u8 *hva;
	u32 slot;
	bool in_guest;
};

/**
 * struct vfio_region - a BAR
 * @offset: of its first byte in the device's file
 * @accesses: of the guest's, that came to us
 */
struct vfio_region {
	struct vfio_dev *dev;
	u64 offset;
	u64 bytes;
	u64 accesses;
	unsigned int nr_areas;
	struct vfio_area area[VFIO_MAX_AREAS];
};

enum vfio_irq { VFIO_IRQ_NONE, VFIO_IRQ_INTX, VFIO_IRQ_MSI, VFIO_IRQ_MSIX };

/* MSI-X in a BAR: where the table lies, and the pending bits. */
struct vfio_msix_at {
	u8 table_bar, pba_bar;
	u32 table, pba;
};

/**
 * struct vfio_dev - one device
 * @name: its address
 * @fd: -1: the host has it back
 * @cfg_offset: of config space in the device's file
 * @live: bits of config space that are read from the device; @passed: that are written to it
 * @irq: what the device signals by now
 * @irq_set: room for as many eventfds as there can be
 * @host_nr: vectors that the host has set aside for MSI-X; @armed: those that signal an eventfd
 */
struct vfio_dev {
	struct pci_dev pci;
	char name[VFIO_ADDRESS_BYTES];
	unsigned int group;
	int fd;
	bool can_reset;

	u64 cfg_offset;
	u8 live[PCI_CFG_BYTES];
	u8 passed[PCI_CFG_BYTES];
	u8 pm, exp, af;			/* offsets of capabilities, or 0 */
	bool master;			/* the device may do DMA */

	struct vfio_region bar[PCI_NR_BARS];

	enum vfio_irq irq;
	bool irq_complained;
	bool has_intx, has_msi, has_msix;
	struct intx intx;
	struct msi msi;
	struct msix msix;
	struct vfio_msix_at msix_at;
	bool msix_fixed;		/* its vectors grow only by being set up anew */
	u16 host_nr;
	bool *armed;
	struct vfio_irq_set *irq_set;
	struct loop_source err, req;
};

/* ---- dev_vfio.c ------------------------------------------------------------------ */

/* Devices of the options. die()s. */
void vfio_init(struct vm *vm);
/* One whose @name and @fd are there already: it is on the bus. die()s. */
void vfio_dev_init(struct vfio_dev *d, struct vm *vm, const struct vfio_opts *o);
/* Between boots: no interrupts, no DMA, and all forgotten. */
void vfio_dev_reset(struct vfio_dev *d);
/* A KVM VM is there, and cleared memory. die()s. */
void vfio_power_on(struct vm *vm);
/* vCPUs are stopped. The devices are reset, and have no memory. */
void vfio_power_off(struct vm *vm);
/* The guest's own reset of one: as it registered. */
void vfio_function_reset(struct vfio_dev *d);
/* Of all, in the order of the options; a new reference. */
json_t *vfio_status_json(void);

/* ---- vfio_space.c ------------------------------------------------------------------ */

/**
 * struct vfio_way - one of the kernel's two ways to an address space for devices
 * @name: in status
 * @is_there: whether the kernel has it for the device at @address, and lets us
 * @open: sets @d->fd of a device whose @name and @group are there; die()s with what stands in the way
 * @close: of the device, and of what belongs to no other
 * @each_file: calls @each for all that KVM is to know
 * @map, @unmap: Return: 0 or -errno
 */
struct vfio_way {
	const char *name;
	bool (*is_there)(const char *address);
	void (*open)(struct vfio_dev *d);
	void (*close)(struct vfio_dev *d);
	void (*each_file)(void (*each)(int fd));
	int (*map)(u64 iova, void *hva, u64 bytes);
	int (*unmap)(u64 iova, u64 bytes);
};

extern const struct vfio_way vfio_by_group, vfio_by_iommufd;

/* Opens the device of that name, or die()s with what stands in the way. */
void vfio_space_open_device(struct vfio_dev *d);
void vfio_space_close_device(struct vfio_dev *d);
/* Tells KVM of the devices, for which it keeps caches coherent. Return: whether there are any. */
bool vfio_space_power_on(struct vm *vm);
/* Return: whether there are any. */
bool vfio_space_power_off(void);
/* Return: 0 or -errno */
int vfio_space_map(u64 iova, void *hva, u64 bytes);
int vfio_space_unmap(u64 iova, u64 bytes);
/* The name of the way, once a device was opened. */
const char *vfio_space_way(void);

/* For the ways. die()s, if others of its group are not VFIO's. */
void vfio_space_check_others(const struct vfio_dev *d);
/* die()s; @module is whose parameter would do without. */
void vfio_space_no_remapping(const struct vfio_dev *d, const char *module);
/* A file of theirs came or goes. */
void vfio_space_tell_kvm(int fd, bool add);

/* ---- vfio_sysfs.c: main thread, before the sandbox ----------------------------------- */

/* @arg: an address, with or without its domain, or a path in sysfs. die()s. */
void vfio_sysfs_find(const char *arg, char address[VFIO_ADDRESS_BYTES]);
/* Return: the number of its group; -1: it has none, for want of an IOMMU. */
int vfio_sysfs_group(const char *address);
/* Return: whether it has a driver, whose name then is in @name. */
bool vfio_sysfs_driver(const char *address, char *name, size_t bytes);
/* Return: whether it has a node of its own, whose name then is in @name. */
bool vfio_sysfs_node(const char *address, char *name, size_t bytes);
/* Return: the attribute, a number; 0 if there is none. */
u32 vfio_sysfs_number(const char *address, const char *attribute);
/* Calls @each for every device of a group. */
void vfio_sysfs_each(unsigned int group, void (*each)(const char *address, void *arg), void *arg);
/* Whether the host hands a device's interrupts to a guest that runs with no exit. */
bool vfio_sysfs_posts_interrupts(void);

/* ---- vfio_dma.c ---------------------------------------------------------------------- */

/* Before the sandbox: this process may lock as much memory as the guest has. die()s. */
void vfio_dma_check(const struct vm *vm, const char *address);
/* die()s. */
void vfio_dma_map(const struct vm *vm);
void vfio_dma_unmap(const struct vm *vm);

/* ---- vfio_cfg.c ------------------------------------------------------------------------ */

/* Fills the config space of @d->pci, but for BARs and the interrupt pin. */
void vfio_cfg_init(struct vfio_dev *d);
/* The device's own command register: @master, and it decodes what it has. */
void vfio_cfg_command(struct vfio_dev *d, bool master);
/* Hooks of struct pci_dev. */
void vfio_cfg_read(struct pci_dev *pci, u32 off, u32 len);
void vfio_cfg_written(struct pci_dev *pci, u32 off, u32 len);

/* ---- vfio_bar.c -------------------------------------------------------------------------- */

/* After vfio_cfg_init(). die()s. */
void vfio_bar_init(struct vfio_dev *d);
/* None is in the guest any more. */
void vfio_bar_close(struct vfio_dev *d);
u64 vfio_bar_mapped_bytes(const struct vfio_region *r);

/* ---- vfio_irq.c -------------------------------------------------------------------------- */

void vfio_irq_init(struct vfio_dev *d);
/* What the guest has set up in config space is what the device does. */
void vfio_irq_update(struct vfio_dev *d);
/* None, and none is pending. */
void vfio_irq_reset(struct vfio_dev *d);
/* Vectors that signal an eventfd. */
unsigned int vfio_irq_vectors(const struct vfio_dev *d);

/* ---- vfio_tool.c --------------------------------------------------------------------------- */

/* argv[0] is the command. Return: an exit status. */
int vfio_tool_run(int argc, char **argv);

#endif
