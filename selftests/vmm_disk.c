// SPDX-License-Identifier: GPL-2.0
/*
 * A disk as its driver finds it: features, config space, write-back, resizes; natively.
 *
 * in:  the options of `vkick run`, the driver's reads and writes of BAR 0
 * out: what VIRTIO 1.2, 5.2 wants there, and the right calls of the datapath
 *
 * All is the VMM's own but the datapath, which notes what it is told, and the machine.
 */
#include "lib/util.h"

#include "../vmm/blk.h"
#include "../vmm/layout.h"
#include "../vmm/opts.h"
#include "../vmm/virtio.h"

#include "kselftest_harness.h"

#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- The machine ------------------------------------------------------------------- */

void *guest_ptr(const struct vm *vm, u64 gpa, u64 len)
{
	(void)vm, (void)gpa, (void)len;
	return NULL;
}

int vring_io_lookup(void *mem, u64 gpa, u32 len, const void **ptr, u32 *contig)
{
	(void)mem, (void)gpa, (void)len, (void)ptr, (void)contig;
	return -EFAULT;
}

int vm_try_eventfd(void)
{
	return ev_new();
}

int vm_eventfd(void)
{
	return ev_new();
}

bool vm_drain_eventfd(int fd)
{
	return ev_take(fd);
}

void vm_signal_eventfd(int fd)
{
	ev_signal(fd);
}

void vm_end(struct vm *vm, enum vm_state why)
{
	(void)vm, (void)why;
}

void loop_add(struct loop_source *src)
{
	(void)src;
}

void loop_remove(struct loop_source *src)
{
	(void)src;
}

bool vm_eventfd_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

u32 irq_alloc_msi(struct vm *vm)
{
	return GSI_MSI_FIRST + vm->irq.nr_msi++;
}

void irq_free_msi(struct vm *vm, u32 gsi)
{
	(void)vm, (void)gsi;
}

int irq_attach_line(struct vm *vm, u32 gsi, int fd, int resample_fd)
{
	(void)vm, (void)gsi, (void)fd, (void)resample_fd;
	return 0;
}

int irq_set_msi(struct vm *vm, u32 gsi, u64 addr, u32 data)
{
	(void)vm, (void)gsi, (void)addr, (void)data;
	return 0;
}

int irq_attach(struct vm *vm, u32 gsi, int fd)
{
	(void)vm, (void)gsi, (void)fd;
	return 0;
}

void irq_detach(struct vm *vm, u32 gsi, int fd)
{
	(void)vm, (void)gsi, (void)fd;
}

int doorbell_arm(struct vm *vm, struct doorbell *d, u64 addr)
{
	(void)vm, (void)d, (void)addr;
	return 0;
}

void doorbell_disarm(struct vm *vm, struct doorbell *d)
{
	(void)vm, (void)d;
}

/* ---- The datapath ------------------------------------------------------------------- */

#define STOPPED_AT	77

/* What it was told, in letters: s(tart), p (stop), c(onfig_changed). */
static struct {
	struct datapath dp;
	char told[64];
	u32 state;		/* of queue 0 at the last start */
	bool write_back;	/* at the last start or change; as @capacity */
	u64 capacity;
} path;

static void note(const struct datapath *dp, char what)
{
	const struct blk_disk *d = blk_disk_of(dp->dev);
	size_t n = strlen(path.told);

	if (n + 1 < sizeof(path.told))
		path.told[n] = what;
	path.write_back = d->write_back;
	path.capacity = d->capacity;
}

static struct datapath *fake_open(struct virtio_dev *dev, char *why)
{
	(void)why;
	path.dp = (struct datapath) {
		.ops = dev->vm->opts->devices[0].datapath,
		.dev = dev,
		.features = ~0UL,
		.max_queue_size = 1024,
	};
	return &path.dp;
}

static int fake_start(struct datapath *dp)
{
	path.state = dp->dev->ring[0].state;
	note(dp, 's');
	return 0;
}

static void fake_stop(struct datapath *dp)
{
	dp->dev->ring[0].state = STOPPED_AT;
	note(dp, 'p');
}

static void fake_stats(struct datapath *dp, unsigned int i, struct datapath_stats *s)
{
	(void)dp, (void)i;
	*s = (struct datapath_stats) { 0 };
}

static void fake_config_changed(struct datapath *dp)
{
	note(dp, 'c');
}

static const struct datapath_ops fake = {
	.name = "fake",
	.open = fake_open,
	.start = fake_start,
	.stop = fake_stop,
	.stats = fake_stats,
	.config_changed = fake_config_changed,
};

