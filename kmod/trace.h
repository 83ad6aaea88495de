/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A tracepoint per step of a request. "dev" is the number in debugfs.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vkick

#if !defined(VK_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VK_TRACE_H

#include <linux/tracepoint.h>

#include "vkick.h"

DECLARE_EVENT_CLASS(vkick_queue,
	TP_PROTO(struct vk_queue *q),
	TP_ARGS(q),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(u32, queue)
	),
	TP_fast_assign(
		__entry->dev = q->dev->id;
		__entry->queue = q->index;
	),
	TP_printk("dev=%d queue=%u", __entry->dev, __entry->queue)
);

/* Step 2: the kick eventfd was signalled. Context: atomic. */
DEFINE_EVENT(vkick_queue, vkick_kick,
	TP_PROTO(struct vk_queue *q),
	TP_ARGS(q)
);

/* Step 3: the worker begins a pass. */
DEFINE_EVENT(vkick_queue, vkick_run,
	TP_PROTO(struct vk_queue *q),
	TP_ARGS(q)
);

/* Step 4: a chain was popped. */
TRACE_EVENT(vkick_pop,
	TP_PROTO(struct vk_queue *q, const struct vring_chain *c),
	TP_ARGS(q, c),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(u32, queue)
		__field(u16, id)
		__field(u16, nr_out)
		__field(u16, nr_in)
		__field(u64, out_bytes)
		__field(u64, in_bytes)
	),
	TP_fast_assign(
		__entry->dev = q->dev->id;
		__entry->queue = q->index;
		__entry->id = c->token.id;
		__entry->nr_out = c->nr_out;
		__entry->nr_in = c->nr_in;
		__entry->out_bytes = c->out_bytes;
		__entry->in_bytes = c->in_bytes;
	),
	TP_printk("dev=%d queue=%u id=%u out=%u/%llu in=%u/%llu",
		  __entry->dev, __entry->queue, __entry->id,
		  __entry->nr_out, __entry->out_bytes,
		  __entry->nr_in, __entry->in_bytes)
);

/* Step 6: the class is done with a request; step 7 follows. */
TRACE_EVENT(vkick_done,
	TP_PROTO(struct vk_queue *q, u16 id, u32 written),
	TP_ARGS(q, id, written),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(u32, queue)
		__field(u16, id)
		__field(u32, written)
	),
	TP_fast_assign(
		__entry->dev = q->dev->id;
		__entry->queue = q->index;
		__entry->id = id;
		__entry->written = written;
	),
	TP_printk("dev=%d queue=%u id=%u written=%u", __entry->dev,
		  __entry->queue, __entry->id, __entry->written)
);

/* Step 8: the call eventfd is about to be signalled. */
DEFINE_EVENT(vkick_queue, vkick_call,
	TP_PROTO(struct vk_queue *q),
	TP_ARGS(q)
);

/* The queue stops on an error of the guest's or the owner's making. */
TRACE_EVENT(vkick_break,
	TP_PROTO(struct vk_queue *q, int err),
	TP_ARGS(q, err),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(u32, queue)
		__field(int, err)
		__field(u32, base)
	),
	TP_fast_assign(
		__entry->dev = q->dev->id;
		__entry->queue = q->index;
		__entry->err = err;
		__entry->base = q->base;
	),
	TP_printk("dev=%d queue=%u err=%d base=%#x", __entry->dev,
		  __entry->queue, __entry->err, __entry->base)
);

#endif /* VK_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
