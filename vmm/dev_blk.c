// SPDX-License-Identifier: GPL-2.0
/*
 * The block device (VIRTIO 1.2, 5.2), all but its requests.
 *
 * in:  the keys of --disk, the driver's reads and writes of the config space, resizes
 * out: struct blk_disk, for the user datapath, and ioctls that tell the module the same
 */
#include <endian.h>
#include <errno.h>
#include <jansson.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/vkick.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "blk.h"
#include "opts.h"
#include "virtio.h"

/* Up to write_zeroes_may_unmap and its padding. */
#define CONFIG_BYTES	offsetof(struct virtio_blk_config, max_secure_erase_sectors)

/* As many queues as vCPUs, up to this. */
#define DEFAULT_MAX_QUEUES	8

/**
 * struct disk - a device's
 * @wce: the driver's word (config field writeback); it starts at @wce_at_reset. Read under
 *	vm->lock, and written without it where the device is stopped for that
 */
struct disk {
	struct blk_disk blk;
	bool wce_at_reset;
	_Atomic bool wce;
};

static struct disk *disk_of(const struct virtio_dev *dev)
{
	return dev->priv;
}

const struct blk_disk *blk_disk_of(const struct virtio_dev *dev)
{
	return &disk_of(dev)->blk;
}

/* ---- The keys --------------------------------------------------------------------- */

static struct blk_options *options(const struct device_opts *d)
{
	return d->options;
}

static void set_path(struct device_opts *d, const char *key, const char *v)
{
	(void)key;
	options(d)->path = v;
}

static void set_readonly(struct device_opts *d, const char *key, const char *v)
{
	options(d)->read_only = opts_on_off(d, key, v);
}

static void set_direct(struct device_opts *d, const char *key, const char *v)
{
	options(d)->direct = opts_on_off(d, key, v) ? BLK_DIRECT_ON : BLK_DIRECT_OFF;
}

static void set_serial(struct device_opts *d, const char *key, const char *v)
{
	if (strlen(v) > VIRTIO_BLK_ID_BYTES)
		die_usage("--disk %s=%s: %zu characters: give at most %u", key, v, strlen(v),
			  VIRTIO_BLK_ID_BYTES);
	options(d)->serial = v;
}

static void set_block_size(struct device_opts *d, const char *key, const char *v)
{
	options(d)->block_bytes = opts_power_of_2(d, key, v, BLK_SECTOR_BYTES, PAGE_BYTES);
}

static void set_cache(struct device_opts *d, const char *key, const char *v)
{
	if (strcmp(v, "writeback") && strcmp(v, "writethrough"))
		die_usage("--disk %s=%s: give writeback or writethrough", key, v);
	options(d)->write_through = !strcmp(v, "writethrough");
}

static void set_iothreads(struct device_opts *d, const char *key, const char *v)
{
	options(d)->iothreads = opts_range(d, key, v, 1, VIRTIO_MAX_QUEUES);
}

static void set_poll(struct device_opts *d, const char *key, const char *v)
{
	options(d)->poll_us = opts_range(d, key, v, 0, VIRTIO_MAX_POLL_US);
}

static void set_pin(struct device_opts *d, const char *key, const char *v)
{
	options(d)->no_pin = !opts_on_off(d, key, v);
}

static const struct opts_key blk_keys[] = {
	{ "path", set_path },
	{ "readonly", set_readonly },
	{ "direct", set_direct },
	{ "serial", set_serial },
	{ "block-size", set_block_size },
	{ "cache", set_cache },
	{ "iothreads", set_iothreads },
	{ "poll", set_poll },
	{ "pin", set_pin },
	{ }
};

/* ---- Making it ---------------------------------------------------------------------- */

static u64 features(const struct blk_disk *d)
{
	u64 f = 1UL << VIRTIO_BLK_F_SIZE_MAX | 1UL << VIRTIO_BLK_F_SEG_MAX |
		1UL << VIRTIO_BLK_F_BLK_SIZE | 1UL << VIRTIO_BLK_F_TOPOLOGY |
		1UL << VIRTIO_BLK_F_FLUSH | 1UL << VIRTIO_BLK_F_CONFIG_WCE |
		1UL << VIRTIO_BLK_F_MQ;

	if (d->read_only)
		f |= 1UL << VIRTIO_BLK_F_RO;
	if (d->max_discard_sectors)
		f |= 1UL << VIRTIO_BLK_F_DISCARD;
	if (d->max_write_zeroes_sectors)
		f |= 1UL << VIRTIO_BLK_F_WRITE_ZEROES;
	return f;
}

static void choose_queues(struct virtio_dev *dev, const struct device_opts *opts)
{
	const struct blk_options *o = options(opts);

	if (!opts->queues)
		dev->nr_queues = dev->vm->opts->cpus < DEFAULT_MAX_QUEUES ?
				 dev->vm->opts->cpus : DEFAULT_MAX_QUEUES;
	if (o->iothreads > dev->nr_queues)
		die_usage("--disk path=%s,iothreads=%u: more than its queues, %u: give at most that",
			  o->path, o->iothreads, dev->nr_queues);
	dev->nr_workers = o->iothreads ? o->iothreads : dev->nr_queues;
	dev->poll_us = o->poll_us;
}

