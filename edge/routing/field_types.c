/* field_types.c -- the tables of schema/, and what several fields share.
 *
 * Owns:    nothing; what it decodes lies in the record's arena.
 * Thread:  control (pure: any would do).
 * Used by: record.c, rule.c.
 * Not here: each field (fields_tenant.c, fields_service.c); rules (rule.c); whether what is named exists (store/judge.c). */
#include "routing/field_types.h"

#include "base/map.h"
#include "routing/endpoint.h"
#include "routing/field_parsers.h"
#include "routing/key_names.h"

#define TIMEOUT_MOST_MS (24u * 60 * 60 * 1000)

/* --- what is shared by several fields --- */

static uint32_t *find_place(const struct record_names *names, enum family family, struct str name)
{
    uint32_t mask = 2 * names->room - 1, at = (uint32_t)map_hash(name);

    for (;; at++) {
        uint32_t *place = &names->places[at & mask];
        const struct record_name *there = *place ? &names->items[*place - 1] : NULL;

        if (there == NULL || (there->family == family && str_equals(there->name, name)))
            return place;
    }
}

static void make_room(struct arena *arena, struct record_names *names)
{
    uint32_t before = names->room;

    names->items =
        arena_grown(arena, names->items, names->count, &names->room, sizeof(*names->items));
    if (names->room == before)
        return;
    names->places = arena_alloc(arena, 2 * names->room * sizeof(*names->places));
    for (uint32_t i = 0; i < names->count; i++)
        *find_place(names, names->items[i].family, names->items[i].name) = i + 1;
}

uint32_t field_name(struct record_fields *fields, enum family family, const char *field,
                    struct str name)
{
    struct record_names *names = &fields->names;
    uint32_t *place;

    make_room(&fields->arena, names);
    place = find_place(names, family, name);
    if (*place == 0) {
        names->items[names->count] =
            (struct record_name){ family, field, arena_copy(&fields->arena, name) };
        *place = ++names->count;
    }
    return *place - 1;
}

bool field_add_endpoint(struct arena *arena, struct endpoint_list *list, struct str text,
                        uint32_t weight, const char **expected)
{
    struct endpoint e = { .weight = weight };

    if (!endpoint_parse(arena, text, &e, expected))
        return false;
    if (list->count >= RECORD_ENDPOINTS_MAX) {
        *expected = "at most 1024 endpoints";
        return false;
    }
    for (uint32_t i = 0; i < list->count; i++)
        if (endpoint_is_same(&list->items[i], &e)) {
            *expected = "each endpoint once";
            return false;
        }
    list->items = arena_grown(arena, list->items, list->count, &list->room, sizeof(*list->items));
    list->items[list->count++] = e;
    return true;
}

struct endpoint_options *field_options(struct record_fields *fields)
{
    return endpoint_options(&fields->arena, &fields->endpoints.items[fields->endpoints.count - 1]);
}

/* Of an endpoint in a list: those that say how it is spoken to. */
static bool is_list_option(struct str word)
{
    struct str rest = word, name;

    str_split(&rest, '=', &name);
    return str_equals(name, STR("root")) || str_equals(name, STR("index")) ||
           str_equals(name, STR("path_info")) || str_equals(name, STR("keep"));
}

bool field_is_of_list(const struct endpoint_list *list, struct str word)
{
    return memchr(word.ptr, ':', word.len) != NULL || (list->count > 0 && is_list_option(word));
}

bool field_add_to_list(struct record_fields *fields, struct endpoint_list *list, struct str word,
                       const char **expected)
{
    struct endpoint_list members = fields->endpoints;
    bool good;

    if (list->count == 0 || !is_list_option(word))
        return field_add_endpoint(&fields->arena, list, word, 1, expected);
    fields->endpoints = *list; /* where options go to the last */
    good = field_parse_option(word, fields, expected);
    *list = fields->endpoints;
    fields->endpoints = members;
    return good;
}

bool field_list_fits(const struct endpoint_list *list, const char **expected)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (!endpoint_fits(&list->items[i], expected))
            return false;
    return true;
}

bool field_parse_option(struct str word, struct record_fields *fields, const char **expected)
{
    struct str value = word, name;
    const struct field_row *row;
    field_parse_fn parse;

    *expected = "options of an endpoint, such as weight=100";
    if (!str_split(&value, '=', &name) ||
        (row = field_find(FAMILY_endpoints, name, &parse)) == NULL)
        return false;
    *expected = row->range;
    if ((value.ptr == NULL) != (strcmp(row->type, "switch") == 0))
        return false;
    return parse(value, fields, expected);
}

bool field_parse_target(struct str text, struct record_fields *fields, struct rule_action *to,
                        const char **expected)
{
    struct endpoint_list list = { 0 };
    struct str word;

    text = str_trim(text);
    if (str_starts_with(text, STR("service:"))) {
        struct str name = str_slice(text.ptr + 8, text.len - 8);

        *expected = "service: with " NAME_EXPECTED;
        if (!name_is_right(name))
            return false;
        to->kind = ACTION_SERVICE;
        to->service = field_name(fields, FAMILY_service, "to", name);
        return true;
    }
    while (str_word(&text, &word))
        if (!field_add_to_list(fields, &list, word, expected))
            return false;
    if (!field_list_fits(&list, expected))
        return false;
    to->kind = ACTION_ENDPOINTS;
    to->endpoints = list.items;
    to->endpoint_count = list.count;
    return list.count > 0;
}

