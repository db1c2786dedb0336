/* drain.h -- ending without cutting anyone off: what happens after SIGTERM, and for how long. */
#ifndef CONTROL_DRAIN_H
#define CONTROL_DRAIN_H

#include <stdbool.h>

#include "net/loop.h"
#include "settings.h"

enum drain_phase {
    DRAIN_OFF,     /* serving */
    DRAIN_WAITS,   /* /readyz fails, all else is as before: --drain-wait */
    DRAIN_WORKERS, /* workers finish what runs: --drain-timeout */
    DRAIN_TUNNELS, /* only tunnels are left: until workers have ended them, --tunnel-drain */
    DRAIN_OVER,
};

struct drain_events {
    /* To close their listeners and finish what runs; what waits to be accepted they take first, unless it was
     * `handed_over`. */
    void (*tell_workers)(void *owner, bool handed_over);
    void (*cut_requests)(void *owner);
    /* Once. `left`: workers that still had something running when the time was over. */
    void (*over)(void *owner, unsigned left);
};

struct drain {
    enum drain_phase phase;
    unsigned workers_left;
    uint64_t began_ms, workers_began_ms;
    struct timer timer;
    struct loop *loop;
    const struct settings *settings;
    const struct drain_events *events;
    void *owner;
};

void drain_init(struct drain *d, struct loop *l, const struct settings *s,
                const struct drain_events *events, void *owner);
void drain_begin(struct drain *d);
/* Another edge accepts what comes: there is nobody to wait for. */
void drain_hand_over(struct drain *d);
/* A worker has nothing running any more. */
void drain_worker_done(struct drain *d);

static inline bool drain_is_on(const struct drain *d)
{
    return d->phase != DRAIN_OFF;
}

#endif
