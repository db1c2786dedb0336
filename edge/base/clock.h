/* clock.h -- time. Monotonic unless the name says wall. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_TEXT_SIZE 32

uint64_t clock_now_ms(void);
uint64_t clock_now_ns(void);
uint64_t clock_wall_ms(void); /* since 1970 */

/* A counter that runs evenly and is read in a few ns; how fast is found out by comparing two moments
 * of it with clock_now_ns. */
static inline uint64_t clock_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;

    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return clock_now_ns();
#endif
}

/* RFC 3339 with milliseconds, UTC: 2026-01-31T10:20:30.456Z. Returns `to`. */
char *clock_wall_text(uint64_t wall_ms, char to[CLOCK_TEXT_SIZE]);

#endif
