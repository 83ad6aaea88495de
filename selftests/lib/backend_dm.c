// SPDX-License-Identifier: GPL-2.0
/*
 * Device-mapper disks for tests, by the ioctls themselves: dmsetup would ask for udev,
 * and takes its time.
 *
 * in:  /dev/mapper/control
 * out: see backend.h
 */
#include "backend_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define CONTROL		"/dev/mapper/control"
#define ARG_BYTES	16384

/* An argument with room for what comes behind it. */
static struct dm_ioctl *new_arg(const char *name, u32 flags)
{
	struct dm_ioctl *dmi = calloc(1, ARG_BYTES);

	CHECK(dmi, "no memory");
	dmi->version[0] = 4;
	dmi->data_size = ARG_BYTES;
	dmi->data_start = sizeof(*dmi);
	dmi->flags = flags;
	if (name)
		snprintf(dmi->name, sizeof(dmi->name), "%s", name);
	return dmi;
}

static int __ctl(unsigned long cmd, struct dm_ioctl *dmi)
{
	int fd = open(CONTROL, O_RDWR | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = ioctl(fd, cmd, dmi) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* A command that needs but a name. Return: -errno; flags and all else in @out, if any. */
static int __simple(unsigned long cmd, const char *name, u32 flags,
		    struct dm_ioctl *out)
{
	struct dm_ioctl *dmi = new_arg(name, flags);
	int err = __ctl(cmd, dmi);

	if (out)
		*out = *dmi;
	free(dmi);
	return err;
}

static void simple(unsigned long cmd, const char *name, u32 flags)
{
	int err = __simple(cmd, name, flags, NULL);

	CHECK(!err, "device mapper: ioctl 0x%lx for %s: %d", cmd, name, err);
}

const char *dm_lacks(const char *target)
{
	struct dm_ioctl *dmi;
	struct dm_target_versions *v;
	static char why[64];
	char module[64];
	bool found = false;

	snprintf(why, sizeof(why), "no device-mapper target %s", target);
	backend_modprobe("dm-mod", NULL);
	snprintf(module, sizeof(module), "dm-%s", target);
	backend_modprobe(module, NULL);

	dmi = new_arg(NULL, 0);
	if (!__ctl(DM_LIST_VERSIONS, dmi)) {
		v = (void *)dmi + dmi->data_start;
		for (;;) {
			found = found || !strcmp(v->name, target);
			if (!v->next)
				break;
			v = (void *)v + v->next;
		}
	}
	free(dmi);
	return found ? NULL : why;
}

/* Makes @table the one that a resume takes. */
static void load(const char *name, const struct dm_line *table)
{
	struct dm_ioctl *dmi = new_arg(name, 0);
	size_t at = sizeof(*dmi);
	int err;

	for (; table->len; table++) {
		struct dm_target_spec *spec = (void *)dmi + at;
		size_t text = strlen(table->params) + 1;

		CHECK(at + sizeof(*spec) + text + 8 <= ARG_BYTES, "a long table");
		spec->sector_start = table->start;
		spec->length = table->len;
		snprintf(spec->target_type, sizeof(spec->target_type), "%s",
			 table->target);
		memcpy(spec + 1, table->params, text);
		/* 8-byte aligned; counted from this one. */
		spec->next = (sizeof(*spec) + text + 7) & ~7UL;
		at += spec->next;
		dmi->target_count++;
	}
	err = __ctl(DM_TABLE_LOAD, dmi);
	CHECK(!err, "DM_TABLE_LOAD of %s: %d", name, err);
	free(dmi);
}

struct backend dm_make(const char *name, const struct dm_line *table)
{
	struct backend b = backend_named(name);
	struct dm_ioctl dmi;
	int err;

	simple(DM_DEV_CREATE, b.name, 0);
	load(b.name, table);
	simple(DM_DEV_SUSPEND, b.name, 0);
	err = __simple(DM_DEV_STATUS, b.name, 0, &dmi);
	CHECK(!err, "DM_DEV_STATUS of %s: %d", b.name, err);
	snprintf(b.path, sizeof(b.path), "/dev/dm-%u", minor(dmi.dev));
	backend_measure(&b);
	return b;
}

struct backend dm_make1(const char *name, u64 sectors, const char *target,
			const char *fmt, ...)
{
	struct dm_line table[2] = { { .len = sectors, .target = target } };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(table[0].params, sizeof(table[0].params), fmt, ap);
	va_end(ap);
	return dm_make(name, table);
}

void dm_suspend(const struct backend *b, bool noflush)
{
	/* No file system is frozen for it. */
	simple(DM_DEV_SUSPEND, b->name, DM_SUSPEND_FLAG | DM_SKIP_LOCKFS_FLAG |
	       (noflush ? DM_NOFLUSH_FLAG : 0));
}

void dm_resume(const struct backend *b)
{
	simple(DM_DEV_SUSPEND, b->name, 0);
}

void dm_reload(const struct backend *b, const struct dm_line *table, bool noflush)
{
	load(b->name, table);
	dm_suspend(b, noflush);
	dm_resume(b);
}

void dm_make_fail(const struct backend *b)
{
	struct dm_line table[2] = { { .len = b->sectors, .target = "error" } };

	dm_reload(b, table, true);
}

int __dm_message(const struct backend *b, const char *message)
{
	struct dm_ioctl *dmi = new_arg(b->name, 0);
	struct dm_target_msg *msg = (void *)dmi + dmi->data_start;
	int err;

	snprintf(msg->message, 256, "%s", message);
	err = __ctl(DM_TARGET_MSG, dmi);
	free(dmi);
	return err;
}

void dm_message(const struct backend *b, const char *message)
{
	int err = __dm_message(b, message);

	CHECK(!err, "message %s to %s: %d", message, b->name, err);
}

void dm_remove(const struct backend *b)
{
	struct deadline end = deadline_in(DEADLINE_MS);
	int err;

	/* Who had it open may be on the way out. */
	while ((err = __simple(DM_DEV_REMOVE, b->name, 0, NULL)) == -EBUSY)
		CHECK(!deadline_passed(&end), "%s is in use", b->name);
	CHECK(!err, "DM_DEV_REMOVE of %s: %d", b->name, err);
}

/* Calls @fn for each of ours. Return: whether all of it did well. */
static bool for_each(bool (*fn)(const char *name))
{
	struct dm_ioctl *dmi = new_arg(NULL, 0);
	struct dm_name_list *list;
	bool well = true;

	if (!__ctl(DM_LIST_DEVICES, dmi)) {
		list = (void *)dmi + dmi->data_start;
		while (list->dev) {
			if (!strncmp(list->name, BACKEND_PREFIX, strlen(BACKEND_PREFIX)))
				well = fn(list->name) && well;
			if (!list->next)
				break;
			list = (void *)list + list->next;
		}
	}
	free(dmi);
	return well;
}

static bool unblock(const char *name)
{
	struct dm_ioctl dmi;

	if (!__simple(DM_DEV_STATUS, name, 0, &dmi) && dmi.flags & DM_SUSPEND_FLAG)
		__simple(DM_DEV_SUSPEND, name, 0, NULL);
	return true;
}

void dm_unblock(void)
{
	for_each(unblock);
}

static bool remove_one(const char *name)
{
	return !__simple(DM_DEV_REMOVE, name, 0, NULL);
}

bool dm_sweep(void)
{
	return for_each(remove_one);
}
