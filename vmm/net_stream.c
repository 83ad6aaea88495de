// SPDX-License-Identifier: GPL-2.0
/*
 * Packets over a stream socket.
 *
 * in:  bytes, in pieces of any size; packets of the driver's
 * out: packets for the driver; bytes, of as many packets at a time as there are
 *
 * A frame is copied once each way, so that one system call moves many.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_stream.h"

#define LENGTH_BYTES	sizeof(u32)

/* So many wait for more, within a pass. */
#define FLUSH_BYTES	(NET_STREAM_BYTES / 2)

/* Ours, in its queues. */
#define SOCKET_BYTES	(1 << 20)

_Static_assert(NET_STREAM_BYTES - FLUSH_BYTES >= LENGTH_BYTES + NET_STREAM_MAX_FRAME, "room for one more");

struct net_stream *net_stream_new(int fd, const char *words)
{
	struct net_stream *s = calloc(1, sizeof(*s));
	int bytes = SOCKET_BYTES, flags = fcntl(fd, F_GETFL);

	if (!s)
		die("--net: out of memory");
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		die("--net %s: %s", words, strerror(errno));
	/* The usual would do, at more calls. */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	s->fd = fd;
	s->words = words;
	return s;
}

static void end(struct net_stream *s, const char *why)
{
	if (!s->ended)
		warn("--net %s: %s: nothing comes or goes any more", s->words, why);
	s->ended = true;
}

/* ---- To the driver ------------------------------------------------------------------- */

/* Return: whether something came. */
static bool fill(struct net_stream *s)
{
	ssize_t n;

	if (s->ended)
		return false;
	memmove(s->in, s->in + s->in_at, s->in_end - s->in_at);
	s->in_end -= s->in_at;
	s->in_at = 0;
	do {
		n = read(s->fd, s->in + s->in_end, sizeof(s->in) - s->in_end);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		end(s, n ? strerror(errno) : "the other end has left");
		return false;
	}
	s->in_end += n;
	return true;
}

/* Of the frame that is there whole, without taking it. Return: its bytes, or 0. */
static u32 next_frame(struct net_stream *s)
{
	u32 bytes;

	for (;;) {
		if (s->in_end - s->in_at < LENGTH_BYTES)
			return 0;
		memcpy(&bytes, s->in + s->in_at, sizeof(bytes));
		bytes = ntohl(bytes);
		if (bytes > NET_STREAM_MAX_FRAME) {
			end(s, "the other end sent what is no frame");
			s->in_at = s->in_end;
			return 0;
		}
		if (s->in_end - s->in_at - LENGTH_BYTES < bytes)
			return 0;
		if (bytes)
			return bytes;
		s->in_at += LENGTH_BYTES;
	}
}

struct scatter {
	const struct iovec *iov;
	int nr;
	size_t at;
};

static void put(struct scatter *to, const u8 *buf, size_t bytes)
{
	while (bytes && to->nr) {
		size_t n = to->iov->iov_len - to->at;

		if (n > bytes)
			n = bytes;
		memcpy((u8 *)to->iov->iov_base + to->at, buf, n);
		buf += n;
		bytes -= n;
		to->at += n;
		if (to->at < to->iov->iov_len)
			continue;
		to->at = 0;
		to->iov++;
		to->nr--;
	}
}

ssize_t net_stream_readv(struct net_stream *s, const struct iovec *iov, int nr)
{
	static const u8 header[NET_HDR_BYTES];
	struct scatter to = { iov, nr, 0 };
	u32 bytes;

	while (!(bytes = next_frame(s))) {
		if (fill(s))
			continue;
		errno = EAGAIN;
		return -1;
	}
	put(&to, header, sizeof(header));
	put(&to, s->in + s->in_at + LENGTH_BYTES, bytes);
	s->in_at += LENGTH_BYTES + bytes;
	return sizeof(header) + bytes;
}

/* ---- Of the driver's ------------------------------------------------------------------- */

bool net_stream_flush(struct net_stream *s)
{
	while (s->out_at < s->out_end && !s->ended) {
		ssize_t n = write(s->fd, s->out + s->out_at, s->out_end - s->out_at);

		if (n >= 0)
			s->out_at += n;
		else if (errno == EAGAIN)
			return false;
		else if (errno != EINTR)
			end(s, errno == EPIPE ? "the other end has left" : strerror(errno));
	}
	s->out_at = 0;
	s->out_end = 0;
	return true;
}

int net_stream_writev(struct net_stream *s, const struct iovec *iov, int nr, u64 bytes)
{
	u64 skip = NET_HDR_BYTES;
	u32 length;
	int i;

	if (bytes <= NET_HDR_BYTES || bytes - NET_HDR_BYTES > NET_STREAM_MAX_FRAME)
		return 0;	/* lost, as on a wire */
	bytes -= NET_HDR_BYTES;
	if (s->out_end >= FLUSH_BYTES && !net_stream_flush(s)) {
		memmove(s->out, s->out + s->out_at, s->out_end - s->out_at);
		s->out_end -= s->out_at;
		s->out_at = 0;
	}
	if (sizeof(s->out) - s->out_end < LENGTH_BYTES + bytes) {
		errno = EAGAIN;
		return -1;
	}
	length = htonl(bytes);
	memcpy(s->out + s->out_end, &length, sizeof(length));
	s->out_end += sizeof(length);
	for (i = 0; i < nr; i++) {
		u64 n = iov[i].iov_len;

		if (skip >= n) {
			skip -= n;
			continue;
		}
		memcpy(s->out + s->out_end, (u8 *)iov[i].iov_base + skip, n - skip);
		s->out_end += n - skip;
		skip = 0;
	}
	return 0;
}
