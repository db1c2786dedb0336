/* record.c -- values into fields, by the tables of schema/.
 *
 * Owns:    nothing but the arena it fills.
 * Thread:  control (pure: any would do).
 * Used by: store/reading.c, store/judge.c.
 * Not here: what one field may say (field_types.c), what a rule may (rule.c); whether what a record
 * names exists (store/judge.c); compiling (compile.c). */
#include "routing/record.h"

#include <stdio.h>

#include "base/log.h"
#include "routing/endpoint.h"
#include "routing/field_types.h"
#include "routing/key_names.h"

/* --- families --- */

struct family_row {
    const char *word, *key;
    struct record_limits limits;
};

static const struct family_row families[FAMILIES] = {
#define FAMILY(name, key, types, fields, bytes, meaning) { #name, key, { fields, bytes } },
#include "schema/families.def"
#undef FAMILY
};

const char *family_word(enum family family)
{
    return families[family].word;
}

bool family_is_single(enum family family)
{
    return strchr(families[family].key, ':') == NULL;
}

struct record_limits family_limits(enum family family)
{
    return families[family].limits;
}

/* --- what is wrong --- */

void record_error_set(struct record_error *error, const char *field, struct str value,
                      const char *expected, ...)
{
    va_list args;

    snprintf(error->field, sizeof(error->field), "%s", field);
    log_quote(value, error->value, sizeof(error->value));
    va_start(args, expected);
    vsnprintf(error->expected, sizeof(error->expected), expected, args);
    va_end(args);
}

void record_error_say(const struct record_error *error, struct buf *sentence)
{
    if (error->field[0] != '\0')
        buf_printf(sentence, "field %s: ", error->field);
    buf_printf(sentence, "got %s, expected %s", error->value, error->expected);
}

/* --- hashes --- */

/* "tenant, to, status": an unknown field is told which there are. */
static void list_rows(enum family family, char *to, size_t size)
{
    size_t count, at = 0;
    const struct field_row *rows = record_fields_of(family, &count);

    to[0] = '\0';
    for (size_t i = 0; i < count && at < size; i++)
        at += (size_t)snprintf(to + at, size - at, "%s%s", i ? ", " : "", rows[i].name);
}

static bool decode_field(enum family family, const struct value_field *f,
                         struct record_fields *fields, struct record_error *error)
{
    char name[sizeof(error->field)], known[sizeof(error->expected) - 32];
    const char *expected = NULL;
    field_parse_fn parse;
    const struct field_row *row = field_find(family, f->name, &parse);

    str_printable(f->name, name, sizeof(name));
    if (row == NULL) {
        list_rows(family, known, sizeof(known));
        record_error_set(error, name, f->name, "one of the fields %s", known);
        return false;
    }
    if (f->value.len > RECORD_STRING_MAX) {
        record_error_set(error, name, f->value, "at most %u bytes", RECORD_STRING_MAX);
        return false;
    }
    if (!parse(f->value, fields, &expected)) {
        record_error_set(error, name, f->value, "%s", expected ? expected : row->range);
        return false;
    }
    return true;
}

/* "100", "weight=100 ...", or "100 backup ...". */
static bool decode_options(struct str options, struct record_fields *fields, struct str *wrong,
                           const char **expected)
{
    const struct endpoint_list *list = &fields->endpoints;
    struct str all = options, word = str_trim(options);
    field_parse_fn parse;

    *wrong = options;
    if (word.len == 0 || (word.ptr[0] >= '0' && word.ptr[0] <= '9') || word.ptr[0] == '-') {
        *expected = field_find(FAMILY_endpoints, STR("weight"), &parse)->range;
        str_word(&options, &word);
        if (!parse(word, fields, expected))
            return false;
    }
    while (str_word(&options, &word)) {
        *wrong = word;
        if (!field_parse_option(word, fields, expected))
            return false;
    }
    *wrong = all;
    return endpoint_fits(&list->items[list->count - 1], expected);
}

static bool decode_endpoints(const struct value *value, struct record_fields *fields,
                             struct record_error *error)
{
    char name[sizeof(error->field)];
    const char *expected;
    struct str wrong;

    for (size_t i = 0; i < value->count; i++) {
        const struct value_field *f = &value->fields[i];

        str_printable(f->name, name, sizeof(name));
        if (!field_add_endpoint(&fields->arena, &fields->endpoints, f->name, 100, &expected)) {
            record_error_set(error, name, f->name, "%s", expected);
            return false;
        }
        if (!decode_options(f->value, fields, &wrong, &expected)) {
            record_error_set(error, name, wrong, "%s", expected);
            return false;
        }
    }
    return true;
}

static bool decode_rules(const struct module_host *modules, struct str tenant,
                         const struct value *value, struct record_fields *fields,
                         struct record_error *error)
{
    char name[sizeof(error->field)];

