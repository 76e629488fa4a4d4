/* The system calls of Linux that static CPython and the program use; arguments and results are Linux's. */

#ifndef HOGNOSE_SYSCALLS_H
#define HOGNOSE_SYSCALLS_H

#include "trap.h"

/* From entry.S, for every SYSCALL. */
void system_call(struct frame *frame);

/* syscall_memory.c: where the heap begins; mmap hands out addresses from MMAP_START on. */
void memory_calls_init(uint64_t heap);

long call_brk(uint64_t end);
long call_mmap(uint64_t address, uint64_t size, uint64_t prot, uint64_t flags);
long call_munmap(uint64_t address, uint64_t size);
long call_mprotect(uint64_t address, uint64_t size, uint64_t prot);
long call_mremap(uint64_t address, uint64_t old_size, uint64_t new_size, uint64_t flags);
long call_madvise(uint64_t address, uint64_t size, uint64_t advice);

/* syscall_time.c */
long call_poll(uint64_t fds, uint64_t count, int32_t timeout_ms);
long call_clock_gettime(uint64_t clock, uint64_t to);
long call_clock_nanosleep(uint64_t clock, uint64_t flags, uint64_t request);
long call_gettimeofday(uint64_t to);
long call_time(uint64_t to);

#endif
