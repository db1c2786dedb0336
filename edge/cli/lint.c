/* lint.c -- keys and records judged as an edge would, and then a little further.
 *
 * Owns:    what it has learnt of tenants, services and rules.
 * Thread:  control (pure: any would do)
 * Used by: check.c.
 * Not here: rules against each other ; where records come from (check.c). */
#include "cli/lint.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/cidr.h"
#include "cli/lint_rules.h"
#include "cli/near_miss.h"
#include "http/target.h"
#include "store/endpoints.h"
#include "store/keys.h"

/* What records of other families need to know of one. A service is two records: both are one. */
struct lint_target {
    enum family family;
    struct str name; /* owned */
    bool looked;     /* fetched, or learnt */
    bool exists;
    bool named;                     /* by a record that was judged */
    bool has_policy, has_endpoints; /* of a service */
    bool takes_requests;            /* an endpoint of weight, that does not drain */
    bool has_first;                 /* ... and is no backup */
    bool has_to;                    /* of a tenant, or of the defaults */
    char owner[NAME_MAX_BYTES + 1];
};

/* --- words --- */

/* What edges write, and what later versions will: no configuration, and no mistake. */
static const char *const families_other[] = { "errors",  "edges",    "edge",   "ack",   "barrier",
                                              "history", "recorded", "health", "stats", "lease",
                                              "rate",    "ticket",   "acme",   "cert",  "t",
                                              "sni",     "script",   "purge",  "ban",   "accept",
                                              "switch",  "applied" };

#define UNNAMED_MOST 100
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A field of this family; of the endpoints: an option. */
static const char *near_field(enum family family, struct str word)
{
    const char *names[64];
    size_t count;
    const struct field_row *rows =
        family == FAMILY_routes ? rule_words_known(&count) : record_fields_of(family, &count);

    CHECK(count <= COUNT(names));
    for (size_t i = 0; i < count; i++)
        names[i] = rows[i].name;
    return near_miss(word, names, count);
}

/* --- findings --- */

void lint_report(struct lint *l, struct finding *f)
{
    if (f->line == 0)
        f->line = l->line;
    if (f->note)
        l->notes++;
    else if (f->warning)
        l->warnings++;
    else
        l->errors++;
    l->found(l->owner, f);
}

static void find(struct lint *l, bool warning, const char *kind, struct str key,
                 const struct record_error *error, const char *hint)
{
    struct finding f = { .warning = warning, .kind = kind, .key = key, .error = *error };

    snprintf(f.hint, sizeof(f.hint), "%s", hint);
    lint_report(l, &f);
}

static struct str key_of(struct lint *l, enum family family, struct str name)
{
    buf_clear(&l->key);
    keys_add(&l->key, l->prefix, family, name);
    return str_slice(l->key.ptr, l->key.len);
}

/* A warning about a whole record: what follows from it. */
static void warn(struct lint *l, const char *kind, enum family family, struct str name,
                 const char *follows)
{
    struct record_error error = { .field = "", .value = "" };

    snprintf(error.expected, sizeof(error.expected), "%s", follows);
    find(l, true, kind, key_of(l, family, name), &error, "");
}

/* --- keys --- */

/* A ban is its key: one that is no range bans nobody. */
static void judge_ban(struct lint *l, struct str key, struct str range)
{
    struct record_error error;
    const char *expected;
    struct cidr c;

    if (cidr_parse(range, &c, &expected))
        return;
    record_error_set(&error, "", range, "%s", expected);
    find(l, false, "bad_key", key, &error, "");
}

