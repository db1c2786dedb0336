/* objects.c -- judged records become objects: services first, then what names them.
 *
 * Owns:    nothing; a record owns its current object, a replaced one is control's.
 * Thread:  control
 * Used by: judge.c.
 * Not here: which records are good (judge.c); layout (routing/compile.c). */
#include "store/objects.h"

#include <stdlib.h>

#include "base/check.h"
#include "routing/compile.h"
#include "routing/schedule.h"
#include "settings.h"
#include "store/judge.h"
#include "store/reading.h"
#include "store/state.h"

static void put(struct store *s, struct record *r, struct object *now)
{
    mirror_put(&s->mirror, r, now, store_changes(s));
}

static bool is_changed(const struct record *r)
{
    return r->in_round && (r->verdict == VERDICT_GOOD || r->verdict == VERDICT_GONE ||
                           (r->verdict == VERDICT_BAD && (!r->has_good || r->reading->stands_in)));
}

static bool is_to_publish(const struct record *r)
{
    return r->keep && record_has_right_name(r);
}

/* --- services --- */

/* A service that was good without usher:service: had the default policy: that is its last good one. */
static bool is_first_policy(const struct record *r)
{
    return r->in_round && r->was_known && !r->was_present && r->pair->present &&
           r->object != NULL && !((const struct service *)r->object)->bad;
}

static struct object *compiled_service(struct store *s, struct record *r)
{
    const struct record *e = r->pair;
    const struct service *was = (const struct service *)r->object;
    const struct endpoint *endpoints = NULL;
    const struct service_policy *policy = NULL;
    struct service *now;
    uint32_t count = 0;
    bool bad = (r->present && !r->has_good) || (e->present && !e->has_good);

    if (e->present && is_changed(e) && e->has_good) {
        endpoints = e->reading->fields.endpoints.items;
        count = e->reading->fields.endpoints.count;
    } else if (e->present && !is_changed(e) && was != NULL) {
        endpoints = was->endpoints;
        count = was->endpoint_count;
    }
    if (is_changed(r) && r->has_good)
        policy = &r->reading->fields.policy;
    else if (!is_changed(r) && was != NULL)
        policy = &was->policy;
    mirror_slot(&s->mirror, r);
    now = compile_service(r->ref, record_name(r), bad, policy, endpoints, count);
    service_arrange(now, str_from(s->settings->zone));
    states_attach(&s->states, &now->object);
    return &now->object;
}

/* `r` is the record of usher:service:; its pair holds the endpoints. */
static void publish_service(struct store *s, struct record *r)
{
    struct record *e = r->pair;

    if (!is_to_publish(r))
        return;
    if (is_first_policy(r) && r->verdict == VERDICT_BAD && !r->reading->stands_in)
        r->has_good = true;
    if (!is_changed(r) && !is_changed(e))
        return;
    if (is_changed(r))
        r->has_good = judge_brings_good(r);
    if (is_changed(e))
        e->has_good = judge_brings_good(e);
    put(s, r, record_exists(r) ? compiled_service(s, r) : NULL);
}

/* --- what names others --- */

static bool counts_alone(const struct record_fields *f)
{
    return f->limits_said && (f->limits.rps != 0 || !f->has_tenant);
}

/* What makes two hosts one site: the value, and where what it names stands. The key has places for a
 * tenant's and a service's slot; with more, all are part of what is printed. So is the host of a site that
 * counts by itself. */
static struct site_key site_key_of(const struct record *r, const struct record_fields *f,
                                   const uint32_t *slots)
{
    const struct buf *raw = &r->reading->raw;
    struct site_key key = { .value = { 0, 0 } };
    struct buf whole = { 0 };

    if (f->names.count <= 2 && !counts_alone(f)) {
        key.value = map_print_of(str_slice(raw->ptr, raw->len));
        memcpy(key.slots, slots, f->names.count * sizeof(*slots));
        return key;
    }
    buf_add(&whole, raw->ptr, raw->len);
    buf_add(&whole, slots, f->names.count * sizeof(*slots));
    if (counts_alone(f))
        buf_add_str(&whole, record_name(r));
    key.value = map_print_of(str_slice(whole.ptr, whole.len));
    memcpy(key.slots, slots, (f->names.count < 2 ? f->names.count : 2) * sizeof(*slots));
    buf_free(&whole);
    return key;
}

