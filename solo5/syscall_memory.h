/* The system calls about memory; arguments and results are Linux's. */

#ifndef HOGNOSE_SYSCALL_MEMORY_H
#define HOGNOSE_SYSCALL_MEMORY_H

#include "machine.h"

/* Where the heap begins; mmap hands out addresses from MMAP_START on. */
void memory_calls_init(uint64_t heap);

long call_brk(uint64_t end);
long call_mmap(uint64_t address, uint64_t size, uint64_t prot, uint64_t flags);
long call_munmap(uint64_t address, uint64_t size);
long call_mprotect(uint64_t address, uint64_t size, uint64_t prot);
long call_mremap(uint64_t address, uint64_t old_size, uint64_t new_size, uint64_t flags);
long call_madvise(uint64_t address, uint64_t size, uint64_t advice);

#endif
