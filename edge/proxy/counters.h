/* counters.h -- one worker's board: written by that worker alone, read by control at any time. */
#ifndef PROXY_COUNTERS_H
#define PROXY_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/fault.h"
#include "routing/outlier.h"
#include "routing/retry.h"

#define LATENCY_BUCKETS 14

/* How a module's sub-request ended: with a response, with a fault, cut since nobody waits any more;
 * or was not begun, since too many were under way. */
enum subrequest_end {
    SUBREQUEST_ANSWERED,
    SUBREQUEST_FAILED,
    SUBREQUEST_CUT,
    SUBREQUEST_REFUSED,
    SUBREQUEST_ENDS
};

/* Why a connection was refused before it could ask for anything. */
enum client_refusal {
    CLIENT_BANNED,
    CLIENT_PROXY_HEADER,  /* missing where one must be, or wrong */
    CLIENT_PROXY_TIMEOUT, /* it did not come in time */
    CLIENT_REFUSALS
};

/* How a tunnel ended: one side after the other; an error of either; silence (tunnel_timeout); since this edge
 * drains; since its endpoint was taken away (tunnels=cut); at once, when time was over. */
enum tunnel_end {
    TUNNEL_CLOSED,
    TUNNEL_BROKEN,
    TUNNEL_IDLE,
    TUNNEL_DRAIN,
    TUNNEL_ENDPOINT_REMOVED,
    TUNNEL_CUT,
    TUNNEL_ENDS
};

typedef atomic_uint_fast64_t counter; /* rule zero: a typedef, so that the board reads as a list */

struct counters {
    counter requests[6]; /* by status class; 0 = ended with nothing sent */
    counter faults[FAULT_COUNT];
    counter latency[LATENCY_BUCKETS + 1]; /* not cumulative; the last is what no bound held */
    counter latency_ns_sum;
    counter host_hits, host_misses;
    counter clients_accepted, clients_open;
    counter clients_refused[CLIENT_REFUSALS];
    counter exchanges_open, tunnels_open;
    counter tunnel_memory, tunnel_bytes_in, tunnel_bytes_out;
    counter tunnel_ends[TUNNEL_ENDS];
    counter upstreams_idle, upstreams_busy; /* busy includes those being connected */
    counter upstream_connects, upstream_reuses;
    counter retries[RETRY_REASONS];
    counter hedges_won;
    counter retries_refused; /* beyond the budget */
    counter ejections[OUTLIER_REASONS];
    counter breakers_opened;
    counter accept_pauses;
    counter queue_waiting;                   /* for a place (max_conns) */
    counter queue_wait[LATENCY_BUCKETS + 1]; /* of those that have got one, likewise */
    counter queue_wait_ns_sum;
    counter subrequests[SUBREQUEST_ENDS];
    counter regexes_given_up; /* matchings of which one could not be tried to its end */
    counter hosts_held, waiting_lookups;
    counter applied_round; /* of the last changes this worker has applied */
};

/* Upper bounds of the buckets, in microseconds. */
extern const uint64_t counters_latency_bounds_us[LATENCY_BUCKETS];

/* One writer: a load and a store, no locked instruction. */
static inline void counter_add(counter *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void counter_sub(counter *c, uint64_t n)
{
    counter_add(c, (uint64_t)0 - n);
}

static inline uint64_t counter_read(const counter *c)
{
    return atomic_load_explicit((counter *)c, memory_order_relaxed);
}

const char *tunnel_end_name(enum tunnel_end end);
void counters_latency(struct counters *c, uint64_t ns);
void counters_queue(struct counters *c, uint64_t ns);

#endif
