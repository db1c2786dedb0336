/* site.h -- one usher:host: record, compiled, the tenant record it may name, and usher:defaults.
 *
 * A host's own fields win over its tenant's, and these over the defaults. */
#ifndef ROUTING_SITE_H
#define ROUTING_SITE_H

#include "base/map.h"
#include "routing/limits.h"
#include "routing/route.h"

#define HOST_MAX_BYTES 253 /* RFC 1035 2.3.4, as text without the trailing dot */

enum tenant_status { STATUS_UNSET, STATUS_ACTIVE, STATUS_MAINTENANCE, STATUS_SUSPENDED };
enum tenant_https { HTTPS_UNSET, HTTPS_OFF, HTTPS_REDIRECT };
enum tenant_path { PATH_UNSET, PATH_NORMAL, PATH_RAW };

/* What a tenant, a host and the defaults may say. */
struct tenant_fields {
    struct action to;            /* ACTION_UNSET, ACTION_SERVICE or ACTION_ENDPOINTS */
    const struct limits *limits; /* NULL: says none */
    enum tenant_status status;
    enum tenant_https https;
    enum tenant_path path;
    uint32_t retry_after_s; /* 0: not said */
    uint32_t timeout_ms;    /* 0: not said */
    uint32_t share;         /* where tenants wait for one service; 0: not said */
    uint32_t stream_timeout_ms, tunnel_timeout_ms; /* 0: not said */
    uint8_t retries;                               /* plus one; 0: not said */
    struct str page;                               /* of a maintenance; ptr NULL: not said */
    const struct chain *modules;                   /* NULL: not said */
};

struct tenant {
    struct object object; /* first */
    char id[NAME_MAX_BYTES + 1];
    bool bad;             /* never had a good version: 503 bad_record */
    uint32_t routes_slot; /* of its rules; the slot is empty while it has none */
    struct tenant_state *state;
    struct tenant_fields fields;
};

/* What a site is compiled from: the value, and where what it names stands. */
struct site_key {
    struct map_print value;
    uint32_t slots[2];
};

/* Shared by all hosts that say the same, so it does not know its host; but one that counts by itself (a rate,
 * or any limit without a tenant) is its record's alone. */
struct site {
    struct object object; /* first */
    struct site_key key;
    bool bad; /* never had a good version: 503 bad_record */
    bool has_tenant;
    uint32_t tenant_slot;
    /* What counts by itself has it from the start; where only usher:defaults limit hosts without a
     * tenant, the first request makes it (states_of_site). */
    struct tenant_state *_Atomic state;
    struct tenant_fields fields;
};

struct defaults {
    struct object object; /* first */
    bool bad;             /* never had a good version: says nothing */
    struct states *states;
    struct tenant_fields fields;
};

#endif
