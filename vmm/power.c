// SPDX-License-Identifier: GPL-2.0
/*
 * How a guest turns itself off or resets itself: ACPI's sleep control and reset
 * registers, the keyboard controller's reset line, the BIOS. And how it is asked to.
 *
 * in:  writes to a few ports; the control socket's shutdown
 * out: vm_end(); the power button's interrupt
 *
 * Linux takes a hardware-reduced machine for one with EFI, and if it then finds
 * none, it jumps to the BIOS, in real mode, to be reset (reboot_init() in
 * arch/x86/kernel/reboot.c). So there is a BIOS, which does just that.
 */
#include <string.h>

#include "layout.h"
#include "vmm.h"

/* ACPI 6.4, 4.8.3.7: SLP_TYPx in bits 2 to 4, SLP_EN in bit 5. */
#define SLEEP_ENABLE	0x20
#define SLEEP_TYPE(v)	((v) >> 2 & 7)

#define I8042_PULSE_RESET	0xfe

static u64 acpi_read(void *dev, u64 off, unsigned int len)
{
	(void)dev, (void)off, (void)len;
	return 0;
}

static void acpi_write(void *dev, u64 off, unsigned int len, u64 val)
{
	struct vm *vm = dev;
	u16 port = PORT_SLEEP_CTL + off;

	(void)len;
	if (port == PORT_SLEEP_CTL && val & SLEEP_ENABLE &&
	    SLEEP_TYPE(val) == SLEEP_TYPE_S5)
		vm_end(vm, VM_POWERED_OFF);
	if (port == PORT_RESET && (val & 0xff) == RESET_VALUE)
		vm_end(vm, VM_RESET);
}

/* Status 0: ready for a command. There is no keyboard. */
static u64 i8042_read(void *dev, u64 off, unsigned int len)
{
	(void)dev, (void)off, (void)len;
	return 0;
}

static void i8042_write(void *dev, u64 off, unsigned int len, u64 val)
{
	struct vm *vm = dev;

	(void)off, (void)len;
	if ((val & 0xff) == I8042_PULSE_RESET)
		vm_end(vm, VM_RESET);
}

static const struct bus_ops acpi_ops = { acpi_read, acpi_write };
static const struct bus_ops i8042_ops = { i8042_read, i8042_write };

static struct bus_range acpi_range = {
	.base = PORT_SLEEP_CTL,
	.len = PORT_RESET - PORT_SLEEP_CTL + 1,
	.ops = &acpi_ops,
};

static struct bus_range i8042_range = {
	.base = PORT_I8042_CMD,
	.len = 1,
	.ops = &i8042_ops,
};

/* It falls by itself: the pin is edge-triggered, and AML says what an edge is. */
void power_press_button(struct vm *vm)
{
	irq_set_line(vm, GSI_POWER_BUTTON, true);
	irq_set_line(vm, GSI_POWER_BUTTON, false);
}

void power_load_bios(struct vm *vm)
{
	static const u8 code[] = {
		0xba, PORT_RESET & 0xff, PORT_RESET >> 8,	/* mov $PORT_RESET, %dx */
		0xb0, RESET_VALUE,				/* mov $RESET_VALUE, %al */
		0xee,						/* out %al, %dx */
		0xf4,						/* 1: hlt */
		0xeb, 0xfd,					/* jmp 1b */
	};

	memcpy(guest_ptr(vm, LAYOUT_BIOS_RESET, sizeof(code)), code, sizeof(code));
}

void power_init(struct vm *vm)
{
	acpi_range.dev = vm;
	i8042_range.dev = vm;
	bus_add(&vm->pio, &acpi_range);
	bus_add(&vm->pio, &i8042_range);
}
