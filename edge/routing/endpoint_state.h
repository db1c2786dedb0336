/* endpoint_state.h -- what this edge knows of an endpoint, a service or a tenant beside its records:
 * shared by all threads, kept by name and never by position.
 *
 * Compiled objects point here and come and go; a state stays as long as one object refers to it, so a
 * change of a record loses nothing of it. Control makes states, counts who refers to them, and frees
 * them; whoever has pinned the object may read and write their atomics. */
#ifndef ROUTING_ENDPOINT_STATE_H
#define ROUTING_ENDPOINT_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "base/str.h"
#include "base/token_bucket.h"
#include "routing/limits.h"
#include "routing/rate_lease.h"
#include "base/wait_queue.h"
#include "routing/places.h"
#include "routing/breaker.h"
#include "routing/retry.h"

enum state_kind { STATE_ENDPOINT, STATE_SERVICE, STATE_TENANT, STATE_NAME, STATE_KINDS };

struct name_state;

struct states {
    struct map maps[STATE_KINDS];
    struct list lingering; /* struct state: no object refers to it, but connections or workers do */
    struct list limited;   /* struct service_state: those with a queue */
    unsigned lane_count;   /* workers */
    /* A name (name_state.h) is used for the first time, or no more and about to be freed. NULL: nobody
     * wants to know. */
    void (*on_name)(void *owner, struct name_state *name, bool used);
    void *owner;
};

/* In front of each. Control's. */
struct state {
    struct states *states;
    enum state_kind kind;
    uint32_t uses; /* by objects, and by other states */
    /* Workers that use it beyond the objects they have pinned: it outlives these. */
    atomic_uint holds;
    struct list lingering;
    uint64_t hash;
    size_t key_len;
    char *key;
};

/* Of one endpoint of one service; of all that unnamed lists with several endpoints have. */
struct endpoint_state {
    struct state state; /* first */

    /* balancing */
    atomic_uint active;        /* attempts under way, on all workers: service.counts_active */
    _Atomic uint64_t added_ms; /* to a service that was there before; 0: with it */

    /* health checks (routing/health.h), in ms as loop_now_ms has them. Control's: */
    _Atomic uint64_t down_ms; /* its checks fail since; 0: it is up, or nothing is known */
    _Atomic uint64_t up_ms;   /* when it was found up again the last time; 0: it never was down */
    /* Workers': */
    _Atomic uint64_t heard_ms; /* it answered a request; kept while its service is checked */

    /* outliers and retries, see outlier.h */
    struct outlier_state {
        atomic_uint_fast64_t until_ms; /* ejected until then */
        atomic_uint trouble;           /* 0: nothing below is to be looked at when all goes well */
        atomic_uint failures;          /* one after the other, and gateway errors */
        atomic_uint gateway_errors;
        atomic_uint ejections; /* how often of late: each lasts longer than the one before */
        atomic_uint reason;    /* of the last, enum outlier_reason */
        atomic_uint latency_us, latency_samples; /* smoothed; where a service asks for it */
    } outlier;

    /* max_conns */
    struct places *places; /* NULL: it never had a limit; else as long as the state */
};

struct service_state {
    struct state state; /* first */

    /* balancing */

    /* retries */
    struct retry_budget retries;
    struct breaker breaker;

    /* max_conns */
    struct wait_queue *queue; /* NULL: none of its endpoints ever had a limit */
    struct list limited_node;
    struct list places;     /* struct places, of its endpoints; control's */
    uint64_t shares_due_ms; /* control's (shares.c) */
    unsigned shares_asked;
};

struct tenant_state {
    struct state state; /* first */

    /* limits. Requests under way have pinned an object that refers here; connections have not, nor a question
     * to Redis, and hold it back. */
    atomic_uint conns;    /* whose last request was this one's */
    atomic_uint requests; /* under way */
    struct token_bucket rate, bytes;
    _Atomic uint32_t mean_bytes; /* of its requests' bodies, both ways */
    _Atomic uint64_t refused[LIMIT_KINDS];
    struct rate_lease lease;
};

struct object;
struct service;
struct site;

static inline void state_hold(struct state *s)
{
    atomic_fetch_add_explicit(&s->holds, 1, memory_order_relaxed);
}

/* The state may be gone when this returns. */
static inline void state_let_go(struct state *s)
{
    atomic_fetch_sub_explicit(&s->holds, 1, memory_order_release);
}

void states_init(struct states *s);
void states_free(struct states *s); /* no object refers to any */

/* From now on told of names; first of all there are. */
void states_tell_names(struct states *s,
                       void (*on_name)(void *owner, struct name_state *name, bool used),
                       void *owner);

/* The object was just compiled: what it holds finds its state. Undone by object_free. */
void states_attach(struct states *s, struct object *object);
void states_detach(struct object *object);

/* The same of a site that counts by itself, and is the record's of this host alone. */
bool states_wants_own(const struct site *site);
void states_attach_host(struct states *s, struct site *site, struct str host);
/* The state of a site without one, made when it is first needed; any worker that has pinned the site. */
struct tenant_state *states_of_site(struct states *s, struct site *site);

/* Calls `each` with every tenant's state that has a name, and every host's ("host shop.example"). */
void states_each_tenant(struct states *s, void (*each)(void *owner, struct tenant_state *state),
                        void *owner);

#endif
