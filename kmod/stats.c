// SPDX-License-Identifier: GPL-2.0
/*
 * Counters, seen from outside: VKICK_GET_STATS, and debugfs for people.
 *
 * in:  struct vk_stats of each queue
 * out: struct vkick_stats; /sys/kernel/debug/vkick/<class>-<id>
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "vkick.h"

static struct dentry *vk_stats_root;

/**
 * vk_stats_get() - a consistent copy of a queue's counters
 * @q: queue
 * @s: all but @size and @index is filled in
 *
 * Return: 0 or -EINTR.
 */
int vk_stats_get(struct vk_queue *q, struct vkick_stats *s)
{
	const struct vk_stats *from = &q->stats;

	if (mutex_lock_killable(&q->lock))
		return -EINTR;
	s->running = q->state == VK_RUNNING;
	s->error = -q->error;
	s->kicks = READ_ONCE(from->kicks);
	s->passes = from->passes;
	s->requests = from->requests;
	s->bytes_in = from->bytes_in;
	s->bytes_out = from->bytes_out;
	s->calls = from->calls;
	s->calls_suppressed = from->calls_suppressed;
	s->rechecks = from->rechecks;
	s->budget_exhausted = from->budget_exhausted;
	static_assert(sizeof(s->kick_to_used_ns) == sizeof(from->kick_to_used_ns));
	memcpy(s->kick_to_used_ns, from->kick_to_used_ns, sizeof(s->kick_to_used_ns));
	s->poll_hits = from->poll_hits;
	s->poll_misses = from->poll_misses;
	s->poll_window_ns = q->poll.window_ns;
	s->in_flight = q->in_flight;
	s->dropped = from->dropped;
	static_assert(sizeof(s->pop_to_used_ns) == sizeof(q->latency.count));
	memcpy(s->pop_to_used_ns, q->latency.count, sizeof(s->pop_to_used_ns));
	s->calls_held = from->calls_held;
	s->calls_in_vain = from->calls_in_vain;
	s->wakeup_ns = q->poll.wakeup_ns;
	mutex_unlock(&q->lock);
	return 0;
}

static void vk_stats_show_queue(struct seq_file *m, const struct vkick_stats *s)
{
	int i;

	seq_printf(m, "queue %u: %s, error %u\n", s->index,
		   s->running ? "running" : "stopped", s->error);
	seq_printf(m, "  kicks %llu passes %llu requests %llu bytes_in %llu bytes_out %llu\n",
		   s->kicks, s->passes, s->requests, s->bytes_in, s->bytes_out);
	seq_printf(m, "  calls %llu calls_suppressed %llu calls_held %llu calls_in_vain %llu\n",
		   s->calls, s->calls_suppressed, s->calls_held, s->calls_in_vain);
	seq_printf(m, "  rechecks %llu budget_exhausted %llu\n", s->rechecks,
		   s->budget_exhausted);
	seq_printf(m, "  poll_hits %llu poll_misses %llu poll_window_ns %llu wakeup_ns %llu\n",
		   s->poll_hits, s->poll_misses, s->poll_window_ns, s->wakeup_ns);
	seq_printf(m, "  in_flight %llu dropped %llu\n", s->in_flight, s->dropped);
	for (i = 0; i < VKICK_HIST_BUCKETS; i++)
		if (s->kick_to_used_ns[i])
			seq_printf(m, "  kick_to_used >= %llu ns: %llu\n",
				   i ? 1ULL << i : 0, s->kick_to_used_ns[i]);
	for (i = 0; i < VKICK_LATENCY_BUCKETS; i++)
		if (s->pop_to_used_ns[i])
			seq_printf(m, "  pop_to_used >= %llu ns: %llu\n",
				   vkick_latency_from_ns(i), s->pop_to_used_ns[i]);
}

static int vk_stats_show(struct seq_file *m, void *unused)
{
	struct vk_dev *dev = m->private;
	u32 i;

	seq_printf(m, "class %s, owner %d\n", dev->class->name,
		   READ_ONCE(dev->owner_pid));
	for (i = 0; i < dev->class->nvqs; i++) {
		struct vkick_stats s = { .index = i };

		if (vk_stats_get(&dev->vqs[i], &s))
			return -EINTR;
		vk_stats_show_queue(m, &s);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vk_stats);

/* debugfs is a convenience: its failures are not ours. */
void vk_stats_add_dev(struct vk_dev *dev)
{
	char name[32];

	snprintf(name, sizeof(name), "%s-%d", dev->class->name, dev->id);
	dev->debugfs = debugfs_create_file(name, 0400, vk_stats_root, dev,
					   &vk_stats_fops);
}

/* Waits for readers; must not be called with a queue->lock held. */
void vk_stats_remove_dev(struct vk_dev *dev)
{
	debugfs_remove(dev->debugfs);
}

void vk_stats_init(void)
{
	vk_stats_root = debugfs_create_dir("vkick", NULL);
}

void vk_stats_exit(void)
{
	debugfs_remove(vk_stats_root);
}
