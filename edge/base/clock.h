/* clock.h -- time. Monotonic unless the name says wall. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_TEXT_SIZE 32

uint64_t clock_now_ms(void);
uint64_t clock_now_ns(void);
uint64_t clock_wall_ms(void); /* since 1970 */

/* RFC 3339 with milliseconds, UTC: 2026-01-31T10:20:30.456Z. Returns `to`. */
char *clock_wall_text(uint64_t wall_ms, char to[CLOCK_TEXT_SIZE]);

#endif
