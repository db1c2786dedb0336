/* schedule.c -- who comes when, by weight.
 *
 * Owns:    nothing.
 * Thread:  control (pure: any would do).
 * Used by: compile_parts.c; store/objects.c and control/explain.c, which know the zone.
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
        *divisor = common_divisor(endpoint_weight(&endpoints[i]), *divisor);
        sum += endpoint_weight(&endpoints[i]);
    }
    return *divisor ? sum / *divisor : 0;
}

static uint32_t places_of(const struct endpoint *e, uint32_t divisor, uint64_t sum)
{
    uint32_t weight = endpoint_weight(e);
    uint64_t share;

    if (weight == 0)
        return 0;
    if (sum <= SCHEDULE_MOST)
        return weight / divisor;
    share = (uint64_t)weight / divisor * (SCHEDULE_MOST / 2) / sum;
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

/* One part of the rota, from place `from` on. */
static void fill_rota(struct service *s, enum rota_kind kind, uint32_t from, struct turn *turns)
{
    uint32_t divisor, n = 0;
    uint64_t sum = divided_sum(s->endpoints, s->endpoint_count, &divisor);
    uint16_t *places = (uint16_t *)(uintptr_t)s->schedule + from; /* not published yet */

    for (uint32_t i = 0; i < s->endpoint_count; i++) {
        const struct endpoint *e = &s->endpoints[i];
        uint32_t own = endpoint_rota(s, e) == kind ? places_of(e, divisor, sum) : 0;

        /* The k-th of `own` turns in the middle of the k-th of `own` equal parts of the round. */
        for (uint32_t k = 0; k < own; k++)
            turns[n++] = (struct turn){ ((2 * (uint64_t)k + 1) << 32) / own, (uint16_t)i };
    }
    qsort(turns, n, sizeof(*turns), by_time);
    for (uint32_t i = 0; i < n; i++)
        places[i] = turns[i].endpoint;
    s->rotas[kind] = (struct rota){ from, n };
}

static void find_near(struct service *s, struct str zone)
{
    unsigned near = 0, far = 0;

    for (uint32_t i = 0; i < s->endpoint_count; i++) {
        const struct endpoint *e = &s->endpoints[i];
        struct endpoint_options *o = (struct endpoint_options *)(uintptr_t)e->options;
        bool is_near = o != NULL && zone.len > 0 && str_equals(o->zone, zone);

        if (o != NULL)
            o->near = is_near;
        if (endpoint_weight(e) == 0 || (o != NULL && o->backup && !s->lacks_others))
            continue;
        near += is_near;
        far += !is_near;
    }
    s->has_near = near > 0 && far > 0;
}

void schedule_prints(struct service *s)
{
    struct endpoint_print *prints = (struct endpoint_print *)(uintptr_t)s->prints;
    uint32_t weight = 0;

    s->even = true;
    for (uint32_t i = 0; i < s->endpoint_count; i++) {
        const struct endpoint *e = &s->endpoints[i];
        uint32_t own = endpoint_rota(s, e) == ROTA_FIRST ? endpoint_weight(e) : 0;

        if (prints != NULL)
            prints[i].weight = own;
        if (own > 0 && weight > 0 && own != weight)
            s->even = false;
        if (own > 0)
            weight = own;
    }
}

void service_arrange(struct service *s, struct str zone)
{
    struct turn *turns;
    uint32_t from = 0;

    if (zone.len == 0 && s->rotas[ROTA_FIRST].count > 0)
        return; /* so it is already */
    s->lacks_others = true;
    for (uint32_t i = 0; i < s->endpoint_count; i++) {
        const struct endpoint *e = &s->endpoints[i];

        if (endpoint_weight(e) > 0 && (e->options == NULL || !e->options->backup))
            s->lacks_others = false;
    }
    s->plain = s->policy.balance == BALANCE_ROUND_ROBIN && s->policy.sticky.len == 0 &&
               s->policy.slow_start_ms == 0;
    find_near(s, zone);
    if (s->schedule_count == 0)
        return;
    turns = check_alloc(s->schedule_count * sizeof(*turns));
    for (unsigned kind = 0; kind < ROTAS; kind++) {
        fill_rota(s, (enum rota_kind)kind, from, turns);
        from += s->rotas[kind].count;
    }
    CHECK(from == s->schedule_count);
    free(turns);
    schedule_prints(s);
}
