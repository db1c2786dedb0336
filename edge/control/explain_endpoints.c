/* explain_endpoints.c -- what share of the requests each endpoint has, or why it is out; and which one
 * this request gets, where that depends on the request.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: explain.c.
 * Not here: the choice (routing/balance.c).  */
#include "control/explain_endpoints.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "control/explain_records.h"
#include "routing/balance.h"
#include "routing/balance_key.h"
#include "routing/endpoint.h"
#include "store/endpoints.h"

static struct str balanced_by(struct explanation *e, const struct service_policy *p)
{
    static const char *const by[] = { "client", "path", "header:", "cookie:" };

    if (p->balance != BALANCE_HASH)
        return STR("");
    return explain_print(e, "%s" STR_FMT, by[p->hash_by], STR_ARG(p->hash_name));
}

/* By hash or cookie; NULL: it depends on more than the request. */
static const struct endpoint *find_chosen(struct balance_request *r, const struct route_request *q)
{
    const struct service *s = r->service;
    struct balance_refusal refusal;
    const struct endpoint *chosen;
    struct random random;
    uint32_t cursor = 0;

    if (s->prints == NULL)
        return NULL;
    random_init(&random);
    r->random = &random;
    r->cursor = &cursor;
    r->hash = balance_hash_of(&s->policy, q);
    r->sticky = balance_sticky_of(&s->policy, q);
    chosen = balance_choose(r, &refusal);
    if (chosen == NULL || s->policy.balance == BALANCE_HASH ||
        (r->sticky != 0 && balance_sticky_id(s, chosen) == r->sticky))
        return chosen;
    return NULL;
}

/* What its checks say, in place of a plain word where they are why it is out. */
static void say_health(struct explanation *e, const struct explain_source *source,
                       const struct service *service, enum passed_over out,
                       struct explained_endpoint *seen)
{
    struct buf says = { 0 };

    if (source->health != NULL)
        source->health(source->owner, str_from(service->name), seen->address, &says);
    seen->health = STR("");
    if (says.len > 0 && out == PASSED_HEALTH)
        seen->out = arena_copy(&e->arena, str_slice(says.ptr, says.len));
    else if (says.len > 0)
        seen->health = arena_copy(&e->arena, str_slice(says.ptr, says.len));
    buf_free(&says);
}

static struct str say_ejection(struct explanation *e, struct outlier_state *o, uint64_t now_ms)
{
    uint64_t until = atomic_load(&o->until_ms);

    return explain_print(e, "ejected for %llu s more: %s",
                         (unsigned long long)(until > now_ms ? (until - now_ms + 999) / 1000 : 0),
                         outlier_reason_name((enum outlier_reason)atomic_load(&o->reason)));
}

static struct str why_out(struct explanation *e, const struct explain_source *source,
                          const struct endpoint *from, enum passed_over out, uint64_t now_ms)
{
    enum guard_verdict judged = endpoint_verdict(source->guard, from);

    if (judged != GUARD_ALLOWED)
        return explain_print(e, "endpoint_forbidden: expected %s", guard_expects(judged));
    if (out == PASSED_EJECTED)
        return say_ejection(e, &from->state->outlier, now_ms);
    return str_from(passed_over_text(out));
}

/* With the options that say how it is spoken to. */
static struct str say_whole(struct explanation *e, const struct endpoint *from)
{
    struct buf text = { 0 };
    struct str kept;

    endpoint_say(from, &text);
    kept = arena_copy(&e->arena, str_slice(text.ptr, text.len));
    buf_free(&text);
    return kept;
}

/* Of a service that is limited. */
static void say_queue(struct explanation *e, const struct service *service)
{
    bool shared = service->policy.max_conns_of == MAX_CONNS_OF_CLUSTER;

    e->queue =
        explain_print(e, "at most %u wait for a connection, for %g s at most; max_conns is %s",
                      service_queue(service), service_queue_ms(service) / 1000.0,
                      shared ? "that of all edges together" : "each edge's");
}

bool explain_endpoints(struct explanation *e, const struct explain_source *source,
                       const struct service *service, const struct route_request *q)
{
    static const char *const send_proxy[] = { "", "v1", "v2" };
    enum passed_over *out = check_alloc((service->endpoint_count + 1) * sizeof(*out));
    uint64_t *weights = check_alloc((service->endpoint_count + 1) * sizeof(*weights)), total = 0;
    struct balance_request r = { .service = service, .now_ms = clock_now_ms() };
    const struct endpoint *chosen;
    bool may_wait = false;

    if (source->know != NULL && service->name[0] != '\0')
        source->know(source->owner, service);
    chosen = find_chosen(&r, q);
    e->panic = balance_explain(&r, out, weights);
    for (uint32_t i = 0; i < service->endpoint_count; i++)
        total += weights[i];
    for (uint32_t i = 0; i < service->endpoint_count; i++) {
        const struct endpoint *from = &service->endpoints[i];
        unsigned max = service_max_conns(service, from);
        char text[ENDPOINT_TEXT_SIZE];
        struct explained_endpoint seen = {
            .address = arena_copy(&e->arena, str_from(endpoint_text(from, text))),
            .out = why_out(e, source, from, out[i], r.now_ms),
            .weight = from->weight,
            .share = total > 0 ? (double)weights[i] / (double)total : 0,
            .chosen = from == chosen,
            .max_conns = max != PLACES_ANY ? max : 0,
        };

        say_health(e, source, service, out[i], &seen);
        seen.address = say_whole(e, from);
        if (seen.chosen)
            seen.out = STR(""); /* it drains, perhaps, but not for this client */
        explain_add(e, endpoints, seen);
        may_wait = may_wait || out[i] == PASSED_FULL;
    }
    e->send_proxy = send_proxy[service->policy.send_proxy];
    e->balance = balance_words[service->policy.balance];
    e->hash_by = balanced_by(e, &service->policy);
    e->sticky = arena_copy(&e->arena, service->policy.sticky);
    if (service->limited)
        say_queue(e, service);
    free(out);
    free(weights);
    return total > 0 || chosen != NULL || may_wait;
}
