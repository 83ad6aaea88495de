// SPDX-License-Identifier: GPL-2.0
/*
 * The device's side in userspace: ring/ over the tests' guest memory, and
 * a thread that serves it the way the module's worker does.
 *
 * in:  a driver's rings, eventfds
 * out: see udev.h
 */
#include "udev.h"

#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

/* As /dev/vkick-rng. */
#define RNG_MAX_BYTES	65536U

int vring_io_lookup(void *mem, u64 gpa, u32 len, const void **ptr, u32 *contig)
{
	struct gmem_region *r = gmem_find(mem, gpa);
	u64 left;

	if (!r)
		return -EFAULT;
	left = r->gpa + r->size - gpa;
	*ptr = r->hva + (gpa - r->gpa);
	*contig = left < len ? left : len;
	return 0;
}

void udev_init(struct udev *u, struct drv *d, u64 features)
{
	struct vring_config cfg = {
		.num = d->num,
		.features = features,
		.desc = d->desc,
		.avail = d->avail,
		.used = d->used,
		.mem = d->mem,
	};

	*u = (struct udev) {
		.mem = d->mem,
		.kick = -1,
		.call = -1,
		.serve = udev_serve_null,
	};
	CHECK(!vring_init(&u->vr, &cfg), "vring_init");
	CHECK(!vring_load(&u->vr, drv_base(d)), "vring_load");
}

u32 udev_serve_null(struct udev *u, const struct vring_chain *c)
{
	(void)u;
	(void)c;
	return 0;
}

u32 udev_serve_rng(struct udev *u, const struct vring_chain *c)
{
	u32 done = 0, i;

	(void)c;
	for (i = u->first_in; i < u->nr_iov && done < RNG_MAX_BYTES; i++) {
		size_t n = u->iov[i].iov_len;

		if (n > RNG_MAX_BYTES - done)
			n = RNG_MAX_BYTES - done;
		CHECK(getrandom(u->iov[i].iov_base, n, 0) == (ssize_t)n, "getrandom");
		done += n;
	}
	return done;
}

/* Step 5, which every device does, whatever it does then: fills iov[]. */
static void map(struct udev *u, const struct vring_chain *c)
{
	u32 i;

	u->nr_iov = 0;
	for (i = 0; i < (u32)c->nr_out + c->nr_in; i++) {
		u64 gpa = c->segs[i].gpa;
		u32 len = c->segs[i].len;

		if (i == c->nr_out)
			u->first_in = u->nr_iov;
		while (len) {
			const void *p;
			u32 n;

			CHECK(u->nr_iov < UDEV_MAX_SEGS, "a chain in too many pieces");
			CHECK(!vring_io_lookup(u->mem, gpa, len, &p, &n),
			      "buffer outside guest memory");
			u->iov[u->nr_iov].iov_base = (void *)p;
			u->iov[u->nr_iov++].iov_len = n;
			gpa += n;
			len -= n;
		}
	}
	if (!c->nr_in)
		u->first_in = u->nr_iov;
}

/* Publishes what is done, and calls if the driver wants it. */
static int publish(struct udev *u)
{
	int want = vring_flush(&u->vr);

	if (want < 0)
		return want;
	if (!want) {
		u->calls_suppressed++;
		return 0;
	}
	u->calls++;
	if (u->call >= 0)
		ev_signal(u->call);
	return 0;
}

/* One pass. Return: 1 if work is left, 0 if the ring is empty, -errno. */
static int pass(struct udev *u)
{
	struct vring_seg segs[UDEV_MAX_SEGS];
	struct vring_chain c = { .max_segs = UDEV_MAX_SEGS, .segs = segs };
	u32 n = 0, written;
	u64 bytes = 0;
	int err;

	u->passes++;
	for (;;) {
		err = vring_disable_notify(&u->vr);
		while (!err && n < UDEV_BUDGET && bytes < UDEV_BUDGET_BYTES) {
			err = vring_pop(&u->vr, &c);
			if (err <= 0)
				break;
			map(u, &c);
			written = u->serve(u, &c);
			err = vring_push(&u->vr, c.token, written);
			bytes += written;
			n++;
			u->requests++;
		}
		if (err < 0)
			return err;
		if (n) {
			err = publish(u);
			if (err)
				return err;
		}
		if (n >= UDEV_BUDGET || bytes >= UDEV_BUDGET_BYTES) {
			u->budget_exhausted++;
			return 1;
		}
		err = vring_enable_notify(&u->vr);
		if (err <= 0)
			return err;
		u->rechecks++;
	}
}

static void *udev_main(void *arg)
{
	struct udev *u = arg;
	int more = 1;	/* what was there before the start counts as kicked for */

	while (!atomic_load(&u->stop)) {
		if (u->sleep && !more) {
			u64 n;

			CHECK(read(u->kick, &n, sizeof(n)) == sizeof(n), "kick");
			u->kicks += n;
		}
		more = pass(u);
		if (more < 0) {
			u->error = more;
			break;
		}
	}
	return NULL;
}

void udev_start(struct udev *u)
{
	CHECK(!pthread_create(&u->thread, NULL, udev_main, u), "pthread_create");
	pthread_setname_np(u->thread, UDEV_THREAD);
}

void udev_stop(struct udev *u)
{
	atomic_store(&u->stop, true);
	if (u->sleep)
		ev_signal(u->kick);
	pthread_join(u->thread, NULL);
}
