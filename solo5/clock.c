/* Time (clock.h). */

#include "clock.h"
#include "host.h"
#include "processor.h"

#define WALL_AGE_MAX SECOND_NS

static uint64_t started, factor; /* nanoseconds per cycle, 32 bits after the point */
static uint64_t wall, wall_at;

void clock_init(uint64_t cycles)
{
    started = read_tsc();
    factor = (SECOND_NS << 32) / cycles;
    wall = host_wall_clock();
    wall_at = clock_monotonic();
}

uint64_t clock_monotonic(void)
{
    return (uint64_t)((unsigned __int128)(read_tsc() - started) * factor >> 32);
}

uint64_t clock_wall(void)
{
    uint64_t now = clock_monotonic();

    if (now - wall_at > WALL_AGE_MAX) {
        wall = host_wall_clock();
        wall_at = now;
    }
    return wall + (now - wall_at);
}
