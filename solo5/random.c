/* Randomness (random.h). */

#include "random.h"
#include "text.h"

static uint32_t key[8];

#define ROTATE(value, count) ((value) << (count) | (value) >> (32 - (count)))

static void quarter(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
    *a += *b;
    *d = ROTATE(*d ^ *a, 16);
    *c += *d;
    *b = ROTATE(*b ^ *c, 12);
    *a += *b;
    *d = ROTATE(*d ^ *a, 8);
    *c += *d;
    *b = ROTATE(*b ^ *c, 7);
}

void chacha20_block(const uint32_t chacha_key[8], uint32_t counter, const uint32_t nonce[3], uint8_t out[64])
{
    uint32_t state[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    uint32_t x[16];

    memcpy(state + 4, chacha_key, 32);
    state[12] = counter;
    memcpy(state + 13, nonce, 12);
    memcpy(x, state, sizeof x);
    for (int i = 0; i < 10; i++) {
        quarter(&x[0], &x[4], &x[8], &x[12]);
        quarter(&x[1], &x[5], &x[9], &x[13]);
        quarter(&x[2], &x[6], &x[10], &x[14]);
        quarter(&x[3], &x[7], &x[11], &x[15]);
        quarter(&x[0], &x[5], &x[10], &x[15]);
        quarter(&x[1], &x[6], &x[11], &x[12]);
        quarter(&x[2], &x[7], &x[8], &x[13]);
        quarter(&x[3], &x[4], &x[9], &x[14]);
    }
    for (int i = 0; i < 16; i++)
        x[i] += state[i];
    memcpy(out, x, 64);
}

void random_absorb(const uint8_t seed[SEED_BYTES])
{
    static const uint32_t nonce[3] = {1, 0, 0}; /* another function of the key than the one for output */
    uint8_t block[64];

    for (int i = 0; i < SEED_BYTES; i++)
        ((uint8_t *)key)[i] ^= seed[i];
    chacha20_block(key, 0, nonce, block);
    memcpy(key, block, sizeof key);
    memset(block, 0, sizeof block);
}

void random_bytes(void *to, size_t n)
{
    static const uint32_t nonce[3] = {0, 0, 0};
    uint8_t block[64];
    uint8_t *out = to;

    while (n) {
        size_t part = n < 32 ? n : 32;

        /* Half of each block becomes the next key, the other half is given out. */
        chacha20_block(key, 0, nonce, block);
        memcpy(key, block, sizeof key);
        memcpy(out, block + 32, part);
        out += part;
        n -= part;
    }
    memset(block, 0, sizeof block);
}