static void judge_family(struct lint *l, struct str key, struct str rest)
{
    const char *end = rest.len ? memchr(rest.ptr, ':', rest.len) : NULL, *near, *known[FAMILIES];
    struct str word = str_slice(rest.ptr, end ? (size_t)(end - rest.ptr) : rest.len);
    struct record_error error;
    char hint[160] = "";

    if (str_equals(word, STR("ban")) && end != NULL) {
        judge_ban(l, key, str_slice(end + 1, rest.len - word.len - 1));
        return;
    }
    for (size_t i = 0; i < COUNT(families_other); i++)
        if (str_equals(word, str_from(families_other[i])))
            return;
    record_error_set(&error, "", word,
                     "a family that edges read: host, tenant, routes, service, endpoints, "
                     "defaults");
    for (unsigned i = 0; i < FAMILIES; i++)
        known[i] = family_word((enum family)i);
    near = near_miss(word, known, FAMILIES);
    if (near != NULL)
        snprintf(hint, sizeof(hint), "did you mean " STR_FMT "%s" STR_FMT "?", STR_ARG(l->prefix),
                 near, (int)(rest.len - word.len), rest.ptr + word.len);
    find(l, near == NULL, "unknown_key", key, &error, hint);
}

/* The host that was meant: without port and last dot, in lower case. */
static void hint_host(struct lint *l, struct str name, char *hint, size_t size)
{
    char normal[TARGET_HOST_MAX + 1];
    bool wild = str_starts_with(name, STR("*."));
    struct str rest = wild ? str_slice(name.ptr + 2, name.len - 2) : name;
    size_t len = target_normal_host(rest, normal);
    const char *expected;

    if (len == 0 || !record_name_is_right(FAMILY_host, str_slice(normal, len), &expected))
        return;
    snprintf(hint, size, "did you mean " STR_FMT "host:%s%.*s?", STR_ARG(l->prefix),
             wild ? "*." : "", (int)len, normal);
}

bool lint_key(struct lint *l, struct str key, const enum family *family, struct str name)
{
    struct record_error error;
    const char *expected;
    char hint[160] = "";

    l->keys++;
    if (family == NULL) {
        if (str_starts_with(key, l->prefix))
            judge_family(l, key, str_slice(key.ptr + l->prefix.len, key.len - l->prefix.len));
        return false;
    }
    if (record_name_is_right(*family, name, &expected))
        return true;
    record_error_set(&error, "", name, "%s", expected);
    if (*family == FAMILY_host)
        hint_host(l, name, hint, sizeof(hint));
    find(l, false, "bad_key", key, &error, hint);
    return false;
}

/* --- what others name --- */

/* Both records of a service are one thing. */
static enum family named_as(enum family family)
{
    return family == FAMILY_endpoints ? FAMILY_service : family;
}

static bool target_is(const void *value, struct str key)
{
    const struct lint_target *t = value;

    return key.ptr[0] == (char)('a' + t->family) &&
           str_equals(str_slice(key.ptr + 1, key.len - 1), t->name);
}

static struct lint_target *target_of(struct lint *l, enum family family, struct str name)
{
    char text[NAME_MAX_BYTES + 2];
    struct lint_target *t;
    struct str key;
    uint64_t hash;
    char *copy;

    family = named_as(family);
    CHECK(name.len <= NAME_MAX_BYTES);
    text[0] = (char)('a' + family);
    memcpy(text + 1, name.ptr, name.len);
    key = str_slice(text, name.len + 1);
    hash = map_hash(key);
    t = map_find(&l->targets, hash, key);
    if (t == NULL) {
        t = check_alloc(sizeof(*t));
        copy = check_alloc(name.len + 1);
        memcpy(copy, name.ptr, name.len);
        t->family = family;
        t->name = str_slice(copy, name.len);
        map_add(&l->targets, hash, t);
    }
    return t;
}

static bool may_be_target(enum family family, struct str name)
{
    const char *expected;

    return family != FAMILY_host && name.len <= NAME_MAX_BYTES &&
           record_name_is_right(family, name, &expected);
}

static void learn_endpoint(struct lint_target *t, const struct endpoint *e)
{
    if (endpoint_weight(e) == 0)
        return;
    t->takes_requests = true;
    t->has_first |= e->options == NULL || !e->options->backup;
}

