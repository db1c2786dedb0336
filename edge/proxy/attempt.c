/* attempt.c -- attempts begun and ended.
 *
 * Owns:    nothing beside the exchange.
 * Thread:  its worker.
 * Used by: choose.c (begins), exchange.c and exchange_relay.c (end).
 * Not here: which endpoint (choose.c); the connection (upstream.c). */
#include "proxy/attempt.h"

#include "base/check.h"

void attempt_begin(struct exchange *x, const struct endpoint *e)
{
    CHECK(!x->attempt.on);
    x->endpoint = e;
    x->attempt.on = true;
    if (x->balanced->counts_active) {
        x->attempt.counted = e->state;
        atomic_fetch_add_explicit(&e->state->active, 1, memory_order_relaxed);
    }
}

void attempt_over(struct exchange *x, enum fault fault)
{
    (void)fault;
    CHECK(x->attempt.on);
    x->attempt.on = false;
    if (x->attempt.counted != NULL)
        atomic_fetch_sub_explicit(&x->attempt.counted->active, 1, memory_order_relaxed);
    x->attempt.counted = NULL;
}
