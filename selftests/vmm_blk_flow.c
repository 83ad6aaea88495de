// SPDX-License-Identifier: GPL-2.0
/*
 * The user datapath of disks, natively: many requests at once, slow backends, stops.
 *
 * in:  vmm/blk_*.c over guest memory of this process; a file or a pipe as the disk
 * out: each request completes once, when it is done and not before, whatever else happens
 *
 * A pipe makes a backend that is as slow as the test wants: io_uring does not mind that
 * it has no positions, and nor does a disk that is read in one go.
 */
#include "lib/vdisk.h"

#include "kselftest_harness.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* ---- A load of requests in flight on each queue ------------------------------------------- */

#define DEPTH		32
#define SLOT_SECTORS	24
#define SLOT_BYTES	(SLOT_SECTORS * BLK_SECTOR_BYTES)

/**
 * struct slot - a request in flight, and the part of the disk that it has for itself
 * @head: its name while it is in flight, else -1
 * @fill: what each sector is filled with
 */
struct slot {
	int head;
	u32 type;
	u32 first, sectors;
	u8 byte;
	u64 hdr, data, status;
	u8 fill[SLOT_SECTORS];
};

/**
 * struct load - what runs on a disk
 * @odd: data lie at odd addresses
 * @left: requests to begin yet, on each queue
 */
struct load {
	struct vdisk v;
	int fd;
	bool odd;
	u64 seed;
	u32 left[VDISK_MAX_QUEUES];
	u64 done;
	struct slot slots[VDISK_MAX_QUEUES][DEPTH];
};

static struct load load;	/* of the one test in this process */

static u32 below(u32 n)
{
	return prng(&load.seed) % n;
}

static void load_init(u32 nr_queues, u32 iothreads, u64 features, int flags, bool odd,
		      bool in_memory)
{
	char path[64];
	u32 q, i;

	snprintf(path, sizeof(path), "%s/vkick-disk-XXXXXX", getenv("TMPDIR") ?: "/tmp");
	if (in_memory) {
		load.fd = memfd_create("disk", MFD_CLOEXEC);
	} else {
		close(mkstemp(path));
		load.fd = open(path, O_RDWR | O_CLOEXEC | flags);
		unlink(path);
	}
	if (load.fd < 0)
		return;
	CHECK(!ftruncate(load.fd, 4 * DEPTH * SLOT_BYTES), "ftruncate");
	vdisk_init(&load.v, load.fd, 4 * DEPTH * SLOT_BYTES, features, nr_queues);
	load.v.disk.direct = flags & O_DIRECT;
	load.v.disk.iothreads = iothreads;
	load.odd = odd;
	load.seed = 1;
	for (q = 0; q < nr_queues; q++) {
		for (i = 0; i < DEPTH; i++) {
			struct slot *s = &load.slots[q][i];

			s->head = -1;
			s->hdr = vdisk_alloc(&load.v, 16, 1);
			s->status = vdisk_alloc(&load.v, 1, 1);
			s->data = vdisk_alloc(&load.v, SLOT_BYTES + 512, 512) + odd;
		}
	}
}

static void load_free(void)
{
	vdisk_free(&load.v);
	close(load.fd);
}

static void begin(u32 q, struct slot *s)
{
	static const u32 types[] = {
		VIRTIO_BLK_T_IN, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
		VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_WRITE_ZEROES,
	};
	u32 slot = q * DEPTH + (s - load.slots[q]), bytes, cut, nr = 1;
	struct virtio_blk_discard_write_zeroes range;
	struct drv_seg segs[4] = { { s->hdr, 16, false } };
	struct gmem *mem = &load.v.m.mem;
	bool in;

	s->type = types[below(ARRAY_SIZE(types))];
	s->first = below(SLOT_SECTORS);
	s->sectors = 1 + below(SLOT_SECTORS - s->first);
	s->byte = below(256);
	in = s->type == VIRTIO_BLK_T_IN;
	bytes = s->sectors * BLK_SECTOR_BYTES;
	vdisk_set_hdr(&load.v, s->hdr, s->type, slot * SLOT_SECTORS + s->first);
	gmem_fill(mem, s->status, VDISK_LOST, 1);
	if (s->type == VIRTIO_BLK_T_OUT || in)
		gmem_fill(mem, s->data, in ? 0xcc : s->byte, bytes);
	if (s->type == VIRTIO_BLK_T_FLUSH)
		bytes = 0;
	if (s->type == VIRTIO_BLK_T_WRITE_ZEROES) {
		range = (struct virtio_blk_discard_write_zeroes) {
			.sector = htole64(slot * SLOT_SECTORS + s->first),
			.num_sectors = htole32(s->sectors),
			.flags = htole32(below(2)),
		};
		memcpy(gmem_ptr(mem, s->data, 16), &range, 16);
		bytes = 16;
		s->byte = 0;
	}
	/* One piece, which is in a registered buffer, or two. */
	cut = bytes > 512 && below(2) ? 512 : bytes;
	if (bytes)
		segs[nr++] = (struct drv_seg) { s->data, cut, in };
	if (cut < bytes)
		segs[nr++] = (struct drv_seg) { s->data + cut, bytes - cut, in };
	segs[nr++] = (struct drv_seg) { s->status, 1, true };
	s->head = vdisk_submit(&load.v, q, segs, nr);
	load.left[q]--;
}

