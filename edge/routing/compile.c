/* compile.c -- lays out sites, tenants, defaults and services.
 *
 * Owns:    nothing; who asked for the object owns it.
 * Thread:  control (pure: any would do).
 * Used by: store/objects.c.
 * Not here: reading fields (record.c); rules (compile_routes.c). */
#include "routing/compile.h"

#include <stdlib.h>

#include "routing/compile_parts.h"

struct service *compile_service(struct slot_ref ref, struct str name, bool bad,
                                const struct service_policy *policy,
                                const struct endpoint *endpoints, uint32_t count)
{
    static const struct service_policy none;
    const struct service_policy *said = policy != NULL ? policy : &none;
    size_t bytes = part_rounded(sizeof(struct service)) + policy_bytes(said) +
                   endpoints_bytes(endpoints, count) + prints_bytes(said, count);
    struct service *service = check_alloc(bytes);
    char *rest = (char *)service + part_rounded(sizeof(*service));

    service->object.kind = OBJECT_SERVICE;
    service->object.ref = ref;
    service->object.bytes = bytes;
    service->bad = bad;
    copy_name(service->name, sizeof(service->name), name);
    lay_policy(&service->policy, said, &rest);
    lay_endpoints(service, endpoints, count, &rest);
    lay_prints(service, &rest);
    service->counts_active = said->balance == BALANCE_RANDOM_TWO ||
                             said->balance == BALANCE_LEAST_CONN ||
                             (said->balance == BALANCE_HASH && said->hash_bound > 0);
    for (uint32_t i = 0; i < count; i++)
        if (service_max_conns(service, &service->endpoints[i]) != PLACES_ANY)
            service->limited = true;
    return service;
}

/* An object of `head` bytes, with room behind it for its fields and a name of `name_bytes`. */
static void *new_object(enum object_kind kind, struct slot_ref ref, size_t head, size_t name_bytes,
                        const struct record_fields *fields, char **rest)
{
    size_t bytes = part_rounded(head) + part_rounded(name_bytes);
    struct object *object;

    if (fields != NULL)
        bytes += action_bytes(&fields->to, &fields->names) + text_bytes(fields->page) +
                 limits_bytes(fields);
    object = check_alloc(bytes);
    object->kind = kind;
    object->ref = ref;
    object->bytes = bytes;
    *rest = (char *)object + part_rounded(head);
    return object;
}

static void lay_fields(struct object *object, struct tenant_fields *to, struct record_fields *f,
                       const uint32_t *slots, char *rest)
{
    lay_action(&to->to, &f->to, &f->names, slots, &rest);
    to->limits = lay_limits(f, &rest);
    to->status = f->status;
    to->https = f->https;
    to->path = f->path;
    to->retry_after_s = f->retry_after_s;
    to->timeout_ms = f->timeout_ms;
    to->stream_timeout_ms = f->stream_timeout_ms;
    to->tunnel_timeout_ms = f->tunnel_timeout_ms;
    to->share = f->share;
    to->retries = f->retries;
    to->page = lay_text(f->page, &rest);
    to->modules = take_chain(object, &f->modules, slots);
}

struct site *compile_site(const struct site_key *key, struct record_fields *fields,
                          const uint32_t *slots)
{
    char *rest;
    struct site *site =
        new_object(OBJECT_SITE, (struct slot_ref){ 0 }, sizeof(*site), 0, fields, &rest);

    site->key = *key;
    site->bad = fields == NULL;
    if (fields == NULL)
        return site;
    site->has_tenant = fields->has_tenant;
    if (fields->has_tenant)
        site->tenant_slot = slots[fields->tenant];
    lay_fields(&site->object, &site->fields, fields, slots, rest);
    return site;
}

struct tenant *compile_tenant(struct slot_ref ref, struct str id, struct record_fields *fields,
                              const uint32_t *slots, uint32_t routes_slot)
{
    char *rest;
    struct tenant *tenant = new_object(OBJECT_TENANT, ref, sizeof(*tenant), 0, fields, &rest);

    copy_name(tenant->id, sizeof(tenant->id), id);
    tenant->routes_slot = routes_slot;
    tenant->bad = fields == NULL;
    if (fields != NULL)
        lay_fields(&tenant->object, &tenant->fields, fields, slots, rest);
    return tenant;
}

struct defaults *compile_defaults(struct slot_ref ref, struct record_fields *fields,
                                  const uint32_t *slots)
{
    char *rest;
    struct defaults *defaults =
        new_object(OBJECT_DEFAULTS, ref, sizeof(*defaults), 0, fields, &rest);

    defaults->bad = fields == NULL;
    if (fields != NULL)
        lay_fields(&defaults->object, &defaults->fields, fields, slots, rest);
    return defaults;
}

/* A chain is changed no more, but for its end. */
static void free_chain(const struct chain *c)
{
    chain_free((struct chain *)(uintptr_t)c);
}

void object_free(struct object *o)
{
    states_detach(o);
    switch (o->kind) {
    case OBJECT_ROUTES:
        routes_free_parts((struct routes *)o);
        break;
    case OBJECT_SITE:
        free_chain(((struct site *)o)->fields.modules);
        break;
    case OBJECT_TENANT:
        free_chain(((struct tenant *)o)->fields.modules);
        break;
    case OBJECT_DEFAULTS:
        free_chain(((struct defaults *)o)->fields.modules);
        break;
    case OBJECT_SERVICE:
    case OBJECT_KINDS:
        break;
    }
    free(o); /* whatever else it points to lies in the same allocation */
}
