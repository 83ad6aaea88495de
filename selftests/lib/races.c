// SPDX-License-Identifier: GPL-2.0
/*
 * What races with the ioctls of fuzz_ioctl: files and memory that come and go, a
 * driver that misbehaves, another process.
 *
 * in:  a stage, a state of prng() for each call
 * out: see calls.h
 */
#include "calls_impl.h"
#include "fuzz.h"
#include "vdev.h"

#include <errno.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* From here the numbers must not be taken by anyone else: hence dup2() alone. */
static int put_fd(int fd, int at)
{
	int err = fd < 0 || dup2(fd, at) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return err;
}

int race_open_device(struct stage *s, u64 *state)
{
	static const char * const classes[] = { "null", "rng", "blk", "net", "console" };
	int fd = __vdev_open(classes[fuzz_below(state, 5)]);

	return put_fd(fd, STAGE_FD + fuzz_below(state, STAGE_DEVICES));
}

int race_new_event(struct stage *s, u64 *state)
{
	u32 initial = fuzz_one_in(state, 4) ? 0 : fuzz_u16(state);
	int flags = EFD_NONBLOCK | (fuzz_one_in(state, 8) ? EFD_SEMAPHORE : 0);

	return put_fd(eventfd(initial, flags), calls_any_event(state));
}

int race_close_fd(struct stage *s, u64 *state)
{
	return close(fuzz_one_in(state, 2) ? calls_any_event(state) : calls_any_device(state)) ? -errno : 0;
}

int race_dup_fd(struct stage *s, u64 *state)
{
	int from, to;

	if (fuzz_one_in(state, 2)) {
		from = calls_any_device(state);
		to = STAGE_FD + fuzz_below(state, STAGE_DEVICES);
	} else {
		from = calls_any_event(state);
		to = calls_any_event(state);
	}
	return dup2(from, to) < 0 ? -errno : 0;
}

int race_signal_event(struct stage *s, u64 *state)
{
	u64 n = fuzz_one_in(state, 16) ? ~0ULL - 1 : 1;

	return write(calls_any_event(state), &n, 8) < 0 ? -errno : 0;
}

int race_read_event(struct stage *s, u64 *state)
{
	u64 n;

	return read(calls_any_event(state), &n, 8) < 0 ? -errno : 0;
}

/* Some pages of the stage: a ring, the log, guest memory, or all. */
static void *any_pages(u64 *state, size_t *len)
{
	u64 from = fuzz_below(state, STAGE_SIZE / 4096) * 4096UL;

	*len = (1 + fuzz_below(state, 8)) * 4096UL;
	if (fuzz_one_in(state, 2))
		from = fuzz_below(state, STAGE_LIVE * STAGE_RING / 4096) * 4096UL;
	if (fuzz_one_in(state, 8)) {
		from = 0;
		*len = STAGE_SIZE;
	}
	if (*len > STAGE_SIZE - from)
		*len = STAGE_SIZE - from;
	return (void *)(STAGE_MEM + from);
}

int race_map_pages(struct stage *s, u64 *state)
{
	size_t len;
	u8 *p = any_pages(state, &len);

	if (fuzz_one_in(state, 2)) {
		p = (u8 *)STAGE_MEM;
		len = STAGE_SIZE;
	}
	return mmap(p, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, s->memfd,
		    p - (u8 *)STAGE_MEM) == MAP_FAILED ? -errno : 0;
}

int race_unmap_pages(struct stage *s, u64 *state)
{
	size_t len;
	void *p = any_pages(state, &len);

	return munmap(p, len) ? -errno : 0;
}

int race_protect_pages(struct stage *s, u64 *state)
{
	size_t len;
	void *p = any_pages(state, &len);

	return mprotect(p, len, fuzz_below(state, 4)) ? -errno : 0;
}

int race_move_pages(struct stage *s, u64 *state)
{
	size_t len, to_len;
	void *p = any_pages(state, &len), *to = any_pages(state, &to_len);

	if (len > to_len)
		len = to_len;
	return mremap(p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED ? -errno : 0;
}

int race_advise_pages(struct stage *s, u64 *state)
{
	static const int advice[] = { MADV_DONTNEED, MADV_REMOVE, MADV_WILLNEED, MADV_DONTFORK };
	size_t len;
	void *p = any_pages(state, &len);

	return madvise(p, len, advice[fuzz_below(state, 4)]) ? -errno : 0;
}

/* A live ring under the worker's eyes: what fuzz_ring does at leisure. */
int race_poke_ring(struct stage *s, u64 *state)
{
	u8 *ring = s->view + fuzz_below(state, STAGE_LIVE) * STAGE_RING;
	static const u16 at[] = { 0, STAGE_AVAIL, STAGE_USED };
	u32 i, n = 1 + fuzz_below(state, 8);
	u64 v = fuzz_u64(state);

	ring += at[fuzz_below(state, 3)] + fuzz_below(state, fuzz_one_in(state, 4) ? 256 : 16);
	for (i = 0; i < n; i++, v >>= 8)
		((volatile u8 *)ring)[i] = v;
	return 0;
}

/* Another process that shares the open files is not the owner. */
int race_from_another_process(struct stage *s, u64 *state)
{
	u32 i, n = 1 + fuzz_below(state, 4);
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		for (i = 0; i < n; i++) {
			if (fuzz_one_in(state, 3))
				call_set_owner(s, state);
			else
				call_set_running(s, state);
		}
		_exit(0);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		CHECK(errno == EINTR, "waitpid");
	return 0;
}

int race_yield(struct stage *s, u64 *state)
{
	u32 n = fuzz_below(state, 4);

	while (n--)
		sched_yield();
	return 0;
}
