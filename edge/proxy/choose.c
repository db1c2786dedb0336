/* choose.c -- which endpoint a request goes to: what balancing needs to know, gathered from the
 * exchange and its worker.
 *
 * Owns:    nothing.
 * Thread:  its worker.
 * Used by: exchange.c.
 * Not here: the choice itself (routing/balance.c). */
#include "proxy/choose.h"

#include "proxy/attempt.h"
#include "proxy/match.h"
#include "proxy/worker_state.h"
#include "routing/balance.h"
#include "routing/balance_key.h"

/* Where the round-robin position is kept: with the named service, or with whoever lists endpoints. */
static uint32_t *cursor(struct exchange *x)
{
    struct sites *s = &x->w->sites;

    if (x->service != NULL)
        return sites_cursor(s, OBJECT_SERVICE, x->service->object.ref.slot);
    if (x->route != NULL)
        return &x->w->rule_cursors[(x->routes->object.ref.slot * 31 +
                                    (uint32_t)(x->route - x->routes->items)) %
                                   WORKER_RULE_CURSORS];
    if (x->action == &x->site->fields.to)
        return sites_cursor(s, OBJECT_SITE, x->site_slot);
    if (x->tenant != NULL && x->action == &x->tenant->fields.to)
        return sites_cursor(s, OBJECT_TENANT, x->tenant->object.ref.slot);
    return sites_cursor(s, OBJECT_DEFAULTS, x->defaults->object.ref.slot);
}

/* What of the request its endpoint depends on. */
static void read_keys(const struct exchange *x, struct balance_request *r)
{
    const struct service_policy *policy = &x->balanced->policy;
    struct route_request q = match_question(x);

    q.path = x->path;
    if (policy->balance == BALANCE_HASH)
        r->hash = balance_hash_of(policy, &q);
    if (policy->sticky.len > 0)
        r->sticky = balance_sticky_of(policy, &q);
}

static enum fault none(struct exchange *x, const struct balance_refusal *refusal)
{
    (void)x;
    (void)refusal;
    return FAULT_no_endpoint;
}

enum fault choose_endpoint(struct exchange *x)
{
    const struct service *s = x->balanced;
    struct balance_request r = { .service = s,
                                 .random = &x->w->random,
                                 .tried = x->retries.tried,
                                 .tried_count = x->retries.tried_count };
    struct balance_refusal refusal;
    const struct endpoint *e;

    if (s->schedule_count == 1 && s->endpoints[s->schedule[0]].state == NULL) {
        attempt_begin(x, &s->endpoints[s->schedule[0]]); /* alone, and nothing is known of it */
        return FAULT_NONE;
    }
    r.cursor = cursor(x);
    r.now_ms = loop_now_ms(&x->w->loop);
    if (s->prints != NULL)
        read_keys(x, &r);
    e = balance_choose(&r, &refusal);
    if (e == NULL)
        return none(x, &refusal);
    x->sticks = r.sticky != 0 && balance_sticky_id(s, e) == r.sticky;
    attempt_begin(x, e);
    return FAULT_NONE;
}
