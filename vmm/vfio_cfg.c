// SPDX-License-Identifier: GPL-2.0
/*
 * Config space of a device of the host's: which bits of it are the device's, and which are ours.
 *
 * in:  the guest's reads and writes, the device's registers
 * out: struct pci_dev's copy, which is what the guest sees; writes to the device
 *
 * What is in no row below reads 0, and writes to it vanish. A capability that is not in the table is taken out of the chain, and so are all
 * extended ones (past byte 256).
 *
 * The device's own command register has memory and ports on all the time: the guest's bits only decide whether its BARs are anywhere
 * (pci.c). VFIO takes away what was mapped of a device that does not decode, and a vCPU that is in there at that moment would end the VM.
 * Where the BARs are for the host is not the guest's business either way. The bit that counts is bus mastering, and goes to the device.
 *
 * Sleep is like that: a guest's D3hot takes its BARs away, and the device stays in D0, as its No_Soft_Reset bit says: nothing is lost.
 */
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <string.h>
#include <unistd.h>

#include "vfio.h"

#define HEADER			0	/* in the place of a capability's ID */
#define MAX_CAPS		48	/* of 4 bytes in 192 */

#define STATUS_RW1C		(PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT | PCI_STATUS_REC_TARGET_ABORT | \
				 PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_SIG_SYSTEM_ERROR | PCI_STATUS_DETECTED_PARITY)
#define STATUS_FIXED		(PCI_STATUS_66MHZ | PCI_STATUS_FAST_BACK | PCI_STATUS_DEVSEL_MASK)
#define COMMAND_OURS		(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE)
#define DEVSTA_RW1C		(PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_NFED | PCI_EXP_DEVSTA_FED | PCI_EXP_DEVSTA_URD)
/* Completion timeouts alone: what goes through ports has none to go through. */
#define DEVCAP2_FIXED		(PCI_EXP_DEVCAP2_COMP_TMOUT_DIS | 0xf)
#define DEVCTL2_OURS		(PCI_EXP_DEVCTL2_COMP_TMOUT_DIS | PCI_EXP_DEVCTL2_COMP_TIMEOUT)
/* Neither D1 and D2 nor PME#, which has no way to the guest. */
#define PMC_FIXED		(PCI_PM_CAP_VER_MASK | PCI_PM_CAP_PME_CLOCK | PCI_PM_CAP_DSI)

/**
 * struct field - a register of the header, or of a capability
 * @cap: the capability, or HEADER
 * @off, @bytes: in it; 4 bytes at most
 * @fixed: bits that are the device's as they were at the start
 * @ours: bits that the guest writes, and nobody but us sees
 * @live: bits that are read from the device each time
 * @passed: bits that are written to the device
 */
struct field {
	u8 cap, off, bytes;
	u32 fixed, ours, live, passed;
};

