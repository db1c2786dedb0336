/* counters.c -- the histograms' arithmetic, and names of what is counted.
 *
 * Owns:    the bounds.
 * Thread:  the worker whose board it is.
 * Used by: exchange.c, queue.c, access_line.c; control/metrics.c reads.
 * Not here: adding the workers' boards up (control/metrics.c). */
#include "proxy/counters.h"

const uint64_t counters_latency_bounds_us[LATENCY_BUCKETS] = {
    100,   250,   500,    1000,   2500,    5000,    10000,
    25000, 50000, 100000, 250000, 1000000, 5000000, 30000000,
};

static unsigned bucket_of(uint64_t ns)
{
    unsigned i = 0;

    while (i < LATENCY_BUCKETS && ns > counters_latency_bounds_us[i] * 1000)
        i++;
    return i;
}

void counters_queue(struct counters *c, uint64_t ns)
{
    counter_add(&c->queue_wait[bucket_of(ns)], 1);
    counter_add(&c->queue_wait_ns_sum, ns);
}

void counters_latency(struct counters *c, uint64_t ns)
{
    counter_add(&c->latency[bucket_of(ns)], 1);
    counter_add(&c->latency_ns_sum, ns);
}

const char *tunnel_end_name(enum tunnel_end end)
{
    static const char *const names[] = { "closed", "broken",           "idle",
                                         "drain",  "endpoint_removed", "cut" };

    return names[end];
}
