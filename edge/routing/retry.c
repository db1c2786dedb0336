/* retry.c -- what may be tried again, and how often in all.
 *
 * Owns:    nothing; a budget lies with its service or worker.
 * Thread:  any.
 * Used by: proxy/retry.c.
 * Not here: where to (proxy/choose.c), the facts (proxy/retry.c). */
#include "routing/retry.h"

enum retry_reason retry_reason(const struct retry_facts *f)
{
    unsigned wanted = 0;
    enum retry_reason reason = RETRY_NO;

    /* A client that has something of one response cannot get another's beginning; and what may have
     * been done is done again only when that is as if it were done once, and all of it is here. */
    if (f->answered || (f->sent && (f->has_body || !f->idempotent)))
        return RETRY_NO;
    switch (f->fault) {
    case FAULT_NONE:
        wanted = retry_on_status(f->status);
        reason = RETRY_GATEWAY;
        break;
    case FAULT_connect_failed:
    case FAULT_connect_timeout:
    case FAULT_name_unresolved:
    case FAULT_endpoint_busy:
        wanted = RETRY_ON_CONNECT;
        reason = RETRY_CONNECT;
        break;
    case FAULT_response_closed:
        if (f->stale && !f->replaced) /* whatever is said: the endpoint has not failed */
            return RETRY_STALE;
        wanted = RETRY_ON_CLOSED;
        reason = RETRY_CLOSED;
        break;
    case FAULT_bad_response:
        wanted = RETRY_ON_CLOSED;
        reason = RETRY_CLOSED;
        break;
    default: /* of response_timeout, too: there is no time left */
        break;
    }
    return (f->on & wanted) != 0 ? reason : RETRY_NO;
}

/* --- the budget --- */

static unsigned read_count(atomic_uint *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static void forget(struct retry_budget *b, unsigned place)
{
    atomic_store_explicit(&b->requests[place], 0, memory_order_relaxed);
    atomic_store_explicit(&b->retries[place], 0, memory_order_relaxed);
}

/* The place of this second; the first who comes in it clears what is too old. */
static unsigned place_of(struct retry_budget *b, uint64_t now_ms)
{
    uint_fast64_t was = atomic_load_explicit(&b->second, memory_order_relaxed);
    uint64_t second = now_ms / 1000;

    if (second > was && atomic_compare_exchange_strong(&b->second, &was, second)) {
        forget(b, second & 1);
        if (second - was > 1)
            forget(b, ~second & 1);
    }
    return second & 1;
}

void retry_budget_count(struct retry_budget *b, uint64_t now_ms, unsigned requests)
{
    unsigned place = place_of(b, now_ms);

    atomic_fetch_add_explicit(&b->requests[place], requests, memory_order_relaxed);
}

bool retry_budget_take(struct retry_budget *b, uint64_t now_ms, unsigned percent)
{
    unsigned place = place_of(b, now_ms);
    uint64_t requests = (uint64_t)read_count(&b->requests[0]) + read_count(&b->requests[1]);
    uint64_t most = requests * percent / 100 + RETRY_BUDGET_FLOOR;
    unsigned other = read_count(&b->retries[!place]);

    if (percent == 0)
        return false;
    if (other + (uint64_t)atomic_fetch_add(&b->retries[place], 1) < most)
        return true;
    atomic_fetch_sub(&b->retries[place], 1);
    return false;
}