static void learn(struct lint_target *t, enum family family, struct str name,
                  const struct value *value)
{
    struct record_fields fields;
    struct record_error error;

    if (value->kind == VALUE_ABSENT)
        return;
    t->exists = true;
    t->has_policy |= family == FAMILY_service;
    t->has_endpoints |= family == FAMILY_endpoints;
    if (record_decode(NULL, family, name, value, &fields, &error)) {
        if (family == FAMILY_service)
            memcpy(t->owner, fields.policy.owner, sizeof(t->owner));
        t->has_to |= fields.to.kind != ACTION_UNSET;
        for (uint32_t i = 0; i < fields.endpoints.count; i++)
            learn_endpoint(t, &fields.endpoints.items[i]);
    } else {
        t->has_to = t->takes_requests = t->has_first =
            true; /* it has an error of its own: that is enough */
    }
    record_fields_free(&fields);
}

void lint_learn(struct lint *l, enum family family, struct str name, const struct value *value)
{
    struct lint_target *t;

    if (!may_be_target(family, name))
        return;
    t = target_of(l, family, name);
    t->looked = true;
    learn(t, family, name, value);
}

static void fetch_into(struct lint *l, struct lint_target *t, enum family family)
{
    struct value value;
    const char *why;

    if (l->why != NULL)
        return;
    if (records_fetch(l->all, family, t->name, &value, &why))
        learn(t, family, t->name, &value);
    else
        l->why = why;
}

static struct lint_target *look_up(struct lint *l, enum family family, struct str name)
{
    struct lint_target *t = target_of(l, family, name);

    if (t->looked || l->all == NULL)
        return t;
    t->looked = true;
    fetch_into(l, t, t->family);
    if (t->family == FAMILY_service)
        fetch_into(l, t, FAMILY_endpoints);
    return t;
}

/* --- records --- */

/* What may be a slip: the field's name, or the word of an option or a rule that is quoted. */
static struct str wrong_word(enum family family, const struct value_field *f,
                             const struct record_error *error)
{
    if (family == FAMILY_routes && strstr(error->expected, " setting ") != NULL)
        return STR(""); /* of a module: no word of rules */
    if (family != FAMILY_endpoints && family != FAMILY_routes)
        return f->name;
    return str_slice(error->value + 1, strcspn(error->value + 1, "=\" "));
}

/* What is wrong in each field by itself, when the whole is refused; false: no field is. What is said
 * of modules needs the tenant too, so it is not one field's. */
static bool judge_each_field(struct lint *l, enum family family, struct str name,
                             const struct value *value)
{
    bool any = false;

    for (size_t i = 0; i < value->count; i++) {
        struct value one = { .kind = VALUE_HASH, .fields = &value->fields[i], .count = 1 };
        struct record_fields fields;
        struct record_error error;
        char hint[160] = "";

        if (!record_decode(family == FAMILY_routes ? l->modules : NULL, family, name, &one, &fields,
                           &error)) {
            struct str word = wrong_word(family, &value->fields[i], &error);
            const char *near = near_field(family, word);

            if (near != NULL && !str_equals(word, str_from(near)))
                snprintf(hint, sizeof(hint), "did you mean %s?", near);
            find(l, false, "bad_record", key_of(l, family, name), &error, hint);
            any = true;
        }
        record_fields_free(&fields);
    }
    return any;
}

/* Whose a record is, for services that have an owner: the tenant it is of, or that it names. */
static struct str tenant_behind(enum family family, struct str name,
                                const struct record_fields *fields)
{
    if (family == FAMILY_host)
        return fields->has_tenant ? fields->names.items[fields->tenant].name : STR("");
    return family == FAMILY_tenant || family == FAMILY_routes ? name : STR("");
}

