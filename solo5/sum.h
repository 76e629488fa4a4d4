/*
 * The Internet checksum (RFC 1071). Words are summed in the processor's byte order, so a folded sum is stored as it is.
 */

#ifndef HOGNOSE_SUM_H
#define HOGNOSE_SUM_H

#include <stddef.h>
#include <stdint.h>

/* A sum, not folded, plus n bytes (64 KiB and some headers in all); an odd last byte counts as a whole word. */
uint64_t sum_add(uint64_t sum, const uint8_t *data, size_t n);

/* To 16 bits, not complemented. */
uint16_t sum_fold(uint64_t sum);

#endif
