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

static void count_off(struct attempt *a)
{
    if (a->counted != NULL)
        atomic_fetch_sub_explicit(&a->counted->active, 1, memory_order_relaxed);
    a->counted = NULL;
}

void attempt_over(struct exchange *x, enum fault fault)
{
    (void)fault;
    CHECK(x->attempt.on);
    x->attempt.on = false;
    count_off(&x->attempt);
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
