/* metrics_modules.c -- the workers' boards of modules added up, as text.
 *
 * Owns:    the names of the metrics.
 * Thread:  control
 * Used by: admin_pages.c.
 * Not here: counting (proxy/module_watch.h); the other metrics (metrics.c). */
#include "control/metrics_modules.h"

#include <stddef.h>

struct boards {
    const struct module_watch *const *watches;
    unsigned workers;
};

static uint64_t sum_at(const struct boards *b, unsigned index, size_t at)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < b->workers; i++) {
        const char *board = (const char *)&b->watches[i]->boards[index];

        sum += counter_read((const counter *)(const void *)(board + at));
    }
    return sum;
}

/* Each worker's ticks by that worker's own reckoning of them. */
static double seconds_of(const struct boards *b, unsigned index)
{
    double seconds = 0;

    for (unsigned i = 0; i < b->workers; i++)
        seconds += (double)counter_read(&b->watches[i]->boards[index].ticks) /
                   module_watch_ticks_per_s(b->watches[i]);
    return seconds;
}

static void head(struct buf *to, const char *name, const char *type, const char *help)
{
    buf_printf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_own(const struct boards *b, const struct module_row *row, struct buf *to)
{
    const struct usher_module *m = &row->module;

    for (unsigned i = 0; i < m->metric_count && i < MODULE_METRICS_MAX; i++) {
        const struct usher_metric *metric =
            (const void *)((const char *)m->metrics + (size_t)i * m->metric_size);
        int64_t sum = (int64_t)sum_at(b, row->index,
                                      offsetof(struct module_board, metrics) + i * sizeof(counter));

        buf_printf(to, "# HELP usher_module_%s_%s %s\n# TYPE usher_module_%s_%s %s\n", m->name,
                   metric->name, metric->help, m->name, metric->name,
                   metric->kind == USHER_GAUGE ? "gauge" : "counter");
        buf_printf(to, "usher_module_%s_%s %lld\n", m->name, metric->name, (long long)sum);
    }
}

void metrics_modules_write(const struct module_registry *registry,
                           const struct module_watch *const *watches, unsigned workers,
                           struct buf *to)
{
    static const struct {
        const char *name, *help;
        size_t at;
    } rows[] = {
        { "usher_module_calls_total", "Hooks of a module that were called.",
          offsetof(struct module_board, calls) },
        { "usher_module_faults_total", "Hooks of a module that ended in a fault.",
          offsetof(struct module_board, faults) },
        { "usher_module_stalls_total", "Hooks of a module that held a worker for --module-stall.",
          offsetof(struct module_board, stalls) },
    };
    struct boards b = { watches, workers };
    size_t count = registry_count(registry);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        head(to, rows[i].name, "counter", rows[i].help);
        for (size_t m = 0; m < count; m++)
            buf_printf(to, "%s{module=\"%s\"} %llu\n", rows[i].name,
                       registry_at(registry, m)->module.name,
                       (unsigned long long)sum_at(&b, (unsigned)m, rows[i].at));
    }
    head(to, "usher_module_seconds_total", "counter", "Time that a module's hooks have taken.");
    for (size_t m = 0; m < count; m++)
        buf_printf(to, "usher_module_seconds_total{module=\"%s\"} %.9f\n",
                   registry_at(registry, m)->module.name, seconds_of(&b, (unsigned)m));
    for (size_t m = 0; m < count; m++)
        write_own(&b, registry_at(registry, m), to);
}
