// SPDX-License-Identifier: GPL-2.0
/*
 * The calls: each ioctl with arguments good and bad. What races with them is in
 * races.c.
 *
 * in:  a stage, a number for each call
 * out: see calls.h
 */
#include "calls_impl.h"
#include "fuzz.h"
#include "vdev.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define GUEST_HIGH	0x10000000ULL	/* all of the stage, rings included */

/* ---- pieces of arguments ---- */

int calls_any_event(u64 *state)
{
	if (fuzz_one_in(state, 24))
		return STAGE_FD + fuzz_below(state, STAGE_DEVICES);
	return STAGE_FD + STAGE_DEVICES + fuzz_below(state, STAGE_EVENTS);
}

/* Mostly those under traffic. */
int calls_any_device(u64 *state)
{
	static const u8 common[] = { 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, STAGE_DISK, STAGE_DISK, STAGE_DISK,
		STAGE_CONSOLE, STAGE_CONSOLE, STAGE_NIC, STAGE_NIC };

	if (fuzz_one_in(state, 64))
		return fuzz_one_in(state, 2) ? -1 : calls_any_event(state);
	if (fuzz_one_in(state, 8))
		return STAGE_FD + fuzz_below(state, STAGE_DEVICES);
	return STAGE_FD + common[fuzz_below(state, sizeof(common))];
}

static u32 any_index(u64 *state)
{
	if (fuzz_one_in(state, 16))
		return fuzz_u32(state);
	return fuzz_one_in(state, 3) ? 1 : 0;
}

static u64 any_address(u64 *state)
{
	switch (fuzz_below(state, 4)) {
	case 0:
		return STAGE_MEM + fuzz_below(state, STAGE_SIZE);
	case 1:
		return STAGE_MEM + STAGE_SIZE - fuzz_below(state, 64);
	case 2:
		/* Never ours by chance: what lies there may be written. */
		return 0x7ffffffff000UL - fuzz_below(state, 2) * 16;
	default:
		return fuzz_u64(state) | 1ULL << 63;
	}
}

/* Where the ioctl finds its argument: mostly @arg. */
static void *pointer(u64 *state, void *arg)
{
	if (!fuzz_one_in(state, 40))
		return arg;
	/* Inaccessible in part, or as whoever unmaps it last leaves it. */
	return (void *)(fuzz_one_in(state, 2) ? any_address(state) :
			STAGE_MEM + STAGE_SIZE - 4 * fuzz_below(state, 8));
}

static int call(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
}

/* ---- ioctls ---- */

static int get_u64(unsigned long cmd, u64 *state)
{
	u64 v = 0;

	return call(calls_any_device(state), cmd, pointer(state, &v));
}

static int get_features(struct stage *s, u64 *state)
{
	return get_u64(VHOST_GET_FEATURES, state);
}

static int get_backend_features(struct stage *s, u64 *state)
{
	return get_u64(VHOST_GET_BACKEND_FEATURES, state);
}

static int set_backend_features(struct stage *s, u64 *state)
{
	u64 v = fuzz_one_in(state, 4) ? fuzz_u64(state) : 0;

	return call(calls_any_device(state), VHOST_SET_BACKEND_FEATURES, pointer(state, &v));
}

int call_set_owner(struct stage *s, u64 *state)
{
	return call(calls_any_device(state), VHOST_SET_OWNER, NULL);
}

static int reset_owner(struct stage *s, u64 *state)
{
	return call(calls_any_device(state), VHOST_RESET_OWNER, NULL);
}

static u64 some_features(struct stage *s, u64 *state)
{
	static const u64 of_nic = 1ULL << VHOST_NET_F_VIRTIO_NET_HDR | 1ULL << VIRTIO_NET_F_MRG_RXBUF;
	u64 v = s->offered & (prng(state) | F_VERSION_1);

	if (fuzz_one_in(state, 4))
		v |= of_nic & prng(state);
	/* Changes the ring's layout, so not too often. */
	if (!fuzz_one_in(state, 3))
		v &= ~F_PACKED;
	return v;
}

