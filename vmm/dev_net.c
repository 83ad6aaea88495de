// SPDX-License-Identifier: GPL-2.0
/*
 * The network device (VIRTIO 1.2, 5.1), all but its packets and commands.
 *
 * in:  the keys of --net, the driver's features, the control socket's word on the link
 * out: the config space, the tap's settings, ioctls that give the module, or mainline's, the tap
 */
#include <endian.h>
#include <errno.h>
#include <jansson.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>

#include "net_stream.h"
#include "opts.h"
#include "virtio.h"

/* Up to the MTU. */
#define CONFIG_BYTES	offsetof(struct virtio_net_config, speed)

/* No node of the kernel's takes such a socket. */
#define ONLY_USER	"user and socket= go with datapath=user alone"

/* 5.1.4.1 */
#define MIN_MTU		68
#define MAX_MTU		65535

struct net_nic *net_nic_of(const struct virtio_dev *dev)
{
	return dev->priv;
}

/* ---- The keys ------------------------------------------------------------------------ */

/**
 * struct net_options - the keys of --net
 * @tap: a name, or NULL
 * @fd: or files, so many
 * @user: or passt; @forward: ports that it is to listen on
 * @socket: or the path of one that runs, or NULL
 * @mtu: 0: none
 * @poll_us: busy polling in the kernel, microseconds; 0: none
 */
struct net_options {
	const char *tap;
	u32 nr_fds;
	int fd[NET_MAX_PAIRS];
	bool user;
	u32 nr_forwards;
	struct net_forward forward[NET_MAX_FORWARDS];
	const char *socket;
	bool has_mac;
	u8 mac[NET_MAC_BYTES];
	u16 mtu;
	u32 poll_us;
};

static struct net_options *options(const struct device_opts *d)
{
	return d->options;
}

static void set_tap(struct device_opts *d, const char *key, const char *v)
{
	(void)key;
	options(d)->tap = v;
}

static void set_fd(struct device_opts *d, const char *key, const char *v)
{
	struct net_options *o = options(d);

	if (o->nr_fds == NET_MAX_PAIRS)
		die_usage("--net %s=%s: more than %u", key, v, NET_MAX_PAIRS);
	o->fd[o->nr_fds++] = opts_range(d, key, v, 0, INT32_MAX);
}

/* Neither can be had in the kernel. */
static void choose_user(struct device_opts *d)
{
	if (!d->datapath)
		d->datapath = d->class->user;
}

static void set_user(struct device_opts *d, const char *key, const char *v)
{
	(void)key;
	(void)v;
	options(d)->user = true;
	choose_user(d);
}

static void set_socket(struct device_opts *d, const char *key, const char *v)
{
	(void)key;
	options(d)->socket = v;
	choose_user(d);
}

static void set_forward(struct device_opts *d, const char *key, const char *v)
{
	struct net_options *o = options(d);

	if (o->nr_forwards == NET_MAX_FORWARDS)
		die_usage("--net %s=%s: more than %u", key, v, NET_MAX_FORWARDS);
	o->forward[o->nr_forwards++] = (struct net_forward){ .udp = !strcmp(key, "udp"), .ports = v };
}

static void set_mac(struct device_opts *d, const char *key, const char *v)
{
	u8 *mac = options(d)->mac;
	char end;

	if (sscanf(v, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
		   &mac[5], &end) != NET_MAC_BYTES)
		die_usage("--net %s=%s: not an address: give one such as 52:54:00:12:34:56", key, v);
	if (mac[0] & 1)
		die_usage("--net %s=%s: an address of a group: give one whose first byte is even", key, v);
	options(d)->has_mac = true;
}

static void set_mtu(struct device_opts *d, const char *key, const char *v)
{
	options(d)->mtu = opts_range(d, key, v, MIN_MTU, MAX_MTU);
}

static void set_poll(struct device_opts *d, const char *key, const char *v)
{
	options(d)->poll_us = opts_range(d, key, v, 0, VIRTIO_MAX_POLL_US);
}

static const struct opts_key net_keys[] = {
	{ "tap", set_tap },
	{ "fd", set_fd },
	{ "socket", set_socket },
	{ "tcp", set_forward },
	{ "udp", set_forward },
	{ "mac", set_mac },
	{ "mtu", set_mtu },
	{ "poll", set_poll },
	{ }
};

static const struct opts_key net_words[] = {
	{ "user", set_user },
	{ }
};

/* ---- Making it ------------------------------------------------------------------------- */

static u64 features(const struct net_nic *nic)
{
	u64 f = net_tap_features(&nic->tap) | 1UL << VIRTIO_NET_F_MAC | 1UL << VIRTIO_NET_F_MRG_RXBUF |
		1UL << VIRTIO_NET_F_STATUS | 1UL << VIRTIO_NET_F_CTRL_VQ | 1UL << VIRTIO_NET_F_CTRL_RX |
		1UL << VIRTIO_NET_F_CTRL_VLAN | 1UL << VIRTIO_NET_F_CTRL_MAC_ADDR |
		1UL << VIRTIO_NET_F_CTRL_GUEST_OFFLOADS | 1UL << VIRTIO_NET_F_GUEST_ANNOUNCE;

	if (nic->mtu)
		f |= 1UL << VIRTIO_NET_F_MTU;
	if (nic->tap.nr > 1)
		f |= 1UL << VIRTIO_NET_F_MQ;
	return f;
}