static void judge_name(struct lint *l, enum family family, struct str name,
                       const struct record_fields *fields, const struct record_name *named)
{
    struct lint_target *t = look_up(l, named->family, named->name);
    struct str tenant = tenant_behind(family, name, fields);
    struct record_error error;

    t->named = true;
    if (!t->exists) {
        if (t->family == FAMILY_tenant)
            record_error_set(&error, named->field, named->name,
                             "a tenant that exists: there is no " STR_FMT "tenant:" STR_FMT,
                             STR_ARG(l->prefix), STR_ARG(named->name));
        else
            record_error_set(&error, named->field, named->name,
                             "a service that exists: there is no " STR_FMT "endpoints:" STR_FMT,
                             STR_ARG(l->prefix), STR_ARG(named->name));
        find(l, false, "missing_name", key_of(l, family, name), &error, "");
    } else if (t->owner[0] != '\0' && !str_equals(tenant, str_from(t->owner))) {
        record_error_set(&error, named->field, named->name,
                         "a service that this tenant may name: " STR_FMT "service:" STR_FMT
                         " says owner %s",
                         STR_ARG(l->prefix), STR_ARG(named->name), t->owner);
        find(l, false, "not_owner", key_of(l, family, name), &error, "");
    }
}

static bool defaults_have_to(struct lint *l)
{
    return look_up(l, FAMILY_defaults, STR(""))->has_to;
}

static void warn_of_tenant(struct lint *l, struct str name, const struct record_fields *fields)
{
    if (fields->to.kind == ACTION_UNSET && !look_up(l, FAMILY_routes, name)->exists &&
        !defaults_have_to(l))
        warn(l, "nowhere", FAMILY_tenant, name,
             "has neither `to` nor rules: its requests are answered with 404 no_route");
}

static void warn_of_service(struct lint *l, enum family family, struct str name,
                            const struct service_policy *policy)
{
    const struct lint_target *t = look_up(l, FAMILY_service, name);

    if (family == FAMILY_service && !t->has_endpoints)
        warn(l, "no_endpoint", family, name,
             "has no endpoints: who is sent there gets 503 no_endpoint");
    else if (family == FAMILY_endpoints && !t->takes_requests)
        warn(
            l, "no_endpoint", family, name,
            "has no endpoint that takes new requests (each has weight 0 or drains): who is sent there "
            "gets 503 no_endpoint");
    else if (family == FAMILY_endpoints && !t->has_first)
        warn(l, "only_backups", family, name,
             "has no endpoint that takes requests but backups: they are used as if they were none");
    if (family == FAMILY_service && policy->balance != BALANCE_HASH &&
        (policy->hash_by != HASH_BY_CLIENT || policy->hash_bound > 0))
        warn(l, "unused", family, name, "says how to hash, but not balance=hash: it says nothing");
}

static void warn_of_checks(struct lint *l, struct str name, const struct health_policy *h)
{
    if (h == NULL || !h->wanted)
        return;
    if (h->kind == HEALTH_UNSAID && !h->path_said)
        warn(
            l, "unused", FAMILY_service, name,
            "says how its endpoints are checked, but neither `health` nor `health_path`: they are not");
    else if (health_kind_of(h) == HEALTH_HTTP && h->body.len > 0 &&
             str_equals(h->method, STR("HEAD")))
        warn(l, "no_checks", FAMILY_service, name,
             "wants `health_body` in answers to HEAD, which have none: all checks fail");
}

struct shadowing {
    struct lint *lint;
    struct str id; /* the tenant's */
};

static void warn_of_shadow(void *owner, const struct rule *rule, const struct rule *by)
{
    struct shadowing *s = owner;
    struct record_error error = { .value = "" };

    str_printable(rule->name, error.field, sizeof(error.field));
    snprintf(error.expected, sizeof(error.expected),
             "rule " STR_FMT " is never met: rule " STR_FMT
             " comes first, and holds wherever this one does",
             STR_ARG(rule->name), STR_ARG(by->name));
    find(s->lint, true, "never_met", key_of(s->lint, FAMILY_routes, s->id), &error, "");
}

