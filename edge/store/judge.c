/* judge.c -- what is right of what a round has read; what is wrong with the rest is said.
 *
 * In this order, so that a change over several families is one: what is there, what is good (what
 * a record names must exist, and be its tenant's to name), what is worth holding; then objects are
 * made of it (objects.c), and the round's end.
 *
 * Owns:    nothing; it moves what the mirror and the open changes own.
 * Thread:  control
 * Used by: sync.c.
 * Not here: reading (sync.c, reading.c); what fields mean (routing/record.c); objects (objects.c). */
#include "store/judge.h"

#include <stdlib.h>

#include "base/check.h"
#include "store/deadlines.h"
#include "store/endpoints.h"
#include "store/keys.h"
#include "store/objects.h"
#include "store/reading.h"
#include "store/state.h"

bool judge_brings_good(const struct record *r)
{
    return r->verdict == VERDICT_GOOD || (r->verdict == VERDICT_BAD && r->reading->stands_in);
}

/* --- what is there --- */

static void judge_presence(struct store *s, struct record *r)
{
    const struct reading *d = r->reading;
    bool same;

    r->was_known = r->known;
    r->was_present = r->present;
    r->verdict = VERDICT_NONE;
    r->is_new = d != NULL && (!r->known || r->present == d->absent ||
                              (r->present && r->value_hash != d->value_hash));
    if (d == NULL)
        return;
    if (d->absent && !d->from_copy && verify_withholds(s, r)) {
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
    if (d->withheld)
        verify_misses(s, r);
    else if (!d->from_copy)
        verify_settled(s, r);
}

/* --- what is good --- */

static void judge_endpoints(struct store *s, struct record *r)
{
    struct record_error unsaid;

    if (!judge_brings_good(r))
        return;
    if (endpoints_point_wrong(s->guard, &r->reading->fields,
                              r->verdict == VERDICT_GOOD ? &r->reading->error : &unsaid)) {
        r->verdict = VERDICT_BAD;
        r->reading->stands_in = false;
    }
}

static bool is_known_whole(const struct record *r)
{
    return r->known && (r->pair == NULL || r->pair->known);
}

/* The tenant that this record speaks for; "": none. */
static struct str tenant_of(const struct record *r)
{
    const struct record_fields *f = &r->reading->fields;

    if (r->family == FAMILY_tenant || r->family == FAMILY_routes)
        return record_name(r);
    return f->has_tenant ? f->names.items[f->tenant].name : STR("");
}

/* Whose alone a service is, by what this round has read or by what is in force; "": for all. */
static struct str owner_of(const struct record *service)
{
    if (service->in_round && service->verdict == VERDICT_GOOD)
        return str_from(service->reading->fields.policy.owner);
    if (service->object == NULL || (service->in_round && service->verdict == VERDICT_GONE))
        return STR("");
    return str_from(((const struct service *)service->object)->policy.owner);
}

static bool is_of_another(const struct record *r, const struct record *target)
{
    struct str owner = target->family == FAMILY_service ? owner_of(target) : STR("");

    return owner.len > 0 && !str_equals(owner, tenant_of(r));
}

static void say_wrong_name(struct store *s, struct record *r, uint32_t i)
{
    const struct record *target = r->reading->named[i];
    struct record_error *error = &r->reading->error;
    struct str name = record_name(target), owner;
    char field[sizeof(error->field)];

    str_printable(str_from(r->reading->fields.names.items[i].field), field, sizeof(field));
    if (record_exists(target)) {
        owner = owner_of(target);
        record_error_set(error, field, name,
                         "a service that this tenant may name: " STR_FMT "service:" STR_FMT
                         " says owner " STR_FMT,
                         STR_ARG(s->prefix), STR_ARG(name), STR_ARG(owner));
    } else if (target->family == FAMILY_tenant) {
        record_error_set(error, field, name,
                         "a tenant that exists: there is no " STR_FMT "tenant:" STR_FMT,
                         STR_ARG(s->prefix), STR_ARG(name));
    } else {
        record_error_set(error, field, name,
                         "a service that exists: there is no " STR_FMT "endpoints:" STR_FMT,
                         STR_ARG(s->prefix), STR_ARG(name));
    }
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

/* Does the version in force speak for the same tenant? Only a host can come to another. */
static bool is_same_tenant(const struct record *r)
{
    const struct site *site = (const struct site *)r->object;
    const struct record_fields *f = &r->reading->fields;
    const struct record *tenant;

    if (r->family != FAMILY_host || site == NULL)
        return true;
    if (!f->has_tenant || !site->has_tenant)
        return f->has_tenant == site->has_tenant;
    tenant = r->reading->named[f->tenant];
    return tenant->has_slot && tenant->ref.slot == site->tenant_slot;
}

/* The first name, newly written, of something that does not exist or is another tenant's; `count`:
 * none. What was named before may have lost what it names, or got an owner since. */
static uint32_t find_wrong_name(struct record *r)
{
    const struct reading *d = r->reading;
    bool same_tenant = is_same_tenant(r);
    uint32_t i;

    mark_named(r, r->has_good);
    for (i = 0; i < d->named_count; i++) {
        const struct record *target = d->named[i];

        if (target->marked && (same_tenant || target->family == FAMILY_tenant))
            continue;
        if ((!record_exists(target) && !target->marked) || is_of_another(r, target))
            break;
    }
    mark_named(r, false);
    return i;
}

static void judge_names(struct store *s, struct record *r)
{
    struct record *wants = NULL;
    uint32_t wrong;

    if (r->verdict == VERDICT_GOOD && is_too_early(r)) {
        r->verdict = VERDICT_NONE;
        r->known = r->was_known;
        r->present = r->was_present;
        return;
    }
    if (r->verdict == VERDICT_BAD && r->reading->stands_in && is_too_early(r))
        r->reading->stands_in = false;
    /* What the disk copy holds was good once; what it named may be gone since. */
    if (r->verdict == VERDICT_GOOD && !r->reading->from_copy &&
        (wrong = find_wrong_name(r)) < r->reading->named_count) {
        r->verdict = VERDICT_BAD;
        say_wrong_name(s, r, wrong);
        wants = r->reading->named[wrong];
    }
    if (r->verdict != VERDICT_NONE && r->verdict != VERDICT_WITHHELD)
        mirror_wait_for(&s->mirror, r, wants);
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
    if (r->reading->from_copy) {
        r->value_hash = r->reading->value_hash;
        return;
    }
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

        if (waiter->in_round)
            continue;
        barrier_owe_like(s, waiter, r);
        sync_want(s, waiter, QUEUE_WANTED);
    }
}

/* --- what is worth holding --- */

static bool is_needed(const struct record *r)
{
    return (r->in_round ? r->was_known : r->known) || r->wanted || r->family == FAMILY_defaults ||
           r->reference_count > 0 || r->verdict == VERDICT_BAD || !list_is_empty(&r->lookups) ||
           !list_is_empty(&r->waiters);
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

    if (!early && (!r->keep || !judge_brings_good(r)))
        return;
    for (uint32_t i = 0; i < r->reading->named_count; i++)
        keep(r->reading->named[i]);
}

/* Answers that workers remember for hosts that this key now answers, or no longer does. */
static void forget_answers(struct store *s, const struct record *r)
{
    bool changed = r->was_known ? r->was_present != r->present : r->pushed;

    if (r->family == FAMILY_host && r->verdict != VERDICT_NONE && changed &&
        record_has_right_name(r))
        changes_forget(store_changes(s), record_name(r));
}

/* --- the end of a record's round --- */

static void keep_value(struct record *r)
{
    if (judge_brings_good(r) && r->keep)
        mirror_keep_raw(r, str_slice(r->reading->raw.ptr, r->reading->raw.len));
    else if (r->verdict == VERDICT_GONE || !r->keep)
        mirror_keep_raw(r, str_slice(NULL, 0));
}

static void finish(struct store *s, struct record *r)
{
    bool read = r->verdict != VERDICT_NONE, withheld = r->verdict == VERDICT_WITHHELD;

    r->in_round = false;
    if (read) {
        history_note(s, r);
        scan_judged(s, r);
        r->to_copy = false;
        keep_value(r);
    }
    if (read && !withheld && r->keep)
        deadline_set(s, r, r->reading->absent ? -1 : r->reading->ttl_ms);
    if (!read && redis_link_is_up(s->reader))
        sync_want(s, r, QUEUE_PUSHED);
    else if (read && r->reading->epoch != s->mirror.epoch && r->keep)
        sync_want(s, r, QUEUE_VERIFY);
    reading_free(r->reading);
    r->reading = NULL;
    r->to_read = false;
    if (r->queue != QUEUE_PUSHED) {
        r->pushed = r->flushed = r->found = false;
        barrier_paid(s, r);
    }
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
        if (record_owner(records[i]) != records[i])
            records[i] = NULL; /* goes with its pair */
    }
    for (size_t i = 0; i < count; i++) {
        struct record *r = records[i];

        if (r != NULL && !r->known && (r->pair == NULL || !r->pair->known) && record_is_idle(r))
            mirror_drop(&s->mirror, r);
    }
}

static bool names_others(const struct record *r)
{
    return r->family != FAMILY_service && r->family != FAMILY_endpoints;
}

void judge_round(struct store *s, struct record **records, size_t count)
{
    for (size_t i = 0; i < count; i++)
        judge_presence(s, records[i]);
    for (size_t i = 0; i < count; i++)
        judge_endpoints(s, records[i]);
    for (size_t i = 0; i < count; i++) {
        if (names_others(records[i]))
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
        if (records[i]->family != FAMILY_host)
            keep_named(records[i]);
    objects_publish(s, records, count);
    for (size_t i = 0; i < count; i++)
        forget_answers(s, records[i]);
    for (size_t i = 0; i < count; i++)
        finish(s, records[i]);
    for (size_t i = 0; i < count; i++)
        lookups_go_on(s, records[i]);
    drop_unneeded(s, records, count);
}