static int set_features(struct stage *s, u64 *state)
{
	u64 v = some_features(s, state);

	if (fuzz_one_in(state, 8))
		v ^= 1ULL << fuzz_below(state, 64);
	return call(calls_any_device(state), VHOST_SET_FEATURES, pointer(state, &v));
}

static void good_regions(struct vhost_memory_region *r)
{
	/* Two that are neighbours for the guest, and one that has it all once more. */
	r[0] = (struct vhost_memory_region) { 0, STAGE_RAM_SIZE / 2, STAGE_MEM + STAGE_RAM, 0 };
	r[1] = (struct vhost_memory_region) { STAGE_RAM_SIZE / 2, STAGE_RAM_SIZE / 2,
		STAGE_MEM + STAGE_RAM + STAGE_RAM_SIZE / 2, 0 };
	r[2] = (struct vhost_memory_region) { GUEST_HIGH, STAGE_SIZE, STAGE_MEM, 0 };
}

static void spoil_region(u64 *state, struct vhost_memory_region *r)
{
	static const u64 sizes[] = { 0, 1, 4095, 4097, STAGE_SIZE, 1ULL << 30, 1ULL << 63, ~0ULL };

	switch (fuzz_below(state, 4)) {
	case 0:
		r->guest_phys_addr = fuzz_u64(state);
		break;
	case 1:
		r->memory_size = sizes[fuzz_below(state, 8)];
		break;
	case 2:
		r->userspace_addr = any_address(state);
		break;
	default:
		r->flags_padding = fuzz_one_in(state, 4);
	}
}

static int set_mem_table(struct stage *s, u64 *state)
{
	struct {
		struct vhost_memory head;
		struct vhost_memory_region r[72];
	} t = { .head = { 3, 0 } };
	u32 i;

	good_regions(t.r);
	if (fuzz_one_in(state, 8)) {
		t.head.nregions = fuzz_one_in(state, 4) ? fuzz_u32(state) : fuzz_below(state, 73);
		for (i = 3; i < 72; i++)
			t.r[i] = (struct vhost_memory_region) { (u64)i << 32, 4096, STAGE_MEM, 0 };
	}
	if (fuzz_one_in(state, 4))
		spoil_region(state, &t.r[fuzz_below(state, 3)]);
	return call(calls_any_device(state), VHOST_SET_MEM_TABLE, pointer(state, &t));
}

static int vring_state(unsigned long cmd, u32 num, u64 *state)
{
	struct vhost_vring_state v = { any_index(state), num };

	return call(calls_any_device(state), cmd, pointer(state, &v));
}

static int set_num(struct stage *s, u64 *state)
{
	u32 num = fuzz_one_in(state, 8) ? fuzz_u32(state) : 1U << fuzz_below(state, 7);

	return vring_state(VHOST_SET_VRING_NUM, num, state);
}

static int set_base(struct stage *s, u64 *state)
{
	u32 base = fuzz_one_in(state, 4) ? fuzz_u32(state) : fuzz_u16(state);

	return vring_state(VHOST_SET_VRING_BASE, fuzz_one_in(state, 3) ? 0x80008000U : base, state);
}

static int get_base(struct stage *s, u64 *state)
{
	return vring_state(VHOST_GET_VRING_BASE, 0, state);
}

static int set_busyloop(struct stage *s, u64 *state)
{
	u32 us = fuzz_one_in(state, 8) ? fuzz_u32(state) : fuzz_below(state, 100);

	return vring_state(VHOST_SET_VRING_BUSYLOOP_TIMEOUT, us, state);
}

static int get_busyloop(struct stage *s, u64 *state)
{
	return vring_state(VHOST_GET_VRING_BUSYLOOP_TIMEOUT, 0, state);
}

