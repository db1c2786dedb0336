/* object.h -- what every compiled thing (site, tenant, service) has in front.
 *
 * Compiled objects are immutable from the moment they are published, and are shared by all workers.
 * They name each other by slot: an index into each worker's table of that kind. Control gives out
 * slots and frees objects; a worker pins what an exchange uses with plain counters of its own. */
#ifndef ROUTING_OBJECT_H
#define ROUTING_OBJECT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum object_kind {
    OBJECT_SITE,
    OBJECT_TENANT,
    OBJECT_ROUTES, /* of a tenant, in a slot of their own */
    OBJECT_SERVICE,
    OBJECT_DEFAULTS, /* usher:defaults: the only one, in slot 0 */
    OBJECT_KINDS
};

/* A slot and how often it was given out: a reference kept outside the tables (host -> site) is void
 * when the generation differs. */
struct slot_ref {
    uint32_t slot;
    uint32_t generation;
};

struct object {
    enum object_kind kind;
    struct slot_ref ref;
    uint32_t holders;      /* control only: workers that have yet to let go of a replaced object */
    size_t bytes;          /* of the whole allocation */
    atomic_uint used_tick; /* object_tick of the last use by any worker, for eviction */
};

/* About four seconds per tick: a hot object is written once per tick, not per request. */
static inline unsigned object_tick(uint64_t now_ms)
{
    return (unsigned)(now_ms >> 12);
}

static inline void object_touch(struct object *o, unsigned tick)
{
    if (atomic_load_explicit(&o->used_tick, memory_order_relaxed) != tick)
        atomic_store_explicit(&o->used_tick, tick, memory_order_relaxed);
}

/* Frees a site, tenant or service: one allocation each (compile.c lays them out so). */
void object_free(struct object *o);

#endif
