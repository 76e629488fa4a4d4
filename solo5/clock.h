/* Time: the monotonic clock counts cycles, the wall clock is the host's, asked again at most once a second. */

#ifndef HOGNOSE_CLOCK_H
#define HOGNOSE_CLOCK_H

#include "machine.h"

#define SECOND_NS 1000000000ul

/* cycles: of the time stamp counter, per second. */
void clock_init(uint64_t cycles);

/* Nanoseconds since clock_init. */
uint64_t clock_monotonic(void);

/* Nanoseconds since 1970. */
uint64_t clock_wall(void);

#endif