/* ---- A driver ------------------------------------------------------------------------- */

/* Where virtio_pci.c has them in BAR 0. */
#define AT_COMMON	0x0000
#define AT_CONFIG	0x2000

#define DISK_BYTES	(4 * MIB)

#define AT(field)	offsetof(struct virtio_blk_config, field)
#define CONFIG_BYTES	AT(max_secure_erase_sectors)

#define F(name)		(1UL << VIRTIO_BLK_F_##name)

FIXTURE(disk)
{
	struct vm vm;
	struct opts opts;
	struct virtio_dev *dev;
	char file[64];
	char option[256];
};

static u64 get(struct virtio_dev *dev, u64 off, unsigned int len)
{
	const struct bus_range *r = &dev->pci.bar[0].range;

	return r->ops->read(r->dev, off, len);
}

static void put(struct virtio_dev *dev, u64 off, unsigned int len, u64 val)
{
	const struct bus_range *r = &dev->pci.bar[0].range;

	pthread_mutex_lock(&dev->vm->lock);
	r->ops->write(r->dev, off, len, val);
	pthread_mutex_unlock(&dev->vm->lock);
}

static u64 config(struct virtio_dev *dev, u64 off, unsigned int len)
{
	return get(dev, AT_CONFIG + off, len);
}

#define CONFIG(dev, field) \
	config(dev, AT(field), sizeof(((struct virtio_blk_config *)0)->field))

static void put_writeback(struct virtio_dev *dev, u8 val)
{
	put(dev, AT_CONFIG + AT(wce), 1, val);
}

/* A disk of this process, as --disk path=...,KEYS with --cpus CPUS makes it. */
static void make(struct __test_metadata *_metadata, struct _test_data_disk *self,
		 const char *keys, const char *cpus)
{
	char *argv[] = {
		"--kernel", "none", "--cpus", (char *)cpus, "--disk", self->option
	};

	snprintf(self->option, sizeof(self->option), "path=%s,datapath=kernel%s%s",
		 self->file, *keys ? "," : "", keys);
	opts_parse(&self->opts, ARRAY_SIZE(argv), argv);
	self->opts.devices[0].datapath = &fake;
	virtio_init(&self->vm);
	self->dev = virtio_dev_at(0);
	ASSERT_NE(NULL, self->dev);
	path.told[0] = 0;
}

/* Takes @features of the class, and the vector for changes. */
static void drive(struct virtio_dev *dev, u64 features)
{
	u8 status = 0;

	put(dev, AT_COMMON + VIRTIO_PCI_COMMON_STATUS, 1, 0);
	put(dev, AT_COMMON + VIRTIO_PCI_COMMON_STATUS, 1, status |= VIRTIO_CONFIG_S_DRIVER);
	put(dev, AT_COMMON + VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	put(dev, AT_COMMON + VIRTIO_PCI_COMMON_GF, 4, features);
	put(dev, AT_COMMON + VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	put(dev, AT_COMMON + VIRTIO_PCI_COMMON_GF, 4, 1);	/* VERSION_1 */
	put(dev, AT_COMMON + VIRTIO_PCI_COMMON_MSIX, 2, 0);
	put(dev, AT_COMMON + VIRTIO_PCI_COMMON_STATUS, 1,
	    status |= VIRTIO_CONFIG_S_FEATURES_OK);
	put(dev, AT_COMMON + VIRTIO_PCI_COMMON_STATUS, 1,
	    status |= VIRTIO_CONFIG_S_DRIVER_OK);
}

/* What the datapath was told since the last time. */
static const char *told(void)
{
	static char copy[sizeof(path.told)];

	memcpy(copy, path.told, sizeof(copy));
	memset(path.told, 0, sizeof(path.told));
	return copy;
}

static u8 generation(struct virtio_dev *dev)
{
	return get(dev, AT_COMMON + VIRTIO_PCI_COMMON_CFGGENERATION, 1);
}

static bool was_interrupted(struct virtio_dev *dev)
{
	return ev_take(dev->msix.vector[0].fd);
}

FIXTURE_SETUP(disk)
{
	int fd;

	snprintf(self->file, sizeof(self->file), "%s/vkick-disk-XXXXXX",
		 getenv("TMPDIR") ?: "/tmp");
	fd = mkstemp(self->file);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, DISK_BYTES));
	close(fd);
	self->vm.opts = &self->opts;
	pthread_mutex_init(&self->vm.lock, NULL);
}

FIXTURE_TEARDOWN(disk)
{
	unlink(self->file);
}