    for (size_t i = 0; i < value->count; i++) {
        const struct value_field *f = &value->fields[i];

        str_printable(f->name, name, sizeof(name));
        if (!name_is_right(f->name)) {
            record_error_set(error, name, f->name, "a rule's name: %s", NAME_EXPECTED);
            return false;
        }
        if (f->value.len > RECORD_STRING_MAX) {
            record_error_set(error, name, f->value, "at most %u bytes", RECORD_STRING_MAX);
            return false;
        }
        if (!rule_decode(modules, tenant, f->name, f->value, fields, error))
            return false;
    }
    return rules_keep_bounds(fields, error);
}

static bool decode_host_string(struct str text, struct record_fields *fields,
                               struct record_error *error)
{
    struct str trimmed = str_trim(text);
    const char *expected = "endpoints such as 10.0.0.5:8080, or service:NAME, or tenant:ID";

    if (str_starts_with(trimmed, STR("tenant:"))) {
        struct str id = str_slice(trimmed.ptr + 7, trimmed.len - 7);

        if (name_is_right(id)) {
            fields->has_tenant = true;
            fields->tenant = field_name(fields, FAMILY_tenant, "tenant", id);
            return true;
        }
        expected = "tenant: with " NAME_EXPECTED;
    } else if (memchr(trimmed.ptr, '.', trimmed.len) != NULL ||
               memchr(trimmed.ptr, ':', trimmed.len) != NULL) {
        if (field_parse_target(trimmed, fields, &fields->to, &expected))
            return true;
    }
    record_error_set(error, "", text, "%s", expected);
    return false;
}

/* Whose keys and services the settings of its modules are. */
static struct chain_scope scope_of(const struct module_host *modules, enum family family,
                                   struct str name, const struct record_fields *fields)
{
    struct chain_scope scope = { .modules = modules, .family = family, .name = name };

    if (family == FAMILY_tenant)
        scope.tenant = name;
    else if (family == FAMILY_host && fields->has_tenant)
        scope.tenant = fields->names.items[fields->tenant].name;
    else
        scope.whose =
            family == FAMILY_host ? STR("a host without a tenant") : STR("usher:defaults");
    return scope;
}

static bool decode_modules(const struct module_host *modules, enum family family, struct str name,
                           struct record_fields *fields, struct record_error *error)
{
    struct chain_scope scope = scope_of(modules, family, name, fields);
    struct chain_error wrong;
    size_t at = 0;

    fields->modules = modules_decode(&scope, family != FAMILY_defaults, "modules",
                                     fields->modules_said, &at, fields, &wrong);
    if (fields->modules == NULL)
        record_error_set(error, "modules", wrong.got, "at column %u %s", wrong.column,
                         wrong.expected);
    return fields->modules != NULL;
}

static bool decode_hash(const struct module_host *modules, enum family family, struct str name,
                        const struct value *value, struct record_fields *fields,
                        struct record_error *error)
{
    if (family == FAMILY_endpoints)
        return decode_endpoints(value, fields, error);
    if (family == FAMILY_routes)
        return decode_rules(modules, name, value, fields, error);
    for (size_t i = 0; i < value->count; i++)
        if (!decode_field(family, &value->fields[i], fields, error))
            return false;
    return modules == NULL || fields->modules_said.ptr == NULL ||
           decode_modules(modules, family, name, fields, error);
}

static void say_too_large(enum family family, struct record_error *error)
{
    struct record_limits most = family_limits(family);

    record_error_set(error, "", STR("too large"), "%sa hash of at most %u fields and %u bytes",
                     family == FAMILY_host ? "a string of at most 8192 bytes, or " : "",
                     most.fields, most.bytes);
}

bool record_decode(const struct module_host *modules, enum family family, struct str name,
                   const struct value *value, struct record_fields *fields,
                   struct record_error *error)
{
    const char *expected;

    *fields = (struct record_fields){ 0 };
    if (!record_name_is_right(family, name, &expected)) {
        record_error_set(error, "", name, "%s", expected);
        return false;
    }
    if (value->kind == VALUE_TOO_LARGE) {
        say_too_large(family, error);
        return false;
    }
    if (value->kind == VALUE_HASH)
        return decode_hash(modules, family, name, value, fields, error);
    if (value->kind == VALUE_STRING && family == FAMILY_host)
        return decode_host_string(value->string, fields, error);
    record_error_set(error, "", str_from(value->kind == VALUE_STRING ? "string" : value->type),
                     family == FAMILY_host ? "a string or a hash" : "a hash");
    return false;
}

void record_fields_free(struct record_fields *fields)
{
    chain_free(fields->modules);
    for (uint32_t i = 0; i < fields->rule_count; i++)
        chain_free(fields->rules[i].modules);
    arena_free(&fields->arena);
    *fields = (struct record_fields){ 0 };
}
