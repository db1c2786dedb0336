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

static const struct endpoint *pick(struct exchange *x, struct balance_refusal *refusal)
{
    const struct service *s = x->balanced;
    struct balance_request r = { .service = s,
                                 .cursor = cursor(x),
                                 .random = &x->w->random,
                                 .now_ms = loop_now_ms(&x->w->loop),
                                 .tried = x->retries.tried,
                                 .tried_count = x->retries.tried_count };
    const struct endpoint *e;

    if (s->prints != NULL)
        read_keys(x, &r);
    e = balance_choose(&r, refusal);
    x->sets_cookie = e != NULL && s->policy.sticky.len > 0 && balance_sticky_id(s, e) != r.sticky;
    return e;
}

enum fault choose_endpoint(struct exchange *x)
{
    const struct service *s = x->balanced;
    struct balance_refusal refusal;
    const struct endpoint *e;

    if (s->schedule_count == 1 && s->endpoints[s->schedule[0]].state == NULL) {
        attempt_begin(x, &s->endpoints[s->schedule[0]]); /* alone, and nothing is known of it */
        return FAULT_NONE;
    }
    e = s->plain && x->retries.tried_count == 0
            ? balance_next_plain(s, cursor(x), loop_now_ms(&x->w->loop))
            : NULL;
    if (e == NULL)
        e = pick(x, &refusal);
    if (e == NULL)
        return FAULT_no_endpoint;
    attempt_begin(x, e);
    return FAULT_NONE;
}

/* --- of a service that is limited --- */

const struct endpoint *choose_with_room(struct exchange *x, bool *full)
{
    struct balance_refusal refusal;
    const struct endpoint *e = pick(x, &refusal);

    *full = e == NULL && refusal.why == PASSED_FULL;
    return e;
}

void choose_settled(struct exchange *x, const struct endpoint *e)
{
    const struct service *s = x->balanced;
    struct balance_request r = { .service = s };

    if (s->policy.sticky.len == 0)
        return;
    read_keys(x, &r);
    x->sets_cookie = balance_sticky_id(s, e) != r.sticky;
}

static bool is_well(const struct endpoint *e, uint64_t now_ms)
{
    enum passed_over out = endpoint_is_out(e, now_ms);

    return endpoint_weight(e) > 0 && (out == PASSED_NOT || out == PASSED_FULL);
}

enum choose_among choose_among(const struct service *s, uint64_t now_ms)
{
    enum choose_among among = CHOOSE_NOBODY;

    for (uint32_t i = 0; i < s->endpoint_count; i++) {
        const struct endpoint *e = &s->endpoints[i];

        if (is_well(e, now_ms) && endpoint_rota(s, e) != ROTA_BACKUP)
            return CHOOSE_WELL;
        if (is_well(e, now_ms))
            among = CHOOSE_BACKUPS;
        else if (endpoint_weight(e) > 0 && among == CHOOSE_NOBODY)
            among = CHOOSE_ANY;
    }
    return among;
}

bool choose_may(const struct service *s, const struct endpoint *e, enum choose_among among,
                uint64_t now_ms)
{
    switch (among) {
    case CHOOSE_WELL:
        return is_well(e, now_ms) && endpoint_rota(s, e) != ROTA_BACKUP;
    case CHOOSE_BACKUPS:
        return is_well(e, now_ms);
    case CHOOSE_ANY:
        return endpoint_weight(e) > 0;
    case CHOOSE_NOBODY:
        break;
    }
    return false;
}

struct str choose_cookie(const struct exchange *x, char to[STICKY_TEXT_SIZE])
{
    return balance_sticky_text(balance_sticky_id(x->balanced, x->endpoint), to);
}
