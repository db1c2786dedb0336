/* service.h -- a named group of endpoints, compiled; or the unnamed one behind a `to` that lists
 * endpoints. */
#ifndef ROUTING_SERVICE_H
#define ROUTING_SERVICE_H

#include "base/address.h"
#include "routing/endpoint_state.h"
#include "routing/health.h"
#include "routing/object.h"
#include "routing/outlier.h"
#include "routing/retry.h"

#define NAME_MAX_BYTES 63 /* [a-z0-9][a-z0-9._-]{0,62} */
#define WEIGHT_MAX 1000

enum balance {
    BALANCE_ROUND_ROBIN,
    BALANCE_RANDOM,
    BALANCE_RANDOM_TWO, /* of two drawn by weight, the less loaded one */
    BALANCE_LEAST_CONN, /* the least loaded of all */
    BALANCE_HASH,       /* the same one for the same client, path, header or cookie */
};
#define BALANCES (BALANCE_HASH + 1)

enum hash_by { HASH_BY_CLIENT, HASH_BY_PATH, HASH_BY_HEADER, HASH_BY_COOKIE };

/* What becomes of open tunnels when their endpoint is taken away. */
enum service_tunnels { TUNNELS_FINISH, TUNNELS_CUT };

/* As enum proxy_version (net/proxy_header.h). */
enum send_proxy { SEND_PROXY_OFF, SEND_PROXY_V1, SEND_PROXY_V2 };
#define QUEUE_STANDARD 100
#define QUEUE_STANDARD_MS 10000

enum max_conns_of { MAX_CONNS_OF_EDGE, MAX_CONNS_OF_CLUSTER };

enum endpoint_protocol { PROTOCOL_HTTP, PROTOCOL_FASTCGI };

/* What few endpoints have beside their weight: the rows of schema/endpoint.def. */
struct endpoint_options {
    /* balancing */
    bool backup;     /* used when no other is available */
    bool drain;      /* takes no new clients; those that stick to it stay */
    bool near;       /* in this edge's own zone: service_arrange */
    struct str zone; /* ptr NULL: in none */
    bool has_max_conns;
    uint32_t max_conns; /* 0: no limit, whatever its service says */

    /* where it is, when not at its address, and how it is spoken to (endpoint.h) */
    enum endpoint_protocol protocol;
    struct str unix_path;        /* ptr NULL: none */
    struct str name;             /* ptr NULL: it has an address */
    struct name_state *resolved; /* of the name; NULL: not attached to any state */
    struct str root, index;      /* FastCGI; ptr NULL: not said */
    bool path_info, keep;
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
    enum service_tunnels tunnels;
    enum send_proxy send_proxy;         /* what connections to its endpoints begin with */
    const struct health_policy *health; /* NULL: none of its fields was said */
    enum hash_by hash_by;
    struct str hash_name;   /* of the header or cookie */
    uint32_t hash_bound;    /* percent of the mean load that one may have; 0: no bound */
    struct str sticky;      /* name of the cookie; ptr NULL: clients do not stick */
    uint32_t slow_start_ms; /* 0: a new endpoint takes its whole share at once */
    uint32_t zone_min;      /* percent, and one; 0: not said, see balance.h */
    enum max_conns_of max_conns_of;
    uint32_t max_conns;        /* of each endpoint that does not say otherwise; 0: no limit */
    uint32_t queue_and_one;    /* so many may wait, and one; 0: not said */
    uint32_t queue_timeout_ms; /* 0: not said */
    struct retry_policy retry;
    struct outlier_policy outlier;
    struct breaker_policy breaker;
    uint32_t hedge_ms; /* 0: no second attempt while the first is under way */
};

/* Parts of a service's rota. */
enum rota_kind {
    ROTA_FIRST, /* those in this edge's zone; where there are none, all but backups; else backups */
    ROTA_FAR,   /* the others, when there are some in the zone */
    ROTA_BACKUP, /* for when nothing else is available */
    ROTAS
};

struct rota {
    uint32_t from, count; /* places of the schedule */
};

/* For hashes and cookies, side by side. */
struct endpoint_print {
    uint64_t name;   /* its name's */
    uint32_t weight; /* in ROTA_FIRST; else 0 */
};

struct service {
    struct object object;          /* first; slot only for named services */
    char name[NAME_MAX_BYTES + 1]; /* "" for an unnamed one */
    bool bad;                      /* never had a good version: 503 bad_record */
    struct service_policy policy;
    struct service_state *state; /* NULL: unnamed */
    bool limited;                /* an endpoint of it has places (max_conns) */
    uint32_t endpoint_count;
    uint32_t schedule_count;
    struct endpoint *endpoints; /* inside the same allocation; constant once published */
    /* Indexes into endpoints, each as often as its weight says (weights divided by their greatest
     * common divisor), spread evenly within each part; those that take no new requests do not
     * occur. */
    const uint16_t *schedule;
    struct rota rotas[ROTAS];
    const struct endpoint_print *prints; /* endpoint by endpoint; NULL: nobody needs them */
    bool has_near;                       /* some are in this edge's zone, and some are not */
    bool lacks_others;                   /* all that take requests are backups */
    bool even;                           /* of ROTA_FIRST, all have the same weight */
    bool plain;         /* by turns, and nothing else is to be looked at: balance_next_plain */
    bool counts_active; /* endpoint_state.active is kept */
};

/* Does it take new requests at all? */
static inline uint32_t endpoint_weight(const struct endpoint *e)
{
    return e->options != NULL && e->options->drain ? 0 : e->weight;
}

static inline enum rota_kind endpoint_rota(const struct service *s, const struct endpoint *e)
{
    if (e->options != NULL && e->options->backup && !s->lacks_others)
        return ROTA_BACKUP;
    return s->has_near && (e->options == NULL || !e->options->near) ? ROTA_FAR : ROTA_FIRST;
}

/* How many connections an edge, or the cluster, may have to this endpoint; PLACES_ANY: any number. */
static inline unsigned service_max_conns(const struct service *s, const struct endpoint *e)
{
    uint32_t max = e->options != NULL && e->options->has_max_conns ? e->options->max_conns
                                                                   : s->policy.max_conns;

    return max != 0 ? max : PLACES_ANY;
}

static inline uint32_t service_queue(const struct service *s)
{
    return s->policy.queue_and_one != 0 ? s->policy.queue_and_one - 1 : QUEUE_STANDARD;
}

static inline uint32_t service_queue_ms(const struct service *s)
{
    return s->policy.queue_timeout_ms != 0 ? s->policy.queue_timeout_ms : QUEUE_STANDARD_MS;
}

#endif