static void end(struct slot *s)
{
	u8 *status = gmem_ptr(&load.v.m.mem, s->status, 1);
	u8 *data = gmem_ptr(&load.v.m.mem, s->data, SLOT_BYTES);
	u32 i;

	CHECK(*status == VIRTIO_BLK_S_OK, "type %u: status %u", s->type, *status);
	if (s->type == VIRTIO_BLK_T_OUT || s->type == VIRTIO_BLK_T_WRITE_ZEROES)
		memset(s->fill + s->first, s->byte, s->sectors);
	for (i = 0; s->type == VIRTIO_BLK_T_IN && i < s->sectors * BLK_SECTOR_BYTES; i++)
		CHECK(data[i] == s->fill[s->first + i / BLK_SECTOR_BYTES],
		      "byte %u of a read is %02x, not %02x", i, data[i],
		      s->fill[s->first + i / BLK_SECTOR_BYTES]);
	s->head = -1;
	load.done++;
}

/* Takes what is completed. Return: whether anything was. */
static bool reap(u32 q)
{
	bool any = false;
	int head;
	u32 i;

	while ((head = drv_get(&load.v.drv[q], NULL)) >= 0) {
		for (i = 0; i < DEPTH && load.slots[q][i].head != head; i++)
			;
		CHECK(i < DEPTH, "%d is not in flight", head);
		end(&load.slots[q][i]);
		any = true;
	}
	return any;
}

static void fill(u32 q)
{
	u32 i;

	for (i = 0; i < DEPTH && load.left[q]; i++)
		if (load.slots[q][i].head < 0)
			begin(q, &load.slots[q][i]);
}

/* @n more requests on each queue, DEPTH at a time; leaves some in flight if @leave. */
static void load_run(u32 n, bool leave)
{
	u32 nr = load.v.dev.nr_queues, q;

	for (q = 0; q < nr; q++)
		load.left[q] = n;
	for (q = 0; q < nr; q++) {
		while (load.left[q]) {
			fill(q);
			if (load.left[q] && !reap(q))
				CHECK(drv_wait(&load.v.drv[q], load.v.dev.ring[q].call_fd,
					       DEADLINE_MS), "queue %u: nothing comes", q);
		}
	}
	for (q = 0; q < nr && !leave; q++)
		while (drv_in_flight(&load.v.drv[q]))
			if (!reap(q))
				CHECK(drv_wait(&load.v.drv[q], load.v.dev.ring[q].call_fd,
					       DEADLINE_MS), "queue %u: nothing comes", q);
}

FIXTURE(load) { };

FIXTURE_VARIANT(load)
{
	u32 nr_queues, iothreads, poll_us;
	u64 features;
	int flags;
	bool odd, in_memory;
};

FIXTURE_VARIANT_ADD(load, split) { .nr_queues = 1, .iothreads = 1 };
FIXTURE_VARIANT_ADD(load, event_idx) {
	.nr_queues = 4, .iothreads = 4, .features = F_EVENT_IDX
};
FIXTURE_VARIANT_ADD(load, packed_shared) {
	.nr_queues = 4, .iothreads = 2, .features = F_EVENT_IDX | F_PACKED
};
FIXTURE_VARIANT_ADD(load, polling) {
	.nr_queues = 3, .iothreads = 2, .poll_us = 200, .features = F_EVENT_IDX
};
FIXTURE_VARIANT_ADD(load, polling_packed) {
	.nr_queues = 1, .iothreads = 1, .poll_us = 1000, .features = F_PACKED
};
FIXTURE_VARIANT_ADD(load, in_memory) {
	.nr_queues = 2, .iothreads = 1, .features = F_PACKED, .in_memory = true
};
FIXTURE_VARIANT_ADD(load, direct) { .nr_queues = 2, .iothreads = 2, .flags = O_DIRECT };
/* More that bounce than there are chunks to bounce through. */
FIXTURE_VARIANT_ADD(load, direct_odd) {
	.nr_queues = 2, .iothreads = 1, .flags = O_DIRECT, .odd = true
};

