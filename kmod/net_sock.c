// SPDX-License-Identifier: GPL-2.0
/*
 * Backends of the net class: sockets of tap devices, and packet sockets.
 *
 * in:  an fd of /dev/net/tun, /dev/tapN (macvtap, ipvtap) or an AF_PACKET socket; the
 *      socket's wake-ups
 * out: struct vk_net_backend; vk_worker_wake()
 *
 * tun and tap are modules that may not be there. An fd of theirs is; so their symbols are
 * looked up when one comes, and its file keeps its module from then on.
 */
#include <linux/file.h>
#include <linux/if_packet.h>
#include <linux/if_tap.h>
#include <linux/if_tun.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/slab.h>

#include "net.h"

/* Where a socket says that it has room, but then has no memory: pause this long. */
#define VK_NET_RETRY_JIFFIES	1

/* Return: the socket of an fd of /dev/net/tun, or NULL. */
static struct socket *vk_net_tun(struct file *file, struct ptr_ring **ring)
{
	typeof(tun_get_tx_ring) *get_ring;
	typeof(tun_get_socket) *get_sock;
	struct socket *sock = NULL;

	get_sock = symbol_get(tun_get_socket);
	get_ring = symbol_get(tun_get_tx_ring);
	if (get_sock && get_ring) {
		sock = get_sock(file);
		*ring = get_ring(file);
	}
	if (get_ring)
		symbol_put(tun_get_tx_ring);
	if (get_sock)
		symbol_put(tun_get_socket);
	return IS_ERR(sock) ? NULL : sock;
}

/* The same of an fd of /dev/tapN. */
static struct socket *vk_net_tap(struct file *file, struct ptr_ring **ring)
{
	typeof(tap_get_ptr_ring) *get_ring;
	typeof(tap_get_socket) *get_sock;
	struct socket *sock = NULL;

	get_sock = symbol_get(tap_get_socket);
	get_ring = symbol_get(tap_get_ptr_ring);
	if (get_sock && get_ring) {
		sock = get_sock(file);
		*ring = get_ring(file);
	}
	if (get_ring)
		symbol_put(tap_get_ptr_ring);
	if (get_sock)
		symbol_put(tap_get_socket);
	return IS_ERR(sock) ? NULL : sock;
}

/* The same of a packet socket with link-layer headers. */
static struct socket *vk_net_packet_socket(struct file *file)
{
	struct socket *sock = sock_from_file(file);

	if (!sock || sock->sk->sk_type != SOCK_RAW || sock->sk->sk_family != AF_PACKET)
		return NULL;
	return sock;
}

/* Context: the socket's wait queue is locked, irqs off. */
static int vk_net_wakeup(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct vk_net_backend *b = container_of(wait, struct vk_net_backend, wait);

	/* Who wakes without a word may mean anything. */
	if (key && !(key_to_poll(key) & b->events))
		return 0;
	smp_mb();		/* (S) */
	if (READ_ONCE(b->waits))
		vk_worker_wake(b->q);
	return 0;
}

static void vk_net_retry(struct work_struct *work)
{
	struct vk_net_backend *b = container_of(to_delayed_work(work),
						struct vk_net_backend, retry);

	vk_worker_wake(b->q);
}

static void vk_net_queue_proc(struct file *file, wait_queue_head_t *wqh, poll_table *pt)
{
	struct vk_net_backend *b = container_of(pt, struct vk_net_backend, pt);

	b->wqh = wqh;
	add_wait_queue(wqh, &b->wait);
}

/**
 * vk_net_backend_open() - take an fd for a backend
 * @q: queue that it will be of; not touched but by wake-ups
 * @fd: the fd
 *
 * Return: the backend; ERR_PTR: -ENOTSOCK for an fd of the wrong kind, or none; -EINVAL
 * for a tap that belongs to no network device (any more); -ENOMEM.
 */
struct vk_net_backend *vk_net_backend_open(struct vk_queue *q, int fd)
{
	struct vk_net_backend *b;
	int err;

	b = kzalloc(sizeof(*b), GFP_KERNEL_ACCOUNT);
	if (!b)
		return ERR_PTR(-ENOMEM);
	b->q = q;
	b->events = q->index == VK_NET_RX ? EPOLLIN : EPOLLOUT;
	b->events |= EPOLLERR | EPOLLHUP;
	INIT_DELAYED_WORK(&b->retry, vk_net_retry);

	err = -ENOTSOCK;
	b->file = fget(fd);
	if (!b->file)
		goto free;
	b->sock = vk_net_packet_socket(b->file);
	if (!b->sock)
		b->sock = vk_net_tun(b->file, &b->ring);
	if (!b->sock)
		b->sock = vk_net_tap(b->file, &b->ring);
	if (!b->sock)
		goto put_file;

	init_waitqueue_func_entry(&b->wait, vk_net_wakeup);
	init_poll_funcptr(&b->pt, vk_net_queue_proc);
	err = -EINVAL;
	if (vfs_poll(b->file, &b->pt) & EPOLLERR || !b->wqh)
		goto detach;
	return b;

detach:
	if (b->wqh)
		remove_wait_queue(b->wqh, &b->wait);
put_file:
	fput(b->file);
free:
	kfree(b);
	return ERR_PTR(err);
}

/**
 * vk_net_backend_close() - undo vk_net_backend_open()
 * @b: backend that no queue has, or NULL
 *
 * No callback runs any more when this returns: remove_wait_queue() takes the lock that
 * they run under. By then none waits, so that nothing is queued that is not cancelled.
 */
void vk_net_backend_close(struct vk_net_backend *b)
{
	if (!b)
		return;
	remove_wait_queue(b->wqh, &b->wait);
	cancel_delayed_work_sync(&b->retry);
	fput(b->file);
	kfree(b);
}

/* Whether there is a packet that nobody has taken yet. */
bool vk_net_backend_readable(struct vk_net_backend *b)
{
	/* Locked, since a tap's ring is replaced when its length changes. */
	if (b->ring)
		return !ptr_ring_empty(b->ring);
	return !skb_queue_empty_lockless(&b->sock->sk->sk_receive_queue);
}

/* There is something to do after all, so that the queue is not to be woken for it. */
static bool vk_net_no_wait(struct vk_net_backend *b)
{
	WRITE_ONCE(b->waits, false);
	return true;
}

/* No packet was there: have the queue woken by the next. */
bool vk_net_backend_wait_rx(struct vk_net_backend *b)
{
	WRITE_ONCE(b->waits, true);
	smp_mb();		/* (S) */
	return vk_net_backend_readable(b) && vk_net_no_wait(b);
}

/*
 * The socket did not take a packet, by -EAGAIN, -ENOBUFS or -ENOMEM: have the queue woken
 * when it will. Polling it makes taps tell us; they do not without.
 */
bool vk_net_backend_wait_tx(struct vk_net_backend *b, int err)
{
	WRITE_ONCE(b->waits, true);
	smp_mb();		/* (S) */
	if (!(vfs_poll(b->file, NULL) & EPOLLOUT))
		return false;
	/* Room came just now: if it has none it has at most half as much in use. */
	if (err == -EAGAIN)
		return vk_net_no_wait(b);
	/* It has room and still does not take it, and will not say when it would. */
	mod_delayed_work(system_wq, &b->retry, VK_NET_RETRY_JIFFIES);
	return false;
}