/* ---- Features and config space (5.2.3, 5.2.4) -------------------------------------------- */

TEST_F(disk, config_space_is_that_of_the_backend)
{
	struct virtio_dev *dev;
	u64 off;

	make(_metadata, self, "block-size=1024,queues=3,direct=off", "1");
	dev = self->dev;
	EXPECT_EQ(DISK_BYTES / 512, CONFIG(dev, capacity));
	EXPECT_EQ(DISK_BYTES / 512, config(dev, 0, 4));
	EXPECT_EQ(BLK_MAX_SEG_BYTES, CONFIG(dev, size_max));
	EXPECT_EQ(254, CONFIG(dev, seg_max));
	EXPECT_EQ(1024, CONFIG(dev, blk_size));
	EXPECT_EQ(2, CONFIG(dev, physical_block_exp));
	EXPECT_EQ(4, CONFIG(dev, min_io_size));
	EXPECT_EQ(3, CONFIG(dev, num_queues));
	EXPECT_LT(0, CONFIG(dev, max_discard_sectors));
	EXPECT_LT(0, CONFIG(dev, max_discard_seg));
	EXPECT_LT(0, CONFIG(dev, max_write_zeroes_sectors));
	EXPECT_LT(0, CONFIG(dev, max_write_zeroes_seg));
	/* 5.2.4: no geometry, and zero where nothing is. */
	EXPECT_EQ(0, config(dev, AT(geometry), 4));
	EXPECT_EQ(0, CONFIG(dev, unused));
	for (off = AT(unused1); off < 256; off++)
		EXPECT_EQ(0, config(dev, off, 1));
	EXPECT_EQ(0, config(dev, CONFIG_BYTES - 2, 4));
}

/* Of a stripe that is larger than the field can say. */
TEST_F(disk, smallest_io_is_not_cut)
{
	make(_metadata, self, "block-size=512", "1");
	((struct blk_disk *)blk_disk_of(self->dev))->min_io_bytes = 32 * MIB;
	EXPECT_EQ(0xffff, CONFIG(self->dev, min_io_size));
}

TEST_F(disk, features_are_all_that_it_has)
{
	make(_metadata, self, "", "1");
	EXPECT_EQ(F(SIZE_MAX) | F(SEG_MAX) | F(BLK_SIZE) | F(TOPOLOGY) | F(FLUSH) |
		  F(CONFIG_WCE) | F(MQ) | F(DISCARD) | F(WRITE_ZEROES),
		  self->dev->offered & 0xffffff);
	EXPECT_FALSE(self->dev->offered & F(RO));
}

TEST_F(disk, read_only_disk_has_no_way_to_write)
{
	make(_metadata, self, "readonly=on", "1");
	EXPECT_EQ(F(RO) | F(FLUSH), self->dev->offered & (F(RO) | F(FLUSH) | F(DISCARD) |
							   F(WRITE_ZEROES)));
	EXPECT_EQ(0, CONFIG(self->dev, max_discard_seg));
	EXPECT_EQ(0, CONFIG(self->dev, max_write_zeroes_seg));
}

TEST_F(disk, ring_features_are_those_asked_for)
{
	make(_metadata, self, "indirect=off,event-idx=off,in-order=on", "1");
	EXPECT_FALSE(self->dev->offered & 1UL << VIRTIO_RING_F_INDIRECT_DESC);
	EXPECT_FALSE(self->dev->offered & 1UL << VIRTIO_RING_F_EVENT_IDX);
	EXPECT_FALSE(self->dev->offered & 1UL << VIRTIO_F_RING_PACKED);
	EXPECT_TRUE(self->dev->offered & 1UL << VIRTIO_F_IN_ORDER);
}

TEST_F(disk, request_fits_its_queue)
{
	make(_metadata, self, "queue-size=16", "1");
	EXPECT_EQ(14, CONFIG(self->dev, seg_max));
	EXPECT_EQ(16, get(self->dev, AT_COMMON + VIRTIO_PCI_COMMON_Q_SIZE, 2));
	put(self->dev, AT_COMMON + VIRTIO_PCI_COMMON_Q_SIZE, 2, 32);
	EXPECT_EQ(16, get(self->dev, AT_COMMON + VIRTIO_PCI_COMMON_Q_SIZE, 2));
}

