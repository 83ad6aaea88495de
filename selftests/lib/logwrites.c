// SPDX-License-Identifier: GPL-2.0
/*
 * What dm-log-writes wrote down, read back.
 *
 * in:  the log device
 * out: see logwrites.h
 */
#define _GNU_SOURCE
#include "logwrites.h"

#include <endian.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LW_MAGIC	0x6a736677736872ULL
#define LW_VERSION	1

/* On the log device, little-endian: sector 0, then each entry in a sector of its own. */
struct lw_disk_super {
	u64 magic;
	u64 version;
	u64 nr_entries;
	u32 sectorsize;
};

struct lw_disk_entry {
	u64 sector;
	u64 nr_sectors;
	u64 flags;
	u64 data_len;		/* of a mark's text, behind this */
};

struct backend lw_make(const char *name, const struct backend *data,
		       const struct backend *log)
{
	return dm_make1(name, data->sectors, "log-writes", "%s %s", data->path,
			log->path);
}

struct backend lw_in_turn(const struct backend *lw)
{
	int fd = backend_open(lw, O_RDWR);
	struct backend b = loop_make("turn", fd, true);

	close(fd);
	return b;
}

void lw_end(const struct backend *b)
{
	int fd = backend_open(b, O_RDWR);

	CHECK(!fsync(fd), "fsync %s", b->path);
	close(fd);
	dm_remove(b);
}

static void read_at(const struct lw_log *l, void *buf, size_t len, u64 at)
{
	CHECK(pread(l->fd, buf, len, at) == (ssize_t)len, "read %zu bytes of the log at %llu",
	      len, (unsigned long long)at);
}

void lw_open(struct lw_log *l, const struct backend *log)
{
	struct lw_disk_super super;

	*l = (struct lw_log) { .fd = backend_open(log, O_RDONLY) };
	read_at(l, &super, sizeof(super), 0);
	CHECK(le64toh(super.magic) == LW_MAGIC && le64toh(super.version) == LW_VERSION,
	      "%s is no log", log->path);
	l->nr = le64toh(super.nr_entries);
	l->sectorsize = le32toh(super.sectorsize);
	CHECK(l->sectorsize == SECTOR, "sectors of %u bytes", l->sectorsize);
	l->at = l->sectorsize;
}

void lw_close(struct lw_log *l)
{
	close(l->fd);
	l->fd = -1;
}

bool lw_next(struct lw_log *l, struct lw_entry *e)
{
	u8 sector[SECTOR] = { 0 };
	struct lw_disk_entry *d = (void *)sector;
	u64 text;

	if (l->next == l->nr)
		return false;
	read_at(l, sector, sizeof(sector), l->at);
	*e = (struct lw_entry) {
		.sector = le64toh(d->sector),
		.nr = le64toh(d->nr_sectors),
		.flags = le64toh(d->flags),
		.at = l->at + SECTOR,
	};
	if (e->flags & LW_MARK) {
		text = le64toh(d->data_len);
		CHECK(text < sizeof(e->mark), "a mark of %llu bytes",
		      (unsigned long long)text);
		memcpy(e->mark, d + 1, text);
	}
	l->at = e->at;
	if (!(e->flags & LW_DISCARD))
		l->at += e->nr * SECTOR;
	l->next++;
	return true;
}

void lw_data(const struct lw_log *l, const struct lw_entry *e, void *buf)
{
	if (e->nr && !(e->flags & LW_DISCARD))
		read_at(l, buf, e->nr * SECTOR, e->at);
}

void lw_apply(const struct lw_log *l, const struct lw_entry *e, u8 *image, u64 sectors)
{
	CHECK(e->sector + e->nr <= sectors, "entry %llu lies past the disk",
	      (unsigned long long)l->next - 1);
	lw_data(l, e, image + e->sector * SECTOR);
}