FIXTURE_SETUP(load)
{
	load_init(variant->nr_queues, variant->iothreads, variant->features, variant->flags,
		  variant->odd, variant->in_memory);
	if (load.fd < 0)
		SKIP(return, "no O_DIRECT");
	load.v.disk.poll_us = variant->poll_us;
}

FIXTURE_TEARDOWN(load)
{
	EXPECT_TRUE(gmem_canaries_ok(&load.v.m.mem));
	load_free();
}

TEST_F(load, each_request_completes_once_with_its_data)
{
	vdisk_start(&load.v);
	load_run(1000, false);
	EXPECT_EQ(1000 * variant->nr_queues, load.done);
}

TEST_F(load, stops_and_starts_lose_nothing)
{
	u32 round, q;

	for (round = 0; round < 40; round++) {
		vdisk_start(&load.v);
		load_run(10 + below(60), true);
		vdisk_stop(&load.v);
		for (q = 0; q < variant->nr_queues; q++) {
			/* What was taken is completed; what was not waits for the next. */
			ASSERT_EQ(drv_device_base(&load.v.drv[q]), load.v.dev.ring[q].state);
			/* And no more comes. */
			reap(q);
		}
	}
	vdisk_start(&load.v);
	load_run(0, false);
}

TEST_F(load, guest_memory_that_cannot_be_registered_will_do)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { };
	struct rlimit little = { .rlim_cur = MIB, .rlim_max = MIB };	/* newer kernels count rings, too */

	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &little));
	ASSERT_EQ(0, syscall(SYS_capset, &hdr, none));
	vdisk_start(&load.v);
	load_run(300, false);
}

TEST_F(load, a_hundred_starts_leave_nothing_behind)
{
	u64 deadline;
	int fds = 0, threads = 0;
	u32 i;

	for (i = 0; i < 100; i++) {
		vdisk_start(&load.v);
		load_run(1, false);
		vdisk_stop(&load.v);
		if (i)
			continue;
		fds = proc_count("/proc/self/fd");
		threads = proc_count("/proc/self/task");
	}
	EXPECT_EQ(fds, proc_count("/proc/self/fd"));
	/* A worker of io_uring's may outlive its ring by a moment. */
	deadline = now_ns() + DEADLINE_MS * 1000000ULL;
	while (proc_count("/proc/self/task") > threads) {
		ASSERT_GT(deadline, now_ns());
	}
}

/* As a switch does whose other datapath does not start: nothing is released between the two. */
TEST_F(load, goes_on_after_a_stop_without_a_release)
{
	struct datapath *dp;
	u32 i;

	vdisk_start(&load.v);
	dp = load.v.dev.datapath;
	for (i = 0; i < 5; i++) {
		load_run(50, false);
		dp->ops->stop(dp);
		ASSERT_EQ(0, dp->ops->start(dp));
	}
	load_run(50, false);
}

/* ---- A slow backend ------------------------------------------------------------------------ */

FIXTURE(slow)
{
	struct vdisk v;
	int pipe[2];
	u64 gpa;
};

FIXTURE_SETUP(slow)
{
	ASSERT_EQ(0, pipe2(self->pipe, O_CLOEXEC));
	ASSERT_EQ(4096, fcntl(self->pipe[0], F_SETPIPE_SZ, 4096));
	vdisk_init(&self->v, self->pipe[0], MIB, F_EVENT_IDX, 2);
	self->v.disk.iothreads = 1;
	self->gpa = vdisk_alloc(&self->v, 64 * KIB, 4096);
}

FIXTURE_TEARDOWN(slow)
{
	if (self->pipe[1] >= 0)
		close(self->pipe[1]);
	vdisk_free(&self->v);
	close(self->pipe[0]);
}

/* A read or write on queue 0 that is left in flight. */
static void submit_rw(struct vdisk *v, u32 type, u64 gpa, u32 len)
{
	u64 hdr = vdisk_alloc(v, 16, 1);
	struct drv_seg segs[] = {
		{ hdr, 16, false }, { gpa, len, type == VIRTIO_BLK_T_IN },
		{ v->status, 1, true },
	};

	gmem_fill(&v->m.mem, v->status, VDISK_LOST, 1);
	vdisk_set_hdr(v, hdr, type, 0);
	vdisk_submit(v, 0, segs, 3);
}

static u8 status_of(struct vdisk *v)
{
	return *(volatile u8 *)gmem_ptr(&v->m.mem, v->status, 1);
}

