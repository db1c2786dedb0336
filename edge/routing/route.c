/* route.c -- what is left of a rule once it is met.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: proxy/exchange.c.
 * Not here: finding the rule. */
#include "routing/route.h"

#include "base/check.h"

const struct split_part *action_split(const struct action *action, uint64_t hash)
{
    /* The share of the whole range of hashes: floor(hash * sum / 2^64). */
    uint64_t at = (uint64_t)(((unsigned __int128)hash * action->part_weights) >> 64);

    CHECK(action->kind == ACTION_SPLIT && action->part_weights > 0);
    for (uint32_t i = 0; i < action->part_count; i++) {
        if (at < action->parts[i].weight)
            return &action->parts[i];
        at -= action->parts[i].weight;
    }
    CHECK(!"the weights add up to their sum");
    return NULL;
}

const struct route *routes_match(const struct routes *r, const struct route_request *q,
                                 struct route_scratch *scratch)
{
    (void)q;
    (void)scratch;
    CHECK(r->count == 0);
    return NULL;
}
