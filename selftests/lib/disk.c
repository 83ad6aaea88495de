// SPDX-License-Identifier: GPL-2.0
/*
 * A disk under test: /dev/vkick-blk over a backing file, driven as a guest would.
 *
 * in:  a backing, features, a configuration
 * out: see disk.h
 */
#include "disk.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Pages that are pinned, by anybody on this machine. */
static long pins(void)
{
	int fd = open("/proc/sys/vm/stat_refresh", O_WRONLY | O_CLOEXEC);
	long v, acquired = -1, released = -1;
	char label[64];
	FILE *f;

	/* Each CPU adds to the sum when it sees fit, unless it is told to. */
	CHECK(fd >= 0 && write(fd, "1", 1) == 1, "stat_refresh");
	close(fd);
	f = fopen("/proc/vmstat", "r");
	CHECK(f, "/proc/vmstat");
	while (fscanf(f, "%63s %ld", label, &v) == 2)
		if (!strcmp(label, "nr_foll_pin_acquired"))
			acquired = v;
		else if (!strcmp(label, "nr_foll_pin_released"))
			released = v;
	fclose(f);
	CHECK(acquired >= 0 && released >= 0, "/proc/vmstat says nothing of pins");
	return acquired - released;
}

/*
 * Those that last. The pages of a direct read that is over are let go by a workqueue, some
 * time later, and nothing tells when: the fewest that are seen in a tenth of a second.
 */
static long lasting_pins(void)
{
	long fewest = pins(), n;
	int i;

	for (i = 0; i < 20; i++) {
		usleep(5000);
		n = pins();
		fewest = n < fewest ? n : fewest;
	}
	return fewest;
}

static void lay_out_queue(struct disk *d, u32 i, const struct disk_conf *conf)
{
	struct disk_queue *dq = &d->q[i];
	struct vq *q = &d->r.q[i];
	u32 n = conf->num ?: 128, s;

	drv_init(&q->drv, &d->r.mem, n, conf->features, conf->layout,
		 conf->max_segs ?: 40);
	q->kick = ev_new();
	q->call = ev_new();
	q->err = ev_new();
	dq->slots = gmem_alloc(&d->r.mem, (u64)n * DISK_SLOT, DISK_SLOT);
	dq->free = calloc(n, sizeof(*dq->free));
	dq->slot_of = calloc(n, sizeof(*dq->slot_of));
	CHECK(dq->free && dq->slot_of, "no memory");
	for (s = 0; s < n; s++)
		dq->free[s] = n - 1 - s;
	dq->nr_free = n;
}

void disk_lay_out(struct disk *d, const struct disk_conf *conf)
{
	struct backing_conf bc = {
		.kind = conf->on,
		.bytes = (conf->sectors ?: DISK_SECTORS) * SECTOR,
		.delay_ms = conf->delay_ms,
		.path = conf->path,
	};
	u32 i;

	*d = (struct disk) {
		.r = {
			.fd = -1,
			.features = conf->features | F_VERSION_1 |
				    (F_BLK_ALL & ~conf->without),
		},
		.nr_queues = conf->nr_queues ?: 1,
		.pinned = conf->pinned,
		.sectors = conf->sectors ?: DISK_SECTORS,
		.pins = conf->pinned ? lasting_pins() : pins(),
		.config = {
			.size = sizeof(d->config),
			.flags = conf->flags,
			.capacity = conf->sectors ?: DISK_SECTORS,
			.seg_max = conf->max_segs ? conf->max_segs - 2 : 38,
			.max_discard_seg = 16,
			.max_discard_sectors = 4096,
			.max_write_zeroes_seg = 16,
			.max_write_zeroes_sectors = 4096,
			.serial = "vkick-disk-serial-20",
		},
	};
	gmem_add_standard(&d->r.mem);
	for (i = 0; i < RIG_MAX_QUEUES; i++)
		d->r.q[i] = (struct vq) { .index = i, -1, -1, -1 };
	for (i = 0; i < d->nr_queues; i++)
		lay_out_queue(d, i, conf);
	CHECK(d->r.mem.next < DISK_BUF, "rings and tables do not fit");

	backing_make(&d->b, &bc);
	d->bypass = d->b.is_block;
	/* A given one may be made to fail. */
	d->check = conf->on == BACKING_GIVEN ? -1 :
		   backing_open(&d->b, O_RDWR | (d->bypass ? O_DIRECT : 0));
}

