/* random.h -- numbers nobody needs to keep secret: balancing, jitter, hash seeds. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state;
};

/* Each bit of it depends on each of `z`; two different ones never come to the same (SplitMix64). */
static inline uint64_t random_mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void random_init(struct random *r); /* from the kernel's generator */
uint64_t random_next(struct random *r);
uint64_t random_below(struct random *r, uint64_t limit); /* 0 .. limit-1; limit > 0 */

/* Drawn once at process start, the same for all threads. */
uint64_t random_process_seed(void);

#endif