static void warn_further(struct lint *l, enum family family, struct str name,
                         const struct record_fields *fields)
{
    if (family == FAMILY_host && !fields->has_tenant && fields->to.kind == ACTION_UNSET &&
        !defaults_have_to(l))
        warn(l, "nowhere", family, name,
             "has neither `to` nor a tenant: its requests are answered with 404 no_route");
    else if (family == FAMILY_tenant)
        warn_of_tenant(l, name, fields);
    else if (family == FAMILY_service || family == FAMILY_endpoints)
        warn_of_service(l, family, name, &fields->policy);
    else if (family == FAMILY_routes && !look_up(l, FAMILY_tenant, name)->exists)
        warn(l, "no_tenant", family, name, "is of a tenant that does not exist: nobody meets them");
    if (family == FAMILY_service)
        warn_of_checks(l, name, fields->policy.health);
    if (family == FAMILY_routes)
        lint_rules(fields, warn_of_shadow, &(struct shadowing){ l, name });
}

void lint_record(struct lint *l, enum family family, struct str name, const struct value *value)
{
    struct record_fields fields;
    struct record_error error;

    if (!record_decode(l->modules, family, name, value, &fields, &error)) {
        if (value->kind != VALUE_HASH || !judge_each_field(l, family, name, value))
            find(l, false, "bad_record", key_of(l, family, name), &error, "");
    } else if (l->guard != NULL && endpoints_point_wrong(l->guard, &fields, &error)) {
        find(l, false, "bad_endpoint", key_of(l, family, name), &error, "");
    } else {
        for (uint32_t i = 0; i < fields.names.count; i++)
            judge_name(l, family, name, &fields, &fields.names.items[i]);
        warn_further(l, family, name, &fields);
    }
    record_fields_free(&fields);
}

/* --- what nobody names --- */

static int by_name(const void *a, const void *b)
{
    const struct lint_target *x = *(struct lint_target *const *)a;
    const struct lint_target *y = *(struct lint_target *const *)b;
    size_t least = x->name.len < y->name.len ? x->name.len : y->name.len;
    int order = x->family != y->family ? (int)x->family - (int)y->family
                                       : memcmp(x->name.ptr, y->name.ptr, least);

    return order != 0 ? order : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

static void note(struct lint *l, struct str key, const char *says)
{
    struct finding f = { .note = true, .kind = "unnamed", .key = key };

    snprintf(f.error.expected, sizeof(f.error.expected), "%s", says);
    lint_report(l, &f);
}

static void note_target(struct lint *l, const struct lint_target *t)
{
    if (t->family == FAMILY_tenant)
        note(l, key_of(l, FAMILY_tenant, t->name), "has no hosts: no request meets it");
    else
        note(l, key_of(l, t->has_endpoints ? FAMILY_endpoints : FAMILY_service, t->name),
             "is a service that nobody names: no request is sent there");
}

void lint_unnamed(struct lint *l)
{
    struct lint_target *t, **unnamed = check_alloc((l->targets.count + 1) * sizeof(*unnamed));
    size_t count = 0;
    char more[80];

    for (size_t at = 0; (t = map_next(&l->targets, &at)) != NULL;)
        if (t->exists && !t->named && (t->family == FAMILY_tenant || t->family == FAMILY_service))
            unnamed[count++] = t;
    qsort(unnamed, count, sizeof(*unnamed), by_name);
    l->line = 0;
    for (size_t i = 0; i < count && i < UNNAMED_MOST; i++)
        note_target(l, unnamed[i]);
    if (count > UNNAMED_MOST) {
        snprintf(more, sizeof(more), "%zu more that nobody names", count - UNNAMED_MOST);
        note(l, STR(""), more);
    }
    free(unnamed);
}

void lint_init(struct lint *l, struct str prefix, const struct records *all)
{
    *l = (struct lint){ .prefix = prefix, .all = all };
    map_init(&l->targets, target_is);
}

void lint_free(struct lint *l)
{
    struct lint_target *t;

    for (size_t at = 0; (t = map_next(&l->targets, &at)) != NULL;) {
        free((void *)(uintptr_t)t->name.ptr);
        free(t);
    }
    map_free(&l->targets);
    buf_free(&l->key);
}
