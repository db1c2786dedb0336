/* random.c -- a small generator (SplitMix64) seeded by the kernel.
 *
 * Owns:    the process's hash seed: rule zero, a global, written before main() runs.
 * Thread:  any (a struct random belongs to one).
 * Used by: map, balance, redis_link (jitter).
 * Not here: keys and tokens; those come from mbedTLS. */
#include "base/random.h"

#include <sys/random.h>

#include "base/check.h"

static uint64_t process_seed;

static uint64_t from_kernel(void)
{
    uint64_t value;

    CHECK(getrandom(&value, sizeof(value), 0) == (ssize_t)sizeof(value));
    return value;
}

__attribute__((constructor)) static void draw_process_seed(void)
{
    process_seed = from_kernel();
}

uint64_t random_process_seed(void)
{
    return process_seed;
}

void random_init(struct random *r)
{
    r->state = from_kernel();
}

uint64_t random_next(struct random *r)
{
    return random_mixed(r->state += 0x9e3779b97f4a7c15u);
}

uint64_t random_below(struct random *r, uint64_t limit)
{
    return (uint64_t)(((unsigned __int128)random_next(r) * limit) >> 64);
}