static struct vhost_vring_addr ring_addr(u32 index, u32 ring)
{
	u64 at = STAGE_MEM + ring * STAGE_RING;

	return (struct vhost_vring_addr) {
		.index = index,
		.desc_user_addr = at,
		.avail_user_addr = at + STAGE_AVAIL,
		.used_user_addr = at + STAGE_USED,
		.log_guest_addr = GUEST_HIGH + ring * STAGE_RING + STAGE_USED,
	};
}

static int set_addr(struct stage *s, u64 *state)
{
	struct vhost_vring_addr a = ring_addr(any_index(state), fuzz_below(state, STAGE_RINGS));
	u64 *field[] = { (u64 *)&a.desc_user_addr, (u64 *)&a.avail_user_addr,
			 (u64 *)&a.used_user_addr, (u64 *)&a.log_guest_addr };

	if (fuzz_one_in(state, 4))
		a.flags = 1 << VHOST_VRING_F_LOG;
	if (fuzz_one_in(state, 16))
		a.flags = fuzz_u32(state);
	if (fuzz_one_in(state, 6))
		*field[fuzz_below(state, 4)] = any_address(state) & ~(fuzz_one_in(state, 3) ? 0ULL : 15ULL);
	return call(calls_any_device(state), VHOST_SET_VRING_ADDR, pointer(state, &a));
}

static int vring_file(unsigned long cmd, u64 *state)
{
	struct vhost_vring_file f = { any_index(state), calls_any_event(state) };

	if (fuzz_one_in(state, 12))
		f.fd = fuzz_one_in(state, 4) ? fuzz_u32(state) : (u32)-1;
	return call(calls_any_device(state), cmd, pointer(state, &f));
}

static int set_kick(struct stage *s, u64 *state)
{
	return vring_file(VHOST_SET_VRING_KICK, state);
}

static int set_call(struct stage *s, u64 *state)
{
	return vring_file(VHOST_SET_VRING_CALL, state);
}

static int set_err(struct stage *s, u64 *state)
{
	return vring_file(VHOST_SET_VRING_ERR, state);
}

static int set_log_base(struct stage *s, u64 *state)
{
	u64 base = fuzz_one_in(state, 4) ? any_address(state) : STAGE_MEM + STAGE_LOG;

	return call(calls_any_device(state), VHOST_SET_LOG_BASE, pointer(state, &base));
}

static int set_log_fd(struct stage *s, u64 *state)
{
	int fd = fuzz_one_in(state, 4) ? -1 : calls_any_event(state);

	return call(calls_any_device(state), VHOST_SET_LOG_FD, pointer(state, &fd));
}

static u32 any_worker(u64 *state)
{
	return fuzz_one_in(state, 12) ? fuzz_u32(state) : fuzz_below(state, 4);
}

static int new_worker(struct stage *s, u64 *state)
{
	struct vhost_worker_state w = { 0 };

	return call(calls_any_device(state), VHOST_NEW_WORKER, pointer(state, &w));
}

static int free_worker(struct stage *s, u64 *state)
{
	struct vhost_worker_state w = { any_worker(state) };

	return call(calls_any_device(state), VHOST_FREE_WORKER, pointer(state, &w));
}

static int attach_worker(struct stage *s, u64 *state)
{
	struct vhost_vring_worker w = { any_index(state), any_worker(state) };

	return call(calls_any_device(state), VHOST_ATTACH_VRING_WORKER, pointer(state, &w));
}

static int get_worker(struct stage *s, u64 *state)
{
	struct vhost_vring_worker w = { any_index(state), 0 };

	return call(calls_any_device(state), VHOST_GET_VRING_WORKER, pointer(state, &w));
}

/* Sizes of structs that begin with theirs. What follows is zero, or not. */
static u32 any_size(u64 *state, u32 size)
{
	if (!fuzz_one_in(state, 8))
		return size;
	return fuzz_one_in(state, 2) ? fuzz_below(state, 2 * size) : fuzz_u32(state);
}

