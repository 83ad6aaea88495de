// SPDX-License-Identifier: GPL-2.0
/*
 * The console class: bytes between a queue and its file.
 *
 * in:  chains of readable buffers (transmit), of writable ones (receive)
 * out: writes to the file; reads from it
 *
 * A chain is used when all of it was written. Of one that the file took in part, the rest
 * is for later, and ->skip says from where on: it stays in the ring, and outlives a stop.
 * What a file that failed does not take is lost, so that a full disk stops no guest.
 */
#include <linux/uio.h>

#include "console.h"
#include "trace.h"

/* The chain that was just popped, as memory. Return: 0, or -errno breaks the queue */
static int vk_console_map(struct vk_queue *q, struct iov_iter *iter)
{
	bool out = vk_console_transmits(q);
	struct vring_chain *c = &q->chain;
	int nr;

	trace_vkick_pop(q, c);
	/* 5.3.6.2: the one kind has readable buffers, the other has writable ones. */
	if (out ? c->nr_in : c->nr_out || !c->in_bytes)
		return -EINVAL;
	/* More than ->skip can say. */
	if (c->out_bytes > U32_MAX)
		return -EINVAL;
	nr = vk_mem_to_iov(&q->view, c->segs, c->nr_out + c->nr_in, q->iov, VK_MAX_CHAIN);
	if (nr < 0)
		return nr;
	iov_iter_init(iter, out ? ITER_SOURCE : ITER_DEST, q->iov, nr,
		      c->out_bytes + c->in_bytes);
	return 0;
}

/* ---- Transmit ---- */

/*
 * Return: 0: all was written, or is lost; -EAGAIN: not now; -EBUSY: the budget is used up;
 * -EFAULT
 */
static int vk_console_write(struct vk_queue *q, struct vk_console_end *end,
			    const struct iov_iter *chain, struct vk_budget *budget)
{
	ssize_t n;

	/* A driver may have made the chain shorter meanwhile. */
	while (end->skip < iov_iter_count(chain)) {
		/* Anew each time: ttys advance it past what they did not take. */
		struct iov_iter from = *chain;

		iov_iter_advance(&from, end->skip);
		if (vk_queue_spent(budget))
			return -EBUSY;
		n = end->file ? vk_console_end_write(end, &from) : -EPIPE;
		if (n == -EAGAIN || n == -EFAULT)
			return n;
		if (n <= 0) {
			if (end->file)
				vk_console_end_tell(end, n ?: -EIO);
			q->stats.dropped++;
			break;
		}
		end->skip += n;
		budget->bytes += n;
		q->stats.bytes_out += n;
	}
	end->skip = 0;
	return 0;
}

/* One chain. Return: as vk_console_write(), or -errno breaks the queue */
static int vk_console_tx_serve(struct vk_queue *q, struct vk_console_end *end,
			       struct vk_budget *budget)
{
	struct iov_iter from;
	int err;

	err = vk_console_map(q, &from);
	if (!err)
		err = vk_console_write(q, end, &from, budget);
	if (err)
		return err;
	budget->requests++;
	return vk_queue_push(q, q->chain.token, 0);
}

int vk_console_tx_drain(struct vk_queue *q, struct vk_budget *budget)
{
	struct vk_console_end *end = vk_console_end(q);
	int err;

	if (!end)
		return -ENODEV;
	WRITE_ONCE(end->waits, false);
	while (!vk_queue_spent(budget)) {
		err = vk_queue_flush_batch(q);
		if (err)
			return err;
		err = vring_pop(&q->vring, &q->chain);
		if (err <= 0)
			return err ?: VK_DRAINED;
		err = vk_console_tx_serve(q, end, budget);
		if (err)
			vring_unpop(&q->vring, q->chain.token);
		if (err == -EAGAIN) {
			budget->requests++;
			if (!vk_console_end_wait(end))
				return VK_DRAIN_WAITS;
		} else if (err == -EBUSY) {
			break;
		} else if (err) {
			return err;
		}
		cond_resched();
	}
	return VK_DRAIN_SPENT;
}

/* ---- Receive ---- */

/*
 * One chain. Return: 0 to go on; VK_DRAIN_WAITS, or -errno that breaks the queue, with the
 * chain put back
 */
static int vk_console_rx_serve(struct vk_queue *q, struct vk_console_end *end,
			       struct vk_budget *budget)
{
	struct iov_iter to;
	ssize_t n = 0;
	int err;

	budget->requests++;
	err = vk_console_map(q, &to);
	if (!err)
		n = vk_console_end_read(end, &to);
	if (n > 0 && q->log)
		err = vk_log_segs(q, q->chain.segs, n);
	if (n > 0 && !err) {
		budget->bytes += n;
		return vk_queue_push(q, q->chain.token, n);
	}
	vring_unpop(&q->vring, q->chain.token);
	if (err || n == -EFAULT)
		return err ?: n;
	if (n == -EAGAIN)
		return vk_console_end_wait(end) ? 0 : VK_DRAIN_WAITS;
	return vk_console_end_ended(end, n ?: -ENODATA) ? 0 : VK_DRAIN_WAITS;
}

int vk_console_rx_drain(struct vk_queue *q, struct vk_budget *budget)
{
	struct vk_console_end *end = vk_console_end(q);
	int ret;

	if (!end)
		return -ENODEV;
	/* Nothing will ever come. */
	WRITE_ONCE(end->waits, !end->file);
	if (!end->file)
		return VK_DRAIN_WAITS;
	while (!vk_queue_spent(budget)) {
		ret = vk_queue_flush_batch(q);
		if (ret)
			return ret;
		ret = vring_pop(&q->vring, &q->chain);
		if (ret <= 0)
			return ret ?: VK_DRAINED;
		ret = vk_console_rx_serve(q, end, budget);
		if (ret)
			return ret;
		cond_resched();
	}
	return VK_DRAIN_SPENT;
}
