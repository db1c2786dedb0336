/* judge.c -- records become objects; what is wrong with them is said; what is gone goes.
 *
 * In this order, so that a change over several families is one: what is there, what is good (what
 * a host or a tenant names must exist), what is worth holding, then services, tenants, sites.
 *
 * Owns:    nothing; it moves what the mirror and the open changes own.
 * Thread:  control
 * Used by: sync.c.
 * Not here: reading (sync.c, reading.c); what fields mean (routing/record.c). */
#include "store/judge.h"

#include <stdlib.h>

#include "base/check.h"
#include "routing/compile.h"
#include "store/deadlines.h"
#include "store/keys.h"
#include "store/reading.h"
#include "store/state.h"

/* --- what is there --- */

static void judge_presence(struct store *s, struct record *r)
{
    const struct reading *d = r->reading;
    bool same;

    r->was_known = r->known;
    r->was_present = r->present;
    r->verdict = VERDICT_NONE;
    if (d == NULL)
        return;
    if (d->absent && verify_withholds(s, r)) {
        r->verdict = VERDICT_WITHHELD;
        return;
    }
    same = r->known && r->present && d->value_hash == r->value_hash && r->waits_on == NULL;
    r->verdict = d->absent ? VERDICT_GONE
                 : same    ? VERDICT_SAME
                 : d->good ? VERDICT_GOOD
                           : VERDICT_BAD;
    r->known = true;
    r->present = !d->absent;
    r->deleted = d->absent && (r->deleted || r->was_present);
    r->epoch = d->epoch;
    verify_settled(s, r);
}

/* --- what is good --- */

/* Is there an endpoint where none may be? `field` NULL: each endpoint is a field of its own. */
static bool points_wrong(struct store *s, const struct endpoint *endpoints, uint32_t count,
                         const char *field, struct record_error *error)
{
    char text[ADDRESS_TEXT_SIZE];

    for (uint32_t i = 0; i < count; i++) {
        enum guard_verdict verdict = guard_judge(s->guard, &endpoints[i].address);

        if (verdict == GUARD_ALLOWED)
            continue;
        address_text(&endpoints[i].address, text);
        record_error_set(error, field != NULL ? field : text, str_from(text), "%s",
                         guard_expects(verdict));
        return true;
    }
    return false;
}

static void judge_endpoints(struct store *s, struct record *r)
{
    const struct record_fields *f;
    struct record_error *error;
    char rule[NAME_MAX_BYTES + 1];
    bool wrong;

    if (r->verdict != VERDICT_GOOD)
        return;
    f = &r->reading->fields;
    error = &r->reading->error;
    wrong = points_wrong(s, f->endpoints.items, f->endpoints.count, NULL, error) ||
            points_wrong(s, f->to.endpoints, f->to.endpoint_count, "to", error);
    for (uint32_t i = 0; i < f->rule_count && !wrong; i++) {
        const struct rule_action *action = &f->rules[i].action;

        str_printable(f->rules[i].name, rule, sizeof(rule));
        wrong = points_wrong(s, action->endpoints, action->endpoint_count, rule, error);
    }
    if (wrong)
        r->verdict = VERDICT_BAD;
}

static bool is_known_whole(const struct record *r)
{
    return r->known && (r->pair == NULL || r->pair->known);
}

static void say_missing(struct store *s, struct record *r, const struct record *target)
{
    struct record_error *error = &r->reading->error;
    struct str name = record_name(target);

    if (target->family == FAMILY_tenant)
        record_error_set(error, "tenant", name,
                         "a tenant that exists: there is no " STR_FMT "tenant:" STR_FMT,
                         STR_ARG(s->prefix), STR_ARG(name));
    else
        record_error_set(error, "to", name,
                         "a service that exists: there is no " STR_FMT "endpoints:" STR_FMT,
                         STR_ARG(s->prefix), STR_ARG(name));
}

/* Marks what the version in force names. */
static void mark_named(struct record *r, bool marked)
{
    for (uint32_t i = 0; i < r->named_count; i++)
        r->named[i]->marked = marked;
}

/* Had the round to close before all that is named was read? */
static bool is_too_early(const struct record *r)
{
    for (uint32_t i = 0; i < r->reading->named_count; i++)
        if (!is_known_whole(r->reading->named[i]))
            return true;
    return false;
}

