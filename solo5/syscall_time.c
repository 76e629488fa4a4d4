/* Clocks and waiting. */

#include "clock.h"
#include "files.h"
#include "host.h"
#include "syscall_time.h"

#define POLLIN 1
#define POLLOUT 4
#define POLLNVAL 32
#define CLOCK_REALTIME 0
#define CLOCK_REALTIME_COARSE 5
#define CLOCK_MAX 7
#define TIMER_ABSTIME 1
#define MAX_POLL 64
#define FOREVER (~0ul)

struct poll_entry {
    int32_t fd;
    int16_t events, revents;
};

struct timespec {
    int64_t seconds, nanoseconds;
};

/* Fill in revents; how many entries have some. */
static long ready(struct poll_entry *entries, size_t count)
{
    long found = 0;

    for (size_t i = 0; i < count; i++) {
        struct open_file *file = file_of((uint64_t)entries[i].fd);
        int16_t state = POLLIN | POLLOUT;

        entries[i].revents = 0;
        if (entries[i].fd < 0)
            continue;
        if (file == NULL)
            entries[i].revents = POLLNVAL;
        else {
            if (file->kind->readable && entries[i].events & POLLIN && !file->kind->readable())
                state = POLLOUT;
            entries[i].revents = entries[i].events & state;
        }
        if (entries[i].revents)
            found++;
    }
    return found;
}

long call_poll(uint64_t fds, uint64_t count, int32_t timeout_ms)
{
    struct poll_entry entries[MAX_POLL];
    uint64_t deadline = timeout_ms < 0 ? FOREVER : clock_monotonic() + (uint64_t)timeout_ms * 1000000;
    long found;

    if (count > MAX_POLL)
        return -EINVAL;
    if (user_read(entries, fds, count * sizeof entries[0]) < 0)
        return -EFAULT;
    while ((found = ready(entries, count)) == 0) {
        uint64_t now = clock_monotonic();

        if (now >= deadline)
            break;
        host_wait(deadline == FOREVER ? 3600 * SECOND_NS : deadline - now);
    }
    return user_write(fds, entries, count * sizeof entries[0]) < 0 ? -EFAULT : found;
}

static uint64_t clock_of(uint64_t clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE ? clock_wall() : clock_monotonic();
}

long call_clock_gettime(uint64_t clock, uint64_t to)
{
    uint64_t now;
    struct timespec time;

    if (clock > CLOCK_MAX)
        return -EINVAL;
    now = clock_of(clock);
    time = (struct timespec){(int64_t)(now / SECOND_NS), (int64_t)(now % SECOND_NS)};
    return user_write(to, &time, sizeof time);
}

long call_clock_nanosleep(uint64_t clock, uint64_t flags, uint64_t request)
{
    struct timespec time;
    uint64_t deadline;

    if (user_read(&time, request, sizeof time) < 0)
        return -EFAULT;
    if (clock > CLOCK_MAX || time.seconds < 0 || time.seconds > 1000000000 || time.nanoseconds < 0 ||
        time.nanoseconds >= (int64_t)SECOND_NS)
        return -EINVAL;
    deadline = (uint64_t)time.seconds * SECOND_NS + (uint64_t)time.nanoseconds;
    if (!(flags & TIMER_ABSTIME))
        deadline += clock_of(clock);
    for (;;) {
        uint64_t now = clock_of(clock);

        if (now >= deadline)
            return 0;
        host_wait(deadline - now); /* a waiting frame ends it at once: then this is a busy wait, which no caller does */
    }
}

long call_gettimeofday(uint64_t to)
{
    uint64_t now = clock_wall();
    struct timespec time = {(int64_t)(now / SECOND_NS), (int64_t)(now % SECOND_NS / 1000)};

    return to ? user_write(to, &time, sizeof time) : 0;
}

long call_time(uint64_t to)
{
    int64_t now = (int64_t)(clock_wall() / SECOND_NS);

    return to && user_write(to, &now, sizeof now) < 0 ? -EFAULT : now;
}
