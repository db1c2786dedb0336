/* module_watch.h -- how often and how long each module's hooks run on one worker. */
#ifndef PROXY_MODULE_WATCH_H
#define PROXY_MODULE_WATCH_H

#include "base/clock.h"
#include "module_host/crash.h"
#include "module_host/registry.h"
#include "proxy/counters.h"

/* One module on one worker: written by it alone, read by control. */
struct module_board {
    counter calls, ticks, faults, stalls;
    counter metrics[MODULE_METRICS_MAX];
};

struct module_watch {
    struct module_board *boards; /* by row->index; NULL: there are no modules */
    unsigned count;
    uint64_t began, stall_ticks; /* clock_ticks */
    uint64_t first_ticks, first_ns;
    uint64_t stall_logged_ms;
};

void module_watch_init(struct module_watch *m, const struct module_registry *registry);
void module_watch_free(struct module_watch *m);

/* How many of this machine's ticks a second has, since first_*. */
double module_watch_ticks_per_s(const struct module_watch *m);
void module_watch_stalled(struct module_watch *m, const struct module_row *row, uint64_t ticks,
                          uint64_t stall_ms);

/* A hook runs, between these two. A hook inside a hook (on_body through usher_send): the outer one
 * ends before it, and goes on behind it without being counted again. */
static inline void module_watch_go_on(struct module_watch *m, const struct module_row *row)
{
    crash_module = row;
    m->began = clock_ticks();
}

static inline void module_watch_begin(struct module_watch *m, const struct module_row *row)
{
    counter_add(&m->boards[row->index].calls, 1);
    module_watch_go_on(m, row);
}

/* The next one, right behind the end of another: the clock has been looked at. */
static inline void module_watch_next(struct module_watch *m, const struct module_row *row)
{
    counter_add(&m->boards[row->index].calls, 1);
    crash_module = row;
}

static inline void module_watch_end(struct module_watch *m, const struct module_row *row,
                                    uint64_t stall_ms)
{
    uint64_t now = clock_ticks(), ticks = now - m->began;

    m->began = now;
    crash_module = NULL;
    counter_add(&m->boards[row->index].ticks, ticks);
    if (__builtin_expect(ticks > m->stall_ticks, 0))
        module_watch_stalled(m, row, ticks, stall_ms);
}

#endif