/* The first that is named newly, and does not exist; NULL: none. */
static struct record *find_missing(struct record *r)
{
    struct record *missing = NULL;

    mark_named(r, r->has_good);
    for (uint32_t i = 0; i < r->reading->named_count && missing == NULL; i++) {
        struct record *target = r->reading->named[i];

        if (!record_exists(target) && !target->marked)
            missing = target;
    }
    mark_named(r, false);
    return missing;
}

/* A name newly written must be one of something that exists; one that was good before may have lost
 * what it names. */
static void judge_names(struct store *s, struct record *r)
{
    struct record *missing = NULL;

    if (r->verdict == VERDICT_GOOD && is_too_early(r)) {
        r->verdict = VERDICT_NONE;
        r->known = r->was_known;
        r->present = r->was_present;
        return;
    }
    if (r->verdict == VERDICT_GOOD && (missing = find_missing(r)) != NULL) {
        r->verdict = VERDICT_BAD;
        say_missing(s, r, missing);
    }
    if (r->verdict != VERDICT_NONE && r->verdict != VERDICT_WITHHELD)
        mirror_wait_for(&s->mirror, r, missing);
}

static void say_bad(struct store *s, struct record *r)
{
    const struct record_error *error = &r->reading->error;
    struct buf key = { 0 };
    char quoted_key[300], field[160], expected[2 * sizeof(error->expected)];

    if (r->bad && r->value_hash == r->reading->value_hash &&
        memcmp(r->error, error, sizeof(*error)) == 0)
        return;
    r->bad = true;
    if (r->error == NULL)
        r->error = check_alloc(sizeof(*r->error));
    *r->error = *error;
    s->status.bad_records_seen++;
    keys_add(&key, s->prefix, (enum family)r->family, record_name(r));
    log_line(LOG_WARN, "bad_record", "key=%s field=%s value=%s expected=%s",
             log_quote(str_slice(key.ptr, key.len), quoted_key, sizeof(quoted_key)),
             log_quote(str_from(error->field), field, sizeof(field)), error->value,
             log_quote(str_from(error->expected), expected, sizeof(expected)));
    buf_free(&key);
    errors_report(s, r);
}

static void say_right(struct store *s, struct record *r)
{
    struct buf key = { 0 };
    char quoted[300];

    errors_clear(s, r);
    if (!r->bad)
        return;
    r->bad = false;
    free(r->error);
    r->error = NULL;
    keys_add(&key, s->prefix, (enum family)r->family, record_name(r));
    log_line(LOG_INFO, "record_mended", "key=%s",
             log_quote(str_slice(key.ptr, key.len), quoted, sizeof(quoted)));
    buf_free(&key);
}

static void say(struct store *s, struct record *r)
{
    if (r->verdict == VERDICT_NONE || r->verdict == VERDICT_WITHHELD)
        return;
    if (r->verdict == VERDICT_BAD)
        say_bad(s, r);
    else if (r->verdict != VERDICT_SAME || !r->bad)
        say_right(s, r);
    r->value_hash = r->reading->value_hash;
}

/* Records that are bad for want of this one are looked at again, now that it is there. */
static void call_waiters(struct store *s, struct record *r)
{
    if (r->verdict == VERDICT_NONE || !record_exists(r))
        return;
    LIST_EACH (node, after, &record_owner(r)->waiters) {
        struct record *waiter = LIST_ITEM(node, struct record, wait_node);

        if (!waiter->in_round)
            sync_want(s, waiter, QUEUE_WANTED);
    }
}

/* --- what is worth holding --- */

static bool is_needed(const struct record *r)
{
    return (r->in_round ? r->was_known : r->known) || r->wanted || r->reference_count > 0 ||
           r->verdict == VERDICT_BAD || !list_is_empty(&r->lookups) || !list_is_empty(&r->waiters);
}

static void keep(struct record *r)
{
    r->keep = true;
    if (r->pair != NULL)
        r->pair->keep = true;
}

static void judge_need(struct record *r)
{
    if (is_needed(r) || (r->pair != NULL && is_needed(r->pair)))
        keep(r);
}

