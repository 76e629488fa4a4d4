/* Unpredictable bytes, from RDSEED or RDRAND mixed with the jitter of the cycle counter. */

#ifndef HOGNOSE_ENTROPY_H
#define HOGNOSE_ENTROPY_H

#include <stdbool.h>
#include <stddef.h>

/* Seed the generator; false on a processor without either instruction. */
bool entropy_init(void);

void entropy_bytes(void *to, size_t n);

#endif
