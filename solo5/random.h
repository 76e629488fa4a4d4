/*
 * Randomness for the application: a generator over ChaCha20 that throws its key away with every use, so that what it gave
 * before cannot be worked out from what it holds (fast key erasure). Seeded and from time to time fed again with the
 * processor's generator and the jitter of the cycle counter.
 */

#ifndef HOGNOSE_RANDOM_H
#define HOGNOSE_RANDOM_H

#include "machine.h"

#define SEED_BYTES 32

/* Mix 32 bytes into the state, whatever they are worth. */
void random_absorb(const uint8_t seed[SEED_BYTES]);

/* Unpredictable bytes; only after the state was seeded. */
void random_bytes(void *to, size_t n);

/* One ChaCha20 block (RFC 8439 section 2.3). key: 8 words, nonce: 3 words. */
void chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3], uint8_t out[64]);

#endif
