/* places.c -- how many connections an endpoint has: exact over all workers, by one atomic.
 *
 * Giving back and waiting meet without a lock: who gives back counts first and looks for waiters then,
 * who waits is counted first and looks for places then (both sequentially consistent), so that one of
 * them sees the other.
 *
 * Owns:    idle upstreams that have a place.
 * Thread:  any worker.
 * Used by: queue.c, upstream.c.
 * Not here: who waits (queue.c); how many there may be (control/shares.c, routing/endpoint_state.c). */
#include "proxy/places.h"

#include "base/check.h"
#include "proxy/queue.h"
#include "proxy/upstream.h"
#include "proxy/worker_state.h"

bool places_take(struct places *p)
{
    unsigned open = atomic_load(&p->open);

    do {
        if (open >= atomic_load(&p->limit))
            return false;
    } while (!atomic_compare_exchange_weak(&p->open, &open, open + 1));
    /* Who lowers the limit looks behind it at how many are open: one of us sees the other. */
    if (open >= atomic_load(&p->limit)) {
        atomic_fetch_sub(&p->open, 1);
        return false;
    }
    state_hold(p->state);
    return true;
}

static bool has_waiters(const struct places *p)
{
    return atomic_load(&p->service->queue->waiting) > 0;
}

void places_give(struct worker *w, struct places *p)
{
    CHECK(atomic_fetch_sub(&p->open, 1) > 0);
    if (has_waiters(p))
        queue_serve(w, p->service);
    state_let_go(p->state);
}

void places_keep(struct upstream *u)
{
    struct places_lane *lane = &u->place->lanes[u->w->index];

    list_prepend(&lane->idle, &u->node);
    atomic_fetch_add_explicit(&u->place->idle, 1, memory_order_relaxed);
    atomic_fetch_add(&lane->idle_count, 1);
}

void places_put(struct upstream *u)
{
    struct worker *w = u->w;
    struct places *p = u->place;

    if (w->pool.closing || places_are_over(p) || (w->handed_over && !has_waiters(p))) {
        upstream_close(u);
        return;
    }
    places_keep(u);
    if (has_waiters(p))
        queue_serve(w, p->service);
}

void places_remove(struct upstream *u)
{
    if (list_is_empty(&u->node))
        return;
    list_remove(&u->node);
    atomic_fetch_sub_explicit(&u->place->idle, 1, memory_order_relaxed);
    atomic_fetch_sub(&u->place->lanes[u->w->index].idle_count, 1);
}

struct upstream *places_take_idle(struct worker *w, struct places *p)
{
    struct places_lane *lane = &p->lanes[w->index];
    struct upstream *u;

    if (list_is_empty(&lane->idle))
        return NULL;
    u = LIST_ITEM(lane->idle.next, struct upstream, node);
    places_remove(u);
    return u;
}

static struct upstream *first_to_trim(struct worker *w, const struct service_state *service)
{
    LIST_EACH (node, after, &w->placed) {
        struct upstream *u = LIST_ITEM(node, struct upstream, place_node);

        if (u->state == UPSTREAM_IDLE && !list_is_empty(&u->node) &&
            (service == NULL || u->place->service == service) &&
            (places_are_over(u->place) || w->handed_over)) /* then another edge needs it */
            return u;
    }
    return NULL;
}

void places_trim(struct worker *w, const struct service_state *service)
{
    struct upstream *u;

    while ((u = first_to_trim(w, service)) != NULL) /* closing may change the list */
        upstream_close(u);
}

void places_close_all(struct worker *w)
{
    CHECK(w->pool.closing);
    while (!list_is_empty(&w->placed))
        upstream_cut(LIST_ITEM(w->placed.next, struct upstream, place_node));
}
