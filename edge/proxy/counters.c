/* counters.c -- the latency histogram's arithmetic.
 *
 * Owns:    the bounds.
 * Thread:  the worker whose board it is.
 * Used by: exchange.c; control/metrics.c reads.
 * Not here: adding the workers' boards up (control/metrics.c). */
#include "proxy/counters.h"

const uint64_t counters_latency_bounds_us[LATENCY_BUCKETS] = {
    100,   250,   500,    1000,   2500,    5000,    10000,
    25000, 50000, 100000, 250000, 1000000, 5000000, 30000000,
};

void counters_latency(struct counters *c, uint64_t ns)
{
    unsigned i = 0;

    while (i < LATENCY_BUCKETS && ns > counters_latency_bounds_us[i] * 1000)
        i++;
    counter_add(&c->latency[i], 1);
    counter_add(&c->latency_ns_sum, ns);
}