/* One that was judged too early (VERDICT_NONE) keeps what has been read for it, for the next round. */
static void keep_named(const struct record *r)
{
    bool early = r->verdict == VERDICT_NONE && r->reading != NULL;

    if (!early && (!r->keep || r->verdict != VERDICT_GOOD))
        return;
    for (uint32_t i = 0; i < r->reading->named_count; i++)
        keep(r->reading->named[i]);
}

/* --- objects --- */

static void swap(struct store *s, struct record *r, struct object *now)
{
    if (now == NULL && r->object == NULL)
        return;
    changes_swap(store_changes(s), record_kind(r), r->ref, now, r->object);
    if (now != NULL && r->object != NULL)
        atomic_store_explicit(&now->used_tick,
                              atomic_load_explicit(&r->object->used_tick, memory_order_relaxed),
                              memory_order_relaxed);
    r->object = now;
}

static bool is_changed(const struct record *r)
{
    return r->in_round && (r->verdict == VERDICT_GOOD || r->verdict == VERDICT_GONE ||
                           (r->verdict == VERDICT_BAD && !r->has_good));
}

static bool has_right_name(const struct record *r)
{
    const char *expected;

    return record_name_is_right((enum family)r->family, record_name(r), &expected);
}

/* A service that was good without usher:service: had the default policy: that is its last good one. */
static bool is_first_policy(const struct record *r)
{
    return r->in_round && r->was_known && !r->was_present && r->pair->present &&
           r->object != NULL && !((const struct service *)r->object)->bad;
}

/* `r` is the record of usher:service:; its pair holds the endpoints. */
static void publish_service(struct store *s, struct record *r)
{
    struct record *e = r->pair;
    const struct service *was = (const struct service *)r->object;
    const struct endpoint *endpoints = NULL;
    uint32_t count = 0;
    bool bad;

    if (!r->keep || !has_right_name(r))
        return;
    if (is_first_policy(r) && r->verdict == VERDICT_BAD)
        r->has_good = true;
    if (!is_changed(r) && !is_changed(e))
        return;
    if (is_changed(r)) {
        r->has_good = r->verdict == VERDICT_GOOD;
        r->balance = r->has_good ? r->reading->fields.balance : BALANCE_ROUND_ROBIN;
    }
    if (is_changed(e))
        e->has_good = e->verdict == VERDICT_GOOD;
    if (!record_exists(r)) {
        swap(s, r, NULL);
        return;
    }
    if (e->present && is_changed(e) && e->has_good) {
        endpoints = e->reading->fields.endpoints.items;
        count = e->reading->fields.endpoints.count;
    } else if (e->present && !is_changed(e) && was != NULL) {
        endpoints = was->endpoints;
        count = was->endpoint_count;
    }
    bad = (r->present && !r->has_good) || (e->present && !e->has_good);
    mirror_slot(&s->mirror, r);
    swap(s, r,
         &compile_service(r->ref, record_name(r), bad, STR(""), (enum balance)r->balance, endpoints,
                          count)
              ->object);
}

static struct object *compiled(struct store *s, struct record *r, const struct record_fields *f)
{
    uint32_t *slots = check_alloc((f ? f->names.count + 1 : 1) * sizeof(*slots));
    struct slot_ref ref = mirror_slot(&s->mirror, r);
    struct object *object;

    for (uint32_t i = 0; f != NULL && i < f->names.count; i++)
        slots[i] = mirror_slot(&s->mirror, r->reading->named[i]).slot;
    if (r->family == FAMILY_host)
        object = &compile_site(ref, record_name(r), f, slots)->object;
    else
        object = &compile_tenant(ref, record_name(r), f, slots, 0)->object;
    free(slots);
    return object;
}

/* A tenant or a site. */
static void publish(struct store *s, struct record *r)
{
    if (!r->keep || !is_changed(r) || !has_right_name(r))
        return;
    if (r->verdict == VERDICT_BAD) {
        if (r->object == NULL)
            swap(s, r, compiled(s, r, NULL));
        return;
    }
    r->has_good = r->verdict == VERDICT_GOOD;
    swap(s, r, r->has_good ? compiled(s, r, &r->reading->fields) : NULL);
    mirror_refer(&s->mirror, r, r->reading->named, r->reading->named_count);
    r->reading->named = NULL;
    r->reading->named_count = 0;
    /* Workers hold a site by slot and generation; tenants are named by slot, and may come back. */
    if (!r->has_good && r->family == FAMILY_host)
        mirror_free_slot(&s->mirror, r);
}