int call_set_running(struct stage *s, u64 *state)
{
	struct vkick_running r[2] = { { .running = !fuzz_one_in(state, 3) } };

	r->size = any_size(state, sizeof(*r));
	r->index = fuzz_one_in(state, 4) ? VKICK_ALL_QUEUES : any_index(state);
	if (fuzz_one_in(state, 32))
		r->running = fuzz_u32(state);
	if (fuzz_one_in(state, 32))
		r[fuzz_below(state, 2)].reserved = 1;
	return call(calls_any_device(state), VKICK_SET_RUNNING, pointer(state, r));
}

static int get_info(struct stage *s, u64 *state)
{
	struct vkick_info i[2] = { { .size = any_size(state, sizeof(*i)) } };

	if (fuzz_one_in(state, 32))
		i[1].size = 1;
	return call(calls_any_device(state), VKICK_GET_INFO, pointer(state, i));
}

static int get_stats(struct stage *s, u64 *state)
{
	struct vkick_stats v[2] = { { .size = any_size(state, sizeof(*v)) } };

	v->index = any_index(state);
	return call(calls_any_device(state), VKICK_GET_STATS, pointer(state, v));
}

/* Not for long: a stop waits for what is in flight. */
static int set_latency(struct stage *s, u64 *state)
{
	struct vkick_null_latency l[2] = { {
		.size = any_size(state, sizeof(*l)),
		.latency_ns = fuzz_below(state, 300000),
	} };

	if (fuzz_one_in(state, 4))
		l->latency_ns = fuzz_one_in(state, 2) ? 0 : fuzz_u64(state) | 1ULL << 40;
	if (fuzz_one_in(state, 32))
		l->reserved = 1;
	return call(calls_any_device(state), VKICK_NULL_SET_LATENCY, pointer(state, l));
}

/* Mostly the disk: all others know nothing of the kind. */
static int any_disk(u64 *state)
{
	return fuzz_one_in(state, 8) ? calls_any_device(state) : STAGE_FD + STAGE_DISK;
}

static int set_file(struct stage *s, u64 *state)
{
	struct vkick_blk_file f[2] = { { any_size(state, sizeof(*f)), s->disk } };

	if (fuzz_one_in(state, 4))
		f->fd = fuzz_one_in(state, 2) ? -1 : calls_any_event(state);
	if (fuzz_one_in(state, 16))
		f->fd = calls_any_device(state);
	return call(any_disk(state), VKICK_BLK_SET_FILE, pointer(state, f));
}

/* Mostly the NIC. */
static int set_backend(struct stage *s, u64 *state)
{
	struct vhost_vring_file f = { any_index(state), s->nic };

	if (fuzz_one_in(state, 4))
		f.fd = fuzz_one_in(state, 2) ? -1 : calls_any_event(state);
	if (fuzz_one_in(state, 16))
		f.fd = calls_any_device(state);
	return call(fuzz_one_in(state, 8) ? calls_any_device(state) : STAGE_FD + STAGE_NIC,
		    VHOST_NET_SET_BACKEND, pointer(state, &f));
}

static int set_config(struct stage *s, u64 *state)
{
	struct vkick_blk_config c[2] = { {
		.size = any_size(state, sizeof(*c)),
		.flags = fuzz_below(state, 4),
		.capacity = fuzz_below(state, 4096),
		.seg_max = 1 + fuzz_below(state, 16),
		.max_discard_seg = fuzz_below(state, 5),
		.max_discard_sectors = fuzz_below(state, 100),
		.max_write_zeroes_seg = fuzz_below(state, 5),
		.max_write_zeroes_sectors = fuzz_below(state, 100),
	} };

	if (fuzz_one_in(state, 8))
		((u32 *)c)[1 + fuzz_below(state, sizeof(*c) / 4)] = fuzz_u32(state);
	return call(any_disk(state), VKICK_BLK_SET_CONFIG, pointer(state, c));
}