/* Data into the pipe, or out of it. */
static void feed(int fd, u8 byte, u32 len)
{
	u8 buf[4096];

	memset(buf, byte, len);
	CHECK(write(fd, buf, len) == len, "feed");
}

TEST_F(slow, short_reads_are_gone_on_from)
{
	struct vdisk *v = &self->v;
	u8 got[1024];
	u32 i;

	vdisk_start(v);
	submit_rw(v, VIRTIO_BLK_T_IN, self->gpa, 1024);
	for (i = 0; i < 3; i++) {
		feed(self->pipe[1], i, 300);
		EXPECT_FALSE(ev_wait(v->dev.ring[0].call_fd, QUIET_MS));
		EXPECT_FALSE(drv_has_used(&v->drv[0]));
	}
	feed(self->pipe[1], i, 124);
	ASSERT_LE(0, vdisk_wait(v, 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, status_of(v));
	EXPECT_EQ(1025, v->used_len);
	gmem_read(&v->m.mem, got, self->gpa, sizeof(got));
	for (i = 0; i < sizeof(got); i++)
		ASSERT_EQ(i / 300, got[i]);
}

TEST_F(slow, short_writes_are_gone_on_from)
{
	struct vdisk *v = &self->v;
	u32 len = 64 * KIB, done = 0;
	u8 got[4096];

	v->disk.fd = self->pipe[1];
	gmem_fill(&v->m.mem, self->gpa, 0x3c, len);
	vdisk_start(v);
	submit_rw(v, VIRTIO_BLK_T_OUT, self->gpa, len);
	while (done < len) {
		ssize_t n = read(self->pipe[0], got, 1000);
		ssize_t i;

		ASSERT_LT(0, n);
		for (i = 0; i < n; i++)
			ASSERT_EQ(0x3c, got[i]);
		done += n;
	}
	ASSERT_LE(0, vdisk_wait(v, 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, status_of(v));
}

TEST_F(slow, end_of_file_in_the_middle_is_one_error)
{
	struct vdisk *v = &self->v;

	vdisk_start(v);
	submit_rw(v, VIRTIO_BLK_T_IN, self->gpa, 1024);
	feed(self->pipe[1], 1, 512);
	close(self->pipe[1]);
	self->pipe[1] = -1;
	ASSERT_LE(0, vdisk_wait(v, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, status_of(v));
	EXPECT_EQ(0, v->used_len);
	EXPECT_FALSE(drv_has_used(&v->drv[0]));
	EXPECT_EQ(0, drv_in_flight(&v->drv[0]));
}

TEST_F(slow, error_of_the_backend_is_one_error)
{
	struct vdisk *v = &self->v;

	signal(SIGPIPE, SIG_IGN);
	v->disk.fd = self->pipe[1];
	close(self->pipe[0]);
	vdisk_start(v);
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, vdisk_do1(v, VIRTIO_BLK_T_OUT, 0, self->gpa, 512));
	/* A flush is the backend's to say, as well. */
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, vdisk_do1(v, VIRTIO_BLK_T_FLUSH, 0, 0, 0));
	EXPECT_FALSE(drv_has_used(&v->drv[0]));
}

TEST_F(slow, no_space_is_an_error)
{
	struct vdisk *v = &self->v;
	int full = open("/dev/full", O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, full);
	v->disk.fd = full;
	vdisk_start(v);
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, vdisk_do1(v, VIRTIO_BLK_T_OUT, 0, self->gpa, 512));
	EXPECT_EQ(VIRTIO_BLK_S_OK, vdisk_do1(v, VIRTIO_BLK_T_IN, 0, self->gpa, 512));
	vdisk_stop(v);
	close(full);
}

