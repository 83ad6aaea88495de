/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Packets over a stream socket, as passt and QEMU's -netdev stream speak: before each frame its length, 32 bits, big endian.
 *
 * There is no header: what the driver sends is whole and has its checksums, and what it gets as well.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <sys/uio.h>

#include "net.h"

/* The largest frame: 64 KiB of IP, Ethernet's header and two VLAN tags. */
#define NET_STREAM_MAX_FRAME	(65535 + 14 + 8)
#define NET_STREAM_BYTES	(256U << 10)

/**
 * struct net_stream - the host's end, where it is no tap
 * @fd: the socket, which is never waited for
 * @words: what to call it
 * @ended: nothing comes any more, and what is sent is lost
 * @in: what was read, from @in_at on up to @in_end not given to the driver
 * @out: the same of what is to be written
 *
 * The pair's thread has it, from a start to a stop. What lies in it stays for the next one: half a frame is on its way.
 */
struct net_stream {
	int fd;
	const char *words;
	bool ended;
	u32 in_at, in_end;
	u32 out_at, out_end;
	u8 in[NET_STREAM_BYTES];
	u8 out[NET_STREAM_BYTES];
};

/**
 * struct net_forward - ports of the host's that are the guest's
 * @ports: as passt has them, such as 8080:80
 */
struct net_forward {
	bool udp;
	const char *ports;
};

/* ---- net_passt.c: before the guest runs ------------------------------------------------ */

/* Both die(). @mtu: 0: as passt has it */
struct net_stream *net_passt_start(const struct net_forward *forwards, u32 nr, u32 mtu);
struct net_stream *net_passt_connect(const char *path);

/* ---- net_stream.c ------------------------------------------------------------------------ */

/* Of a connected socket, which becomes its own; @words last as long. die()s. */
struct net_stream *net_stream_new(int fd, const char *words);

/* As readv() of a tap: one packet, with a header of zeros. @iov has room for any. Return: bytes, or -1 with EAGAIN. */
ssize_t net_stream_readv(struct net_stream *s, const struct iovec *iov, int nr);

/*
 * As writev() to a tap: one packet of @bytes, whose header is left out; it goes with net_stream_flush() at the latest.
 * Return: 0, or -1 with EAGAIN: there is no room.
 */
int net_stream_writev(struct net_stream *s, const struct iovec *iov, int nr, u64 bytes);

/* Return: whether the socket took all of it; else it has room again when poll() says so. */
bool net_stream_flush(struct net_stream *s);

#endif
