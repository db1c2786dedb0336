/* limits.h -- what a tenant's requests may be and take: the fields of that kind, of one record. */
#ifndef ROUTING_LIMITS_H
#define ROUTING_LIMITS_H

#include "base/cidr.h"

#define LIMIT_OFF UINT32_MAX       /* "off": none holds, whatever weaker records say */
#define LIMIT_OFF_BYTES UINT64_MAX /* the same, of bytes */
#define LIMIT_NUMBER_MOST 1000000u /* of connections, requests, requests/s */
#define LIMIT_RANGES_MOST 256u     /* in one list */

/* What may be refused, each for its own reason. */
enum limit_kind {
    LIMIT_ADDRESS,
    LIMIT_CONNS,
    LIMIT_REQUESTS,
    LIMIT_RATE,
    LIMIT_BODY,
    LIMIT_BANDWIDTH,
    LIMIT_KINDS
};

enum rps_of { RPS_OF_UNSET, RPS_OF_EDGE, RPS_OF_CLUSTER };

/* The longest prefix first; of equal ones in any order. */
struct limit_ranges {
    bool said; /* with count 0: "off" */
    uint32_t count;
    const struct cidr *items;
};

/* 0: not said. */
struct limits {
    uint32_t max_conns, max_requests, rps, burst;
    enum rps_of rps_of;
    uint64_t max_body, bandwidth; /* bytes; bytes a second */
    struct limit_ranges allow, deny;
};

/* Puts ranges into the order that struct limit_ranges has. */
void limit_ranges_sort(struct cidr *ranges, uint32_t count);

/* May a client at this address ask? The most specific range that holds it decides; of two alike, deny. Where
 * `allow` lists ranges, who is in none of either may not. Either may be NULL: nobody says it. */
bool limits_let_in(const struct limit_ranges *allow, const struct limit_ranges *deny,
                   const struct address *client);

/* Nanoseconds that one request of `rps` a second stands for. */
static inline uint64_t limit_interval_ns(uint32_t rps)
{
    return (1000000000u + rps / 2) / rps;
}

#endif
