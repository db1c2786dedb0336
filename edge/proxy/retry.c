/* retry.c -- the facts of an attempt that failed, and the way to the next one.
 *
 * Owns:    nothing beside the exchange.
 * Thread:  its worker.
 * Used by: exchange.c, exchange_relay.c, attempt.c.
 * Not here: whether it is safe (routing/retry.c, one function); where to (choose.c). */
#include "proxy/retry.h"

#include "http/parser.h"
#include "proxy/attempt.h"
#include "proxy/exchange_steps.h"
#include "proxy/locate.h"
#include "proxy/hedge.h"
#include "proxy/match.h"
#include "proxy/upstream.h"
#include "proxy/worker_state.h"
#include "routing/availability.h"

#define SAMPLE 16 /* one of so many requests is counted, for all of them */

static struct retry_budget *budget_of(struct exchange *x)
{
    return x->service != NULL && x->service->state != NULL ? &x->service->state->retries
                                                           : &x->w->retries;
}

void retry_count_request(struct exchange *x)
{
    /* By lot: a count that all workers write to at each request would be the dearest thing in it. */
    if (random_next(&x->w->random) % SAMPLE == 0)
        retry_budget_count(budget_of(x), loop_now_ms(&x->w->loop), SAMPLE);
}

uint32_t retry_time_left(const struct exchange *x)
{
    uint64_t took = loop_now_ms(&x->w->loop) - x->retries.begun_ms;

    return took < x->timeout_ms ? x->timeout_ms - (uint32_t)took : 0;
}

static bool was_tried(const struct exchange *x, const struct endpoint *e)
{
    for (unsigned i = 0; i < x->retries.tried_count; i++)
        if (x->retries.tried[i] == e)
            return true;
    return e == x->endpoint;
}

static bool has_another(const struct exchange *x)
{
    uint64_t now = loop_now_ms(&x->w->loop);

    for (uint32_t i = 0; i < x->balanced->endpoint_count; i++) {
        const struct endpoint *e = &x->balanced->endpoints[i];

        if (endpoint_weight(e) > 0 && endpoint_is_out(e, now) == PASSED_NOT && !was_tried(x, e))
            return true;
    }
    return false;
}

/* Another endpoint, time, and the right to: none of it is used up when the answer is no. */
static bool may_go_elsewhere(struct exchange *x)
{
    uint64_t now = loop_now_ms(&x->w->loop);

    if (x->retries.tried_count >= match_retries(x) || retry_time_left(x) == 0 || !has_another(x))
        return false;
    if (retry_budget_take(budget_of(x), now, retry_budget_of(&x->balanced->policy.retry)))
        return true;
    counter_add(&x->w->counters->retries_refused, 1);
    return false;
}

static enum retry_reason reason_of(const struct exchange *x, enum fault fault, bool stale)
{
    struct retry_facts facts = {
        .fault = fault,
        .status = x->response.status,
        .on = retry_on_of(&x->balanced->policy.retry),
        .sent = x->retries.sent || x->step != STEP_CONNECT,
        .has_body = x->request.body != BODY_NONE || x->request_framing != FRAMED_AS_READ,
        .idempotent = parser_method_is_idempotent(x->request.method),
        .answered = x->response_begun || x->interim_heads > 0,
        .stale = stale,
        .replaced = x->balanced->limited ? x->retries.stale_count > 0 : x->attempt.replaced,
    };

    return retry_reason(&facts);
}

bool retry_may_hedge(struct exchange *x)
{
    uint64_t now = loop_now_ms(&x->w->loop);

    if (x->retries.tried_count + 1 >= RETRY_TRIED_MOST || retry_time_left(x) == 0 ||
        !has_another(x))
        return false;
    if (!retry_budget_take(budget_of(x), now, retry_budget_of(&x->balanced->policy.retry))) {
        counter_add(&x->w->counters->retries_refused, 1);
        return false;
    }
    counter_add(&x->w->counters->retries[RETRY_HEDGE], 1);
    x->retries.hedged = true;
    return true;
}

/* The attempt at hand is over, and its endpoint is not asked again. */
static void go_elsewhere(struct exchange *x, enum fault fault, enum retry_reason reason)
{
    struct retries *r = &x->retries;

    x->attempt.excused = true;
    attempt_over(x, fault);
    r->tried[r->tried_count++] = x->endpoint;
    r->fault = fault;
    counter_add(&x->w->counters->retries[reason], 1);
    x->step = STEP_CHOOSE;
}

bool retry(struct exchange *x, enum fault fault, bool stale)
{
    enum retry_reason reason = reason_of(x, fault, stale);

    if (locate_another(x, fault)) { /* the same attempt, at another address of its endpoint */
        x->step = STEP_CONNECT;
        return true;
    }
    x->attempt.stale = stale;
    x->retries.sent |= x->step != STEP_CONNECT;
    if (reason == RETRY_STALE) { /* the same attempt: its endpoint has not failed */
        x->attempt.replaced = true;
        x->retries.stale_count++;
        counter_add(&x->w->counters->retries[RETRY_STALE], 1);
        x->step = STEP_CONNECT;
        if (x->balanced->limited) { /* its place is lost: another must be got */
            x->attempt.excused = true;
            attempt_over(x, fault);
            x->step = STEP_CHOOSE;
        }
        return true;
    }
    if (x->hedge != NULL && hedge_goes_on(x, fault))
        return true;
    if (reason == RETRY_NO || !may_go_elsewhere(x)) {
        attempt_over(x, fault);
        return false;
    }
    go_elsewhere(x, fault, reason);
    return true;
}

bool retry_instead(struct exchange *x)
{
    if (reason_of(x, FAULT_NONE, false) == RETRY_NO)
        return false;
    if (hedge_is_rival(x))
        return hedge_declines(x);
    if (x->hedge != NULL && hedge_goes_on(x, FAULT_NONE))
        return true;
    if (!may_go_elsewhere(x))
        return false;
    upstream_close(x->upstream);
    x->upstream = NULL;
    x->retries.sent = true;
    go_elsewhere(x, FAULT_NONE, RETRY_GATEWAY);
    exchange_run(x);
    return true;
}