static void blk_init(struct virtio_dev *dev, const struct device_opts *opts)
{
	const struct blk_options *o = options(opts);
	struct disk *disk = calloc(1, sizeof(*disk));
	struct blk_disk *d;

	if (!disk)
		die("--disk: out of memory");
	if (!o->path)
		die_usage("--disk: no path: give path=FILE");
	dev->priv = disk;
	choose_queues(dev, opts);
	d = &disk->blk;
	blk_file_open(d, o);
	if (o->serial)
		memcpy(d->serial, o->serial, strlen(o->serial));
	/* A request has a header and a status byte too (5.2.6). */
	d->seg_max = dev->queue_size - 2U < BLK_MAX_SEGS ? dev->queue_size - 2U : BLK_MAX_SEGS;
	d->iothreads = dev->nr_workers;
	d->poll_us = dev->poll_us;
	d->pin = !o->no_pin;
	disk->wce_at_reset = !o->write_through;
	dev->features = features(d);
}

/* ---- Config space (5.2.4) -------------------------------------------------------------- */

static u8 log2_of(u32 power_of_2)
{
	return __builtin_ctz(power_of_2);
}

/* 5.2.5.2: without FLUSH writeback is 0. */
static bool wce_field(const struct virtio_dev *dev)
{
	return disk_of(dev)->wce && (!(dev->status & VIRTIO_CONFIG_S_FEATURES_OK) ||
				     dev->acked & 1UL << VIRTIO_BLK_F_FLUSH);
}

static u16 at_most_u16(u32 n)
{
	return n < UINT16_MAX ? n : UINT16_MAX;
}

static void blk_config(const struct virtio_dev *dev, void *buf)
{
	const struct blk_disk *d = blk_disk_of(dev);
	struct virtio_blk_config c = {
		.capacity = htole64(atomic_load(&d->capacity)),
		.size_max = htole32(BLK_MAX_SEG_BYTES),
		.seg_max = htole32(d->seg_max),
		.blk_size = htole32(d->block_bytes),
		.physical_block_exp = log2_of(d->physical_block_bytes / d->block_bytes),
		.alignment_offset = d->align_bytes / d->block_bytes,
		.min_io_size = htole16(at_most_u16(d->min_io_bytes / d->block_bytes)),
		.opt_io_size = htole32(d->opt_io_bytes / d->block_bytes),
		.wce = wce_field(dev),
		.num_queues = htole16(dev->nr_queues),
	};

	if (d->max_discard_sectors) {
		c.max_discard_sectors = htole32(d->max_discard_sectors);
		c.max_discard_seg = htole32(BLK_MAX_RANGES);
		c.discard_sector_alignment = htole32(d->discard_align_sectors);
	}
	if (d->max_write_zeroes_sectors) {
		c.max_write_zeroes_sectors = htole32(d->max_write_zeroes_sectors);
		c.max_write_zeroes_seg = htole32(BLK_MAX_RANGES);
		c.write_zeroes_may_unmap = d->write_zeroes_may_unmap;
	}
	memcpy(buf, &c, CONFIG_BYTES);
}

/* 5.2.6.2: without FLUSH a write is durable when it completes. */
static void update_write_back(struct virtio_dev *dev)
{
	struct disk *disk = disk_of(dev);

	atomic_store(&disk->blk.write_back,
		     disk->wce && dev->acked & 1UL << VIRTIO_BLK_F_FLUSH);
}

static void tell_datapath(struct virtio_dev *dev)
{
	if (dev->datapath->ops->config_changed)
		dev->datapath->ops->config_changed(dev->datapath);
}

/*
 * From here on the driver will not flush any more. So what completed before, and
 * what is under way, must be durable too: nothing is in flight here. If it cannot be, the
 * driver's next flush is to fail.
 */
static void write_through(struct virtio_dev *dev)
{
	struct disk *disk = disk_of(dev);

	if (!disk->blk.read_only && fdatasync(disk->blk.aside_fd)) {
		warn("%s: %s: its cache stays write-back", dev->name, strerror(errno));
		return;
	}
	disk->wce = false;
	update_write_back(dev);
}

/* CONFIG_WCE: the one field that the driver writes. */
static void blk_config_write(struct virtio_dev *dev, u64 off, unsigned int len, u64 val)
{
	struct disk *disk = disk_of(dev);

	if (off != offsetof(struct virtio_blk_config, wce) || len != 1 ||
	    !(dev->acked & 1UL << VIRTIO_BLK_F_CONFIG_WCE) || !!val == disk->wce)
		return;
	if (!val) {
		virtio_pause(dev, write_through);
		return;
	}
	disk->wce = true;
	update_write_back(dev);
	tell_datapath(dev);
}

