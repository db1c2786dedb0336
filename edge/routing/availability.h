/* availability.h -- may an endpoint get a request now? One question for each room that knows something
 * of it; each is a look or two at its state. */
#ifndef ROUTING_AVAILABILITY_H
#define ROUTING_AVAILABILITY_H

#include "routing/health.h"
#include "routing/outlier.h"
#include "routing/service.h"

/* Why an endpoint was passed over. */
enum passed_over {
    PASSED_NOT,
    PASSED_WEIGHT,  /* weight 0 */
    PASSED_DRAIN,   /* it drains */
    PASSED_BACKUP,  /* a backup, and others are available */
    PASSED_ZONE,    /* in another zone, and there are enough in this one */
    PASSED_HEALTH,  /* its health checks fail */
    PASSED_EJECTED, /* its answers were bad */
    PASSED_FULL,    /* max_conns */
    PASSED_TRIED,   /* by this exchange, already */
    PASSED_KINDS
};

static inline bool queue_is_full(const struct endpoint *e)
{
    return e->state->places != NULL && places_are_full(e->state->places);
}

/* What its state says against it, the worst first. */
static inline enum passed_over endpoint_is_out(const struct endpoint *e, uint64_t now_ms)
{
    const struct endpoint_state *state = e->state;

    if (state == NULL)
        return PASSED_NOT;
    if (health_is_down(state, now_ms))
        return PASSED_HEALTH;
    if (outlier_is_ejected(state, now_ms))
        return PASSED_EJECTED;
    return queue_is_full(e) ? PASSED_FULL : PASSED_NOT;
}

/* Percent of what a service has beside its backups: when less is healthy, and no backup is, health and
 * ejections are not believed. */
static inline uint32_t service_panic(const struct service_policy *policy)
{
    return policy->health != NULL ? policy->health->panic : HEALTH_PANIC;
}

#endif
