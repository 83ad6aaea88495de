// SPDX-License-Identifier: GPL-2.0
/*
 * Builds the ACPI tables: hardware-reduced, so that there is no legacy device to
 * emulate just because the specification assumes it.
 *
 * in:  the number of CPUs; the DSDT, which iasl compiled
 * out: RSDP, XSDT, FADT, MADT, MCFG and DSDT in guest memory
 *
 * Section numbers are of ACPI 6.4.
 */
#include <string.h>

#include "../layout.h"
#include "../opts.h"
#include "../vmm.h"
#include "dsdt.h"

struct acpi_header {
	char signature[4];
	u32 length;
	u8 revision;
	u8 checksum;
	char oem_id[6];
	char oem_table_id[8];
	u32 oem_revision;
	char creator_id[4];
	u32 creator_revision;
} __attribute__((packed));

struct acpi_rsdp {		/* 5.2.5.3 */
	char signature[8];
	u8 checksum;
	char oem_id[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
	u8 checksum_all;
	u8 reserved[3];
} __attribute__((packed));

struct acpi_gas {		/* 5.2.3.2: generic address */
	u8 space;
	u8 bit_width;
	u8 bit_offset;
	u8 access_size;
	u64 address;
} __attribute__((packed));

struct acpi_fadt {		/* 5.2.9; what is not named stays 0 */
	struct acpi_header h;
	u8 legacy_a[109 - 36];
	u16 boot_arch;
	u8 reserved;
	u32 flags;
	struct acpi_gas reset_reg;
	u8 reset_value;
	u16 arm_boot_arch;
	u8 minor;
	u64 x_firmware_ctrl;
	u64 x_dsdt;
	u8 legacy_b[244 - 148];
	struct acpi_gas sleep_control;
	struct acpi_gas sleep_status;
	u64 hypervisor;
} __attribute__((packed));

_Static_assert(sizeof(struct acpi_fadt) == 276, "FADT of revision 6");

#define FADT_NO_VGA		(1 << 2)
#define FADT_NO_CMOS_RTC	(1 << 5)
#define FADT_PWR_BUTTON		(1 << 4)	/* none in fixed hardware */
#define FADT_SLP_BUTTON		(1 << 5)
#define FADT_RESET_REG_SUP	(1 << 10)
#define FADT_HW_REDUCED		(1 << 20)

struct acpi_madt {		/* 5.2.12 */
	struct acpi_header h;
	u32 lapic;
	u32 flags;
} __attribute__((packed));

struct acpi_madt_lapic {
	u8 type;		/* 0 */
	u8 length;
	u8 uid;
	u8 apic_id;
	u32 flags;		/* bit 0: enabled */
} __attribute__((packed));

struct acpi_madt_ioapic {
	u8 type;		/* 1 */
	u8 length;
	u8 id;
	u8 reserved;
	u32 address;
	u32 gsi_base;
} __attribute__((packed));

struct acpi_mcfg {		/* PCI Firmware Specification 3.2, 4.1.2 */
	struct acpi_header h;
	u64 reserved;
	u64 base;
	u16 segment;
	u8 bus_first;
	u8 bus_last;
	u32 reserved2;
} __attribute__((packed));

/* 6.4.3.5.1: a window of 64 bits. */
struct acpi_qword_space {
	u8 tag;
	u16 bytes;		/* behind this word */
	u8 type;
	u8 flags[2];
	u64 granularity;
	u64 min;
	u64 max;
	u64 translation;
	u64 length;
} __attribute__((packed));

#define ACPI_QWORD_SPACE	0x8a
#define ACPI_QWORD_SPACE_BYTES	0x2b
#define ACPI_SPACE_MEMORY	0

_Static_assert(sizeof(struct acpi_qword_space) == 3 + ACPI_QWORD_SPACE_BYTES, "of AML");

#define GAS_IO_BYTE(port)	{ .space = 1, .bit_width = 8, .access_size = 1, .address = (port) }

/* Where the next table goes. */
struct acpi_cursor {
	struct vm *vm;
	u64 gpa;
};

u8 acpi_checksum(const void *p, size_t bytes)
{
	const u8 *b = p;
	u8 sum = 0;

	while (bytes--)
		sum += *b++;
	return -sum;
}

/* Room for one table, 16-byte aligned. */
static void *place(struct acpi_cursor *c, size_t bytes, u64 *gpa)
{
	void *p;

	c->gpa = (c->gpa + 15) & ~15UL;
	*gpa = c->gpa;
	c->gpa += bytes;
	p = c->gpa <= LAYOUT_ACPI_END ? guest_ptr(c->vm, *gpa, bytes) : NULL;
	if (!p)
		die("the ACPI tables do not fit: give fewer --cpus");
	return p;
}

static void finish(struct acpi_header *h, const char *signature, u8 revision, u32 length)
{
	memcpy(h->signature, signature, sizeof(h->signature));
	h->length = length;
	h->revision = revision;
	memcpy(h->oem_id, "VKICK ", sizeof(h->oem_id));
	memcpy(h->oem_table_id, "VKICKVM ", sizeof(h->oem_table_id));
	h->oem_revision = 1;
	memcpy(h->creator_id, "VKCK", sizeof(h->creator_id));
	h->creator_revision = 1;
	h->checksum = 0;
	h->checksum = acpi_checksum(h, length);
}

/* The numbers of the window HIGH in the DSDT, the only one of this kind. Of none a guest is told with a length of 0. */
static void set_high_window(struct vm *vm, u8 *dsdt, size_t bytes)
{
	static const u8 head[] = { ACPI_QWORD_SPACE, ACPI_QWORD_SPACE_BYTES, 0, ACPI_SPACE_MEMORY };
	u8 *at = memmem(dsdt, bytes, head, sizeof(head));
	struct acpi_qword_space *space = (void *)at;
	struct acpi_header *h = (void *)dsdt;

	if (!at)
		die("the DSDT has no window for BARs of 64 bits: this VMM was built wrong");
	space->min = vm->high_window;
	space->max = vm->high_window ? 2 * vm->high_window - 1 : 0;
	space->length = vm->high_window;
	h->checksum = 0;
	h->checksum = acpi_checksum(dsdt, bytes);
}

static u64 build_dsdt(struct acpi_cursor *c)
{
	u64 gpa;
	u8 *dsdt = place(c, sizeof(dsdt_aml_code), &gpa);

	memcpy(dsdt, dsdt_aml_code, sizeof(dsdt_aml_code));
	set_high_window(c->vm, dsdt, sizeof(dsdt_aml_code));
	return gpa;
}

static u64 build_fadt(struct acpi_cursor *c, u64 dsdt)
{
	u64 gpa;
	struct acpi_fadt *t = place(c, sizeof(*t), &gpa);

	*t = (struct acpi_fadt) {
		.boot_arch = FADT_NO_VGA | FADT_NO_CMOS_RTC,
		.flags = FADT_HW_REDUCED | FADT_RESET_REG_SUP |
			 FADT_PWR_BUTTON | FADT_SLP_BUTTON,
		.reset_reg = GAS_IO_BYTE(PORT_RESET),
		.reset_value = RESET_VALUE,
		.minor = 4,
		.x_dsdt = dsdt,
		.sleep_control = GAS_IO_BYTE(PORT_SLEEP_CTL),
		.sleep_status = GAS_IO_BYTE(PORT_SLEEP_STATUS),
	};
	finish(&t->h, "FACP", 6, sizeof(*t));
	return gpa;
}

static u64 build_madt(struct acpi_cursor *c)
{
	u32 cpus = c->vm->opts->cpus, i;
	size_t bytes = sizeof(struct acpi_madt) + cpus * sizeof(struct acpi_madt_lapic) +
		       sizeof(struct acpi_madt_ioapic);
	u64 gpa;
	struct acpi_madt *t = place(c, bytes, &gpa);
	struct acpi_madt_lapic *lapic = (void *)(t + 1);
	struct acpi_madt_ioapic *ioapic = (void *)(lapic + cpus);

	t->lapic = LAYOUT_LAPIC;
	for (i = 0; i < cpus; i++)
		lapic[i] = (struct acpi_madt_lapic) {
			.length = sizeof(*lapic), .uid = i, .apic_id = i, .flags = 1,
		};
	*ioapic = (struct acpi_madt_ioapic) {
		.type = 1, .length = sizeof(*ioapic), .address = LAYOUT_IOAPIC,
	};
	finish(&t->h, "APIC", 5, bytes);
	return gpa;
}

static u64 build_mcfg(struct acpi_cursor *c)
{
	u64 gpa;
	struct acpi_mcfg *t = place(c, sizeof(*t), &gpa);

	*t = (struct acpi_mcfg) { .base = LAYOUT_ECAM };
	finish(&t->h, "MCFG", 1, sizeof(*t));
	return gpa;
}

static u64 build_xsdt(struct acpi_cursor *c, const u64 *tables, u32 nr)
{
	size_t bytes = sizeof(struct acpi_header) + nr * sizeof(u64);
	u64 gpa;
	struct acpi_header *h = place(c, bytes, &gpa);

	memcpy(h + 1, tables, nr * sizeof(u64));
	finish(h, "XSDT", 1, bytes);
	return gpa;
}

void acpi_build(struct vm *vm)
{
	struct acpi_cursor c = { .vm = vm, .gpa = LAYOUT_ACPI };
	u64 gpa, tables[3];
	struct acpi_rsdp *rsdp = place(&c, sizeof(*rsdp), &gpa);

	tables[0] = build_fadt(&c, build_dsdt(&c));
	tables[1] = build_madt(&c);
	tables[2] = build_mcfg(&c);

	*rsdp = (struct acpi_rsdp) {
		.signature = "RSD PTR ",
		.oem_id = "VKICK ",
		.revision = 2,
		.length = sizeof(*rsdp),
		.xsdt = build_xsdt(&c, tables, ARRAY_SIZE(tables)),
	};
	rsdp->checksum = acpi_checksum(rsdp, 20);
	rsdp->checksum_all = acpi_checksum(rsdp, sizeof(*rsdp));
}
