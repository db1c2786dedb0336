/* compile.c -- lays out sites, tenants and services.
 *
 * Owns:    nothing; who asked for the object owns it.
 * Thread:  control (pure: any would do).
 * Used by: store/judge.c.
 * Not here: reading fields (record.c); the order of endpoints (schedule.c). */
#include "routing/compile.h"

#include <stdlib.h>

#include "base/check.h"
#include "routing/schedule.h"

static size_t rounded(size_t bytes)
{
    return (bytes + 15) & ~(size_t)15;
}

static void copy_name(char *to, size_t room, struct str name)
{
    CHECK(name.len < room);
    memcpy(to, name.ptr, name.len);
    to[name.len] = '\0';
}

/* Bytes that a service with these endpoints takes; *schedule is how many places its rota has. */
static size_t service_bytes(const struct endpoint *endpoints, uint32_t count, uint32_t *schedule)
{
    *schedule = schedule_count(endpoints, count);
    return rounded(sizeof(struct service)) + rounded(count * sizeof(struct endpoint)) +
           *schedule * sizeof(uint16_t);
}

static void fill_service(struct service *service, enum balance balance,
                         const struct endpoint *endpoints, uint32_t count, uint32_t schedule)
{
    char *at = (char *)service + rounded(sizeof(*service));
    struct endpoint *copy = (struct endpoint *)(void *)at;
    uint16_t *places = (uint16_t *)(void *)(at + rounded(count * sizeof(struct endpoint)));

    if (count > 0)
        memcpy(copy, endpoints, count * sizeof(*copy));
    schedule_fill(copy, count, places, schedule);
    service->balance = balance;
    service->endpoint_count = count;
    service->schedule_count = schedule;
    service->endpoints = copy;
    service->schedule = places;
}

struct service *compile_service(struct slot_ref ref, struct str name, bool bad, struct str owner,
                                enum balance balance, const struct endpoint *endpoints,
                                uint32_t count)
{
    uint32_t schedule;
    size_t bytes = service_bytes(endpoints, count, &schedule);
    struct service *service = check_alloc(bytes);

    service->object.kind = OBJECT_SERVICE;
    service->object.ref = ref;
    service->object.bytes = bytes;
    service->bad = bad;
    copy_name(service->name, sizeof(service->name), name);
    copy_name(service->owner, sizeof(service->owner), owner);
    fill_service(service, balance, endpoints, count, schedule);
    return service;
}

/* --- actions --- */

static struct str copy_text(struct str text, char **rest)
{
    char *copy = *rest;

    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    *rest += rounded(text.len);
    return str_slice(copy, text.len);
}

static size_t action_bytes(const struct rule_action *action, const struct record_names *names)
{
    size_t bytes = rounded(action->text.len);
    uint32_t schedule;

    if (action->kind == ACTION_SERVICE)
        bytes += rounded(names->items[action->service].name.len);
    if (action->kind == ACTION_ENDPOINTS)
        bytes += rounded(service_bytes(action->endpoints, action->endpoint_count, &schedule));
    bytes += rounded(action->part_count * sizeof(struct split_part));
    for (uint32_t i = 0; i < action->part_count; i++)
        bytes += rounded(names->items[action->parts[i].service].name.len);
    return bytes;
}

static void fill_split(struct action *to, const struct rule_action *from,
                       const struct record_names *names, const uint32_t *slots, char **rest)
{
    struct split_part *parts = (struct split_part *)(void *)*rest;

    *rest += rounded(from->part_count * sizeof(*parts));
    for (uint32_t i = 0; i < from->part_count; i++) {
        parts[i].service = copy_text(names->items[from->parts[i].service].name, rest);
        parts[i].service_slot = slots[from->parts[i].service];
        parts[i].weight = from->parts[i].weight;
        to->part_weights += from->parts[i].weight;
    }
    to->parts = parts;
    to->part_count = from->part_count;
}