static int set_pinned(struct stage *s, u64 *state)
{
	struct vkick_blk_pinned p[2] = { {
		.size = any_size(state, sizeof(*p)),
		.pinned = fuzz_one_in(state, 8) ? fuzz_u32(state) : fuzz_below(state, 2),
	} };

	return call(any_disk(state), VKICK_BLK_SET_PINNED, pointer(state, p));
}

static int any_console(u64 *state)
{
	return fuzz_one_in(state, 8) ? calls_any_device(state) : STAGE_FD + STAGE_CONSOLE;
}

static int any_port_file(u64 *state, int otherwise)
{
	if (fuzz_one_in(state, 8))
		return fuzz_one_in(state, 2) ? -1 : calls_any_event(state);
	return fuzz_one_in(state, 16) ? calls_any_device(state) : otherwise;
}

static int set_port(struct stage *s, u64 *state)
{
	struct vkick_console_port p[2] = { {
		.size = any_size(state, sizeof(*p)),
		.port = fuzz_one_in(state, 4) ? fuzz_below(state, 40) : 0,
		.in_fd = any_port_file(state, s->pipe[0]),
		.out_fd = any_port_file(state, s->pipe[1]),
		.event_fd = fuzz_one_in(state, 2) ? -1 : calls_any_event(state),
		.out_skip = fuzz_one_in(state, 4) ? fuzz_below(state, 4096) : 0,
	} };

	if (fuzz_one_in(state, 8))
		((u32 *)p)[1 + fuzz_below(state, sizeof(*p) / 4)] = fuzz_u32(state);
	/* Not what the test itself says. */
	if (p->out_fd >= 0 && p->out_fd <= STDERR_FILENO)
		p->out_fd = -1;
	return call(any_console(state), VKICK_CONSOLE_SET_PORT, pointer(state, p));
}

static int get_port(struct stage *s, u64 *state)
{
	struct vkick_console_port p[2] = { {
		.size = any_size(state, sizeof(*p)),
		.port = fuzz_one_in(state, 4) ? fuzz_below(state, 40) : 0,
	} };

	return call(any_console(state), VKICK_CONSOLE_GET_PORT, pointer(state, p));
}

static int any_ioctl(struct stage *s, u64 *state)
{
	static u8 junk[4096];
	u32 type = fuzz_one_in(state, 2) ? VHOST_VIRTIO : VKICK_IOCTL_TYPE;
	u32 cmd = _IOC(fuzz_below(state, 4), type, fuzz_below(state, 256), fuzz_below(state, 600));

	return call(calls_any_device(state), cmd, pointer(state, junk));
}

/*
 * Stops a live queue, lays its ring anew and starts it, as after a reset by the
 * guest: what other calls have broken goes on.
 */
static int restart(struct stage *s, u64 *state)
{
	struct live *l = &s->live[fuzz_below(state, STAGE_LIVE)];
	int fd = STAGE_FD + l->dev, err;
	struct vhost_vring_addr a = ring_addr(l->queue, l - s->live);
	u32 base;

	err = __vdev_set_running(fd, l->queue, 0);
	if (err)
		return err;
	pthread_mutex_lock(&l->lock);
	base = l->ring.packed ? fring_random_base(&l->ring, state) : fuzz_u16(state);
	fring_init(&l->ring, base);
	l->out = false;
	__vdev_set_num(fd, l->queue, l->ring.num);
	__vdev_ioctl(fd, VHOST_SET_VRING_ADDR, &a);
	__vdev_set_base(fd, l->queue, base);
	__vdev_set_kick(fd, l->queue, l->kick);
	pthread_mutex_unlock(&l->lock);
	return __vdev_set_running(fd, l->queue, 1);
}

