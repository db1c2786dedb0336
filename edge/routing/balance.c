/* balance.c -- takes the next endpoint off a service's rota, or any one by weight.
 *
 * Owns:    nothing; the cursor is its worker's.
 * Thread:  any.
 * Used by: proxy/exchange.c.
 * Not here: the rota (schedule.c); health (a later room). */
#include "routing/balance.h"

const struct endpoint *balance_choose(const struct service *service, uint32_t *cursor,
                                      struct random *random)
{
    uint32_t place;

    if (service->schedule_count == 0)
        return NULL;
    if (service->schedule_count ==
        1) /* without a look at the cursor: with many hosts it is far away */
        return &service->endpoints[service->schedule[0]];
    if (service->policy.balance == BALANCE_RANDOM) {
        place = (uint32_t)random_below(random, service->schedule_count);
    } else {
        /* The cursor outlives a service's versions, which may be shorter. */
        place = *cursor < service->schedule_count ? *cursor : *cursor % service->schedule_count;
        *cursor = place + 1;
    }
    return &service->endpoints[service->schedule[place]];
}
