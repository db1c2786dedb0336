/* site.h -- one usher:host: record, compiled, and the tenant record it may name.
 *
 * A host's own fields win over its tenant's. */
#ifndef ROUTING_SITE_H
#define ROUTING_SITE_H

#include "routing/object.h"
#include "routing/service.h"

#define HOST_MAX_BYTES 253 /* RFC 1035 2.3.4, as text without the trailing dot */

enum tenant_status { STATUS_UNSET, STATUS_ACTIVE, STATUS_MAINTENANCE, STATUS_SUSPENDED };

/* Where a request goes. */
struct forward_to {
    enum { TO_UNSET, TO_SERVICE, TO_ENDPOINTS } kind;
    uint32_t service_slot;     /* TO_SERVICE */
    const struct service *own; /* TO_ENDPOINTS: unnamed, inside the same allocation */
};

/* What both a tenant and a host may say. */
struct tenant_fields {
    struct forward_to to;
    enum tenant_status status;
};

struct tenant {
    struct object object; /* first */
    char id[NAME_MAX_BYTES + 1];
    bool bad; /* never had a good version: 503 bad_record */
    struct tenant_fields fields;
};

struct site {
    struct object object; /* first */
    bool bad;             /* never had a good version: 503 bad_record */
    bool has_tenant;
    uint32_t tenant_slot;
    struct tenant_fields fields;
    char host[HOST_MAX_BYTES + 1]; /* as in the key: "a.example", "*.example" or "*" */
};

#endif