static const struct kind {
	const char *name;
	int (*make)(struct stage *s, u64 *state);
	bool is_ioctl;
	u32 weight;
} kinds[] = {
	{ "GET_FEATURES", get_features, true, 10 },
	{ "GET_BACKEND_FEATURES", get_backend_features, true, 4 },
	{ "SET_BACKEND_FEATURES", set_backend_features, true, 6 },
	{ "SET_OWNER", call_set_owner, true, 40 },
	{ "RESET_OWNER", reset_owner, true, 12 },
	{ "SET_FEATURES", set_features, true, 60 },
	{ "SET_MEM_TABLE", set_mem_table, true, 80 },
	{ "SET_VRING_NUM", set_num, true, 60 },
	{ "SET_VRING_ADDR", set_addr, true, 100 },
	{ "SET_VRING_BASE", set_base, true, 60 },
	{ "GET_VRING_BASE", get_base, true, 40 },
	{ "SET_VRING_KICK", set_kick, true, 80 },
	{ "SET_VRING_CALL", set_call, true, 60 },
	{ "SET_VRING_ERR", set_err, true, 60 },
	{ "SET_LOG_BASE", set_log_base, true, 50 },
	{ "SET_LOG_FD", set_log_fd, true, 30 },
	{ "NEW_WORKER", new_worker, true, 20 },
	{ "FREE_WORKER", free_worker, true, 25 },
	{ "ATTACH_VRING_WORKER", attach_worker, true, 60 },
	{ "GET_VRING_WORKER", get_worker, true, 20 },
	{ "SET_VRING_BUSYLOOP_TIMEOUT", set_busyloop, true, 40 },
	{ "GET_VRING_BUSYLOOP_TIMEOUT", get_busyloop, true, 10 },
	{ "GET_INFO", get_info, true, 10 },
	{ "SET_RUNNING", call_set_running, true, 200 },
	{ "GET_STATS", get_stats, true, 40 },
	{ "NULL_SET_LATENCY", set_latency, true, 40 },
	{ "BLK_SET_FILE", set_file, true, 40 },
	{ "BLK_SET_CONFIG", set_config, true, 40 },
	{ "BLK_SET_PINNED", set_pinned, true, 20 },
	{ "NET_SET_BACKEND", set_backend, true, 60 },
	{ "CONSOLE_SET_PORT", set_port, true, 50 },
	{ "CONSOLE_GET_PORT", get_port, true, 10 },
	{ "any ioctl", any_ioctl, true, 15 },
	{ "restart", restart, true, 60 },
	{ "open", race_open_device, false, 12 },
	{ "eventfd", race_new_event, false, 20 },
	{ "close", race_close_fd, false, 16 },
	{ "dup2", race_dup_fd, false, 20 },
	{ "write eventfd", race_signal_event, false, 100 },
	{ "read eventfd", race_read_event, false, 40 },
	{ "mmap", race_map_pages, false, 40 },
	{ "munmap", race_unmap_pages, false, 15 },
	{ "mprotect", race_protect_pages, false, 15 },
	{ "mremap", race_move_pages, false, 6 },
	{ "madvise", race_advise_pages, false, 8 },
	{ "poke ring", race_poke_ring, false, 60 },
	{ "other process", race_from_another_process, false, 1 },
	{ "yield", race_yield, false, 30 },
};

#define NR_KINDS	(sizeof(kinds) / sizeof(kinds[0]))

u32 calls_nr(void)
{
	return NR_KINDS;
}

const char *calls_name(u32 kind)
{
	return kinds[kind].name;
}

bool calls_is_ioctl(u32 kind)
{
	return kinds[kind].is_ioctl;
}

u32 calls_pick(u64 *state)
{
	u32 sum = 0, at, i;

	for (i = 0; i < NR_KINDS; i++)
		sum += kinds[i].weight;
	at = fuzz_below(state, sum);
	for (i = 0; at >= kinds[i].weight; i++)
		at -= kinds[i].weight;
	return i;
}

int calls_make(struct stage *s, u32 kind, u64 number)
{
	u64 state = number | 1;

	return kinds[kind].make(s, &state);
}
