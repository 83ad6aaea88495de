/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the image begins (Multiboot Specification 0.6.96): 32 bits, no paging, interrupts off.
 */
	.code32
	.globl _start, iret_stub
	.section .text.start, "ax"
	.balign 4
	.long 0x1badb002, 3, -(0x1badb002 + 3)
_start:	mov $stack_end, %esp
	push %ebx
	call main
1:	cli
	hlt
	jmp 1b
iret_stub:
	iret
	.section .bss
	.balign 16
	.skip 65536
stack_end:
	.section .note.GNU-stack, "", @progbits