TEST_F(slow, slow_request_holds_up_nothing)
{
	struct vdisk *v = &self->v;
	u64 hdr = vdisk_alloc(v, 16, 1), status = vdisk_alloc(v, 1, 1);
	struct drv_seg segs[] = { { hdr, 16, false }, { status, 1, true } };
	u32 i;

	vdisk_start(v);
	submit_rw(v, VIRTIO_BLK_T_IN, self->gpa, 512);
	vdisk_set_hdr(v, hdr, VIRTIO_BLK_T_GET_ID, 0);
	for (i = 0; i < 100; i++) {
		int head = vdisk_submit(v, i & 1, segs, 2);

		ASSERT_EQ(head, vdisk_wait(v, i & 1));
		ASSERT_EQ(VIRTIO_BLK_S_OK, *(u8 *)gmem_ptr(&v->m.mem, status, 1));
	}
	EXPECT_EQ(VDISK_LOST, status_of(v));
	feed(self->pipe[1], 1, 512);
	ASSERT_LE(0, vdisk_wait(v, 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, status_of(v));
}

static void *stop_it(void *arg)
{
	vdisk_stop(arg);
	return NULL;
}

TEST_F(slow, stop_waits_for_what_is_in_flight)
{
	struct vdisk *v = &self->v;
	pthread_t thread;
	struct gmem_shot shot;
	void *ret;

	vdisk_start(v);
	submit_rw(v, VIRTIO_BLK_T_IN, self->gpa, 1024);
	feed(self->pipe[1], 1, 512);	/* it is there, once this is taken */
	while (*(volatile u8 *)gmem_ptr(&v->m.mem, self->gpa, 1) != 1)
		;
	ASSERT_EQ(0, pthread_create(&thread, NULL, stop_it, v));
	EXPECT_FALSE(ev_wait(v->dev.ring[0].call_fd, QUIET_MS));
	EXPECT_NE(0, pthread_tryjoin_np(thread, &ret));
	EXPECT_EQ(VDISK_LOST, status_of(v));
	feed(self->pipe[1], 1, 512);
	ASSERT_EQ(0, pthread_join(thread, NULL));

	/* It is complete, and now nothing more is touched. */
	EXPECT_EQ(VIRTIO_BLK_S_OK, status_of(v));
	EXPECT_EQ(drv_base(&v->drv[0]), v->dev.ring[0].state);
	shot = gmem_shoot(&v->m.mem, GMEM_LOW, GMEM_LOW_SIZE);
	feed(self->pipe[1], 7, 512);
	ev_signal(v->dev.ring[0].kick_fd);
	ev_take(v->dev.ring[0].call_fd);
	EXPECT_FALSE(ev_wait(v->dev.ring[0].call_fd, QUIET_MS));
	EXPECT_TRUE(gmem_same(&v->m.mem, &shot));
	gmem_shot_free(&shot);
	ASSERT_LE(0, drv_get(&v->drv[0], NULL));
}

/* ---- Kicks and calls ------------------------------------------------------------------------ */

static void stats(struct vdisk *v, struct datapath_stats *s)
{
	v->dev.datapath->ops->stats(v->dev.datapath, 0, s);
}

TEST_F(slow, one_call_for_a_batch)
{
	struct drv_seg segs[] = { { self->v.hdr, 16, false }, { self->v.status, 1, true } };
	struct vdisk *v = &self->v;
	struct datapath_stats s;
	u32 i;

	vdisk_set_hdr(v, v->hdr, VIRTIO_BLK_T_GET_ID, 0);
	for (i = 0; i < 32; i++)
		ASSERT_LE(0, drv_add(&v->drv[0], segs, 2));
	drv_publish(&v->drv[0]);
	vdisk_start(v);		/* with no kick */
	for (i = 0; i < 32; i++)
		ASSERT_LE(0, vdisk_wait(v, 0));
	vdisk_stop(v);
	stats(v, &s);
	EXPECT_EQ(32, s.requests);
	EXPECT_EQ(1, s.calls);
	EXPECT_EQ(0, s.kicks);
}

/* While it polls it wants no kicks; when it is tired of that, it does again. */
TEST_F(slow, polling_spares_kicks_and_loses_none)
{
	struct drv_seg segs[] = { { self->v.hdr, 16, false }, { self->v.status, 1, true } };
	struct vdisk *v = &self->v;
	struct datapath_stats s;
	u32 i;

	v->disk.poll_us = 1000000;
	vdisk_start(v);
	for (i = 0; i < 500; i++)
		ASSERT_EQ(VIRTIO_BLK_S_OK, vdisk_do1(v, VIRTIO_BLK_T_GET_ID, 0, self->gpa, 20));
	stats(v, &s);
	EXPECT_EQ(500, s.requests);
	EXPECT_GT(250, s.kicks);
	vdisk_stop(v);

	/* Windows that close, and open, around the pace of this driver, which spins. */
	for (v->disk.poll_us = 1; v->disk.poll_us < 256; v->disk.poll_us *= 2) {
		vdisk_start(v);
		for (i = 0; i < 200; i++) {
			drv_disable_call(&v->drv[0]);
			vdisk_submit(v, 0, segs, 2);
			ASSERT_TRUE(drv_wait(&v->drv[0], -1, DEADLINE_MS));
			ASSERT_LE(0, drv_get(&v->drv[0], NULL));
		}
		vdisk_stop(v);
	}
}

TEST_HARNESS_MAIN