static const struct field fields[] = {
	/* register					fixed		ours		live		passed */
	{ HEADER, PCI_VENDOR_ID, 4,			~0U,		0,		0,		0 },
	/* memory, ports: ours; bus master: as well, and the device has it too; INTX_DISABLE: vfio_irq.c detaches the line */
	{ HEADER, PCI_COMMAND, 2,			0,		COMMAND_OURS,	0,		0 },
	{ HEADER, PCI_STATUS, 2,			STATUS_FIXED,	0,		STATUS_RW1C | PCI_STATUS_INTERRUPT, STATUS_RW1C },
	{ HEADER, PCI_CLASS_REVISION, 4,		~0U,		0,		0,		0 },
	{ HEADER, PCI_CACHE_LINE_SIZE, 2,		0,		0,		~0U,		~0U },
	/* header type: 0, one function; BIST: none; BARs: pci.c, of the sizes that the device's have; expansion ROM: none */
	{ HEADER, PCI_SUBSYSTEM_VENDOR_ID, 4,		~0U,		0,		0,		0 },
	{ HEADER, PCI_INTERRUPT_LINE, 1,		0,		0xff,		0,		0 },
	/* interrupt pin: INTA#, if it has any: intx.c */
	{ HEADER, PCI_MIN_GNT, 2,			~0U,		0,		0,		0 },

	{ PCI_CAP_ID_PM, PCI_PM_PMC, 2,			PMC_FIXED,	0,		0,		0 },
	{ PCI_CAP_ID_PM, PCI_PM_CTRL, 2,		0,		PCI_PM_CTRL_STATE_MASK, 0,	0 },

	/* All that they can is fixed, the rest msi.c's and msix.c's. */
	{ PCI_CAP_ID_MSI, PCI_MSI_FLAGS, 2,		PCI_MSI_FLAGS_QMASK | PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT, 0, 0, 0 },
	{ PCI_CAP_ID_MSIX, PCI_MSIX_FLAGS, 2,		PCI_MSIX_FLAGS_QSIZE, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 0, 0 },
	{ PCI_CAP_ID_MSIX, PCI_MSIX_TABLE, 4,		~0U,		0,		0,		0 },
	{ PCI_CAP_ID_MSIX, PCI_MSIX_PBA, 4,		~0U,		0,		0,		0 },

	/* An endpoint of the root complex, which has no link and no slot. Payload, read requests: the host has set what its fabric bears. */
	{ PCI_CAP_ID_EXP, PCI_EXP_FLAGS, 2,		PCI_EXP_FLAGS_VERS | PCI_EXP_FLAGS_IRQ, 0, 0,	0 },
	{ PCI_CAP_ID_EXP, PCI_EXP_DEVCAP, 4,		~PCI_EXP_DEVCAP_FLR, 0,		0,		0 },
	/* BCR_FLR is seen, acted on, and reads 0 */
	{ PCI_CAP_ID_EXP, PCI_EXP_DEVCTL, 2,		0x7fff,		0xffff,		0,		0 },
	{ PCI_CAP_ID_EXP, PCI_EXP_DEVSTA, 2,		0,		0,		DEVSTA_RW1C | PCI_EXP_DEVSTA_TRPND, DEVSTA_RW1C },
	{ PCI_CAP_ID_EXP, PCI_EXP_DEVCAP2, 4,		DEVCAP2_FIXED,	0,		0,		0 },
	{ PCI_CAP_ID_EXP, PCI_EXP_DEVCTL2, 2,		DEVCTL2_OURS,	DEVCTL2_OURS,	0,		0 },

	/* FLR again, for conventional devices: seen, acted on, and reads 0 */
	{ PCI_CAP_ID_AF, PCI_AF_LENGTH, 2,		0x00ff | PCI_AF_CAP_TP << 8, 0,	0,		0 },
	{ PCI_CAP_ID_AF, PCI_AF_CTRL, 1,		0,		PCI_AF_CTRL_FLR, 0,		0 },
	{ PCI_CAP_ID_AF, PCI_AF_STATUS, 1,		0,		0,		PCI_AF_STATUS_TP, 0 },

	{ PCI_CAP_ID_SSVID, PCI_SSVID_VENDOR_ID, 4,	~0U,		0,		0,		0 },
	/* PCI_CAP_ID_VNDR: all of it is the device's, but for its length: pass_vendor_cap() */
};

static u32 get(const u8 *p, u32 bytes)
{
	u32 v = 0;

	memcpy(&v, p, bytes);
	return v;
}

static void put(u8 *p, u32 bytes, u32 v)
{
	memcpy(p, &v, bytes);
}

static bool dev_read(const struct vfio_dev *d, void *to, u32 off, u32 bytes)
{
	return pread(d->fd, to, bytes, d->cfg_offset + off) == (ssize_t)bytes;
}

static void dev_write(const struct vfio_dev *d, const void *from, u32 off, u32 bytes)
{
	/* A device that is going away takes none; the guest would hear as little of it from a real bus. */
	if (pwrite(d->fd, from, bytes, d->cfg_offset + off) < 0)
		return;
}

/* ---- Reads and writes ------------------------------------------------------------------------ */

void vfio_cfg_command(struct vfio_dev *d, bool master)
{
	u16 command = PCI_COMMAND_MEMORY | PCI_COMMAND_IO | (master ? PCI_COMMAND_MASTER : 0);

	dev_write(d, &command, PCI_COMMAND, sizeof(command));
	d->master = master;
}

void vfio_cfg_read(struct pci_dev *pci, u32 off, u32 len)
{
	struct vfio_dev *d = container_of(pci, struct vfio_dev, pci);
	u8 now[8];
	u32 i, live = 0;

	for (i = 0; i < len; i++)
		live |= d->live[off + i];
	if (live && len <= sizeof(now) && dev_read(d, now, off, len))
		for (i = 0; i < len; i++)
			pci->cfg[off + i] = (pci->cfg[off + i] & ~d->live[off + i]) | (now[i] & d->live[off + i]);
	if (d->has_msi)
		msi_cfg_read(&d->msi, off, len);
}