static void blk_reset(struct virtio_dev *dev)
{
	struct disk *disk = disk_of(dev);

	disk->wce = disk->wce_at_reset;
	atomic_store(&disk->blk.write_back, false);
}

/* ---- The module's ------------------------------------------------------------------------ */

static int set_pinned(int fd, bool pinned)
{
	struct vkick_blk_pinned arg = { .size = sizeof(arg), .pinned = pinned };

	return ioctl(fd, VKICK_BLK_SET_PINNED, &arg) ? -errno : 0;
}

static int blk_kernel_open(struct virtio_dev *dev, int fd, char *why)
{
	const struct blk_disk *d = blk_disk_of(dev);
	struct vkick_blk_file arg = { .size = sizeof(arg), .fd = d->fd };

	if (ioctl(fd, VKICK_BLK_SET_FILE, &arg))
		return explain(why, "%s: %s does not take it: %s", d->path, dev->class->node,
			       strerror(errno));
	if (d->pin && set_pinned(fd, true))
		return explain(why, "%s: %s: %s", d->path, dev->class->node, strerror(errno));
	return 0;
}

static int blk_kernel_unpin(const struct virtio_dev *dev, int fd)
{
	static atomic_flag warned = ATOMIC_FLAG_INIT;

	if (!blk_disk_of(dev)->pin)
		return -ENOMEM;
	if (!atomic_flag_test_and_set(&warned))
		warn("%s: guest memory cannot be pinned for I/O: %s: it goes on without (ulimit -l)",
		     dev->name, strerror(ENOMEM));
	return set_pinned(fd, false);
}

static int blk_kernel_config(struct virtio_dev *dev, int fd)
{
	const struct blk_disk *d = blk_disk_of(dev);
	struct vkick_blk_config c = {
		.size = sizeof(c),
		.capacity = atomic_load(&d->capacity),
		.seg_max = d->seg_max,
	};

	if (d->read_only)
		c.flags |= VKICK_BLK_READ_ONLY;
	if (!atomic_load(&d->write_back))
		c.flags |= VKICK_BLK_WRITE_THROUGH;
	if (d->max_discard_sectors) {
		c.max_discard_seg = BLK_MAX_RANGES;
		c.max_discard_sectors = d->max_discard_sectors;
	}
	if (d->max_write_zeroes_sectors) {
		c.max_write_zeroes_seg = BLK_MAX_RANGES;
		c.max_write_zeroes_sectors = d->max_write_zeroes_sectors;
	}
	memcpy(c.serial, d->serial, sizeof(c.serial));
	return ioctl(fd, VKICK_BLK_SET_CONFIG, &c) ? -errno : 0;
}

/* ---- The control socket's ------------------------------------------------------------------ */

static const char *blk_resize(struct virtio_dev *dev, u64 bytes)
{
	struct blk_disk *d = &disk_of(dev)->blk;
	const char *why = NULL;
	u64 sectors;

	if (dev->stopping)
		return "it is being reset, and requests are in flight: try again";
	if (bytes)
		why = blk_file_grow(d, bytes);
	if (why)
		return why;
	bytes = blk_file_bytes(d);
	if (!bytes)
		return "its size is 0, or cannot be had: it stays as it was";
	sectors = bytes / d->block_bytes * (d->block_bytes / BLK_SECTOR_BYTES);
	if (sectors == atomic_load(&d->capacity))
		return NULL;
	atomic_store(&d->capacity, sectors);
	tell_datapath(dev);
	virtio_config_changed(dev);
	return NULL;
}

static void blk_describe(const struct virtio_dev *dev, json_t *json)
{
	const struct blk_disk *d = blk_disk_of(dev);
	json_t *more = json_pack("{s:s, s:I, s:b, s:b, s:i, s:s}", "path", d->path,
				 "bytes", (json_int_t)(atomic_load(&d->capacity) *
						       BLK_SECTOR_BYTES),
				 "direct", d->direct, "readonly", d->read_only,
				 "block_bytes", (int)d->block_bytes, "cache",
				 wce_field(dev) ? "writeback" : "writethrough");

	json_object_update(json, more);
	json_decref(more);
}

const struct virtio_class dev_blk = {
	.name = "disk",
	.device_id = VIRTIO_ID_BLOCK,
	.pci_class = 0x010000,
	.max_queues = VIRTIO_MAX_QUEUES,
	.queue_size = 256,
	.max_queue_size = 1024,
	.config_bytes = CONFIG_BYTES,
	.node = "/dev/vkick-blk",
	.user = &datapath_blk_user,
	.keys = blk_keys,
	.options_bytes = sizeof(struct blk_options),
	.init = blk_init,
	.config = blk_config,
	.config_write = blk_config_write,
	.reset = blk_reset,
	.start = update_write_back,
	.kernel_open = blk_kernel_open,
	.kernel_unpin = blk_kernel_unpin,
	.kernel_config = blk_kernel_config,
	.resize = blk_resize,
	.describe = blk_describe,
};
