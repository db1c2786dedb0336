/* attempt.c -- attempts begun and ended; who is told how they went.
 *
 * Owns:    nothing beside the exchange.
 * Thread:  its worker.
 * Used by: choose.c (begins), exchange.c, exchange_relay.c and retry.c (end).
 * Not here: which endpoint (choose.c); the connection (upstream.c); the next attempt (retry.c). */
#include "proxy/attempt.h"

#include "base/check.h"
#include "base/clock.h"
#include "proxy/hedge.h"
#include "proxy/outlier.h"
#include "proxy/queue.h"
#include "proxy/retry.h"
#include "proxy/worker_state.h"

/* Of an endpoint that something is known of; of the others there is nothing to tell, and most have
 * nothing: what follows is kept out of their way. */
static __attribute__((noinline)) void watch(struct exchange *x)
{
    const struct outlier_policy *policy = &x->balanced->policy.outlier;

    x->attempt.trial = x->trial;
    x->trial = x->attempt.excused = x->attempt.stale = false;
    x->attempt.status = 0;
    x->attempt.begun_ns = policy->latency_ms + policy->latency_percent > 0 ? clock_now_ns() : 0;
    if (x->balanced->counts_active) {
        x->attempt.counted = x->endpoint->state;
        atomic_fetch_add_explicit(&x->endpoint->state->active, 1, memory_order_relaxed);
    }
    if (x->retries.tried_count > 0)
        return;
    x->retries.begun_ms = loop_now_ms(&x->w->loop);
    if (x->service != NULL && x->service->policy.hedge_ms > 0 && x->hedge == NULL)
        hedge_begin(x);
    retry_count_request(x);
}

void attempt_begin(struct exchange *x, const struct endpoint *e)
{
    CHECK(!x->attempt.on);
    x->endpoint = e;
    x->locating = (struct locating){ 0 };
    x->attempt.on = true;
    x->attempt.replaced = false;
    x->attempt.watched = e->state != NULL;
    if (x->attempt.watched)
        watch(x);
}

bool attempt_answered(struct exchange *x)
{
    if (x->attempt.status != 0) /* of another exchange's attempt, which has told already */
        return true;
    x->attempt.status = x->response.status;
    outlier_answered(x);
    if (x->balanced->policy.health != NULL)
        health_heard(x->endpoint->state, loop_now_ms(&x->w->loop));
    if (retry_on_status(x->attempt.status) != 0 && retry_instead(x))
        return false;
    if (x->hedge != NULL)
        hedge_over(x);
    return true;
}

/* --- the breaker of its service --- */

bool attempt_ask_circuit(struct exchange *x)
{
    uint64_t wait_ms;
    enum breaker_say say = breaker_ask(&x->service->state->breaker, &x->service->policy.breaker,
                                       loop_now_ms(&x->w->loop), &wait_ms);

    x->trial = say == BREAKER_TRIAL;
    return say != BREAKER_REFUSE;
}

void attempt_drop_trial(struct exchange *x)
{
    x->trial = false;
    breaker_untell(&x->service->state->breaker);
}

uint64_t attempt_circuit_wait_s(const struct exchange *x)
{
    uint64_t until = atomic_load(&x->service->state->breaker.until_ms);
    uint64_t now = loop_now_ms(&x->w->loop);

    return until > now ? (until - now + 999) / 1000 : 1;
}

static void tell_circuit(struct exchange *x, enum fault fault)
{
    struct breaker *b = &x->service->state->breaker;
    const struct breaker_policy *policy = &x->service->policy.breaker;
    bool failed = fault != FAULT_NONE || retry_on_status(x->attempt.status) != 0;

    if (x->attempt.excused || (fault != FAULT_NONE && fault_row(fault)->blame != BLAME_ENDPOINT)) {
        if (x->attempt.trial)
            breaker_untell(b);
        return;
    }
    switch (breaker_tell(b, policy, x->attempt.trial, failed, loop_now_ms(&x->w->loop))) {
    case BREAKER_OPENED:
        counter_add(&x->w->counters->breakers_opened, 1);
        log_line(LOG_WARN, "circuit_open", "service=%s", x->service->name);
        break;
    case BREAKER_CLOSED:
        log_line(LOG_INFO, "circuit_closed", "service=%s", x->service->name);
        break;
    case BREAKER_AS_IT_WAS:
        break;
    }
}

static void count_off(struct attempt *a)
{
    if (a->counted != NULL)
        atomic_fetch_sub_explicit(&a->counted->active, 1, memory_order_relaxed);
    a->counted = NULL;
}

static __attribute__((noinline)) void tell(struct exchange *x, enum fault fault)
{
    count_off(&x->attempt);
    if (x->attempt.place != NULL)
        queue_drop(x);
    outlier_judge(x, fault);
    if (x->service != NULL && x->service->policy.breaker.percent > 0)
        tell_circuit(x, fault);
}

void attempt_over(struct exchange *x, enum fault fault)
{
    CHECK(x->attempt.on);
    x->attempt.on = false;
    if (x->attempt.watched)
        tell(x, fault);
}

void attempt_to_tunnel(struct exchange *x, struct attempt *to)
{
    *to = (struct attempt){ .on = true, .counted = x->attempt.counted };
    x->attempt.counted = NULL;
    attempt_over(x, FAULT_NONE);
}

void attempt_tunnel_over(struct attempt *a)
{
    CHECK(a->on);
    a->on = false;
    count_off(a);
}
