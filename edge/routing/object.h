/* object.h -- what every compiled thing (site, tenant, service) has in front.
 *
 * Compiled objects are immutable from the moment they are published, and are shared by all workers.
 * They name each other by slot: an index into each worker's table of that kind. Hosts that say the
 * same share one site, in one slot, so that what a request for any of them looks at is near. Control
 * gives out slots and frees objects; a worker pins what an exchange uses with plain counters of its
 * own. */
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
    struct slot_ref ref; /* a site's own slot; it stands in those of wildcard keys, too */
    uint32_t uses;       /* control only: records whose object it is now */
    uint32_t
        holders;  /* control only: swaps that replaced it and are not let go of by all workers */
    size_t bytes; /* of the whole allocation */
};

/* When a slot was used last, by any worker: one for each slot, for eviction. Workers write it once
 * per tick, not per request. */
typedef atomic_uint slot_tick;

#define TICK_SHIFT 14 /* of milliseconds: about 16 s */

static inline unsigned object_tick(uint64_t now_ms)
{
    return (unsigned)(now_ms >> TICK_SHIFT);
}

/* Frees a site, tenant or service: one allocation each (compile.c lays them out so). */
void object_free(struct object *o);

#endif
