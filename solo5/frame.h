/* The application's registers, as an exception or a system call leaves them. */

#ifndef HOGNOSE_FRAME_H
#define HOGNOSE_FRAME_H

#include <stdint.h>

/* As entry.S pushes it; rip … ss as the processor does. */
struct frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

#endif
