/* schedule.c -- who comes when, by weight.
 *
 * Owns:    nothing.
 * Thread:  control (pure: any would do).
 * Used by: compile.c.
 * Not here: choosing from it (balance.c). */
#include "routing/schedule.h"

#include <stdlib.h>

#include "base/check.h"

struct turn {
    uint64_t at; /* when, on a scale that is the same for all endpoints */
    uint16_t endpoint;
};

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* By what the weights are divided (their greatest common divisor), and what they sum up to then. */
static uint64_t divided_sum(const struct endpoint *endpoints, uint32_t count, uint32_t *divisor)
{
    uint64_t sum = 0;

    *divisor = 0;
    for (uint32_t i = 0; i < count; i++) {
        *divisor = common_divisor(endpoints[i].weight, *divisor);
        sum += endpoints[i].weight;
    }
    return *divisor ? sum / *divisor : 0;
}

static uint32_t places_of(const struct endpoint *e, uint32_t divisor, uint64_t sum)
{
    uint64_t share;

    if (e->weight == 0)
        return 0;
    if (sum <= SCHEDULE_MOST)
        return e->weight / divisor;
    share = (uint64_t)e->weight / divisor * (SCHEDULE_MOST / 2) / sum;
    return share ? (uint32_t)share : 1;
}

uint32_t schedule_count(const struct endpoint *endpoints, uint32_t count)
{
    uint32_t divisor, n = 0;
    uint64_t sum = divided_sum(endpoints, count, &divisor);

    for (uint32_t i = 0; i < count; i++)
        n += places_of(&endpoints[i], divisor, sum);
    return n;
}

static int by_time(const void *a, const void *b)
{
    const struct turn *x = a, *y = b;

    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return (int)x->endpoint - (int)y->endpoint;
}

void schedule_fill(const struct endpoint *endpoints, uint32_t count, uint16_t *places,
                   uint32_t place_count)
{
    uint32_t divisor, n = 0;
    uint64_t sum = divided_sum(endpoints, count, &divisor);
    struct turn *turns;

    if (place_count == 0)
        return;
    turns = check_alloc(place_count * sizeof(*turns));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t own = places_of(&endpoints[i], divisor, sum);

        /* The k-th of `own` turns in the middle of the k-th of `own` equal parts of the round. */
        for (uint32_t k = 0; k < own; k++)
            turns[n++] = (struct turn){ ((2 * (uint64_t)k + 1) << 32) / own, (uint16_t)i };
    }
    CHECK(n == place_count);
    qsort(turns, n, sizeof(*turns), by_time);
    for (uint32_t i = 0; i < n; i++)
        places[i] = turns[i].endpoint;
    free(turns);
}