/* Answers that workers remember for hosts that this key now answers, or no longer does. */
static void forget_answers(struct store *s, const struct record *r)
{
    bool changed = r->was_known ? r->was_present != r->present : r->pushed;

    if (r->family == FAMILY_host && r->verdict != VERDICT_NONE && changed && has_right_name(r))
        changes_forget(store_changes(s), record_name(r));
}

/* --- the end of a record's round --- */

static void keep_value(struct record *r)
{
    if (r->verdict == VERDICT_GOOD && r->keep)
        mirror_keep_raw(r, str_slice(r->reading->raw.ptr, r->reading->raw.len));
    else if (r->verdict == VERDICT_GONE || !r->keep)
        mirror_keep_raw(r, str_slice(NULL, 0));
}

static void finish(struct store *s, struct record *r)
{
    bool read = r->verdict != VERDICT_NONE, withheld = r->verdict == VERDICT_WITHHELD;

    r->in_round = false;
    if (read)
        keep_value(r);
    if (read && !withheld && r->keep)
        deadline_set(s, r, r->reading->absent ? -1 : r->reading->ttl_ms);
    if (!read)
        sync_want(s, r, QUEUE_PUSHED);
    else if (r->reading->epoch != s->mirror.epoch && r->keep)
        sync_want(s, r, QUEUE_VERIFY);
    reading_free(r->reading);
    r->reading = NULL;
    r->to_read = false;
    if (r->queue != QUEUE_PUSHED)
        r->pushed = false;
    if (list_is_empty(&r->lookups))
        r->wanted = false;
    if (!r->keep && read)
        r->known = r->present = false; /* judged, and not held */
    mirror_settle(&s->mirror, r);
}

static void drop_unneeded(struct store *s, struct record **records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        records[i]->keep = false;
        if (records[i]->family == FAMILY_endpoints)
            records[i] = NULL; /* goes with its service */
    }
    for (size_t i = 0; i < count; i++) {
        struct record *r = records[i];

        if (r != NULL && !r->known && (r->pair == NULL || !r->pair->known) && record_is_idle(r))
            mirror_drop(&s->mirror, r);
    }
}

static bool is_route(const struct record *r) /* what names others */
{
    return r->family == FAMILY_host || r->family == FAMILY_tenant;
}

static void publish_all(struct store *s, struct record **records, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (records[i]->family == FAMILY_service ||
            (records[i]->family == FAMILY_endpoints && !records[i]->pair->in_round))
            publish_service(s, record_owner(records[i]));
    for (size_t i = 0; i < count; i++)
        if (records[i]->family == FAMILY_tenant)
            publish(s, records[i]);
    for (size_t i = 0; i < count; i++)
        if (records[i]->family == FAMILY_host)
            publish(s, records[i]);
}

void judge_round(struct store *s, struct record **records, size_t count)
{
    for (size_t i = 0; i < count; i++)
        judge_presence(s, records[i]);
    for (size_t i = 0; i < count; i++)
        judge_endpoints(s, records[i]);
    for (size_t i = 0; i < count; i++) {
        if (is_route(records[i]))
            judge_names(s, records[i]);
        say(s, records[i]);
    }
    for (size_t i = 0; i < count; i++)
        call_waiters(s, records[i]);
    for (size_t i = 0; i < count; i++)
        judge_need(records[i]);
    for (size_t i = 0; i < count; i++)
        if (records[i]->family == FAMILY_host)
            keep_named(records[i]);
    for (size_t i = 0; i < count; i++)
        if (records[i]->family == FAMILY_tenant)
            keep_named(records[i]);
    publish_all(s, records, count);
    for (size_t i = 0; i < count; i++)
        forget_answers(s, records[i]);
    for (size_t i = 0; i < count; i++)
        finish(s, records[i]);
    for (size_t i = 0; i < count; i++)
        lookups_go_on(s, records[i]);
    drop_unneeded(s, records, count);
}
