/* service.h -- a named group of endpoints, compiled; or the unnamed one behind a `to` that lists
 * endpoints. */
#ifndef ROUTING_SERVICE_H
#define ROUTING_SERVICE_H

#include "base/address.h"
#include "routing/endpoint_state.h"
#include "routing/health.h"
#include "routing/object.h"

#define NAME_MAX_BYTES 63 /* [a-z0-9][a-z0-9._-]{0,62} */
#define WEIGHT_MAX 1000

enum balance { BALANCE_ROUND_ROBIN, BALANCE_RANDOM };

/* As enum proxy_version (net/proxy_header.h). */
enum send_proxy { SEND_PROXY_OFF, SEND_PROXY_V1, SEND_PROXY_V2 };

/* What few endpoints have beside their weight: the rows of schema/endpoint.def. */
struct endpoint_options {
    bool given; /* at least one was */
};

struct endpoint {
    struct address address;
    uint32_t weight;                        /* 0 .. WEIGHT_MAX; 0 takes no new requests */
    const struct endpoint_options *options; /* NULL: none */
    struct endpoint_state *state;           /* NULL: nothing is to be known of it */
};

/* How a service is used: the rows of schema/service.def. All zero: as one without usher:service: is.
 * Its texts are named in service_policy_texts (compile_parts.c). */
struct service_policy {
    char owner[NAME_MAX_BYTES + 1]; /* the tenant that alone may name it; "": all may */
    enum balance balance;
    enum send_proxy send_proxy;         /* what connections to its endpoints begin with */
    const struct health_policy *health; /* NULL: none of its fields was said */
};

struct service {
    struct object object;          /* first; slot only for named services */
    char name[NAME_MAX_BYTES + 1]; /* "" for an unnamed one */
    bool bad;                      /* never had a good version: 503 bad_record */
    struct service_policy policy;
    struct service_state *state; /* NULL: unnamed */
    uint32_t endpoint_count;
    uint32_t schedule_count;
    struct endpoint *endpoints; /* inside the same allocation; constant once published */
    /* Indexes into endpoints, each as often as its weight says (weights divided by their greatest
     * common divisor), spread evenly; endpoints of weight 0 do not occur. */
    const uint16_t *schedule;
};

#endif
