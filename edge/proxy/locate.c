/* locate.c -- endpoints that are unix sockets or names, or speak FastCGI, on their way to the pool.
 *
 * Owns:    who waits for a name.
 * Thread:  its worker.
 * Used by: exchange.c (connecting), worker.c (mail).
 * Not here: resolving (control/names.c); plain addresses, which need none of this (exchange.c). */
#include "proxy/locate.h"

#include "proxy/exchange_steps.h"
#include "proxy/upstream_protocol.h"
#include "proxy/worker_state.h"
#include "routing/endpoint.h"
#include "routing/name_state.h"

#define ADDRESSES_TRIED_MOST 8

static void wait_for_next(struct worker *w)
{
    struct locate_waits *waits = &w->locate_waits;
    uint64_t now = loop_now_ms(&w->loop);
    struct exchange *oldest;

    if (list_is_empty(&waits->exchanges)) {
        timer_stop(&waits->timer);
        return;
    }
    oldest = LIST_ITEM(waits->exchanges.next, struct exchange, waiter.node);
    timer_set(&w->loop, &waits->timer,
              oldest->locating.until_ms > now ? oldest->locating.until_ms - now : 1);
}

/* All have waited for as long as one may, in the order in which they began. */
static void on_timer(struct timer *t)
{
    struct worker *w = LIST_ITEM(t, struct worker, locate_waits.timer);
    uint64_t now = loop_now_ms(&w->loop);

    while (!list_is_empty(&w->locate_waits.exchanges)) {
        struct exchange *x =
            LIST_ITEM(w->locate_waits.exchanges.next, struct exchange, waiter.node);

        if (x->locating.until_ms > now)
            break;
        list_remove(&x->waiter.node);
        exchange_fault(x, FAULT_name_unresolved);
    }
    wait_for_next(w);
}

void locate_init(struct worker *w)
{
    list_init(&w->locate_waits.exchanges);
    timer_init(&w->locate_waits.timer, on_timer);
}

void locate_names_changed(struct worker *w)
{
    struct list looking;
    struct list *node;

    list_init(&looking);
    list_move_all(&looking, &w->locate_waits.exchanges);
    while ((node = list_take_first(&looking)) != NULL)
        exchange_run(LIST_ITEM(node, struct exchange, waiter.node));
    wait_for_next(w);
}

/* In the order of their time limits: those that looked in vain come back before any that is new. */
static void wait_for_name(struct exchange *x)
{
    struct worker *w = x->w;

    if (x->locating.until_ms == 0)
        x->locating.until_ms = loop_now_ms(&w->loop) + w->settings->connect_timeout_ms;
    list_append(&w->locate_waits.exchanges, &x->waiter.node);
    if (!timer_is_set(&w->locate_waits.timer))
        wait_for_next(w);
}

/* The next of its addresses, each attempt another; false: it has none (yet). */
static bool address_of_name(struct exchange *x, struct address *to, enum fault *fault)
{
    const struct name_state *name = x->endpoint->options->resolved;

    if (x->locating.tried == 0)
        x->locating.at = x->w->next_address++;
    if (name_pick(name, x->locating.at + x->locating.tried, x->endpoint->address.v4.sin_port, to))
        return true;
    if (atomic_load_explicit(&name->failed, memory_order_acquire))
        *fault = FAULT_name_unresolved;
    else
        wait_for_name(x);
    return false;
}

static struct pool_bucket *hold(struct worker *w, const struct endpoint *e,
                                const struct address *address)
{
    const struct endpoint_options *o = e->options;
    struct pool_variant variant = { .protocol = &upstream_http1 };

    if (o != NULL && o->protocol == PROTOCOL_FASTCGI)
        variant.protocol = &upstream_fastcgi;
    if (o != NULL)
        variant.unix_path = o->unix_path;
    if (variant.protocol == &upstream_http1 && variant.unix_path.ptr == NULL)
        return upstream_pool_hold(&w->pool, address, NULL);
    return upstream_pool_hold(&w->pool, address, &variant);
}

struct pool_bucket *locate_bucket(struct exchange *x, enum fault *fault)
{
    struct address address = x->endpoint->address;

    *fault = FAULT_NONE;
    if (endpoint_is_named(x->endpoint) && !address_of_name(x, &address, fault))
        return NULL;
    return hold(x->w, x->endpoint, &address);
}

struct pool_bucket *locate_adopted(struct worker *w, const struct endpoint *e)
{
    return hold(w, e, &e->address);
}

bool locate_another(struct exchange *x, enum fault fault)
{
    const struct endpoint *e = x->endpoint;
    unsigned count;

    if (e->options == NULL || !endpoint_is_named(e) || x->balanced->limited ||
        (fault != FAULT_connect_failed && fault != FAULT_connect_timeout &&
         fault != FAULT_endpoint_forbidden))
        return false;
    count = name_count(e->options->resolved);
    if (count > ADDRESSES_TRIED_MOST)
        count = ADDRESSES_TRIED_MOST;
    return ++x->locating.tried < count;
}
