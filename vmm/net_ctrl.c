// SPDX-License-Identifier: GPL-2.0
/*
 * The control queue of a network device (5.1.6.5): commands of the driver's.
 *
 * in:  chains: class, command and data, then a byte for the answer
 * out: the NIC's state, the tap's; OK, or ERR for what is not offered or makes no sense
 *
 * The filters of addresses and VLANs are a device's best effort, and this one lets all through: the
 * tap's network decides what comes here. Their commands are checked, and accepted. A tap could filter
 * (TUNSETTXFILTER), but a persistent one goes on with that when we are gone, and killed processes take
 * nothing back: its next user, with another address, would be deaf.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "net.h"
#include "virtio.h"

/* The longest: two tables of addresses. Linux turns to all-multicast when it has more. */
#define MAX_BYTES	(16 * KIB)

#define MAX_VLAN	4095

struct data {
	const u8 *p;
	u32 bytes;
};

static bool set_rx_mode(struct virtio_dev *dev, const struct data *d)
{
	(void)dev;
	return d->bytes == 1 && d->p[0] <= 1;
}

/* Takes a table off the front. */
static bool take_table(struct data *d)
{
	u32 entries;

	if (d->bytes < sizeof(entries))
		return false;
	memcpy(&entries, d->p, sizeof(entries));
	entries = le32toh(entries);
	d->p += sizeof(entries);
	d->bytes -= sizeof(entries);
	if (entries > d->bytes / NET_MAC_BYTES)
		return false;
	d->p += entries * NET_MAC_BYTES;
	d->bytes -= entries * NET_MAC_BYTES;
	return true;
}

static bool set_mac_tables(struct virtio_dev *dev, const struct data *d)
{
	struct data left = *d;

	(void)dev;
	return take_table(&left) && take_table(&left) && !left.bytes;
}

static bool set_mac(struct virtio_dev *dev, const struct data *d)
{
	if (d->bytes != NET_MAC_BYTES || d->p[0] & 1)	/* of a group */
		return false;
	memcpy(net_nic_of(dev)->mac, d->p, NET_MAC_BYTES);
	return true;
}

static bool get16(const struct data *d, u16 *v)
{
	if (d->bytes != sizeof(*v))
		return false;
	memcpy(v, d->p, sizeof(*v));
	*v = le16toh(*v);
	return true;
}

static bool set_vlan(struct virtio_dev *dev, const struct data *d)
{
	u16 vlan;

	(void)dev;
	return get16(d, &vlan) && vlan <= MAX_VLAN;
}

static bool announced(struct virtio_dev *dev, const struct data *d)
{
	if (d->bytes)
		return false;
	net_nic_of(dev)->announce = false;
	return true;
}

static bool set_pairs(struct virtio_dev *dev, const struct data *d)
{
	struct net_nic *nic = net_nic_of(dev);
	u16 pairs;

	if (!get16(d, &pairs) || !pairs || pairs > nic->tap.nr || net_tap_use(&nic->tap, pairs))
		return false;
	nic->pairs = pairs;
	return true;
}

/* 5.1.6.5.6.1: of what was negotiated. */
static bool set_offloads(struct virtio_dev *dev, const struct data *d)
{
	u64 offloads;

	if (d->bytes != sizeof(offloads))
		return false;
	memcpy(&offloads, d->p, sizeof(offloads));
	offloads = le64toh(offloads);
	return !(offloads & ~dev->acked) && !net_tap_set_offloads(&net_nic_of(dev)->tap, offloads);
}

static const struct command {
	u8 class;
	u8 cmd;
	u8 feature;
	bool (*run)(struct virtio_dev *dev, const struct data *d);
} commands[] = {
	{ VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, VIRTIO_NET_F_CTRL_RX, set_rx_mode },
	{ VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, VIRTIO_NET_F_CTRL_RX, set_rx_mode },
	{ VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, VIRTIO_NET_F_CTRL_RX, set_mac_tables },
	{ VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, VIRTIO_NET_F_CTRL_MAC_ADDR, set_mac },
	{ VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, VIRTIO_NET_F_CTRL_VLAN, set_vlan },
	{ VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, VIRTIO_NET_F_CTRL_VLAN, set_vlan },
	{ VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, VIRTIO_NET_F_GUEST_ANNOUNCE, announced },
	{ VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, VIRTIO_NET_F_MQ, set_pairs },
	{ VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
	  set_offloads },
};

static u8 run(struct virtio_dev *dev, const u8 *buf, u32 bytes)
{
	struct data d = { buf + sizeof(struct virtio_net_ctrl_hdr), 0 };
	struct virtio_net_ctrl_hdr hdr;
	unsigned int i;

	if (bytes < sizeof(hdr))
		return VIRTIO_NET_ERR;
	memcpy(&hdr, buf, sizeof(hdr));
	d.bytes = bytes - sizeof(hdr);
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *c = &commands[i];

		if (c->class == hdr.class && c->cmd == hdr.cmd)
			return dev->acked & 1UL << c->feature && c->run(dev, &d) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
	}
	return VIRTIO_NET_ERR;
}

int64_t net_ctrl_serve(struct virtio_dev *dev, unsigned int i, const struct vring_chain *c)
{
	const struct vring_seg *answer = c->segs + c->nr_out;
	u8 buf[MAX_BYTES], ack = VIRTIO_NET_ERR;
	const void *p;
	u32 contig;

	(void)i;
	if (!c->nr_in || vring_io_lookup(dev->vm, answer->gpa, 1, &p, &contig))
		return -EINVAL;		/* nothing to answer into */
	if (c->out_bytes <= sizeof(buf)) {
		if (datapath_copy(dev->vm, c->segs, c->nr_out, buf, c->out_bytes, false))
			return -EFAULT;
		ack = run(dev, buf, c->out_bytes);
	}
	*(volatile u8 *)p = ack;
	return 1;
}
