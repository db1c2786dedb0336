/* record.c -- values into fields, by the tables of schema/.
 *
 * Owns:    nothing but the endpoint list it fills.
 * Thread:  control (pure: any would do).
 * Used by: store/reading.c, store/judge.c.
 * Not here: whether what a record names exists (store/judge.c); compiling (compile.c). */
#include "routing/record.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"

#define NAME_EXPECTED "a name of a-z 0-9 . _ - with 1 to 63 characters"

#define ENDPOINTS_MAX RECORD_FIELDS_MAX

/* On false *expected says what would have been right. */
typedef bool (*field_parse_fn)(struct str text, struct record_fields *fields,
                               const char **expected);

struct field_row {
    const char *name;
    field_parse_fn parse;
};

const char *family_word(enum family family)
{
    static const char *const words[] = {
#define FAMILY(name, key, types, meaning) #name,
#include "schema/families.def"
#undef FAMILY
    };

    return words[family];
}

void record_fields_free(struct record_fields *fields)
{
    free(fields->endpoints.items);
    fields->endpoints = (struct endpoint_list){ 0 };
}

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

/* --- names --- */

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool name_is_right(struct str name)
{
    if (name.len == 0 || name.len > NAME_MAX_BYTES || !is_lower_or_digit(name.ptr[0]))
        return false;
    for (size_t i = 1; i < name.len; i++)
        if (!is_lower_or_digit(name.ptr[i]) && memchr("._-", name.ptr[i], 3) == NULL)
            return false;
    return true;
}

static bool literal_is_right(struct str host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr ip;

    if (host.len < 4 || host.len - 2 >= sizeof(text) || host.ptr[host.len - 1] != ']')
        return false;
    for (size_t i = 1; i < host.len - 1; i++)
        if (memchr("0123456789abcdef:.", host.ptr[i], 18) == NULL)
            return false;
    memcpy(text, host.ptr + 1, host.len - 2);
    text[host.len - 2] = '\0';
    return inet_pton(AF_INET6, text, &ip) == 1;
}

static bool host_is_right(struct str host)
{
    size_t label = 0;

    if (str_equals(host, STR("*")))
        return true;
    if (host.len == 0 || host.len > HOST_MAX_BYTES)
        return false;
    if (host.ptr[0] == '[')
        return literal_is_right(host);
    if (str_starts_with(host, STR("*."))) {
        host.ptr += 2;
        host.len -= 2;
    }
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];

        if (c == '.' && label > 0)
            label = 0;
        else if ((!is_lower_or_digit(c) && c != '-' && c != '_') || ++label > 63)
            return false;
    }
    return label > 0;
}

bool record_name_is_right(enum family family, struct str name, const char **expected)
{
    if (family == FAMILY_host) {
        *expected = "a key that ends in a host: lower case, no port, no dot at its end; or "
                    "*.parent, or *";
        return host_is_right(name);
    }
    *expected = "a key that ends in " NAME_EXPECTED;
    return name_is_right(name);
}

/* --- endpoints --- */

static bool add_endpoint(struct endpoint_list *list, struct str text, uint32_t weight,
                         const char **expected)
{
    struct endpoint e = { .weight = weight };

    if (!address_parse(text, 1, &e.address, expected))
        return false;
    if (list->count >= ENDPOINTS_MAX) {
        *expected = "at most 1024 endpoints";
        return false;
    }
    for (uint32_t i = 0; i < list->count; i++)
        if (str_equals(address_bytes(&list->items[i].address), address_bytes(&e.address))) {
            *expected = "each endpoint once";
            return false;
        }
    if (list->count == list->room) {
        list->room = list->room ? list->room * 2 : 4;
        list->items = check_realloc(list->items, list->room * sizeof(*list->items));
    }
    list->items[list->count++] = e;
    return true;
}

/* --- the types of fields --- */

static bool copy_name(struct str text, char to[NAME_MAX_BYTES + 1], const char **expected)
{
    *expected = NAME_EXPECTED;
    if (!name_is_right(text))
        return false;
    memcpy(to, text.ptr, text.len);
    to[text.len] = '\0';
    return true;
}

static bool parse_name_of_tenant(struct str text, struct record_fields *fields,
                                 const char **expected)
{
    return copy_name(text, fields->tenant, expected);
}

static bool parse_service(struct str text, struct record_fields *fields, const char **expected)
{
    fields->to = RECORD_TO_SERVICE;
    if (copy_name(text, fields->service, expected))
        return true;
    *expected = "service: with " NAME_EXPECTED;
    return false;
}

static bool parse_to(struct str text, struct record_fields *fields, const char **expected)
{
    struct str word;
    bool any = false;

    text = str_trim(text);
    if (str_starts_with(text, STR("service:")))
        return parse_service(str_slice(text.ptr + 8, text.len - 8), fields, expected);
    fields->to = RECORD_TO_ENDPOINTS;
    *expected = "endpoints such as 10.0.0.5:8080 with spaces between, or service:NAME";
    while (str_word(&text, &word)) {
        if (!add_endpoint(&fields->endpoints, word, 1, expected))
            return false;
        any = true;
    }
    return any;
}

static bool parse_status(struct str text, struct record_fields *fields, const char **expected)
{
    *expected = "active, maintenance or suspended";
    if (str_equals(text, STR("active")))
        fields->status = STATUS_ACTIVE;
    else if (str_equals(text, STR("maintenance")))
        fields->status = STATUS_MAINTENANCE;
    else if (str_equals(text, STR("suspended")))
        fields->status = STATUS_SUSPENDED;
    else
        return false;
    return true;
}

