// SPDX-License-Identifier: GPL-2.0
/*
 * Which code of the module ran.
 *
 * in:  /sys/kernel/debug/kcov
 * out: see kcov.h
 *
 * The set belongs to one thread, the one that calls kcov_take(), while those that
 * are traced do nothing.
 */
#include "kcov.h"

#include <fcntl.h>
#include <linux/kcov.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define NODE		"/sys/kernel/debug/kcov"
#define ENTRIES		(64UL << 10)	/* of a trace; what comes then is lost */
#define WORKER_ENTRIES	(16UL << 10)	/* of one pass of a worker */
#define SET_SIZE	(64UL << 10)	/* far more than the module has blocks */
#define INSTANCE	0x766b		/* of the common handle; any */

static u64 set[SET_SIZE];
static u32 total, total_workers;

bool kcov_available(void)
{
	return !access(NODE, R_OK | W_OK);
}

static void open_node(struct kcov *k)
{
	k->fd = open(NODE, O_RDWR | O_CLOEXEC);
	CHECK(k->fd >= 0, "%s", NODE);
	CHECK(!ioctl(k->fd, KCOV_INIT_TRACE, ENTRIES), "KCOV_INIT_TRACE");
	k->area = mmap(NULL, ENTRIES * 8, PROT_READ | PROT_WRITE, MAP_SHARED, k->fd, 0);
	CHECK(k->area != MAP_FAILED, "mmap of %s", NODE);
}

void kcov_trace_self(struct kcov *k)
{
	open_node(k);
	CHECK(!ioctl(k->fd, KCOV_ENABLE, KCOV_TRACE_PC), "KCOV_ENABLE");
	k->area[0] = 0;
}

void kcov_trace_workers(struct kcov *k)
{
	struct kcov_remote_arg arg = {
		.trace_mode = KCOV_TRACE_PC,
		.area_size = WORKER_ENTRIES,
		.common_handle = KCOV_SUBSYSTEM_COMMON | INSTANCE,
	};

	open_node(k);
	CHECK(!ioctl(k->fd, KCOV_REMOTE_ENABLE, &arg), "KCOV_REMOTE_ENABLE");
	k->area[0] = 0;
}

static bool add(u64 pc)
{
	u64 at = pc * 0x9e3779b97f4a7c15ULL >> 48;

	while (set[at] && set[at] != pc)
		at = (at + 1) % SET_SIZE;
	if (set[at])
		return false;
	CHECK(total < SET_SIZE / 2, "more than a module");
	set[at] = pc;
	total++;
	return true;
}

static u32 take(struct kcov *k)
{
	u64 n = __atomic_load_n(&k->area[0], __ATOMIC_RELAXED), i;
	u32 news = 0;

	for (i = 1; i <= n && i < ENTRIES; i++)
		news += add(k->area[i]);
	__atomic_store_n(&k->area[0], 0, __ATOMIC_RELAXED);
	return news;
}

u32 kcov_take(struct kcov *k)
{
	return take(k);
}

u32 kcov_take_workers(struct kcov *k)
{
	u32 news = take(k);

	total_workers += news;
	return news;
}

u32 kcov_total(void)
{
	return total;
}

u32 kcov_total_workers(void)
{
	return total_workers;
}