static void fill_own(struct action *to, const struct rule_action *from, char **rest)
{
    struct service *own = (struct service *)(void *)*rest;
    uint32_t schedule;

    *rest += rounded(service_bytes(from->endpoints, from->endpoint_count, &schedule));
    own->object.kind = OBJECT_SERVICE;
    fill_service(own, BALANCE_ROUND_ROBIN, from->endpoints, from->endpoint_count, schedule);
    to->own = own;
}

/* Takes action_bytes of *rest. */
static void fill_action(struct action *to, const struct rule_action *from,
                        const struct record_names *names, const uint32_t *slots, char **rest)
{
    to->kind = from->kind;
    to->code = from->code;
    to->text = copy_text(from->text, rest);
    if (from->kind == ACTION_SERVICE) {
        to->service_slot = slots[from->service];
        to->service = copy_text(names->items[from->service].name, rest);
    } else if (from->kind == ACTION_ENDPOINTS) {
        fill_own(to, from, rest);
    } else if (from->kind == ACTION_SPLIT) {
        fill_split(to, from, names, slots, rest);
    }
}

/* --- what tenants, hosts and defaults say --- */

/* An object of `head` bytes, with room behind it for its fields and a name of `name_bytes`. */
static void *new_object(enum object_kind kind, struct slot_ref ref, size_t head, size_t name_bytes,
                        const struct record_fields *fields, char **rest)
{
    size_t bytes = rounded(head) + rounded(name_bytes);
    struct object *object;

    if (fields != NULL)
        bytes += action_bytes(&fields->to, &fields->names) + rounded(fields->page.len);
    object = check_alloc(bytes);
    object->kind = kind;
    object->ref = ref;
    object->bytes = bytes;
    *rest = (char *)object + rounded(head);
    return object;
}

static void fill_fields(struct tenant_fields *to, const struct record_fields *f,
                        const uint32_t *slots, char *rest)
{
    fill_action(&to->to, &f->to, &f->names, slots, &rest);
    to->status = f->status;
    to->https = f->https;
    to->path = f->path;
    to->retry_after_s = f->retry_after_s;
    to->timeout_ms = f->timeout_ms;
    if (f->page.ptr != NULL)
        to->page = copy_text(f->page, &rest);
}

struct site *compile_site(const struct site_key *key, const struct record_fields *fields,
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
    fill_fields(&site->fields, fields, slots, rest);
    return site;
}

struct tenant *compile_tenant(struct slot_ref ref, struct str id,
                              const struct record_fields *fields, const uint32_t *slots,
                              uint32_t routes_slot)
{
    char *rest;
    struct tenant *tenant = new_object(OBJECT_TENANT, ref, sizeof(*tenant), 0, fields, &rest);

    copy_name(tenant->id, sizeof(tenant->id), id);
    tenant->routes_slot = routes_slot;
    tenant->bad = fields == NULL;
    if (fields != NULL)
        fill_fields(&tenant->fields, fields, slots, rest);
    return tenant;
}

struct defaults *compile_defaults(struct slot_ref ref, const struct record_fields *fields,
                                  const uint32_t *slots)
{
    char *rest;
    struct defaults *defaults =
        new_object(OBJECT_DEFAULTS, ref, sizeof(*defaults), 0, fields, &rest);

    defaults->bad = fields == NULL;
    if (fields != NULL)
        fill_fields(&defaults->fields, fields, slots, rest);
    return defaults;
}

struct routes *compile_routes(struct slot_ref ref, struct str id,
                              const struct record_fields *fields, const uint32_t *slots)
{
    struct routes *routes = check_alloc(sizeof(*routes));

    (void)slots;
    routes->object.kind = OBJECT_ROUTES;
    routes->object.ref = ref;
    routes->object.bytes = sizeof(*routes);
    copy_name(routes->id, sizeof(routes->id), id);
    routes->bad = fields == NULL;
    return routes;
}

void object_free(struct object *o)
{
    free(o); /* whatever it points to lies in the same allocation */
}
