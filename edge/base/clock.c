/* clock.c -- what time it is.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: every room that waits or reports.
 * Not here: timers (net/timer.c); the per-turn time of a loop (net/loop.c). */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t read_ns(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t clock_now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_now_ms(void)
{
    return clock_now_ns() / 1000000;
}

uint64_t clock_wall_ms(void)
{
    return read_ns(CLOCK_REALTIME) / 1000000;
}

char *clock_wall_text(uint64_t wall_ms, char to[CLOCK_TEXT_SIZE])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    size_t n;

    gmtime_r(&seconds, &utc);
    n = strftime(to, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(to + n, CLOCK_TEXT_SIZE - n, ".%03uZ", (unsigned)(wall_ms % 1000));
    return to;
}
