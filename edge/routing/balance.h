/* balance.h -- which endpoint of a service takes this request.
 *
 * A function of what it is given, so that an explanation finds what a request gets. */
#ifndef ROUTING_BALANCE_H
#define ROUTING_BALANCE_H

#include "base/random.h"
#include "routing/availability.h"

#define ZONE_MIN 50 /* percent */

struct balance_request {
    const struct service *service;
    uint32_t *cursor; /* the caller's own, one per service and worker */
    struct random *random;
    uint64_t now_ms; /* as of clock_now_ms */
    uint64_t hash;   /* BALANCE_HASH: of what the service hashes by */
    uint64_t sticky; /* balance_sticky_id of whom the client sticks to; 0: to nobody */
    const struct endpoint *const *tried; /* not to be chosen again */
    uint32_t tried_count;
};

/* Why there is none. */
struct balance_refusal {
    enum passed_over why; /* PASSED_FULL: some are full, and nothing else is wrong with them; else
                           * PASSED_TRIED: they were tried; else what the last one is out for */
    const struct endpoint *wanted; /* the client sticks to it, and it is full; NULL */
};

/* NULL when no endpoint may be chosen; then *refusal says why. */
const struct endpoint *balance_choose(const struct balance_request *r,
                                      struct balance_refusal *refusal);

/* Of a plain service, what nearly all requests come to. NULL: ask balance_choose. */
static inline const struct endpoint *balance_next_plain(const struct service *s, uint32_t *cursor,
                                                        uint64_t now_ms)
{
    uint32_t count = s->rotas[ROTA_FIRST].count, at = 0;
    const struct endpoint *e;

    if (count == 0)
        return NULL;
    if (count > 1) /* else without a look at the cursor: with many hosts it is far away */
        at = *cursor < count ? *cursor : *cursor % count; /* it outlives longer rotas */
    e = &s->endpoints[s->schedule[at]];
    if (endpoint_is_out(e, now_ms) != PASSED_NOT)
        return NULL;
    if (count > 1)
        *cursor = at + 1;
    return e;
}

/* For each endpoint, why it is out for this request (PASSED_NOT: it may be chosen) and what weight it
 * has among those that are not, in any unit. True: so few are healthy that their health is not believed. */
bool balance_explain(const struct balance_request *r, enum passed_over *out, uint64_t *weights);

extern const char *const balance_words[BALANCES];
const char *passed_over_text(enum passed_over why); /* "its health checks fail" */

#endif
