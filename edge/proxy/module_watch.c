/* module_watch.c -- a module that held its loop too long is named.
 *
 * Owns:    the boards of one worker.
 * Thread:  its worker; control reads the boards.
 * Used by: module_run.c, module_body.c, control/metrics.c.
 * Not here: crashes (module_host/crash.c). */
#include "proxy/module_watch.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"

#define STALL_LOG_EVERY_MS 1000
/* Before the ticks' rate is known: so many that every machine has taken some ms. */
#define TICKS_AT_FIRST 1000000

void module_watch_init(struct module_watch *m, const struct module_registry *registry)
{
    *m = (struct module_watch){ .count = registry ? (unsigned)registry_count(registry) : 0,
                                .first_ticks = clock_ticks(),
                                .first_ns = clock_now_ns(),
                                .stall_ticks = TICKS_AT_FIRST };
    if (m->count > 0)
        m->boards = check_alloc(m->count * sizeof(*m->boards));
}

void module_watch_free(struct module_watch *m)
{
    free(m->boards);
}

double module_watch_ticks_per_s(const struct module_watch *m)
{
    uint64_t ns = clock_now_ns() - m->first_ns, ticks = clock_ticks() - m->first_ticks;

    return ns > 0 ? (double)ticks * 1e9 / (double)ns : 1e9;
}

void module_watch_stalled(struct module_watch *m, const struct module_row *row, uint64_t ticks,
                          uint64_t stall_ms)
{
    double per_ms = module_watch_ticks_per_s(m) / 1000;
    uint64_t now = clock_now_ms();

    m->stall_ticks = (uint64_t)(per_ms * (double)stall_ms);
    if (ticks <= m->stall_ticks)
        return;
    counter_add(&m->boards[row->index].stalls, 1);
    if (m->stall_logged_ms != 0 && now - m->stall_logged_ms < STALL_LOG_EVERY_MS)
        return;
    m->stall_logged_ms = now;
    log_line(LOG_WARN, "module_stalled", "module=%s held_ms=%llu limit_ms=%llu from=%s",
             row->module.name, (unsigned long long)((double)ticks / per_ms),
             (unsigned long long)stall_ms, row->from);
}