/* One that nobody was given: a bit of the first byte says so. */
static void choose_mac(u8 *mac)
{
	if (getrandom(mac, NET_MAC_BYTES, 0) != NET_MAC_BYTES)
		die("--net: no random numbers: %s: give mac=", strerror(errno));
	mac[0] = (mac[0] & ~1) | 2;
}

static void open_tap(struct net_nic *nic, const struct device_opts *opts)
{
	const struct net_options *o = options(opts);
	int nr = !!o->tap + !!o->nr_fds + o->user + !!o->socket;

	if (nr != 1)
		die_usage("--net: give %s tap=NAME, fd=N, socket=PATH or user", nr ? "one alone of" : "one of");
	if (o->nr_forwards && !o->user)
		die_usage("--net %s=%s: give user, whose ports they are", o->forward[0].udp ? "udp" : "tcp",
			  o->forward[0].ports);
	if ((o->user || o->socket) && opts->queues > 1)
		die_usage("--net queues=%u: one alone goes with %s", opts->queues, o->user ? "user" : "socket=");
	if ((o->user || o->socket) && opts->datapath != opts->class->user && !opts->datapath_auto)
		die_usage("--net datapath=%s: " ONLY_USER, opts->datapath->name);
	if (o->user)
		return net_tap_be_stream(&nic->tap, net_passt_start(o->forward, o->nr_forwards, o->mtu));
	if (o->socket)
		return net_tap_be_stream(&nic->tap, net_passt_connect(o->socket));
	if (o->nr_fds && opts->queues && opts->queues != o->nr_fds)
		die_usage("--net queues=%u: give as many fd=, not %u", opts->queues, o->nr_fds);
	if (o->tap)
		net_tap_open(&nic->tap, o->tap, opts->queues ? opts->queues : 1);
	else
		net_tap_take(&nic->tap, o->fd, o->nr_fds);
}

/* 5.1.4.1: a driver that knows the MTU is given no packet that is longer. */
static void check_mtu(const struct net_nic *nic)
{
	u32 mtu = net_tap_mtu(&nic->tap);

	if (mtu > nic->mtu)
		die("--net mtu=%u: %s sends up to %u bytes: ip link set %s mtu %u, or give mtu=%u", nic->mtu,
		    nic->tap.name, mtu, nic->tap.name, nic->mtu, mtu);
}

static void net_init(struct virtio_dev *dev, const struct device_opts *opts)
{
	const struct net_options *o = options(opts);
	struct net_nic *nic = calloc(1, sizeof(*nic));

	if (!nic)
		die("--net: out of memory");
	dev->priv = nic;
	open_tap(nic, opts);
	if (o->poll_us && opts->datapath == opts->class->user)
		die_usage("--net poll=%u: datapath=user does not poll: leave it out",
			  o->poll_us);
	if (o->has_mac)
		memcpy(nic->own_mac, o->mac, sizeof(nic->own_mac));
	else
		choose_mac(nic->own_mac);
	nic->mtu = o->mtu;
	if (nic->mtu && !nic->tap.stream)
		check_mtu(nic);
	nic->link_up = true;
	dev->nr_queues = 2 * nic->tap.nr + 1;
	dev->nr_workers = nic->tap.nr;
	dev->poll_us = o->poll_us;
	dev->features = features(nic);
}

/* ---- What the driver sees ---------------------------------------------------------------- */

static void net_config(const struct virtio_dev *dev, void *buf)
{
	const struct net_nic *nic = net_nic_of(dev);
	struct virtio_net_config c = {
		.status = htole16((nic->link_up ? VIRTIO_NET_S_LINK_UP : 0) |
				  (nic->announce ? VIRTIO_NET_S_ANNOUNCE : 0)),
		.max_virtqueue_pairs = htole16(nic->tap.nr),
		.mtu = htole16(nic->mtu),
	};

	memcpy(c.mac, nic->mac, sizeof(c.mac));
	memcpy(buf, &c, CONFIG_BYTES);
}

static bool has(const struct virtio_dev *dev, unsigned int feature)
{
	return dev->acked & 1UL << feature;
}

/* 5.1.5: one pair until the driver asks for more. */
static void use_one_pair(struct net_nic *nic)
{
	int err = net_tap_use(&nic->tap, 1);

	if (err)
		warn("--net: %s: queues: %s", nic->tap.name, strerror(-err));
	nic->pairs = 1;
}

