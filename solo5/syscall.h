/* The system calls of Linux that static CPython and the program use; arguments and results are Linux's. */

#ifndef HOGNOSE_SYSCALL_H
#define HOGNOSE_SYSCALL_H

#include "frame.h"

/* From entry.S, for every SYSCALL. */
void system_call(struct frame *frame);

#endif
