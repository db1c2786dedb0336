/* dangling.c -- who names what is deleted.
 *
 * Owns:    the list of what is deleted.
 * Thread:  control
 * Used by: check.c.
 * Not here: names that are newly written (lint.c).  */
#include "cli/dangling.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "store/keys.h"

#define SHOWN_MOST 100

struct deleted {
    enum family family; /* tenant or service */
    struct str name;    /* the keyspace's */
};

struct search {
    struct keyspace *k;
    struct lint *lint;
    struct deleted *deleted;
    size_t count;
    uint64_t found;
};

static bool is_there(const struct records *from, enum family family, struct str name)
{
    struct value value;
    const char *why;

    return records_fetch(from, family, name, &value, &why) && value.kind != VALUE_ABSENT;
}

static bool stands(const struct records *from, enum family family, struct str name)
{
    return is_there(from, family, name) ||
           (family == FAMILY_service && is_there(from, FAMILY_endpoints, name));
}

/* What stood in Redis, and will not. */
static void list_deleted(struct search *s, const struct records *before)
{
    struct records after = keyspace_records(s->k);
    struct keyspace_entry e;
    size_t room = 0;

    for (size_t at = 0; keyspace_next(s->k, &at, &e);) {
        enum family family;
        struct str name;

        if (e.value->kind != VALUE_ABSENT || !keys_split(s->lint->prefix, e.key, &family, &name))
            continue;
        family = family == FAMILY_endpoints ? FAMILY_service : family;
        if ((family != FAMILY_tenant && family != FAMILY_service) || stands(&after, family, name) ||
            !stands(before, family, name))
            continue;
        if (s->count == room) {
            room = room ? room * 2 : 16;
            s->deleted = check_realloc(s->deleted, room * sizeof(*s->deleted));
        }
        s->deleted[s->count++] = (struct deleted){ family, name };
    }
}

static const struct deleted *find_deleted(const struct search *s, const struct record_name *n)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->deleted[i].family == n->family && str_equals(s->deleted[i].name, n->name))
            return &s->deleted[i];
    return NULL;
}

static void warn(struct search *s, struct str key, const struct record_name *n)
{
    struct finding f = { .warning = true, .kind = "dangling", .key = key };

    snprintf(f.error.field, sizeof(f.error.field), "%s", n->field);
    snprintf(f.error.expected, sizeof(f.error.expected),
             "names %s " STR_FMT ", which goes: its requests will be answered with 503 %s",
             n->family == FAMILY_tenant ? "tenant" : "service", STR_ARG(n->name),
             n->family == FAMILY_tenant ? "tenant_gone" : "no_endpoint");
    lint_report(s->lint, &f);
}

static bool on_key(void *owner, struct str key, const enum family *family, struct str name)
{
    struct search *s = owner;

    (void)name;
    return family != NULL && *family != FAMILY_service && *family != FAMILY_endpoints &&
           !keyspace_touches(s->k, key);
}

static void on_value(void *owner, enum family family, struct str name, const struct value *value)
{
    struct search *s = owner;
    struct record_fields fields;
    struct record_error error;
    struct buf key = { 0 };

    if (record_decode(s->lint->modules, family, name, value, &fields, &error))
        for (uint32_t i = 0; i < fields.names.count; i++) {
            if (find_deleted(s, &fields.names.items[i]) == NULL || s->found++ >= SHOWN_MOST)
                continue;
            buf_clear(&key);
            keys_add(&key, s->lint->prefix, family, name);
            warn(s, str_slice(key.ptr, key.len), &fields.names.items[i]);
        }
    record_fields_free(&fields);
    buf_free(&key);
}

static void warn_of_more(struct search *s)
{
    struct finding f = { .warning = true, .kind = "dangling", .key = STR("") };

    snprintf(f.error.expected, sizeof(f.error.expected), "%llu more records name what goes",
             (unsigned long long)(s->found - SHOWN_MOST));
    lint_report(s->lint, &f);
}

bool dangling_find(struct keyspace *k, struct redis_records *records, struct lint *l)
{
    const struct records before = redis_records_source(records);
    struct search s = { .k = k, .lint = l };
    const struct redis_walk walk = { .owner = &s, .key = on_key, .value = on_value };
    bool good = true;

    list_deleted(&s, &before);
    l->line = 0;
    if (s.count > 0)
        good = redis_records_walk(records, "", &walk);
    if (s.found > SHOWN_MOST)
        warn_of_more(&s);
    free(s.deleted);
    return good;
}
