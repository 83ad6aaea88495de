// SPDX-License-Identifier: GPL-2.0
/*
 * A device of the host's: its life in the guest.
 *
 * in:  --vfio; boots and resets; the host's requests and the device's errors
 * out: a function on the guest's bus, reset and without memory between two boots, and gone when the host wants it back
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vfio.h"

static struct vm *vfio_vm;
static struct vfio_dev *devices;
static unsigned int nr_devices;
static bool posts_interrupts;

/* ---- Reset --------------------------------------------------------------------------------- */

/* It does no DMA and does not interrupt. */
static void silence(struct vfio_dev *d)
{
	vfio_irq_reset(d);
	vfio_cfg_command(d, false);
}

/* And it forgets what it was told. */
void vfio_dev_reset(struct vfio_dev *d)
{
	silence(d);
	if (d->can_reset && ioctl(d->fd, VFIO_DEVICE_RESET))
		warn("%s: it cannot be reset: %s: what it does next is the guest's to find out", d->name, strerror(errno));
	vfio_cfg_command(d, false);
}

/* BARs go first: while it is reset nothing is to reach it. */
void vfio_function_reset(struct vfio_dev *d)
{
	pci_reset_one(&d->pci);
	vfio_dev_reset(d);
}

/* ---- Boots ----------------------------------------------------------------------------------- */

void vfio_power_on(struct vm *vm)
{
	if (vfio_space_power_on(vm))
		vfio_dma_map(vm);
}

void vfio_power_off(struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < nr_devices; i++)
		if (devices[i].fd >= 0)
			vfio_dev_reset(&devices[i]);
	if (vfio_space_power_off())
		vfio_dma_unmap(vm);
}

/* ---- Out of the guest -------------------------------------------------------------------------- */

/*
 * The guest finds all ones from here on, as of a device that was pulled out. Who takes it from us holds its lock, so that we could not reset
 * it; VFIO does, where it can, when it is closed.
 */
static void take_out(struct vfio_dev *d)
{
	d->pci.gone = true;
	pci_update_bars();
	silence(d);
	vfio_bar_close(d);
	loop_remove(&d->err);
	loop_remove(&d->req);
	vfio_space_close_device(d);
}

static void event(struct vfio_dev *d, struct loop_source *src, const char *why)
{
	pthread_mutex_lock(&vfio_vm->lock);
	if (vm_drain_eventfd(src->fd) && d->fd >= 0) {
		warn("%s: %s: it is taken out of the guest", d->name, why);
		take_out(d);
	}
	pthread_mutex_unlock(&vfio_vm->lock);
}

/* Main thread. */
static void err_ready(struct loop_source *src)
{
	event(container_of(src, struct vfio_dev, err), src, "an error that it does not recover from");
}

static void req_ready(struct loop_source *src)
{
	event(container_of(src, struct vfio_dev, req), src, "the host wants it back");
}

/* ---- Set-up ------------------------------------------------------------------------------------- */

static u64 config_offset(const struct vfio_dev *d)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = VFIO_PCI_CONFIG_REGION_INDEX };

	if (ioctl(d->fd, VFIO_DEVICE_GET_REGION_INFO, &info))
		die("--vfio %s: config space: %s", d->name, strerror(errno));
	return info.offset;
}

static void check(struct vfio_dev *d, const struct vfio_opts *o)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	if (ioctl(d->fd, VFIO_DEVICE_GET_INFO, &info) || !(info.flags & VFIO_DEVICE_FLAGS_PCI))
		die("--vfio %s: VFIO does not have it as a PCI device", d->name);
	d->can_reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
	if (!d->can_reset && o->reset)
		die("--vfio %s: it cannot be reset by itself, so that a guest would find what the last one left: put it behind a port of its own, or give %s,reset=off",
		    o->device, o->device);
}

void vfio_dev_init(struct vfio_dev *d, struct vm *vm, const struct vfio_opts *o)
{
	static const struct pci_ids no_ids;

	d->err = (struct loop_source) { .fd = -1, .ready = err_ready };
	d->req = (struct loop_source) { .fd = -1, .ready = req_ready };
	check(d, o);
	d->cfg_offset = config_offset(d);
	pci_dev_init(&d->pci, vm, &no_ids);
	d->pci.name = d->name;
	vfio_cfg_init(d);
	vfio_irq_init(d);
	vfio_bar_init(d);
	vfio_dev_reset(d);
	pci_register(&d->pci);
}

static void open_one(struct vfio_dev *d, const struct vfio_opts *o)
{
	vfio_sysfs_find(o->device, d->name);
	vfio_dma_check(vfio_vm, d->name);
	vfio_space_open_device(d);
	vfio_dev_init(d, vfio_vm, o);
}

void vfio_init(struct vm *vm)
{
	const struct opts *o = vm->opts;
	unsigned int i;

	vfio_vm = vm;
	if (!o->nr_vfio)
		return;
	devices = calloc(o->nr_vfio, sizeof(*devices));
	if (!devices)
		die("--vfio: out of memory");
	posts_interrupts = vfio_sysfs_posts_interrupts();
	for (i = 0; i < o->nr_vfio; i++)
		open_one(&devices[nr_devices++], &o->vfio[i]);
}

/* ---- Status ---------------------------------------------------------------------------------------- */

static json_t *bars_json(const struct vfio_dev *d)
{
	json_t *bars = json_array();
	unsigned int nr;

	for (nr = 0; nr < PCI_NR_BARS; nr++)
		if (d->bar[nr].bytes)
			json_array_append_new(bars, json_pack("{s:i, s:I, s:I, s:I}", "bar", (int)nr,
							      "bytes", (json_int_t)d->bar[nr].bytes,
							      "direct_bytes", (json_int_t)vfio_bar_mapped_bytes(&d->bar[nr]),
							      "accesses", (json_int_t)d->bar[nr].accesses));
	return bars;
}

json_t *vfio_status_json(void)
{
	static const char *const irqs[] = {
		[VFIO_IRQ_NONE] = "none", [VFIO_IRQ_INTX] = "intx", [VFIO_IRQ_MSI] = "msi", [VFIO_IRQ_MSIX] = "msix",
	};
	json_t *all = json_array();
	unsigned int i;

	for (i = 0; i < nr_devices; i++) {
		const struct vfio_dev *d = &devices[i];
		json_t *json = json_pack("{s:s, s:s, s:s, s:i, s:b, s:s, s:i, s:b}", "address", d->name,
					 "state", d->fd < 0 ? "gone" : "in the guest", "by", vfio_space_way(), "group", (int)d->group,
					 "reset", d->can_reset, "interrupts", irqs[d->irq],
					 "vectors", (int)vfio_irq_vectors(d), "posted_interrupts", posts_interrupts);

		json_object_set_new(json, "bars", bars_json(d));
		json_array_append_new(all, json);
	}
	return all;
}
