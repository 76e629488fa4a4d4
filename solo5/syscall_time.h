/* The system calls about time, and poll; arguments and results are Linux's. */

#ifndef HOGNOSE_SYSCALL_TIME_H
#define HOGNOSE_SYSCALL_TIME_H

#include <stdint.h>

long call_poll(uint64_t fds, uint64_t count, int32_t timeout_ms);
long call_clock_gettime(uint64_t clock, uint64_t to);
long call_clock_nanosleep(uint64_t clock, uint64_t flags, uint64_t request);
long call_gettimeofday(uint64_t to);
long call_time(uint64_t to);

#endif