/* In as few pieces as the guest wrote it; what is not passed on are zeroes, which such registers take for nothing. */
static void pass_on(struct vfio_dev *d, u32 off, u32 len)
{
	u8 out[8];
	u32 i, n;

	for (i = 0; i < len; i += n + 1) {
		for (n = 0; i + n < len && n < sizeof(out) && d->passed[off + i + n]; n++)
			out[n] = d->pci.cfg[off + i + n] & d->passed[off + i + n];
		if (n)
			dev_write(d, out, off + i, n);
	}
}

static bool covers(u32 off, u32 len, u32 at)
{
	return off <= at && off + len > at;
}

/* Return: whether the guest has asked for a reset. */
static bool asks_for_reset(struct vfio_dev *d, u32 off, u32 len)
{
	u32 exp = d->exp + PCI_EXP_DEVCTL + 1, af = d->af + PCI_AF_CTRL;
	bool reset = false;

	if (d->exp && covers(off, len, exp)) {
		reset = d->pci.cfg[exp] & PCI_EXP_DEVCTL_BCR_FLR >> 8;
		d->pci.cfg[exp] &= ~(PCI_EXP_DEVCTL_BCR_FLR >> 8);
	}
	if (d->af && covers(off, len, af)) {
		reset |= d->pci.cfg[af] & PCI_AF_CTRL_FLR;
		d->pci.cfg[af] = 0;
	}
	return reset && d->can_reset;
}

void vfio_cfg_written(struct pci_dev *pci, u32 off, u32 len)
{
	struct vfio_dev *d = container_of(pci, struct vfio_dev, pci);
	bool master = pci->cfg[PCI_COMMAND] & PCI_COMMAND_MASTER;

	if (asks_for_reset(d, off, len)) {
		vfio_function_reset(d);
		return;
	}
	if (master != d->master)
		vfio_cfg_command(d, master);
	pass_on(d, off, len);
	if (d->pm && covers(off, len, d->pm + PCI_PM_CTRL)) {
		pci->hidden = (pci->cfg[d->pm + PCI_PM_CTRL] & PCI_PM_CTRL_STATE_MASK) == 3;
		pci_update_bars();
	}
	vfio_irq_update(d);
	if (d->has_msix)
		msix_cfg_written(&d->msix, off, len);
	if (d->has_msi)
		msi_cfg_written(&d->msi, off, len);
}

/* ---- Set-up ------------------------------------------------------------------------------------- */

/* Bytes of a capability; 0: it is not for the guest. */
static u8 cap_bytes(const u8 *cap)
{
	switch (cap[0]) {
	case PCI_CAP_ID_PM:
		return PCI_PM_SIZEOF;
	case PCI_CAP_ID_MSI:
		return msi_cap_bytes(get(cap + PCI_MSI_FLAGS, 2));
	case PCI_CAP_ID_MSIX:
		return PCI_CAP_MSIX_SIZEOF;
	case PCI_CAP_ID_EXP:
		/* Version 1 has as much as its type needs. */
		return (get(cap + PCI_EXP_FLAGS, 2) & PCI_EXP_FLAGS_VERS) > 1 ? PCI_CAP_EXP_ENDPOINT_SIZEOF_V2 : PCI_CAP_EXP_ENDPOINT_SIZEOF_V1;
	case PCI_CAP_ID_AF:
		return PCI_CAP_AF_SIZEOF;
	case PCI_CAP_ID_SSVID:
		return PCI_SSVID_DEVICE_ID + 2;
	case PCI_CAP_ID_VNDR:
		return cap[PCI_CAP_FLAGS];
	default:
		return 0;
	}
}

static void add_field(struct vfio_dev *d, const u8 *real, u32 at, const struct field *f)
{
	u8 *cfg = d->pci.cfg + at, *wmask = d->pci.wmask + at;

	put(cfg, f->bytes, get(cfg, f->bytes) | (get(real + at, f->bytes) & f->fixed));
	put(d->live + at, f->bytes, f->live);
	put(d->passed + at, f->bytes, f->passed);
	/* Whatever the guest writes is seen; only what is passed on or ours has an effect. */
	put(wmask, f->bytes, f->ours | f->passed);
}

static void pass_vendor_cap(struct vfio_dev *d, const u8 *real, u32 at, u32 bytes)
{
	d->pci.cfg[at + PCI_CAP_FLAGS] = real[at + PCI_CAP_FLAGS];
	memset(d->live + at + PCI_CAP_FLAGS + 1, 0xff, bytes - PCI_CAP_FLAGS - 1);
	memset(d->passed + at + PCI_CAP_FLAGS + 1, 0xff, bytes - PCI_CAP_FLAGS - 1);
	memset(d->pci.wmask + at + PCI_CAP_FLAGS + 1, 0xff, bytes - PCI_CAP_FLAGS - 1);
}