TEST_F(disk, queues_are_the_cpus_up_to_8)
{
	make(_metadata, self, "", "12");
	EXPECT_EQ(8, CONFIG(self->dev, num_queues));
	EXPECT_EQ(8, get(self->dev, AT_COMMON + VIRTIO_PCI_COMMON_NUMQ, 2));
	EXPECT_EQ(9, self->dev->msix.nr);
	/* 4.1.4.3.1: past them, the size is 0. */
	put(self->dev, AT_COMMON + VIRTIO_PCI_COMMON_Q_SELECT, 2, 7);
	EXPECT_EQ(256, get(self->dev, AT_COMMON + VIRTIO_PCI_COMMON_Q_SIZE, 2));
	put(self->dev, AT_COMMON + VIRTIO_PCI_COMMON_Q_SELECT, 2, 8);
	EXPECT_EQ(0, get(self->dev, AT_COMMON + VIRTIO_PCI_COMMON_Q_SIZE, 2));
}

TEST_F(disk, config_space_is_not_written)
{
	u8 before[CONFIG_BYTES], after[CONFIG_BYTES];
	unsigned int len;
	u64 off;

	make(_metadata, self, "", "1");
	drive(self->dev, F(FLUSH) | F(CONFIG_WCE));
	for (off = 0; off < CONFIG_BYTES; off++)
		before[off] = config(self->dev, off, 1);
	for (len = 1; len <= 8; len *= 2)
		for (off = 0; off < 0x1000; off += len)
			if (off != AT(wce) || len != 1) {
				put(self->dev, AT_CONFIG + off, len, 0);
				put(self->dev, AT_CONFIG + off, len, ~0UL);
			}
	for (off = 0; off < CONFIG_BYTES; off++)
		after[off] = config(self->dev, off, 1);
	EXPECT_EQ(0, memcmp(before, after, sizeof(before)));
	EXPECT_STREQ("s", told());
}

/* ---- Write-back and write-through (5.2.5.2, 5.2.6.2) --------------------------------------- */

TEST_F(disk, cache_is_switched_with_nothing_in_flight)
{
	make(_metadata, self, "", "1");
	drive(self->dev, F(FLUSH) | F(CONFIG_WCE));
	EXPECT_STREQ("s", told());
	EXPECT_EQ(0, path.state);
	EXPECT_TRUE(path.write_back);
	EXPECT_EQ(1, CONFIG(self->dev, wce));

	put_writeback(self->dev, 0);
	EXPECT_STREQ("ps", told());
	EXPECT_EQ(STOPPED_AT, path.state);	/* goes on where it was */
	EXPECT_FALSE(path.write_back);
	EXPECT_EQ(0, CONFIG(self->dev, wce));
	put_writeback(self->dev, 0);
	EXPECT_STREQ("", told());

	put_writeback(self->dev, 1);
	EXPECT_STREQ("c", told());
	EXPECT_TRUE(path.write_back);
	EXPECT_EQ(1, CONFIG(self->dev, wce));
	/* No change of the device's own. */
	EXPECT_FALSE(was_interrupted(self->dev));
}

TEST_F(disk, what_cannot_be_made_durable_stays_write_back)
{
	make(_metadata, self, "", "1");
	drive(self->dev, F(FLUSH) | F(CONFIG_WCE));
	close(blk_disk_of(self->dev)->aside_fd);
	told();
	put_writeback(self->dev, 0);
	EXPECT_STREQ("ps", told());
	EXPECT_TRUE(path.write_back);
	EXPECT_EQ(1, CONFIG(self->dev, wce));
}

/* A file that is opened once tells of a lost write once; an open file has one position. */
TEST_F(disk, switch_of_the_cache_leaves_errors_to_the_driver_s_flush)
{
	const struct blk_disk *d;

	make(_metadata, self, "", "1");
	d = blk_disk_of(self->dev);
	ASSERT_EQ(0, lseek(d->aside_fd, 0, SEEK_CUR));
	ASSERT_EQ(512, lseek(d->fd, 512, SEEK_SET));
	EXPECT_EQ(0, lseek(d->aside_fd, 0, SEEK_CUR));
	/* It is this one that the switch asks. */
	drive(self->dev, F(FLUSH) | F(CONFIG_WCE));
	close(d->fd);
	put_writeback(self->dev, 0);
	EXPECT_FALSE(path.write_back);
}

TEST_F(disk, driver_without_flush_has_write_through)
{
	make(_metadata, self, "", "1");
	drive(self->dev, F(CONFIG_WCE));
	EXPECT_FALSE(path.write_back);
	EXPECT_EQ(0, CONFIG(self->dev, wce));
	put_writeback(self->dev, 1);
	EXPECT_FALSE(blk_disk_of(self->dev)->write_back);
	EXPECT_EQ(0, CONFIG(self->dev, wce));
}

