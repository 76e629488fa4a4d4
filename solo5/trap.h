/* What an exception or a system call leaves of the application, and how the machine ends. */

#ifndef HOGNOSE_TRAP_H
#define HOGNOSE_TRAP_H

#include "machine.h"

/* As entry.S pushes it; rip … ss as the processor does. */
struct frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* Exit statuses of the tender beside the program's own (0 … 127). 255 is the tender's for "aborted". */
enum exit_status {
    EXIT_APPLICATION_CRASH = 254, /* an exception in the program */
    EXIT_KERNEL_CRASH = 253,      /* an exception in the nano-kernel: a bug */
    EXIT_BOOT = 252,              /* this machine or image cannot be started */
};

/* One line on the console and the end. Never returns. */
_Noreturn void refuse_to_boot(const char *reason);

/* Entered from entry.S for every exception: fills promised pages, ends the machine with a report for all else. */
void trap(struct frame *frame);

/* Note a system call for the report. */
void trap_note(uint64_t number, uint64_t result);

#endif
