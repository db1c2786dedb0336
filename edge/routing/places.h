/* places.h -- the places of an endpoint (max_conns): how many connections it may have from this edge, all
 * workers together, and who has them.
 *
 * A place is a connection's, from before it is opened until the endpoint has ended it too, busy or idle:
 * an endpoint that keeps a process for each connection sees no more than that. */
#ifndef ROUTING_PLACES_H
#define ROUTING_PLACES_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define PLACES_ANY UINT_MAX /* no limit */

/* What one worker has of them. */
struct places_lane {
    _Alignas(64) struct list idle; /* struct upstream, the newest first; that worker's alone */
    atomic_uint idle_count;        /* written by that worker; read by all */
};

struct state;
struct service_state;

struct places {
    struct list node;              /* of its service's; control's */
    struct state *state;           /* the endpoint's */
    struct service_state *service; /* in whose queue one waits for them */
    unsigned max;                  /* as records say; PLACES_ANY; control's */
    bool shared;                   /* with the cluster: control's */
    struct places_share {
        uint64_t told_ms; /* when the last answer was asked for */
        unsigned floor, want;
    } share;            /* control's (shares.c) */
    atomic_uint limit;  /* of this edge, now; written by control */
    atomic_uint open;   /* taken */
    atomic_uint idle;   /* of these, by idle upstreams of any worker */
    atomic_uint ending; /* of these, given up by us and not yet ended by the endpoint */
    unsigned lane_count;
    struct places_lane *lanes; /* of each worker */
};

static inline unsigned places_limit(const struct places *p)
{
    return atomic_load_explicit(&((struct places *)p)->limit, memory_order_relaxed);
}

static inline unsigned places_open(const struct places *p)
{
    return atomic_load_explicit(&((struct places *)p)->open, memory_order_relaxed);
}

static inline unsigned places_idle(const struct places *p, unsigned worker)
{
    return atomic_load_explicit(&((struct places *)p)->lanes[worker].idle_count,
                                memory_order_relaxed);
}

/* More than there may be, also when those have gone that are going? */
static inline bool places_are_over(const struct places *p)
{
    unsigned ending = atomic_load_explicit(&((struct places *)p)->ending, memory_order_relaxed);
    unsigned open = places_open(p);

    return open > ending && open - ending > places_limit(p);
}

/* Are all taken, and in use, as far as a glance tells? */
static inline bool places_are_full(const struct places *p)
{
    return places_open(p) >= places_limit(p) &&
           atomic_load_explicit(&((struct places *)p)->idle, memory_order_relaxed) == 0;
}

#endif
