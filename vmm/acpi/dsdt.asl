// SPDX-License-Identifier: GPL-2.0
/*
 * The machine as AML describes it: power-off and its button, the PCI host bridge, a serial port.
 *
 * The numbers are those of layout.h: change both.
 */
DefinitionBlock ("", "DSDT", 2, "VKICK", "VKICKVM", 1)
{
	// Sleep type for the sleep control register.
	Name (\_S5, Package () { 5, 0, 0, 0 })

	Scope (\_SB)
	{
		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A08"))
			Name (_CID, EisaId ("PNP0A03"))
			Name (_UID, 0)
			Name (_SEG, 0)
			Name (_BBN, 0)
			Name (_CRS, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
					0, 0, 0, 0, 1)
				IO (Decode16, 0xCF8, 0xCF8, 1, 8)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0, 0x1000, 0xFFFF, 0, 0xF000)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
					NonCacheable, ReadWrite,
					0, 0xC0000000, 0xDFFFFFFF, 0, 0x20000000)
				// Where it is depends on the CPU: acpi.c writes the three numbers.
				QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
					Prefetchable, ReadWrite,
					0, 0x100000000, 0x1FFFFFFFF, 0, 0x100000000,,, HIGH)
			})
			// Each pin of each slot, swizzled over the I/O APIC's 16 to 19: INTA of slot 1 is on 17, its INTB on 18.
			// A GSI for its own sake is level-triggered, active low (ACPI 6.4, 6.2.13).
			Method (_PRT, 0, Serialized)
			{
				Name (ALL, Package (128) { })
				Local0 = 0
				While (Local0 < 128)
				{
					Local1 = Local0 >> 2	// slot
					Local2 = Local0 & 3	// pin, from INTA on
					Local3 = Package (4) { 0, 0, 0, 0 }
					Local3[0] = (Local1 << 16) | 0xFFFF
					Local3[1] = Local2
					Local3[3] = 16 + ((Local1 + Local2) & 3)
					ALL[Local0] = Local3
					Local0++
				}
				Return (ALL)
			}
		}

		Device (PWRB)
		{
			Name (_HID, EisaId ("PNP0C0C"))
			Name (_UID, 0)
		}

		// A hardware-reduced machine's events: generic ones, each an interrupt (ACPI 6.4, 5.6.9).
		Device (GED)
		{
			Name (_HID, "ACPI0013")
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 5 }
			})
			Method (_EVT, 1, Serialized)
			{
				If (Arg0 == 5)
				{
					Notify (PWRB, 0x80)	// pressed
				}
			}
		}

		// Keeps the ECAM free of other things.
		Device (ECAM)
		{
			Name (_HID, EisaId ("PNP0C02"))
			Name (_UID, 1)
			Name (_CRS, ResourceTemplate ()
			{
				Memory32Fixed (ReadWrite, 0xE8000000, 0x100000)
			})
		}

		Device (COM1)
		{
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 1)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x3F8, 0x3F8, 1, 8)
				Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 4 }
			})
		}
	}
}
