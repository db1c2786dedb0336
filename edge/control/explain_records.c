/* explain_records.c -- fetches a record, decodes it, and judges what it names as a new edge would.
 *
 * Owns:    what it decoded, until it is given back.
 * Thread:  control
 * Used by: explain.c.
 * Not here: what follows for the request (explain.c). */
#include "control/explain_records.h"

#include <stdio.h>

#include "store/endpoints.h"
#include "store/keys.h"

struct str explain_print(struct explanation *e, const char *format, ...)
{
    struct buf text = { 0 };
    struct str kept;
    va_list args;

    buf_add_text(&text, "");
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    kept = arena_copy(&e->arena, str_slice(text.ptr, text.len));
    buf_free(&text);
    return kept;
}

struct str explain_key(struct explanation *e, const struct explain_source *source,
                       enum family family, struct str name)
{
    struct buf key = { 0 };
    struct str kept;

    keys_add(&key, str_from(source->settings->prefix), family, name);
    kept = arena_copy(&e->arena, str_slice(key.ptr, key.len));
    buf_free(&key);
    return kept;
}

/* Whether it is there, and its owner (of a service). */
static bool look_at(const struct explain_source *source, enum family family, struct str name,
                    char owner[NAME_MAX_BYTES + 1])
{
    struct record_fields fields;
    struct record_error error;
    struct value value;
    const char *why;

    if (!records_fetch(&source->records, family, name, &value, &why) || value.kind == VALUE_ABSENT)
        return false;
    if (family == FAMILY_service) {
        if (record_decode(NULL, family, name, &value, &fields, &error))
            memcpy(owner, fields.policy.owner, sizeof(fields.policy.owner));
        record_fields_free(&fields);
    }
    return true;
}

static struct str tenant_of(enum family family, struct str name, const struct record_fields *fields)
{
    if (family == FAMILY_tenant || family == FAMILY_routes)
        return name;
    return fields->has_tenant ? fields->names.items[fields->tenant].name : STR("");
}

/* What a record newly names must exist, and be its tenant's to name. */
static bool judge_names(const struct explain_source *source, enum family family, struct str name,
                        const struct record_fields *fields, struct record_error *error)
{
    for (uint32_t i = 0; i < fields->names.count; i++) {
        const struct record_name *n = &fields->names.items[i];
        char owner[NAME_MAX_BYTES + 1] = "";
        bool there = look_at(source, n->family, n->name, owner);

        if (!there && n->family == FAMILY_service)
            there = look_at(source, FAMILY_endpoints, n->name, owner);
        if (!there) {
            record_error_set(error, n->field, n->name, "a %s that exists",
                             n->family == FAMILY_tenant ? "tenant" : "service");
            return false;
        }
        if (owner[0] != '\0' && !str_equals(tenant_of(family, name, fields), str_from(owner))) {
            record_error_set(error, n->field, n->name,
                             "a service that this tenant may name: its owner is %s", owner);
            return false;
        }
    }
    return true;
}

static struct str sentence(struct explanation *e, const struct record_error *error)
{
    struct buf text = { 0 };
    struct str kept;

    record_error_say(error, &text);
    kept = arena_copy(&e->arena, str_slice(text.ptr, text.len));
    buf_free(&text);
    return kept;
}

static struct str taken(struct explanation *e, struct buf *text)
{
    struct str kept = arena_copy(&e->arena, str_slice(text->ptr, text->len));

    buf_free(text);
    return kept;
}

/* The value itself: decoded, and judged where nobody has. */
static void read_value(struct explanation *e, const struct explain_source *source,
                       enum family family, struct str name, struct explain_record *record,
                       struct explained_record *seen)
{
    struct record_error error;
    struct value value;
    const char *why = "";

    if (!records_fetch(&source->records, family, name, &value, &why)) {
        seen->says = arena_copy(&e->arena, str_from(why));
    } else if (value.kind == VALUE_ABSENT) {
        record->state = EXPLAINED_ABSENT;
    } else if (record_decode(source->modules, family, name, &value, &record->fields, &error) &&
               (source->in_force ||
                (!endpoints_point_wrong(source->guard, &record->fields, &error) &&
                 judge_names(source, family, name, &record->fields, &error)))) {
        record->state = EXPLAINED_GOOD;
    } else {
        record->state = EXPLAINED_BAD;
        seen->says = sentence(e, &error);
    }
}

void explain_load(struct explanation *e, const struct explain_source *source, enum family family,
                  struct str name, struct explain_record *record)
{
    struct explained_record seen = { .key = explain_key(e, source, family, name), .says = STR("") };
    struct buf says = { 0 };

    *record = (struct explain_record){ .state = EXPLAINED_UNREAD };
    if (source->state != NULL) {
        buf_add_text(&says, "");
        record->state = source->state(source->owner, family, name, &says);
        seen.says = taken(e, &says);
    }
    if (source->state == NULL || record->state == EXPLAINED_GOOD)
        read_value(e, source, family, name, record, &seen);
    e->unread |= record->state == EXPLAINED_UNREAD;
    seen.state = record->state;
    explain_add(e, records, seen);
}

void explain_record_free(struct explain_record *record)
{
    record_fields_free(&record->fields);
}