uint32_t field_parse_ms(struct str text)
{
    static const struct {
        const char *unit;
        uint32_t ms;
    } units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 }, { "h", 60 * 60 * 1000 } };
    size_t digits = 0;
    uint64_t number;

    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    if (!str_to_u64(str_slice(text.ptr, digits), TIMEOUT_MOST_MS, &number))
        return 0;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (str_equals(str_slice(text.ptr + digits, text.len - digits), str_from(units[i].unit)))
            return number <= TIMEOUT_MOST_MS / units[i].ms ? (uint32_t)number * units[i].ms : 0;
    return 0;
}

bool field_time(struct str text, uint32_t least_ms, uint32_t most_ms, uint32_t *ms)
{
    *ms = field_parse_ms(text);
    return *ms >= least_ms && *ms <= most_ms;
}

bool field_number(struct str text, uint32_t least, uint32_t most, uint32_t *to)
{
    uint64_t number;

    if (!str_to_u64(text, most, &number) || number < least)
        return false;
    *to = (uint32_t)number;
    return true;
}

uint32_t field_number_and_one(struct str text, uint32_t most)
{
    uint32_t number;

    return field_number(text, 0, most, &number) ? number + 1 : 0;
}

unsigned field_word(struct str text, unsigned count, const char *const *words)
{
    for (unsigned i = 0; i < count; i++)
        if (str_equals(text, str_from(words[i])))
            return i + 1;
    return 0;
}

/* --- modules --- */

struct naming_of_services {
    struct record_fields *fields;
    const char *field;
};

static bool name_service(void *owner, struct str name, uint32_t *index, const char **expected)
{
    struct naming_of_services *n = owner;

    *expected = NAME_EXPECTED;
    if (!name_is_right(name))
        return false;
    *index = field_name(n->fields, FAMILY_service, n->field, name);
    return true;
}

struct chain *modules_decode(struct chain_scope *scope, bool may_name_services, const char *field,
                             struct str text, size_t *at, struct record_fields *fields,
                             struct chain_error *wrong)
{
    struct naming_of_services naming = { fields, field };

    scope->owner = &naming;
    scope->service = may_name_services ? name_service : NULL;
    return chain_compile(scope, text, at, wrong);
}

/* --- the tables --- */

#define FIELD(name, type, standard, range, meaning) { #name, #type, standard, range, meaning },
static const struct field_row host_rows[] = {
#include "schema/host.def"
#include "schema/tenant.def"
};
static const struct field_row tenant_rows[] = {
#include "schema/tenant.def"
};
static const struct field_row service_rows[] = {
#include "schema/service.def"
};
static const struct field_row endpoint_rows[] = {
#include "schema/endpoint.def"
};
#undef FIELD

/* In the order of the rows. */
#define FIELD(name, type, standard, range, meaning) parse_tenant_##name,
static const field_parse_fn tenant_parsers[] = {
#include "schema/tenant.def"
};
static const field_parse_fn host_parsers[] = {
#undef FIELD
#define FIELD(name, type, standard, range, meaning) parse_host_##name,
#include "schema/host.def"
#undef FIELD
#define FIELD(name, type, standard, range, meaning) parse_tenant_##name,
#include "schema/tenant.def"
};
#undef FIELD
#define FIELD(name, type, standard, range, meaning) parse_service_##name,
static const field_parse_fn service_parsers[] = {
#include "schema/service.def"
};
#undef FIELD
#define FIELD(name, type, standard, range, meaning) parse_endpoint_##name,
static const field_parse_fn endpoint_parsers[] = {
#include "schema/endpoint.def"
};
#undef FIELD

#define TABLE(name) { name##_rows, name##_parsers, sizeof(name##_rows) / sizeof(name##_rows[0]) }
static const struct {
    const struct field_row *rows;
    const field_parse_fn *parsers;
    size_t count;
} tables[FAMILIES] = {
    [FAMILY_host] = TABLE(host),       [FAMILY_tenant] = TABLE(tenant),
    [FAMILY_service] = TABLE(service), [FAMILY_endpoints] = TABLE(endpoint),
    [FAMILY_defaults] = TABLE(tenant),
};

const struct field_row *record_fields_of(enum family family, size_t *count)
{
    *count = tables[family].count;
    return tables[family].rows;
}

const struct field_row *field_find(enum family family, struct str name, field_parse_fn *parse)
{
    for (size_t i = 0; i < tables[family].count; i++)
        if (str_equals(name, str_from(tables[family].rows[i].name))) {
            *parse = tables[family].parsers[i];
            return &tables[family].rows[i];
        }
    return NULL;
}
