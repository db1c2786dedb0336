/* health.h -- how the endpoints of a service are checked, and whether one is known to be down.
 *
 * Checking is control's (control/health.h). Its word stands in the states of endpoints and services;
 * whoever chooses an endpoint reads it here. */
#ifndef ROUTING_HEALTH_H
#define ROUTING_HEALTH_H

#include "routing/endpoint_state.h"

enum health_kind { HEALTH_UNSAID, HEALTH_OFF, HEALTH_TCP, HEALTH_HTTP };

#define HEALTH_RANGES_MAX 16
struct health_range {
    uint16_t from, to; /* statuses */
};

/* Of the endpoints' weight, in percent: a service of three with two down does not panic. */
#define HEALTH_PANIC 20

/* The fields health... of usher:service:. Its texts are named in health_texts (compile_parts.c). */
struct health_policy {
    enum health_kind kind; /* as said; health_kind_of tells what it comes to */
    bool path_said;
    bool wanted;             /* something was said of checks, not of a panic alone */
    struct str path, method; /* of an HTTP check; path with its query */
    struct str host;         /* len 0: the endpoint's address */
    struct str status;       /* as written: "200-399" */
    struct health_range ranges[HEALTH_RANGES_MAX]; /* what that says */
    uint32_t range_count;
    struct str body; /* a text that the body must hold; len 0: any body will do */
    uint32_t interval_ms, timeout_ms;
    uint32_t fast_ms; /* between checks while a change is being made sure of; 0: not said */
    uint32_t rise, fall;
    uint16_t port;  /* 0: the endpoint's own */
    uint32_t panic; /* percent; 0: never */
};

/* NULL: nothing was said of it. HEALTH_OFF, HEALTH_TCP or HEALTH_HTTP. */
static inline enum health_kind health_kind_of(const struct health_policy *p)
{
    if (p == NULL)
        return HEALTH_OFF;
    if (p->kind != HEALTH_UNSAID)
        return p->kind;
    return p->path_said ? HEALTH_HTTP : HEALTH_OFF;
}

/* down_ms of an endpoint that answers its checks, but not as it should: that requests are answered
 * all the same is no news. */
#define HEALTH_REFUSES UINT64_MAX

/* What this edge has heard from an endpoint itself, since its checks began to fail, counts for so
 * long more than what is said of it. */
#define HEALTH_TRUST_MS 10000u
#define HEALTH_HEARD_MS 250u /* heard_ms is written so seldom */

/* `now_ms`: as loop_now_ms has it. */
static inline bool health_is_down(const struct endpoint_state *s, uint64_t now_ms)
{
    uint64_t down = atomic_load_explicit(&s->down_ms, memory_order_relaxed), heard;

    if (__builtin_expect(down == 0, 1))
        return false;
    heard = atomic_load_explicit(&s->heard_ms, memory_order_relaxed);
    return heard <= down || now_ms > heard + HEALTH_TRUST_MS;
}

/* It has answered a request. */
static inline void health_heard(struct endpoint_state *s, uint64_t now_ms)
{
    if (now_ms > atomic_load_explicit(&s->heard_ms, memory_order_relaxed) + HEALTH_HEARD_MS)
        atomic_store_explicit(&s->heard_ms, now_ms, memory_order_relaxed);
}

#endif