void disk_attach(struct disk *d)
{
	u32 i;

	d->r.nvqs = d->nr_queues;
	rig_configure(&d->r);
	if (d->pinned) {
		vdev_set_pinned(d->r.fd, 1);
		vdev_set_mem(d->r.fd, &d->r.mem);
	}
	for (i = 0; i < d->nr_queues; i++) {
		vdev_set_kick(d->r.fd, i, d->r.q[i].kick);
		vdev_set_call(d->r.fd, i, d->r.q[i].call);
		vdev_set_err(d->r.fd, i, d->r.q[i].err);
	}
	vdev_set_config(d->r.fd, &d->config);
}

void disk_open(struct disk *d, const struct disk_conf *conf)
{
	int file;

	disk_lay_out(d, conf);
	d->r.fd = vdev_open("blk");
	disk_attach(d);
	file = backing_open(&d->b, (conf->read_only ? O_RDONLY : O_RDWR) |
			    (conf->direct ? O_DIRECT : 0));
	vdev_set_file(d->r.fd, file);
	close(file);
}

void disk_start(struct disk *d)
{
	u32 i;

	for (i = 0; i < d->nr_queues; i++)
		vdev_start(d->r.fd, i);
}

void disk_stop(struct disk *d)
{
	u32 i;

	for (i = 0; i < d->nr_queues; i++)
		vdev_stop(d->r.fd, i);
}

bool disk_pins_gone(const struct disk *d)
{
	struct deadline end = deadline_in(DEADLINE_MS);

	/* Fewer: somebody else let go of one. */
	while (pins() > d->pins) {
		if (deadline_passed(&end))
			return false;
		sched_yield();
	}
	return true;
}

bool disk_pins_are(const struct disk *d, long pages)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	long now;

	/* Others pin pages too, for a moment. */
	while ((now = pins() - d->pins) != pages) {
		if (deadline_passed(&end)) {
			fprintf(stderr, "# %ld pages are pinned\n", now);
			return false;
		}
		sched_yield();
	}
	return true;
}

void disk_close(struct disk *d)
{
	u32 i;

	rig_close(&d->r);
	CHECK(disk_pins_gone(d), "%ld pages stay pinned", pins() - d->pins);
	for (i = 0; i < d->nr_queues; i++) {
		free(d->q[i].free);
		free(d->q[i].slot_of);
	}
	if (d->check >= 0)
		close(d->check);
	backing_free(&d->b);
}

/* ---- requests ---- */

static u64 slot_gpa(const struct disk *d, u32 queue, int slot)
{
	return d->q[queue].slots + (u64)slot * DISK_SLOT;
}

u64 disk_status_gpa(const struct disk *d, u32 queue, int slot)
{
	return slot_gpa(d, queue, slot) + DISK_SLOT_STATUS;
}

static u8 *status_of(struct disk *d, u32 queue, int slot)
{
	return gmem_ptr(&d->r.mem, disk_status_gpa(d, queue, slot), 1);
}

int disk_add(struct disk *d, u32 queue, const struct disk_req *req)
{
	struct disk_queue *dq = &d->q[queue];
	struct drv *drv = &d->r.q[queue].drv;
	struct virtio_blk_outhdr *hdr;
	struct drv_seg segs[drv->max_segs];
	u32 n = 0, readable;
	int slot, head;

	if (!dq->nr_free)
		return -ENOSPC;
	slot = dq->free[dq->nr_free - 1];
	hdr = gmem_ptr(&d->r.mem, slot_gpa(d, queue, slot), sizeof(*hdr));
	hdr->type = htole32(req->type);
	hdr->ioprio = 0;
	hdr->sector = htole64(req->sector);
	*status_of(d, queue, slot) = DISK_NO_STATUS;

	CHECK(req->nr + 2 <= drv->max_segs, "%u buffers", req->nr);
	segs[n++] = (struct drv_seg) { slot_gpa(d, queue, slot), sizeof(*hdr), false };
	for (readable = 0; readable < req->nr; readable++)
		segs[n++] = req->data[readable];
	segs[n++] = (struct drv_seg) { disk_status_gpa(d, queue, slot), 1, true };
	head = drv_add(drv, segs, n);
	if (head < 0)
		return head;
	dq->nr_free--;
	dq->slot_of[head] = slot;
	return slot;
}

