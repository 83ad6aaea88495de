// SPDX-License-Identifier: GPL-2.0
/*
 * A disk of the VMM without a VM.
 *
 * in:  a backend's fd, features, a number of queues
 * out: see vdisk.h; and what the VMM's other files would give the datapath
 */
#include "vdisk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- What dev_blk.c is in the VMM ----------------------------------------------------- */

const struct blk_disk *blk_disk_of(const struct virtio_dev *dev)
{
	return &container_of(dev, struct vdisk, dev)->disk;
}

/* A request's header, and its status byte. */
#define SLOT_BYTES	32U
#define SLOT_STATUS	16U

/* ---- The disk ------------------------------------------------------------------------ */

static const struct virtio_class class = { .name = "disk" };

static void init_queue(struct vdisk *v, unsigned int i, u64 features)
{
	struct datapath_queue *r = &v->dev.ring[i];
	struct drv *d = &v->drv[i];

	drv_init(d, &v->m.mem, VDISK_NUM, features, v->layout, VDISK_MAX_SEGS);
	*r = (struct datapath_queue) {
		.enabled = true,
		.num = VDISK_NUM,
		.desc = d->desc_gpa,
		.avail = d->avail_gpa,
		.used = d->used_gpa,
		.kick_fd = ev_new(),
		.call_fd = ev_new(),
		.err_fd = ev_new(),
	};
}

/* The first two regions are what is registered; the third is not. */
static void init_vm(struct vdisk *v)
{
	int i;

	gmem_add_standard(&v->m.mem);
	for (i = 0; i < 2; i++)
		v->m.vm.ram[i] = (struct ram_region) {
			.gpa = v->m.mem.r[i].gpa,
			.bytes = v->m.mem.r[i].size,
			.hva = v->m.mem.r[i].hva,
		};
	v->m.vm.nr_ram = 2;
}

/* As the VMM has it; of a pipe this would be a writer more. */
static int open_aside(int fd, mode_t mode)
{
	char path[32];
	int aside;

	if (S_ISFIFO(mode))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	aside = open(path, O_RDWR | O_CLOEXEC);
	CHECK(aside >= 0, "%s", path);
	return aside;
}

void vdisk_init(struct vdisk *v, int fd, u64 bytes, u64 features, unsigned int nr_queues)
{
	struct stat st;
	unsigned int i;

	CHECK(!fstat(fd, &st), "fstat");
	memset(v, 0, sizeof(*v));
	init_vm(v);
	v->layout = DRV_INDIRECT;
	features |= F_VERSION_1 | F_INDIRECT;
	v->disk = (struct blk_disk) {
		.path = "test",
		.fd = fd,
		.aside_fd = open_aside(fd, st.st_mode),
		.is_bdev = S_ISBLK(st.st_mode),
		.block_bytes = BLK_SECTOR_BYTES,
		.seg_max = BLK_MAX_SEGS,
		.max_discard_sectors = 1 << 16,
		.max_write_zeroes_sectors = 1 << 16,
		.write_zeroes_may_unmap = true,
		.serial = "serial-of-20-chars-x",
		.iothreads = nr_queues,
		.pin = true,
		.capacity = bytes / BLK_SECTOR_BYTES,
		.write_back = true,
	};
	v->dev = (struct virtio_dev) {
		.vm = &v->m.vm,
		.class = &class,
		.name = "disk0",
		.nr_queues = nr_queues,
		.acked = features | 1ULL << VIRTIO_BLK_F_FLUSH,
	};
	for (i = 0; i < nr_queues; i++) {
		init_queue(v, i, features);
		v->slots[i] = gmem_alloc(&v->m.mem, VDISK_MAX_NUM * SLOT_BYTES, SLOT_BYTES);
	}
	v->hdr = gmem_alloc(&v->m.mem, sizeof(struct virtio_blk_outhdr), 1);
	v->status = gmem_alloc(&v->m.mem, 1, 1);
}

void vdisk_free(struct vdisk *v)
{
	unsigned int i;

	if (v->running)
		vdisk_stop(v);
	if (v->dev.datapath)
		v->dev.datapath->ops->close(v->dev.datapath);
	for (i = 0; i < v->dev.nr_queues; i++) {
		close(v->dev.ring[i].kick_fd);
		close(v->dev.ring[i].call_fd);
		close(v->dev.ring[i].err_fd);
		drv_free(&v->drv[i]);
	}
	close(v->disk.aside_fd);
	gmem_free(&v->m.mem);
}

void vdisk_set_ring(struct vdisk *v, unsigned int q, u32 num, u32 max_segs)
{
	struct datapath_queue *r = &v->dev.ring[q];
	struct drv *d = &v->drv[q];

	drv_free(d);
	drv_init(d, &v->m.mem, num, v->dev.acked, v->layout, max_segs);
	r->num = num;
	r->desc = d->desc_gpa;
	r->avail = d->avail_gpa;
	r->used = d->used_gpa;
	r->state = drv_device_base(d);
	r->enabled = true;
}