/* 5.1.2: the control queue comes after the pairs that the driver knows of. */
static void serve_pairs(struct virtio_dev *dev, u32 pairs)
{
	dev->nr_served = 2 * pairs;
	dev->own[0].index = 2 * pairs;
	dev->nr_own = 1;
}

static void net_reset(struct virtio_dev *dev)
{
	struct net_nic *nic = net_nic_of(dev);

	memcpy(nic->mac, nic->own_mac, sizeof(nic->mac));
	nic->announce = false;
	serve_pairs(dev, nic->tap.nr);
	use_one_pair(nic);
	/* Whoever comes next may know of none. */
	net_tap_set_offloads(&nic->tap, 0);
}

static void net_start(struct virtio_dev *dev)
{
	struct net_nic *nic = net_nic_of(dev);
	int err;

	serve_pairs(dev, has(dev, VIRTIO_NET_F_MQ) ? nic->tap.nr : 1);
	err = net_tap_set_offloads(&nic->tap, dev->acked);
	if (err)
		warn("%s: %s: offloads: %s", dev->name, nic->tap.name, strerror(-err));
}

/* ---- The module's, and mainline's ------------------------------------------------------------ */

static int net_kernel_check(const struct virtio_dev *dev, char *why)
{
	const struct net_tap *tap = &net_nic_of(dev)->tap;

	if (tap->stream)
		return explain(why, ONLY_USER);
	return net_tap_is_gone(tap) ? explain(why, "%s: the interface is gone", tap->name) : 0;
}

/* With no interface any more the queue stands still, as with the cable cut: a reset of the guest's would not mend it. */
static int net_kernel_run(struct virtio_dev *dev, int fd, unsigned int i, bool run)
{
	const struct net_tap *tap = &net_nic_of(dev)->tap;
	struct vhost_vring_file backend = {
		.index = i % 2,
		.fd = run ? tap->fd[i / 2] : VHOST_FILE_UNBIND,
	};
	int err = ioctl(fd, VHOST_NET_SET_BACKEND, &backend) ? -errno : 0;

	return err == -EINVAL && net_tap_is_gone(tap) ? 0 : err;
}

/* Mainline's signals each batch that the tap refuses, and goes on: with no interface any more that is all of them. */
static bool net_stands_still(const struct virtio_dev *dev)
{
	return dev->datapath->ops == &datapath_vhost && net_tap_is_gone(&net_nic_of(dev)->tap);
}

/* ---- The control socket's --------------------------------------------------------------------- */

/*
 * While it is down the datapath does not touch the queues: the guest's packets wait, whatever its driver
 * makes of the status, and the host's are lost. When it comes up the network is to learn where the guest is.
 */
static const char *net_link(struct virtio_dev *dev, bool up)
{
	struct net_nic *nic = net_nic_of(dev);

	if (dev->stopping)
		return "it is being reset, and requests are in flight: try again";
	if (nic->link_up == up)
		return NULL;
	nic->link_up = up;
	nic->announce = up && has(dev, VIRTIO_NET_F_GUEST_ANNOUNCE) && has(dev, VIRTIO_NET_F_CTRL_VQ);
	virtio_set_cut(dev, !up);
	net_tap_set_carrier(&nic->tap, up);
	virtio_config_changed(dev);
	return NULL;
}

static void net_describe(const struct virtio_dev *dev, json_t *json)
{
	const struct net_nic *nic = net_nic_of(dev);
	char mac[18];
	json_t *more;

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", nic->mac[0], nic->mac[1], nic->mac[2],
		 nic->mac[3], nic->mac[4], nic->mac[5]);
	more = json_pack("{s:s, s:s, s:s, s:i, s:i}", nic->tap.stream ? "stream" : "tap",
			 nic->tap.stream ? nic->tap.stream->words : nic->tap.name, "mac", mac, "link",
			 nic->link_up ? "up" : "down", "pairs", (int)nic->pairs, "max_pairs", (int)nic->tap.nr);
	json_object_update(json, more);
	json_decref(more);
}

const struct virtio_class dev_net = {
	.name = "net",
	.device_id = VIRTIO_ID_NET,
	.pci_class = 0x020000,
	.max_queues = NET_MAX_PAIRS,
	.queue_size = 256,
	.max_queue_size = 1024,
	.config_bytes = CONFIG_BYTES,
	.node = "/dev/vkick-net",
	.vhost_node = "/dev/vhost-net",
	.node_queues = 2,
	.datapath_by_default = true,
	/* Of the header's place alone a node must know. */
	.vmm_features = ~(1UL << VIRTIO_NET_F_MRG_RXBUF),
	.user = &datapath_net_user,
	.keys = net_keys,
	.words = net_words,
	.options_bytes = sizeof(struct net_options),
	.init = net_init,
	.config = net_config,
	.reset = net_reset,
	.start = net_start,
	.kernel_check = net_kernel_check,
	.kernel_run = net_kernel_run,
	.stands_still = net_stands_still,
	.link = net_link,
	.describe = net_describe,
	.serve_own = net_ctrl_serve,
};