int disk_submit(struct disk *d, u32 queue, const struct disk_req *req)
{
	int slot = disk_add(d, queue, req);

	CHECK(slot >= 0, "queue %u is full", queue);
	drv_kick(&d->r.q[queue].drv, d->r.q[queue].kick);
	return slot;
}

static int taken(struct disk *d, u32 queue, int head, u8 *status)
{
	struct disk_queue *dq = &d->q[queue];
	int slot = dq->slot_of[head];

	*status = __atomic_load_n(status_of(d, queue, slot), __ATOMIC_ACQUIRE);
	CHECK(*status != DISK_NO_STATUS, "request %d is used, and has no status", head);
	dq->free[dq->nr_free++] = slot;
	return slot;
}

int disk_take(struct disk *d, u32 queue, u8 *status, u32 *len)
{
	return taken(d, queue, rig_complete(&d->r.q[queue], len), status);
}

int disk_poll(struct disk *d, u32 queue, u8 *status, u32 *len)
{
	int head = drv_get(&d->r.q[queue].drv, len);

	return head < 0 ? head : taken(d, queue, head, status);
}

u8 disk_do(struct disk *d, const struct disk_req *req, u32 *len)
{
	int slot = disk_submit(d, 0, req);
	u8 status;

	CHECK(disk_take(d, 0, &status, len) == slot, "not the request that was made");
	return status;
}

u8 disk_rw(struct disk *d, u32 type, u64 sector, u64 gpa, u32 bytes)
{
	struct drv_seg s = { gpa, bytes, type == VIRTIO_BLK_T_IN };
	struct disk_req req = { type, sector, &s, 1 };

	return disk_do(d, &req, NULL);
}

u8 disk_flush(struct disk *d)
{
	struct disk_req req = { .type = VIRTIO_BLK_T_FLUSH };

	return disk_do(d, &req, NULL);
}

u8 disk_ranges(struct disk *d, u32 type, const struct virtio_blk_discard_write_zeroes *r,
	       u32 nr)
{
	struct drv_seg s = { DISK_BUF2, nr * sizeof(*r), false };
	struct disk_req req = { type, 0, &s, 1 };

	memcpy(gmem_ptr(&d->r.mem, DISK_BUF2, s.len), r, s.len);
	return disk_do(d, &req, NULL);
}

u8 disk_range(struct disk *d, u32 type, u64 sector, u32 sectors, u32 flags)
{
	struct virtio_blk_discard_write_zeroes r = {
		.sector = htole64(sector),
		.num_sectors = htole32(sectors),
		.flags = htole32(flags),
	};

	return disk_ranges(d, type, &r, 1);
}

void disk_configure(struct disk *d)
{
	vdev_set_config(d->r.fd, &d->config);
}

void disk_resize(struct disk *d, u64 sectors)
{
	d->config.capacity = sectors;
	disk_configure(d);
}

/* ---- contents ---- */

#define GRAIN	64U	/* bytes; the first word of each says which one it is */

static u64 word(u64 sector, u32 i, u32 gen)
{
	u64 x = (sector * SECTOR + i + 1) * 0x9e3779b97f4a7c15ULL;

	x ^= (gen + 1) * 0xc2b2ae3d27d4eb4fULL;
	x ^= x >> 29;
	return x | 1;
}