/* Hosts that say the same share one site. */
static struct object *compiled_site(struct store *s, const struct record *r,
                                    struct record_fields *f, const uint32_t *slots)
{
    struct site_key key = { .value = { 0, 0 } };
    struct object *shared;

    if (f != NULL)
        key = site_key_of(r, f, slots);
    shared = mirror_find_site(&s->mirror, &key);
    if (shared != NULL)
        return shared;
    shared = &compile_site(&key, f, slots)->object;
    states_attach(&s->states, shared);
    if (states_wants_own((struct site *)shared))
        states_attach_host(&s->states, (struct site *)shared, record_name(r));
    return shared;
}

/* `f` NULL: it never had a good version. */
static struct object *compiled(struct store *s, struct record *r, struct record_fields *f)
{
    uint32_t *slots = check_alloc((f ? f->names.count + 1 : 1) * sizeof(*slots));
    struct slot_ref ref = mirror_slot(&s->mirror, r);
    struct object *object = NULL;

    for (uint32_t i = 0; f != NULL && i < f->names.count; i++)
        slots[i] = mirror_slot(&s->mirror, r->reading->named[i]).slot;
    switch ((enum family)r->family) {
    case FAMILY_host:
        object = compiled_site(s, r, f, slots);
        break;
    case FAMILY_tenant:
        object =
            &compile_tenant(ref, record_name(r), f, slots, mirror_slot(&s->mirror, r->pair).slot)
                 ->object;
        break;
    case FAMILY_routes:
        object = &compile_routes(ref, record_name(r), f, slots)->object;
        break;
    case FAMILY_defaults:
        object = &compile_defaults(ref, f, slots)->object;
        break;
    default:
        CHECK(!"services are two records, compiled together");
    }
    free(slots);
    if (r->family != FAMILY_host) /* sites are shared, and may have theirs already */
        states_attach(&s->states, object);
    return object;
}

/* What its object names, it names from now on. */
static void refer(struct store *s, struct record *r)
{
    mirror_refer(&s->mirror, r, r->reading->named, r->reading->named_count);
    r->reading->named = NULL;
    r->reading->named_count = 0;
}

static void publish(struct store *s, struct record *r)
{
    if (!is_to_publish(r) || !is_changed(r))
        return;
    if (r->verdict == VERDICT_BAD && !judge_brings_good(r)) {
        if (r->object == NULL)
            put(s, r, compiled(s, r, NULL));
        return;
    }
    r->has_good = judge_brings_good(r);
    put(s, r, r->has_good ? compiled(s, r, &r->reading->fields) : NULL);
    refer(s, r);
    /* What others name by slot may come back; hosts are held by slot and generation. */
    if (!r->has_good && r->family == FAMILY_host)
        mirror_free_slot(&s->mirror, r);
}

/* A tenant without usher:tenant: says nothing, but is there while it has rules. */
static void publish_tenant(struct store *s, struct record *r)
{
    bool gone = is_changed(r) && r->verdict == VERDICT_GONE;

    if (!is_to_publish(r))
        return;
    if (is_changed(r) && !gone) {
        publish(s, r);
        return;
    }
    if (gone) {
        r->has_good = false;
        refer(s, r);
    }
    if (!record_exists(r))
        put(s, r, NULL);
    else if (!r->present && (gone || r->object == NULL))
        put(s, r, compiled(s, r, &(struct record_fields){ 0 }));
}

void objects_publish(struct store *s, struct record **records, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (records[i]->family == FAMILY_service ||
            (records[i]->family == FAMILY_endpoints && !records[i]->pair->in_round))
            publish_service(s, record_owner(records[i]));
    for (size_t i = 0; i < count; i++)
        if (records[i]->family == FAMILY_routes || records[i]->family == FAMILY_defaults)
            publish(s, records[i]);
    for (size_t i = 0; i < count; i++)
        if (records[i]->family == FAMILY_tenant ||
            (records[i]->family == FAMILY_routes && !records[i]->pair->in_round))
            publish_tenant(s, record_owner(records[i]));
    for (size_t i = 0; i < count; i++)
        if (records[i]->family == FAMILY_host)
            publish(s, records[i]);
}
