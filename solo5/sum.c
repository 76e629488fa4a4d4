/* The Internet checksum (sum.h). */

#include "sum.h"

uint64_t sum_add(uint64_t sum, const uint8_t *data, size_t n)
{
    uint64_t high = 0; /* a sum of its own: the processor adds both at once */

    for (; n >= 8; data += 8, n -= 8) {
        uint64_t word;

        __builtin_memcpy(&word, data, sizeof word);
        sum += (uint32_t)word;
        high += word >> 32;
    }
    for (; n >= 2; data += 2, n -= 2) {
        uint16_t word;

        __builtin_memcpy(&word, data, sizeof word);
        sum += word;
    }
    return sum + high + (n ? *data : 0);
}

uint16_t sum_fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}
