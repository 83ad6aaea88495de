// SPDX-License-Identifier: GPL-2.0
/*
 * A device with guest memory, a driver and eventfds on each of its queues.
 *
 * in:  a class, features, a queue size
 * out: see rig.h
 */
#include "rig.h"
#include <endian.h>
#include <unistd.h>

void rig_lay_out(struct rig *r, const struct rig_conf *conf)
{
	u32 i;

	*r = (struct rig) { .fd = -1, .features = conf->features | F_VERSION_1 };
	gmem_add_standard(&r->mem);
	for (i = 0; i < RIG_MAX_QUEUES; i++)
		r->q[i] = (struct vq) { .index = i, -1, -1, -1 };

	/* Two are as many as any class with no set-up of its own has. */
	for (i = 0; i < 2; i++) {
		drv_init(&r->q[i].drv, &r->mem, conf->num ?: 64, conf->features,
			 conf->layout, conf->max_segs ?: 8);
		drv_start_at(&r->q[i].drv, conf->start_at);
		r->q[i].kick = ev_new();
		r->q[i].call = ev_new();
		r->q[i].err = ev_new();
	}
}

void rig_configure(struct rig *r)
{
	u32 i;

	vdev_set_owner(r->fd);
	vdev_set_features(r->fd, r->features);
	vdev_set_mem(r->fd, &r->mem);
	for (i = 0; i < r->nvqs; i++) {
		vdev_set_ring(r->fd, i, &r->q[i].drv);
		vdev_set_base(r->fd, i, drv_base(&r->q[i].drv));
	}
}

void rig_attach_fd(struct rig *r)
{
	u32 i;

	r->nvqs = vdev_get_info(r->fd).nvqs;
	CHECK(r->nvqs <= 2, "%u queues", r->nvqs);
	rig_configure(r);
	for (i = 0; i < r->nvqs; i++) {
		vdev_set_kick(r->fd, i, r->q[i].kick);
		vdev_set_call(r->fd, i, r->q[i].call);
		vdev_set_err(r->fd, i, r->q[i].err);
	}
}

void rig_attach(struct rig *r, const char *class)
{
	r->fd = vdev_open(class);
	rig_attach_fd(r);
}

void rig_open(struct rig *r, const struct rig_conf *conf)
{
	rig_lay_out(r, conf);
	rig_attach(r, conf->class);
}

void rig_start(struct rig *r)
{
	vdev_start(r->fd, VKICK_ALL_QUEUES);
}

void rig_stop(struct rig *r)
{
	vdev_stop(r->fd, VKICK_ALL_QUEUES);
}

void rig_close(struct rig *r)
{
	u32 i;

	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	for (i = 0; i < RIG_MAX_QUEUES; i++) {
		struct vq *q = &r->q[i];

		if (q->kick < 0)
			continue;
		close(q->kick);
		close(q->call);
		close(q->err);
		drv_free(&q->drv);
	}
	gmem_free(&r->mem);
}

int rig_submit(struct vq *q, const struct drv_seg *segs, u32 nr)
{
	int head = drv_add(&q->drv, segs, nr);

	CHECK(head >= 0, "queue %u is full", q->index);
	drv_kick(&q->drv, q->kick);
	return head;
}

int rig_complete(struct vq *q, u32 *len)
{
	CHECK(drv_wait(&q->drv, q->call, DEADLINE_MS),
	      "queue %u: %s", q->index, drv_has_used(&q->drv) ?
	      "a used element and no call" : "no used element");
	return drv_get(&q->drv, len);
}

u32 rig_round_trip(struct vq *q, const struct drv_seg *segs, u32 nr)
{
	int head = rig_submit(q, segs, nr), got;
	u32 len;

	got = rig_complete(q, &len);
	CHECK(got == head, "gave %d, got %d back", head, got);
	return len;
}

void rig_ping(struct vq *q)
{
	struct drv_seg s = { GMEM_FAR, 16, true };

	rig_round_trip(q, &s, 1);
}

u32 rig_wait_broken(struct rig *r, struct vq *q)
{
	struct vkick_stats stats;

	CHECK(ev_wait(q->err, DEADLINE_MS), "queue %u did not break", q->index);
	stats = vdev_get_stats(r->fd, q->index);
	CHECK(!stats.running, "queue %u broke and runs", q->index);
	return stats.error;
}

void rig_make_self_refilling(struct rig *r, u32 index, u32 ahead)
{
	struct drv *d = &r->q[index].drv;

	drv_set_desc(&d->desc[0], GMEM_HIGH, 16, VRING_DESC_F_WRITE, 0);
	d->used->idx = htole16(ahead);
	CHECK(!__vdev_set_addr(r->fd, index, d->desc, d->used, d->used),
	      "SET_VRING_ADDR");
}
