// SPDX-License-Identifier: GPL-2.0
/*
 * A datapath without any thread: see fakedp.h.
 *
 * in:  the calls of datapath_ops
 * out: an abort, where the device model does not keep to their rules
 */
#include "fakedp.h"

#include "machine.h"

/**
 * struct fake - a datapath that serves nothing, and minds the rules of datapath.h
 * @served: queues that it would serve, a bit each
 * @stalls: a stop takes until @let_go; it says so with @stalled
 */
struct fake {
	struct datapath dp;
	bool runs;
	u64 served;
	u32 starts;
	bool stalls;
	sem_t stalled, let_go;
};

static struct fake *fake_of(struct datapath *dp)
{
	return container_of(dp, struct fake, dp);
}

static struct datapath *fake_open(struct virtio_dev *dev, char *why)
{
	static struct fake fakes[MACHINE_MAX_DEVICES];
	static unsigned int nr_fakes;
	struct fake *f = &fakes[nr_fakes++];

	(void)why;
	sem_init(&f->stalled, 0, 0);
	sem_init(&f->let_go, 0, 0);
	f->dp = (struct datapath) {
		.ops = &fakedp_ops, .dev = dev, .features = ~0UL, .max_queue_size = 1024,
	};
	return &f->dp;
}

/* Refuses what the real ones refuse. */
static int fake_start_queue(struct datapath *dp, unsigned int i)
{
	struct datapath_queue *r = &dp->dev->ring[i];
	struct fake *f = fake_of(dp);
	struct vring_dev ring;
	int err = datapath_load_ring(dp->dev, r, &ring);

	CHECK(r->enabled && !(f->served & 1ULL << i), "%s: queue %u is started", dp->dev->name, i);
	CHECK(err || vring_save(&ring) == r->state, "%s: queue %u: state", dp->dev->name, i);
	if (!err)
		f->served |= 1ULL << i;
	return err;
}

static int fake_start(struct datapath *dp)
{
	struct fake *f = fake_of(dp);
	unsigned int i;
	int err = 0;

	CHECK(!f->runs && !f->served, "%s: started twice", dp->dev->name);
	for (i = 0; i < dp->dev->nr_queues && !err; i++)
		if (datapath_serves(dp->dev, i))
			err = fake_start_queue(dp, i);
	if (err) {
		f->served = 0;
		return err;
	}
	f->runs = true;
	f->starts++;
	return 0;
}

static void stall(struct fake *f)
{
	if (!f->stalls)
		return;
	sem_post(&f->stalled);
	thread_await(&f->let_go);
	f->stalls = false;
}

static void fake_stop(struct datapath *dp)
{
	CHECK(fake_of(dp)->runs, "%s: stopped, and did not run", dp->dev->name);
	stall(fake_of(dp));
	fake_of(dp)->runs = false;
	fake_of(dp)->served = 0;
}

static void fake_stop_queue(struct datapath *dp, unsigned int i)
{
	CHECK(fake_of(dp)->served & 1ULL << i, "%s: queue %u is stopped, and did not run", dp->dev->name, i);
	stall(fake_of(dp));
	fake_of(dp)->served &= ~(1ULL << i);
}

static void fake_stats(struct datapath *dp, unsigned int i, struct datapath_stats *s)
{
	(void)dp, (void)i;
	*s = (struct datapath_stats) { 0 };
}

static void fake_config_changed(struct datapath *dp)
{
	(void)dp;
}

const struct datapath_ops fakedp_ops = {
	.name = "fake",
	.open = fake_open,
	.start = fake_start,
	.stop = fake_stop,
	.start_queue = fake_start_queue,
	.stop_queue = fake_stop_queue,
	.stats = fake_stats,
	.config_changed = fake_config_changed,
};

bool fakedp_runs(struct datapath *dp)
{
	return fake_of(dp)->runs;
}

u32 fakedp_starts(struct datapath *dp)
{
	return fake_of(dp)->starts;
}

u64 fakedp_served(struct datapath *dp)
{
	return fake_of(dp)->served;
}

void fakedp_stall(struct datapath *dp)
{
	fake_of(dp)->stalls = true;
}

void fakedp_await_stall(struct datapath *dp)
{
	thread_await(&fake_of(dp)->stalled);
}

void fakedp_let_go(struct datapath *dp)
{
	sem_post(&fake_of(dp)->let_go);
}