static void add_msix(struct vfio_dev *d, const u8 *real, u8 at)
{
	u32 table = get(real + at + PCI_MSIX_TABLE, 4), pba = get(real + at + PCI_MSIX_PBA, 4);

	d->has_msix = true;
	d->msix_at = (struct vfio_msix_at) {
		.table_bar = table & PCI_MSIX_TABLE_BIR, .table = table & PCI_MSIX_TABLE_OFFSET,
		.pba_bar = pba & PCI_MSIX_PBA_BIR, .pba = pba & PCI_MSIX_PBA_OFFSET,
	};
	msix_init_vectors(&d->msix, &d->pci, at, (get(real + at + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE) + 1);
}

static void add_cap(struct vfio_dev *d, const u8 *real, u8 at, u8 bytes)
{
	u8 *cfg = d->pci.cfg + at, id = real[at];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].cap == id && fields[i].off + fields[i].bytes <= bytes)
			add_field(d, real, at + fields[i].off, &fields[i]);
	cfg[PCI_CAP_LIST_ID] = id;
	switch (id) {
	case PCI_CAP_ID_PM:
		d->pm = at;
		cfg[PCI_PM_CTRL] |= PCI_PM_CTRL_NO_SOFT_RESET;
		break;
	case PCI_CAP_ID_EXP:
		d->exp = at;
		cfg[PCI_EXP_FLAGS] |= PCI_EXP_TYPE_RC_END << 4;
		if (d->can_reset)
			cfg[PCI_EXP_DEVCAP + 3] |= PCI_EXP_DEVCAP_FLR >> 24;
		break;
	case PCI_CAP_ID_AF:
		d->af = at;
		cfg[PCI_AF_CAP] |= d->can_reset ? PCI_AF_CAP_FLR : 0;
		break;
	case PCI_CAP_ID_MSI:
		d->has_msi = true;
		msi_init(&d->msi, &d->pci, at);
		break;
	case PCI_CAP_ID_MSIX:
		add_msix(d, real, at);
		break;
	case PCI_CAP_ID_VNDR:
		pass_vendor_cap(d, real, at, bytes);
		break;
	}
}

/* The device's chain, without what is not for the guest; each where the device has it, and each once. */
static void add_caps(struct vfio_dev *d, const u8 *real)
{
	u8 at = real[PCI_CAPABILITY_LIST] & ~3, *link = &d->pci.cfg[PCI_CAPABILITY_LIST];
	bool taken[PCI_CFG_BYTES] = { false }, seen[256] = { false };
	unsigned int n;

	if (!(get(real + PCI_STATUS, 2) & PCI_STATUS_CAP_LIST))
		return;
	for (n = 0; n < MAX_CAPS && at >= PCI_STD_HEADER_SIZEOF; n++, at = real[at + PCI_CAP_LIST_NEXT] & ~3) {
		u8 bytes = cap_bytes(real + at);
		bool again = real[at] != PCI_CAP_ID_VNDR && seen[real[at]];
		u32 i;

		for (i = at; i < at + (u32)bytes && i < PCI_CFG_BYTES && !taken[i]; i++)
			;
		if (bytes <= PCI_CAP_FLAGS || i != at + (u32)bytes || again)
			continue;
		memset(taken + at, true, bytes);
		seen[real[at]] = true;
		add_cap(d, real, at, bytes);
		d->pci.cfg[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
		*link = at;
		link = &d->pci.cfg[at + PCI_CAP_LIST_NEXT];
	}
}

void vfio_cfg_init(struct vfio_dev *d)
{
	u8 real[PCI_CFG_BYTES];
	unsigned int i;

	if (!dev_read(d, real, 0, sizeof(real)))
		die("--vfio %s: its config space cannot be read: see dmesg", d->name);
	if ((real[PCI_HEADER_TYPE] & 0x7f) != PCI_HEADER_TYPE_NORMAL)
		die("--vfio %s: a bridge: only endpoints can be in a guest", d->name);
	for (i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].cap == HEADER)
			add_field(d, real, fields[i].off, &fields[i]);
	add_caps(d, real);
	d->pci.cfg_read = vfio_cfg_read;
	d->pci.cfg_written = vfio_cfg_written;
}
