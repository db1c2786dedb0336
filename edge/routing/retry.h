/* retry.h -- may a request be sent once more? One function decides it, from facts alone; and how
 * many may be, of all that a service gets. */
#ifndef ROUTING_RETRY_H
#define ROUTING_RETRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"

#define RETRIES_STANDARD 1
#define RETRIES_MOST 3
#define RETRY_BUDGET_STANDARD 20 /* percent */
#define RETRY_BUDGET_FLOOR 10    /* in any two seconds, however few requests there are */

enum retry_reason {
    RETRY_NO,
    RETRY_STALE,   /* a kept connection was closed under the request: a fresh one, same endpoint */
    RETRY_CONNECT, /* not connected: nothing was sent */
    RETRY_CLOSED,  /* no response head came, or none that is HTTP */
    RETRY_GATEWAY, /* 502, 503 or 504 came */
    RETRY_HEDGE,   /* nothing has failed yet: a second attempt beside the first */
    RETRY_REASONS
};

/* What a service lets be tried again, as bits; RETRY_ON_STANDARD when it does not say. */
enum retry_on {
    RETRY_ON_NONE = 1, /* said, and none of the others */
    RETRY_ON_CONNECT = 2,
    RETRY_ON_CLOSED = 4,
    RETRY_ON_502 = 8,
    RETRY_ON_503 = 16,
    RETRY_ON_504 = 32,
};
#define RETRY_ON_STANDARD RETRY_ON_CONNECT

/* Of service.def; all zero: not said. */
struct retry_policy {
    uint8_t retries; /* plus one */
    uint8_t on;      /* enum retry_on */
    uint8_t budget;  /* percent, plus one */
};

/* Of an attempt that has failed, or (fault NONE) was answered with `status`. */
struct retry_facts {
    enum fault fault;
    unsigned status;
    unsigned on;     /* enum retry_on */
    bool sent;       /* the endpoint may have got something of the request */
    bool has_body;   /* the request has, whether it has begun to come or not */
    bool idempotent; /* its method is (RFC 9110 9.2.2) */
    bool answered;   /* the client has got something of a response, be it an interim one */
    bool stale;      /* over a kept connection, and nothing at all came back */
    bool replaced;   /* this attempt has had a stale connection already */
};

/* Whatever it says but RETRY_NO, nothing can be done twice that should be done once. */
enum retry_reason retry_reason(const struct retry_facts *f);

/* The bit of a status; 0: never tried again. */
static inline unsigned retry_on_status(unsigned status)
{
    return status >= 502 && status <= 504 ? RETRY_ON_502 << (status - 502) : 0;
}

static inline unsigned retry_on_of(const struct retry_policy *p)
{
    return p->on != 0 ? p->on : RETRY_ON_STANDARD;
}

static inline unsigned retry_budget_of(const struct retry_policy *p)
{
    return p->budget != 0 ? p->budget - 1u : RETRY_BUDGET_STANDARD;
}

/* Requests and retries of this second and of the one before. All zero at first; written by many. */
struct retry_budget {
    atomic_uint_fast64_t second;
    atomic_uint requests[2], retries[2]; /* by the second's last bit */
};

void retry_budget_count(struct retry_budget *b, uint64_t now_ms, unsigned requests);
/* One more retry, if there are at most `percent` of the requests, or few at all; 0 percent: none. */
bool retry_budget_take(struct retry_budget *b, uint64_t now_ms, unsigned percent);

#endif
