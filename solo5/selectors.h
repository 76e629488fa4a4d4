/* Segment selectors of the nano-kernel's GDT; the order of the user ones is SYSRET's. Also read by the assembler. */

#ifndef HOGNOSE_SELECTORS_H
#define HOGNOSE_SELECTORS_H

#define KERNEL_CODE 0x08
#define KERNEL_DATA 0x10
#define USER_DATA 0x23
#define USER_CODE 0x2b
#define TASK_STATE 0x30

#define EXCEPTIONS 32
#define SYSCALL_VECTOR 256 /* in struct frame: the frame is a system call's */

/* Numbers that only the probe's own code uses, and only before the program is loaded. */
#define CALL_PROBE 0x10000
#define CALL_START 0x10001

#endif
