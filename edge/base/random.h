/* random.h -- numbers nobody needs to keep secret: balancing, jitter, hash seeds. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state;
};

void random_init(struct random *r); /* from the kernel's generator */
uint64_t random_next(struct random *r);
uint64_t random_below(struct random *r, uint64_t limit); /* 0 .. limit-1; limit > 0 */

/* Drawn once at process start, the same for all threads. */
uint64_t random_process_seed(void);

#endif