void vdisk_start(struct vdisk *v)
{
	struct datapath *dp = v->dev.datapath;
	unsigned int i;
	int err;

	if (!dp) {
		char why[WHY_BYTES];

		dp = v->dev.datapath = datapath_blk_user.open(&v->dev, why);
		CHECK(dp, "%s", why);
	}
	for (i = 0; i < v->dev.nr_queues; i++)
		v->dev.ring[i].state = drv_device_base(&v->drv[i]);
	err = datapath_start(dp);
	CHECK(!err, "start: %s", strerror(-err));
	v->running = true;
}

void vdisk_stop(struct vdisk *v)
{
	datapath_stop(v->dev.datapath);
	v->running = false;
}

void vdisk_stop_queue(struct vdisk *v, unsigned int q)
{
	v->dev.datapath->ops->stop_queue(v->dev.datapath, q);
	v->dev.ring[q].enabled = false;
}

u64 vdisk_alloc(struct vdisk *v, size_t len, size_t align)
{
	return gmem_alloc(&v->m.mem, len, align);
}

void vdisk_set_hdr(struct vdisk *v, u64 gpa, u32 type, u64 sector)
{
	struct virtio_blk_outhdr hdr = { .type = htole32(type), .sector = htole64(sector) };

	memcpy(gmem_ptr(&v->m.mem, gpa, sizeof(hdr)), &hdr, sizeof(hdr));
}

int vdisk_submit(struct vdisk *v, unsigned int q, const struct drv_seg *segs, u32 nr)
{
	int head = drv_add(&v->drv[q], segs, nr);

	CHECK(head >= 0, "the ring is full");
	drv_kick(&v->drv[q], v->dev.ring[q].kick_fd);
	return head;
}

int vdisk_wait(struct vdisk *v, unsigned int q)
{
	if (!drv_wait(&v->drv[q], v->dev.ring[q].call_fd, DEADLINE_MS))
		return -1;
	return drv_get(&v->drv[q], &v->used_len);
}

u8 vdisk_do(struct vdisk *v, u32 type, u64 sector, const struct drv_seg *data, u32 nr)
{
	struct drv_seg segs[VDISK_MAX_SEGS];
	u8 *status = gmem_ptr(&v->m.mem, v->status, 1);
	u32 i;

	CHECK(nr <= VDISK_MAX_SEGS - 2, "%u segments", nr);
	vdisk_set_hdr(v, v->hdr, type, sector);
	*status = VDISK_LOST;
	segs[0] = (struct drv_seg) { v->hdr, sizeof(struct virtio_blk_outhdr), false };
	for (i = 0; i < nr; i++)
		segs[i + 1] = data[i];
	segs[nr + 1] = (struct drv_seg) { v->status, 1, true };
	vdisk_submit(v, 0, segs, nr + 2);
	if (vdisk_wait(v, 0) < 0)
		return VDISK_LOST;
	return *status;
}

u8 vdisk_do1(struct vdisk *v, u32 type, u64 sector, u64 gpa, u32 len)
{
	struct drv_seg data = {
		gpa, len, type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID
	};

	return vdisk_do(v, type, sector, &data, !!len);
}

void vdisk_add(struct vdisk *v, unsigned int q, u32 i, u32 type, u64 sector,
	       const struct drv_seg *data, u32 nr)
{
	u64 slot = v->slots[q] + i * SLOT_BYTES;
	struct drv_seg segs[VDISK_MAX_SEGS];
	int head;

	CHECK(i < VDISK_MAX_NUM && nr <= VDISK_MAX_SEGS - 2, "request %u, %u segments", i, nr);
	vdisk_set_hdr(v, slot, type, sector);
	*(u8 *)gmem_ptr(&v->m.mem, slot + SLOT_STATUS, 1) = VDISK_LOST;
	segs[0] = (struct drv_seg) { slot, sizeof(struct virtio_blk_outhdr), false };
	memcpy(segs + 1, data, nr * sizeof(*data));
	segs[nr + 1] = (struct drv_seg) { slot + SLOT_STATUS, 1, true };
	head = drv_add(&v->drv[q], segs, nr + 2);
	CHECK(head >= 0, "queue %u is full", q);
	v->slot_of[q][head] = i;
}

void vdisk_kick(struct vdisk *v, unsigned int q)
{
	drv_kick(&v->drv[q], v->dev.ring[q].kick_fd);
}

int vdisk_poll(struct vdisk *v, unsigned int q, u8 *status)
{
	int head = drv_get(&v->drv[q], &v->used_len);
	u32 i;

	if (head < 0)
		return head;
	i = v->slot_of[q][head];
	*status = *(u8 *)gmem_ptr(&v->m.mem, v->slots[q] + i * SLOT_BYTES + SLOT_STATUS, 1);
	return i;
}

bool vdisk_broke(struct vdisk *v, unsigned int q)
{
	return ev_wait(v->dev.ring[q].err_fd, DEADLINE_MS) && ev_take(v->dev.ring[q].err_fd);
}
