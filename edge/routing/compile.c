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

struct service *compile_service(struct slot_ref ref, struct str name, bool bad,
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
    fill_service(service, balance, endpoints, count, schedule);
    return service;
}

/* An object of `head` bytes with the unnamed service of its `to`, if any, right behind. */
static void *alloc_with_own(size_t head, const struct record_fields *fields, struct service **own,
                            size_t *bytes)
{
    uint32_t schedule = 0;
    char *object;

    *own = NULL;
    *bytes = rounded(head);
    if (fields == NULL || fields->to != RECORD_TO_ENDPOINTS)
        return check_alloc(*bytes);
    *bytes += service_bytes(fields->endpoints.items, fields->endpoints.count, &schedule);
    object = check_alloc(*bytes);
    *own = (struct service *)(void *)(object + rounded(head));
    (*own)->object.kind = OBJECT_SERVICE;
    fill_service(*own, BALANCE_ROUND_ROBIN, fields->endpoints.items, fields->endpoints.count,
                 schedule);
    return object;
}

static struct tenant_fields compiled_fields(const struct record_fields *fields,
                                            const struct service *own, uint32_t service_slot)
{
    struct tenant_fields f = { .status = fields->status };

    if (fields->to == RECORD_TO_SERVICE) {
        f.to.kind = TO_SERVICE;
        f.to.service_slot = service_slot;
    } else if (fields->to == RECORD_TO_ENDPOINTS) {
        f.to.kind = TO_ENDPOINTS;
        f.to.own = own;
    }
    return f;
}

struct site *compile_site(struct slot_ref ref, struct str host, const struct record_fields *fields,
                          uint32_t tenant_slot, uint32_t service_slot)
{
    struct service *own;
    size_t bytes;
    struct site *site = alloc_with_own(sizeof(*site), fields, &own, &bytes);

    site->object.kind = OBJECT_SITE;
    site->object.ref = ref;
    site->object.bytes = bytes;
    copy_name(site->host, sizeof(site->host), host);
    site->bad = fields == NULL;
    if (fields == NULL)
        return site;
    site->has_tenant = fields->tenant[0] != '\0';
    site->tenant_slot = tenant_slot;
    site->fields = compiled_fields(fields, own, service_slot);
    return site;
}

struct tenant *compile_tenant(struct slot_ref ref, struct str id,
                              const struct record_fields *fields, uint32_t service_slot)
{
    struct service *own;
    size_t bytes;
    struct tenant *tenant = alloc_with_own(sizeof(*tenant), fields, &own, &bytes);

    tenant->object.kind = OBJECT_TENANT;
    tenant->object.ref = ref;
    tenant->object.bytes = bytes;
    copy_name(tenant->id, sizeof(tenant->id), id);
    tenant->bad = fields == NULL;
    if (fields != NULL)
        tenant->fields = compiled_fields(fields, own, service_slot);
    return tenant;
}

void object_free(struct object *o)
{
    free(o); /* whatever it points to lies in the same allocation */
}