TEST_F(disk, cache_is_not_switched_without_config_wce)
{
	make(_metadata, self, "", "1");
	drive(self->dev, F(FLUSH));
	put_writeback(self->dev, 0);
	EXPECT_STREQ("s", told());
	EXPECT_TRUE(path.write_back);
}

TEST_F(disk, reset_brings_back_the_cache_that_was_asked_for)
{
	make(_metadata, self, "cache=writethrough", "1");
	drive(self->dev, F(FLUSH) | F(CONFIG_WCE));
	EXPECT_FALSE(path.write_back);
	EXPECT_EQ(0, CONFIG(self->dev, wce));
	put_writeback(self->dev, 1);
	EXPECT_TRUE(path.write_back);
	drive(self->dev, F(FLUSH) | F(CONFIG_WCE));
	EXPECT_FALSE(path.write_back);
	EXPECT_EQ(0, CONFIG(self->dev, wce));
}

/* ---- Resizes (5.2.5) ------------------------------------------------------------------------ */

TEST_F(disk, resize_is_told_to_datapath_then_driver)
{
	u8 before;

	make(_metadata, self, "", "1");
	drive(self->dev, F(FLUSH));
	told();
	before = generation(self->dev);
	EXPECT_EQ(NULL, dev_blk.resize(self->dev, 2 * DISK_BYTES));
	EXPECT_STREQ("c", told());
	EXPECT_EQ(2 * DISK_BYTES / 512, path.capacity);
	EXPECT_EQ(2 * DISK_BYTES / 512, CONFIG(self->dev, capacity));
	EXPECT_NE(before, generation(self->dev));
	EXPECT_TRUE(was_interrupted(self->dev));
	/* No news. */
	before = generation(self->dev);
	EXPECT_EQ(NULL, dev_blk.resize(self->dev, 2 * DISK_BYTES));
	EXPECT_EQ(NULL, dev_blk.resize(self->dev, 0));
	EXPECT_STREQ("", told());
	EXPECT_EQ(before, generation(self->dev));
	EXPECT_FALSE(was_interrupted(self->dev));
}

TEST_F(disk, resize_to_nothing_is_refused)
{
	make(_metadata, self, "", "1");
	drive(self->dev, F(FLUSH));
	told();
	ASSERT_EQ(0, truncate(self->file, 0));
	EXPECT_NE(NULL, dev_blk.resize(self->dev, 0));
	/* As one that cannot be measured. */
	close(blk_disk_of(self->dev)->fd);
	EXPECT_NE(NULL, dev_blk.resize(self->dev, 0));
	EXPECT_STREQ("", told());
	EXPECT_EQ(DISK_BYTES / 512, CONFIG(self->dev, capacity));
	EXPECT_FALSE(was_interrupted(self->dev));
}

TEST_F(disk, resize_without_a_size_follows_the_file)
{
	make(_metadata, self, "block-size=4096", "1");
	drive(self->dev, F(FLUSH));
	ASSERT_EQ(0, truncate(self->file, DISK_BYTES / 2 + 512));
	EXPECT_EQ(NULL, dev_blk.resize(self->dev, 0));
	/* Whole blocks. */
	EXPECT_EQ(DISK_BYTES / 2 / 512, CONFIG(self->dev, capacity));
	EXPECT_TRUE(was_interrupted(self->dev));
}

TEST_F(disk, resize_does_not_lose_data)
{
	struct stat st;

	make(_metadata, self, "", "1");
	EXPECT_NE(NULL, dev_blk.resize(self->dev, DISK_BYTES - 512));
	EXPECT_NE(NULL, dev_blk.resize(self->dev, DISK_BYTES + 1));
	ASSERT_EQ(0, stat(self->file, &st));
	EXPECT_EQ(DISK_BYTES, st.st_size);
	EXPECT_EQ(DISK_BYTES / 512, CONFIG(self->dev, capacity));
}

/* 2.3: not before DRIVER_OK. */
TEST_F(disk, resize_without_a_driver_interrupts_nobody)
{
	u8 before;

	make(_metadata, self, "", "1");
	put(self->dev, AT_COMMON + VIRTIO_PCI_COMMON_MSIX, 2, 0);
	before = generation(self->dev);
	EXPECT_EQ(NULL, dev_blk.resize(self->dev, 2 * DISK_BYTES));
	EXPECT_FALSE(was_interrupted(self->dev));
	EXPECT_NE(before, generation(self->dev));
	drive(self->dev, F(FLUSH));
	EXPECT_EQ(2 * DISK_BYTES / 512, path.capacity);
}

TEST_HARNESS_MAIN