static bool parse_balance(struct str text, struct record_fields *fields, const char **expected)
{
    *expected = "round-robin or random";
    if (str_equals(text, STR("round-robin")))
        fields->balance = BALANCE_ROUND_ROBIN;
    else if (str_equals(text, STR("random")))
        fields->balance = BALANCE_RANDOM;
    else
        return false;
    return true;
}

/* Of the endpoint that was added last. */
static bool parse_weight(struct str text, struct record_fields *fields, const char **expected)
{
    uint64_t weight;

    *expected = "a weight from 0 to 1000, such as 100 or weight=100";
    if (!str_to_u64(text, WEIGHT_MAX, &weight))
        return false;
    fields->endpoints.items[fields->endpoints.count - 1].weight = (uint32_t)weight;
    return true;
}

/* --- the tables --- */

#define FIELD(name, type, unset, meaning) { #name, parse_##type },
static const struct field_row host_rows[] = {
#include "schema/host.def"
#include "schema/tenant.def"
    { NULL, NULL },
};
static const struct field_row tenant_rows[] = {
#include "schema/tenant.def"
    { NULL, NULL },
};
static const struct field_row service_rows[] = {
#include "schema/service.def"
    { NULL, NULL },
};
static const struct field_row endpoint_rows[] = {
#include "schema/endpoint.def"
    { NULL, NULL },
};
#undef FIELD

static const struct field_row *find_row(const struct field_row *rows, struct str name)
{
    for (; rows->name != NULL; rows++)
        if (str_equals(name, str_from(rows->name)))
            return rows;
    return NULL;
}

/* "tenant, to, status": an unknown field is told which there are. */
static void list_rows(const struct field_row *rows, char *to, size_t size)
{
    size_t at = 0;

    to[0] = '\0';
    for (const char *comma = ""; rows->name != NULL && at < size; rows++, comma = ", ")
        at += (size_t)snprintf(to + at, size - at, "%s%s", comma, rows->name);
}

static bool decode_rows(const struct field_row *rows, const struct value *value,
                        struct record_fields *fields, struct record_error *error)
{
    char name[sizeof(error->field)], known[160];
    const char *expected;

    for (size_t i = 0; i < value->count; i++) {
        const struct value_field *f = &value->fields[i];
        const struct field_row *row = find_row(rows, f->name);

        str_printable(f->name, name, sizeof(name));
        if (row == NULL) {
            list_rows(rows, known, sizeof(known));
            record_error_set(error, name, f->name, "one of the fields %s", known);
            return false;
        }
        if (!row->parse(f->value, fields, &expected)) {
            record_error_set(error, name, f->value, "%s", expected);
            return false;
        }
    }
    return true;
}

/* "100", or "weight=100 ...". */
static bool decode_options(struct str options, struct record_fields *fields, struct str *wrong,
                           const char **expected)
{
    struct str word;

    *wrong = options;
    if (memchr(options.ptr, '=', options.len) == NULL)
        return parse_weight(str_trim(options), fields, expected);
    while (str_word(&options, &word)) {
        struct str rest = word, name;
        const struct field_row *row;

        *wrong = word;
        *expected = "weight=0 to weight=1000";
        if (!str_split(&rest, '=', &name) || rest.ptr == NULL)
            return false;
        row = find_row(endpoint_rows, name);
        if (row == NULL || !row->parse(rest, fields, expected))
            return false;
    }
    return true;
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
        if (!add_endpoint(&fields->endpoints, f->name, 100, &expected)) {
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

static bool decode_host_string(struct str text, struct record_fields *fields,
                               struct record_error *error)
{
    const char *expected = NULL;
    struct str trimmed = str_trim(text);

    if (str_starts_with(trimmed, STR("tenant:"))) {
        if (parse_name_of_tenant(str_slice(trimmed.ptr + 7, trimmed.len - 7), fields, &expected))
            return true;
        expected = "tenant: with " NAME_EXPECTED;
    } else if (parse_to(trimmed, fields, &expected)) {
        return true;
    } else if (fields->to == RECORD_TO_ENDPOINTS && fields->endpoints.count == 0 &&
               memchr(trimmed.ptr, '.', trimmed.len) == NULL) {
        expected = "endpoints such as 10.0.0.5:8080, or service:NAME, or tenant:ID";
    }
    record_error_set(error, "", text, "%s", expected);
    return false;
}

static bool decode_hash(enum family family, const struct value *value, struct record_fields *fields,
                        struct record_error *error)
{
    switch (family) {
    case FAMILY_host:
        return decode_rows(host_rows, value, fields, error);
    case FAMILY_tenant:
        return decode_rows(tenant_rows, value, fields, error);
    case FAMILY_service:
        return decode_rows(service_rows, value, fields, error);
    default:
        return decode_endpoints(value, fields, error);
    }
}

bool record_decode(enum family family, struct str name, const struct value *value,
                   struct record_fields *fields, struct record_error *error)
{
    const char *expected;

    *fields = (struct record_fields){ 0 };
    if (!record_name_is_right(family, name, &expected)) {
        record_error_set(error, "", name, "%s", expected);
        return false;
    }
    if (value->kind == VALUE_TOO_LARGE) {
        record_error_set(
            error, "", STR("too large"),
            "a string of at most %u bytes, or a hash of at most %u fields and %u bytes",
            RECORD_STRING_MAX, RECORD_FIELDS_MAX, RECORD_HASH_MAX);
        return false;
    }
    if (value->kind == VALUE_HASH)
        return decode_hash(family, value, fields, error);
    if (value->kind == VALUE_STRING && family == FAMILY_host)
        return decode_host_string(value->string, fields, error);
    record_error_set(error, "", str_from(value->kind == VALUE_STRING ? "string" : value->type),
                     family == FAMILY_host ? "a string or a hash" : "a hash");
    return false;
}