void disk_pattern(void *buf, u64 sector, u32 sectors, u32 gen)
{
	u8 *p = buf;
	u64 grain[GRAIN / 8];
	u32 i;

	for (; sectors--; sector++) {
		for (i = 1; i < GRAIN / 8; i++)
			grain[i] = word(sector, i, gen);
		for (i = 0; i < SECTOR; i += GRAIN, p += GRAIN) {
			grain[0] = word(sector, i + 100, gen);
			memcpy(p, grain, GRAIN);
		}
	}
}

static bool is_all(const u8 *p, u64 n, u8 byte)
{
	return !n || (*p == byte && !memcmp(p, p + 1, n - 1));
}

static void *new_buf(u64 bytes)
{
	void *p = aligned_alloc(4096, (bytes + 4095) & ~4095ULL);

	CHECK(p, "no memory");
	return p;
}

void disk_put_pattern(struct disk *d, u64 gpa, u64 sector, u32 sectors, u32 gen)
{
	disk_pattern(gmem_ptr(&d->r.mem, gpa, (u64)sectors * SECTOR), sector, sectors, gen);
}

static bool is_pattern(const void *buf, u64 sector, u32 sectors, u32 gen)
{
	u8 want[SECTOR];
	u32 s;

	for (s = 0; s < sectors; s++) {
		disk_pattern(want, sector + s, 1, gen);
		if (!memcmp(want, (const u8 *)buf + s * SECTOR, SECTOR))
			continue;
		fprintf(stderr, "# sector %llu is not what it was in generation %u\n",
			(unsigned long long)sector + s, gen);
		return false;
	}
	return true;
}

bool disk_has_pattern(struct disk *d, u64 gpa, u64 sector, u32 sectors, u32 gen)
{
	return is_pattern(gmem_ptr(&d->r.mem, gpa, (u64)sectors * SECTOR), sector,
			  sectors, gen);
}

bool disk_is_all(struct disk *d, u64 gpa, u32 bytes, u8 byte)
{
	return !bytes || is_all(gmem_ptr(&d->r.mem, gpa, bytes), bytes, byte);
}

void disk_file_read(struct disk *d, void *buf, u64 sector, u32 sectors)
{
	u64 bytes = (u64)sectors * SECTOR;
	void *p = new_buf(bytes);
	ssize_t n = pread(d->check, p, bytes, sector * SECTOR);

	CHECK(n == (ssize_t)bytes, "read %zd of %llu bytes", n, (unsigned long long)bytes);
	memcpy(buf, p, bytes);
	free(p);
}

void disk_file_write(struct disk *d, const void *buf, u64 sector, u32 sectors)
{
	u64 bytes = (u64)sectors * SECTOR;
	void *p = new_buf(bytes);
	ssize_t n;

	memcpy(p, buf, bytes);
	n = pwrite(d->check, p, bytes, sector * SECTOR);
	CHECK(n == (ssize_t)bytes, "wrote %zd of %llu bytes", n, (unsigned long long)bytes);
	free(p);
}

void disk_file_put_pattern(struct disk *d, u64 sector, u32 sectors, u32 gen)
{
	void *p = new_buf((u64)sectors * SECTOR);

	disk_pattern(p, sector, sectors, gen);
	disk_file_write(d, p, sector, sectors);
	free(p);
}

bool disk_file_has_pattern(struct disk *d, u64 sector, u32 sectors, u32 gen)
{
	void *p = new_buf((u64)sectors * SECTOR);
	bool same;

	disk_file_read(d, p, sector, sectors);
	same = is_pattern(p, sector, sectors, gen);
	free(p);
	return same;
}

bool disk_file_is_zero(struct disk *d, u64 sector, u32 sectors)
{
	u64 bytes = (u64)sectors * SECTOR;
	u8 *p = new_buf(bytes);
	bool zero;

	disk_file_read(d, p, sector, sectors);
	zero = is_all(p, bytes, 0);
	free(p);
	if (!zero)
		fprintf(stderr, "# sectors %llu to %llu are not zero\n",
			(unsigned long long)sector,
			(unsigned long long)sector + sectors - 1);
	return zero;
}
