/* The generator's seed (entropy.h). */

#include "entropy.h"
#include "host.h"
#include "processor.h"
#include "random.h"

#define SEED_ROUNDS 8
#define FEED_INTERVAL 64 /* requests between two feedings */

/* One seed: hardware words folded with the cycle counter around them. */
static bool gather(uint8_t seed[SEED_BYTES])
{
    uint64_t *words = (uint64_t *)seed;

    for (size_t i = 0; i < SEED_BYTES / sizeof *words; i++) {
        uint64_t value;

        if (!hardware_random(&value))
            return false;
        words[i] = value ^ read_tsc() * 0x9e3779b97f4a7c15ul;
    }
    return true;
}

bool entropy_init(void)
{
    uint64_t seed[SEED_BYTES / 8];

    for (int i = 0; i < SEED_ROUNDS; i++) {
        if (!gather((uint8_t *)seed))
            return false;
        random_absorb((uint8_t *)seed);
    }
    seed[0] = host_wall_clock();
    random_absorb((uint8_t *)seed);
    return true;
}

void entropy_bytes(void *to, size_t n)
{
    static unsigned requests;
    uint64_t seed[SEED_BYTES / 8];

    if (++requests % FEED_INTERVAL == 0 && gather((uint8_t *)seed))
        random_absorb((uint8_t *)seed);
    random_bytes(to, n);
}
